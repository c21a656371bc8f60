/* One block, decoded and checked against the blocks before it: what a window takes in. Strings point into the
 * chunks it was decoded from, but for names that were looked up. Not thread safe; reused from block to block. */
#ifndef ESFS_DECODED_H
#define ESFS_DECODED_H

#include "arena.h"
#include "keys.h"
#include "types.h"

struct decoded_event {
    uint64_t time;
    struct str type;
    uint32_t size;   /* of its text */
    uint32_t schema; /* version, 0 for none */
};

struct decoded_record {
    enum record_kind kind;
    uint32_t type_no;
    uint64_t aggregate, time;
    struct str name; /* TYPE, NAME, UNDECLARE */
    uint64_t made;   /* UNDECLARE: time when the aggregate was made */
    /* COMMAND */
    uint64_t version, offset, position;
    uint64_t bytes;                 /* of its events' texts */
    uint32_t first_event, n_events; /* in events */
    uint32_t stream;                /* of the window, once window_check() has looked */
    uint64_t hash;                  /* of its id, likewise */
    struct str id;
    const uint8_t *content;
    union {
        struct index_schema schema; /* SCHEMA */
        struct index_skip skip;     /* SKIP */
    };
};

struct decoded_chunk {
    struct chunk_header header;
    uint32_t first_record, n_records;
};

struct decoded {
    struct decoded_chunk *chunks;
    struct decoded_record *records;
    struct decoded_event *events;
    size_t n_chunks, n_records, n_events;
    size_t chunks_cap, records_cap, events_cap;
    struct arena names;
    size_t weight, bytes; /* as windows count */
    struct meta after;
};

/* What decoding has to know of the store. */
struct decoded_scope {
    struct types *types;
    const uint8_t *store_id;
    /* An aggregate made in an earlier block; its id is copied. 0, INDEX_NONE or a negative errno. */
    int (*find)(void *arg, uint64_t aggregate, struct made *out, struct arena *names, struct err *err);
    void *arg;
};

/* Decodes the block that follows `before`; the names of types made in it are interned at once. 0, -EBADMSG when it
 * does not follow or is wrong, or what find() failed with. */
int decoded_read(struct decoded *d, const struct decoded_scope *scope, const struct index_head *before,
                 const struct str *chunks, size_t n, const uint8_t link[DIGEST_CHAIN], struct err *err);
void decoded_free(struct decoded *d);

#endif
