#include "skips.h"

#include "array.h"

#include <errno.h>
#include <stdlib.h>

void skips_free(struct skips *s) {
    for (size_t i = 0; i < s->n; i++)
        free((void *)s->sorted[i]);
    free(s->sorted);
    *s = (struct skips){0};
}

static int order(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

static int order_at(const struct index_skip *skip, struct str follower, uint64_t position) {
    size_t n = skip->follower.n < follower.n ? skip->follower.n : follower.n;
    int c = n ? memcmp(skip->follower.p, follower.p, n) : 0;
    if (c == 0)
        c = order(skip->follower.n, follower.n);
    return c ? c : order(skip->position, position);
}

int skips_order(const struct index_skip *a, const struct index_skip *b) {
    return order_at(a, b->follower, b->position);
}

/* How many come before it, or, with `after` set, are not behind it. */
static size_t skips_before(const struct skips *s, struct str follower, uint64_t position, bool after) {
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order_at(s->sorted[middle], follower, position) < (after ? 1 : 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct index_skip *skip_copy(const struct index_skip *from) {
    struct index_skip *copy = malloc(sizeof *copy + from->follower.n);
    if (!copy)
        return NULL;
    *copy = *from;
    copy->follower.p = memcpy(copy + 1, from->follower.p, from->follower.n);
    return copy;
}

int skips_add(struct skips *s, const struct index_skip *skip, const struct index_skip **kept) {
    if (skips_find(s, skip->follower, skip->position))
        return -EEXIST;
    size_t at = skips_before(s, skip->follower, skip->position, false);
    struct index_skip *copy = skip_copy(skip);
    if (!copy || !ARRAY_ROOM(s->sorted, s->n, s->cap)) {
        free(copy);
        return -ENOMEM;
    }
    memmove(s->sorted + at + 1, s->sorted + at, (s->n - at) * sizeof *s->sorted);
    s->sorted[at] = copy;
    s->n++;
    if (kept)
        *kept = copy;
    return 0;
}

const struct index_skip *skips_find(const struct skips *s, struct str follower, uint64_t position) {
    size_t at = skips_before(s, follower, position, false);
    return at < s->n && order_at(s->sorted[at], follower, position) == 0 ? s->sorted[at] : NULL;
}

const struct index_skip *skips_after(const struct skips *s, struct str follower, uint64_t position) {
    size_t at = skips_before(s, follower, position, true);
    return at < s->n && str_eq(s->sorted[at]->follower, follower) ? s->sorted[at] : NULL;
}

size_t skips_count(const struct skips *s, struct str follower, uint64_t after, uint64_t to) {
    return skips_before(s, follower, to, true) - skips_before(s, follower, after, true);
}
