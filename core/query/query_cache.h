/* Results of queries, by query, canonical name and, where it matters, who asked. Bounded in bytes: the least recently
 * used goes first. A result is given only while its time has not come and what its run has read still holds; that is
 * asked each time, outside the cache's lock.
 *
 * Times are milliseconds of a clock that never goes back. Any thread. */
#ifndef ESFS_QUERY_CACHE_H
#define ESFS_QUERY_CACHE_H

#include "queries.h"
#include "query_reads.h"

#define QUERY_CACHE_NEVER UINT64_MAX /* as the end of an entry */

struct query_cache;

struct query_cache_options {
    size_t bytes; /* of all entries, with what keeping them costs */
    /* Whether reads hold; from the thread that asks. */
    bool (*holds)(void *arg, struct query_reads *reads);
    void *arg;
};
struct query_cache *query_cache_new(const struct query_cache_options *options); /* NULL when out of memory */
void query_cache_free(struct query_cache *c);                                   /* NULL is fine */
void query_cache_clear(struct query_cache *c);
size_t query_cache_bytes(struct query_cache *c);

struct query_cache_key {
    uint32_t query;    /* its number */
    struct str name;   /* canonical */
    struct str caller; /* empty: the same for everybody */
};
/* A reference of the caller's, or NULL: there is none that may be used. One that may not be is dropped. */
struct query_result *query_cache_get(struct query_cache *c, const struct query_cache_key *key, uint64_t now);
/* Whether there is one, be it good or not. */
bool query_cache_has(struct query_cache *c, const struct query_cache_key *key);
/* Takes a reference of its own to the result, and takes over one to the reads (NULL: nothing that was read matters).
 * What was there under the key goes. Does nothing when memory is short or the result is larger than the cache.
 * `listed`: the name is a file name. */
void query_cache_put(struct query_cache *c, const struct query_cache_key *key, struct query_result *result,
                     struct query_reads *reads, uint64_t ends, bool listed);
/* As queries_list(). */
size_t query_cache_list(struct query_cache *c, uint32_t query, uint64_t after, uint64_t now, struct query_cached *out,
                        size_t n);
/* Whoever asked for it. Whether there was one. */
bool query_cache_drop(struct query_cache *c, uint32_t query, struct str name);

#endif
