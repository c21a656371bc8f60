/* For tests of consumers: readers whose lines are numbers of events, and waits that are counted. */
#ifndef ESFS_TEST_LIB_CONSUMERS_H
#define ESFS_TEST_LIB_CONSUMERS_H

#include "consumers.h"
#include "lib_store.h"

#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

/* Appends n events of a type to an aggregate; data counts. */
static inline void consume_append(struct lib_store *l, const char *type, const char *id, const char *event, int n) {
    struct channel *c = lib_channel(l, type, id);
    for (int i = 0; i < n; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"type\":\"%s\",\"data\":{\"n\":%d}}\n", event, i);
        assert_int_equal(lib_puts(c, text), strlen(text));
    }
    channel_free(c);
}

static inline uint32_t consume_make(struct lib_store *l, const char *name) {
    struct consumer_info info;
    assert_int_equal(consumers_make(store_consumers(l->store), str_of(name)), 0);
    assert_int_equal(consumers_find(store_consumers(l->store), str_of(name), &info), 0);
    return info.no;
}

static inline struct consumer_info consume_info(struct lib_store *l, uint32_t no) {
    struct consumer_info info;
    assert_int_equal(consumers_get(store_consumers(l->store), no, &info), 0);
    return info;
}

/* .status.json, for json_decref(). */
static inline json_t *consume_status(struct lib_store *l, uint32_t no) {
    struct buf text = {0};
    assert_int_equal(consumers_status(store_consumers(l->store), no, &text), 0);
    json_t *status = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    buf_free(&text);
    assert_non_null(status);
    return status;
}

static inline uint64_t consume_figure(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    assert_true(json_is_integer(value));
    return (uint64_t)json_integer_value(value);
}

/* Text with what the parser wants behind it; valid until the fourth call after this one. */
static inline struct str consume_padded(const char *text) {
    static __thread char room[4][CONSUMER_CONFIG_BYTES + 4096];
    static __thread unsigned turn;
    char *p = room[turn++ % 4];
    size_t n = strlen(text);
    assert_true(n + JSON_PADDING < sizeof room[0]);
    memcpy(p, text, n);
    memset(p + n, 0, JSON_PADDING);
    return (struct str){p, n};
}

static inline int consume_configure(struct lib_store *l, uint32_t no, const char *json) {
    return consumers_configure(store_consumers(l->store), no, consume_padded(json));
}

static inline uint32_t consume_make_group(struct lib_store *l, const char *name) {
    uint32_t no = consume_make(l, name);
    assert_int_equal(consume_configure(l, no, "{\"group\":true}"), 0);
    return no;
}

static inline struct reader *consume_open(struct lib_store *l, uint32_t no, enum reader_kind kind) {
    struct reader *r = NULL;
    assert_int_equal(reader_open(&r, store_consumers(l->store), no, kind, &lib_caller), 0);
    return r;
}

/* The positions of the lines of a text, as `1 2 3`, for free(). */
static inline char *consume_positions(const char *text, size_t n) {
    const char *key = "\"position\":\"";
    char *out = calloc(1, n + 32), *to = out;
    for (const char *p = text; (p = memmem(p, (size_t)(text + n - p), key, strlen(key))); p++)
        to += sprintf(to, to == out ? "%" PRIu64 : " %" PRIu64, (uint64_t)strtoull(p + strlen(key), NULL, 16));
    return out;
}

/* Everything that there is for a reader, by reads of `room` bytes. The result of the last read is *last. For free(). */
static inline char *consume_read(struct reader *r, size_t room, size_t *n, ssize_t *last) {
    size_t cap = 1 << 16, used = 0;
    char *text = malloc(cap + 1), *piece = malloc(room);
    for (;;) {
        ssize_t got = *last = reader_read(r, piece, room);
        if (got <= 0)
            break;
        assert_true((size_t)got <= room);
        while (used + (size_t)got > cap)
            text = realloc(text, (cap *= 2) + 1);
        memcpy(text + used, piece, (size_t)got);
        used += (size_t)got;
    }
    free(piece);
    text[used] = '\0';
    *n = used;
    return text;
}

/* The reader has exactly these positions to give now, and then says `last`. */
static inline void consume_gives(struct reader *r, const char *positions, ssize_t last) {
    size_t n;
    ssize_t said;
    char *text = consume_read(r, 8192, &n, &said), *got = consume_positions(text, n);
    assert_string_equal(got, positions);
    assert_int_equal(said, last);
    free(text);
    free(got);
}

/* Opens and closes a descriptor that is given these positions, as a follower would be that comes now. */
static inline void consume_pending(struct lib_store *l, uint32_t no, const char *positions) {
    struct reader *r = consume_open(l, no, READER_PENDING);
    consume_gives(r, positions, 0);
    reader_close(r);
}

/* One line: its position; 0 for none. */
static inline uint64_t consume_one(struct reader *r) {
    char c;
    char line[8192];
    size_t n = 0;
    ssize_t got;
    while ((got = reader_read(r, &c, 1)) == 1) {
        line[n++] = c;
        if (c == '\n')
            break;
    }
    if (n == 0)
        return 0;
    char *positions = consume_positions(line, n);
    uint64_t position = strtoull(positions, NULL, 10);
    free(positions);
    return position;
}

/* Acknowledges with fresh state of a descriptor. */
static inline ssize_t consume_ack_text(struct lib_store *l, uint32_t no, const char *text) {
    struct ack_text state = {0};
    return consumers_ack(store_consumers(l->store), no, &state, text, strlen(text));
}

static inline ssize_t consume_ack(struct lib_store *l, uint32_t no, uint64_t position) {
    char text[32];
    snprintf(text, sizeof text, "%016" PRIx64 "\n", position);
    return consume_ack_text(l, no, text);
}

static inline ssize_t consume_ack_by(struct reader *r, uint64_t position) {
    struct ack_text state = {0};
    char text[32];
    snprintf(text, sizeof text, "%016" PRIx64 "\n", position);
    return reader_ack(r, &state, text, strlen(text));
}

static inline int consume_nack(struct lib_store *l, uint32_t no, uint64_t position, const char *reason) {
    char text[256];
    snprintf(text, sizeof text, "{\"position\":\"%016" PRIx64 "\",\"reason\":\"%s\"}", position, reason);
    return consumers_nack(store_consumers(l->store), no, consume_padded(text), &lib_caller);
}

/* --- waits */

struct consume_wait {
    struct reader_wait wait; /* first */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int calls;
};

static inline void consume_woken(struct reader_wait *wait) {
    struct consume_wait *w = (struct consume_wait *)wait;
    pthread_mutex_lock(&w->lock);
    w->calls++;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static inline void consume_wait_begin(struct consume_wait *w, struct reader *r) {
    *w = (struct consume_wait){.wait.wake = consume_woken};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->cond, NULL);
    assert_int_equal(reader_wait(r, &w->wait), 0);
}

/* True when it was called within so many milliseconds. */
static inline bool consume_wait_for(struct consume_wait *w, int ms) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += (long)(ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    int r = 0;
    pthread_mutex_lock(&w->lock);
    while (!w->calls && r == 0)
        r = pthread_cond_timedwait(&w->cond, &w->lock, &end);
    bool called = w->calls > 0;
    pthread_mutex_unlock(&w->lock);
    return called;
}

#define CONSUME_SOON 60000 /* ms: longer than anything takes, also on a disk that has stalled */
#define CONSUME_NEVER 100  /* ms: after which a call that must not come would have come */

/* --- errors */

static inline void consume_error_says(struct lib_store *l, const char *words) {
    char *text = lib_topic(store_errors(l->store), "");
    if (!strstr(text, words))
        fail_msg("errors do not say `%s`:\n%s", words, text);
    free(text);
}

#endif
