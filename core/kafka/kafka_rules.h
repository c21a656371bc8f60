/* kafka.lua of a domain at work: which events are published, and as what. One thread. */
#ifndef ESFS_KAFKA_RULES_H
#define ESFS_KAFKA_RULES_H

#include "domain.h"
#include "event.h"

struct kafka_rules;
struct script_fault;

/* *out is NULL when the domain has no kafka.lua (or is NULL itself): everything is published as it is. Takes a
 * reference of the domain. 0 or a negative errno in words. */
int kafka_rules_new(struct kafka_rules **out, struct domain *d, struct err *err);
void kafka_rules_free(struct kafka_rules *r); /* NULL is fine, also for what follows */

/* The same for rules that make the same messages; zeros for none. */
void kafka_rules_hash(const struct kafka_rules *r, uint8_t out[DOMAIN_FOLD_HASH]);

enum { KAFKA_RULES_FAILED = 1 };
/* What an event, complete, is published as: *n events with its position and place in its aggregate, valid as long as it
 * is and until the next call. 0; KAFKA_RULES_FAILED: the file's fault, in words; or a negative errno in words. */
int kafka_rules_apply(struct kafka_rules *r, const struct event *e, const struct event **out, size_t *n,
                      struct err *why);
/* Of the last call, which gave KAFKA_RULES_FAILED: for its traceback. */
const struct script_fault *kafka_rules_fault(const struct kafka_rules *r);

#endif
