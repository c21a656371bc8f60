/* What handlers cannot do, and that all they can do is the same on every run. */
#include "lib_script.h"

static void what_is_not_there(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = {
        "os",       "io",     "debug",  "package", "coroutine",    "load",         "loadstring", "loadfile",
        "dofile",   "print",  "warn",   "rawset",  "setmetatable", "getmetatable", "_G",         "collectgarbage",
        "_VERSION", "unpack", "module", "setfenv", "newproxy"};
    char code[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(code, sizeof code, "return %s == nil", names[i]);
        assert_gives(f, code, "true");
    }
    assert_gives(f, "return { string.dump == nil, math.random == nil, math.randomseed == nil, utf8.char(233) }",
                 "[true,true,true,\"\xc3\xa9\"]");
    assert_gives(f, "return ('').dump == nil", "true");
    assert_gives(f, "local t = {} for k in pairs(_ENV) do t[#t + 1] = k end return table.concat(t, ' ')",
                 "\"array assert decimal drop error event has ipairs math next null pairs pcall rawequal rawget rawlen "
                 "reject remove require select string table tonumber tostring type utf8 xpcall\"");
}

static void nothing_shared_can_be_written_to(void **state) {
    struct fixture *f = *state;
    static const char *const writes[] = {
        "x = 1",
        "string = nil",
        "string.x = 1",
        "string.format = nil",
        "_ENV.x = 1",
        "local e = _ENV e.pairs = nil",
        "table.insert(string, 1)",
        "table.sort(string)  table.move({1}, 1, 1, 1, math)",
        "math.pi = 3",
        "a.x = 1",
    };
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        script_value function = function_of(f, "local lookup = { x = 1 }", writes[i]), result;
        script_value arguments = of_json(f, "[null]");
        assert_int_equal(script_call(f->s, function, arguments, &result, &f->fault), SCRIPT_FAILED);
        assert_true(strstr(f->fault.text, "cannot be set") || strstr(f->fault.text, "attempt to index"));
    }
    assert_fails(f, "x = 1", "the global 'x' cannot be set");
    assert_fails(f, "string.x = 1", "the field 'x' cannot be set");
    assert_fails(f, "('').__index = 1", "");
    assert_fails(f, "local s = '' s.x = 1", "attempt to index a string value");
    assert_gives(f, "return ('x'):upper()", "\"X\"");
}

static void tables_of_a_file_are_frozen_at_every_depth(void **state) {
    struct fixture *f = *state;
    static const char *const head = "local lookup = { a = { b = { 1, 2 } }, l = array{ 1 } }\n"
                                    "local hidden = { z = {} }\n"
                                    "local function inner() hidden.z.x = 1 end\n"
                                    "local boxed = { f = inner }\n"
                                    "top = { n = {} }\n"
                                    "local self = {} self.self = self self[self] = { 1 }";
    static const char *const writes[] = {
        "lookup.a.b[1] = 2",      "lookup.new = 1",   "lookup.a = nil", "table.insert(lookup.a.b, 3)",
        "table.remove(lookup.l)", "inner()",          "boxed.f()",      "top.n.x = 1",
        "self.self.self.x = 1",   "self[self][2] = 1"};
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        script_value function = function_of(f, head, writes[i]), result;
        if (script_call(f->s, function, 0, &result, &f->fault) != SCRIPT_FAILED)
            fail_msg("%s was done", writes[i]);
        assert_non_null(strstr(f->fault.text, "cannot be set"));
    }
    script_value read = function_of(f, head,
                                    "local n = 0 for i, v in ipairs(lookup.a.b) do n = n + i * v end "
                                    "for k, v in pairs(lookup) do n = n + #k end "
                                    "return { n, #lookup.a.b, next(lookup), lookup, rawlen(lookup.l),"
                                    " rawget(lookup, 'l')[1], table.unpack(lookup.a.b) }");
    script_value result;
    assert_int_equal(script_call(f->s, read, 0, &result, &f->fault), 0);
    assert_string_equal(json_of(f, result), "[7,2,\"a\",{\"a\":{\"b\":[1,2]},\"l\":[1]},1,1,1,2]");
}

static void assert_impure(struct fixture *f, const char *text, int line, const char *name) {
    char why[64];
    snprintf(why, sizeof why, "assigns to '%s'", name);
    assert_load_fails(f, text, why);
    assert_string_equal(f->fault.file, "aggregates/order.lua");
    assert_int_equal(f->fault.line, line);
}

static void functions_that_remember_are_refused(void **state) {
    struct fixture *f = *state;
    assert_impure(f, "local n = 0\nreturn { f = function()\n local x = 1.5\n\n n = n + 1 return n end }", 5, "n");
    assert_impure(f, "local n, m = 0\nreturn { f = function() return function()\n m = n end end }", 3, "m");
    assert_impure(f, "local last\nlocal function helper(x)\n last = x end\nreturn { f = function() helper(1) end }", 3,
                  "last");
    assert_impure(f,
                  "local function counter() local n = 0\n return function() n = n + 1 return n end end\n"
                  "return { f = counter() }",
                  2, "n");
    assert_impure(f, "return { f = function() _ENV = {} end }", 1, "_ENV");
    struct buf text = {0};
    buf_put_text(&text, "local n = 0\nreturn { f = function(x)\n");
    for (int i = 0; i < 500; i++)
        buf_put_text(&text, "do local y = x() + 1.5 end\n\n");
    buf_put_text(&text, "n = 1 end }");
    buf_put_char(&text, 0);
    assert_impure(f, text.p, 1003, "n");
    buf_free(&text);
    /* Loading may count, and so may a call in itself. */
    load(f,
         "local n = 0 local function up() n = n + 1 end up() up() local m = n return { f = function() return m end }");
    load(f, "return { f = function() local n = 0 local function up() n = n + 1 end up() return n end }");
    load(f, "return { f = function(...) local n = 0 for i = 1, 3 do (function() n = n + i end)() end return n end }");
}

static void no_text_shows_an_address(void **state) {
    struct fixture *f = *state;
    assert_gives(f, "return { tostring({}), tostring(pcall), tostring(null), tostring(drop), tostring(event) }",
                 "[\"table\",\"function\",\"null\",\"userdata\",\"function\"]");
    assert_gives(f, "return ('%s %s %5s|%-8s| %q %d'):format({}, pcall, null, {}, 'x', 3)",
                 "\"table function  null|table   | \\\"x\\\" 3\"");
    assert_gives(
        f, "return { tostring(nil), tostring(1.5), tostring(0/0), tostring(-(0/0)), tostring(true), tostring('x') }",
        "[\"nil\",\"1.5\",\"nan\",\"nan\",\"true\",\"x\"]");
    assert_fails(f, "return ('%p'):format({})", "%p is not there");
    assert_fails(f, "return ('%%%-10p'):format({})", "%p is not there");
    assert_fails(f, "return table.concat({ {} })", "invalid value (table) at index 1");
    assert_fails(f, "return 'x' .. {}", "attempt to concatenate a table value");
    assert_gives(f, "return select(2, pcall(error, {})) ~= nil", "true");
    assert_fails(f, "return ('%q'):format({})", "value has no literal form");
    assert_gives(f, "local ok, e = pcall(function() local x = {} return x < x end) return e",
                 "\"aggregates/order.lua:3: attempt to compare two table values\"");
}

static void pairs_has_one_order(void **state) {
    struct fixture *f = *state;
    assert_gives(f,
                 "local t, out = { b = 1, a = 2, [3] = 3, [-1] = 4, [1.5] = 5, [true] = 6, B = 7, [1] = 8, [false] = 9,"
                 " ['a\\0b'] = 1, [''] = 1 }, {}"
                 " for k, v in pairs(t) do out[#out + 1] = tostring(k) end"
                 " local k local n = 0 for key in pairs(t) do k = next(t, k) assert(k == key) n = n + 1 end"
                 " assert(next(t, k) == nil and n == 11) return out",
                 "[\"-1\",\"1\",\"3\",\"1.5\",\"false\",\"true\",\"\",\"B\",\"a\",\"a\\u0000b\",\"b\"]");
    assert_gives(f, "local n = 0 local t = {1, 2, 3, 4} for k, v in pairs(t) do t[k] = nil n = n + v end return n",
                 "10");
    assert_gives(f, "local n = 0 local t = {a = 1, b = 2} for k, v in pairs(t) do t.b = nil n = n + v end return n",
                 "1");
    assert_gives(f, "local n = 0 local t = {1, 2, x = 3} for k, v in pairs(t) do t[k] = v + 1 n = n + v end return n",
                 "6");
    assert_gives(f, "return { next({}) == nil, next({5}), (next({ x = 1 }, 'x')) == nil }", "[true,1,true]");
    assert_fails(f, "for k in pairs({ [{}] = 1, [{}] = 2 }) do end", "a key that is a table");
    assert_fails(f, "next({ [pcall] = 1 })", "a key that is a function");
    assert_fails(f, "pairs(nil)", "table expected");
}

static void sort_is_stable_and_safe(void **state) {
    struct fixture *f = *state;
    assert_gives(
        f,
        "local t = {} for i = 1, 500 do t[i] = { i % 7, i } end table.sort(t, function(a, b) return a[1] < b[1] end)"
        " for i = 2, 500 do assert(t[i - 1][1] < t[i][1] or t[i - 1][2] < t[i][2]) end return #t",
        "500");
    assert_gives(f, "local t = {5, 3, 9, 1} table.sort(t) return t", "[1,3,5,9]");
    assert_gives(f, "local t = {'b', 'a', 'B'} table.sort(t, function(a, b) return a > b end) return t",
                 "[\"b\",\"a\",\"B\"]");
    assert_gives(f, "local t = {3, 1, 2} table.sort(t, function() return true end) return #t", "3");
    assert_gives(f, "local t = {3, 1, 2} table.sort(t, function() t[1] = nil t[3] = nil return false end) return t",
                 "[3,1,2]");
    assert_fails(f, "table.sort({1, 'x'})", "attempt to compare");
    assert_fails(f, "table.sort({1, 2}, function() error('inside') end)", "inside");
}

static void patterns_cannot_go_on_for_ever(void **state) {
    struct fixture *f = *state;
    static const char *const calls[] = {
        "('x'):rep(100000):find('x*x*x*x*y')",
        "('x'):rep(100000):match('.-.-.-.-b')",
        "('x'):rep(100000):gsub('(x+)(x+)(x+)y', '')",
        "for m in ('x'):rep(100000):gmatch('[x-z]*[^a]*%w+b') do end",
        "('x'):rep(100000):find('^x*x*x*y')",
        "('x'):rep(1000000):find('x*y')",
        "string.find(('a'):rep(1000000), ('a?'):rep(40) .. 'b')",
        "('('):rep(1000000):find('%b()')",
        "('x'):rep(1000000):find(('x'):rep(1000) .. '[y]')",
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        assert_fails(f, calls[i], "the pattern may take too long on 1000");
    }
    assert_gives(f, "return ('  trim me '):rep(1000):match('^%s*(.-)%s*$') ~= nil", "true");
    assert_gives(f, "return select(2, ('a b c '):rep(20000):gsub('%s+', ''))", "60000");
    assert_gives(f, "return select(2, ('k=v, '):rep(2000):gsub('(%w+)=(%w+)', '%2'))", "2000");
    assert_gives(
        f, "return { ('a.b'):find('.', 1, true), ('x=(y)'):match('%b()'), ('THE (quick) fox'):find('%((%a+)%)') }",
        "[2,\"(y)\",5,11,\"quick\"]");
    assert_fails(f, "('x'):find('[')", "malformed pattern");
    assert_fails(f, "('x'):find('%')", "malformed pattern");
    assert_fails(f, "('x'):find('[%')", "malformed pattern");
    assert_fails(f, "('x'):find('[^')", "malformed pattern");
    assert_fails(f, "('x'):find('%b')", "");
    assert_fails(f, "('x'):find('(')", "unfinished capture");
}

static void errors_do_not_escape(void **state) {
    struct fixture *f = *state;
    assert_gives(f, "return { pcall(error, 'x'), select('#', pcall(function() return 1, 2 end)) }", "[false,3]");
    assert_gives(f, "return { xpcall(function(x, y) return x + y end, function() end, 1, 2) }", "[true,3]");
    assert_gives(f, "return { xpcall(error, function(e) return e .. '!' end, 'x') }", "[false,\"x!\"]");
    assert_fails(f, "return xpcall(error, function(e) error(e) end, 'x') == 1 or error('after')", "after");
    assert_fails(f, "return pcall()", "value expected");
}

/* The same code in two scripts, whose tables of strings have other seeds. */
static void two_scripts_give_the_same_bytes(void **state) {
    struct fixture *f = *state;
    static const char *const code =
        "local seed = 12345 local function random(n) seed = (seed * 1103515245 + 12345) % 2147483648 "
        "return seed // 65536 % n end "
        "local t, out = {}, {} "
        "for i = 1, 2000 do t['k' .. random(1000)] = random(100) if random(3) == 0 then t['k' .. random(1000)] = nil "
        "end end "
        "for k, v in pairs(t) do out[#out + 1] = k .. v end "
        "local k, v = next(t) while k do out[#out + 1] = k k, v = next(t, k) if #out > 700 then break end end "
        "table.sort(out, function(a, b) return #a < #b end) "
        "return { out = out, t = t, s = tostring(t), g = ('a b c'):gsub('%w', { a = 1, b = {} and 'x' }) }";
    char *first = NULL;
    for (int i = 0; i < 6; i++) {
        script_value v;
        if (run(f, code, &v))
            fail_msg("%s", f->fault.text);
        if (!first)
            first = strdup(json_of(f, v));
        else
            assert_string_equal(json_of(f, v), first);
        struct script_options options = {0};
        script_free(f->s);
        char *shift = malloc((size_t)i * 4096 + 1); /* Lua's seed comes from addresses */
        assert_int_equal(script_new(&f->s, &options), 0);
        free(shift);
    }
    free(first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_shared_can_be_written_to, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_of_a_file_are_frozen_at_every_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(functions_that_remember_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(no_text_shows_an_address, setup, teardown),
        cmocka_unit_test_setup_teardown(pairs_has_one_order, setup, teardown),
        cmocka_unit_test_setup_teardown(sort_is_stable_and_safe, setup, teardown),
        cmocka_unit_test_setup_teardown(patterns_cannot_go_on_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_do_not_escape, setup, teardown),
        cmocka_unit_test_setup_teardown(two_scripts_give_the_same_bytes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
