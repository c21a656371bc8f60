/* Entries of streams that were read from the derived family lately, in groups of neighbours: programs that walk a
 * directory ask for one event after the other, and finding a run costs many times what the next entry of it does.
 *
 * What an entry says never changes, so nothing is ever invalidated. Thread safe. */
#ifndef ESFS_ENTRY_CACHE_H
#define ESFS_ENTRY_CACHE_H

#include "index.h"

#define ENTRY_CACHE_GROUP 32 /* entries with consecutive versions, the first one after a multiple of it */
#define ENTRY_CACHE_SLOTS 64

struct entry_cache;

struct entry_cache *entry_cache_new(void); /* NULL when out of memory */
void entry_cache_free(struct entry_cache *c);

/* The version that the group of a version begins with. */
static inline uint64_t entry_cache_first(uint64_t version) {
    return (version - 1) / ENTRY_CACHE_GROUP * ENTRY_CACHE_GROUP + 1;
}
/* True when the entry is known. */
bool entry_cache_get(struct entry_cache *c, uint64_t aggregate, uint64_t version, struct index_entry *out);
/* Keeps n entries from the beginning of a group on (n up to ENTRY_CACHE_GROUP). */
void entry_cache_put(struct entry_cache *c, uint64_t aggregate, const struct index_entry *entries, size_t n);

#endif
