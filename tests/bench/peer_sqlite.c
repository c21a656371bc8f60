/* An event store as one would write it on SQLite: WAL, synchronous=FULL, one table, the expected version checked by
 * the statement that inserts.
 *
 *   peer_sqlite append [-b EVENTS_A_TRANSACTION] [-s SECONDS] FILE     a new file, removed afterwards
 *   peer_sqlite fill   [-n EVENTS] FILE                                a file for `scan`; not synced
 *   peer_sqlite scan   FILE                                            every event in order, once */
#include "bench.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CREATE                                                                                                         \
    "CREATE TABLE events(position INTEGER PRIMARY KEY, aggregate TEXT NOT NULL, version INTEGER NOT NULL,"             \
    " data TEXT NOT NULL, UNIQUE(aggregate, version))"
#define INSERT                                                                                                         \
    "INSERT INTO events(aggregate, version, data) SELECT ?1, ?2 + 1, ?3"                                               \
    " WHERE (SELECT coalesce(max(version), 0) FROM events WHERE aggregate = ?1) = ?2"

struct peer {
    sqlite3 *db;
    sqlite3_stmt *insert;
    uint64_t events;
};

static void run(struct peer *p, const char *sql) {
    errno = 0;
    if (sqlite3_exec(p->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die("sqlite: %s: %s", sql, sqlite3_errmsg(p->db));
}

static sqlite3_stmt *prepare(struct peer *p, const char *sql) {
    sqlite3_stmt *s;
    errno = 0;
    if (sqlite3_prepare_v3(p->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK)
        die("sqlite: %s: %s", sql, sqlite3_errmsg(p->db));
    return s;
}

static void open_file(struct peer *p, const char *path, const char *synchronous) {
    errno = 0;
    if (sqlite3_open(path, &p->db) != SQLITE_OK)
        die("sqlite: %s: %s", path, sqlite3_errmsg(p->db));
    run(p, "PRAGMA journal_mode=WAL");
    run(p, synchronous);
}

static void append(struct peer *p) {
    char line[LINE_BYTES], aggregate[32];
    unsigned no = (unsigned)(p->events % AGGREGATES);
    uint64_t version = p->events / AGGREGATES;
    snprintf(aggregate, sizeof aggregate, "order-%06u", no);
    line_make(line, "order", no, version);
    sqlite3_bind_text(p->insert, 1, aggregate, -1, SQLITE_STATIC);
    sqlite3_bind_int64(p->insert, 2, (sqlite3_int64)version);
    sqlite3_bind_text(p->insert, 3, line, LINE_BYTES, SQLITE_STATIC);
    if (sqlite3_step(p->insert) != SQLITE_DONE || sqlite3_changes(p->db) != 1)
        die("sqlite: %s", sqlite3_errmsg(p->db));
    sqlite3_reset(p->insert);
    p->events++;
}

static void transaction(struct peer *p, uint64_t n) {
    run(p, "BEGIN IMMEDIATE");
    while (n-- > 0)
        append(p);
    run(p, "COMMIT");
}

static void append_run(struct peer *p, const char *path, uint64_t batch, double seconds) {
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct samples times = {0};
    open_file(p, path, "PRAGMA synchronous=FULL");
    run(p, CREATE);
    p->insert = prepare(p, INSERT);
    double began = now(), at = began;
    for (double then; at - began < seconds; samples_add(&times, at - then)) {
        then = at;
        transaction(p, batch);
        at = now();
    }
    report("", (double)p->events / (at - began), "events/s");
    report(" p50", samples_at(&times, 0.5) * 1e6, "us");
    samples_free(&times);
    sqlite3_finalize(p->insert);
    sqlite3_close(p->db);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

static void fill_run(struct peer *p, const char *path, uint64_t events) {
    open_file(p, path, "PRAGMA synchronous=OFF");
    run(p, CREATE);
    p->insert = prepare(p, INSERT);
    while (p->events < events)
        transaction(p, events - p->events < 10000 ? events - p->events : 10000);
    sqlite3_finalize(p->insert);
    run(p, "PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite3_close(p->db);
}

static void scan_run(struct peer *p, const char *path) {
    open_file(p, path, "PRAGMA synchronous=FULL");
    sqlite3_stmt *all = prepare(p, "SELECT position, aggregate, version, data FROM events ORDER BY position");
    uint64_t events = 0, bytes = 0;
    double began = now();
    for (; sqlite3_step(all) == SQLITE_ROW; events++)
        bytes += (uint64_t)sqlite3_column_bytes(all, 3);
    double seconds = now() - began;
    errno = 0;
    if (bytes != events * LINE_BYTES || events == 0)
        die("sqlite: %ju events of %ju bytes", (uintmax_t)events, (uintmax_t)bytes);
    report("", (double)events / seconds, "events/s");
    sqlite3_finalize(all);
    sqlite3_close(p->db);
}

int main(int argc, char **argv) {
    struct peer p = {0};
    double seconds = 3;
    uint64_t batch = 1000, events = 1000000;
    const char *verb = argc > 1 ? argv[1] : "";
    argv++, argc--;
    for (int c; argc > 0 && (c = getopt(argc, argv, "b:s:n:")) != -1;) {
        if (c == 'b')
            batch = number(optarg);
        else if (c == 's')
            seconds = atof(optarg);
        else if (c == 'n')
            events = number(optarg);
        else
            return 2;
    }
    errno = 0;
    if (optind + 1 != argc)
        die("usage: see the head of peer_sqlite.c");
    if (strcmp(verb, "append") == 0)
        append_run(&p, argv[optind], batch, seconds);
    else if (strcmp(verb, "fill") == 0)
        fill_run(&p, argv[optind], events);
    else if (strcmp(verb, "scan") == 0)
        scan_run(&p, argv[optind]);
    else
        die("usage: see the head of peer_sqlite.c");
    return 0;
}
