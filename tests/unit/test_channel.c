/* A channel: how what is written is cut into values, what is refused and how, and the results that are read. */
#include "channel.h"

#include "event.h"
#include "lib_store.h"

#include <errno.h>

/* --- splits */

static const char stream_text[] = " \n{\"type\":\"A\",\"data\":{\"s\":\"}{][\\\"\\\\\",\"n\":[1,{\"x\":[]}]}}"
                                  "{\"type\" : \"B\"}\n\n\t"
                                  "[{\"type\":\"C\",\"data\":{\"a\":\"\xf0\x9f\x98\x80\"}},\r\n {\"type\":\"D\"}]\n"
                                  "{\"id\":\"x\",\"type\":\"E\",\"data\":{ \"k\" : \"\\u00e9\" } }   ";

static void assert_stream_text(struct lib_store *l, struct channel *c, const char *id) {
    char *lines = lib_results(c), *stream = lib_stream(l, "order", id);
    assert_int_equal(lib_version(l, "order", id), 5);
    assert_int_equal(lib_count(lines, "\n"), 4);
    assert_int_equal(lib_count(lines, "\"status\":\"appended\""), 4);
    LINE_HAS(lines, 0, "{\"version\":1}");
    LINE_HAS(lines, 1, "{\"version\":2}");
    LINE_HAS(lines, 3, "{\"version\":5,\"commandid\":\"x\"}");
    LINE_HAS(stream, 0, "{\"type\":\"A\",\"version\":1,\"data\":{\"s\":\"}{][\\\"\\\\\",\"n\":[1,{\"x\":[]}]}}");
    LINE_HAS(stream, 1, "{\"type\":\"B\",\"version\":2,\"data\":{}}");
    LINE_HAS(stream, 2, "{\"type\":\"C\",\"version\":3,\"data\":{\"a\":\"\xf0\x9f\x98\x80\"}}");
    LINE_HAS(stream, 3, "{\"type\":\"D\",\"version\":4}");
    assert_non_null(strstr(stream, "\"data\":{\"k\":\"\\u00e9\"}}\n"));
    free(lines);
    free(stream);
}

static void a_stream_split_at_any_byte_gives_the_same_events(void **state) {
    struct lib_store *l = *state;
    const size_t n = sizeof stream_text - 1;
    for (size_t cut = 1; cut < n; cut++) {
        char id[16];
        snprintf(id, sizeof id, "s%zu", cut);
        struct channel *c = lib_channel(l, "order", id);
        assert_int_equal(lib_write(c, stream_text, cut), cut);
        assert_int_equal(lib_write(c, stream_text + cut, n - cut), n - cut);
        assert_int_equal(channel_flush(c), 0);
        assert_stream_text(l, c, id);
        channel_free(c);
    }
}

static void a_stream_written_byte_by_byte_gives_the_same_events(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    for (size_t i = 0; i < sizeof stream_text - 1; i++)
        assert_int_equal(lib_write(c, stream_text + i, 1), 1);
    assert_stream_text(l, c, "1");
    channel_free(c);
}

static void a_value_takes_effect_with_its_last_byte(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    const char text[] = "{\"type\":\"A\"}";
    for (size_t i = 0; i + 1 < sizeof text - 1; i++) {
        assert_int_equal(lib_write(c, text + i, 1), 1);
        assert_int_equal(lib_version(l, "order", "1"), -1);
        assert_int_equal(channel_flush(c), -EBADMSG);
    }
    assert_int_equal(lib_puts(c, "}"), 1);
    assert_int_equal(lib_version(l, "order", "1"), 1);
    assert_int_equal(channel_flush(c), 0);
    channel_free(c);
}

static void white_space_is_taken_and_nothing_else_of_no_bytes(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    assert_int_equal(lib_puts(c, " \n\t\r"), 4);
    assert_int_equal(channel_flush(c), 0);
    assert_int_equal(lib_write(c, "", 0), 0);
    assert_int_equal(lib_puts(c, "{\"type\":"), 8);
    assert_int_equal(lib_write(c, "", 0), 0);
    assert_int_equal(lib_puts(c, "\"A\"}\n"), 5);
    assert_int_equal(lib_version(l, "order", "1"), 1);
    channel_free(c);
}

/* --- refusals */

static void each_refusal_has_its_errno_and_its_line(void **state) {
    static const struct {
        const char *text;
        int code;
        const char *line;
    } refusals[] = {
        {"x", EBADMSG, "{\"error\":\"malformed\",\"errno\":\"EBADMSG\"}"},
        {"{\"type\":\"A\",}", EBADMSG, "{\"error\":\"malformed\"}"},
        {"{\"type\":\"A\xff\"}", EBADMSG, "{\"error\":\"malformed\"}"},
        {"[{\"type\":\"A\"}{\"type\":\"A\"}]", EBADMSG, "{\"error\":\"malformed\"}"},
        {"{\"type\":\"A\",\"typo\":1}", EINVAL,
         "{\"error\":\"invalid\",\"errno\":\"EINVAL\",\"aggregate\":\"order/1\"}"},
        {"{\"type\":\"A\",\"aggregate\":\"order/2\"}", EINVAL, "{\"error\":\"invalid\"}"},
        {"[]", EINVAL, "{\"error\":\"invalid\"}"},
        {"[{\"type\":\"A\"},{\"type\":\"\"}]", EINVAL, "{\"error\":\"invalid\",\"index\":1}"},
        {"{\"type\":\"A\",\"expectedVersion\":1}", ESTALE,
         "{\"error\":\"conflict\",\"errno\":\"ESTALE\",\"detail\":\"order/1 is at version 0, not "
         "1\",\"aggregate\":\"order/1\"}"},
        {"{\"type\":\"A\",\"expectedVersion\":\"exists\",\"id\":\"c\"}", ESTALE,
         "{\"error\":\"conflict\",\"commandid\":\"c\",\"index\":null}"},
    };
    struct lib_store *l = *state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        char *lines;
        assert_int_equal(lib_send(l, "order", "1", refusals[i].text, &lines), -refusals[i].code);
        assert_int_equal(lib_count(lines, "\n"), 1);
        LINE_HAS(lines, 0, refusals[i].line);
        LINE_HAS(lines, 0, "{\"status\":\"rejected\"}");
        free(lines);
        char *rejections = lib_rejections(l, "order");
        assert_int_equal(lib_count(rejections, "\n"), i + 1);
        LINE_HAS(rejections, i, refusals[i].line);
        LINE_HAS(rejections, i, "{\"uid\":1000,\"pid\":4711,\"status\":null}");
        free(rejections);
    }
    assert_int_equal(lib_version(l, "order", "1"), -1);
    struct index_type type;
    assert_int_equal(index_type_by_name(store_index(l->store), STR("order"), &type), INDEX_NONE);
}

static void what_stands_before_a_refused_value_stays(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    const char *bad = "{\"type\":\"B\",\"expectedVersion\":7}{\"type\":\"C\"}";
    char text[256];
    int before = snprintf(text, sizeof text, "  {\"type\":\"A\"}{\"type\":\"A\"}\n ");
    strcat(text, bad);
    assert_int_equal(lib_puts(c, text), before); /* a short write */
    assert_int_equal(lib_version(l, "order", "1"), 2);
    assert_int_equal(lib_puts(c, bad), -ESTALE); /* the next one gets the errno */
    assert_int_equal(lib_version(l, "order", "1"), 2);
    char *lines = lib_results(c), *rejections = lib_rejections(l, "");
    assert_int_equal(lib_count(lines, "\n"), 3);
    LINE_HAS(lines, 1, "{\"status\":\"appended\",\"version\":2}");
    LINE_HAS(lines, 2, "{\"status\":\"rejected\",\"error\":\"conflict\"}");
    assert_int_equal(lib_count(rejections, "\n"), 1); /* it was refused once */
    free(lines);
    free(rejections);
    channel_free(c);
}

static void a_refusal_is_remembered_for_one_write_only(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    const char *bad = "{\"type\":\"B\",\"expectedVersion\":2}";
    assert_int_equal(lib_puts(c, "{\"type\":\"A\"}{\"type\":\"B\",\"expectedVersion\":2}"), 12);
    lib_append(l, "order", "1", "{\"type\":\"A\"}");
    assert_int_equal(lib_puts(c, bad), -ESTALE); /* the answer of then, though it would hold now */
    assert_int_equal(lib_version(l, "order", "1"), 2);
    assert_int_equal(lib_puts(c, bad), strlen(bad));
    assert_int_equal(lib_version(l, "order", "1"), 3);
    assert_int_equal(lib_puts(c, bad), -ESTALE); /* judged anew */
    char *rejections = lib_rejections(l, "");
    assert_int_equal(lib_count(rejections, "\n"), 2);
    free(rejections);
    channel_free(c);
}

static void a_remembered_refusal_is_for_the_same_bytes_only(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    const char *bad = "{\"type\":\"B\",\"expectedVersion\":1}";
    char longer[64];
    snprintf(longer, sizeof longer, "%s ", bad);
    assert_int_equal(lib_puts(c, "{\"type\":\"A\"} {\"type\":\"B\",\"expectedVersion\":9}"), 13);
    assert_int_equal(lib_puts(c, bad), strlen(bad)); /* another value, which is right */
    assert_int_equal(lib_version(l, "order", "1"), 2);
    assert_int_equal(lib_puts(c, "{\"type\":\"B\",\"expectedVersion\":9}"), -ESTALE);
    assert_int_equal(lib_version(l, "order", "1"), 2);
    assert_int_equal(lib_puts(c, "{\"type\":\"A\"}{\"type\":\"A\",\"expectedVersion\":0}"), 12);
    assert_int_equal(lib_puts(c, "{\"type\":"), -ESTALE); /* the beginning of it is it */
    assert_int_equal(channel_flush(c), 0);
    assert_int_equal(lib_puts(c, longer), -ESTALE);
    assert_int_equal(lib_version(l, "order", "1"), 3);
    channel_free(c);
}

static void a_value_refused_after_part_of_it_was_taken_refuses_the_descriptor(void **state) {
    static const struct {
        const char *first, *second;
        int code;
    } cases[] = {
        {"{\"type\":\"B\",", "\"expectedVersion\":7}", ESTALE},
        {"{\"type\":\"A\"}{\"ty", "po\":\"B\"}{\"type\":\"A\"}", EINVAL},
        {"[{\"type\":\"A\"},", "]", EBADMSG},
        {"{\"type\":\"A\"}{", "}", EINVAL},
    };
    struct lib_store *l = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct channel *c = lib_channel(l, "order", "1");
        assert_int_equal(lib_puts(c, cases[i].first), strlen(cases[i].first));
        long version = lib_version(l, "order", "1");
        assert_int_equal(lib_puts(c, cases[i].second), -cases[i].code);
        for (int k = 0; k < 3; k++)
            assert_int_equal(lib_puts(c, "{\"type\":\"A\"}"), -cases[i].code);
        assert_int_equal(lib_puts(c, " "), -cases[i].code);
        assert_int_equal(lib_version(l, "order", "1"), version);
        assert_int_equal(channel_flush(c), 0); /* nothing is incomplete: it was refused */
        channel_free(c);
        char *rejections = lib_rejections(l, "");
        assert_int_equal(lib_count(rejections, "\n"), i + 1);
        free(rejections);
        lib_append(l, "order", "1", "{\"type\":\"A\"}"); /* another descriptor is none the worse */
    }
}

static void a_value_refused_behind_one_that_was_completed_is_a_short_write(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    assert_int_equal(lib_puts(c, "{\"type\":"), 8);
    assert_int_equal(lib_puts(c, "\"A\"} {\"typo\":1}"), 5);
    assert_int_equal(lib_version(l, "order", "1"), 1);
    assert_int_equal(lib_puts(c, "{\"typo\":1}"), -EINVAL);
    assert_int_equal(lib_puts(c, "{\"type\":\"A\"}"), 12);
    channel_free(c);
}

static void a_command_over_the_limit_is_too_long_whole_or_in_pieces(void **state) {
    struct lib_store *l = *state;
    lib_store_close(l);
    l->options.max_command = 100;
    lib_store_open(l);
    char text[256];
    for (size_t n = 99; n <= 102; n++) {
        snprintf(text, sizeof text, "{\"type\":\"A\",\"data\":{\"a\":\"%0*d\"}}", (int)n - 28, 0);
        assert_int_equal(strlen(text), n);
        ssize_t want = n <= 100 ? (ssize_t)n : -EMSGSIZE;
        assert_int_equal(lib_send(l, "order", "1", text, NULL), want);
        for (size_t cut = 1; cut < n && cut <= 100; cut++) {
            struct channel *c = lib_channel(l, "order", "1");
            assert_int_equal(lib_write(c, text, cut), cut);
            assert_int_equal(lib_write(c, text + cut, n - cut), n <= 100 ? (ssize_t)(n - cut) : -EMSGSIZE);
            channel_free(c);
        }
    }
    struct channel *c = lib_channel(l, "order", "1"); /* space before it is not of it */
    memset(text, ' ', 200);
    strcpy(text + 200, "{\"type\":\"A\"}");
    assert_int_equal(lib_puts(c, text), 212);
    memset(text, '{', 1);
    assert_int_equal(lib_puts(c, "{\"type\":\"A\"}{\"type\":\"this one does not end\""), 43);
    memset(text, 'x', 200);
    assert_int_equal(lib_write(c, text, 200), -EMSGSIZE);
    assert_int_equal(lib_write(c, text, 200), -EMSGSIZE);
    channel_free(c);
}

static void a_store_opened_read_only_refuses_every_command(void **state) {
    struct lib_store *l = *state;
    lib_append(l, "order", "1", "{\"type\":\"A\"}");
    lib_store_close(l);
    l->options.read_only = true;
    lib_store_open(l);
    char *lines;
    assert_int_equal(lib_send(l, "order", "1", "{\"type\":\"A\"}{\"type\":\"A\"}", &lines), -EROFS);
    assert_int_equal(lib_count(lines, "\n"), 1);
    LINE_HAS(lines, 0, "{\"status\":\"rejected\",\"error\":\"read_only\",\"errno\":\"EROFS\"}");
    free(lines);
    assert_int_equal(lib_version(l, "order", "1"), 1);
}

static void an_incomplete_value_at_the_end_is_a_rejection(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    assert_int_equal(lib_puts(c, "{\"type\":\"A\"}\n{\"type\":\"B\"\n"), 25);
    assert_int_equal(channel_flush(c), -EBADMSG);
    assert_int_equal(channel_flush(c), -EBADMSG); /* close(2) of a copy changes nothing */
    char *rejections = lib_rejections(l, "order");
    assert_string_equal(rejections, "");
    free(rejections);
    channel_free(c);
    rejections = lib_rejections(l, "order");
    assert_int_equal(lib_count(rejections, "\n"), 1);
    LINE_HAS(rejections, 0, "{\"error\":\"malformed\",\"errno\":\"EBADMSG\",\"command\":\"{\\\"type\\\":\\\"B\\\" \"}");
    free(rejections);
    channel_free(NULL);
}

static void a_rejection_is_a_line_of_json_whatever_was_written(void **state) {
    struct lib_store *l = *state;
    char text[700] = "{\"a\": \x01\xff\xc3z\"\\";
    lib_send(l, "", "", text, NULL);
    for (size_t n = 250; n < 262; n++) { /* the excerpt ends within a character of several bytes */
        memset(text, 'x', n);
        strcpy(text + n, "\xf0\x9f\x98\x80\xc3\xa9\xe2\x82\xac tail");
        assert_int_equal(lib_send(l, "", "", text, NULL), -EBADMSG);
    }
    char *rejections = lib_rejections(l, "");
    assert_int_equal(lib_count(rejections, "\n"), 13);
    for (size_t i = 0; i < 13; i++)
        LINE_HAS(rejections, i, "{\"error\":\"malformed\"}");
    LINE_HAS(rejections, 0, "{\"command\":\"{\\\"a\\\": \x20??z\\\"\\\\\"}");
    free(rejections);
}

static void rejections_are_filed_under_their_type(void **state) {
    struct lib_store *l = *state;
    lib_send(l, "", "", "{\"type\":\"A\",\"aggregate\":\"stock/1\",\"expectedVersion\":1}", NULL);
    lib_send(l, "", "", "{\"type\":\"\",\"aggregate\":\"stock/1\"}", NULL);
    lib_send(l, "order", "", "{\"type\":\"A\"}", NULL);
    lib_send(l, "", "", "?", NULL);
    char *all = lib_rejections(l, ""), *stock = lib_rejections(l, "stock"), *order = lib_rejections(l, "order");
    assert_int_equal(lib_count(all, "\n"), 4);
    assert_int_equal(lib_count(stock, "\n"), 2);
    assert_int_equal(lib_count(order, "\n"), 1);
    LINE_HAS(stock, 0, "{\"aggregate\":\"stock/1\",\"error\":\"conflict\",\"type\":\"A\"}");
    free(all);
    free(stock);
    free(order);
}

/* --- results */

static void results_tell_the_events(void **state) {
    struct lib_store *l = *state;
    char *lines, want[256], id[EVENT_ID_CHARS + 1] = "";
    lib_append(l, "stock", "9", "{\"type\":\"A\"}");
    assert_int_equal(lib_send(l, "order", "1", "{\"type\":\"B\",\"id\":\"c-1\"}", &lines), 23);
    struct text_event e;
    assert_int_equal(text_stat_event(l->store, 2, &e), 0);
    event_id(store_id(l->store), 2, e.time, id);
    snprintf(want, sizeof want,
             "{\"status\":\"appended\",\"aggregate\":\"order/1\",\"version\":1,\"position\":\"0000000000000002\","
             "\"commandid\":\"c-1\",\"events\":[\"%s\"]}\n",
             id);
    assert_string_equal(lines, want);
    char *stream = lib_stream(l, "order", "1");
    assert_non_null(strstr(stream, id));
    free(stream);
    free(lines);
    assert_int_equal(lib_send(l, "order", "",
                              "[{\"type\":\"B\",\"aggregate\":\"2\"},{\"aggregate\":\"1\",\"expectedVersion\":1}]",
                              &lines),
                     68);
    assert_int_equal(text_stat_event(l->store, 3, &e), 0);
    event_id(store_id(l->store), 3, e.time, id);
    snprintf(want, sizeof want,
             "{\"status\":\"appended\",\"commands\":[{\"aggregate\":\"order/2\",\"version\":1,\"position\":"
             "\"0000000000000003\",\"events\":[\"%s\"]},{\"aggregate\":\"order/1\",\"version\":1}]}\n",
             id);
    assert_string_equal(lines, want);
    free(lines);
}

static void a_channel_gives_help_until_something_is_written(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    char *whole = lib_results(c), again;
    assert_int_equal(channel_read(c, &again, 1), 0); /* the end */
    channel_free(c);
    LINE_HAS(whole, 0, "{}");
    assert_non_null(strstr(whole, "expectedVersion"));
    c = lib_channel(l, "order", "1");
    for (size_t i = 0; i < strlen(whole); i++) {
        char byte;
        assert_int_equal(channel_read(c, &byte, 1), 1);
        assert_int_equal(byte, whole[i]);
    }
    channel_free(c);
    c = lib_channel(l, "order", "1");
    assert_int_equal(channel_read(c, &again, 1), 1);
    assert_int_equal(lib_puts(c, "{\"type\":\"A\"}"), 12);
    char *lines = lib_results(c); /* what was left of the help is gone */
    assert_int_equal(lib_count(lines, "\n"), 1);
    LINE_HAS(lines, 0, "{\"status\":\"appended\"}");
    assert_int_equal(channel_read(c, &again, 1), 0);
    free(lines);
    free(whole);
    channel_free(c);
}

static void a_channel_without_results_has_none(void **state) {
    struct lib_store *l = *state;
    const struct scope scope = {STR("order"), STR("1")};
    char byte;
    struct channel *c = channel_new(l->store, &scope, &lib_caller, false);
    assert_int_equal(lib_puts(c, "{\"type\":\"A\"}{\"type\":\"\"}"), 12);
    assert_int_equal(channel_read(c, &byte, 1), 0);
    channel_free(c);
    char *rejections = lib_rejections(l, "order");
    assert_int_equal(lib_count(rejections, "\n"), 1);
    free(rejections);
}

static void results_are_read_on_from_where_the_reader_got_to(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    char got[4096];
    size_t n = 0;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(lib_puts(c, "{\"type\":\"A\"}"), 12);
        for (int k = 0; k < 50; k++)
            n += (size_t)channel_read(c, got + n, 1);
    }
    for (ssize_t r; (r = channel_read(c, got + n, 7)) > 0;)
        n += (size_t)r;
    got[n] = '\0';
    assert_int_equal(lib_count(got, "\n"), 8);
    for (size_t i = 0; i < 8; i++) {
        char want[64];
        snprintf(want, sizeof want, "{\"status\":\"appended\",\"version\":%zu}", i + 1);
        LINE_HAS(got, i, want);
    }
    channel_free(c);
}

/* The newest lines, whole, one behind the other, up to a version. */
static void assert_newest(const char *lines, unsigned last) {
    size_t n = strlen(lines), count = lib_count(lines, "\n");
    char want[64], first[64];
    assert_in_range(n, (1 << 20) - 400, 1 << 20);
    assert_memory_equal(lines, "{\"status\":\"appended\"", 20);
    snprintf(want, sizeof want, "\"version\":%u,", last);
    snprintf(first, sizeof first, "\"version\":%u,", last - (unsigned)count + 1);
    assert_int_equal(lib_count(lines, want), 1);
    assert_non_null(strstr(lines, first));
    assert_true(strstr(lines, first) < strchr(lines, '\n'));
}

static void unread_results_beyond_a_mebibyte_drop_the_oldest(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    char batch[12 * 500 + 1] = "";
    for (int i = 0; i < 500; i++)
        memcpy(batch + 12 * i, "{\"type\":\"A\"}", 13);
    for (int i = 0; i < 20; i++) /* 10,000 lines of some 150 bytes */
        assert_int_equal(lib_puts(c, batch), 6000);
    char *lines = lib_results(c);
    assert_newest(lines, 10000);
    free(lines);
    assert_int_equal(lib_puts(c, "{\"type\":\"A\"}"), 12);
    lines = lib_results(c);
    assert_int_equal(lib_count(lines, "\n"), 1);
    free(lines);
    channel_free(c);
}

static void a_line_that_was_read_in_part_is_not_cut_when_lines_are_dropped(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    char batch[12 * 5000], *lines, begin[30], whole[1024];
    for (int i = 0; i < 5000; i++)
        memcpy(batch + 12 * i, "{\"type\":\"A\"}", 12);
    assert_int_equal(lib_write(c, batch, sizeof batch), sizeof batch);
    assert_int_equal(channel_read(c, begin, 30), 30);
    for (int i = 0; i < 2; i++)
        assert_int_equal(lib_write(c, batch, sizeof batch), sizeof batch);
    lines = lib_results(c);
    size_t rest = strcspn(lines, "\n") + 1;
    assert_in_range(rest, 2, sizeof whole - 31);
    memcpy(whole, begin, 30);
    memcpy(whole + 30, lines, rest);
    whole[30 + rest] = '\0';
    LINE_HAS(whole, 0, "{\"status\":\"appended\",\"version\":1}");
    assert_newest(strchr(lines, '\n') + 1, 15000);
    free(lines);
    channel_free(c);
}

static void the_results_of_one_large_write_are_bounded_too(void **state) {
    struct lib_store *l = *state;
    struct channel *c = lib_channel(l, "order", "1");
    const size_t n = 10000;
    char *batch = malloc(12 * n);
    for (size_t i = 0; i < n; i++)
        memcpy(batch + 12 * i, "{\"type\":\"A\"}", 12);
    assert_int_equal(lib_write(c, batch, 12 * n), 12 * n);
    char *lines = lib_results(c);
    assert_newest(lines, (unsigned)n);
    free(lines);
    free(batch);
    channel_free(c);
}

/* --- its scope */

static void a_channel_keeps_the_names_of_its_scope(void **state) {
    struct lib_store *l = *state;
    char type[129] = "", id[129] = "";
    memset(type, 't', 128);
    memset(id, 'i', 128);
    struct channel *c = lib_channel(l, type, id);
    memset(type, 'x', 128);
    memset(id, 'x', 128);
    assert_int_equal(lib_puts(c, "{\"type\":\"A\"}"), 12);
    channel_free(c);
    memset(type, 't', 128);
    memset(id, 'i', 128);
    assert_int_equal(lib_version(l, type, id), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LIB_TEST(a_stream_split_at_any_byte_gives_the_same_events),
        LIB_TEST(a_stream_written_byte_by_byte_gives_the_same_events),
        LIB_TEST(a_value_takes_effect_with_its_last_byte),
        LIB_TEST(white_space_is_taken_and_nothing_else_of_no_bytes),
        LIB_TEST(each_refusal_has_its_errno_and_its_line),
        LIB_TEST(what_stands_before_a_refused_value_stays),
        LIB_TEST(a_refusal_is_remembered_for_one_write_only),
        LIB_TEST(a_remembered_refusal_is_for_the_same_bytes_only),
        LIB_TEST(a_value_refused_after_part_of_it_was_taken_refuses_the_descriptor),
        LIB_TEST(a_value_refused_behind_one_that_was_completed_is_a_short_write),
        LIB_TEST(a_command_over_the_limit_is_too_long_whole_or_in_pieces),
        LIB_TEST(a_store_opened_read_only_refuses_every_command),
        LIB_TEST(an_incomplete_value_at_the_end_is_a_rejection),
        LIB_TEST(a_rejection_is_a_line_of_json_whatever_was_written),
        LIB_TEST(rejections_are_filed_under_their_type),
        LIB_TEST(results_tell_the_events),
        LIB_TEST(a_channel_gives_help_until_something_is_written),
        LIB_TEST(a_channel_without_results_has_none),
        LIB_TEST(results_are_read_on_from_where_the_reader_got_to),
        LIB_TEST(unread_results_beyond_a_mebibyte_drop_the_oldest),
        LIB_TEST(a_line_that_was_read_in_part_is_not_cut_when_lines_are_dropped),
        LIB_TEST(the_results_of_one_large_write_are_bounded_too),
        LIB_TEST(a_channel_keeps_the_names_of_its_scope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
