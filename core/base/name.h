/* What may be a name: of aggregate types, aggregates (their ids) and event types. 1 to 128 bytes of UTF-8 without `/`,
 * NUL, control characters, noncharacters (U+FDD0-FDEF, U+xxFFFE, U+xxFFFF), a leading dot or a leading `$`. The same
 * rules hold for mkdir and for `aggregate`. */
#ifndef ESFS_NAME_H
#define ESFS_NAME_H

#include "str.h"

#include <stdbool.h>

#define NAME_MAX_BYTES 128

/* NULL when s is a name, otherwise why it is not ("is longer than 128 bytes"). */
const char *name_fault(struct str s);

bool name_is_reserved_type(struct str s);      /* taken at the root of the tree: commands, log.ndjson, views, ... */
bool name_is_reserved_aggregate(struct str s); /* taken in a type's directory */

/* True when s is valid UTF-8 without control characters (U+0000-001F, U+007F-009F), as CloudEvents 1.0 wants of
 * its String attributes. */
bool name_is_plain_text(struct str s);
bool name_is_utf8(struct str s);

#endif
