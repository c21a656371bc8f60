#include "snapshot.h"

#include "holder.h"
#include "varint.h"

#include <errno.h>

#define LAYOUT 1
#define CHECK_BYTES 8

static const uint8_t check_key[16] = "esfs snapshot 1";

void snapshot_key(const uint8_t fold[DOMAIN_FOLD_HASH], uint64_t aggregate, uint64_t version,
                  char out[SNAPSHOT_KEY_BYTES]) {
    out[0] = HOLDER_CLASS_SNAPSHOT;
    memcpy(out + 1, fold, DOMAIN_FOLD_HASH);
    be64_put(out + 1 + DOMAIN_FOLD_HASH, aggregate);
    be64_put(out + 9 + DOMAIN_FOLD_HASH, version);
}

static void put_varint(struct buf *out, uint64_t v) {
    char *at = buf_reserve(out, VARINT_MAX);
    if (at)
        out->n += varint_put(at, v);
}

void snapshot_put(const struct snapshot *from, struct buf *out) {
    size_t start = out->n;
    char check[CHECK_BYTES] = {0};
    buf_put(out, check, sizeof check);
    buf_put_char(out, LAYOUT);
    put_varint(out, from->position);
    put_varint(out, from->stream_bytes);
    buf_put_str(out, from->frozen);
    if (out->oom)
        return;
    const char *body = out->p + start + CHECK_BYTES;
    le64_put(out->p + start, digest_sip(check_key, body, out->n - start - CHECK_BYTES));
}

static bool snapshot_read(struct str value, uint64_t version, struct snapshot *out) {
    const char *at = value.p + CHECK_BYTES, *end = value.p + value.n;
    if (value.n < CHECK_BYTES + 1 || *at != LAYOUT ||
        le64_get(value.p) != digest_sip(check_key, at, (size_t)(end - at)))
        return false;
    at++;
    out->version = version;
    at = varint_get(at, end, &out->position);
    at = at ? varint_get(at, end, &out->stream_bytes) : NULL;
    if (!at)
        return false;
    out->frozen = (struct str){at, (size_t)(end - at)};
    return true;
}

int snapshot_find(struct db *db, const uint8_t fold[DOMAIN_FOLD_HASH], uint64_t aggregate, uint64_t version,
                  struct snapshot_found *out, struct err *err) {
    return snapshot_find_offset(db, fold, aggregate, version, UINT64_MAX, out, err);
}

int snapshot_find_offset(struct db *db, const uint8_t fold[DOMAIN_FOLD_HASH], uint64_t aggregate, uint64_t version,
                         uint64_t offset, struct snapshot_found *out, struct err *err) {
    char key[SNAPSHOT_KEY_BYTES];
    struct db_pair pair;
    *out = (struct snapshot_found){0};
    snapshot_key(fold, aggregate, version, key);
    struct db_iter *it = db_iter_new(db, DB_FOLDS, &(struct db_iter_options){.fill_cache = true});
    if (!it)
        return -ENOMEM;
    int r = db_iter_seek_back(it, (struct str){key, sizeof key}, &pair, err);
    for (; r == 0; r = db_iter_prev(it, &pair, err)) {
        if (pair.key.n != sizeof key || memcmp(pair.key.p, key, sizeof key - 8) != 0) {
            r = DB_NOT_FOUND;
            break;
        }
        if (!snapshot_read(pair.value, be64_get(pair.key.p + sizeof key - 8), &out->snapshot) ||
            out->snapshot.stream_bytes > offset)
            continue;
        buf_put_str(&out->bytes, out->snapshot.frozen);
        out->snapshot.frozen = buf_str(&out->bytes);
        r = out->bytes.oom ? -ENOMEM : 0;
        break;
    }
    db_iter_free(it);
    if (r != 0)
        snapshot_release(out);
    return r;
}

void snapshot_release(struct snapshot_found *found) {
    buf_free(&found->bytes);
}
