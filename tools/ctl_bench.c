/* esfsctl bench: appends to and reads from the engine in this process, without a mount, in a new store in $SCRATCH
 * that is removed afterwards. Each measure takes $SECS seconds and is printed as
 *     peer <TAB> measure <TAB> value <TAB> unit
 * which is what other stores' benchmarks print, so that their lines can be put side by side. */
#include "ctl.h"
#include "ctl_load.h"
#include "text.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PEER "esfs engine"
#define WRITERS 32
#define READ_BYTES (1 << 20)
#define COMMAND_LINE (LOAD_COMMAND_BYTES + 1)

struct bench {
    struct store *store;
    double seconds;
    uint32_t versions[LOAD_AGGREGATES];
    uint64_t events;
    char read[READ_BYTES];
};

/* One writer of one measure. */
struct bench_writer {
    struct bench *bench;
    struct load load;
    size_t batch; /* commands a write */
    double until;
    int failure;
    struct load_times times;
};

static void report(const char *measure, double value, const char *unit) {
    printf(PEER "\t%s\t%.6g\t%s\n", measure, value, unit);
    fflush(stdout);
}

/* --- appending */

static int writer_loop(struct bench_writer *w, struct load_writer *out, char *bytes) {
    for (double now = load_now(); now < w->until;) {
        char *end = bytes;
        for (size_t i = 0; i < w->batch; i++)
            end = load_command(&w->load, end);
        int r = load_write(out, bytes, (size_t)(end - bytes));
        if (r < 0)
            return r;
        double then = now;
        now = load_now();
        load_time_add(&w->times, now - then);
    }
    return 0;
}

static void *writer_run(void *arg) {
    struct bench_writer *w = arg;
    struct load_writer out;
    char *bytes = malloc(w->batch * COMMAND_LINE);
    w->failure = bytes ? load_writer_open(&out, w->bench->store) : -ENOMEM;
    if (w->failure == 0) {
        w->failure = writer_loop(w, &out, bytes);
        load_writer_close(&out);
    }
    free(bytes);
    return NULL;
}

static void append_report(const char *measure, struct bench_writer *writers, unsigned n, double seconds) {
    char name[96];
    uint64_t events = 0;
    for (unsigned i = 0; i < n; i++)
        events += writers[i].load.made;
    writers[0].bench->events += events;
    report(measure, (double)events / seconds, "events/s");
    snprintf(name, sizeof name, "%s p50", measure);
    report(name, load_time_at(&writers[0].times, 0.5) * 1e6, "us");
    snprintf(name, sizeof name, "%s p99", measure);
    report(name, load_time_at(&writers[0].times, 0.99) * 1e6, "us");
}

static int append_measure(struct bench *b, size_t batch, unsigned n) {
    struct bench_writer writers[WRITERS];
    pthread_t threads[WRITERS];
    char measure[64];
    unsigned started = 0;
    double begin = load_now();
    for (unsigned i = 0; i < n; i++) {
        writers[i] = (struct bench_writer){.bench = b, .batch = batch, .until = begin + b->seconds};
        writers[i].load = (struct load){.first = i, .step = n, .at = i, .versions = b->versions};
    }
    while (started < n && pthread_create(&threads[started], NULL, writer_run, &writers[started]) == 0)
        started++;
    int r = started == n ? 0 : -EAGAIN;
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        r = r ? r : writers[i].failure;
    }
    snprintf(measure, sizeof measure, "append N=%zu, %u writer%s", batch, n, n == 1 ? "" : "s");
    if (r == 0)
        append_report(measure, writers, n, load_now() - begin);
    for (unsigned i = 0; i < n; i++)
        load_times_free(&writers[i].times);
    return r;
}

/* --- reading */

static size_t lines_count(const char *bytes, size_t n) {
    size_t lines = 0;
    for (const char *p = bytes; (p = memchr(p, '\n', n - (size_t)(p - bytes))); p++)
        lines++;
    return lines;
}

/* log.ndjson from its start, again and again. */
static int scan_measure(struct bench *b) {
    struct text_cursor cursor = {0};
    uint64_t offset = 0, bytes = 0, events = 0;
    double begin = load_now(), now = begin;
    for (; now - begin < b->seconds; now = load_now()) {
        ssize_t n = text_read_log(b->store, 0, offset, b->read, sizeof b->read, &cursor);
        if (n < 0)
            return (int)n;
        events += lines_count(b->read, (size_t)n);
        bytes += (uint64_t)n;
        offset = n > 0 ? offset + (uint64_t)n : 0;
    }
    report("scan all events", (double)events / (now - begin), "events/s");
    report("scan all events", (double)bytes / (now - begin) / 1e6, "MB/s");
    return 0;
}

static uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int random_measure(struct bench *b) {
    struct load_times times = {0};
    uint64_t random = 88172645463325252ULL;
    double begin = load_now(), now = begin;
    int r = 0;
    while (r == 0 && now - begin < b->seconds) {
        uint64_t position = 1 + random_next(&random) % b->events;
        ssize_t n = text_read_event(b->store, position, 0, b->read, sizeof b->read);
        r = n > 0 ? 0 : n < 0 ? (int)n : -ENOENT;
        double then = now;
        now = load_now();
        load_time_add(&times, now - then);
    }
    if (r == 0) {
        report("random events", (double)times.n / (now - begin), "events/s");
        report("random events p50", load_time_at(&times, 0.5) * 1e6, "us");
        report("random events p99", load_time_at(&times, 0.99) * 1e6, "us");
    }
    load_times_free(&times);
    return r;
}

/* Whole streams of aggregates at random: from a name to the last byte. */
static int stream_measure(struct bench *b) {
    uint64_t random = 88172645463325252ULL, events = 0;
    struct index *index = store_index(b->store);
    struct index_type type;
    if (index_type_by_name(index, STR("order"), &type) != 0)
        return -ENOENT;
    double begin = load_now(), now = begin;
    for (; now - begin < b->seconds; now = load_now()) {
        struct index_aggregate a;
        struct text_cursor cursor = {0};
        char id[32];
        snprintf(id, sizeof id, "order-%06u", (unsigned)(random_next(&random) % LOAD_AGGREGATES));
        int r = index_aggregate_by_name(index, type.no, str_of(id), &a, NULL);
        if (r != 0)
            return r < 0 ? r : -ENOENT;
        ssize_t n;
        for (uint64_t at = 0; at < a.bytes; at += (uint64_t)n)
            if ((n = text_read_stream(b->store, a.no, 1, a.version, at, b->read, sizeof b->read, &cursor)) <= 0)
                return n < 0 ? (int)n : -EIO;
        events += a.version;
    }
    report("random streams", (double)events / (now - begin), "events/s");
    return 0;
}

/* --- the verb */

static int measure_all(struct bench *b) {
    int r = append_measure(b, (1 << 20) / COMMAND_LINE, 1);
    r = r ? r : append_measure(b, 1000, 1);
    r = r ? r : append_measure(b, 1, 1);
    r = r ? r : append_measure(b, 1, WRITERS);
    r = r ? r : scan_measure(b);
    r = r ? r : random_measure(b);
    return r ? r : stream_measure(b);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)type, (void)at;
    return remove(path);
}

static int bench_run(const char *path, double seconds) {
    struct err err = {0};
    struct bench *b = calloc(1, sizeof *b);
    if (!b)
        return ctl_fail("bench", "out of memory");
    b->seconds = seconds;
    const struct store_options options = {0};
    int status = 0;
    if (store_open(&b->store, path, &options, &err) < 0) {
        status = ctl_fail("bench", err.text);
    } else {
        int r = measure_all(b);
        status = r < 0 ? ctl_fail("bench", strerror(-r)) : 0;
        if (store_close(b->store) < 0)
            status = ctl_fail("bench", "what was accepted could not be made durable");
    }
    free(b);
    return status;
}

int bench_main(int argc, char **argv) {
    if (argc != 1)
        return ctl_usage(argv[0], "   (environment: SECS, seconds a measure, 5; SCRATCH, a directory, /tmp)");
    const char *seconds = getenv("SECS"), *scratch = getenv("SCRATCH");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/esfs-bench-XXXXXX", scratch ? scratch : "/tmp");
    if (!mkdtemp(path)) {
        fprintf(stderr, "esfsctl bench: %s: %s\n", path, strerror(errno));
        return CTL_FAILED;
    }
    int status = bench_run(path, seconds ? atof(seconds) : 5);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}
