/* Reads of consumers that wait for events, and polls: no thread waits with them. The consumers' own thread calls when
 * there is something, and then answers the read, or tells the kernel that a poll would say something else.
 *
 * A read that waits can be interrupted: it is answered with EINTR, and nothing is lost, for it takes its bytes only
 * when it is answered. It counts as deferred (reply.h). Safe in any thread. */
#ifndef ESFS_BLOCKED_H
#define ESFS_BLOCKED_H

#include "consumers.h"
#include "lowlevel.h"

#include <pthread.h>
#include <sys/queue.h>

struct blocked;
struct fs;

struct blockeds {
    pthread_mutex_t lock;
    pthread_cond_t called; /* a poll was */
    LIST_HEAD(, blocked) list;
};

int blockeds_init(struct blockeds *bs); /* 0 or negative errno */
void blockeds_deinit(struct blockeds *bs);

/* Answers the read as soon as the reader has something, up to n bytes. The reader stays open until then. */
void blocked_read(struct fs *fs, struct reader *r, fuse_req_t req, size_t n);

/* What an open file keeps of polls. */
struct polled {
    struct reader_wait wait; /* first */
    struct blockeds *all;
    struct fuse_pollhandle *handle; /* of the last poll that wants to be told; NULL: none does */
    bool waiting;
};

/* A poll that found nothing wants to be told when there is something; takes over the handle. */
void polled_set(struct fs *fs, struct polled *p, struct fuse_pollhandle *handle);
/* The reader has nothing at the moment: who polled before is told when it has. */
void polled_wait(struct fs *fs, struct polled *p, struct reader *r);
/* Nobody is told any more. */
void polled_end(struct polled *p);

#endif
