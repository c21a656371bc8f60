#include "sequencer.h"

#include "array.h"
#include "block.h"
#include "changes.h"
#include "decide.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

#define TURN_MICROS 5000   /* that a job may take of a block while others wait */
#define BLOCK_MICROS 50000 /* after which a block takes no further job */

/* A job's part in a block: its requests below `decided` are in this block or an earlier one. */
struct part {
    struct job *job;
    size_t decided;
    bool last; /* the job is answered with this block */
};

/* A block on its way: built by the sequencer's thread, then handed to the committer's. */
struct flight {
    struct block_builder *block;
    struct part *parts;
    size_t n_parts, room;
    struct changes changes; /* of the folds family, written with it: a view of what the handlers keep meanwhile */
    uint64_t begun;         /* monotonic microseconds */
    bool adopts;            /* a domain: its readers must know it before they see what it has made */
};

struct sequencer {
    struct sequencer_options options;
    struct decider *decider;
    struct flight flights[2]; /* one under construction, one being committed */
    pthread_t builder, committer;

    pthread_mutex_t lock;
    pthread_cond_t queue_moved;  /* something was queued, or the committer is free */
    pthread_cond_t flight_ready; /* `handed` was set */
    struct job *first, **end;    /* the queue */
    struct flight *handed;       /* being committed, or about to be */
    bool alone;                  /* a submitter is at it himself: what is handed is not the committer's */
    bool building;               /* somebody has the decider and the next flight in his hands */
    size_t turn;                 /* of the flights */
    size_t expected;             /* groups of which the last job has not been taken */
    bool leaving;                /* sequencer_free() waits for the one who is alone */
    bool stopping, builder_gone;

    atomic_bool failed, no_room;
    atomic_ullong blocks, commands, refused, queued;
    uint8_t link[DIGEST_CHAIN]; /* of the last block that was written; whoever commits */
    struct str *values;         /* scratch of whoever commits */
    struct db_change *changes;
    size_t room_changes;
};

/* --- answering */

static void answer(struct sequencer *s, struct job *job) {
    if (job->refusal.outcome != OUTCOME_OK)
        atomic_fetch_add_explicit(&s->refused, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&s->queued, 1, memory_order_relaxed);
    job->done(job);
}

static void refuse(struct job *job, enum outcome outcome, const char *detail) {
    job->refusal.outcome = outcome;
    job->refusal.has_index = false;
    snprintf(job->refusal.detail, sizeof job->refusal.detail, "%s", detail);
}

static void fail(struct sequencer *s, const struct err *err) {
    if (!atomic_exchange(&s->failed, true) && s->options.failed)
        s->options.failed(s->options.arg, err);
}

void sequencer_fail(struct sequencer *s, const struct err *err) {
    fail(s, err);
}

/* --- committing */

static int room_for(struct sequencer *s, size_t n) {
    if (n <= s->room_changes)
        return 0;
    struct db_change *changes = realloc(s->changes, n * sizeof *changes);
    if (changes)
        s->changes = changes;
    struct str *values = realloc(s->values, n * sizeof *values);
    if (values)
        s->values = values;
    if (!changes || !values)
        return -ENOMEM;
    s->room_changes = n;
    return 0;
}

/* The block as it will be written, with `link` its own, and checked: what a mistake of ours made wrong is found here
 * and not by the next start, which could not open the log any more. */
static int block_check(struct sequencer *s, struct block_builder *b, size_t n_folds, uint8_t link[DIGEST_CHAIN],
                       struct err *err) {
    int r = block_finish(b);
    size_t n = block_chunks(b);
    if (r < 0 || room_for(s, n + n_folds) < 0)
        return err_set(err, ENOMEM, "out of memory for a block");
    block_relink(b, s->link);
    block_link(b, link);
    for (size_t i = 0; i < n; i++) {
        s->changes[i] = (struct db_change){.family = DB_LOG};
        block_chunk(b, i, &s->changes[i].key, &s->changes[i].value);
        s->values[i] = s->changes[i].value;
    }
    return index_check(s->options.index, s->values, n, link, err);
}

static int block_write(struct sequencer *s, struct block_builder *b, const struct changes *folds, struct err *err) {
    uint8_t link[DIGEST_CHAIN];
    int r = block_check(s, b, folds->n, link, err);
    size_t n = block_chunks(b);
    if (r < 0)
        return r;
    if (folds->n)
        memcpy(s->changes + n, folds->list, folds->n * sizeof *folds->list);
    r = db_write(s->options.db, s->changes, n + folds->n, s->options.sync, err);
    if (r == 0)
        memcpy(s->link, link, DIGEST_CHAIN);
    return r;
}

/* Readers see the block before anybody is told of it. The noted head follows the sync: it must never be ahead. */
static int block_commit(struct sequencer *s, const struct flight *f, struct err *err) {
    int r = block_write(s, f->block, &f->changes, err);
    if (r == 0)
        r = index_apply(s->options.index, err);
    if (r < 0)
        return r;
    if (s->options.advanced)
        s->options.advanced(s->options.arg);
    atomic_fetch_add_explicit(&s->blocks, 1, memory_order_relaxed);
    struct index_head head;
    index_head(s->options.index, &head);
    const struct home_head noted = {head.block, head.position};
    r = s->options.sync ? home_note_head(s->options.home, &noted, false) : 0;
    return r < 0 ? err_set(err, -r, "the file `head` cannot be written: errno %d", -r) : 0;
}

/* What was refused stays refused; what was decided and may or may not be on the disk is unknown. */
static void job_unknown(struct job *job) {
    bool decided = job->kind == JOB_COMMANDS ? job->n_decided > job->n_done : job->refusal.outcome == OUTCOME_OK;
    if (decided)
        refuse(
            job, OUTCOME_UNKNOWN,
            "the store failed while this was being written; a restart and the command's id settle what became of it");
}

static void flight_answer(struct sequencer *s, struct flight *f, bool ok) {
    for (size_t i = 0; i < f->n_parts; i++) {
        struct part *p = &f->parts[i];
        if (ok)
            p->job->n_done = p->decided;
        else if (p->last)
            job_unknown(p->job);
        if (p->last)
            answer(s, p->job);
    }
    f->n_parts = 0;
}

/* A disk that failed the index's own writes is not written to any more either. */
static void flight_commit(struct sequencer *s, struct flight *f) {
    struct err err;
    bool ok = !atomic_load(&s->failed);
    if (ok && !block_empty(f->block) && (index_fault(s->options.index, &err) < 0 || block_commit(s, f, &err) < 0)) {
        fail(s, &err);
        ok = false;
    }
    flight_answer(s, f, ok);
}

static void *committer_run(void *arg) {
    struct sequencer *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while ((!s->handed || s->alone) && !s->builder_gone)
            pthread_cond_wait(&s->flight_ready, &s->lock);
        if (!s->handed)
            break;
        struct flight *f = s->handed;
        pthread_mutex_unlock(&s->lock);
        flight_commit(s, f);
        pthread_mutex_lock(&s->lock);
        s->handed = NULL;
        pthread_cond_signal(&s->queue_moved);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* --- building */

/* Looked at before every block: what it, the one still on its way and what follows from them can take is what the
 * reserve is for. */
static bool has_room(struct sequencer *s) {
    struct statvfs v;
    bool low = fstatvfs(home_fd(s->options.home), &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < s->options.reserve;
    atomic_store_explicit(&s->no_room, low, memory_order_relaxed);
    return !low;
}

static bool refuse_unwritable(struct sequencer *s, struct job *job, bool room) {
    if (s->options.read_only)
        refuse(job, OUTCOME_READ_ONLY, s->options.read_only);
    else if (atomic_load(&s->failed))
        refuse(job, OUTCOME_READ_ONLY, "the store has failed and takes no more commands; its log says why");
    else if (!room)
        refuse(job, OUTCOME_NO_ROOM, "the free space of the disk is below the reserve");
    else
        return false;
    if (job->group)
        job->group->stopped = true;
    return true;
}

static int flight_add(struct flight *f, struct job *job, bool last) {
    if (!ARRAY_ROOM(f->parts, f->n_parts, f->room))
        return -ENOMEM;
    f->parts[f->n_parts++] = (struct part){job, job->n_decided, last};
    return 0;
}

static bool is_stopped(const struct job *job) {
    return job->group && job->group->stopped;
}

static uint64_t micros(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Handlers may be slow: a job then goes on when others have had their turn. */
static void decide_commands(struct sequencer *s, struct flight *f, struct job *job) {
    uint64_t end = micros() + TURN_MICROS;
    bool first = true;
    while (job->n_decided < job->n_requests && block_bytes(f->block) < SEQUENCER_BLOCK_BYTES && !is_stopped(job) &&
           (first || micros() < end)) {
        first = false;
        if (decide_request(s->decider, job, job->n_decided) != OUTCOME_OK) {
            if (job->group)
                job->group->stopped = true;
            return;
        }
        job->n_decided++;
        atomic_fetch_add_explicit(&s->commands, 1, memory_order_relaxed);
    }
}

static void check_broken(struct sequencer *s) {
    struct err err;
    if (!decide_broken(s->decider))
        return;
    err_set(&err, ENOMEM, "out of memory while a block was built");
    fail(s, &err);
}

/* Decides a job as far as the block has room. True when it is finished with. */
static bool decide_job(struct sequencer *s, struct flight *f, struct job *job) {
    if (job->kind == JOB_DECLARE)
        decide_declare(s->decider, job);
    else if (job->kind == JOB_UNDECLARE)
        decide_undeclare(s->decider, job);
    else if (job->kind == JOB_ADOPT)
        decide_adopt(s->decider, job);
    else if (job->kind == JOB_SKIP)
        decide_skip(s->decider, job);
    else
        decide_commands(s, f, job);
    check_broken(s);
    return job->kind != JOB_COMMANDS || job->refusal.outcome != OUTCOME_OK || job->n_decided == job->n_requests ||
           is_stopped(job);
}

static struct job *queue_take(struct sequencer *s) {
    struct job *job = s->first;
    s->first = job->next;
    if (!s->first)
        s->end = &s->first;
    return job;
}

/* Counts the groups that have begun and not ended; a job that comes back to the queue was counted before. */
static void expect(struct sequencer *s, struct job *job) {
    if (!job->group || job->begun)
        return;
    job->begun = true;
    s->expected += job->more && !job->follows;
    s->expected -= !job->more && job->follows;
}

static void queue_return(struct sequencer *s, struct job *job) {
    job->next = s->first;
    s->first = job;
    if (s->end == &s->first)
        s->end = &job->next;
}

/* Puts a job that has had its turn behind those of others, with what follows it of its group: within a group the order
 * stands. */
static void queue_rotate(struct sequencer *s, struct job *job) {
    struct job *kept = NULL, **kept_end = &kept, **own_end = &job->next, *next;
    job->next = NULL;
    for (struct job *j = s->first; j; j = next) {
        next = j->next;
        j->next = NULL;
        struct job ***end = job->group && j->group == job->group ? &own_end : &kept_end;
        **end = j;
        *end = &j->next;
    }
    *kept_end = job;
    s->first = kept;
    s->end = own_end;
}

/* No memory to note a job in its block: it is answered when nothing else holds it any more. */
static void give_up(struct sequencer *s, struct job *job) {
    struct err err;
    err_set(&err, ENOMEM, "out of memory for the list of a block's jobs");
    fail(s, &err);
    while (s->handed)
        pthread_cond_wait(&s->queue_moved, &s->lock);
    job_unknown(job);
    answer(s, job);
}

static bool flight_full(const struct flight *f) {
    return block_bytes(f->block) >= SEQUENCER_BLOCK_BYTES;
}

/* One job from the queue into the block. Called and returns with the lock held. Even a refusal waits for the block:
 * it may rest on a command that is not durable yet. */
static void build_one(struct sequencer *s, struct flight *f, bool room) {
    struct job *job = queue_take(s);
    expect(s, job);
    pthread_mutex_unlock(&s->lock);
    bool finished = refuse_unwritable(s, job, room) || decide_job(s, f, job);
    f->adopts = job->kind == JOB_ADOPT;
    int r = flight_add(f, job, finished);
    pthread_mutex_lock(&s->lock);
    if (r < 0)
        give_up(s, job);
    else if (!finished && flight_full(f))
        queue_return(s, job);
    else if (!finished)
        queue_rotate(s, job);
}

/* Of what looks at what is stored, everything before it must have been applied. */
static bool must_wait(const struct sequencer *s, const struct flight *f) {
    bool looks = s->first && (s->first->kind == JOB_ADOPT || s->first->kind == JOB_SKIP);
    return looks && (f->n_parts > 0 || s->handed);
}

/* What handlers make slow must not keep the answers of others. */
static bool is_late(const struct flight *f) {
    return f->n_parts > 0 && micros() - f->begun > BLOCK_MICROS;
}

static bool is_closed(const struct sequencer *s, const struct flight *f) {
    return flight_full(f) || f->adopts || is_late(f) || (f->n_parts > 0 && must_wait(s, f));
}

/* Takes the next flight. Called with the lock held. */
static struct flight *build_begin(struct sequencer *s) {
    struct flight *f = &s->flights[s->turn++ & 1];
    s->building = true;
    f->begun = micros();
    f->adopts = false;
    decide_begin(s->decider, f->block);
    return f;
}

static void build_end(struct sequencer *s, struct flight *f) {
    f->changes = (struct changes){0};
    if (block_empty(f->block))
        return;
    decide_end(s->decider);
    check_broken(s);
    /* By value: what the pointer leads to is the next block's as soon as that is begun. */
    const struct changes *changes = decide_changes(s->decider);
    if (changes)
        f->changes = *changes;
}

/* Fills the block until it is full, or the queue is empty with no group in the middle; then waits for the committer
 * to be free, and goes on filling meanwhile. Called and returns with the lock held; NULL when there is nothing left to
 * do for good. */
static struct flight *build(struct sequencer *s) {
    while (s->building || (!s->first && !s->stopping))
        pthread_cond_wait(&s->queue_moved, &s->lock);
    if (!s->first)
        return NULL;
    bool room = has_room(s);
    struct flight *f = build_begin(s);
    while (((s->first || s->expected) && !is_closed(s, f)) || s->handed) {
        if (s->first && !is_closed(s, f) && !must_wait(s, f))
            build_one(s, f, room);
        else
            pthread_cond_wait(&s->queue_moved, &s->lock);
    }
    build_end(s, f);
    return f;
}

/* With nobody waiting the builder commits by itself, which saves the way through another thread. */
static void *builder_run(void *arg) {
    struct sequencer *s = arg;
    struct flight *f;
    pthread_mutex_lock(&s->lock);
    while ((f = build(s))) {
        if (s->first || s->expected) {
            s->handed = f;
            s->building = false;
            pthread_cond_signal(&s->flight_ready);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        flight_commit(s, f);
        pthread_mutex_lock(&s->lock);
        s->building = false;
    }
    s->builder_gone = true;
    pthread_cond_signal(&s->flight_ready);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* --- a lone writer */

/* Whether nothing is going on, so that whoever submits can decide and commit in his own thread: on an idle machine
 * waking another one takes a good part of the time that a command takes. */
static bool is_alone(const struct sequencer *s, const struct job *job) {
    return job->kind == JOB_COMMANDS && !job->follows && !job->more && s->first == job && !s->building && !s->handed &&
           !s->expected && !s->stopping;
}

/* Does the first job of the queue, and nobody else's. Who comes meanwhile finds the builder, which builds the next
 * block while this one is committed. Called with the lock held, returns without. */
static void do_alone(struct sequencer *s) {
    s->alone = true;
    bool room = has_room(s);
    struct flight *f = build_begin(s);
    build_one(s, f, room);
    build_end(s, f);
    s->building = false;
    s->handed = f;
    if (s->first)
        pthread_cond_signal(&s->queue_moved);
    pthread_mutex_unlock(&s->lock);
    flight_commit(s, f);
    pthread_mutex_lock(&s->lock);
    s->handed = NULL;
    s->alone = false;
    if (s->first || s->building || s->leaving)
        pthread_cond_broadcast(&s->queue_moved);
    pthread_mutex_unlock(&s->lock);
}

/* --- life */

static int threads_start(struct sequencer *s) {
    int r = pthread_create(&s->committer, NULL, committer_run, s);
    if (r != 0)
        return -r;
    r = pthread_create(&s->builder, NULL, builder_run, s);
    if (r == 0)
        return 0;
    pthread_mutex_lock(&s->lock);
    s->builder_gone = true;
    pthread_cond_signal(&s->flight_ready);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->committer, NULL);
    return -r;
}

static void release(struct sequencer *s) {
    decider_free(s->decider);
    for (size_t i = 0; i < 2; i++) {
        block_builder_free(s->flights[i].block);
        free(s->flights[i].parts);
    }
    free(s->changes);
    free(s->values);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->queue_moved);
    pthread_cond_destroy(&s->flight_ready);
    free(s);
}

int sequencer_new(struct sequencer **out, const struct sequencer_options *options) {
    struct sequencer *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    struct index_head head;
    index_head(options->index, &head);
    memcpy(s->link, head.link, DIGEST_CHAIN);
    s->options = *options;
    s->end = &s->first;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->queue_moved, NULL);
    pthread_cond_init(&s->flight_ready, NULL);
    s->decider = decider_new(options->index, home_id(options->home));
    s->flights[0].block = block_builder_new();
    s->flights[1].block = block_builder_new();
    int r = s->decider && s->flights[0].block && s->flights[1].block ? threads_start(s) : -ENOMEM;
    if (r < 0) {
        release(s);
        return r;
    }
    *out = s;
    return 0;
}

void sequencer_free(struct sequencer *s) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->leaving = true;
    while (s->alone)
        pthread_cond_wait(&s->queue_moved, &s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->queue_moved);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->builder, NULL);
    pthread_join(s->committer, NULL);
    release(s);
}

void sequencer_submit(struct sequencer *s, struct job *job) {
    job->next = NULL;
    atomic_fetch_add_explicit(&s->queued, 1, memory_order_relaxed);
    pthread_mutex_lock(&s->lock);
    *s->end = job;
    s->end = &job->next;
    if (is_alone(s, job)) {
        do_alone(s);
        return;
    }
    pthread_cond_signal(&s->queue_moved);
    pthread_mutex_unlock(&s->lock);
}

void sequencer_state(struct sequencer *s, struct sequencer_state *out) {
    *out = (struct sequencer_state){
        .failed = atomic_load(&s->failed),
        .no_room = atomic_load(&s->no_room),
        .blocks = atomic_load(&s->blocks),
        .commands = atomic_load(&s->commands),
        .refused = atomic_load(&s->refused),
        .queued = atomic_load(&s->queued),
    };
}
