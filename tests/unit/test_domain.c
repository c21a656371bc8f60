#include "lib_domain.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/fsuid.h>

/* A domain in which everything is as it should be. */
static const struct {
    const char *path, *text;
} good[] = {
    {"aggregates/order.lua",
     "local money = require \"money\"\n"
     "return {\n"
     "  initial = function(id) return { id = id, items = array{} } end,\n"
     "  read = { groups = { 7 }, users = { \"root\" } },\n"
     "  unique = { number = function(order) return order.number end },\n"
     "  commands = {\n"
     "    PlaceOrder = {\n"
     "      schema = \"PlaceOrder.1\", allow = { anyone = true },\n"
     "      decide = function(order, cmd)\n"
     "        return event(\"OrderPlaced\", { total = money.of(cmd.data.total) })\n"
     "      end },\n"
     "    Cancel = { decide = function() return event(\"Cancelled\", {}) end },\n"
     "  },\n"
     "  events = {\n"
     "    OrderPlaced = {\n"
     "      schema = \"OrderPlaced.10\",\n"
     "      upcast = { [1] = function(data) data.total = data.sum data.sum = nil return data end,\n"
     "                 [\"9\"] = function(data) data.nine = true return data end },\n"
     "      evolve = function(order, e) order.total = e.data.total end },\n"
     "    Cancelled = {},\n"
     "    Moved = { retired = true, reason = \"orders do not move\" },\n"
     "  },\n"
     "}\n"},
    {"aggregates/order-line.lua", "return {}\n"},
    {"aggregates/Order.lua", "return { events = { OrderPlaced = { evolve = function() end } } }\n"},
    {"lib/money.lua", "local round = require \"round\"\nreturn { of = function(v) return round(v) end }\n"},
    {"lib/round.lua", "return function(v) return v end\n"},
    {"lib/alone.lua", "return 1\n"},
    {"schemas/order/OrderPlaced.1.json", "{ \"type\": \"object\",\n \"required\": [ \"sum\" ] }\n"},
    {"schemas/order/OrderPlaced.9.json", "{\"type\":\"object\",\"required\":[\"total\"]}"},
    {"schemas/order/OrderPlaced.10.json", "{\"type\":\"object\",\"title\":\"a \\\" b\",\"required\":[\"total\"]}"},
    {"schemas/order/commands/PlaceOrder.1.json", " true "},
    {"sagas/fulfilment.lua", "this is not read ("},
    {"views/by_customer.lua", "return { on = { OrderPlaced = function(view) view.n = (view.n or 0) + 1 end } }"},
    {"README.md", "read me"},
    {"schemas/README.md", "read me"},
    {".git/config", "whatever"},
    {"aggregates/.order.lua.swp", "\xff\xfe"},
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

/* --- what a good one says */

static void types_and_their_members_are_read(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    assert_str(l->d->directory, l->dir);
    assert_int_equal(l->d->n_types, 3);
    assert_str(l->d->types[0].name, "Order");
    assert_str(l->d->types[1].name, "order");
    assert_str(l->d->types[2].name, "order-line");
    assert_str(l->d->types[1].file, "aggregates/order.lua");
    const struct domain_type *t = lib_domain_type(l, "order");
    assert_int_equal(t->n_commands, 2);
    assert_int_equal(t->n_events, 3);
    assert_int_equal(t->n_rules, 1);
    assert_true(t->upcasts);
    assert_false(l->d->types[0].upcasts);
    assert_str(t->commands[0].name, "Cancel");
    assert_str(t->commands[1].name, "PlaceOrder");
    assert_str(t->rules[0].name, "number");
    assert_null(domain_type(l->d, STR("orde")));
    assert_null(domain_command(t, STR("Place")));
    assert_null(domain_event(t, STR("")));
    assert_null(domain_event(lib_domain_type(l, "order-line"), STR("OrderPlaced")));
}

static void schemas_are_found_and_minified(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    const struct domain_type *t = lib_domain_type(l, "order");
    const struct domain_event *e = lib_domain_event(t, "OrderPlaced");
    assert_int_equal(l->d->n_schemas, 4);
    assert_int_equal(e->version, 10);
    assert_ptr_equal(e->schema, domain_schema(l->d, t->name, false, e->name, 10));
    assert_str(e->schema->text, "{\"type\":\"object\",\"title\":\"a \\\" b\",\"required\":[\"total\"]}");
    assert_str(l->d->schemas[0]->text, "{\"type\":\"object\",\"required\":[\"sum\"]}");
    assert_int_equal(l->d->schemas[1]->version, 9);
    assert_true(l->d->schemas[3]->of_command);
    assert_ptr_equal(lib_domain_command(t, "PlaceOrder")->schema, l->d->schemas[3]);
    assert_str(l->d->schemas[3]->text, "true");
    assert_null(lib_domain_command(t, "Cancel")->schema);
    assert_null(domain_schema(l->d, t->name, false, e->name, 2));
    assert_null(domain_schema(l->d, t->name, true, e->name, 10));
}

static void events_have_their_flags(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    const struct domain_type *t = lib_domain_type(l, "order");
    const struct domain_event *placed = lib_domain_event(t, "OrderPlaced");
    const struct domain_event *moved = lib_domain_event(t, "Moved");
    const struct domain_event *cancelled = lib_domain_event(t, "Cancelled");
    assert_true(placed->evolves && !placed->retired && !placed->compatible);
    assert_int_equal(placed->n_upcasts, 2);
    assert_int_equal(placed->upcasts[0], 1);
    assert_int_equal(placed->upcasts[1], 9);
    assert_true(moved->retired && !moved->evolves);
    assert_str(moved->reason, "orders do not move");
    assert_true(!cancelled->evolves && !cancelled->retired && !cancelled->schema && cancelled->version == 0);
}

static void lists_of_who_may_are_read(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    const struct domain_type *t = lib_domain_type(l, "order");
    assert_true(t->read.given && !t->read.anyone);
    assert_int_equal(t->read.n_gids, 1);
    assert_int_equal(t->read.gids[0], 7);
    assert_int_equal(t->read.n_uids, 1);
    assert_int_equal(t->read.uids[0], 0);
    assert_true(lib_domain_command(t, "PlaceOrder")->allow.anyone);
    assert_false(lib_domain_command(t, "Cancel")->allow.given);
}

/* --- hashes */

struct hashes {
    uint8_t domain[DIGEST_CHAIN], order[DOMAIN_FOLD_HASH], other[DOMAIN_FOLD_HASH];
};

static struct hashes hashes_of(struct lib_domain *l) {
    struct hashes h;
    lib_domain_reload(l);
    memcpy(h.domain, l->d->hash, sizeof h.domain);
    memcpy(h.order, lib_domain_type(l, "order")->fold, sizeof h.order);
    memcpy(h.other, lib_domain_type(l, "Order")->fold, sizeof h.other);
    return h;
}

/* What of the hashes changes with a file: the domain's, that of order, that of Order. */
static void assert_changes(struct lib_domain *l, const char *path, const char *text, bool domain, bool order,
                           bool other) {
    struct hashes before = hashes_of(l);
    lib_domain_put(l, path, text);
    struct hashes after = hashes_of(l);
    assert_int_equal(memcmp(before.domain, after.domain, sizeof before.domain) != 0, domain);
    assert_int_equal(memcmp(before.order, after.order, sizeof before.order) != 0, order);
    assert_int_equal(memcmp(before.other, after.other, sizeof before.other) != 0, other);
}

static void hashes_change_with_what_they_cover(void **state) {
    struct lib_domain *l = *state;
    struct hashes once = hashes_of(l), twice = hashes_of(l);
    assert_memory_equal(&once, &twice, sizeof once);
    assert_memory_not_equal(once.order, once.other, sizeof once.order);
    assert_changes(l, "README.md", "read me again", false, false, false);
    assert_changes(l, "sagas/fulfilment.lua", "still (", false, false, false);
    assert_changes(l, "views/by_customer.lua", "return { on = { [\"*\"] = function() end } }", true, false, false);
    assert_changes(l, "views/notes.txt", "notes", false, false, false);
    assert_changes(l, "lib/alone.lua", "return 2", true, false, false);
    assert_changes(l, "schemas/order/OrderPlaced.9.json", "{\"type\":\"object\"}", true, false, false);
    assert_changes(l, "lib/money.lua", "return { of = require \"round\" }", true, true, false);
    assert_changes(l, "lib/round.lua", "return function(v) return v + 1 end", true, true, false);
    assert_changes(l, "aggregates/Order.lua", "return {}", true, false, true);
}

static void a_file_that_moves_is_another_domain(void **state) {
    struct lib_domain *l = *state;
    struct hashes before = hashes_of(l);
    lib_domain_remove(l, "lib/alone.lua");
    lib_domain_put(l, "lib/alone2.lua", "return 1\n");
    struct hashes after = hashes_of(l);
    assert_memory_not_equal(before.domain, after.domain, sizeof before.domain);
    assert_memory_equal(before.order, after.order, sizeof before.order);
}

/* --- what is refused */

static const struct {
    const char *path, *text, *words;
} bad[] = {
    /* Lua */
    {"aggregates/x.lua", "return {\n  initial = \n}", "aggregates/x.lua:3: "},
    {"aggregates/x.lua", "return {\n  read = nothing.at.all,\n}", "aggregates/x.lua:2: "},
    {"aggregates/x.lua", "local x = 1", "aggregates/x.lua: "},
    {"aggregates/x.lua", "return 7", "aggregates/x.lua: "},
    {"aggregates/x.lua", "\n\nwhile true do end", "aggregates/x.lua"},
    {"aggregates/x.lua", "local no = require \"nothing\" return {}", "nothing"},
    {"lib/round.lua", "\nreturn (", "lib/round.lua:"},
    {"lib/round.lua", "return require \"money\"", "money"},
    {"lib/money.lua", "\n\nerror(\"out of coins\")", "out of coins"},
    /* members */
    {"aggregates/x.lua", "return { evnts = {} }", "aggregates/x.lua: evnts: unknown member, did you mean events?"},
    {"aggregates/x.lua", "return { whatever = {} }", "whatever: unknown member, there may be initial, read, unique"},
    {"aggregates/x.lua", "return { 7 }", "aggregates/x.lua: 1: unknown member"},
    {"aggregates/x.lua", "return { initial = {} }", "aggregates/x.lua: initial: must be a function"},
    {"aggregates/x.lua", "return { commands = 7 }", "aggregates/x.lua: commands: must be a table"},
    {"aggregates/x.lua", "return { commands = { P = { scheme = \"P.1\", decide = print } } }",
     "aggregates/x.lua: commands.P.scheme: unknown member, did you mean schema?"},
    {"aggregates/x.lua", "return { commands = { P = {} } }", "aggregates/x.lua: commands.P.decide: is missing"},
    {"aggregates/x.lua", "return { commands = { P = { decide = 1 } } }", "commands.P.decide: must be a function"},
    {"aggregates/x.lua", "return { commands = { P = function() end } }", "commands.P: must be a table"},
    {"aggregates/x.lua", "return { commands = { \"P\" } }", "commands.1: a number is no name"},
    {"aggregates/x.lua", "return { commands = { [\"a/b\"] = {} } }", "commands.a/b: the name has a slash"},
    {"aggregates/x.lua", "return { commands = { [\"$a\"] = {} } }", "commands.$a: the name begins with $"},
    {"aggregates/x.lua", "return { commands = { [\"\\xff\"] = {} } }", "commands.\\xff: the name is not valid UTF-8"},
    {"aggregates/x.lua", "return { events = { commands = {} } }", "events.commands: no event can have this name"},
    {"aggregates/x.lua", "return { events = { E = { evolv = 1 } } }",
     "events.E.evolv: unknown member, did you mean evolve?"},
    {"aggregates/x.lua", "return { events = { E = { evolve = 1 } } }", "events.E.evolve: must be a function"},
    {"aggregates/x.lua", "return { events = { E = true } }", "events.E: must be a table"},
    {"aggregates/x.lua", "return { events = { E = { retired = 1 } } }", "events.E.retired: must be true or false"},
    {"aggregates/x.lua", "return { events = { E = { retired = true, evolve = function() end } } }",
     "events.E.evolve: a retired event is passed over"},
    {"aggregates/x.lua", "return { events = { E = { retired = true, schema = \"E.1\" } } }",
     "events.E.schema: a retired event is passed over"},
    {"aggregates/x.lua", "return { events = { E = { compatible = true } } }", "events.E.compatible: needs a reason"},
    {"aggregates/x.lua", "return { events = { E = { reason = \"why\" } } }", "events.E.reason: belongs to"},
    {"aggregates/x.lua", "return { unique = { n = 1 } }", "unique.n: must be a function"},
    {"aggregates/x.lua", "return { unique = { function() end } }", "unique.1: a number is no name"},
    {"aggregates/x.lua", "return { read = { group = {} } }",
     "aggregates/x.lua: read: group: unknown member, did you mean groups?"},
    {"aggregates/x.lua",
     "return { commands = { P = { allow = { users = { \"no-such-user\" } }, decide = function() end } } }",
     "aggregates/x.lua: commands.P.allow: users: this machine has no user no-such-user"},
    /* encryption */
    {"aggregates/x.lua", "return { commands = { P = { sensitive = { \"/a\" }, decide = function() end } } }",
     "commands.P.sensitive: this release of esfs does not encrypt"},
    {"aggregates/x.lua", "return { events = { E = { sensitive = {} } } }", "events.E.sensitive: this release"},
    {"aggregates/x.lua", "return { events = { E = { shredded = {} } } }", "events.E.shredded: this release"},
    /* schemas */
    {"aggregates/x.lua", "return { events = { E = { schema = \"E.1\" } } }",
     "events.E.schema: there is no file schemas/x/E.1.json"},
    {"aggregates/x.lua", "return { commands = { P = { schema = \"P.12\", decide = function() end } } }",
     "commands.P.schema: there is no file schemas/x/commands/P.12.json"},
    {"aggregates/x.lua", "return { events = { E = { schema = \"F.1\" } } }", "F.1 is not the name of a schema of E"},
    {"aggregates/x.lua", "return { events = { E = { schema = \"E\" } } }", "E is not the name of a schema of E"},
    {"aggregates/x.lua", "return { events = { E = { schema = \"E.01\" } } }", "E.01 is not the name of a schema of E"},
    {"aggregates/x.lua", "return { events = { E = { schema = \"E.99999999999999\" } } }",
     "is not the name of a schema"},
    {"aggregates/x.lua", "return { events = { E = { schema = 1 } } }", "events.E.schema: must be a text"},
    {"schemas/order/OrderPlaced.11.json", "{}",
     "schema: schemas/order/OrderPlaced.11.json is newer than the version 10 that is named here"},
    {"schemas/order/commands/PlaceOrder.2.json", "{}", "schemas/order/commands/PlaceOrder.2.json is newer"},
    {"schemas/order/Cancelled.1.json", "{}", "is missing, but there is schemas/order/Cancelled.1.json"},
    {"schemas/order/OrderPlaced.1.json", "{\"type\":", "schemas/order/OrderPlaced.1.json: is not JSON: "},
    {"schemas/order/OrderPlaced.1.json", "", "schemas/order/OrderPlaced.1.json: is not JSON: there is no value"},
    {"schemas/order/OrderPlaced.1.json", "{} {}", "schemas/order/OrderPlaced.1.json: is not JSON: "},
    {"schemas/order/OrderPlaced.1.json", "{\"type\":\"objekt\"}", "schemas/order/OrderPlaced.1.json: "},
    {"schemas/order/OrderPlaced.1.json", "[]", "schemas/order/OrderPlaced.1.json: "},
    {"schemas/order/OrderPlaced.1.json", "{\"properties\":{\"a\":{\"pattern\":\"(\"}}}", "/properties/a"},
    {"schemas/order/OrderPlaced.1.json", "{\"$ref\":\"#/nowhere\"}", "schemas/order/OrderPlaced.1.json: "},
    /* upcasts */
    {"aggregates/Order.lua", "return { events = { E = { upcast = { [0] = function() end } } } }",
     "events.E.upcast: 0 leads beyond the newest version, which is 0 (there is no schema)"},
    {"aggregates/Order.lua", "return { events = { E = { upcast = { x = function() end } } } }",
     "upcast: x is no version"},
    {"aggregates/Order.lua", "return { events = { E = { upcast = { [-1] = function() end } } } }", "-1 is no version"},
    {"aggregates/Order.lua", "return { events = { E = { upcast = function() end } } }", "upcast: must be a table"},
    /* names of files */
    {"aggregates/views.lua", "return {}", "aggregates/views.lua: no aggregate type can have this name"},
    {"aggregates/$x.lua", "return {}", "aggregates/$x.lua: the name of an aggregate type begins with $"},
    {"aggregates/\xff.lua", "return {}", "aggregates/\\xff.lua: the name of an aggregate type is not valid UTF-8"},
    {"aggregates/x\n.lua", "return {}", "aggregates/x\\x0a.lua: the name of an aggregate type has a control character"},
    {"aggregates/order/OrderPlaced.1.json", "{}", "aggregates/order: is a directory"},
    {"lib/sub/x.lua", "return {}", "lib/sub: is a directory: libraries lie in lib/ itself"},
    {"schemas/OrderPlaced.1.json", "{}", "schemas/OrderPlaced.1.json: schemas belong to a type"},
    {"schemas/orders/OrderPlaced.1.json", "{}", "schemas/orders/: schemas of a type that has no definition"},
    {"schemas/order/OrderPlaced.json", "{}", "schemas/order/OrderPlaced.json: the name of a schema is"},
    {"schemas/order/OrderPlaced.0.json", "{}", "OrderPlaced.0.json: the name of a schema is"},
    {"schemas/order/OrderPlaced.01.json", "{}", "OrderPlaced.01.json: the name of a schema is"},
    {"schemas/order/OrderPlaced.1000000000.json", "{}", "the name of a schema is"},
    {"schemas/order/.x/E.1.json", "{}", NULL},
    {"schemas/order/x/E.1.json", "{}", "schemas/order/x: is a directory"},
    {"schemas/order/commands/x/E.1.json", "{}", "schemas/order/commands/x: is a directory"},
};

static void bad_files_are_refused_by_name_and_cause(void **state) {
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

static void upcasts_must_fit_their_versions(void **state) {
    struct lib_domain *l = *state;
    static const struct {
        const char *upcast, *words;
    } tries[] = {
        {"[2] = f", "upcast: 2 leads beyond the newest version, which is 2"},
        {"[1] = f, [\"1\"] = f", "upcast: [1] and [\"1\"] are the same version"},
        {"[1] = 7", "upcast: [1] must be a function"},
        {"[\"01\"] = f", "upcast: 01 is no version"},
        {"[\"\"] = f", "upcast:  is no version"},
        {"[1.5] = f", "upcast"},
    };
    lib_domain_put(l, "schemas/order-line/E.2.json", "{}");
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        char text[300];
        snprintf(text, sizeof text,
                 "local f = function(d) return d end return { events = { E = { schema = \"E.2\", upcast = { %s } } } }",
                 tries[i].upcast);
        lib_domain_put(l, "aggregates/order-line.lua", text);
        lib_domain_refused(l, EINVAL, tries[i].words);
    }
}

static void directories_that_are_none_are_refused(void **state) {
    struct lib_domain *l = *state;
    struct domain *d = NULL;
    struct err err = {0};
    assert_int_equal(domain_load(&d, "/no/such/directory", &l->options, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/no/such/directory: "));
    assert_int_equal(domain_load(&d, lib_domain_path(l, "README.md"), &l->options, &err), -ENOTDIR);
    assert_null(d);
}

/* Like somebody who may not: root may, but for its file system uid. */
static void files_that_cannot_be_read_are_named(void **state) {
    struct lib_domain *l = *state;
    assert_int_equal(chmod(l->dir, 0755), 0);
    assert_int_equal(chmod(lib_domain_path(l, "lib/round.lua"), 0), 0);
    bool root = geteuid() == 0;
    if (root)
        setfsuid(65534);
    int r = lib_domain_load(l);
    if (root)
        setfsuid(0);
    assert_int_equal(r, -EACCES);
    assert_string_equal(l->err.text, "lib/round.lua: Permission denied");
}

static void what_is_no_file_is_refused(void **state) {
    struct lib_domain *l = *state;
    assert_int_equal(mkfifo(lib_domain_path(l, "lib/pipe.lua"), 0600), 0);
    lib_domain_refused(l, EINVAL, "lib/pipe.lua: is neither a regular file nor a directory");
    lib_domain_remove(l, "lib/pipe.lua");
    assert_int_equal(symlink("/dev/zero", lib_domain_path(l, "lib/zero.lua")), 0);
    lib_domain_refused(l, EINVAL, "lib/zero.lua: is neither a regular file nor a directory");
    lib_domain_remove(l, "lib/zero.lua");
    assert_int_equal(symlink("nowhere.lua", lib_domain_path(l, "lib/gone.lua")), 0);
    lib_domain_refused(l, ENOENT, "lib/gone.lua: ");
    lib_domain_remove(l, "lib/gone.lua");
    assert_int_equal(symlink("loop.lua", lib_domain_path(l, "lib/loop.lua")), 0);
    lib_domain_refused(l, ELOOP, "lib/loop.lua: ");
}

static void links_to_files_are_followed(void **state) {
    struct lib_domain *l = *state;
    assert_int_equal(symlink("../lib/alone.lua", lib_domain_path(l, "lib/linked.lua")), 0);
    lib_domain_put(l, "aggregates/order-line.lua", "assert(require \"linked\" == 1) return {}");
    lib_domain_reload(l);
}

static void huge_files_and_crowds_are_refused(void **state) {
    struct lib_domain *l = *state;
    assert_int_equal(truncate(lib_domain_path(l, "lib/alone.lua"), (8 << 20) + 1), 0);
    lib_domain_refused(l, EINVAL, "lib/alone.lua: is larger than the 8 MiB");
    lib_domain_remove(l, "lib/alone.lua");
    struct buf text = {0};
    buf_put_text(&text, "{\"description\":\"");
    for (int i = 0; i < 1 << 14; i++)
        buf_put_text(&text, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    buf_put(&text, "\"}", 3);
    assert_false(text.oom);
    lib_domain_put(l, "schemas/order/OrderPlaced.1.json", text.p);
    buf_free(&text);
    lib_domain_refused(l, EINVAL, "schemas/order/OrderPlaced.1.json: is larger than the 1 MiB");
    lib_domain_put(l, "schemas/order/OrderPlaced.1.json", "{}");
    for (int i = 0; i < 10000; i++) {
        char name[32];
        snprintf(name, sizeof name, "lib/l%d.lua", i);
        lib_domain_put(l, name, "");
    }
    lib_domain_refused(l, EINVAL, "the domain has more than 10000 files");
}

/* --- lint */

static void assert_lint(struct lib_domain *l, const char *want) {
    struct buf lines = {0};
    lib_domain_reload(l);
    assert_int_equal(domain_lint(l->d, &lines), 0);
    buf_put_char(&lines, 0);
    assert_string_equal(lines.p, want);
    buf_free(&lines);
}

#define LINT_GAP                                                                                                       \
    "order/OrderPlaced: upcast gap: from version 1 to version 9, with no schema of what is in between, upcast[2] is "  \
    "missing: add it to aggregates/order.lua, or the schema to schemas/order/\n"

#define LINT_SAGAS                                                                                                     \
    "sagas/: is not read: a domain has aggregates/, lib/, queries/, schemas/, tests/, views/ and kafka.lua\n"

static void lint_says_what_looks_forgotten(void **state) {
    struct lib_domain *l = *state;
    assert_lint(l, LINT_SAGAS
                "aggregates/order.lua: events.Cancelled: nobody evolves it: it never changes a state\n" LINT_GAP
                "lib/alone.lua: a library that nobody requires\n");
    lib_domain_remove(l, "lib/alone.lua");
    lib_domain_remove(l, "schemas/order/OrderPlaced.1.json");
    lib_domain_put(l, "aggregates/order.lua", "return { events = { OrderPlaced = { schema = \"OrderPlaced.10\" } } }");
    lib_domain_remove(l, "lib/money.lua");
    lib_domain_remove(l, "lib/round.lua");
    lib_domain_put(l, "schemas/order/Gone.1.json", "{}");
    lib_domain_put(l, "schemas/order/OrderPlaced.9.json", "{\"type\":\"object\",\"required\":[\"total\",\"n\"]}");
    lib_domain_put(l, "schemas/order/notes.txt", "notes");
    assert_lint(l, LINT_SAGAS
                "schemas/order/notes.txt: is not read: its name does not end in .json\n"
                "schemas/order/Gone.1.json: a schema without an event: aggregates/order.lua declares no Gone\n"
                "schemas/order/commands/PlaceOrder.1.json: a schema without a command: aggregates/order.lua "
                "declares no PlaceOrder\n"
                "aggregates/order.lua: events.OrderPlaced: nobody evolves it: it never changes a state\n");
}

static void lint_says_what_nobody_reads(void **state) {
    struct lib_domain *l = *state;
    struct lib_domain other = {0};
    static const char *const names[] = {
        "README",        "LICENSE.txt",    "Makefile",          "notes.md",     ".hidden/x.lua",
        "tests/a.lua",   "tests/README",   "tests/.b.txt",      "view/x.lua",   "querys/x.lua",
        "schema/x.json", "Lib/x.lua",      "projections/x.lua", "kafk.lua",     "view.lua",
        "order.lua",     "tests/book.txt", "tests/more/x.lua",  "docs/order.md"};
    snprintf(other.dir, sizeof other.dir, "%s", l->dir);
    strcat(other.dir, "/.git");
    lib_domain_put(&other, "aggregates/order.lua", "return {}");
    assert_lint(&other, "");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        lib_domain_put(&other, names[i], "");
    const char *there_are = ": is not read: a domain has aggregates/, lib/, queries/, schemas/, tests/, views/ and "
                            "kafka.lua\n";
    char want[2048];
    snprintf(want, sizeof want,
             "Lib/: is not read; did you mean lib/?\n"
             "kafk.lua: is not read; did you mean kafka.lua?\n"
             "order.lua%s"
             "projections/%s"
             "querys/: is not read; did you mean queries/?\n"
             "schema/: is not read; did you mean schemas/?\n"
             "view/: is not read; did you mean views/?\n"
             "view.lua: is not read; did you mean views/?\n"
             "tests/book.txt: is not read: its name does not end in .lua\n"
             "tests/more/: is not read: tests lie in tests/ itself\n",
             there_are, there_are);
    assert_lint(&other, want);
    domain_unref(other.d);
}

static void a_directory_without_definitions_has_no_types(void **state) {
    struct lib_domain *l = *state;
    struct lib_domain empty = {0};
    snprintf(empty.dir, sizeof empty.dir, "%s", l->dir);
    strcat(empty.dir, "/.git");
    assert_lint(&empty, "there is no directory aggregates/, so the domain has no types\n");
    assert_int_equal(empty.d->n_types + empty.d->n_schemas, 0);
    struct domain_vm *vm = NULL;
    assert_int_equal(domain_vm_take(empty.d, &vm, NULL), 0);
    domain_vm_give(vm);
    domain_unref(empty.d);
}

static void lint_proves_versions(void **state) {
    struct lib_domain *l = *state;
    struct buf lines = {0};
    lib_domain_put(l, "schemas/order-line/E.1.json", "{\"properties\":{\"n\":{\"maximum\":10}}}");
    lib_domain_put(l, "schemas/order-line/E.2.json", "{\"properties\":{\"n\":{\"maximum\":9}}}");
    lib_domain_put(l, "aggregates/order-line.lua",
                   "return { events = { E = { schema = \"E.2\", evolve = function() end } } }");
    lib_domain_reload(l);
    assert_int_equal(domain_lint(l->d, &lines), 0);
    buf_put_char(&lines, 0);
    assert_non_null(strstr(lines.p, "order-line/E: version 2 cannot be proven compatible with version 1 "
                                    "(/properties/n/maximum: "));
    assert_non_null(strstr(lines.p, "): add upcast[1] to aggregates/order-line.lua, or compatible = true with a "));
    buf_free(&lines);
    lib_domain_put(l, "aggregates/order-line.lua",
                   "return { events = { E = { schema = \"E.2\", evolve = function() end, compatible = true, "
                   "reason = \"there never was a ten\" } } }");
    lib_domain_reload(l);
    assert_int_equal(domain_lint(l->d, &lines), 0);
    buf_put_char(&lines, 0);
    assert_null(strstr(lines.p, "order-line"));
    buf_free(&lines);
}

/* --- vms */

static void assert_state(struct domain_vm *vm, const struct domain_type *t, const char *want) {
    struct script *s = domain_vm_script(vm);
    struct script_fault fault = {0};
    script_value state;
    struct buf text = {0};
    assert_int_equal(script_initial(s, domain_vm_initial(vm, t), STR("1001"), &state, &fault), 0);
    assert_int_equal(script_to_json(s, state, &text, &fault), 0);
    assert_str(buf_str(&text), want);
    script_drop(s, state);
    buf_free(&text);
}

static void vms_have_the_handlers_in_their_places(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    const struct domain_type *t = lib_domain_type(l, "order"), *none = lib_domain_type(l, "order-line");
    const struct domain_event *placed = lib_domain_event(t, "OrderPlaced");
    for (int i = 0; i < 2; i++) {
        struct domain_vm *vm = NULL;
        char place[128];
        assert_int_equal(i ? domain_vm_new(&vm, l->d, &l->err) : domain_vm_take(l->d, &vm, &l->err), 0);
        struct script *s = domain_vm_script(vm);
        assert_ptr_equal(domain_vm_domain(vm), l->d);
        script_place(s, domain_vm_initial(vm, t), place);
        assert_string_equal(place, "aggregates/order.lua:3");
        script_place(s, domain_vm_rule(vm, t, &t->rules[0]), place);
        assert_string_equal(place, "aggregates/order.lua:5");
        script_place(s, domain_vm_decide(vm, t, lib_domain_command(t, "PlaceOrder")), place);
        assert_string_equal(place, "aggregates/order.lua:9");
        script_place(s, domain_vm_decide(vm, t, lib_domain_command(t, "Cancel")), place);
        assert_string_equal(place, "aggregates/order.lua:12");
        script_place(s, domain_vm_upcast(vm, t, placed, 1), place);
        assert_string_equal(place, "aggregates/order.lua:17");
        script_place(s, domain_vm_upcast(vm, t, placed, 9), place);
        assert_string_equal(place, "aggregates/order.lua:18");
        script_place(s, domain_vm_evolve(vm, t, placed), place);
        assert_string_equal(place, "aggregates/order.lua:19");
        assert_int_equal(domain_vm_upcast(vm, t, placed, 2), 0);
        assert_int_equal(domain_vm_evolve(vm, t, lib_domain_event(t, "Cancelled")), 0);
        assert_int_equal(domain_vm_evolve(vm, t, lib_domain_event(t, "Moved")), 0);
        assert_int_equal(domain_vm_initial(vm, none), 0);
        assert_state(vm, t, "{\"id\":\"1001\",\"items\":[]}");
        assert_state(vm, none, "{}");
        domain_vm_give(vm);
    }
}

static void libraries_are_there_while_definitions_are_loaded_alone(void **state) {
    struct lib_domain *l = *state;
    lib_domain_put(l, "aggregates/order-line.lua",
                   "return { initial = function(id) return { of = require(\"alone\") } end }");
    lib_domain_reload(l);
    struct domain_vm *vm = NULL;
    assert_int_equal(domain_vm_take(l->d, &vm, &l->err), 0);
    struct script *s = domain_vm_script(vm);
    struct script_fault fault = {0};
    script_value v;
    script_value initial = domain_vm_initial(vm, lib_domain_type(l, "order-line"));
    assert_int_equal(script_initial(s, initial, STR("1"), &v, &fault), SCRIPT_FAILED);
    assert_string_equal(fault.file, "aggregates/order-line.lua");
    domain_vm_give(vm);
}

/* Vms that are out keep the domain; those that wait in it do not. */
static void a_vm_outlives_whoever_loaded_the_domain(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    struct domain_vm *vm[6];
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(domain_vm_take(l->d, &vm[i], &l->err), 0);
    domain_unref(l->d);
    l->d = NULL;
    for (size_t i = 0; i < 5; i++)
        domain_vm_give(vm[i]);
    const struct domain *d = domain_vm_domain(vm[5]);
    assert_state(vm[5], domain_type(d, STR("order")), "{\"id\":\"1001\",\"items\":[]}");
    domain_vm_free(vm[5]);
}

static void a_vm_that_was_given_back_is_used_again(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    struct domain_vm *first = NULL, *second = NULL, *again = NULL;
    assert_int_equal(domain_vm_take(l->d, &first, &l->err), 0);
    assert_int_equal(domain_vm_take(l->d, &second, &l->err), 0);
    assert_ptr_not_equal(first, second);
    domain_vm_give(first);
    assert_int_equal(domain_vm_take(l->d, &again, &l->err), 0);
    assert_ptr_equal(again, first);
    domain_vm_give(again);
    domain_vm_give(second);
}

static void *reader(void *arg) {
    struct domain *d = arg;
    for (int i = 0; i < 100; i++) {
        struct domain_vm *vm = NULL;
        if (domain_vm_take(d, &vm, NULL) != 0)
            return "no vm";
        struct script_fault fault;
        script_value state;
        const struct domain_type *t = domain_type(d, STR("order"));
        if (script_initial(domain_vm_script(vm), domain_vm_initial(vm, t), STR("7"), &state, &fault) != 0)
            return "no state";
        script_drop(domain_vm_script(vm), state);
        domain_vm_give(vm);
    }
    domain_unref(d);
    return NULL;
}

static void readers_share_a_domain(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, domain_ref(l->d)), 0);
    domain_unref(l->d);
    l->d = NULL;
    for (size_t i = 0; i < 8; i++) {
        void *words;
        assert_int_equal(pthread_join(threads[i], &words), 0);
        assert_null(words);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(types_and_their_members_are_read),
        TEST(schemas_are_found_and_minified),
        TEST(events_have_their_flags),
        TEST(lists_of_who_may_are_read),
        TEST(hashes_change_with_what_they_cover),
        TEST(a_file_that_moves_is_another_domain),
        TEST(bad_files_are_refused_by_name_and_cause),
        TEST(upcasts_must_fit_their_versions),
        TEST(directories_that_are_none_are_refused),
        TEST(files_that_cannot_be_read_are_named),
        TEST(what_is_no_file_is_refused),
        TEST(links_to_files_are_followed),
        TEST(huge_files_and_crowds_are_refused),
        TEST(lint_says_what_looks_forgotten),
        TEST(lint_says_what_nobody_reads),
        TEST(a_directory_without_definitions_has_no_types),
        TEST(lint_proves_versions),
        TEST(vms_have_the_handlers_in_their_places),
        TEST(libraries_are_there_while_definitions_are_loaded_alone),
        TEST(a_vm_outlives_whoever_loaded_the_domain),
        TEST(a_vm_that_was_given_back_is_used_again),
        TEST(readers_share_a_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
