/* Verification, the other direction: that the family holds nothing that the log does not explain. */
#include "verify.h"

#include "varint.h"

#include <errno.h>

struct family_walk {
    struct verification *v;
    uint64_t counts[256], sums[256];
    uint64_t existing;
    uint64_t aggregate, next_version, offset; /* of the stream walked through */
};

static uint64_t first_position_of(struct verification *v, uint64_t aggregate) {
    struct family_stream s;
    uint64_t position = 0;
    if (family_stream_open(&s, v->db, aggregate) < 0)
        return 0;
    if (family_stream_seek(&s, 1, NULL) == 0)
        position = s.run.first_position;
    family_stream_close(&s);
    return position;
}

/* An aggregate that exists must be found by its name and be listed, and one that does not must not. */
static int walk_aggregate(struct family_walk *k, const struct db_pair *pair) {
    struct verification *v = k->v;
    struct made m = {.no = be64_get(pair->key.p + 1)};
    uint64_t no = ++k->counts[KEY_AGGREGATE];
    if (pair->key.n != 9 || m.no != no || value_read_made(pair->value, &m) < 0)
        return verify_fault(v, first_position_of(v, no), no, "aggregates are not numbered without gaps");
    uint64_t named = 0;
    int r = family_name(v->db, m.type_no, m.id, &named, v->err);
    if (r < 0)
        return r;
    bool is_named = r == 0 && named == m.no;
    struct index_aggregate listed;
    r = family_listing(v->db, m.type_no, m.no, m.no + 1, &listed, 1, v->err);
    if (r < 0)
        return r;
    bool is_listed = r == 1 && listed.time == m.time && str_eq((struct str){listed.id, listed.id_bytes}, m.id);
    if (is_named == m.undeclared || is_listed == m.undeclared)
        return verify_fault(v, first_position_of(v, m.no), m.no, "a name does not lead to its aggregate");
    k->existing += !m.undeclared;
    return 0;
}

/* A key that is written once. */
static int walk_once(struct family_walk *k, const struct db_pair *pair) {
    uint8_t class = (uint8_t)pair->key.p[0];
    k->counts[class]++;
    if (!k->v->exact)
        k->sums[class] += verify_hash(pair->key, pair->value);
    return 0;
}

static int walk_run(struct family_walk *k, const struct db_pair *pair) {
    uint64_t aggregate, version;
    struct run run;
    if (key_run_read(pair->key, &aggregate, &version) < 0 || run_open(&run, pair->value) < 0)
        return family_damaged(pair->key, k->v->err);
    if (aggregate != k->aggregate) {
        k->aggregate = aggregate;
        k->next_version = 1;
        k->offset = 0;
    }
    if (version != k->next_version || run.offset != k->offset)
        return verify_fault(k->v, run.first_position, aggregate, "versions or bytes are missing in a stream");
    k->next_version += run.n;
    k->offset += run.bytes;
    return walk_once(k, pair);
}

static int walk_type(struct family_walk *k, const struct db_pair *pair) {
    uint32_t no;
    if (key_type_read(pair->key, &no) < 0)
        return family_damaged(pair->key, k->v->err);
    const struct type *t = types_get(&k->v->types, no);
    struct buf value = {0};
    if (t)
        value_put_type(&value, &t->is, t->exists);
    bool same = str_eq(buf_str(&value), pair->value);
    buf_free(&value);
    k->counts[KEY_TYPE]++;
    return same ? 0 : verify_fault(k->v, 0, 0, "the counts of a type are not those of the log");
}

static int walk_key(struct family_walk *k, const struct db_pair *pair) {
    switch (pair->key.n ? pair->key.p[0] : 0) {
    case KEY_AGGREGATE:
        return walk_aggregate(k, pair);
    case KEY_RUN:
        return walk_run(k, pair);
    case KEY_TYPE:
        return walk_type(k, pair);
    case KEY_COMMAND:
    case KEY_CHUNK:
    case KEY_SCHEMA:
    case KEY_SKIP:
        return walk_once(k, pair);
    case KEY_EVENT_KIND:
    case KEY_LISTING:
    case KEY_META:
    case KEY_NAME:
        k->counts[(uint8_t)pair->key.p[0]]++;
        return 0;
    }
    return family_damaged(pair->key, k->v->err);
}

static int family_walk(struct family_walk *k) {
    struct verification *v = k->v;
    struct db_iter *it = db_iter_new(v->db, DB_DERIVED, &(struct db_iter_options){.readahead = 1 << 20});
    if (!it)
        return -ENOMEM;
    struct db_pair pair;
    int r = db_iter_seek(it, STR(""), &pair, v->err);
    while (r == 0) {
        r = walk_key(k, &pair);
        if (r == 0)
            r = db_iter_next(it, &pair, v->err);
        else if (r == DB_NOT_FOUND)
            break;
    }
    db_iter_free(it);
    if (r == -EUCLEAN && verify_note(v, 0, v->head.block, 0))
        r = INDEX_DAMAGED;
    return r == DB_NOT_FOUND ? 0 : r;
}

int verify_family(struct verification *v) {
    struct family_walk k = {.v = v};
    int r = family_walk(&k);
    if (r != 0)
        return r;
    for (size_t i = 0; i < v->n_owed; i++)
        if (v->owed[i])
            return verify_fault(v, first_position_of(v, v->owed[i]), v->owed[i],
                                "it is undeclared, which the log does not say");
    v->expected[KEY_AGGREGATE] = v->head.next_aggregate - 1;
    v->expected[KEY_TYPE] = v->head.next_type - 1;
    v->expected[KEY_LISTING] = v->expected[KEY_NAME] = k.existing;
    for (int class = 0; class < 256; class ++)
        if (k.counts[class] != v->expected[class] || k.sums[class] != v->sums[class])
            return verify_fault(v, 0, 0, "it has keys that the log does not explain, or lacks some");
    return 0;
}
