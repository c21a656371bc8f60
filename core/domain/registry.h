/* The registry of schemas: whether a domain may be loaded over what a store holds, and what it adds. */
#ifndef ESFS_REGISTRY_H
#define ESFS_REGISTRY_H

#include "domain.h"
#include "index.h"

/* Checks the domain against the store: stored versions keep their text; every version of an event, stored or in the
 * directory, leads to the next one (proven compatible, upcast, or the author's word); every stored (event, version) has
 * a way to the newest or is retired; every stored type with events is one of the domain's (types whose names begin with
 * `$` are the system's). Version 0 is an event that was stored without a schema: it needs upcast[0] once the event has
 * one. -EINVAL with all of it in words (the first fault), -EIO, -ENOMEM. On success *fresh lists the schemas that the
 * store does not know yet, in the order of d->schemas, in an array to be freed by the caller (NULL when there are
 * none). */
int registry_check(const struct domain *d, struct index *ix, const struct domain_schema ***fresh, size_t *n_fresh,
                   struct err *err);

#endif
