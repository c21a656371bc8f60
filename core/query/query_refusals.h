/* Why parameters were refused: the latest refusals of each query, a line of JSON each, in memory. Each query has a room
 * of its own, so that what is asked of one hides nothing of another. Any thread. */
#ifndef ESFS_QUERY_REFUSALS_H
#define ESFS_QUERY_REFUSALS_H

#include "err.h"
#include "journal.h"
#include "store.h"
#include "str.h"

#include <pthread.h>

#define QUERY_REFUSALS_BYTES (16u << 10) /* of one query */

struct query_refusals {
    pthread_mutex_t lock;
    struct journal **journals; /* by number of the query; NULL: nothing was refused */
    size_t n;
};

void query_refusals_init(struct query_refusals *r);
void query_refusals_deinit(struct query_refusals *r);

/* `asked` is what was given: a file name without ".json", or with `json` the parameters, of which the beginning is
 * shown. Lost when memory is short. */
void query_refusals_add(struct query_refusals *r, uint32_t query, struct str asked, bool json,
                        const struct caller *caller, const struct err *why, uint64_t time);
/* Of a query; valid until the end. NULL: nothing was refused. */
struct journal *query_refusals_of(struct query_refusals *r, uint32_t query);

#endif
