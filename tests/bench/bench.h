/* What the benchmark programs share: a clock, samples, processes that start together, the workload, and the way a
 * figure is printed. A program prints one figure a line,
 *     value <TAB> unit <TAB> suffix
 * and run.sh, which knows what is measured and on what, makes a line of its table from it.
 *
 * Programs end at the first thing that goes wrong, with a reason: half a figure is worse than none. */
#ifndef ESFS_BENCH_H
#define ESFS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

double now(void);                                                                  /* seconds, monotonic */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2))); /* adds strerror(errno) if set */
void *need(size_t bytes);                                                          /* zeroed memory */
void report(const char *suffix, double value, const char *unit); /* suffix: "", or which figure of the measure */
uint64_t random_next(uint64_t *state);                           /* xorshift64; state must not be 0 */
uint64_t number(const char *text);                               /* of an option; dies when it is none */

/* --- durations, for percentiles */
struct samples {
    double *seconds;
    size_t n, room;
};
void samples_add(struct samples *s, double seconds);
double samples_at(struct samples *s, double fraction); /* sorts; 0 when there are none */
void samples_free(struct samples *s);
void samples_report(struct samples *s); /* " p50" and " p99", in us */

/* --- the workload: the same bytes for esfs and for every peer */
#define AGGREGATES 10000
#define LINE_BYTES 250
/* The most that reaches a FUSE daemon as one WRITE, however the caller's buffer is aligned: 1 MiB less a page. */
#define WRITE_BYTES 1044481
#define LINES_A_WRITE (WRITE_BYTES / LINE_BYTES)
/* An event as a command: LINE_BYTES bytes with the newline, for an aggregate that must be at `version`. Its data has
 * the same size whatever the numbers; what the version leaves free is white space between two commands. */
void line_make(char *out, const char *type, unsigned aggregate, uint64_t version);

/* --- a crew: processes that do the same, each its part, at the same time */
struct crew;
struct crew_member {
    unsigned no, of;
    struct crew *crew;
    uint64_t done;   /* results, read by the parent */
    double p50, p99; /* seconds */
};
/* Calls `work` in `n` new processes. Work that should not be timed comes before its crew_start(), which returns when
 * all have called it. Returns the seconds from there to the end of the last one; results are in `members`. */
double crew_run(unsigned n, void (*work)(struct crew_member *self, void *arg), void *arg, struct crew_member *members);
void crew_start(struct crew_member *self);

#endif
