#include "kinds.h"

#include "digest.h"

#include <errno.h>
#include <stdlib.h>

void kinds_init(struct kinds *k, struct index *ix) {
    *k = (struct kinds){.index = ix};
}

void kinds_deinit(struct kinds *k) {
    table_free(&k->table);
    arena_free(&k->arena);
    free(k->list);
}

/* Also one that was removed: its entry is used again when the name comes back. */
static struct kind *find_entry(const struct kinds *k, struct str name, uint64_t hash) {
    struct table_probe probe;
    for (uint32_t i = table_first(&k->table, hash, &probe); i != TABLE_NONE; i = table_next(&k->table, &probe))
        if (str_eq(k->list[i]->name, name))
            return k->list[i];
    return NULL;
}

static int list_grow(struct kinds *k) {
    if (k->n < k->room)
        return 0;
    uint32_t room = k->room ? k->room * 2 : 16;
    struct kind **list = realloc(k->list, room * sizeof *list);
    if (!list)
        return -ENOMEM;
    k->list = list;
    k->room = room;
    return 0;
}

static struct kind *add_entry(struct kinds *k, struct str name, uint64_t hash) {
    struct kind *kind = arena_alloc(&k->arena, sizeof *kind);
    struct str copy = arena_copy(&k->arena, name);
    if (!kind || !copy.p || list_grow(k) < 0 || table_put(&k->table, hash, k->n) < 0)
        return NULL;
    *kind = (struct kind){.name = copy};
    k->list[k->n++] = kind;
    return kind;
}

/* Only types that exist enter, so refused commands with made-up names cost no memory. */
int kinds_find(struct kinds *k, struct str name, struct kind **out) {
    struct index_type type;
    uint64_t hash = digest_table(name.p, name.n);
    struct kind *kind = find_entry(k, name, hash);
    if (!kind && index_type_by_name(k->index, name, &type) == 0) {
        kind = add_entry(k, name, hash);
        if (!kind)
            return -ENOMEM;
        kind->no = type.no;
        kind->aggregates = type.aggregates;
    }
    *out = kind && kind->no ? kind : NULL;
    return 0;
}

struct kind *kinds_add(struct kinds *k, struct str name, uint32_t no) {
    uint64_t hash = digest_table(name.p, name.n);
    struct kind *kind = find_entry(k, name, hash);
    if (!kind)
        kind = add_entry(k, name, hash);
    if (!kind)
        return NULL;
    kind->no = no;
    kind->aggregates = 0;
    return kind;
}
