/* One run of a query's handler: what `q` gives it, and what comes out. One thread a run; any number of runs. */
#ifndef ESFS_QUERY_RUN_H
#define ESFS_QUERY_RUN_H

#include "query_world.h"

#include <stdatomic.h>

#define QUERY_READ_BYTES (16u << 20) /* of what one call of q's functions gives */
#define QUERY_MEMORY (128u << 20)    /* of Lua, that one run may add with the states that it looks at */
#define QUERY_RUN_MS 30000           /* of one run; reading is in it, which the limits of handlers do not count */

struct query_run {
    struct domain *domain;
    const struct domain_query *query; /* of it */
    const struct json_value *params;  /* an object */
    const struct json_value *caller;  /* q.caller, or NULL */
    const struct query_world *world;
    struct folder_options fold; /* of the world's aggregates */
    uint32_t ms;                /* that it may take; 0: QUERY_RUN_MS */
    const atomic_bool *stop;    /* set by another thread: the handler is stopped; may be NULL */
};

/* `out` gets the result as JSON and a newline. 0; SCRIPT_FAILED with *fault, which names a file; -EFBIG likewise
 * (QUERY_RESULT_BYTES); -ECANCELED when it was stopped; -ENOMEM. */
int query_run(const struct query_run *run, struct buf *out, struct script_fault *fault);

#endif
