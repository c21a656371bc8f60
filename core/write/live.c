#include "live.h"

#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LIVE_BYTES 1024 /* of a small state, with what is kept beside it */
#define FROZEN_FACTOR 8 /* a state in Lua against its frozen form */

struct generation {
    struct table table;
    struct arena arena;
    struct live **list;
    uint32_t n, room;
    size_t bytes;
};

/* Events that the index may not know yet, newest first for each aggregate. */
struct pending_event {
    struct event event;
    const struct pending_event *before; /* of the same aggregate */
};

struct pending {
    struct table table; /* by aggregate */
    struct arena arena;
    const struct pending_event **newest;
    uint32_t n, room;
};

struct live_states {
    struct folder *folder;
    struct index *index;
    size_t max;
    struct generation young, old;
    struct pending young_events, old_events;
};

struct live_states *live_new(struct folder *f, struct index *ix, size_t max_bytes) {
    struct live_states *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->folder = f;
    s->index = ix;
    s->max = max_bytes;
    return s;
}

/* --- generations */

static size_t rules_of(const struct live *live) {
    return live->type->n_rules;
}

static void live_empty(struct live_states *s, struct live *live) {
    fold_drop(s->folder, &live->fold);
    for (size_t i = 0; live->held && i < rules_of(live); i++)
        free((char *)live->held[i].p);
    free(live->held);
    live->held = NULL;
}

static void generation_free(struct live_states *s, struct generation *g) {
    for (uint32_t i = 0; i < g->n; i++)
        live_empty(s, g->list[i]);
    table_free(&g->table);
    arena_free(&g->arena);
    free(g->list);
    *g = (struct generation){0};
}

static struct live *generation_find(const struct generation *g, uint64_t hash, const struct domain_type *t,
                                    struct str id) {
    struct table_probe probe;
    for (uint32_t i = table_first(&g->table, hash, &probe); i != TABLE_NONE; i = table_next(&g->table, &probe))
        if (g->list[i]->hash == hash && g->list[i]->type == t && str_eq(g->list[i]->id, id))
            return g->list[i];
    return NULL;
}

static struct live *generation_add(struct generation *g, uint64_t hash, const struct domain_type *t, struct str id) {
    if (g->n == g->room) {
        uint32_t room = g->room ? g->room * 2 : 1024;
        struct live **list = realloc(g->list, room * sizeof *list);
        if (!list)
            return NULL;
        g->list = list;
        g->room = room;
    }
    struct live *live = arena_alloc(&g->arena, sizeof *live);
    struct str copy = arena_copy(&g->arena, id);
    if (!live || !copy.p || table_put(&g->table, hash, g->n) < 0)
        return NULL;
    *live = (struct live){.type = t, .id = copy, .hash = hash, .bytes = LIVE_BYTES};
    g->bytes += live->bytes;
    g->list[g->n++] = live;
    return live;
}

/* The entry in the young generation, with what the old one had of it. */
static struct live *entry_get(struct live_states *s, uint64_t hash, const struct domain_type *t, struct str id) {
    struct live *live = generation_find(&s->young, hash, t, id);
    if (live)
        return live;
    live = generation_add(&s->young, hash, t, id);
    struct live *before = live ? generation_find(&s->old, hash, t, id) : NULL;
    if (before) {
        struct str copy = live->id;
        s->young.bytes += before->bytes - live->bytes;
        *live = *before;
        live->id = copy;
        before->fold.state = 0;
        before->held = NULL;
    }
    return live;
}

void live_trim(struct live_states *s) {
    if (s->young.bytes < s->max / 2)
        return;
    generation_free(s, &s->old);
    s->old = s->young;
    s->young = (struct generation){0};
}

void live_forget(struct live_states *s, struct live *live) {
    live_empty(s, live);
}

void live_grow(struct live_states *s, struct live *live, size_t bytes) {
    live->bytes += bytes;
    s->young.bytes += bytes;
}

/* --- events on their way */

static void pending_free(struct pending *p) {
    table_free(&p->table);
    arena_free(&p->arena);
    free(p->newest);
    *p = (struct pending){0};
}

static const struct pending_event **pending_find(const struct pending *p, uint64_t aggregate) {
    struct table_probe probe;
    uint64_t hash = table_hash_number(aggregate);
    for (uint32_t i = table_first(&p->table, hash, &probe); i != TABLE_NONE; i = table_next(&p->table, &probe))
        if (p->newest[i]->event.aggregate == aggregate)
            return &p->newest[i];
    return NULL;
}

static bool copy_text(struct arena *a, struct str *s) {
    if (!s->n)
        return true;
    *s = arena_copy(a, *s);
    return s->p != NULL;
}

static bool copy_texts(struct arena *a, struct event *e) {
    return copy_text(a, &e->aggregate_type) && copy_text(a, &e->aggregate_id) && copy_text(a, &e->type) &&
           copy_text(a, &e->data) && copy_text(a, &e->commandid) && copy_text(a, &e->correlationid) &&
           copy_text(a, &e->causationid) && copy_text(a, &e->traceparent) && copy_text(a, &e->meta);
}

static int pending_grow(struct pending *p) {
    if (p->n < p->room)
        return 0;
    uint32_t room = p->room ? p->room * 2 : 256;
    const struct pending_event **newest = realloc(p->newest, room * sizeof *newest);
    if (!newest)
        return -ENOMEM;
    p->newest = newest;
    p->room = room;
    return 0;
}

int live_pend(struct live_states *s, const struct event *e) {
    struct pending *p = &s->young_events;
    struct pending_event *entry = arena_alloc(&p->arena, sizeof *entry);
    if (!entry || pending_grow(p) < 0)
        return -ENOMEM;
    entry->event = *e;
    if (!copy_texts(&p->arena, &entry->event))
        return -ENOMEM;
    const struct pending_event **newest = pending_find(p, e->aggregate);
    entry->before = newest ? *newest : NULL;
    if (newest) {
        *newest = entry;
        return 0;
    }
    p->newest[p->n] = entry;
    return table_put(&p->table, table_hash_number(e->aggregate), p->n++);
}

/* Takes in what follows the version that the fold is at, oldest first. */
static int pending_fold(struct live_states *s, struct live *live, const struct pending_event *newest,
                        struct script_fault *fault) {
    int r = 0;
    if (!newest || newest->event.version <= live->fold.version)
        return 0;
    if (newest->before)
        r = pending_fold(s, live, newest->before, fault);
    if (r == 0)
        r = fold_event(s->folder, live->type, &live->fold, &newest->event, fault);
    return r;
}

void live_turn(struct live_states *s) {
    pending_free(&s->old_events);
    s->old_events = s->young_events;
    s->young_events = (struct pending){0};
}

void live_free(struct live_states *s) {
    if (!s)
        return;
    generation_free(s, &s->young);
    generation_free(s, &s->old);
    pending_free(&s->young_events);
    pending_free(&s->old_events);
    free(s);
}

/* --- loading */

static int load_stored(struct live_states *s, struct live *live, const struct head *head, struct script_fault *fault) {
    struct index_aggregate applied = {0};
    struct err err = {0};
    int r = head->no ? index_aggregate_by_no(s->index, head->no, &applied, &err) : INDEX_NONE;
    if (r < 0) {
        snprintf(fault->text, sizeof fault->text, "%s", err.text);
        return r;
    }
    if (r == INDEX_NONE || applied.version == 0)
        return fold_begin(s->folder, live->type, live->id, &live->fold, fault);
    return fold_load(s->folder, live->type, head->no, live->id, applied.version, &live->fold, fault);
}

static int load(struct live_states *s, struct live *live, const struct head *head, struct script_fault *fault) {
    const struct pending *pending[] = {&s->old_events, &s->young_events};
    int r = load_stored(s, live, head, fault);
    for (size_t i = 0; r == 0 && i < 2; i++) {
        const struct pending_event **newest = head->no ? pending_find(pending[i], head->no) : NULL;
        r = pending_fold(s, live, newest ? *newest : NULL, fault);
    }
    folder_reset(s->folder);
    if (r == 0 && live->fold.version != head->version) {
        snprintf(fault->text, sizeof fault->text, "the state is at version %llu, the stream at %llu",
                 (unsigned long long)live->fold.version, (unsigned long long)head->version);
        r = SCRIPT_FAILED;
    }
    return r;
}

int live_get(struct live_states *s, const struct domain_type *t, const struct head *head, struct live **out,
             struct script_fault *fault) {
    struct live *live = entry_get(s, head->hash, t, head->id);
    if (!live)
        return -ENOMEM;
    *out = live;
    if (live->fold.state && live->fold.version == head->version + head->staged)
        return 0;
    live_empty(s, live);
    *fault = (struct script_fault){0};
    int r = load(s, live, head, fault);
    if (r != 0)
        live_empty(s, live);
    else
        live_grow(s, live, live->fold.saved_bytes * FROZEN_FACTOR);
    return r;
}
