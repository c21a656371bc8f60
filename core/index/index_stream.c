/* Looking up entries of streams, and chunks by offset and position: the windows first, then the family. */
#include "index_private.h"

#include <errno.h>

static void entry_set(struct index_entry *out, const struct run_entry *e, uint64_t version) {
    out->version = version;
    out->position = e->position;
    out->time = e->time;
    out->offset = e->offset;
    out->size = e->size;
    out->type_bytes = (uint8_t)e->type.n;
    memcpy(out->type, e->type.p, e->type.n);
}

static int run_damaged(const struct family_stream *s, struct err *err) {
    struct key key = key_run(s->aggregate, s->run.first_version);
    return family_damaged(key_str(&key), err);
}

/* --- entries in order */

/* Entries of the windows from `version` on. *floor is where a stream begins in the oldest window that has it: below
 * it the family has everything. UINT64_MAX when no window has it. */
static size_t entries_recent(struct index *ix, uint64_t aggregate, uint64_t version, uint64_t *floor,
                             struct index_entry *out, size_t n) {
    size_t got = 0;
    *floor = UINT64_MAX;
    pthread_rwlock_rdlock(&ix->lock);
    for (size_t i = 0; i < ix->n_windows && got < n; i++) {
        const struct window *w = ix->windows[i];
        const struct window_stream *s = window_stream(w, aggregate);
        if (!s)
            continue;
        if (*floor == UINT64_MAX)
            *floor = s->first_version;
        if (version < *floor)
            break;
        for (uint64_t k = version + got - s->first_version; k < s->n && got < n; k++) {
            struct run_entry e;
            window_entry(w, s, (uint32_t)k, &e);
            entry_set(&out[got++], &e, s->first_version + k);
        }
    }
    pthread_rwlock_unlock(&ix->lock);
    return got;
}

/* Copies entries of the run from `version` on. */
static int run_copy(const struct family_stream *s, uint64_t version, struct index_entry *out, size_t n,
                    struct err *err) {
    const struct run *run = &s->run;
    size_t got = 0;
    struct run_at at;
    int r;
    run_begin(run, &at);
    while (got < n && (r = run_next(run, &at)) == 0) {
        uint64_t v = run->first_version + at.i - 1;
        if (at.entry.type.n > NAME_MAX_BYTES)
            r = -EBADMSG;
        else if (v >= version)
            entry_set(&out[got++], &at.entry, v);
        if (r < 0)
            break;
    }
    return got == n || r == 1 ? (int)got : run_damaged(s, err);
}

static int entries_older(struct index *ix, uint64_t aggregate, uint64_t version, uint64_t floor,
                         struct index_entry *out, size_t n, struct err *err) {
    struct family_stream s;
    int r = family_stream_open(&s, ix->db, aggregate);
    if (r < 0)
        return r;
    size_t got = 0;
    r = family_stream_seek(&s, version, err);
    while (r == 0 && got < n && s.run.first_version < floor) {
        int copied = run_copy(&s, version + got, out + got, n - got, err);
        if (copied < 0)
            r = copied;
        else if (copied == 0)
            break;
        else if ((got += (size_t)copied) < n)
            r = family_stream_next(&s, err);
    }
    family_stream_close(&s);
    return r < 0 ? r : (int)got;
}

/* One entry below the floor, by way of its group. As entries_older with n of 1. */
static int entry_older(struct index *ix, uint64_t aggregate, uint64_t version, uint64_t floor, struct index_entry *out,
                       struct err *err) {
    struct index_entry group[ENTRY_CACHE_GROUP];
    uint64_t first = entry_cache_first(version);
    if (entry_cache_get(ix->entries, aggregate, version, out))
        return 1;
    int n = entries_older(ix, aggregate, first, floor, group, ENTRY_CACHE_GROUP, err);
    if (n <= 0)
        return n;
    entry_cache_put(ix->entries, aggregate, group, (size_t)n);
    if (version - first >= (uint64_t)n)
        return 0;
    *out = group[version - first];
    return 1;
}

int index_entries(struct index *ix, uint64_t aggregate, uint64_t version, struct index_entry *out, size_t n,
                  struct err *err) {
    size_t got = 0;
    if (version == 0)
        version = 1;
    while (got < n) {
        uint64_t floor;
        size_t recent = entries_recent(ix, aggregate, version + got, &floor, out + got, n - got);
        got += recent;
        if (recent || version + got >= floor)
            break;
        int older = n == 1 ? entry_older(ix, aggregate, version, floor, out, err)
                           : entries_older(ix, aggregate, version + got, floor, out + got, n - got, err);
        if (older < 0)
            return older;
        if (older == 0 && floor != UINT64_MAX)
            return err_set(err, EUCLEAN, "the index lacks version %llu of aggregate %llu: make it again from the log",
                           (unsigned long long)(version + got), (unsigned long long)aggregate);
        got += (size_t)older;
        if (floor == UINT64_MAX)
            break;
    }
    return (int)got;
}

/* --- the entry at an offset or a time */

/* Both ascend along a stream, so one search serves them: the last entry whose mark is not above `value`. */
enum mark { MARK_OFFSET, MARK_TIME };

static uint64_t run_low(const struct run *r, enum mark mark) {
    return mark == MARK_OFFSET ? r->offset : r->first_time;
}

static uint64_t run_high(const struct run *r, enum mark mark) {
    return mark == MARK_OFFSET ? r->offset + r->bytes - 1 : r->first_time + r->span;
}

static uint64_t entry_mark(const struct run_entry *e, enum mark mark) {
    return mark == MARK_OFFSET ? e->offset : e->time;
}

static bool stream_search(const struct window *w, const struct window_stream *s, enum mark mark, uint64_t value,
                          struct index_entry *out) {
    uint32_t low = 0, high = s->n;
    struct run_entry e;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        window_entry(w, s, middle, &e);
        if (entry_mark(&e, mark) <= value)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    window_entry(w, s, low - 1, &e);
    entry_set(out, &e, s->first_version + low - 1);
    return true;
}

/* Searches the windows. Otherwise *floor says below which version the family is to be searched; `past`: the value
 * is an offset behind the end. */
static bool search_recent(struct index *ix, uint64_t aggregate, enum mark mark, uint64_t value, struct index_entry *out,
                          uint64_t *floor, bool *past) {
    bool found = false;
    *floor = UINT64_MAX;
    *past = false;
    pthread_rwlock_rdlock(&ix->lock);
    for (size_t i = ix->n_windows; i-- > 0 && !found && !*past;) {
        const struct window_stream *s = window_stream(ix->windows[i], aggregate);
        if (!s)
            continue;
        if (*floor == UINT64_MAX && mark == MARK_OFFSET)
            *past = value >= s->entries[s->n - 1].end;
        *floor = s->first_version;
        if (!*past)
            found = stream_search(ix->windows[i], s, mark, value, out);
    }
    pthread_rwlock_unlock(&ix->lock);
    return found;
}

/* Moves to the last run below the floor that begins at or before the value. 0 or DB_NOT_FOUND. */
static int run_search(struct family_stream *s, enum mark mark, uint64_t value, uint64_t floor, struct err *err) {
    int r = family_stream_seek(s, floor - 1, err);
    if (r != 0 || run_low(&s->run, mark) <= value)
        return r;
    uint64_t low = 1, high = s->run.first_version - 1, best = 0;
    while (low <= high) {
        uint64_t middle = low + (high - low) / 2;
        r = family_stream_seek(s, middle, err);
        if (r != 0 || middle - s->run.first_version >= s->run.n)
            return r < 0 ? r : run_damaged(s, err);
        if (run_low(&s->run, mark) > value) {
            high = s->run.first_version - 1;
            continue;
        }
        if (run_high(&s->run, mark) >= value)
            return 0;
        best = s->run.first_version;
        low = best + s->run.n;
    }
    return best ? family_stream_seek(s, best, err) : DB_NOT_FOUND;
}

static int entry_search(const struct family_stream *s, enum mark mark, uint64_t value, struct index_entry *out,
                        struct err *err) {
    struct run_at at;
    bool found = false;
    int r;
    run_begin(&s->run, &at);
    while ((r = run_next(&s->run, &at)) == 0 && entry_mark(&at.entry, mark) <= value) {
        if (at.entry.type.n > NAME_MAX_BYTES)
            return run_damaged(s, err);
        entry_set(out, &at.entry, s->run.first_version + at.i - 1);
        found = true;
    }
    return r >= 0 && found ? 0 : run_damaged(s, err);
}

static int search_older(struct index *ix, uint64_t aggregate, enum mark mark, uint64_t value, uint64_t floor,
                        struct index_entry *out, struct err *err) {
    struct family_stream s;
    int r = family_stream_open(&s, ix->db, aggregate);
    if (r < 0)
        return r;
    r = run_search(&s, mark, value, floor, err);
    if (r == 0 && mark == MARK_OFFSET && value > run_high(&s.run, mark))
        r = INDEX_NONE;
    else if (r == 0)
        r = entry_search(&s, mark, value, out, err);
    else if (r == DB_NOT_FOUND)
        r = INDEX_NONE;
    family_stream_close(&s);
    return r;
}

static int entry_at(struct index *ix, uint64_t aggregate, enum mark mark, uint64_t value, struct index_entry *out,
                    struct err *err) {
    uint64_t floor;
    bool past;
    if (search_recent(ix, aggregate, mark, value, out, &floor, &past))
        return 0;
    return past ? INDEX_NONE : search_older(ix, aggregate, mark, value, floor, out, err);
}

int index_entry_at_offset(struct index *ix, uint64_t aggregate, uint64_t offset, struct index_entry *out,
                          struct err *err) {
    return entry_at(ix, aggregate, MARK_OFFSET, offset, out, err);
}

int index_entry_at_time(struct index *ix, uint64_t aggregate, uint64_t time, struct index_entry *out, struct err *err) {
    return entry_at(ix, aggregate, MARK_TIME, time, out, err);
}

/* --- chunks */

/* The first offset of a type in a window that is above `offset`, as an index; t->n when there is none. */
static size_t offset_above(const struct window_type *t, uint64_t offset) {
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->offsets[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t file_bytes(const struct index *ix, uint32_t type_no) {
    const struct type *t = types_get(&ix->types, type_no);
    return type_no == 0 ? ix->head.log_bytes : t ? t->is.bytes : 0;
}

int index_chunk_at(struct index *ix, uint32_t type_no, uint64_t offset, struct index_chunk *out, struct err *err) {
    bool found = false;
    pthread_rwlock_rdlock(&ix->lock);
    bool past = offset >= file_bytes(ix, type_no);
    for (size_t i = ix->n_windows; i-- > 0 && !past && !found;) {
        const struct window_type *t = window_type(ix->windows[i], type_no);
        size_t k = t ? offset_above(t, offset) : 0;
        found = k > 0;
        if (found)
            window_chunk(ix->windows[i], t, k - 1, out);
    }
    pthread_rwlock_unlock(&ix->lock);
    if (past || found)
        return past ? INDEX_NONE : 0;
    int r = family_chunk_at(ix->db, type_no, offset, out, err);
    if (r == DB_NOT_FOUND)
        return err_set(err, EUCLEAN, "the index lacks byte %llu of the log of type %u: make it again from the log",
                       (unsigned long long)offset, type_no);
    return r;
}

/* The last chunk of a window that begins at or before a position. */
static bool position_search(const struct window *w, uint64_t position, struct index_chunk *out) {
    const struct window_type *all = window_type(w, 0);
    size_t low = 0, high = all ? all->n : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (w->chunks[all->offsets[middle].chunk].first_position <= position)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0)
        window_chunk(w, all, low - 1, out);
    return low > 0;
}

/* The chunk that holds a position of the family, by way of its page. When that is not known to the end, as the chunk is
 * the family's last or the page has too many, it is sought by itself. */
static int chunk_older(struct index *ix, uint64_t position, struct index_chunk *out, struct err *err) {
    struct index_chunk page[CHUNK_PAGE_MAX];
    uint64_t first = chunk_cache_first(position);
    enum chunk_cache_outcome outcome = chunk_cache_get(ix->chunks, position, out);
    if (outcome == CHUNK_CACHE_UNKNOWN) {
        int n = family_chunks(ix->db, first, first + CHUNK_PAGE_POSITIONS, page, CHUNK_PAGE_MAX, err);
        if (n < 0)
            return n;
        if (n > 1) {
            chunk_cache_put(ix->chunks, first, page, (size_t)n);
            outcome = chunk_cache_get(ix->chunks, position, out);
        }
    }
    return outcome == CHUNK_CACHE_FOUND ? 0 : family_chunk_at(ix->db, KEY_BY_POSITION, position, out, err);
}

int index_chunk_of(struct index *ix, uint64_t position, struct index_chunk *out, struct err *err) {
    bool found = false;
    pthread_rwlock_rdlock(&ix->lock);
    bool past = position == 0 || position > ix->head.position;
    for (size_t i = ix->n_windows; i-- > 0 && !past && !found;)
        found = position_search(ix->windows[i], position, out);
    pthread_rwlock_unlock(&ix->lock);
    if (past || found)
        return past ? INDEX_NONE : 0;
    int r = chunk_older(ix, position, out, err);
    if (r == DB_NOT_FOUND)
        return err_set(err, EUCLEAN, "the index lacks position %016llx: make it again from the log",
                       (unsigned long long)position);
    return r;
}

int index_chunk_next(struct index *ix, uint32_t type_no, const struct index_chunk *after, struct index_chunk *out,
                     struct err *err) {
    uint64_t offset = after->offset; /* out may be after */
    bool found = false, older = true;
    pthread_rwlock_rdlock(&ix->lock);
    for (size_t i = 0; i < ix->n_windows && !found; i++) {
        const struct window_type *t = window_type(ix->windows[i], type_no);
        if (!t || !t->n)
            continue;
        size_t k = offset_above(t, offset);
        older = older && k == 0;
        found = k < t->n;
        if (found)
            window_chunk(ix->windows[i], t, k, out);
    }
    pthread_rwlock_unlock(&ix->lock);
    if (!older)
        return found ? 0 : INDEX_NONE;
    /* It may be the last one that the family has; out is the first of the windows, or nothing. */
    struct index_chunk from_family;
    int r = family_chunk_from(ix->db, type_no, offset + 1, &from_family, err);
    if (r < 0)
        return r;
    if (r == 0 && (!found || from_family.offset < out->offset))
        *out = from_family;
    return r == 0 || found ? 0 : INDEX_NONE;
}
