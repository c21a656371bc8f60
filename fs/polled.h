/* poll(2), select(2) and epoll(7) on readers of consumers: when one that had nothing has something, the kernel is told
 * that a poll would say something else, by the consumers' own thread: no request is served there, which is when
 * notifications must not be sent. Safe in any thread. */
#ifndef ESFS_POLLED_H
#define ESFS_POLLED_H

#include "consumers.h"
#include "lowlevel.h"

#include <pthread.h>

/* Of the mount. */
struct polls {
    pthread_mutex_t lock;
    pthread_cond_t told;
};

int polls_init(struct polls *ps); /* 0 or negative errno */
void polls_deinit(struct polls *ps);

/* What an open file keeps of polls. */
struct polled {
    struct reader_wait wait; /* first */
    struct polls *polls;
    struct fuse_pollhandle *handle; /* of the last poll that wants to be told; NULL: none does */
    bool waiting;
};

void polled_init(struct polled *p, struct polls *ps);
/* Nobody is told any more. The reader is still open. */
void polled_deinit(struct polled *p);
/* A poll that found nothing wants to be told when there is something; takes over the handle. */
void polled_set(struct polled *p, struct fuse_pollhandle *handle);
/* The reader has nothing at the moment: who polled before is told when it has. */
void polled_wait(struct polled *p, struct reader *r);

#endif
