/* Looking up types, aggregates and command ids: the windows first, then the family. */
#include "index_private.h"

#include <errno.h>

/* --- types */

static int type_copy(const struct type *t, struct index_type *out) {
    if (!t || !t->exists)
        return INDEX_NONE;
    *out = t->is;
    return 0;
}

int index_type_by_name(struct index *ix, struct str name, struct index_type *out) {
    pthread_rwlock_rdlock(&ix->lock);
    int r = type_copy(types_by_name(&ix->types, name), out);
    pthread_rwlock_unlock(&ix->lock);
    return r;
}

int index_type_by_no(struct index *ix, uint32_t no, struct index_type *out) {
    pthread_rwlock_rdlock(&ix->lock);
    int r = type_copy(types_get(&ix->types, no), out);
    pthread_rwlock_unlock(&ix->lock);
    return r;
}

int index_type_after(struct index *ix, uint32_t no, struct index_type *out) {
    int r = INDEX_NONE;
    pthread_rwlock_rdlock(&ix->lock);
    while (r != 0 && ++no < ix->head.next_type)
        r = type_copy(types_get(&ix->types, no), out);
    pthread_rwlock_unlock(&ix->lock);
    return r;
}

struct str index_type_name(struct index *ix, uint32_t no) {
    return types_name(&ix->types, no);
}

/* --- aggregates */

static void aggregate_set(struct index_aggregate *out, const struct made *m) {
    *out = (struct index_aggregate){.no = m->no, .type_no = m->type_no, .time = m->time};
    out->id_bytes = (uint8_t)m->id.n;
    memcpy(out->id, m->id.p, m->id.n);
}

static void stream_set(struct index_aggregate *out, const struct window_stream *s) {
    const struct window_entry *last = &s->entries[s->n - 1];
    out->version = s->first_version + s->n - 1;
    out->bytes = last->end;
    out->time = last->time;
}

/* What the windows know of an aggregate. */
struct recent {
    bool made, stream, gone;
    struct index_aggregate is;
};

static void recent_read(struct index *ix, uint64_t no, struct recent *out) {
    const struct window_stream *s = NULL;
    const struct made *m = NULL;
    pthread_rwlock_rdlock(&ix->lock);
    for (size_t i = ix->n_windows; i-- > 0 && !m;) {
        m = window_made(ix->windows[i], no);
        s = s ? s : window_stream(ix->windows[i], no);
    }
    *out = (struct recent){.made = m, .stream = s, .gone = m && m->undeclared};
    if (m)
        aggregate_set(&out->is, m);
    if (s)
        stream_set(&out->is, s);
    pthread_rwlock_unlock(&ix->lock);
}

/* Fills in what the windows did not know of an aggregate that is older than they are. */
static int older_read(struct index *ix, uint64_t no, struct recent *recent, struct err *err) {
    struct made m;
    char id[NAME_MAX_BYTES];
    int r = family_made(ix->db, no, &m, id, err);
    if (r == DB_NOT_FOUND || (r == 0 && m.undeclared))
        return INDEX_NONE;
    if (r < 0)
        return r;
    struct index_aggregate stream = recent->is;
    aggregate_set(&recent->is, &m);
    if (recent->stream) {
        recent->is.version = stream.version;
        recent->is.bytes = stream.bytes;
        recent->is.time = stream.time;
        return 0;
    }
    struct family_stream runs;
    r = family_stream_open(&runs, ix->db, no);
    if (r < 0)
        return r;
    r = family_stream_seek(&runs, UINT64_MAX, err);
    if (r == 0) {
        recent->is.version = runs.run.first_version + runs.run.n - 1;
        recent->is.bytes = runs.run.offset + runs.run.bytes;
        recent->is.time = runs.run.first_time + runs.run.span;
    }
    family_stream_close(&runs);
    return r < 0 ? r : 0;
}

int index_aggregate_by_no(struct index *ix, uint64_t no, struct index_aggregate *out, struct err *err) {
    struct recent recent;
    recent_read(ix, no, &recent);
    if (recent.gone)
        return INDEX_NONE;
    int r = recent.made ? 0 : older_read(ix, no, &recent, err);
    if (r == 0)
        *out = recent.is;
    return r;
}

int index_aggregate_by_name(struct index *ix, uint32_t type_no, struct str id, struct index_aggregate *out,
                            struct err *err) {
    if (id.n == 0 || id.n > NAME_MAX_BYTES)
        return INDEX_NONE;
    const struct made *m = NULL;
    uint64_t no = 0;
    pthread_rwlock_rdlock(&ix->lock);
    for (size_t i = ix->n_windows; i-- > 0 && !m;)
        m = window_name(ix->windows[i], type_no, id);
    bool known = m, gone = m && m->undeclared;
    if (m)
        no = m->no;
    pthread_rwlock_unlock(&ix->lock);
    if (gone)
        return INDEX_NONE;
    int r = known ? 0 : family_name(ix->db, type_no, id, &no, err);
    if (r != 0)
        return r == DB_NOT_FOUND ? INDEX_NONE : r;
    return index_aggregate_by_no(ix, no, out, err);
}

/* --- aggregates of a type, listed */

static bool is_gone(const struct index *ix, uint64_t no) {
    const struct made *m = NULL;
    for (size_t i = ix->n_windows; i-- > 0 && !m;)
        m = window_made(ix->windows[i], no);
    return m && m->undeclared;
}

/* Takes out those that were undeclared in a window. */
static size_t listed_filter(const struct index *ix, struct index_aggregate *list, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_gone(ix, list[i].no))
            continue;
        if (kept != i)
            list[kept] = list[i];
        kept++;
    }
    return kept;
}

/* Up to n of those that the family has below where the windows begin; *after moves on to the last one seen. A
 * window may become part of the family between reading it and asking the windows who is gone: `retry` then. */
static int listed_older(struct index *ix, uint32_t type_no, uint64_t *after, uint64_t below, uint64_t drops,
                        struct index_aggregate *out, size_t n, bool *retry, struct err *err) {
    int got = family_listing(ix->db, type_no, *after + 1, below, out, n, err);
    if (got < 0)
        return got;
    uint64_t last = (size_t)got == n ? out[got - 1].no : below - 1;
    pthread_rwlock_rdlock(&ix->lock);
    *retry = ix->drops != drops;
    size_t kept = *retry ? 0 : listed_filter(ix, out, (size_t)got);
    pthread_rwlock_unlock(&ix->lock);
    if (!*retry)
        *after = last;
    return (int)kept;
}

/* Those made in windows; the lock is held. */
static size_t listed_recent(struct index *ix, uint32_t type_no, uint64_t after, struct index_aggregate *out, size_t n) {
    size_t got = 0;
    for (size_t i = 0; i < ix->n_windows; i++) {
        const struct window *w = ix->windows[i];
        size_t k = after + 1 > w->first_aggregate ? after + 1 - w->first_aggregate : 0;
        for (; k < w->n_made && got < n; k++)
            if (w->made[k].type_no == type_no && !is_gone(ix, w->made[k].no))
                aggregate_set(&out[got++], &w->made[k]);
    }
    return got;
}

int index_aggregates_after(struct index *ix, uint32_t type_no, uint64_t after, struct index_aggregate *out, size_t n,
                           struct err *err) {
    size_t got = 0;
    while (n && after < INDEX_AGGREGATES_MAX) {
        pthread_rwlock_rdlock(&ix->lock);
        uint64_t below = ix->windows[0]->first_aggregate, drops = ix->drops;
        bool older = after + 1 < below;
        if (!older)
            got = listed_recent(ix, type_no, after, out, n);
        pthread_rwlock_unlock(&ix->lock);
        if (!older)
            return (int)got;
        bool retry = false;
        int r = listed_older(ix, type_no, &after, below, drops, out, n, &retry, err);
        if (r != 0)
            return r;
    }
    return 0;
}

/* --- command ids */

int index_command_by_id(struct index *ix, uint64_t aggregate, struct str id, struct index_command *out,
                        struct err *err) {
    if (id.n == 0 || id.n > KEY_ID_MAX)
        return INDEX_NONE;
    const struct window_command *c = NULL;
    pthread_rwlock_rdlock(&ix->lock);
    for (size_t i = ix->n_windows; i-- > 0 && !c;)
        c = window_command(ix->windows[i], aggregate, id);
    if (c)
        *out = c->is;
    pthread_rwlock_unlock(&ix->lock);
    if (c)
        return 0;
    int r = family_command(ix->db, aggregate, id, out, err);
    return r == DB_NOT_FOUND ? INDEX_NONE : r;
}
