/* Makes anew what a domain keeps in the `folds` family: snapshots, and who holds which unique value. Done before a
 * domain takes over whose handlers fold in another way than what is stored, while the one before goes on.
 *
 * refold_run() goes over all aggregates of the types concerned, and then over those that changed meanwhile, until few
 * are left or no fewer get left; refold_finish() does the rest, when nothing changes any more. One thread. */
#ifndef ESFS_REFOLD_H
#define ESFS_REFOLD_H

#include "fold.h"

#include <stdatomic.h>

struct refold;

struct refold_options {
    struct domain *domain;
    const struct domain *current; /* in force: what it keeps up by itself is left alone; or NULL */
    struct folder_options fold;
    uint32_t snapshot_every;
    const atomic_bool *stop;                   /* set by another thread: give up; may be NULL */
    void (*tell)(void *arg, const char *line); /* what takes long; may be NULL */
    void *arg;
};

int refold_new(struct refold **out, const struct refold_options *options, struct err *err);
void refold_free(struct refold *r); /* NULL is fine */

/* An aggregate of which an upcast fails on a stored event cannot be folded: a line tells of it, its readers and its
 * commands fail until a domain is loaded that can, and it keeps the unique values that it had.
 * 0; -EINVAL in words when evolve fails on a stored event, and when stored data break a rule (the holders are named);
 * -ECANCELED; -EIO: nothing may be written to the database any more; -ENOMEM. */
int refold_run(struct refold *r, struct err *err);
int refold_finish(struct refold *r, struct err *err);

/* Removes what other domains have left. 0 or -EIO. */
int refold_sweep(struct refold *r, struct err *err);

#endif
