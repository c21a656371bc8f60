#include "queries_private.h"

#include "query_life.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct queries *store_queries(struct store *s) {
    return s->queries;
}

uint64_t queries_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- life */

static bool holds(void *arg, struct query_reads *reads) {
    struct queries *qs = arg;
    return query_reads_hold(reads, &qs->source);
}

int queries_new(struct queries **out, struct store *s) {
    struct queries *qs = calloc(1, sizeof *qs);
    if (!qs)
        return -ENOMEM;
    const struct query_cache_options options = {.bytes = QUERY_CACHE_BYTES, .holds = holds, .arg = qs};
    qs->store = s;
    qs->source = (struct query_source){s->index, store_views(s)};
    qs->cache = query_cache_new(&options);
    query_refusals_init(&qs->refusals);
    pthread_mutex_init(&qs->lock, NULL);
    pthread_cond_init(&qs->changed, NULL);
    int r = qs->cache ? flights_begin(qs) : -ENOMEM;
    if (r < 0) {
        queries_free(qs);
        return r;
    }
    *out = qs;
    return 0;
}

void queries_stop(struct queries *qs) {
    if (qs)
        flights_stop(qs);
}

void queries_free(struct queries *qs) {
    if (!qs)
        return;
    flights_stop(qs);
    flights_end(qs);
    query_cache_free(qs->cache);
    query_refusals_deinit(&qs->refusals);
    domain_unref(qs->domain);
    arena_free(&qs->arena);
    free(qs->names);
    table_free(&qs->table);
    pthread_cond_destroy(&qs->changed);
    pthread_mutex_destroy(&qs->lock);
    free(qs);
}

/* --- numbers: a name keeps the one that it got first */

static uint32_t number_of(const struct queries *qs, struct str name) {
    struct table_probe probe;
    uint64_t hash = digest_table(name.p, name.n);
    for (uint32_t i = table_first(&qs->table, hash, &probe); i != TABLE_NONE; i = table_next(&qs->table, &probe))
        if (str_eq(qs->names[i], name))
            return i + 1;
    return 0;
}

static int number_give(struct queries *qs, struct str name) {
    if (number_of(qs, name))
        return 0;
    if (qs->n_names == qs->cap_names) {
        size_t cap = qs->cap_names ? 2 * qs->cap_names : 16;
        struct str *names = realloc(qs->names, cap * sizeof *names);
        if (!names)
            return -ENOMEM;
        qs->names = names;
        qs->cap_names = cap;
    }
    struct str copy = arena_copy(&qs->arena, name);
    if (!copy.p || table_put(&qs->table, digest_table(name.p, name.n), (uint32_t)qs->n_names) < 0)
        return -ENOMEM;
    qs->names[qs->n_names++] = copy;
    return 0;
}

int queries_prepare(struct queries *qs, const struct domain *d) {
    int r = 0;
    pthread_mutex_lock(&qs->lock);
    for (size_t i = 0; r == 0 && i < d->n_queries; i++)
        r = number_give(qs, d->queries[i].name);
    pthread_mutex_unlock(&qs->lock);
    return r;
}

/* A run that ends after this sees that its domain is another one, and keeps nothing. */
void queries_adopt(struct queries *qs, struct domain *d) {
    pthread_mutex_lock(&qs->lock);
    struct domain *before = qs->domain;
    qs->domain = domain_ref(d);
    atomic_store(&qs->changing, true);
    query_cache_clear(qs->cache);
    pthread_mutex_unlock(&qs->lock);
    domain_unref(before);
}

void queries_settle(struct queries *qs) {
    atomic_store(&qs->changing, false);
}

/* --- which there are */

/* NULL when the domain in force has it no more. */
static const struct domain_query *query_of(const struct queries *qs, uint32_t no) {
    return qs->domain && no >= 1 && no <= qs->n_names ? domain_query(qs->domain, qs->names[no - 1]) : NULL;
}

struct domain *queries_query(struct queries *qs, uint32_t no, const struct domain_query **out) {
    pthread_mutex_lock(&qs->lock);
    *out = query_of(qs, no);
    struct domain *d = *out ? domain_ref(qs->domain) : NULL;
    pthread_mutex_unlock(&qs->lock);
    return d;
}

static int info_get(const struct queries *qs, uint32_t no, struct query_info *out) {
    if (!query_of(qs, no))
        return QUERY_NONE;
    *out = (struct query_info){.no = no, .name = qs->names[no - 1]};
    return 0;
}

int queries_find(struct queries *qs, struct str name, struct query_info *out) {
    pthread_mutex_lock(&qs->lock);
    int r = info_get(qs, number_of(qs, name), out);
    pthread_mutex_unlock(&qs->lock);
    return r;
}

int queries_get(struct queries *qs, uint32_t no, struct query_info *out) {
    pthread_mutex_lock(&qs->lock);
    int r = info_get(qs, no, out);
    pthread_mutex_unlock(&qs->lock);
    return r;
}

int queries_after(struct queries *qs, uint32_t no, struct query_info *out) {
    int r = QUERY_NONE;
    pthread_mutex_lock(&qs->lock);
    for (uint64_t next = (uint64_t)no + 1; r == QUERY_NONE && next <= qs->n_names; next++)
        r = info_get(qs, (uint32_t)next, out);
    pthread_mutex_unlock(&qs->lock);
    return r;
}

bool queries_may_read(struct queries *qs, uint32_t no, const struct identity *who) {
    const struct domain_query *q;
    struct domain *d = queries_query(qs, no, &q);
    bool may = d && allow_admits(&q->allow, who, &qs->store->options.ownership);
    domain_unref(d);
    return may;
}

/* --- names of results */

static int name_read(struct queries *qs, uint32_t no, struct str name, struct arena *arena, struct query_params *out,
                     struct err *err) {
    const struct domain_query *q;
    struct domain *d = queries_query(qs, no, &q);
    if (!d)
        return QUERY_NONE;
    struct json_parser *parser = store_parser_take(qs->store);
    int r = parser ? query_name_read(q, parser, arena, name, out, err) : err_set(err, ENOMEM, "out of memory");
    if (parser)
        store_parser_give(qs->store, parser);
    domain_unref(d);
    return r;
}

int queries_name(struct queries *qs, uint32_t no, struct str name, struct buf *canonical, struct err *err) {
    struct arena arena = {0};
    struct query_params params;
    int r = name_read(qs, no, name, &arena, &params, err);
    if (r == 0)
        buf_put_str(canonical, params.name);
    arena_free(&arena);
    return r == 0 && canonical->oom ? err_set(err, ENOMEM, "out of memory") : r;
}

void queries_refuse(struct queries *qs, uint32_t no, struct str name, const struct caller *caller,
                    const struct err *why) {
    query_refusals_add(&qs->refusals, no, name, false, caller, why, store_now());
}

struct journal *queries_refusals(struct queries *qs, uint32_t no) {
    return query_refusals_of(&qs->refusals, no);
}

/* --- what is cached */

int queries_cached(struct queries *qs, uint32_t no, struct str name, const struct identity *who,
                   struct query_result **out) {
    const struct domain_query *q;
    struct buf caller = {0};
    struct domain *d = queries_query(qs, no, &q);
    int r = d && q->per_caller ? query_caller_put(who, &caller) : 0;
    const struct query_cache_key key = {no, name, buf_str(&caller)};
    *out = d && r == 0 ? query_cache_get(qs->cache, &key, queries_clock() / 1000000) : NULL;
    buf_free(&caller);
    domain_unref(d);
    return *out ? 0 : r < 0 ? r : QUERY_NONE;
}

int queries_list(struct queries *qs, uint32_t no, uint64_t after, struct query_cached *out, size_t n) {
    return (int)query_cache_list(qs->cache, no, after, queries_clock() / 1000000, out, n);
}

int queries_evict(struct queries *qs, uint32_t no, struct str name) {
    struct arena arena = {0};
    struct query_params params;
    struct err err;
    int r = name_read(qs, no, name, &arena, &params, &err);
    if (r == 0) {
        flights_disown(qs, no, params.name);
        r = query_cache_drop(qs->cache, no, params.name) ? 0 : QUERY_NONE;
    }
    arena_free(&arena);
    return r == -ENOMEM ? r : r == 0 ? 0 : QUERY_NONE;
}
