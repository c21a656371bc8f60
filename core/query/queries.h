/* Queries: results that are computed when they are asked for, and cached (queries/<name>.lua).
 *
 * One goes the way of the reference: validation, cache, authorization, handler, post-processing, cache with its ttl.
 * Handlers run in threads of the queries' own, never in the caller's; openers of one missing entry share one run. What
 * a query read (views, their keys, states, events, also what it looked for in vain) is noted with the result, which is
 * used only as long as all of that is unchanged and its ttl has not passed. The cache is bounded in bytes; the least
 * recently used goes first. A reload empties it.
 *
 * Any thread. QUERY_NONE where there is no such thing. */
#ifndef ESFS_QUERIES_H
#define ESFS_QUERIES_H

#include "buf.h"
#include "err.h"
#include "store.h"
#include "str.h"

#include <stdbool.h>
#include <stdint.h>

struct queries;
struct journal;

enum { QUERY_NONE = 1 };

#define QUERY_NAME_MAX 250 /* bytes of a result's file name, without ".json" */
#define QUERY_CACHE_BYTES (64u << 20)
#define QUERY_RESULT_BYTES (16u << 20) /* of one result; a larger one is refused (-EFBIG) */
#define QUERY_THREADS 2

/* NULL without a domain. Borrowed until store_close(). */
struct queries *store_queries(struct store *s);

/* --- which there are: their numbers hold until the process ends, over reloads too */

struct query_info {
    uint32_t no;     /* from 1 */
    struct str name; /* valid until store_close() */
};
int queries_find(struct queries *qs, struct str name, struct query_info *out);
int queries_get(struct queries *qs, uint32_t no, struct query_info *out);
int queries_after(struct queries *qs, uint32_t no, struct query_info *out);
/* Who may run it and read its results: its `allow`. */
bool queries_may_read(struct queries *qs, uint32_t no, const struct identity *who);

/* --- names of results */

/* Checks a file name without ".json" ("customer=alice,min=100", pairs in any order, values percent-encoded; "all"
 * without parameters) against the query's parameters and gives the canonical one (pairs sorted by name, one way of
 * encoding). Values become what the schema wants: integers, numbers, booleans, null or strings. -EINVAL in words:
 * unknown, missing, ill-typed, repeated, bad encoding. */
int queries_name(struct queries *qs, uint32_t no, struct str name, struct buf *canonical, struct err *err);

/* Notes that a name was refused so, for whoever may ask the query; queries_open() and queries_call() do so by
 * themselves when who asks is one of those. */
void queries_refuse(struct queries *qs, uint32_t no, struct str name, const struct caller *caller,
                    const struct err *why);
/* What was refused lately; valid until store_close(). NULL: nothing. */
struct journal *queries_refusals(struct queries *qs, uint32_t no);

/* --- results */

/* Immutable; shared by references. */
struct query_result {
    struct str text;      /* JSON and a newline */
    uint64_t no;          /* two results never have the same, in one process */
    uint64_t computed_at; /* microseconds since 1970 */
    uint64_t position;    /* of the last event that was there when the run began */
};
void query_result_ref(struct query_result *r);
void query_result_unref(struct query_result *r); /* NULL is fine */

/* What is cached under a canonical name and may be used now; *out is a reference of the caller's. `who` matters to
 * queries with cache = "per_caller" alone. Nobody is authorized here: show no text. */
int queries_cached(struct queries *qs, uint32_t no, struct str name, const struct identity *who,
                   struct query_result **out);
/* `done` is called once, from another thread or before the call returns: 0 with a reference that is then the callee's;
 * -EINVAL, -EACCES, -EIO (the handler failed, which is told in the store's errors), -EFBIG, -ENOMEM, -ENOENT (no such
 * query any more), -ECANCELED (queries_leave()), -ESHUTDOWN. The identity is copied. */
typedef void queries_done(void *arg, int result, struct query_result *r);
void queries_open(struct queries *qs, uint32_t no, struct str name, const struct caller *caller, queries_done *done,
                  void *arg);
/* The same with the parameters as a JSON object: `call`. -EBADMSG when they are no JSON object. */
void queries_call(struct queries *qs, uint32_t no, struct str params, const struct caller *caller, queries_done *done,
                  void *arg);
/* Who asked with this `arg` does not wait any more: when nobody else waits for the same run, it is stopped, or not
 * begun. `done` is called all the same. Without effect when it was called already. */
void queries_leave(struct queries *qs, const void *arg);

/* --- what is cached */

struct query_cached {
    uint64_t no; /* of the entry, from 1, ascending; not given again */
    uint8_t bytes;
    char name[QUERY_NAME_MAX]; /* canonical */
};
/* Up to n entries of a query with numbers above `after` that may still be used, ascending; each name once. Returns how
 * many, 0 at the end. */
int queries_list(struct queries *qs, uint32_t no, uint64_t after, struct query_cached *out, size_t n);
/* Drops it from the cache. 0 or QUERY_NONE. */
int queries_evict(struct queries *qs, uint32_t no, struct str name);

#endif
