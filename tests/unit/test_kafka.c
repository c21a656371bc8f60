/* The publisher against librdkafka's mock cluster. */
#include "lib_kafka.h"

/* --- publishing */

static void every_event_arrives_in_its_aggregates_order(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 3);
    lib_store_open(&t.l);
    append(&t, 0, 5000, 37);
    WAIT_UNTIL(&t, has_arrived(&t, 5000));
    assert_true(state_is(&t, "live"));
    assert_int_equal(figure(&t, "producers"), 1);
    assert_all_there(&t, 5000, 0);
    test_end(&t);
}

static void a_restart_goes_on_from_the_cursor(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    lib_store_open(&t.l);
    append(&t, 0, 100, 5);
    WAIT_UNTIL(&t, has_arrived(&t, 100));
    lib_store_close(&t.l);
    lib_store_open(&t.l);
    append(&t, 100, 100, 5);
    WAIT_UNTIL(&t, has_arrived(&t, 100));
    assert_int_equal(figure(&t, "acknowledged"), 100);
    lib_store_close(&t.l);
    t.l.options.kafka = NULL;
    lib_store_open(&t.l);
    append(&t, 200, 50, 5); /* while nothing is published */
    lib_store_close(&t.l);
    t.l.options.kafka = &t.kafka;
    lib_store_open(&t.l);
    WAIT_UNTIL(&t, has_arrived(&t, 50));
    assert_all_there(&t, 250, 0);
    test_end(&t);
}

static void what_is_under_way_when_the_store_closes_is_waited_for(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    lib_store_open(&t.l);
    append(&t, 0, 10, 5);
    WAIT_UNTIL(&t, has_arrived(&t, 10));
    rd_kafka_mock_broker_set_rtt(t.cluster.mock, 1, 300);
    append(&t, 10, 500, 5);
    WAIT_UNTIL(&t, figure(&t, "under_way") == 500);
    lib_store_close(&t.l);
    rd_kafka_mock_broker_set_rtt(t.cluster.mock, 1, 0);
    assert_all_there(&t, 510, 0);
    lib_store_open(&t.l);
    assert_int_equal(figure(&t, "lag_events"), 0);
    test_end(&t);
}

static void filters_and_the_first_position_hold(void **state) {
    (void)state;
    struct test t;
    static const char *const filters[] = {"order"};
    test_begin(&t, 1);
    t.kafka.filters = filters;
    t.kafka.n_filters = 1;
    t.kafka.since = "000000000000000b";
    lib_store_open(&t.l);
    append(&t, 0, 20, 3);
    lib_append(&t.l, "stock", "1", "{\"type\":\"Counted\",\"data\":{\"n\":1}}");
    WAIT_UNTIL(&t, has_arrived(&t, 10));
    assert_all_there(&t, 10, 0);
    struct arrived *a = malloc(sizeof *a);
    read_topic(&t, "esfs.stock", a);
    assert_int_equal(a->n, 0);
    free(a);
    test_end(&t);
}

static void other_settings_than_before_are_refused(void **state) {
    (void)state;
    struct test t;
    struct err err = {0};
    test_begin(&t, 1);
    lib_store_open(&t.l);
    lib_store_close(&t.l); /* nothing was sent, but somebody may have read that it would be */
    t.kafka.topic = "other.{type}";
    assert_int_equal(store_open(&t.l.store, t.l.dir, &t.l.options, &err), -EEXIST);
    assert_non_null(strstr(err.text, "published with topic=esfs.{type} mode=binary"));
    assert_non_null(strstr(err.text, "now it would be topic=other.{type} mode=binary"));
    assert_non_null(strstr(err.text, "esfsctl kafka seek STORE POSITION"));
    t.kafka.topic = "esfs.{type}";
    lib_store_open(&t.l);
    test_end(&t);
}

static void properties_that_librdkafka_does_not_know_are_refused(void **state) {
    (void)state;
    struct test t;
    struct err err = {0};
    test_begin(&t, 1);
    properties(&t, "no.such.thing=1\n");
    assert_int_equal(store_open(&t.l.store, t.l.dir, &t.l.options, &err), -EINVAL);
    assert_non_null(strstr(err.text, "No such configuration property: \"no.such.thing\""));
    t.kafka.brokers = NULL;
    properties(&t, "linger.ms=1\n");
    assert_int_equal(store_open(&t.l.store, t.l.dir, &t.l.options, &err), -EINVAL);
    assert_non_null(strstr(err.text, "no brokers are named there"));
    t.kafka.brokers = t.brokers;
    properties(&t, "bootstrap.servers=a\n");
    assert_int_equal(store_open(&t.l.store, t.l.dir, &t.l.options, &err), -EINVAL);
    assert_non_null(strstr(err.text, "names brokers too"));
    test_end(&t);
}

static void a_log_that_was_cut_short_is_refused(void **state) {
    (void)state;
    struct test t;
    struct err err = {0};
    test_begin(&t, 1);
    lib_store_open(&t.l);
    lib_store_close(&t.l);
    struct home *home;
    struct db *db;
    assert_int_equal(home_open(&home, t.l.dir, &(struct home_options){.must_exist = true}, &err), 0);
    assert_int_equal(db_open(&db, home_db_path(home), &(struct db_options){0}, &err), 0);
    const struct db_change change = {DB_CURSORS, KAFKA_KEY_META, STR("\1\5topic=t\n"), false};
    assert_int_equal(db_write(db, &change, 1, true, &err), 0);
    db_close(db);
    home_close(home);
    for (int i = 0; i < 2; i++) { /* also when nothing is published any more */
        assert_int_equal(store_open(&t.l.store, t.l.dir, &t.l.options, &err), -EUCLEAN);
        assert_non_null(strstr(err.text, "the log was cut short: it ends at position 0000000000000000"));
        t.l.options.kafka = NULL;
    }
    test_end(&t);
}

/* --- a cluster in trouble */

static void appends_do_not_wait_for_a_cluster_that_is_down(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    rd_kafka_mock_broker_set_down(t.cluster.mock, 1);
    uint64_t begun = now_ms();
    lib_store_open(&t.l);
    append(&t, 0, 2000, 11);
    assert_true(now_ms() - begun < 5000);
    WAIT_UNTIL(&t, state_is(&t, "waiting"));
    assert_int_equal(figure(&t, "lag_events"), 2000);
    json_t *object = status(&t), *error = json_object_get(object, "last_error");
    assert_non_null(strstr(json_string_value(json_object_get(error, "error")), "_TRANSPORT"));
    assert_true(json_is_false(json_object_get(error, "over")));
    json_decref(object);
    rd_kafka_mock_broker_set_up(t.cluster.mock, 1);
    WAIT_UNTIL(&t, has_arrived(&t, 2000));
    assert_true(state_is(&t, "live"));
    assert_all_there(&t, 2000, 0);
    /* without an event to send it is told too, and that it is over */
    rd_kafka_mock_broker_set_down(t.cluster.mock, 1);
    append(&t, 2000, 1, 11);
    WAIT_UNTIL(&t, state_is(&t, "waiting"));
    rd_kafka_mock_broker_set_up(t.cluster.mock, 1);
    WAIT_UNTIL(&t, has_arrived(&t, 2001));
    test_end(&t);
}

static void a_store_closes_while_the_cluster_is_down(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    rd_kafka_mock_broker_set_down(t.cluster.mock, 1);
    lib_store_open(&t.l);
    append(&t, 0, 100, 3);
    WAIT_UNTIL(&t, state_is(&t, "waiting"));
    uint64_t begun = now_ms();
    lib_store_close(&t.l);
    assert_true(now_ms() - begun < 5000);
    rd_kafka_mock_broker_set_up(t.cluster.mock, 1);
    lib_store_open(&t.l);
    WAIT_UNTIL(&t, has_arrived(&t, 100));
    assert_all_there(&t, 100, 0);
    test_end(&t);
}

static void what_is_no_fault_of_the_message_is_tried_until_it_succeeds(void **state) {
    (void)state;
    static const rd_kafka_resp_err_t errors[] = {
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,          RD_KAFKA_RESP_ERR__TRANSPORT,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,     RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, /* which librdkafka takes for final */
    };
    struct test t;
    test_begin(&t, 1);
    lib_store_open(&t.l);
    for (int i = 0; i < 5; i++) {
        rd_kafka_mock_push_request_errors_array(t.cluster.mock, PRODUCE, 1, &errors[i]);
        append(&t, i * 100, 100, 7);
        WAIT_UNTIL(&t, has_arrived(&t, (i + 1) * 100));
    }
    assert_int_equal(figure(&t, "parked"), 0);
    assert_all_there(&t, 500, 300);
    test_end(&t);
}

static void a_producer_that_fails_is_replaced(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    lib_store_open(&t.l);
    append(&t, 0, 10, 3);
    WAIT_UNTIL(&t, has_arrived(&t, 10));
    for (int i = 1; i <= 3; i++) {
        rd_kafka_mock_push_request_errors(t.cluster.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
        append(&t, i * 10, 10, 3);
        WAIT_UNTIL(&t, has_arrived(&t, (i + 1) * 10));
    }
    assert_int_equal(figure(&t, "producers"), 4);
    assert_int_equal(figure(&t, "parked"), 0);
    assert_all_there(&t, 40, 40);
    test_end(&t);
}

static void a_full_queue_is_waited_for(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    properties(&t, "queue.buffering.max.messages=10\nlinger.ms=0\n");
    lib_store_open(&t.l);
    append(&t, 0, 1000, 7);
    WAIT_UNTIL(&t, has_arrived(&t, 1000));
    assert_all_there(&t, 1000, 0);
    test_end(&t);
}

static void a_slow_cluster_gets_larger_requests(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    rd_kafka_mock_broker_set_rtt(t.cluster.mock, 1, 50);
    lib_store_open(&t.l);
    append(&t, 0, 10000, 100);
    WAIT_UNTIL(&t, has_arrived(&t, 10000)); /* each alone: 500 s */
    rd_kafka_mock_broker_set_rtt(t.cluster.mock, 1, 0);
    assert_all_there(&t, 10000, 0);
    test_end(&t);
}

/* --- what is refused */

static void what_is_refused_alone_is_parked_and_its_aggregate_waits(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    lib_store_open(&t.l);
    append(&t, 0, 1, 1);
    WAIT_UNTIL(&t, has_arrived(&t, 1));
    /* the batch, and then, alone, its message */
    rd_kafka_mock_push_request_errors(t.cluster.mock, PRODUCE, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    append(&t, 1, 1, 1);
    WAIT_UNTIL(&t, figure(&t, "parked") == 1);
    append(&t, 2, 2, 1);
    lib_append(&t.l, "stock", "1", "{\"type\":\"Counted\",\"data\":{\"n\":1}}");
    WAIT_UNTIL(&t, has_arrived(&t, 2)); /* others go on */
    assert_int_equal(figure(&t, "parked"), 3);
    assert_parked(&t, 2,
                  "{\"position\":\"0000000000000002\",\"topic\":\"esfs.order\",\"attempts\":1,\"waits_for\":null,"
                  "\"error\":\"Broker: Message size too large (MSG_SIZE_TOO_LARGE)\"}");
    assert_parked(&t, 4, "{\"waits_for\":\"0000000000000002\",\"error\":null,\"attempts\":null}");
    char *text = parked_text(&t, 3);
    assert_non_null(strstr(text, "\"event\":{\"specversion\":\"1.0\""));
    assert_non_null(strstr(text, "\"data\":{\"n\":2}}}\n"));
    free(text);
    uint64_t positions[4];
    assert_int_equal(kafka_parked(store_kafka(t.l.store), 0, positions, 4), 3);
    assert_int_equal(positions[0], 2);
    assert_int_equal(kafka_parked(store_kafka(t.l.store), 3, positions, 4), 1);
    assert_int_equal(kafka_parked(store_kafka(t.l.store), 4, positions, 4), 0);

    lib_store_close(&t.l); /* it is durable */
    lib_store_open(&t.l);
    assert_int_equal(figure(&t, "parked"), 3);
    append(&t, 4, 1, 1);
    WAIT_UNTIL(&t, figure(&t, "parked") == 4 && figure(&t, "lag_events") == 0);
    assert_int_equal(retry(&t, 3), -EBUSY);
    assert_int_equal(retry(&t, 1), -ENOENT);
    rd_kafka_mock_push_request_errors(t.cluster.mock, PRODUCE, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    assert_int_equal(retry(&t, 2), -EIO);
    assert_parked(&t, 2, "{\"attempts\":2}");
    assert_int_equal(figure(&t, "parked"), 4);
    assert_int_equal(retry(&t, 2), 0);
    WAIT_UNTIL(&t, figure(&t, "parked") == 0);
    append(&t, 5, 1, 1);
    WAIT_UNTIL(&t, figure(&t, "lag_events") == 0);
    lib_store_close(&t.l);
    t.l.options.kafka = NULL;
    assert_all_there(&t, 6, 0);
    test_end(&t);
}

static void who_was_refused_with_others_is_found(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    lib_store_open(&t.l);
    append(&t, 0, 40, 40);
    WAIT_UNTIL(&t, has_arrived(&t, 40));
    rd_kafka_mock_broker_set_rtt(t.cluster.mock, 1, 100); /* for large batches */
    rd_kafka_mock_push_request_errors(t.cluster.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    append(&t, 40, 200, 40);
    WAIT_UNTIL(&t, figure(&t, "producers") >= 2);
    rd_kafka_mock_broker_set_rtt(t.cluster.mock, 1, 0);
    WAIT_UNTIL(&t, has_arrived(&t, 240)); /* alone they got through */
    assert_int_equal(figure(&t, "parked"), 0);
    append(&t, 240, 10, 40);
    WAIT_UNTIL(&t, has_arrived(&t, 250));
    assert_all_there(&t, 250, 250);
    test_end(&t);
}

static void a_message_that_is_passed_over_frees_those_behind_it(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    lib_store_open(&t.l);
    rd_kafka_mock_push_request_errors(t.cluster.mock, PRODUCE, 2, RD_KAFKA_RESP_ERR_INVALID_RECORD,
                                      RD_KAFKA_RESP_ERR_INVALID_RECORD);
    append(&t, 0, 1, 1);
    WAIT_UNTIL(&t, figure(&t, "parked") == 1);
    append(&t, 1, 3, 1);
    WAIT_UNTIL(&t, figure(&t, "parked") == 4);
    assert_int_equal(pass_over(&t, 9), -ENOENT);
    assert_int_equal(pass_over(&t, 1), 0);
    WAIT_UNTIL(&t, figure(&t, "parked") == 0 && has_arrived(&t, 3));
    assert_int_equal(index_skip_find(store_index(t.l.store), STR("kafka"), 1), 0);
    assert_int_equal(pass_over(&t, 1), -ENOENT);
    struct arrived *a = malloc(sizeof *a);
    read_topic(&t, "esfs.order", a);
    assert_int_equal(a->n, 3);
    assert_false(a->seen[0]);
    free(a);
    test_end(&t);
}

static void a_topic_that_is_not_authorized_parks_its_events_alone(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    rd_kafka_mock_topic_create(t.cluster.mock, "esfs.order", 4, 1);
    rd_kafka_mock_topic_set_error(t.cluster.mock, "esfs.order", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    lib_store_open(&t.l);
    append(&t, 0, 20, 5);
    lib_append(&t.l, "stock", "1", "{\"type\":\"Counted\",\"data\":{\"n\":1}}");
    WAIT_UNTIL(&t, has_arrived(&t, 1) && figure(&t, "parked") == 20);
    assert_parked(&t, 1,
                  "{\"error\":\"topic esfs.order: Broker: Topic authorization failed (TOPIC_AUTHORIZATION_FAILED)\"}");
    assert_parked(&t, 6, "{\"waits_for\":\"0000000000000001\",\"error\":null}");
    assert_int_equal(retry(&t, 1), -EIO);
    rd_kafka_mock_topic_set_error(t.cluster.mock, "esfs.order", RD_KAFKA_RESP_ERR_NO_ERROR);
    usleep(1200000); /* it is not asked for more often than once a second */
    for (uint64_t i = 1; i <= 5; i++)
        assert_int_equal(retry(&t, i), 0);
    WAIT_UNTIL(&t, figure(&t, "parked") == 0);
    append(&t, 20, 20, 5);
    WAIT_UNTIL(&t, has_arrived(&t, 41));
    assert_all_there(&t, 40, 0);
    test_end(&t);
}

static void a_topic_that_is_not_there_is_waited_for(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    rd_kafka_mock_topic_create(t.cluster.mock, "esfs.order", 4, 1);
    rd_kafka_mock_topic_set_error(t.cluster.mock, "esfs.order", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    lib_store_open(&t.l);
    append(&t, 0, 20, 5);
    WAIT_UNTIL(&t, state_is(&t, "waiting"));
    json_t *object = status(&t);
    const char *error = json_string_value(json_object_get(json_object_get(object, "last_error"), "error"));
    assert_non_null(strstr(error, "topic esfs.order: Broker: Unknown topic or partition"));
    json_decref(object);
    rd_kafka_mock_topic_set_error(t.cluster.mock, "esfs.order", RD_KAFKA_RESP_ERR_NO_ERROR);
    WAIT_UNTIL(&t, has_arrived(&t, 20));
    assert_int_equal(figure(&t, "parked"), 0);
    assert_all_there(&t, 20, 0);
    test_end(&t);
}

static void too_many_parked_events_halt_it(void **state) {
    (void)state;
    struct test t;
    test_begin(&t, 1);
    rd_kafka_mock_topic_create(t.cluster.mock, "esfs.order", 4, 1);
    rd_kafka_mock_topic_set_error(t.cluster.mock, "esfs.order", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    lib_store_open(&t.l);
    append(&t, 0, KAFKA_PARKED_MAX + 100, 3);
    WAIT_UNTIL(&t, state_is(&t, "halted"));
    WAIT_UNTIL(&t, figure(&t, "lag_events") == 100);
    assert_int_equal(figure(&t, "parked"), KAFKA_PARKED_MAX);
    rd_kafka_mock_topic_set_error(t.cluster.mock, "esfs.order", RD_KAFKA_RESP_ERR_NO_ERROR);
    usleep(1200000);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(retry(&t, i), 0);
    WAIT_UNTIL(&t, has_arrived(&t, KAFKA_PARKED_MAX + 100));
    assert_int_equal(figure(&t, "parked"), 0);
    assert_true(state_is(&t, "live"));
    assert_all_there(&t, KAFKA_PARKED_MAX + 100, 0);
    test_end(&t);
}

static void who_waits_for_an_answer_gets_one_when_the_store_closes(void **state) {
    (void)state;
    struct test t;
    struct answer a = ANSWER;
    test_begin(&t, 1);
    lib_store_open(&t.l);
    rd_kafka_mock_push_request_errors(t.cluster.mock, PRODUCE, 2, RD_KAFKA_RESP_ERR_INVALID_RECORD,
                                      RD_KAFKA_RESP_ERR_INVALID_RECORD);
    append(&t, 0, 1, 1);
    WAIT_UNTIL(&t, figure(&t, "parked") == 1);
    rd_kafka_mock_broker_set_down(t.cluster.mock, 1);
    kafka_retry(store_kafka(t.l.store), 1, answered, &a);
    assert_int_equal(retry(&t, 1), -EBUSY);
    lib_store_close(&t.l);
    assert_int_equal(answer_wait(&a), -ESHUTDOWN);
    rd_kafka_mock_broker_set_up(t.cluster.mock, 1);
    lib_store_open(&t.l);
    assert_int_equal(retry(&t, 1), 0);
    assert_all_there(&t, 1, 0);
    test_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_arrives_in_its_aggregates_order),
        cmocka_unit_test(a_restart_goes_on_from_the_cursor),
        cmocka_unit_test(what_is_under_way_when_the_store_closes_is_waited_for),
        cmocka_unit_test(filters_and_the_first_position_hold),
        cmocka_unit_test(other_settings_than_before_are_refused),
        cmocka_unit_test(properties_that_librdkafka_does_not_know_are_refused),
        cmocka_unit_test(a_log_that_was_cut_short_is_refused),
        cmocka_unit_test(appends_do_not_wait_for_a_cluster_that_is_down),
        cmocka_unit_test(a_store_closes_while_the_cluster_is_down),
        cmocka_unit_test(what_is_no_fault_of_the_message_is_tried_until_it_succeeds),
        cmocka_unit_test(a_producer_that_fails_is_replaced),
        cmocka_unit_test(a_full_queue_is_waited_for),
        cmocka_unit_test(a_slow_cluster_gets_larger_requests),
        cmocka_unit_test(what_is_refused_alone_is_parked_and_its_aggregate_waits),
        cmocka_unit_test(who_was_refused_with_others_is_found),
        cmocka_unit_test(a_message_that_is_passed_over_frees_those_behind_it),
        cmocka_unit_test(a_topic_that_is_not_authorized_parks_its_events_alone),
        cmocka_unit_test(a_topic_that_is_not_there_is_waited_for),
        cmocka_unit_test(too_many_parked_events_halt_it),
        cmocka_unit_test(who_waits_for_an_answer_gets_one_when_the_store_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
