#include "aggregates.h"

#include <errno.h>
#include <stdlib.h>

void aggregates_init(struct aggregates *a, struct folder *folder) {
    *a = (struct aggregates){.folder = folder};
}

static void forget(struct aggregates *a, struct aggregate_state *s) {
    if (s->fold.state)
        fold_drop(a->folder, &s->fold);
    s->fold = (struct fold){0};
}

void aggregates_clear(struct aggregates *a) {
    for (uint32_t i = 0; i < a->n; i++)
        forget(a, &a->list[i]);
    a->n = 0;
    table_clear(&a->table);
}

void aggregates_deinit(struct aggregates *a) {
    aggregates_clear(a);
    table_free(&a->table);
    free(a->list);
    *a = (struct aggregates){0};
}

static struct aggregate_state *find(struct aggregates *a, uint64_t aggregate) {
    struct table_probe probe;
    uint32_t i = table_first(&a->table, table_hash_number(aggregate), &probe);
    while (i != TABLE_NONE && a->list[i].aggregate != aggregate)
        i = table_next(&a->table, &probe);
    return i == TABLE_NONE ? NULL : &a->list[i];
}

static int grow(struct aggregates *a) {
    uint32_t cap = a->cap ? 2 * a->cap : 64;
    struct aggregate_state *list = realloc(a->list, cap * sizeof *list);
    if (!list)
        return -ENOMEM;
    a->list = list;
    a->cap = cap;
    return 0;
}

int aggregates_entry(struct aggregates *a, uint64_t aggregate, struct aggregate_state **out) {
    *out = find(a, aggregate);
    if (*out)
        return 0;
    if ((a->n == a->cap && grow(a) < 0) || table_put(&a->table, table_hash_number(aggregate), a->n) < 0)
        return -ENOMEM;
    *out = &a->list[a->n++];
    **out = (struct aggregate_state){.aggregate = aggregate, .place = AGGREGATE_NO_PLACE};
    return 0;
}

int aggregates_before(struct aggregates *a, const struct domain_type *t, const struct event *e,
                      struct aggregate_state **out, struct script_fault *fault) {
    int r = aggregates_entry(a, e->aggregate, out);
    if (r < 0)
        return r;
    struct aggregate_state *s = *out;
    if (s->fold.state && s->fold.version == e->version - 1)
        return 0;
    forget(a, s);
    r = fold_load(a->folder, t, e->aggregate, e->aggregate_id, e->version - 1, &s->fold, fault);
    if (r != 0)
        s->fold = (struct fold){0};
    return r;
}
