#include "replay.h"

#include <errno.h>
#include <stdlib.h>

#define READAHEAD (2 << 20)

struct replay {
    struct db_iter *it;
    struct db_pair pair; /* the next chunk */
    int state;           /* of pair: 0, DB_NOT_FOUND or a negative errno; `why` has the words */
    struct err why;
    uint64_t block, position; /* of what was read last */
    uint8_t link[DIGEST_CHAIN];
    struct buf bytes;  /* values of the chunks of a block of more than one */
    struct buf sizes;  /* size_t each */
    struct buf chunks; /* struct str each */
};

static int replay_failed(const struct replay *r, const char *why, struct err *err) {
    return err_set(err, EUCLEAN, "the log is damaged after position %016llx (block %llu): %s",
                   (unsigned long long)r->position, (unsigned long long)r->block, why);
}

/* A chunk in its place: what its key says, and what comes before it. */
static int chunk_check(const struct replay *r, const struct chunk *c, size_t index, uint64_t position,
                       struct err *err) {
    const struct chunk_header *h = &c->header;
    uint64_t key_position, key_block;
    uint16_t key_chunk;
    if (block_key_read(r->pair.key, &key_position, &key_block, &key_chunk) < 0)
        return replay_failed(r, "a key that is none of a chunk", err);
    if (key_position != h->first_position || key_block != h->block || key_chunk != h->index)
        return replay_failed(r, "a chunk under another one's key", err);
    if (h->block != r->block + 1 || h->index != index || h->first != (index == 0))
        return replay_failed(r, "chunks are missing", err);
    if (h->first_position != position + 1)
        return replay_failed(r, "positions are missing", err);
    if (h->first && memcmp(c->previous, r->link, DIGEST_CHAIN) != 0)
        return replay_failed(r, "the hash chain does not hold: this block was not written after the one before", err);
    return 0;
}

/* Opens the chunk in r->pair. */
static int chunk_take(const struct replay *r, struct chunk *c, size_t index, uint64_t position, struct err *err) {
    struct err why;
    if (r->state < 0)
        return replay_failed(r, r->why.text, err);
    if (r->state == DB_NOT_FOUND)
        return replay_failed(r, "its last block was cut short", err);
    int e = chunk_open(c, r->pair.value, &why);
    return e < 0 ? replay_failed(r, why.text, err) : chunk_check(r, c, index, position, err);
}

static void replay_advance(struct replay *r) {
    r->state = db_iter_next(r->it, &r->pair, &r->why);
}

static int chunks_list(struct replay *r, struct replay_block *out) {
    size_t n = r->sizes.n / sizeof(size_t), size, at = 0;
    buf_clear(&r->chunks);
    for (size_t i = 0; i < n; i++) {
        memcpy(&size, r->sizes.p + i * sizeof size, sizeof size);
        buf_put(&r->chunks, &(struct str){r->bytes.p + at, size}, sizeof(struct str));
        at += size;
    }
    out->chunks = (const struct str *)r->chunks.p;
    out->n = n;
    return r->chunks.oom || r->bytes.oom || r->sizes.oom ? -ENOMEM : 0;
}

/* Reads the block whose first chunk is in r->pair. Values are copied, as the iterator holds one at a time. */
static int block_collect(struct replay *r, struct replay_block *out, uint64_t *position, struct err *err) {
    buf_clear(&r->bytes);
    buf_clear(&r->sizes);
    for (size_t index = 0;; index++) {
        struct chunk c;
        int e = chunk_take(r, &c, index, *position, err);
        if (e < 0)
            return e;
        *position += c.header.n_events;
        r->position = *position; /* so that damage further on is said to be there */
        buf_put_str(&r->bytes, c.value);
        buf_put(&r->sizes, &c.value.n, sizeof c.value.n);
        bool last = c.header.last;
        replay_advance(r);
        if (last)
            return chunks_list(r, out);
    }
}

int replay_next(struct replay *r, struct replay_block *out, struct err *err) {
    if (r->state == DB_NOT_FOUND)
        return REPLAY_END;
    uint64_t position = r->position;
    int e = block_collect(r, out, &position, err);
    if (e < 0)
        return e;
    digest_chain(out->chunks, out->n, r->link);
    memcpy(out->link, r->link, DIGEST_CHAIN);
    r->position = position;
    r->block++;
    return 0;
}

/* Reads the block again with which the family ends. Only its last link is known, so the chain begins with what
 * the block itself says of the one before. */
static int replay_resume(struct replay *r, const struct meta *from, struct err *err) {
    unsigned long long position = from->head.position, block = from->head.block;
    r->state = db_iter_seek(r->it, (struct str){from->block_key, BLOCK_KEY_BYTES}, &r->pair, &r->why);
    if (r->state < 0)
        return replay_failed(r, r->why.text, err);
    struct chunk c;
    if (r->state == DB_NOT_FOUND || chunk_open(&c, r->pair.value, NULL) < 0 || !c.header.first ||
        c.header.block != from->head.block)
        return err_set(err, EUCLEAN, "the log lacks block %llu (position %016llx), which was indexed: it was cut short",
                       block, position);
    memcpy(r->link, c.previous, DIGEST_CHAIN);
    r->block = from->head.block - 1;
    r->position = c.header.first_position - 1;
    struct replay_block again;
    int e = replay_next(r, &again, err);
    if (e < 0)
        return e;
    if (r->position != from->head.position || memcmp(again.link, from->head.link, DIGEST_CHAIN) != 0)
        return err_set(err, EUCLEAN, "block %llu (position %016llx) is not the one that was indexed", block, position);
    return 0;
}

int replay_open(struct replay **out, struct db *db, const struct meta *from, struct err *err) {
    struct replay *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->it = db_iter_new(db, DB_LOG, &(struct db_iter_options){.readahead = READAHEAD});
    if (!r->it) {
        free(r);
        return -ENOMEM;
    }
    int e = 0;
    if (from->head.block)
        e = replay_resume(r, from, err);
    else
        r->state = db_iter_seek(r->it, STR(""), &r->pair, &r->why);
    if (e < 0) {
        replay_close(r);
        return e;
    }
    *out = r;
    return 0;
}

void replay_close(struct replay *r) {
    if (!r)
        return;
    db_iter_free(r->it);
    buf_free(&r->bytes);
    buf_free(&r->sizes);
    buf_free(&r->chunks);
    free(r);
}

uint64_t replay_block_no(const struct replay *r) {
    return r->block;
}

uint64_t replay_position(const struct replay *r) {
    return r->position;
}
