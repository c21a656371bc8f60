/* What queries.c and query_open.c share. */
#ifndef ESFS_QUERIES_PRIVATE_H
#define ESFS_QUERIES_PRIVATE_H

#include "queries.h"
#include "query_ask.h"
#include "query_cache.h"
#include "query_refusals.h"
#include "store_parts.h"
#include "table.h"

#include <pthread.h>
#include <stdatomic.h>

struct flight;

/* A run that is waited for, or will be; query_open.c. */
struct flights {
    struct flight *all;    /* queued and running ones, in the order in which they came */
    pthread_cond_t queued; /* or stopping */
    pthread_t threads[QUERY_THREADS];
    size_t n_threads;
    atomic_uint_least64_t results; /* that there have been */
};

struct queries {
    struct store *store;
    struct query_source source;
    struct query_cache *cache;
    struct query_refusals refusals;
    atomic_bool stopping; /* set under the lock */
    atomic_bool changing; /* between queries_adopt() and queries_settle() */

    pthread_mutex_t lock;  /* of what follows; the cache's may be taken under it */
    struct domain *domain; /* in force; NULL before there is one */
    struct arena arena;    /* names */
    struct str *names;     /* by number, from 1 */
    struct table table;    /* of them */
    size_t n_names, cap_names;
    struct flights flights;
    pthread_cond_t changed; /* a flight was queued, or all is stopping */
};

/* A query of the domain in force: a reference to the domain, which is NULL when there is no such query. */
struct domain *queries_query(struct queries *qs, uint32_t no, const struct domain_query **out);
/* Milliseconds and nanoseconds of a clock that never goes back. */
uint64_t queries_clock(void);

int flights_begin(struct queries *qs);
/* Everything that waits is answered -ESHUTDOWN, and so is whatever comes later. What runs gives up. */
void flights_stop(struct queries *qs);
/* After flights_stop(): waits for what runs. */
void flights_end(struct queries *qs);
/* What runs, or is about to, for this name is not kept, and nobody joins it any more. */
void flights_disown(struct queries *qs, uint32_t no, struct str name);

#endif
