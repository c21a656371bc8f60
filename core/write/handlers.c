#include "handlers.h"

#include "admit.h"
#include "dialogue.h"
#include "live.h"
#include "name.h"
#include "unique.h"
#include "varint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define KEEP_BYTES (1 << 20)
#define VALUE_SHOWN 80 /* bytes of a unique value in a refusal */

/* A state that the request has touched, and the command that did so last. */
struct touch {
    struct live *live;
    const struct head *head;
    const struct command *by;
    size_t command;      /* its place in the request */
    struct str snapshot; /* to be written with the block; p NULL: none */
};

struct handlers {
    struct handlers_options options;
    struct domain_vm *vm;
    struct folder *folder;
    struct live_states *states;
    struct unique *unique;
    struct json_parser *parser;
    struct changes young, old; /* of the block under construction and of the one before */
    uint64_t *events;          /* of each type of the domain, as decided */
    bool *moved;               /* in the block under construction */

    /* of the request */
    struct arena arena;
    struct heads *heads;
    const struct caller *caller;
    size_t command; /* the one being decided */
    struct touch *touched;
    size_t n_touched, touched_room;
    struct unique_change *changes;
    size_t n_changes, changes_room;
};

/* --- life */

int handlers_new(struct handlers **out, const struct handlers_options *options, struct err *err) {
    struct handlers *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(err, ENOMEM, "out of memory");
    h->options = *options;
    domain_ref(options->domain);
    int r = domain_vm_new(&h->vm, options->domain, err);
    if (r == 0) {
        h->folder = folder_new(h->vm, &options->fold);
        h->states = h->folder ? live_new(h->folder, options->fold.source.index, options->states_max) : NULL;
        h->unique = unique_new(options->fold.db, options->fold.source.index);
        h->parser = json_parser_new();
        h->events = calloc(options->domain->n_types + 1, sizeof *h->events);
        h->moved = calloc(options->domain->n_types + 1, sizeof *h->moved);
        if (!h->events || !h->moved || !h->states || !h->unique || !h->parser)
            r = err_set(err, ENOMEM, "out of memory");
    }
    if (r < 0) {
        handlers_free(h);
        return r;
    }
    *out = h;
    return 0;
}

void handlers_free(struct handlers *h) {
    if (!h)
        return;
    live_free(h->states);
    unique_free(h->unique);
    folder_free(h->folder);
    json_parser_free(h->parser);
    domain_vm_free(h->vm);
    domain_unref(h->options.domain);
    changes_free(&h->young);
    changes_free(&h->old);
    arena_free(&h->arena);
    free(h->events);
    free(h->moved);
    free(h->touched);
    free(h->changes);
    free(h);
}

const struct domain *handlers_domain(const struct handlers *h) {
    return h->options.domain;
}

void handlers_turn(struct handlers *h) {
    changes_free(&h->old);
    h->old = h->young;
    h->young = (struct changes){0};
    live_turn(h->states);
    unique_turn(h->unique);
}

const struct changes *handlers_changes(const struct handlers *h) {
    return &h->young;
}

/* Counts begin where the index stands, which is where deciding does when a domain is adopted. */
void handlers_count(struct handlers *h) {
    const struct domain *d = h->options.domain;
    struct index_type type;
    for (size_t i = 0; i < d->n_types; i++)
        h->events[i] = index_type_by_name(h->options.fold.source.index, d->types[i].name, &type) == 0 ? type.events : 0;
}

int handlers_close(struct handlers *h) {
    const struct domain *d = h->options.domain;
    struct buf key = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < d->n_types; i++) {
        if (!h->moved[i] || !d->types[i].n_rules)
            continue;
        char count[8];
        h->moved[i] = false;
        buf_clear(&key);
        holder_mark_key(&d->types[i], &key);
        be64_put(count, h->events[i]);
        r = key.oom ? -ENOMEM : changes_put(&h->young, buf_str(&key), (struct str){count, sizeof count});
    }
    buf_free(&key);
    return r;
}

/* --- refusing */

static enum outcome refuse_failed(struct handlers *h, const struct command *c, const char *what, int r,
                                  const struct script_fault *fault, struct refusal *refusal) {
    if (r == -ENOMEM)
        return refusal_set(refusal, OUTCOME_NO_ROOM, "out of memory");
    struct script_fault told = *fault;
    char words[DIALOGUE_WORDS];
    dialogue_blame(c->domain_type, &told);
    dialogue_words(&told, words);
    const struct handler_failure failure = {.command = c, .caller = h->caller, .fault = &told, .what = what};
    h->options.report(h->options.arg, &failure);
    return refusal_set(refusal, OUTCOME_HANDLER_FAILED, "%s", words);
}

/* --- a request */

enum outcome handlers_begin(struct handlers *h, struct heads *heads, const struct caller *caller,
                            struct request *request, struct refusal *refusal) {
    arena_reset(&h->arena, KEEP_BYTES);
    live_trim(h->states);
    h->heads = heads;
    h->caller = caller;
    h->n_touched = h->n_changes = 0;
    int r = 0;
    if (request->domain != h->options.domain)
        r = admit_request(h->options.domain, &h->options.ownership, &caller->who, h->parser, &h->arena, request);
    if (r < 0)
        return refusal_set(refusal, OUTCOME_NO_ROOM, "out of memory");
    if (!request->refusal)
        return OUTCOME_OK;
    *refusal = *request->refusal;
    return refusal->outcome;
}

static int touch(struct handlers *h, struct live *live, const struct head *head, const struct command *by) {
    if (live->touch) {
        h->touched[live->touch - 1].by = by;
        h->touched[live->touch - 1].command = h->command;
        return 0;
    }
    if (h->n_touched == h->touched_room) {
        size_t room = h->touched_room ? 2 * h->touched_room : 16;
        struct touch *touched = realloc(h->touched, room * sizeof *touched);
        if (!touched)
            return -ENOMEM;
        h->touched = touched;
        h->touched_room = room;
    }
    h->touched[h->n_touched++] = (struct touch){.live = live, .head = head, .by = by, .command = h->command};
    live->touch = h->n_touched;
    return 0;
}

/* The values that a state holds as it is stored, before anything changes it. */
static int held_load(struct handlers *h, struct live *live, struct script_fault *fault) {
    const struct domain_type *t = live->type;
    if (!t->n_rules || live->held)
        return 0;
    live->held = calloc(t->n_rules, sizeof *live->held);
    if (!live->held)
        return -ENOMEM;
    struct buf value = {0};
    int r = 0;
    /* an aggregate without events holds nothing, whatever its initial state says */
    for (size_t i = 0; r == 0 && live->fold.version > 0 && i < t->n_rules; i++) {
        bool present = false;
        buf_clear(&value);
        r = script_unique(domain_vm_script(h->vm), domain_vm_rule(h->vm, t, &t->rules[i]), live->fold.state, &value,
                          &present, fault);
        if (r == 0 && present && value.n <= HOLDER_VALUE_MAX) {
            char *copy = malloc(value.n + 1);
            if (!copy)
                r = -ENOMEM;
            else
                live->held[i] = (struct str){memcpy(copy, value.p, value.n), value.n};
        }
    }
    buf_free(&value);
    return r;
}

static int state_get(struct handlers *h, const struct domain_type *t, const struct head *head, struct live **out,
                     struct script_fault *fault) {
    int r = live_get(h->states, t, head, out, fault);
    return r == 0 ? held_load(h, *out, fault) : r;
}

/* get("customer/7") of a decider. */
static int get_other(void *arg, struct str aggregate, script_value *state, struct err *err) {
    struct handlers *h = arg;
    const char *slash = memchr(aggregate.p, '/', aggregate.n);
    if (!slash)
        return err_set(err, EINVAL, "it must be \"type/id\", not \"%.*s\"", (int)aggregate.n, aggregate.p);
    struct str type = {aggregate.p, (size_t)(slash - aggregate.p)};
    struct str id = {slash + 1, aggregate.n - type.n - 1};
    const struct domain_type *t = domain_type(h->options.domain, type);
    const char *fault = name_fault(id);
    if (!t)
        return err_set(err, EINVAL, "the domain has no type \"%.*s\"", (int)type.n, type.p);
    if (fault)
        return err_set(err, EINVAL, "\"%.*s\" %s", (int)id.n, id.p, fault);
    struct head *head;
    struct live *live;
    struct script_fault why = {0};
    int r = heads_get(h->heads, t->name, id, &head, err);
    if (r < 0)
        return r;
    r = live_get(h->states, t, head, &live, &why);
    if (r != 0)
        return err_set(err, r < 0 ? -r : EIO, "the state of %.*s: %.300s", (int)aggregate.n, aggregate.p, why.text);
    *state = live->fold.state;
    return 0;
}

static struct str joined(struct arena *a, struct str type, struct str id) {
    char *text = arena_alloc(a, type.n + 1 + id.n);
    if (!text)
        return (struct str){NULL, 0};
    memcpy(text, type.p, type.n);
    text[type.n] = '/';
    memcpy(text + type.n + 1, id.p, id.n);
    return (struct str){text, type.n + 1 + id.n};
}

/* --- what was emitted */

/* An event as it will be stored, but for the aggregate's number. */
static struct event stored_event(const struct handlers *h, const struct command *c, const struct head *head,
                                 const struct block_event *b, uint64_t position, uint64_t version) {
    return (struct event){.position = position,
                          .version = version,
                          .time = b->time,
                          .aggregate = head->no,
                          .uid = h->caller->who.uid,
                          .schema = b->schema,
                          .aggregate_type = head->type,
                          .aggregate_id = head->id,
                          .type = b->type,
                          .data = b->data,
                          .commandid = c->id,
                          .correlationid = c->correlationid,
                          .causationid = c->causationid,
                          .traceparent = c->traceparent,
                          .meta = c->meta,
                          .store_id = h->options.fold.source.store_id};
}

static enum outcome evolve_all(struct handlers *h, const struct command *c, const struct head *head, uint64_t time,
                               uint64_t position, const struct script_list *list, struct decision *out,
                               struct refusal *refusal) {
    struct script_fault fault;
    struct fresh_event fresh;
    const struct domain_type *t = c->domain_type;
    for (size_t i = 0; i < list->n; i++) {
        int r = dialogue_check(h->parser, &h->arena, t, &list->items[i], &fresh, &fault);
        if (r != 0)
            return refuse_failed(h, c, "decide", r, &fault, refusal);
        out->events[i] = (struct block_event){
            .time = time + i, .schema = fresh.definition->version, .type = fresh.type, .data = fresh.data};
        const struct event e =
            stored_event(h, c, head, &out->events[i], position + i, head->version + head->staged + i + 1);
        r = fold_fresh(h->folder, t, &out->live->fold, &e, &fresh, event_size(&e), &fault);
        folder_reset(h->folder);
        if (r != 0)
            return refuse_failed(h, c, "evolve", r, &fault, refusal);
    }
    return OUTCOME_OK;
}

enum outcome handlers_decide(struct handlers *h, const struct command *c, const struct head *head, uint64_t time,
                             uint64_t position, struct decision *out, struct refusal *refusal) {
    struct script_fault fault = {0};
    struct script_command told;
    struct script_list list;
    *out = (struct decision){0};
    h->command = refusal->index;
    int r = state_get(h, c->domain_type, head, &out->live, &fault);
    if (r != 0)
        return refuse_failed(h, c, "the state", r, &fault, refusal);
    const struct dialogue_place place = {.aggregate = joined(&h->arena, head->type, head->id),
                                         .version = head->version + head->staged,
                                         .time = time,
                                         .position = position,
                                         .store_id = h->options.fold.source.store_id};
    r = place.aggregate.p ? dialogue_tell(h->parser, &h->arena, c, &h->caller->who, &place, &told) : -ENOMEM;
    if (r == 0)
        r = script_decide(domain_vm_script(h->vm), domain_vm_decide(h->vm, c->domain_type, c->definition),
                          out->live->fold.state, &told, get_other, h, &h->arena, &list, &fault);
    if (r == SCRIPT_REJECTED)
        return refusal_set(refusal, OUTCOME_REJECTED, "%s", fault.text);
    if (r != 0)
        return refuse_failed(h, c, "decide", r, &fault, refusal);
    out->events = arena_alloc(&h->arena, (list.n + 1) * sizeof *out->events);
    if (!out->events || (list.n && touch(h, out->live, head, c) < 0))
        return refusal_set(refusal, OUTCOME_NO_ROOM, "out of memory");
    out->n = list.n;
    return evolve_all(h, c, head, time, position, &list, out, refusal);
}

/* --- unique rules */

static int change_add(struct handlers *h, const struct touch *touch, const struct domain_rule *rule, struct str before,
                      struct str after) {
    if (h->n_changes == h->changes_room) {
        size_t room = h->changes_room ? 2 * h->changes_room : 16;
        struct unique_change *changes = realloc(h->changes, room * sizeof *changes);
        if (!changes)
            return -ENOMEM;
        h->changes = changes;
        h->changes_room = room;
    }
    h->changes[h->n_changes++] = (struct unique_change){
        .type = touch->live->type,
        .rule = rule,
        .aggregate = touch->head->no,
        .id = touch->live->id,
        .before = before,
        .after = after,
        .command = touch->command,
    };
    return 0;
}

static int rule_apply(struct handlers *h, const struct touch *touch, size_t i, struct script_fault *fault) {
    const struct domain_type *t = touch->live->type;
    struct str before = touch->live->held[i], after = {NULL, 0};
    struct buf value = {0};
    bool present = false;
    int r = script_unique(domain_vm_script(h->vm), domain_vm_rule(h->vm, t, &t->rules[i]), touch->live->fold.state,
                          &value, &present, fault);
    if (r == 0 && present && value.n > HOLDER_VALUE_MAX) {
        *fault = (struct script_fault){0};
        snprintf(fault->text, sizeof fault->text, "unique %.*s of %.*s: the value has more than %d bytes",
                 (int)t->rules[i].name.n, t->rules[i].name.p, (int)t->name.n, t->name.p, HOLDER_VALUE_MAX);
        r = SCRIPT_FAILED;
    }
    if (r == 0 && present) {
        after = arena_copy(&h->arena, buf_str(&value));
        r = after.p ? 0 : -ENOMEM;
    }
    buf_free(&value);
    bool changed = (before.p != NULL) != (after.p != NULL) || !str_eq(before, after);
    return r == 0 && changed ? change_add(h, touch, &t->rules[i], before, after) : r;
}

static enum outcome refuse_taken(struct handlers *h, const struct unique_clash *clash, struct refusal *refusal) {
    const struct unique_change *c = &h->changes[clash->change];
    size_t n = c->after.n;
    if (n > VALUE_SHOWN)
        for (n = VALUE_SHOWN; n > 0 && ((uint8_t)c->after.p[n] & 0xc0) == 0x80;)
            n--;
    refusal->index = c->command;
    return refusal_set(refusal, OUTCOME_NOT_UNIQUE, "%.*s %.*s%s is held by %s", (int)c->rule->name.n, c->rule->name.p,
                       (int)n, c->after.p, n < c->after.n ? "..." : "", clash->holder);
}

/* A state must be one that can be kept and shown. A small one is looked at after each command, a large one when a
 * snapshot is due: a command must not cost more the larger a state grows. */
static int keep(struct handlers *h, struct touch *touch, struct script_fault *fault) {
    struct live *live = touch->live;
    if (fold_is_due(&live->fold, h->options.snapshot_every))
        return fold_save(h->folder, &live->fold, &h->arena, &touch->snapshot, fault);
    return script_check(domain_vm_script(h->vm), live->fold.state, fault);
}

enum outcome handlers_judge(struct handlers *h, struct refusal *refusal) {
    struct script_fault fault = {0};
    struct unique_clash clash;
    struct err err = {0};
    for (size_t i = 0; i < h->n_touched; i++) {
        struct touch *touch = &h->touched[i];
        int r = keep(h, touch, &fault);
        const char *what = "evolve";
        for (size_t k = 0; r == 0 && k < touch->live->type->n_rules; k++) {
            what = "unique";
            r = rule_apply(h, touch, k, &fault);
        }
        if (r != 0) {
            refusal->index = touch->command;
            return refuse_failed(h, touch->by, what, r, &fault, refusal);
        }
    }
    int r = unique_check(h->unique, h->changes, h->n_changes, &clash, &err);
    if (r == UNIQUE_TAKEN)
        return refuse_taken(h, &clash, refusal);
    if (r < 0)
        return refusal_set(refusal, r == -ENOMEM ? OUTCOME_NO_ROOM : OUTCOME_HANDLER_FAILED, "%s", err.text);
    return OUTCOME_OK;
}

/* --- afterwards */

void handlers_abandon(struct handlers *h) {
    for (size_t i = 0; i < h->n_touched; i++) {
        h->touched[i].live->touch = 0;
        live_forget(h->states, h->touched[i].live);
    }
    h->n_touched = 0;
}

int handlers_accept(struct handlers *h, const struct event *e) {
    const struct domain_type *t = domain_type(h->options.domain, e->aggregate_type);
    size_t i = (size_t)(t - h->options.domain->types);
    h->events[i]++;
    h->moved[i] = true;
    return live_pend(h->states, e);
}

static int held_change(struct live *live, const struct unique_change *c) {
    size_t i = (size_t)(c->rule - live->type->rules);
    char *copy = c->after.p ? malloc(c->after.n + 1) : NULL;
    if (c->after.p && !copy)
        return -ENOMEM;
    free((char *)live->held[i].p);
    live->held[i] = copy ? (struct str){memcpy(copy, c->after.p, c->after.n), c->after.n} : (struct str){NULL, 0};
    return 0;
}

static int changes_accept(struct handlers *h) {
    size_t at = 0;
    for (size_t i = 0; i < h->n_touched; i++)
        for (; at < h->n_changes && h->changes[at].id.p == h->touched[i].live->id.p; at++)
            h->changes[at].aggregate = h->touched[i].head->no;
    int r = unique_accept(h->unique, h->changes, h->n_changes, &h->young);
    at = 0;
    for (size_t i = 0; r == 0 && i < h->n_touched; i++)
        for (; r == 0 && at < h->n_changes && h->changes[at].id.p == h->touched[i].live->id.p; at++)
            r = held_change(h->touched[i].live, &h->changes[at]);
    return r;
}

static int snapshot_write(struct handlers *h, const struct touch *touch) {
    char key[SNAPSHOT_KEY_BYTES];
    if (!touch->snapshot.p)
        return 0;
    snapshot_key(touch->live->type->fold, touch->head->no, touch->live->fold.version, key);
    return changes_put(&h->young, (struct str){key, sizeof key}, touch->snapshot);
}

int handlers_end(struct handlers *h) {
    int r = changes_accept(h);
    for (size_t i = 0; i < h->n_touched; i++) {
        h->touched[i].live->touch = 0;
        if (r == 0)
            r = snapshot_write(h, &h->touched[i]);
    }
    h->n_touched = 0;
    return r;
}
