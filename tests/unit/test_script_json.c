/* JSON in, JSON out: what is kept, and what is refused. */
#include "lib_script.h"

static void assert_same(struct fixture *f, const char *text) {
    script_value v = of_json(f, text);
    assert_string_equal(json_of(f, v), text);
    script_drop(f->s, v);
}

static void what_came_in_goes_out(void **state) {
    struct fixture *f = *state;
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "\"\"",
        "\"a\\\"b\\\\c\\u0001\\n\xc3\xa9\xf0\x9f\x98\x80\"",
        "[]",
        "{}",
        "[[],{},[{}],null]",
        "{\"z\":1,\"a\":2,\"M\":3}",
        "{\"a\":null,\"b\":[null,null],\"c\":{\"d\":null}}",
        "{\"1\":\"one\",\"2\":\"two\"}",
        "{\"\":1,\"__index\":2,\"__gc\":3,\"__metatable\":4}",
        "[1.10,1.1,1e3,1E3,1e+3,1.0,10.00,-0,-0.0,0.0,0e0,1e-7,0.0000001,123456789012345678901234567890]",
        "{\"price\":1.10,\"n\":{\"x\":2.50,\"y\":[3.00,{\"z\":4.0000}]},\"i\":18446744073709551616}",
        "[1e308,5e-324,2.2250738585072014e-308,0.1,0.30000000000000004,1e-400,100000000000000000000]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_same(f, texts[i]);
}

static void large_objects_keep_their_order(void **state) {
    struct fixture *f = *state;
    static const int sizes[] = {1, 63, 64, 65, 5000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct buf text = {0};
        for (int i = 0; i < sizes[k]; i++)
            buf_printf(&text, "%s\"k%d\":%d.50", i ? "," : "{", (i * 7919) % sizes[k] + (i * 7919) / sizes[k] * 100000,
                       i);
        buf_put_text(&text, "}");
        buf_put_char(&text, 0);
        assert_same(f, text.p);
        buf_free(&text);
    }
}

static void many_shapes_are_no_trouble(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 5000; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"b%d\":1,\"a%d\":{\"c%d\":1.50}}", i, i, i / 2);
        script_value v = of_json(f, text);
        assert_string_equal(json_of(f, v), text);
        script_drop(f->s, v);
        arena_reset(&f->arena, 1 << 20);
    }
}

static void depth_is_512(void **state) {
    struct fixture *f = *state;
    char text[1100];
    memset(text, '[', 512);
    memset(text + 512, ']', 512);
    text[1024] = 0;
    assert_same(f, text);
    assert_gives(f, "local t = array{} for i = 1, 511 do t = {t} end return #t", "1");
    assert_fails(f, "error(1)", "1");
    script_value deep;
    assert_int_equal(run(f, "local t = {} for i = 1, 512 do t = {t} end return t", &deep), 0);
    assert_int_equal(script_to_json(f->s, deep, &f->out, &f->fault), SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "nested deeper than 512"));
}

static void numbers_of_lua_have_one_form(void **state) {
    struct fixture *f = *state;
    assert_gives(f, "return {1, 1.0, 0.1, 1e15, 1e16, 123456789.125, 1e100, 1e-5, 1e-7, 2^53, 2^63, 1/3, -0.0, 1e21}",
                 "[1,1.0,0.1,1000000000000000.0,1e+16,123456789.125,1e+100,0.00001,1e-7,9007199254740992.0,"
                 "9.223372036854776e+18,0.3333333333333333,-0.0,1e+21]");
    assert_gives(f, "return math.maxinteger", "9223372036854775807");
    assert_gives(f, "return 7 // 2 + 7 % 4", "6");
    assert_gives(f, "return 1 / 2", "0.5");
}

static void members_that_were_added_are_sorted(void **state) {
    struct fixture *f = *state;
    script_value add = function_of(f, "", "a.zz = 1 a.b = 2 a.B = 3 a['\xc3\xa9'] = 4 a.second = nil return a");
    script_value arguments = of_json(f, "[{\"z\":1,\"second\":2,\"a\":3.0}]"), result;
    assert_int_equal(script_call(f->s, add, arguments, &result, &f->fault), 0);
    assert_string_equal(json_of(f, result), "{\"z\":1,\"a\":3.0,\"B\":3,\"b\":2,\"zz\":1,\"\xc3\xa9\":4}");
}

static void digits_count_for_as_long_as_the_number_is_there(void **state) {
    struct fixture *f = *state;
    script_value change = function_of(f, "", "a.p = a.p + 0 a.q = a.q + 1 a.l[1], a.l[2] = a.l[2], a.l[1] return a");
    script_value arguments = of_json(f, "[{\"p\":1.10,\"q\":1.10,\"l\":[2.50,3.50,4.50]}]"), result;
    assert_int_equal(script_call(f->s, change, arguments, &result, &f->fault), 0);
    assert_string_equal(json_of(f, result), "{\"p\":1.10,\"q\":2.1,\"l\":[3.5,2.5,4.50]}");
}

static void arrays_and_objects_are_told_apart(void **state) {
    struct fixture *f = *state;
    assert_gives(f, "return { array{}, {}, array{1, 2}, {1, 2}, array(), { a = 1 }, array{ 'x' } }",
                 "[[],{},[1,2],[1,2],[],{\"a\":1},[\"x\"]]");
    assert_gives(f, "local t = {} t[1] = 'x' return t", "[\"x\"]");
    assert_gives(f, "local t = array{1} t[1] = nil return t", "[]");
    script_value push = function_of(f, "", "table.insert(a.o, 1) table.remove(a.l) return a");
    script_value arguments = of_json(f, "[{\"o\":{},\"l\":[1]}]"), result;
    assert_int_equal(script_call(f->s, push, arguments, &result, &f->fault), 0);
    assert_string_equal(json_of(f, result), "{\"o\":[1],\"l\":[]}");
    assert_fails(f, "array(1)", "table expected");
}

static void assert_no_json(struct fixture *f, const char *body, const char *why) {
    script_value v;
    if (run(f, body, &v))
        fail_msg("%s: %s", body, f->fault.text);
    buf_clear(&f->out);
    buf_put_text(&f->out, "before");
    assert_int_equal(script_to_json(f->s, v, &f->out, &f->fault), SCRIPT_FAILED);
    if (!strstr(f->fault.text, why))
        fail_msg("%s\nfailed with \"%s\", not \"%s\"", body, f->fault.text, why);
    assert_true(str_eq(buf_str(&f->out), STR("before")));
    script_drop(f->s, v);
}

static void what_json_cannot_hold_is_named(void **state) {
    struct fixture *f = *state;
    assert_no_json(f, "return { a = { 1, { f = print or pcall } } }", "the value.a[2].f: a function cannot be in JSON");
    assert_no_json(f, "return { a = 0/0 }", "the value.a: the number is not a number");
    assert_no_json(f, "return { 1/0 }", "the value[1]: the number is infinite");
    assert_no_json(f, "return { { -1/0 } }", "the value[1][1]: the number is infinite");
    assert_no_json(f, "local t = {} t.t = { t } return t", "nested deeper than 512 levels, or refers to itself");
    assert_no_json(f, "return { a = { 1, nil, 3 } }", "the value.a: it is an array with holes");
    assert_no_json(f, "return { a = { 1, [3] = 2 } }", "the value.a: it is an array with holes");
    assert_no_json(f, "return { a = { [5] = 1 } }", "the value.a: it is an object and has the key 5");
    assert_no_json(f, "return { a = { [1.5] = 1 } }", "the value.a: it is an object and has a key that is a number");
    assert_no_json(f, "return { a = { [true] = 1 } }", "a key that is a boolean");
    assert_no_json(f, "return { a = { 1, x = 1 } }", "the value.a: it is an array and has the member \"x\"");
    assert_no_json(f, "local t = array{} t.x = 1 return t", "the value: it is an array and has the member \"x\"");
    assert_no_json(f, "return { ['odd name'] = '\\xff' }", "the value[\"odd name\"]: the string is not valid UTF-8");
    assert_no_json(f, "return { ['\\xff'] = 1 }", "is not valid UTF-8");
    assert_no_json(f, "return { '\\xed\\xa0\\x80' }", "is not valid UTF-8");
    assert_no_json(f, "return { drop }", "a userdata cannot be in JSON");
}

static void tables_that_are_there_many_times_do_not_explode(void **state) {
    struct fixture *f = *state;
    assert_gives(f, "local t = {1} return { a = t, b = t, c = { t, t } }", "{\"a\":[1],\"b\":[1],\"c\":[[1],[1]]}");
    script_value function =
        function_of(f, "", "local t = {1} for i = 1, 60 do t = {t, t} end return event('E', {t = t})");
    script_value empty = of_json(f, "{}");
    assert_int_equal(decide_with(f, function, empty, "{}"), SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "too much JSON"));
}

static void numbers_beyond_a_float_are_refused(void **state) {
    struct fixture *f = *state;
    script_value v;
    assert_int_equal(script_of_json(f->s, tree(f, "[1e400]"), &v), SCRIPT_FAILED);
    assert_int_equal(v, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_came_in_goes_out, setup, teardown),
        cmocka_unit_test_setup_teardown(large_objects_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(many_shapes_are_no_trouble, setup, teardown),
        cmocka_unit_test_setup_teardown(depth_is_512, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_of_lua_have_one_form, setup, teardown),
        cmocka_unit_test_setup_teardown(members_that_were_added_are_sorted, setup, teardown),
        cmocka_unit_test_setup_teardown(digits_count_for_as_long_as_the_number_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(arrays_and_objects_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(what_json_cannot_hold_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_that_are_there_many_times_do_not_explode, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_beyond_a_float_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
