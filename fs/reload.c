#include "reload.h"

#include "fs.h"

#include <errno.h>
#include <stdlib.h>
#include <syslog.h>

struct reload {
    LIST_ENTRY(reload) link;
    struct fs *fs;
    fuse_req_t req; /* NULL: nobody waits (any more) */
    size_t n;
};

int reloads_init(struct reloads *rs) {
    LIST_INIT(&rs->under_way);
    return -pthread_mutex_init(&rs->lock, NULL);
}

void reloads_deinit(struct reloads *rs) {
    pthread_mutex_destroy(&rs->lock);
}

/* libfuse may call this for a request that is just being answered: it is looked for by its address, as a lock's is
 * (lock.c). */
static void reload_interrupted(fuse_req_t req, void *data) {
    struct reloads *rs = data;
    struct reload *r;
    pthread_mutex_lock(&rs->lock);
    LIST_FOREACH(r, &rs->under_way, link)
    if (r->req == req)
        break;
    if (r) {
        r->req = NULL;
        fuse_reply_err(req, EINTR);
    }
    pthread_mutex_unlock(&rs->lock);
}

static void reload_answer(fuse_req_t req, int result, size_t n) {
    if (result == 0)
        fuse_reply_write(req, n);
    else
        reply_result(req, result);
}

static void reload_end(struct reload *r, int result) {
    struct fs *fs = r->fs;
    pthread_mutex_lock(&fs->reloads.lock);
    LIST_REMOVE(r, link);
    if (r->req)
        reload_answer(r->req, result, r->n);
    pthread_mutex_unlock(&fs->reloads.lock);
    free(r);
    deferred_end(&fs->deferred);
}

/* What came of it is in the log, unless there was another one under way. */
static void *reload_run(void *arg) {
    struct reload *r = arg;
    struct err err = {0};
    int result = store_reload(r->fs->store, &err);
    if (result == -EBUSY && r->fs->log)
        r->fs->log(r->fs->log_arg, LOG_WARNING, err.text);
    reload_end(r, result);
    return NULL;
}

static struct reload *reload_new(struct fs *fs, fuse_req_t req, size_t n) {
    struct reload *r = malloc(sizeof *r);
    if (!r)
        return NULL;
    *r = (struct reload){.fs = fs, .req = req, .n = n};
    deferred_begin(&fs->deferred);
    /* Before it is in the list: from then on somebody else may answer the request and free it. */
    if (req)
        fuse_req_interrupt_func(req, reload_interrupted, &fs->reloads);
    pthread_mutex_lock(&fs->reloads.lock);
    LIST_INSERT_HEAD(&fs->reloads.under_way, r, link);
    pthread_mutex_unlock(&fs->reloads.lock);
    return r;
}

void reload_start(struct fs *fs, fuse_req_t req, size_t n) {
    pthread_t thread;
    struct reload *r = reload_new(fs, req, n);
    if (!r) {
        if (req)
            fuse_reply_err(req, ENOMEM);
        return;
    }
    int code = pthread_create(&thread, NULL, reload_run, r);
    if (code == 0)
        pthread_detach(thread);
    else
        reload_end(r, -code);
}
