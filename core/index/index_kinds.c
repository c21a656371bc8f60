/* Looking up schemas and skips, and which kinds of events are stored. */
#include "index_private.h"

#include <errno.h>

/* --- schemas */

static int schema_copy(const struct index_schema *s, struct index_schema *out) {
    if (s)
        *out = *s;
    return s ? 0 : INDEX_NONE;
}

int index_schema_find(struct index *ix, uint32_t type_no, bool of_command, struct str name, uint32_t version,
                      struct index_schema *out) {
    const struct index_schema wanted = {.type_no = type_no, .of_command = of_command, .name = name, .version = version};
    pthread_rwlock_rdlock(&ix->lock);
    int r = schema_copy(schemas_find(&ix->schemas, &wanted), out);
    pthread_rwlock_unlock(&ix->lock);
    return r;
}

int index_schema_after(struct index *ix, const struct index_schema *after, struct index_schema *out) {
    pthread_rwlock_rdlock(&ix->lock);
    int r = schema_copy(schemas_after(&ix->schemas, after), out);
    pthread_rwlock_unlock(&ix->lock);
    return r;
}

/* --- skips */

static int skip_copy(const struct index_skip *s, struct index_skip *out) {
    if (s && out)
        *out = *s;
    return s ? 0 : INDEX_NONE;
}

int index_skip_find(struct index *ix, struct str follower, uint64_t position) {
    pthread_rwlock_rdlock(&ix->lock);
    int r = skip_copy(skips_find(&ix->skips, follower, position), NULL);
    pthread_rwlock_unlock(&ix->lock);
    return r;
}

int index_skip_after(struct index *ix, struct str follower, uint64_t position, struct index_skip *out) {
    pthread_rwlock_rdlock(&ix->lock);
    int r = skip_copy(skips_after(&ix->skips, follower, position), out);
    pthread_rwlock_unlock(&ix->lock);
    return r;
}

uint64_t index_skip_count(struct index *ix, struct str follower, uint64_t after, uint64_t to) {
    pthread_rwlock_rdlock(&ix->lock);
    uint64_t n = after < to ? skips_count(&ix->skips, follower, after, to) : 0;
    pthread_rwlock_unlock(&ix->lock);
    return n;
}

/* --- kinds of events */

/* The lowest kinds met so far, ascending, each once. */
struct lowest {
    const struct index_event_kind *after;
    struct index_event_kind *list;
    size_t n, room;
};

static int order(uint32_t schema, struct str name, const struct index_event_kind *kind) {
    if (schema != kind->schema)
        return schema < kind->schema ? -1 : 1;
    size_t n = name.n < kind->name_bytes ? name.n : kind->name_bytes;
    int c = memcmp(name.p, kind->name, n);
    return c ? c : (name.n > kind->name_bytes) - (name.n < kind->name_bytes);
}

/* Returns false when the kind is behind all that are kept, and there is no room for it. */
static bool lowest_keep(struct lowest *l, uint32_t type_no, uint32_t schema, struct str name) {
    if (l->after && order(schema, name, l->after) <= 0)
        return true;
    size_t low = 0, high = l->n;
    if (l->n == l->room && order(schema, name, &l->list[l->n - 1]) > 0)
        return false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = order(schema, name, &l->list[middle]);
        if (c == 0)
            return true;
        if (c > 0)
            low = middle + 1;
        else
            high = middle;
    }
    l->n -= l->n == l->room;
    memmove(l->list + low + 1, l->list + low, (l->n - low) * sizeof *l->list);
    l->n++;
    l->list[low] = (struct index_event_kind){type_no, schema, (uint8_t)name.n, ""};
    memcpy(l->list[low].name, name.p, name.n);
    return true;
}

static void kinds_recent(struct index *ix, uint32_t type_no, struct lowest *l) {
    pthread_rwlock_rdlock(&ix->lock);
    for (size_t i = 0; i < ix->n_windows; i++) {
        const struct window *w = ix->windows[i];
        for (size_t k = 0; k < w->n_kinds; k++)
            if (w->kinds[k].type_no == type_no)
                lowest_keep(l, type_no, w->kinds[k].schema, w->event_types[w->kinds[k].event_type].name);
    }
    pthread_rwlock_unlock(&ix->lock);
}

static int kinds_older(struct index *ix, uint32_t type_no, struct lowest *l, struct err *err) {
    const struct index_event_kind *after = l->after;
    struct key first = key_event_kind(type_no, after ? after->schema : 0,
                                      after ? (struct str){after->name, after->name_bytes} : STR(""));
    struct key upper = key_event_kind(type_no + 1, 0, STR(""));
    struct db_iter *it = db_iter_new(ix->db, DB_DERIVED, &(struct db_iter_options){.upper = key_str(&upper)});
    if (!it)
        return -ENOMEM;
    struct db_pair pair;
    struct index_event_kind kind;
    bool more = true;
    int r = db_iter_seek(it, key_str(&first), &pair, err);
    while (r == 0 && more) {
        if (key_event_kind_read(pair.key, &kind) < 0)
            r = family_damaged(pair.key, err);
        else
            more = lowest_keep(l, type_no, kind.schema, (struct str){kind.name, kind.name_bytes});
        if (r == 0 && more)
            r = db_iter_next(it, &pair, err);
    }
    db_iter_free(it);
    return r < 0 ? r : 0;
}

/* The windows first: what becomes part of the family meanwhile is then met twice rather than not at all. */
int index_event_kinds_after(struct index *ix, uint32_t type_no, const struct index_event_kind *after,
                            struct index_event_kind *out, size_t n, struct err *err) {
    struct index_event_kind from;
    struct lowest l = {.list = out, .room = n};
    if (n == 0)
        return 0;
    if (after) { /* which may be in `out` */
        from = *after;
        l.after = &from;
    }
    kinds_recent(ix, type_no, &l);
    int r = kinds_older(ix, type_no, &l, err);
    return r < 0 ? r : (int)l.n;
}
