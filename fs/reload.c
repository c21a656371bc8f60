#include "reload.h"

#include "fs.h"

#include <errno.h>
#include <stdlib.h>
#include <syslog.h>

struct reload {
    struct pending pending;
    size_t n;
};

static void reload_end(struct reload *r, int result) {
    fuse_req_t req = pending_take(&r->pending);
    if (req && result == 0)
        fuse_reply_write(req, r->n);
    else if (req)
        reply_result(req, result);
    pending_end(&r->pending);
    free(r);
}

/* What came of it is in the log, unless there was another one under way. */
static void *reload_run(void *arg) {
    struct reload *r = arg;
    struct fs *fs = r->pending.fs;
    struct err err = {0};
    int result = store_reload(fs->store, &err);
    if (result == -EBUSY && fs->log)
        fs->log(fs->log_arg, LOG_WARNING, err.text);
    reload_end(r, result);
    return NULL;
}

void reload_start(struct fs *fs, fuse_req_t req, size_t n) {
    pthread_t thread;
    struct reload *r = malloc(sizeof *r);
    int code = r ? -pending_begin(&r->pending, fs, req) : ENOMEM;
    if (code != 0) {
        free(r);
        if (req)
            fuse_reply_err(req, code);
        return;
    }
    r->n = n;
    code = pthread_create(&thread, NULL, reload_run, r);
    if (code == 0)
        pthread_detach(thread);
    else
        reload_end(r, -code);
}
