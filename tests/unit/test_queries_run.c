/* queries.h through the front door: who may ask, what fails, many who ask at once, reloads, and the end. */
#include "lib_queries.h"
#include "query_run.h"
#include "query_store.h"
#include "store_parts.h"

/* --- time */

static void an_entry_ends_with_its_ttl(void **state) {
    struct fixture *f = *state;
    uint64_t no = gives(f, "short", "id=1", NULL);
    assert_int_equal(gives(f, "short", "id=1", NULL), no);
    usleep(1100000);
    assert_int_not_equal(gives(f, "short", "id=1", NULL), no);
    /* and before it when what it read changes */
    no = gives(f, "short", "id=2", NULL);
    add(f, "1", 1);
    assert_int_not_equal(gives(f, "short", "id=2", NULL), no);
}

static void with_depends_ttl_changes_do_not_matter(void **state) {
    struct fixture *f = *state;
    uint64_t no = gives(f, "timed", "all", "null");
    add(f, "1", 1);
    assert_int_equal(gives(f, "timed", "all", "null"), no);
    assert_int_equal(queries_evict(f->qs, number(f, "timed"), STR("all")), 0);
    gives(f, "timed", "all", "{\"sum\":1}");
}

/* --- who may */

static void allow_is_asked_each_time(void **state) {
    struct fixture *f = *state;
    struct query_result *r;
    const struct caller secretary = {.who = {.uid = 4242, .gid = 4242}}, stranger = {.who = {.uid = 5, .gid = 5}},
                        root = {.who = {.uid = 0, .gid = 0}};
    assert_int_equal(open_as(f, "secret", "all", false, &lib_caller, &r), -EACCES);
    assert_int_equal(open_as(f, "secret", "all", false, &secretary, &r), 0);
    query_result_unref(r);
    assert_int_equal(open_as(f, "secret", "all", false, &lib_caller, &r), -EACCES);
    assert_int_equal(open_as(f, "secret", "{}", true, &lib_caller, &r), -EACCES);
    assert_int_equal(open_as(f, "secret", "all", false, &root, &r), -EACCES);
    assert_int_equal(open_as(f, "secret", "all", false, &secretary, &r), 0);
    query_result_unref(r);
    assert_true(queries_may_read(f->qs, number(f, "secret"), &secretary.who));
    assert_false(queries_may_read(f->qs, number(f, "secret"), &lib_caller.who));
    assert_false(queries_may_read(f->qs, 1000, &secretary.who));
    /* without a list: the mount's owner and group, and root */
    assert_int_equal(open_as(f, "params", "all", false, &stranger, &r), -EACCES);
    assert_int_equal(open_as(f, "params", "all", false, &root, &r), 0);
    query_result_unref(r);
    assert_int_equal(open_as(f, "shared", "all", false, &stranger, &r), 0);
    query_result_unref(r);
}

static void refused(struct fixture *f, const char *query, const struct caller *caller, const char *text, bool call,
                    int code, size_t lines) {
    struct query_result *r;
    assert_int_equal(open_as(f, query, text, call, caller, &r), -code);
    struct journal *j = queries_refusals(f->qs, number(f, query));
    char *all = j ? lib_topic(j, "") : strdup("");
    assert_int_equal(lib_count(all, "\n"), lines);
    free(all);
}

static void who_may_not_ask_leaves_no_reasons(void **state) {
    struct fixture *f = *state;
    const struct caller secretary = {.who = {.uid = 4242, .gid = 4242}, .pid = 7};
    refused(f, "secret", &lib_caller, "n=x", false, EINVAL, 0);
    refused(f, "secret", &lib_caller, "{\"n\":\"x\"}", true, EINVAL, 0);
    refused(f, "secret", &secretary, "n=x", false, EINVAL, 1);
    refused(f, "secret", &secretary, "{\"n\":\"x\"}", true, EINVAL, 2);
    refused(f, "secret", &secretary, "{", true, EBADMSG, 3);
    refused(f, "secret", &lib_caller, "all", false, EACCES, 3);
    assert_null(queries_refusals(f->qs, number(f, "params")));
}

static uint64_t as_caller(struct fixture *f, const struct caller *caller, const char *want) {
    struct query_result *r;
    assert_int_equal(open_as(f, "whoami", "all", false, caller, &r), 0);
    return result_take(r, "whoami", want);
}

static void per_caller_everybody_has_his_own(void **state) {
    struct fixture *f = *state;
    static const uint32_t some[] = {30, 20, 100, 20}, same[] = {20, 30}, more[] = {20, 30, 40};
    const struct caller ann = {.who = {.uid = 1000, .gid = 100, .gids = some, .n_gids = 4}},
                        ann_again = {.who = {.uid = 1000, .gid = 100, .gids = same, .n_gids = 2}},
                        ann_with_more = {.who = {.uid = 1000, .gid = 100, .gids = more, .n_gids = 3}},
                        bob = {.who = {.uid = 1001, .gid = 100}};
    struct query_cached listed[4];
    struct query_result *r;
    uint64_t a = as_caller(f, &ann, "{\"uid\":1000,\"gids\":[100,20,30]}");
    uint64_t b = as_caller(f, &bob, "{\"uid\":1001,\"gids\":[100]}");
    assert_int_not_equal(a, b);
    assert_int_equal(as_caller(f, &ann, NULL), a);
    assert_int_equal(as_caller(f, &ann_again, NULL), a);
    assert_int_equal(as_caller(f, &bob, NULL), b);
    as_caller(f, &ann_with_more, "{\"uid\":1000,\"gids\":[100,20,30,40]}");
    uint32_t no = number(f, "whoami");
    assert_int_equal(queries_cached(f->qs, no, STR("all"), &bob.who, &r), 0);
    assert_int_equal(result_take(r, "whoami", NULL), b);
    assert_int_equal(queries_list(f->qs, no, 0, listed, 4), 1);
    assert_int_equal(queries_evict(f->qs, no, STR("all")), 0);
    assert_int_not_equal(as_caller(f, &ann, NULL), a);
    assert_int_not_equal(as_caller(f, &bob, NULL), b);
}

/* Takes both threads, until account/gate has an event: what is asked for then waits for its turn. */
static void threads_take(struct fixture *f, struct waiting w[2]) {
    queries_open(f->qs, number(f, "gate"), STR("n=1"), &lib_caller, opened, &w[0]);
    queries_open(f->qs, number(f, "gate"), STR("n=2"), &lib_caller, opened, &w[1]);
}

static void threads_give(struct fixture *f, struct waiting w[2]) {
    add(f, "gate", 1);
    for (int i = 0; i < 2; i++) {
        wait_for(&w[i]);
        query_result_unref(w[i].r);
    }
}

static void per_caller_nobody_joins_the_run_of_another(void **state) {
    struct fixture *f = *state;
    const struct caller bob = {.who = {.uid = 1001, .gid = 100}};
    struct waiting busy[2] = {WAITING, WAITING}, w[3] = {WAITING, WAITING, WAITING};
    uint32_t no = number(f, "whoami");
    threads_take(f, busy);
    queries_open(f->qs, no, STR("all"), &lib_caller, opened, &w[0]);
    queries_open(f->qs, no, STR("all"), &bob, opened, &w[1]);
    queries_open(f->qs, no, STR("all"), &lib_caller, opened, &w[2]);
    threads_give(f, busy);
    for (int i = 0; i < 3; i++) {
        wait_for(&w[i]);
        assert_int_equal(w[i].result, 0);
        result_take(w[i].r, "whoami", i == 1 ? "{\"uid\":1001,\"gids\":[100]}" : "{\"uid\":1000,\"gids\":[100]}");
    }
}

/* --- handlers that fail */

static void a_failure_is_told_once_a_run(void **state) {
    struct fixture *f = *state;
    fails(f, "broken", "id=x", EIO);
    told(f, 1,
         "{\"what\":\"query broken\",\"file\":\"queries/broken.lua\",\"line\":4,\"params\":\"{\\\"id\\\":\\\"x\\\"}\","
         "\"uid\":1000,\"pid\":4711,\"command\":null}");
    fails(f, "broken", "id=x", EIO);
    told(f, 2, "{\"what\":\"query broken\"}");
    /* parameters of a query with a list are for those in it */
    fails(f, "fails", "id=x", EIO);
    told(f, 3, "{\"what\":\"query fails\",\"params\":null}");
}

static void what_loops_is_stopped_and_others_go_on(void **state) {
    struct fixture *f = *state;
    struct waiting w[3] = {WAITING, WAITING, WAITING};
    for (int i = 0; i < 3; i++) {
        char text[16];
        snprintf(text, sizeof text, "n=%d", i);
        queries_open(f->qs, number(f, "endless"), str_of(text), &lib_caller, opened, &w[i]);
    }
    gives(f, "params", "n=1", "{\"n\":1}");
    for (int i = 0; i < 3; i++) {
        wait_for(&w[i]);
        assert_int_equal(w[i].result, -EIO);
        assert_null(w[i].r);
    }
    told(f, 3, "{\"what\":\"query endless\",\"file\":\"queries/endless.lua\"}");
    gives(f, "params", "n=2", "{\"n\":2}");
}

/* One run by itself. */
static int run_alone(struct fixture *f, const char *query, uint32_t ms, const atomic_bool *stop,
                     struct script_fault *fault) {
    struct store *s = f->l.store;
    const struct json_value none = {.kind = JSON_KIND_OBJECT, .raw = STR("{}")};
    struct domain *d = store_domain(s);
    struct query_store from = {
        .from = {s->index, store_views(s)},
        .events = {s->index, s->log, home_id(s->home)},
    };
    const struct query_world world = query_store_world(&from);
    const struct query_run run = {
        .domain = d,
        .query = domain_query(d, str_of(query)),
        .params = &none,
        .world = &world,
        .fold = {.source = from.events, .db = s->db},
        .ms = ms,
        .stop = stop,
    };
    struct query_moment began;
    struct buf out = {0};
    query_moment_get(&from.from, &began);
    from.reads = query_reads_new(&began);
    int r = query_run(&run, &out, fault);
    query_reads_unref(from.reads);
    buf_free(&out);
    domain_unref(d);
    return r;
}

/* Reading is not counted as the handler's time. */
static void reading_has_an_end(void **state) {
    struct fixture *f = *state;
    struct script_fault fault;
    atomic_bool stop;
    atomic_init(&stop, false);
    assert_int_equal(run_alone(f, "reader", 20, &stop, &fault), SCRIPT_FAILED);
    assert_non_null(strstr(fault.text, "the query has run for more than 20 ms"));
    assert_string_equal(fault.file, "queries/reader.lua");
    atomic_store(&stop, true);
    assert_int_equal(run_alone(f, "reader", 0, &stop, &fault), -ECANCELED);
    /* nor need it ask for anything */
    assert_int_equal(run_alone(f, "busy", 0, &stop, &fault), -ECANCELED);
    assert_int_equal(run_alone(f, "busy", 0, NULL, &fault), 0);
}

static void states_have_a_bound_together(void **state) {
    struct fixture *f = *state;
    char id[8];
    for (int i = 1; i <= 20; i++) {
        snprintf(id, sizeof id, "%d", i);
        name(f, id, "large");
    }
    gives(f, "states", "n=12", "12");
    fails(f, "states", "n=20", EIO);
    char *errors = lib_topic(store_errors(f->l.store), "");
    assert_non_null(strstr(errors, "the query holds more than 128 MiB, with the states that it looks at"));
    free(errors);
}

static void a_result_may_be_large_but_not_too_large(void **state) {
    struct fixture *f = *state;
    struct query_result *r;
    assert_int_equal(open_as(f, "big", "n=16777213", false, &lib_caller, &r), 0);
    assert_int_equal(r->text.n, QUERY_RESULT_BYTES);
    query_result_unref(r);
    fails(f, "big", "n=16777214", EFBIG);
    told(f, 1,
         "{\"what\":\"query big\",\"error\":\"queries/big.lua: the result has 16777217 bytes, and may have 16 MiB\"}");
    fails(f, "big", "n=100000000", EIO);
}

/* --- many at once */

struct crowd {
    struct fixture *f;
    uint32_t no;
    struct waiting w;
    pthread_t thread;
    struct caller caller;
};

static void *crowd_open(void *arg) {
    struct crowd *c = arg;
    queries_open(c->f->qs, c->no, STR("id=1"), &c->caller, opened, &c->w);
    wait_for(&c->w);
    return NULL;
}

#define CROWD 100

static void a_crowd_shares_one_run(void **state) {
    struct fixture *f = *state;
    struct crowd *crowd = calloc(CROWD, sizeof *crowd);
    add(f, "1", 7);
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (struct crowd){.f = f, .no = number(f, "slow"), .w = WAITING, .caller = lib_caller};
        if (i % 10 == 9)
            crowd[i].caller.who = (struct identity){.uid = 5, .gid = 5};
        assert_int_equal(pthread_create(&crowd[i].thread, NULL, crowd_open, &crowd[i]), 0);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(crowd[i].thread, NULL);
        assert_int_equal(crowd[i].w.calls, 1);
        assert_int_equal(crowd[i].w.result, i % 10 == 9 ? -EACCES : 0);
        if (i % 10 != 9)
            assert_int_equal(result_take(crowd[i].w.r, "slow", "{\"sum\":7}"), 1);
    }
    free(crowd);
}

/* Who asks after he has written sees what he wrote, whatever run is under way. */
static void nobody_joins_a_run_that_read_too_early(void **state) {
    struct fixture *f = *state;
    uint32_t no = number(f, "slow");
    for (int i = 1; i <= 30; i++) {
        struct waiting early = WAITING, late = WAITING;
        char want[32];
        queries_open(f->qs, no, STR("id=1"), &lib_caller, opened, &early);
        usleep((useconds_t)(i * 1000));
        add(f, "1", 1);
        queries_open(f->qs, no, STR("id=1"), &lib_caller, opened, &late);
        wait_for(&early);
        wait_for(&late);
        assert_int_equal(early.result, 0);
        assert_int_equal(late.result, 0);
        snprintf(want, sizeof want, "{\"sum\":%d}", i);
        query_result_unref(early.r);
        result_take(late.r, "slow", want);
        gives(f, "slow", "id=1", want);
    }
}

static void what_is_evicted_while_it_runs_is_not_kept(void **state) {
    struct fixture *f = *state;
    struct waiting w = WAITING;
    struct query_result *r;
    uint32_t no = number(f, "slow");
    queries_open(f->qs, no, STR("id=1"), &lib_caller, opened, &w);
    assert_int_equal(queries_evict(f->qs, no, STR("id=1")), QUERY_NONE);
    wait_for(&w);
    assert_int_equal(w.result, 0);
    uint64_t first = result_take(w.r, "slow", NULL);
    assert_int_equal(queries_cached(f->qs, no, STR("id=1"), &lib_caller.who, &r), QUERY_NONE);
    assert_int_not_equal(gives(f, "slow", "id=1", NULL), first);
}

static void what_nobody_waits_for_is_stopped(void **state) {
    struct fixture *f = *state;
    struct waiting busy[2] = {WAITING, WAITING}, queued = WAITING, joined = WAITING;
    threads_take(f, busy);
    queries_open(f->qs, number(f, "broken"), STR("all"), &lib_caller, opened, &queued);
    queries_open(f->qs, number(f, "gate"), STR("n=2"), &lib_caller, opened, &joined);
    queries_leave(f->qs, &queued);
    queries_leave(f->qs, &busy[1]);
    queries_leave(f->qs, &busy[0]);
    wait_for(&busy[0]);
    wait_for(&queued);
    assert_int_equal(busy[0].result, -ECANCELED);
    assert_int_equal(queued.result, -ECANCELED);
    told(f, 0, NULL);
    assert_int_equal(joined.calls, 0);
    add(f, "gate", 1);
    wait_for(&joined);
    assert_int_equal(joined.result, 0);
    result_take(joined.r, "gate", "{\"got\":null}");
    wait_for(&busy[1]);
    query_result_unref(busy[1].r);
    queries_leave(f->qs, &joined);
    gives(f, "gate", "n=1", "{\"got\":null}");
}

/* Nothing begins anew for one who has come while it was under way, and left too. */
static void who_came_late_and_left_is_done_with(void **state) {
    struct fixture *f = *state;
    struct waiting first = WAITING, late = WAITING;
    queries_open(f->qs, number(f, "gate"), STR("n=1"), &lib_caller, opened, &first);
    gives(f, "params", "all", "{}"); /* by the other thread: the first is under way */
    queries_open(f->qs, number(f, "gate"), STR("n=1"), &lib_caller, opened, &late);
    queries_leave(f->qs, &first);
    queries_leave(f->qs, &late);
    wait_for(&first);
    wait_for(&late);
    assert_int_equal(first.result, -ECANCELED);
    assert_int_equal(late.result, -ECANCELED);
}

/* It does not join the run that is being stopped. */
static void who_asks_again_is_answered(void **state) {
    struct fixture *f = *state;
    struct waiting first = WAITING, again = WAITING;
    uint32_t gate = number(f, "gate");
    queries_open(f->qs, gate, STR("n=1"), &lib_caller, opened, &first);
    queries_leave(f->qs, &first);
    queries_open(f->qs, gate, STR("n=1"), &lib_caller, opened, &again);
    wait_for(&first);
    assert_int_equal(first.result, -ECANCELED);
    add(f, "gate", 1);
    wait_for(&again);
    assert_int_equal(again.result, 0);
    result_take(again.r, "gate", "{\"got\":null}");
}

static void *storm_run(void *arg) {
    struct crowd *c = arg;
    unsigned seed = c->no;
    for (int i = 0; i < 300; i++) {
        static const char *const queries[] = {"view", "keys", "state", "events", "params", "whoami", "broken"};
        char text[32];
        struct query_result *r;
        const char *query = queries[rand_r(&seed) % 7];
        snprintf(text, sizeof text, "id=%d,n=1", rand_r(&seed) % 4);
        c->caller.who.uid = 1000 + (uint32_t)rand_r(&seed) % 2;
        int rc = open_as(c->f, query, text, false, &c->caller, &r);
        if (rc != (!strcmp(query, "broken") ? -EIO : 0))
            abort();
        query_result_unref(r);
        if (i % 16 == 0)
            queries_evict(c->f->qs, number(c->f, query), str_of(text));
    }
    return NULL;
}

static void threads_ask_write_and_reload(void **state) {
    struct fixture *f = *state;
    struct crowd crowd[4];
    struct err err;
    for (int i = 0; i < 4; i++) {
        crowd[i] = (struct crowd){.f = f, .no = (uint32_t)i + 1, .caller = lib_caller};
        assert_int_equal(pthread_create(&crowd[i].thread, NULL, storm_run, &crowd[i]), 0);
    }
    for (int i = 0; i < 40; i++) {
        char id[8];
        snprintf(id, sizeof id, "%d", i % 4);
        add(f, id, 1);
        if (i % 10 == 5)
            assert_int_equal(store_reload(f->l.store, &err), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(crowd[i].thread, NULL);
    views_catch_up(f);
    gives(f, "state", "id=1", "{\"got\":{\"sum\":10}}");
    gives(f, "view", "id=1", "{\"got\":{\"sum\":10}}");
}

/* --- reload and the end */

static void reload(struct fixture *f) {
    struct err err = {0};
    if (store_reload(f->l.store, &err) != 0)
        fail_msg("%s", err.text);
}

static void a_reload_empties_the_cache_and_keeps_the_numbers(void **state) {
    struct fixture *f = *state;
    struct query_info info;
    struct query_cached listed[2];
    struct waiting w = WAITING;
    uint32_t params = number(f, "params"), gone = number(f, "alone");
    uint64_t no = gives(f, "params", "id=1", NULL);
    reload(f);
    assert_int_equal(queries_list(f->qs, params, 0, listed, 2), 0);
    assert_int_not_equal(gives(f, "params", "id=1", NULL), no);
    lib_domain_remove(&f->domain, "queries/alone.lua");
    lib_domain_put(&f->domain, "queries/fresh.lua", RUN("return \"fresh\""));
    lib_domain_put(&f->domain, "queries/params.lua", RUN("return \"changed\""));
    reload(f);
    assert_int_equal(number(f, "params"), params);
    gives(f, "params", "id=1", "\"changed\"");
    gives(f, "fresh", "all", "\"fresh\"");
    assert_int_equal(queries_find(f->qs, STR("alone"), &info), QUERY_NONE);
    assert_int_equal(queries_get(f->qs, gone, &info), QUERY_NONE);
    queries_open(f->qs, gone, STR("all"), &lib_caller, opened, &w);
    wait_for(&w);
    assert_int_equal(w.result, -ENOENT);
    uint32_t fresh = number(f, "fresh");
    lib_domain_put(&f->domain, "queries/alone.lua", RUN("return \"again\""));
    lib_domain_remove(&f->domain, "queries/fresh.lua");
    reload(f);
    assert_int_equal(number(f, "alone"), gone);
    assert_int_equal(queries_get(f->qs, fresh, &info), QUERY_NONE);
    /* what cannot be loaded changes nothing */
    no = gives(f, "alone", "all", "\"again\"");
    lib_domain_put(&f->domain, "queries/alone.lua", "return {");
    struct err err;
    assert_true(store_reload(f->l.store, &err) < 0);
    assert_int_equal(gives(f, "alone", "all", "\"again\""), no);
}

static void a_run_over_a_reload_is_not_kept(void **state) {
    struct fixture *f = *state;
    struct waiting w = WAITING;
    queries_open(f->qs, number(f, "gate"), STR("all"), &lib_caller, opened, &w);
    lib_domain_put(&f->domain, "queries/gate.lua", RUN("return \"new\""));
    reload(f);
    uint64_t no = gives(f, "gate", "all", "\"new\"");
    add(f, "gate", 1);
    wait_for(&w);
    assert_int_equal(w.result, 0);
    result_take(w.r, "gate", "{\"got\":null}");
    assert_int_equal(gives(f, "gate", "all", "\"new\""), no);
}

struct asker {
    struct fixture *f;
    atomic_bool stop;
    int answered;
    pthread_t thread;
};

static void *asker_run(void *arg) {
    struct asker *a = arg;
    struct query_info info;
    while (!atomic_load(&a->stop)) {
        struct waiting w = WAITING;
        if (queries_find(a->f->qs, STR("fresh"), &info) != 0)
            continue;
        queries_open(a->f->qs, info.no, STR("all"), &lib_caller, opened, &w);
        wait_for(&w);
        if (w.result != 0 && w.result != -ENOENT)
            abort();
        a->answered += w.result == 0;
        query_result_unref(w.r);
    }
    return NULL;
}

/* A query of a new domain never fails because a view of it is not there yet. */
static void views_of_a_new_domain_are_waited_for(void **state) {
    struct fixture *f = *state;
    struct asker a = {.f = f};
    atomic_init(&a.stop, false);
    assert_int_equal(pthread_create(&a.thread, NULL, asker_run, &a), 0);
    for (int i = 0; i < 10; i++) {
        lib_domain_put(&f->domain, "views/fresh.lua", "return { on = { Added = function(v) v.some = true end } }\n");
        lib_domain_put(&f->domain, "queries/fresh.lua", RUN("return q.keys(\"fresh\")"));
        reload(f);
        gives(f, "fresh", "all", NULL);
        lib_domain_remove(&f->domain, "views/fresh.lua");
        lib_domain_remove(&f->domain, "queries/fresh.lua");
        reload(f);
    }
    atomic_store(&a.stop, true);
    pthread_join(a.thread, NULL);
    assert_true(a.answered > 0);
    told(f, 0, NULL);
}

/* A handler of the domain before cannot fold what the new one has made. */
static void a_run_that_a_reload_has_broken_is_made_again(void **state) {
    struct fixture *f = *state;
    struct waiting w = WAITING;
    static const char more[] =
        "return { commands = { Do = { decide = function() return event(\"Done\", {}), event(\"More\", {}) end } },\n"
        "  events = { Done = {}, More = { evolve = function(s) s.more = true end } } }\n";
    queries_open(f->qs, number(f, "gate"), STR("all"), &lib_caller, opened, &w);
    lib_domain_put(&f->domain, "aggregates/other.lua", more);
    reload(f);
    send(f, "{\"aggregate\":\"other/1\",\"type\":\"Do\"}");
    add(f, "gate", 1);
    wait_for(&w);
    assert_int_equal(w.result, 0);
    result_take(w.r, "gate", "{\"got\":{\"more\":true}}");
    told(f, 0, NULL);
}

static void when_the_store_stops_everybody_is_told(void **state) {
    struct fixture *f = *state;
    struct waiting w[8], after = WAITING;
    for (int i = 0; i < 8; i++) {
        char text[32];
        w[i] = (struct waiting)WAITING;
        snprintf(text, sizeof text, "n=%d", i);
        queries_open(f->qs, number(f, "gate"), str_of(text), &lib_caller, opened, &w[i]);
    }
    store_stop(f->l.store);
    queries_open(f->qs, number(f, "params"), STR("all"), &lib_caller, opened, &after);
    wait_for(&after);
    assert_int_equal(after.result, -ESHUTDOWN);
    lib_store_close(&f->l);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(w[i].calls, 1);
        assert_int_equal(w[i].result, -ESHUTDOWN);
        assert_null(w[i].r);
    }
}

static void without_a_domain_there_are_none(void **state) {
    struct lib_store *l = *state;
    assert_null(store_queries(l->store));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_entry_ends_with_its_ttl),
        TEST(with_depends_ttl_changes_do_not_matter),
        TEST(allow_is_asked_each_time),
        TEST(who_may_not_ask_leaves_no_reasons),
        TEST(per_caller_everybody_has_his_own),
        TEST(per_caller_nobody_joins_the_run_of_another),
        TEST(a_failure_is_told_once_a_run),
        TEST(what_loops_is_stopped_and_others_go_on),
        TEST(reading_has_an_end),
        TEST(states_have_a_bound_together),
        TEST(a_result_may_be_large_but_not_too_large),
        TEST(a_crowd_shares_one_run),
        TEST(nobody_joins_a_run_that_read_too_early),
        TEST(what_is_evicted_while_it_runs_is_not_kept),
        TEST(what_nobody_waits_for_is_stopped),
        TEST(who_came_late_and_left_is_done_with),
        TEST(who_asks_again_is_answered),
        TEST(threads_ask_write_and_reload),
        TEST(a_reload_empties_the_cache_and_keeps_the_numbers),
        TEST(a_run_over_a_reload_is_not_kept),
        TEST(views_of_a_new_domain_are_waited_for),
        TEST(a_run_that_a_reload_has_broken_is_made_again),
        TEST(when_the_store_stops_everybody_is_told),
        LIB_TEST(without_a_domain_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
