/* The events that followers of the log pass over, all of them in memory: sorted by follower and position. None is ever
 * taken out or changed.
 *
 * Entries and their strings stay where they are until skips_free(); the rest is guarded by the caller. */
#ifndef ESFS_SKIPS_H
#define ESFS_SKIPS_H

#include "index.h"

struct skips { /* zero-initialise to start */
    const struct index_skip **sorted;
    size_t n, cap;
};

void skips_free(struct skips *s);

/* Adds a copy, which *kept (may be NULL) then tells. 0, -EEXIST, -ENOMEM. */
int skips_add(struct skips *s, const struct index_skip *skip, const struct index_skip **kept);

/* NULL when the follower does not pass over that position. */
const struct index_skip *skips_find(const struct skips *s, struct str follower, uint64_t position);
/* The follower's first one behind a position; NULL past its last. */
const struct index_skip *skips_after(const struct skips *s, struct str follower, uint64_t position);
/* How many of its lie behind `after` and not behind `to`, which is not before it. */
size_t skips_count(const struct skips *s, struct str follower, uint64_t after, uint64_t to);

int skips_order(const struct index_skip *a, const struct index_skip *b); /* negative, 0, positive */

#endif
