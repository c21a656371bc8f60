#include "blocked.h"

#include "fs.h"

#include <errno.h>
#include <stdlib.h>

struct blocked {
    struct reader_wait wait; /* first */
    LIST_ENTRY(blocked) link;
    struct fs *fs;
    struct reader *reader;
    fuse_req_t req;
    size_t n;
};

int blockeds_init(struct blockeds *bs) {
    LIST_INIT(&bs->list);
    int r = pthread_mutex_init(&bs->lock, NULL);
    if (r == 0 && (r = pthread_cond_init(&bs->called, NULL)) != 0)
        pthread_mutex_destroy(&bs->lock);
    return -r;
}

void blockeds_deinit(struct blockeds *bs) {
    pthread_cond_destroy(&bs->called);
    pthread_mutex_destroy(&bs->lock);
}

/* --- reads */

/* Once the answer is out the reader may go. */
static void blocked_end(struct blocked *b, const char *bytes, ssize_t got) {
    struct fs *fs = b->fs;
    if (got < 0)
        reply_result(b->req, (int)got);
    else
        fuse_reply_buf(b->req, bytes, (size_t)got);
    deferred_end(&fs->deferred);
    free(b);
}

/* libfuse may call this for a request that is just being answered. The request itself is still there, so it is looked
 * for by its address; what waited for it may be gone. One whose call is on its way is left to that: it looks whether it
 * was interrupted before it waits again. */
static void blocked_interrupted(fuse_req_t req, void *data) {
    struct blockeds *bs = data;
    struct blocked *b;
    pthread_mutex_lock(&bs->lock);
    LIST_FOREACH(b, &bs->list, link)
    if (b->req == req)
        break;
    if (b && !reader_unwait(&b->wait))
        b = NULL;
    if (b)
        LIST_REMOVE(b, link);
    pthread_mutex_unlock(&bs->lock);
    if (b)
        blocked_end(b, NULL, -EINTR);
}

/* Waits (again). 0 or a negative errno. The lock keeps the call away until all is in place. */
static int blocked_wait(struct blocked *b) {
    struct blockeds *bs = &b->fs->blockeds;
    pthread_mutex_lock(&bs->lock);
    /* An interrupt that came before there was anything to find has left this mark; a later one will find it. */
    int r = fuse_req_interrupted(b->req) ? -EINTR : reader_wait(b->reader, &b->wait);
    if (r == 0)
        LIST_INSERT_HEAD(&bs->list, b, link);
    pthread_mutex_unlock(&bs->lock);
    return r;
}

/* There is something, unless another read has taken it. */
static void blocked_wake(struct reader_wait *wait) {
    struct blocked *b = (struct blocked *)wait;
    struct blockeds *bs = &b->fs->blockeds;
    pthread_mutex_lock(&bs->lock);
    LIST_REMOVE(b, link);
    pthread_mutex_unlock(&bs->lock);
    char *bytes = malloc(b->n);
    ssize_t got = bytes ? reader_read(b->reader, bytes, b->n) : -ENOMEM;
    bool waits = got == -EAGAIN && (got = blocked_wait(b)) == 0;
    if (!waits)
        blocked_end(b, bytes, got);
    free(bytes);
}

void blocked_read(struct fs *fs, struct reader *r, fuse_req_t req, size_t n) {
    struct blocked *b = malloc(sizeof *b);
    if (!b) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    *b = (struct blocked){.wait.wake = blocked_wake, .fs = fs, .reader = r, .req = req, .n = n};
    deferred_begin(&fs->deferred);
    /* Before it is in the list: from then on somebody else may answer the request and free it. */
    fuse_req_interrupt_func(req, blocked_interrupted, &fs->blockeds);
    int result = blocked_wait(b);
    if (result < 0)
        blocked_end(b, NULL, result);
}

/* --- polls */

/* Notifications must not be sent while a request is served: this is another thread. */
static void polled_wake(struct reader_wait *wait) {
    struct polled *p = (struct polled *)wait;
    struct blockeds *bs = p->all;
    pthread_mutex_lock(&bs->lock);
    struct fuse_pollhandle *handle = p->handle;
    p->handle = NULL;
    p->waiting = false;
    pthread_cond_broadcast(&bs->called); /* from here on it may be freed */
    pthread_mutex_unlock(&bs->lock);
    if (!handle)
        return;
    fuse_lowlevel_notify_poll(handle);
    fuse_pollhandle_destroy(handle);
}

void polled_set(struct fs *fs, struct polled *p, struct fuse_pollhandle *handle) {
    pthread_mutex_lock(&fs->blockeds.lock);
    struct fuse_pollhandle *before = p->handle;
    p->handle = handle;
    p->all = &fs->blockeds;
    pthread_mutex_unlock(&fs->blockeds.lock);
    if (before)
        fuse_pollhandle_destroy(before);
}

void polled_wait(struct fs *fs, struct polled *p, struct reader *r) {
    pthread_mutex_lock(&fs->blockeds.lock);
    if (p->handle && !p->waiting) {
        p->wait = (struct reader_wait){.wake = polled_wake};
        p->waiting = reader_wait(r, &p->wait) == 0;
    }
    pthread_mutex_unlock(&fs->blockeds.lock);
}

void polled_end(struct polled *p) {
    if (!p->all)
        return;
    pthread_mutex_lock(&p->all->lock);
    if (p->waiting && reader_unwait(&p->wait))
        p->waiting = false;
    while (p->waiting)
        pthread_cond_wait(&p->all->called, &p->all->lock);
    pthread_mutex_unlock(&p->all->lock);
    if (p->handle)
        fuse_pollhandle_destroy(p->handle);
    p->handle = NULL;
}
