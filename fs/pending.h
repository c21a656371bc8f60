/* Requests that the engine answers later, from a thread of its own, and whose caller may be interrupted meanwhile
 * (Ctrl-C): then he is answered at once, with EINTR, and what he asked for goes on.
 *
 * Each is deferred (reply.h) until what it asked for is done, also when nobody waits any more: the mount waits for it
 * before the store is closed. Safe in any thread. */
#ifndef ESFS_PENDING_H
#define ESFS_PENDING_H

#include "lowlevel.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

struct fs;

/* A part of what its user keeps of the request. */
struct pending {
    LIST_ENTRY(pending) link;
    struct fs *fs;
    fuse_req_t req; /* NULL: nobody waits (any more) */
};

struct pendings {
    pthread_mutex_t lock;
    LIST_HEAD(, pending) list;
};

int pendings_init(struct pendings *ps); /* 0 or negative errno */
void pendings_deinit(struct pendings *ps);

/* Begins to wait for an answer. Without a request (NULL) it is deferred all the same. 0; or -EINTR when the caller has
 * been interrupted already: then nothing has begun, and the request is still to be answered. */
int pending_begin(struct pending *p, struct fs *fs, fuse_req_t req);
/* The request, now the caller's to answer; NULL when nobody waits for it any more. Until it is answered, what the
 * kernel opened for it is still open. */
fuse_req_t pending_take(struct pending *p);
/* After pending_take() and the answer. The memory may go from then on. */
void pending_end(struct pending *p);

#endif
