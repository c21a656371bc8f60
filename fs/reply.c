#include "reply.h"

#include "index.h"

#include <errno.h>
#include <linux/fuse.h>

/* The kernel drops a reply whose errno is 512 or more, and its caller then hangs for ever. */
#define ERRNO_LIMIT 512

int reply_errno(ssize_t result) {
    if (result == 0)
        return 0;
    return result < 0 && result > -ERRNO_LIMIT ? (int)-result : EIO;
}

void reply_result(fuse_req_t req, int result) {
    fuse_reply_err(req, reply_errno(result));
}

int reply_stale(int found) {
    return found == INDEX_NONE ? -ESTALE : found;
}

int reply_absent(int found) {
    return found == INDEX_NONE ? -ENOENT : found;
}

int reply_open_stream(fuse_req_t req, const struct fuse_file_info *fi) {
    const struct fuse_open_out out = {
        .fh = fi->fh,
        .open_flags = FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE | FOPEN_STREAM | (fi->noflush ? FOPEN_NOFLUSH : 0),
    };
    return fuse_reply_buf(req, (const char *)&out, sizeof out);
}

int deferred_init(struct deferred *d) {
    d->count = 0;
    int r = pthread_mutex_init(&d->lock, NULL);
    if (r == 0 && (r = pthread_cond_init(&d->none, NULL)) != 0)
        pthread_mutex_destroy(&d->lock);
    return -r;
}

void deferred_deinit(struct deferred *d) {
    pthread_cond_destroy(&d->none);
    pthread_mutex_destroy(&d->lock);
}

void deferred_begin(struct deferred *d) {
    pthread_mutex_lock(&d->lock);
    d->count++;
    pthread_mutex_unlock(&d->lock);
}

void deferred_end(struct deferred *d) {
    pthread_mutex_lock(&d->lock);
    if (--d->count == 0)
        pthread_cond_broadcast(&d->none);
    pthread_mutex_unlock(&d->lock);
}

void deferred_wait(struct deferred *d) {
    pthread_mutex_lock(&d->lock);
    while (d->count > 0)
        pthread_cond_wait(&d->none, &d->lock);
    pthread_mutex_unlock(&d->lock);
}
