/* Views of a domain: what their files say, what is refused, when they are made anew. */
#include "lib_domain.h"

static const struct {
    const char *path, *text;
} good[] = {
    {"aggregates/order.lua", "return { events = { OrderPlaced = { evolve = function() end }, OrderPaid = {} } }"},
    {"aggregates/invoice.lua", "local m = require \"money\"\nreturn { events = { Issued = {}, OrderPaid = {} } }"},
    {"aggregates/stock.lua", "return {}"},
    {"lib/money.lua", "return { add = function(a, b) return a + b end }"},
    {"lib/sums.lua", "return { add = function(a, b) return a + b end }"},
    {"views/by_customer.lua", "local sums = require \"sums\"\n"
                              "return {\n"
                              "  from = { \"order\", \"invoice\" },\n"
                              "  key = function(e, order) return order.customer end,\n"
                              "  init = function(key) return { n = 0 } end,\n"
                              "  on = { [\"*\"] = function(view, e) view.other = true end,\n"
                              "         OrderPlaced = function(view, e) view.n = sums.add(view.n, 1) end,\n"
                              "         Issued = function(view, e) view.issued = true end },\n"
                              "  output = function(view, key) return view end,\n"
                              "  allow = { users = { 7 } },\n"
                              "}\n"},
    {"views/by_status.lua", "return { kind = \"index\", from = { \"order\" },\n"
                            "  path = function(order) return { order.status } end }"},
    {"views/all.lua", "return { kind = \"projection\", on = { OrderPaid = function(view, e) end } }"},
    {"views/README.md", "read me"},
    {"views/.all.lua.swp", "\xff"},
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

static const struct domain_view *view_of(const struct lib_domain *l, const char *name) {
    const struct domain_view *v = domain_view(l->d, str_of(name));
    assert_non_null(v);
    return v;
}

/* --- what a good one says */

static void views_are_read(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    assert_int_equal(l->d->n_views, 3);
    assert_str(l->d->views[0].name, "all");
    assert_str(l->d->views[1].name, "by_customer");
    assert_str(l->d->views[2].name, "by_status");
    assert_null(domain_view(l->d, STR("by")));
    const struct domain_view *v = view_of(l, "by_customer");
    assert_str(v->file, "views/by_customer.lua");
    assert_false(v->index);
    assert_true(v->wants_state);
    assert_int_equal(v->n_from, 2);
    assert_str(v->from[0]->name, "invoice");
    assert_str(v->from[1]->name, "order");
    assert_true(domain_follows(v->from, v->n_from, lib_domain_type(l, "order")));
    assert_false(domain_follows(v->from, v->n_from, lib_domain_type(l, "stock")));
    assert_int_equal(v->n_on, 3);
    assert_str(v->on[0], "*");
    assert_str(v->on[1], "Issued");
    assert_str(v->on[2], "OrderPlaced");
    assert_true(v->allow.given && v->allow.n_uids == 1 && v->allow.uids[0] == 7);
    v = view_of(l, "by_status");
    assert_true(v->index && v->wants_state);
    assert_int_equal(v->n_from, 1);
    assert_int_equal(v->n_on, 0);
    assert_false(v->allow.given);
    v = view_of(l, "all");
    assert_int_equal(v->n_from, 3);
    assert_str(v->from[2]->name, "stock");
    assert_false(v->index || v->wants_state);
}

static void who_takes_the_state_wants_it(void **state) {
    struct lib_domain *l = *state;
    static const struct {
        const char *text;
        bool wants;
    } views[] = {
        {"return { on = { OrderPaid = function(view, e) end } }", false},
        {"return { on = { OrderPaid = function(view, e, order) end } }", true},
        {"return { on = { OrderPaid = function(view) end, [\"*\"] = function(v, e, o) end } }", true},
        {"return { on = { OrderPaid = function(...) end } }", true},
        {"return { key = function(e) end, on = { OrderPaid = function() end } }", false},
        {"return { key = function(e, order) end, on = { OrderPaid = function() end } }", true},
        {"return { init = function(a, b, c) return {} end, on = { OrderPaid = function() end } }", false},
    };
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        lib_domain_put(l, "views/all.lua", views[i].text);
        lib_domain_reload(l);
        assert_int_equal(view_of(l, "all")->wants_state, views[i].wants);
    }
}

static void assert_place(struct script *s, script_value function, const char *want) {
    char place[128];
    script_place(s, function, place);
    assert_string_equal(place, want);
}

static void vms_have_the_handlers_of_views(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    const struct domain_view *v = view_of(l, "by_customer"), *index = view_of(l, "by_status"), *all = view_of(l, "all");
    for (int i = 0; i < 2; i++) {
        struct domain_vm *vm = NULL;
        assert_int_equal(i ? domain_vm_new(&vm, l->d, &l->err) : domain_vm_take(l->d, &vm, &l->err), 0);
        struct script *s = domain_vm_script(vm);
        assert_place(s, domain_vm_view(vm, v, DOMAIN_VIEW_KEY), "views/by_customer.lua:4");
        assert_place(s, domain_vm_view(vm, v, DOMAIN_VIEW_INIT), "views/by_customer.lua:5");
        assert_place(s, domain_vm_view_on(vm, v, STR("OrderPaid")), "views/by_customer.lua:6");
        assert_place(s, domain_vm_view_on(vm, v, STR("OrderPlaced")), "views/by_customer.lua:7");
        assert_place(s, domain_vm_view_on(vm, v, STR("Issued")), "views/by_customer.lua:8");
        assert_place(s, domain_vm_view_on(vm, v, STR("")), "views/by_customer.lua:6");
        assert_place(s, domain_vm_view(vm, v, DOMAIN_VIEW_OUTPUT), "views/by_customer.lua:9");
        assert_int_equal(domain_vm_view(vm, v, DOMAIN_VIEW_PATH), 0);
        assert_place(s, domain_vm_view(vm, index, DOMAIN_VIEW_PATH), "views/by_status.lua:2");
        assert_int_equal(domain_vm_view(vm, index, DOMAIN_VIEW_KEY), 0);
        assert_int_equal(domain_vm_view_on(vm, index, STR("OrderPaid")), 0);
        assert_place(s, domain_vm_view_on(vm, all, STR("OrderPaid")), "views/all.lua:1");
        assert_int_equal(domain_vm_view_on(vm, all, STR("OrderPlaced")), 0);
        assert_int_equal(domain_vm_view(vm, all, DOMAIN_VIEW_KEY), 0);
        domain_vm_give(vm);
    }
}

static void a_domain_may_have_views_alone(void **state) {
    struct lib_domain *l = *state;
    struct lib_domain alone;
    lib_domain_begin(&alone);
    lib_domain_put(&alone, "views/all.lua", "return { on = { [\"*\"] = function() end } }");
    lib_domain_put(&alone, "views/tree.lua", "return { kind = \"index\", path = function() end }");
    lib_domain_reload(&alone);
    assert_int_equal(alone.d->n_types, 0);
    assert_int_equal(alone.d->n_views, 2);
    assert_int_equal(alone.d->views[0].n_from, 0);
    lib_domain_put(&alone, "views/all.lua", "return { on = { Done = function() end } }");
    lib_domain_refused(&alone, EINVAL, "views/all.lua: on.Done: no type that it follows declares this event");
    lib_domain_end(&alone);
    lib_domain_reload(l);
}

/* --- hashes */

struct hashes {
    uint8_t domain[DIGEST_CHAIN], order[DOMAIN_FOLD_HASH], invoice[DOMAIN_FOLD_HASH];
    uint8_t customer[DOMAIN_FOLD_HASH], status[DOMAIN_FOLD_HASH], all[DOMAIN_FOLD_HASH];
};

static struct hashes hashes_of(struct lib_domain *l) {
    struct hashes h;
    lib_domain_reload(l);
    memcpy(h.domain, l->d->hash, sizeof h.domain);
    memcpy(h.order, lib_domain_type(l, "order")->fold, sizeof h.order);
    memcpy(h.invoice, lib_domain_type(l, "invoice")->fold, sizeof h.invoice);
    memcpy(h.customer, view_of(l, "by_customer")->hash, sizeof h.customer);
    memcpy(h.status, view_of(l, "by_status")->hash, sizeof h.status);
    memcpy(h.all, view_of(l, "all")->hash, sizeof h.all);
    return h;
}

#define DIFFERS(member) (memcmp(before.member, after.member, sizeof before.member) != 0)

/* Which hashes change with a file: the letters of domain, order, invoice, customer, status, all. */
static void assert_changes(struct lib_domain *l, const char *path, const char *text, const char *want) {
    struct hashes before = hashes_of(l);
    lib_domain_put(l, path, text);
    struct hashes after = hashes_of(l);
    char got[8];
    snprintf(got, sizeof got, "%s%s%s%s%s%s", DIFFERS(domain) ? "d" : "", DIFFERS(order) ? "o" : "",
             DIFFERS(invoice) ? "i" : "", DIFFERS(customer) ? "c" : "", DIFFERS(status) ? "s" : "",
             DIFFERS(all) ? "a" : "");
    if (strcmp(got, want) != 0)
        fail_msg("%s changes %s, not %s", path, got, want);
}

static void a_view_changes_with_what_it_depends_on(void **state) {
    struct lib_domain *l = *state;
    struct hashes once = hashes_of(l), twice = hashes_of(l);
    assert_memory_equal(&once, &twice, sizeof once);
    assert_changes(l, "views/README.md", "read me again", "");
    assert_changes(l, "views/notes.txt", "notes", "");
    assert_changes(l, "views/all.lua", "return { on = { OrderPaid = function(view) view.n = 1 end } }", "da");
    assert_changes(l, "views/by_status.lua", "return { kind = \"index\", path = function() end }", "ds");
    assert_changes(l, "lib/sums.lua", "return { add = function(a, b) return b + a end }", "dc");
    assert_changes(l, "lib/money.lua", "return {}", "dicsa");
    assert_changes(l, "aggregates/order.lua", "return { events = { OrderPlaced = {} } }", "docsa");
    assert_changes(l, "aggregates/stock.lua", "return { events = { Moved = {} } }", "dsa");
    assert_changes(l, "lib/unused.lua", "return {}", "d");
    assert_changes(l, "aggregates/new.lua", "return {}", "dsa");
    assert_changes(l, "views/new.lua", "return { kind = \"index\", path = function() end }", "d");
}

/* --- what is refused */

#define ON "on = { OrderPaid = function() end }"

static const struct {
    const char *path, *text, *words;
} bad[] = {
    {"views/x.lua", "this is no Lua (", "views/x.lua:1: "},
    {"views/x.lua", "\nreturn nothing.at.all", "views/x.lua:2: "},
    {"views/x.lua", "return 7", "views/x.lua: the file must return a table, not number"},
    {"views/x.lua", "local m = require \"nothing\" return {}", "there is no lib/nothing.lua"},
    {"views/x.lua", "while true do end", "views/x.lua:1: the handler ran more than 10000000 instructions"},
    {"views/x.lua", "return { " ON ", outptu = function() end }",
     "views/x.lua: outptu: unknown member, did you mean output?"},
    {"views/x.lua", "return { whatever = 1 }", "views/x.lua: whatever: unknown member, there may be kind, from, key"},
    {"views/x.lua", "return { 7 }", "views/x.lua: 1: unknown member"},
    /* kind */
    {"views/x.lua", "return { kind = \"indx\" }", "views/x.lua: kind: indx is none: it is \"projection\" or \"index\""},
    {"views/x.lua", "return { kind = 1 }", "views/x.lua: kind: must be a text"},
    {"views/x.lua", "return { kind = \"index\", path = function() end, key = function() end }",
     "views/x.lua: key: does not belong to an index, which has `path` alone"},
    {"views/x.lua", "return { kind = \"index\", path = function() end, init = function() end }",
     "views/x.lua: init: does not belong to an index"},
    {"views/x.lua", "return { kind = \"index\", path = function() end, " ON " }",
     "views/x.lua: on: does not belong to an index"},
    {"views/x.lua", "return { kind = \"index\", path = function() end, output = function() end }",
     "views/x.lua: output: does not belong to an index"},
    {"views/x.lua", "return { " ON ", path = function() end }",
     "views/x.lua: path: belongs to an index: is kind = \"index\" missing?"},
    {"views/x.lua", "return { kind = \"index\" }",
     "views/x.lua: path: is missing: an index has path = function(state)"},
    {"views/x.lua", "return { kind = \"index\", path = \"x\" }", "views/x.lua: path: must be a function"},
    /* from */
    {"views/x.lua", "return { from = \"order\", " ON " }",
     "views/x.lua: from: must be a list of types, like { \"order\" }"},
    {"views/x.lua", "return { from = { order = true }, " ON " }", "views/x.lua: from: must be a list of types"},
    {"views/x.lua", "return { from = {}, " ON " }", "views/x.lua: from: must be a list of types"},
    {"views/x.lua", "return { from = array{}, " ON " }",
     "views/x.lua: from: names no type: without it, all are followed"},
    {"views/x.lua", "return { from = { \"ordr\" }, " ON " }",
     "views/x.lua: from: there is no type ordr, did you mean order?"},
    {"views/x.lua", "return { from = { \"order\", \"customer\" }, " ON " }",
     "views/x.lua: from: there is no type customer"},
    {"views/x.lua", "return { from = { \"\\xff\" }, " ON " }", "views/x.lua: from: there is no type \\xff"},
    {"views/x.lua", "return { from = { \"order\", \"invoice\", \"order\" }, " ON " }",
     "views/x.lua: from: order is named twice"},
    {"views/x.lua", "return { from = { \"order\", 7 }, " ON " }", "views/x.lua: from: item 2 is no name of a type"},
    /* functions */
    {"views/x.lua", "return { key = \"customer\", " ON " }", "views/x.lua: key: must be a function"},
    {"views/x.lua", "return { init = {}, " ON " }", "views/x.lua: init: must be a function"},
    {"views/x.lua", "return { output = true, " ON " }", "views/x.lua: output: must be a function"},
    /* on */
    {"views/x.lua", "return {}",
     "views/x.lua: on: is missing: a projection has on = { OrderPlaced = function(view, e)"},
    {"views/x.lua", "return { on = {} }", "views/x.lua: on: is empty: a projection has on = "},
    {"views/x.lua", "return { on = function() end }", "views/x.lua: on: must be a table: { OrderPlaced = function"},
    {"views/x.lua", "return { on = { OrderPaid = 1 } }",
     "views/x.lua: on.OrderPaid: must be a function(view, e, state)"},
    {"views/x.lua", "return { on = { function() end } }", "views/x.lua: on.1: a number is no name"},
    {"views/x.lua", "return { on = { [\"*\"] = {} } }", "views/x.lua: on.*: must be a function(view, e, state)"},
    {"views/x.lua", "return { on = { OrdrPaid = function() end } }",
     "views/x.lua: on.OrdrPaid: no type that it follows declares this event, did you mean OrderPaid?"},
    {"views/x.lua", "return { from = { \"order\" }, on = { Issued = function() end } }",
     "views/x.lua: on.Issued: no type that it follows declares this event"},
    {"views/x.lua", "return { on = { [\"\\xff\"] = function() end } }",
     "views/x.lua: on.\\xff: no type that it follows"},
    /* allow */
    {"views/x.lua", "return { allow = { group = {} }, " ON " }",
     "views/x.lua: allow: group: unknown member, did you mean groups?"},
    {"views/x.lua", "return { allow = { users = { \"no-such-user\" } }, " ON " }",
     "views/x.lua: allow: users: this machine has no user no-such-user"},
    /* files */
    {"views/x/y.lua", "return {}", "views/x: is a directory: views lie in views/ itself"},
    {"views/$x.lua", "return {}", "views/$x.lua: the name of a view begins with $"},
    {"views/\xff.lua", "return {}", "views/\\xff.lua: the name of a view is not valid UTF-8"},
    {"views/state.lua", "return { " ON " }",
     "views/state.lua: no view can have this name: views/state.json of an aggregate is its state"},
};

static void bad_views_are_refused_by_name_and_cause(void **state) {
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lib_domain *l = *state;
        lib_domain_put(l, bad[i].path, bad[i].text);
        lib_domain_refused(l, EINVAL, bad[i].words);
        teardown(state);
        setup(state);
    }
}

/* A name that is not like any other is told without a guess. */
static void only_what_is_near_is_meant(void **state) {
    struct lib_domain *l = *state;
    lib_domain_put(l, "views/x.lua", "return { from = { \"order\" }, on = { Issued = function() end } }");
    lib_domain_refused(l, EINVAL, "on.Issued");
    assert_null(strstr(l->err.text, "did you mean"));
    lib_domain_put(l, "views/x.lua", "return { from = { \"customers\" }, " ON " }");
    lib_domain_refused(l, EINVAL, "customers");
    assert_null(strstr(l->err.text, "did you mean"));
}

/* --- lint */

static void lint_looks_at_views(void **state) {
    struct lib_domain *l = *state;
    struct buf lines = {0};
    lib_domain_put(l, "views/notes.txt", "notes");
    lib_domain_put(l, "views/idle.lua", "return { kind = \"index\", from = { \"stock\" }, path = function() end }");
    lib_domain_reload(l);
    assert_int_equal(domain_lint(l->d, &lines), 0);
    buf_put_char(&lines, 0);
    assert_string_equal(lines.p,
                        "views/notes.txt: is not read: its name does not end in .lua\n"
                        "aggregates/invoice.lua: events.Issued: nobody evolves it: it never changes a state\n"
                        "aggregates/invoice.lua: events.OrderPaid: nobody evolves it: it never changes a state\n"
                        "aggregates/order.lua: events.OrderPaid: nobody evolves it: it never changes a state\n"
                        "views/idle.lua: no type that it follows declares an event: nothing will ever be in it\n");
    buf_free(&lines);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(views_are_read),
        TEST(who_takes_the_state_wants_it),
        TEST(vms_have_the_handlers_of_views),
        TEST(a_domain_may_have_views_alone),
        TEST(a_view_changes_with_what_it_depends_on),
        TEST(bad_views_are_refused_by_name_and_cause),
        TEST(only_what_is_near_is_meant),
        TEST(lint_looks_at_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
