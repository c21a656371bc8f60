/* Inside of consumers.
 *
 * Locks, in the order in which they may be held together: a reader's; its consumer's; that of the commits
 * (consumer_commits.h); that of the wakes (consumer_wakes.h), or that of all consumers. */
#ifndef ESFS_CONSUMERS_PRIVATE_H
#define ESFS_CONSUMERS_PRIVATE_H

#include "consumer_aside.h"
#include "consumer_commits.h"
#include "consumer_config.h"
#include "consumer_done.h"
#include "consumer_record.h"
#include "consumer_wakes.h"
#include "consumers.h"
#include "store_parts.h"
#include "stream.h"

struct group; /* consumer_group.h */
struct member;

struct consumer {
    struct consumers *all;
    atomic_uint references;
    uint32_t no;
    struct str name;
    char name_bytes[NAME_MAX_BYTES];

    pthread_mutex_t lock; /* of what follows */
    bool gone;            /* removed */
    struct consumer_config *config;
    uint64_t time, acked;
    uint64_t cursor;
    uint64_t clear;            /* from the cursor up to here nothing is for this consumer, or it is in `asides` */
    uint64_t gap_from, gap_to; /* nor behind the first one up to the second one, as far as is known */
    uint64_t given;            /* up to here events were given since the cursor was set */
    uint64_t epoch;            /* another one after each `seek` */
    struct asides asides;
    struct done done;
    LIST_HEAD(, reader) readers;
    size_t followers;    /* of the readers */
    struct group *group; /* while it is one and somebody follows */
    atomic_ulong news;   /* counts what readers may get besides new events */
};

struct consumers {
    struct store *store;
    struct stream_source source;
    struct commits commits;
    struct wakes wakes;
    atomic_ulong next_consumer, next_parked; /* numbers */
    pthread_mutex_t making;                  /* held while one is made or removed */
    pthread_mutex_t lock;                    /* of what follows */
    struct consumer **list;                  /* by number */
    size_t n, room;
    void *parked_ids; /* tsearch(3): struct aside, by id */
};

int consumers_new(struct consumers **out, struct store *s, struct err *err);
/* Whoever waits is called. NULL is fine. */
void consumers_stop(struct consumers *cs);
void consumers_free(struct consumers *cs); /* NULL is fine */

/* --- consumers.c */

struct consumer *consumer_new(struct consumers *cs, uint32_t no, struct str name); /* NULL when out of memory */
int consumers_add(struct consumers *cs, struct consumer *c);                       /* takes it over; 0 or -ENOMEM */
/* A reference, or NULL when there is none. */
struct consumer *consumer_of(struct consumers *cs, uint32_t no);
void consumer_unref(struct consumer *c); /* NULL is fine */

/* Tells in the store's errors why something was refused. Returns -err->code. */
int consumer_refuse(const struct consumer *c, const char *file, const struct err *err);

/* The rest with the consumer's lock held. */

/* Readers that wait look again. */
void consumer_news(struct consumer *c);
/* Behind `from` up to `to` nothing is for this consumer. */
void consumer_gap(struct consumer *c, uint64_t from, uint64_t to);
/* Something is parked, so that it need not be given from the log. */
void consumer_pass(struct consumer *c);
/* Forgets what is known not to be for this consumer. */
void consumer_forget_gaps(struct consumer *c);
/* Sets the cursor, forward or back, and forgets what needs not be known any more before it. Between commits_begin() and
 * commits_end(), as what follows. */
void consumer_move(struct consumer *c, uint64_t position);
void consumer_put_cursor(struct consumer *c);
void consumer_put_definition(struct consumer *c); /* name and config */
void consumers_put_next(struct consumers *cs);

/* --- consumer_parking.c */

/* Takes over a parked event. 0 or -ENOMEM. */
int consumer_aside_add(struct consumer *c, struct aside *p);
/* Is done with it: forgets it, or, when the cursor has still to pass it, remembers that; between commits_begin() and
 * commits_end(). */
void consumer_aside_done(struct consumer *c, struct aside *p);
/* Forgets it; likewise. */
void consumer_aside_drop(struct consumer *c, struct aside *p);

/* --- consumer_done.c */

/* Puts what has changed. False when nothing has. Between commits_begin() and commits_end(), as what follows. */
bool consumer_done_put(struct consumer *c);
/* Forgets what is done with, up to this position and block by block, and the events that were given again up to it;
 * UINT64_MAX: all. */
void consumer_done_forget(struct consumer *c, uint64_t position);

/* --- consumer_status.c */

/* As in struct consumer_info. With the lock held. */
uint64_t consumer_lag(const struct consumer *c);

/* --- consumer_load.c */

int consumers_load(struct consumers *cs, struct err *err);

#endif
