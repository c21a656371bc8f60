/* Channels under load: large writes, and several channels at once. */
#include "channel.h"

#include "event.h"
#include "lib_store.h"

#include <errno.h>

/* --- large writes: several slices, several blocks */

/* n commands of some bytes each; the k-th (from 0) is the refused one. starts[i]: where the i-th begins. */
static char *large_text(size_t n, size_t k, size_t bytes, const char *bad, size_t *starts, size_t *size) {
    char *text = malloc(n * (bytes + 64) + 64), *p = text;
    for (size_t i = 0; i < n; i++) {
        starts[i] = (size_t)(p - text);
        p += i == k ? sprintf(p, "%s", bad) : sprintf(p, "{\"type\":\"A\",\"data\":{\"p\":\"%0*zu\"}}", (int)bytes, i);
        if (i % 3)
            *p++ = '\n';
    }
    starts[n] = *size = (size_t)(p - text);
    return text;
}

static void refuse_in_large_write(struct lib_store *l, size_t n, size_t k, size_t bytes, const char *bad, int code) {
    char id[32], want[64];
    size_t size, *starts = calloc(n + 1, sizeof *starts);
    char *text = large_text(n, k, bytes, bad, starts, &size);
    snprintf(id, sizeof id, "%zu-%zu-%zu-%d", n, k, bytes, code);
    struct channel *c = lib_channel(l, "order", id);
    assert_int_equal(lib_write(c, text, size), k ? (ssize_t)starts[k] : -code);
    assert_int_equal(lib_version(l, "order", id), k ? (long)k : -1);
    char *lines = lib_results(c);
    assert_int_equal(lib_count(lines, "\n"), k + 1);
    LINE_HAS(lines, k, "{\"status\":\"rejected\"}");
    if (k) {
        snprintf(want, sizeof want, "{\"status\":\"appended\",\"version\":%zu}", k);
        LINE_HAS(lines, k - 1, want);
        assert_int_equal(lib_write(c, text + starts[k], size - starts[k]), -code);
        assert_int_equal(lib_version(l, "order", id), k);
    }
    free(lines);
    if (k + 1 < n) { /* and what comes behind it is fine */
        assert_int_equal(lib_write(c, text + starts[k + 1], size - starts[k + 1]), size - starts[k + 1]);
        assert_int_equal(lib_version(l, "order", id), n - 1);
        char *stream = lib_stream(l, "order", id);
        const char *at = stream;
        for (size_t i = 0; i < n; i++) { /* all of them, in order */
            snprintf(want, sizeof want, "%010zu\"}}\n", i);
            assert_true(i == k || lib_line_holds(lib_line_next(&at), want));
        }
        assert_string_equal(at, "");
        free(stream);
    }
    channel_free(c);
    free(text);
    free(starts);
}

static void a_large_write_stops_at_the_value_that_is_refused(void **state) {
    struct lib_store *l = *state;
    const char *conflict = "{\"type\":\"B\",\"expectedVersion\":999999}", *invalid = "{\"typo\":1}", *cut = "{]";
    /* slices end at 256 requests */
    const size_t small[] = {0, 1, 255, 256, 257, 511, 512, 700, 899};
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        refuse_in_large_write(l, 900, small[i], 10, conflict, ESTALE);
        refuse_in_large_write(l, 900, small[i], 10, invalid, EINVAL);
        refuse_in_large_write(l, 900, small[i], 10, cut, EBADMSG);
    }
    /* or at 64 KiB, of which a block takes sixteen: here 3 to a slice */
    const size_t large[] = {0, 2, 3, 10, 50, 59};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        refuse_in_large_write(l, 60, large[i], 30000, conflict, ESTALE);
        refuse_in_large_write(l, 60, large[i], 30000, invalid, EINVAL);
    }
}

static void a_large_write_is_taken_whole_in_order(void **state) {
    struct lib_store *l = *state;
    const size_t n = 5000;
    size_t size, *starts = calloc(n + 1, sizeof *starts);
    char *text = large_text(n, n, 500, "", starts, &size);
    struct channel *c = lib_channel(l, "order", "1");
    /* the last value comes with a later write: everything else is carried on as usual */
    size_t cut = starts[n - 1] + 5;
    assert_int_equal(lib_write(c, text, cut), cut);
    assert_int_equal(lib_version(l, "order", "1"), n - 1);
    assert_int_equal(lib_write(c, text + cut, size - cut), size - cut);
    assert_int_equal(lib_version(l, "order", "1"), n);
    char *log = lib_log(l, &size);
    const char *at = log;
    for (size_t i = 0; i < n; i++) {
        char number[16];
        snprintf(number, sizeof number, "%06zu\"}}\n", i);
        assert_true(lib_line_holds(lib_line_next(&at), number));
    }
    free(log);
    free(text);
    free(starts);
    channel_free(c);
}

static void a_duplicate_in_a_later_slice_is_known(void **state) {
    struct lib_store *l = *state;
    char *text = malloc(1000 * 64), *p = text;
    for (int i = 0; i < 1000; i++)
        p += sprintf(p, "{\"type\":\"A\",\"id\":\"i%d\"}\n", i % 400);
    struct channel *c = lib_channel(l, "order", "1");
    assert_int_equal(lib_write(c, text, (size_t)(p - text)), p - text);
    char *lines = lib_results(c);
    assert_int_equal(lib_version(l, "order", "1"), 400);
    assert_int_equal(lib_count(lines, "\n"), 1000);
    assert_int_equal(lib_count(lines, "\"duplicate\":true"), 600);
    LINE_HAS(lines, 999, "{\"version\":200,\"duplicate\":true,\"commandid\":\"i199\"}");
    free(lines);
    free(text);
    channel_free(c);
}

/* While a block is being written, the next one is decided: what the first holds must be known already. */
static void a_duplicate_of_a_block_in_flight_is_known(void **state) {
    struct lib_store *l = *state;
    const int n = 600; /* of 8 KiB each: several blocks */
    char *text = malloc((size_t)n * 8400), *p = text;
    for (int i = 0; i < n; i++)
        p += sprintf(p, "{\"type\":\"A\",\"id\":\"i%d\"}{\"type\":\"B\",\"data\":{\"p\":\"%08192d\"}}", i % 4, i);
    for (int round = 0; round < 5; round++) {
        char id[16];
        snprintf(id, sizeof id, "%d", round);
        struct channel *c = lib_channel(l, "order", id);
        assert_int_equal(lib_write(c, text, (size_t)(p - text)), p - text);
        char *lines = lib_results(c);
        assert_int_equal(lib_count(lines, "\"duplicate\":true"), n - 4);
        assert_int_equal(lib_version(l, "order", id), n + 4);
        free(lines);
        channel_free(c);
    }
    free(text);
}

/* --- several channels at once */

#define THREADS 8

/* Threads that do something at the same moment, with what they saw. */
struct worker {
    struct lib_store *store;
    pthread_barrier_t *barrier;
    unsigned no, rounds;
    unsigned appended, duplicates, conflicts, wrong;
};

static void run_workers(struct lib_store *l, void *(*run)(void *), unsigned rounds, struct worker workers[THREADS]) {
    pthread_barrier_t barrier;
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.store = l, .barrier = &barrier, .no = i, .rounds = rounds};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
}

/* Everybody sends the same id; in odd rounds together with commands of his own, in a block that may be in flight. */
static void *send_same_ids(void *arg) {
    struct worker *w = arg;
    for (unsigned round = 0; round < w->rounds; round++) {
        char text[128], *lines;
        snprintf(text, sizeof text, "{\"type\":\"A\",\"id\":\"r%u\"}", round);
        pthread_barrier_wait(w->barrier);
        if (round % 2)
            lib_send(w->store, "noise", "1", "{\"type\":\"N\"}", NULL);
        w->wrong += lib_send(w->store, "order", "1", text, &lines) != (ssize_t)strlen(text);
        bool duplicate = strstr(lines, "\"duplicate\":true");
        w->duplicates += duplicate;
        w->appended += !duplicate && strstr(lines, "\"appended\"");
        snprintf(text, sizeof text, "\"version\":%u,", round + 1);
        w->wrong += !strstr(lines, text);
        free(lines);
    }
    return NULL;
}

static void an_id_that_many_send_at_once_is_appended_once(void **state) {
    struct lib_store *l = *state;
    struct worker workers[THREADS];
    unsigned appended = 0, duplicates = 0;
    run_workers(l, send_same_ids, 100, workers);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(workers[i].wrong, 0);
        appended += workers[i].appended;
        duplicates += workers[i].duplicates;
    }
    assert_int_equal(appended, 100);
    assert_int_equal(duplicates, 100 * (THREADS - 1));
    assert_int_equal(lib_version(l, "order", "1"), 100);
}

static void *append_much(void *arg) {
    struct worker *w = arg;
    char id[16], large[3000], *p = large;
    snprintf(id, sizeof id, "%u", w->no);
    for (int i = 0; i < 100; i++)
        p += sprintf(p, "{\"type\":\"A\",\"data\":{\"w\":%u}}", w->no);
    const struct scope own = {STR("own"), str_of(id)}, shared = {STR("shared"), STR("1")};
    struct channel *c = channel_new(w->store->store, &own, &lib_caller, false);
    struct channel *s = channel_new(w->store->store, &shared, &lib_caller, true);
    pthread_barrier_wait(w->barrier);
    for (unsigned i = 0; i < w->rounds; i++) {
        w->wrong += lib_write(c, large, (size_t)(p - large)) != p - large;
        w->wrong += lib_puts(s, "{\"type\":\"S\"}") != 12;
        if (i % 8 == w->no)
            w->wrong += store_sync(w->store->store) != 0;
    }
    char *lines = lib_results(s);
    unsigned long before = 0;
    for (const char *v = lines; (v = strstr(v, "\"version\":")); v++) {
        unsigned long version = strtoul(v + 10, NULL, 10);
        w->wrong += version <= before;
        before = version;
        w->appended++;
    }
    free(lines);
    channel_free(c);
    channel_free(s);
    return NULL;
}

static void channels_in_several_threads_lose_and_mix_nothing(void **state) {
    struct lib_store *l = *state;
    struct worker workers[THREADS];
    run_workers(l, append_much, 30, workers);
    assert_int_equal(lib_version(l, "shared", "1"), 30 * THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        char id[16], data[32];
        assert_int_equal(workers[i].wrong, 0);
        assert_int_equal(workers[i].appended, 30);
        snprintf(id, sizeof id, "%u", i);
        snprintf(data, sizeof data, "\"data\":{\"w\":%u}}\n", i);
        char *stream = lib_stream(l, "own", id);
        assert_int_equal(lib_version(l, "own", id), 3000);
        assert_int_equal(lib_count(stream, data), 3000);
        free(stream);
    }
    size_t n;
    char *log = lib_log(l, &n), before[EVENT_TIME_CHARS + 1] = "";
    uint64_t position = 0;
    for (const char *at = log; at < log + n;) { /* no gap; times strictly ascend */
        char want[64];
        const struct str line = lib_line_next(&at);
        const char *time = lib_line_find(line, "\"time\":\"") + 8;
        snprintf(want, sizeof want, "\"position\":\"%016llx\"", (unsigned long long)++position);
        assert_true(lib_line_holds(line, want));
        assert_true(strncmp(before, time, EVENT_TIME_CHARS) < 0);
        memcpy(before, time, EVENT_TIME_CHARS);
    }
    assert_int_equal(position, THREADS * 30 * 101);
    free(log);
}

static void *race_for_versions(void *arg) {
    struct worker *w = arg;
    for (unsigned i = 0; i < w->rounds; i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "{\"type\":\"A\",\"expectedVersion\":%u}", i);
        pthread_barrier_wait(w->barrier);
        ssize_t taken = lib_send(w->store, "order", "1", text, NULL);
        w->appended += taken == n;
        w->conflicts += taken == -ESTALE;
    }
    return NULL;
}

static void of_many_who_expect_a_version_one_wins(void **state) {
    struct lib_store *l = *state;
    struct worker workers[THREADS];
    unsigned appended = 0, conflicts = 0;
    run_workers(l, race_for_versions, 100, workers);
    for (unsigned i = 0; i < THREADS; i++) {
        appended += workers[i].appended;
        conflicts += workers[i].conflicts;
    }
    assert_int_equal(appended, 100);
    assert_int_equal(conflicts, 100 * (THREADS - 1));
    assert_int_equal(lib_version(l, "order", "1"), 100);
}

struct freeing {
    struct channel *channel;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool gone;
};

/* The one who waits for the answer may free the channel at once. */
static void free_channel(void *arg, ssize_t taken) {
    struct freeing *f = arg;
    (void)taken;
    channel_free(f->channel);
    pthread_mutex_lock(&f->lock);
    f->gone = true;
    pthread_cond_signal(&f->cond);
    pthread_mutex_unlock(&f->lock);
}

static void a_channel_may_be_freed_as_soon_as_its_write_was_answered(void **state) {
    static const char *const texts[] = {"{\"type\":\"A\"}", "{\"type\":", "{\"typo\":1}", "", " "};
    struct lib_store *l = *state;
    for (size_t i = 0; i < 100; i++) {
        const char *text = texts[i % 5];
        struct freeing f = {lib_channel(l, "order", "1"), PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
        channel_write(f.channel, text, strlen(text), free_channel, &f);
        pthread_mutex_lock(&f.lock);
        while (!f.gone)
            pthread_cond_wait(&f.cond, &f.lock);
        pthread_mutex_unlock(&f.lock);
    }
    assert_int_equal(lib_version(l, "order", "1"), 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LIB_TEST(an_id_that_many_send_at_once_is_appended_once),
        LIB_TEST(a_large_write_stops_at_the_value_that_is_refused),
        LIB_TEST(a_large_write_is_taken_whole_in_order),
        LIB_TEST(a_duplicate_in_a_later_slice_is_known),
        LIB_TEST(a_duplicate_of_a_block_in_flight_is_known),
        LIB_TEST(channels_in_several_threads_lose_and_mix_nothing),
        LIB_TEST(of_many_who_expect_a_version_one_wins),
        LIB_TEST(a_channel_may_be_freed_as_soon_as_its_write_was_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
