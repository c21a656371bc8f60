/* Reads events through a mount.
 *
 *   reader files   [-w PROCESSES] DIR COUNT            open + read + close of DIR/0000000001-ItemAdded.json ... COUNT,
 *                                                      DIR being an `events` directory
 *   reader paths   [-s SECONDS] TYPE AGGREGATES EVENTS events at random, each by its path from TYPE, a directory
 *   reader offsets [-s SECONDS] [-b BYTES] FILE        BYTES (4096) of a file at random offsets
 *   reader streams [-n COUNT] [-o] TYPE AGGREGATES     events.ndjson of COUNT (1,000) aggregates, at random; -o: in
 *                                                      order, from a random one on */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_PROCESSES 64
#define EVENT_ROOM 8192

struct task {
    unsigned processes;
    double seconds;
    uint64_t count;
    size_t bytes;
    bool ordered;
    char **args;
};

static size_t read_whole(int dir, const char *path, char *out, size_t room) {
    int fd = openat(dir, path, O_RDONLY);
    if (fd < 0)
        die("%s", path);
    ssize_t n = read(fd, out, room);
    if (n <= 0)
        die("%s: read %zd bytes", path, n);
    close(fd);
    return (size_t)n;
}

/* --- files: by name in one directory, as tar and grep would */

static void files_work(struct crew_member *self, void *arg) {
    const struct task *t = arg;
    uint64_t count = number(t->args[1]) / self->of, first = 1 + self->no * count;
    char name[64], bytes[EVENT_ROOM];
    int dir = open(t->args[0], O_RDONLY | O_DIRECTORY);
    if (dir < 0)
        die("%s", t->args[0]);
    crew_start(self);
    for (uint64_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%010lu-ItemAdded.json", first + i);
        read_whole(dir, name, bytes, sizeof bytes);
        self->done++;
    }
}

static void files_run(struct task *t) {
    struct crew_member members[MOST_PROCESSES];
    double seconds = crew_run(t->processes, files_work, t, members);
    uint64_t files = 0;
    for (unsigned i = 0; i < t->processes; i++)
        files += members[i].done;
    report("", (double)files / seconds, "files/s");
}

/* --- paths: the same random events twice, the second time with the names known to the kernel */

static double paths_pass(const struct task *t, uint64_t *picks, size_t n, size_t *done, struct samples *times) {
    char path[512], bytes[EVENT_ROOM];
    uint64_t events = number(t->args[2]);
    double began = now(), at = began;
    for (*done = 0; *done < n && at - began < t->seconds; ++*done) {
        uint64_t pick = picks[*done];
        snprintf(path, sizeof path, "%s/order-%06lu/events/%010lu-ItemAdded.json", t->args[0], pick / events,
                 1 + pick % events);
        read_whole(AT_FDCWD, path, bytes, sizeof bytes);
        double then = at;
        at = now();
        samples_add(times, at - then);
    }
    return at - began;
}

#define PICKS 200000

static void paths_run(struct task *t) {
    uint64_t random = 88172645463325252ULL ^ (uint64_t)getpid() << 20, *picks = need(PICKS * sizeof *picks);
    uint64_t all = number(t->args[1]) * number(t->args[2]);
    size_t n;
    for (size_t i = 0; i < PICKS; i++)
        picks[i] = random_next(&random) % all;
    struct samples first = {0}, again = {0};
    paths_pass(t, picks, PICKS, &n, &first);
    paths_pass(t, picks, n, &n, &again);
    report(", first time p50", samples_at(&first, 0.5) * 1e6, "us");
    report(", first time p99", samples_at(&first, 0.99) * 1e6, "us");
    report(", again p50", samples_at(&again, 0.5) * 1e6, "us");
    report(", again p99", samples_at(&again, 0.99) * 1e6, "us");
    samples_free(&first);
    samples_free(&again);
    free(picks);
}

/* --- offsets */

static void offsets_run(struct task *t) {
    uint64_t random = 88172645463325252ULL ^ (uint64_t)getpid() << 20;
    int fd = open(t->args[0], O_RDONLY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        die("%s", t->args[0]);
    errno = 0;
    if (st.st_size <= (off_t)t->bytes)
        die("%s: too small", t->args[0]);
    struct samples times = {0};
    char *bytes = need(t->bytes);
    double began = now();
    for (double at = began, then; at - began < t->seconds; samples_add(&times, at - then)) {
        then = at;
        off_t offset = (off_t)(random_next(&random) % (uint64_t)(st.st_size - (off_t)t->bytes));
        ssize_t n = pread(fd, bytes, t->bytes, offset);
        if (n != (ssize_t)t->bytes)
            die("%s: %zd bytes at %jd", t->args[0], n, (intmax_t)offset);
        at = now();
    }
    samples_report(&times);
    samples_free(&times);
    free(bytes);
    close(fd);
}

/* --- streams */

static uint64_t lines_count(const char *bytes, size_t n) {
    uint64_t lines = 0;
    for (const char *p = bytes; (p = memchr(p, '\n', n - (size_t)(p - bytes))); p++)
        lines++;
    return lines;
}

static uint64_t stream_read(const char *path, char *bytes, size_t room) {
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        die("%s", path);
    uint64_t events = 0;
    ssize_t n;
    while ((n = read(fd, bytes, room)) > 0)
        events += lines_count(bytes, (size_t)n);
    if (n < 0 || events == 0)
        die("%s", path);
    close(fd);
    return events;
}

static void streams_run(struct task *t) {
    uint64_t random = 88172645463325252ULL ^ (uint64_t)getpid() << 20, aggregates = number(t->args[1]), events = 0;
    uint64_t first = random_next(&random) % aggregates;
    size_t room = 128 << 10; /* what cat asks for */
    char path[512], *bytes = need(room);
    double began = now();
    for (uint64_t i = 0; i < t->count; i++) {
        uint64_t aggregate = t->ordered ? (first + i) % aggregates : random_next(&random) % aggregates;
        snprintf(path, sizeof path, "%s/order-%06lu/events.ndjson", t->args[0], aggregate);
        events += stream_read(path, bytes, room);
    }
    report("", (double)events / (now() - began), "events/s");
    free(bytes);
}

/* --- */

static const struct verb {
    const char *name;
    int args;
    void (*run)(struct task *);
} verbs[] = {
    {"files", 2, files_run},
    {"paths", 3, paths_run},
    {"offsets", 1, offsets_run},
    {"streams", 2, streams_run},
};

static void task_parse(struct task *t, int argc, char **argv) {
    for (int c; (c = getopt(argc, argv, "w:s:n:b:o")) != -1;) {
        switch (c) {
        case 'w':
            t->processes = (unsigned)number(optarg);
            break;
        case 's':
            t->seconds = atof(optarg);
            break;
        case 'n':
            t->count = number(optarg);
            break;
        case 'b':
            t->bytes = number(optarg);
            break;
        case 'o':
            t->ordered = true;
            break;
        default:
            exit(2);
        }
    }
    t->args = argv + optind;
}

int main(int argc, char **argv) {
    struct task t = {.processes = 1, .seconds = 3, .count = 1000, .bytes = 4096};
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        task_parse(&t, argc - 1, argv + 1);
        if (argc - 1 - optind != verbs[i].args || t.processes < 1 || t.processes > MOST_PROCESSES)
            break;
        verbs[i].run(&t);
        return 0;
    }
    errno = 0;
    die("usage: see the head of reader.c");
}
