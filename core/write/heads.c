#include "heads.h"

#include "arena.h"
#include "digest.h"
#include "table.h"

#include <errno.h>
#include <stdlib.h>

struct generation {
    struct table table;
    struct arena arena;
    struct head **list;
    uint32_t n, room;
};

struct heads {
    struct index *index;
    struct generation young, old;
};

struct heads *heads_new(struct index *ix) {
    struct heads *h = calloc(1, sizeof *h);
    if (h)
        h->index = ix;
    return h;
}

static void generation_free(struct generation *g) {
    table_free(&g->table);
    arena_free(&g->arena);
    free(g->list);
    *g = (struct generation){0};
}

void heads_free(struct heads *h) {
    if (!h)
        return;
    generation_free(&h->young);
    generation_free(&h->old);
    free(h);
}

static struct head *generation_find(const struct generation *g, uint64_t hash, struct str type, struct str id) {
    struct table_probe probe;
    for (uint32_t i = table_first(&g->table, hash, &probe); i != TABLE_NONE; i = table_next(&g->table, &probe)) {
        struct head *h = g->list[i];
        if (h->hash == hash && str_eq(h->id, id) && str_eq(h->type, type))
            return h;
    }
    return NULL;
}

static struct head *generation_add(struct generation *g, uint64_t hash, struct str type, struct str id) {
    if (g->n == g->room) {
        uint32_t room = g->room ? g->room * 2 : 1024;
        struct head **list = realloc(g->list, room * sizeof *list);
        if (!list)
            return NULL;
        g->list = list;
        g->room = room;
    }
    struct head *h = arena_alloc(&g->arena, sizeof *h + type.n + id.n);
    if (!h || table_put(&g->table, hash, g->n) < 0)
        return NULL;
    char *names = (char *)(h + 1);
    memcpy(names, type.p, type.n);
    memcpy(names + type.n, id.p, id.n);
    *h = (struct head){.hash = hash, .type = {names, type.n}, .id = {names + type.n, id.n}};
    g->list[g->n++] = h;
    return h;
}

/* Reads a head from the index: 0 or a negative errno; one that does not exist stays at 0. */
static int head_load(struct heads *h, struct head *head, struct err *err) {
    struct index_type type;
    struct index_aggregate aggregate;
    if (index_type_by_name(h->index, head->type, &type) != 0)
        return 0;
    int r = index_aggregate_by_name(h->index, type.no, head->id, &aggregate, err);
    if (r == 0) {
        head->no = aggregate.no;
        head->version = aggregate.version;
        head->bytes = aggregate.bytes;
    }
    return r == INDEX_NONE ? 0 : r;
}

int heads_get(struct heads *h, struct str type, struct str id, struct head **out, struct err *err) {
    uint64_t hash = digest_table(type.p, type.n) * 3 + digest_table(id.p, id.n);
    *out = generation_find(&h->young, hash, type, id);
    if (*out)
        return 0;
    const struct head *known = generation_find(&h->old, hash, type, id);
    struct head loaded = {.type = type, .id = id};
    if (known)
        loaded = *known;
    int r = known ? 0 : head_load(h, &loaded, err);
    if (r < 0)
        return r;
    *out = generation_add(&h->young, hash, type, id);
    if (!*out)
        return err_set(err, ENOMEM, "out of memory");
    (*out)->no = loaded.no;
    (*out)->version = loaded.version;
    (*out)->bytes = loaded.bytes;
    return 0;
}

void heads_turn(struct heads *h) {
    if (h->young.n < HEADS_GENERATION)
        return;
    generation_free(&h->old);
    h->old = h->young;
    h->young = (struct generation){0};
}
