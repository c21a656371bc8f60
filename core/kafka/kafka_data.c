#include "kafka_data.h"

#include "varint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define LAYOUT 1

struct str kafka_key_parked(uint64_t position, char out[KAFKA_KEY_PARKED_BYTES]) {
    memcpy(out, "kp", 2);
    be64_put(out + 2, position);
    return (struct str){out, KAFKA_KEY_PARKED_BYTES};
}

struct str kafka_key_change(uint64_t position, char out[KAFKA_KEY_CHANGE_BYTES]) {
    memcpy(out, "kr", 2);
    be64_put(out + 2, position);
    return (struct str){out, KAFKA_KEY_CHANGE_BYTES};
}

/* Numbers in a row; NULL when they are cut short. */
static const char *get_numbers(struct str value, uint64_t *out, size_t n) {
    const char *p = value.p;
    for (size_t i = 0; p && i < n; i++)
        p = varint_get(p, value.p + value.n, &out[i]);
    return p;
}

void kafka_meta_put(const struct kafka_meta *m, struct buf *out) {
    buf_put_varint(out, LAYOUT);
    buf_put_varint(out, m->position);
    buf_put_str(out, m->settings);
}

int kafka_meta_get(struct str value, struct kafka_meta *out) {
    uint64_t v[2];
    const char *p = get_numbers(value, v, 2);
    if (!p || v[0] != LAYOUT)
        return -EUCLEAN;
    *out = (struct kafka_meta){v[1], {p, (size_t)(value.p + value.n - p)}};
    return 0;
}

void kafka_parked_put(const struct kafka_parked *p, struct buf *out) {
    buf_put_varint(out, LAYOUT);
    buf_put_varint(out, p->aggregate);
    buf_put_varint(out, p->refused);
    buf_put_varint(out, p->attempts);
    buf_put_varint(out, p->time);
    buf_put_text(out, p->why ? p->why : "");
}

static int parked_get(struct db_pair pair, struct kafka_parked *out) {
    uint64_t v[5];
    const char *p = get_numbers(pair.value, v, 5), *end = pair.value.p + pair.value.n;
    if (pair.key.n != KAFKA_KEY_PARKED_BYTES || !p || v[0] != LAYOUT)
        return -EUCLEAN;
    *out = (struct kafka_parked){
        .position = be64_get(pair.key.p + 2), .aggregate = v[1], .refused = v[2] != 0, .attempts = v[3], .time = v[4]};
    if (p < end && !(out->why = strndup(p, (size_t)(end - p))))
        return -ENOMEM;
    return 0;
}

int kafka_meta_load(struct db *db, struct kafka_meta *out, struct buf *text, struct err *err) {
    struct db_value value;
    int r = db_get(db, DB_CURSORS, KAFKA_KEY_META, &value, err);
    if (r != 0)
        return r;
    buf_put_str(text, value.bytes);
    db_value_release(&value);
    if (text->oom)
        return err_set(err, ENOMEM, "out of memory");
    r = kafka_meta_get(buf_str(text), out);
    return r < 0 ? err_set(err, EUCLEAN, "the record of Kafka's cursor is damaged, or of a later release") : 0;
}

void kafka_change_put(const struct kafka_change *c, struct buf *out) {
    buf_put_varint(out, LAYOUT);
    buf_put_varint(out, c->until);
    buf_put(out, c->hash, sizeof c->hash);
}

static int change_get(struct db_pair pair, struct kafka_change *out) {
    uint64_t v[2];
    const char *p = get_numbers(pair.value, v, 2), *end = pair.value.p + pair.value.n;
    if (pair.key.n != KAFKA_KEY_CHANGE_BYTES || !p || v[0] != LAYOUT || end - p != DOMAIN_FOLD_HASH)
        return -EUCLEAN;
    *out = (struct kafka_change){.position = be64_get(pair.key.p + 2), .until = v[1]};
    memcpy(out->hash, p, DOMAIN_FOLD_HASH);
    return 0;
}

int kafka_changes_load(struct db *db, struct kafka_change *first, struct kafka_change *last, struct err *err) {
    const struct db_iter_options options = {.upper = STR("ks")};
    struct db_iter *it = db_iter_new(db, DB_CURSORS, &options);
    struct db_pair pair;
    bool any = false;
    *first = *last = (struct kafka_change){0};
    if (!it)
        return err_set(err, ENOMEM, "out of memory");
    int r = db_iter_seek(it, STR("kr"), &pair, err);
    while (r == 0) {
        r = change_get(pair, last);
        if (r < 0)
            err_set(err, EUCLEAN, "a record of a change of kafka.lua is damaged");
        if (!any)
            *first = *last;
        any = true;
        if (r == 0)
            r = db_iter_next(it, &pair, err);
    }
    db_iter_free(it);
    return r < 0 ? r : 0;
}

int kafka_parked_last(struct db *db, uint64_t *out, struct err *err) {
    const struct db_iter_options options = {.upper = STR("kq")};
    struct db_iter *it = db_iter_new(db, DB_CURSORS, &options);
    struct db_pair pair;
    char end[KAFKA_KEY_PARKED_BYTES];
    *out = 0;
    if (!it)
        return err_set(err, ENOMEM, "out of memory");
    int r = db_iter_seek_back(it, kafka_key_parked(UINT64_MAX, end), &pair, err);
    if (r == 0 && pair.key.n == KAFKA_KEY_PARKED_BYTES && memcmp(pair.key.p, end, 2) == 0)
        *out = be64_get(pair.key.p + 2);
    db_iter_free(it);
    return r < 0 ? r : 0;
}

int kafka_parked_load(struct db *db, struct kafka_shelf *out, struct err *err) {
    const struct db_iter_options options = {.upper = STR("kq")};
    struct db_iter *it = db_iter_new(db, DB_CURSORS, &options);
    struct db_pair pair;
    if (!it)
        return err_set(err, ENOMEM, "out of memory");
    int r = db_iter_seek(it, STR("kp"), &pair, err);
    while (r == 0) {
        struct kafka_parked p;
        r = parked_get(pair, &p);
        if (r == -EUCLEAN)
            err_set(err, EUCLEAN, "a record of an event parked for Kafka is damaged");
        if (r == 0)
            r = kafka_shelf_add(out, &p, false);
        if (r == -ENOMEM)
            err_set(err, ENOMEM, "out of memory");
        if (r == 0)
            r = db_iter_next(it, &pair, err);
    }
    db_iter_free(it);
    return r < 0 ? r : 0;
}
