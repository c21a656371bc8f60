/* The schemas that the log registered, all of them in memory: sorted by type, kind (events' before commands'), name and
 * version. None is ever taken out or changed.
 *
 * Entries and their strings stay where they are until schemas_free(); the rest is guarded by the caller. */
#ifndef ESFS_SCHEMAS_H
#define ESFS_SCHEMAS_H

#include "index.h"

struct schemas { /* zero-initialise to start */
    const struct index_schema **sorted;
    size_t n, cap;
};

void schemas_free(struct schemas *s);

/* Adds a copy, which *kept (may be NULL) then tells. 0, -EEXIST, -ENOMEM. */
int schemas_add(struct schemas *s, const struct index_schema *schema, const struct index_schema **kept);

/* By everything but the text. NULL when there is no such. */
const struct index_schema *schemas_find(const struct schemas *s, const struct index_schema *schema);
/* The first one behind it, whether it is there or not; NULL: the first of all. NULL past the last. */
const struct index_schema *schemas_after(const struct schemas *s, const struct index_schema *after);

int schemas_order(const struct index_schema *a, const struct index_schema *b); /* negative, 0, positive */

#endif
