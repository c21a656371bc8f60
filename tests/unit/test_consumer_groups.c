/* Groups. */
#include "lib_consumers.h"

/* --- groups */

static void readers_share_by_aggregate(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make_group(l, "g");
    for (int i = 0; i < 2; i++) { /* 1..6 */
        consume_append(l, "order", "a", "A", 1);
        consume_append(l, "order", "b", "A", 1);
        consume_append(l, "order", "c", "A", 1);
    }
    struct reader *x = consume_open(l, no, READER_FOLLOW), *y = consume_open(l, no, READER_FOLLOW);
    assert_int_equal(consume_one(x), 1);
    assert_int_equal(consume_one(y), 2);
    assert_int_equal(consume_one(x), 3);
    consume_gives(y, "5", -EAGAIN); /* b is y's, a and c are x's */
    consume_gives(x, "4 6", -EAGAIN);
    /* once it is acknowledged, the aggregate is anybody's */
    assert_int_equal(consume_ack_by(x, 1), 17);
    assert_int_equal(consume_ack_by(x, 4), 17);
    consume_append(l, "order", "a", "A", 1); /* 7 */
    consume_append(l, "order", "c", "A", 1); /* 8 */
    consume_gives(y, "7", -EAGAIN);
    consume_gives(x, "8", -EAGAIN);
    consume_pending(l, no, "2 3 4 5 6 7 8"); /* only looks */
    reader_close(x);
    reader_close(y);
}

static void the_cursor_is_before_the_lowest_that_is_open(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make_group(l, "g");
    for (int i = 0; i < 5; i++)
        consume_append(l, "order", i % 2 ? "a" : "b", "A", 1);
    struct reader *x = consume_open(l, no, READER_FOLLOW), *y = consume_open(l, no, READER_FOLLOW);
    assert_int_equal(consume_one(x), 1); /* b: 1 3 5, a: 2 4 */
    consume_gives(y, "2 4", -EAGAIN);
    consume_gives(x, "3 5", -EAGAIN);
    assert_int_equal(consume_ack_by(y, 4), 17);
    assert_int_equal(consume_info(l, no).cursor, 0);
    assert_int_equal(consume_ack_by(x, 1), 17);
    assert_int_equal(consume_info(l, no).cursor, 1);
    assert_int_equal(consume_ack_by(x, 1), -EINVAL);
    consume_error_says(l, "position 0000000000000001 is not in the hand of this descriptor");
    assert_int_equal(consume_ack_by(x, 2), -EINVAL); /* y's */
    struct ack_text t = {0};
    const char *two = "0000000000000002\n0000000000000003\n"; /* 3 is x's */
    assert_int_equal(reader_ack(y, &t, two, strlen(two)), 16);
    assert_int_equal(consume_info(l, no).cursor, 2);
    assert_int_equal(reader_ack(y, &t, two + 16, 18), -EINVAL);
    assert_int_equal(consume_ack_text(l, no, "0000000000000003"), -EINVAL);
    consume_error_says(l, "on their own descriptors");
    const char *rest = "0000000000000005\n0000000000000003";
    assert_int_equal(reader_ack(x, &t, rest, strlen(rest)), strlen(rest));
    assert_int_equal(consume_info(l, no).cursor, 5);
    assert_int_equal(reader_ack(x, &t, "seek 0000000000000000", 21), -EINVAL);
    reader_close(x);
    reader_close(y);
    lib_store_close(l);
    lib_store_open(l);
    assert_int_equal(consume_info(l, no).cursor, 5);
}

static void what_a_closed_reader_had_goes_to_others(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make_group(l, "g");
    for (int i = 0; i < 6; i++)
        consume_append(l, "order", i % 3 ? "a" : "b", "A", 1); /* b: 1 4, a: 2 3 5 6 */
    struct reader *x = consume_open(l, no, READER_FOLLOW), *y = consume_open(l, no, READER_FOLLOW);
    assert_int_equal(consume_one(x), 1);
    assert_int_equal(consume_one(x), 2);
    consume_gives(y, "", -EAGAIN); /* queued: all are x's */
    struct consume_wait w;
    consume_wait_begin(&w, y);
    assert_false(consume_wait_for(&w, CONSUME_NEVER));
    assert_int_equal(consume_ack_by(x, 2), 17);
    char c;
    assert_int_equal(reader_read(x, &c, 1), 1); /* the beginning of a line */
    reader_close(x);
    assert_true(consume_wait_for(&w, CONSUME_SOON));
    consume_gives(y, "1 3 4 5 6", -EAGAIN);
    reader_close(y);
    /* nobody is left: what is not done, from the cursor on */
    assert_int_equal(consume_info(l, no).cursor, 0);
    x = consume_open(l, no, READER_FOLLOW);
    consume_gives(x, "1 3 4 5 6", -EAGAIN);
    reader_close(x);
}

static void ack_many(struct reader *r, uint64_t from, uint64_t to, uint64_t step) {
    for (uint64_t p = from; p <= to; p += step)
        assert_int_equal(consume_ack_by(r, p), 17);
}

/* What a reader of the group is given that comes after the store was closed and opened. */
static void assert_group_gives(struct lib_store *l, uint32_t no, const char *positions) {
    lib_store_close(l);
    lib_store_open(l);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, positions, -EAGAIN);
    reader_close(r);
}

static void what_is_done_ahead_of_the_cursor_is_kept(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make_group(l, "g");
    for (int i = 0; i < 4; i++)
        consume_append(l, "order", i % 2 ? "a" : "b", "A", 3);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "1 2 3 4 5 6 7 8 9 10 11 12", -EAGAIN);
    ack_many(r, 1, 3, 1);
    ack_many(r, 5, 7, 1);
    ack_many(r, 12, 12, 1);
    reader_close(r);
    assert_int_equal(consume_info(l, no).cursor, 3);
    assert_group_gives(l, no, "4 8 9 10 11");
    r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "4 8 9 10 11", -EAGAIN);
    assert_int_equal(consume_ack_by(r, 7), -EINVAL);
    assert_int_equal(consume_nack(l, no, 9, "x"), 0);
    ack_many(r, 4, 4, 1);
    assert_int_equal(consume_info(l, no).cursor, 7);
    ack_many(r, 10, 10, 1);
    reader_close(r);
    assert_group_gives(l, no, "8 11");
    /* a cursor that is set knows of nothing */
    assert_int_equal(consume_ack_text(l, no, "seek 0000000000000006"), 21);
    assert_group_gives(l, no, "7 8 10 11 12");
    assert_int_equal(consume_ack_text(l, no, "seek 000000000000000c"), 21);
    assert_int_equal(consume_ack_text(l, no, "seek 0000000000000000"), 21);
    assert_group_gives(l, no, "1 2 3 4 5 6 7 8 10 11 12");
}

/* Over blocks of positions, and over other configs. */
static void what_is_done_ahead_is_kept_however_much_it_is(void **state) {
    struct lib_store *l = *state;
    const int n = 5000;
    uint32_t no = consume_make_group(l, "g");
    consume_append(l, "order", "a", "A", 1);
    consume_append(l, "order", "b", "A", n - 2);
    consume_append(l, "stock", "c", "B", 1);
    assert_int_equal(consume_configure(l, no, "{\"group\":true,\"types\":[\"order\"]}"), 0);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    size_t bytes;
    ssize_t last;
    free(consume_read(r, 1 << 20, &bytes, &last));
    ack_many(r, 3, (uint64_t)n - 1, 2);
    reader_close(r);
    assert_int_equal(consume_configure(l, no, "{\"group\":true}"), 0);
    lib_store_close(l);
    lib_store_open(l);
    r = consume_open(l, no, READER_FOLLOW);
    assert_int_equal(consume_one(r), 1);
    for (uint64_t p = 2; p <= (uint64_t)n; p += 2)
        assert_int_equal(consume_one(r), p); /* the last one is of a type that was not asked for before */
    ack_many(r, 1, 1, 1);
    assert_int_equal(consume_info(l, no).cursor, 1);
    ack_many(r, 2, (uint64_t)n, 2);
    assert_int_equal(consume_info(l, no).cursor, (uint64_t)n);
    reader_close(r);
    assert_group_gives(l, no, "");
    assert_int_equal(consumers_remove(store_consumers(l->store), STR("g")), 0);
    lib_store_close(l);
    lib_store_open(l); /* and nothing is left of it */
}

/* Only one of those who wait gets an event; whoever has its aggregate gets its next one. */
static void waiting_readers_are_called_for_what_is_theirs(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make_group(l, "g");
    struct reader *x = consume_open(l, no, READER_FOLLOW), *y = consume_open(l, no, READER_FOLLOW);
    struct consume_wait wx, wy;
    consume_gives(x, "", -EAGAIN);
    consume_gives(y, "", -EAGAIN);
    consume_wait_begin(&wx, x);
    consume_wait_begin(&wy, y);
    consume_append(l, "order", "a", "A", 1);
    assert_true(consume_wait_for(&wx, CONSUME_SOON));
    assert_false(consume_wait_for(&wy, CONSUME_NEVER));
    consume_gives(x, "1", -EAGAIN);
    consume_append(l, "order", "a", "A", 1);
    assert_false(consume_wait_for(&wy, CONSUME_NEVER));
    consume_wait_begin(&wx, x);
    assert_true(consume_wait_for(&wx, CONSUME_SOON));
    consume_gives(x, "2", -EAGAIN);
    consume_wait_begin(&wx, x);
    consume_append(l, "order", "b", "A", 1);
    assert_true(consume_wait_for(&wy, CONSUME_SOON));
    consume_gives(y, "3", -EAGAIN);
    assert_true(reader_unwait(&wx.wait));
    reader_close(x);
    reader_close(y);
}

static void a_group_that_is_done_has_no_lag(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "g");
    assert_int_equal(consume_configure(l, no, "{\"group\":true,\"types\":[\"stock\"]}"), 0);
    struct reader *x = consume_open(l, no, READER_FOLLOW);
    consume_append(l, "order", "a", "A", 5);
    consume_gives(x, "", -EAGAIN);
    assert_int_equal(consume_info(l, no).lag, 0);
    consume_append(l, "stock", "a", "A", 1); /* 6 */
    consume_append(l, "order", "a", "A", 5);
    consume_gives(x, "6", -EAGAIN);
    assert_int_equal(consume_info(l, no).lag, 6);
    assert_int_equal(consume_ack_by(x, 6), 17);
    assert_int_equal(consume_info(l, no).lag, 0);
    consume_append(l, "order", "a", "A", 5);
    consume_gives(x, "", -EAGAIN);
    assert_int_equal(consume_info(l, no).lag, 0);
    assert_int_equal(consume_ack_text(l, no, "seek 0000000000000000"), 21);
    consume_gives(x, "6", -EAGAIN);
    reader_close(x);
}

static void a_group_begins_again_where_the_cursor_is_set(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make_group(l, "g");
    consume_append(l, "order", "a", "A", 4);
    struct reader *x = consume_open(l, no, READER_FOLLOW);
    consume_gives(x, "1 2 3 4", -EAGAIN);
    assert_int_equal(consume_ack_by(x, 1), 17);
    struct consume_wait w;
    consume_wait_begin(&w, x);
    assert_int_equal(consume_ack_text(l, no, "seek 0000000000000002"), 21);
    assert_true(consume_wait_for(&w, CONSUME_SOON));
    assert_int_equal(consume_ack_by(x, 2), -EINVAL);
    assert_int_equal(consume_ack_by(x, 4), -EINVAL);
    consume_gives(x, "3 4", -EAGAIN);
    assert_int_equal(consume_ack_by(x, 3), 17);
    assert_int_equal(consume_info(l, no).cursor, 3);
    reader_close(x);
}

/* The window: one reader has so much in hand that the log is not read on. */
static void a_group_has_a_limited_number_in_hand(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make_group(l, "g");
    struct channel *c = lib_channel(l, "order", "a");
    const int n = CONSUMER_WINDOW + 10;
    char *many = malloc((size_t)n * 16), *to = many;
    for (int i = 0; i < n; i++)
        to += sprintf(to, "{\"type\":\"A\"}\n");
    assert_int_equal(lib_write(c, many, (size_t)(to - many)), to - many);
    channel_free(c);
    free(many);
    consume_append(l, "order", "b", "A", 1);
    struct reader *x = consume_open(l, no, READER_FOLLOW), *y = consume_open(l, no, READER_FOLLOW);
    struct consume_wait w;
    char room[1 << 16];
    assert_int_equal(consume_one(x), 1); /* so that all of `a` is x's */
    ssize_t got;
    while ((got = reader_read(y, room, sizeof room)) == -EAGAIN) {
        consume_wait_begin(&w, y);
        if (!consume_wait_for(&w, CONSUME_NEVER)) {
            assert_true(reader_unwait(&w.wait));
            break;
        }
    }
    assert_int_equal(got, -EAGAIN);
    consume_wait_begin(&w, y);
    for (uint64_t i = 1; i <= 11; i++) {
        char text[32];
        struct ack_text t = {0};
        sprintf(text, "%016" PRIx64, i);
        assert_false(consume_wait_for(&w, i < 11 ? 0 : CONSUME_NEVER));
        assert_int_equal(reader_ack(x, &t, text, 16), 16);
        assert_int_equal(consume_one(x), i + 1);
    }
    assert_true(consume_wait_for(&w, CONSUME_SOON));
    assert_int_equal(consume_one(y), n + 1);
    reader_close(x);
    reader_close(y);
}

static void the_lag_of_a_group_is_what_nobody_has_done(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make_group(l, "g");
    consume_append(l, "order", "1", "A", 6);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "1 2 3 4 5 6", -EAGAIN);
    assert_int_equal(consume_info(l, no).lag, 6);
    ack_many(r, 3, 5, 1);
    assert_int_equal(consume_info(l, no).lag, 3);
    assert_int_equal(consume_nack(l, no, 6, ""), 0);
    assert_int_equal(consume_info(l, no).lag, 2);
    ack_many(r, 1, 1, 1);
    assert_int_equal(consume_info(l, no).lag, 1);
    assert_int_equal(consumers_retry(store_consumers(l->store), no, 6), 0);
    assert_int_equal(consume_info(l, no).lag, 2);
    consume_gives(r, "6", -EAGAIN);
    ack_many(r, 2, 2, 1);
    assert_int_equal(consume_info(l, no).lag, 1);
    ack_many(r, 6, 6, 1);
    assert_int_equal(consume_info(l, no).lag, 0);
    reader_close(r);
}

/* --- whatever happens, in whatever order */

enum { EVENTS_MAX = 600, MEMBERS = 4 };

enum what { NEW, GIVEN, AGAIN, PARKED, DONE };

struct model {
    struct lib_store *l;
    uint32_t no;
    unsigned random;
    uint64_t head;
    int aggregate[EVENTS_MAX + 1];
    enum what what[EVENTS_MAX + 1];
    int owner[EVENTS_MAX + 1]; /* GIVEN: the member; -1: it was given again */
    bool retried[EVENTS_MAX + 1];
    bool skipped[EVENTS_MAX + 1];
    struct reader *members[MEMBERS];
};

static unsigned dice(struct model *m, unsigned n) {
    m->random = m->random * 1103515245u + 12345u;
    return (m->random >> 16) % n;
}

static void model_append(struct model *m) {
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    if (m->head == EVENTS_MAX)
        return;
    int aggregate = (int)dice(m, 5);
    consume_append(m->l, "order", names[aggregate], "A", 1);
    m->aggregate[++m->head] = aggregate;
}

/* A random event that is in a state; 0: there is none. */
static uint64_t model_pick(struct model *m, enum what what, int owner) {
    uint64_t begin = 1 + dice(m, (unsigned)m->head + 1);
    for (uint64_t i = 0; i < m->head; i++) {
        uint64_t p = (begin + i) % m->head + 1;
        if (m->what[p] == what && (owner < 0 || m->owner[p] == owner))
            return p;
    }
    return 0;
}

static void model_give(struct model *m, int member) {
    uint64_t p = consume_one(m->members[member]);
    if (p == 0)
        return;
    assert_true(m->what[p] == NEW || m->what[p] == AGAIN);
    for (uint64_t i = 1; i <= m->head; i++)
        if (m->aggregate[i] == m->aggregate[p] && m->what[i] == GIVEN) {
            assert_int_equal(m->owner[i], member);
            assert_true(m->retried[i] || m->retried[p] || i < p);
        }
    for (uint64_t i = 1; i < p && !m->retried[p]; i++)
        if (m->aggregate[i] == m->aggregate[p] && m->what[i] == NEW && !m->retried[i])
            fail_msg("%d before %d of the same aggregate", (int)p, (int)i);
    m->what[p] = GIVEN;
    m->owner[p] = member;
}

static void model_ack(struct model *m, int member) {
    uint64_t p = model_pick(m, GIVEN, member);
    if (p == 0)
        return;
    assert_int_equal(consume_ack_by(m->members[member], p), 17);
    m->what[p] = DONE;
}

static void model_forget(struct model *m, int member) {
    for (uint64_t p = 1; p <= m->head; p++)
        if (m->what[p] == GIVEN && (member < 0 || m->owner[p] == member))
            m->what[p] = m->retried[p] ? AGAIN : NEW;
}

static void model_turn(struct model *m, int member) {
    if (m->members[member]) {
        reader_close(m->members[member]);
        m->members[member] = NULL;
        model_forget(m, member);
    } else {
        m->members[member] = consume_open(m->l, m->no, READER_FOLLOW);
    }
}

static void model_reopen(struct model *m) {
    for (int i = 0; i < MEMBERS; i++) {
        reader_close(m->members[i]);
        m->members[i] = NULL;
    }
    lib_store_close(m->l);
    lib_store_open(m->l);
    model_forget(m, -1);
}

static void model_park(struct model *m) {
    struct consumers *cs = store_consumers(m->l->store);
    uint64_t given = model_pick(m, GIVEN, -1), parked = model_pick(m, PARKED, -1);
    switch (dice(m, 3)) {
    case 0:
        if (given) {
            assert_int_equal(consume_nack(m->l, m->no, given, ""), 0);
            m->what[given] = PARKED;
        }
        break;
    case 1:
        if (parked) {
            assert_int_equal(consumers_retry(cs, m->no, parked), 0);
            m->what[parked] = AGAIN;
            m->retried[parked] = true;
        }
        break;
    default:
        if (parked && dice(m, 4) == 0) {
            assert_int_equal(consumers_skip(cs, m->no, parked, &lib_caller), 0);
            m->what[parked] = DONE;
            m->retried[parked] = m->skipped[parked] = true;
        }
    }
}

static void model_check_status(struct model *m, uint64_t lag) {
    uint64_t given = 0, parked = 0, again = 0, skipped = 0, of[MEMBERS] = {0}, readers = 0, in_hand = 0;
    for (uint64_t p = 1; p <= m->head; p++) {
        given += m->what[p] == GIVEN;
        parked += m->what[p] == PARKED;
        again += m->what[p] == AGAIN || (m->what[p] == GIVEN && m->retried[p]);
        skipped += m->skipped[p];
        if (m->what[p] == GIVEN)
            of[m->owner[p]]++;
    }
    for (int i = 0; i < MEMBERS; i++)
        readers += m->members[i] != NULL;
    json_t *status = consume_status(m->l, m->no), *list = json_object_get(status, "by_reader"), *one;
    size_t i;
    assert_int_equal(consume_figure(status, "lag_events"), lag);
    assert_int_equal(consume_figure(status, "readers"), readers);
    assert_int_equal(consume_figure(status, "waiting"), 0);
    assert_int_equal(consume_figure(status, "in_hand"), given);
    assert_int_equal(consume_figure(status, "parked"), parked);
    assert_int_equal(consume_figure(status, "retry"), again);
    assert_int_equal(consume_figure(status, "skipped"), skipped);
    assert_int_equal(json_array_size(list), readers);
    json_array_foreach(list, i, one) {
        uint64_t n = consume_figure(one, "in_hand");
        in_hand += n;
        int member = 0;
        while (member < MEMBERS && (!m->members[member] || of[member] != n))
            member++;
        assert_true(member < MEMBERS);
    }
    assert_int_equal(in_hand, given);
    json_decref(status);
}

static void model_check_skipped(struct model *m) {
    struct consumer_parked list[EVENTS_MAX];
    int n = consumers_parked(store_consumers(m->l->store), m->no, SHELF_SKIPPED, 0, list, EVENTS_MAX), found = 0;
    for (uint64_t p = 1; p <= m->head; p++)
        if (m->skipped[p])
            assert_true(found < n && list[found++].position == p);
    assert_int_equal(found, n);
}

static void model_check(struct model *m) {
    struct consumer_info info = consume_info(m->l, m->no);
    uint64_t cursor = info.cursor, lag = 0;
    for (uint64_t p = 1; p <= m->head; p++)
        lag += m->what[p] != DONE && m->what[p] != PARKED;
    assert_int_equal(info.lag, lag);
    model_check_status(m, lag);
    model_check_skipped(m);
    for (uint64_t p = 1; p <= cursor; p++)
        if (m->what[p] == NEW || (m->what[p] == GIVEN && !m->retried[p]))
            fail_msg("the cursor is at %d, and %d is not done", (int)cursor, (int)p);
}

static void model_finish(struct model *m) {
    for (int i = 0; i < MEMBERS; i++)
        if (!m->members[i])
            model_turn(m, i);
    for (int round = 0; round < 4 * EVENTS_MAX; round++)
        for (int i = 0; i < MEMBERS; i++) {
            model_give(m, i);
            model_ack(m, i);
        }
    for (uint64_t p = 1; p <= m->head; p++)
        if (m->what[p] != DONE && m->what[p] != PARKED)
            fail_msg("%d was lost: %d", (int)p, m->what[p]);
    assert_int_equal(consume_info(m->l, m->no).cursor, m->head);
    for (int i = 0; i < MEMBERS; i++)
        reader_close(m->members[i]);
}

static void a_group_loses_nothing_and_gives_nothing_twice_at_a_time(void **state) {
    for (unsigned seed = 1; seed <= 12; seed++) {
        struct model *m = calloc(1, sizeof *m);
        char name[16];
        sprintf(name, "g%u", seed);
        m->l = *state;
        m->random = seed;
        lib_teardown(state);
        lib_setup(state);
        m->l = *state;
        m->no = consume_make_group(m->l, name);
        for (int step = 0; step < 2500; step++) {
            int member = (int)dice(m, MEMBERS);
            unsigned what = dice(m, 100);
            if (what < 22)
                model_append(m);
            else if (what < 60 && m->members[member])
                model_give(m, member);
            else if (what < 88 && m->members[member])
                model_ack(m, member);
            else if (what < 93)
                model_turn(m, member);
            else if (what < 99)
                model_park(m);
            else if (dice(m, 8) == 0)
                model_reopen(m);
            model_check(m);
        }
        model_finish(m);
        free(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LIB_TEST(readers_share_by_aggregate),
        LIB_TEST(the_cursor_is_before_the_lowest_that_is_open),
        LIB_TEST(what_a_closed_reader_had_goes_to_others),
        LIB_TEST(what_is_done_ahead_of_the_cursor_is_kept),
        LIB_TEST(what_is_done_ahead_is_kept_however_much_it_is),
        LIB_TEST(waiting_readers_are_called_for_what_is_theirs),
        LIB_TEST(a_group_that_is_done_has_no_lag),
        LIB_TEST(a_group_begins_again_where_the_cursor_is_set),
        LIB_TEST(a_group_has_a_limited_number_in_hand),
        LIB_TEST(the_lag_of_a_group_is_what_nobody_has_done),
        LIB_TEST(a_group_loses_nothing_and_gives_nothing_twice_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
