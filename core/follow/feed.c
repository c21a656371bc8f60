#include "feed.h"

#include <errno.h>
#include <time.h>

int feed_init(struct feed *f, uint64_t position) {
    pthread_condattr_t attr;
    atomic_init(&f->position, position);
    atomic_init(&f->waiting, 0);
    int r = pthread_mutex_init(&f->lock, NULL);
    if (r != 0)
        return -r;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    r = pthread_cond_init(&f->moved, &attr);
    pthread_condattr_destroy(&attr);
    if (r != 0)
        pthread_mutex_destroy(&f->lock);
    return -r;
}

void feed_deinit(struct feed *f) {
    pthread_cond_destroy(&f->moved);
    pthread_mutex_destroy(&f->lock);
}

/* Who waits has counted himself before he looked at the position a last time, so either he sees the new one or he is
 * seen here: both orders are sequentially consistent. */
void feed_advance(struct feed *f, uint64_t position) {
    atomic_store(&f->position, position);
    if (atomic_load(&f->waiting) == 0)
        return;
    pthread_mutex_lock(&f->lock);
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
}

void feed_wake(struct feed *f, atomic_bool *woken) {
    pthread_mutex_lock(&f->lock);
    atomic_store(woken, true);
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
}

void feed_wait(struct feed *f, uint64_t position, atomic_bool *woken, int ms) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += (long)(ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    atomic_fetch_add(&f->waiting, 1);
    pthread_mutex_lock(&f->lock);
    int r = 0;
    while (r != ETIMEDOUT && atomic_load(&f->position) <= position && !atomic_load(woken))
        r = pthread_cond_timedwait(&f->moved, &f->lock, &end);
    atomic_store(woken, false);
    pthread_mutex_unlock(&f->lock);
    atomic_fetch_sub(&f->waiting, 1);
}
