/* What is sent, and what becomes of it. One thread (publisher.c). */
#include "kafka_message.h"
#include "kafka_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define STRIDE 512    /* events looked at between two looks at reports and requests */
#define POLL_EVERY 64 /* ... and sent between two looks at reports */
#define ARENA_KEEP (256 << 10)

/* --- topics */

static struct kafka_topic *topic_by_name(struct kafka *k, const char *name) {
    struct kafka_topic *t = k->topics;
    while (t && strcmp(t->name, name) != 0)
        t = t->next;
    if (t || !(t = calloc(1, sizeof *t)))
        return t;
    snprintf(t->name, sizeof t->name, "%s", name);
    pthread_mutex_lock(&k->lock);
    t->next = k->topics;
    k->topics = t;
    pthread_mutex_unlock(&k->lock);
    return t;
}

static struct kafka_topic *topic_of(struct kafka *k, const struct event *e) {
    char name[KAFKA_TOPIC_MAX + 1];
    if (e->type_no >= k->n_types) {
        size_t n = (size_t)e->type_no + 16;
        struct kafka_topic **list = realloc(k->by_type, n * sizeof *list);
        if (!list)
            return NULL;
        memset(list + k->n_types, 0, (n - k->n_types) * sizeof *list);
        k->by_type = list;
        k->n_types = n;
    }
    struct kafka_topic **t = &k->by_type[e->type_no];
    if (!*t) {
        kafka_topic_name(k->settings.topic, e->aggregate_type, name);
        *t = topic_by_name(k, name);
    }
    return *t;
}

static void topic_refused(struct kafka *k, struct kafka_topic *t) {
    pthread_mutex_lock(&k->lock);
    t->refused++;
    pthread_mutex_unlock(&k->lock);
}

/* --- sending */

/* It was the message, and not the batch as such. */
static void refused_alone(struct kafka *k, const struct err *why) {
    if (why->code == EMSGSIZE)
        k->too_large = false;
}

static void failed(struct kafka *k, int r, struct err *err, const struct event *e) {
    if (!err->code)
        err_set(err, -r, "position %016llx: %s", (unsigned long long)e->position, strerror(-r));
    kafka_halt(k, err);
}

/* A fault of kafka.lua refuses the event; others halt. */
static enum wire_outcome rules_failed(struct kafka *k, const struct event *e, int r, struct err *err, struct err *why) {
    if (r < 0) {
        failed(k, r, err, e);
        return WIRE_LATER;
    }
    *why = *err;
    return WIRE_REFUSED;
}

/* Gives message `part` of an event to the wire; *bytes is what it takes. `flag` goes with its position. WIRE_LATER also
 * after a failure, which halts. */
static enum wire_outcome message_send(struct kafka *k, const struct event *e, size_t part, uint64_t flag, size_t before,
                                      size_t *bytes, struct err *why) {
    struct kafka_message m;
    struct err err = {0};
    struct kafka_topic *t = topic_of(k, e);
    arena_reset(&k->arena, ARENA_KEEP);
    int r = t ? kafka_message_make(&m, e, part, k->settings.structured, &k->arena, k->parser) : -ENOMEM;
    if (r == 0 && !t->open)
        r = wire_topic_open(k->wire, t->name, t, &t->open, &err);
    if (r < 0) {
        failed(k, r, &err, e);
        return WIRE_LATER;
    }
    size_t used = k->pending_bytes + before, room = KAFKA_PENDING_BYTES > used ? KAFKA_PENDING_BYTES - used : 0;
    if (wire_pending(k->wire) >= KAFKA_PENDING_MAX || (wire_pending(k->wire) > 0 && m.bytes > room))
        return WIRE_LATER;
    enum wire_outcome outcome = wire_send(t->open, &m, e->position | flag, why);
    *bytes = m.bytes;
    if (outcome == WIRE_REFUSED || outcome == WIRE_REFUSED_TOPIC) {
        refused_alone(k, why);
        topic_refused(k, t);
    }
    return outcome;
}

/* Gives the messages of an event to the wire; *bytes is what they take, 0 when there are none. WIRE_LATER: not all of
 * them yet, *s knows which. */
static enum wire_outcome event_send(struct kafka *k, const struct event *e, struct kafka_sending *s, uint32_t *bytes,
                                    struct err *why) {
    const struct event *list;
    size_t n, more;
    struct err err = {0};
    int r = kafka_rules_apply(k->rules, e, &list, &n, &err);
    if (r != 0)
        return rules_failed(k, e, r, &err, why);
    if (s->position != e->position)
        *s = (struct kafka_sending){.position = e->position};
    for (; s->n < n; s->n++, s->bytes += more) {
        enum wire_outcome outcome = message_send(k, &list[s->n], kafka_message_part(s->n, n),
                                                 s->n + 1 < n ? KAFKA_PART : 0, s->bytes, &more, why);
        if (outcome == WIRE_REFUSED || outcome == WIRE_REFUSED_TOPIC)
            *s = (struct kafka_sending){0};
        if (outcome != WIRE_DONE)
            return outcome;
    }
    *bytes = s->bytes < UINT32_MAX ? (uint32_t)s->bytes : UINT32_MAX;
    k->pending_bytes += *bytes;
    *s = (struct kafka_sending){0};
    return WIRE_DONE;
}

/* Whether the log says to pass over it. */
static bool is_skipped(struct kafka *k, uint64_t position) {
    struct index_skip skip;
    if (position < k->next_skip)
        return false;
    if (index_skip_find(k->store->index, STR(KAFKA_FOLLOWER), position) == 0)
        return true;
    k->next_skip =
        index_skip_after(k->store->index, STR(KAFKA_FOLLOWER), position, &skip) == 0 ? skip.position : UINT64_MAX;
    return false;
}

/* Whether an earlier one of its aggregate is on the shelf. */
static bool is_behind(struct kafka *k, const struct event *e) {
    const struct kafka_parked *first = kafka_shelf_first(&k->shelf, e->aggregate);
    return first && first->position < e->position;
}

/* False: not now. */
static bool event_take(struct kafka *k, const struct event *e) {
    struct kafka_slot *slot = kafka_window_slot(&k->window, e->position);
    struct err why = {0};
    if (e->position <= k->window.cursor || slot->done) /* another wire has got it through */
        return true;
    if (!kafka_settings_want(&k->settings, e) || is_skipped(k, e->position)) {
        kafka_window_done(&k->window, e->position);
        return true;
    }
    if (is_behind(k, e))
        return kafka_park(k, e, NULL) == 0;
    switch (event_send(k, e, &k->window_sending, &slot->bytes, &why)) {
    case WIRE_DONE:
        if (!slot->bytes) /* it has become no message */
            kafka_window_done(&k->window, e->position);
        return true;
    case WIRE_REFUSED:
    case WIRE_REFUSED_TOPIC:
        return kafka_park(k, e, &why) == 0;
    default:
        return false;
    }
}

/* The next one, when there is one and there is room for it. */
static struct event *event_next(struct kafka *k) {
    struct err err = {0};
    struct event *e;
    uint64_t next = k->reader.taken + 1;
    bool room = next <= k->window.cursor || kafka_window_has(&k->window, next);
    k->blocked = !room || kafka_is_full(k) || (k->alone && next > k->careful);
    if (k->blocked)
        return NULL;
    int r = kafka_reader_next(&k->reader, feed_position(&k->store->feed), &e, &err);
    if (r < 0) {
        if (!err.code)
            err_set(&err, -r, "%s", strerror(-r));
        kafka_halt(k, &err);
    }
    return r == 0 ? e : NULL;
}

void kafka_send_window(struct kafka *k) {
    struct event *e = NULL;
    for (unsigned n = 1; n <= STRIDE && !wire_broken(k->wire) && !k->figures.halted.code; n++) {
        e = event_next(k);
        if (!e)
            return;
        k->blocked = !event_take(k, e);
        if (k->blocked)
            return;
        kafka_reader_take(&k->reader);
        if (n % POLL_EVERY == 0)
            wire_poll(k->wire);
    }
}

/* --- sending from the shelf */

static enum wire_outcome parked_send(struct kafka *k, struct kafka_parked *p) {
    const struct stream_source source = kafka_source(k);
    struct err err = {0}, why = {0};
    struct log_chunk *chunk;
    struct event e = {.position = p->position};
    int r = stream_event(&source, p->position, &chunk, &e, &err);
    if (r != 0) {
        failed(k, r < 0 ? r : -EIO, &err, &e);
        return WIRE_LATER;
    }
    enum wire_outcome outcome = event_send(k, &e, &k->shelf_sending, &p->bytes, &why);
    log_chunk_release(chunk);
    if (outcome == WIRE_REFUSED || outcome == WIRE_REFUSED_TOPIC)
        kafka_refuse_again(k, p, &why);
    return outcome;
}

static bool is_held(const struct kafka_parked *p) {
    return p->refused && !p->retried && !p->doubted;
}

/* Those that wait for nothing, in order: of each aggregate up to the first that was refused. What lies ahead of the
 * cursor is not sent: earlier ones of its aggregate may be under way yet, and be sent again after it. True: one of them
 * has become no message, and the others have moved up. */
static bool shelf_pass(struct kafka *k, bool *held) { /* by the place of the aggregate's first one */
    for (size_t i = 0; i < k->shelf.n && !k->shelf_moved; i++) {
        struct kafka_parked *p = &k->shelf.list[i];
        if (p->position > k->window.cursor) {
            k->shelf_from = p->position;
            return false;
        }
        bool *aggregate = &held[kafka_shelf_first(&k->shelf, p->aggregate) - k->shelf.list];
        *aggregate |= is_held(p);
        if (*aggregate || p->bytes)
            continue;
        enum wire_outcome outcome = parked_send(k, p);
        *aggregate |= is_held(p);
        if (outcome == WIRE_LATER || outcome == WIRE_LOST)
            k->shelf_moved = true; /* from here on, later */
        if (outcome != WIRE_DONE || p->bytes)
            continue;
        kafka_unpark(k, p, 0);
        return true;
    }
    return false;
}

void kafka_send_shelf(struct kafka *k) {
    bool again = true;
    while (again) {
        bool *held = calloc(k->shelf.n + 1, sizeof *held);
        if (!held)
            return;
        k->shelf_moved = false;
        k->shelf_from = 0;
        again = shelf_pass(k, held);
        free(held);
    }
}

/* --- reports */

static bool ends_room(struct kafka_topic *t, size_t n) {
    if (n <= t->n_ends)
        return true;
    int64_t *ends = realloc(t->ends, n * sizeof *ends);
    if (!ends)
        return false;
    memset(ends + t->n_ends, 0, (n - t->n_ends) * sizeof *ends);
    t->ends = ends;
    t->n_ends = n;
    return true;
}

/* The offsets of a partition only grow. One that does not: somebody has deleted the topic and it was made anew, or a
 * replica became the leader that did not have all. What had been acknowledged is gone. */
void kafka_landed(void *arg, void *topic_arg, int32_t partition, int64_t offset) {
    struct kafka *k = arg;
    struct kafka_topic *t = topic_arg;
    struct err why;
    if (partition < 0 || !ends_room(t, (size_t)partition + 1))
        return;
    int64_t end = t->ends[partition];
    if (offset < end) {
        err_set(&why, EIO,
                "topic %s: offset %lld of partition %d is written anew after %lld: the topic was deleted or cut short, "
                "and what it had lost is not sent again by itself (esfsctl kafka verify, seek)",
                t->name, (long long)offset, (int)partition, (long long)(end - 1));
        kafka_tell_loss(k, &why);
        memset(t->ends, 0, t->n_ends * sizeof *t->ends); /* told once for all of its partitions */
    }
    t->ends[partition] = offset + 1;
}

/* In the normal case a message that was refused shared its batch with others. */
static void doubt_slot(struct kafka *k, uint64_t position, const struct err *why) {
    if (position > k->careful)
        k->careful = position;
    k->too_large |= why->code == EMSGSIZE;
}

static void slot_refused(struct kafka *k, uint64_t position, const struct err *why) {
    const struct stream_source source = kafka_source(k);
    struct log_chunk *chunk;
    struct event e;
    struct err err = {0};
    int r = stream_event(&source, position, &chunk, &e, &err);
    if (r != 0) {
        if (!err.code)
            err_set(&err, EIO, "position %016llx: there is no such event", (unsigned long long)position);
        kafka_halt(k, &err);
        return;
    }
    /* behind one that was refused with it, it only waits */
    kafka_park(k, &e, is_behind(k, &e) ? NULL : why);
    log_chunk_release(chunk);
}

static void slot_reported(struct kafka *k, uint64_t position, enum wire_outcome outcome, const struct err *why) {
    struct kafka_slot *slot = kafka_window_slot(&k->window, position);
    if (!kafka_window_has(&k->window, position) || slot->done) /* what came before has settled it */
        return;
    k->pending_bytes -= slot->bytes;
    slot->bytes = 0;
    if (outcome == WIRE_DONE) {
        kafka_window_done(&k->window, position);
    } else if (outcome == WIRE_REFUSED && !k->alone) {
        doubt_slot(k, position, why);
    } else if (outcome != WIRE_LOST) {
        refused_alone(k, why);
        slot_refused(k, position, why);
    }
}

static void shelf_reported(struct kafka *k, struct kafka_parked *p, enum wire_outcome outcome, const struct err *why) {
    k->pending_bytes -= p->bytes;
    p->bytes = 0;
    k->shelf_moved = true;
    if (outcome == WIRE_DONE || p->skipped) {
        kafka_unpark(k, p, outcome == WIRE_DONE ? 0 : -ENOENT);
    } else if (outcome == WIRE_REFUSED && !k->alone) {
        k->doubted += !p->doubted;
        p->doubted = true;
        k->too_large |= why->code == EMSGSIZE;
    } else if (outcome != WIRE_LOST) {
        refused_alone(k, why);
        kafka_refuse_again(k, p, why);
    }
}

void kafka_reported(void *arg, void *topic_arg, uint64_t position, enum wire_outcome outcome, const struct err *why) {
    struct kafka *k = arg;
    struct kafka_topic *topic = topic_arg;
    bool part = position & KAFKA_PART;
    position &= ~KAFKA_PART;
    struct kafka_parked *p = kafka_shelf_find(&k->shelf, position);
    bool refused = outcome == WIRE_REFUSED_TOPIC || (outcome == WIRE_REFUSED && k->alone);
    pthread_mutex_lock(&k->lock);
    topic->acknowledged += outcome == WIRE_DONE;
    topic->refused += refused;
    k->figures.acknowledged += outcome == WIRE_DONE;
    pthread_mutex_unlock(&k->lock);
    k->heard_at = clock_ms();
    k->refused |= outcome == WIRE_REFUSED || outcome == WIRE_REFUSED_TOPIC;
    if (outcome == WIRE_DONE) {
        k->failures = 0;
        kafka_trouble_over(k);
    }
    if (part && (outcome == WIRE_DONE || outcome == WIRE_LOST))
        return; /* the last one of the event counts */
    if (p && (p->bytes || part))
        shelf_reported(k, p, outcome, why);
    else
        slot_reported(k, position, outcome, why);
}
