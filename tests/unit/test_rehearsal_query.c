/* Queries of a rehearsal answer what those of a store do: results, refusals and their words. */
#include "lib_queries.h"
#include "rehearsal.h"

/* A store whose mount is of the group that a rehearsal's is of, and a rehearsal of the same domain. */
struct both {
    struct fixture store;
    struct rehearsal *r;
};

static int both_setup(void **state) {
    struct both *b = calloc(1, sizeof *b);
    struct fixture *f = NULL;
    struct err err = {0};
    void *made;
    setup(&made);
    f = made;
    store_close(f->l.store);
    f->l.options.ownership = (struct ownership){.uid = 1000, .root_allowed = true};
    lib_store_open(&f->l);
    f->qs = store_queries(f->l.store);
    lib_domain_reload(&f->domain);
    if (rehearsal_new(&b->r, f->domain.d, &err) != 0)
        fail_msg("%s", err.text);
    b->store = *f;
    free(f);
    *state = b;
    return 0;
}

static int both_teardown(void **state) {
    struct both *b = *state;
    void *made = malloc(sizeof b->store);
    memcpy(made, &b->store, sizeof b->store);
    rehearsal_free(b->r);
    free(b);
    return teardown(&made);
}

/* --- the same to both */

static void append(struct both *b, const char *aggregate, const char *type, const char *data) {
    static const struct rehearsal_caller anyone = {0};
    struct rehearsal_result result;
    char json[512];
    snprintf(json, sizeof json, "{\"aggregate\":\"%s\",\"type\":\"%s\",\"data\":%s}", aggregate, type, data);
    send(&b->store, "%s", json);
    assert_int_equal(rehearsal_send(b->r, str_of(json), &anyone, &result), 0);
    assert_int_equal(result.refusal.outcome, OUTCOME_OK);
}

static int rehearsal_gives(struct both *b, const char *query, const char *text, bool call, const struct identity *who,
                           struct buf *out, struct err *err) {
    struct script_fault fault;
    char file[600];
    snprintf(file, sizeof file, "%s%s", text, call ? "" : ".json");
    const struct rehearsal_question q = {.query = str_of(query), .params = str_of(file), .file = !call, .who = who};
    return rehearsal_ask(b->r, &q, out, &fault, err);
}

static void said(const char *lines, const char *member, const char *words) {
    struct buf want = {0};
    buf_printf(&want, "{\"%s\":", member);
    buf_put_json_string(&want, str_of(words));
    buf_put_text(&want, "}");
    buf_put_char(&want, 0);
    LINE_HAS(lines, lib_count(lines, "\n") - 1, want.p);
    buf_free(&want);
}

/* The words of a refusal are what the store has told whoever looks for them. */
static void words_are_the_same(struct both *b, const char *query, const struct err *err) {
    if (err->code == EACCES)
        return;
    bool asked = err->code == EINVAL || err->code == EBADMSG || err->code == ENAMETOOLONG;
    struct journal *j =
        asked ? queries_refusals(b->store.qs, number(&b->store, query)) : store_errors(b->store.l.store);
    char *lines = lib_topic(j, "");
    said(lines, asked ? "detail" : "error", err->text);
    free(lines);
}

/* Asks both; gives the errno. */
static int ask(struct both *b, const char *query, const char *text, bool call, const struct identity *who) {
    const struct caller caller = {.who = who ? *who : (struct identity){0}};
    struct query_result *r;
    struct buf got = {0};
    struct err err = {0};
    views_catch_up(&b->store);
    int code = -open_as(&b->store, query, text, call, &caller, &r);
    int rc = rehearsal_gives(b, query, text, call, who, &got, &err);
    if (rc != (code ? REHEARSAL_REFUSED : 0))
        fail_msg("%s %s: %d %s, not %d", query, text, rc, err.text, code);
    if (rc == 0)
        assert_int_equal(r->text.n, got.n + 1);
    if (rc == 0 && memcmp(r->text.p, got.p, got.n) != 0)
        fail_msg("%s %s: %.*s, not %.*s", query, text, (int)got.n, got.p, (int)r->text.n, r->text.p);
    if (rc != 0) {
        assert_int_equal(err.code, code);
        assert_int_equal(got.n, 0);
        words_are_the_same(b, query, &err);
    }
    query_result_unref(r);
    buf_free(&got);
    return code;
}

static void answers(struct both *b, const char *query, const char *text) {
    assert_int_equal(ask(b, query, text, text[0] == '{', NULL), 0);
}

static void refuses(struct both *b, const char *query, const char *text, int code) {
    assert_int_equal(ask(b, query, text, text[0] == '{' || text[0] == '[', NULL), code);
}

/* --- what is read */

static void states_and_events(void **state) {
    struct both *b = *state;
    answers(b, "state", "id=1");
    answers(b, "events", "id=1");
    append(b, "account/1", "Add", "{\"n\":1.50}");
    append(b, "account/1", "Add", "{\"n\":2}");
    append(b, "account/1", "Name", "{\"name\":\"\\u00e9\\\"\"}");
    append(b, "other/1", "Do", "{}");
    answers(b, "state", "id=1");
    answers(b, "state", "{\"id\":\"1\"}");
    answers(b, "both", "all");
    answers(b, "other", "id=1");
    answers(b, "other", "id=2");
    answers(b, "alone", "all");
}

/* Times are each store's own: they are compared without them. */
static void events_are_as_the_store_shows_them(void **state) {
    struct both *b = *state;
    struct buf got = {0};
    struct err err = {0};
    append(b, "account/1", "Add", "{\"n\":1}");
    append(b, "account/1", "Add", "{\"n\":2}");
    append(b, "account/1", "Name", "{\"name\":\"x\"}");
    assert_int_equal(rehearsal_gives(b, "range", "id=1,n=2", false, NULL, &got, &err), 0);
    buf_put_char(&got, 0);
    assert_int_equal(lib_count(got.p, "\"type\":\""), 2);
    assert_non_null(strstr(got.p, "\"data\":{\"n\":2}"));
    assert_non_null(strstr(got.p, "\"version\":3"));
    assert_non_null(strstr(got.p, "2026-01-01T00:00:00"));
    buf_clear(&got);
    assert_int_equal(rehearsal_gives(b, "range", "id=1,n=4", false, NULL, &got, &err), 0);
    assert_true(str_eq(buf_str(&got), STR("[]")));
    buf_free(&got);
}

/* An aggregate that was named, or that a refused command was for, has no events and is not there. */
static void what_was_only_named_is_not_there(void **state) {
    struct both *b = *state;
    struct buf got = {0};
    struct err err = {0};
    assert_int_equal(rehearsal_state(b->r, STR("account/7"), &got, &err), 0);
    buf_clear(&got);
    assert_int_equal(rehearsal_gives(b, "state", "id=7", false, NULL, &got, &err), 0);
    assert_true(str_eq(buf_str(&got), STR("{\"got\":null}")));
    buf_free(&got);
}

static void views_and_their_keys(void **state) {
    struct both *b = *state;
    static const char *const ids[] = {"b", "a", "a-b", "10", "9", "\u00e9", "caf\u00e9", "a.b", "~"};
    answers(b, "view", "id=1");
    answers(b, "keys", "id=");
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char aggregate[32];
        snprintf(aggregate, sizeof aggregate, "account/%s", ids[i]);
        append(b, aggregate, "Add", "{\"n\":0.10}");
    }
    answers(b, "keys", "id=");
    answers(b, "keys", "all");
    answers(b, "keys", "id=a");
    answers(b, "keys", "id=caf\u00e9");
    answers(b, "keys", "id=zz");
    answers(b, "view", "id=a");
    answers(b, "view", "id=\u00e9");
    answers(b, "view", "id=none");
    rehearsal_clear(b->r);
    struct buf got = {0};
    struct err err = {0};
    assert_int_equal(rehearsal_gives(b, "keys", "all", false, NULL, &got, &err), 0);
    assert_true(str_eq(buf_str(&got), STR("[]")));
    buf_free(&got);
}

static void parameters_and_what_comes_after(void **state) {
    struct both *b = *state;
    answers(b, "params", "n=7,id=7");
    answers(b, "params", "all");
    answers(b, "params", "{\"n\":7,\"id\":\"a/b\"}");
    answers(b, "twice", "n=21");
    answers(b, "nothing", "all");
}

/* --- what is refused */

static void parameters_that_do_not_fit(void **state) {
    struct both *b = *state;
    char longest[QUERY_NAME_MAX + 8];
    refuses(b, "params", "n=x", EINVAL);
    refuses(b, "params", "{\"n\":\"x\"}", EINVAL);
    refuses(b, "params", "n=1,n=2", EINVAL);
    refuses(b, "params", "id=%zz", EINVAL);
    refuses(b, "params", "[1]", EBADMSG);
    refuses(b, "params", "{", EBADMSG);
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "id=", 3);
    longest[sizeof longest - 1] = 0;
    refuses(b, "params", longest, ENAMETOOLONG);
}

static void a_file_that_is_none(void **state) {
    struct both *b = *state;
    static const char *const names[] = {"all", ".json", "n=1.jso", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct rehearsal_question q = {.query = STR("params"), .params = str_of(names[i]), .file = true};
        struct script_fault fault;
        struct buf got = {0};
        struct err err = {0};
        assert_int_equal(rehearsal_ask(b->r, &q, &got, &fault, &err), REHEARSAL_REFUSED);
        assert_int_equal(err.code, ENOENT);
        assert_string_equal(err.text, "a result's file has a name like \"all.json\" or \"min=1.json\"");
    }
}

static void who_may_not_ask(void **state) {
    struct both *b = *state;
    static const uint32_t groups[] = {30, 20};
    const struct identity ann = {.uid = 1001, .gid = 100, .gids = groups, .n_gids = 2},
                          secretary = {4242, 4242, NULL, 0}, of_the_mount = {.uid = 7, .gid = 0};
    assert_int_equal(ask(b, "secret", "all", false, &ann), EACCES);
    assert_int_equal(ask(b, "secret", "all", false, &secretary), 0);
    assert_int_equal(ask(b, "secret", "all", false, NULL), 0);
    assert_int_equal(ask(b, "shared", "all", false, &ann), 0);
    assert_int_equal(ask(b, "params", "all", false, &ann), EACCES);
    assert_int_equal(ask(b, "params", "all", false, &of_the_mount), 0);
    assert_int_equal(ask(b, "whoami", "all", false, &of_the_mount), 0);
    assert_int_equal(ask(b, "whoami", "all", false, NULL), 0);
    assert_int_equal(ask(b, "nobody", "all", false, NULL), 0);
    struct buf got = {0};
    struct err err = {0};
    assert_int_equal(rehearsal_gives(b, "secret", "all", false, &ann, &got, &err), REHEARSAL_REFUSED);
    assert_string_equal(err.text, "uid 1001 may not ask secret");
}

static void handlers_that_fail(void **state) {
    struct both *b = *state;
    refuses(b, "broken", "id=x", EIO);
    refuses(b, "fails", "all", EIO);
    refuses(b, "index", "id=x", EIO);
    refuses(b, "endless", "all", EIO);
    refuses(b, "big", "n=16777214", EFBIG);
    refuses(b, "big", "n=100000000", EIO);
    for (int i = 1; i <= 20; i++) {
        char aggregate[32];
        snprintf(aggregate, sizeof aggregate, "account/%d", i);
        append(b, aggregate, "Name", "{\"name\":\"large\"}");
    }
    answers(b, "states", "n=12");
    refuses(b, "states", "n=20", EIO);
}

static void what_a_handler_may_catch(void **state) {
    struct both *b = *state;
    static const char *const functions[] = {"view", "keys", "state", "events"};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        char text[32];
        snprintf(text, sizeof text, "id=%s", functions[i]);
        answers(b, "unknown", text);
    }
}

static void a_failure_has_its_place(void **state) {
    struct both *b = *state;
    const struct rehearsal_question q = {.query = STR("broken"), .params = STR("all.json"), .file = true};
    struct script_fault fault;
    struct buf got = {0};
    struct err err = {0};
    assert_int_equal(rehearsal_ask(b->r, &q, &got, &fault, &err), REHEARSAL_REFUSED);
    assert_string_equal(err.text, "queries/broken.lua:4: attempt to index a nil value (local 't')");
    assert_non_null(strstr(fault.traceback, "queries/broken.lua:4: in "));
    buf_free(&got);
}

static void has_no_query(struct both *b, const char *query, const char *words) {
    struct buf got = {0};
    struct err err = {0};
    assert_int_equal(rehearsal_gives(b, query, "all", false, NULL, &got, &err), -EINVAL);
    if (!strstr(err.text, words))
        fail_msg("%s", err.text);
}

static void a_query_that_is_not_there_is_told(void **state) {
    has_no_query(*state, "brocken", "the domain has no query \"brocken\", did you mean broken?");
    has_no_query(*state, "xxxxxxxxxxxxxxxx", "the domain has no query \"xxxxxxxxxxxxxxxx\"; it has alone, ");
}

/* A view that fails is the test's failure, not a refusal: on a mount it would show what was before. */
static void a_view_that_fails(void **state) {
    struct both *b = *state;
    static const struct rehearsal_caller anyone = {0};
    struct rehearsal_result result;
    struct buf got = {0};
    struct err err = {0};
    assert_int_equal(rehearsal_send(b->r,
                                    STR("{\"aggregate\":\"account/1\",\"type\":\"Name\",\"data\":{\"name\":\"bad\"}}"),
                                    &anyone, &result),
                     0);
    assert_int_equal(rehearsal_gives(b, "keys", "all", false, NULL, &got, &err), -EINVAL);
    assert_non_null(strstr(err.text, "view sums cannot show the file of key 1 after Named, event 1 of account/1: "));
}

#define BOTH(name) cmocka_unit_test_setup_teardown(name, both_setup, both_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(states_and_events),
        BOTH(events_are_as_the_store_shows_them),
        BOTH(what_was_only_named_is_not_there),
        BOTH(views_and_their_keys),
        BOTH(parameters_and_what_comes_after),
        BOTH(parameters_that_do_not_fit),
        BOTH(a_file_that_is_none),
        BOTH(who_may_not_ask),
        BOTH(handlers_that_fail),
        BOTH(what_a_handler_may_catch),
        BOTH(a_failure_has_its_place),
        BOTH(a_query_that_is_not_there_is_told),
        BOTH(a_view_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
