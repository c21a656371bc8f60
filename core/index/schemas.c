#include "schemas.h"

#include "array.h"

#include <errno.h>
#include <stdlib.h>

void schemas_free(struct schemas *s) {
    for (size_t i = 0; i < s->n; i++)
        free((void *)s->sorted[i]);
    free(s->sorted);
    *s = (struct schemas){0};
}

static int order(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

int schemas_order(const struct index_schema *a, const struct index_schema *b) {
    if (a->type_no != b->type_no)
        return order(a->type_no, b->type_no);
    if (a->of_command != b->of_command)
        return a->of_command - b->of_command;
    int c = memcmp(a->name.p, b->name.p, a->name.n < b->name.n ? a->name.n : b->name.n);
    if (c == 0)
        c = order(a->name.n, b->name.n);
    return c ? c : order(a->version, b->version);
}

/* How many come before it, or, with `after` set, are not behind it. */
static size_t schemas_before(const struct schemas *s, const struct index_schema *schema, bool after) {
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (schemas_order(s->sorted[middle], schema) < (after ? 1 : 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct index_schema *schema_copy(const struct index_schema *from) {
    struct index_schema *copy = malloc(sizeof *copy + from->name.n + from->text.n);
    if (!copy)
        return NULL;
    char *name = memcpy(copy + 1, from->name.p, from->name.n);
    char *text = memcpy(name + from->name.n, from->text.p, from->text.n);
    *copy = *from;
    copy->name.p = name;
    copy->text.p = text;
    return copy;
}

int schemas_add(struct schemas *s, const struct index_schema *schema, const struct index_schema **kept) {
    if (schemas_find(s, schema))
        return -EEXIST;
    size_t at = schemas_before(s, schema, false);
    struct index_schema *copy = schema_copy(schema);
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

const struct index_schema *schemas_find(const struct schemas *s, const struct index_schema *schema) {
    size_t at = schemas_before(s, schema, false);
    return at < s->n && schemas_order(s->sorted[at], schema) == 0 ? s->sorted[at] : NULL;
}

const struct index_schema *schemas_after(const struct schemas *s, const struct index_schema *after) {
    size_t at = after ? schemas_before(s, after, true) : 0;
    return at < s->n ? s->sorted[at] : NULL;
}
