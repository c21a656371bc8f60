/* Keys and values of the `folds` family that say who holds a unique value (FORMAT.md, "Folds"). */
#ifndef ESFS_HOLDER_H
#define ESFS_HOLDER_H

#include "buf.h"
#include "domain.h"

#define HOLDER_VALUE_MAX 4096 /* bytes of a unique value, as JSON */

/* A value to its holder; appended. */
void holder_key(const struct domain_type *t, const struct domain_rule *rule, struct str value, struct buf *out);
void holder_value(uint64_t aggregate, char out[8]);
/* A holder to its value: there while holders are made anew. */
void holder_of_key(const struct domain_type *t, const struct domain_rule *rule, uint64_t aggregate, struct buf *out);
/* How many events of the type are accounted for: with another number, or none, holders are made anew. Without rules,
 * that snapshots were made. */
void holder_mark_key(const struct domain_type *t, struct buf *out);

/* First bytes of the keys of the family; the fold's hash follows each. */
enum { HOLDER_CLASS_MARK = 'm', HOLDER_CLASS_SNAPSHOT = 's', HOLDER_CLASS_VALUE = 'u', HOLDER_CLASS_OF = 'v' };

#endif
