#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 16

struct table_slot {
    uint32_t tag;   /* half of the hash: enough to place the entry again and to tell most others from it */
    uint32_t index; /* plus one; 0 is an empty slot */
};

static uint32_t probe_slots(const struct table *t, struct table_probe *probe) {
    for (;; probe->at++) {
        const struct table_slot *slot = &t->slots[probe->at & t->mask];
        if (!slot->index)
            return TABLE_NONE;
        if (slot->tag == probe->tag) {
            probe->at++;
            return slot->index - 1;
        }
    }
}

uint32_t table_first(const struct table *t, uint64_t hash, struct table_probe *probe) {
    probe->tag = (uint32_t)(hash >> 32);
    probe->at = probe->tag;
    return t->slots ? probe_slots(t, probe) : TABLE_NONE;
}

uint32_t table_next(const struct table *t, struct table_probe *probe) {
    return probe_slots(t, probe);
}

void table_fetch(const struct table *t, uint64_t hash) {
    if (t->slots)
        __builtin_prefetch(&t->slots[(uint32_t)(hash >> 32) & t->mask]);
}

static void slot_fill(struct table *t, struct table_slot entry) {
    uint32_t at = entry.tag & t->mask;
    while (t->slots[at].index)
        at = (at + 1) & t->mask;
    t->slots[at] = entry;
}

static int table_grow(struct table *t) {
    uint32_t n = t->slots ? t->mask + 1 : 0;
    if (n > UINT32_MAX / 2)
        return -ENOMEM;
    struct table grown = {.mask = n ? n * 2 - 1 : SLOTS_MIN - 1, .used = t->used};
    grown.slots = calloc((size_t)grown.mask + 1, sizeof *grown.slots);
    if (!grown.slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        if (t->slots[i].index)
            slot_fill(&grown, t->slots[i]);
    free(t->slots);
    *t = grown;
    return 0;
}

int table_put(struct table *t, uint64_t hash, uint32_t index) {
    if (!t->slots || t->used >= t->mask - t->mask / 4) {
        int r = table_grow(t);
        if (r < 0)
            return r;
    }
    slot_fill(t, (struct table_slot){(uint32_t)(hash >> 32), index + 1});
    t->used++;
    return 0;
}

void table_clear(struct table *t) {
    if (!t->slots || t->used == 0)
        return;
    if (t->mask >= SLOTS_MIN && t->used < t->mask / 16) {
        table_free(t);
        return;
    }
    memset(t->slots, 0, ((size_t)t->mask + 1) * sizeof *t->slots);
    t->used = 0;
}

void table_free(struct table *t) {
    free(t->slots);
    *t = (struct table){0};
}
