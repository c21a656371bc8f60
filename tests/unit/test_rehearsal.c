#include "lib_domain.h"

#include "rehearsal.h"

static const struct {
    const char *path, *text;
} files[] = {
    {"aggregates/order.lua",
     "return {\n"
     "  initial = function() return { sum = 0, items = array{} } end,\n"
     "  unique = { number = function(o) return o.number end },\n"
     "  commands = {\n"
     "    Place = { schema = \"Place.1\", decide = function(o, cmd)\n"
     "      if o.status then reject(\"already \" .. o.status) end\n"
     "      return event(\"Placed\", cmd.data), event(\"Told\", { at = cmd.time, uid = cmd.uid, v = cmd.version })\n"
     "    end },\n"
     "    Like = { decide = function(o, cmd, get)\n"
     "      return event(\"Placed\", { number = get(\"order/\" .. cmd.data.as).number })\n"
     "    end },\n"
     "    Release = { decide = function() return event(\"Released\", {}) end },\n"
     "    Secret = { allow = { users = { 7 } }, decide = function() end },\n"
     "    Wrong = { decide = function() return event(\"Placed\", { number = \"none\" }) end },\n"
     "    Undeclared = { decide = function() return event(\"Nowhere\", {}) end },\n"
     "    Retired = { decide = function() return event(\"Old\", {}) end },\n"
     "    Unfoldable = { decide = function() return event(\"Bad\", {}) end },\n"
     "    Unkeepable = { decide = function() return event(\"Odd\", {}) end },\n"
     "    Meddle = { decide = function(o) o.status = \"meddled\" end },\n"
     "    Id = { decide = function(o, cmd) return event(\"Told\", { id = cmd.uuid(1) }) end },\n"
     "  },\n"
     "  events = {\n"
     "    Placed = { schema = \"Placed.2\", upcast = { [1] = function(d) d.number = d.n d.n = nil return d end },\n"
     "      evolve = function(o, e) o.status, o.number = \"placed\", e.data.number end },\n"
     "    Told = { evolve = function(o, e) o.told = e.data end },\n"
     "    Released = { evolve = function(o) o.number = nil end },\n"
     "    Bad = { evolve = function(o) o.nothing.at.all = 1 end },\n"
     "    Odd = { evolve = function(o) o.items[1] = function() end end },\n"
     "    Old = { retired = true },\n"
     "  },\n"
     "}\n"},
    {"aggregates/note.lua", "return { unique = { number = function(n) return n.number end } }\n"},
    {"schemas/order/commands/Place.1.json",
     "{\"type\":\"object\",\"required\":[\"number\"],\"properties\":{\"number\":{\"type\":\"integer\"}}}"},
    {"schemas/order/Placed.1.json",
     "{\"type\":\"object\",\"required\":[\"n\"],\"properties\":{\"n\":{\"type\":\"integer\"}}}"},
    {"schemas/order/Placed.2.json",
     "{\"type\":\"object\",\"required\":[\"number\"],\"properties\":{\"number\":{\"type\":\"integer\"}}}"},
};

struct fixture {
    struct lib_domain domain;
    struct rehearsal *r;
    struct rehearsal_result result;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    struct err err = {0};
    lib_domain_begin(&f->domain);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        lib_domain_put(&f->domain, files[i].path, files[i].text);
    lib_domain_reload(&f->domain);
    assert_int_equal(rehearsal_new(&f->r, f->domain.d, &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    rehearsal_free(f->r);
    lib_domain_end(&f->domain);
    free(f);
    return 0;
}

static enum outcome send(struct fixture *f, const char *json) {
    static const struct rehearsal_caller anyone = {0};
    assert_int_equal(rehearsal_send(f->r, str_of(json), &anyone, &f->result), 0);
    return f->result.refusal.outcome;
}

static void refused(struct fixture *f, enum outcome outcome, const char *words, const char *json) {
    if (send(f, json) != outcome || !strstr(f->result.refusal.detail, words))
        fail_msg("%s: %s: %s", json, outcome_word(f->result.refusal.outcome), f->result.refusal.detail);
    assert_int_equal(f->result.n, 0);
}

static void accepted(struct fixture *f, size_t n, const char *json) {
    if (send(f, json) != OUTCOME_OK)
        fail_msg("%s: %s", json, f->result.refusal.detail);
    assert_int_equal(f->result.n, n);
}

static void state_is(struct fixture *f, const char *aggregate, const char *want) {
    struct buf got = {0};
    struct err err = {0};
    if (rehearsal_state(f->r, str_of(aggregate), &got, &err) != 0)
        fail_msg("%s: %s", aggregate, err.text);
    if (!str_eq(buf_str(&got), str_of(want)))
        fail_msg("got %.*s, not %s", (int)got.n, got.p, want);
    buf_free(&got);
}

static int give(struct fixture *f, const char *aggregate, const char *type, const char *data, uint32_t schema,
                struct err *err) {
    const struct rehearsed_event e = {str_of(aggregate), str_of(type), str_of(data), schema, 0, 0};
    return rehearsal_give(f->r, &e, err);
}

static void given(struct fixture *f, const char *aggregate, const char *type, const char *data, uint32_t schema) {
    struct err err = {0};
    if (give(f, aggregate, type, data, schema, &err) != 0)
        fail_msg("%s", err.text);
}

static void not_given(struct fixture *f, const char *words, const char *aggregate, const char *type, const char *data,
                      uint32_t schema) {
    struct err err = {0};
    int rc = give(f, aggregate, type, data, schema, &err);
    if (rc != -EINVAL || !strstr(err.text, words))
        fail_msg("%d: %s, not %s", rc, err.text, words);
}

#define PLACE(id, number) "{\"aggregate\":\"order/" id "\",\"type\":\"Place\",\"data\":{\"number\":" number "}}"

/* --- given */

static void given_events_are_folded_and_upcast(void **state) {
    struct fixture *f = *state;
    given(f, "order/1", "Placed", "{\"n\":5}", 1);
    state_is(f, "order/1", "{\"items\":[],\"number\":5,\"status\":\"placed\",\"sum\":0}");
    given(f, "order/2", "Placed", "{\"number\":6}", REHEARSAL_NEWEST);
    given(f, "order/2", "Old", "{\"any\":1}", REHEARSAL_NEWEST);
    state_is(f, "order/2", "{\"items\":[],\"number\":6,\"status\":\"placed\",\"sum\":0}");
    state_is(f, "order/3", "{\"items\":[],\"sum\":0}");
    rehearsal_clear(f->r);
    state_is(f, "order/1", "{\"items\":[],\"sum\":0}");
}

static void given_events_must_be_right(void **state) {
    struct fixture *f = *state;
    not_given(f, "declares no event \"Nowhere\"", "order/1", "Nowhere", "{}", REHEARSAL_NEWEST);
    not_given(f, "the domain has no type \"cart\"", "cart/1", "Placed", "{}", REHEARSAL_NEWEST);
    not_given(f, "is named \"type/id\"", "order", "Placed", "{}", REHEARSAL_NEWEST);
    not_given(f, "reserved", "order/commands", "Placed", "{\"number\":1}", REHEARSAL_NEWEST);
    not_given(f, "violates schema 2 of its data: data", "order/1", "Placed", "{\"n\":5}", REHEARSAL_NEWEST);
    not_given(f, "violates schema 1 of its data: data", "order/1", "Placed", "{\"number\":5}", 1);
    not_given(f, "there is no schemas/order/Placed.3.json", "order/1", "Placed", "{}", 3);
    not_given(f, "must be an object", "order/1", "Told", "[1]", REHEARSAL_NEWEST);
    not_given(f, "aggregates/order.lua:", "order/1", "Bad", "{}", REHEARSAL_NEWEST);
    state_is(f, "order/1", "{\"items\":[],\"sum\":0}");
}

/* --- commands */

static void a_command_becomes_events_and_the_state_goes_on(void **state) {
    struct fixture *f = *state;
    given(f, "order/0", "Placed", "{\"number\":1}", REHEARSAL_NEWEST);
    accepted(f, 2, PLACE("1", "7"));
    assert_true(str_eq(f->result.events[0].aggregate, STR("order/1")));
    assert_true(str_eq(f->result.events[0].type, STR("Placed")));
    assert_true(str_eq(f->result.events[0].data, STR("{\"number\":7}")));
    assert_int_equal(f->result.events[0].schema, 2);
    assert_int_equal(f->result.events[0].time, REHEARSAL_BEGIN + 1);
    assert_int_equal(f->result.events[1].time, REHEARSAL_BEGIN + 2);
    state_is(f, "order/1",
             "{\"items\":[],\"number\":7,\"status\":\"placed\",\"sum\":0,"
             "\"told\":{\"at\":\"2026-01-01T00:00:00.000001Z\",\"uid\":0,\"v\":0}}");
    refused(f, OUTCOME_REJECTED, "already placed", PLACE("1", "8"));
}

static void shape_and_schema_are_judged(void **state) {
    struct fixture *f = *state;
    refused(f, OUTCOME_MALFORMED, "not JSON", "{\"aggregate\"}");
    refused(f, OUTCOME_INVALID, "unknown member \"kind\"", "{\"aggregate\":\"order/1\",\"kind\":\"Place\"}");
    refused(f, OUTCOME_INVALID, "has no command \"Dance\"", "{\"aggregate\":\"order/1\",\"type\":\"Dance\"}");
    refused(f, OUTCOME_INVALID, "no type \"cart\"", "{\"aggregate\":\"cart/1\",\"type\":\"Place\"}");
    refused(f, OUTCOME_INVALID, "data/number", PLACE("1", "\"x\""));
}

static void permission_is_judged_when_it_is_told_who_sends(void **state) {
    struct fixture *f = *state;
    struct identity who = {.uid = 7, .gid = 7};
    const struct rehearsal_caller caller = {.who = &who};
    const struct str secret = STR("{\"aggregate\":\"order/1\",\"type\":\"Secret\"}");
    assert_int_equal(rehearsal_send(f->r, secret, &caller, &f->result), 0);
    assert_int_equal(f->result.refusal.outcome, OUTCOME_OK);
    who.uid = 8;
    assert_int_equal(rehearsal_send(f->r, secret, &caller, &f->result), 0);
    assert_int_equal(f->result.refusal.outcome, OUTCOME_FORBIDDEN);
    who = (struct identity){0};
    assert_int_equal(rehearsal_send(f->r, secret, &caller, &f->result), 0);
    assert_int_equal(f->result.refusal.outcome, OUTCOME_FORBIDDEN);
    accepted(f, 0, secret.p);
    who.uid = who.gid = 8;
    assert_int_equal(rehearsal_send(f->r, str_of(PLACE("1", "1")), &caller, &f->result), 0);
    assert_int_equal(f->result.refusal.outcome, OUTCOME_FORBIDDEN);
}

static void versions_and_ids_are_judged(void **state) {
    struct fixture *f = *state;
    refused(f, OUTCOME_CONFLICT, "order/1 is at version 0, not 3",
            "{\"aggregate\":\"order/1\",\"type\":\"Place\",\"expectedVersion\":3,\"data\":{\"number\":1}}");
    accepted(f, 2, "{\"aggregate\":\"order/1\",\"type\":\"Place\",\"id\":\"a\",\"data\":{\"number\":1}}");
    accepted(f, 0, "{\"aggregate\":\"order/1\",\"type\":\"Place\",\"id\":\"a\",\"data\":{\"number\":1}}");
    refused(f, OUTCOME_ID_REUSED, "with another type or other data",
            "{\"aggregate\":\"order/1\",\"type\":\"Place\",\"id\":\"a\",\"data\":{\"number\":2}}");
    refused(f, OUTCOME_ID_REUSED, "named twice",
            "[{\"aggregate\":\"order/2\",\"type\":\"Release\",\"id\":\"b\"},"
            "{\"aggregate\":\"order/2\",\"type\":\"Release\",\"id\":\"b\"}]");
    refused(f, OUTCOME_CONFLICT, "but should have no events",
            "{\"aggregate\":\"order/1\",\"type\":\"Release\",\"expectedVersion\":\"none\"}");
}

static void what_handlers_do_wrong_is_refused(void **state) {
    struct fixture *f = *state;
    refused(f, OUTCOME_HANDLER_FAILED, "violates schema 2", "{\"aggregate\":\"order/1\",\"type\":\"Wrong\"}");
    refused(f, OUTCOME_HANDLER_FAILED, "none of its events", "{\"aggregate\":\"order/1\",\"type\":\"Undeclared\"}");
    refused(f, OUTCOME_HANDLER_FAILED, "which is retired", "{\"aggregate\":\"order/1\",\"type\":\"Retired\"}");
    refused(f, OUTCOME_HANDLER_FAILED, "order.lua:", "{\"aggregate\":\"order/1\",\"type\":\"Unfoldable\"}");
    refused(f, OUTCOME_HANDLER_FAILED, "items[1]", "{\"aggregate\":\"order/1\",\"type\":\"Unkeepable\"}");
    accepted(f, 0, "{\"aggregate\":\"order/1\",\"type\":\"Meddle\"}");
    state_is(f, "order/1", "{\"items\":[],\"sum\":0}");
}

static void ids_are_the_same_on_every_run(void **state) {
    struct fixture *f = *state;
    char first[128];
    accepted(f, 1, "{\"aggregate\":\"order/1\",\"type\":\"Id\"}");
    snprintf(first, sizeof first, "%.*s", (int)f->result.events[0].data.n, f->result.events[0].data.p);
    accepted(f, 1, "{\"aggregate\":\"order/1\",\"type\":\"Id\"}");
    assert_false(str_eq(f->result.events[0].data, str_of(first)));
    rehearsal_clear(f->r);
    accepted(f, 1, "{\"aggregate\":\"order/1\",\"type\":\"Id\"}");
    assert_true(str_eq(f->result.events[0].data, str_of(first)));
}

/* --- transactions and unique values */

static void a_transaction_is_done_as_a_whole_or_not_at_all(void **state) {
    struct fixture *f = *state;
    refused(f, OUTCOME_REJECTED, "already placed", "[" PLACE("1", "1") "," PLACE("2", "2") "," PLACE("1", "3") "]");
    assert_int_equal(f->result.refusal.index, 2);
    state_is(f, "order/1", "{\"items\":[],\"sum\":0}");
    state_is(f, "order/2", "{\"items\":[],\"sum\":0}");
    accepted(f, 3, "[" PLACE("1", "4") ",{\"aggregate\":\"order/1\",\"type\":\"Release\"}]");
    assert_int_equal(f->result.events[0].time, REHEARSAL_BEGIN);
    /* what get() gives has seen the commands before */
    refused(f, OUTCOME_NOT_UNIQUE, "number 5 is held by order/2",
            "[" PLACE("2", "5") ",{\"aggregate\":\"order/3\",\"type\":\"Like\",\"data\":{\"as\":\"2\"}}]");
}

static void a_unique_value_has_one_holder(void **state) {
    struct fixture *f = *state;
    accepted(f, 2, PLACE("1", "1"));
    refused(f, OUTCOME_NOT_UNIQUE, "number 1 is held by order/1", PLACE("2", "1"));
    refused(f, OUTCOME_NOT_UNIQUE, "number 2 is held by order/4", "[" PLACE("4", "2") "," PLACE("3", "2") "]");
    accepted(f, 3, "[" PLACE("2", "1") ",{\"aggregate\":\"order/1\",\"type\":\"Release\"}]");
    refused(f, OUTCOME_NOT_UNIQUE, "number 1 is held by order/2", PLACE("5", "1"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(given_events_are_folded_and_upcast),
        TEST(given_events_must_be_right),
        TEST(a_command_becomes_events_and_the_state_goes_on),
        TEST(shape_and_schema_are_judged),
        TEST(permission_is_judged_when_it_is_told_who_sends),
        TEST(versions_and_ids_are_judged),
        TEST(what_handlers_do_wrong_is_refused),
        TEST(ids_are_the_same_on_every_run),
        TEST(a_transaction_is_done_as_a_whole_or_not_at_all),
        TEST(a_unique_value_has_one_holder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
