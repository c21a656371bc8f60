#include "consumer_wakes.h"

#include "consumer_reader.h"

#include <errno.h>

#define WAIT_MS 60000 /* it is woken when there is something to do */
#define FAR_EVERY 64  /* looks, of which one is at a reader that is behind */

int wakes_init(struct wakes *w, struct feed *feed) {
    *w = (struct wakes){.feed = feed};
    TAILQ_INIT(&w->near);
    TAILQ_INIT(&w->far);
    TAILQ_INIT(&w->resting);
    atomic_init(&w->woken, false);
    int r = pthread_mutex_init(&w->lock, NULL);
    if (r == 0 && (r = pthread_cond_init(&w->needed, NULL)) != 0)
        pthread_mutex_destroy(&w->lock);
    return -r;
}

/* --- the lists, with the lock held */

static struct reader_list *list_of(struct wakes *w, enum waits_state state) {
    switch (state) {
    case WAITS_NEAR:
        return &w->near;
    case WAITS_FAR:
        return &w->far;
    case WAITS_RESTING:
        return &w->resting;
    default:
        return NULL;
    }
}

static void leave(struct wakes *w, struct reader *r) {
    struct reader_list *list = list_of(w, r->waits.state);
    if (list)
        TAILQ_REMOVE(list, r, waits.link);
    r->waits.state = WAITS_NONE;
}

static void join(struct wakes *w, struct reader *r, enum waits_state state) {
    leave(w, r);
    TAILQ_INSERT_TAIL(list_of(w, state), r, waits.link);
    r->waits.state = state;
}

/* The thread may sleep on either of two things. */
static void rouse(struct wakes *w) {
    pthread_cond_signal(&w->needed);
    feed_wake(w->feed, &w->woken);
}

static void make_due(struct wakes *w, struct reader *r) {
    join(w, r, WAITS_NEAR);
    rouse(w);
}

static void make_all_due(struct wakes *w) {
    struct reader *r;
    TAILQ_FOREACH(r, &w->resting, waits.link)
    r->waits.state = WAITS_NEAR;
    TAILQ_CONCAT(&w->near, &w->resting, waits.link);
}

static void rest(struct wakes *w, struct reader *r) {
    if (TAILQ_EMPTY(&w->resting))
        pthread_cond_signal(&w->needed);
    join(w, r, WAITS_RESTING);
}

/* Whether what the reader was last looked at for is still all there is, and the thread will see what comes. */
static bool is_current(struct wakes *w, struct reader *r) {
    return !w->stopping && !atomic_load(&r->looked_further) && w->seen <= atomic_load(&r->looked_to) &&
           atomic_load(&r->looked_news) == atomic_load(&r->consumer->news);
}

static void enlist(struct wakes *w, struct reader *r) {
    if (is_current(w, r))
        rest(w, r);
    else
        make_due(w, r);
}

void wakes_news(struct wakes *w, struct reader *r) {
    pthread_mutex_lock(&w->lock);
    if (r->waits.state == WAITS_LOOKED)
        r->waits.again = true;
    else if (r->waits.state == WAITS_RESTING)
        make_due(w, r);
    pthread_mutex_unlock(&w->lock);
}

bool wakes_waited(struct wakes *w, const struct reader *r) {
    pthread_mutex_lock(&w->lock);
    bool waited = !TAILQ_EMPTY(&r->waits.list);
    pthread_mutex_unlock(&w->lock);
    return waited;
}

/* --- the thread */

static bool log_has_grown(struct wakes *w) {
    uint64_t position = feed_position(w->feed);
    if (position <= w->seen)
        return false;
    w->seen = position;
    return true;
}

static struct reader *pick(struct wakes *w) {
    struct reader *near = TAILQ_FIRST(&w->near), *far = TAILQ_FIRST(&w->far);
    bool turn = ++w->turn % FAR_EVERY == 0;
    return near && !(far && turn) ? near : far;
}

/* The next reader to look at, with a reference; NULL at the end. Called with the lock held, as is what follows. */
static struct reader *next_due(struct wakes *w) {
    for (;;) {
        if (log_has_grown(w) || w->stopping)
            make_all_due(w);
        struct reader *r = pick(w);
        if (r) {
            leave(w, r);
            r->waits.state = WAITS_LOOKED;
            r->waits.again = false;
            atomic_fetch_add(&r->references, 1);
            return r;
        }
        if (w->ending)
            return NULL;
        if (TAILQ_EMPTY(&w->resting)) {
            pthread_cond_wait(&w->needed, &w->lock);
            continue;
        }
        uint64_t seen = w->seen;
        pthread_mutex_unlock(&w->lock);
        feed_wait(w->feed, seen, &w->woken, WAIT_MS);
        pthread_mutex_lock(&w->lock);
    }
}

/* Calls all that wait for the reader, and not those that come back at once. */
static void call_waits(struct wakes *w, struct reader *r) {
    struct reader_wait *wait;
    size_t n = 0;
    TAILQ_FOREACH(wait, &r->waits.list, link)
    n++;
    for (; n > 0 && (wait = TAILQ_FIRST(&r->waits.list)); n--) {
        TAILQ_REMOVE(&r->waits.list, wait, link);
        wait->waiting = false;
        pthread_mutex_unlock(&w->lock);
        wait->wake(wait);
        pthread_mutex_lock(&w->lock);
    }
}

static void looked(struct wakes *w, struct reader *r, enum reader_look look) {
    r->waits.state = WAITS_NONE;
    if (look == LOOK_READY || w->stopping) {
        call_waits(w, r);
    } else if (TAILQ_EMPTY(&r->waits.list)) {
        return;
    } else if (look == LOOK_FURTHER) {
        join(w, r, WAITS_FAR);
    } else if (r->waits.again) {
        make_due(w, r);
    } else {
        enlist(w, r);
    }
}

static void *wakes_run(void *arg) {
    struct wakes *w = arg;
    struct reader *r;
    pthread_mutex_lock(&w->lock);
    while ((r = next_due(w))) {
        pthread_mutex_unlock(&w->lock);
        enum reader_look look = reader_look(r);
        pthread_mutex_lock(&w->lock);
        looked(w, r, look);
        pthread_mutex_unlock(&w->lock);
        reader_unref(r);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static int start(struct wakes *w) {
    if (w->started)
        return 0;
    w->seen = feed_position(w->feed);
    int r = pthread_create(&w->thread, NULL, wakes_run, w);
    if (r != 0)
        return -r;
    pthread_setname_np(w->thread, "consumers");
    w->started = true;
    return 0;
}

void wakes_stop(struct wakes *w) {
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    rouse(w);
    pthread_mutex_unlock(&w->lock);
}

void wakes_deinit(struct wakes *w) {
    pthread_mutex_lock(&w->lock);
    w->stopping = w->ending = true;
    rouse(w);
    bool started = w->started;
    pthread_mutex_unlock(&w->lock);
    if (started)
        pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->needed);
    pthread_mutex_destroy(&w->lock);
}

/* --- waiting */

int reader_wait(struct reader *r, struct reader_wait *wait) {
    struct wakes *w = &r->consumer->all->wakes;
    pthread_mutex_lock(&w->lock);
    int result = start(w);
    if (result == 0) {
        wait->reader = r;
        wait->waiting = true;
        TAILQ_INSERT_TAIL(&r->waits.list, wait, link);
        if (r->waits.state == WAITS_NONE)
            enlist(w, r);
        else if (r->waits.state == WAITS_LOOKED)
            r->waits.again = true;
    }
    pthread_mutex_unlock(&w->lock);
    return result;
}

bool reader_unwait(struct reader_wait *wait) {
    struct reader *r = wait->reader;
    struct wakes *w = &r->consumer->all->wakes;
    pthread_mutex_lock(&w->lock);
    bool waiting = wait->waiting;
    if (waiting) {
        TAILQ_REMOVE(&r->waits.list, wait, link);
        wait->waiting = false;
        if (TAILQ_EMPTY(&r->waits.list) && r->waits.state != WAITS_LOOKED)
            leave(w, r);
    }
    pthread_mutex_unlock(&w->lock);
    return waiting;
}
