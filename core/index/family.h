/* Reading the derived family: what index.c asks once its windows know no answer, and what verification compares.
 * Functions give 0, DB_NOT_FOUND or a negative errno: -EUCLEAN when a value is none. */
#ifndef ESFS_FAMILY_H
#define ESFS_FAMILY_H

#include "arena.h"
#include "db.h"
#include "keys.h"
#include "run.h"

int family_meta(struct db *db, struct meta *out, struct err *err);
int family_name(struct db *db, uint32_t type_no, struct str id, uint64_t *out, struct err *err);
int family_command(struct db *db, uint64_t aggregate, struct str id, struct index_command *out, struct err *err);
/* out->id is copied to id. */
int family_made(struct db *db, uint64_t aggregate, struct made *out, char id[NAME_MAX_BYTES], struct err *err);
/* Up to n aggregates of a type with numbers from..below-1, ascending. Returns how many. */
int family_listing(struct db *db, uint32_t type_no, uint64_t from, uint64_t below, struct index_aggregate *out,
                   size_t n, struct err *err);
/* The last chunk of a file that begins at or before an offset; the first that begins at or behind it. */
int family_chunk_at(struct db *db, uint32_t type_no, uint64_t offset, struct index_chunk *out, struct err *err);
int family_chunk_from(struct db *db, uint32_t type_no, uint64_t offset, struct index_chunk *out, struct err *err);
/* Up to n chunks in the order of the log: from the last one that begins at or before a position, or the first of all,
 * to the first one that begins at or behind `until`. Their offsets mean nothing. Returns how many. */
int family_chunks(struct db *db, uint64_t position, uint64_t until, struct index_chunk *out, size_t n, struct err *err);

/* The runs of a stream. */
struct family_stream {
    struct db_iter *it;
    struct key upper;
    uint64_t aggregate;
    struct run run; /* the current one */
};
int family_stream_open(struct family_stream *s, struct db *db, uint64_t aggregate);
void family_stream_close(struct family_stream *s);
/* The run that holds a version, or the last one before it. */
int family_stream_seek(struct family_stream *s, uint64_t version, struct err *err);
int family_stream_next(struct family_stream *s, struct err *err);

int family_damaged(struct str key, struct err *err); /* -EUCLEAN, naming the key */

#endif
