/* A projection at work: the states of its keys that are in use, changed by events and written with the batch. One
 * thread. */
#ifndef ESFS_PROJECTION_H
#define ESFS_PROJECTION_H

#include "err.h"
#include "script.h"
#include "str.h"
#include "table.h"

struct maker;
struct maker_event;
struct live_key;

struct projection {
    struct live_key **list; /* in use */
    uint32_t n, cap;
    struct live_key **dirty; /* to be written, in the order in which they were touched */
    size_t n_dirty, dirty_cap;
    size_t most;        /* that a batch may have of them */
    struct table table; /* by key */
};

void projection_init(struct projection *p);
void projection_deinit(struct maker *m);
/* Forgets all states; what is not committed is lost. */
void projection_clear(struct maker *m);
/* Takes in an event for all of its keys, or e->only. 0, FOLLOW_AGAIN, FOLLOW_HALT with *err, a negative errno. A key
 * for which it fails is parked when e->alone; when e->only is set it is not, and *failed tells instead. */
int projection_event(struct maker *m, const struct maker_event *e, struct script_fault *failed, struct err *err);
/* Nothing else can be taken in before a commit. */
bool projection_full(const struct maker *m);
/* Adds what was touched by the events up to a position to the maker's changes. 0; FOLLOW_AGAIN: some state cannot be
 * kept, or all of it is too large for a batch, and taken in again it will be found earlier; or a negative errno with
 * *err. */
int projection_flush(struct maker *m, uint64_t position, struct err *err);

#endif
