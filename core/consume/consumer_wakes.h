/* Who waits for a reader, and the one thread that calls them. It sleeps while nobody waits, and then costs writers
 * nothing; while somebody does, it is woken by the feed with each block.
 *
 * A reader that somebody waits for is looked at (reader_look()): when it was last known to have nothing, when the log
 * grows, and when its consumer has other news. One that is far behind is looked at bit by bit, when there
 * is nobody else to look at, or after many others. Thread safe. */
#ifndef ESFS_CONSUMER_WAKES_H
#define ESFS_CONSUMER_WAKES_H

#include "consumers.h"
#include "feed.h"

#include <pthread.h>

/* A part of each reader. */
enum waits_state {
    WAITS_NONE,    /* nobody waits */
    WAITS_NEAR,    /* to be looked at */
    WAITS_FAR,     /* to be looked at further: it is behind */
    WAITS_LOOKED,  /* being looked at */
    WAITS_RESTING, /* until there is news */
};

struct waits {
    TAILQ_HEAD(, reader_wait) list;
    enum waits_state state;
    bool again; /* there was news while it was looked at */
    TAILQ_ENTRY(reader) link;
};

TAILQ_HEAD(reader_list, reader);

struct wakes {
    struct feed *feed;
    pthread_mutex_t lock; /* of what follows, and of the waits of all readers */
    pthread_cond_t needed;
    struct reader_list near, far, resting;
    unsigned turn;
    uint64_t seen; /* where the log ended when those that rest were last found to have nothing, at least */
    bool started, stopping, ending;
    atomic_bool woken;
    pthread_t thread;
};

int wakes_init(struct wakes *w, struct feed *feed); /* 0 or negative errno */
void wakes_stop(struct wakes *w);                   /* from now on every reader is worth a read */
void wakes_deinit(struct wakes *w);

/* The reader's consumer has news. */
void wakes_news(struct wakes *w, struct reader *r);
/* Whether somebody waits for the reader. */
bool wakes_waited(struct wakes *w, const struct reader *r);

#endif
