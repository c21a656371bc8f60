/* A store opened below the engine: its directory locked and its database open, nothing read yet. For verbs that
 * must work where store_open() would refuse. */
#ifndef ESFS_CTL_OFFLINE_H
#define ESFS_CTL_OFFLINE_H

#include "db.h"
#include "err.h"
#include "home.h"

struct offline {
    struct home *home;
    struct db *db;
};

/* For writing it opens also when tables of what is derived cannot be; that is then empty. 0 or a negative errno with
 * the words; -EBUSY names the process that has the store mounted. */
int offline_open(struct offline *o, const char *path, bool read_only, struct err *err);
void offline_close(struct offline *o);

/* Where the log ends: its last block and last event, by its last key. 0 (also for an empty log) or negative. */
int offline_tail(struct offline *o, struct home_head *out, struct err *err);

#endif
