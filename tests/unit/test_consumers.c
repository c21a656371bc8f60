#include "consumers.h"

#include "consumer_record.h"
#include "db.h"
#include "lib_consumers.h"

#include <stdatomic.h>

/* --- which there are */

static void a_consumer_is_made_found_kept_and_removed(void **state) {
    struct lib_store *l = *state;
    struct consumer_info info;
    uint32_t first = consume_make(l, "billing"), second = consume_make(l, "mail");
    assert_true(second > first);
    assert_int_equal(consumers_make(store_consumers(l->store), STR("billing")), -EEXIST);
    lib_store_close(l);
    lib_store_open(l);
    struct consumers *cs = store_consumers(l->store);
    assert_int_equal(consumers_after(cs, 0, &info), 0);
    assert_int_equal(info.no, first);
    assert_memory_equal(info.name, "billing", info.bytes);
    assert_int_equal(consumers_after(cs, first, &info), 0);
    assert_int_equal(info.no, second);
    assert_int_equal(consumers_after(cs, second, &info), CONSUMER_NONE);
    assert_int_equal(consumers_remove(cs, STR("mail")), 0);
    assert_int_equal(consumers_remove(cs, STR("mail")), CONSUMER_NONE);
    assert_int_equal(consumers_get(cs, second, &info), CONSUMER_NONE);
    lib_store_close(l);
    lib_store_open(l);
    assert_int_equal(consumers_find(store_consumers(l->store), STR("mail"), &info), CONSUMER_NONE);
    assert_true(consume_make(l, "mail") > second); /* numbers are not given again */
}

static void what_is_no_name_is_no_consumer(void **state) {
    struct lib_store *l = *state;
    char longest[NAME_MAX_BYTES + 2];
    memset(longest, 'a', sizeof longest);
    longest[NAME_MAX_BYTES + 1] = '\0';
    const char *const bad[] = {"", ".hidden", "$system", "a/b", "a\nb", "\xff", longest};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(consumers_make(store_consumers(l->store), str_of(bad[i])), -EINVAL);
    longest[NAME_MAX_BYTES] = '\0';
    consume_make(l, longest);
}

/* --- config */

static void shows_config(struct lib_store *l, uint32_t no, const char *want) {
    struct buf text = {0};
    assert_int_equal(consumers_config(store_consumers(l->store), no, &text), 0);
    buf_put_char(&text, '\0');
    assert_string_equal(text.p, want);
    buf_free(&text);
}

static void a_config_is_replaced_and_kept(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    shows_config(l, no, "{\"from\":\"start\",\"types\":[],\"events\":[],\"group\":false}\n");
    assert_int_equal(consume_configure(l, no, "{\"events\":[\"B\",\"order/A\"],\"types\":[\"order\"],\"group\":true}"),
                     0);
    const char *want = "{\"from\":\"start\",\"types\":[\"order\"],\"events\":[\"B\",\"order/A\"],\"group\":true}\n";
    shows_config(l, no, want);
    lib_store_close(l);
    lib_store_open(l);
    shows_config(l, no, want);
    assert_true(consume_info(l, no).group);
    assert_int_equal(consume_configure(l, no, " { } "), 0);
    shows_config(l, no, "{\"from\":\"start\",\"types\":[],\"events\":[],\"group\":false}\n");
}

static void a_bad_config_is_refused_and_says_why(void **state) {
    struct lib_store *l = *state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "not JSON"},
        {"[]", "not an object"},
        {"{\"from\":\"start\"", "not JSON"},
        {"{\"typ\":[]}", "`typ` is no member"},
        {"{\"types\":\"order\"}", "`types` must be a list"},
        {"{\"types\":[1]}", "`types` must be a list of names"},
        {"{\"types\":[\"a/b\"]}", "has a slash"},
        {"{\"types\":[\"\"]}", "is empty"},
        {"{\"events\":[\"/A\"]}", "is empty"},
        {"{\"events\":[\"order/\"]}", "is empty"},
        {"{\"events\":[\"a/b/c\"]}", "has a slash"},
        {"{\"events\":{}}", "`events` must be a list"},
        {"{\"group\":1}", "`group` must be true or false"},
        {"{\"from\":1}", "`from` must be"},
        {"{\"from\":\"1\"}", "16 hexadecimal digits"},
        {"{\"from\":\"000000000000000G\"}", "16 hexadecimal digits"},
        {"{\"from\":\"0000000000000001\"}", "the log ends at position 0000000000000000"},
        {"{\"group\":true,\"group\":true}", "not JSON"},
    };
    uint32_t no = consume_make(l, "c");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (consume_configure(l, no, bad[i].text) != -EINVAL)
            fail_msg("%s is taken", bad[i].text);
        consume_error_says(l, bad[i].words);
    }
    consume_error_says(l, "consumers/c/config.json");
    shows_config(l, no, "{\"from\":\"start\",\"types\":[],\"events\":[],\"group\":false}\n");
}

static void from_says_where_it_begins_until_the_first_ack(void **state) {
    struct lib_store *l = *state;
    consume_append(l, "order", "1", "A", 5);
    uint32_t no = consume_make(l, "c");
    assert_int_equal(consume_info(l, no).lag, 5);
    assert_int_equal(consume_configure(l, no, "{\"from\":\"end\"}"), 0);
    assert_int_equal(consume_info(l, no).cursor, 5);
    consume_append(l, "order", "1", "A", 1);
    /* said again it does not mean another end, and not said it stays */
    assert_int_equal(consume_configure(l, no, "{\"from\":\"end\",\"types\":[\"order\"]}"), 0);
    assert_int_equal(consume_configure(l, no, "{\"types\":[\"order\"]}"), 0);
    assert_int_equal(consume_info(l, no).cursor, 5);
    assert_int_equal(consume_configure(l, no, "{\"from\":\"0000000000000003\"}"), 0);
    lib_store_close(l);
    lib_store_open(l);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "4 5 6", -EAGAIN);
    assert_int_equal(consume_ack(l, no, 4), 17);
    reader_close(r);
    assert_int_equal(consume_configure(l, no, "{\"from\":\"start\"}"), -EBUSY);
    consume_error_says(l, "until the first position is acknowledged");
    assert_int_equal(consume_configure(l, no, "{\"from\":\"0000000000000003\",\"types\":[]}"), 0);
    assert_int_equal(consume_info(l, no).cursor, 4);
}

static void a_config_does_not_change_under_those_who_follow(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    struct reader *r = consume_open(l, no, READER_FOLLOW), *p = consume_open(l, no, READER_PENDING);
    assert_int_equal(consume_configure(l, no, "{}"), -EBUSY);
    consume_error_says(l, "`follow` is open");
    reader_close(r);
    assert_int_equal(consume_configure(l, no, "{}"), 0);
    reader_close(p);
}

/* --- reading */

static void a_reader_is_given_the_lines_of_the_log(void **state) {
    struct lib_store *l = *state;
    consume_append(l, "order", "1", "A", 3000);
    uint32_t no = consume_make(l, "c");
    size_t n, m;
    ssize_t last;
    char *log = lib_log(l, &n);
    static const size_t rooms[] = {1, 7, 400, 8192, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        struct reader *r = consume_open(l, no, READER_FOLLOW);
        char *text = consume_read(r, rooms[i], &m, &last);
        assert_int_equal(last, -EAGAIN);
        assert_int_equal(m, n);
        assert_memory_equal(text, log, n);
        free(text);
        reader_close(r);
    }
    free(log);
}

static void a_read_gives_whole_lines_when_one_fits(void **state) {
    struct lib_store *l = *state;
    consume_append(l, "order", "1", "A", 100);
    struct reader *r = consume_open(l, consume_make(l, "c"), READER_FOLLOW);
    char text[4096];
    for (ssize_t n; (n = reader_read(r, text, sizeof text)) > 0;)
        assert_int_equal(text[n - 1], '\n');
    /* one that is longer than the room comes in pieces, and behind its end whole ones again */
    char command[10100], tail[] = "\"}}";
    int n = sprintf(command, "{\"type\":\"A\",\"data\":{\"x\":\"");
    memset(command + n, 'x', 10000);
    strcpy(command + n + 10000, tail);
    lib_append(l, "order", "2", command);
    consume_append(l, "order", "3", "A", 3);
    assert_int_equal(reader_read(r, text, sizeof text), sizeof text);
    assert_int_equal(reader_read(r, text, sizeof text), sizeof text);
    ssize_t got = reader_read(r, text, sizeof text);
    assert_true(got > 0 && text[got - 1] == '\n');
    text[got] = '\0';
    assert_int_equal(lib_count(text, "\n"), 4);
    assert_int_equal(reader_read(r, text, sizeof text), -EAGAIN);
    reader_close(r);
}

static void filters_hold_by_type_and_event(void **state) {
    struct lib_store *l = *state;
    consume_append(l, "order", "1", "A", 1); /* 1 */
    consume_append(l, "order", "1", "B", 1);
    consume_append(l, "stock", "1", "A", 1); /* 3 */
    consume_append(l, "stock", "1", "C", 1);
    consume_append(l, "mail", "1", "A", 1); /* 5 */
    static const struct {
        const char *config, *positions;
    } cases[] = {
        {"{}", "1 2 3 4 5"},
        {"{\"types\":[\"order\"]}", "1 2"},
        {"{\"types\":[\"mail\",\"order\"]}", "1 2 5"},
        {"{\"events\":[\"A\"]}", "1 3 5"},
        {"{\"events\":[\"C\",\"B\"]}", "2 4"},
        {"{\"events\":[\"stock/A\",\"B\"]}", "2 3"},
        {"{\"types\":[\"stock\"],\"events\":[\"A\"]}", "3"},
        {"{\"types\":[\"nothing\"]}", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%zu", i);
        uint32_t no = consume_make(l, name);
        assert_int_equal(consume_configure(l, no, cases[i].config), 0);
        struct reader *r = consume_open(l, no, READER_FOLLOW);
        consume_gives(r, cases[i].positions, -EAGAIN);
        reader_close(r);
    }
    assert_int_equal(consume_configure(l, consume_make(l, "c"), "{\"types\":[\"stock\"],\"events\":[\"order/A\"]}"),
                     -EINVAL);
}

static void what_concerns_nobody_is_no_lag_once_it_was_looked_at(void **state) {
    struct lib_store *l = *state;
    consume_append(l, "order", "1", "A", 50);
    consume_append(l, "stock", "1", "A", 1); /* 51 */
    consume_append(l, "order", "1", "A", 9);
    uint32_t no = consume_make(l, "c");
    assert_int_equal(consume_configure(l, no, "{\"types\":[\"stock\"]}"), 0);
    assert_int_equal(consume_info(l, no).lag, 60);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "51", -EAGAIN);
    assert_int_equal(consume_info(l, no).lag, 1);
    assert_int_equal(consume_info(l, no).cursor, 0);
    assert_int_equal(consume_ack(l, no, 51), 17);
    reader_close(r);
    r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "", -EAGAIN);
    reader_close(r);
    assert_int_equal(consume_info(l, no).lag, 0);
    assert_int_equal(consume_info(l, no).cursor, 51);
    /* another config, another question */
    assert_int_equal(consume_configure(l, no, "{}"), 0);
    assert_int_equal(consume_info(l, no).lag, 9);
    r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "52 53 54 55 56 57 58 59 60", -EAGAIN);
    reader_close(r);
}

/* ... also behind what was acknowledged, in whatever order. */
static void who_is_done_and_follows_has_no_lag(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    assert_int_equal(consume_configure(l, no, "{\"types\":[\"stock\"]}"), 0);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_append(l, "stock", "1", "A", 1); /* 1 */
    consume_append(l, "order", "1", "A", 5);
    consume_gives(r, "1", -EAGAIN);
    assert_int_equal(consume_info(l, no).lag, 1);
    assert_int_equal(consume_ack(l, no, 1), 17);
    assert_int_equal(consume_info(l, no).lag, 0);
    consume_append(l, "order", "1", "A", 5);
    assert_int_equal(consume_info(l, no).lag, 5);
    consume_gives(r, "", -EAGAIN);
    assert_int_equal(consume_info(l, no).lag, 0);
    consume_append(l, "stock", "1", "A", 2); /* 12, 13 */
    consume_append(l, "order", "1", "A", 1);
    consume_gives(r, "12 13", -EAGAIN);
    assert_int_equal(consume_ack(l, no, 12), 17);
    assert_int_equal(consume_info(l, no).lag, 1);
    struct reader *other = consume_open(l, no, READER_FOLLOW);
    consume_gives(other, "13", -EAGAIN);
    assert_int_equal(consume_ack_text(l, no, "seek 0000000000000000"), 21);
    assert_int_equal(consume_info(l, no).lag, 14);
    consume_gives(other, "1 12 13", -EAGAIN);
    reader_close(r);
    reader_close(other);
}

static void each_reader_has_a_place_of_its_own(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    struct reader *a = consume_open(l, no, READER_FOLLOW);
    consume_append(l, "order", "1", "A", 3);
    consume_gives(a, "1 2 3", -EAGAIN);
    assert_int_equal(consume_ack(l, no, 2), 17);
    struct reader *b = consume_open(l, no, READER_FOLLOW);
    consume_append(l, "order", "1", "A", 1);
    consume_gives(a, "4", -EAGAIN);
    consume_gives(b, "3 4", -EAGAIN);
    reader_close(a);
    reader_close(b);
}

static void pending_ends_where_the_log_ended(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 3);
    struct reader *r = consume_open(l, no, READER_PENDING);
    consume_append(l, "order", "1", "A", 1);
    consume_gives(r, "1 2 3", 0);
    assert_int_equal(consume_ack(l, no, 3), 17); /* what it shows has been given */
    assert_int_equal(consume_ack(l, no, 4), -EINVAL);
    reader_close(r);
    r = consume_open(l, no, READER_PENDING);
    consume_gives(r, "4", 0);
    reader_close(r);
    struct reader *none = NULL;
    assert_int_equal(reader_open(&none, store_consumers(l->store), no + 1, READER_PENDING, &lib_caller), CONSUMER_NONE);
}

/* --- acknowledging */

static void an_ack_is_kept(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 5);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "1 2 3 4 5", -EAGAIN);
    assert_int_equal(consume_info(l, no).acked, 0);
    assert_int_equal(consume_ack(l, no, 3), 17);
    assert_true(consume_info(l, no).acked > 0);
    assert_int_equal(consume_info(l, no).lag, 2);
    reader_close(r);
    lib_store_close(l);
    lib_store_open(l);
    assert_int_equal(consume_info(l, no).cursor, 3);
    r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "4 5", -EAGAIN);
    reader_close(r);
}

static void only_what_was_given_is_acknowledged(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 5);
    assert_int_equal(consume_ack(l, no, 1), -EINVAL);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    char c;
    assert_int_equal(reader_read(r, &c, 1), 1);
    assert_int_equal(consume_ack(l, no, 1), -EINVAL); /* not yet all of it */
    consume_one(r);
    assert_int_equal(consume_ack(l, no, 2), -EINVAL);
    consume_error_says(l, "behind what readers have been given, which ends at 0000000000000001");
    assert_int_equal(consume_ack(l, no, 1), 17);
    assert_int_equal(consume_ack(l, no, 1), 17);
    assert_int_equal(consume_one(r), 2);
    assert_int_equal(consume_ack(l, no, 2), 17);
    assert_int_equal(consume_ack(l, no, 1), -EINVAL);
    consume_error_says(l, "is before the cursor, 0000000000000002");
    assert_int_equal(consume_ack(l, no, 0), -EINVAL);
    reader_close(r);
}

static void seek_sets_the_cursor_and_readers_begin_again(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 5);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "1 2 3 4 5", -EAGAIN);
    assert_int_equal(consume_ack(l, no, 4), 17);
    assert_int_equal(consume_ack_text(l, no, "seek 0000000000000002\n"), 22);
    assert_int_equal(consume_info(l, no).cursor, 2);
    assert_int_equal(consume_ack(l, no, 4), -EINVAL); /* given before, not since */
    consume_gives(r, "3 4 5", -EAGAIN);
    assert_int_equal(consume_ack(l, no, 5), 17);
    assert_int_equal(consume_ack_text(l, no, "seek 0000000000000006"), -EINVAL);
    consume_error_says(l, "the log ends at position 0000000000000005");
    /* a line that was begun is finished first */
    assert_int_equal(consume_ack_text(l, no, "seek\t 0000000000000000"), 22);
    char begun[9] = "", rest[8192];
    assert_int_equal(reader_read(r, begun, 8), 8);
    assert_int_equal(consume_ack_text(l, no, "seek 0000000000000003"), 21);
    ssize_t n = reader_read(r, rest, 200);
    assert_true(n > 0);
    size_t all = (size_t)n;
    while (rest[all - 1] != '\n')
        all += (size_t)reader_read(r, rest + all, 1);
    char *positions = consume_positions(rest, all);
    assert_string_equal(positions, "1");
    free(positions);
    assert_int_equal(consume_info(l, no).cursor, 3);
    assert_int_equal(consume_ack(l, no, 4), -EINVAL);
    consume_gives(r, "4 5", -EAGAIN);
    reader_close(r);
    lib_store_close(l);
    lib_store_open(l);
    assert_int_equal(consume_info(l, no).cursor, 3);
}

static void positions_may_come_in_any_pieces(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 5);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "1 2 3 4 5", -EAGAIN);
    reader_close(r);
    const char text[] = "\n0000000000000001 \r\n0000000000000002\tseek  0000000000000002\n0000000000000002\n\n";
    const char *whole = strchr(text, '1') + 1;
    for (size_t cut = (size_t)(whole - text); cut < sizeof text; cut++) {
        struct ack_text t = {0};
        assert_int_equal(consume_ack_text(l, no, "seek 0000000000000000"), 21);
        r = consume_open(l, no, READER_PENDING);
        consume_gives(r, "1 2 3 4 5", 0);
        reader_close(r);
        struct consumers *cs = store_consumers(l->store);
        assert_int_equal(consumers_ack(cs, no, &t, text, cut), cut);
        /* `seek` forgets what was given, so that from here on only its own position is good */
        assert_int_equal(consumers_ack(cs, no, &t, text + cut, sizeof text - 1 - cut), sizeof text - 1 - cut);
        assert_int_equal(ack_text_end(&t), 0);
        assert_int_equal(consume_info(l, no).cursor, 2);
    }
}

static void what_is_no_position_is_refused(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    struct consumers *cs = store_consumers(l->store);
    consume_append(l, "order", "1", "A", 5);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "1 2 3 4 5", -EAGAIN);
    const char *const bad[] = {"1",
                               "1\n",
                               "000000000000001\n",
                               "00000000000000001\n",
                               "000000000000000A\n",
                               "0x00000000000001",
                               "-000000000000001",
                               "0000000000000001,",
                               "0000000000000001x",
                               "seek\n",
                               "seek",
                               "seek 1",
                               "seek0000000000000001",
                               "seek seek 0000000000000001",
                               "sook 0000000000000001",
                               "{}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (consume_ack_text(l, no, bad[i]) != -EINVAL)
            fail_msg("`%s` is taken", bad[i]);
    consume_error_says(l, "not a position");
    assert_int_equal(consume_info(l, no).cursor, 0);
    assert_int_equal(consume_ack_text(l, no, " \n"), 2);
    /* those before it stand, and what is written next begins with the refused one */
    struct ack_text t = {0};
    assert_int_equal(consumers_ack(cs, no, &t, "0000000000000002\n42\n", 20), 16);
    assert_int_equal(consume_info(l, no).cursor, 2);
    assert_int_equal(consumers_ack(cs, no, &t, "\n42\n", 4), -EINVAL);
    assert_int_equal(consumers_ack(cs, no, &t, "0000000000000003", 16), 16);
    /* a part of it was taken: there is no way back into step */
    assert_int_equal(consumers_ack(cs, no, &t, "0000000000000004\n0000", 21), 21);
    assert_int_equal(ack_text_end(&t), -EBADMSG);
    assert_int_equal(consumers_ack(cs, no, &t, "00000000000G", 12), -EINVAL);
    assert_int_equal(consumers_ack(cs, no, &t, "0000000000000005", 16), -EINVAL);
    assert_int_equal(consume_info(l, no).cursor, 4);
    reader_close(r);
}

/* --- removing */

static void a_consumer_is_removed_under_its_readers(void **state) {
    struct lib_store *l = *state;
    struct consumers *cs = store_consumers(l->store);
    uint32_t no = consume_make(l, "c");
    consume_append(l, "order", "1", "A", 2);
    struct reader *r = consume_open(l, no, READER_FOLLOW), *waiting = consume_open(l, no, READER_FOLLOW);
    consume_gives(waiting, "1 2", -EAGAIN);
    struct consume_wait w;
    consume_wait_begin(&w, waiting);
    assert_int_equal(consumers_remove(cs, STR("c")), 0);
    assert_true(consume_wait_for(&w, CONSUME_SOON));
    consume_gives(waiting, "", 0);
    consume_gives(r, "", 0);
    assert_int_equal(consume_ack(l, no, 1), -ESTALE);
    assert_int_equal(consume_nack(l, no, 1, ""), CONSUMER_NONE);
    uint32_t again = consume_make(l, "c");
    assert_true(again > no);
    consume_gives(r, "", 0);
    reader_close(r);
    reader_close(waiting);
}

/* --- waiting */

static void who_waits_is_called_when_there_is_news(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    for (uint64_t i = 1; i <= 20; i++) {
        struct consume_wait w;
        assert_int_equal(consume_one(r), 0);
        consume_wait_begin(&w, r);
        if (i % 5 == 1)
            assert_false(consume_wait_for(&w, CONSUME_NEVER));
        consume_append(l, "order", "1", "A", 1);
        assert_true(consume_wait_for(&w, CONSUME_SOON));
        assert_int_equal(consume_one(r), i);
        assert_int_equal(w.calls, 1);
    }
    reader_close(r);
}

/* What came between the read and the waiting is news too. */
static void news_before_the_waiting_is_not_missed(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    struct consume_wait w;
    for (uint64_t i = 1; i <= 20; i++) {
        assert_int_equal(consume_one(r), 0);
        consume_append(l, "order", "1", "A", 1);
        consume_wait_begin(&w, r);
        assert_true(consume_wait_for(&w, CONSUME_SOON));
        assert_int_equal(consume_one(r), i);
    }
    assert_int_equal(consume_one(r), 0);
    assert_int_equal(consume_ack_text(l, no, "seek 000000000000000f"), 21);
    consume_wait_begin(&w, r);
    assert_true(consume_wait_for(&w, CONSUME_SOON));
    assert_int_equal(consume_one(r), 16);
    reader_close(r);
}

static void who_gives_up_is_not_called(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    struct consume_wait a, b;
    assert_int_equal(consume_one(r), 0);
    consume_wait_begin(&a, r);
    consume_wait_begin(&b, r);
    assert_true(reader_unwait(&a.wait));
    consume_append(l, "order", "1", "A", 1);
    assert_true(consume_wait_for(&b, CONSUME_SOON));
    assert_false(reader_unwait(&b.wait));
    assert_int_equal(a.calls, 0);
    assert_int_equal(consume_one(r), 1);
    assert_int_equal(consume_one(r), 0);
    consume_wait_begin(&a, r);
    assert_true(reader_unwait(&a.wait));
    consume_append(l, "order", "1", "A", 1);
    assert_int_equal(a.calls, 0);
    reader_close(r);
}

/* One that nothing concerns sleeps on; one that is far behind is looked at further. */
static void filters_hold_for_those_who_wait(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c"), far = consume_make(l, "far");
    assert_int_equal(consume_configure(l, no, "{\"types\":[\"stock\"]}"), 0);
    assert_int_equal(consume_configure(l, far, "{\"types\":[\"stock\"]}"), 0);
    struct channel *c = lib_channel(l, "order", "1");
    char *many = malloc(20000 * 64), *to = many;
    for (int i = 0; i < 20000; i++)
        to += sprintf(to, "{\"type\":\"A\",\"data\":{\"n\":\"%020d\"}}\n", i);
    assert_int_equal(lib_write(c, many, (size_t)(to - many)), to - many);
    channel_free(c);
    free(many);
    struct reader *r = consume_open(l, no, READER_FOLLOW), *f = consume_open(l, far, READER_FOLLOW);
    struct consume_wait w, fw;
    char one;
    assert_int_equal(reader_read(f, &one, 1), -EAGAIN);
    assert_true(consume_info(l, far).lag > 0); /* it was not looked at to the end */
    consume_wait_begin(&fw, f);
    while (reader_read(r, &one, 1) == -EAGAIN && consume_info(l, no).lag > 0)
        ;
    consume_wait_begin(&w, r);
    assert_false(consume_wait_for(&w, CONSUME_NEVER));
    for (int ms = 0; ms < CONSUME_SOON && consume_info(l, far).lag > 0; ms++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(consume_info(l, far).lag, 0);
    consume_append(l, "order", "1", "A", 5);
    assert_false(consume_wait_for(&w, CONSUME_NEVER));
    consume_append(l, "stock", "1", "A", 1);
    assert_true(consume_wait_for(&w, CONSUME_SOON));
    assert_true(consume_wait_for(&fw, CONSUME_SOON));
    assert_int_equal(consume_one(r), 20006);
    assert_int_equal(consume_one(f), 20006);
    reader_close(r);
    reader_close(f);
}

static void a_store_that_stops_calls_all_who_wait(void **state) {
    struct lib_store *l = *state;
    uint32_t no = consume_make(l, "c");
    enum { N = 50 };
    struct reader *r[N];
    struct consume_wait w[N];
    for (int i = 0; i < N; i++) {
        r[i] = consume_open(l, no, READER_FOLLOW);
        assert_int_equal(consume_one(r[i]), 0);
        consume_wait_begin(&w[i], r[i]);
    }
    store_stop(l->store);
    for (int i = 0; i < N; i++) {
        char c;
        assert_true(consume_wait_for(&w[i], CONSUME_SOON));
        assert_int_equal(reader_read(r[i], &c, 1), -ESHUTDOWN);
        reader_close(r[i]);
    }
}

/* --- many at once */

enum { CROWD = 8, CROWD_EVENTS = 400 };

struct crowd {
    struct lib_store *l;
    uint32_t no;
    struct reader *r[CROWD];
    atomic_uint next; /* whose turn it is to take a reader */
    atomic_int faults;
};

/* False when no news came. Whoever changes his mind twice waits nevertheless. */
static bool crowd_wait(struct reader *r, bool gives_up) {
    struct consume_wait w;
    consume_wait_begin(&w, r);
    if (gives_up && reader_unwait(&w.wait))
        consume_wait_begin(&w, r);
    if (!consume_wait_for(&w, CONSUME_SOON) && reader_unwait(&w.wait))
        return false;
    return consume_wait_for(&w, CONSUME_SOON);
}

static void *crowd_read(void *arg) {
    struct crowd *crowd = arg;
    struct reader *r = crowd->r[atomic_fetch_add(&crowd->next, 1)];
    uint64_t expected = 1;
    while (expected <= CROWD_EVENTS) {
        uint64_t position = consume_one(r);
        if (position == 0) {
            if (!crowd_wait(r, expected % 7 == 0))
                break;
            continue;
        }
        if (position != expected++)
            atomic_fetch_add(&crowd->faults, 1);
        ssize_t n = consume_ack(crowd->l, crowd->no, position);
        if (n != 17 && n != -EINVAL) /* somebody else was faster */
            atomic_fetch_add(&crowd->faults, 1);
    }
    if (expected <= CROWD_EVENTS)
        atomic_fetch_add(&crowd->faults, 1);
    return NULL;
}

/* All of them are opened before the first acknowledges: a reader begins behind the cursor. */
static void a_crowd_of_readers_misses_nothing(void **state) {
    struct lib_store *l = *state;
    struct crowd crowd = {.l = l, .no = consume_make(l, "c")};
    pthread_t threads[CROWD];
    for (int i = 0; i < CROWD; i++)
        crowd.r[i] = consume_open(l, crowd.no, READER_FOLLOW);
    for (int i = 0; i < CROWD; i++)
        pthread_create(&threads[i], NULL, crowd_read, &crowd);
    for (int i = 0; i < CROWD_EVENTS / 2; i++) {
        consume_append(l, "order", i % 2 ? "1" : "2", "A", 2);
        if (i % 16 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CROWD; i++)
        reader_close(crowd.r[i]);
    assert_int_equal(crowd.faults, 0);
    assert_int_equal(consume_info(l, crowd.no).cursor, CROWD_EVENTS);
    lib_store_close(l);
    lib_store_open(l);
    assert_int_equal(consume_info(l, crowd.no).cursor, CROWD_EVENTS);
}

/* --- the store */

static void a_store_opened_read_only_is_read_and_not_acknowledged(void **state) {
    struct lib_store *l = *state;
    consume_append(l, "order", "1", "A", 3);
    uint32_t no = consume_make(l, "c");
    lib_store_close(l);
    l->options.read_only = true;
    lib_store_open(l);
    struct consumers *cs = store_consumers(l->store);
    struct reader *r = consume_open(l, no, READER_FOLLOW);
    consume_gives(r, "1 2 3", -EAGAIN);
    assert_int_equal(consume_ack(l, no, 1), -EROFS);
    assert_int_equal(consume_nack(l, no, 1, ""), -EROFS);
    assert_int_equal(consume_configure(l, no, "{}"), -EROFS);
    assert_int_equal(consumers_make(cs, STR("d")), -EROFS);
    assert_int_equal(consumers_remove(cs, STR("c")), -EROFS);
    reader_close(r);
}

static void put_cursor(struct lib_store *l, struct str key, struct str value) {
    struct db *db;
    struct err err = {0};
    const struct db_change change = {.family = DB_CURSORS, .key = key, .value = value};
    assert_int_equal(db_open(&db, lib_path(l->dir, "db"), &(struct db_options){0}, &err), 0);
    assert_int_equal(db_write(db, &change, 1, true, &err), 0);
    db_close(db);
}

static void refuses_to_open(struct lib_store *l, const char *words) {
    struct err err = {0};
    assert_int_equal(store_open(&l->store, l->dir, &l->options, &err), -EUCLEAN);
    l->store = NULL;
    if (!strstr(err.text, words))
        fail_msg("it says `%s`, not `%s`", err.text, words);
}

static void a_cursor_behind_the_end_of_the_log_is_a_log_cut_short(void **state) {
    struct lib_store *l = *state;
    consume_append(l, "order", "1", "A", 3);
    uint32_t no = consume_make(l, "billing");
    lib_store_close(l);
    char key[RECORD_KEY_BYTES], value[RECORD_SMALL_BYTES];
    const struct record_cursor beyond = {4, 1}, within = {3, 1};
    put_cursor(l, record_cursor_key(no, key), record_cursor_put(&beyond, value));
    refuses_to_open(l, "the log was cut short: it ends at position 0000000000000003, but consumer `billing` was given "
                       "the event at position 0000000000000004");
    put_cursor(l, record_cursor_key(no, key), record_cursor_put(&within, value));
    lib_store_open(l);
    assert_int_equal(consume_info(l, no).cursor, 3);
}

static void a_damaged_record_is_not_guessed_at(void **state) {
    struct lib_store *l = *state;
    consume_append(l, "order", "1", "A", 3);
    uint32_t no = consume_make(l, "c");
    lib_store_close(l);
    char key[RECORD_KEY_BYTES], value[RECORD_SMALL_BYTES];
    const struct record_cursor cursor = {3, 1};
    struct str good = record_cursor_put(&cursor, value);
    put_cursor(l, record_cursor_key(no, key), (struct str){good.p, good.n - 1});
    refuses_to_open(l, "record of consumer 1 of its cursor is damaged");
    put_cursor(l, record_cursor_key(no, key), good);
    char bits[RECORD_DONE_BYTES] = {0}, done[RECORD_DONE_ROOM];
    put_cursor(l, record_done_key(no, 0, key), record_done_put(bits, done)); /* never put: there is nothing in it */
    refuses_to_open(l, "record of consumer 1 of what is done behind its cursor is damaged");
    record_done_set(bits, 2);
    record_done_set(bits, 9);
    put_cursor(l, record_done_key(no, 0, key), record_done_put(bits, done));
    refuses_to_open(l, "consumer `c` was given the event at position 0000000000000009");
    bits[1] = 0;
    put_cursor(l, record_done_key(no, 0, key), record_done_put(bits, done));
    lib_store_open(l);
    lib_store_close(l);
    put_cursor(l, record_cursor_key(no + 1, key), good);
    refuses_to_open(l, "record of consumer 2 is missing");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LIB_TEST(a_consumer_is_made_found_kept_and_removed),
        LIB_TEST(what_is_no_name_is_no_consumer),
        LIB_TEST(a_config_is_replaced_and_kept),
        LIB_TEST(a_bad_config_is_refused_and_says_why),
        LIB_TEST(from_says_where_it_begins_until_the_first_ack),
        LIB_TEST(a_config_does_not_change_under_those_who_follow),
        LIB_TEST(a_reader_is_given_the_lines_of_the_log),
        LIB_TEST(a_read_gives_whole_lines_when_one_fits),
        LIB_TEST(filters_hold_by_type_and_event),
        LIB_TEST(what_concerns_nobody_is_no_lag_once_it_was_looked_at),
        LIB_TEST(who_is_done_and_follows_has_no_lag),
        LIB_TEST(each_reader_has_a_place_of_its_own),
        LIB_TEST(pending_ends_where_the_log_ended),
        LIB_TEST(an_ack_is_kept),
        LIB_TEST(only_what_was_given_is_acknowledged),
        LIB_TEST(seek_sets_the_cursor_and_readers_begin_again),
        LIB_TEST(positions_may_come_in_any_pieces),
        LIB_TEST(what_is_no_position_is_refused),
        LIB_TEST(a_consumer_is_removed_under_its_readers),
        LIB_TEST(who_waits_is_called_when_there_is_news),
        LIB_TEST(news_before_the_waiting_is_not_missed),
        LIB_TEST(who_gives_up_is_not_called),
        LIB_TEST(filters_hold_for_those_who_wait),
        LIB_TEST(a_store_that_stops_calls_all_who_wait),
        LIB_TEST(a_crowd_of_readers_misses_nothing),
        LIB_TEST(a_store_opened_read_only_is_read_and_not_acknowledged),
        LIB_TEST(a_cursor_behind_the_end_of_the_log_is_a_log_cut_short),
        LIB_TEST(a_damaged_record_is_not_guessed_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
