/* What a run of a query has read, also what it looked for in vain, and whether all of that is still so.
 *
 * Each read is noted with what was true when it was read (the stamp that came with the text, never a later one). What
 * changed between a read and the end of the run is then found like any other change.
 *
 * Noting: one thread. query_reads_hold(): any thread, when noting is over. */
#ifndef ESFS_QUERY_READS_H
#define ESFS_QUERY_READS_H

#include "index.h"
#include "str.h"
#include "views.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUERY_READS_MAX 10000 /* distinct ones of one run; with more of them any change anywhere counts */

/* Where is read; borrowed. */
struct query_source {
    struct index *index;
    struct views *views;
};

/* As long as it is the same, nothing at all has changed: no event, no aggregate, no view. */
struct query_moment {
    uint64_t views; /* views_moment() */
    uint64_t block; /* of the index's head */
};
void query_moment_get(const struct query_source *from, struct query_moment *out);

struct query_reads;

/* `began` was got before anything was read. One reference is the caller's; NULL when out of memory. */
struct query_reads *query_reads_new(const struct query_moment *began);
void query_reads_ref(struct query_reads *r);
void query_reads_unref(struct query_reads *r); /* NULL is fine */
/* Noting is over: gives back memory that only noting needs. */
void query_reads_end(struct query_reads *r);
size_t query_reads_bytes(const struct query_reads *r);
size_t query_reads_count(const struct query_reads *r);

/* A view by its name, when its keys are not looked at; NULL: there is none. */
void query_reads_view(struct query_reads *r, struct str name, const struct view_info *view);
/* A key's file name, and the entry that was found; NULL: it was not there. */
void query_reads_key(struct query_reads *r, const struct view_info *view, struct str name,
                     const struct view_entry *entry);
/* Which keys there are; the stamp was got before them. */
void query_reads_keys(struct query_reads *r, const struct view_info *view, uint64_t stamp);
/* An aggregate ("order/1001") at a version; no 0: it was not there. */
void query_reads_aggregate(struct query_reads *r, struct str aggregate, uint64_t no, uint64_t version);

bool query_reads_hold(struct query_reads *r, const struct query_source *from);

#endif
