#include "store.h"

#include "consumers_private.h"
#include "dialogue.h"
#include "digest.h"
#include "event.h"
#include "handlers.h"
#include "kafka.h"
#include "query_life.h"
#include "renders.h"
#include "store_parts.h"
#include "text.h"
#include "turn.h"
#include "views_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

#define REJECTIONS_BYTES (4 << 20)
#define ERRORS_BYTES (1 << 20)
#define EXCERPT_BYTES 1024 /* of a command's data in a line of errors */

uint64_t store_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* --- telling */

void store_tell(struct store *s, int priority, const char *line) {
    if (s->options.log)
        s->options.log(s->options.log_arg, priority, line);
}

void store_note(struct store *s, const char *what, const char *words) {
    char at[EVENT_TIME_CHARS];
    struct buf line = {0};
    uint64_t time = store_now();
    event_time(time, at);
    buf_put_text(&line, "{\"time\":\"");
    buf_put(&line, at, sizeof at);
    buf_put_text(&line, "\",\"what\":");
    buf_put_json_string(&line, str_of(what));
    buf_put_text(&line, ",\"error\":");
    buf_put_json_string(&line, str_of(words));
    buf_put_text(&line, "}\n");
    if (!line.oom)
        journal_add(s->errors, (struct str){NULL, 0}, buf_str(&line), time);
    buf_free(&line);
}

void store_report(struct store *s, const char *what, const struct err *err) {
    char text[sizeof err->text + 128];
    store_note(s, what, err->text);
    snprintf(text, sizeof text, "%s: %s", what, err->text);
    store_tell(s, LOG_ERR, text);
}

/* The beginning of data, not cut in the middle of a character. */
static struct str excerpt(struct str text) {
    if (text.n <= EXCERPT_BYTES)
        return text;
    text.n = EXCERPT_BYTES;
    while (text.n > 0 && ((uint8_t)text.p[text.n] & 0xc0) == 0x80)
        text.n--;
    return text;
}

static void put_aggregate(struct buf *line, struct str type, struct str id) {
    char name[2 * NAME_MAX_BYTES + 2];
    int n = snprintf(name, sizeof name, "%.*s/%.*s", (int)type.n, type.p, (int)id.n, id.p);
    buf_put_text(line, ",\"aggregate\":");
    buf_put_json_string(line, (struct str){name, (size_t)n});
}

static void put_failure(struct buf *line, const struct handler_failure *failure) {
    const struct script_fault *fault = failure->fault;
    const struct command *c = failure->command;
    char text[DIALOGUE_WORDS];
    dialogue_words(fault, text);
    buf_put_text(line, ",\"what\":");
    buf_put_json_string(line, str_of(failure->what));
    buf_put_text(line, ",\"error\":");
    buf_put_json_string(line, str_of(text));
    if (fault->file[0]) {
        buf_put_text(line, ",\"file\":");
        buf_put_json_string(line, str_of(fault->file));
        if (fault->line)
            buf_printf(line, ",\"line\":%d", fault->line);
    }
    if (fault->traceback[0]) {
        buf_put_text(line, ",\"traceback\":");
        buf_put_json_string(line, str_of(fault->traceback));
    }
    if (failure->params.n) {
        buf_put_text(line, ",\"params\":");
        buf_put_json_string(line, excerpt(failure->params));
    }
    if (failure->event) {
        put_aggregate(line, failure->event->aggregate_type, failure->event->aggregate_id);
        buf_printf(line, ",\"position\":\"%016" PRIx64 "\"", failure->event->position);
    }
    if (!c)
        return;
    put_aggregate(line, c->aggregate_type, c->aggregate_id);
    buf_put_text(line, ",\"command\":");
    buf_put_json_string(line, c->type);
    if (c->id.n) {
        buf_put_text(line, ",\"commandid\":");
        buf_put_json_string(line, c->id);
    }
    /* the file is for whoever runs the mount, who may not read all that is in it */
    if (c->domain_type && c->domain_type->read.given)
        return;
    buf_put_text(line, ",\"data\":");
    buf_put_json_string(line, excerpt(c->data));
}

void store_report_handler(struct store *s, const struct handler_failure *failure) {
    char at[EVENT_TIME_CHARS];
    struct buf line = {0};
    uint64_t time = store_now();
    event_time(time, at);
    buf_put_text(&line, "{\"time\":\"");
    buf_put(&line, at, sizeof at);
    buf_put_char(&line, '"');
    put_failure(&line, failure);
    if (failure->caller)
        buf_printf(&line, ",\"uid\":%" PRIu32 ",\"pid\":%" PRId32, failure->caller->who.uid, failure->caller->pid);
    buf_put_text(&line, "}\n");
    if (!line.oom)
        journal_add(s->errors, (struct str){NULL, 0}, buf_str(&line), time);
    buf_free(&line);
}

static void fallen(void *arg, const struct err *err) {
    struct store *s = arg;
    pthread_mutex_lock(&s->lock);
    if (!s->failure.code)
        s->failure = *err;
    pthread_mutex_unlock(&s->lock);
    store_report(s, "the store is read-only from now on", err);
}

static void advanced(void *arg) {
    struct store *s = arg;
    struct index_head head;
    index_head(s->index, &head);
    feed_advance(&s->feed, head.position);
}

/* --- parsers */

struct json_parser *store_parser_take(struct store *s) {
    pthread_mutex_lock(&s->lock);
    struct json_parser *p = s->n_parsers ? s->parsers[--s->n_parsers] : NULL;
    pthread_mutex_unlock(&s->lock);
    return p ? p : json_parser_new();
}

void store_parser_give(struct store *s, struct json_parser *p) {
    pthread_mutex_lock(&s->lock);
    bool kept = s->n_parsers < STORE_PARSERS;
    if (kept)
        s->parsers[s->n_parsers++] = p;
    pthread_mutex_unlock(&s->lock);
    if (!kept)
        json_parser_free(p);
}

/* --- opening and closing */

/* RocksDB's recovery opens a write-ahead log that was cut short without a word; the noted head knows better. */
static int check_head(struct store *s, struct err *err) {
    struct home_head noted;
    struct index_head found;
    home_head(s->home, &noted);
    index_head(s->index, &found);
    if (noted.block <= found.block)
        return 0;
    return err_set(err, EUCLEAN,
                   "%s: the log was cut short: it ends with block %" PRIu64 " at position %016" PRIx64
                   ", but block %" PRIu64 " at position %016" PRIx64 " was made durable",
                   home_path(s->home), found.block, found.position, noted.block, noted.position);
}

/* What the databases may need: of views there are some with a domain alone. */
static uint64_t database_reserve(const struct store *s) {
    return db_reserve_bytes() + (s->options.domain ? db_views_reserve_bytes() : 0);
}

/* Opening for writing replays the write-ahead log into new files, which a full disk has no room for and Debian's
 * RocksDB answers by aborting: then the store is opened for reading only. */
static bool is_full(const struct store *s) {
    struct statvfs v;
    return fstatvfs(home_fd(s->home), &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < database_reserve(s);
}

static int open_db(struct store *s, struct err *err) {
    struct db_options options = {.create = home_is_new(s->home), .read_only = s->options.read_only};
    if (s->options.read_only)
        snprintf(s->read_only, sizeof s->read_only, "the store was opened read-only");
    if (is_full(s) && options.create)
        return err_set(err, ENOSPC, "%s: the disk has less free space than the reserve of %" PRIu64 " MiB",
                       home_path(s->home), database_reserve(s) >> 20);
    if (is_full(s) && !options.read_only) {
        options.read_only = true;
        snprintf(s->read_only, sizeof s->read_only,
                 "the store was opened read-only: the disk had less free space than the reserve of %" PRIu64
                 " MiB; make room and mount again",
                 database_reserve(s) >> 20);
        store_tell(s, LOG_WARNING, s->read_only);
    }
    struct err torn;
    if (home_head_is_torn(s->home, &torn))
        store_tell(s, LOG_WARNING, torn.text);
    int r = db_open(&s->db, home_db_path(s->home), &options, err);
    if (r == 0)
        r = index_open(&s->index, s->db, home_id(s->home), options.read_only, err);
    if (r == 0)
        r = check_head(s, err);
    if (r == 0)
        r = kafka_check(s, err);
    return r;
}

/* Two blocks may be on their way at once. Of commands of the usual size they are small; one of the largest allowed
 * comes to the disk about four times, as write-ahead log, as table, and twice while what is derived from it is made. */
uint64_t store_reserve_bytes(const struct store *s) {
    uint64_t max = s->options.max_command, usual = STORE_MAX_COMMAND_DEFAULT;
    return database_reserve(s) + (max > usual ? 2 * 4 * (max - usual) : 0);
}

bool store_has_room(struct store *s) {
    struct statvfs v;
    return store_statvfs(s, &v) < 0 || (uint64_t)v.f_bavail * v.f_frsize >= store_reserve_bytes(s);
}

static int feed_start(struct store *s, struct err *err) {
    struct index_head head;
    index_head(s->index, &head);
    int r = feed_init(&s->feed, head.position);
    s->fed = r == 0;
    return r < 0 ? err_set(err, -r, "the feed of followers cannot be made: errno %d", -r) : 0;
}

static int start(struct store *s, struct err *err) {
    int r = feed_start(s, err);
    if (r < 0)
        return r;
    s->log = log_new(s->db, s->index);
    s->rejections = journal_new(REJECTIONS_BYTES);
    s->errors = journal_new(ERRORS_BYTES);
    s->renders = renders_new();
    if (!s->log || !s->rejections || !s->errors || !s->renders)
        return err_set(err, ENOMEM, "out of memory");
    const struct sequencer_options options = {
        .db = s->db,
        .index = s->index,
        .home = s->home,
        .sync = s->options.durability == DURABILITY_COMMIT,
        .reserve = store_reserve_bytes(s),
        .read_only = s->read_only[0] ? s->read_only : NULL,
        .failed = fallen,
        .advanced = advanced,
        .arg = s,
    };
    r = sequencer_new(&s->sequencer, &options);
    if (r < 0)
        return err_set(err, -r, "the sequencer cannot be started: errno %d", -r);
    return consumers_new(&s->consumers, s, err);
}

static int open_parts(struct store *s, const char *path, struct err *err) {
    const struct home_options options = {.read_only = s->options.read_only, .must_exist = s->options.must_exist};
    int r = digest_init();
    if (r < 0)
        return err_set(err, -r, "libsodium cannot be started");
    r = home_open(&s->home, path, &options, err);
    if (r == 0)
        r = open_db(s, err);
    if (r == 0 && home_is_new(s->home))
        r = home_seal(s->home, err);
    return r == 0 ? start(s, err) : r;
}

static void release(struct store *s) {
    queries_free(s->queries);
    views_free(s->views);
    consumers_free(s->consumers);
    kafka_free(s->kafka);
    sequencer_free(s->sequencer);
    log_free(s->log);
    index_close(s->index);
    if (!s->failure.code)
        db_close(s->db);
    home_close(s->home);
    journal_free(s->rejections);
    journal_free(s->errors);
    for (size_t i = 0; i < s->n_parsers; i++)
        json_parser_free(s->parsers[i]);
    for (size_t i = 0; i < s->n_turns; i++)
        turn_destroy(s->turns[i]);
    if (s->fed)
        feed_deinit(&s->feed);
    pthread_mutex_destroy(&s->lock);
    domain_unref(s->domain);
    renders_free(s->renders);
    pthread_mutex_destroy(&s->adopting);
    free(s);
}

static int start_domain(struct store *s, struct err *err) {
    int r = views_new(&s->views, s, err);
    if (r == 0 && (r = queries_new(&s->queries, s)) < 0)
        err_set(err, -r, "queries cannot be started: errno %d", -r);
    return r == 0 ? store_adopt(s, err) : r;
}

/* Events that a domain does not know keep it from being loaded again. */
static void warn_domain(struct store *s) {
    struct index_schema any;
    if (!s->read_only[0] && index_schema_after(s->index, NULL, &any) == 0)
        store_tell(s, LOG_WARNING,
                   "the store has had a domain, and is mounted without one (-o domain=DIR): commands become events as "
                   "they are");
}

/* A store that is read-only because its disk is full is mounted all the same. */
static int publish(struct store *s, struct err *err) {
    if (s->options.read_only)
        return err_set(err, EINVAL, "kafka: a store that is opened read-only is not published");
    return s->read_only[0] ? 0 : kafka_new(&s->kafka, s, s->options.kafka, err);
}

int store_open(struct store **out, const char *path, const struct store_options *options, struct err *err) {
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ENOMEM, "out of memory");
    s->options = *options;
    if (!s->options.max_command)
        s->options.max_command = STORE_MAX_COMMAND_DEFAULT;
    s->started = store_now();
    if (!s->options.snapshot_every)
        s->options.snapshot_every = STORE_SNAPSHOT_EVERY;
    if (!s->options.states_max)
        s->options.states_max = STORE_STATES_MAX;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->adopting, NULL);
    int r = s->options.kafka ? kafka_options_check(s->options.kafka, err) : 0;
    if (r == 0)
        r = open_parts(s, path, err);
    if (r == 0 && s->options.domain)
        r = start_domain(s, err);
    else if (r == 0)
        warn_domain(s);
    if (r == 0 && s->options.kafka)
        r = publish(s, err);
    if (r < 0) {
        release(s);
        return r;
    }
    *out = s;
    return 0;
}

void store_stop(struct store *s) {
    atomic_store(&s->stopping, true);
    queries_stop(s->queries);
    /* A reload or a rebuild that is under way has followers in its hands. */
    pthread_mutex_lock(&s->adopting);
    if (s->views)
        views_stop(s->views);
    kafka_stop(s->kafka);
    pthread_mutex_unlock(&s->adopting);
    consumers_stop(s->consumers);
}

int store_close(struct store *s) {
    if (!s)
        return 0;
    store_stop(s);
    pthread_mutex_lock(&s->adopting);
    pthread_mutex_unlock(&s->adopting);
    int views = views_free(s->views);
    s->views = NULL;
    kafka_free(s->kafka);
    s->kafka = NULL;
    sequencer_free(s->sequencer);
    s->sequencer = NULL;
    bool writable = !s->read_only[0] && !s->failure.code;
    int r = writable ? store_sync(s) : 0;
    if (s->failure.code || views < 0)
        r = -EIO;
    release(s);
    return r;
}

/* --- parts */

struct index *store_index(struct store *s) {
    return s->index;
}

struct kafka *store_kafka(struct store *s) {
    return s->kafka;
}

struct journal *store_rejections(struct store *s) {
    return s->rejections;
}

struct journal *store_errors(struct store *s) {
    return s->errors;
}

const uint8_t *store_id(const struct store *s) {
    return home_id(s->home);
}

bool store_read_only(struct store *s) {
    pthread_mutex_lock(&s->lock);
    bool yes = s->read_only[0] || s->failure.code;
    pthread_mutex_unlock(&s->lock);
    return yes;
}

int store_statvfs(struct store *s, struct statvfs *out) {
    return fstatvfs(home_fd(s->home), out) < 0 ? -errno : 0;
}

/* After a failed sync nobody knows what the disk holds, so nothing is written on top of it. */
int store_sync(struct store *s) {
    struct err err;
    struct index_head head;
    if (store_read_only(s))
        return s->failure.code ? -EIO : 0;
    index_head(s->index, &head);
    const struct home_head noted = {head.block, head.position};
    int r = db_log_sync(s->db, &err);
    if (r == 0 && (r = home_note_head(s->home, &noted, true)) < 0)
        err_set(&err, -r, "the file `head` cannot be written: errno %d", -r);
    if (r == 0)
        return 0;
    if (s->sequencer)
        sequencer_fail(s->sequencer, &err);
    else
        fallen(s, &err);
    return -EIO;
}

/* --- directories and skips */

struct errand {
    struct job job;
    store_done *done;
    void *arg;
    char names[];
};

static void errand_done(struct job *job) {
    struct errand *e = job->owner;
    store_done *done = e->done;
    void *arg = e->arg;
    enum outcome outcome = job->refusal.outcome;
    free(e);
    done(arg, outcome);
}

static struct str name_copy(struct str name, char **to) {
    struct str copy = {*to, name.n};
    if (name.n)
        memcpy(*to, name.p, name.n);
    *to += name.n;
    return copy;
}

/* A copy of the job and its names. */
static void errand_submit(struct store *s, const struct job *job, store_done *done, void *arg) {
    struct errand *e = calloc(1, sizeof *e + job->type.n + job->id.n + job->follower.n);
    if (!e) {
        done(arg, OUTCOME_NO_ROOM);
        return;
    }
    char *to = e->names;
    e->done = done;
    e->arg = arg;
    e->job = *job;
    e->job.done = errand_done;
    e->job.owner = e;
    e->job.type = name_copy(job->type, &to);
    e->job.id = name_copy(job->id, &to);
    e->job.follower = name_copy(job->follower, &to);
    sequencer_submit(s->sequencer, &e->job);
}

void store_declare(struct store *s, struct str type, struct str id, const struct caller *caller, store_done *done,
                   void *arg) {
    const struct job job = {.kind = JOB_DECLARE, .caller = *caller, .type = type, .id = id};
    errand_submit(s, &job, done, arg);
}

void store_undeclare(struct store *s, struct str type, struct str id, const struct caller *caller, store_done *done,
                     void *arg) {
    const struct job job = {.kind = JOB_UNDECLARE, .caller = *caller, .type = type, .id = id};
    errand_submit(s, &job, done, arg);
}

/* The event is looked up here, since the sequencer waits for no disk; what is there stays there. */
void store_skip(struct store *s, struct str follower, uint64_t position, const struct caller *caller, store_done *done,
                void *arg) {
    struct text_event event = {0};
    int r = text_stat_event(s, position, &event);
    if (r < 0 && r != -ENOENT) {
        done(arg, OUTCOME_HANDLER_FAILED);
        return;
    }
    const struct job job = {.kind = JOB_SKIP,
                            .caller = *caller,
                            .follower = follower,
                            .position = position,
                            .type_no = r == 0 ? event.type_no : 0};
    errand_submit(s, &job, done, arg);
}
