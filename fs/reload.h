/* Loading the domain anew: asked for by a write to .esfs/reload or by SIGHUP, done in a thread of its own, so that
 * nothing else waits for it. The store is told to one reload at a time; another one meanwhile is refused (EBUSY).
 *
 * A write is answered when the domain is in force, or with the errno of why it is not. A writer that is interrupted is
 * answered at once (EINTR), and the reload goes on. It counts as deferred (reply.h): the mount waits for it before the
 * store is closed. Safe in any thread. */
#ifndef ESFS_RELOAD_H
#define ESFS_RELOAD_H

#include "lowlevel.h"

#include <pthread.h>
#include <sys/queue.h>

struct fs;
struct reload;

struct reloads {
    pthread_mutex_t lock;
    LIST_HEAD(, reload) under_way;
};

int reloads_init(struct reloads *rs); /* 0 or negative errno */
void reloads_deinit(struct reloads *rs);

/* Begins a reload and answers the request, a write of n bytes, when it is done. Without a request (NULL) nobody is
 * answered; the log says what came of it in both cases. */
void reload_start(struct fs *fs, fuse_req_t req, size_t n);

#endif
