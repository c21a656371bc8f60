/* What a `commands` file accepts, as one line of JSON: for whoever reads it before anything is written to it. */
#ifndef ESFS_HELP_H
#define ESFS_HELP_H

#include "command.h"
#include "domain.h"

/* Appended. With a domain also the commands of the scope's type, or of all, that the caller may send, with the paths of
 * their schemas; NULL without one. */
void help_put(const struct domain *d, const struct ownership *owner, const struct identity *who,
              const struct scope *scope, struct buf *out);

#endif
