/* URIs, RFC 3986, and IRIs, RFC 3987. Pure functions. */
#ifndef ESFS_SCHEMA_URI_H
#define ESFS_SCHEMA_URI_H

#include "arena.h"
#include "str.h"

#include <stdbool.h>

struct uri {
    struct str scheme, authority, path, query, fragment; /* p NULL: it has none; the path is always there */
};

struct uri uri_split(struct str text);
/* The reference seen from the base, dots removed, without its fragment; in the arena. False: out of memory. */
bool uri_resolve(struct arena *arena, struct str base, struct str reference, struct str *out);
/* %41 becomes A. False: out of memory. What is no escape stays. */
bool uri_unescape(struct arena *arena, struct str s, struct str *out);

/* Whether it is one by the grammar. international: characters beyond ASCII are taken. */
bool uri_matches(struct str s, bool international, bool needs_scheme);
bool uri_template_matches(struct str s); /* RFC 6570 */

#endif
