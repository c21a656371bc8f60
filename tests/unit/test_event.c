#include "event.h"

#include "digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const uint8_t store_id[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

#define TIME 1795388400123456ULL /* 2026-11-22T23:00:00.123456Z */
#define S(literal)                                                                                                     \
    { (literal), sizeof(literal) - 1 }
#define LONGEST                                                                                                        \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
    "2345678901234567"

/* The file of that name in tests/data/events/ holds what renderer 1 makes of it. These files never change: a release
 * that renders otherwise keeps this way beside the new one. */
static const struct golden {
    const char *file;
    struct event event;
} goldens[] = {
    {"1-plain.json",
     {.position = 42,
      .version = 1,
      .time = TIME,
      .uid = 1000,
      .aggregate_type = S("order"),
      .aggregate_id = S("1001"),
      .type = S("OrderPlaced"),
      .data = S("{\"total\":5}")}},
    {"1-id.json",
     {.position = 1,
      .version = 1,
      .time = TIME,
      .uid = 1000,
      .aggregate_type = S("order"),
      .aggregate_id = S("1001"),
      .type = S("OrderPlaced"),
      .data = S("{\"total\":5}"),
      .commandid = S("c-81"),
      .meta = S(",\"tenant\":\"acme\"")}},
    {"1-everything.json",
     {.position = 0x123456789abcdef0,
      .version = 1234567890,
      .time = TIME + 999,
      .uid = 4294967295,
      .schema = 12,
      .aggregate_type = S("order"),
      .aggregate_id = S("1001"),
      .type = S("OrderPlaced"),
      .data = S("{\"a\":[1.50,-0e+7,\"\\u00e9\\/\"],\"b\":{}}"),
      .commandid = S("c-81"),
      .correlationid = S("corr"),
      .causationid = S("cause"),
      .traceparent = S("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
      .meta = S(",\"tenant\":\"acme\",\"retry\":true,\"n\":-5")}},
    {"1-correlation-alone.json",
     {.position = 7,
      .version = 3,
      .time = TIME,
      .uid = 0,
      .aggregate_type = S("order"),
      .aggregate_id = S("1001"),
      .type = S("OrderPlaced"),
      .data = S("{}"),
      .correlationid = S("corr")}},
    {"1-causation-alone.json",
     {.position = 8,
      .version = 3,
      .time = TIME,
      .uid = 0,
      .aggregate_type = S("order"),
      .aggregate_id = S("1001"),
      .type = S("OrderPlaced"),
      .data = S("{}"),
      .causationid = S("cause")}},
    {"1-id-and-trace.json",
     {.position = 9,
      .version = 3,
      .time = TIME,
      .uid = 0,
      .aggregate_type = S("order"),
      .aggregate_id = S("1001"),
      .type = S("OrderPlaced"),
      .data = S("{}"),
      .commandid = S("c"),
      .correlationid = S("corr"),
      .traceparent = S("00-1")}},
    {"1-escaped.json",
     {.position = 10,
      .version = 10,
      .time = TIME,
      .uid = 5,
      .schema = 1,
      .aggregate_type = S("a \"b\\c"),
      .aggregate_id = S("\"\\?#[]%20"),
      .type = S("Ev\"e\\nt"),
      .data = S("{\"q\":\"\\\"\"}"),
      .commandid = S("\"\\"),
      .correlationid = S("\\\""),
      .causationid = S("\\\\"),
      .traceparent = S("\"")}},
    {"1-percent.json",
     {.position = 11,
      .version = 11,
      .time = TIME,
      .uid = 5,
      .schema = 4294967295,
      .aggregate_type = S("Bestellung \xc3\xa9\xe2\x82\xac"),
      .aggregate_id = S("-._~!$&'()*+,;=:@ <>^`{|}\xf0\x9f\x98\x80"),
      .type = S("Plac\xc3\xa9 50%"),
      .data = S("{\"\xc3\xa9\":\"\xf0\x9f\x98\x80\"}"),
      .commandid = S("\xc3\xa9")}},
    {"1-large-numbers.json",
     {.position = UINT64_MAX,
      .version = UINT64_MAX,
      .time = 253402300799999999,
      .uid = 1,
      .aggregate_type = S("t"),
      .aggregate_id = S("1"),
      .type = S("T"),
      .data = S("{}")}},
    {"1-small-numbers.json",
     {.position = 1,
      .version = 1,
      .time = 0,
      .uid = 0,
      .aggregate_type = S("t"),
      .aggregate_id = S("1"),
      .type = S("T"),
      .data = S("{}")}},
    {"1-eleven-digits.json",
     {.position = 12,
      .version = 10000000000,
      .time = 1,
      .uid = 9,
      .aggregate_type = S("t"),
      .aggregate_id = S("1"),
      .type = S("T"),
      .data = S("{}")}},
    {"1-longest-names.json",
     {.position = 13,
      .version = 9999999999,
      .time = TIME,
      .uid = 10,
      .schema = 9,
      .aggregate_type = S(LONGEST),
      .aggregate_id = S(LONGEST),
      .type = S(LONGEST),
      .data = S("{}")}},
};

#define GOLDENS (sizeof goldens / sizeof *goldens)

static struct event golden_event(size_t i) {
    struct event e = goldens[i].event;
    e.store_id = store_id;
    return e;
}

static void renderer_1_gives_the_golden_lines(void **state) {
    (void)state;
    for (size_t i = 0; i < GOLDENS; i++) {
        char path[512], want[4096];
        snprintf(path, sizeof path, "%s/events/%s", TESTS_DATA, goldens[i].file);
        FILE *f = fopen(path, "r");
        if (!f)
            fail_msg("%s is missing", path);
        size_t n = fread(want, 1, sizeof want, f);
        fclose(f);
        struct event e = golden_event(i);
        char *line = malloc(event_size(&e));
        size_t size = (size_t)(event_render(&e, line) - line);
        if (size != n || memcmp(line, want, n) != 0)
            fail_msg("%s:\nwant %.*sgot  %.*s", goldens[i].file, (int)n, want, (int)size, line);
        free(line);
    }
}

static void an_event_takes_the_bytes_that_were_said(void **state) {
    (void)state;
    for (size_t i = 0; i < GOLDENS; i++)
        for (uint64_t power = 1; power && power <= UINT64_MAX / 10; power *= 10)
            for (int below = 0; below < 2; below++) {
                struct event e = golden_event(i);
                e.version = power - (uint64_t)below;
                e.uid = (uint32_t)(power - (uint64_t)below);
                e.schema = (uint32_t)(power - (uint64_t)below);
                size_t n = event_size(&e);
                char *line = malloc(n); /* exact, so that writing past it shows */
                assert_ptr_equal(event_render(&e, line), line + n);
                assert_int_equal(line[n - 1], '\n');
                assert_int_equal(line[n - 2], '}');
                assert_null(memchr(line, '\n', n - 1));
                free(line);
            }
}

/* --- times */

static void assert_time(uint64_t micros) {
    char got[EVENT_TIME_CHARS + 1] = "", want[64];
    time_t seconds = (time_t)(micros / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(want + n, sizeof want - n, ".%06uZ", (unsigned)(micros % 1000000));
    event_time(micros, got);
    assert_string_equal(got, want);
}

static void every_day_of_four_centuries_is_what_the_c_library_says(void **state) {
    (void)state;
    for (uint64_t day = 0; day < 2 * 146097; day++) {
        assert_time(day * 86400000000);
        assert_time(day * 86400000000 + 86399999999);
    }
}

static void leap_days_are_where_they_belong(void **state) {
    (void)state;
    static const struct {
        int year;
        const char *after; /* the day after the 28th of February */
    } years[] = {{1972, "02-29"}, {1999, "03-01"}, {2000, "02-29"}, {2023, "03-01"}, {2024, "02-29"},
                 {2100, "03-01"}, {2400, "02-29"}, {4000, "02-29"}, {9900, "03-01"}, {9996, "02-29"}};
    for (size_t i = 0; i < sizeof years / sizeof *years; i++) {
        struct tm tm = {
            .tm_year = years[i].year - 1900, .tm_mon = 1, .tm_mday = 28, .tm_hour = 23, .tm_min = 59, .tm_sec = 59};
        uint64_t last = (uint64_t)timegm(&tm) * 1000000;
        char got[EVENT_TIME_CHARS + 1] = "", want[64];
        event_time(last, got);
        snprintf(want, sizeof want, "%d-02-28T23:59:59.000000Z", years[i].year);
        assert_string_equal(got, want);
        event_time(last + 1000000, got);
        snprintf(want, sizeof want, "%d-%sT00:00:00.000000Z", years[i].year, years[i].after);
        assert_string_equal(got, want);
    }
}

static void microseconds_are_six_digits(void **state) {
    (void)state;
    for (uint64_t micros = 0; micros < 1000000; micros += 997)
        assert_time(TIME / 1000000 * 1000000 + micros);
    assert_time(TIME / 1000000 * 1000000 + 999999);
}

/* --- ids */

static uint64_t hex(const char *p, size_t n) {
    char text[17] = "";
    memcpy(text, p, n);
    assert_int_equal(strspn(text, "0123456789abcdef"), n);
    return strtoull(text, NULL, 16);
}

static void an_id_has_the_fields_of_a_uuid_of_version_7(void **state) {
    (void)state;
    const uint64_t times[] = {0, 1, 999, 1000, TIME, 253402300799999999, (1ULL << 48) * 1000 - 1};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        for (uint64_t position = 1; position < 200; position++) {
            char id[EVENT_ID_CHARS + 1] = "";
            event_id(store_id, position, times[i], id);
            assert_int_equal(strlen(id), EVENT_ID_CHARS);
            assert_true(id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-');
            assert_int_equal(hex(id, 8) << 16 | hex(id + 9, 4), times[i] / 1000);
            assert_int_equal(hex(id + 14, 4), 0x7000 | times[i] % 1000);
            uint64_t rand_b = hex(id + 19, 4) << 48 | hex(id + 24, 12);
            assert_int_equal(rand_b >> 62, 2);
            const uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, (uint8_t)position};
            assert_int_equal(rand_b & ((1ULL << 62) - 1), digest_sip(store_id, key, 8) >> 2);
        }
}

static void ids_of_two_stores_or_positions_differ_and_sort_by_time(void **state) {
    (void)state;
    static const uint8_t other[16] = {1};
    char a[EVENT_ID_CHARS], b[EVENT_ID_CHARS];
    event_id(store_id, 1, TIME, a);
    event_id(other, 1, TIME, b);
    assert_memory_equal(a, b, 19);
    assert_memory_not_equal(a, b, sizeof a);
    event_id(store_id, 2, TIME, b);
    assert_memory_not_equal(a, b, sizeof a);
    event_id(store_id, 1ULL << 56 | 1, TIME, b);
    assert_memory_not_equal(a, b, sizeof a);
    for (uint64_t t = TIME; t < TIME + 3000; t++) {
        event_id(store_id, t - TIME + 1, t, a);
        event_id(store_id, t - TIME + 2, t + 1, b);
        assert_true(memcmp(a, b, sizeof a) < 0);
    }
}

/* --- file names */

static void assert_file_name(uint64_t version, struct str type, const char *want) {
    char *name = malloc(EVENT_FILE_MAX);
    size_t n = event_file_name(version, type, name);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(name, want, n);
    free(name);
}

static void a_file_is_named_by_version_and_type(void **state) {
    (void)state;
    assert_file_name(1, STR("OrderPlaced"), "0000000001-OrderPlaced.json");
    assert_file_name(1234567890, STR("x"), "1234567890-x.json");
    assert_file_name(9999999999, STR("x"), "9999999999-x.json");
    assert_file_name(10000000000, STR("x"), "10000000000-x.json");
    assert_file_name(2, STR("Plac\xc3\xa9 \"50%\""), "0000000002-Plac\xc3\xa9 \"50%\".json");
    assert_file_name(UINT64_MAX, STR(LONGEST), "18446744073709551615-" LONGEST ".json");
    assert_int_equal(strlen("18446744073709551615-" LONGEST ".json"), EVENT_FILE_MAX);
}

int main(void) {
    if (digest_init() != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renderer_1_gives_the_golden_lines),
        cmocka_unit_test(an_event_takes_the_bytes_that_were_said),
        cmocka_unit_test(every_day_of_four_centuries_is_what_the_c_library_says),
        cmocka_unit_test(leap_days_are_where_they_belong),
        cmocka_unit_test(microseconds_are_six_digits),
        cmocka_unit_test(an_id_has_the_fields_of_a_uuid_of_version_7),
        cmocka_unit_test(ids_of_two_stores_or_positions_differ_and_sort_by_time),
        cmocka_unit_test(a_file_is_named_by_version_and_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
