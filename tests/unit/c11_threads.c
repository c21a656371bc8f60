/* C11's threads as POSIX threads. ThreadSanitizer knows nothing of the first, which librdkafka uses: without this it
 * falls over the first call that comes back from one of them. In builds for it this stands in for the C library's. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t) && sizeof(cnd_t) >= sizeof(pthread_cond_t), "glibc's are");

static int result_of(int r) {
    return r == 0 ? thrd_success : r == ETIMEDOUT ? thrd_timedout : r == ENOMEM ? thrd_nomem : thrd_error;
}

struct begin {
    thrd_start_t run;
    void *arg;
};

static void *begin(void *arg) {
    const struct begin b = *(struct begin *)arg;
    free(arg);
    return (void *)(intptr_t)b.run(b.arg);
}

int thrd_create(thrd_t *thread, thrd_start_t run, void *arg) {
    struct begin *b = malloc(sizeof *b);
    if (!b)
        return thrd_nomem;
    *b = (struct begin){run, arg};
    int r = pthread_create(thread, NULL, begin, b);
    if (r != 0)
        free(b);
    return result_of(r);
}

int thrd_join(thrd_t thread, int *result) {
    void *value;
    int r = pthread_join(thread, &value);
    if (r == 0 && result)
        *result = (int)(intptr_t)value;
    return result_of(r);
}

int mtx_init(mtx_t *mutex, int type) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    if (type & mtx_recursive)
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    int r = pthread_mutex_init((pthread_mutex_t *)mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    return result_of(r);
}

void mtx_destroy(mtx_t *mutex) {
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int mtx_lock(mtx_t *mutex) {
    return result_of(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int mtx_unlock(mtx_t *mutex) {
    return result_of(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

int cnd_init(cnd_t *cond) {
    return result_of(pthread_cond_init((pthread_cond_t *)cond, NULL));
}

void cnd_destroy(cnd_t *cond) {
    pthread_cond_destroy((pthread_cond_t *)cond);
}

int cnd_signal(cnd_t *cond) {
    return result_of(pthread_cond_signal((pthread_cond_t *)cond));
}

int cnd_broadcast(cnd_t *cond) {
    return result_of(pthread_cond_broadcast((pthread_cond_t *)cond));
}

int cnd_wait(cnd_t *cond, mtx_t *mutex) {
    return result_of(pthread_cond_wait((pthread_cond_t *)cond, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *cond, mtx_t *mutex, const struct timespec *until) {
    return result_of(pthread_cond_timedwait((pthread_cond_t *)cond, (pthread_mutex_t *)mutex, until));
}
