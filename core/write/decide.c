#include "decide.h"

#include "digest.h"
#include "handlers.h"
#include "heads.h"
#include "ids.h"
#include "kinds.h"
#include "name.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct decider {
    struct index *index;
    const uint8_t *store_id;
    struct handlers *handlers; /* NULL: commands become events as they are */
    struct heads *heads;
    struct kinds kinds;
    struct ids young, old; /* of the block under construction and of the one before */
    struct block_builder *block;
    uint64_t block_no, position, log_bytes, time, next_aggregate;
    uint32_t next_type;
    bool broken;
};

struct decider *decider_new(struct index *ix, const uint8_t *store_id) {
    struct decider *d = calloc(1, sizeof *d);
    if (!d || !(d->heads = heads_new(ix))) {
        free(d);
        return NULL;
    }
    struct index_head head;
    index_head(ix, &head);
    kinds_init(&d->kinds, ix);
    d->index = ix;
    d->store_id = store_id;
    d->block_no = head.block;
    d->position = head.position;
    d->log_bytes = head.log_bytes;
    d->time = head.time;
    d->next_aggregate = head.next_aggregate;
    d->next_type = head.next_type;
    return d;
}

void decider_free(struct decider *d) {
    if (!d)
        return;
    handlers_free(d->handlers);
    heads_free(d->heads);
    kinds_deinit(&d->kinds);
    ids_free(&d->young);
    ids_free(&d->old);
    free(d);
}

void decide_begin(struct decider *d, struct block_builder *b) {
    ids_free(&d->old);
    d->old = d->young;
    d->young = (struct ids){0};
    heads_turn(d->heads);
    if (d->handlers)
        handlers_turn(d->handlers);
    d->block = b;
    block_begin(b, d->block_no + 1, NULL, d->position + 1, d->log_bytes);
}

void decide_end(struct decider *d) {
    d->block_no++;
    if (d->handlers && handlers_close(d->handlers) < 0)
        d->broken = true;
}

const struct changes *decide_changes(const struct decider *d) {
    return d->handlers ? handlers_changes(d->handlers) : NULL;
}

uint64_t decide_position(const struct decider *d) {
    return d->position;
}

bool decide_broken(const struct decider *d) {
    return d->broken;
}

/* --- refusing */

static enum outcome refuse(struct job *job, enum outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum outcome refuse(struct job *job, enum outcome outcome, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(job->refusal.detail, sizeof job->refusal.detail, format, args);
    va_end(args);
    job->refusal.outcome = outcome;
    return outcome;
}

/* The store could not be asked: nothing was decided. */
static enum outcome refuse_failed(struct job *job, int r, const struct err *err) {
    return refuse(job, r == -ENOMEM ? OUTCOME_NO_ROOM : OUTCOME_HANDLER_FAILED, "%s", err->text);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Times strictly follow positions, whatever the clock does. */
static uint64_t time_take(struct decider *d) {
    uint64_t t = now();
    d->time = t > d->time ? t : d->time + 1;
    return d->time;
}

/* Of n events, a microsecond apart; the first one. */
static uint64_t time_take_more(struct decider *d, uint64_t first, size_t n) {
    if (n > 1)
        d->time = first + n - 1;
    return first;
}

/* --- names */

static void put_record(struct decider *d, const struct job *job, uint64_t time, enum record_kind kind, uint32_t type_no,
                       uint64_t aggregate, struct str name) {
    const struct record r = {.kind = kind,
                             .time = time,
                             .uid = job->caller.who.uid,
                             .type_no = type_no,
                             .aggregate = aggregate,
                             .name = name};
    block_put_record(d->block, &r);
}

/* The type of a name, made when there is none. NULL when out of memory. */
static struct kind *kind_make(struct decider *d, const struct job *job, uint64_t time, struct str name) {
    struct kind *kind = NULL;
    if (kinds_find(&d->kinds, name, &kind) < 0)
        return NULL;
    if (kind)
        return kind;
    kind = kinds_add(&d->kinds, name, d->next_type);
    if (!kind)
        return NULL;
    put_record(d, job, time, RECORD_TYPE, d->next_type++, 0, kind->name);
    return kind;
}

/* Gives an aggregate its number when it has none. The type, or NULL when out of memory. */
static struct kind *head_make(struct decider *d, const struct job *job, uint64_t time, struct head *head) {
    struct kind *kind = kind_make(d, job, time, head->type);
    if (!kind || head->no)
        return kind;
    head->no = d->next_aggregate++;
    head->version = head->bytes = 0;
    kind->aggregates++;
    put_record(d, job, time, RECORD_NAME, kind->no, head->no, head->id);
    return kind;
}

/* Numbers are for good, so they can run out. How many types and aggregates a request may make, at most. */
static enum outcome judge_numbers(struct decider *d, struct job *job, size_t types, size_t aggregates) {
    if (types && d->next_type + types > INDEX_TYPES_MAX)
        return refuse(job, OUTCOME_NO_ROOM, "the store has had %u aggregate types of the %u that it can number",
                      d->next_type - 1, INDEX_TYPES_MAX);
    if (aggregates && d->next_aggregate + aggregates > INDEX_AGGREGATES_MAX)
        return refuse(job, OUTCOME_NO_ROOM, "the store has had as many aggregates as it can number");
    return OUTCOME_OK;
}

/* What the store remembers of an id: 0, INDEX_NONE or a negative errno. */
static int id_find(struct decider *d, uint64_t aggregate, struct str id, struct index_command *out, struct err *err) {
    const struct index_command *found = ids_find(&d->young, aggregate, id);
    if (!found)
        found = ids_find(&d->old, aggregate, id);
    if (!found)
        return index_command_by_id(d->index, aggregate, id, out, err);
    *out = *found;
    return 0;
}

/* --- judging a request: first every command of it, then their records */

/* A command under judgement. */
struct case_of {
    const struct command *command;
    struct head *head;
    bool known; /* its id is */
    struct index_command memory;
    /* what it becomes */
    const struct block_event *events;
    size_t n_events;
    struct block_event own; /* without a domain: the command itself */
};

static enum outcome judge_id(struct decider *d, struct job *job, struct case_of *c) {
    struct err err;
    const struct command *command = c->command;
    if (!command->id.n || !c->head->no)
        return OUTCOME_OK;
    int r = id_find(d, c->head->no, command->id, &c->memory, &err);
    if (r < 0)
        return refuse_failed(job, r, &err);
    if (r == INDEX_NONE)
        return OUTCOME_OK;
    c->known = true;
    if (memcmp(c->memory.content, command->content, DIGEST_CONTENT) != 0)
        return refuse(job, OUTCOME_ID_REUSED, "command id \"%.*s\" was used before with another type or other data",
                      (int)command->id.n, command->id.p);
    return OUTCOME_OK;
}

static enum outcome judge_version(struct job *job, const struct case_of *c) {
    const struct command *m = c->command;
    uint64_t at = c->head->version + c->head->staged;
    const char *need = NULL;
    if (m->expect == EXPECT_VERSION && at != m->version)
        return refuse(job, OUTCOME_CONFLICT, "%.*s/%.*s is at version %llu, not %llu", (int)m->aggregate_type.n,
                      m->aggregate_type.p, (int)m->aggregate_id.n, m->aggregate_id.p, (unsigned long long)at,
                      (unsigned long long)m->version);
    if (m->expect == EXPECT_NONE && at != 0)
        need = "should have no events";
    if (m->expect == EXPECT_EXISTS && at == 0)
        need = "should have events";
    if (!need)
        return OUTCOME_OK;
    return refuse(job, OUTCOME_CONFLICT, "%.*s/%.*s is at version %llu, but %s", (int)m->aggregate_type.n,
                  m->aggregate_type.p, (int)m->aggregate_id.n, m->aggregate_id.p, (unsigned long long)at, need);
}

/* Whether the ids of a transaction tell of one that was done before. All of them must be known, or none. */
static enum outcome judge_transaction_ids(struct job *job, struct case_of *cases, size_t n, bool *duplicate) {
    size_t with_id = 0, known = 0, first_unknown = 0;
    for (size_t i = 0; i < n; i++) {
        with_id += cases[i].command->id.n != 0;
        known += cases[i].known;
        if (cases[i].command->id.n && !cases[i].known)
            first_unknown = i;
    }
    *duplicate = known > 0 && known == with_id;
    if (known == 0 || *duplicate)
        return OUTCOME_OK;
    job->refusal.index = first_unknown;
    return refuse(job, OUTCOME_ID_REUSED, "some command ids of the transaction were used before, and some were not");
}

static int compare_ids(const void *a, const void *b) {
    const struct case_of *x = *(struct case_of *const *)a, *y = *(struct case_of *const *)b;
    if (x->head != y->head)
        return x->head < y->head ? -1 : 1;
    if (x->command->id.n != y->command->id.n)
        return x->command->id.n < y->command->id.n ? -1 : 1;
    return memcmp(x->command->id.p, y->command->id.p, x->command->id.n);
}

/* Sorted, because a transaction may be a megabyte of commands. */
static enum outcome judge_ids_distinct(struct job *job, struct case_of *cases, size_t n) {
    size_t with_id = 0;
    struct case_of **sorted = malloc((n + 1) * sizeof(struct case_of *));
    if (!sorted)
        return refuse(job, OUTCOME_NO_ROOM, "out of memory");
    for (size_t i = 0; i < n; i++)
        if (cases[i].command->id.n)
            sorted[with_id++] = &cases[i];
    qsort(sorted, with_id, sizeof *sorted, compare_ids);
    enum outcome o = OUTCOME_OK;
    for (size_t i = 1; o == OUTCOME_OK && i < with_id; i++)
        if (compare_ids(&sorted[i - 1], &sorted[i]) == 0) {
            size_t a = (size_t)(sorted[i - 1] - cases), b = (size_t)(sorted[i] - cases);
            job->refusal.index = a > b ? a : b;
            o = refuse(job, OUTCOME_ID_REUSED, "command id \"%.*s\" is named twice in the transaction",
                       (int)sorted[i]->command->id.n, sorted[i]->command->id.p);
        }
    free(sorted);
    return o;
}

static enum outcome judge_heads_and_ids(struct decider *d, struct job *job, struct case_of *cases, size_t n) {
    struct err err;
    for (size_t i = 0; i < n; i++) {
        const struct command *m = cases[i].command;
        job->refusal.index = i;
        int r = heads_get(d->heads, m->aggregate_type, m->aggregate_id, &cases[i].head, &err);
        if (r < 0)
            return refuse_failed(job, r, &err);
        cases[i].head->staged = 0;
        enum outcome o = judge_id(d, job, &cases[i]);
        if (o != OUTCOME_OK)
            return o;
    }
    return OUTCOME_OK;
}

/* What a command becomes: without a domain, an event of the same type and data. `staged` events of the request come
 * before it. */
static enum outcome decide_case(struct decider *d, struct job *job, struct case_of *c, uint64_t staged) {
    const uint64_t time = time_take(d);
    struct decision decision;
    if (!d->handlers) {
        c->own = (struct block_event){.time = time, .type = c->command->type, .data = c->command->data};
        c->events = &c->own;
        c->n_events = 1;
        return OUTCOME_OK;
    }
    enum outcome o =
        handlers_decide(d->handlers, c->command, c->head, time, d->position + staged + 1, &decision, &job->refusal);
    if (o != OUTCOME_OK)
        return o;
    c->own.time = time_take_more(d, time, decision.n);
    c->events = decision.events;
    c->n_events = decision.n;
    return OUTCOME_OK;
}

/* Each is judged and decided on what those before it have made. */
static enum outcome judge_decisions(struct decider *d, struct job *job, struct case_of *cases, size_t n) {
    enum outcome o = OUTCOME_OK;
    uint64_t staged = 0;
    for (size_t i = 0; o == OUTCOME_OK && i < n; i++) {
        struct case_of *c = &cases[i];
        job->refusal.index = i;
        o = judge_version(job, c);
        if (o == OUTCOME_OK && c->command->type.n)
            o = decide_case(d, job, c, staged);
        c->head->staged += (uint32_t)c->n_events;
        staged += c->n_events;
    }
    if (o == OUTCOME_OK && d->handlers)
        o = handlers_judge(d->handlers, &job->refusal);
    for (size_t i = 0; i < n; i++)
        cases[i].head->staged = 0;
    return o;
}

/* Counts one that is named again further on again, but not one that is named many times in a row. */
static enum outcome judge_new(struct decider *d, struct job *job, const struct case_of *cases, size_t n) {
    const struct head *last = NULL;
    size_t types = 0, aggregates = 0;
    for (size_t i = 0; i < n; i++) {
        const struct head *head = cases[i].head;
        struct kind *kind = NULL;
        if (head->no || !cases[i].command->type.n || head == last)
            continue;
        if (!last || !str_eq(head->type, last->type)) {
            if (kinds_find(&d->kinds, head->type, &kind) < 0)
                return refuse(job, OUTCOME_NO_ROOM, "out of memory");
            types += !kind;
        }
        aggregates++;
        last = head;
    }
    return judge_numbers(d, job, types, aggregates);
}

static enum outcome judge(struct decider *d, struct job *job, struct case_of *cases, size_t n, bool transaction,
                          bool *duplicate) {
    enum outcome o = judge_heads_and_ids(d, job, cases, n);
    *duplicate = cases[0].known;
    if (o == OUTCOME_OK && transaction && (o = judge_ids_distinct(job, cases, n)) == OUTCOME_OK)
        o = judge_transaction_ids(job, cases, n, duplicate);
    if (o == OUTCOME_OK && !*duplicate)
        o = judge_new(d, job, cases, n);
    if (o == OUTCOME_OK && !*duplicate)
        o = judge_decisions(d, job, cases, n);
    return o;
}

/* --- writing what was accepted */

static struct record record_of(const struct job *job, const struct case_of *c, uint32_t type_no) {
    const struct command *m = c->command;
    return (struct record){.kind = RECORD_COMMAND,
                           .time = c->own.time,
                           .uid = job->caller.who.uid,
                           .type_no = type_no,
                           .aggregate = c->head->no,
                           .name = c->head->id,
                           .version = c->head->version + (c->n_events != 0),
                           .stream_offset = c->head->bytes,
                           .id = m->id,
                           .content = m->id.n ? m->content : NULL,
                           .correlationid = m->correlationid,
                           .causationid = m->causationid,
                           .traceparent = m->traceparent,
                           .meta = m->meta};
}

/* Event k of a command as readers will see it. */
static struct event event_of(const struct decider *d, const struct record *r, const struct case_of *c, size_t k) {
    const struct block_event *b = &c->events[k];
    return (struct event){
        .position = d->position + 1,
        .version = c->head->version + 1,
        .time = b->time,
        .aggregate = c->head->no,
        .type_no = r->type_no,
        .uid = r->uid,
        .schema = b->schema,
        .aggregate_type = c->head->type,
        .aggregate_id = c->head->id,
        .type = b->type,
        .data = b->data,
        .commandid = r->id,
        .correlationid = r->correlationid,
        .causationid = r->causationid,
        .traceparent = r->traceparent,
        .meta = r->meta,
        .store_id = d->store_id,
    };
}

static int id_remember(struct decider *d, const struct case_of *c) {
    struct index_command memory = {.n_events = (uint32_t)c->n_events};
    memory.version = c->head->version - (c->n_events ? c->n_events - 1 : 0);
    memory.position = d->position - (c->n_events ? c->n_events - 1 : 0);
    if (!c->command->id.n)
        return 0;
    memcpy(memory.content, c->command->content, DIGEST_CONTENT);
    return ids_add(&d->young, c->head->no, c->command->id, &memory);
}

/* The heads move on event by event; the bytes of all their texts. */
static int advance(struct decider *d, const struct record *r, struct case_of *c, uint64_t *bytes) {
    int rc = 0;
    *bytes = 0;
    for (size_t k = 0; rc == 0 && k < c->n_events; k++) {
        const struct event e = event_of(d, r, c, k);
        size_t size = event_size(&e);
        rc = d->handlers ? handlers_accept(d->handlers, &e) : 0;
        d->position++;
        d->log_bytes += size;
        c->head->version++;
        c->head->bytes += size;
        *bytes += size;
    }
    return rc;
}

/* 0, or -ENOMEM: the block is then in pieces and must not be committed. What appended nothing and has no id needs no
 * record. */
static int accept_command(struct decider *d, const struct job *job, struct case_of *c, bool *joined,
                          struct job_result *out) {
    uint64_t bytes;
    *out = (struct job_result){.known = true, .version = c->head->version};
    if (!c->n_events && !c->command->id.n)
        return 0;
    const struct kind *kind = head_make(d, job, c->own.time, c->head);
    if (!kind)
        return -ENOMEM;
    struct record r = record_of(job, c, kind->no);
    r.joined = *joined;
    *joined = true;
    if (advance(d, &r, c, &bytes) < 0)
        return -ENOMEM;
    block_put_command(d->block, &r, c->events, c->n_events, bytes);
    out->version = c->head->version;
    if (c->n_events) {
        out->position = d->position;
        out->time = c->events[c->n_events - 1].time;
        out->n_events = (uint32_t)c->n_events;
    }
    return id_remember(d, c);
}

static struct job_result result_of_duplicate(const struct case_of *c) {
    struct job_result r = {.duplicate = true, .known = c->known, .n_events = c->memory.n_events};
    r.version = c->memory.version + (c->memory.n_events ? c->memory.n_events - 1 : 0);
    r.position = c->memory.n_events ? c->memory.position + c->memory.n_events - 1 : 0;
    return r;
}

static int settle(struct decider *d, const struct job *job, struct case_of *cases, size_t n, bool duplicate,
                  struct job_result *results) {
    int r = 0;
    bool joined = false;
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (duplicate) {
            results[i] = result_of_duplicate(&cases[i]);
        } else if (cases[i].command->type.n) {
            r = accept_command(d, job, &cases[i], &joined, &results[i]);
        } else {
            results[i] = (struct job_result){.known = true, .version = cases[i].head->version};
        }
    }
    return r;
}

static enum outcome refuse_broken(struct decider *d, struct job *job) {
    d->broken = true;
    return refuse(job, OUTCOME_UNKNOWN, "out of memory while the block was built");
}

enum outcome decide_request(struct decider *d, struct job *job, size_t i) {
    const struct request *request = &job->requests[i];
    struct case_of one = {0}, *cases = &one;
    bool duplicate = false;
    if (request->n_commands > 1 && !(cases = calloc(request->n_commands, sizeof *cases)))
        return refuse(job, OUTCOME_NO_ROOM, "out of memory");
    for (size_t k = 0; k < request->n_commands; k++)
        cases[k].command = &request->commands[k];
    job->refusal.has_index = request->transaction;
    enum outcome o = d->handlers ? handlers_begin(d->handlers, d->heads, &job->caller, &job->requests[i], &job->refusal)
                                 : OUTCOME_OK;
    if (o == OUTCOME_OK)
        o = judge(d, job, cases, request->n_commands, request->transaction, &duplicate);
    if (o == OUTCOME_OK && settle(d, job, cases, request->n_commands, duplicate, job->results[i]) < 0)
        o = refuse_broken(d, job);
    if (d->handlers && o != OUTCOME_OK)
        handlers_abandon(d->handlers);
    else if (d->handlers && handlers_end(d->handlers) < 0)
        o = refuse_broken(d, job);
    if (cases != &one)
        free(cases);
    return o;
}

/* --- directories */

static enum outcome judge_name(struct job *job, struct str name, bool reserved) {
    const char *fault = name_fault(name);
    if (!fault && reserved)
        fault = "is reserved";
    return fault ? refuse(job, OUTCOME_INVALID, "\"%.*s\" %s", (int)name.n, name.p, fault) : OUTCOME_OK;
}

static enum outcome declare_type(struct decider *d, struct job *job) {
    struct kind *kind;
    if (kinds_find(&d->kinds, job->type, &kind) < 0)
        return refuse(job, OUTCOME_NO_ROOM, "out of memory");
    if (kind)
        return refuse(job, OUTCOME_EXISTS, "the type exists");
    enum outcome o = judge_numbers(d, job, 1, 0);
    return o == OUTCOME_OK && !kind_make(d, job, time_take(d), job->type) ? refuse_broken(d, job) : o;
}

static enum outcome declare_aggregate(struct decider *d, struct job *job) {
    struct err err;
    struct head *head;
    int r = heads_get(d->heads, job->type, job->id, &head, &err);
    if (r < 0)
        return refuse_failed(job, r, &err);
    if (head->no)
        return refuse(job, OUTCOME_EXISTS, "the aggregate exists");
    struct kind *known = NULL;
    if (kinds_find(&d->kinds, job->type, &known) < 0)
        return refuse(job, OUTCOME_NO_ROOM, "out of memory");
    enum outcome o = judge_numbers(d, job, !known, 1);
    if (o != OUTCOME_OK)
        return o;
    const struct kind *kind = head_make(d, job, time_take(d), head);
    if (!kind)
        return refuse_broken(d, job);
    put_record(d, job, time_take(d), RECORD_DECLARE, kind->no, head->no, (struct str){NULL, 0});
    return OUTCOME_OK;
}

/* With a domain, the types are those of the domain. */
static enum outcome judge_type(const struct decider *d, struct job *job) {
    if (!d->handlers || (job->id.n && domain_type(handlers_domain(d->handlers), job->type)))
        return OUTCOME_OK;
    return refuse(job, OUTCOME_REJECTED, "the types are those of the domain");
}

enum outcome decide_declare(struct decider *d, struct job *job) {
    enum outcome o = judge_name(job, job->type, name_is_reserved_type(job->type));
    if (o == OUTCOME_OK && job->id.n)
        o = judge_name(job, job->id, name_is_reserved_aggregate(job->id));
    if (o == OUTCOME_OK)
        o = judge_type(d, job);
    if (o != OUTCOME_OK)
        return o;
    return job->id.n ? declare_aggregate(d, job) : declare_type(d, job);
}

static enum outcome undeclare_type(struct decider *d, struct job *job, struct kind *kind) {
    if (d->handlers)
        return refuse(job, OUTCOME_REJECTED, "the types are those of the domain");
    if (kind->aggregates)
        return refuse(job, OUTCOME_NOT_EMPTY, "the type has aggregates");
    put_record(d, job, time_take(d), RECORD_UNTYPE, kind->no, 0, (struct str){NULL, 0});
    kind->no = 0;
    return OUTCOME_OK;
}

static enum outcome undeclare_aggregate(struct decider *d, struct job *job, struct kind *kind) {
    struct err err;
    struct head *head;
    int r = heads_get(d->heads, job->type, job->id, &head, &err);
    if (r < 0)
        return refuse_failed(job, r, &err);
    if (!head->no)
        return refuse(job, OUTCOME_NOT_FOUND, "no such aggregate");
    if (head->version)
        return refuse(job, OUTCOME_NOT_EMPTY, "the aggregate has events");
    put_record(d, job, time_take(d), RECORD_UNDECLARE, kind->no, head->no, (struct str){NULL, 0});
    head->no = 0;
    kind->aggregates--;
    return OUTCOME_OK;
}

enum outcome decide_undeclare(struct decider *d, struct job *job) {
    struct kind *kind;
    if (kinds_find(&d->kinds, job->type, &kind) < 0)
        return refuse(job, OUTCOME_NO_ROOM, "out of memory");
    if (!kind)
        return refuse(job, OUTCOME_NOT_FOUND, "no such type");
    return job->id.n ? undeclare_aggregate(d, job, kind) : undeclare_type(d, job, kind);
}

/* --- a domain */

static void put_schema(struct decider *d, const struct job *job, const struct kind *kind,
                       const struct domain_schema *schema) {
    const struct record r = {.kind = RECORD_SCHEMA,
                             .time = time_take(d),
                             .uid = job->caller.who.uid,
                             .type_no = kind->no,
                             .of_command = schema->of_command,
                             .schema_version = schema->version,
                             .schema_name = schema->name,
                             .schema_text = schema->text};
    block_put_record(d->block, &r);
}

enum outcome decide_adopt(struct decider *d, struct job *job) {
    const struct domain *domain = handlers_domain(job->handlers);
    struct kind *kind = NULL;
    size_t missing = 0;
    if (job->ready && job->ready(job) != 0)
        return job->refusal.outcome;
    for (size_t i = 0; i < domain->n_types; i++) {
        if (kinds_find(&d->kinds, domain->types[i].name, &kind) < 0)
            return refuse(job, OUTCOME_NO_ROOM, "out of memory");
        missing += !kind;
    }
    enum outcome o = judge_numbers(d, job, missing, 0);
    if (o != OUTCOME_OK)
        return o;
    for (size_t i = 0; i < domain->n_types; i++)
        if (!kind_make(d, job, time_take(d), domain->types[i].name))
            return refuse_broken(d, job);
    for (size_t i = 0; i < job->n_schemas; i++) {
        if (kinds_find(&d->kinds, job->schemas[i]->type, &kind) < 0 || !kind)
            return refuse_broken(d, job);
        put_schema(d, job, kind, job->schemas[i]);
    }
    handlers_free(d->handlers);
    d->handlers = job->handlers;
    job->handlers = NULL;
    handlers_count(d->handlers);
    return OUTCOME_OK;
}

/* --- skips */

static const char *follower_fault(struct str follower) {
    if (follower.n == 0)
        return "has no name";
    if (follower.n > BLOCK_FOLLOWER_BYTES)
        return "has a name longer than 256 bytes";
    return name_is_plain_text(follower) ? NULL : "has a name that is no plain text";
}

enum outcome decide_skip(struct decider *d, struct job *job) {
    const char *fault = follower_fault(job->follower);
    if (fault)
        return refuse(job, OUTCOME_INVALID, "the follower %s", fault);
    if (!job->type_no)
        return refuse(job, OUTCOME_NOT_FOUND, "no event has position %016llx", (unsigned long long)job->position);
    if (index_skip_find(d->index, job->follower, job->position) == 0)
        return OUTCOME_OK;
    const struct record r = {.kind = RECORD_SKIP,
                             .time = time_take(d),
                             .uid = job->caller.who.uid,
                             .type_no = job->type_no,
                             .follower = job->follower,
                             .position = job->position};
    block_put_record(d->block, &r);
    return OUTCOME_OK;
}
