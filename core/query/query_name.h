/* Parameters of a query and the names of its results: "customer=alice,min=100" in queries/big_orders/. Pure functions.
 *
 * Pairs are joined by commas, names and values are percent-encoded: %XX is any byte, and what comes out is UTF-8. A
 * comma, `%` and `/` in a name or a value must be encoded, and `=` in a name; a value may hold `=` as it is. "all" is
 * no parameters. A value is what its property's `type` lets it be: an integer, a number, a boolean or null when it is
 * written like one, otherwise a string; a property without `type` is a string. What the schema says of them holds, and
 * a parameter that it does not speak of is unknown.
 *
 * The canonical name has the pairs sorted by name, with everything but letters, digits, "-._~" and what is beyond ASCII
 * encoded; digits stay as they were given. */
#ifndef ESFS_QUERY_NAME_H
#define ESFS_QUERY_NAME_H

#include "arena.h"
#include "domain.h"
#include "err.h"
#include "json.h"
#include "str.h"

#include <stdbool.h>

struct query_params {
    struct str name;               /* canonical; what says the same has the same, and nothing else has */
    bool file;                     /* it is a file name. Otherwise no file name can say this, and it is the JSON */
    struct str text;               /* the JSON: an object, members sorted by name */
    const struct json_value *tree; /* of it */
};

/* Of a file name, without ".json". In the arena. -EINVAL in words, -ENAMETOOLONG (QUERY_NAME_MAX), -ENOMEM. */
int query_name_read(const struct domain_query *q, struct json_parser *parser, struct arena *arena, struct str name,
                    struct query_params *out, struct err *err);
/* Of JSON, which may say what file names cannot: objects, arrays, and strings that look like something else. -EBADMSG
 * when it is no object; otherwise likewise. */
int query_params_read(const struct domain_query *q, struct json_parser *parser, struct arena *arena, struct str json,
                      struct query_params *out, struct err *err);

#endif
