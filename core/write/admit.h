/* Admission of commands to a domain, before anything of the store is looked at: whether there is such a command,
 * whether this caller may send it, whether its data fits its schema. Stateless and safe in many threads at once. */
#ifndef ESFS_ADMIT_H
#define ESFS_ADMIT_H

#include "command.h"
#include "domain.h"

/* Judges every command of a request, in their order, and notes the domain's definitions and the parsed data in them.
 * request->refusal says why not. What is made lives in the arena; the domain must outlive the request. 0 or -ENOMEM. */
int admit_request(const struct domain *d, const struct ownership *owner, const struct identity *who,
                  struct json_parser *parser, struct arena *arena, struct request *request);

#endif
