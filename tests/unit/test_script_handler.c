/* Handlers: decide over a state it cannot change, evolve, initial, unique, upcasts. */
#include "lib_script.h"

static void decide_returns_events(void **state) {
    struct fixture *f = *state;
    assert_decides(f, "return event('E', b.data)", "{}", "{\"z\":1.10,\"a\":[]}", "{\"z\":1.10,\"a\":[]}");
    assert_decides(f, "return { event('E') }", "{}", "{}", "{}");
    assert_int_equal(decide(f, "return", "{}", "{}"), 0);
    assert_int_equal(f->list.n, 0);
    assert_int_equal(decide(f, "return {}", "{}", "{}"), 0);
    assert_int_equal(f->list.n, 0);
    assert_int_equal(decide(f, "local x = event('X', {n = 2}) return nil, { event('A'), x }, event('B')", "{}", "{}"),
                     0);
    assert_int_equal(f->list.n, 3);
    assert_made(f, 0, "A", "{}");
    assert_made(f, 1, "X", "{\"n\":2}");
    assert_made(f, 2, "B", "{}");
    assert_int_equal(
        decide(f, "local l = {} for i = 1, 100 do l[i] = event('E' .. i, {i = i}) end return l", "{}", "{}"), 0);
    assert_int_equal(f->list.n, 100);
    assert_made(f, 99, "E100", "{\"i\":100}");
}

static void what_decide_returns_is_checked(void **state) {
    struct fixture *f = *state;
    assert_decide_fails(f, "return 1", "{}", "decide returned a number");
    assert_decide_fails(f, "return { x = 1 }", "{}", "the table that was returned is no event, and no list of events");
    assert_decide_fails(f, "return a", "{\"x\":1}", "is no event, and no list of events");
    assert_decide_fails(f, "return b", "{}", "is no event, and no list of events");
    assert_decide_fails(f, "return {1}", "{}", "item 1 of the list that was returned is a number");
    assert_decide_fails(f, "event('CustomerTold')", "{}", "event CustomerTold was made and not returned");
    assert_decide_fails(f, "event('A') return event('B')", "{}", "event A was made and not returned");
    assert_decide_fails(f, "local e = event('A') return e, e", "{}", "event A is returned twice");
    assert_decide_fails(f, "return event('A', 1)", "{}", "the data of event A is a number");
    assert_decide_fails(f, "return event()", "{}", "event() takes the event's type");
    assert_decide_fails(f, "return event('A', {1})", "{}", "data: it must be an object");
    assert_decide_fails(f, "return event('A', array{})", "{}", "data: it must be an object");
    assert_decide_fails(f, "return event('A', { items = { 1, 2, pcall } })", "{}", "data.items[3]: a function");
    assert_decide_fails(f, "return event('A', { e = event('B') })", "{}", "data.e: an event is no data");
    assert_decide_fails(f, "local e = event('A') e.type = 1 return e", "{}", "the type of an event is a number");
}

static void reject_ends_a_decision(void **state) {
    struct fixture *f = *state;
    assert_int_equal(decide(f, "reject('order is already ' .. a.status)", "{\"status\":\"paid\"}", "{}"),
                     SCRIPT_REJECTED);
    assert_string_equal(f->fault.text, "order is already paid");
    assert_int_equal(decide(f, "event('A') pcall(reject, 'no') return event('B')", "{}", "{}"), SCRIPT_REJECTED);
    assert_string_equal(f->fault.text, "no");
    assert_int_equal(f->list.n, 0);
    assert_int_equal(decide(f, "xpcall(reject, function() return 1 end, 'no')", "{}", "{}"), SCRIPT_REJECTED);
    assert_int_equal(decide(f, "table.sort({1, 2}, function() reject('deep') end)", "{}", "{}"), SCRIPT_REJECTED);
    assert_fails(f, "reject('x')", "reject() belongs into decide");
    assert_fails(f, "event('x')", "event() belongs into decide");
    assert_int_equal(decide(f, "return nil", "{}", "{}"), 0);
}

static void a_command_is_told(void **state) {
    struct fixture *f = *state;
    assert_decides(f,
                   "return event('E', { agg = b.aggregate, type = b.type, id = b.id, time = b.time, uid = b.uid,"
                   " gids = b.gids, version = b.version, meta = b.meta, none = b.correlationid })",
                   "{}", "{}",
                   "{\"agg\":\"order/1001\",\"gids\":[100,27],\"id\":\"c-1\",\"meta\":{},"
                   "\"time\":\"2026-01-02T03:04:05.000000Z\",\"type\":\"PlaceOrder\",\"uid\":1000,\"version\":7}");
    assert_decides(f,
                   "local u, v = b.uuid(1), b.uuid(2) assert(u ~= v and u == b.uuid(1) and #u == 36)"
                   " assert(u:match('^%x+%-%x+%-8%x%x%x%-[89ab]%x%x%x%-%x+$')) return event('E', { u = u })",
                   "{}", "{}", "{\"u\":\"027c3fa7-be7e-87b9-896b-a51325164348\"}");
    assert_decide_fails(f, "b.uuid(0)", "{}", "from 1 to 1000");
    assert_decide_fails(f, "b.uuid(1001)", "{}", "from 1 to 1000");
}

static void numbers_of_the_command_keep_their_digits(void **state) {
    struct fixture *f = *state;
    assert_decides(f, "return event('E', { total = b.data.price, list = { b.data.list[2], 2.5, 9.5 } })", "{}",
                   "{\"price\":1.10,\"list\":[1.1,2.50,2.5000]}", "{\"list\":[2.50,2.50,9.5],\"total\":1.10}");
    assert_decides(f, "return event('E', { a = a.n, b = b.data.n })", "{\"n\":3.00}", "{\"n\":3.0}",
                   "{\"a\":3.0,\"b\":3.0}");
    assert_decides(f, "return event('E', a)", "{\"n\":3.00}", "{}", "{\"n\":3.00}");
    struct buf data = {0};
    for (int i = 0; i < 500; i++)
        buf_printf(&data, "%s%d.50", i ? "," : "{\"l\":[", (i * 37) % 500);
    buf_put_text(&data, "]}");
    buf_put_char(&data, 0);
    assert_decides(f, "return event('E', { a = b.data.l[1] + 100, b = 499.5, c = 500.5 })", "{}", data.p,
                   "{\"a\":100.50,\"b\":499.50,\"c\":500.5}");
    buf_free(&data);
}

/* decide() itself asserts that the state is what it was. */
static void a_decider_has_the_state_as_if_it_were_a_copy(void **state) {
    struct fixture *f = *state;
    const char *s =
        "{\"b\":1,\"items\":[{\"q\":1.50,\"n\":\"x\"},{\"q\":2}],\"o\":{\"p\":{\"q\":1}},\"e\":[],\"a\":null}";
    assert_decides(f, "return event('E', a)", s, "{}", s);
    assert_decides(
        f, "a.b = 2 a.items[1].q = 3 a.items[3] = {q = 4} a.o.p.q = nil a.c = 1 return event('E', a)", s, "{}",
        "{\"b\":2,\"items\":[{\"q\":3,\"n\":\"x\"},{\"q\":2},{\"q\":4}],\"o\":{\"p\":{}},\"e\":[],\"a\":null,"
        "\"c\":1}");
    assert_decides(f,
                   "table.insert(a.items, 1, 'first') table.remove(a.items) table.insert(a.e, 1)"
                   " return event('E', { i = a.items, e = a.e, n = #a.items })",
                   s, "{}", "{\"e\":[1],\"i\":[\"first\",{\"q\":1.50,\"n\":\"x\"}],\"n\":2}");
    assert_decides(
        f,
        "local t = {} for k, v in pairs(a) do t[#t + 1] = k .. type(v) end"
        " for i, v in ipairs(a.items) do t[#t + 1] = i + v.q end"
        " t[#t + 1] = next(a) t[#t + 1] = next(a, 'a') t[#t + 1] = type(a) t[#t + 1] = rawlen(a.items)"
        " t[#t + 1] = rawget(a, 'b') t[#t + 1] = tostring(a) t[#t + 1] = select('#', table.unpack(a.items))"
        " return event('E', { t = t })",
        s, "{}",
        "{\"t\":[\"auserdata\",\"bnumber\",\"etable\",\"itemstable\",\"otable\",2.5,4,\"a\",\"b\",\"table\",2,1,"
        "\"table\",2]}");
    assert_decides(f,
                   "assert(a.items == a.items and a.items[1] == a.items[1] and a.o.p ~= a.o)"
                   " local before = a.o a.o.x = 1 assert(a.o == before and a.o.x == 1)"
                   " for k, v in pairs(a.o) do assert(a.o[k] == v) end"
                   " local x = rawget(a, 'items') x[1] = nil rawget(rawget(a, 'o'), 'p').q = 9 local _, p = next(a.o)"
                   " p.q = 10 return event('E', a.o)",
                   s, "{}", "{\"p\":{\"q\":10},\"x\":1}");
    assert_decides(f, "a.o.p.q = 2 local e = event('E', { all = a, part = a.o }) a.o.p.r = 3 return e", s, "{}",
                   "{\"all\":{\"b\":1,\"items\":[{\"q\":1.50,\"n\":\"x\"},{\"q\":2}],\"o\":{\"p\":{\"q\":2,\"r\":3}},"
                   "\"e\":[],\"a\":null},\"part\":{\"p\":{\"q\":2,\"r\":3}}}");
    assert_decides(f, "table.sort(a.l) return event('E', { l = a.l, c = table.concat(a.l, '-') })", "{\"l\":[3,1,2]}",
                   "{}", "{\"c\":\"1-2-3\",\"l\":[1,2,3]}");
    assert_decides(f, "table.move(a.l, 1, 3, 2) table.move(a.l, 1, 2, 1, b) return event('E', { l = a.l, x = b[2] })",
                   "{\"l\":[3,1,2]}", "{}", "{\"l\":[3,3,1,2],\"x\":3}");
    assert_decides(f, "for k in pairs(a.o) do a.o[k] = nil end a.l[#a.l] = nil return event('E', a)",
                   "{\"o\":{\"x\":1,\"y\":2},\"l\":[1,2]}", "{}", "{\"o\":{},\"l\":[1]}");
}

static void a_state_that_was_kept_is_dead(void **state) {
    struct fixture *f = *state;
    script_value keep = function_of(f, "local box = {}\nlocal function set(t) box.t = t end", "set(a)");
    script_value live = of_json(f, "{\"o\":{\"p\":1}}");
    assert_int_equal(decide_with(f, keep, live, "{}"), SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "the field 't' cannot be set"));
}

static int get_other(void *arg, struct str aggregate, script_value *state, struct err *err) {
    struct fixture *f = arg;
    if (!str_eq(aggregate, STR("customer/7")))
        return err_set(err, EINVAL, "%.*s is no aggregate", (int)aggregate.n, aggregate.p);
    script_value evolve = function_of(f, "", "a.n = (a.n or 0) + 1 a.d = b.data");
    *state = of_json(f, "{\"name\":\"Ada\"}");
    assert_int_equal(evolve_with(f, evolve, state, "{\"x\":1.50}"), 0);
    return 0;
}

static void other_aggregates_can_be_asked_for(void **state) {
    struct fixture *f = *state;
    struct script_command cmd = {.data = tree(f, "{}")};
    script_value empty = of_json(f, "{\"o\":{}}");
    script_value ask = function_of(f, "",
                                   "local o = a.o local x = c('customer/7') x.name = x.name .. '!' "
                                   "return event('E', { x = x, o = o })");
    assert_int_equal(script_decide(f->s, ask, empty, &cmd, get_other, f, &f->arena, &f->list, &f->fault), 0);
    assert_made(f, 0, "E", "{\"o\":{},\"x\":{\"name\":\"Ada!\",\"d\":{\"x\":1.50},\"n\":1}}");
    script_value wrong = function_of(f, "", "local ok, why = pcall(c, 'x/1') return event('E', { why = why })");
    assert_int_equal(script_decide(f->s, wrong, empty, &cmd, get_other, f, &f->arena, &f->list, &f->fault), 0);
    assert_made(f, 0, "E", "{\"why\":\"get(\\\"x/1\\\"): x/1 is no aggregate\"}");
    assert_decide_fails(f, "c('customer/7')", "{}", "get() belongs into decide");
}

static void evolve_changes_the_state(void **state) {
    struct fixture *f = *state;
    script_value live;
    assert_int_equal(script_initial(f->s, 0, STR("1001"), &live, &f->fault), 0);
    assert_string_equal(json_of(f, live), "{}");
    script_value evolve = function_of(f, "", "a.id = b.subject a.items = b.data.items a.v = b.version");
    assert_int_equal(evolve_with(f, evolve, &live, "{\"items\":[{\"price\":1.10}]}"), 0);
    assert_string_equal(json_of(f, live), "{\"id\":\"1001\",\"items\":[{\"price\":1.10}],\"v\":3}");
    script_value tell = function_of(f, "", "local t = {} for k, v in pairs(b) do t[k] = v end return t");
    assert_int_equal(evolve_with(f, tell, &live, "{}"), 0);
    assert_string_equal(
        json_of(f, live),
        "{\"aggregate\":\"order/1001\",\"commandid\":\"c-1\",\"data\":{},\"id\":\"e-1\",\"meta\":{},"
        "\"position\":\"0000000000000012\",\"source\":\"esfs://shop\",\"subject\":\"1001\","
        "\"time\":\"2026-01-02T03:04:05.000000Z\",\"type\":\"OrderPlaced\",\"uid\":1000,\"version\":3}");
    script_value wrong = function_of(f, "", "return 1");
    assert_int_equal(evolve_with(f, wrong, &live, "{}"), SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "evolve returned a number"));
    script_value initial = function_of(f, "", "return { id = a, items = array{} }");
    assert_int_equal(script_initial(f->s, initial, STR("7"), &live, &f->fault), 0);
    assert_string_equal(json_of(f, live), "{\"id\":\"7\",\"items\":[]}");
    script_value none = function_of(f, "", "return nil");
    assert_int_equal(script_initial(f->s, none, STR("7"), &live, &f->fault), SCRIPT_FAILED);
    assert_int_equal(live, 0);
}

/* What is kept of an event: its members, and never the event. */
static void an_event_cannot_be_kept(void **state) {
    struct fixture *f = *state;
    script_value live = of_json(f, "{}"), keep = function_of(f, "", "a.last = b"),
                 look = function_of(f, "", "a.type = a.last.type"), itself = function_of(f, "", "return b");
    struct buf bytes = {0};
    assert_int_equal(evolve_with(f, itself, &live, "{}"), SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "an event cannot be kept: keep its members"));
    assert_int_equal(evolve_with(f, keep, &live, "{}"), 0);
    assert_int_equal(script_freeze(f->s, live, &bytes, &f->fault), SCRIPT_FAILED);
    assert_string_equal(f->fault.text, "the state.last: an event cannot be kept: keep its members");
    assert_int_equal(script_check(f->s, live, &f->fault), SCRIPT_FAILED);
    assert_string_equal(f->fault.text, "the state.last: an event cannot be kept: keep its members");
    assert_int_equal(script_to_json(f->s, live, &bytes, &f->fault), SCRIPT_FAILED);
    assert_string_equal(f->fault.text, "the value.last: an event cannot be kept: keep its members");
    assert_int_equal(evolve_with(f, look, &live, "{}"), SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "an event cannot be kept: keep its members"));
    buf_free(&bytes);
}

static const char *const kept_texts[] = {
    "{}",
    "{\"z\":1.10,\"a\":[1.50,{\"x\":\"y\"}],\"n\":null,\"t\":true}",
    " { \"s\" : \"\\u00e9\\/\\n\\\"\" , \"k\\u0041\" : -0 , \"e\" : [ ] , \"o\" : { } } ",
    "{\"big\":123456789012345678901234567890,\"f\":1e3,\"\":\"12345678\\\\2345678\",\"u\":\"1234567\xc3\xa9\"}",
    "{\"a1\":1,\"a2\":2,\"a3\":3,\"a4\":4,\"a5\":5,\"a6\":6,\"a7\":7,\"a8\":8,\"a9\":9,\"b1\":1,\"b2\":2,\"b3\":3,"
    "\"b4\":4,\"b5\":5,\"b6\":6,\"b7\":7,\"b8\":8,\"b9\":9,\"c1\":1,\"c2\":2,\"c3\":3,\"c4\":4,\"c5\":5,\"c6\":6,"
    "\"c7\":7}",
};

/* Data that was kept before anything looked into it is what it is when all of it was looked at. */
static void data_can_be_kept(void **state) {
    struct fixture *f = *state;
    static const char *const keeps[] = {"a.last = b.data", "local d = b.data local x = d.s, d.z, d.none a.last = d",
                                        "a.last = b.data a.last = nil a.last = b.data"};
    static const char *const looks[] = {
        "a.last.new = 1",
        "a.got = a.last.s or a.last.z",
        "local n = 0 for k in pairs(a.last) do n = n + 1 end a.n = n",
        "a.first = next(a.last)",
        "a.raw = rawget(a.last, 'z')",
        "a.deep = a.last.a and a.last.a[2] and a.last.a[2].x",
        "a.n = #a.last",
        "a.again = a.last",
    };
    script_value all = function_of(f, "", "for k in pairs(b.data) do end a.last = b.data");
    for (size_t t = 0; t < sizeof kept_texts / sizeof *kept_texts; t++)
        for (size_t k = 0; k < sizeof keeps / sizeof *keeps; k++)
            for (size_t l = 0; l < sizeof looks / sizeof *looks; l++) {
                script_value lazy = of_json(f, "{}"), eager = of_json(f, "{}"), keep = function_of(f, "", keeps[k]),
                             look = function_of(f, "", looks[l]);
                assert_int_equal(evolve_with(f, keep, &lazy, kept_texts[t]), 0);
                assert_int_equal(evolve_with(f, all, &eager, kept_texts[t]), 0);
                if (l % 2)
                    assert_int_equal(script_check(f->s, lazy, &f->fault), 0);
                assert_int_equal(evolve_with(f, look, &lazy, "{}"), 0);
                assert_int_equal(evolve_with(f, look, &eager, "{}"), 0);
                struct buf one = {0}, other = {0};
                assert_int_equal(script_freeze(f->s, lazy, &one, &f->fault), 0);
                assert_int_equal(script_freeze(f->s, eager, &other, &f->fault), 0);
                assert_true(str_eq(buf_str(&one), buf_str(&other)));
                buf_free(&one);
                buf_free(&other);
                char *text = strdup(json_of(f, lazy));
                assert_string_equal(json_of(f, eager), text);
                free(text);
                script_drop(f->s, lazy);
                script_drop(f->s, eager);
                script_drop(f->s, keep);
                script_drop(f->s, look);
            }
    script_value live = of_json(f, "{}"), keep = function_of(f, "", keeps[0]),
                 tell = function_of(f, "", "local x = a.last.a a.last.z = 2 return event('E', { d = a.last, x = x })");
    assert_int_equal(evolve_with(f, keep, &live, kept_texts[1]), 0);
    assert_int_equal(decide_with(f, tell, live, "{}"), 0);
    assert_made(f, 0, "E",
                "{\"d\":{\"z\":2,\"a\":[1.50,{\"x\":\"y\"}],\"n\":null,\"t\":true},\"x\":[1.50,{\"x\":\"y\"}]}");
    assert_int_equal(script_kind(f->s, script_member(f->s, live, "last")), SCRIPT_OBJECT);
    assert_string_equal(json_of(f, script_member(f->s, live, "last")), kept_texts[1]);
}

/* However much of the command a decider looks at, and in whatever way, the event is the same. */
static void untouched_data_is_written_as_touched_data(void **state) {
    struct fixture *f = *state;
    static const char *const bodies[] = {
        "return event('E', b.data)",
        "local d = b.data for k in pairs(d) do end return event('E', d)",
        "local d = b.data local x = d.a return event('E', d)",
        "local d = b.data for i = 1, 20 do local x = d.z end return event('E', d)",
        "local d = b.data local e = event('E', d) d.more = 1 d.more = nil return e",
        "local d = b.data next(d) rawget(d, 'z') return event('E', d)",
        "local d = b.data b.data = nil assert(b.data == nil) for i = 1, 100 do local t = {} end return event('E', d)",
    };
    for (size_t t = 0; t < sizeof kept_texts / sizeof *kept_texts; t++) {
        script_value v = of_json(f, kept_texts[t]);
        char *want = strdup(json_of(f, v));
        for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
            assert_decides(f, bodies[i], "{}", kept_texts[t], want);
        char *inside = NULL;
        assert_true(asprintf(&inside, "{\"d\":[%s],\"e\":%s}", want, want) > 0);
        assert_decides(f, "return event('E', { d = { b.data }, e = b.data })", "{}", kept_texts[t], inside);
        free(inside);
        free(want);
        script_drop(f->s, v);
    }
    assert_decides(f, "local d = b.data d.x = 2 assert(d.x == 2 and d.y == 3 and #d == 0) return event('E', d)", "{}",
                   "{\"x\":1,\"y\":3}", "{\"x\":2,\"y\":3}");
    assert_int_equal(decide(f, "return event('E', b.data)", "{}", "{\"x\":[1e999]}"), SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "the number 1e999 is beyond what a float can hold"));
}

static void a_command_is_a_table(void **state) {
    struct fixture *f = *state;
    assert_decides(
        f,
        "local t = {} for k, v in pairs(b) do t[#t + 1] = k .. ':' .. type(v) end"
        " return event('E', { t = table.concat(t, ' '), again = b.type, first = next(b), none = b.nothing })",
        "{}", "{}",
        "{\"again\":\"PlaceOrder\",\"first\":\"aggregate\",\"t\":\"aggregate:string data:table gids:table "
        "id:string meta:table time:string type:string uid:number uuid:function version:number\"}");
    assert_decides(f,
                   "b.time = nil b.own = 1 b.uid = 7 local id = b.id b.id = nil"
                   " assert(b.time == nil and b.id == nil and b.own == 1 and b.uid == 7 and b[1] == nil)"
                   " local n = 0 for k in pairs(b) do n = n + 1 assert(k ~= 'time' and k ~= 'id') end"
                   " return event('E', { id = id, n = n })",
                   "{}", "{}", "{\"id\":\"c-1\",\"n\":9}");
    assert_decide_fails(f, "return event('E', b)", "{}", "data: a command is no data");
    assert_decide_fails(f, "return event('E', { x = { b } })", "{}", "data.x[1]: a command is no data");
}

static void assert_unique(struct fixture *f, const char *body, const char *want) {
    script_value live = of_json(f, "{\"number\":\"A-1\",\"o\":{\"x\":1.50}}"), rule = function_of(f, "", body);
    bool present;
    buf_clear(&f->out);
    assert_int_equal(script_unique(f->s, rule, live, &f->out, &present, &f->fault), 0);
    assert_int_equal(present, *want != 0);
    if (!str_eq(buf_str(&f->out), str_of(want)))
        fail_msg("%s gave %.*s", body, (int)f->out.n, f->out.p);
    assert_string_equal(json_of(f, live), "{\"number\":\"A-1\",\"o\":{\"x\":1.50}}");
}

static void unique_rules_give_scalars(void **state) {
    struct fixture *f = *state;
    assert_unique(f, "return a.number", "\"A-1\"");
    assert_unique(f, "return a.missing", "");
    assert_unique(f, "return null", "");
    assert_unique(f, "return false", "false");
    assert_unique(f, "return decimal('1.10')", "1.1");
    assert_unique(f, "return decimal('7.00')", "7");
    assert_unique(f, "return 7.0", "7");
    assert_unique(f, "return -0.0", "0");
    assert_unique(f, "return math.maxinteger", "9223372036854775807");
    assert_unique(f, "return 1.5", "1.5");
    assert_unique(f, "a.number = 2 a.o.x = nil return a.number", "2");
    script_value live = of_json(f, "{\"o\":{}}"), rule = function_of(f, "", "return a.o");
    bool present;
    assert_int_equal(script_unique(f->s, rule, live, &f->out, &present, &f->fault), SCRIPT_FAILED);
    assert_non_null(strstr(f->fault.text, "a unique rule returned a table"));
}

static int upcast(struct fixture *f, const char *body, const char *data) {
    script_value function = function_of(f, "", body);
    struct script_event e = event_of(f, data);
    int rc = script_upcast(f->s, function, &e, &f->arena, &f->list, &f->fault);
    script_drop(f->s, function);
    return rc;
}

static void upcasts_change_rename_split_and_drop(void **state) {
    struct fixture *f = *state;
    assert_int_equal(upcast(f, "a.currency = 'EUR' assert(b.version == 3) return a", "{\"p\":1.10}"), 0);
    assert_int_equal(f->list.n, 1);
    assert_made(f, 0, "OrderPlaced", "{\"p\":1.10,\"currency\":\"EUR\"}");
    assert_int_equal(upcast(f, "return {}", "{\"p\":1.10}"), 0);
    assert_made(f, 0, "OrderPlaced", "{}");
    assert_int_equal(upcast(f, "return event('Renamed', a)", "{\"p\":1.10}"), 0);
    assert_made(f, 0, "Renamed", "{\"p\":1.10}");
    assert_int_equal(upcast(f, "return { event('A', a), event('B') }", "{\"p\":1.10}"), 0);
    assert_int_equal(f->list.n, 2);
    assert_made(f, 1, "B", "{}");
    assert_int_equal(upcast(f, "return array{}", "{}"), 0);
    assert_int_equal(f->list.n, 0);
    assert_int_equal(upcast(f, "return drop", "{}"), 0);
    assert_int_equal(f->list.n, 0);
    static const char *const wrong[] = {"return", "return 1", "event('A') return array{}", "event('A') return drop",
                                        "event('A') return a"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(upcast(f, wrong[i], "{}"), SCRIPT_FAILED);
}

static void decimals_are_exact(void **state) {
    struct fixture *f = *state;
    assert_gives(f, "return decimal('1.10') + decimal('1.1')", "2.20");
    assert_gives(f,
                 "local d = decimal('1.10') return { d + 1, 1 + d, d * 3, d - 2, 3 - d, d / 2, -d, d % 1, decimal(5) }",
                 "[2.10,2.10,3.30,-0.90,1.90,0.55,-1.10,0.10,5]");
    assert_gives(f,
                 "return { decimal('1.1') == decimal('1.10'), decimal('1') == 1, decimal('1') < 2, 2 <= decimal('1'),"
                 " decimal('1.2') > decimal('1.1'), decimal('1.005'):round(2), decimal('15'):round(-1) }",
                 "[true,false,true,false,true,1.00,20]");
    assert_gives(f, "return 'x' .. decimal('1.10') .. 'y' .. tostring(decimal('2.50'))", "\"x1.10y2.50\"");
    assert_gives(f, "return ('%s|%5s'):format(decimal('1.10'), decimal('2'))", "\"1.10|    2\"");
    assert_fails(f, "return decimal('1') + 0.5", "a decimal and a float do not mix");
    assert_fails(f, "return decimal('1') < 0.5", "a decimal and a float do not mix");
    assert_fails(f, "return decimal('1') + '2'", "a decimal and a string do not mix");
    assert_fails(f, "return decimal('1') + {}", "a decimal and a table do not mix");
    assert_gives(f, "return { decimal(1.5), decimal(1.1) + decimal(2.2), decimal(7.0) }", "[1.5,3.3,7.0]");
    assert_fails(f, "return decimal(0/0)", "not a number");
    assert_fails(f, "return decimal(1/0)", "infinite");
    assert_fails(f, "return decimal({})", "not a table");
    assert_fails(f, "return decimal('x')", "is not a number");
    assert_fails(f, "return decimal('0.12345678901234567890123456789012345')", "more than 34 digits");
    assert_fails(f, "return decimal(1) / 3", "the quotient is not exact");
    assert_fails(f, "return decimal(1) / 0", "a division by zero");
    assert_fails(f, "return decimal(1) // 1", "attempt to perform arithmetic");
    assert_fails(f, "decimal(1).x = 1", "attempt to index");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(decide_returns_events, setup, teardown),
        cmocka_unit_test_setup_teardown(what_decide_returns_is_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(reject_ends_a_decision, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_of_the_command_keep_their_digits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_decider_has_the_state_as_if_it_were_a_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_that_was_kept_is_dead, setup, teardown),
        cmocka_unit_test_setup_teardown(other_aggregates_can_be_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(evolve_changes_the_state, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_cannot_be_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(data_can_be_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(untouched_data_is_written_as_touched_data, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_is_a_table, setup, teardown),
        cmocka_unit_test_setup_teardown(unique_rules_give_scalars, setup, teardown),
        cmocka_unit_test_setup_teardown(upcasts_change_rename_split_and_drop, setup, teardown),
        cmocka_unit_test_setup_teardown(decimals_are_exact, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
