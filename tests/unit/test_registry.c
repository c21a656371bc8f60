#include "registry.h"

#include "lib_domain.h"
#include "story.h"

struct fixture {
    struct lib_domain domain;
    struct story log; /* for its database and its builder */
    struct index *ix;
    const struct domain_schema **fresh;
    size_t n_fresh;
    struct err err;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    lib_domain_begin(&f->domain);
    lib_domain_put(&f->domain, "aggregates/order.lua", "return {}");
    story_begin(&f->log, 1);
    *state = f;
    return index_open(&f->ix, f->log.db, story_store_id, false, NULL);
}

static int teardown(void **state) {
    struct fixture *f = *state;
    index_close(f->ix);
    story_end(&f->log);
    lib_domain_end(&f->domain);
    free(f->fresh);
    free(f);
    return 0;
}

/* --- what the store holds */

static uint32_t store_type(struct fixture *f, const char *name) {
    struct index_type t;
    if (index_type_by_name(f->ix, str_of(name), &t) == 0)
        return t.no;
    uint32_t no = f->log.head.next_type++;
    story_block_begin(&f->log);
    story_say(&f->log, RECORD_TYPE, no, 0, name);
    story_block_end(&f->log, f->ix);
    return no;
}

static void store_schema(struct fixture *f, const char *type, bool of_command, const char *name, uint32_t version,
                         const char *text) {
    struct record r = {.kind = RECORD_SCHEMA,
                       .type_no = store_type(f, type),
                       .of_command = of_command,
                       .schema_version = version,
                       .schema_name = str_of(name),
                       .schema_text = str_of(text)};
    r.time = ++f->log.head.time;
    story_block_begin(&f->log);
    block_put_record(f->log.builder, &r);
    story_block_end(&f->log, f->ix);
}

/* An event of a new aggregate. */
static void store_event(struct fixture *f, const char *type, const char *name, uint32_t schema) {
    struct story *s = &f->log;
    uint32_t no = store_type(f, type);
    char id[16];
    uint64_t aggregate = s->head.next_aggregate++;
    snprintf(id, sizeof id, "%d", (int)aggregate);
    story_block_begin(s);
    story_say(s, RECORD_NAME, no, aggregate, id);
    struct record r = {.kind = RECORD_COMMAND,
                       .time = ++s->head.time,
                       .type_no = no,
                       .aggregate = aggregate,
                       .name = str_of(id),
                       .version = 1};
    const struct block_event e = {
        .time = ++s->head.time, .schema = schema, .type = str_of(name), .data = STR("{\"n\":1}")};
    const struct event full = {.position = ++s->head.position,
                               .version = 1,
                               .time = e.time,
                               .schema = schema,
                               .aggregate_type = str_of(type),
                               .aggregate_id = r.name,
                               .type = e.type,
                               .data = e.data,
                               .store_id = story_store_id};
    uint64_t size = event_size(&full);
    block_put_command(s->builder, &r, &e, 1, size);
    s->head.log_bytes += size;
    assert_true(ARRAY_ROOM(s->events, s->n_events, s->events_cap)); /* story_block_end() notes chunks there */
    s->n_events++;
    story_block_end(s, f->ix);
}

/* --- what is asked */

/* aggregates/order.lua with one event E. */
static void put_event(struct fixture *f, const char *members) {
    char text[600];
    snprintf(text, sizeof text,
             "local function f(data) return data end\nreturn { events = { E = { %s } }, commands = { C = { %s decide = "
             "function() end } } }",
             members,
             access(lib_domain_path(&f->domain, "schemas/order/commands/C.1.json"), F_OK) ? "" : "schema = \"C.1\",");
    lib_domain_put(&f->domain, "aggregates/order.lua", text);
}

static void put_schema(struct fixture *f, int version, const char *text) {
    char name[64];
    snprintf(name, sizeof name, "schemas/order/E.%d.json", version);
    lib_domain_put(&f->domain, name, text);
}

static int check(struct fixture *f) {
    free(f->fresh);
    f->fresh = NULL;
    f->n_fresh = 0;
    f->err = (struct err){0};
    lib_domain_reload(&f->domain);
    return registry_check(f->domain.d, f->ix, &f->fresh, &f->n_fresh, &f->err);
}

static void take(struct fixture *f, size_t n_fresh) {
    if (check(f) != 0)
        fail_msg("%s", f->err.text);
    assert_int_equal(f->n_fresh, n_fresh);
}

static void refuse(struct fixture *f, const char *words) {
    if (check(f) != -EINVAL)
        fail_msg("was taken, but should have said: %s", words);
    if (!strstr(f->err.text, words))
        fail_msg("says: %s\nnot: %s", f->err.text, words);
    assert_null(f->fresh);
}

#define SUM "{\"required\":[\"sum\"]}"
#define TOTAL "{\"required\":[\"total\"]}"
#define ANY "{\"type\":\"object\"}"

/* --- */

static void everything_is_fresh_in_an_empty_store(void **state) {
    struct fixture *f = *state;
    take(f, 0);
    assert_null(f->fresh);
    lib_domain_put(&f->domain, "schemas/order/commands/C.1.json", ANY);
    put_schema(f, 1, SUM);
    put_schema(f, 2, "{}");
    put_event(f, "schema = \"E.2\"");
    take(f, 3);
    assert_int_equal(f->fresh[0]->version, 1);
    assert_int_equal(f->fresh[1]->version, 2);
    assert_true(f->fresh[2]->of_command);
    store_schema(f, "order", false, "E", 1, SUM);
    store_schema(f, "order", true, "C", 1, ANY);
    take(f, 1);
    assert_ptr_equal(f->fresh[0], domain_schema(f->domain.d, STR("order"), false, STR("E"), 2));
}

static void a_stored_version_may_not_change(void **state) {
    struct fixture *f = *state;
    store_schema(f, "order", false, "E", 1, SUM);
    put_event(f, "schema = \"E.1\"");
    put_schema(f, 1, "{ \"required\" :\n [ \"sum\" ] }\n");
    take(f, 0);
    put_schema(f, 1, TOTAL);
    refuse(f, "schemas/order/E.1.json is not what the store holds as version 1: a version may never change");
    put_schema(f, 1, SUM);
    store_schema(f, "order", true, "C", 1, SUM);
    lib_domain_put(&f->domain, "schemas/order/commands/C.1.json", TOTAL);
    put_event(f, "schema = \"E.1\"");
    refuse(f, "schemas/order/commands/C.1.json is not what the store holds");
    lib_domain_put(&f->domain, "schemas/order/commands/C.1.json", SUM);
    take(f, 0);
}

static void a_version_must_lead_to_the_next(void **state) {
    struct fixture *f = *state;
    put_schema(f, 1, SUM);
    put_schema(f, 2, TOTAL);
    put_event(f, "schema = \"E.2\"");
    refuse(f, "order/E: version 2 cannot be proven compatible with version 1 (");
    assert_non_null(
        strstr(f->err.text, "): add upcast[1] to aggregates/order.lua, or compatible = true with a reason"));
    put_event(f, "schema = \"E.2\", upcast = { [1] = f }");
    take(f, 2);
    put_event(f, "schema = \"E.2\", compatible = true, reason = \"nobody wrote the first\"");
    take(f, 2);
    put_event(f, "schema = \"E.2\"");
    put_schema(f, 2, ANY);
    refuse(f, "cannot be proven");
    put_schema(f, 2, "{}");
    take(f, 2);
}

/* The same when the old one is gone from the directory. */
static void stored_versions_count_like_those_of_the_directory(void **state) {
    struct fixture *f = *state;
    store_schema(f, "order", false, "E", 1, SUM);
    put_schema(f, 2, TOTAL);
    put_event(f, "schema = \"E.2\"");
    refuse(f, "order/E: version 2 cannot be proven compatible with version 1 (");
    put_event(f, "schema = \"E.2\", upcast = { [1] = f }");
    take(f, 1);
    put_schema(f, 2, SUM);
    put_event(f, "schema = \"E.2\"");
    take(f, 1);
}

static void a_gap_needs_upcasts_all_the_way(void **state) {
    struct fixture *f = *state;
    store_schema(f, "order", false, "E", 1, SUM);
    put_schema(f, 3, SUM);
    put_event(f, "schema = \"E.3\"");
    refuse(f, "order/E: upcast gap: from version 1 to version 3, with no schema of what is in between, upcast[1] is "
              "missing");
    put_event(f, "schema = \"E.3\", upcast = { [1] = f }");
    refuse(f, "upcast[2] is missing");
    put_event(f, "schema = \"E.3\", upcast = { [2] = f }");
    refuse(f, "upcast[1] is missing");
    put_event(f, "schema = \"E.3\", compatible = true, reason = \"trust me\"");
    refuse(f, "upcast gap");
    put_event(f, "schema = \"E.3\", upcast = { [1] = f, [2] = f }");
    take(f, 1);
    put_schema(f, 2, SUM);
    put_event(f, "schema = \"E.3\"");
    take(f, 2);
}

static void versions_never_go_back(void **state) {
    struct fixture *f = *state;
    store_schema(f, "order", false, "E", 1, ANY);
    store_schema(f, "order", false, "E", 2, ANY);
    put_schema(f, 1, ANY);
    put_event(f, "schema = \"E.1\"");
    refuse(f, "order/E: version 2 of its schema is known, and aggregates/order.lua names version 1: versions never go");
    lib_domain_remove(&f->domain, "schemas/order/E.1.json");
    put_event(f, "");
    refuse(f, "order/E: version 2 of its schema is known, and aggregates/order.lua names none");
    put_event(f, "retired = true");
    take(f, 0);
}

static void events_without_a_schema_need_an_upcast_from_0(void **state) {
    struct fixture *f = *state;
    store_event(f, "order", "E", 0);
    put_event(f, "");
    take(f, 0);
    put_schema(f, 1, "{}");
    put_event(f, "schema = \"E.1\", compatible = true, reason = \"anything goes\"");
    refuse(f,
           "order/E: the store holds events without a schema (version 0), and upcast[0] on their way to version 1 is "
           "missing");
    put_event(f, "schema = \"E.1\", upcast = { [0] = f }");
    take(f, 1);
    put_schema(f, 2, "{}");
    lib_domain_remove(&f->domain, "schemas/order/E.1.json");
    put_event(f, "schema = \"E.2\", upcast = { [0] = f }");
    refuse(f, "upcast[1] on their way to version 2 is missing");
    put_event(f, "schema = \"E.2\", upcast = { [0] = f, [1] = f }");
    take(f, 1);
}

/* An event says that it was written under a version that nobody has any more. */
static void versions_of_events_count_without_their_schemas(void **state) {
    struct fixture *f = *state;
    store_event(f, "order", "E", 1);
    put_schema(f, 2, "{}");
    put_event(f, "schema = \"E.2\"");
    refuse(f, "order/E: the schema of version 1 or 2 is not known, and upcast[1] is missing");
    put_event(f, "schema = \"E.2\", upcast = { [1] = f }");
    take(f, 1);
    store_event(f, "order", "E", 3);
    refuse(f, "order/E: version 3 of its schema is known, and aggregates/order.lua names version 2");
}

static void stored_events_must_be_declared(void **state) {
    struct fixture *f = *state;
    store_event(f, "order", "Other", 0);
    put_event(f, "");
    refuse(f, "order/Other: the store holds such events, and aggregates/order.lua does not declare them: declare the "
              "event, or say retired = true");
    lib_domain_put(&f->domain, "aggregates/order.lua", "return { events = { Other = { retired = true } } }");
    take(f, 0);
    lib_domain_put(&f->domain, "aggregates/order.lua", "return { events = { Other = {} } }");
    take(f, 0);
}

/* More kinds than are looked at in one go. */
static void many_kinds_of_events_are_all_looked_at(void **state) {
    struct fixture *f = *state;
    struct buf text = {0};
    buf_put_text(&text, "return { events = { E0 = {}");
    store_event(f, "order", "E0", 0);
    for (int i = 1; i < 600; i++) {
        char name[16];
        snprintf(name, sizeof name, "E%d", i);
        store_event(f, "order", name, 0);
        if (i < 599)
            buf_printf(&text, ", %s = {}", name);
    }
    size_t known = text.n;
    buf_put_text(&text, ", E599 = {} } }");
    lib_domain_put_bytes(&f->domain, "aggregates/order.lua", buf_str(&text));
    take(f, 0);
    text.n = known;
    buf_put_text(&text, " } }");
    lib_domain_put_bytes(&f->domain, "aggregates/order.lua", buf_str(&text));
    buf_free(&text);
    refuse(f, "order/E599: the store holds such events");
}

static void stored_types_must_be_there(void **state) {
    struct fixture *f = *state;
    put_event(f, "");
    store_type(f, "empty");
    store_schema(f, "empty", false, "E", 1, ANY);
    store_event(f, "$system", "Anything", 0);
    take(f, 0);
    store_event(f, "customer", "Greeted", 0);
    refuse(f, "the store holds 1 event of the type customer, and ");
    assert_non_null(strstr(f->err.text, " has no aggregates/customer.lua"));
    lib_domain_put(&f->domain, "aggregates/customer.lua", "return { events = { Greeted = {} } }");
    take(f, 0);
}

/* Of two types that have an event of the same name, each has its own versions. */
static void types_do_not_mix(void **state) {
    struct fixture *f = *state;
    store_schema(f, "order", false, "E", 1, SUM);
    store_schema(f, "customer", false, "E", 1, TOTAL);
    store_event(f, "customer", "E", 1);
    lib_domain_put(&f->domain, "aggregates/customer.lua", "return { events = { E = { schema = \"E.1\" } } }");
    lib_domain_put(&f->domain, "schemas/customer/E.1.json", TOTAL);
    put_schema(f, 1, SUM);
    put_event(f, "schema = \"E.1\"");
    take(f, 0);
}

static void a_stored_schema_that_is_damaged_is_named(void **state) {
    struct fixture *f = *state;
    store_schema(f, "order", false, "E", 1, "{\"type\":");
    put_schema(f, 2, "{}");
    put_event(f, "schema = \"E.2\"");
    refuse(f, "order/E: version 1, as the store holds it: is not JSON");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(everything_is_fresh_in_an_empty_store),
        TEST(a_stored_version_may_not_change),
        TEST(a_version_must_lead_to_the_next),
        TEST(stored_versions_count_like_those_of_the_directory),
        TEST(a_gap_needs_upcasts_all_the_way),
        TEST(versions_never_go_back),
        TEST(events_without_a_schema_need_an_upcast_from_0),
        TEST(versions_of_events_count_without_their_schemas),
        TEST(stored_events_must_be_declared),
        TEST(many_kinds_of_events_are_all_looked_at),
        TEST(stored_types_must_be_there),
        TEST(types_do_not_mix),
        TEST(a_stored_schema_that_is_damaged_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
