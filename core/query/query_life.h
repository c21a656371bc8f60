/* The life of the queries, for the store alone: made when it opens with a domain, told of each domain that comes into
 * force, stopped before the store is closed, freed before the views and the index. */
#ifndef ESFS_QUERY_LIFE_H
#define ESFS_QUERY_LIFE_H

#include "domain.h"
#include "queries.h"

/* Starts the threads; there are no queries yet. 0, -ENOMEM, -EAGAIN. */
int queries_new(struct queries **out, struct store *s);
/* Everything that waits is answered -ESHUTDOWN, and so is whatever comes later; what runs gives up soon. Does not wait.
 * NULL is fine. */
void queries_stop(struct queries *qs);
/* Waits for what runs. Nobody may be in here any more. NULL is fine. */
void queries_free(struct queries *qs);

/* Gives numbers to the names of a domain that is about to come into force. 0 or -ENOMEM. */
int queries_prepare(struct queries *qs, const struct domain *d);
/* It is in force from now on: after queries_prepare() this cannot fail. What was cached is dropped. */
void queries_adopt(struct queries *qs, struct domain *d);
/* And so are its views: until then, runs wait for a view that is not there. */
void queries_settle(struct queries *qs);

#endif
