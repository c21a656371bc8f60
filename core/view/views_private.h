/* What views*.c share. */
#ifndef ESFS_VIEWS_PRIVATE_H
#define ESFS_VIEWS_PRIVATE_H

#include "follower.h"
#include "maker.h"
#include "view_data.h"
#include "views.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

/* A build at work. */
struct side {
    uint64_t build;           /* 0: there is none */
    struct build_meta stored; /* as it was when it was opened; maker_meta() while there is a maker */
    struct maker *maker;      /* NULL: nobody follows the log for it */
    struct follower *follower;
    struct err broken; /* why not; code 0: it is read-only, or its definition is gone */
};

struct view {
    LIST_ENTRY(view) link;
    uint32_t no;
    struct str name;    /* a NUL behind it */
    bool defined;       /* in the domain in force; otherwise it is a number that is taken */
    bool moving;        /* a domain is being brought into force: who follows the log for it is about to change */
    struct side now;    /* what is served */
    struct side beside; /* what is being built */
};

/* Somebody who waits for what happens to a parked event. */
struct pending {
    STAILQ_ENTRY(pending) link;
    struct views *views;
    uint32_t no;
    uint64_t position;
    bool skip, recorded;  /* recorded: the log says so */
    struct caller caller; /* skip; without groups */
    views_done *done;
    void *arg;
};

struct barrier {
    LIST_ENTRY(barrier) link;
    uint64_t target;
    uint64_t deadline; /* ms, monotonic; 0: none */
    views_barrier_done *done;
    void *arg;
};

struct views {
    struct store *store;
    struct db *db; /* NULL: there is none, and none may be made */
    bool read_only;
    atomic_bool failed; /* the database: nothing is written to it any more, and it may not be closed */
    atomic_uint_fast64_t moment;
    atomic_bool watched; /* the keeper wants to know of progress */

    pthread_mutex_t lock; /* of what follows, and of each view */
    LIST_HEAD(, view) list;
    struct catalog_meta catalog;
    bool stopping;

    pthread_t keeper;
    bool kept; /* it runs */
    pthread_cond_t news;
    STAILQ_HEAD(, pending) pending; /* that wait for a rebuild to end */
    LIST_HEAD(, barrier) barriers;
};

int views_new(struct views **out, struct store *s, struct err *err);
/* Everybody who waits is told -ESHUTDOWN; nothing waits any more. */
void views_stop(struct views *vs);
/* NULL is fine. 0; or -EIO when the database has failed, was left open, and the process must end by _exit(2) (db.h). */
int views_free(struct views *vs);
/* A write to the database has failed. */
void views_fail(struct views *vs, const struct err *err);

/* Brings the views of a domain into force: goes on with what fits, begins to build what does not, removes what is not
 * in it. What cannot be begun is told, and shows as halted. */
void views_adopt(struct views *vs, struct domain *d);

/* Something that readers see has changed. */
void views_moved(struct views *vs);
/* A follower has got on. Any thread. */
void views_progressed(void *maker);
/* The keeper has something to look at. */
void views_wake(struct views *vs);

/* --- with the lock held */

struct view *view_by_no(struct views *vs, uint32_t no);
void side_meta(const struct side *side, struct build_meta *out);
/* The new build serves from now on; *old is what did, to be ended by side_end() without the lock. */
void view_change_over(struct views *vs, struct view *v, struct side *old);
/* Whether what is beside has everything, or as much as what serves. */
bool view_has_caught_up(struct views *vs, const struct view *v);

/* --- without it */

void side_end(struct views *vs, struct side *side, bool remove); /* stops it; removes the build's entries */
void *keeper_run(void *views);
void pending_dispatch(struct views *vs, struct pending *p);
/* Whether a parked event has been made good by a rebuild. */
bool view_was_resolved(struct views *vs, uint32_t no, uint64_t position);
void view_resolved_forget(struct views *vs, uint32_t no, uint64_t position);
int view_resolved_note(struct views *vs, uint32_t no, uint64_t old_build, uint64_t new_build, struct changes *changes,
                       struct err *err);

#endif
