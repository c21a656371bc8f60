/* A group: readers that share the events of a consumer. What it has in hand is in memory alone; after a crash, or when
 * its last reader has gone, everything behind the cursor comes again but for what is done (consumer_done.h).
 *
 * Each event is freed (nobody's; its reader has gone, or it is to be given again), queued (the reader that has earlier
 * ones of its aggregate will get it) or given. An aggregate is bound to a reader as long as that has events of it in
 * hand. The log is read on by whoever asks, when nothing is freed. The consumer's lock guards all of it. */
#ifndef ESFS_CONSUMER_GROUP_H
#define ESFS_CONSUMER_GROUP_H

#include "consumer_lines.h"
#include "consumers_private.h"

struct reader;

/* Joins the consumer's group, which the first one makes. 0 or -ENOMEM. */
int group_join(struct consumer *c, struct reader *r, struct member **out);
/* What it has in hand goes to others. */
void group_leave(struct member *m);

/* Puts lines of events that the member is given. 0, also when there are none; *further: there may be more behind what
 * was looked at. -EIO or -ENOMEM in words; what was put is given all the same. */
int group_fill(struct member *m, struct lines *l, uint64_t head, bool *further, struct err *err);

/* Whether somebody was given the event and has not acknowledged it. */
bool group_has(const struct group *g, uint64_t position);
/* How many the member was given and has not acknowledged. */
size_t group_in_hand(const struct member *m);
enum { GROUP_NOT_GIVEN = 1 };

/* The member is done with an event; when the cursor waits for an earlier one, consumer_done_put() is to follow. 0,
 * GROUP_NOT_GIVEN or -ENOMEM. */
int group_ack(struct member *m, uint64_t position);
/* Nobody needs to be given the event any more; the cursor follows. Between commits_begin() and commits_end(). */
void group_settle(struct group *g, uint64_t position);
/* The cursor follows what was acknowledged; likewise. False when it stays where it is. */
bool group_advance(struct group *g);
/* Somebody is to be given the event again. 0 or -ENOMEM. */
int group_again(struct group *g, uint64_t position);
/* The cursor was set: all begins behind it. 0 or -ENOMEM. */
int group_restart(struct group *g);

#endif
