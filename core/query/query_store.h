/* A store as a query's handler reads it. Everything that is read is noted, also what is looked for in vain. */
#ifndef ESFS_QUERY_STORE_H
#define ESFS_QUERY_STORE_H

#include "query_reads.h"
#include "query_world.h"

#include <stdatomic.h>

/* Borrowed, all of it. One run has one; its `reads` get what the run has read. */
struct query_store {
    struct query_source from;
    struct stream_source events;
    struct query_reads *reads;
    const atomic_bool *changing; /* views of a new domain are not all there yet; may be NULL */
};

/* Valid as long as the store. */
struct query_world query_store_world(struct query_store *s);

#endif
