/* The states of aggregates as a follower sees them: as of the event that it takes in, which may be long before what the
 * sequencer knows. A cache that forgets everything at once when it has grown too large; what it forgot is folded again,
 * from a snapshot on. One thread. */
#ifndef ESFS_AGGREGATES_H
#define ESFS_AGGREGATES_H

#include "fold.h"
#include "table.h"

#define AGGREGATE_NO_PLACE UINT64_MAX

struct aggregate_state {
    uint64_t aggregate;
    struct fold fold;
    /* for whoever keeps it (tree.c): where the aggregate is listed; AGGREGATE_NO_PLACE: not looked up yet. And its move
     * in the batch of this number. */
    uint64_t place, batch;
    size_t move;
};

struct aggregates {
    struct folder *folder;
    struct table table;
    struct aggregate_state *list;
    uint32_t n, cap;
};

void aggregates_init(struct aggregates *a, struct folder *folder); /* the folder is borrowed */
void aggregates_deinit(struct aggregates *a);
/* Forgets everything. */
void aggregates_clear(struct aggregates *a);
/* The state before an event, to be taken further with fold_fresh(). Valid until the next call. 0, SCRIPT_FAILED with
 * *fault, or a negative errno, likewise. */
int aggregates_before(struct aggregates *a, const struct domain_type *t, const struct event *e,
                      struct aggregate_state **out, struct script_fault *fault);
/* An entry without a state, for its place alone. 0 or -ENOMEM. */
int aggregates_entry(struct aggregates *a, uint64_t aggregate, struct aggregate_state **out);

#endif
