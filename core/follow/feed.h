/* Tells followers that the log has grown. Thread safe. */
#ifndef ESFS_FEED_H
#define ESFS_FEED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct feed {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    atomic_uint_fast64_t position; /* of the last event that may be seen */
    atomic_uint waiting;
};

int feed_init(struct feed *f, uint64_t position); /* 0 or negative errno */
void feed_deinit(struct feed *f);
/* Called once for each block: it costs next to nothing while nobody waits. */
void feed_advance(struct feed *f, uint64_t position);
static inline uint64_t feed_position(struct feed *f) {
    return atomic_load_explicit(&f->position, memory_order_acquire);
}
/* Waits until the log goes past a position, somebody calls feed_wake() with the same `woken`, or `ms` have passed.
 * *woken is cleared. */
void feed_wait(struct feed *f, uint64_t position, atomic_bool *woken, int ms);
void feed_wake(struct feed *f, atomic_bool *woken);

#endif
