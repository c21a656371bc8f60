#include "log.h"

#include "varint.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SLOTS_MAX (LOG_CACHE_BYTES / BLOCK_CHUNK_BYTES)

struct log_chunk {
    struct chunk view;
    atomic_uint references;
    char bytes[];
};

/* Cached chunks in the order of the log, so that a position finds its chunk by bisection; the positions lie in an
 * array of their own because that is what the bisection touches. */
struct log {
    struct db *db;
    struct index *index;
    pthread_rwlock_t lock;
    size_t n, bytes, hand; /* hand: where the clock goes on looking for a chunk to drop */
    uint64_t first[SLOTS_MAX];
    struct log_chunk *chunks[SLOTS_MAX];
    atomic_bool used[SLOTS_MAX]; /* since the hand last came by */
};

struct log *log_new(struct db *db, struct index *ix) {
    struct log *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->db = db;
    l->index = ix;
    if (pthread_rwlock_init(&l->lock, NULL) != 0) {
        free(l);
        return NULL;
    }
    return l;
}

void log_chunk_release(struct log_chunk *c) {
    if (c && atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) == 1)
        free(c);
}

void log_free(struct log *l) {
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        log_chunk_release(l->chunks[i]);
    pthread_rwlock_destroy(&l->lock);
    free(l);
}

const struct chunk *log_chunk_view(const struct log_chunk *c) {
    return &c->view;
}

static bool holds(const struct chunk *c, uint64_t position) {
    return position >= c->header.first_position && position - c->header.first_position < c->header.n_events;
}

/* --- the cache */

/* Index of the last cached chunk that begins at or before a position, plus one. */
static size_t slots_before(const struct log *l, uint64_t position) {
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (l->first[middle] <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct log_chunk *cache_get(struct log *l, uint64_t position) {
    struct log_chunk *found = NULL;
    pthread_rwlock_rdlock(&l->lock);
    size_t i = slots_before(l, position);
    if (i > 0 && holds(&l->chunks[i - 1]->view, position)) {
        found = l->chunks[i - 1];
        atomic_fetch_add_explicit(&found->references, 1, memory_order_relaxed);
        atomic_store_explicit(&l->used[i - 1], true, memory_order_relaxed);
    }
    pthread_rwlock_unlock(&l->lock);
    return found;
}

static void slots_move(struct log *l, size_t to, size_t from, size_t n) {
    memmove(l->first + to, l->first + from, n * sizeof l->first[0]);
    memmove(l->chunks + to, l->chunks + from, n * sizeof l->chunks[0]);
    memmove(l->used + to, l->used + from, n * sizeof l->used[0]);
}

/* Second chance: the hand passes over what was used since it last came by. */
static void cache_drop_one(struct log *l) {
    size_t i = l->hand;
    for (;; i++) {
        if (i >= l->n)
            i = 0;
        if (!atomic_exchange_explicit(&l->used[i], false, memory_order_relaxed))
            break;
    }
    l->bytes -= l->chunks[i]->view.value.n;
    log_chunk_release(l->chunks[i]);
    slots_move(l, i, i + 1, l->n - i - 1);
    l->n--;
    l->hand = i;
}

static void cache_put(struct log *l, struct log_chunk *c) {
    uint64_t first = c->view.header.first_position;
    size_t bytes = c->view.value.n;
    if (bytes > LOG_CACHE_BYTES / 4)
        return;
    pthread_rwlock_wrlock(&l->lock);
    size_t i = slots_before(l, first);
    if (i == 0 || l->first[i - 1] != first) {
        while (l->n == SLOTS_MAX || (l->n > 0 && l->bytes + bytes > LOG_CACHE_BYTES))
            cache_drop_one(l);
        i = slots_before(l, first);
        slots_move(l, i + 1, i, l->n - i);
        atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
        l->first[i] = first;
        l->chunks[i] = c;
        atomic_store_explicit(&l->used[i], true, memory_order_relaxed);
        l->n++;
        l->bytes += bytes;
    }
    pthread_rwlock_unlock(&l->lock);
}

/* --- the database */

static int chunk_copy(struct str value, struct log_chunk **out, struct err *err) {
    struct log_chunk *c = malloc(sizeof *c + value.n);
    if (!c)
        return err_set(err, ENOMEM, "out of memory for a chunk of %zu bytes", value.n);
    memcpy(c->bytes, value.p, value.n);
    atomic_init(&c->references, 1);
    if (chunk_open(&c->view, (struct str){c->bytes, value.n}, err) < 0) {
        free(c);
        return -EUCLEAN;
    }
    *out = c;
    return 0;
}

/* By its exact key: to seek the one before a position would read blocks of several files. */
static int chunk_load(struct log *l, uint64_t position, struct log_chunk **out, struct err *err) {
    char key[BLOCK_KEY_BYTES];
    struct index_chunk at;
    struct db_value value;
    struct log_chunk *c = NULL;
    int r = index_chunk_of(l->index, position, &at, err);
    if (r != 0)
        return r;
    const struct chunk_header named = {.first_position = at.first_position, .block = at.block, .index = at.chunk};
    block_key(&named, key);
    r = db_get(l->db, DB_LOG, (struct str){key, sizeof key}, &value, err);
    if (r == DB_NOT_FOUND)
        return err_set(err, EUCLEAN, "the log does not hold this event");
    if (r < 0)
        return r;
    r = chunk_copy(value.bytes, &c, err);
    db_value_release(&value);
    if (r == 0 && !holds(&c->view, position)) {
        log_chunk_release(c);
        return err_set(err, EUCLEAN, "the chunk that should hold this event does not");
    }
    *out = c;
    return r;
}

int log_chunk_at(struct log *l, uint64_t position, struct log_chunk **out, struct err *err) {
    struct log_chunk *c = cache_get(l, position);
    int r = c ? 0 : chunk_load(l, position, &c, err);
    if (r != 0)
        return r;
    cache_put(l, c);
    *out = c;
    return 0;
}

/* --- scans */

/* Greater than the key of every chunk that begins at or before the position: chunks without events begin at the
 * position that comes next, so several may share one, and the last of them is the one with the event. */
static void key_after(uint64_t position, char out[BLOCK_KEY_BYTES]) {
    memset(out, 0xff, BLOCK_KEY_BYTES);
    be64_put(out, position);
}

struct log_scan {
    struct db_iter *it;
    struct db_pair at;
    int state; /* what the iterator said of `at` */
};

int log_scan_open(struct log *l, uint64_t position, struct log_scan **out, struct err *err) {
    char key[BLOCK_KEY_BYTES];
    const struct db_iter_options options = {.readahead = 256 << 10};
    struct log_scan *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ENOMEM, "out of memory");
    s->it = db_iter_new(l->db, DB_LOG, &options);
    if (!s->it) {
        free(s);
        return err_set(err, ENOMEM, "out of memory");
    }
    key_after(position, key);
    s->state = db_iter_seek_back(s->it, (struct str){key, sizeof key}, &s->at, err);
    if (s->state < 0) {
        int r = s->state;
        log_scan_close(s);
        return r;
    }
    *out = s;
    return 0;
}

int log_scan_next(struct log_scan *s, struct chunk *out, struct err *err) {
    if (!s->at.key.p && s->state == 0)
        s->state = db_iter_next(s->it, &s->at, err);
    if (s->state != 0)
        return s->state;
    s->at.key.p = NULL; /* taken: the next call moves on */
    return chunk_open(out, s->at.value, err) < 0 ? -EUCLEAN : 0;
}

void log_scan_close(struct log_scan *s) {
    if (!s)
        return;
    db_iter_free(s->it);
    free(s);
}
