#include "pending.h"

#include "fs.h"

#include <errno.h>

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
    if (p)
        pending_remove(p);
    pthread_mutex_unlock(&ps->lock);
    if (p)
        fuse_reply_err(req, EINTR);
}

int pending_begin(struct pending *p, struct fs *fs, fuse_req_t req) {
    *p = (struct pending){.fs = fs, .req = req};
    if (!req) {
        deferred_begin(&fs->deferred);
        return 0;
    }
    /* Before it is in the list: from then on somebody else may answer the request and free it. */
    fuse_req_interrupt_func(req, pending_interrupted, &fs->pendings);
    pthread_mutex_lock(&fs->pendings.lock);
    /* An interrupt that came before there was anything to find has left this mark; a later one will find it. */
    bool interrupted = fuse_req_interrupted(req);
    if (!interrupted) {
        LIST_INSERT_HEAD(&fs->pendings.list, p, link);
        deferred_begin(&fs->deferred);
    }
    pthread_mutex_unlock(&fs->pendings.lock);
    return interrupted ? -EINTR : 0;
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
