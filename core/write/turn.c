#include "turn.h"

#include "admit.h"
#include "store_parts.h"

#include <stdlib.h>

#define SLICE_REQUESTS 256
#define COMMAND_BYTES_MIN 12 /* {"type":"A"} */
#define KEEP_BYTES (4 << 20) /* of memory that an idle turn may hold */

/* --- life */

void turn_destroy(struct turn *t) {
    if (!t)
        return;
    arena_free(&t->arena);
    free(t->text);
    free(t);
}

/* Memory that has been used before is many times cheaper than fresh pages, so some turns are kept. */
void turn_free(struct turn *t) {
    struct store *s = t->store;
    bool kept = false;
    domain_unref(t->domain);
    t->domain = NULL;
    if (t->text_room <= KEEP_BYTES) {
        arena_reset(&t->arena, KEEP_BYTES);
        pthread_mutex_lock(&s->lock);
        kept = s->n_turns < STORE_TURNS;
        if (kept)
            s->turns[s->n_turns++] = t;
        pthread_mutex_unlock(&s->lock);
    }
    if (!kept)
        turn_destroy(t);
}

static struct turn *turn_take(struct store *s) {
    pthread_mutex_lock(&s->lock);
    struct turn *t = s->n_turns ? s->turns[--s->n_turns] : NULL;
    pthread_mutex_unlock(&s->lock);
    if (!t)
        return calloc(1, sizeof *t);
    *t = (struct turn){.arena = t->arena, .text = t->text, .text_room = t->text_room};
    return t;
}

struct turn *turn_new(struct store *s, struct str carry, const char *bytes, size_t n) {
    size_t room = carry.n + n + JSON_PADDING;
    struct turn *t = turn_take(s);
    if (!t)
        return NULL;
    if (t->text_room < room) {
        free(t->text);
        t->text = malloc(room);
        t->text_room = t->text ? room : 0;
    }
    if (!t->text) {
        turn_destroy(t);
        return NULL;
    }
    if (carry.n)
        memcpy(t->text, carry.p, carry.n);
    memcpy(t->text + carry.n, bytes, n);
    memset(t->text + carry.n + n, 0, JSON_PADDING);
    t->store = s;
    t->carried = carry.n;
    t->n = carry.n + n;
    return t;
}

/* --- slices */

/* The last one to let go ends the turn; nothing of it may be touched afterwards. */
static void let_go(struct turn *t) {
    if (atomic_fetch_sub_explicit(&t->awaited, 1, memory_order_acq_rel) == 1)
        t->finish(t);
}

static void slice_done(struct job *job) {
    let_go(job->owner);
}

static struct slice *slice_new(struct turn *t, const struct caller *caller, size_t bytes) {
    size_t room = bytes / COMMAND_BYTES_MIN + 1;
    room = room < SLICE_REQUESTS ? room : SLICE_REQUESTS;
    struct slice *s = arena_alloc(&t->arena, sizeof *s);
    size_t *offsets = arena_alloc(&t->arena, 2 * room * sizeof *offsets);
    struct request *requests = arena_alloc(&t->arena, room * sizeof *requests);
    struct job_result **results = arena_alloc(&t->arena, room * sizeof *results);
    if (!s || !offsets || !requests || !results)
        return NULL;
    *s = (struct slice){.starts = offsets, .ends = offsets + room, .room = room};
    s->job = (struct job){.kind = JOB_COMMANDS,
                          .caller = *caller,
                          .done = slice_done,
                          .owner = t,
                          .requests = requests,
                          .results = results,
                          .group = &t->group,
                          .follows = t->first != NULL};
    if (t->last)
        t->last->next = s;
    else
        t->first = s;
    t->last = s;
    return s;
}

static bool slice_full(const struct slice *s) {
    size_t n = s->job.n_requests;
    return n == s->room || (n > 0 && s->ends[n - 1] - s->starts[0] >= TURN_SLICE_BYTES);
}

static void slice_submit(struct turn *t, struct slice *s, bool more) {
    s->job.more = more;
    atomic_fetch_add_explicit(&t->awaited, 1, memory_order_relaxed);
    sequencer_submit(t->store->sequencer, &s->job);
}

/* --- parsing */

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static enum outcome shape_refuse(struct turn *t, enum outcome outcome, const char *detail) {
    t->shape.outcome = outcome;
    strncpy(t->shape.detail, detail, sizeof t->shape.detail - 1);
    return outcome;
}

/* json_scan() has not gone on: at the first byte, or at a bracket too many. */
static enum outcome scan_refuse(struct turn *t) {
    if (t->scan.depth > JSON_DEPTH_MAX)
        return refusal_set(&t->shape, OUTCOME_MALFORMED, "not JSON: it is nested more than %d deep", JSON_DEPTH_MAX);
    return refusal_set(&t->shape, OUTCOME_MALFORMED,
                       "a command is an object, a transaction an array of objects: this is neither");
}

/* size: 0 when the end of it has not come. */
static enum outcome size_refuse(struct turn *t, size_t size, size_t max) {
    if (size)
        return refusal_set(&t->shape, OUTCOME_TOO_LARGE, "the command has %zu bytes, and max_command allows %zu", size,
                           max);
    return refusal_set(&t->shape, OUTCOME_TOO_LARGE, "the command has more than the %zu bytes that max_command allows",
                       max);
}

/* Adds the value at start..end. OUTCOME_OK, or why not, in t->shape. */
static enum outcome turn_add(struct turn *t, struct json_parser *parser, const struct caller *caller, size_t start,
                             size_t end) {
    struct request request = {0};
    const struct str text = {t->text + start, end - start};
    struct slice *s = t->last, *full = s;
    if (!s || slice_full(s)) {
        /* the next one first: without it, the full one is the last */
        s = slice_new(t, caller, t->n - start);
        if (!s)
            return shape_refuse(t, OUTCOME_NO_ROOM, "out of memory");
        if (full)
            slice_submit(t, full, true);
    }
    int r = command_parse(parser, t->scope, text, &t->arena, &request, &t->shape);
    if (r > 0)
        return (enum outcome)r;
    if (r == 0 && t->domain)
        r = admit_request(t->domain, &t->store->options.ownership, &caller->who, parser, &t->arena, &request);
    struct job_result *results = r == 0 ? arena_alloc(&t->arena, request.n_commands * sizeof *results) : NULL;
    if (!results)
        return shape_refuse(t, OUTCOME_NO_ROOM, "out of memory");
    size_t i = s->job.n_requests++;
    s->job.requests[i] = request;
    s->job.results[i] = results;
    s->starts[i] = start;
    s->ends[i] = end;
    t->n_requests++;
    return OUTCOME_OK;
}

static void turn_parse(struct turn *t, struct json_parser *parser, const struct caller *caller,
                       const struct json_scan *scan) {
    size_t start = 0, at = t->carried, max = t->store->options.max_command;
    bool inside = t->carried > 0, complete = false;
    enum outcome o = OUTCOME_OK;
    t->scan = *scan;
    while (o == OUTCOME_OK) {
        if (!inside) {
            while (at < t->n && is_space(t->text[at]))
                at++;
            start = at;
            t->scan = (struct json_scan){0};
        }
        t->rest = start;
        if (at == t->n)
            return;
        ssize_t n = json_scan(&t->scan, t->text + at, t->n - at, &complete);
        at += n > 0 ? (size_t)n : 0;
        inside = true;
        if (n < 0)
            o = scan_refuse(t);
        else if (at - start > max)
            o = size_refuse(t, complete ? at - start : 0, max);
        else if (!complete)
            return;
        else if ((o = turn_add(t, parser, caller, start, at)) == OUTCOME_OK)
            inside = false;
    }
}

void turn_run(struct turn *t, struct json_parser *parser, const struct caller *caller, const struct json_scan *scan) {
    atomic_init(&t->awaited, 1);
    t->domain = store_domain(t->store);
    turn_parse(t, parser, caller, scan);
    /* an empty slice goes too when others wait for the end of their group */
    if (t->last && (t->last->job.n_requests > 0 || t->last->job.follows))
        slice_submit(t, t->last, false);
    let_go(t);
}
