/* Queries of a domain: what their files say, what is refused. */
#include "lib_domain.h"

static const struct {
    const char *path, *text;
} good[] = {
    {"aggregates/order.lua", "return { events = { OrderPlaced = { evolve = function() end } } }"},
    {"lib/sums.lua", "return { add = function(a, b) return a + b end }"},
    {"views/all.lua", "return { on = { OrderPlaced = function() end } }"},
    {"queries/big_orders.lua",
     "local sums = require \"sums\"\n"
     "return {\n"
     "  params = { type = \"object\", required = { \"customer\" }, additionalProperties = false,\n"
     "    properties = { customer = { type = \"string\", minLength = 2 }, min = { type = \"integer\" } } },\n"
     "  allow = { groups = { 7 } }, ttl = \"30s\", depends = \"ttl\", cache = \"per_caller\",\n"
     "  run = function(q, params) return sums.add(1, 2) end,\n"
     "  post = function(result, params) return result end,\n"
     "}\n"},
    {"queries/plain.lua", "return { run = function(q) return 1 end }"},
    {"queries/README.md", "read me"},
    {"queries/.plain.lua.swp", "\xff"},
};

static int setup(void **state) {
    struct lib_domain *l = calloc(1, sizeof *l);
    lib_domain_begin(l);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        lib_domain_put(l, good[i].path, good[i].text);
    *state = l;
    return 0;
}

static int teardown(void **state) {
    lib_domain_end(*state);
    free(*state);
    return 0;
}

static void assert_str(struct str got, const char *want) {
    if (!str_eq(got, str_of(want)))
        fail_msg("got %.*s, not %s", (int)got.n, got.p, want);
}

static const struct domain_query *query_of(const struct lib_domain *l, const char *name) {
    const struct domain_query *q = domain_query(l->d, str_of(name));
    assert_non_null(q);
    return q;
}

/* Whether the query may be asked with this. */
static bool takes(const struct domain_query *q, const char *params) {
    struct arena arena = {0};
    struct json_parser *parser = json_parser_new();
    struct json_value tree;
    const char *why;
    char text[256] = {0};
    memcpy(text, params, strlen(params));
    assert_int_equal(json_tree_read(parser, (struct str){text, strlen(params)}, &arena, &tree, &why), 0);
    int r = schema_check(q->compiled, &tree, NULL);
    json_parser_free(parser);
    arena_free(&arena);
    return r == 0;
}

/* --- what a good one says */

static void queries_are_read(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    assert_int_equal(l->d->n_queries, 2);
    assert_str(l->d->queries[0].name, "big_orders");
    assert_str(l->d->queries[1].name, "plain");
    assert_null(domain_query(l->d, STR("big")));
    const struct domain_query *q = query_of(l, "big_orders");
    assert_str(q->file, "queries/big_orders.lua");
    assert_int_equal(q->ttl, 30000);
    assert_true(q->depends_on_ttl && q->per_caller);
    assert_true(q->allow.given && q->allow.n_gids == 1 && q->allow.gids[0] == 7);
    assert_str(q->params,
               "{\"additionalProperties\":false,\"properties\":{\"customer\":{\"minLength\":2,\"type\":"
               "\"string\"},\"min\":{\"type\":\"integer\"}},\"required\":[\"customer\"],\"type\":\"object\"}");
    assert_non_null(json_field(q->tree, STR("properties")));
    assert_true(takes(q, "{\"customer\":\"alice\",\"min\":100}"));
    assert_false(takes(q, "{\"customer\":\"a\"}"));
    assert_false(takes(q, "{\"min\":100}"));
    assert_false(takes(q, "{\"customer\":\"alice\",\"max\":1}"));
}

static void a_query_needs_nothing_but_run(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    const struct domain_query *q = query_of(l, "plain");
    assert_str(q->params, "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}");
    assert_non_null(json_field(q->tree, STR("properties")));
    assert_true(takes(q, "{}"));
    assert_false(takes(q, "{\"x\":1}"));
    assert_int_equal(q->ttl, 0);
    assert_false(q->depends_on_ttl || q->per_caller || q->allow.given);
}

static void assert_place(struct script *s, script_value function, const char *want) {
    char place[128];
    script_place(s, function, place);
    assert_string_equal(place, want);
}

static void vms_have_the_handlers_of_queries(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    for (int i = 0; i < 2; i++) {
        struct domain_vm *vm = NULL;
        assert_int_equal(i ? domain_vm_new(&vm, l->d, &l->err) : domain_vm_take(l->d, &vm, &l->err), 0);
        struct script *s = domain_vm_script(vm);
        assert_place(s, domain_vm_query_run(vm, query_of(l, "big_orders")), "queries/big_orders.lua:6");
        assert_place(s, domain_vm_query_post(vm, query_of(l, "big_orders")), "queries/big_orders.lua:7");
        assert_place(s, domain_vm_query_run(vm, query_of(l, "plain")), "queries/plain.lua:1");
        assert_int_equal(domain_vm_query_post(vm, query_of(l, "plain")), 0);
        assert_place(s, domain_vm_view_on(vm, domain_view(l->d, STR("all")), STR("OrderPlaced")), "views/all.lua:1");
        domain_vm_give(vm);
    }
}

static void times_have_units(void **state) {
    struct lib_domain *l = *state;
    static const struct {
        const char *ttl;
        uint64_t ms;
    } times[] = {{"1ms", 1},
                 {"500ms", 500},
                 {"30s", 30000},
                 {"5m", 300000},
                 {"2h", 7200000},
                 {"1d", 86400000},
                 {"1w", 604800000},
                 {"007s", 7000},
                 {"36500d", UINT64_C(3153600000000)},
                 {"3153600000000ms", UINT64_C(3153600000000)}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char text[100];
        snprintf(text, sizeof text, "return { ttl = \"%s\", run = function() end }", times[i].ttl);
        lib_domain_put(l, "queries/plain.lua", text);
        lib_domain_reload(l);
        assert_int_equal(query_of(l, "plain")->ttl, times[i].ms);
        assert_false(query_of(l, "plain")->depends_on_ttl);
    }
    static const char *const wrong[] = {"",
                                        "30",
                                        "s",
                                        "0s",
                                        "-1s",
                                        "1.5s",
                                        "30 s",
                                        "30S",
                                        "30sec",
                                        " 30s",
                                        "30s ",
                                        "36501d",
                                        "99999999999999999999999999ms",
                                        "6000w"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[100], words[100];
        snprintf(text, sizeof text, "return { ttl = \"%s\", run = function() end }", wrong[i]);
        snprintf(words, sizeof words, "queries/plain.lua: ttl: %s is no time: it is a number from 1 and ms, s,",
                 wrong[i]);
        lib_domain_put(l, "queries/plain.lua", text);
        lib_domain_refused(l, EINVAL, words);
    }
}

static void formats_are_checked_when_it_is_asked_for(void **state) {
    struct lib_domain *l = *state;
    lib_domain_put(l, "queries/plain.lua",
                   "return { params = { type = \"object\", properties = { day = { type = \"string\", format = "
                   "\"date\" } } }, run = function() end }");
    for (int i = 0; i < 2; i++) {
        l->options.assert_format = i == 1;
        lib_domain_reload(l);
        assert_int_equal(takes(query_of(l, "plain"), "{\"day\":\"tomorrow\"}"), i == 0);
        assert_true(takes(query_of(l, "plain"), "{\"day\":\"2026-11-22\"}"));
    }
}

/* --- hashes */

static void every_file_counts_and_states_are_kept(void **state) {
    struct lib_domain *l = *state;
    static const struct {
        const char *path, *text;
        bool counts;
    } changes[] = {
        {"queries/plain.lua", "return { run = function(q) return 2 end }", true},
        {"queries/new.lua", "return { run = function(q) return 2 end }", true},
        {"lib/sums.lua", "return { add = function(a, b) return b + a end }", true},
        {"views/other.lua", "return { on = { [\"*\"] = function() end } }", true},
        {"queries/notes.txt", "notes", false},
    };
    uint8_t domain[DIGEST_CHAIN], query[DOMAIN_FOLD_HASH], fold[DOMAIN_FOLD_HASH], view[DOMAIN_FOLD_HASH];
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        lib_domain_reload(l);
        memcpy(domain, l->d->hash, sizeof domain);
        memcpy(query, query_of(l, "big_orders")->hash, sizeof query);
        memcpy(fold, lib_domain_type(l, "order")->fold, sizeof fold);
        memcpy(view, domain_view(l->d, STR("all"))->hash, sizeof view);
        lib_domain_put(l, changes[i].path, changes[i].text);
        lib_domain_reload(l);
        assert_int_equal(memcmp(domain, l->d->hash, sizeof domain) != 0, changes[i].counts);
        assert_int_equal(memcmp(query, query_of(l, "big_orders")->hash, sizeof query) != 0, changes[i].counts);
        assert_memory_equal(fold, lib_domain_type(l, "order")->fold, sizeof fold);
        assert_memory_equal(view, domain_view(l->d, STR("all"))->hash, sizeof view);
    }
}

/* --- what is refused */

#define RUN "run = function() end"

static const struct {
    const char *path, *text, *words;
} bad[] = {
    {"queries/x.lua", "this is no Lua (", "queries/x.lua:1: "},
    {"queries/x.lua", "return 7", "queries/x.lua: the file must return a table, not number"},
    {"queries/x.lua", "local m = require \"nothing\" return {}", "there is no lib/nothing.lua"},
    {"queries/x.lua", "return { " RUN ", parms = {} }", "queries/x.lua: parms: unknown member, did you mean params?"},
    {"queries/x.lua", "return { " RUN ", whatever = {} }",
     "queries/x.lua: whatever: unknown member, there may be params, allow, ttl"},
    {"queries/x.lua", "return { 7 }", "queries/x.lua: 1: unknown member"},
    {"queries/x.lua", "return {}", "queries/x.lua: run: is missing: a query has run = function(q, params) ... end"},
    {"queries/x.lua", "return { run = 1 }", "queries/x.lua: run: must be a function"},
    {"queries/x.lua", "return { " RUN ", post = {} }", "queries/x.lua: post: must be a function"},
    /* params */
    {"queries/x.lua", "return { " RUN ", params = \"x\" }",
     "queries/x.lua: params: must be a JSON Schema as a table, like { type = \"object\", properties"},
    {"queries/x.lua", "return { " RUN ", params = {} }", "queries/x.lua: params: must have type = \"object\""},
    {"queries/x.lua", "return { " RUN ", params = { type = \"string\" } }",
     "queries/x.lua: params: must have type = \"object\""},
    {"queries/x.lua", "return { " RUN ", params = { type = { \"object\" } } }",
     "queries/x.lua: params: must have type = \"object\""},
    {"queries/x.lua", "return { " RUN ", params = array{} }", "queries/x.lua: params: "},
    {"queries/x.lua", "return { " RUN ", params = { type = \"objekt\" } }", "queries/x.lua: params: "},
    {"queries/x.lua", "return { " RUN ", params = { type = \"object\", required = \"x\" } }",
     "queries/x.lua: params: "},
    {"queries/x.lua", "return { " RUN ", params = { type = \"object\", properties = { a = { pattern = \"(\" } } } }",
     "queries/x.lua: params: /properties/a"},
    {"queries/x.lua", "return { " RUN ", params = { type = \"object\", [\"$ref\"] = \"#/nowhere\" } }",
     "queries/x.lua: params: "},
    {"queries/x.lua", "return { " RUN ", params = { type = \"object\", properties = { a = pcall } } }",
     "queries/x.lua: params: the value.properties.a: a function cannot be in JSON"},
    {"queries/x.lua", "return { " RUN ", params = { type = \"object\", description = (\"x\"):rep(1 << 20) } }",
     "queries/x.lua: params: is larger than the 1 MiB that a schema may have"},
    /* caching */
    {"queries/x.lua", "return { " RUN ", ttl = 30 }", "queries/x.lua: ttl: must be a text like \"30s\""},
    {"queries/x.lua", "return { " RUN ", depends = \"time\" }",
     "queries/x.lua: depends: must be \"read\" or \"ttl\", not time"},
    {"queries/x.lua", "return { " RUN ", depends = true }", "queries/x.lua: depends: must be a text"},
    {"queries/x.lua", "return { " RUN ", depends = \"ttl\" }",
     "queries/x.lua: depends: is \"ttl\", and there is no ttl = \"30s\""},
    {"queries/x.lua", "return { " RUN ", depends = \"read\", ttl = \"1s\" }", NULL},
    {"queries/x.lua", "return { " RUN ", cache = \"shared\" }",
     "queries/x.lua: cache: must be \"per_caller\", or not there, and not shared"},
    {"queries/x.lua", "return { " RUN ", cache = false }", "queries/x.lua: cache: must be a text"},
    /* allow */
    {"queries/x.lua", "return { " RUN ", allow = { user = {} } }",
     "queries/x.lua: allow: user: unknown member, did you mean users?"},
    /* files */
    {"queries/x/y.lua", "return {}", "queries/x: is a directory: queries lie in queries/ itself"},
    {"queries/$x.lua", "return {}", "queries/$x.lua: the name of a query begins with $"},
    {"queries/\xff.lua", "return {}", "queries/\\xff.lua: the name of a query is not valid UTF-8"},
};

static void bad_queries_are_refused_by_name_and_cause(void **state) {
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lib_domain *l = *state;
        lib_domain_put(l, bad[i].path, bad[i].text);
        if (bad[i].words)
            lib_domain_refused(l, EINVAL, bad[i].words);
        else
            lib_domain_reload(l);
        teardown(state);
        setup(state);
    }
}

/* --- lint */

static void lint_looks_at_queries(void **state) {
    struct lib_domain *l = *state;
    struct buf lines = {0};
    lib_domain_put(l, "queries/notes.txt", "notes");
    lib_domain_put(l, "lib/alone.lua", "return 1");
    lib_domain_reload(l);
    assert_int_equal(domain_lint(l->d, &lines), 0);
    buf_put_char(&lines, 0);
    assert_string_equal(lines.p, "queries/notes.txt: is not read: its name does not end in .lua\n"
                                 "lib/alone.lua: a library that nobody requires\n");
    buf_free(&lines);
}

static void a_domain_may_have_queries_alone(void **state) {
    struct lib_domain alone;
    (void)state;
    lib_domain_begin(&alone);
    lib_domain_put(&alone, "queries/plain.lua", "return { run = function() end }");
    lib_domain_reload(&alone);
    assert_int_equal(alone.d->n_queries, 1);
    assert_int_equal(alone.d->n_types + alone.d->n_views, 0);
    lib_domain_end(&alone);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(queries_are_read),
        TEST(a_query_needs_nothing_but_run),
        TEST(vms_have_the_handlers_of_queries),
        TEST(times_have_units),
        TEST(formats_are_checked_when_it_is_asked_for),
        TEST(every_file_counts_and_states_are_kept),
        TEST(bad_queries_are_refused_by_name_and_cause),
        TEST(lint_looks_at_queries),
        TEST(a_domain_may_have_queries_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
