/* What the publisher is made of, without a cluster. */
#include "digest.h"
#include "json.h"
#include "kafka.h"
#include "kafka_message.h"
#include "kafka_properties.h"
#include "kafka_settings.h"
#include "kafka_shelf.h"
#include "kafka_topic.h"
#include "kafka_window.h"
#include "lib_store.h"

#include <errno.h>

/* --- topics */

static const char *topic(const char *template, const char *type) {
    static __thread char out[KAFKA_TOPIC_MAX + 1];
    kafka_topic_name(template, str_of(type), out);
    return out;
}

static void assert_template(const char *template, const char *words) {
    struct err err = {0};
    int r = kafka_topic_check(template, &err);
    assert_int_equal(r, words ? -EINVAL : 0);
    if (words && !strstr(err.text, words))
        fail_msg("\"%s\" does not tell of \"%s\"", err.text, words);
}

static void a_topic_is_the_template_with_the_type_in_it(void **state) {
    (void)state;
    assert_string_equal(topic("esfs.{type}", "order"), "esfs.order");
    assert_string_equal(topic("{type}", "order_line"), "order_line");
    assert_string_equal(topic("a-{type}.v1", "Order2"), "a-Order2.v1");
    assert_string_equal(topic("events", "order"), "events");
}

static void what_a_topic_cannot_hold_is_escaped(void **state) {
    (void)state;
    assert_string_equal(topic("e.{type}", "order-line"), "e.order--line");
    assert_string_equal(topic("e.{type}", "a.b"), "e.a-2eb");
    assert_string_equal(topic("e.{type}", "Bücher"), "e.B-c3-bccher");
    assert_string_equal(topic("e.{type}", "a b"), "e.a-20b");
    assert_string_equal(topic("{type}", ".."), "-2e-2e");
}

static void a_topic_is_never_longer_than_kafka_allows(void **state) {
    (void)state;
    char type[NAME_MAX_BYTES + 1], others[2][KAFKA_TOPIC_MAX + 1];
    memset(type, '.', NAME_MAX_BYTES);
    type[NAME_MAX_BYTES] = '\0';
    kafka_topic_name("esfs.{type}.log", str_of(type), others[0]);
    assert_true(strlen(others[0]) <= KAFKA_TOPIC_MAX);
    assert_non_null(strstr(others[0], "-x"));
    assert_string_equal(others[0] + strlen(others[0]) - 4, ".log");
    type[NAME_MAX_BYTES - 1] = ',';
    kafka_topic_name("esfs.{type}.log", str_of(type), others[1]);
    assert_string_not_equal(others[0], others[1]);
    type[81] = '\0'; /* 81 * 3 + 5: just fits */
    assert_int_equal(strlen(topic("esfs.{type}", type)), 248);
    assert_null(strstr(topic("esfs.{type}", type), "-x"));
}

/* The reverse of the escaping, to see that nothing is lost. */
static size_t unescape(const char *p, char *out) {
    size_t n = 0;
    while (*p) {
        if (*p != '-') {
            out[n++] = *p++;
        } else if (p[1] == '-') {
            out[n++] = '-';
            p += 2;
        } else {
            unsigned byte;
            assert_int_equal(sscanf(p + 1, "%2x", &byte), 1);
            out[n++] = (char)byte;
            p += 3;
        }
    }
    return n;
}

static void two_types_never_share_a_topic(void **state) {
    (void)state;
    char type[9] = {0}, back[64];
    unsigned seed = 7;
    for (int i = 0; i < 20000; i++) {
        for (int j = 0; j < 8; j++)
            type[j] = "-_.x2e/a"[rand_r(&seed) % 8];
        const char *name = topic("{type}", type);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_"), strlen(name)); /* no `.` */
        assert_int_equal(unescape(name, back), 8);
        assert_memory_equal(back, type, 8);
    }
}

static void templates_that_make_no_topic_are_refused(void **state) {
    (void)state;
    char longest[300];
    memset(longest, 'a', sizeof longest);
    longest[249] = '\0';
    assert_template("esfs.{type}", NULL);
    assert_template("{type}", NULL);
    assert_template(longest, NULL);
    assert_template("a b", "letters, digits");
    assert_template("{typ}", "letters, digits");
    assert_template("{type}{type}", "twice");
    assert_template("", "no topic can have this name");
    assert_template(".", "no topic can have this name");
    assert_template("..", "no topic can have this name");
    longest[249] = 'a';
    longest[250] = '\0';
    assert_template(longest, "too long");
    memcpy(longest + 210, "{type}", 7);
    assert_template(longest, "too long");
}

/* --- settings */

static void assert_settings(const struct kafka_options *o, const char *text, const char *words) {
    struct kafka_settings s;
    struct err err = {0};
    int r = kafka_settings_make(&s, o, &err);
    if (words) {
        assert_int_equal(r, -EINVAL);
        if (!strstr(err.text, words))
            fail_msg("\"%s\" does not tell of \"%s\"", err.text, words);
    } else {
        assert_int_equal(r, 0);
        assert_string_equal(s.text, text);
        struct kafka_settings again;
        assert_int_equal(kafka_settings_read(&again, str_of(s.text), &err), 0);
        assert_string_equal(again.text, text);
        kafka_settings_free(&again);
    }
    kafka_settings_free(&s);
}

static void the_same_settings_have_the_same_text(void **state) {
    (void)state;
    static const char *const one[] = {"order", "invoice/Paid", "order"}, *const two[] = {"invoice/Paid", "order"};
    assert_settings(&(struct kafka_options){0}, "topic=esfs.{type}\nmode=binary\n", NULL);
    const char *text = "topic=t\nmode=structured\nfilter=invoice/Paid\nfilter=order\nsince=00000000000000ff\n";
    struct kafka_options o = {
        .topic = "t", .structured = true, .filters = one, .n_filters = 3, .since = "00000000000000ff"};
    assert_settings(&o, text, NULL);
    o.filters = two;
    o.n_filters = 2;
    assert_settings(&o, text, NULL);
    o = (struct kafka_options){.since = "2026-11-22"};
    assert_settings(&o, "topic=esfs.{type}\nmode=binary\nsince=2026-11-22T00:00:00.000000Z\n", NULL);
}

static void settings_that_mean_nothing_are_refused(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"order/", "the event"}, {"/Paid", "the aggregate type"}, {"$x", "the aggregate type"}};
    for (size_t i = 0; i < 3; i++)
        assert_settings(&(struct kafka_options){.filters = &wrong[i][0], .n_filters = 1}, NULL, wrong[i][1]);
    assert_settings(&(struct kafka_options){.since = "yesterday"}, NULL, "kafka-since=yesterday");
    assert_settings(&(struct kafka_options){.since = "2h-ago"}, NULL, "kafka-since=2h-ago");
    assert_settings(&(struct kafka_options){.since = "ff"}, NULL, "16 hexadecimal digits");
    assert_settings(&(struct kafka_options){.topic = "a b"}, NULL, "kafka-topic=a b");
}

static void filters_choose_events(void **state) {
    (void)state;
    static const char *const filters[] = {"order", "invoice/Paid"};
    struct kafka_settings s;
    struct event e = {.position = 5, .time = 1000, .aggregate_type = STR("order"), .type = STR("Any")};
    struct kafka_options o = {.filters = filters, .n_filters = 2, .since = "0000000000000005"};
    assert_int_equal(kafka_settings_make(&s, &o, NULL), 0);
    assert_true(kafka_settings_want(&s, &e));
    e.position = 4;
    assert_false(kafka_settings_want(&s, &e));
    e.position = 6;
    e.aggregate_type = STR("invoice");
    assert_false(kafka_settings_want(&s, &e));
    e.type = STR("Paid");
    assert_true(kafka_settings_want(&s, &e));
    e.aggregate_type = STR("orders");
    assert_false(kafka_settings_want(&s, &e));
    kafka_settings_free(&s);
    o = (struct kafka_options){.since = "1970-01-01T00:00:01Z"};
    assert_int_equal(kafka_settings_make(&s, &o, NULL), 0);
    assert_false(kafka_settings_want(&s, &e));
    e.time = 1000000;
    assert_true(kafka_settings_want(&s, &e));
    kafka_settings_free(&s);
}

/* --- properties */

static void assert_properties(const char *text, struct kafka_properties *out, const char *words) {
    char dir[LIB_PATH];
    struct err err = {0};
    struct kafka_properties p = {0};
    lib_dir_make(dir);
    lib_file_write(dir, "kafka", text, strlen(text));
    int r = kafka_properties_read(&p, lib_path(dir, "kafka"), &err);
    lib_dir_remove(dir);
    assert_int_equal(r, words ? -EINVAL : 0);
    if (words && (!strstr(err.text, words) || strstr(err.text, "secret")))
        fail_msg("\"%s\" does not tell of \"%s\" alone", err.text, words);
    if (out)
        *out = p;
    else
        kafka_properties_free(&p);
}

static void a_file_of_properties_is_read_as_librdkafka_would(void **state) {
    (void)state;
    struct kafka_properties p;
    assert_properties(
        "# brokers\n\n  metadata.broker.list = a:1,b:2 \nsasl.password=a=b #c\r\nlinger.ms=1\nlinger.ms=7", &p, NULL);
    assert_string_equal(kafka_properties_find(&p, "bootstrap.servers"), "a:1,b:2");
    assert_string_equal(kafka_properties_find(&p, "sasl.password"), "a=b #c");
    assert_string_equal(kafka_properties_find(&p, "linger.ms"), "7");
    assert_null(kafka_properties_find(&p, "acks"));
    kafka_properties_free(&p);
}

static void properties_that_would_lose_or_reorder_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "enable.idempotence=false",
        "acks=1",
        "request.required.acks=0",
        "message.timeout.ms=30000",
        "delivery.timeout.ms=1",
        "max.in.flight=5",
        "max.in.flight.requests.per.connection=2",
        "retries=3",
        "partitioner=random",
        "transactional.id=secret",
        "enable.gapless.guarantee=false",
        "queuing.strategy=lifo",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char words[80];
        snprintf(words, sizeof words, ":1: %.*s cannot be changed", (int)strcspn(wrong[i], "="), wrong[i]);
        assert_properties(wrong[i], NULL, words);
    }
    assert_properties("acks=all\nenable.idempotence = true\nmax.in.flight=1\n", NULL, NULL);
    assert_properties("linger.ms=1\nsecret\n", NULL, ":2: name=value is meant");
    assert_properties("=secret\n", NULL, ":1: name=value is meant");
    struct kafka_properties p = {0};
    struct err err = {0};
    assert_int_equal(kafka_properties_read(&p, "/does/not/exist", &err), -ENOENT);
    assert_non_null(strstr(err.text, "kafka-config=/does/not/exist: No such file"));
}

/* --- messages */

static const uint8_t store_id_of_test[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static struct event the_event(void) {
    return (struct event){
        .position = 42,
        .version = 3,
        .time = 1795388400123456,
        .uid = 1000,
        .aggregate_type = STR("order"),
        .aggregate_id = STR("10 01"),
        .type = STR("Placed"),
        .data = STR("{\"total\":1.50}"),
        .store_id = store_id_of_test,
    };
}

static void assert_headers(const struct kafka_message *m, const char *want) {
    char got[2000] = "";
    for (size_t i = 0; i < m->n_headers; i++)
        sprintf(got + strlen(got), "%s=%.*s\n", m->headers[i].name, (int)m->headers[i].value.n, m->headers[i].value.p);
    assert_string_equal(got, want);
}

static void a_binary_message_has_a_header_for_each_attribute(void **state) {
    (void)state;
    struct arena arena = {0};
    struct json_parser *parser = json_parser_new();
    struct kafka_message m;
    struct event e = the_event();
    assert_int_equal(kafka_message_make(&m, &e, 0, false, &arena, parser), 0);
    assert_true(str_eq(m.key, STR("10 01")));
    assert_true(str_eq(m.value, STR("{\"total\":1.50}")));
    assert_headers(&m, "ce_specversion=1.0\nce_id=01a2057c-e1fb-71c8-8995-66802bdc726d\nce_source=/order/10%2001\n"
                       "ce_type=Placed\nce_subject=10 01\nce_time=2026-11-22T23:00:00.123456Z\n"
                       "content-type=application/json\nce_sequence=0000000003\nce_version=3\n"
                       "ce_position=000000000000002a\nce_correlationid=01a2057c-e1fb-71c8-8995-66802bdc726d\n"
                       "ce_uid=1000\nce_partitionkey=10 01\n");
    e.schema = 2;
    e.commandid = STR("c-\"1\"");
    e.traceparent = STR("00-ab-cd-01");
    e.meta = STR(",\"tenant\":\"\\u00fcber \\\"x\\\"\",\"n\":-7,\"b\":true");
    assert_int_equal(kafka_message_make(&m, &e, 0, false, &arena, parser), 0);
    assert_headers(&m, "ce_specversion=1.0\nce_id=01a2057c-e1fb-71c8-8995-66802bdc726d\nce_source=/order/10%2001\n"
                       "ce_type=Placed\nce_subject=10 01\nce_time=2026-11-22T23:00:00.123456Z\n"
                       "content-type=application/json\nce_dataschema=/schemas/order/Placed/2\n"
                       "ce_sequence=0000000003\nce_version=3\nce_position=000000000000002a\nce_commandid=c-\"1\"\n"
                       "ce_correlationid=c-\"1\"\nce_causationid=c-\"1\"\nce_traceparent=00-ab-cd-01\nce_uid=1000\n"
                       "ce_partitionkey=10 01\nce_tenant=\xc3\xbc"
                       "ber \"x\"\nce_n=-7\nce_b=true\n");
    e.meta = STR(",\"a\":0");
    assert_int_equal(kafka_message_make(&m, &e, 0, false, &arena, parser),
                     0); /* as many headers as there is room for */
    e.meta = STR(",\"tenant\":");
    assert_int_equal(kafka_message_make(&m, &e, 0, false, &arena, parser), -EUCLEAN);
    json_parser_free(parser);
    arena_free(&arena);
}

static void a_structured_message_is_the_line_and_its_partitionkey(void **state) {
    (void)state;
    struct arena arena = {0};
    struct kafka_message m;
    struct event e = the_event();
    e.meta = STR(",\"tenant\":\"acme\"");
    char line[1000], *want;
    const char *more = ",\"partitionkey\":\"10 01\"";
    size_t n = (size_t)(event_render(&e, line) - line);
    char *behind = memmem(line, n, ",\"tenant\":", 10);
    assert_non_null(behind);
    assert_true(asprintf(&want, "%.*s%s%.*s", (int)(behind - line), line, more, (int)(line + n - 1 - behind), behind) >
                0);
    assert_int_equal(kafka_message_make(&m, &e, 0, true, &arena, NULL), 0);
    assert_true(str_eq(m.value, (struct str){want, strlen(want)}));
    assert_true(str_eq(m.key, e.aggregate_id));
    free(want);
    assert_headers(&m, "content-type=application/cloudevents+json\n");
    arena_free(&arena);
}

/* --- the window */

static void the_cursor_is_the_position_up_to_which_all_are_done(void **state) {
    (void)state;
    struct kafka_window w;
    assert_int_equal(kafka_window_init(&w, 100), 0);
    kafka_window_done(&w, 102);
    kafka_window_done(&w, 103);
    assert_int_equal(w.cursor, 100);
    kafka_window_done(&w, 101);
    assert_int_equal(w.cursor, 103);
    kafka_window_done(&w, 50);
    kafka_window_done(&w, 103);
    assert_int_equal(w.cursor, 103);
    assert_true(kafka_window_has(&w, 103 + KAFKA_WINDOW));
    assert_false(kafka_window_has(&w, 104 + KAFKA_WINDOW));
    assert_false(kafka_window_has(&w, 103));
    kafka_window_done(&w, 104 + KAFKA_WINDOW); /* its place is that of 104 */
    assert_int_equal(w.cursor, 103);
    for (uint64_t p = 103 + KAFKA_WINDOW; p > 104; p--)
        kafka_window_done(&w, p);
    assert_int_equal(w.cursor, 103);
    kafka_window_done(&w, 104);
    assert_int_equal(w.cursor, 103 + KAFKA_WINDOW);
    assert_false(kafka_window_slot(&w, w.cursor + 1)->done);
    kafka_window_free(&w);
}

/* --- the shelf */

static void add(struct kafka_shelf *s, uint64_t position, uint64_t aggregate, bool refused) {
    struct kafka_parked p = {.position = position, .aggregate = aggregate, .refused = refused};
    assert_int_equal(kafka_shelf_add(s, &p, true), 0);
}

static uint64_t first_of(const struct kafka_shelf *s, uint64_t aggregate) {
    const struct kafka_parked *p = kafka_shelf_first(s, aggregate);
    return p ? p->position : 0;
}

static void the_shelf_knows_the_first_of_each_aggregate(void **state) {
    (void)state;
    struct kafka_shelf s = {0};
    assert_int_equal(first_of(&s, 1), 0);
    add(&s, 10, 1, true);
    add(&s, 30, 1, false);
    add(&s, 20, 2, true);
    assert_int_equal(first_of(&s, 1), 10);
    assert_int_equal(first_of(&s, 2), 20);
    assert_int_equal(first_of(&s, 3), 0);
    add(&s, 5, 2, true);
    assert_int_equal(first_of(&s, 2), 5);
    assert_int_equal(kafka_shelf_at(&s, 11), 2);
    assert_int_equal(kafka_shelf_at(&s, 31), 4);
    assert_null(kafka_shelf_find(&s, 11));
    assert_int_equal(kafka_shelf_remove(&s, 10), 0);
    assert_int_equal(first_of(&s, 1), 30);
    assert_int_equal(kafka_shelf_refuse(&s, kafka_shelf_find(&s, 30), "no", 7), 0);
    assert_int_equal(kafka_shelf_refuse(&s, kafka_shelf_find(&s, 30), "no again", 8), 0);
    const struct kafka_parked *p = kafka_shelf_find(&s, 30);
    assert_true(p->refused && p->attempts == 2 && p->time == 8);
    assert_string_equal(p->why, "no again");
    for (uint64_t i = 100; i < 3000; i++)
        add(&s, i, i % 7 + 10, true);
    for (uint64_t i = 0; i < 7; i++)
        assert_int_equal(first_of(&s, i + 10), (100 - (100 % 7) + i) + (i < 100 % 7 ? 7 : 0));
    kafka_shelf_free(&s);
}

int main(void) {
    if (digest_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_the_template_with_the_type_in_it),
        cmocka_unit_test(what_a_topic_cannot_hold_is_escaped),
        cmocka_unit_test(a_topic_is_never_longer_than_kafka_allows),
        cmocka_unit_test(two_types_never_share_a_topic),
        cmocka_unit_test(templates_that_make_no_topic_are_refused),
        cmocka_unit_test(the_same_settings_have_the_same_text),
        cmocka_unit_test(settings_that_mean_nothing_are_refused),
        cmocka_unit_test(filters_choose_events),
        cmocka_unit_test(a_file_of_properties_is_read_as_librdkafka_would),
        cmocka_unit_test(properties_that_would_lose_or_reorder_are_refused),
        cmocka_unit_test(a_binary_message_has_a_header_for_each_attribute),
        cmocka_unit_test(a_structured_message_is_the_line_and_its_partitionkey),
        cmocka_unit_test(the_cursor_is_the_position_up_to_which_all_are_done),
        cmocka_unit_test(the_shelf_knows_the_first_of_each_aggregate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
