#include "follower.h"

#include "block.h"
#include "clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICE 10       /* of the thread: writers come first */
#define COMMIT_MS 300 /* while it is behind */
#define WAIT_MS 1000
#define ROOM_MS 250
#define LOOK_EVERY 32 /* events between two looks at the clock */
#define ALONE_MAX 1024
#define RATE_MS 500 /* that a figure of the rate is made of */

struct work {
    struct work *next;
    follower_work *call;
    void *arg;
};

struct follower {
    struct follower_options options;
    char name[16];
    pthread_t thread;
    atomic_bool stopping, woken;

    /* the thread's own */
    uint64_t taken;     /* the last event that was taken in */
    uint64_t committed; /* ... and committed */
    uint64_t alone;     /* the events up to this one are to be taken in, and committed, each by itself */
    uint64_t alone_n;   /* how many they were */
    uint64_t looks;     /* at whether a commit is due */
    uint64_t begun;     /* ms: when the first uncommitted event was taken in */
    uint64_t rate_from, rate_at;

    pthread_mutex_t lock; /* of what follows */
    struct follower_status status;
    struct work *first, **end;
};

/* --- what is told */

static void state_set(struct follower *f, enum follower_state state) {
    pthread_mutex_lock(&f->lock);
    bool same = f->status.state == state && f->status.position == f->committed;
    f->status.state = state;
    f->status.position = f->committed;
    pthread_mutex_unlock(&f->lock);
    if (!same && f->options.ops->changed)
        f->options.ops->changed(f->options.arg);
}

static void halt(struct follower *f, const struct err *err) {
    pthread_mutex_lock(&f->lock);
    f->status.halted = *err;
    pthread_mutex_unlock(&f->lock);
    f->options.ops->abandon(f->options.arg);
    f->taken = f->committed;
    state_set(f, FOLLOWER_HALTED);
}

static void rate_note(struct follower *f) {
    uint64_t now = clock_ms(), passed = now - f->rate_at;
    if (passed < RATE_MS)
        return;
    double rate = (double)(f->committed - f->rate_from) * 1000 / (double)passed;
    f->rate_from = f->committed;
    f->rate_at = now;
    pthread_mutex_lock(&f->lock);
    f->status.rate = rate;
    pthread_mutex_unlock(&f->lock);
}

void follower_status(struct follower *f, struct follower_status *out) {
    pthread_mutex_lock(&f->lock);
    *out = f->status;
    pthread_mutex_unlock(&f->lock);
}

/* --- work of others */

static struct work *work_take(struct follower *f) {
    pthread_mutex_lock(&f->lock);
    struct work *w = f->first;
    if (w && !(f->first = w->next))
        f->end = &f->first;
    pthread_mutex_unlock(&f->lock);
    return w;
}

static void work_do(struct follower *f, bool stopped) {
    struct work *w;
    while ((w = work_take(f))) {
        w->call(w->arg, stopped);
        free(w);
    }
}

static bool has_work(struct follower *f) {
    pthread_mutex_lock(&f->lock);
    bool yes = f->first != NULL;
    pthread_mutex_unlock(&f->lock);
    return yes;
}

int follower_call(struct follower *f, follower_work *call, void *arg) {
    struct work *w = malloc(sizeof *w);
    if (!w)
        return -ENOMEM;
    *w = (struct work){NULL, call, arg};
    pthread_mutex_lock(&f->lock);
    *f->end = w;
    f->end = &w->next;
    pthread_mutex_unlock(&f->lock);
    feed_wake(f->options.feed, &f->woken);
    return 0;
}

/* --- following */

static bool is_stopping(struct follower *f) {
    return atomic_load_explicit(&f->stopping, memory_order_relaxed);
}

/* Nothing is written while the disk is full: what was taken in waits, and so does the log. */
static bool room_wait(struct follower *f) {
    while (!f->options.has_room(f->options.room_arg)) {
        if (is_stopping(f))
            return false;
        state_set(f, FOLLOWER_WAITING);
        feed_wait(f->options.feed, UINT64_MAX, &f->woken, ROOM_MS);
    }
    return true;
}

/* Takes in again what is uncommitted, from where it was committed last: the scan must begin anew. */
static int again(struct follower *f) {
    f->options.ops->abandon(f->options.arg);
    f->taken = f->committed;
    return FOLLOW_AGAIN;
}

/* 0, FOLLOW_AGAIN; or a negative errno, after which the follower is halted. */
static int commit(struct follower *f) {
    struct err err = {0};
    if (f->taken == f->committed)
        return 0;
    if (!room_wait(f)) {
        again(f);
        return 0;
    }
    int r = f->options.ops->commit(f->options.arg, f->taken, &err);
    if (r == FOLLOW_AGAIN)
        return again(f);
    if (r < 0) {
        halt(f, &err);
        return r;
    }
    f->committed = f->taken;
    rate_note(f);
    state_set(f, f->committed >= feed_position(f->options.feed) ? FOLLOWER_LIVE : FOLLOWER_CATCHING_UP);
    return 0;
}

/* Failures come in rows: while they do, more and more events are taken apart, so that not every second one has the
 * batch before it taken in twice. */
static void take_alone(struct follower *f, uint64_t position) {
    bool in_a_row = f->alone_n > 0 && position - f->alone <= f->alone_n + 1; /* one more was alone by chance */
    f->alone_n = !in_a_row ? 1 : f->alone_n < ALONE_MAX ? 2 * f->alone_n : ALONE_MAX;
    f->alone = position + f->alone_n - 1;
}

static int event_take(struct follower *f, struct event *e) {
    struct err err = {0};
    bool apart = e->position <= f->alone;
    int r = apart ? commit(f) : 0;
    if (r != 0)
        return r;
    bool alone = f->taken == f->committed;
    stream_complete(&f->options.source, e);
    if (alone)
        f->begun = clock_ms();
    r = f->options.ops->event(f->options.arg, e, alone, &err);
    if (r != 0 && !alone) { /* what came before it is good; what it has left half done is not */
        take_alone(f, e->position);
        return again(f);
    }
    if (r != 0) {
        if (!err.code)
            err_set(&err, r < 0 ? -r : EIO, "position %016llx: it failed", (unsigned long long)e->position);
        halt(f, &err);
        return FOLLOW_HALT;
    }
    f->taken = e->position;
    return apart ? commit(f) : 0;
}

/* Whether what is uncommitted has waited long enough. */
static bool is_due(struct follower *f) {
    if (f->options.ops->full && f->options.ops->full(f->options.arg))
        return true;
    return ++f->looks % LOOK_EVERY == 0 && clock_ms() - f->begun > COMMIT_MS;
}

/* The events of a chunk that come next, up to `head`. 0, FOLLOW_AGAIN, FOLLOW_HALT or a negative errno. */
static int chunk_take(struct follower *f, const struct chunk *c, uint64_t head) {
    struct chunk_walk walk;
    struct event e;
    uint64_t first = c->header.first_position;
    if (first + c->header.n_events <= f->taken + 1)
        return 0;
    if (chunk_walk_begin(&walk, c, (uint32_t)(f->taken + 1 - first)) != 0)
        return -EUCLEAN;
    while (f->taken < head && !is_stopping(f)) {
        int r = chunk_walk_next(&walk, &e);
        if (r != 0)
            return r < 0 ? r : 0;
        r = event_take(f, &e);
        if (r == 0 && is_due(f))
            r = commit(f);
        if (r != 0)
            return r;
        if (has_work(f))
            return 0;
    }
    return 0;
}

static void read_failed(struct follower *f, int r, struct err *err) {
    if (!err->code)
        err_set(err, -r, "the log cannot be read behind position %016llx", (unsigned long long)f->taken);
    halt(f, err);
}

/* Everything up to where the log ends now. */
static void catch_up(struct follower *f, uint64_t head) {
    struct log_scan *scan = NULL;
    struct chunk chunk;
    struct err err = {0};
    int r = log_scan_open(f->options.source.log, f->taken + 1, &scan, &err);
    while (r == 0 && f->taken < head && !is_stopping(f) && !has_work(f)) {
        r = log_scan_next(scan, &chunk, &err);
        if (r == 0)
            r = chunk_take(f, &chunk, head);
    }
    log_scan_close(scan);
    if (r < 0 && f->status.state != FOLLOWER_HALTED)
        read_failed(f, r, &err);
}

static void pause_for_news(struct follower *f) {
    if (f->status.state == FOLLOWER_HALTED)
        feed_wait(f->options.feed, UINT64_MAX, &f->woken, WAIT_MS);
    else
        feed_wait(f->options.feed, f->committed, &f->woken, WAIT_MS);
}

static void *follower_run(void *arg) {
    struct follower *f = arg;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    while (!is_stopping(f)) {
        uint64_t head = feed_position(f->options.feed);
        work_do(f, false);
        if (f->status.state != FOLLOWER_HALTED && f->taken < head)
            catch_up(f, head);
        if (!is_stopping(f) && f->status.state != FOLLOWER_HALTED && commit(f) == 0 && f->committed >= head)
            state_set(f, FOLLOWER_LIVE);
        if (!has_work(f))
            pause_for_news(f);
    }
    f->options.ops->abandon(f->options.arg);
    return NULL;
}

/* --- life */

int follower_start(struct follower **out, const struct follower_options *options) {
    struct follower *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->options = *options;
    f->taken = f->committed = f->rate_from = f->status.position = options->position;
    f->rate_at = clock_ms();
    f->end = &f->first;
    atomic_init(&f->stopping, false);
    atomic_init(&f->woken, false);
    pthread_mutex_init(&f->lock, NULL);
    int r = pthread_create(&f->thread, NULL, follower_run, f);
    if (r != 0) {
        pthread_mutex_destroy(&f->lock);
        free(f);
        return -r;
    }
    snprintf(f->name, sizeof f->name, "%.15s", options->name);
    pthread_setname_np(f->thread, f->name);
    *out = f;
    return 0;
}

void follower_signal(struct follower *f) {
    atomic_store(&f->stopping, true);
    feed_wake(f->options.feed, &f->woken);
}

void follower_stop(struct follower *f) {
    if (!f)
        return;
    follower_signal(f);
    pthread_join(f->thread, NULL);
    work_do(f, true);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
