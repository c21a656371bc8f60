/* Handlers of queries: what q gives, what comes out, and what it may cost. */
#include "lib_script.h"

/* What there is to be asked for, and what was. */
struct world {
    struct fixture *f;
    struct script_source source;
    struct buf asked; /* a line each */
    script_value state;
    size_t large; /* items of the view "large" */
    script_value output;
    atomic_bool stop; /* set by the view "stop" */
};

static int world_view(void *arg, struct str view, struct str key, struct buf *out, struct err *err) {
    struct world *w = arg;
    buf_printf(&w->asked, "view %.*s %.*s\n", (int)view.n, view.p, (int)key.n, key.p);
    if (str_eq(view, STR("stop")))
        atomic_store(&w->stop, true);
    if (str_eq(view, STR("broken")))
        return err_set(err, EIO, "the disk is gone");
    if (str_eq(view, STR("failing")))
        return SCRIPT_FAILED;
    if (str_eq(view, STR("garbled")))
        buf_put_text(out, "{\"n\":");
    if (str_eq(view, STR("by_customer")) && !str_eq(key, STR("nobody")))
        buf_put_text(out, "{\"n\":1.10,\"list\":[{\"x\":null}],\"empty\":[],\"o\":{}}");
    if (str_eq(view, STR("text")))
        buf_put_text(out, "\"a, [b], {c} \\\"d\\\"\"");
    if (str_eq(view, STR("nested"))) {
        script_value live = of_json(w->f, "{\"deep\":true}");
        struct script_fault fault;
        int rc = script_output(w->f->s, w->output, live, key, out, &fault);
        script_drop(w->f->s, live);
        return rc ? err_set(err, EIO, "%s", fault.text) : 0;
    }
    if (str_eq(view, STR("large"))) {
        for (size_t i = 0; i < w->large; i++)
            buf_put_text(out, i ? ",1" : "[1");
        buf_put_char(out, ']');
    }
    return 0;
}

static int world_keys(void *arg, struct str view, struct str prefix, struct buf *out, struct err *err) {
    struct world *w = arg;
    buf_printf(&w->asked, "keys %.*s %.*s\n", (int)view.n, view.p, (int)prefix.n, prefix.p);
    if (!str_eq(view, STR("by_customer")))
        return err_set(err, ENOENT, "there is no view %.*s", (int)view.n, view.p);
    buf_put_text(out, "[\"alice\",\"\",\"bob\"]");
    return 0;
}

static int world_events(void *arg, struct str aggregate, uint64_t from, uint64_t to, struct buf *out, struct err *err) {
    struct world *w = arg;
    (void)err;
    buf_printf(&w->asked, "events %.*s %llu %llu\n", (int)aggregate.n, aggregate.p, (unsigned long long)from,
               (unsigned long long)to);
    if (str_eq(aggregate, STR("order/1")))
        buf_put_text(out, "[{\"type\":\"OrderPlaced\",\"version\":1,\"data\":{\"total\":1.50}}]");
    return 0;
}

static int world_state(void *arg, struct str aggregate, script_value *state, struct err *err) {
    struct world *w = arg;
    buf_printf(&w->asked, "state %.*s\n", (int)aggregate.n, aggregate.p);
    if (str_eq(aggregate, STR("order/x")))
        return err_set(err, EIO, "order/x cannot be folded");
    *state = str_eq(aggregate, STR("order/1")) ? w->state : 0;
    return 0;
}

static int world_setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    void *f;
    setup(&f);
    w->f = f;
    w->source = (struct script_source){
        .view = world_view, .keys = world_keys, .events = world_events, .state = world_state, .arg = w};
    w->state = of_json(w->f, "{\"status\":\"placed\",\"items\":[{\"n\":1.50}],\"e\":[]}");
    *state = w;
    return 0;
}

static int world_teardown(void **state) {
    struct world *w = *state;
    void *f = w->f;
    buf_free(&w->asked);
    teardown(&f);
    free(w);
    return 0;
}

static int query(struct world *w, const char *body, const char *post, const char *params, struct buf *out) {
    script_value run = function_of(w->f, "", body), after = post ? function_of(w->f, "", post) : 0;
    int rc = script_query(w->f->s, run, after, &w->source, tree(w->f, params), out, &w->f->fault);
    assert_string_equal(json_of(w->f, w->state), "{\"status\":\"placed\",\"items\":[{\"n\":1.50}],\"e\":[]}");
    script_drop(w->f->s, run);
    script_drop(w->f->s, after);
    return rc;
}

static void assert_query_with(struct world *w, const char *body, const char *post, const char *params,
                              const char *want) {
    struct buf out = {0};
    buf_put_text(&out, "> ");
    if (query(w, body, post, params, &out))
        fail_msg("%s\nfailed: %d: %s\n%s", body, w->f->fault.line, w->f->fault.text, w->f->fault.traceback);
    buf_put_char(&out, 0);
    if (strcmp(out.p + 2, want) != 0)
        fail_msg("%s\ngave %s, not %s", body, out.p + 2, want);
    buf_free(&out);
}

static void assert_query(struct world *w, const char *body, const char *want) {
    assert_query_with(w, body, NULL, "{}", want);
}

static void assert_query_fails(struct world *w, const char *body, const char *why) {
    struct buf out = {0};
    buf_put_text(&out, "> ");
    assert_int_equal(query(w, body, NULL, "{}", &out), SCRIPT_FAILED);
    assert_true(str_eq(buf_str(&out), STR("> ")));
    if (!strstr(w->f->fault.text, why))
        fail_msg("%s\nfailed with \"%s\", not \"%s\"", body, w->f->fault.text, why);
    buf_free(&out);
}

static void assert_asked(struct world *w, const char *want) {
    buf_put_char(&w->asked, 0);
    assert_string_equal(w->asked.p, want);
    buf_clear(&w->asked);
}

/* --- what comes out */

static void results_are_json(void **state) {
    struct world *w = *state;
    assert_query(w, "return { b = 1, a = array{}, n = null, d = decimal('1.10') }",
                 "{\"a\":[],\"b\":1,\"d\":1.10,\"n\":null}");
    assert_query(w, "return", "null");
    assert_query(w, "return null", "null");
    assert_query(w, "return 'x'", "\"x\"");
    assert_query(w, "return 7", "7");
    assert_query_with(w, "return b", NULL, "{\"customer\":\"alice\",\"min\":1.50}",
                      "{\"customer\":\"alice\",\"min\":1.50}");
    assert_query_with(w, "b.min = nil return b", NULL, "{\"customer\":\"alice\",\"min\":1}",
                      "{\"customer\":\"alice\"}");
    assert_query_fails(w, "return pcall", "the result: a function cannot be in JSON");
    assert_query_fails(w, "return a", "a function cannot be in JSON");
    assert_query_fails(w, "return { x = 0/0 }", "the result.x: the number is not a number");
    assert_query_fails(w, "return b.x.y", "attempt to index a nil value (field 'x')");
    assert_int_equal(w->f->fault.line, 3);
    assert_query_fails(w, "reject('no')", "reject() belongs into decide");
    assert_query_fails(w, "return event('X')", "event() belongs into decide");
}

static void post_has_the_last_word(void **state) {
    struct world *w = *state;
    assert_query_with(w, "b.n = 2 return { n = 1 }", "return { n = a.n + b.n }", "{\"n\":40}", "{\"n\":41}");
    assert_query_with(w, "return nil", "return a == nil", "{}", "true");
    assert_query_with(w, "return 1", "return", "{}", "null");
    assert_query_with(w, "return a.state('order/1')", "a.items[1].n = 2 return a", "{}",
                      "{\"status\":\"placed\",\"items\":[{\"n\":2}],\"e\":[]}");
    struct buf out = {0};
    assert_int_equal(query(w, "return 1", "return a.x.y", "{}", &out), SCRIPT_FAILED);
    buf_free(&out);
}

/* --- q */

static void views_can_be_asked_for(void **state) {
    struct world *w = *state;
    assert_query(w, "return a.view('by_customer', 'alice')",
                 "{\"n\":1.10,\"list\":[{\"x\":null}],\"empty\":[],\"o\":{}}");
    assert_query(w, "local v = a.view('by_customer', 'alice') v.n = v.n + 1 v.empty[1] = 2 return v",
                 "{\"n\":2.1,\"list\":[{\"x\":null}],\"empty\":[2],\"o\":{}}");
    assert_query(w, "return a.view('by_customer', 'nobody') == nil", "true");
    assert_query(w, "return a.view('text', '')", "\"a, [b], {c} \\\"d\\\"\"");
    assert_asked(w, "view by_customer alice\nview by_customer alice\nview by_customer nobody\nview text \n");
    assert_query(w, "a.view('x', 7) a.view('x', 7.0) a.view('x', decimal('1.50')) a.view('x', true) a.view('x', 'é')",
                 "null");
    assert_asked(w, "view x 7\nview x 7\nview x 1.5\nview x true\nview x é\n");
    assert_query_fails(w, "a.view('x')", "q.view() takes the name of a view and a key, as q.view(name, key)");
    assert_query_fails(w, "a.view('x', {})", "and the key is a table");
    assert_query_fails(w, "a.view(7, 'x')", "q.view() takes the name of a view and a key");
    assert_query_fails(w, "a:view('x', 'y')", "as q.view(name, key), not a table");
    assert_query_fails(w, "a.view('broken', 'x')", "q.view(\"broken\"): the disk is gone");
    assert_query_fails(w, "a.view('failing', 'x')", "q.view(\"failing\"): Input/output error");
    assert_query_fails(w, "a.view('garbled', 'x')", "q.view() gave what is no JSON");
    assert_query(w, "local ok, why = pcall(a.view, 'broken', 'x') return { ok, why }",
                 "[false,\"q.view(\\\"broken\\\"): the disk is gone\"]");
}

static void keys_can_be_asked_for(void **state) {
    struct world *w = *state;
    assert_query(w, "return a.keys('by_customer')", "[\"alice\",\"\",\"bob\"]");
    assert_query(w, "local n = 0 for _, k in ipairs(a.keys('by_customer', 'a')) do n = n + #k end return n", "8");
    assert_asked(w, "keys by_customer \nkeys by_customer a\n");
    assert_query_fails(w, "a.keys('other')", "q.keys(\"other\"): there is no view other");
    assert_query_fails(w, "a.keys()", "q.keys() takes the name of a view");
    assert_query_fails(w, "a.keys('by_customer', 7)", "q.keys() takes the name of a view, and what keys begin with");
    assert_query_fails(w, "a.keys('by_customer', ('\u00fc'):sub(1, 1))", "q.keys(): what keys begin with is no UTF-8");
}

static void states_can_be_asked_for(void **state) {
    struct world *w = *state;
    assert_query(w, "return a.state('order/1').status", "\"placed\"");
    assert_query(w, "return a.state('order/1')", "{\"status\":\"placed\",\"items\":[{\"n\":1.50}],\"e\":[]}");
    assert_query(w, "return { both = { a.state('order/1').items, a.state('order/1').items } }",
                 "{\"both\":[[{\"n\":1.50}],[{\"n\":1.50}]]}");
    assert_query(w, "local s = a.state('order/1') s.status = nil s.items[1].n = 'x' table.insert(s.e, 1) return s",
                 "{\"items\":[{\"n\":\"x\"}],\"e\":[1]}");
    assert_query(w, "return a.state('order/2') == nil", "true");
    assert_query_fails(w, "a.state('order/x')", "q.state(\"order/x\"): order/x cannot be folded");
    assert_query_fails(w, "a.state(7)", "q.state() takes the name of an aggregate, like \"customer/7\"");
    assert_query_fails(w, "a:state('order/1')", "q.state() takes the name of an aggregate");
}

static void events_can_be_asked_for(void **state) {
    struct world *w = *state;
    assert_query(w, "return a.events('order/1')",
                 "[{\"type\":\"OrderPlaced\",\"version\":1,\"data\":{\"total\":1.50}}]");
    assert_query(w, "return #a.events('order/1', 2)", "1");
    assert_query(w, "return #a.events('order/1', nil, 7)", "1");
    assert_query(w, "return a.events('order/2', 3, 7.0) == nil", "true");
    assert_asked(w, "events order/1 1 18446744073709551615\nevents order/1 2 18446744073709551615\n"
                    "events order/1 1 7\nevents order/2 3 7\n");
    static const char *const wrong[] = {"0", "-1", "1.5", "'1'", "{}", "1, 0", "1, -1", "1, 'x'", "1/0"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char code[64];
        snprintf(code, sizeof code, "a.events('order/1', %s)", wrong[i]);
        assert_query_fails(w, code, "q.events() takes the versions of the first and the last event, whole numbers");
    }
    assert_query_fails(w, "a.events()", "q.events() takes the name of an aggregate, like \"customer/7\", not a nil");
}

static void the_caller_is_there_when_it_was_given(void **state) {
    struct world *w = *state;
    assert_query_fails(w, "return a.caller", "q.caller is there with cache = \"per_caller\" alone");
    assert_query_fails(w, "return a.caller.uid", "q.caller is there with cache = \"per_caller\" alone");
    assert_query(w, "return a.nothing == nil and a[1] == nil", "true");
    w->source.caller = tree(w->f, "{\"uid\":1000,\"gids\":[100,27]}");
    assert_query(w, "return a.caller", "{\"uid\":1000,\"gids\":[100,27]}");
    assert_query(w, "return a.caller.uid", "1000");
}

static void calls_inside_a_query_are_their_own(void **state) {
    struct world *w = *state;
    w->output = function_of(w->f, "", "a.deep = b return a");
    assert_query(w, "local s = a.state('order/1') local v = a.view('nested', 'k') s.items[2] = v return s.items",
                 "[{\"n\":1.50},{\"deep\":\"k\"}]");
    w->output = function_of(w->f, "", "error('inside')");
    assert_query_fails(w, "a.view('nested', 'k')", "q.view(\"nested\"): inside");
    assert_query(w, "pcall(a.view, 'nested', 'k') return 1", "1");
    w->output = function_of(w->f, "", "while true do end");
    assert_query_fails(w, "a.view('nested', 'k')", "the handler ran more than 10000000 instructions");
    assert_query(w, "return 1", "1");
}

/* --- limits */

static void assert_limit(struct world *w, const char *body, const char *why) {
    assert_query_fails(w, body, why);
    assert_query(w, "return 1", "1");
}

static void queries_are_limited(void **state) {
    struct world *w = *state;
    struct buf out = {0};
    assert_limit(w, "while true do pcall(function() while true do end end) end",
                 "the handler ran more than 10000000 instructions");
    assert_limit(w, "local s = 'x' while true do s = s .. s end", "the handler used more than 64 MiB of memory");
    assert_limit(w, "local t = {} while true do t[#t + 1] = a.view('by_customer', 'alice') end", "the handler ");
    assert_limit(w, "while true do pcall(a.view, 'by_customer', 'alice') end", "10000000 instructions");
    assert_limit(w, "local t = {} for i = 1, 100 do t[i] = ('x'):rep(1000000) end return t", "64 MiB");
    assert_int_equal(query(w, "return 1", "while true do end", "{}", &out), SCRIPT_FAILED);
    assert_non_null(strstr(w->f->fault.text, "the handler ran more than 10000000 instructions"));
    assert_int_equal(query(w, "for i = 1, 3000000 do end return 1", "for i = 1, 3000000 do end return 1", "{}", &out),
                     0);
    assert_int_equal(query(w, "for i = 1, 9000000 do end return 1", "for i = 1, 9000000 do end return 1", "{}", &out),
                     SCRIPT_FAILED);
    buf_free(&out);
}

/* A value that is asked for costs as if the handler had made it, before it is there. */
static void large_values_are_limited(void **state) {
    struct world *w = *state;
    w->large = 100000;
    assert_query(w, "return #a.view('large', 'x')", "100000");
    w->large = 12000000;
    assert_limit(w, "return #a.view('large', 'x')", "the handler ");
    assert_limit(w, "while true do pcall(a.view, 'large', 'x') end", "the handler ");
    w->large = 1000000;
    assert_query(w, "local n = 0 for i = 1, 3 do n = n + #a.view('large', 'x') end return n", "3000000");
    assert_limit(w, "local t = {} for i = 1, 9 do t[i] = a.view('large', 'x') end return #t",
                 "the handler used more than 64 MiB of memory");
}

static void seconds_of_a_query_are_limited(void **state) {
    struct world *w = *state;
    script_free(w->f->s);
    struct script_options options = {.limits = {.seconds = 1}};
    assert_int_equal(script_new(&w->f->s, &options), 0);
    w->state = of_json(w->f, "{\"status\":\"placed\",\"items\":[{\"n\":1.50}],\"e\":[]}");
    assert_limit(w, "local x = ('x'):rep(8000000) local y = x .. 'y' x = x .. 'x' while true do local z = x < y end",
                 "the handler ran for more than 1 s");
}

static void assert_stopped(struct world *w, const char *body) {
    atomic_store(&w->stop, false);
    assert_query_fails(w, body, "the handler was stopped");
    atomic_store(&w->stop, false);
    assert_query(w, "return 1", "1");
}

/* Each of them would come to its end. */
static void what_is_to_stop_stops(void **state) {
    struct world *w = *state;
    script_stop_when(w->f->s, &w->stop);
    assert_query(w, "for i = 1, 1000000 do end return 1", "1");
    assert_stopped(w, "a.view('stop', '') for i = 1, 1000000 do end return 1");
    assert_stopped(w, "a.view('stop', '') pcall(function() for i = 1, 1000000 do end end) return 1");
    assert_stopped(w, "a.view('stop', '') local n = 0 for i = 1, 9 do n = n + #('x'):rep(20000 + i) end return n");
    script_stop_when(w->f->s, NULL);
    assert_query(w, "a.view('stop', '') for i = 1, 1000000 do end return 1", "1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(results_are_json),
        TEST(post_has_the_last_word),
        TEST(views_can_be_asked_for),
        TEST(keys_can_be_asked_for),
        TEST(states_can_be_asked_for),
        TEST(events_can_be_asked_for),
        TEST(the_caller_is_there_when_it_was_given),
        TEST(calls_inside_a_query_are_their_own),
        TEST(queries_are_limited),
        TEST(large_values_are_limited),
        TEST(seconds_of_a_query_are_limited),
        TEST(what_is_to_stop_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
