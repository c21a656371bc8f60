/* A follower: something that takes in every event of the log, one after the other, from where it got to before
 * (projections, indexes, and whatever else follows the log behind the writers' backs).
 *
 * It has a thread of its own, of low priority, that reads the log in chunks and hands each event to the follower's
 * `event`; from time to time `commit` makes what came of them durable, together with the position up to which it goes,
 * in one batch of the follower's own. So a crash loses nothing and repeats nothing that shows: what is durable is
 * always what the events up to its cursor make. At the head of the log each burst of events is committed at once;
 * further behind less often.
 *
 * `event` may ask for what was taken in since the last commit to be given again, itself in a batch of its own
 * (FOLLOW_AGAIN), or for the follower to halt (FOLLOW_HALT): its cursor then stays before the event, and the reason is
 * told, until the follower is stopped. */
#ifndef ESFS_FOLLOWER_H
#define ESFS_FOLLOWER_H

#include "err.h"
#include "event.h"
#include "feed.h"
#include "stream.h"

struct follower;

enum {                    /* apart from the outcomes of handlers, which mix with them */
       FOLLOW_AGAIN = 16, /* forget what was not committed; an event is then taken in with nothing uncommitted */
       FOLLOW_HALT = 17,
};

/* All are called in the follower's thread, `changed` in any. */
struct follower_ops {
    /* Takes in an event, complete, valid during the call. `alone`: nothing is uncommitted, and this event is committed
     * by itself. 0, FOLLOW_AGAIN (not when alone), FOLLOW_HALT with *err, or a negative errno, which halts too. */
    int (*event)(void *arg, const struct event *e, bool alone, struct err *err);
    /* Nothing else can be taken in before a commit: what came of the events takes up much room. May be NULL. */
    bool (*full)(void *arg);
    /* Makes everything up to `position` durable; when nothing came of the events but the position, that may wait. 0;
     * FOLLOW_AGAIN: what is uncommitted is to be forgotten and taken in once more, which must not come to the same; or
     * a negative errno with *err, which halts. */
    int (*commit)(void *arg, uint64_t position, struct err *err);
    /* Forgets what was taken in since the last commit. */
    void (*abandon)(void *arg);
    /* The position, or the state, is another one. May be NULL. */
    void (*changed)(void *arg);
};

struct follower_options {
    const char *name; /* of the thread: 15 bytes count */
    struct stream_source source;
    struct feed *feed;
    uint64_t position; /* the last event that is in already */
    /* Whether the disk takes a commit now; asked before each. Otherwise the follower waits, and asks again. */
    bool (*has_room)(void *arg);
    void *room_arg;
    const struct follower_ops *ops;
    void *arg;
};

/* Begins to follow. 0 or a negative errno. */
int follower_start(struct follower **out, const struct follower_options *options);
/* Ends the thread after the event that it is at; what is not committed is abandoned. NULL is fine. Not from the
 * follower's own thread. */
void follower_stop(struct follower *f);
/* The same without waiting: follower_stop() then takes no longer than the event that is being taken in. */
void follower_signal(struct follower *f);

/* Calls `work` in the follower's thread, between two commits, once; also when it is halted. What has not been called
 * when the follower is stopped is called then, with `stopped` set. */
typedef void follower_work(void *arg, bool stopped);
int follower_call(struct follower *f, follower_work *work, void *arg); /* 0 or -ENOMEM */

enum follower_state { FOLLOWER_CATCHING_UP, FOLLOWER_LIVE, FOLLOWER_WAITING, FOLLOWER_HALTED };
struct follower_status {
    enum follower_state state;
    uint64_t position; /* everything up to here has been committed, or nothing came of it */
    double rate;       /* events a second, lately */
    struct err halted; /* why */
};
void follower_status(struct follower *f, struct follower_status *out);

#endif
