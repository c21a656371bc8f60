/* The live states of aggregates: those that the sequencer has folded and keeps, ahead of the index by what is decided
 * and not yet applied.
 *
 * A cache that may forget anything between two requests: what it forgot is folded again, from a snapshot, the log, and
 * the events that are on their way to it (live_pend). Two generations by bytes, as in heads.h. One thread. */
#ifndef ESFS_LIVE_H
#define ESFS_LIVE_H

#include "fold.h"
#include "heads.h"

struct live {
    struct fold fold; /* fold.state is 0: forgotten */
    const struct domain_type *type;
    struct str id;
    uint64_t hash;
    size_t bytes;     /* roughly */
    struct str *held; /* value of each unique rule as it was last decided; p NULL: none */
    size_t touch;     /* its place, from 1, among those that the request under judgement touched; 0: it did not */
};

struct live_states;

/* Borrows the folder. NULL when out of memory. */
struct live_states *live_new(struct folder *f, struct index *ix, size_t max_bytes);
void live_free(struct live_states *s); /* NULL is fine */

/* Between blocks, when all but the last one have been applied. */
void live_turn(struct live_states *s);
/* Between requests: makes room. */
void live_trim(struct live_states *s);
/* The state of an aggregate, existing or not; valid until live_trim(). 0, SCRIPT_FAILED or a negative errno, with
 * *fault. */
int live_get(struct live_states *s, const struct domain_type *t, const struct head *head, struct live **out,
             struct script_fault *fault);
/* Its state is not to be used any more. */
void live_forget(struct live_states *s, struct live *live);
/* An event was decided; it is copied. 0 or -ENOMEM. */
int live_pend(struct live_states *s, const struct event *e);
void live_grow(struct live_states *s, struct live *live, size_t bytes);

#endif
