/* Writes commands through a mount: bulk loads, filling, single commands, many writers.
 *
 *   writer [-w WRITERS] [-b COMMANDS_A_WRITE] [-s SECONDS | -n COMMANDS] [-t TYPE] [-a AGGREGATES] [-v VERSION]
 *          [-p] [-r] COMMANDS_FILE
 *
 * Each writer is a process with a descriptor of its own and takes the aggregates w, w + WRITERS, ... in turn, all of
 * which are at VERSION. -p: one pass over them before the clock starts, so that they exist. -r: a new descriptor for
 * each write, opened as a shell's `>` does. Any refusal and any short write ends it. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST_WRITERS 256

struct plan {
    const char *path, *type;
    unsigned writers, aggregates;
    size_t batch;
    uint64_t commands, version; /* of all writers; 0: as many as there is time for */
    double seconds;
    bool pass, reopen;
};

struct writer {
    const struct plan *plan;
    unsigned first, step, at; /* aggregates */
    uint64_t *versions, made;
    char *bytes;
    int fd;
};

static int commands_open(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0)
        die("%s", path);
    return fd;
}

static void next_line(struct writer *w, char *out) {
    line_make(out, w->plan->type, w->at, w->versions[w->at]++);
    w->at = w->at + w->step < w->plan->aggregates ? w->at + w->step : w->first;
    w->made++;
}

static void write_lines(struct writer *w, size_t n) {
    for (size_t i = 0; i < n; i++)
        next_line(w, w->bytes + i * LINE_BYTES);
    if (w->plan->reopen)
        w->fd = commands_open(w->plan->path);
    errno = 0;
    ssize_t taken = write(w->fd, w->bytes, n * LINE_BYTES);
    if (taken != (ssize_t)(n * LINE_BYTES))
        die("write: %zd of %zu bytes", taken, n * LINE_BYTES);
    if (w->plan->reopen && close(w->fd) < 0)
        die("close");
}

static void first_pass(struct writer *w) {
    uint64_t mine = (w->plan->aggregates - w->first + w->step - 1) / w->step;
    double began = now();
    while (w->made < mine) {
        uint64_t left = mine - w->made;
        write_lines(w, left < w->plan->batch ? left : w->plan->batch);
    }
    if (w->step == 1)
        report(", first pass", (double)mine / (now() - began), "events/s");
    w->made = 0;
}

static void timed_writes(struct writer *w, struct samples *times) {
    uint64_t most = w->plan->commands ? w->plan->commands / w->step : UINT64_MAX;
    double at = now(), until = w->plan->commands ? at + 1e9 : at + w->plan->seconds;
    while (at < until && w->made < most) {
        uint64_t left = most - w->made;
        write_lines(w, left < w->plan->batch ? left : w->plan->batch);
        double then = at;
        at = now();
        samples_add(times, at - then);
    }
}

static void writer_work(struct crew_member *self, void *arg) {
    const struct plan *plan = arg;
    struct samples times = {0};
    struct writer w = {.plan = plan, .first = self->no, .at = self->no, .step = self->of};
    w.versions = need(plan->aggregates * sizeof *w.versions);
    for (unsigned i = 0; i < plan->aggregates; i++)
        w.versions[i] = plan->version;
    /* Aligned, as a program that cares would: the kernel then cuts nothing off the end. */
    w.bytes = aligned_alloc(4096, (plan->batch * LINE_BYTES + 4095) / 4096 * 4096);
    if (!w.bytes)
        die("no memory");
    w.fd = plan->reopen ? -1 : commands_open(plan->path);
    if (plan->pass)
        first_pass(&w);
    crew_start(self);
    timed_writes(&w, &times);
    self->done = w.made;
    self->p50 = samples_at(&times, 0.5);
    self->p99 = samples_at(&times, 0.99);
}

static struct plan plan_parse(int argc, char **argv) {
    struct plan p = {.type = "order", .writers = 1, .aggregates = AGGREGATES, .batch = 1, .seconds = 3};
    for (int c; (c = getopt(argc, argv, "w:b:s:n:t:a:v:pr")) != -1;) {
        switch (c) {
        case 'w':
            p.writers = (unsigned)number(optarg);
            break;
        case 'b':
            p.batch = number(optarg);
            break;
        case 's':
            p.seconds = atof(optarg);
            break;
        case 'n':
            p.commands = number(optarg);
            break;
        case 't':
            p.type = optarg;
            break;
        case 'a':
            p.aggregates = (unsigned)number(optarg);
            break;
        case 'v':
            p.version = number(optarg);
            break;
        case 'p':
            p.pass = true;
            break;
        case 'r':
            p.reopen = true;
            break;
        default:
            exit(2);
        }
    }
    errno = 0;
    if (optind + 1 != argc || p.writers < 1 || p.writers > MOST_WRITERS || p.aggregates < p.writers || p.batch < 1)
        die("usage: see the head of writer.c");
    p.path = argv[optind];
    return p;
}

int main(int argc, char **argv) {
    struct plan plan = plan_parse(argc, argv);
    struct crew_member members[MOST_WRITERS];
    struct samples medians = {0}, tails = {0};
    double seconds = crew_run(plan.writers, writer_work, &plan, members);
    uint64_t events = 0;
    for (unsigned i = 0; i < plan.writers; i++) {
        events += members[i].done;
        samples_add(&medians, members[i].p50);
        samples_add(&tails, members[i].p99);
    }
    report("", (double)events / seconds, "events/s");
    report(" p50", samples_at(&medians, 0.5) * 1e6, "us");
    report(" p99", samples_at(&tails, 0.5) * 1e6, "us");
    samples_free(&medians);
    samples_free(&tails);
    return 0;
}
