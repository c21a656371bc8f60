/* The aggregate types that exist, as of the last decision. One thread. */
#ifndef ESFS_KINDS_H
#define ESFS_KINDS_H

#include "arena.h"
#include "index.h"
#include "table.h"

struct kind {
    struct str name;
    uint32_t no;         /* 0 once it was removed */
    uint64_t aggregates; /* that exist */
};

struct kinds {
    struct index *index;
    struct table table;
    struct arena arena;
    struct kind **list;
    uint32_t n, room;
};

void kinds_init(struct kinds *k, struct index *ix);
void kinds_deinit(struct kinds *k);
/* The type of a name, NULL in *out while there is none; valid until kinds_deinit(). 0 or -ENOMEM. */
int kinds_find(struct kinds *k, struct str name, struct kind **out);
/* Enters a type that has just got its number. NULL when out of memory. */
struct kind *kinds_add(struct kinds *k, struct str name, uint32_t no);

#endif
