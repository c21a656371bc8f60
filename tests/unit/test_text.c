#include "text.h"

#include "event.h"
#include "lib_store.h"
#include "store_parts.h"

#include <errno.h>
#include <time.h>

static uint64_t random_below(uint64_t n) {
    static uint64_t x = 88172645463325252ULL;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (x >> 11) % n;
}

/* A store of some types and aggregates, with events of 3 to `bytes` bytes of data, in many chunks. */
static void fill(struct lib_store *l, unsigned n, unsigned bytes) {
    static const char *const names[] = {"order/1", "order/2", "stock/a", "stock/b \"c\"", "a b/1", "order/3"};
    char *text = malloc(bytes + 256);
    struct channel *c = lib_channel(l, "", "");
    for (unsigned i = 0; i < n; i++) {
        const char *name = names[random_below(6)];
        int size = sprintf(text, "{\"type\":\"E%u\",\"aggregate\":\"", i % 3);
        for (const char *p = name; *p; p++)
            size += sprintf(text + size, *p == '"' ? "\\\"" : "%c", *p);
        size += sprintf(text + size, "\",\"data\":{\"n\":\"%0*u\"}}", (int)(1 + random_below(bytes)), i);
        assert_int_equal(lib_write(c, text, (size_t)size), size);
    }
    channel_free(c);
    free(text);
}

/* The whole text of a file, put together from its events one by one. */
struct whole {
    char *p;
    size_t n, events;
};

/* Of a type, of an aggregate, or of the log (both 0). */
static struct whole whole_of(struct lib_store *l, uint32_t type_no, uint64_t aggregate) {
    struct index_head head;
    struct whole w = {NULL, 0, 0};
    index_head(store_index(l->store), &head);
    w.p = malloc(head.log_bytes + 1);
    for (uint64_t position = 1; position <= head.position; position++) {
        struct text_event e;
        assert_int_equal(text_stat_event(l->store, position, &e), 0);
        if ((type_no && e.type_no != type_no) || (aggregate && e.aggregate != aggregate))
            continue;
        assert_int_equal(text_read_event(l->store, position, 0, w.p + w.n, head.log_bytes - w.n), e.size);
        w.n += e.size;
        w.events++;
        assert_int_equal(w.p[w.n - 1], '\n');
    }
    if (!type_no && !aggregate)
        assert_int_equal(w.n, head.log_bytes);
    return w;
}

struct file {
    struct lib_store *store;
    uint32_t type_no;
    uint64_t aggregate, from, to; /* a stream when aggregate is not 0 */
};

static ssize_t file_read(const struct file *f, uint64_t offset, char *out, size_t n, struct text_cursor *cursor) {
    struct store *s = f->store->store;
    return f->aggregate ? text_read_stream(s, f->aggregate, f->from, f->to, offset, out, n, cursor)
                        : text_read_log(s, f->type_no, offset, out, n, cursor);
}

/* A read gives what is there: all that was asked for, or what is left. */
static void assert_read(const struct file *f, const struct whole *w, uint64_t offset, size_t n,
                        struct text_cursor *cursor) {
    size_t left = offset < w->n ? w->n - offset : 0, want = n < left ? n : left;
    char *got = malloc(n ? n : 1); /* exact, so that writing past it shows */
    ssize_t r = file_read(f, offset, got, n, cursor);
    if (r != (ssize_t)want || memcmp(got, w->p + (left ? offset : 0), want) != 0)
        fail_msg("%zu bytes at %llu: %zd, wanted %zu", n, (unsigned long long)offset, r, want);
    free(got);
}

static void assert_sequential(const struct file *f, const struct whole *w, size_t n) {
    struct text_cursor cursor = {0};
    for (uint64_t offset = 0; offset < w->n; offset += n)
        assert_read(f, w, offset, n, &cursor);
    assert_read(f, w, w->n, n, &cursor);
    assert_read(f, w, 0, n, &cursor); /* and back to the beginning */
}

static void assert_reads_anywhere(const struct file *f, const struct whole *w, unsigned jumps) {
    struct text_cursor kept = {0};
    for (unsigned i = 0; i < jumps; i++) {
        struct text_cursor fresh = {0};
        uint64_t offset = random_below(w->n + 10);
        size_t n = random_below(i % 10 ? 700 : 40000);
        assert_read(f, w, offset, n, &fresh);
        assert_read(f, w, offset, n, &kept);
        if (i % 3 == 0) /* on from there, with the cursor that it left */
            assert_read(f, w, offset + n, n, &kept);
    }
    struct text_cursor cursor = {0};
    assert_read(f, w, w->n, 10, &cursor);
    assert_read(f, w, w->n + 1, 10, &cursor);
    assert_read(f, w, UINT64_MAX, 10, &cursor);
    assert_read(f, w, 0, w->n + 100, &cursor);
}

static void every_offset_reads_the_same_bytes(void **state) {
    static const size_t sizes[] = {1, 7, 333, 2000};
    struct lib_store *l = *state;
    struct index_aggregate a;
    fill(l, 15, 300);
    lib_append(l, "order", "1", "{\"type\":\"E\"}");
    assert_int_equal(lib_find(l->store, "order", "1", &a), 0);
    const struct file files[] = {{l, 0, 0, 0, 0}, {l, a.type_no, 0, 0, 0}, {l, 0, a.no, 1, UINT64_MAX}};
    for (size_t i = 0; i < 3; i++) {
        struct whole w = whole_of(l, files[i].type_no, files[i].aggregate);
        struct text_cursor forward = {0}, backward = {0};
        for (uint64_t offset = 0; offset <= w.n + 1; offset++) {
            struct text_cursor fresh = {0};
            assert_read(&files[i], &w, offset, sizes[offset % 4], &fresh);
            assert_read(&files[i], &w, offset, sizes[offset / 4 % 4], &forward);
            assert_read(&files[i], &w, w.n + 1 - offset, sizes[offset % 4], &backward);
        }
        free(w.p);
    }
}

static void reading_on_in_odd_sizes_gives_the_whole(void **state) {
    struct lib_store *l = *state;
    struct index_type type = {0};
    fill(l, 600, 900);
    struct file log = {l, 0, 0, 0, 0};
    struct whole w = whole_of(l, 0, 0);
    assert_true(w.n > 20 * BLOCK_CHUNK_BYTES);
    assert_sequential(&log, &w, 101);
    assert_sequential(&log, &w, 4096);
    assert_sequential(&log, &w, 65537);
    assert_sequential(&log, &w, 1 << 20);
    assert_reads_anywhere(&log, &w, 1500);
    free(w.p);
    size_t types = 0;
    while (index_type_after(store_index(l->store), type.no, &type) == 0) {
        struct file own = {l, type.no, 0, 0, 0};
        w = whole_of(l, type.no, 0);
        assert_int_equal(w.n, type.bytes);
        assert_int_equal(w.events, type.events);
        assert_sequential(&own, &w, 997);
        assert_sequential(&own, &w, 65537);
        assert_reads_anywhere(&own, &w, 500);
        free(w.p);
        types++;
    }
    assert_int_equal(types, 3);
    for (uint64_t no = 1; no <= 6; no++) {
        struct file stream = {l, 0, no, 1, UINT64_MAX};
        w = whole_of(l, 0, no);
        assert_sequential(&stream, &w, 997);
        assert_sequential(&stream, &w, 65537);
        assert_reads_anywhere(&stream, &w, 300);
        free(w.p);
    }
    char byte;
    struct text_cursor cursor = {0};
    assert_int_equal(text_read_log(l->store, 4, 0, &byte, 1, &cursor), 0);
    assert_int_equal(text_read_stream(l->store, 7, 1, UINT64_MAX, 0, &byte, 1, &cursor), 0);
}

static void a_reader_at_the_end_goes_on_with_what_is_appended(void **state) {
    struct lib_store *l = *state;
    fill(l, 20, 50);
    struct index_aggregate a;
    assert_int_equal(lib_find(l->store, "order", "1", &a), 0);
    const struct file files[] = {{l, 0, 0, 0, 0}, {l, a.type_no, 0, 0, 0}, {l, 0, a.no, 1, UINT64_MAX}};
    struct text_cursor cursors[3] = {{0, 0}};
    uint64_t offsets[3] = {0};
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 3; i++) {
            struct whole w = whole_of(l, files[i].type_no, files[i].aggregate);
            if (round % 7) /* or less than what is there */
                assert_read(&files[i], &w, offsets[i], 1 << 16, &cursors[i]);
            else
                assert_read(&files[i], &w, offsets[i], w.n - offsets[i] > 10 ? w.n - offsets[i] - 10 : 1, &cursors[i]);
            offsets[i] = round % 7 ? w.n : w.n - offsets[i] > 10 ? w.n - 10 : offsets[i] + (offsets[i] < w.n);
            free(w.p);
        }
        fill(l, 1 + (unsigned)random_below(4), round % 10 ? 50 : 20000);
    }
}

static void events_larger_than_a_chunk_read_like_any_other(void **state) {
    struct lib_store *l = *state;
    fill(l, 12, 300000);
    struct file log = {l, 0, 0, 0, 0};
    struct whole w = whole_of(l, 0, 0);
    assert_sequential(&log, &w, 4096);
    assert_sequential(&log, &w, 131072);
    assert_reads_anywhere(&log, &w, 200);
    for (uint64_t position = 1; position <= 12; position++) {
        struct text_event e;
        char *whole = malloc(1 << 20), *part = malloc(1000);
        assert_int_equal(text_stat_event(l->store, position, &e), 0);
        assert_int_equal(text_read_event(l->store, position, 0, whole, 1 << 20), e.size);
        for (uint64_t offset = 0; offset < e.size + 2000; offset += 777) {
            size_t left = offset < e.size ? e.size - offset : 0, want = left < 1000 ? left : 1000;
            assert_int_equal(text_read_event(l->store, position, offset, part, 1000), want);
            assert_memory_equal(part, whole + (left ? offset : 0), want);
        }
        free(whole);
        free(part);
    }
    free(w.p);
}

static void an_event_that_is_not_there_has_no_text(void **state) {
    struct lib_store *l = *state;
    struct text_event e;
    char byte;
    const uint64_t none[] = {0, 6, 7, UINT64_MAX};
    fill(l, 5, 10);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(text_read_event(l->store, none[i], 0, &byte, 1), -ENOENT);
        assert_int_equal(text_stat_event(l->store, none[i], &e), -ENOENT);
    }
    uint64_t size, time;
    journal_stat(store_errors(l->store), STR(""), &size, &time);
    assert_int_equal(size, 0); /* none of it is damage */
}

static void what_is_said_of_an_event_is_in_its_text(void **state) {
    struct lib_store *l = *state;
    fill(l, 50, 50);
    for (uint64_t position = 1; position <= 50; position++) {
        struct text_event e;
        struct index_entry entry;
        char line[1024], want[128], time[EVENT_TIME_CHARS + 1] = "";
        assert_int_equal(text_stat_event(l->store, position, &e), 0);
        assert_int_equal(text_read_event(l->store, position, 0, line, sizeof line), e.size);
        event_time(e.time, time);
        snprintf(want, sizeof want, "{\"time\":\"%s\",\"version\":%llu,\"position\":\"%016llx\"}", time,
                 (unsigned long long)e.version, (unsigned long long)position);
        line[e.size] = '\0';
        LINE_HAS(line, 0, want);
        assert_int_equal(index_entries(store_index(l->store), e.aggregate, e.version, &entry, 1, NULL), 1);
        assert_int_equal(entry.position, position);
        assert_int_equal(entry.size, e.size);
        assert_int_equal(entry.time, e.time);
    }
}

/* --- ranges */

static void a_range_is_its_events_and_no_others(void **state) {
    struct lib_store *l = *state;
    struct index_aggregate a;
    struct channel *c = lib_channel(l, "order", "1");
    for (unsigned i = 0; i < 90; i++) { /* more than are looked up at once */
        char text[64];
        snprintf(text, sizeof text, "{\"type\":\"E\",\"data\":{\"n\":\"%0*u\"}}", (int)(i * 7 % 20) + 1, i);
        assert_int_equal(lib_puts(c, text), strlen(text));
        lib_append(l, "other", "1", "{\"type\":\"E\"}");
    }
    channel_free(c);
    assert_int_equal(lib_find(l->store, "order", "1", &a), 0);
    struct whole w = whole_of(l, 0, a.no);
    size_t ends[91] = {0};
    uint64_t times[91];
    for (uint64_t v = 1; v <= 90; v++) {
        struct text_event e;
        assert_int_equal(text_stat_event(l->store, 2 * v - 1, &e), 0);
        ends[v] = ends[v - 1] + e.size;
        times[v] = e.time;
    }
    assert_int_equal(ends[90], w.n);
    for (uint64_t from = 1; from <= 90; from += 1 + from % 5)
        for (uint64_t to = from; to <= 90; to += 1 + to % 4) {
            struct file range = {l, 0, a.no, from, to};
            struct whole part = {w.p + ends[from - 1], ends[to] - ends[from - 1], to - from + 1};
            struct text_cursor cursor = {0};
            uint64_t size, time;
            assert_read(&range, &part, 0, part.n + 1000, &cursor);
            assert_read(&range, &part, part.n, 1000, &cursor);
            assert_reads_anywhere(&range, &part, 3);
            assert_int_equal(text_stat_range(l->store, a.no, from, to, &size, &time), 0);
            assert_int_equal(size, part.n);
            assert_int_equal(time, times[to]);
        }
    char byte;
    uint64_t size = 1, time = 1;
    struct text_cursor cursor = {0};
    assert_int_equal(text_read_stream(l->store, a.no, 1, 0, 0, &byte, 1, &cursor), 0);
    assert_int_equal(text_stat_range(l->store, a.no, 1, 0, &size, &time), 0);
    assert_int_equal(size, 0);
    assert_int_equal(text_stat_range(l->store, a.no, 1, 91, &size, &time), -ENOENT);
    assert_int_equal(text_stat_range(l->store, a.no, 91, 92, &size, &time), -ENOENT);
    free(w.p);
}

/* --- when */

static void assert_when(struct lib_store *l, uint64_t aggregate, const char *when, uint64_t from, uint64_t to) {
    uint64_t got_from = 77, got_to = 77;
    int r = text_when(l->store, aggregate, str_of(when), &got_from, &got_to);
    if (r != 0 || got_from != from || got_to != to)
        fail_msg("%s: %d, %llu..%llu, wanted %llu..%llu", when, r, (unsigned long long)got_from,
                 (unsigned long long)got_to, (unsigned long long)from, (unsigned long long)to);
}

static void assert_never(struct lib_store *l, uint64_t aggregate, const char *when) {
    uint64_t from, to;
    int r = text_when(l->store, aggregate, str_of(when), &from, &to);
    if (r != -ENOENT)
        fail_msg("\"%s\": %d, not ENOENT", when, r);
}

static uint64_t five_events(struct lib_store *l) {
    struct index_aggregate a;
    for (int i = 0; i < 5; i++)
        lib_append(l, "order", "1", "{\"type\":\"E\"}");
    assert_int_equal(lib_find(l->store, "order", "1", &a), 0);
    return a.no;
}

static void when_may_be_a_version_or_two(void **state) {
    struct lib_store *l = *state;
    uint64_t a = five_events(l);
    assert_when(l, a, "0", 1, 0);
    assert_when(l, a, "1", 1, 1);
    assert_when(l, a, "5", 1, 5);
    assert_when(l, a, "0000000003", 1, 3);
    assert_when(l, a, "1..1", 1, 1);
    assert_when(l, a, "2..4", 2, 4);
    assert_when(l, a, "1..5", 1, 5);
    const char *const never[] = {"6",
                                 "1..6",
                                 "6..6",
                                 "3..2",
                                 "0..1",
                                 "..2",
                                 "2..",
                                 "2.3",
                                 "2...3",
                                 "1..2..3",
                                 "1..2x",
                                 "x1..2",
                                 " 1",
                                 "1 ",
                                 "-1",
                                 "+1",
                                 "0x1",
                                 "1e0",
                                 "",
                                 "..",
                                 "latest",
                                 "18446744073709551617",
                                 "18446744073709551615",
                                 "1..18446744073709551617",
                                 "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        assert_never(l, a, never[i]);
    assert_never(l, a + 1, "0"); /* no such aggregate */
}

static void when_may_be_a_time(void **state) {
    struct lib_store *l = *state;
    uint64_t a = five_events(l);
    for (uint64_t v = 1; v <= 5; v++) {
        struct text_event e;
        char text[EVENT_TIME_CHARS + 8] = "";
        assert_int_equal(text_stat_event(l->store, v, &e), 0);
        event_time(e.time, text);
        assert_when(l, a, text, 1, v);
        event_time(e.time - 1, text);
        assert_when(l, a, text, 1, v - 1);
        event_time(e.time - 1, text);
        strcpy(text + EVENT_TIME_CHARS - 1, "999Z"); /* finer than a microsecond: cut off */
        assert_when(l, a, text, 1, v - 1);
        event_time(e.time + 1000000, text);
        strcpy(text + 19, "Z"); /* a whole second that is not over */
        if (e.time / 1000000 == store_now() / 1000000)
            assert_never(l, a, text);
    }
    char text[EVENT_TIME_CHARS + 8] = "";
    struct text_event first;
    assert_int_equal(text_stat_event(l->store, 1, &first), 0);
    event_time(first.time / 100000 * 100000, text);
    strcpy(text + 21, "Z"); /* a tenth of a second, no digit more */
    assert_when(l, a, text, 1, first.time % 100000 == 0);
    assert_when(l, a, "1970-01-01", 1, 0);
    assert_when(l, a, "1970-01-01T00:00:00Z", 1, 0);
    assert_when(l, a, "2024-02-29", 1, 0);
    assert_when(l, a, "2024-02-29T23:59:59Z", 1, 0);
    assert_when(l, a, "2024-02-29T23:59:59.5Z", 1, 0);
    event_time(first.time, text);
    text[10] = '\0'; /* the day's first moment */
    if (first.time / 86400000000 == store_now() / 86400000000)
        assert_when(l, a, text, 1, 0);
    const char *const never[] = {"2999-01-01",
                                 "2999-01-01T00:00:00Z",
                                 "9999-12-31T23:59:59.999999Z",
                                 "1969-12-31",
                                 "1969-12-31T23:59:59Z",
                                 "2023-02-29",
                                 "2024-02-30",
                                 "2024-13-01",
                                 "2024-00-01",
                                 "2024-01-00",
                                 "2024-01-32",
                                 "2024-04-31",
                                 "2024-1-01",
                                 "2024-01-1",
                                 "24-01-01",
                                 "2024-01",
                                 "2024-01-01T",
                                 "2024-01-01Z",
                                 "2024-01-01T10:00:00",
                                 "2024-01-01T24:00:00Z",
                                 "2024-01-01T10:60:00Z",
                                 "2024-01-01T10:00:60Z",
                                 "2024-01-01T10:00Z",
                                 "2024-01-01T10:00:00.Z",
                                 "2024-01-01 10:00:00Z",
                                 "2024-01-01T10:00:00ZZ",
                                 "2024-01-01T10:00:00+01:00",
                                 "2024-01-01T10:00:00z",
                                 "2024/01/01",
                                 "2024-01-01T1:00:00Z"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        assert_never(l, a, never[i]);
}

static void when_may_be_an_age(void **state) {
    struct lib_store *l = *state;
    uint64_t a = five_events(l);
    assert_when(l, a, "0s-ago", 1, 5);
    assert_when(l, a, "0w-ago", 1, 5);
    assert_when(l, a, "1h-ago", 1, 0);
    assert_when(l, a, "90m-ago", 1, 0);
    assert_when(l, a, "7d-ago", 1, 0);
    assert_when(l, a, "1w-ago", 1, 0);
    assert_when(l, a, "1000000w-ago", 1, 0); /* before 1970 */
    assert_when(l, a, "900000000000000000s-ago", 1, 0);
    struct timespec pause = {.tv_sec = 1, .tv_nsec = 100000000};
    nanosleep(&pause, NULL);
    lib_append(l, "order", "1", "{\"type\":\"E\"}");
    struct text_event fifth, sixth;
    assert_int_equal(text_stat_event(l->store, 5, &fifth), 0);
    assert_int_equal(text_stat_event(l->store, 6, &sixth), 0);
    uint64_t before = store_now(), from, to;
    assert_int_equal(text_when(l->store, a, STR("1s-ago"), &from, &to), 0);
    uint64_t after = store_now();
    if (after - 1000000 < sixth.time && before - 1000000 >= fifth.time)
        assert_int_equal(to, 5);
    const char *const never[] = {
        "s-ago",   "1-ago",   "1y-ago", "1ms-ago",  "-1s-ago", "1s",  "1s-agoo",
        "1 s-ago", "1s-ago ", "1S-ago", "1.5h-ago", "1sago",   "ago", "99999999999999999999s-ago"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        assert_never(l, a, never[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LIB_TEST(every_offset_reads_the_same_bytes),
        LIB_TEST(reading_on_in_odd_sizes_gives_the_whole),
        LIB_TEST(a_reader_at_the_end_goes_on_with_what_is_appended),
        LIB_TEST(events_larger_than_a_chunk_read_like_any_other),
        LIB_TEST(an_event_that_is_not_there_has_no_text),
        LIB_TEST(what_is_said_of_an_event_is_in_its_text),
        LIB_TEST(a_range_is_its_events_and_no_others),
        LIB_TEST(when_may_be_a_version_or_two),
        LIB_TEST(when_may_be_a_time),
        LIB_TEST(when_may_be_an_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
