/* An event store as one would write it on RocksDB's C API: a batch of events, each under its position and with an
 * index key (aggregate, version) beside it, one column family, the WAL synced. It checks no version and parses
 * nothing, so that it is a floor under stores of this shape.
 *
 *   peer_rocks [-w THREADS] [-b EVENTS_A_BATCH] [-s SECONDS] [-d] DIRECTORY
 *
 * -d: options as RocksDB has them by default. Otherwise the settings that made it fastest on the machine at hand:
 * larger and more memtables, pipelined writes, no compression. */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_THREADS 256
#define KEY_BYTES 16

struct peer {
    rocksdb_t *db;
    atomic_uint_fast64_t position;
    size_t batch;
    double until;
};

struct appender {
    struct peer *peer;
    uint64_t events;
    struct samples times;
};

static void check(char *err) {
    errno = 0;
    if (err)
        die("rocksdb: %s", err);
}

/* tag, 7 bytes of a, 8 bytes of b: sorts by a, then by b. */
static void key_make(char key[KEY_BYTES], char tag, uint64_t a, uint64_t b) {
    for (int i = 7; i >= 0; i--, a >>= 8, b >>= 8) {
        key[i] = (char)a;
        key[8 + i] = (char)b;
    }
    key[0] = tag;
}

static void batch_fill(struct peer *p, rocksdb_writebatch_t *batch, uint64_t position) {
    char line[LINE_BYTES], key[KEY_BYTES], value[KEY_BYTES];
    for (size_t i = 0; i < p->batch; i++, position++) {
        uint64_t aggregate = position % AGGREGATES, version = position / AGGREGATES;
        line_make(line, "order", (unsigned)aggregate, version);
        key_make(key, 'e', 0, position);
        rocksdb_writebatch_put(batch, key, sizeof key, line, sizeof line);
        key_make(value, 0, 0, position);
        key_make(key, 'i', aggregate, version);
        rocksdb_writebatch_put(batch, key, sizeof key, value + 8, 8);
    }
}

static void *appender_run(void *arg) {
    struct appender *a = arg;
    struct peer *p = a->peer;
    rocksdb_writeoptions_t *synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(synced, 1);
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    char *err = NULL;
    for (double at = now(), then; at < p->until; samples_add(&a->times, at - then)) {
        then = at;
        rocksdb_writebatch_clear(batch);
        batch_fill(p, batch, atomic_fetch_add(&p->position, p->batch));
        rocksdb_write(p->db, synced, batch, &err);
        check(err);
        a->events += p->batch;
        at = now();
    }
    rocksdb_writebatch_destroy(batch);
    rocksdb_writeoptions_destroy(synced);
    return NULL;
}

static rocksdb_options_t *options_make(bool tuned) {
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_error_if_exists(o, 1);
    if (tuned) {
        rocksdb_options_set_write_buffer_size(o, 64u << 20);
        rocksdb_options_set_max_write_buffer_number(o, 4);
        rocksdb_options_set_enable_pipelined_write(o, 1);
        rocksdb_options_set_max_background_jobs(o, 3);
        rocksdb_options_set_compression(o, rocksdb_no_compression);
    }
    return o;
}

static void append_measure(struct peer *p, unsigned threads, double seconds) {
    static struct appender appenders[MOST_THREADS];
    pthread_t ids[MOST_THREADS];
    double began = now();
    p->until = began + seconds;
    for (unsigned i = 0; i < threads; i++) {
        appenders[i].peer = p;
        if (pthread_create(&ids[i], NULL, appender_run, &appenders[i]) != 0)
            die("pthread_create");
    }
    uint64_t events = 0;
    struct samples medians = {0};
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        events += appenders[i].events;
        samples_add(&medians, samples_at(&appenders[i].times, 0.5));
        samples_free(&appenders[i].times);
    }
    report("", (double)events / (now() - began), "events/s");
    report(" p50", samples_at(&medians, 0.5) * 1e6, "us");
    samples_free(&medians);
}

int main(int argc, char **argv) {
    unsigned threads = 1;
    double seconds = 3;
    bool tuned = true;
    struct peer p = {.batch = 1};
    for (int c; (c = getopt(argc, argv, "w:b:s:d")) != -1;) {
        if (c == 'w')
            threads = (unsigned)number(optarg);
        else if (c == 'b')
            p.batch = number(optarg);
        else if (c == 's')
            seconds = atof(optarg);
        else if (c == 'd')
            tuned = false;
        else
            return 2;
    }
    errno = 0;
    if (optind + 1 != argc || threads < 1 || threads > MOST_THREADS)
        die("usage: see the head of peer_rocks.c");
    char *err = NULL;
    rocksdb_options_t *options = options_make(tuned);
    p.db = rocksdb_open(options, argv[optind], &err);
    check(err);
    append_measure(&p, threads, seconds);
    rocksdb_close(p.db);
    rocksdb_destroy_db(options, argv[optind], &err);
    rocksdb_options_destroy(options);
    return 0;
}
