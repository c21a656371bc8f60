#include "channel.h"

#include "help.h"
#include "name.h"
#include "result.h"
#include "store_parts.h"
#include "turn.h"

#include <errno.h>
#include <stdlib.h>

#define RESULTS_MAX (1 << 20) /* bytes of result lines kept for a reader; then the oldest go */

struct channel {
    struct store *store;
    struct caller caller; /* its groups are in `groups` */
    uint32_t *groups;
    struct scope scope;
    char names[2 * NAME_MAX_BYTES + 1]; /* "order/1001"; the scope's names lie in it */
    bool results;

    pthread_mutex_t lock; /* of the results, and of what channel_flush() reads */
    struct buf lines;     /* result lines, from `seen` on not read */
    size_t seen;
    bool within; /* the reader got to the middle of a line */
    bool written;

    struct buf carry; /* an incomplete value, taken by earlier writes */
    struct json_scan scan;
    int refused;      /* errno that every write gets from now on */
    struct buf again; /* a refused value that the next write may begin with, and */
    int again_errno;  /* what it then gets */
};

/* The caller, with a copy of the groups. */
static bool channel_set_caller(struct channel *c, const struct caller *caller) {
    size_t n = caller->who.n_gids;
    c->caller = *caller;
    c->caller.who.gids = c->groups = n ? calloc(n, sizeof *c->groups) : NULL;
    if (n && c->groups)
        memcpy(c->groups, caller->who.gids, n * sizeof *c->groups);
    return n == 0 || c->groups;
}

struct channel *channel_new(struct store *s, const struct scope *scope, const struct caller *caller, bool results) {
    struct channel *c = calloc(1, sizeof *c);
    if (!c || scope->type.n + 1 + scope->id.n > sizeof c->names || !channel_set_caller(c, caller)) {
        free(c);
        return NULL;
    }
    c->store = s;
    c->results = results;
    char *id = c->names + scope->type.n + 1;
    if (scope->type.n)
        memcpy(c->names, scope->type.p, scope->type.n);
    if (scope->id.n)
        memcpy(id, scope->id.p, scope->id.n);
    id[-1] = '/';
    c->scope = (struct scope){{c->names, scope->type.n}, {id, scope->id.n}};
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

/* --- results */

/* Where to begin so that whole lines are left, `max` bytes at most: the oldest go. */
static size_t lines_from(struct str lines, size_t from, size_t max) {
    if (lines.n - from <= max)
        return from;
    size_t at = lines.n - max; /* a line that begins just here may stay */
    const char *end = memchr(lines.p + at - 1, '\n', max + 1);
    return end ? (size_t)(end + 1 - lines.p) : lines.n;
}

/* Makes room for n more bytes. Of a line that was read in part the rest is kept, so that none is cut. */
static void results_drop(struct channel *c, size_t n) {
    size_t from = lines_from(buf_str(&c->lines), c->seen, RESULTS_MAX - n);
    const char *end = c->within && from > c->seen ? memchr(c->lines.p + c->seen, '\n', from - c->seen) : NULL;
    size_t rest = end ? (size_t)(end + 1 - c->lines.p) - c->seen : 0;
    if (rest)
        memmove(c->lines.p + from - rest, c->lines.p + c->seen, rest);
    c->seen = from - rest;
}

static void results_add(struct channel *c, const struct buf *lines) {
    if (lines->n == 0)
        return;
    size_t from = lines_from(buf_str(lines), 0, RESULTS_MAX), n = lines->n - from;
    pthread_mutex_lock(&c->lock);
    results_drop(c, n);
    if (c->seen > 0) {
        memmove(c->lines.p, c->lines.p + c->seen, c->lines.n - c->seen);
        c->lines.n -= c->seen;
        c->seen = 0;
    }
    buf_put(&c->lines, lines->p + from, n);
    pthread_mutex_unlock(&c->lock);
}

static void put_help(struct channel *c) {
    struct domain *d = store_domain(c->store);
    help_put(d, &c->store->options.ownership, &c->caller.who, &c->scope, &c->lines);
    domain_unref(d);
}

ssize_t channel_read(struct channel *c, char *out, size_t n) {
    pthread_mutex_lock(&c->lock);
    if (!c->written && c->lines.n == 0)
        put_help(c);
    size_t left = c->lines.n - c->seen;
    n = n < left ? n : left;
    if (n) {
        memcpy(out, c->lines.p + c->seen, n);
        c->within = out[n - 1] != '\n';
    }
    c->seen += n;
    pthread_mutex_unlock(&c->lock);
    return (ssize_t)n;
}

/* The help text that was not read is no result. */
static void mark_written(struct channel *c) {
    pthread_mutex_lock(&c->lock);
    if (!c->written) {
        c->written = true;
        c->within = false;
        buf_clear(&c->lines);
        c->seen = 0;
    }
    pthread_mutex_unlock(&c->lock);
}

/* The aggregate, when this is its own file. */
static struct str scope_aggregate(const struct channel *c) {
    return c->scope.id.n ? (struct str){c->names, c->scope.type.n + 1 + c->scope.id.n} : (struct str){NULL, 0};
}

/* The aggregate type that a refusal is filed under, as far as it could be known. */
static struct str topic_of(const struct channel *c, const struct refusal *refusal, const struct command *command) {
    if (command)
        return command->aggregate_type;
    const char *slash = refusal->aggregate.n ? memchr(refusal->aggregate.p, '/', refusal->aggregate.n) : NULL;
    return slash ? (struct str){refusal->aggregate.p, (size_t)(slash - refusal->aggregate.p)} : c->scope.type;
}

static void tell_refusal(struct channel *c, const struct refusal *refusal, const struct command *command,
                         struct str text) {
    struct buf line = {0};
    uint64_t time = store_now();
    struct str topic = topic_of(c, refusal, command);
    result_put_rejection(&line, refusal, command, &c->caller, text, time);
    if (!line.oom)
        journal_add(c->store->rejections, topic, buf_str(&line), time);
    buf_clear(&line);
    if (c->results) {
        result_put_refusal(&line, refusal, command);
        results_add(c, &line);
    }
    buf_free(&line);
}

/* --- finishing a write */

static void turn_end(struct turn *t, ssize_t taken) {
    channel_done *done = t->done;
    void *arg = t->arg;
    turn_free(t);
    done(arg, taken);
}

/* The slice of the first request that was not done, or NULL when all were. */
static const struct slice *first_undone(const struct turn *t) {
    const struct slice *s = t->first;
    while (s && s->job.n_done == s->job.n_requests)
        s = s->next;
    return s;
}

static void turn_results(struct turn *t) {
    struct channel *c = t->channel;
    struct buf lines = {0};
    for (const struct slice *s = t->first; s; s = s->next)
        for (size_t i = 0; i < s->job.n_done; i++)
            result_put(&lines, c->store, &s->job.requests[i], s->job.results[i]);
    results_add(c, &lines);
    buf_free(&lines);
}

/* A value was refused that lies at start..end of the text; some: others of this write were done before it. */
static ssize_t turn_refused(struct turn *t, const struct refusal *refusal, bool some, size_t start, size_t end) {
    struct channel *c = t->channel;
    int code = outcome_errno(refusal->outcome);
    if (start < t->carried) {
        c->refused = code;
        return -code;
    }
    if (!some)
        return -code;
    buf_clear(&c->again);
    buf_put(&c->again, t->text + start, end - start);
    c->again_errno = code;
    return (ssize_t)(start - t->carried);
}

static ssize_t turn_undone(struct turn *t, const struct slice *s) {
    size_t k = s->job.n_done, start = s->starts[k], end = s->ends[k];
    const struct refusal *refusal = &s->job.refusal;
    const struct request *request = &s->job.requests[k];
    size_t i = refusal->has_index && refusal->index < request->n_commands ? refusal->index : 0;
    tell_refusal(t->channel, refusal, &request->commands[i], (struct str){t->text + start, end - start});
    return turn_refused(t, refusal, k > 0 || s != t->first, start, end);
}

static ssize_t turn_malformed(struct turn *t) {
    if (!t->shape.aggregate.n)
        t->shape.aggregate = scope_aggregate(t->channel);
    tell_refusal(t->channel, &t->shape, NULL, (struct str){t->text + t->rest, t->n - t->rest});
    return turn_refused(t, &t->shape, t->n_requests > 0, t->rest, t->n);
}

/* Keeps the incomplete value at the end. Without memory for it the write ends before it; if earlier writes took part
 * of it, that part is lost, and there is no way back into step. */
static ssize_t turn_carry(struct turn *t) {
    struct channel *c = t->channel;
    pthread_mutex_lock(&c->lock);
    buf_put(&c->carry, t->text + t->rest, t->n - t->rest);
    c->scan = t->scan;
    bool oom = c->carry.oom;
    if (oom)
        buf_clear(&c->carry);
    pthread_mutex_unlock(&c->lock);
    if (!oom)
        return (ssize_t)(t->n - t->carried);
    if (t->rest < t->carried)
        c->refused = ENOMEM;
    return t->rest > t->carried ? (ssize_t)(t->rest - t->carried) : -ENOMEM;
}

static void turn_finish(struct turn *t) {
    struct channel *c = t->channel;
    const struct slice *undone = first_undone(t);
    ssize_t taken;
    if (c->results)
        turn_results(t);
    pthread_mutex_lock(&c->lock);
    buf_clear(&c->carry);
    pthread_mutex_unlock(&c->lock);
    if (undone)
        taken = turn_undone(t, undone);
    else if (t->shape.outcome != OUTCOME_OK)
        taken = turn_malformed(t);
    else
        taken = turn_carry(t);
    turn_end(t, taken);
}

/* --- writing */

/* True when the write begins with the value that the one before stopped at: its answer was kept for it. */
static bool is_again(struct channel *c, const char *bytes, size_t n) {
    size_t same = n < c->again.n ? n : c->again.n;
    bool again = c->again.n && memcmp(bytes, c->again.p, same) == 0;
    buf_clear(&c->again);
    return again;
}

static int write_refused(struct channel *c, const char *bytes, size_t n) {
    if (c->refused)
        return c->refused;
    return is_again(c, bytes, n) ? c->again_errno : 0;
}

/* More of a value that is still incomplete after it: kept without being copied again, so that a command written
 * byte by byte costs no more than its length. */
static bool write_carried(struct channel *c, const char *bytes, size_t n) {
    struct json_scan scan = c->scan;
    bool complete = false;
    if (c->carry.n == 0 || c->carry.n + n > c->store->options.max_command ||
        json_scan(&scan, bytes, n, &complete) < 0 || complete)
        return false;
    pthread_mutex_lock(&c->lock);
    bool kept = buf_reserve(&c->carry, n) != NULL;
    buf_put(&c->carry, bytes, n);
    pthread_mutex_unlock(&c->lock);
    c->scan = scan;
    return kept;
}

void channel_write(struct channel *c, const char *bytes, size_t n, channel_done *done, void *arg) {
    int code = n ? write_refused(c, bytes, n) : 0;
    mark_written(c);
    if (n == 0 || code) {
        done(arg, -code);
        return;
    }
    if (write_carried(c, bytes, n)) {
        done(arg, (ssize_t)n);
        return;
    }
    struct turn *t = turn_new(c->store, buf_str(&c->carry), bytes, n);
    struct json_parser *parser = t ? store_parser_take(c->store) : NULL;
    if (!parser) {
        if (t)
            turn_free(t);
        done(arg, -ENOMEM);
        return;
    }
    struct store *s = c->store;
    const struct caller caller = c->caller;
    const struct json_scan scan = c->scan;
    t->scope = &c->scope;
    t->channel = c;
    t->finish = turn_finish;
    t->done = done;
    t->arg = arg;
    /* the turn may end, and the channel with it, before turn_run() is back */
    turn_run(t, parser, &caller, &scan);
    store_parser_give(s, parser);
}

int channel_flush(struct channel *c) {
    pthread_mutex_lock(&c->lock);
    bool incomplete = c->carry.n > 0;
    pthread_mutex_unlock(&c->lock);
    return incomplete ? -EBADMSG : 0;
}

void channel_free(struct channel *c) {
    if (!c)
        return;
    if (c->carry.n > 0) {
        const struct refusal cut = {.outcome = OUTCOME_MALFORMED,
                                    .aggregate = scope_aggregate(c),
                                    .detail = "the descriptor was closed in the middle of it"};
        tell_refusal(c, &cut, NULL, buf_str(&c->carry));
    }
    buf_free(&c->carry);
    buf_free(&c->again);
    buf_free(&c->lines);
    free(c->groups);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
