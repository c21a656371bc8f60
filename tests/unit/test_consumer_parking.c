/* Events that are parked, given again and passed over. */
#include "lib_consumers.h"

static char *shelf_list(struct lib_store *l, uint32_t no, enum consumer_shelf shelf) {
    struct consumer_parked p[3];
    char *out = calloc(1, 1 << 16);
    uint64_t after = 0;
    for (int n; (n = consumers_parked(store_consumers(l->store), no, shelf, after, p, 3)) > 0;)
        for (int i = 0; i < n; i++) {
            sprintf(out + strlen(out), *out ? " %" PRIu64 : "%" PRIu64, after = p[i].position);
            assert_int_equal(p[i].shelf, shelf);
            assert_int_equal(p[i].consumer, no);
        }
    return out;
}

static void assert_parked(struct lib_store *l, uint32_t no, const char *parked, const char *again) {
    char *p = shelf_list(l, no, SHELF_PARKED), *a = shelf_list(l, no, SHELF_RETRY);
    assert_string_equal(p, parked);
    assert_string_equal(a, again);
    free(p);
    free(a);
}

static void assert_skipped(struct lib_store *l, uint32_t no, const char *skipped) {
    char *s = shelf_list(l, no, SHELF_SKIPPED);
    assert_string_equal(s, skipped);
    free(s);
}

static void what_is_parked_is_not_given_and_the_cursor_passes(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 5);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    assert_int_equal(consume_nack(l, no, 1, "x"), -EINVAL);
    consume_error_says(l, "was not given to a reader");
    consume_gives(r, "1 2 3 4 5", -EAGAIN);
    assert_int_equal(consume_nack(l, no, 2, "no such customer"), 0);
    assert_int_equal(consume_nack(l, no, 4, "later \\u20ac\\n"), 0);
    assert_int_equal(consume_nack(l, no, 6, "x"), -EINVAL);
    assert_parked(l, no, "2 4", "");
    consume_pending(l, no, "1 3 5");
    assert_int_equal(consume_ack(l, no, 3), 17);
    assert_int_equal(consume_nack(l, no, 3, "x"), -EINVAL); /* done */
    assert_int_equal(consume_nack(l, no, 2, "another reason"), 0);
    reader_close(r);
    lib_store_close(l);
    lib_store_open(l);
    assert_parked(l, no, "2 4", "");
    consume_pending(l, no, "5");
    assert_int_equal(consume_nack(l, no, 4, "it is parked already"), 0);
    assert_int_equal(consume_ack(l, no, 5), 17);
    assert_int_equal(consume_info(l, no).cursor, 5);
    assert_parked(l, no, "2 4", "");
}

static void the_lag_is_what_is_left_to_be_handled(void **state) {
    struct lib_store *l = *state;
    struct consumers *cs = store_consumers(l->store);
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 3);
    consume_append(l, "stock", "1", "A", 2);
    assert_int_equal(consume_configure(l, no, "{\"types\":[\"order\"]}"), 0);
    consume_pending(l, no, "1 2 3");
    assert_int_equal(consume_info(l, no).lag, 3);
    assert_int_equal(consume_nack(l, no, 2, ""), 0);
    assert_int_equal(consume_info(l, no).lag, 2);
    assert_int_equal(consume_nack(l, no, 1, ""), 0);
    assert_int_equal(consume_nack(l, no, 3, ""), 0);
    assert_int_equal(consume_info(l, no).lag, 0); /* nobody follows, and nothing is left */
    assert_int_equal(consumers_retry(cs, no, 2), 0);
    assert_int_equal(consume_info(l, no).lag, 1);
    consume_pending(l, no, "2");
    assert_int_equal(consume_info(l, no).lag, 1); /* given is not done */
    consume_append(l, "order", "2", "A", 1);      /* 6 */
    assert_int_equal(consume_info(l, no).lag, 2);
    assert_int_equal(consume_ack(l, no, 2), 17);
    assert_int_equal(consume_info(l, no).lag, 1);
    lib_store_close(l);
    lib_store_open(l);
    cs = store_consumers(l->store);
    consume_pending(l, no, "6");
    assert_int_equal(consume_ack(l, no, 6), 17);
    assert_int_equal(consume_info(l, no).lag, 0);
    assert_int_equal(consumers_retry(cs, no, 1), 0);
    assert_int_equal(consume_info(l, no).lag, 1);
    assert_int_equal(consumers_skip(cs, no, 1, &lib_caller), 0);
    assert_int_equal(consume_info(l, no).lag, 0);
}

static void a_consumer_with_parked_events_stays(void **state) {
    struct lib_store *l = *state;
    struct consumers *cs = store_consumers(l->store);
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 2);
    consume_pending(l, no, "1 2");
    assert_int_equal(consume_nack(l, no, 2, "x"), 0);
    assert_int_equal(consumers_remove(cs, STR("c")), -ENOTEMPTY);
    consume_error_says(l, "consumers/c/parked\",\"error\":\"events are parked or in retry/");
    assert_int_equal(consumers_retry(cs, no, 2), 0);
    assert_int_equal(consumers_remove(cs, STR("c")), -ENOTEMPTY);
    assert_int_equal(consumers_skip(cs, no, 2, &lib_caller), 0);
    assert_int_equal(consumers_remove(cs, STR("c")), 0);
}

static void a_parked_event_shows_itself_and_the_reason(void **state) {
    struct lib_store *l = *state;
    struct consumers *cs = store_consumers(l->store);
    uint32_t no = consume_make(l, "c");
    lib_append(l, "order", "1", "{\"type\":\"A\",\"data\":{\"x\":1.10}}");
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "1", -EAGAIN);
    reader_close(r);
    assert_int_equal(consume_nack(l, no, 1, "say \\\"no\\\"\\n"), 0);
    struct consumer_parked p, same;
    struct buf text = {0};
    assert_int_equal(consumers_parked_at(cs, no, 1, &p), 0);
    assert_int_equal(consumers_parked_by_id(cs, p.id, &same), 0);
    assert_int_equal(same.position, 1);
    assert_int_equal(consumers_parked_by_id(cs, p.id + 1, &same), CONSUMER_NONE);
    assert_int_equal(consumers_parked_at(cs, no, 2, &same), CONSUMER_NONE);
    assert_int_equal(p.uid, 1000);
    assert_int_equal(consumers_parked_text(cs, &p, &text), 0);
    buf_put_char(&text, '\0');
    LINE_HAS(text.p, 0, "{\"position\":\"0000000000000001\",\"uid\":1000,\"reason\":\"say \\\"no\\\"\\n\"}");
    size_t n;
    char *log = lib_log(l, &n);
    log[n - 1] = '\0';
    assert_non_null(strstr(text.p, log)); /* to the byte */
    assert_non_null(strstr(text.p, "}}}\n"));
    free(log);
    buf_free(&text);
}

static void a_bad_nack_is_refused(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 2);
    consume_pending(l, no, "1 2");
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "not a JSON object"},
        {"[]", "not a JSON object"},
        {"{}", "`position` is missing"},
        {"{\"position\":1}", "`position` must be"},
        {"{\"position\":\"1\"}", "`position` must be"},
        {"{\"position\":\"0000000000000001\",\"why\":\"\"}", "`why` is unknown"},
        {"{\"position\":\"0000000000000001\",\"reason\":1}", "`reason` must be a string"},
        {"{\"position\":\"0000000000000003\"}", "was not given"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (consumers_nack(store_consumers(l->store), no, consume_padded(bad[i].text), &lib_caller) != -EINVAL)
            fail_msg("%s is taken", bad[i].text);
        consume_error_says(l, bad[i].words);
    }
    char text[CONSUMER_REASON_BYTES + 64];
    int n = sprintf(text, "{\"position\":\"0000000000000001\",\"reason\":\"");
    memset(text + n, 'x', CONSUMER_REASON_BYTES + 1);
    strcpy(text + n + CONSUMER_REASON_BYTES + 1, "\"}");
    assert_int_equal(consumers_nack(store_consumers(l->store), no, consume_padded(text), &lib_caller), -EINVAL);
    strcpy(text + n + CONSUMER_REASON_BYTES, "\"}");
    assert_int_equal(consumers_nack(store_consumers(l->store), no, consume_padded(text), &lib_caller), 0);
    assert_parked(l, no, "1", "");
    /* one that the filter leaves out was never given */
    uint32_t other = consume_make(l, "d");
    assert_int_equal(consume_configure(l, other, "{\"events\":[\"B\"]}"), 0);
    consume_append(l, "order", "1", "B", 1);
    consume_pending(l, other, "3");
    assert_int_equal(consume_nack(l, other, 2, ""), -EINVAL);
    consume_error_says(l, "is no event of this consumer");
}

static void a_retried_event_comes_first_until_it_is_done(void **state) {
    struct lib_store *l = *state;
    struct consumers *cs = store_consumers(l->store);
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 6);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "1 2 3 4 5 6", -EAGAIN);
    assert_int_equal(consume_nack(l, no, 2, ""), 0);
    assert_int_equal(consume_nack(l, no, 5, ""), 0);
    assert_int_equal(consume_ack(l, no, 3), 17);
    assert_int_equal(consumers_retry(cs, no, 3), CONSUMER_NONE);
    struct consume_wait w;
    consume_wait_begin(&w, r);
    assert_int_equal(consumers_retry(cs, no, 5), 0);
    assert_true(consume_wait_for(&w, CONSUME_SOON));
    assert_int_equal(consume_ack(l, no, 2), -EINVAL); /* parked, and before the cursor */
    assert_int_equal(consumers_retry(cs, no, 2), 0);
    assert_int_equal(consumers_retry(cs, no, 2), 0); /* as it is already */
    assert_parked(l, no, "", "2 5");
    assert_int_equal(consume_ack(l, no, 2), -EINVAL); /* not yet given again */
    consume_gives(r, "5 2", -EAGAIN);                 /* in the order of asking */
    consume_pending(l, no, "5 2 4 6");
    assert_int_equal(consume_ack(l, no, 2), 17);
    assert_parked(l, no, "", "5");
    assert_int_equal(consume_info(l, no).cursor, 3);
    assert_int_equal(consume_ack(l, no, 2), -EINVAL);
    assert_int_equal(consume_nack(l, no, 5, "again"), 0);
    assert_parked(l, no, "5", "");
    assert_int_equal(consumers_retry(cs, no, 5), 0);
    reader_close(r);
    lib_store_close(l);
    lib_store_open(l);
    cs = store_consumers(l->store);
    assert_parked(l, no, "", "5");
    consume_pending(l, no, "5 4 6");
    assert_int_equal(consume_ack(l, no, 5), 17); /* that one alone: 4 is open still */
    assert_int_equal(consume_info(l, no).cursor, 3);
    assert_parked(l, no, "", "");
    lib_store_close(l);
    lib_store_open(l);
    consume_pending(l, no, "4 6"); /* done with, although the cursor is before it */
    assert_int_equal(consume_ack(l, no, 6), 17);
    assert_int_equal(consume_ack_text(l, no, "seek 0000000000000003"), 21);
    consume_pending(l, no, "4 5 6"); /* forgotten once the cursor has passed it */
}

/* It was done with by itself, before the cursor had come there: `seek` begins again with that, too. */
static void an_event_that_was_done_after_a_retry_comes_again_after_a_seek(void **state) {
    struct lib_store *l = *state;
    struct consumers *cs = store_consumers(l->store);
    uint32_t no = consume_make(l, "c"), from = consume_make(l, "from"), group = consume_make_group(l, "g");
    consume_append(l, "order", "1", "A", 3);
    consume_pending(l, no, "1 2 3");
    consume_pending(l, from, "1 2 3");
    struct reader *r = consume_open(l, group, READER_FOLLOW);
    consume_gives(r, "1 2 3", -EAGAIN);
    for (uint32_t c = no; c <= group; c++) {
        assert_int_equal(consume_nack(l, c, 2, ""), 0);
        assert_int_equal(consumers_retry(cs, c, 2), 0);
        assert_int_equal(consume_info(l, c).lag, 3);
    }
    consume_pending(l, no, "2 1 3");
    consume_pending(l, from, "2 1 3");
    consume_gives(r, "2", -EAGAIN);
    assert_int_equal(consume_ack(l, no, 2), 17);
    assert_int_equal(consume_ack(l, from, 2), 17);
    assert_int_equal(consume_ack_by(r, 2), 17);
    consume_pending(l, no, "1 3");
    assert_int_equal(consume_ack_text(l, no, "seek 0000000000000000"), 21);
    assert_int_equal(consume_configure(l, from, "{\"from\":\"0000000000000001\"}"), 0);
    assert_int_equal(consume_ack_text(l, group, "seek 0000000000000000"), 21);
    consume_gives(r, "1 2 3", -EAGAIN);
    reader_close(r);
    for (int round = 0; round < 2; round++) {
        consume_pending(l, no, "1 2 3");
        consume_pending(l, from, "2 3");
        consume_pending(l, group, "1 2 3");
        assert_int_equal(consume_info(l, no).lag, 3);
        lib_store_close(l);
        lib_store_open(l);
    }
}

static void a_skipped_event_is_done_with(void **state) {
    struct lib_store *l = *state;
    struct consumers *cs = store_consumers(l->store);
    uint32_t no = consume_make(l, "c");
    struct consumer_parked p;
    consume_append(l, "order", "1", "A", 4);
    consume_pending(l, no, "1 2 3 4");
    assert_int_equal(consume_nack(l, no, 2, ""), 0);
    assert_int_equal(consume_nack(l, no, 4, ""), 0);
    assert_int_equal(consume_ack(l, no, 2), 17);
    assert_int_equal(consumers_skip(cs, no, 2, &lib_caller), 0);
    assert_int_equal(consumers_skip(cs, no, 4, &lib_caller), 0);
    assert_int_equal(consumers_skip(cs, no, 4, &lib_caller), CONSUMER_NONE);
    assert_int_equal(consumers_retry(cs, no, 4), CONSUMER_NONE);
    assert_int_equal(consume_nack(l, no, 4, ""), -EINVAL);
    assert_int_equal(consumers_parked_at(cs, no, 4, &p), 0);
    assert_parked(l, no, "", "");
    assert_skipped(l, no, "2 4");
    consume_pending(l, no, "3");
    lib_store_close(l);
    lib_store_open(l);
    assert_parked(l, no, "", "");
    assert_skipped(l, no, "2 4");
    consume_pending(l, no, "3");
    assert_int_equal(consume_info(l, no).lag, 1);
}

static void a_skipped_event_is_not_given_after_a_seek(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 6);
    consume_pending(l, no, "1 2 3 4 5 6");
    assert_int_equal(consume_nack(l, no, 1, ""), 0);
    assert_int_equal(consume_nack(l, no, 3, ""), 0);
    assert_int_equal(consume_ack(l, no, 5), 17);
    assert_int_equal(consumers_skip(store_consumers(l->store), no, 1, &lib_caller), 0);
    assert_int_equal(consumers_skip(store_consumers(l->store), no, 3, &lib_caller), 0);
    assert_int_equal(consume_ack_text(l, no, "seek 0000000000000000"), 21);
    for (int round = 0; round < 2; round++) {
        consume_pending(l, no, "2 4 5 6");
        assert_int_equal(consume_info(l, no).lag, 4);
        assert_skipped(l, no, "1 3");
        lib_store_close(l);
        lib_store_open(l);
    }
    assert_int_equal(consume_configure(l, no, "{\"group\":true}"), 0);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "2 4 5 6", -EAGAIN);
    for (uint64_t position = 2; position <= 6; position += position == 2 ? 2 : 1)
        assert_int_equal(consume_ack_by(r, position), 17);
    assert_int_equal(consume_info(l, no).cursor, 6);
    reader_close(r);
}

static void what_was_decided_about_a_skipped_event_is_told(void **state) {
    struct lib_store *l = *state;
    struct consumers *cs = store_consumers(l->store);
    const struct caller other = {.who = {.uid = 4711, .gid = 1}, .pid = 1};
    uint32_t no = consume_make(l, "c");
    struct consumer_parked parked, skipped;
    consume_append(l, "order", "1", "A", 1);
    consume_pending(l, no, "1");
    assert_int_equal(consume_nack(l, no, 1, "no such customer"), 0);
    assert_int_equal(consumers_parked_at(cs, no, 1, &parked), 0);
    assert_int_equal(consumers_skip(cs, no, 1, &other), 0);
    for (int round = 0; round < 2; round++) {
        struct buf text = {0};
        assert_int_equal(consumers_parked_by_id(store_consumers(l->store), parked.id, &skipped), 0);
        assert_int_equal(skipped.shelf, SHELF_SKIPPED);
        assert_int_equal(skipped.uid, 4711);
        assert_true(skipped.time >= parked.time);
        assert_int_equal(consumers_parked_text(store_consumers(l->store), &skipped, &text), 0);
        buf_put_char(&text, '\0');
        assert_non_null(strstr(text.p, "{\"position\":\"0000000000000001\",\"time\":\""));
        assert_non_null(strstr(text.p, "\"uid\":4711,\"reason\":\"no such customer\",\"event\":{"));
        buf_free(&text);
        lib_store_close(l);
        lib_store_open(l);
    }
}

static void a_consumer_made_anew_has_skipped_nothing(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 2);
    consume_pending(l, no, "1 2");
    assert_int_equal(consume_nack(l, no, 2, ""), 0);
    assert_int_equal(consumers_skip(store_consumers(l->store), no, 2, &lib_caller), 0);
    assert_int_equal(consumers_remove(store_consumers(l->store), STR("c")), 0);
    no = consume_make(l, "c");
    for (int round = 0; round < 2; round++) {
        assert_skipped(l, no, "");
        consume_pending(l, no, "1 2");
        lib_store_close(l);
        lib_store_open(l);
    }
}

static void a_group_parks_what_somebody_has_in_hand(void **state) {
    struct lib_store *l = *state;
    struct consumers *cs = store_consumers(l->store);
    uint32_t no = consume_make_group(l, "g");
    consume_append(l, "order", "a", "A", 3);
    consume_append(l, "order", "b", "A", 1); /* 4 */
    struct reader *x = consume_open(l, no, READER_FOLLOW), *y = consume_open(l, no, READER_FOLLOW);
    assert_int_equal(consume_one(x), 1);
    assert_int_equal(consume_one(y), 4);
    assert_int_equal(consume_nack(l, no, 2, ""), -EINVAL); /* queued, not given */
    assert_int_equal(consume_nack(l, no, 1, ""), 0);
    assert_int_equal(consume_info(l, no).cursor, 1);
    assert_int_equal(consume_ack_by(x, 1), -EINVAL);
    consume_gives(x, "2 3", -EAGAIN);
    /* given again: to one of them, and the cursor does not wait */
    assert_int_equal(consumers_retry(cs, no, 1), 0);
    consume_gives(y, "", -EAGAIN); /* its aggregate is x's */
    consume_gives(x, "1", -EAGAIN);
    assert_int_equal(consume_ack_by(x, 2), 17);
    assert_int_equal(consume_ack_by(x, 3), 17);
    assert_int_equal(consume_info(l, no).cursor, 3);
    reader_close(x);
    consume_gives(y, "1", -EAGAIN);
    assert_int_equal(consume_ack_by(y, 1), 17);
    assert_parked(l, no, "", "");
    assert_int_equal(consume_info(l, no).cursor, 3);
    assert_int_equal(consume_ack_by(y, 4), 17);
    assert_int_equal(consume_info(l, no).cursor, 4);
    reader_close(y);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LIB_TEST(what_is_parked_is_not_given_and_the_cursor_passes),
        LIB_TEST(the_lag_is_what_is_left_to_be_handled),
        LIB_TEST(a_consumer_with_parked_events_stays),
        LIB_TEST(a_parked_event_shows_itself_and_the_reason),
        LIB_TEST(a_bad_nack_is_refused),
        LIB_TEST(a_retried_event_comes_first_until_it_is_done),
        LIB_TEST(an_event_that_was_done_after_a_retry_comes_again_after_a_seek),
        LIB_TEST(a_skipped_event_is_done_with),
        LIB_TEST(a_skipped_event_is_not_given_after_a_seek),
        LIB_TEST(what_was_decided_about_a_skipped_event_is_told),
        LIB_TEST(a_consumer_made_anew_has_skipped_nothing),
        LIB_TEST(a_group_parks_what_somebody_has_in_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
