/* Whether data that is valid under an old schema is valid under a new one (BACKWARD compatibility, in the word of
 * schema registries).
 *
 * Sound, not complete: COMPAT_PROVEN is a proof. Where it cannot prove it names the rule that stops it, and an upcast
 * or an author's word settles the matter. */
#ifndef ESFS_COMPAT_H
#define ESFS_COMPAT_H

#include "err.h"
#include "json.h"

enum { COMPAT_PROVEN = 0, COMPAT_UNPROVEN = 1 };

/* Both are documents that schema_compile() accepts. A reference to a document outside means the same document in both.
 * `format` counts as an assertion. A check that takes too many steps ends unproven. Any thread; it wants 1 MiB of
 * stack.
 *
 * COMPAT_UNPROVEN with the words in err->text: the JSON pointer in the new schema, the keyword, and why
 * ("/properties/total/maximum: 100 is less than the old 1000"). Negative: -ENOMEM. */
int compat_check(const struct json_value *older, const struct json_value *newer, struct err *err);

#endif
