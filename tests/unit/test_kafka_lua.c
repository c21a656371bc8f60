/* kafka.lua: what it may say, and what the publisher makes of it. */
#include "kafka_rules.h"
#include "kafka_verify.h"
#include "lib_domain.h"
#include "lib_kafka.h"

/* A command Counted, with the data of its event; other names likewise. */
static const char order[] =
    "local function same(name) return { decide = function(s, cmd) return event(name, cmd.data) end } end\n"
    "return {\n"
    "  commands = { Counted = same('Counted'), Plain = same('Plain'), Secret = same('Secret') },\n"
    "  events = { Counted = {}, Plain = {}, Secret = {} },\n"
    "}\n";

static const char every_kind[] =
    "return {\n"
    "  from = { 'order' },\n"
    "  on = {\n"
    "    Counted = function(data, e)\n"
    "      if data.n % 10 == 3 then return drop end\n"
    "      if data.n % 10 == 5 then\n"
    "        return { event('First', { n = data.n }), event('Second', { n = data.n, of = e.subject }) }\n"
    "      end\n"
    "      if data.n == 7 then error('seven') end\n"
    "      return data\n"
    "    end,\n"
    "    Plain = true,\n"
    "    Secret = false,\n"
    "  },\n"
    "}\n";

/* --- the file */

static int setup(void **state) {
    struct lib_domain *l = calloc(1, sizeof *l);
    lib_domain_begin(l);
    lib_domain_put(l, "aggregates/order.lua", order);
    lib_domain_put(l, "aggregates/stock.lua", "return { events = { Moved = {} } }");
    *state = l;
    return 0;
}

static int teardown(void **state) {
    lib_domain_end(*state);
    free(*state);
    return 0;
}

static void a_domain_without_it_has_none(void **state) {
    struct lib_domain *l = *state;
    lib_domain_reload(l);
    assert_null(l->d->kafka);
}

static void assert_on(const struct lib_domain *l, const char *event, int how) {
    const struct domain_kafka_on *on = domain_kafka_on(l->d->kafka, str_of(event));
    assert_int_equal(on ? (int)on->how : -1, how);
}

static void it_says_how_each_event_is_published(void **state) {
    struct lib_domain *l = *state;
    lib_domain_put(l, "kafka.lua", every_kind);
    lib_domain_reload(l);
    assert_int_equal(l->d->kafka->n_from, 1);
    assert_true(domain_follows(l->d->kafka->from, l->d->kafka->n_from, lib_domain_type(l, "order")));
    assert_false(domain_follows(l->d->kafka->from, l->d->kafka->n_from, lib_domain_type(l, "stock")));
    assert_on(l, "Counted", DOMAIN_KAFKA_MADE);
    assert_on(l, "Plain", DOMAIN_KAFKA_AS_IT_IS);
    assert_on(l, "Secret", DOMAIN_KAFKA_NOT);
    assert_on(l, "Unheard", -1);
    lib_domain_put(l, "kafka.lua", "return { on = { Secret = false, ['*'] = true } }");
    lib_domain_reload(l);
    assert_int_equal(l->d->kafka->n_from, 2);
    assert_on(l, "Secret", DOMAIN_KAFKA_NOT);
    assert_on(l, "Counted", DOMAIN_KAFKA_AS_IT_IS);
    lib_domain_put(l, "kafka.lua", "return {}");
    lib_domain_reload(l);
    assert_on(l, "Moved", DOMAIN_KAFKA_AS_IT_IS);
}

static void what_makes_no_sense_is_refused(void **state) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"return 7", "kafka.lua"},
        {"return { form = { 'order' } }", "did you mean from?"},
        {"return { from = { 'ordre' } }", "kafka.lua: from: there is no type ordre, did you mean order?"},
        {"return { from = { 'order', 'order' } }", "kafka.lua: from: order is named twice"},
        {"return { from = {} }", "kafka.lua: from: "},
        {"return { on = {} }", "kafka.lua: on: is empty"},
        {"return { on = { Count = true } }",
         "kafka.lua: on.Count: no type that it follows declares this event, did you mean Counted?"},
        {"return { from = { 'stock' }, on = { Counted = true } }", "kafka.lua: on.Counted: no type that it follows"},
        {"return { on = { Counted = 'yes' } }", "kafka.lua: on.Counted: must be true, false, or a function(data, e)"},
        {"return { on = { true } }", "kafka.lua: on.1: a number is no name"},
        {"return { on = true }", "kafka.lua: on: must be a table"},
        {"return {", "kafka.lua:1: "},
    };
    struct lib_domain *l = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lib_domain_put(l, "kafka.lua", bad[i].text);
        lib_domain_refused(l, EINVAL, bad[i].says);
    }
    lib_domain_remove(l, "kafka.lua");
    lib_domain_put(l, "kafka.lua/order.lua", "return {}");
    lib_domain_refused(l, EINVAL, "kafka.lua: is a directory");
    lib_domain_remove(l, "kafka.lua/order.lua");
    lib_domain_remove(l, "kafka.lua");
}

static void its_hash_changes_with_what_it_depends_on(void **state) {
    struct lib_domain *l = *state;
    uint8_t before[DOMAIN_FOLD_HASH];
    lib_domain_put(l, "lib/words.lua", "return { of = function(x) return x end }");
    lib_domain_put(l, "lib/other.lua", "return {}");
    lib_domain_put(l, "kafka.lua",
                   "local words = require 'words'\n"
                   "return { from = { 'order' }, on = { Counted = function(d) return words.of(d) end } }");
    lib_domain_reload(l);
    memcpy(before, l->d->kafka->hash, sizeof before);
    lib_domain_put(l, "lib/other.lua", "return { 1 }");
    lib_domain_put(l, "aggregates/stock.lua", "return { events = { Moved = {}, Lost = {} } }");
    lib_domain_reload(l);
    assert_memory_equal(before, l->d->kafka->hash, sizeof before);
    lib_domain_put(l, "lib/words.lua", "return { of = function(x) x.n = 7 return x end }");
    lib_domain_reload(l);
    assert_memory_not_equal(before, l->d->kafka->hash, sizeof before);
}

static void assert_lint(struct lib_domain *l, const char *kafka_lua, const char *want) {
    struct buf lines = {0};
    lib_domain_put(l, "kafka.lua", kafka_lua);
    lib_domain_reload(l);
    assert_int_equal(domain_lint(l->d, &lines), 0);
    buf_put_char(&lines, 0);
    assert_string_equal(lines.p, want);
    buf_free(&lines);
}

static void lint_says_what_is_never_published(void **state) {
    struct lib_domain *l = *state;
    const char *evolve = "evolve = function() end";
    char text[200];
    snprintf(text, sizeof text, "return { events = { Gone = { retired = true, reason = 'x' }, Both = { %s } } }",
             evolve);
    lib_domain_put(l, "aggregates/order.lua", text);
    lib_domain_put(l, "aggregates/stock.lua", "return { events = { Both = { retired = true, reason = 'x' } } }");
    lib_domain_put(l, "aggregates/idle.lua", "return {}");
    assert_lint(l, "return {}", "");
    assert_lint(l, "return { on = { Gone = true, Both = function(d) return d end, ['*'] = function(d) return d end } }",
                "");
    assert_lint(l, "return { on = { Gone = function(d) return d end, Both = true } }",
                "kafka.lua: on.Gone: the event is retired: the function never runs\n");
    assert_lint(l, "return { on = { Gone = false, ['*'] = false } }",
                "kafka.lua: on: all that it names is false: nothing will ever be published\n");
    assert_lint(l, "return { from = { 'idle' } }",
                "kafka.lua: no type that it follows declares an event: nothing will ever be published\n");
}

/* --- the publisher */

struct fixture {
    struct test t;
    struct lib_domain domain;
};

static void begin(struct fixture *f, const char *kafka_lua) {
    test_begin(&f->t, 1);
    lib_domain_begin(&f->domain);
    lib_domain_put(&f->domain, "aggregates/order.lua", order);
    if (kafka_lua)
        lib_domain_put(&f->domain, "kafka.lua", kafka_lua);
    f->t.l.options.domain = f->domain.dir;
    f->t.l.options.ownership = (struct ownership){.uid = 1000, .gid = 100};
    lib_store_open(&f->t.l);
}

static void end(struct fixture *f) {
    test_end(&f->t);
    lib_domain_end(&f->domain);
}

static void reload(struct fixture *f, const char *kafka_lua) {
    struct err err = {0};
    lib_domain_put(&f->domain, "kafka.lua", kafka_lua);
    if (store_reload(f->t.l.store, &err) != 0)
        fail_msg("%s", err.text);
}

/* Closes the store and compares; NULL: without a domain. */
static int verify(struct fixture *f, const char *domain, struct kafka_verify_result *v, struct err *err) {
    const struct kafka_verify_options options = {.brokers = f->t.brokers, .domain = domain};
    struct store_options kept = f->t.l.options;
    if (f->t.l.store)
        lib_store_close(&f->t.l);
    f->t.l.options = (struct store_options){.read_only = true};
    lib_store_open(&f->t.l);
    *err = (struct err){0};
    int r = kafka_verify(f->t.l.store, &options, v, err);
    lib_store_close(&f->t.l);
    f->t.l.options = kept;
    return r;
}

static void assert_sound(struct fixture *f, uint64_t events, uint64_t earlier) {
    struct kafka_verify_result v;
    struct err err;
    if (verify(f, f->domain.dir, &v, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(v.events, events);
    assert_int_equal(v.earlier, earlier);
    assert_int_equal(v.foreign, 0);
}

static void events_become_none_one_or_several_messages(void **state) {
    (void)state;
    struct fixture f;
    struct kafka_verify_result v;
    struct err err;
    begin(&f, every_kind);
    append(&f.t, 0, 7, 4);
    lib_append(&f.t.l, "order", "0", "{\"type\":\"Plain\",\"data\":{\"n\":10}}");
    lib_append(&f.t.l, "order", "0", "{\"type\":\"Secret\",\"data\":{\"n\":11}}");
    WAIT_UNTIL(&f.t, figure(&f.t, "lag_events") == 0);
    assert_int_equal(figure(&f.t, "acknowledged"), 8); /* 0 1 2 4 5 5 6 10 */
    assert_int_equal(figure(&f.t, "parked"), 0);
    struct arrived *a = malloc(sizeof *a);
    read_topic(&f.t, "esfs.order", a);
    assert_true(a->seen[10] && a->seen[5] && !a->seen[3] && !a->seen[11]);
    assert_int_equal(a->duplicates, 1);
    free(a);
    assert_sound(&f, 7, 0);
    assert_int_equal(verify(&f, NULL, &v, &err), -EINVAL);
    assert_non_null(strstr(err.text, "--domain DIR"));
    lib_domain_put(&f.domain, "kafka.lua", "return {}");
    assert_int_equal(verify(&f, f.domain.dir, &v, &err), -EINVAL);
    assert_non_null(strstr(err.text, "this is not the kafka.lua"));
    end(&f);
}

static void what_it_fails_on_is_parked_and_waits_for_a_better_one(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, every_kind);
    append(&f.t, 0, 12, 4); /* 7 and 11 are of order/3 */
    WAIT_UNTIL(&f.t, figure(&f.t, "lag_events") == 0 && figure(&f.t, "parked") == 2);
    assert_parked(&f.t, 8, "{\"error\":\"kafka.lua:9: seven\",\"attempts\":1,\"waits_for\":null}");
    assert_parked(&f.t, 12, "{\"error\":null,\"waits_for\":\"0000000000000008\"}");
    assert_int_equal(retry(&f.t, 8), -EIO);
    assert_parked(&f.t, 8, "{\"attempts\":2}");
    lib_store_close(&f.t.l); /* it is durable */
    lib_store_open(&f.t.l);
    assert_int_equal(figure(&f.t, "parked"), 2);
    reload(&f, "return { on = { Counted = function(data) return { event('A', data), event('B', data) } end } }");
    assert_int_equal(retry(&f.t, 8), 0);
    WAIT_UNTIL(&f.t, figure(&f.t, "parked") == 0);
    append(&f.t, 12, 4, 4);
    WAIT_UNTIL(&f.t, figure(&f.t, "lag_events") == 0);
    struct arrived *a = malloc(sizeof *a);
    read_topic(&f.t, "esfs.order", a); /* looks at the order */
    assert_int_equal(a->n, 15);
    assert_true(a->seen[7] && a->seen[11] && !a->seen[3]);
    free(a);
    assert_sound(&f, 15, 14); /* ten and one that was two, and two that were parked, twice: all before the change */
    end(&f);
}

static void a_message_whose_data_is_nil_is_a_fault(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, "return { on = { Counted = function(data) return event('X', data.first) end, Plain = function() return "
              "event('Empty') end } }");
    append(&f.t, 0, 1, 2);
    lib_append(&f.t.l, "order", "1", "{\"type\":\"Plain\",\"data\":{\"n\":10}}");
    WAIT_UNTIL(&f.t, figure(&f.t, "parked") == 1 && figure(&f.t, "lag_events") == 0);
    assert_parked(&f.t, 1,
                  "{\"error\":\"kafka.lua:1: the data of event X is nil: an object is meant, or event(\\\"X\\\") for "
                  "one without members\"}");
    assert_int_equal(figure(&f.t, "acknowledged"), 1);
    end(&f);
}

static void one_that_makes_nothing_frees_what_is_parked(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, "return { on = { Counted = function() error('no') end } }");
    append(&f.t, 0, 6, 2);
    WAIT_UNTIL(&f.t, figure(&f.t, "parked") == 6);
    reload(&f, "return { on = { Counted = function() return drop end, Plain = true } }");
    assert_int_equal(retry(&f.t, 1), 0);
    assert_int_equal(retry(&f.t, 2), 0);
    WAIT_UNTIL(&f.t, figure(&f.t, "parked") == 0 && figure(&f.t, "lag_events") == 0);
    assert_int_equal(figure(&f.t, "acknowledged"), 0);
    end(&f);
}

static void a_change_is_recorded_also_one_while_the_store_was_closed(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    append(&f.t, 0, 10, 2);
    WAIT_UNTIL(&f.t, has_arrived(&f.t, 10));
    assert_sound(&f, 10, 0);
    lib_domain_put(&f.domain, "kafka.lua", "return { on = { Counted = function(d) return { n = d.n, v = 1 } end } }");
    lib_store_open(&f.t.l);
    append(&f.t, 10, 10, 2);
    WAIT_UNTIL(&f.t, has_arrived(&f.t, 10));
    assert_sound(&f, 20, 0);
    lib_store_open(&f.t.l);
    reload(&f, "return { on = { Counted = function(d) return { n = d.n, v = 2 } end } }");
    append(&f.t, 20, 10, 2);
    WAIT_UNTIL(&f.t, has_arrived(&f.t, 10));
    assert_sound(&f, 30, 10);
    end(&f);
}

static void many_messages_of_an_event_pass_a_small_queue(void **state) {
    (void)state;
    struct fixture f;
    char config[LIB_PATH];
    memset(&f, 0, sizeof f);
    static const char text[] = "queue.buffering.max.messages=7\nbatch.num.messages=5\n";
    test_begin(&f.t, 1);
    lib_domain_begin(&f.domain);
    snprintf(config, sizeof config, "%s", lib_path(f.domain.dir, "kafka.properties"));
    lib_file_write(f.domain.dir, "kafka.properties", text, strlen(text));
    lib_domain_put(&f.domain, "aggregates/order.lua", order);
    lib_domain_put(&f.domain, "kafka.lua",
                   "return { on = { Counted = function(data)\n"
                   "  local list = {}\n"
                   "  for i = 1, 20 do list[i] = event('Part', { n = data.n, i = i }) end\n"
                   "  return list\n"
                   "end } }");
    f.t.kafka.config = config;
    f.t.l.options.domain = f.domain.dir;
    f.t.l.options.ownership = (struct ownership){.uid = 1000, .gid = 100};
    lib_store_open(&f.t.l);
    append(&f.t, 0, 10, 3);
    WAIT_UNTIL(&f.t, figure(&f.t, "acknowledged") >= 40);
    rd_kafka_mock_push_request_errors(f.t.cluster.mock, PRODUCE, 2, RD_KAFKA_RESP_ERR_INVALID_RECORD,
                                      RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID);
    append(&f.t, 10, 30, 3);
    WAIT_UNTIL(&f.t, figure(&f.t, "lag_events") == 0);
    WAIT_UNTIL(&f.t, figure(&f.t, "parked") == 0);
    assert_sound(&f, 40, 0);
    end(&f);
}

static const char fails_on_two[] =
    "return { on = { Counted = function(d) if d.n == 2 then error('two') end return d end } }";

/* What came before it in its aggregate is sent again by another producer: it must not go first. */
static void what_is_sent_again_from_the_shelf_waits_for_what_came_before(void **state) {
    (void)state;
    struct fixture f;
    struct answer a = ANSWER;
    begin(&f, fails_on_two);
    append(&f.t, 0, 1, 1);
    WAIT_UNTIL(&f.t, has_arrived(&f.t, 1));
    rd_kafka_mock_broker_set_rtt(f.t.cluster.mock, 1, 1000);
    rd_kafka_mock_push_request_errors(f.t.cluster.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    append(&f.t, 1, 2, 1);
    WAIT_UNTIL(&f.t, figure(&f.t, "parked") == 1);
    reload(&f, "return { on = { Counted = true } }");
    kafka_retry(store_kafka(f.t.l.store), 3, answered, &a);
    WAIT_UNTIL(&f.t, figure(&f.t, "producers") >= 2);
    rd_kafka_mock_broker_set_rtt(f.t.cluster.mock, 1, 0);
    assert_int_equal(answer_wait(&a), 0);
    WAIT_UNTIL(&f.t, figure(&f.t, "lag_events") == 0);
    assert_all_there(&f.t, 3, 3); /* looks at the order */
    end(&f);
}

static void what_is_parked_ahead_of_the_cursor_is_parked_once(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, fails_on_two);
    append(&f.t, 0, 1, 1);
    WAIT_UNTIL(&f.t, has_arrived(&f.t, 1));
    f.t.kafka.flush_seconds = 0;
    rd_kafka_mock_broker_set_down(f.t.cluster.mock, 1);
    append(&f.t, 3, 1, 1); /* under way */
    append(&f.t, 2, 1, 1);
    append(&f.t, 4, 1, 1);
    WAIT_UNTIL(&f.t, figure(&f.t, "parked") == 2);
    assert_int_equal(figure(&f.t, "lag_events"), 3);
    lib_store_close(&f.t.l);
    lib_store_open(&f.t.l);
    assert_int_equal(figure(&f.t, "parked"), 2);
    rd_kafka_mock_broker_set_up(f.t.cluster.mock, 1);
    WAIT_UNTIL(&f.t, figure(&f.t, "lag_events") == 0);
    assert_int_equal(figure(&f.t, "parked"), 2);
    reload(&f, "return { on = { Counted = true } }");
    assert_int_equal(retry(&f.t, 3), 0);
    WAIT_UNTIL(&f.t, figure(&f.t, "parked") == 0);
    assert_sound(&f, 4, 4);
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_domain_without_it_has_none, setup, teardown),
        cmocka_unit_test_setup_teardown(it_says_how_each_event_is_published, setup, teardown),
        cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(its_hash_changes_with_what_it_depends_on, setup, teardown),
        cmocka_unit_test_setup_teardown(lint_says_what_is_never_published, setup, teardown),
        cmocka_unit_test(events_become_none_one_or_several_messages),
        cmocka_unit_test(what_it_fails_on_is_parked_and_waits_for_a_better_one),
        cmocka_unit_test(a_message_whose_data_is_nil_is_a_fault),
        cmocka_unit_test(one_that_makes_nothing_frees_what_is_parked),
        cmocka_unit_test(a_change_is_recorded_also_one_while_the_store_was_closed),
        cmocka_unit_test(many_messages_of_an_event_pass_a_small_queue),
        cmocka_unit_test(what_is_sent_again_from_the_shelf_waits_for_what_came_before),
        cmocka_unit_test(what_is_parked_ahead_of_the_cursor_is_parked_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
