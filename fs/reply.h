/* Answers: the errno of a refusal, and the count of requests that are answered later.
 *
 * A request is deferred when the engine answers it from its own thread. Before the store is closed the mount waits
 * until none is left. Safe in any thread. */
#ifndef ESFS_REPLY_H
#define ESFS_REPLY_H

#include "lowlevel.h"

#include <pthread.h>

/* The errno that the kernel is told for a result of fs/ or core/ (0 or negative). */
int reply_errno(ssize_t result);
/* Answers with success (0) or a negative errno. */
void reply_result(fuse_req_t req, int result);
/* What an index look-up by number says when there is none: the node id is stale, and the kernel looks again. */
int reply_stale(int found);
/* What a look-up by name says when there is none. */
int reply_absent(int found);

/* Answers an open as fuse_reply_open() does, of a direct_io file without positions that reads and writes side by side:
 * libfuse 3.14 has no word for that. */
int reply_open_stream(fuse_req_t req, const struct fuse_file_info *fi);

struct deferred {
    pthread_mutex_t lock;
    pthread_cond_t none;
    size_t count;
};

int deferred_init(struct deferred *d); /* 0 or negative errno */
void deferred_deinit(struct deferred *d);
void deferred_begin(struct deferred *d);
void deferred_end(struct deferred *d); /* after the reply */
void deferred_wait(struct deferred *d);

#endif
