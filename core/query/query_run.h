/* One run of a query's handler: what `q` gives it, and what comes out. One thread a run; any number of runs. */
#ifndef ESFS_QUERY_RUN_H
#define ESFS_QUERY_RUN_H

#include "domain.h"
#include "fold.h"
#include "query_reads.h"

#include <stdatomic.h>

#define QUERY_READ_BYTES (16u << 20) /* of what one call of q's functions gives */
#define QUERY_MEMORY (128u << 20)    /* of Lua, that one run may add with the states that it looks at */
#define QUERY_RUN_MS 30000           /* of one run; reading is in it, which the limits of handlers do not count */

struct query_run {
    struct domain *domain;
    const struct domain_query *query; /* of it */
    const struct json_value *params;  /* an object */
    const struct json_value *caller;  /* q.caller, or NULL */
    struct query_source source;
    struct folder_options fold;
    uint32_t ms;                 /* that it may take; 0: QUERY_RUN_MS */
    const atomic_bool *stop;     /* set by another thread: the handler is stopped; may be NULL */
    const atomic_bool *changing; /* views of a new domain are not all there yet; may be NULL */
};

/* Everything that is read is noted. `out` gets the result as JSON and a newline. 0; SCRIPT_FAILED with *fault; -EFBIG
 * with *fault (QUERY_RESULT_BYTES); -ECANCELED when it was stopped; -ENOMEM. */
int query_run(const struct query_run *run, struct query_reads *reads, struct buf *out, struct script_fault *fault);

#endif
