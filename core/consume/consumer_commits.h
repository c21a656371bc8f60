/* What consumers write to the `cursors` family: changes of all that come together are one batch with one sync. Thread
 * safe.
 *
 * Changes that belong together are put between commits_begin() and commits_end(), which other threads wait for: no more
 * than that may happen in between. Changes of one key take effect in the order of putting. */
#ifndef ESFS_CONSUMER_COMMITS_H
#define ESFS_CONSUMER_COMMITS_H

#include "changes.h"
#include "store.h"

#include <pthread.h>

struct commits {
    struct store *store;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t done;
    struct changes next, flying;
    uint64_t ticket, reached; /* of `next`; of the last batch that was written */
    bool writing, broken, failed;
};

int commits_init(struct commits *c, struct store *s); /* 0 or negative errno */
void commits_deinit(struct commits *c);

void commits_begin(struct commits *c);
/* Key and value are copied. */
void commits_put(struct commits *c, struct str key, struct str value);
void commits_remove(struct commits *c, struct str key);
/* What commits_reach() waits for: these changes, or, when there were none, those before. */
uint64_t commits_end(struct commits *c);
/* Blocks until they are written, and durable if the store's durability is so; the caller may be the one who does it. 0,
 * or -EIO: the store is read-only from then on. */
int commits_reach(struct commits *c, uint64_t ticket);

/* Whether there may be changes: 0, -EROFS or -ENOSPC. */
int commits_allowed(struct commits *c);

#endif
