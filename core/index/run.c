#include "run.h"

#include "keys.h"
#include "varint.h"

#include <errno.h>

/* Takes a number at *p; *p is NULL once one was cut short. */
static uint64_t take(const char **p, const char *end) {
    uint64_t v = 0;
    if (*p)
        *p = varint_get(*p, end, &v);
    return v;
}

static int types_open(struct run *r, const char *p) {
    r->n_types = (uint32_t)take(&p, r->end);
    if (!p || r->n_types == 0 || r->n_types > r->n)
        return -EBADMSG;
    for (uint32_t i = 0; i < r->n_types; i++) {
        uint64_t n = take(&p, r->end);
        if (!p || n > (uint64_t)(r->end - p))
            return -EBADMSG;
        r->types[i] = (struct str){p, n};
        p += n;
    }
    r->entries = p;
    return 0;
}

int run_open(struct run *out, struct str value) {
    const char *p = value.p;
    out->end = p + value.n;
    out->offset = take(&p, out->end);
    out->bytes = take(&p, out->end);
    uint64_t n = take(&p, out->end);
    out->first_position = take(&p, out->end);
    out->first_time = take(&p, out->end);
    out->span = take(&p, out->end);
    if (!p || n == 0 || n > RUN_MAX)
        return -EBADMSG;
    out->n = (uint32_t)n;
    return types_open(out, p);
}

void run_begin(const struct run *r, struct run_at *at) {
    *at = (struct run_at){
        .p = r->entries,
        .entry = {.position = r->first_position, .time = r->first_time, .offset = r->offset},
    };
}

int run_next(const struct run *r, struct run_at *at) {
    if (at->i == r->n)
        return 1;
    struct run_entry *e = &at->entry;
    e->offset += e->size;
    e->position += take(&at->p, r->end);
    e->time += take(&at->p, r->end);
    uint64_t size = take(&at->p, r->end), type = take(&at->p, r->end);
    if (!at->p || size > UINT32_MAX || type >= r->n_types)
        return -EBADMSG;
    e->size = (uint32_t)size;
    e->type = r->types[type];
    at->i++;
    return 0;
}

/* Gives each entry the number of its type, in the order in which types first come. */
static uint32_t types_number(const struct run_entry *entries, uint32_t n, uint8_t *numbers, struct str *types) {
    uint32_t n_types = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t t = 0;
        while (t < n_types && !str_eq(types[t], entries[i].type))
            t++;
        if (t == n_types)
            types[n_types++] = entries[i].type;
        numbers[i] = (uint8_t)t;
    }
    return n_types;
}

void run_put(struct buf *out, const struct run_entry *entries, uint32_t n) {
    struct str types[RUN_MAX];
    uint8_t numbers[RUN_MAX];
    uint32_t n_types = types_number(entries, n, numbers, types);
    const struct run_entry *first = entries, *last = entries + n - 1;
    value_put_number(out, first->offset);
    value_put_number(out, last->offset + last->size - first->offset);
    value_put_number(out, n);
    value_put_number(out, first->position);
    value_put_number(out, first->time);
    value_put_number(out, last->time - first->time);
    value_put_number(out, n_types);
    for (uint32_t i = 0; i < n_types; i++) {
        value_put_number(out, types[i].n);
        buf_put_str(out, types[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        value_put_number(out, entries[i].position - (i ? entries[i - 1].position : first->position));
        value_put_number(out, entries[i].time - (i ? entries[i - 1].time : first->time));
        value_put_number(out, entries[i].size);
        value_put_number(out, numbers[i]);
    }
}
