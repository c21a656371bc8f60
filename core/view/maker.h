/* A maker: the definition of a view at work. It takes in the events of the log and turns them into the entries of one
 * build, which it writes together with its cursor. All of it belongs to the thread of its follower, but for
 * maker_meta(), which is any thread's.
 *
 * viewer.c runs the handlers; maker.c is the way of an event and of a batch; projection.c and tree.c do what the two
 * kinds of views do with it; parking.c keeps what failed. */
#ifndef ESFS_MAKER_H
#define ESFS_MAKER_H

#include "changes.h"
#include "follower.h"
#include "name.h"
#include "parking.h"
#include "projection.h"
#include "tree.h"
#include "view_data.h"
#include "viewer.h"
#include "views.h"

#include <pthread.h>

struct store;
struct views;

struct maker {
    struct store *store;
    struct db *db; /* of views */
    uint64_t build;
    struct domain *domain; /* a reference */
    const struct domain_view *view;
    struct domain_vm *vm;
    struct folder *folder;
    char follower_name[VIEW_FOLLOWER_ROOM]; /* view_follower(): whose skips count */

    /* the follower's thread */
    struct build_meta next; /* with what is not committed */
    bool touched;           /* something but the position is to be written */
    struct viewer viewer;
    struct projection projection;
    uint64_t careful; /* up to here states are looked at after each event: one could not be kept */
    struct tree tree;
    struct parking parking;
    struct changes changes;
    struct buf scratch;

    pthread_mutex_t lock;   /* of what follows */
    struct build_meta meta; /* committed */
};

/* For the build of a view under a domain, which is begun when it is not there yet. 0 or a negative errno in words. */
int maker_new(struct maker **out, struct views *vs, struct domain *d, const struct domain_view *v, uint64_t build,
              struct err *err);
void maker_free(struct maker *m); /* NULL is fine */

/* What a follower does with it: struct follower_ops, with the maker as `arg`. */
int maker_event(void *maker, const struct event *e, bool alone, struct err *err);
bool maker_full(void *maker);
int maker_commit(void *maker, uint64_t position, struct err *err);
void maker_abandon(void *maker);

/* What was committed last. */
void maker_meta(struct maker *m, struct build_meta *out);

/* In the follower's thread: whether something is parked at a position. */
bool maker_has_parked(const struct maker *m, uint64_t position);
/* In the follower's thread, with nothing uncommitted: does again what was parked at a position, and then what waits
 * behind it. 0, -ENOENT, -EBUSY, -EIO. */
int maker_retry(struct maker *m, uint64_t position);
/* Passes over what was parked at a position, and goes on with what waits behind it. The decision is in the log. 0,
 * -ENOENT. */
int maker_skip(struct maker *m, uint64_t position);
/* Does maker_skip() for what the log says is to be passed over: a crash may have come between. */
int maker_skip_decided(struct maker *m);

/* --- for projection.c, tree.c and maker_again.c */

/* An event on its way. */
struct maker_event {
    struct viewed seen; /* `stored` is set */
    struct str only;    /* p set: what is done again is for this key alone */
    bool alone;         /* nothing is uncommitted but what came of this event */
};

/* Takes in an event: 0, also when the view does not follow its type; SCRIPT_FAILED with *failed when it could not be
 * read (an upcast, evolve), or failed for e->only; otherwise as struct follower_ops says. */
int maker_take(struct maker *m, struct maker_event *e, struct script_fault *failed, struct err *err);
/* What failed in a handler, as a follower's reason to halt. */
int maker_fault(struct maker *m, const struct event *e, const char *what, const struct script_fault *fault,
                struct err *err);
/* Puts the event in front of the reason why a view goes no further: whoever repairs it looks there. Returns r. */
int maker_stop_at(const struct event *e, int r, struct err *err);
/* In the store's errors. The event may be NULL. */
void maker_tell(struct maker *m, const struct event *e, const char *what, const struct script_fault *fault);

#endif
