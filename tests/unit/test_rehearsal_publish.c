/* What would be published of a rehearsal: the messages that kafka.lua makes of its events, and what it fails on. */
#include "kafka_message.h"
#include "lib_domain.h"
#include "rehearsal.h"

static const char order[] = //
    "local function same(name) return { decide = function(s, cmd) return event(name, cmd.data) end } end\n"
    "return {\n"
    "  commands = { Place = same('Placed'), Pay = same('Paid'), Keep = same('Kept'), Split = same('Split'),\n"
    "    No = { decide = function() reject('no') end } },\n"
    "  events = {\n"
    "    Placed = { schema = 'Placed.2', upcast = { [1] = function(d) d.total = d.sum d.sum = nil return d end } },\n"
    "    Paid = {}, Kept = {}, Split = {},\n"
    "  },\n"
    "}\n";

static const char note[] =
    "return { commands = { Note = { decide = function(s, cmd) return event('Noted', cmd.data) end "
    "} }, events = { Noted = {} } }\n";

static const char kafka_lua[] = //
    "return {\n"
    "  from = { 'order' },\n"
    "  on = {\n"
    "    Placed = function(data, e) return { total = data.total, of = e.subject } end,\n"
    "    Paid = true,\n"
    "    Kept = false,\n"
    "    Split = function(data)\n"
    "      if data.none then return drop end\n"
    "      return { event('First', data.first), event('Second', data.second) }\n"
    "    end,\n"
    "  },\n"
    "}\n";

struct fixture {
    struct lib_domain domain;
    struct rehearsal *r;
    struct buf got;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    lib_domain_begin(&f->domain);
    lib_domain_put(&f->domain, "aggregates/order.lua", order);
    lib_domain_put(&f->domain, "aggregates/a-note.lua", note);
    lib_domain_put(&f->domain, "schemas/order/Placed.1.json", "{}");
    lib_domain_put(&f->domain, "schemas/order/Placed.2.json", "{}");
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    rehearsal_free(f->r);
    buf_free(&f->got);
    lib_domain_end(&f->domain);
    free(f);
    return 0;
}

/* NULL: without a kafka.lua. */
static void rehearse(struct fixture *f, const char *text) {
    struct err err = {0};
    if (text)
        lib_domain_put(&f->domain, "kafka.lua", text);
    lib_domain_reload(&f->domain);
    if (rehearsal_new(&f->r, f->domain.d, &err) != 0)
        fail_msg("%s", err.text);
}

static enum outcome send(struct fixture *f, const char *json) {
    static const struct rehearsal_caller anyone = {.time = 1767225600000000};
    struct rehearsal_result result;
    assert_int_equal(rehearsal_send(f->r, str_of(json), &anyone, &result), 0);
    return result.refusal.outcome;
}

static void given(struct fixture *f, const char *aggregate, const char *type, const char *data, uint32_t schema) {
    const struct rehearsed_event e = {str_of(aggregate), str_of(type), str_of(data), schema, 0, 0};
    struct err err = {0};
    if (rehearsal_give(f->r, &e, &err) != 0)
        fail_msg("%s", err.text);
}

/* "esfs.order 1 {...}\n" */
static int message_note(void *arg, const char *topic, const struct kafka_message *m) {
    struct fixture *f = arg;
    buf_printf(&f->got, "%s %.*s %.*s\n", topic, (int)m->key.n, m->key.p, (int)m->value.n, m->value.p);
    return 0;
}

/* The same, with its headers. */
static int headers_note(void *arg, const char *topic, const struct kafka_message *m) {
    struct fixture *f = arg;
    message_note(arg, topic, m);
    for (size_t i = 0; i < m->n_headers; i++)
        buf_printf(&f->got, "  %s=%.*s\n", m->headers[i].name, (int)m->headers[i].value.n, m->headers[i].value.p);
    return 0;
}

static void published(struct fixture *f, uint64_t behind, rehearsal_message *each, const char *text) {
    struct script_fault fault;
    struct err err = {0};
    buf_clear(&f->got);
    if (rehearsal_follow(f->r, &fault, &err) != 0 || rehearsal_publish(f->r, behind, each, f, &fault, &err) != 0)
        fail_msg("%s", err.text);
    buf_put_char(&f->got, 0);
    assert_string_equal(f->got.p, text);
}

/* --- messages */

static void events_become_messages_or_none(void **state) {
    struct fixture *f = *state;
    rehearse(f, kafka_lua);
    published(f, 0, message_note, "");
    given(f, "order/1", "Placed", "{\"sum\":5}", 1);
    given(f, "order/1", "Kept", "{}", REHEARSAL_NEWEST);
    given(f, "a-note/x", "Noted", "{}", REHEARSAL_NEWEST);
    published(f, 0, message_note, "esfs.order 1 {\"of\":\"1\",\"total\":5}\n");
    assert_int_equal(rehearsal_position(f->r), 3);
    assert_int_equal(send(f, "[{\"aggregate\":\"order/2\",\"type\":\"Pay\",\"data\":{\"n\":1.50}},"
                             "{\"aggregate\":\"order/1\",\"type\":\"Split\",\"data\":{\"none\":true}}]"),
                     OUTCOME_OK);
    published(f, 3, message_note, "esfs.order 2 {\"n\":1.50}\n");
    published(f, 0, message_note, "esfs.order 1 {\"of\":\"1\",\"total\":5}\nesfs.order 2 {\"n\":1.50}\n");
    assert_int_equal(send(f, "{\"aggregate\":\"order/1\",\"type\":\"No\"}"), OUTCOME_REJECTED);
    assert_int_equal(rehearsal_position(f->r), 5);
    published(f, 5, message_note, "");
    rehearsal_clear(f->r);
    assert_int_equal(rehearsal_position(f->r), 0);
    published(f, 0, message_note, "");
}

static void several_messages_have_the_headers_of_their_event(void **state) {
    struct fixture *f = *state;
    rehearse(f, kafka_lua);
    assert_int_equal(send(f,
                          "{\"aggregate\":\"order/1\",\"type\":\"Split\",\"id\":\"c-1\",\"meta\":{\"tenant\":\"acme\"},"
                          "\"data\":{\"first\":{\"n\":1},\"second\":{\"n\":2}}}"),
                     OUTCOME_OK);
#define HEADERS(part, type)                                                                                            \
    "  ce_specversion=1.0\n  ce_id=019b76da-a800-7000-86c3-ae60cd72638f-" part                                         \
    "\n  ce_source=/order/1\n  ce_type=" type "\n  ce_subject=1\n  ce_time=2026-01-01T00:00:00.000000Z\n"              \
    "  content-type=application/json\n  ce_sequence=0000000001\n  ce_version=1\n  ce_position=0000000000000001\n"      \
    "  ce_commandid=c-1\n  ce_correlationid=c-1\n  ce_causationid=c-1\n  ce_uid=0\n  ce_partitionkey=1\n"              \
    "  ce_tenant=acme\n"
    published(f, 0, headers_note,
              "esfs.order 1 {\"n\":1}\n" HEADERS("1", "First") "esfs.order 1 {\"n\":2}\n" HEADERS("2", "Second"));
}

static void without_a_kafka_lua_all_is_published_as_it_is(void **state) {
    struct fixture *f = *state;
    rehearse(f, NULL);
    given(f, "order/1", "Placed", "{\"sum\":5}", 1);
    given(f, "a-note/x", "Noted", "{}", REHEARSAL_NEWEST);
    published(f, 0, message_note, "esfs.order 1 {\"sum\":5}\nesfs.a--note x {}\n");
}

static int first_alone(void *arg, const char *topic, const struct kafka_message *m) {
    message_note(arg, topic, m);
    return 7;
}

static void who_has_seen_enough_says_so(void **state) {
    struct fixture *f = *state;
    struct script_fault fault;
    struct err err = {0};
    rehearse(f, NULL);
    given(f, "order/1", "Kept", "{}", REHEARSAL_NEWEST);
    given(f, "order/2", "Kept", "{}", REHEARSAL_NEWEST);
    assert_int_equal(rehearsal_publish(f->r, 0, first_alone, f, &fault, &err), 7);
    assert_true(str_eq(buf_str(&f->got), STR("esfs.order 1 {}\n")));
}

/* --- failing */

static void fails(struct fixture *f, const char *words, const char *traceback) {
    struct script_fault fault = {0};
    struct err err = {0};
    for (int again = 0; again < 2; again++) {
        assert_int_equal(rehearsal_follow(f->r, &fault, &err), -EINVAL);
        assert_string_equal(err.text, words);
        assert_non_null(strstr(fault.traceback, traceback));
    }
    assert_int_equal(rehearsal_publish(f->r, 0, message_note, f, &fault, &err), -EINVAL);
    assert_string_equal(err.text, words);
}

static void what_it_fails_on_is_told_with_its_place(void **state) {
    struct fixture *f = *state;
    rehearse(f, "local function check(data)\n"
                "  if data.n == 7 then error('seven') end\n"
                "end\n"
                "return { on = { Paid = function(data)\n"
                "  check(data)\n"
                "  return data\n"
                "end } }\n");
    given(f, "order/1", "Paid", "{\"n\":1}", REHEARSAL_NEWEST);
    given(f, "order/1", "Paid", "{\"n\":7}", REHEARSAL_NEWEST);
    fails(f, "kafka.lua cannot make messages of Paid, event 2 of order/1: kafka.lua:2: seven", "kafka.lua:5");
    assert_true(str_eq(buf_str(&f->got), STR("esfs.order 1 {\"n\":1}\n")));
    rehearsal_clear(f->r);
    given(f, "order/1", "Paid", "{\"n\":1}", REHEARSAL_NEWEST);
    published(f, 0, message_note, "esfs.order 1 {\"n\":1}\n");
}

static void what_a_function_returns_may_be_no_message(void **state) {
    struct fixture *f = *state;
    rehearse(f, "return { on = { Paid = function() return 7 end, Split = function() return event('a/b') end } }");
    given(f, "order/1", "Paid", "{}", REHEARSAL_NEWEST);
    fails(f,
          "kafka.lua cannot make messages of Paid, event 1 of order/1: kafka.lua: a handler of messages returned a "
          "number: it returns data, event(...), a list of events or drop",
          "");
    rehearsal_clear(f->r);
    given(f, "order/1", "Split", "{}", REHEARSAL_NEWEST);
    fails(f,
          "kafka.lua cannot make messages of Split, event 1 of order/1: kafka.lua: the type of a message has a slash",
          "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(events_become_messages_or_none),
        TEST(several_messages_have_the_headers_of_their_event),
        TEST(without_a_kafka_lua_all_is_published_as_it_is),
        TEST(who_has_seen_enough_says_so),
        TEST(what_it_fails_on_is_told_with_its_place),
        TEST(what_a_function_returns_may_be_no_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
