/* Making results (struct query_result, queries.h). */
#ifndef ESFS_QUERY_RESULT_H
#define ESFS_QUERY_RESULT_H

#include "queries.h"

/* Takes the text's bytes over: the buffer is empty afterwards, in any case. One reference is the caller's; NULL when
 * out of memory. */
struct query_result *query_result_new(struct buf *text, uint64_t no, uint64_t computed_at, uint64_t position);

#endif
