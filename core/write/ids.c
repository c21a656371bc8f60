#include "ids.h"

#include "digest.h"

#include <errno.h>
#include <stdlib.h>

struct id {
    uint64_t aggregate;
    struct str id;
    struct index_command memory;
};

static uint64_t id_hash(uint64_t aggregate, struct str id) {
    return digest_table(id.p, id.n) ^ table_hash_number(aggregate);
}

const struct index_command *ids_find(const struct ids *ids, uint64_t aggregate, struct str id) {
    struct table_probe probe;
    uint64_t hash = id_hash(aggregate, id);
    for (uint32_t i = table_first(&ids->table, hash, &probe); i != TABLE_NONE; i = table_next(&ids->table, &probe))
        if (ids->list[i]->aggregate == aggregate && str_eq(ids->list[i]->id, id))
            return &ids->list[i]->memory;
    return NULL;
}

static int list_grow(struct ids *ids) {
    if (ids->n < ids->room)
        return 0;
    uint32_t room = ids->room ? ids->room * 2 : 64;
    struct id **list = realloc(ids->list, room * sizeof *list);
    if (!list)
        return -ENOMEM;
    ids->list = list;
    ids->room = room;
    return 0;
}

int ids_add(struct ids *ids, uint64_t aggregate, struct str id, const struct index_command *memory) {
    struct id *entry = arena_alloc(&ids->arena, sizeof *entry);
    struct str copy = arena_copy(&ids->arena, id);
    if (!entry || !copy.p || list_grow(ids) < 0 || table_put(&ids->table, id_hash(aggregate, id), ids->n) < 0)
        return -ENOMEM;
    *entry = (struct id){aggregate, copy, *memory};
    ids->list[ids->n++] = entry;
    return 0;
}

void ids_free(struct ids *ids) {
    table_free(&ids->table);
    arena_free(&ids->arena);
    free(ids->list);
    *ids = (struct ids){0};
}
