/* Derived data: everything that is found by something else than its position. Made from the log alone.
 *
 * Names, streams, command ids and sizes live in two places: windows in memory for the newest part of the log (the
 * tail) and the derived family for the rest. A window takes whole blocks until it is full (INDEX_WINDOW_WEIGHT or
 * INDEX_WINDOW_BYTES), which depends on the log only; then it is sorted into one table and ingested by the index's
 * own thread. So what the family holds is a function of the log, to the byte, whatever stops and crashes came
 * between. Look-ups ask the windows, newest first, and then the family, bounded by where the windows begin.
 *
 * Threads: index_check() and index_apply() from one thread at a time; everything else from any. */
#ifndef ESFS_INDEX_H
#define ESFS_INDEX_H

#include "block.h"
#include "db.h"
#include "digest.h"
#include "err.h"
#include "name.h"
#include "str.h"

#include <stdbool.h>
#include <stdint.h>

#define INDEX_WINDOW_WEIGHT (256 << 10) /* an event weighs 1, a command id 1, a new name 2 */
#define INDEX_WINDOW_BYTES (64 << 20)   /* of encoded blocks */
#define INDEX_TYPES_MAX 65535
#define INDEX_AGGREGATES_MAX ((1ULL << 40) - 1)

enum { INDEX_NONE = 1 };

struct index;

/* Where the log ends, as far as it has been applied. */
struct index_head {
    uint64_t block;             /* number of the last block, 0 when there is none */
    uint64_t position;          /* of the last event, 0 when there is none */
    uint64_t log_bytes;         /* size of log.ndjson */
    uint64_t time;              /* of the last record, microseconds */
    uint64_t next_aggregate;    /* number that the next name gets, from 1 */
    uint32_t next_type;         /* likewise for types */
    uint8_t link[DIGEST_CHAIN]; /* of the last block; of zeros before the first */
};

/* Opens over db. Reads the log from the family's position on, checks the chain and every chunk, and applies it;
 * on return everything in the log is indexed. -EUCLEAN with the position when the log is damaged, when it ends
 * before what the family knows, or when links do not hold. read_only: nothing is ingested, windows stay in memory.
 * store_id (16 bytes) is borrowed. */
int index_open(struct index **out, struct db *db, const uint8_t *store_id, bool read_only, struct err *err);
/* Stops the thread (a window being ingested is finished) and frees. NULL is fine. */
void index_close(struct index *ix);

void index_head(struct index *ix, struct index_head *out);
/* Blocks whose events the derived family has, for status and tests. */
uint64_t index_family_position(struct index *ix);

/* Whether a block follows the last one and contradicts nothing: to be asked before it is written, for one that does
 * not makes a log that cannot be opened. The chunks must stay where they are until index_apply(). 0, -EBADMSG with what
 * is wrong, -ENOMEM, or what a look-up failed with; nothing has changed then. */
int index_check(struct index *ix, const struct str *chunks, size_t n, const uint8_t link[DIGEST_CHAIN],
                struct err *err);
/* Makes the block that was just checked, now written and durable, visible to every look-up. Blocks while two full
 * windows wait for the disk. 0 or -ENOMEM; the store must then stop. */
int index_apply(struct index *ix, struct err *err);

/* Once the family's thread has failed (its disk): the reason; look-ups go on from memory. 0 or -EIO. */
int index_fault(struct index *ix, struct err *err);

/* --- types. Names of types are interned for the life of the index. */
struct index_type {
    uint32_t no;
    struct str name;        /* valid until index_close() */
    uint64_t aggregates;    /* that exist */
    uint64_t events, bytes; /* of the type's log.ndjson */
    uint64_t time;          /* of its last event, or of its making */
};
int index_type_by_name(struct index *ix, struct str name, struct index_type *out);
int index_type_by_no(struct index *ix, uint32_t no, struct index_type *out);
int index_type_after(struct index *ix, uint32_t no, struct index_type *out); /* the next one that exists */
struct str index_type_name(struct index *ix, uint32_t no); /* also of a removed type; empty when there never was */

/* --- aggregates */
struct index_aggregate {
    uint64_t no;
    uint32_t type_no;
    uint8_t id_bytes;
    char id[NAME_MAX_BYTES];
    uint64_t version, bytes; /* of its stream: events and size of events.ndjson */
    uint64_t time;           /* of its last event, or of its making */
};
int index_aggregate_by_name(struct index *ix, uint32_t type_no, struct str id, struct index_aggregate *out,
                            struct err *err);
int index_aggregate_by_no(struct index *ix, uint64_t no, struct index_aggregate *out, struct err *err);
/* Up to n aggregates of a type with numbers above `after`, ascending, with no, type_no, id and time of making
 * only. Returns how many, 0 at the end, or a negative errno. */
int index_aggregates_after(struct index *ix, uint32_t type_no, uint64_t after, struct index_aggregate *out, size_t n,
                           struct err *err);

/* --- streams */
struct index_entry {
    uint64_t version, position, time;
    uint64_t offset;    /* bytes of events.ndjson before it */
    uint32_t size;      /* of its text */
    uint8_t type_bytes; /* the event's type */
    char type[NAME_MAX_BYTES];
};
/* Up to n entries of a stream from a version (1 is the first) on. Returns how many, 0 past the end, or a negative
 * errno. */
int index_entries(struct index *ix, uint64_t aggregate, uint64_t version, struct index_entry *out, size_t n,
                  struct err *err);
/* The entry that holds a byte of events.ndjson; INDEX_NONE past the end. */
int index_entry_at_offset(struct index *ix, uint64_t aggregate, uint64_t offset, struct index_entry *out,
                          struct err *err);
/* The last entry with a time <= `time`; INDEX_NONE when there is none. */
int index_entry_at_time(struct index *ix, uint64_t aggregate, uint64_t time, struct index_entry *out, struct err *err);

/* --- command ids */
struct index_command {
    uint8_t content[DIGEST_CONTENT];
    uint64_t version;  /* of its first event */
    uint64_t position; /* of its first event */
    uint32_t n_events;
};
int index_command_by_id(struct index *ix, uint64_t aggregate, struct str id, struct index_command *out,
                        struct err *err);

/* --- sizes: which chunk holds a byte of log.ndjson (type_no 0) or of a type's */
struct index_chunk {
    uint64_t first_position, block;
    uint16_t chunk;
    uint64_t offset; /* bytes of that file before this chunk */
};
int index_chunk_at(struct index *ix, uint32_t type_no, uint64_t offset, struct index_chunk *out, struct err *err);
/* The next chunk that adds to that file, after one that index_chunk_at or this gave. */
int index_chunk_next(struct index *ix, uint32_t type_no, const struct index_chunk *after, struct index_chunk *out,
                     struct err *err);

/* The chunk that holds the event at a position; its offset means nothing. INDEX_NONE when there is no such event. */
int index_chunk_of(struct index *ix, uint64_t position, struct index_chunk *out, struct err *err);

/* --- schemas. Those of one type, kind and name with their versions ascending; registered once, never changed. */
struct index_schema {
    uint32_t type_no;
    bool of_command;  /* of a command's data; otherwise of an event's */
    struct str name;  /* of the event or command type */
    uint32_t version; /* from 1 */
    struct str text;  /* as it was registered; like name valid until index_close() */
    uint64_t time;    /* when it was registered */
};
/* 0 or INDEX_NONE. */
int index_schema_find(struct index *ix, uint32_t type_no, bool of_command, struct str name, uint32_t version,
                      struct index_schema *out);
/* The next one in the order of type_no, kind (events first), name, version; after NULL: the first. Of `after`, which
 * need not be there and may be out, the text is not looked at. 0, or INDEX_NONE past the last. */
int index_schema_after(struct index *ix, const struct index_schema *after, struct index_schema *out);

/* --- skips: events that an operator had a follower of the log (a view) pass over, for good */
struct index_skip {
    struct str follower; /* "views/by_customer"; valid until index_close() */
    uint64_t position;   /* of the event */
    uint64_t time;       /* when it was decided */
    uint32_t type_no;    /* of the event */
    uint32_t uid;        /* of whoever decided it */
};
/* Whether the follower passes over the event: 0 or INDEX_NONE. */
int index_skip_find(struct index *ix, struct str follower, uint64_t position);
/* The follower's next one behind a position (0: its first). 0, or INDEX_NONE past its last. */
int index_skip_after(struct index *ix, struct str follower, uint64_t position, struct index_skip *out);
/* How many of the follower's lie behind `after` and not behind `to`. */
uint64_t index_skip_count(struct index *ix, struct str follower, uint64_t after, uint64_t to);

/* --- kinds of events: what is stored, whatever schemas there are */
struct index_event_kind {
    uint32_t type_no;
    uint32_t schema;    /* version, 0 for none */
    uint8_t name_bytes; /* the event's type */
    char name[NAME_MAX_BYTES];
};
/* Up to n of a type's kinds, each once, in the order of schema and name, that come after one (NULL: from the first on).
 * Looks through all kinds of the windows at each call, so that n had better be in the hundreds. Returns how many, 0 at
 * the end, or a negative errno. */
int index_event_kinds_after(struct index *ix, uint32_t type_no, const struct index_event_kind *after,
                            struct index_event_kind *out, size_t n, struct err *err);

/* --- offline, for tools: the store must not be mounted */
/* Empties the family and makes it again from the log; empties the folds, which are made again with the domain. */
int index_rebuild(struct db *db, const uint8_t *store_id, struct err *err);
/* What is wrong first, in the order of the log. */
struct index_damage {
    uint64_t position; /* of the first event concerned */
    uint64_t block;
    char aggregate[2 * NAME_MAX_BYTES + 2]; /* "order/1001" or empty when it cannot be known */
};
/* Reads everything: every chunk, the chain, and each window's table compared with the family key by key. 0; or
 * INDEX_DAMAGED with *damage and the words in err; or a negative errno. */
enum { INDEX_DAMAGED = 2 };
int index_verify(struct db *db, const uint8_t *store_id, struct index_damage *damage, struct err *err);

#endif
