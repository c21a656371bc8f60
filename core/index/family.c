#include "family.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

int family_damaged(struct str key, struct err *err) {
    char text[2 * 64 + 1] = "";
    for (size_t i = 1; i < key.n && i <= 64; i++)
        snprintf(text + 2 * (i - 1), 3, "%02x", (uint8_t)key.p[i]);
    return err_set(err, EUCLEAN, "the index is damaged at its key %c %s: make it again from the log",
                   key.n && isgraph((uint8_t)key.p[0]) ? key.p[0] : '?', text);
}

int family_meta(struct db *db, struct meta *out, struct err *err) {
    struct key key = key_meta();
    struct db_value v;
    int r = db_get(db, DB_DERIVED, key_str(&key), &v, err);
    if (r != 0)
        return r;
    r = value_read_meta(v.bytes, out) < 0 ? family_damaged(key_str(&key), err) : 0;
    db_value_release(&v);
    return r;
}

int family_name(struct db *db, uint32_t type_no, struct str id, uint64_t *out, struct err *err) {
    struct key key = key_name(type_no, id);
    struct db_value v;
    int r = db_get(db, DB_DERIVED, key_str(&key), &v, err);
    if (r != 0)
        return r;
    r = value_read_number(v.bytes, out) < 0 ? family_damaged(key_str(&key), err) : 0;
    db_value_release(&v);
    return r;
}

int family_command(struct db *db, uint64_t aggregate, struct str id, struct index_command *out, struct err *err) {
    struct key key = key_command(aggregate, id);
    struct db_value v;
    int r = db_get(db, DB_DERIVED, key_str(&key), &v, err);
    if (r != 0)
        return r;
    r = value_read_command(v.bytes, out) < 0 ? family_damaged(key_str(&key), err) : 0;
    db_value_release(&v);
    return r;
}

int family_made(struct db *db, uint64_t aggregate, struct made *out, char id[NAME_MAX_BYTES], struct err *err) {
    struct key key = key_aggregate(aggregate);
    struct db_value v;
    int r = db_get(db, DB_DERIVED, key_str(&key), &v, err);
    if (r != 0)
        return r;
    if (value_read_made(v.bytes, out) < 0) {
        r = family_damaged(key_str(&key), err);
    } else {
        out->no = aggregate;
        out->id.p = memcpy(id, out->id.p, out->id.n);
    }
    db_value_release(&v);
    return r;
}

static int listing_take(const struct db_pair *pair, struct index_aggregate *out, struct err *err) {
    struct str id;
    *out = (struct index_aggregate){0};
    if (key_listing_read(pair->key, &out->type_no, &out->no) < 0 ||
        value_read_listing(pair->value, &out->time, &id) < 0)
        return family_damaged(pair->key, err);
    memcpy(out->id, id.p, id.n);
    out->id_bytes = (uint8_t)id.n;
    return 0;
}

int family_listing(struct db *db, uint32_t type_no, uint64_t from, uint64_t below, struct index_aggregate *out,
                   size_t n, struct err *err) {
    struct key first = key_listing(type_no, from), upper = key_listing(type_no, below);
    struct db_iter *it = db_iter_new(db, DB_DERIVED, &(struct db_iter_options){.upper = key_str(&upper)});
    if (!it)
        return -ENOMEM;
    struct db_pair pair;
    int got = 0, r = db_iter_seek(it, key_str(&first), &pair, err);
    while (r == 0 && (size_t)got < n) {
        r = listing_take(&pair, &out[got], err);
        if (r == 0 && (size_t)++got < n)
            r = db_iter_next(it, &pair, err);
    }
    db_iter_free(it);
    return r < 0 ? r : got;
}

static int chunk_seek(struct db *db, uint32_t type_no, uint64_t offset, bool back, struct index_chunk *out,
                      struct err *err) {
    struct key key = key_chunk(type_no, offset);
    struct db_iter *it = db_iter_new(db, DB_DERIVED, &(struct db_iter_options){.fill_cache = true});
    if (!it)
        return -ENOMEM;
    struct db_pair pair;
    int r = back ? db_iter_seek_back(it, key_str(&key), &pair, err) : db_iter_seek(it, key_str(&key), &pair, err);
    uint32_t found = 0;
    if (r == 0 && (key_chunk_read(pair.key, &found, &out->offset) < 0 || found != type_no))
        r = DB_NOT_FOUND;
    else if (r == 0 && value_read_chunk(pair.value, out) < 0)
        r = family_damaged(pair.key, err);
    db_iter_free(it);
    return r;
}

static bool is_by_position(struct str key) {
    uint32_t type_no;
    uint64_t position;
    return key_chunk_read(key, &type_no, &position) == 0 && type_no == KEY_BY_POSITION;
}

int family_chunk_at(struct db *db, uint32_t type_no, uint64_t offset, struct index_chunk *out, struct err *err) {
    return chunk_seek(db, type_no, offset, true, out, err);
}

int family_chunks(struct db *db, uint64_t position, uint64_t until, struct index_chunk *out, size_t n,
                  struct err *err) {
    struct key key = key_chunk(KEY_BY_POSITION, position), upper = key_chunk(KEY_BY_POSITION, UINT64_MAX);
    struct db_iter *it =
        db_iter_new(db, DB_DERIVED, &(struct db_iter_options){.upper = key_str(&upper), .fill_cache = true});
    if (!it)
        return -ENOMEM;
    struct db_pair pair;
    size_t got = 0;
    int r = db_iter_seek_back(it, key_str(&key), &pair, err);
    if (r == 0 && !is_by_position(pair.key)) /* nothing begins as early as that */
        r = db_iter_seek(it, key_str(&key), &pair, err);
    while (r == 0 && got < n && is_by_position(pair.key)) {
        out[got] = (struct index_chunk){0};
        r = value_read_chunk(pair.value, &out[got]) < 0 ? family_damaged(pair.key, err) : 0;
        if (r < 0 || out[got++].first_position >= until)
            break;
        if (got < n)
            r = db_iter_next(it, &pair, err);
    }
    db_iter_free(it);
    return r < 0 ? r : (int)got;
}

int family_chunk_from(struct db *db, uint32_t type_no, uint64_t offset, struct index_chunk *out, struct err *err) {
    return chunk_seek(db, type_no, offset, false, out, err);
}

/* --- streams */

int family_stream_open(struct family_stream *s, struct db *db, uint64_t aggregate) {
    s->aggregate = aggregate;
    s->upper = key_run(aggregate + 1, 0);
    s->it = db_iter_new(db, DB_DERIVED, &(struct db_iter_options){.upper = key_str(&s->upper), .fill_cache = true});
    return s->it ? 0 : -ENOMEM;
}

void family_stream_close(struct family_stream *s) {
    db_iter_free(s->it);
}

static int run_take(struct family_stream *s, const struct db_pair *pair, struct err *err) {
    uint64_t aggregate = 0, version = 0;
    if (key_run_read(pair->key, &aggregate, &version) < 0 || aggregate != s->aggregate)
        return DB_NOT_FOUND;
    if (run_open(&s->run, pair->value) < 0)
        return family_damaged(pair->key, err);
    s->run.first_version = version;
    return 0;
}

int family_stream_seek(struct family_stream *s, uint64_t version, struct err *err) {
    struct key key = key_run(s->aggregate, version);
    struct db_pair pair;
    int r = db_iter_seek_back(s->it, key_str(&key), &pair, err);
    return r == 0 ? run_take(s, &pair, err) : r;
}

int family_stream_next(struct family_stream *s, struct err *err) {
    struct db_pair pair;
    int r = db_iter_next(s->it, &pair, err);
    return r == 0 ? run_take(s, &pair, err) : r;
}
