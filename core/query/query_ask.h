/* What somebody asks of a query: parameters that fit it, and who he is where that matters. Pure functions. */
#ifndef ESFS_QUERY_ASK_H
#define ESFS_QUERY_ASK_H

#include "identity.h"
#include "query_name.h"

struct query_ask {
    struct query_params params;
    struct str who;                  /* query_caller_put(); empty: the same for everybody */
    const struct json_value *caller; /* of it: q.caller; or NULL */
};

/* Of a file name, without ".json", or with `json` of the parameters as JSON. In the arena. Errors as query_name.h has
 * them. Nobody is authorized here. */
int query_ask_read(const struct domain_query *q, struct json_parser *parser, struct arena *arena, struct str text,
                   bool json, const struct identity *who, struct query_ask *out, struct err *err);

/* Who asks, as a handler is told and as results are told apart: {"uid":1000,"gids":[100,27]}, the primary group first,
 * the others ascending, each once. 0 or -ENOMEM. */
int query_caller_put(const struct identity *who, struct buf *out);

#endif
