#include "consumers_private.h"

#include "array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void done_free(struct done *d) {
    for (size_t i = 0; i < d->n; i++)
        free(d->list[i]);
    free(d->list);
    *d = (struct done){0};
}

/* Of the first block that ends behind a position; d->n when there is none. */
static size_t block_at(const struct done *d, uint64_t position) {
    size_t low = 0, high = d->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (d->list[middle]->first + (RECORD_DONE_EVENTS - 1) < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct done_block *block_make(struct done *d, size_t i, uint64_t first) {
    struct done_block *b = ARRAY_ROOM(d->list, d->n, d->room) ? calloc(1, sizeof *b) : NULL;
    if (!b)
        return NULL;
    b->first = first;
    memmove(d->list + i + 1, d->list + i, (d->n - i) * sizeof *d->list);
    d->list[i] = b;
    d->n++;
    return b;
}

/* Made if need be. NULL when out of memory. */
static struct done_block *block_of(struct done *d, uint64_t position) {
    size_t i = block_at(d, position);
    uint64_t first = position - position % RECORD_DONE_EVENTS;
    return i < d->n && d->list[i]->first == first ? d->list[i] : block_make(d, i, first);
}

bool done_has(const struct done *d, uint64_t position) {
    size_t i = d->n ? block_at(d, position) : 0;
    return i < d->n && d->list[i]->first <= position && record_done_has(d->list[i]->bits, position);
}

static uint64_t block_count(const struct done_block *b) {
    uint64_t n = 0, word;
    for (size_t i = 0; i < sizeof b->bits; i += sizeof word) {
        memcpy(&word, b->bits + i, sizeof word);
        n += (unsigned)__builtin_popcountll(word);
    }
    return n;
}

uint64_t done_count(const struct done *d, uint64_t position) {
    uint64_t n = 0;
    size_t i = d->n ? block_at(d, position) : 0;
    for (size_t k = i; k < d->n; k++)
        n += block_count(d->list[k]);
    for (uint64_t p = position; i < d->n && p >= d->list[i]->first; p--) {
        n -= record_done_has(d->list[i]->bits, p);
        if (p == 0)
            break;
    }
    return n;
}

int done_set(struct done *d, uint64_t position) {
    struct done_block *b = block_of(d, position);
    if (!b)
        return -ENOMEM;
    record_done_set(b->bits, position);
    d->n_changed += !b->changed;
    b->changed = true;
    return 0;
}

int done_load(struct done *d, uint64_t first, const char bits[RECORD_DONE_BYTES]) {
    struct done_block *b = block_of(d, first);
    if (b)
        memcpy(b->bits, bits, RECORD_DONE_BYTES);
    return b ? 0 : -ENOMEM;
}

/* --- and on disk */

/* What has changed is mostly at the end. */
bool consumer_done_put(struct consumer *c) {
    struct done *d = &c->done;
    bool any = d->n_changed > 0;
    for (size_t i = d->n; d->n_changed > 0 && i-- > 0;) {
        char key[RECORD_KEY_BYTES], value[RECORD_DONE_ROOM];
        struct done_block *b = d->list[i];
        if (!b->changed)
            continue;
        commits_put(&c->all->commits, record_done_key(c->no, b->first, key), record_done_put(b->bits, value));
        b->changed = false;
        d->n_changed--;
    }
    return any;
}

static void forget_blocks(struct consumer *c, uint64_t position) {
    struct done *d = &c->done;
    size_t n = d->n && position < UINT64_MAX ? block_at(d, position + 1) : d->n;
    for (size_t i = 0; i < n; i++) {
        char key[RECORD_KEY_BYTES];
        commits_remove(&c->all->commits, record_done_key(c->no, d->list[i]->first, key));
        d->n_changed -= d->list[i]->changed;
        free(d->list[i]);
    }
    d->n -= n;
    if (n)
        memmove(d->list, d->list + n, d->n * sizeof *d->list);
}

static void forget_asides(struct consumer *c, uint64_t position) {
    const struct asides *s = &c->asides;
    for (size_t i = 0; s->n_of[ASIDE_DONE] && i < s->n && s->list[i]->position <= position;) {
        struct aside *p = s->list[i];
        if (p->state == ASIDE_DONE)
            consumer_aside_drop(c, p);
        else
            i++;
    }
}

void consumer_done_forget(struct consumer *c, uint64_t position) {
    forget_blocks(c, position);
    forget_asides(c, position);
}
