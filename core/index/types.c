#include "types.h"

#include "digest.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

int types_init(struct types *t) {
    *t = (struct types){.by_no = calloc(INDEX_TYPES_MAX + 1, sizeof *t->by_no)};
    return t->by_no ? 0 : -ENOMEM;
}

void types_free(struct types *t) {
    for (uint32_t no = 1; t->by_no && no <= INDEX_TYPES_MAX; no++)
        free(t->by_no[no]);
    free(t->by_no);
    table_free(&t->by_name);
    *t = (struct types){0};
}

struct type *types_get(const struct types *t, uint32_t no) {
    return no && no <= INDEX_TYPES_MAX ? atomic_load_explicit(&t->by_no[no], memory_order_acquire) : NULL;
}

struct str types_name(const struct types *t, uint32_t no) {
    const struct type *type = types_get(t, no);
    return type ? type->is.name : STR("");
}

int types_intern(struct types *t, uint32_t no, struct str name) {
    if (no == 0 || no > INDEX_TYPES_MAX || name.n == 0 || name.n > NAME_MAX_BYTES)
        return -EINVAL;
    if (types_get(t, no))
        return -EEXIST;
    struct type *type = malloc(sizeof *type + name.n);
    if (!type)
        return -ENOMEM;
    char *copy = memcpy(type + 1, name.p, name.n);
    *type = (struct type){.is = {.no = no, .name = {copy, name.n}}};
    atomic_store_explicit(&t->by_no[no], type, memory_order_release);
    return 0;
}

void types_forget(struct types *t, uint32_t no) {
    for (struct type *type; (type = types_get(t, no)); no++) {
        atomic_store_explicit(&t->by_no[no], NULL, memory_order_release);
        free(type);
    }
}

int types_make(struct types *t, uint32_t no, uint64_t time) {
    struct type *type = types_get(t, no);
    type->is.time = time;
    type->exists = true;
    return table_put(&t->by_name, digest_table(type->is.name.p, type->is.name.n), no);
}

int types_restore(struct types *t, const struct index_type *kept, bool exists) {
    int r = types_intern(t, kept->no, kept->name);
    if (r < 0)
        return r;
    struct type *type = types_get(t, kept->no);
    struct str name = type->is.name;
    type->is = *kept;
    type->is.name = name;
    type->exists = exists;
    return exists ? table_put(&t->by_name, digest_table(name.p, name.n), kept->no) : 0;
}

struct type *types_by_name(const struct types *t, struct str name) {
    struct table_probe probe;
    uint32_t no = table_first(&t->by_name, digest_table(name.p, name.n), &probe);
    for (; no != TABLE_NONE; no = table_next(&t->by_name, &probe)) {
        struct type *type = types_get(t, no);
        if (type->exists && str_eq(type->is.name, name))
            return type;
    }
    return NULL;
}
