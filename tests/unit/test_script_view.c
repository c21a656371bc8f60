/* Handlers of views: key, on, output, path. */
#include "lib_script.h"

/* --- arguments */

static void functions_tell_what_they_take(void **state) {
    struct fixture *f = *state;
    script_value file = load(f, "return { none = function() end, two = function(a, b) end,\n"
                                "  any = function(...) end, c = tostring, table = {} }");
    static const struct {
        const char *name;
        int most;
    } functions[] = {{"none", 0}, {"two", 2}, {"any", 99}, {"c", 99}, {"table", 0}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        script_value function = script_member(f->s, file, functions[i].name);
        for (int n = 1; n <= 4; n++)
            assert_int_equal(script_takes(f->s, function, n), n <= functions[i].most);
    }
}

/* --- key */

/* The keys as "a|b"; NULL when the handler failed. */
static const char *keys_of(struct fixture *f, const char *body, const char *data, const char *state_json) {
    script_value function = function_of(f, "", body), state = state_json ? of_json(f, state_json) : 0;
    struct script_event e = event_of(f, data);
    struct str *keys;
    size_t n;
    int rc = script_key(f->s, function, &e, state, &f->arena, &keys, &n, &f->fault);
    if (state_json)
        assert_string_equal(json_of(f, state), state_json);
    script_drop(f->s, state);
    script_drop(f->s, function);
    assert_true(rc == 0 || rc == SCRIPT_FAILED);
    buf_clear(&f->out);
    for (size_t i = 0; i < n; i++)
        buf_printf(&f->out, "%s%.*s", i ? "|" : "", (int)keys[i].n, keys[i].p);
    buf_put_char(&f->out, 0);
    return rc ? NULL : n ? f->out.p : "none";
}

static void assert_keys(struct fixture *f, const char *body, const char *want) {
    const char *got = keys_of(f, body, "{\"s\":\"alice\",\"n\":7,\"l\":[\"x\",\"y\",\"x\"],\"e\":[],\"z\":null}",
                              "{\"customer\":\"bob\",\"tags\":[\"p\",\"q\"],\"o\":{\"x\":1.50}}");
    if (!got || strcmp(got, want) != 0)
        fail_msg("%s\ngave %s (%s), not %s", body, got ? got : "a failure", f->fault.text, want);
}

static void assert_key_fails(struct fixture *f, const char *body, const char *why) {
    const char *got = keys_of(f, body, "{}", "{\"l\":[1,{}]}");
    if (got)
        fail_msg("%s\ngave %s", body, got);
    if (!strstr(f->fault.text, why))
        fail_msg("%s\nfailed with \"%s\", not \"%s\"", body, f->fault.text, why);
}

static void keys_are_texts(void **state) {
    struct fixture *f = *state;
    assert_keys(f, "return a.data.s", "alice");
    assert_keys(f, "return a.data.n", "7");
    assert_keys(f, "return a.data.n + 0.0", "7");
    assert_keys(f, "return 7.5", "7.5");
    assert_keys(f, "return -0.0", "0");
    assert_keys(f, "return math.mininteger", "-9223372036854775808");
    assert_keys(f, "return decimal('1.10')", "1.1");
    assert_keys(f, "return true", "true");
    assert_keys(f, "return a.subject .. '/' .. a.type", "1001/OrderPlaced");
    assert_keys(f, "return ''", "");
    assert_keys(f, "return 'a\\0b'", "a");
    assert_keys(f, "return ('x'):rep(4096):sub(-3)", "xxx");
    assert_non_null(keys_of(f, "return ('x'):rep(4096)", "{}", NULL));
}

static void an_event_may_have_many_keys_or_none(void **state) {
    struct fixture *f = *state;
    assert_keys(f, "return", "none");
    assert_keys(f, "return null", "none");
    assert_keys(f, "return a.data.z", "none");
    assert_keys(f, "return {}", "none");
    assert_keys(f, "return array{}", "none");
    assert_keys(f, "return a.data.e", "none");
    assert_keys(f, "return { 'b', 'a', 'b', 7, '7', 7.0, true }", "b|a|7|true");
    assert_keys(f, "return a.data.l", "x|y");
    assert_keys(f, "return { '', 'x', '' }", "|x");
    struct script_event e = event_of(f, "{}");
    script_value many = function_of(f, "", "local t = {} for i = 1, 1000 do t[i] = 'k' .. i % 500 end return t");
    struct str *keys;
    size_t n;
    assert_int_equal(script_key(f->s, many, &e, 0, &f->arena, &keys, &n, &f->fault), 0);
    assert_int_equal(n, 500);
    assert_true(str_eq(keys[0], STR("k1")) && str_eq(keys[499], STR("k0")));
}

static void keys_may_come_from_the_state(void **state) {
    struct fixture *f = *state;
    assert_keys(f, "return b.customer", "bob");
    assert_keys(f, "return b.tags", "p|q");
    assert_keys(f, "b.customer = 'eve' b.tags[3] = 'r' b.o.x = nil return b.tags", "p|q|r");
    assert_keys(f, "return { b.customer, a.data.s }", "bob|alice");
    assert_string_equal(keys_of(f, "assert(b == nil) return 'x'", "{}", NULL), "x");
}

static void what_is_no_key_is_refused(void **state) {
    struct fixture *f = *state;
    assert_key_fails(f, "return pcall", "key returned a function: it returns a string, a number");
    assert_key_fails(f, "return remove", "key returned a userdata");
    assert_key_fails(f, "return { x = 1 }", "the table that key returned is no list");
    assert_key_fails(f, "return { 'a', nil, 'b' }", "the list that key returned has holes");
    assert_key_fails(f, "return { 'a', x = 1 }", "the table that key returned is no list");
    assert_key_fails(f, "return { 'a', {} }", "item 2 of the list that key returned is a table");
    assert_key_fails(f, "return { 'a', null }", "item 2 of the list that key returned is a userdata");
    assert_key_fails(f, "return b.l", "item 2 of the list that key returned is a table");
    assert_key_fails(f, "return a", "key returned the event itself");
    assert_key_fails(f, "return '\\xff'", "key returned a text that is not valid UTF-8");
    assert_key_fails(f, "return ('x'):rep(4097)", "key returned a text of 4097 bytes: a key has at most 4096");
    assert_key_fails(f, "return { 'a', ('x'):rep(4097) }", "key returned a text of 4097 bytes");
    assert_key_fails(f, "return 0/0", "the number is not a number");
    assert_key_fails(f, "return 1/0", "the number is infinite");
    assert_key_fails(f, "return a.data.x.y", "attempt to index a nil value (field 'x')");
    assert_int_equal(f->fault.line, 3);
    assert_key_fails(f, "return event('X')", "event() belongs into decide, an upcast or kafka.lua");
    assert_key_fails(f, "reject('no')", "reject() belongs into decide");
}

/* --- on */

struct projection {
    script_value view;
    int rc;
    bool removed;
};

static struct projection project(struct fixture *f, const char *body, const char *view, const char *state_json) {
    script_value function = function_of(f, "", body), state = state_json ? of_json(f, state_json) : 0;
    struct script_event e = event_of(f, "{\"total\":1.50,\"items\":[{\"n\":1.10}]}");
    struct projection p = {.view = of_json(f, view), .removed = true};
    p.rc = script_project(f->s, function, &p.view, &e, state, &p.removed, &f->fault);
    if (state_json)
        assert_string_equal(json_of(f, state), state_json);
    script_drop(f->s, state);
    script_drop(f->s, function);
    return p;
}

static void assert_projects(struct fixture *f, const char *body, const char *view, const char *state_json,
                            const char *want) {
    struct projection p = project(f, body, view, state_json);
    if (p.rc)
        fail_msg("%s\nfailed: %d: %s\n%s", body, f->fault.line, f->fault.text, f->fault.traceback);
    assert_false(p.removed);
    const char *got = json_of(f, p.view);
    if (strcmp(got, want) != 0)
        fail_msg("%s\ngave %s, not %s", body, got, want);
    script_drop(f->s, p.view);
}

static void assert_project_fails(struct fixture *f, const char *body, const char *why) {
    struct projection p = project(f, body, "{}", "{\"o\":{}}");
    assert_false(p.removed);
    if (p.rc != SCRIPT_FAILED)
        fail_msg("%s\ndid not fail", body);
    if (!strstr(f->fault.text, why))
        fail_msg("%s\nfailed with \"%s\", not \"%s\"", body, f->fault.text, why);
    script_drop(f->s, p.view);
}

static void on_changes_the_view(void **state) {
    struct fixture *f = *state;
    assert_projects(f, "a.n = a.n + 1 a.total = b.data.total a.items = b.data.items", "{\"n\":1}", NULL,
                    "{\"n\":2,\"items\":[{\"n\":1.10}],\"total\":1.5}");
    assert_projects(f, "a.x = 1 return { n = a.x }", "{}", NULL, "{\"n\":1}");
    assert_projects(f, "return", "{\"x\":1.10}", NULL, "{\"x\":1.10}");
    assert_projects(f, "a.last = b.data", "{}", NULL, "{\"last\":{\"total\":1.50,\"items\":[{\"n\":1.10}]}}");
    assert_projects(f, "return b.data", "{}", NULL, "{\"total\":1.50,\"items\":[{\"n\":1.10}]}");
    assert_projects(f, "assert(c == nil) a.v = b.version", "{}", NULL, "{\"v\":3}");
    assert_projects(f, "a.customer = c.customer", "{}", "{\"customer\":\"bob\"}", "{\"customer\":\"bob\"}");
    struct projection p = project(f, "return remove", "{\"x\":1}", NULL);
    assert_int_equal(p.rc, 0);
    assert_true(p.removed);
    assert_string_equal(json_of(f, p.view), "{\"x\":1}");
    p = project(f, "a.x = 2 return remove", "{\"x\":1}", "{\"o\":{}}");
    assert_true(p.rc == 0 && p.removed);
}

static void what_on_leaves_is_looked_at(void **state) {
    struct fixture *f = *state;
    assert_project_fails(f, "return 1", "on returned a number: it returns a view, which is a table, `remove`, or");
    assert_project_fails(f, "return null", "on returned a userdata");
    assert_project_fails(f, "return drop", "on returned a userdata");
    assert_project_fails(f, "return b", "an event cannot be kept: keep its members");
    assert_project_fails(f, "a.e = b", "the view.e: an event cannot be kept: keep its members");
    assert_project_fails(f, "a.list = { 1, pcall }", "the view.list[2]: a function cannot be in a state");
    assert_project_fails(f, "a.n = 0/0", "the view.n: the number is not a number");
    assert_project_fails(f, "a.a = a", "the view.a: it refers to itself");
    assert_project_fails(f, "a.s = '\\xff'", "the view.s: the string is not valid UTF-8");
    assert_project_fails(f, "a.x = remove", "the view.x: a userdata cannot be in a state");
    assert_project_fails(f, "a.o = c.o a.x = pcall", "the view.x: a function cannot be in a state");
    assert_project_fails(f, "event('X')", "event() belongs into decide, an upcast or kafka.lua");
    assert_project_fails(f, "error('no')", "no");
    assert_int_equal(f->fault.line, 3);
}

/* An object with the members of a state, and with n more values in it. */
static const char *padded(struct fixture *f, const char *json, size_t n) {
    struct buf text = {0};
    buf_put(&text, json, strlen(json) - 1);
    buf_put_text(&text, ",\"pad\":[");
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s{\"i\":%zu}", i ? "," : "", i);
    buf_put_text(&text, "]}");
    struct str copy = {arena_alloc(&f->arena, text.n + 1), text.n};
    memcpy((char *)copy.p, text.p, text.n);
    ((char *)copy.p)[text.n] = 0;
    buf_free(&text);
    return copy.p;
}

static const char *const keepers[] = {
    "a.items = c.items",
    "a.items = c.items a.same = a.items a.items[1].n = 9 c.items[2] = { x = 1 }",
    "a.deep = { { c.items[2], c.o } } a.o = c.o",
    "a.o = c.o c.o.p.q = nil c.o.r = c.items",
    "a.kept = c.kept a.kept.x = c.kept.l",
    "a.kept = c.kept",
    "for k, v in pairs(c) do if k ~= 'pad' then a[k] = v end end",
    "c.pad = nil return c",
    "c.pad = nil return { order = c }",
    "c.pad = nil c.self = c.o return c",
    "c.pad = nil return array{ c, c.o, c.items }",
};

/* Whatever a view keeps of a state is its own from then on, and the same for each way in which the state was given:
 * behind a shield, or as a copy, which depends on the sizes of both and on what the view was like before. */
static void what_a_view_keeps_of_a_state_is_a_copy(void **state) {
    struct fixture *f = *state;
    const char *of = "{\"items\":[{\"n\":1.10},{\"n\":2}],\"o\":{\"p\":{\"q\":1.0}},\"e\":[]}";
    script_value keep = function_of(f, "", "a.kept = b.data");
    static const size_t sizes[] = {0, 3, 20, 500};
    for (size_t k = 0; k < sizeof keepers / sizeof *keepers; k++) {
        char *first = NULL;
        struct buf first_bytes = {0};
        for (size_t i = 0; i < 32; i++) {
            script_value live = of_json(f, padded(f, of, sizes[i % 4])), view = of_json(f, padded(f, "{\"x\":1}", 0));
            script_value on = function_of(f, "", keepers[k]), grow = function_of(f, "", "a.fill = c.pad");
            script_value shrink = function_of(f, "", "a.fill = nil"), large = of_json(f, padded(f, "{\"x\":1}", 100));
            struct script_event e = event_of(f, "{\"s\":1.50,\"l\":[{\"m\":\"x\"}]}");
            bool removed;
            assert_int_equal(script_evolve(f->s, keep, &live, &e, &f->fault), 0);
            /* The guess whether the view is large is right or wrong. */
            if (i / 4 % 2)
                assert_int_equal(script_project(f->s, grow, &view, &e, large, &removed, &f->fault), 0);
            if (i / 8 % 2)
                assert_int_equal(script_project(f->s, shrink, &view, &e, 0, &removed, &f->fault), 0);
            bool filled = i / 4 % 2 && !(i / 8 % 2);
            struct buf before = {0}, after = {0}, bytes = {0};
            assert_int_equal(script_freeze(f->s, live, &before, &f->fault), 0);
            if (script_project(f->s, on, &view, &e, live, &removed, &f->fault))
                fail_msg("%s: %s", keepers[k], f->fault.text);
            assert_int_equal(script_freeze(f->s, live, &after, &f->fault), 0);
            assert_true(str_eq(buf_str(&before), buf_str(&after)));
            /* What becomes of the state does not show in the view. */
            script_value spoil = function_of(f, "",
                                             "a.items[1].n = 'spoilt' a.items[3] = 1 a.o.p.q = 'spoilt' a.o.p = nil "
                                             "a.kept.l[1].m = 'spoilt' a.kept.s = nil a.e[1] = 1 a.items = nil");
            assert_int_equal(script_evolve(f->s, spoil, &live, &e, &f->fault), 0);
            script_drop(f->s, live);
            if (filled)
                assert_int_equal(script_project(f->s, shrink, &view, &e, 0, &removed, &f->fault), 0);
            const char *text = json_of(f, view);
            assert_null(strstr(text, "spoilt"));
            if (!first)
                first = strdup(text);
            assert_string_equal(text, first);
            assert_int_equal(script_freeze(f->s, view, &bytes, &f->fault), 0);
            if (!first_bytes.p)
                buf_put_str(&first_bytes, buf_str(&bytes));
            assert_true(str_eq(buf_str(&bytes), buf_str(&first_bytes)));
            buf_free(&before);
            buf_free(&after);
            buf_free(&bytes);
            script_drop(f->s, view);
            script_drop(f->s, large);
            script_drop(f->s, on);
            script_drop(f->s, grow);
            script_drop(f->s, shrink);
            script_drop(f->s, spoil);
        }
        free(first);
        buf_free(&first_bytes);
    }
}

static void a_state_that_is_no_tree_stays_so_in_the_view(void **state) {
    struct fixture *f = *state;
    script_value live = of_json(f, "{\"o\":{\"x\":1}}"), view = of_json(f, padded(f, "{\"x\":1}", 100));
    script_value twice = function_of(f, "", "a.again = a.o"),
                 keep = function_of(f, "", "assert(c.o == c.again) a.o = c.o a.again = c.again a.o.x = 2"),
                 same = function_of(f, "", "assert(a.o == a.again and a.again.x == 2) a.pad = nil");
    struct script_event e = event_of(f, "{}");
    bool removed;
    assert_int_equal(script_evolve(f->s, twice, &live, &e, &f->fault), 0);
    for (int i = 0; i < 3; i++)
        if (script_project(f->s, i == 2 ? same : keep, &view, &e, live, &removed, &f->fault))
            fail_msg("%s", f->fault.text);
    assert_string_equal(json_of(f, view), "{\"x\":1,\"again\":{\"x\":2},\"o\":{\"x\":2}}");
    assert_string_equal(json_of(f, live), "{\"o\":{\"x\":1},\"again\":{\"x\":1}}");
}

/* Tables of a file are frozen; what a view has of them by way of a state is a copy. */
static void what_a_state_has_of_its_file_is_copied_too(void **state) {
    struct fixture *f = *state;
    const char *head = "local RATES = { eur = 1.0, list = { 1, 2 } }";
    script_value set = function_of(f, head, "a.rates = RATES"), keep = function_of(f, "", "a.rates = c.rates"),
                 write = function_of(f, "", "a.rates.eur = 2 a.rates.list[3] = c and c.rates.list[1] or 3"),
                 own = function_of(f, head, "a.rates = RATES a.pad = nil");
    struct script_event e = event_of(f, "{}");
    bool removed;
    for (int i = 0; i < 2; i++) {
        script_value live = of_json(f, "{}"), view = of_json(f, i ? padded(f, "{\"x\":1}", 100) : "{\"x\":1}");
        assert_int_equal(script_evolve(f->s, set, &live, &e, &f->fault), 0);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(script_project(f->s, keep, &view, &e, live, &removed, &f->fault), 0);
            assert_int_equal(script_project(f->s, write, &view, &e, k == 1 ? live : 0, &removed, &f->fault), 0);
        }
        assert_string_equal(json_of(f, live), "{\"rates\":{\"eur\":1.0,\"list\":[1,2]}}");
        script_value rates = script_member(f->s, view, "rates");
        assert_string_equal(json_of(f, rates), "{\"eur\":2,\"list\":[1,2,3]}");
        assert_int_equal(script_project(f->s, own, &view, &e, live, &removed, &f->fault), 0);
        assert_int_equal(script_project(f->s, write, &view, &e, 0, &removed, &f->fault), SCRIPT_FAILED);
        assert_non_null(strstr(f->fault.text, "the field 'eur' cannot be set"));
        assert_string_equal(json_of(f, view), "{\"x\":1,\"rates\":{\"eur\":1.0,\"list\":[1,2]}}");
    }
}

static void a_large_view_is_looked_at_when_it_is_frozen(void **state) {
    struct fixture *f = *state;
    struct buf bytes = {0};
    struct projection p = project(f, "local t = {} for i = 1, 31 do t[i] = i end t[0] = 1 a.t = t", "{}", NULL);
    assert_int_equal(p.rc, 0);
    assert_int_equal(script_freeze(f->s, p.view, &bytes, &f->fault), SCRIPT_FAILED);
    script_drop(f->s, p.view);
    p = project(f, "local t = {} for i = 1, 29 do t[i] = i end t[0] = 1 a.t = t", "{}", NULL);
    assert_int_equal(p.rc, SCRIPT_FAILED);
    buf_free(&bytes);
}

/* --- output */

static int output(struct fixture *f, const char *body, const char *view_json, struct buf *out) {
    script_value function = body ? function_of(f, "", body) : 0, view = of_json(f, view_json);
    int rc = script_output(f->s, function, view, STR("alice"), out, &f->fault);
    assert_string_equal(json_of(f, view), view_json);
    script_drop(f->s, view);
    script_drop(f->s, function);
    return rc;
}

static void assert_output(struct fixture *f, const char *body, const char *view, const char *want) {
    struct buf out = {0};
    buf_put_text(&out, "> ");
    if (output(f, body, view, &out))
        fail_msg("%s: %s", body ? body : "no handler", f->fault.text);
    buf_put_char(&out, 0);
    assert_string_equal(out.p + 2, want);
    buf_free(&out);
}

static void assert_output_fails(struct fixture *f, const char *body, const char *why) {
    struct buf out = {0};
    buf_put_text(&out, "> ");
    assert_int_equal(output(f, body, "{\"x\":1}", &out), SCRIPT_FAILED);
    assert_true(str_eq(buf_str(&out), STR("> ")));
    if (!strstr(f->fault.text, why))
        fail_msg("%s\nfailed with \"%s\", not \"%s\"", body, f->fault.text, why);
    buf_free(&out);
}

static void output_shows_the_view(void **state) {
    struct fixture *f = *state;
    assert_output(f, NULL, "{\"z\":1.10,\"a\":[]}", "{\"z\":1.10,\"a\":[]}");
    assert_output(f, "return a", "{\"z\":1.10,\"a\":[]}", "{\"z\":1.10,\"a\":[]}");
    assert_output(f, "return { key = b, n = a.n }", "{\"n\":7}", "{\"key\":\"alice\",\"n\":7}");
    assert_output(f, "a.n = nil a.o.x = 2 return a", "{\"n\":7,\"o\":{\"x\":1}}", "{\"o\":{\"x\":2}}");
    assert_output(f, "return a.n", "{\"n\":7}", "7");
    assert_output(f, "return null", "{}", "null");
    assert_output(f, "table.sort(a.l) return a.l", "{\"l\":[3,1,2]}", "[1,2,3]");
    assert_output_fails(f, "return", "output returned nothing: it returns what the file shows");
    assert_output_fails(f, "return { x = pcall }", "the output.x: a function cannot be in JSON");
    assert_output_fails(f, "return remove", "the output: a userdata cannot be in JSON");
    assert_output_fails(f, "return a.x.y.z", "attempt to index");
}

/* --- path */

static const char *path_of(struct fixture *f, const char *body) {
    script_value function = function_of(f, "", body), state = of_json(f, "{\"status\":\"placed\",\"n\":7,\"l\":[1]}");
    struct str *names;
    size_t n;
    bool present = true;
    int rc = script_path(f->s, function, state, &f->arena, &names, &n, &present, &f->fault);
    assert_string_equal(json_of(f, state), "{\"status\":\"placed\",\"n\":7,\"l\":[1]}");
    script_drop(f->s, state);
    script_drop(f->s, function);
    if (rc)
        assert_true(rc == SCRIPT_FAILED && !present && !n);
    buf_clear(&f->out);
    for (size_t i = 0; i < n; i++)
        buf_printf(&f->out, "/%.*s", (int)names[i].n, names[i].p);
    buf_put_char(&f->out, 0);
    return rc ? "failure" : present ? f->out.p : "absent";
}

static void assert_path_fails(struct fixture *f, const char *body, const char *why) {
    assert_string_equal(path_of(f, body), "failure");
    if (!strstr(f->fault.text, why))
        fail_msg("%s\nfailed with \"%s\", not \"%s\"", body, f->fault.text, why);
}

static void paths_are_lists_of_names(void **state) {
    struct fixture *f = *state;
    assert_string_equal(path_of(f, "return { a.status, a.n, true, decimal('1.50'), a.status }"),
                        "/placed/7/true/1.5/placed");
    assert_string_equal(path_of(f, "return a.status"), "/placed");
    assert_string_equal(path_of(f, "return a.l"), "/1");
    assert_string_equal(path_of(f, "a.l[2] = 'x' return a.l"), "/1/x");
    assert_string_equal(path_of(f, "return {}"), "");
    assert_string_equal(path_of(f, "return"), "absent");
    assert_string_equal(path_of(f, "return null"), "absent");
    assert_string_equal(path_of(f, "return ('x'):rep(4096):sub(1, 1)"), "/x");
    assert_int_equal(strlen(path_of(f, "return ('x'):rep(4096)")), 4097);
    char code[100], words[100];
    snprintf(code, sizeof code, "local t = {} for i = 1, %d do t[i] = 'x' end return t", SCRIPT_PATH_MAX);
    assert_int_equal(strlen(path_of(f, code)), 2 * SCRIPT_PATH_MAX);
    snprintf(code, sizeof code, "local t = {} for i = 1, %d do t[i] = 'x' end return t", SCRIPT_PATH_MAX + 1);
    snprintf(words, sizeof words, "path returned %d names, and may return %d", SCRIPT_PATH_MAX + 1, SCRIPT_PATH_MAX);
    assert_path_fails(f, code, words);
    assert_path_fails(f, "return ''", "path returned an empty text: the name of a directory has a byte at least");
    assert_path_fails(f, "return { 'a', '' }", "path returned an empty text");
    assert_path_fails(f, "return ('x'):rep(4097)", "path returned a text of 4097 bytes");
    assert_path_fails(f, "return '\\xff'", "path returned a text that is not valid UTF-8");
    assert_path_fails(f, "return a", "the table that path returned is no list");
    assert_path_fails(f, "return { a.l }", "item 1 of the list that path returned is a table");
    assert_path_fails(f, "return { a.status, nil, 'x' }", "the list that path returned has holes");
    assert_path_fails(f, "return a.x.y", "attempt to index");
}

/* --- limits */

enum call { CALL_KEY, CALL_ON, CALL_OUTPUT, CALL_PATH, CALLS };

static int call(struct fixture *f, enum call which, const char *body) {
    script_value function = function_of(f, "", body), view = of_json(f, "{\"o\":{}}"), live = of_json(f, "{\"o\":{}}");
    struct script_event e = event_of(f, "{}");
    struct str *texts;
    size_t n;
    bool flag;
    int rc = which == CALL_KEY      ? script_key(f->s, function, &e, live, &f->arena, &texts, &n, &f->fault)
             : which == CALL_ON     ? script_project(f->s, function, &view, &e, live, &flag, &f->fault)
             : which == CALL_OUTPUT ? script_output(f->s, function, view, STR("x"), &f->out, &f->fault)
                                    : script_path(f->s, function, live, &f->arena, &texts, &n, &flag, &f->fault);
    script_drop(f->s, function);
    script_drop(f->s, view);
    script_drop(f->s, live);
    return rc;
}

static void assert_limit(struct fixture *f, enum call which, const char *body, const char *why) {
    assert_int_equal(call(f, which, body), SCRIPT_FAILED);
    if (!strstr(f->fault.text, why))
        fail_msg("call %d of %s\nfailed with \"%s\", not \"%s\"", which, body, f->fault.text, why);
    assert_int_equal(f->fault.line, 3);
    assert_int_equal(call(f, CALL_KEY, "return 'x'"), 0);
}

static void every_call_is_limited(void **state) {
    struct fixture *f = *state;
    for (int which = 0; which < CALLS; which++) {
        assert_limit(f, which, "while true do pcall(function() while true do end end) end",
                     "the handler ran more than 10000000 instructions");
        assert_limit(f, which, "local s = 'x' while true do s = s .. s end",
                     "the handler used more than 64 MiB of memory");
        assert_limit(f, which, "local t = {} for i = 1, 1e9 do t[i] = { i } end",
                     "the handler used more than 64 MiB of memory");
    }
    struct script_options options = {.limits = {.seconds = 1}};
    script_free(f->s);
    assert_int_equal(script_new(&f->s, &options), 0);
    for (int which = 0; which < CALLS; which++)
        assert_limit(f, which,
                     "local x = ('x'):rep(8000000) local y = x .. 'y' x = x .. 'x' while true do local z = x < y end",
                     "the handler ran for more than 1 s");
}

/* What is made of a result counts, too. */
static void results_are_limited(void **state) {
    struct fixture *f = *state;
    assert_int_equal(
        call(f, CALL_OUTPUT, "local t, s = {}, ('x'):rep(1000000) for i = 1, 100 do t[i] = s end return t"),
        SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "it is too much JSON, more than 64 MiB"));
    struct script_options options = {.limits = {.instructions = 20000}};
    script_free(f->s);
    assert_int_equal(script_new(&f->s, &options), 0);
    assert_int_equal(call(f, CALL_KEY, "local t = {} for i = 1, 3000 do t[i] = 1 end return t"), 0);
    assert_int_equal(call(f, CALL_KEY, "local t = {} for i = 1, 9000 do t[i] = 1 end return t"), SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "the handler ran more than 20000 instructions"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(functions_tell_what_they_take, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_may_have_many_keys_or_none, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_may_come_from_the_state, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_key_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(on_changes_the_view, setup, teardown),
        cmocka_unit_test_setup_teardown(what_on_leaves_is_looked_at, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_view_keeps_of_a_state_is_a_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_that_is_no_tree_stays_so_in_the_view, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_state_has_of_its_file_is_copied_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_view_is_looked_at_when_it_is_frozen, setup, teardown),
        cmocka_unit_test_setup_teardown(output_shows_the_view, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_are_lists_of_names, setup, teardown),
        cmocka_unit_test_setup_teardown(every_call_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(results_are_limited, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
