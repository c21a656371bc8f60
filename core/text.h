/* The bytes of what is rendered: events, streams, logs. Every function reads at any offset; n bytes or fewer at
 * the end, 0 past it, or a negative errno (-EIO with words in the store's errors).
 *
 * A cursor (zeroed to begin) remembers where a reader got to, so that reading on costs no search. It may be used
 * by one reader at a time and is never wrong, only unused, when the reader jumps. */
#ifndef ESFS_TEXT_H
#define ESFS_TEXT_H

#include "store.h"

struct text_cursor {
    uint64_t offset;   /* of the text, where the next event begins */
    uint64_t position; /* of that event (logs), or its version (streams); 0: unknown */
};

/* log.ndjson of the store (type_no 0) or of a type. */
ssize_t text_read_log(struct store *s, uint32_t type_no, uint64_t offset, char *out, size_t n,
                      struct text_cursor *cursor);

/* Versions from..to (both included) of an aggregate's stream, one behind the other. */
ssize_t text_read_stream(struct store *s, uint64_t aggregate, uint64_t from, uint64_t to, uint64_t offset, char *out,
                         size_t n, struct text_cursor *cursor);

/* One event, by position. -ENOENT when there is none. */
ssize_t text_read_event(struct store *s, uint64_t position, uint64_t offset, char *out, size_t n);

/* Appends its line without the newline, as a member of what is told about it. 0, -ENOENT, -EIO, -ENOMEM. */
int text_put_event(struct store *s, uint64_t position, struct buf *out);

struct text_event {
    uint64_t aggregate, version, time;
    uint32_t type_no, size;
};
int text_stat_event(struct store *s, uint64_t position, struct text_event *out); /* 0, -ENOENT, -EIO */

/* `<when>` of at/: a version ("3"), a time in UTC ("2026-11-22T23:00:00Z", "2026-11-22", with a fraction) or an
 * age ("90s-ago", "2h-ago"; units s m h d w). Gives the versions that are meant: 1..that for a moment, from..to
 * for "2..3". -ENOENT past the end or when it is none of these. `to` is 0 when nothing had happened yet. */
int text_when(struct store *s, uint64_t aggregate, struct str when, uint64_t *from, uint64_t *to);
/* Such a time or age, in microseconds. False when it is neither. */
bool text_time(struct str when, uint64_t *out);

/* Size and last time of versions from..to. 0 or negative errno. */
int text_stat_range(struct store *s, uint64_t aggregate, uint64_t from, uint64_t to, uint64_t *size, uint64_t *time);

#endif
