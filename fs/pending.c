#include "pending.h"

#include "fs.h"

#include <errno.h>
#include <stdlib.h>

int pendings_init(struct pendings *ps) {
    LIST_INIT(&ps->list);
    return -pthread_mutex_init(&ps->lock, NULL);
}

void pendings_deinit(struct pendings *ps) {
    pthread_mutex_destroy(&ps->lock);
}

static void pending_remove(struct pending *p) {
    LIST_REMOVE(p, link);
    p->req = NULL;
}

/* libfuse may call this for a request that is just being answered. The request itself is still there, so it is looked
 * for by its address; what waited for it may be gone. */
static void pending_interrupted(fuse_req_t req, void *data) {
    struct pendings *ps = data;
    struct pending *p;
    pthread_mutex_lock(&ps->lock);
    LIST_FOREACH(p, &ps->list, link)
    if (p->req == req)
        break;
    /* What cannot be stopped any more is looked at again, for this interrupt, if it starts again. */
    if (p && p->stop && !p->stop->stop(p))
        p = NULL;
    bool over = p && p->stop;
    if (p)
        pending_remove(p);
    if (p && p->left)
        p->left(p);
    pthread_mutex_unlock(&ps->lock);
    if (p)
        fuse_reply_err(req, EINTR);
    if (over) {
        pending_end(p);
        free(p);
    }
}

/* The lock keeps the answer away until all is in place. */
static int pending_enter(struct pending *p, fuse_req_t req) {
    struct pendings *ps = &p->fs->pendings;
    pthread_mutex_lock(&ps->lock);
    /* An interrupt that came before there was anything to find has left this mark; a later one will find it. */
    int r = fuse_req_interrupted(req) ? -EINTR : p->stop ? p->stop->start(p) : 0;
    if (r == 0) {
        p->req = req;
        LIST_INSERT_HEAD(&ps->list, p, link);
    }
    pthread_mutex_unlock(&ps->lock);
    return r;
}

static int begin(struct pending *p, struct fs *fs, fuse_req_t req) {
    deferred_begin(&fs->deferred);
    if (!req)
        return 0;
    /* Before it is in the list: from then on somebody else may answer the request and free it. */
    fuse_req_interrupt_func(req, pending_interrupted, &fs->pendings);
    int r = pending_enter(p, req);
    if (r < 0)
        deferred_end(&fs->deferred);
    return r;
}

int pending_begin(struct pending *p, struct fs *fs, fuse_req_t req) {
    *p = (struct pending){.fs = fs};
    return begin(p, fs, req);
}

int pending_begin_telling(struct pending *p, struct fs *fs, fuse_req_t req, pending_left *left) {
    *p = (struct pending){.fs = fs, .left = left};
    return begin(p, fs, req);
}

int pending_begin_stoppable(struct pending *p, struct fs *fs, fuse_req_t req, const struct pending_stop *stop) {
    *p = (struct pending){.fs = fs, .stop = stop};
    return begin(p, fs, req);
}

int pending_again(struct pending *p, fuse_req_t req) {
    return pending_enter(p, req);
}

fuse_req_t pending_take(struct pending *p) {
    struct pendings *ps = &p->fs->pendings;
    pthread_mutex_lock(&ps->lock);
    fuse_req_t req = p->req;
    if (req)
        pending_remove(p);
    pthread_mutex_unlock(&ps->lock);
    return req;
}

void pending_end(struct pending *p) {
    deferred_end(&p->fs->deferred);
}
