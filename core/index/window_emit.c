/* A full window, turned into the sorted keys and values of the derived family. */
#include "window.h"

#include "varint.h"

#include <errno.h>
#include <stdlib.h>

/* Where keys go, and the value under construction. */
struct emission {
    const struct window *w;
    window_put *put;
    void *arg;
    struct err *err;
    struct buf value;
};

static int emit_value(struct emission *e, const struct key *key) {
    if (e->value.oom)
        return -ENOMEM;
    struct str value = buf_str(&e->value);
    int r = e->put(e->arg, key_str(key), &value, e->err);
    buf_clear(&e->value);
    return r;
}

static int emit_delete(struct emission *e, const struct key *key) {
    return e->put(e->arg, key_str(key), NULL, e->err);
}

/* Pointers to the elements of an array, to be sorted. */
static const void **pointers_new(const void *array, size_t n, size_t size) {
    const void **p = malloc((n ? n : 1) * sizeof *p);
    for (size_t i = 0; p && i < n; i++)
        p[i] = (const char *)array + i * size;
    return p;
}

static int order(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

static int order_str(struct str a, struct str b) {
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c ? c : order(a.n, b.n);
}

/* --- command ids */

/* A command beside the beginning of its key, so that sorting seldom has to look at the command. */
struct sorted_command {
    uint64_t aggregate, id;
    const struct window_command *command;
};

static int commands_order(const void *x, const void *y) {
    const struct sorted_command *a = x, *b = y;
    if (a->aggregate != b->aggregate)
        return order(a->aggregate, b->aggregate);
    return a->id != b->id ? order(a->id, b->id) : order_str(a->command->id, b->command->id);
}

static struct sorted_command *commands_sort(const struct window *w) {
    struct sorted_command *sorted = malloc((w->n_commands + 1) * sizeof *sorted);
    for (size_t i = 0; sorted && i < w->n_commands; i++) {
        const struct window_command *c = &w->commands[i];
        char id[8] = {0};
        memcpy(id, c->id.p, c->id.n < sizeof id ? c->id.n : sizeof id);
        sorted[i] = (struct sorted_command){c->aggregate, be64_get(id), c};
    }
    if (sorted)
        qsort(sorted, w->n_commands, sizeof *sorted, commands_order);
    return sorted;
}

static int emit_commands(struct emission *e) {
    struct sorted_command *sorted = commands_sort(e->w);
    int r = sorted ? 0 : -ENOMEM;
    size_t n = e->w->n_commands;
    for (size_t i = 0; r == 0 && i < n; i++) {
        /* In the order of their keys, commands lie anywhere in memory. */
        if (i + 8 < n) {
            __builtin_prefetch(sorted[i + 8].command);
            __builtin_prefetch(sorted[i + 4].command->id.p);
        }
        const struct window_command *c = sorted[i].command;
        struct key key = key_command(c->aggregate, c->id);
        value_put_command(&e->value, &c->is);
        r = emit_value(e, &key);
    }
    free(sorted);
    return r;
}

/* --- kinds of events */

struct sorted_kind {
    const struct window_kind *kind;
    struct str name;
};

static int kinds_order(const void *x, const void *y) {
    const struct sorted_kind *a = x, *b = y;
    if (a->kind->type_no != b->kind->type_no)
        return order(a->kind->type_no, b->kind->type_no);
    return a->kind->schema != b->kind->schema ? order(a->kind->schema, b->kind->schema) : order_str(a->name, b->name);
}

static int emit_kinds(struct emission *e) {
    const struct window *w = e->w;
    struct sorted_kind *sorted = malloc((w->n_kinds + 1) * sizeof *sorted);
    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < w->n_kinds; i++)
        sorted[i] = (struct sorted_kind){&w->kinds[i], w->event_types[w->kinds[i].event_type].name};
    qsort(sorted, w->n_kinds, sizeof *sorted, kinds_order);
    int r = 0;
    for (size_t i = 0; r == 0 && i < w->n_kinds; i++) {
        struct key key = key_event_kind(sorted[i].kind->type_no, sorted[i].kind->schema, sorted[i].name);
        value_put_number(&e->value, w->first_position + sorted[i].kind->position);
        r = emit_value(e, &key);
    }
    free(sorted);
    return r;
}

/* --- aggregates and names */

static int made_order(const void *x, const void *y) {
    const struct made *a = *(const struct made *const *)x, *b = *(const struct made *const *)y;
    return order(a->no, b->no);
}

static int listing_order(const void *x, const void *y) {
    const struct made *a = *(const struct made *const *)x, *b = *(const struct made *const *)y;
    return a->type_no != b->type_no ? order(a->type_no, b->type_no) : order(a->no, b->no);
}

/* Of one name's aggregates, the one that exists (there is at most one) comes first. */
static int name_order(const void *x, const void *y) {
    const struct made *a = *(const struct made *const *)x, *b = *(const struct made *const *)y;
    int c = a->type_no != b->type_no ? order(a->type_no, b->type_no) : order_str(a->id, b->id);
    return c ? c : a->undeclared - b->undeclared;
}

static int emit_aggregate(struct emission *e, const struct made *m) {
    struct key key = key_aggregate(m->no);
    value_put_made(&e->value, m);
    return emit_value(e, &key);
}

/* One that came and went within the window has never been in the family, so there is nothing to delete. */
static bool is_fleeting(const struct emission *e, const struct made *m) {
    return m->undeclared && m->no >= e->w->first_aggregate;
}

static int emit_listing(struct emission *e, const struct made *m) {
    if (is_fleeting(e, m))
        return 0;
    struct key key = key_listing(m->type_no, m->no);
    if (m->undeclared)
        return emit_delete(e, &key);
    value_put_listing(&e->value, m);
    return emit_value(e, &key);
}

static int emit_name(struct emission *e, const struct made *m) {
    struct key key = key_name(m->type_no, m->id);
    if (m->undeclared)
        return emit_delete(e, &key);
    value_put_number(&e->value, m->no);
    return emit_value(e, &key);
}

static int emit_meta(struct emission *e) {
    struct key key = key_meta();
    value_put_meta(&e->value, &e->w->after);
    return emit_value(e, &key);
}

static bool same_name(const struct made *a, const struct made *b) {
    return a && a->type_no == b->type_no && str_eq(a->id, b->id);
}

static int emit_names(struct emission *e, const void **all, size_t n) {
    const struct made *before = NULL;
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct made *m = all[i];
        if (is_fleeting(e, m) || same_name(before, m))
            continue;
        r = emit_name(e, m);
        before = m;
    }
    return r;
}

/* Aggregates, their listing, the meta key, whose letter lies between, and names. */
static int emit_made(struct emission *e) {
    const struct window *w = e->w;
    size_t n = w->n_made + w->n_unmade;
    const void **all = malloc((n + 1) * sizeof *all);
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        all[i] = i < w->n_unmade ? &w->unmade[i] : &w->made[i - w->n_unmade];
    int r = 0;
    qsort(all, n, sizeof *all, made_order);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = emit_aggregate(e, all[i]);
    qsort(all, n, sizeof *all, listing_order);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = emit_listing(e, all[i]);
    if (r == 0)
        r = emit_meta(e);
    qsort(all, n, sizeof *all, name_order);
    if (r == 0)
        r = emit_names(e, all, n);
    free(all);
    return r;
}

/* --- chunks, skips, streams, schemas, types */

static int types_order(const void *x, const void *y) {
    const struct window_type *a = *(const struct window_type *const *)x, *b = *(const struct window_type *const *)y;
    return order(a->no, b->no);
}

static int emit_chunks(struct emission *e, const struct window_type *t) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < t->n; i++) {
        struct index_chunk c;
        window_chunk(e->w, t, i, &c);
        struct key key = key_chunk(t->no, c.offset);
        value_put_chunk(&e->value, &c, e->w->chunks[t->offsets[i].chunk].base_time);
        r = emit_value(e, &key);
    }
    return r;
}

/* The same chunks once more, by position. */
static int emit_positions(struct emission *e) {
    const struct window_type *all = window_type(e->w, 0);
    int r = 0;
    for (size_t i = 0; r == 0 && all && i < all->n; i++) {
        struct index_chunk c;
        window_chunk(e->w, all, i, &c);
        struct key key = key_chunk(KEY_BY_POSITION, c.first_position);
        value_put_chunk(&e->value, &c, e->w->chunks[all->offsets[i].chunk].base_time);
        r = emit_value(e, &key);
    }
    return r;
}

static int emit_type(struct emission *e, const struct window_type *t) {
    if (t->no == 0)
        return 0;
    struct key key = key_type(t->no);
    value_put_type(&e->value, &t->after, t->exists);
    return emit_value(e, &key);
}

static int streams_order(const void *x, const void *y) {
    const struct window_stream *a = *(const struct window_stream *const *)x,
                               *b = *(const struct window_stream *const *)y;
    return order(a->aggregate, b->aggregate);
}

static int emit_runs(struct emission *e, const struct window_stream *s) {
    int r = 0;
    for (uint32_t at = 0; r == 0 && at < s->n;) {
        struct run_entry entries[RUN_MAX];
        struct key key = key_run(s->aggregate, s->first_version + at);
        uint32_t n = 0;
        while (n < RUN_MAX && at < s->n)
            window_entry(e->w, s, at++, &entries[n++]);
        run_put(&e->value, entries, n);
        r = emit_value(e, &key);
    }
    return r;
}

static int emit_streams(struct emission *e) {
    const void **sorted = pointers_new(e->w->streams, e->w->n_streams, sizeof *e->w->streams);
    if (!sorted)
        return -ENOMEM;
    qsort(sorted, e->w->n_streams, sizeof *sorted, streams_order);
    int r = 0;
    for (size_t i = 0; r == 0 && i < e->w->n_streams; i++)
        r = emit_runs(e, sorted[i]);
    free(sorted);
    return r;
}

static int schema_pointers_order(const void *x, const void *y) {
    return schemas_order(*(const struct index_schema *const *)x, *(const struct index_schema *const *)y);
}

static int emit_schemas(struct emission *e) {
    size_t n = e->w->n_schemas;
    const struct index_schema **sorted = malloc((n + 1) * sizeof *sorted);
    if (!sorted)
        return -ENOMEM;
    if (n)
        memcpy(sorted, e->w->schemas, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, schema_pointers_order);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct key key = key_schema(sorted[i]);
        value_put_number(&e->value, sorted[i]->time);
        buf_put_str(&e->value, sorted[i]->text);
        r = emit_value(e, &key);
    }
    free(sorted);
    return r;
}

static int skip_pointers_order(const void *x, const void *y) {
    return skips_order(*(const struct index_skip *const *)x, *(const struct index_skip *const *)y);
}

static int emit_skips(struct emission *e) {
    size_t n = e->w->n_skips;
    const struct index_skip **sorted = malloc((n + 1) * sizeof *sorted);
    if (!sorted)
        return -ENOMEM;
    if (n)
        memcpy(sorted, e->w->skips, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, skip_pointers_order);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct key key = key_skip(sorted[i]);
        value_put_skip(&e->value, sorted[i]);
        r = emit_value(e, &key);
    }
    free(sorted);
    return r;
}

/* Chunks and skips come before streams, schemas and types behind them, as their letters do. */
static int emit_rest(struct emission *e) {
    const void **types = pointers_new(e->w->types, e->w->n_types, sizeof *e->w->types);
    if (!types)
        return -ENOMEM;
    qsort(types, e->w->n_types, sizeof *types, types_order);
    int r = 0;
    for (size_t i = 0; r == 0 && i < e->w->n_types; i++)
        r = emit_chunks(e, types[i]);
    if (r == 0)
        r = emit_positions(e);
    if (r == 0)
        r = emit_skips(e);
    if (r == 0)
        r = emit_streams(e);
    if (r == 0)
        r = emit_schemas(e);
    for (size_t i = 0; r == 0 && i < e->w->n_types; i++)
        r = emit_type(e, types[i]);
    free(types);
    return r;
}

int window_emit(const struct window *w, window_put *put, void *arg, struct err *err) {
    struct emission e = {.w = w, .put = put, .arg = arg, .err = err};
    int r = emit_commands(&e);
    if (r == 0)
        r = emit_kinds(&e);
    if (r == 0)
        r = emit_made(&e);
    if (r == 0)
        r = emit_rest(&e);
    buf_free(&e.value);
    return r;
}
