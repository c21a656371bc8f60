#include "consumer_aside.h"

#include "array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void asides_init(struct asides *s) {
    *s = (struct asides){0};
    TAILQ_INIT(&s->again);
}

void asides_free(struct asides *s) {
    for (size_t i = 0; i < s->n; i++)
        free(s->list[i]);
    free(s->list);
    asides_init(s);
}

size_t asides_after(const struct asides *s, uint64_t position) {
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->list[middle]->position <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct aside *asides_find(const struct asides *s, uint64_t position) {
    size_t i = asides_after(s, position);
    return i > 0 && s->list[i - 1]->position == position ? s->list[i - 1] : NULL;
}

/* What the set notes about a state. */
static void state_leave(struct asides *s, struct aside *p) {
    if (p->state == ASIDE_AGAIN)
        TAILQ_REMOVE(&s->again, p, link);
    s->n_of[p->state]--;
}

static void state_enter(struct asides *s, struct aside *p) {
    s->n_of[p->state]++;
    if (p->state != ASIDE_AGAIN)
        return;
    TAILQ_INSERT_TAIL(&s->again, p, link);
    p->turn = ++s->turns;
    p->given = false;
}

int asides_add(struct asides *s, struct aside *p) {
    if (!ARRAY_ROOM(s->list, s->n, s->room))
        return -ENOMEM;
    size_t i = asides_after(s, p->position);
    memmove(s->list + i + 1, s->list + i, (s->n - i) * sizeof *s->list);
    s->list[i] = p;
    s->n++;
    state_enter(s, p);
    return 0;
}

void asides_take(struct asides *s, struct aside *p) {
    size_t i = asides_after(s, p->position) - 1;
    memmove(s->list + i, s->list + i + 1, (s->n - i - 1) * sizeof *s->list);
    s->n--;
    state_leave(s, p);
}

void asides_set(struct asides *s, struct aside *p, enum aside_state state) {
    state_leave(s, p);
    p->state = state;
    state_enter(s, p);
}

size_t asides_again(const struct asides *s, uint64_t turn, struct aside **out, size_t n) {
    struct aside *p;
    size_t found = 0;
    for (p = TAILQ_FIRST(&s->again); p && found < n; p = TAILQ_NEXT(p, link))
        if (p->turn > turn)
            out[found++] = p;
    return found;
}
