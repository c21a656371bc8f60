/* Judging a command as the sequencer does. */
#include "rehearsal_private.h"

#include "admit.h"
#include "array.h"
#include "dialogue.h"
#include "holder.h"
#include "name.h"

#include <errno.h>
#include <stdio.h>

/* --- refusing */

static enum outcome refuse(struct rehearsal *r, enum outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum outcome refuse(struct rehearsal *r, enum outcome outcome, const char *format, ...) {
    struct refusal *refusal = &r->result->refusal;
    va_list args;
    va_start(args, format);
    err_format(refusal->detail, sizeof refusal->detail, format, args);
    va_end(args);
    refusal->outcome = outcome;
    return outcome;
}

static enum outcome refuse_failed(struct rehearsal *r, const struct domain_type *t, int rc) {
    struct err words = {0};
    if (rc == -ENOMEM)
        return refuse(r, OUTCOME_NO_ROOM, "out of memory");
    dialogue_blame(t, &r->result->fault);
    rehearsal_fault(rc, &r->result->fault, &words);
    return refuse(r, OUTCOME_HANDLER_FAILED, "%s", words.text);
}

/* --- ids and versions */

static const struct used_id *id_find(const struct rehearsal *r, const struct member *m, struct str id) {
    for (size_t i = 0; i < r->n_ids; i++)
        if (r->ids[i].member == m && str_eq(r->ids[i].id, id))
            return &r->ids[i];
    return NULL;
}

static bool id_is_twice(const struct request *request, struct member *const *members, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (members[k] == members[i] && str_eq(request->commands[k].id, request->commands[i].id))
            return true;
    return false;
}

/* All ids of a request must be known, or none: then it was done before, or is new. */
static enum outcome judge_ids(struct rehearsal *r, const struct request *request, struct member *const *members,
                              bool *duplicate) {
    size_t with_id = 0, known = 0;
    for (size_t i = 0; i < request->n_commands; i++) {
        const struct command *c = &request->commands[i];
        const struct used_id *used = c->id.n ? id_find(r, members[i], c->id) : NULL;
        r->result->refusal.index = i;
        if (used && memcmp(used->content, c->content, DIGEST_CONTENT) != 0)
            return refuse(r, OUTCOME_ID_REUSED, "command id \"%.*s\" was used before with another type or other data",
                          (int)c->id.n, c->id.p);
        if (c->id.n && id_is_twice(request, members, i))
            return refuse(r, OUTCOME_ID_REUSED, "command id \"%.*s\" is named twice in the transaction", (int)c->id.n,
                          c->id.p);
        with_id += c->id.n != 0;
        known += used != NULL;
    }
    *duplicate = known > 0 && known == with_id;
    if (known == 0 || *duplicate)
        return OUTCOME_OK;
    return refuse(r, OUTCOME_ID_REUSED, "some command ids of the transaction were used before, and some were not");
}

static int ids_remember(struct rehearsal *r, const struct request *request, struct member *const *members) {
    for (size_t i = 0; i < request->n_commands; i++) {
        const struct command *c = &request->commands[i];
        if (!c->id.n)
            continue;
        struct used_id used = {members[i], arena_copy(&r->world, c->id), {0}};
        memcpy(used.content, c->content, DIGEST_CONTENT);
        if (!used.id.p || !ARRAY_ROOM(r->ids, r->n_ids, r->ids_cap))
            return -ENOMEM;
        r->ids[r->n_ids++] = used;
    }
    return 0;
}

static enum outcome judge_version(struct rehearsal *r, const struct command *c, const struct member *m) {
    const char *need = NULL;
    if (c->expect == EXPECT_VERSION && m->n != c->version)
        return refuse(r, OUTCOME_CONFLICT, "%.*s is at version %zu, not %llu", (int)m->name.n, m->name.p, m->n,
                      (unsigned long long)c->version);
    if (c->expect == EXPECT_NONE && m->n != 0)
        need = "should have no events";
    if (c->expect == EXPECT_EXISTS && m->n == 0)
        need = "should have events";
    return need ? refuse(r, OUTCOME_CONFLICT, "%.*s is at version %zu, but %s", (int)m->name.n, m->name.p, m->n, need)
                : OUTCOME_OK;
}

/* --- unique rules */

/* 0 with the value, p NULL for none. */
static int rule_value(struct rehearsal *r, struct member *m, size_t rule, struct str *out) {
    const struct domain_type *t = m->type;
    struct script_fault *fault = &r->result->fault;
    struct buf value = {0};
    bool present = false;
    *out = (struct str){NULL, 0};
    int rc = member_fold(r, m, fault);
    if (rc == 0)
        rc = script_unique(domain_vm_script(r->vm), domain_vm_rule(r->vm, t, &t->rules[rule]), m->fold.state, &value,
                           &present, fault);
    if (rc == 0 && present && value.n > HOLDER_VALUE_MAX) {
        snprintf(fault->text, sizeof fault->text, "unique %.*s of %.*s: the value has more than %d bytes",
                 (int)t->rules[rule].name.n, t->rules[rule].name.p, (int)t->name.n, t->name.p, HOLDER_VALUE_MAX);
        rc = SCRIPT_FAILED;
    } else if (rc == 0 && present) {
        *out = arena_copy(&r->arena, buf_str(&value));
        rc = out->p ? 0 : -ENOMEM;
    }
    buf_free(&value);
    return rc;
}

static bool same(struct str a, struct str b) {
    return (a.p != NULL) == (b.p != NULL) && str_eq(a, b);
}

/* Whoever holds the value besides the i-th that was touched. Of two that take it in one request the second clashes. */
static int holder_find(struct rehearsal *r, size_t i, size_t rule, struct str value, const struct member **out) {
    const struct member *taker = r->touched[i];
    *out = NULL;
    for (size_t k = 0; k < r->n_members; k++) {
        struct member *m = r->members[k];
        struct str theirs;
        if (m == taker || m->type != taker->type)
            continue;
        int rc = rule_value(r, m, rule, &theirs);
        if (rc != 0)
            return rc;
        bool takes_later = m->touched && !same(m->before[rule], theirs);
        for (size_t j = 0; takes_later && j < i; j++)
            takes_later = r->touched[j] != m;
        if (theirs.p && str_eq(theirs, value) && !takes_later) {
            *out = m;
            return 0;
        }
    }
    return 0;
}

/* A state must be one that can be kept. */
static enum outcome judge_states(struct rehearsal *r) {
    struct buf frozen = {0};
    enum outcome o = OUTCOME_OK;
    for (size_t i = 0; o == OUTCOME_OK && i < r->n_touched; i++) {
        const struct member *m = r->touched[i];
        buf_clear(&frozen);
        int rc =
            m->n > m->n_before ? script_freeze(domain_vm_script(r->vm), m->fold.state, &frozen, &r->result->fault) : 0;
        if (rc != 0)
            o = refuse_failed(r, m->type, rc);
    }
    buf_free(&frozen);
    return o;
}

static enum outcome judge_unique(struct rehearsal *r) {
    for (size_t i = 0; i < r->n_touched; i++) {
        struct member *m = r->touched[i];
        for (size_t k = 0; k < m->type->n_rules; k++) {
            const struct member *holder = NULL;
            struct str value;
            int rc = rule_value(r, m, k, &value);
            if (rc == 0 && value.p && !same(m->before[k], value))
                rc = holder_find(r, i, k, value, &holder);
            if (rc != 0)
                return refuse_failed(r, m->type, rc);
            if (holder)
                return refuse(r, OUTCOME_NOT_UNIQUE, "%.*s %.*s is held by %.*s", (int)m->type->rules[k].name.n,
                              m->type->rules[k].name.p, (int)value.n, value.p, (int)holder->name.n, holder->name.p);
        }
    }
    return OUTCOME_OK;
}

/* --- deciding */

static int member_touch(struct rehearsal *r, struct member *m) {
    if (m->touched)
        return 0;
    m->before = arena_alloc(&r->arena, (m->type->n_rules + 1) * sizeof *m->before);
    if (!m->before || !ARRAY_ROOM(r->touched, r->n_touched, r->touched_cap))
        return -ENOMEM;
    for (size_t i = 0; i < m->type->n_rules; i++) {
        int rc = rule_value(r, m, i, &m->before[i]);
        if (rc != 0)
            return rc;
    }
    m->touched = true;
    m->n_before = m->n;
    r->touched[r->n_touched++] = m;
    return 0;
}

/* get("customer/7") of a decider. */
static int get_other(void *arg, struct str aggregate, script_value *state, struct err *err) {
    struct rehearsal *r = arg;
    struct script_fault why = {0};
    struct err words = {0};
    struct member *m = NULL;
    int rc = member_find(r, aggregate, &m, &words);
    if (rc < 0)
        return err_set(err, -rc, "get: %s", words.text);
    rc = member_fold(r, m, &why);
    if (rc != 0)
        return err_set(err, rc < 0 ? -rc : EIO, "get: the state of %.*s: %.300s", (int)aggregate.n, aggregate.p,
                       why.text);
    *state = m->fold.state;
    return 0;
}

/* An event of the command joins the world, for as long as the request is not refused. */
static int made_append(struct rehearsal *r, const struct command *c, struct member *m, const struct script_made *made,
                       uint64_t time) {
    struct fresh_event fresh;
    int rc = dialogue_check(r->parser, &r->arena, m->type, made, &fresh, &r->result->fault);
    if (rc != 0)
        return rc;
    const struct event e = {.position = r->position + 1,
                            .aggregate = m->no,
                            .version = m->n + 1,
                            .time = time,
                            .uid = r->who.uid,
                            .schema = fresh.definition->version,
                            .aggregate_type = m->type->name,
                            .aggregate_id = m->id,
                            .type = fresh.definition->name,
                            .data = arena_copy(&r->world, made->data),
                            .commandid = arena_copy(&r->world, c->id),
                            .correlationid = arena_copy(&r->world, c->correlationid),
                            .causationid = arena_copy(&r->world, c->causationid),
                            .traceparent = arena_copy(&r->world, c->traceparent),
                            .meta = arena_copy(&r->world, c->meta),
                            .store_id = rehearsal_store};
    if (!e.data.p || !ARRAY_ROOM(r->made, r->n_made, r->made_cap))
        return -ENOMEM;
    rc = fold_fresh(r->folder, m->type, &m->fold, &e, &fresh, event_size(&e), &r->result->fault);
    folder_reset(r->folder);
    if (rc == 0)
        rc = member_append(r, m, &e);
    if (rc == 0)
        r->made[r->n_made++] = (struct rehearsed_event){m->name, e.type, e.data, e.schema, e.time, e.uid};
    return rc;
}

static enum outcome decide(struct rehearsal *r, const struct command *c, struct member *m) {
    struct script_fault *fault = &r->result->fault;
    struct script_command told;
    struct script_list list = {0};
    bool is_first = r->n_touched == 0;
    uint64_t time = r->caller->time && is_first ? r->caller->time : r->time + 1;
    const struct dialogue_place place = {
        .aggregate = m->name, .version = m->n, .time = time, .position = r->position + 1, .store_id = rehearsal_store};
    int rc = member_fold(r, m, fault);
    if (rc == 0)
        rc = member_touch(r, m);
    if (rc == 0)
        rc = dialogue_tell(r->parser, &r->arena, c, &r->who, &place, &told);
    if (rc == 0)
        rc = script_decide(domain_vm_script(r->vm), domain_vm_decide(r->vm, m->type, c->definition), m->fold.state,
                           &told, get_other, r, &r->arena, &list, fault);
    if (rc == SCRIPT_REJECTED)
        return refuse(r, OUTCOME_REJECTED, "%s", fault->text);
    for (size_t i = 0; rc == 0 && i < list.n; i++)
        rc = made_append(r, c, m, &list.items[i], time + i);
    return rc == 0 ? OUTCOME_OK : refuse_failed(r, m->type, rc);
}

static enum outcome judge(struct rehearsal *r, const struct request *request, struct member *const *members) {
    bool duplicate = false;
    enum outcome o = judge_ids(r, request, members, &duplicate);
    if (o != OUTCOME_OK || duplicate)
        return o;
    for (size_t i = 0; o == OUTCOME_OK && i < request->n_commands; i++) {
        const struct command *c = &request->commands[i];
        r->result->refusal.index = i;
        o = judge_version(r, c, members[i]);
        if (o == OUTCOME_OK && c->type.n)
            o = decide(r, c, members[i]);
    }
    if (o == OUTCOME_OK)
        o = judge_states(r);
    if (o == OUTCOME_OK)
        o = judge_unique(r);
    return o == OUTCOME_OK && ids_remember(r, request, members) < 0 ? refuse(r, OUTCOME_NO_ROOM, "out of memory") : o;
}

/* --- a request */

static int members_of(struct rehearsal *r, const struct request *request, struct member ***out) {
    *out = arena_alloc(&r->arena, request->n_commands * sizeof **out);
    for (size_t i = 0; *out && i < request->n_commands; i++) {
        const struct command *c = &request->commands[i];
        char name[2 * NAME_MAX_BYTES + 2];
        int n = snprintf(name, sizeof name, "%.*s/%.*s", (int)c->aggregate_type.n, c->aggregate_type.p,
                         (int)c->aggregate_id.n, c->aggregate_id.p);
        if (member_find(r, (struct str){name, (size_t)n}, &(*out)[i], NULL) < 0)
            return -ENOMEM;
    }
    return *out ? 0 : -ENOMEM;
}

/* What was refused leaves nothing behind. */
static void take_back(struct rehearsal *r, uint64_t position, uint64_t time) {
    for (size_t i = 0; i < r->n_touched; i++) {
        member_forget(r, r->touched[i]);
        r->touched[i]->n = r->touched[i]->n_before;
    }
    r->n_made = 0;
    r->position = position;
    r->time = time;
}

static int request_read(struct rehearsal *r, struct str json, struct request *request) {
    static const struct scope root = {0};
    const struct ownership owner = {.root_allowed = r->caller->who == NULL};
    struct refusal *refusal = &r->result->refusal;
    char *copy = arena_alloc(&r->arena, json.n + JSON_PADDING);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, json.p, json.n);
    memset(copy + json.n, 0, JSON_PADDING);
    int rc = command_parse(r->parser, &root, (struct str){copy, json.n}, &r->arena, request, refusal);
    if (rc != 0)
        return rc;
    rc = admit_request(r->domain, &owner, &r->who, r->parser, &r->arena, request);
    if (rc == 0 && request->refusal)
        *refusal = *request->refusal;
    return rc;
}

int rehearsal_send(struct rehearsal *r, struct str json, const struct rehearsal_caller *caller,
                   struct rehearsal_result *out) {
    struct request request;
    struct member **members;
    uint64_t position = r->position, time = r->time;
    arena_reset(&r->arena, REHEARSAL_KEEP);
    *out = (struct rehearsal_result){0};
    r->caller = caller;
    r->who = caller->who ? *caller->who : (struct identity){0};
    r->result = out;
    r->n_touched = r->n_made = 0;
    int rc = request_read(r, json, &request);
    if (rc < 0 || out->refusal.outcome != OUTCOME_OK)
        return rc < 0 ? rc : 0;
    rc = members_of(r, &request, &members);
    if (rc == 0 && judge(r, &request, members) != OUTCOME_OK)
        take_back(r, position, time);
    for (size_t i = 0; i < r->n_touched; i++)
        r->touched[i]->touched = false;
    out->events = r->made;
    out->n = r->n_made;
    return rc;
}
