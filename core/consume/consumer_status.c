/* What is left for a consumer to handle, and its .status.json. */
#include "consumer_group.h"
#include "consumer_reader.h"

#include "figures.h"

#include <errno.h>

/* --- what is left, with the lock held */

/* How many positions behind `from` up to `to` are neither aside, nor done with, nor known to be of no concern. */
static uint64_t left_between(const struct consumer *c, uint64_t from, uint64_t to) {
    if (to <= from)
        return 0;
    uint64_t gap_from = c->gap_from, gap_to = c->gap_to < to ? c->gap_to : to;
    bool gap = gap_from >= from && gap_to > gap_from;
    uint64_t less = done_count(&c->done, from) - done_count(&c->done, to);
    if (gap)
        less += gap_to - gap_from + done_count(&c->done, gap_to) - done_count(&c->done, gap_from);
    for (size_t i = asides_after(&c->asides, from); i < c->asides.n && c->asides.list[i]->position <= to; i++) {
        uint64_t position = c->asides.list[i]->position;
        bool in_gap = gap && position > gap_from && position <= gap_to;
        less += !in_gap && !done_has(&c->done, position);
    }
    return to - from - less;
}

/* Up to here nothing of the log is left. */
static uint64_t passed(const struct consumer *c) {
    return c->clear > c->cursor ? c->clear : c->cursor;
}

uint64_t consumer_lag(const struct consumer *c) {
    return left_between(c, passed(c), feed_position(&c->all->store->feed)) + c->asides.n_of[ASIDE_AGAIN];
}

/* The position before the first that is left. */
static uint64_t before_first(const struct consumer *c) {
    const struct aside *p;
    uint64_t before = passed(c);
    if (left_between(c, before, feed_position(&c->all->store->feed)) == 0)
        before = UINT64_MAX;
    TAILQ_FOREACH(p, &c->asides.again, link)
    if (p->position - 1 < before)
        before = p->position - 1;
    return before;
}

/* Given out and not acknowledged, where everybody is given everything. */
static uint64_t given_alone(const struct consumer *c) {
    const struct aside *p;
    uint64_t n = left_between(c, passed(c), c->given);
    TAILQ_FOREACH(p, &c->asides.again, link)
    n += p->given;
    return n;
}

/* --- .status.json */

struct consumer_figures {
    bool group;
    uint64_t cursor, lag, before, in_hand, parked, retry, skipped;
    uint64_t readers, waiting;
    json_t *by_reader; /* of a group, the newest last */
};

static void reader_add(struct consumer_figures *f, const struct reader *r, bool waits) {
    uint64_t in_hand = r->member ? group_in_hand(r->member) : 0;
    f->readers++;
    f->waiting += waits;
    if (!r->member)
        return;
    f->in_hand += in_hand;
    json_t *object = json_object();
    json_object_set_new(object, "pid", json_integer(r->pid));
    json_object_set_new(object, "uid", figure_number(r->uid));
    json_object_set_new(object, "waiting", json_boolean(waits));
    json_object_set_new(object, "in_hand", figure_number(in_hand));
    json_array_insert_new(f->by_reader, 0, object); /* the list has the newest first */
}

static void figures_take(struct consumer *c, struct consumer_figures *f) {
    const struct reader *r;
    pthread_mutex_lock(&c->lock);
    *f = (struct consumer_figures){
        .group = c->config->group,
        .cursor = c->cursor,
        .lag = consumer_lag(c),
        .before = before_first(c),
        .in_hand = c->config->group ? 0 : given_alone(c),
        .parked = c->asides.n_of[ASIDE_PARKED],
        .retry = c->asides.n_of[ASIDE_AGAIN],
        .skipped = c->asides.n_of[ASIDE_SKIPPED],
        .by_reader = c->config->group ? json_array() : NULL,
    };
    LIST_FOREACH(r, &c->readers, link)
    if (r->kind == READER_FOLLOW)
        reader_add(f, r, wakes_waited(&c->all->wakes, r));
    pthread_mutex_unlock(&c->lock);
}

static json_t *status_object(const struct consumer *c, const struct consumer_figures *f) {
    json_t *object = json_object();
    json_object_set_new(object, "consumer", json_stringn(c->name.p, c->name.n));
    json_object_set_new(object, "group", json_boolean(f->group));
    json_object_set_new(object, "position", figure_position(f->cursor));
    json_object_set_new(object, "lag_events", figure_number(f->lag));
    json_object_set_new(object, "lag_seconds", json_real(f->lag ? figure_behind(c->all->store, f->before) : 0));
    json_object_set_new(object, "readers", figure_number(f->readers));
    json_object_set_new(object, "waiting", figure_number(f->waiting));
    json_object_set_new(object, "in_hand", figure_number(f->in_hand));
    json_object_set_new(object, "parked", figure_number(f->parked));
    json_object_set_new(object, "retry", figure_number(f->retry));
    json_object_set_new(object, "skipped", figure_number(f->skipped));
    if (f->by_reader)
        json_object_set_new(object, "by_reader", f->by_reader);
    return object;
}

int consumers_status(struct consumers *cs, uint32_t no, struct buf *out) {
    struct consumer *c = consumer_of(cs, no);
    struct consumer_figures f;
    if (!c)
        return CONSUMER_NONE;
    figures_take(c, &f);
    int r = figures_put(out, status_object(c, &f));
    consumer_unref(c);
    return r;
}
