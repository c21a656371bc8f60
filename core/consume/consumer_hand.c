#include "consumer_hand.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

struct binding {
    uint64_t aggregate; /* first: tsearch(3) */
    struct hand_member *member;
    size_t n; /* events of it that are his */
};

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void hand_init(struct hand *hand) {
    *hand = (struct hand){0};
    TAILQ_INIT(&hand->order);
    TAILQ_INIT(&hand->freed);
}

void hand_member_init(struct hand_member *m) {
    *m = (struct hand_member){0};
    TAILQ_INIT(&m->queued);
}

void hand_clear(struct hand *hand) {
    tdestroy(hand->by_position, free);
    tdestroy(hand->bindings, free);
    hand_init(hand);
}

struct held *hand_find(const struct hand *hand, uint64_t position) {
    struct held **found = tfind(&position, &hand->by_position, compare);
    return found ? *found : NULL;
}

/* They come with rising positions, but for those that are given again, which are old. */
static void order_insert(struct hand *hand, struct held *h) {
    struct held *last = TAILQ_LAST(&hand->order, hand_list), *at;
    if (!last || last->position < h->position) {
        TAILQ_INSERT_TAIL(&hand->order, h, order);
        return;
    }
    for (at = TAILQ_FIRST(&hand->order); at->position < h->position; at = TAILQ_NEXT(at, order))
        ;
    TAILQ_INSERT_BEFORE(at, h, order);
}

static void freed_insert(struct hand *hand, struct held *h) {
    struct held *last = TAILQ_LAST(&hand->freed, hand_list), *at;
    if (!last || last->position < h->position) {
        TAILQ_INSERT_TAIL(&hand->freed, h, link);
        return;
    }
    for (at = TAILQ_FIRST(&hand->freed); at->position < h->position; at = TAILQ_NEXT(at, link))
        ;
    TAILQ_INSERT_BEFORE(at, h, link);
}

struct held *hand_add(struct hand *hand, uint64_t position, uint64_t aggregate) {
    struct held *h = malloc(sizeof *h);
    if (!h)
        return NULL;
    *h = (struct held){.position = position, .aggregate = aggregate, .state = HELD_FREED};
    if (!tsearch(h, &hand->by_position, compare)) {
        free(h);
        return NULL;
    }
    order_insert(hand, h);
    freed_insert(hand, h);
    hand->n++;
    return h;
}

/* --- bindings */

static struct binding *binding_of(const struct hand *hand, uint64_t aggregate) {
    struct binding **found = tfind(&aggregate, &hand->bindings, compare);
    return found ? *found : NULL;
}

struct hand_member *hand_owner(const struct hand *hand, uint64_t aggregate) {
    const struct binding *b = binding_of(hand, aggregate);
    return b ? b->member : NULL;
}

static struct binding *binding_make(struct hand *hand, uint64_t aggregate, struct hand_member *m) {
    struct binding *b = malloc(sizeof *b);
    if (!b)
        return NULL;
    *b = (struct binding){.aggregate = aggregate, .member = m};
    if (tsearch(b, &hand->bindings, compare))
        return b;
    free(b);
    return NULL;
}

static void unbind(struct hand *hand, struct held *h) {
    struct binding *b = binding_of(hand, h->aggregate);
    if (--b->n > 0)
        return;
    tdelete(b, &hand->bindings, compare);
    free(b);
}

int hand_bind(struct hand *hand, struct held *h, struct hand_member *m) {
    struct binding *b = binding_of(hand, h->aggregate);
    if (!b)
        b = binding_make(hand, h->aggregate, m);
    if (!b)
        return -ENOMEM;
    b->n++;
    TAILQ_REMOVE(&hand->freed, h, link);
    TAILQ_INSERT_TAIL(&m->queued, h, link);
    h->state = HELD_QUEUED;
    h->member = m;
    return 0;
}

/* --- what becomes of an event */

void hand_give(struct held *h) {
    TAILQ_REMOVE(&h->member->queued, h, link);
    h->state = HELD_GIVEN;
    h->member->n_given++;
}

void hand_drop(struct hand *hand, struct held *h) {
    if (h->state == HELD_FREED)
        TAILQ_REMOVE(&hand->freed, h, link);
    else if (h->state == HELD_QUEUED)
        TAILQ_REMOVE(&h->member->queued, h, link);
    else
        h->member->n_given--;
    if (h->member)
        unbind(hand, h);
    TAILQ_REMOVE(&hand->order, h, order);
    tdelete(h, &hand->by_position, compare);
    hand->n--;
    free(h);
}

void hand_free_all_of(struct hand *hand, struct hand_member *m) {
    struct held *h;
    TAILQ_INIT(&hand->freed);
    TAILQ_FOREACH(h, &hand->order, order) {
        if (h->member == m) {
            unbind(hand, h);
            h->member = NULL;
            h->state = HELD_FREED;
        }
        if (h->state == HELD_FREED)
            TAILQ_INSERT_TAIL(&hand->freed, h, link);
    }
    hand_member_init(m);
}

uint64_t hand_lowest(const struct hand *hand) {
    const struct held *h;
    TAILQ_FOREACH(h, &hand->order, order)
    if (!h->again)
        return h->position;
    return 0;
}
