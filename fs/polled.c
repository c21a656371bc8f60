#include "polled.h"

int polls_init(struct polls *ps) {
    int r = pthread_mutex_init(&ps->lock, NULL);
    if (r == 0 && (r = pthread_cond_init(&ps->told, NULL)) != 0)
        pthread_mutex_destroy(&ps->lock);
    return -r;
}

void polls_deinit(struct polls *ps) {
    pthread_cond_destroy(&ps->told);
    pthread_mutex_destroy(&ps->lock);
}

static void polled_wake(struct reader_wait *wait) {
    struct polled *p = (struct polled *)wait;
    struct polls *ps = p->polls;
    pthread_mutex_lock(&ps->lock);
    struct fuse_pollhandle *handle = p->handle;
    p->handle = NULL;
    p->waiting = false;
    pthread_cond_broadcast(&ps->told); /* from here on it may be freed */
    pthread_mutex_unlock(&ps->lock);
    if (!handle)
        return;
    fuse_lowlevel_notify_poll(handle);
    fuse_pollhandle_destroy(handle);
}

void polled_init(struct polled *p, struct polls *ps) {
    *p = (struct polled){.wait.wake = polled_wake, .polls = ps};
}

void polled_deinit(struct polled *p) {
    pthread_mutex_lock(&p->polls->lock);
    if (p->waiting && reader_unwait(&p->wait))
        p->waiting = false;
    while (p->waiting)
        pthread_cond_wait(&p->polls->told, &p->polls->lock);
    pthread_mutex_unlock(&p->polls->lock);
    if (p->handle)
        fuse_pollhandle_destroy(p->handle);
    p->handle = NULL;
}

void polled_set(struct polled *p, struct fuse_pollhandle *handle) {
    pthread_mutex_lock(&p->polls->lock);
    struct fuse_pollhandle *before = p->handle;
    p->handle = handle;
    pthread_mutex_unlock(&p->polls->lock);
    if (before)
        fuse_pollhandle_destroy(before);
}

void polled_wait(struct polled *p, struct reader *r) {
    pthread_mutex_lock(&p->polls->lock);
    if (p->handle && !p->waiting)
        p->waiting = reader_wait(r, &p->wait) == 0;
    pthread_mutex_unlock(&p->polls->lock);
}
