/* Unique rules: which aggregate holds which value, as of the last decision. What is stored stands in the `folds` family
 * (FORMAT.md, "Folds"), written with the block that changes it; what is decided and not yet applied stands here. One
 * thread. */
#ifndef ESFS_UNIQUE_H
#define ESFS_UNIQUE_H

#include "buf.h"
#include "changes.h"
#include "domain.h"
#include "holder.h"
#include "index.h"

struct unique;

struct unique *unique_new(struct db *db, struct index *ix); /* NULL when out of memory */
void unique_free(struct unique *u);                         /* NULL is fine */

/* Between blocks, when all but the last one have been applied. */
void unique_turn(struct unique *u);

/* A value that changes hands in the request under judgement. */
struct unique_change {
    const struct domain_type *type;
    const struct domain_rule *rule;
    uint64_t aggregate;       /* 0: it does not exist yet */
    struct str id;            /* of the aggregate */
    struct str before, after; /* as JSON; p NULL: none */
    size_t command;           /* of the request that made it so */
};

enum { UNIQUE_TAKEN = 1 };

/* Whether all of them can be made together. UNIQUE_TAKEN with the index of the one that cannot and the name of the
 * holder ("order/7"); 0; or a negative errno in words. */
struct unique_clash {
    size_t change;
    char holder[2 * NAME_MAX_BYTES + 2];
};
int unique_check(struct unique *u, const struct unique_change *changes, size_t n, struct unique_clash *clash,
                 struct err *err);
/* Notes those that were accepted (the aggregates have their numbers now), also in what is written with the block. 0 or
 * -ENOMEM. */
int unique_accept(struct unique *u, const struct unique_change *changes, size_t n, struct changes *out);

#endif
