/* Life, loading, calls, limits and faults; see test_script_*.c for the rest. */
#include "lib_script.h"

/* --- loading */

static void a_file_must_return_a_table(void **state) {
    struct fixture *f = *state;
    assert_load_fails(f, "return 1", "must return a table, not number");
    assert_load_fails(f, "", "must return a table, not nil");
    assert_load_fails(f, "return {\n  a = = 1 }", "unexpected symbol near '='");
    assert_string_equal(f->fault.file, "aggregates/order.lua");
    assert_int_equal(f->fault.line, 2);
    assert_load_fails(f, "local x = nil\nreturn { a = x.y }", "attempt to index a nil value (local 'x')");
    assert_int_equal(f->fault.line, 2);
    assert_load_fails(f, "\x1bLua", "attempt to load a binary chunk");
    assert_load_fails(f, "while true do end", "more than 10000000 instructions");
}

static void values_of_a_file_can_be_looked_at(void **state) {
    struct fixture *f = *state;
    script_value file = load(f, "return { b = true, i = 7, f = 1.5, s = 'x', n = null, d = decimal('1.10'),\n"
                                "  a = array{}, l = {1, 2}, o = {}, u = { [2] = 'two', [10] = 'ten', x = 1 },\n"
                                "  fn = function() end }");
    static const struct {
        const char *name;
        enum script_kind kind;
    } kinds[] = {{"b", SCRIPT_BOOLEAN}, {"i", SCRIPT_INTEGER}, {"f", SCRIPT_FLOAT},    {"s", SCRIPT_STRING},
                 {"n", SCRIPT_NULL},    {"d", SCRIPT_DECIMAL}, {"a", SCRIPT_ARRAY},    {"l", SCRIPT_ARRAY},
                 {"o", SCRIPT_OBJECT},  {"u", SCRIPT_OBJECT},  {"fn", SCRIPT_FUNCTION}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        script_value v = script_member(f->s, file, kinds[i].name);
        assert_int_equal(script_kind(f->s, v), kinds[i].kind);
        script_drop(f->s, v);
    }
    assert_int_equal(script_member(f->s, file, "missing"), 0);
    assert_int_equal(script_kind(f->s, 0), SCRIPT_NIL);
    script_value i = script_member(f->s, file, "i"), s = script_member(f->s, file, "s");
    script_value b = script_member(f->s, file, "b"), l = script_member(f->s, file, "l");
    script_value fn = script_member(f->s, file, "fn");
    char place[128];
    assert_int_equal(script_integer(f->s, i), 7);
    assert_true(script_boolean(f->s, b));
    assert_true(str_eq(script_string(f->s, s), STR("x")));
    assert_int_equal(script_length(f->s, l), 2);
    script_value second = script_item(f->s, l, 2);
    assert_int_equal(script_integer(f->s, second), 2);
    assert_int_equal(script_item(f->s, l, 3), 0);
    script_place(f->s, fn, place);
    assert_string_equal(place, "aggregates/order.lua:3");
}

static int visit_note(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct fixture *f = arg;
    buf_printf(&f->out, "%.*s%s", (int)key.n, key.p, key_is_integer ? "#" : "");
    buf_printf(&f->out, "=%lld ", (long long)script_integer(f->s, value));
    return key.n == 4 ? 42 : 0;
}

static void members_are_visited_in_order(void **state) {
    struct fixture *f = *state;
    script_value file = load(f, "return { b = 1, a = 2, [10] = 3, [2] = 4, Z = 5, ab = 6 }");
    assert_int_equal(script_each(f->s, file, visit_note, f), 0);
    assert_true(str_eq(buf_str(&f->out), STR("2#=4 10#=3 Z=5 a=2 ab=6 b=1 ")));
    buf_clear(&f->out);
    file = load(f, "return { b = 1, stop = 2, t = 3 }");
    assert_int_equal(script_each(f->s, file, visit_note, f), 42);
    assert_true(str_eq(buf_str(&f->out), STR("b=1 stop=2 ")));
}

static void require_finds_the_library_alone(void **state) {
    struct fixture *f = *state;
    const char *const libraries[] = {"money", "return { add = function(a, b) return a + b end }",
                                     "loop",  "return { x = require('ring') }",
                                     "ring",  "return { x = require('loop') }",
                                     NULL};
    memcpy(f->libraries, libraries, sizeof libraries);
    script_value run = function_of(f, "local m = require('money') assert(require('money') == m)", "return m.add(1, 2)");
    script_value three;
    assert_int_equal(script_call(f->s, run, 0, &three, &f->fault), 0);
    assert_int_equal(script_integer(f->s, three), 3);
    assert_load_fails(f, "require('loop') return {}", "lib/loop.lua requires itself");
    assert_string_equal(f->fault.file, "lib/ring.lua");
    assert_load_fails(f, "require('nothing') return {}", "there is no lib/nothing.lua");
    assert_load_fails(f, "require('os') return {}", "there is no lib/os.lua");
    assert_fails(f, "return require('money')", "belongs at the top of a file");
    /* Two files have an instance each; neither can write to it once it is loaded. */
    f->libraries[1] = "n = 0 return { up = function() n = n + 1 return n end, t = {} }";
    assert_load_fails(f, "local m = require('money') m.up() m.up() return { x = error(m.up()) }", "3");
    assert_load_fails(f, "local m = require('money') return { x = error(m.up()) }", "1");
    script_value up = function_of(f, "local m = require('money')", "return m.up()");
    assert_int_equal(script_call(f->s, up, 0, &three, &f->fault), SCRIPT_FAILED);
    assert_string_equal(f->fault.file, "lib/money.lua");
    assert_non_null(strstr(f->fault.text, "the global 'n' cannot be set"));
    script_value into = function_of(f, "local m = require('money')", "m.t.x = 1");
    assert_int_equal(script_call(f->s, into, 0, &three, &f->fault), SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "the field 'x' cannot be set"));
}

/* --- limits */

static void a_loop_ends(void **state) {
    struct fixture *f = *state;
    static const char *const loops[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "return pcall(function() while true do end end)",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "return xpcall(error, function(e) while true do end end)",
        "local t = {} for i = 1, 100 do t[i] = i end while true do table.sort(t) end",
        "local t = {3, 2, 1} table.sort(t, function() while true do end end)",
        "return table.move({}, 1, (1 << 62), 2)",
        "local s = ('x'):rep(1000) while true do s:upper() end",
        "local s = ('x'):rep(10000000) while true do local t = s .. 'y' end",
        "local s = ('x'):rep(100) while true do s:find('(x*)y') end",
        "return ('x'):gsub('x', function() while true do end end)",
        "goto a ::a:: ::b:: goto b",
        "local t = {} for i = 1, 100000 do t['k' .. i] = i end while true do next(t) end",
        "local function r() return r() end r()",
    };
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
        assert_fails(f, loops[i], "the handler ran more than 10000000 instructions");
    assert_gives(f, "return 1", "1");
}

static void a_call_of_few_long_instructions_ends(void **state) {
    struct fixture *f = *state;
    struct script_options options = {.limits = {.seconds = 2}};
    script_free(f->s);
    assert_int_equal(script_new(&f->s, &options), 0);
    assert_fails(f, "local a = ('x'):rep(8000000) local b = a .. 'y' a = a .. 'x' while true do local c = a < b end",
                 "the handler ran for more than 2 s");
    assert_gives(f, "return 1", "1");
}

static void memory_is_limited(void **state) {
    struct fixture *f = *state;
    static const char *const eaters[] = {
        "return ('x'):rep(1 << 30)",
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local s = 'xxxxxxxxxxxxxxxx' while true do s = s .. s end",
        "local s = 'xxxxxxxxxxxxxxxx' while true do pcall(function() while true do s = s .. s end end) end",
        "while true do local ok = pcall(string.rep, 'x', 1 << 30) end",
        "return xpcall(string.rep, function() return 1 end, 'x', 1 << 30)",
        "local s = ('x'):rep(1 << 20) return (s:gsub('x', s))",
        "local t = {} for i = 1, 100 do t[i] = ('x'):rep(1 << 20) end return table.concat(t)",
        "return ('x'):rep(1 << 12, ('y'):rep(1 << 16))",
        "return string.pack('c2000000000', '')",
    };
    for (size_t i = 0; i < sizeof eaters / sizeof *eaters; i++)
        assert_fails(f, eaters[i], "the handler used more than 64 MiB of memory");
    assert_gives(f, "return 1", "1");
    script_collect(f->s, true);
    assert_in_range(script_memory(f->s), 1, 2 << 20);
    /* Garbage does not count. */
    assert_gives(f, "local n = 0 for i = 1, 3000 do local s = ('x'):rep(100000) n = n + #s end return n", "300000000");
}

static void recursion_is_limited(void **state) {
    struct fixture *f = *state;
    assert_fails(f, "local function r(a, b, c, d) local e, f = a, b return 1 + r(e, f, c, d) end return r()",
                 "stack overflow");
    assert_fails(f, "local function r() return 1 + r() end return r()", "MiB of memory");
    assert_gives(f, "return (string.rep('', 1 << 62))", "\"\"");
    assert_fails(f, "local function r(s) return (s:gsub('x', r)) end return r('x')", "C stack overflow");
    assert_fails(f, "local function r() table.sort({1, 2}, r) end r()", "C stack overflow");
    assert_fails(f, "local function r() pcall(r) error('deep') end r()", "deep");
    assert_fails(f, "local function r() return xpcall(error, r) end error(tostring(select(2, r())))", "");
    assert_gives(f, "return 1", "1");
}

static void limits_can_be_chosen(void **state) {
    struct fixture *f = *state;
    struct script_options options = {.limits = {.instructions = 5000, .memory = 1 << 20, .seconds = 600}};
    script_free(f->s);
    assert_int_equal(script_new(&f->s, &options), 0);
    assert_gives(f, "local n = 0 for i = 1, 1000 do n = n + i end return n", "500500");
    assert_fails(f, "for i = 1, 10000 do end", "the handler ran more than 5000 instructions");
    assert_fails(f, "return ('x'):rep(2 << 20)", "the handler used more than 1 MiB of memory");
}

/* --- faults */

static void a_fault_names_its_place(void **state) {
    struct fixture *f = *state;
    const char *const libraries[] = {"deep", "return { fall = function(x)\n return x.y.z end }", NULL};
    memcpy(f->libraries, libraries, sizeof libraries);
    script_value function = function_of(f,
                                        "local deep = require('deep')\nlocal function inner(x)\n"
                                        "  local r = deep.fall(x)\n  return r\nend",
                                        "local r = inner({})\nreturn r");
    script_value result;
    assert_int_equal(script_call(f->s, function, 0, &result, &f->fault), SCRIPT_FAILED);
    assert_string_equal(f->fault.file, "lib/deep.lua");
    assert_int_equal(f->fault.line, 2);
    assert_string_equal(f->fault.text, "attempt to index a nil value (field 'y')");
    assert_string_equal(f->fault.traceback, "lib/deep.lua:2: in field 'fall'\n"
                                            "aggregates/order.lua:3: in upvalue 'inner'\n"
                                            "aggregates/order.lua:7: in the function of line 6");
    assert_fails(f, "error('no stock')", "no stock");
    assert_string_equal(f->fault.text, "no stock");
    assert_string_equal(f->fault.file, "aggregates/order.lua");
    assert_int_equal(f->fault.line, 3);
    assert_fails(f, "\n\nerror('no stock', 0)", "no stock");
    assert_int_equal(f->fault.line, 5);
    assert_fails(f, "error({})", "the error is a table");
    assert_fails(f, "error(function() end)", "the error is a function");
    assert_fails(f, "error()", "the error is a nil");
    assert_fails(f, "error('\\xff\\0bad')", "??bad");
    assert_fails(f, "error(('x'):rep(10000))", "xxxx");
    assert_fails(f, "\nwhile true do end", "instructions");
    assert_int_equal(f->fault.line, 4);
    assert_fails(f, "\nlocal x = ('x'):rep(1 << 30)", "memory");
    assert_int_equal(f->fault.line, 4);
    assert_string_equal(f->fault.file, "aggregates/order.lua");
}

/* --- functions of C */

static int native_add(void *arg, struct script *s, script_value arguments, script_value *result,
                      struct script_fault *fault) {
    struct fixture *f = arg;
    script_value a = script_item(s, arguments, 1), b = script_item(s, arguments, 2);
    if (script_kind(s, b) == SCRIPT_FUNCTION) {
        script_value inner;
        int rc = script_call(s, b, 0, &inner, fault);
        script_drop(s, inner);
        return rc;
    }
    if (script_kind(s, a) != SCRIPT_INTEGER) {
        snprintf(fault->text, sizeof fault->text, "add() takes integers");
        return SCRIPT_FAILED;
    }
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)(script_integer(s, a) + script_integer(s, b)));
    script_drop(s, a);
    script_drop(s, b);
    return script_of_json(s, tree(f, text), result);
}

static void functions_of_c_can_be_called(void **state) {
    struct fixture *f = *state;
    assert_int_equal(script_define(f->s, "add", native_add, f), 0);
    assert_gives(f, "return add(40, 2)", "42");
    assert_fails(f, "return add('x', 2)", "add() takes integers");
    assert_fails(f, "return add(1, function() error('inside') end)", "inside");
    assert_gives(f, "return add(1, function() end)", "nil");
    script_value sum = function_of(f, "", "return a + #b"), arguments = of_json(f, "[2,\"abc\"]"), result;
    assert_int_equal(script_call(f->s, sum, arguments, &result, &f->fault), 0);
    assert_int_equal(script_integer(f->s, result), 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_must_return_a_table, setup, teardown),
        cmocka_unit_test_setup_teardown(values_of_a_file_can_be_looked_at, setup, teardown),
        cmocka_unit_test_setup_teardown(members_are_visited_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(require_finds_the_library_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loop_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_call_of_few_long_instructions_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(recursion_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_can_be_chosen, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fault_names_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(functions_of_c_can_be_called, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
