#include "lock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/queue.h>

/* A lock that is held (req NULL) or waited for. */
struct lock {
    TAILQ_ENTRY(lock) link;
    fuse_ino_t file;
    uint64_t owner;
    bool exclusive;
    fuse_req_t req;
};

TAILQ_HEAD(lock_list, lock);

#define BUCKETS 256

struct bucket {
    pthread_mutex_t mutex;
    struct lock_list list; /* in the order of asking */
};

struct locks {
    struct bucket buckets[BUCKETS];
};

struct locks *locks_new(void) {
    struct locks *ls = malloc(sizeof *ls);
    if (!ls)
        return NULL;
    for (size_t i = 0; i < BUCKETS; i++) {
        ls->buckets[i].mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        TAILQ_INIT(&ls->buckets[i].list);
    }
    return ls;
}

void locks_free(struct locks *ls) {
    for (size_t i = 0; i < BUCKETS; i++) {
        struct lock_list *list = &ls->buckets[i].list;
        while (!TAILQ_EMPTY(list)) {
            struct lock *l = TAILQ_FIRST(list);
            TAILQ_REMOVE(list, l, link);
            if (l->req)
                fuse_reply_err(l->req, EINTR);
            free(l);
        }
        pthread_mutex_destroy(&ls->buckets[i].mutex);
    }
    free(ls);
}

static struct bucket *bucket_of(struct locks *ls, fuse_ino_t file) {
    return &ls->buckets[(file * 0x9e3779b97f4a7c15ULL) >> 56];
}

static struct lock *lock_held(struct bucket *b, fuse_ino_t file, uint64_t owner) {
    struct lock *l;
    TAILQ_FOREACH(l, &b->list, link)
    if (l->file == file && l->owner == owner && !l->req)
        return l;
    return NULL;
}

/* Whether the lock must wait for one of those before it (all, when it is not in the list). One that waits itself
 * counts like one that is held: otherwise readers that keep coming would starve a writer. */
static bool lock_must_wait(const struct bucket *b, const struct lock *lock) {
    const struct lock *l;
    TAILQ_FOREACH(l, &b->list, link) {
        if (l == lock)
            return false;
        if (l->file == lock->file && (l->exclusive || lock->exclusive))
            return true;
    }
    return false;
}

/* Gives the file to those who can have it now. */
static void bucket_grant(struct bucket *b, fuse_ino_t file) {
    struct lock *l;
    TAILQ_FOREACH(l, &b->list, link) {
        if (l->file != file || !l->req || lock_must_wait(b, l))
            continue;
        fuse_req_t req = l->req;
        l->req = NULL;
        fuse_reply_err(req, 0);
    }
}

static void bucket_drop(struct bucket *b, struct lock *l) {
    fuse_ino_t file = l->file;
    TAILQ_REMOVE(&b->list, l, link);
    free(l);
    bucket_grant(b, file);
}

void lock_release(struct locks *ls, fuse_ino_t file, uint64_t owner) {
    struct bucket *b = bucket_of(ls, file);
    pthread_mutex_lock(&b->mutex);
    struct lock *l = lock_held(b, file, owner);
    if (l)
        bucket_drop(b, l);
    pthread_mutex_unlock(&b->mutex);
}

/* libfuse may call this for a request that another thread is just answering. The request itself is still there, so
 * it is looked for by its address; what it waited with may be gone. */
static void lock_interrupted(fuse_req_t req, void *data) {
    struct bucket *b = data;
    pthread_mutex_lock(&b->mutex);
    struct lock *l;
    TAILQ_FOREACH(l, &b->list, link)
    if (l->req == req)
        break;
    if (l) {
        bucket_drop(b, l);
        fuse_reply_err(req, EINTR);
    }
    pthread_mutex_unlock(&b->mutex);
}

/* Puts the new lock in the list. 0 when it is held, 1 when it waits, or a negative errno. */
static int bucket_add(struct bucket *b, struct lock *lock, bool wait) {
    bool blocked = lock_must_wait(b, lock);
    if (blocked && !wait)
        return -EWOULDBLOCK;
    /* An interrupt that came before there was anything to find has left this mark; a later one will find it. */
    if (blocked && fuse_req_interrupted(lock->req))
        return -EINTR;
    if (!blocked)
        lock->req = NULL;
    TAILQ_INSERT_TAIL(&b->list, lock, link);
    return blocked;
}

static int lock_take(struct bucket *b, fuse_req_t req, fuse_ino_t file, uint64_t owner, int op) {
    bool exclusive = op & LOCK_EX;
    struct lock *held = lock_held(b, file, owner);
    if (held && held->exclusive == exclusive)
        return 0;
    /* As flock(2) says of a conversion: the lock is given up first, and lost if the new one is not to be had. */
    if (held)
        bucket_drop(b, held);
    struct lock *lock = malloc(sizeof *lock);
    if (!lock)
        return -ENOLCK;
    *lock = (struct lock){.file = file, .owner = owner, .exclusive = exclusive, .req = req};
    int r = bucket_add(b, lock, !(op & LOCK_NB));
    if (r < 0)
        free(lock);
    return r;
}

void lock_request(struct locks *ls, fuse_req_t req, fuse_ino_t file, uint64_t owner, int op) {
    if (op & LOCK_UN) {
        lock_release(ls, file, owner);
        fuse_reply_err(req, 0);
        return;
    }
    struct bucket *b = bucket_of(ls, file);
    /* Before the lock is in the list: from then on somebody else may answer the request and free it. */
    fuse_req_interrupt_func(req, lock_interrupted, b);
    pthread_mutex_lock(&b->mutex);
    int r = lock_take(b, req, file, owner, op);
    pthread_mutex_unlock(&b->mutex);
    if (r <= 0)
        fuse_reply_err(req, -r);
}
