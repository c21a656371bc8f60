/* The codec of commit blocks (FORMAT.md sections "Blocks", "Chunks" and "Records").
 *
 * A block is what one group commit wrote: one or more chunks, each a key and a value of the log family. A chunk
 * is closed once it holds BLOCK_CHUNK_BYTES, so it is that long plus at most one record. Builders and readers are
 * not thread safe; decoding shares nothing. */
#ifndef ESFS_BLOCK_H
#define ESFS_BLOCK_H

#include "buf.h"
#include "digest.h"
#include "err.h"
#include "event.h"
#include "str.h"

#include <stdbool.h>
#include <stdint.h>

#define BLOCK_CHUNK_BYTES (16 << 10)
#define BLOCK_KEY_BYTES 18 /* first position be64, block be64, chunk be16: ascending in the order of the log */

enum record_kind {
    RECORD_COMMAND = 1, /* a command that was accepted, with its 0..n events */
    RECORD_TYPE,        /* an aggregate type got its number */
    RECORD_NAME,        /* an aggregate got its number */
    RECORD_DECLARE,     /* mkdir of an aggregate: it stays although it has no events */
    RECORD_UNDECLARE,   /* rmdir of an aggregate: its name may get a new number */
    RECORD_UNTYPE,      /* rmdir of an aggregate type */
    RECORD_SCHEMA,      /* a version of the schema of an event or a command was registered */
    RECORD_SKIP,        /* an operator passed over an event for a follower of the log */
};

#define BLOCK_SCHEMA_BYTES (1 << 20) /* of the longest text of a schema */
#define BLOCK_FOLLOWER_BYTES 256     /* of the longest name of a follower */

/* One record, decoded; strings point into the chunk. */
struct record {
    enum record_kind kind;
    uint64_t time; /* of its first event, or when it was decided */
    uint32_t uid;
    uint32_t type_no;   /* all kinds */
    uint64_t aggregate; /* all but TYPE, UNTYPE, SCHEMA and SKIP */
    struct str name;    /* TYPE: the type's name; NAME, COMMAND: the aggregate's id */
    /* COMMAND only */
    uint64_t version;       /* of its first event; of the aggregate when it has none */
    uint64_t stream_offset; /* bytes of the aggregate's events.ndjson before its first event */
    uint32_t n_events;
    bool joined; /* in one transaction with the command record before it */
    struct str id, correlationid, causationid, traceparent, meta;
    const uint8_t *content;          /* DIGEST_CONTENT bytes when id is set */
    const char *events, *events_end; /* encoded events, for record_event() */
    /* SCHEMA only */
    bool of_command;                     /* of a command's data; otherwise of an event's */
    uint32_t schema_version;             /* from 1 */
    struct str schema_name, schema_text; /* of the event or command type; a JSON document, minified */
    /* SKIP only; type_no is that of the event */
    struct str follower; /* "views/by_customer" */
    uint64_t position;   /* of the event */
};

/* One event of a command record; `at` starts as record.events and moves on. aggregate_type is left empty (the
 * caller knows the names of types) as is store_id. Returns 0, or -EBADMSG when the bytes are wrong. */
int record_event(const struct record *r, const char **at, uint64_t position, uint64_t version, uint64_t previous_time,
                 struct event *out);

struct chunk_header {
    uint8_t renderer;
    bool first, last;        /* of its block */
    uint16_t index;          /* in its block */
    uint64_t block;          /* 1, 2, 3 ... */
    uint64_t first_position; /* of its first event; without events, of the next */
    uint64_t log_offset;     /* bytes of log.ndjson before its first event */
    uint64_t base_time;      /* times of its records count from here */
    uint32_t n_records, n_events;
};

/* A chunk, checked and open for reading. Borrows the value's bytes. */
struct chunk {
    struct chunk_header header;
    struct str value;
    const uint8_t *previous; /* first chunk of a block: the chain link of the block before, else NULL */
    const char *records, *records_end;
    const char *table; /* n_events x le32: offset of each event's record in the value */
};

/* 0, or -EBADMSG with the reason. */
int chunk_open(struct chunk *out, struct str value, struct err *err);
/* Records in order: `at` starts as NULL. Returns 0, 1 past the last, -EBADMSG. */
int chunk_record(const struct chunk *c, const char **at, struct record *out);

/* Walks over the events of a chunk, in the order of their positions. */
struct chunk_walk {
    const struct chunk *chunk;
    const char *at, *event_at; /* the record after this one; the event within it that comes next */
    struct record record;      /* of the event that was given last */
    uint32_t left;             /* events of the record still to be given */
    uint64_t position, version, time;
};
/* Begins with the event at first_position + i (i == n_events: at the end). 0 or -EBADMSG. */
int chunk_walk_begin(struct chunk_walk *w, const struct chunk *c, uint32_t i);
/* 0, 1 past the last, -EBADMSG. The event's aggregate_type and store_id are left empty. */
int chunk_walk_next(struct chunk_walk *w, struct event *out);

void block_key(const struct chunk_header *h, char out[BLOCK_KEY_BYTES]);
int block_key_read(struct str key, uint64_t *first_position, uint64_t *block, uint16_t *chunk); /* 0 or -EBADMSG */

/* --- building */

struct block_builder; /* one block under construction */

/* An event to be written; times are absolute. */
struct block_event {
    uint64_t time;
    uint32_t schema;
    struct str type, data;
};

struct block_builder *block_builder_new(void); /* NULL when out of memory */
void block_builder_free(struct block_builder *b);
/* Empties it and starts block number `block` after the link `previous`; NULL: block_relink() gives it later. */
void block_begin(struct block_builder *b, uint64_t block, const uint8_t previous[DIGEST_CHAIN], uint64_t next_position,
                 uint64_t log_offset);
/* Adds a record that is not a command (its kind, time, uid, type_no, and what else its kind has). */
void block_put_record(struct block_builder *b, const struct record *r);
/* Adds a command with its events; n_events of r is set from n. log_bytes: size of their texts together. */
void block_put_command(struct block_builder *b, const struct record *r, const struct block_event *events, size_t n,
                       uint64_t log_bytes);
size_t block_bytes(const struct block_builder *b);
bool block_empty(const struct block_builder *b);
/* Closes the last chunk. 0 or -ENOMEM. After it the chunks can be read and the link taken. */
int block_finish(struct block_builder *b);
/* Sets the link of the block before in a finished block that is not empty. */
void block_relink(struct block_builder *b, const uint8_t previous[DIGEST_CHAIN]);
size_t block_chunks(const struct block_builder *b);
void block_chunk(const struct block_builder *b, size_t i, struct str *key, struct str *value);
/* The link of this block: BLAKE2b over the values of its chunks. */
void block_link(const struct block_builder *b, uint8_t out[DIGEST_CHAIN]);

#endif
