/* The way of one who opens a result: validation, cache, authorization; then a flight, which is one run of the handler
 * for everybody who wants the same, in a thread of the queries' own. */
#include "queries_private.h"

#include "handlers.h"
#include "query_result.h"
#include "query_run.h"
#include "query_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NS_PER_MS 1000000

/* Somebody who wants a result. Borrowed from the caller until he has to wait, then a copy. */
struct opening {
    struct opening *next;
    uint32_t no;
    bool json; /* `text` is the parameters; otherwise a file name */
    struct str text;
    struct caller caller;
    uint64_t asked; /* queries_clock() */
    queries_done *done;
    void *arg;
    bool left; /* he does not wait any more */
};

/* What he wants, once it is understood. */
struct wanted {
    struct domain *domain; /* a reference */
    const struct domain_query *query;
    uint32_t no;
    struct arena arena; /* of what follows */
    struct query_ask ask;
    uint64_t hash;
};

struct flight {
    struct flight *next;
    struct wanted wanted;
    struct opening *waiting, **last;
    bool running, disowned;
    atomic_bool stop; /* its handler is to end, or not to begin */
    uint64_t began;   /* queries_clock() */
};

/* --- who waits */

static void tell(const struct opening *o, int result, struct query_result *r) {
    if (r)
        query_result_ref(r);
    o->done(o->arg, result, r);
}

/* In one piece, for free(). */
static struct opening *opening_copy(const struct opening *o) {
    size_t groups = o->caller.who.n_gids * sizeof *o->caller.who.gids;
    struct opening *copy = malloc(sizeof *copy + groups + o->text.n);
    if (!copy)
        return NULL;
    char *room = (char *)(copy + 1);
    *copy = *o;
    copy->next = NULL;
    if (groups)
        memcpy(room, o->caller.who.gids, groups);
    if (o->text.n)
        memcpy(room + groups, o->text.p, o->text.n);
    copy->caller.who.gids = (const uint32_t *)room;
    copy->text.p = room + groups;
    return copy;
}

/* --- what is wanted */

static void wanted_end(struct wanted *w) {
    domain_unref(w->domain);
    arena_free(&w->arena);
    *w = (struct wanted){0};
}

static bool is_allowed(struct queries *qs, const struct opening *o, const struct wanted *w) {
    return allow_admits(&w->query->allow, &o->caller.who, &qs->store->options.ownership);
}

/* Strangers leave no traces. */
static void refusal_note(struct queries *qs, const struct opening *o, const struct wanted *w, const struct err *why) {
    if (is_allowed(qs, o, w))
        query_refusals_add(&qs->refusals, o->no, o->text, o->json, &o->caller, why, store_now());
}

static int wanted_read(struct queries *qs, const struct opening *o, struct wanted *w) {
    struct err err = {0};
    *w = (struct wanted){.no = o->no};
    w->domain = queries_query(qs, o->no, &w->query);
    if (!w->domain)
        return -ENOENT;
    struct json_parser *parser = store_parser_take(qs->store);
    int r = parser ? 0 : -ENOMEM;
    if (r == 0)
        r = query_ask_read(w->query, parser, &w->arena, o->text, o->json, &o->caller.who, &w->ask, &err);
    if (parser)
        store_parser_give(qs->store, parser);
    if (r == -EINVAL || r == -EBADMSG || r == -ENAMETOOLONG)
        refusal_note(qs, o, w, &err);
    if (r == 0)
        w->hash = digest_table(w->ask.params.name.p, w->ask.params.name.n) ^ table_hash_number(o->no);
    return r;
}

static struct query_cache_key key_of(const struct wanted *w) {
    return (struct query_cache_key){w->no, w->ask.params.name, w->ask.who};
}

static bool is_same(const struct wanted *a, const struct wanted *b) {
    return a->hash == b->hash && a->no == b->no && a->domain == b->domain &&
           str_eq(a->ask.params.name, b->ask.params.name) && str_eq(a->ask.who, b->ask.who);
}

/* --- flights; under the lock */

static void flight_free(struct flight *f) {
    wanted_end(&f->wanted);
    free(f);
}

static struct flight *flight_find(struct queries *qs, const struct wanted *w) {
    struct flight *f = qs->flights.all;
    while (f && (f->disowned || !is_same(&f->wanted, w)))
        f = f->next;
    return f;
}

/* Takes what is wanted over. */
static struct flight *flight_new(struct queries *qs, struct wanted *w) {
    struct flight *f = calloc(1, sizeof *f), **at = &qs->flights.all;
    if (!f)
        return NULL;
    f->wanted = *w;
    f->last = &f->waiting;
    *w = (struct wanted){0};
    while (*at)
        at = &(*at)->next;
    *at = f;
    pthread_cond_signal(&qs->changed);
    return f;
}

static void flight_remove(struct queries *qs, struct flight *f) {
    struct flight **at = &qs->flights.all;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
}

void flights_disown(struct queries *qs, uint32_t no, struct str name) {
    pthread_mutex_lock(&qs->lock);
    for (struct flight *f = qs->flights.all; f; f = f->next)
        if (f->wanted.no == no && str_eq(f->wanted.ask.params.name, name))
            f->disowned = true;
    pthread_mutex_unlock(&qs->lock);
}

/* Nobody joins it any more, and what runs for it ends soon. */
static void flight_stop(struct flight *f) {
    f->disowned = true;
    atomic_store(&f->stop, true);
}

static bool is_waited_for(const struct flight *f) {
    const struct opening *o = f->waiting;
    while (o && o->left)
        o = o->next;
    return o != NULL;
}

/* Whoever it was in this flight; false: he is not in it. */
static bool flight_leave(struct flight *f, const void *arg) {
    struct opening *o = f->waiting;
    while (o && o->arg != arg)
        o = o->next;
    if (!o)
        return false;
    o->left = true;
    if (!is_waited_for(f))
        flight_stop(f);
    return true;
}

void queries_leave(struct queries *qs, const void *arg) {
    pthread_mutex_lock(&qs->lock);
    struct flight *f = qs->flights.all;
    while (f && !flight_leave(f, arg))
        f = f->next;
    pthread_mutex_unlock(&qs->lock);
}

enum { LOOK_AGAIN = 1 };

/* Waits in a flight. LOOK_AGAIN: one has landed since the cache was asked. */
static int join(struct queries *qs, const struct opening *o, struct wanted *w) {
    const struct query_cache_key key = key_of(w);
    struct opening *copy = opening_copy(o);
    if (!copy)
        return -ENOMEM;
    pthread_mutex_lock(&qs->lock);
    struct flight *f = flight_find(qs, w);
    int r = atomic_load(&qs->stopping) ? -ESHUTDOWN : 0;
    if (r == 0 && !f && query_cache_has(qs->cache, &key))
        r = LOOK_AGAIN;
    if (r == 0 && !f && !(f = flight_new(qs, w)))
        r = -ENOMEM;
    if (r == 0) {
        *f->last = copy;
        f->last = &copy->next;
    }
    pthread_mutex_unlock(&qs->lock);
    if (r != 0)
        free(copy);
    return r;
}

static bool is_in_force(struct queries *qs, const struct domain *d) {
    pthread_mutex_lock(&qs->lock);
    bool same = qs->domain == d;
    pthread_mutex_unlock(&qs->lock);
    return same;
}

/* The result that is cached, or waits in a flight. LOOK_AGAIN: what is there may be of a domain that has come into
 * force meanwhile, whose list this one is not. */
static int answer_find(struct queries *qs, const struct opening *o, struct wanted *w, struct query_result **result) {
    const struct query_cache_key key = key_of(w);
    *result = query_cache_get(qs->cache, &key, queries_clock() / NS_PER_MS);
    if (!is_allowed(qs, o, w))
        return -EACCES;
    if (!*result)
        return join(qs, o, w);
    return is_in_force(qs, w->domain) ? 0 : LOOK_AGAIN;
}

static void open_one(struct queries *qs, const struct opening *o) {
    struct wanted w;
    struct query_result *result = NULL;
    int r;
    do {
        query_result_unref(result);
        result = NULL;
        r = wanted_read(qs, o, &w);
        if (r == 0)
            r = answer_find(qs, o, &w, &result);
        wanted_end(&w);
    } while (r == LOOK_AGAIN);
    if (r < 0)
        tell(o, r, NULL);
    else if (result)
        tell(o, 0, result);
    query_result_unref(result);
}

void queries_open(struct queries *qs, uint32_t no, struct str name, const struct caller *caller, queries_done *done,
                  void *arg) {
    const struct opening o = {
        .no = no, .text = name, .caller = *caller, .asked = queries_clock(), .done = done, .arg = arg};
    open_one(qs, &o);
}

void queries_call(struct queries *qs, uint32_t no, struct str params, const struct caller *caller, queries_done *done,
                  void *arg) {
    const struct opening o = {
        .no = no, .json = true, .text = params, .caller = *caller, .asked = queries_clock(), .done = done, .arg = arg};
    open_one(qs, &o);
}

/* --- runs */

struct run {
    struct flight *flight;
    int result; /* 0, SCRIPT_FAILED or a negative errno */
    struct query_result *text;
    struct query_reads *reads;
    struct script_fault fault;
};

static int handler_run(struct queries *qs, struct run *run, struct buf *out) {
    struct store *s = qs->store;
    const struct wanted *w = &run->flight->wanted;
    struct query_store from = {
        .from = qs->source,
        .events = {s->index, s->log, home_id(s->home)},
        .reads = run->reads,
        .changing = &qs->changing,
    };
    const struct query_world world = query_store_world(&from);
    const struct query_run options = {
        .domain = w->domain,
        .query = w->query,
        .params = w->ask.params.tree,
        .caller = w->ask.caller,
        .world = &world,
        .fold = {.source = from.events, .db = s->db},
        .stop = &run->flight->stop,
    };
    return query_run(&options, out, &run->fault);
}

static void run_make(struct queries *qs, struct run *run) {
    struct query_moment began;
    struct index_head head;
    struct buf out = {0};
    if (atomic_load(&run->flight->stop)) {
        run->result = -ECANCELED;
        return;
    }
    query_moment_get(&qs->source, &began);
    index_head(qs->store->index, &head);
    run->reads = query_reads_new(&began);
    run->result = run->reads ? handler_run(qs, run, &out) : -ENOMEM;
    if (run->reads)
        query_reads_end(run->reads);
    if (run->result == 0) {
        uint64_t no = atomic_fetch_add(&qs->flights.results, 1) + 1;
        run->text = query_result_new(&out, no, store_now(), head.position);
        run->result = run->text ? 0 : -ENOMEM;
    }
    buf_free(&out);
}

static void run_keep(struct queries *qs, const struct run *run) {
    const struct wanted *w = &run->flight->wanted;
    const struct query_cache_key key = key_of(w);
    uint64_t ends = w->query->ttl ? queries_clock() / NS_PER_MS + w->query->ttl : QUERY_CACHE_NEVER;
    struct query_reads *reads = w->query->depends_on_ttl ? NULL : run->reads;
    if (reads)
        query_reads_ref(reads);
    query_cache_put(qs->cache, &key, run->text, reads, ends, w->ask.params.file);
}

/* The parameters of a query with a list of readers are not for whoever runs the mount. */
static void run_report(struct queries *qs, const struct run *run) {
    const struct wanted *w = &run->flight->wanted;
    char what[32 + NAME_MAX_BYTES];
    snprintf(what, sizeof what, "query %.*s", (int)w->query->name.n, w->query->name.p);
    const struct handler_failure failure = {
        .caller = &run->flight->waiting->caller,
        .fault = &run->fault,
        .what = what,
        .params = w->query->allow.given ? (struct str){0} : w->ask.params.text,
    };
    store_report_handler(qs->store, &failure);
}

/* Whether one who asked when the run was under way may have what came out: what it read by then may have changed
 * before he asked. */
static bool run_holds(struct queries *qs, const struct run *run) {
    return run->flight->wanted.query->depends_on_ttl || (run->reads && query_reads_hold(run->reads, &qs->source));
}

/* What comes out is kept before anybody new can look for the flight in vain. Who has to ask again finds another one,
 * which begins after he asked. */
static void land(struct queries *qs, struct run *run) {
    struct flight *f = run->flight;
    pthread_mutex_lock(&qs->lock);
    bool in_force = qs->domain == f->wanted.domain;
    if (run->result == 0 && in_force && !f->disowned)
        run_keep(qs, run);
    flight_remove(qs, f);
    pthread_mutex_unlock(&qs->lock);
    bool failed = run->result == SCRIPT_FAILED || run->result == -EFBIG;
    bool outdated = failed && !in_force; /* events that another domain has made */
    if (failed && !outdated)
        run_report(qs, run);
    int holds = -1, code = run->result == SCRIPT_FAILED ? -EIO : run->result;
    if (code == -ECANCELED && atomic_load(&qs->stopping))
        code = -ESHUTDOWN;
    for (struct opening *o = f->waiting, *next; o; o = next) {
        next = o->next;
        bool late = o->asked > f->began;
        if (late && holds < 0)
            holds = run_holds(qs, run);
        if (!o->left && (outdated || (late && !holds)))
            open_one(qs, o);
        else
            tell(o, code, run->text);
        free(o);
    }
}

/* Under the lock: the next one that is not under way. */
static struct flight *flight_next(struct queries *qs) {
    struct flight *f = qs->flights.all;
    while (f && f->running)
        f = f->next;
    return f;
}

static void fly(struct queries *qs, struct flight *f) {
    struct run run = {.flight = f};
    run_make(qs, &run);
    land(qs, &run);
    query_result_unref(run.text);
    query_reads_unref(run.reads);
    flight_free(f);
}

static void *work(void *arg) {
    struct queries *qs = arg;
    struct flight *f;
    pthread_mutex_lock(&qs->lock);
    while (!atomic_load(&qs->stopping)) {
        f = flight_next(qs);
        if (!f) {
            pthread_cond_wait(&qs->changed, &qs->lock);
            continue;
        }
        f->running = true;
        f->began = queries_clock();
        pthread_mutex_unlock(&qs->lock);
        fly(qs, f);
        pthread_mutex_lock(&qs->lock);
    }
    pthread_mutex_unlock(&qs->lock);
    return NULL;
}

/* --- the threads */

int flights_begin(struct queries *qs) {
    struct flights *f = &qs->flights;
    for (; f->n_threads < QUERY_THREADS; f->n_threads++) {
        int code = pthread_create(&f->threads[f->n_threads], NULL, work, qs);
        if (code)
            return -code;
    }
    return 0;
}

static struct flight *queued_take(struct queries *qs) {
    struct flight *taken = NULL, **at = &qs->flights.all;
    while (*at) {
        struct flight *f = *at;
        if (f->running) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        f->next = taken;
        taken = f;
    }
    return taken;
}

void flights_stop(struct queries *qs) {
    pthread_mutex_lock(&qs->lock);
    atomic_store(&qs->stopping, true);
    struct flight *f = queued_take(qs), *next;
    for (struct flight *running = qs->flights.all; running; running = running->next)
        flight_stop(running);
    pthread_cond_broadcast(&qs->changed);
    pthread_mutex_unlock(&qs->lock);
    for (; f; f = next) {
        next = f->next;
        for (struct opening *o = f->waiting, *then; o; o = then) {
            then = o->next;
            tell(o, -ESHUTDOWN, NULL);
            free(o);
        }
        flight_free(f);
    }
}

void flights_end(struct queries *qs) {
    struct flights *f = &qs->flights;
    while (f->n_threads)
        pthread_join(f->threads[--f->n_threads], NULL);
}
