/* The workload of `esfsctl bench`: commands of 250 bytes for 10,000 aggregates in turn, each with the version that
 * its aggregate must be at, and what it takes to send them and to wait. Not thread safe, unless said so. */
#ifndef ESFS_CTL_LOAD_H
#define ESFS_CTL_LOAD_H

#include "channel.h"

#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_AGGREGATES 10000
#define LOAD_COMMAND_BYTES 250 /* without the newline */

double load_now(void); /* seconds, monotonic */

/* The next commands of one writer of several: writer w of n has the aggregates w, w + n, w + 2n ... to itself. */
struct load {
    uint32_t first, step; /* aggregates */
    uint32_t at;          /* the next one */
    uint32_t *versions;   /* LOAD_AGGREGATES of them, shared by the writers of a store */
    uint64_t made;
};
/* Appends a command and its newline; returns the end. LOAD_COMMAND_BYTES + 1 bytes are needed. */
char *load_command(struct load *l, char *out);

/* A channel whose writes are waited for. */
struct load_writer {
    struct channel *channel;
    sem_t answered;
    ssize_t taken;
};
int load_writer_open(struct load_writer *w, struct store *s); /* 0 or -ENOMEM */
void load_writer_close(struct load_writer *w);
/* 0 when all bytes were taken, otherwise a negative errno. */
int load_write(struct load_writer *w, const char *bytes, size_t n);

/* Durations, for percentiles. Samples that find no memory are lost. */
struct load_times {
    double *seconds;
    size_t n, room;
};
void load_time_add(struct load_times *t, double seconds);
double load_time_at(struct load_times *t, double fraction); /* sorts; 0 when there are none */
void load_times_free(struct load_times *t);

#endif
