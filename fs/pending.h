/* Requests that the engine answers later, from a thread of its own, and whose caller may be interrupted meanwhile
 * (Ctrl-C): then he is answered at once, with EINTR. What he asked for goes on, unless it can be stopped.
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
struct pending;

/* Of what is stopped when its caller is interrupted. Both are called with the lock of all that is pending. */
struct pending_stop {
    int (*start)(struct pending *p); /* 0 or a negative errno: then it has not begun */
    /* False when it is too late: the answer is on its way. Otherwise it is over: the caller is answered with EINTR, and
     * the pending, of which this was the last use, is given to free(3). */
    bool (*stop)(struct pending *p);
};

/* Told, with that lock, that nobody waits any more for what goes on; it must not answer, nor wait. */
typedef void pending_left(struct pending *p);

/* A part of what its user keeps of the request; the first one, if it can be stopped. */
struct pending {
    LIST_ENTRY(pending) link;
    struct fs *fs;
    fuse_req_t req; /* NULL: nobody waits (any more) */
    const struct pending_stop *stop;
    pending_left *left;
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
/* The same, and tells when the caller is interrupted. */
int pending_begin_telling(struct pending *p, struct fs *fs, fuse_req_t req, pending_left *left);
/* The same of what can be stopped, and starts it; also what `start` says. From then on the memory is its own. */
int pending_begin_stoppable(struct pending *p, struct fs *fs, fuse_req_t req, const struct pending_stop *stop);
/* The request, now the caller's to answer; NULL when nobody waits for it any more. Until it is answered, what the
 * kernel opened for it is still open. */
fuse_req_t pending_take(struct pending *p);
/* After pending_take() of what can be stopped: there is no answer yet, it starts again. As pending_begin_stoppable().
 */
int pending_again(struct pending *p, fuse_req_t req);
/* After pending_take() and the answer. The memory may go from then on. */
void pending_end(struct pending *p);

#endif
