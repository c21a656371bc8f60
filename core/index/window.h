/* The newest part of the log, indexed in memory until it is full and becomes a sorted table of the derived family.
 *
 * A window takes whole blocks. What it emits is a function of those blocks and of the counts of the types before
 * them. Not thread safe: the index guards it; once full it is only read. */
#ifndef ESFS_WINDOW_H
#define ESFS_WINDOW_H

#include "decoded.h"
#include "run.h"
#include "schemas.h"
#include "skips.h"

struct window_entry { /* an event in a stream */
    uint64_t time;
    uint64_t end;      /* of the stream, behind it */
    uint32_t position; /* less first_position of the window */
    uint32_t type;     /* in event_types */
};

/* The type of an event, and the kind that the last event of it was of. */
struct window_event_type {
    struct str name;
    uint32_t type_no, schema; /* type_no 0: none yet */
};

struct window_kind {                      /* a kind of event */
    uint32_t type_no, schema, event_type; /* event_type: in event_types */
    uint32_t position;                    /* of its first event, less first_position of the window */
};

struct window_stream {
    uint64_t aggregate, first_version;
    uint64_t offset; /* of the stream, before the first entry */
    struct window_entry *entries;
    uint32_t n;
    uint32_t checked; /* of the thread that applies: which record was its last one, see window_check.c */
    uint8_t class;    /* room for 1 << class entries */
};

struct window_command {
    uint64_t aggregate;
    struct str id;
    struct index_command is;
};

struct window_chunk {
    uint64_t first_position, block, base_time;
    uint16_t chunk;
};

struct window_offset {
    uint64_t offset;
    uint32_t chunk; /* in chunks */
};

/* A type that this window touched; no 0 stands for the whole log. */
struct window_type {
    uint32_t no;
    struct window_offset *offsets;
    size_t n, cap;
    struct index_type after; /* counts when the window was sealed */
    bool exists;
};

/* What a block that is being checked has said of streams that the window lacks, ids, names, schemas and
 * skips. */
struct window_seen_item {
    uint32_t record; /* of the block: the last one that says it */
    uint32_t what;
};

struct window_seen {
    struct table table;
    struct window_seen_item *items;
    size_t n, cap;
    uint32_t n_fresh; /* streams that the block makes */
};

#define WINDOW_CLASSES 32

struct window {
    uint64_t first_position, first_aggregate; /* that this window can hold */
    uint64_t weight, bytes;
    struct meta after; /* where the log stood behind its last block */

    struct window_stream *streams;
    struct window_command *commands;
    struct made *made;   /* aggregates from first_aggregate on, in order */
    struct made *unmade; /* older ones that were undeclared */
    struct window_chunk *chunks;
    struct window_type *types;
    struct window_event_type *event_types;
    struct window_kind *kinds;
    const struct index_schema **schemas; /* registered here; schemas.h has them */
    const struct index_skip **skips;     /* decided here; skips.h has them */
    size_t n_streams, n_commands, n_made, n_unmade, n_chunks, n_types, n_event_types, n_kinds, n_schemas, n_skips;
    size_t streams_cap, commands_cap, made_cap, unmade_cap, chunks_cap, types_cap, event_types_cap, kinds_cap,
        schemas_cap, skips_cap;

    struct table stream_table, command_table, name_table, unmade_table, type_table, event_type_table, kind_table;
    struct arena arena;
    struct window_spare *spare[WINDOW_CLASSES]; /* pieces of entries that streams have outgrown */

    struct window_seen seen;
    uint32_t n_checked; /* records of the blocks before that were checked */
};

struct window *window_new(const struct index_head *after); /* NULL when out of memory */
void window_free(struct window *w);                        /* NULL is fine */
size_t window_memory(const struct window *w);              /* roughly */

/* Whether the block can be taken in, and where its records will find their streams. Changes nothing that others read.
 * 0, -ENOMEM, or -EBADMSG when it contradicts what the window, the schemas or the skips hold, or itself. */
int window_check(struct window *w, const struct schemas *schemas, const struct skips *skips, struct decoded *d,
                 struct err *err);
/* Takes in the block that window_check() has just passed and brings the counts of types, the schemas and the skips up
 * to date. 0 or -ENOMEM; the window is of no use then. */
int window_apply(struct window *w, struct types *types, struct schemas *schemas, struct skips *skips,
                 const struct decoded *d);

/* --- looking up; what is given stays where it is until the next window_apply() */
const struct window_stream *window_stream(const struct window *w, uint64_t aggregate);
void window_entry(const struct window *w, const struct window_stream *s, uint32_t i, struct run_entry *out);
const struct window_command *window_command(const struct window *w, uint64_t aggregate, struct str id);
uint64_t window_command_hash(uint64_t aggregate, struct str id);
const struct window_command *window_command_hashed(const struct window *w, uint64_t hash, uint64_t aggregate,
                                                   struct str id);
uint64_t window_name_hash(uint32_t type_no, struct str id);
/* An aggregate that was made or undeclared in this window. */
const struct made *window_made(const struct window *w, uint64_t aggregate);
/* The one that a name means, or, when that was undeclared here, one with undeclared set. */
const struct made *window_name(const struct window *w, uint32_t type_no, struct str id);
const struct window_type *window_type(const struct window *w, uint32_t type_no);
void window_chunk(const struct window *w, const struct window_type *t, size_t i, struct index_chunk *out);

/* --- turning into a table */

/* Keeps the counts of the types as they are now. */
void window_seal(struct window *w, const struct types *types);
/* Gives every key of the sealed window, ascending; value is NULL when the key is to be deleted. Stops with the
 * first return that is not 0 and returns that, or -ENOMEM. */
typedef int window_put(void *arg, struct str key, const struct str *value, struct err *err);
int window_emit(const struct window *w, window_put *put, void *arg, struct err *err);

#endif
