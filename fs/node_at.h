/* Moments: what at/<when> stands for, remembered from its LOOKUP to its FORGET. Safe in any thread. */
#ifndef ESFS_NODE_AT_H
#define ESFS_NODE_AT_H

#include "node.h"

struct moments;

struct moments *moments_new(void); /* NULL when out of memory */
void moments_free(struct moments *ms);

struct moment_range {
    uint64_t aggregate, from, to; /* versions, both included; `to` is 0 when there are none */
};

/* Of a moment's node. 0, or -ESTALE when it is not known (any more). */
int moment_range(struct fs *fs, const struct node *node, struct moment_range *out);
/* Whether it was named as a range of versions (`2..3`), which shows events and has no state. */
bool moment_is_range(struct fs *fs, const struct node *node);

/* `hold` and `drop` of its nodes. */
void moment_hold(struct fs *fs, const struct node *node);
void moment_drop(struct fs *fs, const struct node *node, uint64_t n);

#endif
