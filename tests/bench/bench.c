#include "bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void die(const char *format, ...) {
    int error = errno;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
    exit(1);
}

void *need(size_t bytes) {
    void *p = calloc(1, bytes);
    if (!p)
        die("no memory");
    return p;
}

void report(const char *suffix, double value, const char *unit) {
    printf("%.6g\t%s\t%s\n", value, unit, suffix);
    fflush(stdout);
}

uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

uint64_t number(const char *text) {
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    if (end == text || *end || errno)
        die("not a number: %s", text);
    return v;
}

/* --- samples */

void samples_add(struct samples *s, double seconds) {
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 1 << 16;
        s->seconds = realloc(s->seconds, s->room * sizeof *s->seconds);
        if (!s->seconds)
            die("no memory");
    }
    s->seconds[s->n++] = seconds;
}

static int seconds_compare(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

double samples_at(struct samples *s, double fraction) {
    if (s->n == 0)
        return 0;
    qsort(s->seconds, s->n, sizeof *s->seconds, seconds_compare);
    return s->seconds[(size_t)((double)(s->n - 1) * fraction)];
}

void samples_free(struct samples *s) {
    free(s->seconds);
    *s = (struct samples){0};
}

void samples_report(struct samples *s) {
    report(" p50", samples_at(s, 0.5) * 1e6, "us");
    report(" p99", samples_at(s, 0.99) * 1e6, "us");
}

/* --- the workload */

static char *put_digits(char *out, uint64_t v, unsigned width) {
    for (unsigned i = width; i-- > 0; v /= 10)
        out[i] = (char)('0' + v % 10);
    return out + width;
}

static unsigned digits_of(uint64_t v) {
    unsigned n = 1;
    for (; v >= 10; v /= 10)
        n++;
    return n;
}

#define PUT(out, text) ((char *)memcpy((out), (text), sizeof(text) - 1) + sizeof(text) - 1)
#define VERSION_DIGITS 7 /* what the longest version of a benchmark has */
#define NOTE "abcdefghijklmnopqrstuvwabcdefghijklmnopqrstuvwabcdefghijklmnopqrstuvwabcdefghijklmnopqrstuvwabcdefghi"

/* By hand rather than with snprintf, which would take longer than the stores do. */
void line_make(char *out, const char *type, unsigned aggregate, uint64_t version) {
    char *p = PUT(out, "{\"type\":\"ItemAdded\",\"aggregate\":\"");
    p = stpcpy(p, type);
    p = put_digits(PUT(p, "/order-"), aggregate, 6);
    p = put_digits(PUT(p, "\",\"expectedVersion\":"), version, digits_of(version));
    p = put_digits(PUT(p, ",\"data\":{\"sku\":\"SKU-"), aggregate % 997, 4);
    p = put_digits(PUT(p, "\",\"name\":\"Blue widget\",\"qty\":"), 1 + version % 9, 1);
    p = PUT(p, ",\"price\":1299,\"note\":\"");
    char *end = out + LINE_BYTES - 1 - (VERSION_DIGITS - digits_of(version)) - 3;
    memcpy(p, NOTE, (size_t)(end - p));
    p = PUT(end, "\"}}");
    memset(p, ' ', (size_t)(out + LINE_BYTES - 1 - p));
    out[LINE_BYTES - 1] = '\n';
}

/* --- crews */

struct crew {
    int ready[2], start[2]; /* pipes: a byte from each member; end of file when they may go */
};

void crew_start(struct crew_member *self) {
    char byte = 0;
    if (write(self->crew->ready[1], &byte, 1) != 1)
        die("crew");
    close(self->crew->ready[1]);
    if (read(self->crew->start[0], &byte, 1) != 0)
        die("crew");
}

static void member_main(struct crew_member *self, void (*work)(struct crew_member *, void *), void *arg) {
    close(self->crew->start[1]);
    work(self, arg);
    exit(0);
}

/* Waits until every member is ready; one that dies early is noticed by the end of its pipe. */
static void crew_gather(struct crew *crew, unsigned n) {
    char bytes[64];
    close(crew->ready[1]);
    for (ssize_t got; n > 0; n -= (unsigned)got)
        if ((got = read(crew->ready[0], bytes, sizeof bytes < n ? sizeof bytes : n)) <= 0)
            die("a process of the crew failed early");
    close(crew->ready[0]);
}

double crew_run(unsigned n, void (*work)(struct crew_member *, void *), void *arg, struct crew_member *members) {
    struct crew crew;
    size_t bytes = n * sizeof *members;
    struct crew_member *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || pipe(crew.ready) < 0 || pipe(crew.start) < 0)
        die("crew");
    for (unsigned i = 0; i < n; i++) {
        shared[i] = (struct crew_member){.no = i, .of = n, .crew = &crew};
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0)
            member_main(&shared[i], work, arg);
    }
    crew_gather(&crew, n);
    double began = now();
    close(crew.start[1]);
    bool failed = false;
    for (int status; wait(&status) > 0;)
        failed |= status != 0;
    double seconds = now() - began;
    close(crew.start[0]);
    errno = 0;
    if (failed)
        die("a process of the crew failed");
    memcpy(members, shared, bytes);
    munmap(shared, bytes);
    return seconds;
}
