/* An event and its text: one line of JSON, a valid CloudEvents 1.0 event, the same bytes for ever.
 *
 * The text is not stored; it is rendered from the record. EVENT_RENDERER names the rules below; each chunk of the
 * log says which it was written under, and a release that renders otherwise must keep the old way beside the new
 * one (tests/data/events/ holds golden lines). Pure functions, safe in any thread. */
#ifndef ESFS_EVENT_H
#define ESFS_EVENT_H

#include "arena.h"
#include "str.h"

#include <stddef.h>
#include <stdint.h>

#define EVENT_RENDERER 1
#define EVENT_ID_CHARS 36   /* a UUID as text */
#define EVENT_TIME_CHARS 27 /* 2026-11-22T23:00:00.123456Z */

struct event {
    uint64_t position;  /* 1, 2, 3 ... over the whole store, without gaps */
    uint64_t version;   /* 1, 2, 3 ... in the aggregate */
    uint64_t time;      /* microseconds since 1970 UTC; strictly greater than that of the position before */
    uint64_t aggregate; /* the aggregate's number */
    uint32_t type_no;   /* the aggregate type's number */
    uint32_t uid;       /* who opened the descriptor */
    uint32_t schema;    /* version of the event's schema, 0 for none */
    struct str aggregate_type, aggregate_id;
    struct str type;                                               /* the event's type */
    struct str data;                                               /* minified JSON */
    struct str commandid, correlationid, causationid, traceparent; /* empty when not given */
    struct str meta;                                               /* `,"tenant":"acme"`, or empty */
    const uint8_t *store_id;                                       /* 16 bytes */
};

/* Bytes of the line, newline included. */
size_t event_size(const struct event *e);
/* Writes exactly event_size(e) bytes. Returns the end. */
char *event_render(const struct event *e, char *out);

/* The event's UUIDv7 (RFC 9562): unix_ts_ms is the time's milliseconds, rand_a its microseconds (0-999), rand_b
 * 62 bits of SipHash-2-4 over the position keyed with the store's id. Times never repeat in a store, so ids do
 * not either. Writes EVENT_ID_CHARS characters. */
void event_id(const uint8_t store_id[16], uint64_t position, uint64_t time, char *out);
/* Writes EVENT_TIME_CHARS characters. */
void event_time(uint64_t time, char *out);
/* `position` as the event shows it. Writes EVENT_POSITION_CHARS characters. */
#define EVENT_POSITION_CHARS 16
void event_position(uint64_t position, char *out);
/* The other way round. False, and nothing written, when the text is not 16 digits 0-9a-f. */
bool event_position_read(struct str text, uint64_t *out);
/* `source` as the event shows it ("/order/1001"); in the arena, p is NULL when out of memory. */
struct str event_source(const struct event *e, struct arena *a);
/* `dataschema` likewise; empty without a schema. */
struct str event_dataschema(const struct event *e, struct arena *a);
/* What `correlationid` and `causationid` show when they were not given; empty: the event's own id, and none. */
struct str event_correlation(const struct event *e);
struct str event_causation(const struct event *e);
/* The event's file name in events/: "0000000001-OrderPlaced.json". Writes at most EVENT_FILE_MAX, returns bytes. */
#define EVENT_FILE_MAX (20 + 1 + 128 + 5)
size_t event_file_name(uint64_t version, struct str type, char *out);

#endif
