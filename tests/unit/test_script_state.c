/* States: what is frozen and thawed behaves as what lived on. */
#include "lib_script.h"
#include "varint.h"

static struct str freeze(struct fixture *f, script_value v) {
    struct buf bytes = {0};
    if (script_freeze(f->s, v, &bytes, &f->fault))
        fail_msg("not frozen: %s", f->fault.text);
    struct str copy = arena_copy(&f->arena, buf_str(&bytes));
    buf_free(&bytes);
    return copy;
}

static script_value thaw(struct fixture *f, struct str bytes) {
    script_value v;
    assert_int_equal(script_thaw(f->s, bytes, &v), 0);
    return v;
}

static void assert_survives(struct fixture *f, script_value v) {
    char *before = strdup(json_of(f, v));
    struct str bytes = freeze(f, v);
    script_value again = thaw(f, bytes);
    assert_string_equal(json_of(f, again), before);
    struct str twice = freeze(f, again);
    assert_int_equal(twice.n, bytes.n);
    assert_memory_equal(twice.p, bytes.p, bytes.n);
    script_drop(f->s, again);
    free(before);
}

static void every_kind_of_value_survives(void **state) {
    struct fixture *f = *state;
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"z\":1,\"a\":[1.10,2.0,-0,1e3,{\"x\":1.00}],\"n\":null,\"t\":true,\"f\":false,\"s\":\"\xc3\xa9\\u0000\"}",
        "[9223372036854775807,-9223372036854775808,0,-1,0.1,1e300,123456789012345678901234567890]",
        "null",
        "\"x\"",
        "1.50"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        script_value v = of_json(f, texts[i]);
        assert_survives(f, v);
        script_drop(f->s, v);
    }
    script_value v;
    assert_int_equal(
        run(f,
            "local t = {1} return { d = decimal('1.10'), e = decimal('1e3'), a = array{}, o = {}, p = {1, 2},"
            " same = { t, t }, n = null, ['odd key'] = -0.0 }",
            &v),
        0);
    assert_survives(f, v);
    struct buf text = {0};
    for (int i = 0; i < 300; i++)
        buf_printf(&text, "%s\"k%d\":%d", i ? "," : "{", 300 - i, i);
    buf_put_text(&text, "}");
    buf_put_char(&text, 0);
    v = of_json(f, text.p);
    assert_survives(f, v);
    buf_free(&text);
}

static void what_cannot_be_frozen_is_named(void **state) {
    struct fixture *f = *state;
    static const char *const bodies[][2] = {
        {"return { a = { pcall } }", "the state.a[1]: a function cannot be in a state"},
        {"return { a = 0/0 }", "the state.a: the number is not a number"},
        {"local t = {} t.a = { t } return t", "the state.a[1]: it refers to itself"},
        {"return { counts = { [5] = 1 } }", "the state.counts: it is an object and has a key that is a number"},
        {"return { l = { 1, nil, 3 } }", "the state.l: it is an array"},
        {"return { s = '\\xff' }", "the state.s: the string is not valid UTF-8"},
        {"local t = {} for i = 1, 600 do t = { t } end return t", "nested deeper than 512"}};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        script_value v;
        struct buf bytes = {0};
        assert_int_equal(run(f, bodies[i][0], &v), 0);
        assert_int_equal(script_freeze(f->s, v, &bytes, &f->fault), SCRIPT_FAILED);
        if (!strstr(f->fault.text, bodies[i][1]))
            fail_msg("%s: %s", bodies[i][0], f->fault.text);
        assert_int_equal(bytes.n, 0);
        if (i + 1 < sizeof bodies / sizeof *bodies) {
            assert_int_equal(script_check(f->s, v, &f->fault), SCRIPT_FAILED);
            assert_non_null(strstr(f->fault.text, bodies[i][1]));
        }
        buf_free(&bytes);
    }
}

static void assert_checked(struct fixture *f, const char *body, const char *why) {
    script_value v;
    assert_int_equal(run(f, body, &v), 0);
    int rc = script_check(f->s, v, &f->fault);
    if (rc != (*why ? SCRIPT_FAILED : 0) || (*why && !strstr(f->fault.text, why)))
        fail_msg("%s: %d %s", body, rc, f->fault.text);
    script_drop(f->s, v);
}

static void a_small_state_is_checked(void **state) {
    struct fixture *f = *state;
    assert_checked(f, "return {}", "");
    assert_checked(f, "return array{}", "");
    assert_checked(f, "return { a = array{ 1, 2.5, 'x', true, null, decimal('1.10'), {} }, b = { c = { d = 1 } } }",
                   "");
    assert_checked(f, "local t = { 1 } return { t, t, { t } }", "");
    assert_checked(f, "local t = array{ 1, 2 } t[2] = nil t[1] = nil return t", "");
    assert_checked(f, "local t = array{} t.x = 1 return t", "the state: it is an array");
    assert_checked(f, "return { 1, x = 2 }", "the state: it is an array");
    assert_checked(f, "return { [2] = 1 }", "the state: it is an object and has a key that is a number");
    assert_checked(f, "return { [1.5] = 1 }", "the state: it is an object and has a key that is a number");
    assert_checked(f, "return { x = { ['\\xff'] = 1 } }", "a name is not valid UTF-8");
    assert_checked(f, "return { a = 1/0 }", "the state.a: the number is infinite");
    assert_checked(f, "return { a = drop }", "the state.a: a userdata cannot be in a state");
    assert_checked(f, "local a, b = {}, {} a.b = b b.a = a return { x = a }", "the state.x.b.a: it refers to itself");
    assert_checked(f, "local t = {} for i = 1, 150 do t = { t } end return t", "");
    assert_int_equal(script_check(f->s, 0, &f->fault), SCRIPT_FAILED);
    script_value file = load(f, "return { ok = { 1, { x = 'y' } }, bad = { f = pcall } }");
    script_value ok = script_member(f->s, file, "ok"), bad = script_member(f->s, file, "bad");
    assert_int_equal(script_check(f->s, ok, &f->fault), 0);
    assert_int_equal(script_check(f->s, bad, &f->fault), SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "the state.f: a function"));
    script_value json = of_json(f, "{\"z\":1.10,\"a\":[1.50,{\"x\":2.00}],\"e\":[],\"o\":{}}");
    assert_int_equal(script_check(f->s, json, &f->fault), 0);
}

/* Where the walk would have met what is wrong makes no difference. */
static void a_large_state_is_taken_to_be_good(void **state) {
    struct fixture *f = *state;
    assert_checked(f, "local t = { bad = pcall } for i = 1, 198 do t['k' .. i] = i end return t", "the state.bad: ");
    assert_checked(f, "local t = { bad = pcall } for i = 1, 199 do t['k' .. i] = i end return t", "");
    assert_checked(f, "local t = {} t.t = t for i = 1, 199 do t['k' .. i] = i end return t", "");
    assert_checked(f, "local t = {} for i = 1, 600 do t = { t } end return t", "");
}

static void every_cut_and_most_changes_are_noticed(void **state) {
    struct fixture *f = *state;
    script_value v = of_json(f, "{\"z\":1.10,\"a\":[1.50,{\"x\":\"text\"}],\"n\":null}"), other;
    struct str bytes = freeze(f, v);
    for (size_t n = 0; n < bytes.n; n++) {
        struct str cut = arena_copy(&f->arena, (struct str){bytes.p, n});
        assert_int_equal(script_thaw(f->s, cut, &other), -EUCLEAN);
    }
    for (size_t i = 0; i < bytes.n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct str changed = arena_copy(&f->arena, bytes);
            ((char *)changed.p)[i] ^= (char)(1 << bit);
            int rc = script_thaw(f->s, changed, &other);
            assert_true(rc == 0 || rc == -EUCLEAN);
            script_drop(f->s, other);
        }
    }
    assert_int_equal(script_thaw(f->s, STR("\x02\x00"), &other), -EUCLEAN);
    assert_int_equal(script_thaw(f->s, STR("\x01\x07\x01\xff\xff\xff\xff\x0f"), &other), -EUCLEAN);
}

/* Steps that an evolve can take, chosen by the event's numbers. The same tables are reached in many ways. */
static const char evolve_body[] =
    "local d, keys = b.data, { 'b', 'a', 'zz', 'c', 'Z', 'k1', 'items', '1' }\n"
    "local t = a\n"
    "for i = 1, d.depth do local n = t[keys[d.path[i]]] if type(n) == 'table' then t = n end end\n"
    "local k, v = keys[d.key], d.value\n"
    "local op = d.op\n"
    "if op == 1 then t[k] = v elseif op == 2 then t[k] = nil\n"
    "elseif op == 3 then t[k] = {} elseif op == 4 then t[k] = array{}\n"
    "elseif op == 5 then t[k] = a[keys[d.path[1]]]\n"
    "elseif op == 6 then if #t > 0 or next(t) == nil then table.insert(t, v) end\n"
    "elseif op == 7 then if #t > 0 then table.remove(t, 1) end\n"
    "elseif op == 8 then local n = 0 for kk, vv in pairs(t) do n = n * 31 + #tostring(kk) end t[k] = n\n"
    "elseif op == 9 then t[k] = d elseif op == 10 then t[k] = decimal('1.10') + d.key\n"
    "elseif op == 11 then if type(t[k]) == 'number' then t[k] = t[k] + 0.5 end\n"
    "elseif op == 12 then if type(t[k]) == 'number' then t[k] = t[k] - 0.5 end\n"
    "elseif op == 13 then t[k] = LOOKUP or lookup end\n"
    "if #t > 0 then for kk in pairs(t) do if type(kk) == 'string' then t[kk] = nil end end end\n"
    "if t == a and #a > 0 then return { k = 1 } end";

static uint32_t random_next(uint32_t *seed) {
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void a_state_that_was_thawed_goes_on_as_one_that_lived(void **state) {
    struct fixture *f = *state;
    static const char *const values[] = {"1",  "1.10", "\"x\"", "{\"b\":1.50,\"a\":{\"c\":2.00}}", "[1.0,2.50]", "[]",
                                         "{}", "null", "1.5",   "{\"zz\":[{\"a\":1}],\"a\":1.1}"};
    script_value evolve = function_of(f, "local lookup = { x = { 1.5 } }", evolve_body);
    uint32_t seed = 42;
    for (int program = 0; program < 150; program++) {
        script_value live = of_json(f, "{\"b\":1.10,\"a\":{\"c\":[1.50,2]},\"zz\":{}}"),
                     kept = of_json(f, "{\"b\":1.10,\"a\":{\"c\":[1.50,2]},\"zz\":{}}");
        for (int step = 0; step < 40; step++) {
            char data[400];
            snprintf(data, sizeof data, "{\"op\":%u,\"key\":%u,\"depth\":%u,\"path\":[%u,%u,%u],\"value\":%s}",
                     random_next(&seed) % 13 + 1, random_next(&seed) % 8 + 1, random_next(&seed) % 4,
                     random_next(&seed) % 8 + 1, random_next(&seed) % 8 + 1, random_next(&seed) % 8 + 1,
                     values[random_next(&seed) % 10]);
            int rc = evolve_with(f, evolve, &live, data), again = evolve_with(f, evolve, &kept, data);
            assert_int_equal(rc, again);
            struct buf bytes = {0};
            if (rc || script_freeze(f->s, kept, &bytes, &f->fault)) {
                buf_free(&bytes);
                break; /* a cycle, mostly: the program ends here for both */
            }
            script_drop(f->s, kept);
            kept = thaw(f, buf_str(&bytes));
            struct str lived = freeze(f, live);
            if (lived.n != bytes.n || memcmp(lived.p, bytes.p, bytes.n) != 0)
                fail_msg("program %d step %d %s: %s", program, step, data, json_of(f, live));
            buf_free(&bytes);
            char *text = strdup(json_of(f, live));
            assert_string_equal(json_of(f, kept), text);
            free(text);
        }
        script_drop(f->s, live);
        script_drop(f->s, kept);
        arena_reset(&f->arena, 1 << 20);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_of_value_survives, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_frozen_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_state_is_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_state_is_taken_to_be_good, setup, teardown),
        cmocka_unit_test_setup_teardown(every_cut_and_most_changes_are_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_that_was_thawed_goes_on_as_one_that_lived, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
