#include "consumers_private.h"

#include "consumer_group.h"
#include "event.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>

/* --- by id */

static int id_compare(const void *a, const void *b) {
    const struct aside *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool ids_add(struct consumers *cs, struct aside *p) {
    pthread_mutex_lock(&cs->lock);
    bool added = tsearch(p, &cs->parked_ids, id_compare) != NULL;
    pthread_mutex_unlock(&cs->lock);
    return added;
}

static void ids_take(struct consumers *cs, struct aside *p) {
    pthread_mutex_lock(&cs->lock);
    tdelete(p, &cs->parked_ids, id_compare);
    pthread_mutex_unlock(&cs->lock);
}

int consumer_aside_add(struct consumer *c, struct aside *p) {
    int r = asides_add(&c->asides, p);
    if (r == 0 && !ids_add(c->all, p)) {
        asides_take(&c->asides, p);
        r = -ENOMEM;
    }
    return r;
}

void consumer_aside_drop(struct consumer *c, struct aside *p) {
    char key[RECORD_KEY_BYTES];
    commits_remove(&c->all->commits, record_parked_key(c->no, p->position, key));
    commits_remove(&c->all->commits, record_state_key(c->no, p->position, key));
    ids_take(c->all, p);
    asides_take(&c->asides, p);
    free(p);
}

static void put_state(struct consumer *c, const struct aside *p) {
    char key[RECORD_KEY_BYTES], value[RECORD_SMALL_BYTES];
    struct str k = record_state_key(c->no, p->position, key);
    if (p->state == ASIDE_PARKED)
        commits_remove(&c->all->commits, k);
    else
        commits_put(&c->all->commits, k, record_state_put(&(struct record_state){p->state, p->time, p->uid}, value));
}

void consumer_aside_done(struct consumer *c, struct aside *p) {
    if (p->position <= c->cursor) {
        consumer_aside_drop(c, p);
        return;
    }
    asides_set(&c->asides, p, ASIDE_DONE);
    put_state(c, p);
}

/* --- nack */

struct nack {
    uint64_t position;
    struct str reason;
};

static int nack_member(const struct json_member *m, struct nack *out, bool *positioned, struct err *err) {
    if (str_eq(m->name, STR("position"))) {
        *positioned = m->kind == JSON_KIND_STRING && event_position_read(m->text, &out->position);
        return *positioned ? 0 : err_set(err, EINVAL, "`position` must be 16 hexadecimal digits, as events show it");
    }
    if (!str_eq(m->name, STR("reason")))
        return err_set(err, EINVAL, "`%.*s` is unknown: a nack has position and reason",
                       (int)(m->name.n < 100 ? m->name.n : 100), m->name.p);
    if (m->kind != JSON_KIND_STRING || m->text.n > CONSUMER_REASON_BYTES)
        return err_set(err, EINVAL, "`reason` must be a string of at most %d bytes", CONSUMER_REASON_BYTES);
    out->reason = m->text;
    return 0;
}

static int nack_read(struct json_parser *parser, struct arena *arena, struct str json, struct nack *out,
                     struct err *err) {
    struct json_member *members;
    bool positioned = false;
    const char *why = "";
    size_t n;
    *out = (struct nack){0};
    int r = json_object_read(parser, json, arena, &members, &n, &why);
    if (r != 0)
        return r < 0 ? r : err_set(err, EINVAL, "not a JSON object: %s", why);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = nack_member(&members[i], out, &positioned, err);
    if (r == 0 && !positioned)
        r = err_set(err, EINVAL, "`position` is missing");
    return r;
}

/* Whether the event at the position is one of the consumer's. */
static int is_selected(struct consumer *c, uint64_t position, bool *out) {
    struct log_chunk *chunk;
    struct selection selection;
    struct event e;
    struct err err = {0};
    int r = stream_event(&c->all->source, position, &chunk, &e, &err);
    *out = false;
    if (r == INDEX_NONE)
        return 0;
    if (r < 0)
        return r;
    selection_init(&selection, c->config);
    *out = selection_has(&selection, c->all->source.index, &e);
    selection_deinit(&selection);
    log_chunk_release(chunk);
    return 0;
}

/* What is with the event, if it may be parked; *out is NULL when nothing is yet. With the lock held. */
static int nack_check(struct consumer *c, uint64_t position, struct aside **out, struct err *err) {
    struct aside *p = *out = asides_find(&c->asides, position);
    bool selected = true;
    if (p && p->state == ASIDE_PARKED)
        return 0;
    if (c->group ? group_has(c->group, position) : p && p->state == ASIDE_AGAIN && p->given)
        return 0;
    if (p || c->group || position <= c->cursor || position > c->given)
        return err_set(err, EINVAL, "position %016" PRIx64 " was not given to a reader, or is done with", position);
    int r = is_selected(c, position, &selected);
    if (r == 0 && !selected)
        return err_set(err, EINVAL, "position %016" PRIx64 " is no event of this consumer", position);
    return r;
}

static int parked_make(struct consumer *c, uint64_t position, struct aside **out, struct err *err) {
    if (c->asides.n - c->asides.n_of[ASIDE_SKIPPED] >= CONSUMER_PARKED_MAX)
        return err_set(err, EDQUOT, "%d events are parked already", CONSUMER_PARKED_MAX);
    struct aside *p = malloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (struct aside){.id = atomic_fetch_add(&c->all->next_parked, 1),
                        .position = position,
                        .consumer = c->no,
                        .state = ASIDE_PARKED};
    int r = consumer_aside_add(c, p);
    if (r < 0)
        free(p);
    else
        *out = p;
    return r;
}

static void put_parked(struct consumer *c, struct aside *p, struct str reason) {
    char key[RECORD_KEY_BYTES];
    struct buf value = {0};
    const struct record_parked r = {p->id, p->time, p->uid, reason};
    record_parked_put(&r, &value);
    c->all->commits.broken |= value.oom;
    commits_put(&c->all->commits, record_parked_key(c->no, p->position, key), buf_str(&value));
    buf_free(&value);
}

/* In a group the cursor may pass over it at once. */
static uint64_t nack_commit(struct consumer *c, struct aside *p, struct str reason) {
    struct commits *commits = &c->all->commits;
    commits_begin(commits);
    consumers_put_next(c->all);
    put_parked(c, p, reason);
    put_state(c, p);
    if (c->group)
        group_settle(c->group, p->position);
    return commits_end(commits);
}

static int nack(struct consumer *c, const struct nack *n, const struct caller *caller, uint64_t *ticket,
                struct err *err) {
    struct aside *p;
    int r = c->gone ? -ESTALE : nack_check(c, n->position, &p, err);
    if (r == 0 && !p)
        r = parked_make(c, n->position, &p, err);
    if (r < 0)
        return r;
    p->uid = caller->who.uid;
    p->time = store_now();
    asides_set(&c->asides, p, ASIDE_PARKED);
    consumer_pass(c);
    *ticket = nack_commit(c, p, n->reason);
    return 0;
}

static int consumer_nack(struct consumer *c, struct json_parser *parser, struct str json, const struct caller *caller) {
    struct arena arena = {0};
    struct err err = {0};
    struct nack n;
    uint64_t ticket = 0;
    int r = commits_allowed(&c->all->commits);
    if (r == 0)
        r = nack_read(parser, &arena, json, &n, &err);
    if (r == 0) {
        pthread_mutex_lock(&c->lock);
        r = nack(c, &n, caller, &ticket, &err);
        pthread_mutex_unlock(&c->lock);
    }
    arena_free(&arena);
    if (r == 0)
        return commits_reach(&c->all->commits, ticket);
    return r == -EINVAL || r == -EDQUOT ? consumer_refuse(c, "nack", &err) : r;
}

int consumers_nack(struct consumers *cs, uint32_t no, struct str json, const struct caller *caller) {
    struct consumer *c = consumer_of(cs, no);
    struct json_parser *parser = c ? store_parser_take(cs->store) : NULL;
    int r = !c ? CONSUMER_NONE : parser ? consumer_nack(c, parser, json, caller) : -ENOMEM;
    if (parser)
        store_parser_give(cs->store, parser);
    consumer_unref(c);
    return r;
}

/* --- what is parked */

static const enum aside_state states[] = {
    [SHELF_PARKED] = ASIDE_PARKED, [SHELF_RETRY] = ASIDE_AGAIN, [SHELF_SKIPPED] = ASIDE_SKIPPED};

static bool is_shown(const struct aside *p) {
    return p && p->state != ASIDE_DONE;
}

static void parked_fill(const struct aside *p, struct consumer_parked *out) {
    *out = (struct consumer_parked){
        .position = p->position, .id = p->id, .consumer = p->consumer, .uid = p->uid, .time = p->time};
    while (states[out->shelf] != p->state)
        out->shelf++;
}

int consumers_parked(struct consumers *cs, uint32_t no, enum consumer_shelf shelf, uint64_t after,
                     struct consumer_parked *out, size_t n) {
    struct consumer *c = consumer_of(cs, no);
    size_t found = 0;
    if (!c)
        return 0;
    pthread_mutex_lock(&c->lock);
    for (size_t i = asides_after(&c->asides, after); i < c->asides.n && found < n; i++)
        if (c->asides.list[i]->state == states[shelf])
            parked_fill(c->asides.list[i], &out[found++]);
    pthread_mutex_unlock(&c->lock);
    consumer_unref(c);
    return (int)found;
}

int consumers_parked_at(struct consumers *cs, uint32_t no, uint64_t position, struct consumer_parked *out) {
    struct consumer *c = consumer_of(cs, no);
    if (!c)
        return CONSUMER_NONE;
    pthread_mutex_lock(&c->lock);
    const struct aside *p = asides_find(&c->asides, position);
    bool shown = is_shown(p);
    if (shown)
        parked_fill(p, out);
    pthread_mutex_unlock(&c->lock);
    consumer_unref(c);
    return shown ? 0 : CONSUMER_NONE;
}

int consumers_parked_by_id(struct consumers *cs, uint64_t id, struct consumer_parked *out) {
    const struct aside key = {.id = id};
    uint32_t no = 0;
    uint64_t position = 0;
    pthread_mutex_lock(&cs->lock);
    struct aside **found = tfind(&key, &cs->parked_ids, id_compare);
    if (found) {
        no = (*found)->consumer;
        position = (*found)->position;
    }
    pthread_mutex_unlock(&cs->lock);
    int r = found ? consumers_parked_at(cs, no, position, out) : CONSUMER_NONE;
    return r == 0 && out->id != id ? CONSUMER_NONE : r;
}

static void put_about(const struct consumer_parked *parked, struct str reason, struct buf *out) {
    char at[EVENT_TIME_CHARS];
    event_time(parked->time, at);
    buf_printf(out, "{\"position\":\"%016" PRIx64 "\",\"time\":\"", parked->position);
    buf_put(out, at, sizeof at);
    buf_printf(out, "\",\"uid\":%" PRIu32 ",\"reason\":", parked->uid);
    buf_put_json_string(out, reason);
    buf_put_text(out, ",\"event\":");
}

int consumers_parked_text(struct consumers *cs, const struct consumer_parked *parked, struct buf *out) {
    char key[RECORD_KEY_BYTES];
    struct db_value value;
    struct record_parked record;
    struct err err = {0};
    int r = db_get(cs->store->db, DB_CURSORS, record_parked_key(parked->consumer, parked->position, key), &value, &err);
    if (r != 0)
        return r == DB_NOT_FOUND ? CONSUMER_NONE : r;
    bool good = record_parked_read(value.bytes, &record);
    if (good)
        put_about(parked, record.reason, out);
    db_value_release(&value);
    r = good ? text_put_event(cs->store, parked->position, out) : -EIO;
    buf_put_text(out, "}\n");
    return r == 0 && out->oom ? -ENOMEM : r;
}

/* --- what becomes of it */

/* Everybody may get it, and is told. */
static int retry(struct consumer *c, struct aside *p, const struct caller *caller) {
    (void)caller;
    int r = p->state == ASIDE_PARKED && c->group ? group_again(c->group, p->position) : 0;
    if (r < 0 || p->state == ASIDE_AGAIN)
        return r;
    asides_set(&c->asides, p, ASIDE_AGAIN);
    put_state(c, p);
    consumer_news(c);
    return 0;
}

static int skip(struct consumer *c, struct aside *p, const struct caller *caller) {
    if (c->group)
        group_settle(c->group, p->position);
    p->time = store_now();
    p->uid = caller->who.uid;
    asides_set(&c->asides, p, ASIDE_SKIPPED);
    put_state(c, p);
    return 0;
}

typedef int parked_order(struct consumer *c, struct aside *p, const struct caller *caller);

static int parked_change(struct consumers *cs, uint32_t no, uint64_t position, parked_order *order,
                         const struct caller *caller) {
    struct consumer *c = consumer_of(cs, no);
    int r = c ? commits_allowed(&cs->commits) : CONSUMER_NONE;
    if (r == 0) {
        pthread_mutex_lock(&c->lock);
        struct aside *p = c->gone ? NULL : asides_find(&c->asides, position);
        commits_begin(&cs->commits);
        r = is_shown(p) && p->state != ASIDE_SKIPPED ? order(c, p, caller) : CONSUMER_NONE;
        uint64_t ticket = commits_end(&cs->commits);
        pthread_mutex_unlock(&c->lock);
        if (r == 0)
            r = commits_reach(&cs->commits, ticket);
    }
    consumer_unref(c);
    return r;
}

int consumers_retry(struct consumers *cs, uint32_t no, uint64_t position) {
    return parked_change(cs, no, position, retry, NULL);
}

int consumers_skip(struct consumers *cs, uint32_t no, uint64_t position, const struct caller *caller) {
    return parked_change(cs, no, position, skip, caller);
}
