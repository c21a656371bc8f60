#include "entry_cache.h"

#include "table.h"

#include <pthread.h>
#include <stdlib.h>

struct slot {
    uint64_t aggregate, first; /* aggregate 0: empty */
    size_t n;
    struct index_entry entries[ENTRY_CACHE_GROUP];
};

struct entry_cache {
    pthread_mutex_t lock;
    struct slot slots[ENTRY_CACHE_SLOTS];
};

struct entry_cache *entry_cache_new(void) {
    struct entry_cache *c = calloc(1, sizeof *c);
    if (c)
        pthread_mutex_init(&c->lock, NULL);
    return c;
}

void entry_cache_free(struct entry_cache *c) {
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Each group has one place: what comes later takes it. */
static struct slot *slot_of(struct entry_cache *c, uint64_t aggregate, uint64_t first) {
    return &c->slots[table_hash_number(aggregate * 31 + first / ENTRY_CACHE_GROUP) % ENTRY_CACHE_SLOTS];
}

bool entry_cache_get(struct entry_cache *c, uint64_t aggregate, uint64_t version, struct index_entry *out) {
    uint64_t first = entry_cache_first(version);
    struct slot *s = slot_of(c, aggregate, first);
    pthread_mutex_lock(&c->lock);
    bool known = s->aggregate == aggregate && s->first == first && version - first < s->n;
    if (known)
        *out = s->entries[version - first];
    pthread_mutex_unlock(&c->lock);
    return known;
}

void entry_cache_put(struct entry_cache *c, uint64_t aggregate, const struct index_entry *entries, size_t n) {
    struct slot *s = slot_of(c, aggregate, entries[0].version);
    pthread_mutex_lock(&c->lock);
    s->aggregate = aggregate;
    s->first = entries[0].version;
    s->n = n;
    memcpy(s->entries, entries, n * sizeof *entries);
    pthread_mutex_unlock(&c->lock);
}
