/* Reading the log by position: chunks, held in a bounded cache and shared by reference.
 *
 * A chunk never changes, so what the cache gives is right for ever; whether a position may be seen yet is the
 * caller's to know (index_head). Thread safe. */
#ifndef ESFS_LOG_H
#define ESFS_LOG_H

#include "block.h"
#include "db.h"
#include "err.h"
#include "index.h"

#define LOG_CACHE_BYTES (64 << 20)

struct log;

struct log *log_new(struct db *db, struct index *ix); /* NULL when out of memory */
void log_free(struct log *l);                         /* every chunk must have been released. NULL is fine */

/* The chunk that holds the event at a position; release it with log_chunk_release(). 0; INDEX_NONE when no event
 * has that position; -EUCLEAN when the bytes there are damaged; -EIO. */
struct log_chunk;
int log_chunk_at(struct log *l, uint64_t position, struct log_chunk **out, struct err *err);
const struct chunk *log_chunk_view(const struct log_chunk *c); /* valid until the release */
void log_chunk_release(struct log_chunk *c);

/* Chunks one after the other from the one that holds a position on, past the cache: for long reads. Each view is
 * valid until the next call. log_scan_next gives 0, DB_NOT_FOUND at the end, or a negative errno. */
struct log_scan;
int log_scan_open(struct log *l, uint64_t position, struct log_scan **out, struct err *err);
int log_scan_next(struct log_scan *s, struct chunk *out, struct err *err);
void log_scan_close(struct log_scan *s);

#endif
