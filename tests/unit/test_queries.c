/* queries.h through the front door: what a query is given, what its results are called, and how long they are good. */
#include "lib_queries.h"
#include "query_reads.h"

/* --- what a query is given */

static void it_reads_views_states_and_events(void **state) {
    struct fixture *f = *state;
    struct index_aggregate a;
    add(f, "1", 5);
    add(f, "1", 6);
    add(f, "2", 7);
    views_catch_up(f);
    gives(f, "view", "id=1", "{\"got\":{\"sum\":11}}");
    gives(f, "view", "id=2", "{\"got\":{\"sum\":7}}");
    gives(f, "view", "id=3", "{\"got\":null}");
    gives(f, "keys", "id=", "[\"1\",\"2\"]");
    gives(f, "keys", "id=2", "[\"2\"]");
    gives(f, "keys", "id=3", "[]");
    gives(f, "state", "id=1", "{\"got\":{\"sum\":11}}");
    gives(f, "state", "id=3", "{\"got\":null}");
    gives(f, "events", "id=3", "[]");
    gives(f, "range", "id=1,n=3", "[]");
    gives(f, "params", "n=3,id=x", "{\"id\":\"x\",\"n\":3}");
    gives(f, "params", "all", "{}");
    gives(f, "twice", "n=4", "{\"n\":8}");
    gives(f, "nothing", "all", "null");
    gives(f, "alone", "all", "{\"none\":true}");
    gives(f, "nobody", "all", "{\"none\":true}");
    /* events are those of stream.ndjson */
    char *stream = lib_stream(&f->l, "account", "1"), want[4096];
    const char *at = stream;
    struct str first = lib_line_next(&at), second = lib_line_next(&at);
    snprintf(want, sizeof want, "[%.*s,%.*s]", (int)first.n - 1, first.p, (int)second.n - 1, second.p);
    gives(f, "events", "id=1", want);
    gives(f, "events", "id=1,n=1", want);
    gives(f, "range", "id=1,n=1", want);
    snprintf(want, sizeof want, "[%.*s]", (int)second.n - 1, second.p);
    gives(f, "events", "id=1,n=2", want);
    gives(f, "range", "id=1,n=2", want);
    free(stream);
    assert_int_equal(lib_find(f->l.store, "account", "3", &a), INDEX_NONE);
}

/* States are seen as if they were copies; the same state all through a run. */
static void states_cannot_be_changed(void **state) {
    struct fixture *f = *state;
    add(f, "1", 5);
    gives(f, "both", "all", NULL);
    gives(f, "state", "id=1", "{\"got\":{\"sum\":5}}");
}

static void what_there_is_not_is_an_error_of_the_handler(void **state) {
    struct fixture *f = *state;
    struct query_result *r;
    static const struct {
        const char *params, *words;
    } cases[] = {{"id=view", "no view"}, {"id=keys", "no view"}, {"id=state", "type/id"}, {"id=events", "type/id"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(open_as(f, "unknown", cases[i].params, false, &lib_caller, &r), 0);
        char *text = strndup(r->text.p, r->text.n);
        if (!strstr(text, "\"ok\":false") || !strstr(text, cases[i].words))
            fail_msg("%s: %s", cases[i].params, text);
        free(text);
        query_result_unref(r);
    }
    fails(f, "index", "id=1", EIO);
    told(f, 1, "{\"what\":\"query index\"}");
    fails(f, "state", "id=.x", EIO);
    fails(f, "events", "id=1,n=0", EIO);
}

/* --- names and numbers */

static void queries_have_numbers(void **state) {
    struct fixture *f = *state;
    struct query_info info = {0}, again;
    size_t n = 0;
    while (queries_after(f->qs, info.no, &info) == 0) {
        n++;
        assert_int_equal(queries_get(f->qs, info.no, &again), 0);
        assert_true(str_eq(info.name, again.name));
        assert_int_equal(queries_find(f->qs, info.name, &again), 0);
        assert_int_equal(info.no, again.no);
    }
    size_t want = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        want += strncmp(files[i].name, "queries/", 8) == 0;
    assert_int_equal(n, want);
    assert_int_equal(queries_find(f->qs, STR("vie"), &info), QUERY_NONE);
    assert_int_equal(queries_get(f->qs, 0, &info), QUERY_NONE);
    assert_int_equal(queries_get(f->qs, (uint32_t)n + 1, &info), QUERY_NONE);
    assert_int_equal(queries_after(f->qs, UINT32_MAX, &info), QUERY_NONE);
}

static void names_are_checked_and_made_canonical(void **state) {
    struct fixture *f = *state;
    struct buf canonical = {0};
    struct err err = {0};
    uint32_t no = number(f, "view");
    assert_int_equal(queries_name(f->qs, no, STR("n=1,id=a%62c"), &canonical, &err), 0);
    assert_true(str_eq(buf_str(&canonical), STR("id=abc,n=1")));
    assert_int_equal(queries_name(f->qs, no, STR("n=x"), &canonical, &err), -EINVAL);
    assert_non_null(strstr(err.text, "n must be an integer"));
    assert_int_equal(queries_name(f->qs, no, STR("x=1"), &canonical, &err), -EINVAL);
    assert_int_equal(queries_name(f->qs, 1000, STR("all"), &canonical, &err), QUERY_NONE);
    buf_free(&canonical);
    fails(f, "view", "n=x", EINVAL);
    fails(f, "view", "x=1", EINVAL);
    struct query_result *r;
    assert_int_equal(open_as(f, "view", "{\"n\":\"1\"}", true, &lib_caller, &r), -EINVAL);
    assert_int_equal(open_as(f, "view", "[]", true, &lib_caller, &r), -EBADMSG);
    struct waiting w = WAITING;
    queries_open(f->qs, 1000, STR("all"), &lib_caller, opened, &w);
    wait_for(&w);
    assert_int_equal(w.result, -ENOENT);
    told(f, 0, NULL);
}

/* --- the cache */

static void the_same_is_computed_once(void **state) {
    struct fixture *f = *state;
    struct query_result *r;
    uint64_t no = gives(f, "params", "id=a,n=1", NULL);
    assert_int_equal(gives(f, "params", "id=a,n=1", NULL), no);
    assert_int_equal(gives(f, "params", "n=1,id=%61", NULL), no);
    assert_int_equal(open_as(f, "params", "{\"n\":1,\"id\":\"a\"}", true, &lib_caller, &r), 0);
    assert_int_equal(result_take(r, "call", NULL), no);
    assert_int_not_equal(gives(f, "params", "id=a,n=2", NULL), no);
    assert_int_not_equal(gives(f, "params", "id=a", NULL), no);
    assert_int_not_equal(gives(f, "twice", "id=a,n=1", NULL), no);
    assert_int_equal(gives(f, "params", "id=a,n=1", NULL), no);
}

static void results_say_when_and_as_of_what(void **state) {
    struct fixture *f = *state;
    struct query_result *r;
    struct timespec t;
    add(f, "1", 5);
    add(f, "1", 5);
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t before = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
    assert_int_equal(open_as(f, "params", "all", false, &lib_caller, &r), 0);
    clock_gettime(CLOCK_REALTIME, &t);
    assert_true(r->computed_at >= before);
    assert_true(r->computed_at <= (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000);
    assert_int_equal(r->position, 2);
    query_result_unref(r);
}

static void what_is_cached_can_be_looked_at(void **state) {
    struct fixture *f = *state;
    struct query_result *r;
    uint32_t no = number(f, "state");
    add(f, "1", 5);
    assert_int_equal(queries_cached(f->qs, no, STR("id=1"), &lib_caller.who, &r), QUERY_NONE);
    assert_null(r);
    uint64_t result = gives(f, "state", "id=1", NULL);
    assert_int_equal(queries_cached(f->qs, no, STR("id=1"), &lib_caller.who, &r), 0);
    assert_int_equal(result_take(r, "state", "{\"got\":{\"sum\":5}}"), result);
    assert_int_equal(queries_cached(f->qs, no, STR("id=2"), &lib_caller.who, &r), QUERY_NONE);
    assert_int_equal(queries_cached(f->qs, 1000, STR("id=1"), &lib_caller.who, &r), QUERY_NONE);
    add(f, "1", 5);
    assert_int_equal(queries_cached(f->qs, no, STR("id=1"), &lib_caller.who, &r), QUERY_NONE);
}

static void what_is_cached_is_listed_and_evicted(void **state) {
    struct fixture *f = *state;
    struct query_cached listed[4];
    struct query_result *r;
    uint32_t no = number(f, "params");
    assert_int_equal(queries_list(f->qs, no, 0, listed, 4), 0);
    gives(f, "params", "n=1,id=b", NULL);
    gives(f, "params", "all", NULL);
    gives(f, "twice", "n=1", NULL);
    assert_int_equal(open_as(f, "params", "{\"id\":\"c\"}", true, &lib_caller, &r), 0);
    query_result_unref(r);
    assert_int_equal(queries_list(f->qs, no, 0, listed, 4), 3);
    assert_true(str_eq((struct str){listed[0].name, listed[0].bytes}, STR("id=b,n=1")));
    assert_true(str_eq((struct str){listed[1].name, listed[1].bytes}, STR("all")));
    assert_true(str_eq((struct str){listed[2].name, listed[2].bytes}, STR("id=c")));
    assert_int_equal(queries_list(f->qs, no, listed[1].no, listed, 4), 1);
    uint64_t before = gives(f, "params", "id=b,n=1", NULL);
    assert_int_equal(queries_evict(f->qs, no, STR("n=1,id=b")), 0);
    assert_int_equal(queries_evict(f->qs, no, STR("n=1,id=b")), QUERY_NONE);
    assert_int_equal(queries_evict(f->qs, no, STR("n=x")), QUERY_NONE);
    assert_int_equal(queries_evict(f->qs, 1000, STR("all")), QUERY_NONE);
    assert_int_equal(queries_list(f->qs, no, 0, listed, 4), 2);
    assert_int_not_equal(gives(f, "params", "id=b,n=1", NULL), before);
}

/* What is listed is good. */
static void what_may_not_be_used_is_not_listed(void **state) {
    struct fixture *f = *state;
    struct query_cached listed[4];
    gives(f, "state", "id=1", NULL);
    gives(f, "state", "id=2", NULL);
    add(f, "2", 1);
    assert_int_equal(queries_list(f->qs, number(f, "state"), 0, listed, 4), 1);
    assert_true(str_eq((struct str){listed[0].name, listed[0].bytes}, STR("id=1")));
}

/* --- what an entry depends on */

struct change {
    const char *query, *params;
    bool ends; /* this change is the end of it */
};

/* Computes all of them, does something, and sees which were computed anew. */
static void changes(struct fixture *f, const struct change *c, size_t n, void (*something)(struct fixture *)) {
    uint64_t before[16];
    for (size_t i = 0; i < n; i++)
        before[i] = gives(f, c[i].query, c[i].params, NULL);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(gives(f, c[i].query, c[i].params, NULL), before[i]);
    something(f);
    for (size_t i = 0; i < n; i++) {
        bool same = gives(f, c[i].query, c[i].params, NULL) == before[i];
        if (same == c[i].ends)
            fail_msg("%s %s was %s", c[i].query, c[i].params, same ? "used" : "made again");
    }
}

#define CHANGES(f, c, something) changes(f, c, sizeof(c) / sizeof *(c), something)

static void add_to_one(struct fixture *f) {
    add(f, "1", 1);
    views_catch_up(f);
}

static void a_change_of_one_aggregate(void **state) {
    struct fixture *f = *state;
    static const struct change c[] = {
        {"view", "id=1", true},        {"view", "id=2", false},      {"view", "id=3", false},
        {"keys", "id=", false},        {"state", "id=1", true},      {"state", "id=2", false},
        {"state", "id=3", false},      {"events", "id=1,n=1", true}, {"events", "id=2,n=1", false},
        {"events", "id=3,n=1", false}, {"params", "id=1", false},    {"caught", "id=1", true},
    };
    add(f, "1", 1);
    add(f, "2", 1);
    views_catch_up(f);
    CHANGES(f, c, add_to_one);
    CHANGES(f, c, add_to_one);
}

static void add_three(struct fixture *f) {
    add(f, "3", 1);
    views_catch_up(f);
}

static void what_was_looked_for_in_vain_is_found(void **state) {
    struct fixture *f = *state;
    static const struct change c[] = {
        {"view", "id=1", false},  {"view", "id=3", true},   {"view", "id=4", false},       {"keys", "id=", true},
        {"keys", "id=3", true},   {"state", "id=1", false}, {"state", "id=3", true},       {"events", "id=3,n=1", true},
        {"state", "id=4", false}, {"caught", "id=3", true}, {"events", "id=4,n=1", false},
    };
    add(f, "1", 1);
    views_catch_up(f);
    CHANGES(f, c, add_three);
}

static void declared(void *arg, enum outcome outcome) {
    answered(arg, outcome == OUTCOME_OK ? 0 : -1, NULL);
}

static void declare(struct fixture *f,
                    void (*how)(struct store *, struct str, struct str, const struct caller *, store_done *, void *)) {
    struct waiting w = WAITING;
    how(f->l.store, STR("other"), STR("9"), &lib_caller, declared, &w);
    wait_for(&w);
    assert_int_equal(w.result, 0);
}

static void make_nine(struct fixture *f) {
    declare(f, store_declare);
}

static void remove_nine(struct fixture *f) {
    declare(f, store_undeclare);
}

/* No event tells of them. */
static void aggregates_without_events_come_and_go(void **state) {
    struct fixture *f = *state;
    static const struct change c[] = {{"other", "id=9", true}, {"other", "id=8", false}};
    gives(f, "other", "id=9", "{\"got\":null}");
    CHANGES(f, c, make_nine);
    gives(f, "other", "id=9", "{\"got\":{}}");
    CHANGES(f, c, remove_nine);
    gives(f, "other", "id=9", "{\"got\":null}");
    CHANGES(f, c, make_nine);
}

static void make_nine_anew(struct fixture *f) {
    remove_nine(f);
    make_nine(f);
}

/* It has the same name and the same version: its number alone tells. */
static void an_aggregate_that_is_made_anew_is_another_one(void **state) {
    struct fixture *f = *state;
    static const struct change c[] = {{"other", "id=9", true}, {"other", "id=8", false}, {"events", "id=9,n=1", false}};
    struct index_aggregate before, after;
    make_nine(f);
    assert_int_equal(lib_find(f->l.store, "other", "9", &before), 0);
    CHANGES(f, c, make_nine_anew);
    assert_int_equal(lib_find(f->l.store, "other", "9", &after), 0);
    assert_int_not_equal(after.no, before.no);
    assert_int_equal(after.version, before.version);
}

/* What was read twice, and was another thing each time, can never be so again: no order of the reads hides one. */
static void all_that_was_read_of_one_thing_must_hold(void **state) {
    struct fixture *f = *state;
    const struct query_source source = {store_index(f->l.store), store_views(f->l.store)};
    struct query_moment began;
    query_moment_get(&source, &began);
    struct query_reads *r = query_reads_new(&began), *twice = query_reads_new(&began);
    query_reads_aggregate(r, STR("other/9"), 0, 0);
    query_reads_aggregate(twice, STR("other/9"), 0, 0);
    query_reads_aggregate(twice, STR("other/9"), 7, 0);
    assert_int_equal(query_reads_count(twice), 2);
    add(f, "far", 1);
    assert_true(query_reads_hold(r, &source));
    assert_false(query_reads_hold(twice, &source));
    query_reads_unref(r);
    query_reads_unref(twice);
}

static void make_bad(struct fixture *f) {
    name(f, "1", "bad");
    views_catch_up(f);
}

static void make_good(struct fixture *f) {
    name(f, "1", "good");
    views_catch_up(f);
}

/* A text that is not there because `output` failed is something that was read. */
static void what_cannot_be_shown_is_read(void **state) {
    struct fixture *f = *state;
    static const struct change c[] = {{"caught", "id=1", true}, {"caught", "id=2", false}, {"keys", "id=", false}};
    add(f, "1", 1);
    add(f, "2", 1);
    views_catch_up(f);
    CHANGES(f, c, make_bad);
    gives(f, "caught", "id=1", "{\"ok\":false,\"sum\":null}");
    fails(f, "view", "id=1", EIO);
    CHANGES(f, c, make_good);
    gives(f, "caught", "id=1", "{\"ok\":true,\"sum\":1}");
}

static void rebuild(struct fixture *f) {
    struct view_info before, after;
    assert_int_equal(views_find(store_views(f->l.store), STR("sums"), &before), 0);
    assert_int_equal(views_rebuild(store_views(f->l.store), before.no), 0);
    do {
        usleep(1000);
        assert_int_equal(views_find(store_views(f->l.store), STR("sums"), &after), 0);
    } while (before.build == after.build);
}

static void a_view_that_is_made_anew_is_another_one(void **state) {
    struct fixture *f = *state;
    static const struct change c[] = {
        {"view", "id=1", true}, {"view", "id=3", true}, {"keys", "id=", true}, {"state", "id=1", false}};
    add(f, "1", 1);
    views_catch_up(f);
    CHANGES(f, c, rebuild);
    gives(f, "view", "id=1", "{\"got\":{\"sum\":1}}");
}

static void add_far_away(struct fixture *f) {
    add(f, "far", 1);
}

/* So many cannot be looked at again. */
static void of_too_many_reads_every_change_is_the_end(void **state) {
    struct fixture *f = *state;
    static const struct change c[] = {{"many", "n=10000", false}, {"many", "n=10001", true}};
    CHANGES(f, c, add_far_away);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(it_reads_views_states_and_events),
        TEST(states_cannot_be_changed),
        TEST(what_there_is_not_is_an_error_of_the_handler),
        TEST(queries_have_numbers),
        TEST(names_are_checked_and_made_canonical),
        TEST(the_same_is_computed_once),
        TEST(results_say_when_and_as_of_what),
        TEST(what_is_cached_can_be_looked_at),
        TEST(what_is_cached_is_listed_and_evicted),
        TEST(what_may_not_be_used_is_not_listed),
        TEST(a_change_of_one_aggregate),
        TEST(what_was_looked_for_in_vain_is_found),
        TEST(aggregates_without_events_come_and_go),
        TEST(an_aggregate_that_is_made_anew_is_another_one),
        TEST(all_that_was_read_of_one_thing_must_hold),
        TEST(what_cannot_be_shown_is_read),
        TEST(a_view_that_is_made_anew_is_another_one),
        TEST(of_too_many_reads_every_change_is_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
