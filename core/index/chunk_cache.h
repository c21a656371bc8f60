/* Where chunks of the log begin, as read from the derived family lately, in pages of neighbouring positions: the events
 * of a stream lie in many chunks, and to seek one in the family costs more than to read it.
 *
 * Where a chunk begins never changes, so nothing is ever invalidated. A page ends with the last chunk whose end is
 * known, and is read anew once the family has more. Thread safe. */
#ifndef ESFS_CHUNK_CACHE_H
#define ESFS_CHUNK_CACHE_H

#include "index.h"

#include <stdbool.h>

#define CHUNK_PAGE_POSITIONS 1024
#define CHUNK_PAGE_MAX 128 /* chunks: where they have less than 8 events each, only the first ones are kept */

struct chunk_cache;

struct chunk_cache *chunk_cache_new(void); /* NULL when out of memory */
void chunk_cache_free(struct chunk_cache *c);

/* The first position of the page of a position. */
static inline uint64_t chunk_cache_first(uint64_t position) {
    return position / CHUNK_PAGE_POSITIONS * CHUNK_PAGE_POSITIONS;
}
/* PAST: its page is full and ends before the position, so to read it anew is of no use. */
enum chunk_cache_outcome { CHUNK_CACHE_FOUND, CHUNK_CACHE_PAST = 1, CHUNK_CACHE_UNKNOWN = 2 };
/* The chunk that holds the position; its offset is not known. */
enum chunk_cache_outcome chunk_cache_get(struct chunk_cache *c, uint64_t position, struct index_chunk *out);
/* Keeps n chunks that follow each other, up to CHUNK_PAGE_MAX. The first one begins at or before the page's first
 * position or is the first of all; the last one only says where the one before it ends. */
void chunk_cache_put(struct chunk_cache *c, uint64_t page_first, const struct index_chunk *chunks, size_t n);

#endif
