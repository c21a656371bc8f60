#include "schema_private.h"

#include <errno.h>
#include <stdlib.h>

/* --- equal */

static bool numbers_equal(struct str a, struct str b) {
    int64_t x, y;
    if (number_small(a, &x) && number_small(b, &y))
        return x == y;
    struct number p = number_read(a), q = number_read(b);
    return number_compare(&p, &q) == 0;
}

/* A member's namesake is mostly where it is in the other. */
static const struct json_value *field_near(const struct json_value *object, struct str name, uint32_t near,
                                           uint64_t *work, uint64_t work_max) {
    for (uint32_t i = 0; i < object->n && ++*work < work_max; i++) {
        const struct json_field *f = &object->fields[(near + i) % object->n];
        if (str_eq(f->name, name))
            return &f->value;
    }
    return NULL;
}

static bool objects_equal(const struct json_value *a, const struct json_value *b, uint64_t *work, uint64_t work_max) {
    for (uint32_t i = 0; i < a->n; i++) {
        const struct json_value *other = field_near(b, a->fields[i].name, i, work, work_max);
        if (!other || !value_equal(&a->fields[i].value, other, work, work_max))
            return false;
    }
    return true;
}

static bool arrays_equal(const struct json_value *a, const struct json_value *b, uint64_t *work, uint64_t work_max) {
    for (uint32_t i = 0; i < a->n; i++)
        if (!value_equal(&a->items[i], &b->items[i], work, work_max))
            return false;
    return true;
}

bool value_equal(const struct json_value *a, const struct json_value *b, uint64_t *work, uint64_t work_max) {
    if (a->kind != b->kind || ++*work >= work_max)
        return false;
    switch (a->kind) {
    case JSON_KIND_OBJECT:
        return a->n == b->n && objects_equal(a, b, work, work_max);
    case JSON_KIND_ARRAY:
        return a->n == b->n && arrays_equal(a, b, work, work_max);
    case JSON_KIND_STRING:
        *work += a->text.n / 64;
        return str_eq(a->text, b->text);
    case JSON_KIND_NUMBER:
        *work += (a->text.n + b->text.n) / 16;
        return numbers_equal(a->text, b->text);
    default:
        return true;
    }
}

/* --- unique */

uint64_t value_hash(const struct json_value *v, uint64_t *work) {
    uint64_t h = (uint64_t)v->kind;
    struct number number;
    *work += 1 + (v->kind >= JSON_KIND_STRING ? v->text.n / 16 : 0);
    switch (v->kind) {
    case JSON_KIND_OBJECT: /* in any order */
        for (uint32_t i = 0; i < v->n; i++)
            h += table_hash_number(bytes_hash(v->fields[i].name.p, v->fields[i].name.n) ^
                                   value_hash(&v->fields[i].value, work) * 3);
        return h;
    case JSON_KIND_ARRAY:
        for (uint32_t i = 0; i < v->n; i++)
            h = table_hash_number(h * 31 + value_hash(&v->items[i], work));
        return h;
    case JSON_KIND_STRING:
        return bytes_hash(v->text.p, v->text.n) + 1;
    case JSON_KIND_NUMBER:
        number = number_read(v->text);
        return number_hash(&number) + 2;
    default:
        return h;
    }
}

struct hashed {
    uint64_t hash;
    uint32_t index;
};

static int hashed_compare(const void *a, const void *b) {
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static int pairs_unique(const struct json_value *items, const struct hashed *order, uint32_t n, uint64_t *work,
                        uint64_t work_max, uint32_t *first, uint32_t *second) {
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t k = i; k-- > 0 && (!order || order[k].hash == order[i].hash);) {
            *first = order ? order[k].index : k;
            *second = order ? order[i].index : i;
            if (value_equal(&items[*first], &items[*second], work, work_max))
                return 1;
            if (*work >= work_max)
                return 0;
        }
    return 0;
}

int values_unique(const struct json_value *items, uint32_t n, uint64_t *work, uint64_t work_max, uint32_t *first,
                  uint32_t *second) {
    if (n <= 16)
        return pairs_unique(items, NULL, n, work, work_max, first, second);
    struct hashed *order = malloc(n * sizeof *order);
    if (!order)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        order[i] = (struct hashed){value_hash(&items[i], work), i};
    qsort(order, n, sizeof *order, hashed_compare);
    int rc = pairs_unique(items, order, n, work, work_max, first, second);
    free(order);
    return rc;
}

/* --- copies, lengths */

static int children_copy(struct arena *arena, const struct json_value *v, struct json_value *out) {
    bool object = v->kind == JSON_KIND_OBJECT;
    void *all = arena_alloc(arena, v->n * (object ? sizeof *v->fields : sizeof *v->items));
    if (!all)
        return -ENOMEM;
    int rc = 0;
    if (object) {
        out->fields = all;
        for (uint32_t i = 0; i < v->n && !rc; i++) {
            out->fields[i].name = arena_copy(arena, v->fields[i].name);
            rc = out->fields[i].name.p ? value_copy(arena, &v->fields[i].value, &out->fields[i].value) : -ENOMEM;
        }
        return rc;
    }
    out->items = all;
    for (uint32_t i = 0; i < v->n && !rc; i++)
        rc = value_copy(arena, &v->items[i], &out->items[i]);
    return rc;
}

int value_copy(struct arena *arena, const struct json_value *v, struct json_value *out) {
    *out = (struct json_value){.kind = v->kind, .n = v->n};
    if (v->kind == JSON_KIND_OBJECT || v->kind == JSON_KIND_ARRAY)
        return v->n ? children_copy(arena, v, out) : 0;
    if (v->kind == JSON_KIND_STRING || v->kind == JSON_KIND_NUMBER)
        out->text = arena_copy(arena, v->text);
    return out->text.p || v->kind > JSON_KIND_NUMBER ? 0 : -ENOMEM;
}

uint64_t text_length(struct str utf8) {
    uint64_t n = 0;
    for (size_t i = 0; i < utf8.n; i++)
        n += ((unsigned char)utf8.p[i] & 0xc0) != 0x80;
    return n;
}

/* --- names */

bool names_init(struct names *t, struct arena *arena, size_t n) {
    uint32_t size = 4;
    if (n > UINT32_MAX / 8)
        return false;
    while (size < 2 * n)
        size *= 2;
    t->slots = arena_alloc(arena, size * sizeof *t->slots);
    if (!t->slots)
        return false;
    memset(t->slots, 0, size * sizeof *t->slots);
    t->mask = size - 1;
    return true;
}

struct name_slot *names_put(struct names *t, struct str name) {
    uint32_t at = (uint32_t)bytes_hash(name.p, name.n) & t->mask;
    while (t->slots[at].name.p && !str_eq(t->slots[at].name, name))
        at = (at + 1) & t->mask;
    struct name_slot *slot = &t->slots[at];
    if (!slot->name.p)
        *slot = (struct name_slot){.name = name, .index = t->n++};
    return slot;
}
