#include "consumer_group.h"

#include "consumer_hand.h"
#include "consumer_reader.h"
#include "consumer_walk.h"

#include <errno.h>
#include <stdlib.h>

struct member {
    struct hand_member hand; /* first: news_for() */
    LIST_ENTRY(member) link;
    struct group *group;
    struct reader *reader;
};

struct group {
    struct consumer *consumer;
    struct selection selection;
    uint64_t place; /* everything up to here is in hand, or done with, or of no concern */
    struct hand hand;
    bool stalled; /* there was no room */
    LIST_HEAD(, member) members;
};

/* --- news for members that wait */

static void news_for(struct hand_member *hand) {
    const struct member *m = (const struct member *)hand;
    struct consumer *c = m->group->consumer;
    atomic_fetch_add(&c->news, 1);
    wakes_news(&c->all->wakes, m->reader);
}

static void news_of_room(struct group *g) {
    if (g->stalled)
        consumer_news(g->consumer);
    g->stalled = false;
}

/* --- life */

static int again_all(struct group *g) {
    struct aside *p;
    int r = 0;
    TAILQ_FOREACH(p, &g->consumer->asides.again, link)
    if (r == 0)
        r = group_again(g, p->position);
    return r;
}

static struct group *group_new(struct consumer *c) {
    struct group *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->consumer = c;
    g->place = c->clear > c->cursor ? c->clear : c->cursor;
    hand_init(&g->hand);
    LIST_INIT(&g->members);
    selection_init(&g->selection, c->config);
    return g;
}

static void group_free(struct group *g) {
    hand_clear(&g->hand);
    selection_deinit(&g->selection);
    free(g);
}

static int group_make(struct consumer *c) {
    struct group *g = group_new(c);
    int r = g ? again_all(g) : -ENOMEM;
    if (r == 0)
        c->group = g;
    else if (g)
        group_free(g);
    return r;
}

int group_join(struct consumer *c, struct reader *reader, struct member **out) {
    struct member *m = calloc(1, sizeof *m);
    int r = !m ? -ENOMEM : c->group ? 0 : group_make(c);
    if (r < 0) {
        free(m);
        return r;
    }
    *m = (struct member){.group = c->group, .reader = reader};
    hand_member_init(&m->hand);
    LIST_INSERT_HEAD(&c->group->members, m, link);
    *out = m;
    return 0;
}

void group_leave(struct member *m) {
    struct group *g = m->group;
    struct consumer *c = g->consumer;
    LIST_REMOVE(m, link);
    hand_free_all_of(&g->hand, &m->hand);
    free(m);
    if (LIST_EMPTY(&g->members)) {
        group_free(g);
        c->group = NULL;
    } else if (!TAILQ_EMPTY(&g->hand.freed)) {
        consumer_news(c);
    }
}

int group_restart(struct group *g) {
    struct member *m;
    LIST_FOREACH(m, &g->members, link)
    hand_member_init(&m->hand);
    hand_clear(&g->hand);
    g->place = g->consumer->cursor;
    g->stalled = false;
    return again_all(g);
}

/* --- acknowledging */

bool group_has(const struct group *g, uint64_t position) {
    const struct held *h = hand_find(&g->hand, position);
    return h && h->state == HELD_GIVEN;
}

size_t group_in_hand(const struct member *m) {
    return m->hand.n_given;
}

int group_ack(struct member *m, uint64_t position) {
    struct group *g = m->group;
    struct held *h = hand_find(&g->hand, position);
    if (!h || h->member != &m->hand || h->state != HELD_GIVEN)
        return GROUP_NOT_GIVEN;
    bool waits = !h->again && position != hand_lowest(&g->hand);
    int r = waits ? done_set(&g->consumer->done, position) : 0;
    if (r < 0)
        return r;
    hand_drop(&g->hand, h);
    news_of_room(g);
    return 0;
}

bool group_advance(struct group *g) {
    struct consumer *c = g->consumer;
    uint64_t lowest = hand_lowest(&g->hand), cursor = lowest ? lowest - 1 : g->place;
    if (cursor <= c->cursor)
        return false;
    consumer_move(c, cursor);
    return true;
}

/* Whoever has others of its aggregate in his queue gets them nevertheless. */
void group_settle(struct group *g, uint64_t position) {
    struct held *h = hand_find(&g->hand, position);
    if (h) {
        hand_drop(&g->hand, h);
        news_of_room(g);
    }
    group_advance(g);
}

static int aggregate_of(struct group *g, uint64_t position, uint64_t *out, struct err *err) {
    struct log_chunk *chunk;
    struct event e;
    int r = stream_event(&g->consumer->all->source, position, &chunk, &e, err);
    if (r != 0)
        return r < 0 ? r : err_set(err, EIO, "position %016llx: no event", (unsigned long long)position);
    *out = e.aggregate;
    log_chunk_release(chunk);
    return 0;
}

int group_again(struct group *g, uint64_t position) {
    struct err err = {0};
    uint64_t aggregate = 0;
    int r = aggregate_of(g, position, &aggregate, &err);
    if (r < 0)
        return r;
    struct held *h = hand_add(&g->hand, position, aggregate);
    if (!h)
        return -ENOMEM;
    h->again = true;
    return 0;
}

/* --- giving */

/* Queues a freed event for whom its aggregate is bound to. */
static int queue_for(struct group *g, struct held *h, struct hand_member *owner) {
    bool idle = TAILQ_EMPTY(&owner->queued);
    int r = hand_bind(&g->hand, h, owner);
    if (r == 0 && idle)
        news_for(owner);
    return r;
}

/* Puts the line of an event that is freed or queued for the member. LINES_FULL: it does not fit. */
static int give_held(struct member *m, struct lines *l, struct held *h, struct err *err) {
    struct group *g = m->group;
    struct log_chunk *chunk;
    struct event e;
    int r = stream_event(&g->consumer->all->source, h->position, &chunk, &e, err);
    if (r != 0)
        return r < 0 ? r : err_set(err, EIO, "position %016llx: no event", (unsigned long long)h->position);
    r = lines_fit(l, &e) ? 0 : LINES_FULL;
    if (r == 0 && !h->member)
        r = hand_bind(&g->hand, h, &m->hand);
    if (r == 0)
        r = lines_put(l, &e, h->again);
    if (r == 0)
        hand_give(h);
    log_chunk_release(chunk);
    return r;
}

static int fill_queued(struct member *m, struct lines *l, struct err *err) {
    struct held *h;
    int r = 0;
    while (r == 0 && (h = TAILQ_FIRST(&m->hand.queued)))
        r = give_held(m, l, h, err);
    return r;
}

static int fill_freed(struct member *m, struct lines *l, struct err *err) {
    struct group *g = m->group;
    struct held *h;
    int r = 0;
    while (r == 0 && (h = TAILQ_FIRST(&g->hand.freed))) {
        struct hand_member *owner = hand_owner(&g->hand, h->aggregate);
        r = owner && owner != &m->hand ? queue_for(g, h, owner) : give_held(m, l, h, err);
    }
    return r;
}

/* An event that comes next in the log: for the member, or for whom its aggregate is bound to. LINES_FULL: it would be
 * the member's, and does not fit. */
static int take_event(struct member *m, struct lines *l, struct event *e) {
    struct group *g = m->group;
    struct hand_member *owner = hand_owner(&g->hand, e->aggregate);
    bool other = owner && owner != &m->hand;
    stream_complete(&g->consumer->all->source, e);
    if (!other && !lines_fit(l, e))
        return LINES_FULL;
    struct held *h = hand_add(&g->hand, e->position, e->aggregate);
    if (!h)
        return -ENOMEM;
    int r = other ? queue_for(g, h, owner) : hand_bind(&g->hand, h, &m->hand);
    if (r == 0 && !other)
        r = lines_put(l, e, false);
    if (r < 0)
        hand_drop(&g->hand, h);
    else if (!other)
        hand_give(h);
    return r;
}

static bool is_wanted(struct group *g, const struct event *e) {
    const struct consumer *c = g->consumer;
    return selection_has(&g->selection, c->all->source.index, e) && !asides_find(&c->asides, e->position) &&
           !done_has(&c->done, e->position);
}

static bool has_room(const struct group *g) {
    return g->hand.n < CONSUMER_WINDOW && g->consumer->done.n < DONE_BLOCKS_MAX;
}

static int fill_log(struct member *m, struct lines *l, uint64_t head, bool *further, struct err *err) {
    struct group *g = m->group;
    struct walk w;
    struct event e;
    int r = 0;
    walk_begin(&w, &g->consumer->all->source, g->place + 1, head, reader_far(l, &g->selection));
    while (r == 0 && has_room(g) && w.chunks <= READER_SLICE_CHUNKS && (r = walk_next(&w, &e)) == 0) {
        if (is_wanted(g, &e))
            r = take_event(m, l, &e);
        if (r == 0)
            g->place = e.position;
    }
    if (r < 0 && w.err.code)
        *err = w.err;
    else if (r < 0)
        err_set(err, -r, "out of memory for what a group has in hand");
    g->stalled = g->stalled || !has_room(g);
    if (hand_lowest(&g->hand) == 0)
        consumer_gap(g->consumer, g->consumer->cursor, g->place);
    *further = r == 0 && g->place < head && has_room(g);
    walk_end(&w);
    return r;
}

int group_fill(struct member *m, struct lines *l, uint64_t head, bool *further, struct err *err) {
    *further = false;
    int r = fill_queued(m, l, err);
    if (r == 0)
        r = fill_freed(m, l, err);
    if (r == 0)
        r = fill_log(m, l, head, further, err);
    return r < 0 ? r : 0;
}
