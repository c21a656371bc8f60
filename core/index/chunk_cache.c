#include "chunk_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 8192 /* pages: 8 million positions, of 0.5 KB each when a chunk holds 35 events, and of 3 KB at most */

struct page {
    uint64_t first; /* position */
    size_t n;       /* chunks, of which the last is only the end */
    struct index_chunk chunks[];
};

struct chunk_cache {
    pthread_mutex_t lock;
    struct page *slots[SLOTS];
};

struct chunk_cache *chunk_cache_new(void) {
    struct chunk_cache *c = calloc(1, sizeof *c);
    if (c)
        pthread_mutex_init(&c->lock, NULL);
    return c;
}

void chunk_cache_free(struct chunk_cache *c) {
    if (!c)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(c->slots[i]);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Each page has one place: what comes later takes it. */
static struct page **slot_of(struct chunk_cache *c, uint64_t first) {
    return &c->slots[first / CHUNK_PAGE_POSITIONS % SLOTS];
}

/* How many chunks of the page begin at or before a position. */
static size_t chunks_until(const struct page *p, uint64_t position) {
    size_t low = 0, high = p->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (p->chunks[middle].first_position <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum chunk_cache_outcome chunk_cache_get(struct chunk_cache *c, uint64_t position, struct index_chunk *out) {
    enum chunk_cache_outcome outcome = CHUNK_CACHE_UNKNOWN;
    uint64_t first = chunk_cache_first(position);
    pthread_mutex_lock(&c->lock);
    const struct page *p = *slot_of(c, first);
    size_t k = p && p->first == first ? chunks_until(p, position) : 0;
    if (k > 0 && k < p->n) {
        *out = p->chunks[k - 1];
        outcome = CHUNK_CACHE_FOUND;
    } else if (k == CHUNK_PAGE_MAX) {
        outcome = CHUNK_CACHE_PAST;
    }
    pthread_mutex_unlock(&c->lock);
    return outcome;
}

void chunk_cache_put(struct chunk_cache *c, uint64_t page_first, const struct index_chunk *chunks, size_t n) {
    struct page *p = malloc(sizeof *p + n * sizeof *chunks);
    if (!p)
        return;
    *p = (struct page){.first = page_first, .n = n};
    memcpy(p->chunks, chunks, n * sizeof *chunks);
    struct page **slot = slot_of(c, page_first);
    pthread_mutex_lock(&c->lock);
    struct page *old = *slot;
    *slot = p;
    pthread_mutex_unlock(&c->lock);
    free(old);
}
