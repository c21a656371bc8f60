#include "ctl_load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double load_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

char *load_command(struct load *l, char *out) {
    uint32_t aggregate = l->at, version = l->versions[aggregate]++;
    l->at = aggregate + l->step < LOAD_AGGREGATES ? aggregate + l->step : l->first;
    l->made++;
    int n = snprintf(out, LOAD_COMMAND_BYTES,
                     "{\"type\":\"ItemAdded\",\"aggregate\":\"order/order-%06" PRIu32 "\",\"expectedVersion\":%" PRIu32
                     ",\"data\":{\"sku\":\"SKU-%04" PRIu32 "\",\"name\":\"Blue widget\",\"qty\":%" PRIu32
                     ",\"price\":1299,\"note\":\"",
                     aggregate, version, aggregate % 997, 1 + version % 9);
    for (; n < LOAD_COMMAND_BYTES - 3; n++)
        out[n] = (char)('a' + n % 23);
    memcpy(out + n, "\"}}\n", 4);
    return out + LOAD_COMMAND_BYTES + 1;
}

int load_writer_open(struct load_writer *w, struct store *s) {
    const struct scope root = {0};
    const struct caller caller = {.who = {.uid = getuid(), .gid = getgid()}, .pid = getpid()};
    w->channel = channel_new(s, &root, &caller, false);
    if (!w->channel)
        return -ENOMEM;
    sem_init(&w->answered, 0, 0);
    return 0;
}

void load_writer_close(struct load_writer *w) {
    channel_free(w->channel);
    sem_destroy(&w->answered);
}

static void write_done(void *arg, ssize_t taken) {
    struct load_writer *w = arg;
    w->taken = taken;
    sem_post(&w->answered);
}

int load_write(struct load_writer *w, const char *bytes, size_t n) {
    channel_write(w->channel, bytes, n, write_done, w);
    while (sem_wait(&w->answered) < 0)
        ;
    if (w->taken < 0)
        return (int)w->taken;
    return (size_t)w->taken == n ? 0 : -EIO;
}

void load_time_add(struct load_times *t, double seconds) {
    if (t->n == t->room) {
        size_t room = t->room ? 2 * t->room : 1 << 16;
        double *grown = realloc(t->seconds, room * sizeof *grown);
        if (!grown)
            return;
        t->seconds = grown;
        t->room = room;
    }
    t->seconds[t->n++] = seconds;
}

static int seconds_compare(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

double load_time_at(struct load_times *t, double fraction) {
    if (t->n == 0)
        return 0;
    qsort(t->seconds, t->n, sizeof *t->seconds, seconds_compare);
    return t->seconds[(size_t)((double)(t->n - 1) * fraction)];
}

void load_times_free(struct load_times *t) {
    free(t->seconds);
    *t = (struct load_times){0};
}
