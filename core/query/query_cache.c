#include "query_cache.h"

#include "digest.h"
#include "table.h"

#include <pthread.h>
#include <stdlib.h>

#define BUCKETS_MIN 64

struct name;

/* A result. */
struct entry {
    struct name *name;           /* NULL: it is out of the cache, and goes with its last user */
    struct entry *next;          /* of the same name, for other callers */
    struct entry *newer, *older; /* by use */
    struct str caller;           /* in `bytes_of_caller` */
    struct query_result *result;
    struct query_reads *reads;
    uint64_t ends;
    size_t size;
    unsigned users; /* the cache is one of them */
    char bytes_of_caller[];
};

/* A name under which there are results: one, or one a caller. */
struct name {
    struct name *next; /* in its bucket */
    struct entry *entries;
    uint64_t hash, no;
    uint32_t query;
    bool listed;
    size_t n;
    char bytes[];
};

/* The names of a query in the order of their numbers, for listing. */
struct shelf_place {
    uint64_t no;
    struct name *name; /* NULL: gone */
};
struct shelf {
    struct shelf_place *places;
    size_t n, cap, gone;
};

struct query_cache {
    struct query_cache_options options;
    pthread_mutex_t lock; /* of all that follows */
    struct name **buckets;
    size_t n_buckets, n_names;
    struct entry *newest, *oldest;
    struct shelf *shelves; /* by number of the query */
    size_t n_shelves;
    uint64_t next_no;
    size_t bytes;
};

struct query_cache *query_cache_new(const struct query_cache_options *options) {
    struct query_cache *c = calloc(1, sizeof *c);
    if (!c || !(c->buckets = calloc(BUCKETS_MIN, sizeof *c->buckets))) {
        free(c);
        return NULL;
    }
    c->options = *options;
    c->n_buckets = BUCKETS_MIN;
    c->next_no = 1;
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

/* --- shelves */

/* The place of the first number that is not below `no`. */
static size_t shelf_find(const struct shelf *s, uint64_t no) {
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->places[middle].no < no)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void shelf_tidy(struct shelf *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->places[i].name)
            s->places[n++] = s->places[i];
    s->n = n;
    s->gone = 0;
}

static void shelf_take(struct shelf *s, uint64_t no) {
    s->places[shelf_find(s, no)].name = NULL;
    if (++s->gone > s->n / 2)
        shelf_tidy(s);
}

static struct shelf *shelf_of(struct query_cache *c, uint32_t query) {
    if (query < c->n_shelves)
        return &c->shelves[query];
    struct shelf *shelves = realloc(c->shelves, (query + 1) * sizeof *shelves);
    if (!shelves)
        return NULL;
    memset(shelves + c->n_shelves, 0, (query + 1 - c->n_shelves) * sizeof *shelves);
    c->shelves = shelves;
    c->n_shelves = query + 1;
    return &c->shelves[query];
}

/* At the end: numbers only grow. */
static bool shelf_put(struct query_cache *c, struct name *name) {
    struct shelf *s = shelf_of(c, name->query);
    if (s && s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 16;
        struct shelf_place *places = realloc(s->places, cap * sizeof *places);
        if (!places)
            return false;
        s->places = places;
        s->cap = cap;
    }
    if (s)
        s->places[s->n++] = (struct shelf_place){name->no, name};
    return s != NULL;
}

/* --- names */

static uint64_t hash_of(uint32_t query, struct str name) {
    return digest_table(name.p, name.n) ^ table_hash_number(query);
}

static struct name **bucket_of(struct query_cache *c, uint64_t hash) {
    return &c->buckets[hash & (c->n_buckets - 1)];
}

static struct name *name_find(struct query_cache *c, uint32_t query, struct str name) {
    uint64_t hash = hash_of(query, name);
    struct name *n = *bucket_of(c, hash);
    while (n && (n->hash != hash || n->query != query || !str_eq((struct str){n->bytes, n->n}, name)))
        n = n->next;
    return n;
}

static void buckets_grow(struct query_cache *c) {
    size_t n = c->n_buckets * 2;
    struct name **buckets = calloc(n, sizeof *buckets), *next;
    if (!buckets)
        return;
    for (size_t i = 0; i < c->n_buckets; i++)
        for (struct name *name = c->buckets[i]; name; name = next) {
            next = name->next;
            name->next = buckets[name->hash & (n - 1)];
            buckets[name->hash & (n - 1)] = name;
        }
    free(c->buckets);
    c->buckets = buckets;
    c->n_buckets = n;
}

static struct name *name_add(struct query_cache *c, const struct query_cache_key *key, bool listed) {
    struct name *n = calloc(1, sizeof *n + key->name.n);
    if (!n)
        return NULL;
    *n = (struct name){.hash = hash_of(key->query, key->name), .no = c->next_no, .query = key->query, .listed = listed};
    n->n = key->name.n;
    memcpy(n->bytes, key->name.p, key->name.n);
    if (!shelf_put(c, n)) {
        free(n);
        return NULL;
    }
    if (c->n_names == c->n_buckets)
        buckets_grow(c);
    n->next = *bucket_of(c, n->hash);
    *bucket_of(c, n->hash) = n;
    c->n_names++;
    c->next_no++;
    return n;
}

static void name_remove(struct query_cache *c, struct name *name) {
    struct name **at = bucket_of(c, name->hash);
    while (*at != name)
        at = &(*at)->next;
    *at = name->next;
    shelf_take(&c->shelves[name->query], name->no);
    c->n_names--;
    free(name);
}

/* --- entries */

static void entry_release(struct entry *e) {
    if (--e->users)
        return;
    query_result_unref(e->result);
    query_reads_unref(e->reads);
    free(e);
}

static void use_end(struct query_cache *c, struct entry *e) {
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void use_begin(struct query_cache *c, struct entry *e) {
    e->older = c->newest;
    e->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

/* A name without results goes with its last one. */
static void entry_remove(struct query_cache *c, struct entry *e) {
    struct name *name = e->name;
    if (!name)
        return;
    struct entry **at = &name->entries;
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    use_end(c, e);
    c->bytes -= e->size;
    e->name = NULL;
    if (!name->entries)
        name_remove(c, name);
    entry_release(e);
}

static struct entry *entry_find(struct query_cache *c, const struct query_cache_key *key) {
    struct name *name = name_find(c, key->query, key->name);
    struct entry *e = name ? name->entries : NULL;
    while (e && !str_eq(e->caller, key->caller))
        e = e->next;
    return e;
}

/* Asks, without the lock, whether an entry may be used, and drops it when not. The lock is held before and after; the
 * entry must be in use by the caller. */
static bool entry_judge(struct query_cache *c, struct entry *e, uint64_t now) {
    bool good = now < e->ends;
    if (good && e->reads) {
        pthread_mutex_unlock(&c->lock);
        good = c->options.holds(c->options.arg, e->reads);
        pthread_mutex_lock(&c->lock);
    }
    if (!good)
        entry_remove(c, e);
    return good;
}

void query_cache_clear(struct query_cache *c) {
    pthread_mutex_lock(&c->lock);
    while (c->oldest)
        entry_remove(c, c->oldest);
    pthread_mutex_unlock(&c->lock);
}

void query_cache_free(struct query_cache *c) {
    if (!c)
        return;
    query_cache_clear(c);
    for (size_t i = 0; i < c->n_shelves; i++)
        free(c->shelves[i].places);
    free(c->shelves);
    free(c->buckets);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

size_t query_cache_bytes(struct query_cache *c) {
    pthread_mutex_lock(&c->lock);
    size_t bytes = c->bytes;
    pthread_mutex_unlock(&c->lock);
    return bytes;
}

struct query_result *query_cache_get(struct query_cache *c, const struct query_cache_key *key, uint64_t now) {
    struct query_result *result = NULL;
    pthread_mutex_lock(&c->lock);
    struct entry *e = entry_find(c, key);
    if (e) {
        e->users++;
        if (entry_judge(c, e, now)) {
            result = e->result;
            query_result_ref(result);
        }
        if (e->name) {
            use_end(c, e);
            use_begin(c, e);
        }
        entry_release(e);
    }
    pthread_mutex_unlock(&c->lock);
    return result;
}

bool query_cache_has(struct query_cache *c, const struct query_cache_key *key) {
    pthread_mutex_lock(&c->lock);
    bool has = entry_find(c, key) != NULL;
    pthread_mutex_unlock(&c->lock);
    return has;
}

static struct entry *entry_new(const struct query_cache_key *key, struct query_result *result,
                               struct query_reads *reads, uint64_t ends) {
    struct entry *e = malloc(sizeof *e + key->caller.n);
    if (!e) {
        query_reads_unref(reads);
        return NULL;
    }
    *e = (struct entry){.result = result, .reads = reads, .ends = ends, .users = 1};
    if (key->caller.n)
        memcpy(e->bytes_of_caller, key->caller.p, key->caller.n);
    e->caller = (struct str){e->bytes_of_caller, key->caller.n};
    e->size = sizeof *e + key->caller.n + sizeof(struct name) + key->name.n + sizeof(struct shelf_place) +
              sizeof *result + result->text.n + (reads ? query_reads_bytes(reads) : 0);
    query_result_ref(result);
    return e;
}

void query_cache_put(struct query_cache *c, const struct query_cache_key *key, struct query_result *result,
                     struct query_reads *reads, uint64_t ends, bool listed) {
    struct entry *e = entry_new(key, result, reads, ends);
    if (!e)
        return;
    pthread_mutex_lock(&c->lock);
    struct name *name = name_find(c, key->query, key->name);
    bool fits = e->size <= c->options.bytes;
    if (fits && !name)
        name = name_add(c, key, listed);
    if (fits && name) {
        struct entry *before = entry_find(c, key);
        e->name = name;
        e->next = name->entries;
        name->entries = e;
        use_begin(c, e);
        c->bytes += e->size;
        if (before)
            entry_remove(c, before);
        while (c->bytes > c->options.bytes)
            entry_remove(c, c->oldest);
    } else {
        entry_release(e);
    }
    pthread_mutex_unlock(&c->lock);
}

/* --- names that are there */

/* The first one whose number is not below `no`. */
static struct name *name_from(struct query_cache *c, uint32_t query, uint64_t no) {
    const struct shelf *s = query < c->n_shelves ? &c->shelves[query] : NULL;
    size_t i = s ? shelf_find(s, no) : 0;
    while (s && i < s->n && !s->places[i].name)
        i++;
    return s && i < s->n ? s->places[i].name : NULL;
}

/* Whether somebody's result of a name may be used. */
static bool name_judge(struct query_cache *c, uint32_t query, uint64_t no, uint64_t now) {
    struct name *name;
    while ((name = name_from(c, query, no)) && name->no == no) {
        struct entry *e = name->entries;
        e->users++;
        bool good = entry_judge(c, e, now);
        entry_release(e);
        if (good)
            return true;
    }
    return false;
}

size_t query_cache_list(struct query_cache *c, uint32_t query, uint64_t after, uint64_t now, struct query_cached *out,
                        size_t n) {
    struct name *name;
    size_t got = 0;
    pthread_mutex_lock(&c->lock);
    while (got < n && (name = name_from(c, query, after + 1))) {
        after = name->no;
        if (!name->listed)
            continue;
        out[got].no = after;
        out[got].bytes = (uint8_t)name->n;
        memcpy(out[got].name, name->bytes, name->n);
        got += name_judge(c, query, after, now);
    }
    pthread_mutex_unlock(&c->lock);
    return got;
}

bool query_cache_drop(struct query_cache *c, uint32_t query, struct str name) {
    pthread_mutex_lock(&c->lock);
    struct name *found = name_find(c, query, name);
    struct entry *e = found ? found->entries : NULL, *next;
    for (; e; e = next) {
        next = e->next;
        entry_remove(c, e);
    }
    pthread_mutex_unlock(&c->lock);
    return found != NULL;
}
