/* The keeper: one thread that waits for what views get to: builds that have caught up change places with what served,
 * barriers are answered, and who moved a parked event while its view was being rebuilt is served. */
#include "views_private.h"

#include "clock.h"
#include "store_parts.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_MS 1000

void views_wake(struct views *vs) {
    pthread_mutex_lock(&vs->lock);
    atomic_store(&vs->watched, true);
    pthread_cond_signal(&vs->news);
    pthread_mutex_unlock(&vs->lock);
}

/* For each commit of each view: it costs a lock only while somebody waits for something. */
void views_progressed(void *maker) {
    struct views *vs = ((struct maker *)maker)->store->views;
    if (atomic_load(&vs->watched))
        views_wake(vs);
}

/* --- barriers */

/* What keeps a view from getting on by itself; NULL when nothing does. */
static const char *side_hindrance(struct views *vs, const struct side *side, struct follower_status *status) {
    if (!side->follower)
        return side->broken.code ? side->broken.text
               : vs->read_only   ? "the store is mounted read-only"
                                 : "not followed";
    follower_status(side->follower, status);
    if (status->state == FOLLOWER_HALTED)
        return status->halted.text;
    if (status->state == FOLLOWER_WAITING && store_read_only(vs->store))
        return "the store is read-only";
    if (atomic_load(&vs->failed))
        return "the database of views has failed";
    return status->state == FOLLOWER_WAITING && !store_has_room(vs->store) ? "the disk is full" : NULL;
}

/* Whether another domain is in force than the one that the side's handlers are from: a reload is under way, and follows
 * the log for it anew. */
static bool side_is_outdated(struct views *vs, const struct side *side) {
    if (!side->maker || store_read_only(vs->store))
        return false;
    struct domain *d = store_domain(vs->store);
    bool other = d != side->maker->domain;
    domain_unref(d);
    return other;
}

/* Whether the barrier waits for a view; one that cannot get on is named instead. */
static bool view_is_late(struct views *vs, const struct view *v, uint64_t target, json_t *halted) {
    struct follower_status status = {0};
    const struct side *side = v->beside.build ? &v->beside : &v->now;
    if (v->moving)
        return true;
    const char *why = side_hindrance(vs, side, &status);
    if (why && side_is_outdated(vs, side))
        return true;
    if (why) {
        json_object_setn_new(halted, v->name.p, v->name.n, json_string(why));
        return false;
    }
    return v->beside.build || status.position < target;
}

/* 1: it is answered, with *text to be freed; 0: it waits. */
static int barrier_look(struct views *vs, const struct barrier *b, char **text) {
    json_t *object = json_object(), *halted = json_object();
    char position[17];
    struct view *v;
    bool late = false;
    LIST_FOREACH(v, &vs->list, link)
    if (v->defined)
        late |= view_is_late(vs, v, b->target, halted);
    snprintf(position, sizeof position, "%016llx", (unsigned long long)b->target);
    json_object_set_new(object, "position", json_string(position));
    json_object_set_new(object, "halted", halted);
    *text = late ? NULL : json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(object);
    return !late;
}

static void barrier_answer(struct barrier *b, int result, char *text) {
    struct buf line = {0};
    if (result == 0 && text) {
        buf_put_text(&line, text);
        buf_put_char(&line, '\n');
    }
    if (result == 0 && (!text || line.oom))
        result = -ENOMEM;
    b->done(b->arg, result, buf_str(&line));
    buf_free(&line);
    free(text);
    free(b);
}

/* The first barrier that can be answered, taken out of the list. With the lock held. */
static struct barrier *barrier_next(struct views *vs, uint64_t now, int *result, char **text) {
    struct barrier *b;
    LIST_FOREACH(b, &vs->barriers, link) {
        *text = NULL;
        *result = vs->stopping ? -ESHUTDOWN : 0;
        bool over = vs->stopping || barrier_look(vs, b, text);
        if (!over && b->deadline && b->deadline <= now) {
            *result = -ETIMEDOUT;
            over = true;
        }
        if (!over)
            continue;
        LIST_REMOVE(b, link);
        return b;
    }
    return NULL;
}

static void barriers_answer(struct views *vs) {
    int result;
    char *text;
    for (;;) {
        pthread_mutex_lock(&vs->lock);
        struct barrier *b = barrier_next(vs, clock_ms(), &result, &text);
        pthread_mutex_unlock(&vs->lock);
        if (!b)
            return;
        barrier_answer(b, result, text);
    }
}

void views_barrier(struct views *vs, uint64_t timeout, views_barrier_done *done, void *arg) {
    struct barrier *b = malloc(sizeof *b);
    if (!b) {
        done(arg, -ENOMEM, (struct str){0});
        return;
    }
    *b = (struct barrier){.target = feed_position(&vs->store->feed), .done = done, .arg = arg};
    b->deadline = timeout ? clock_ms() + timeout : 0;
    pthread_mutex_lock(&vs->lock);
    bool stopping = vs->stopping;
    if (!stopping) {
        LIST_INSERT_HEAD(&vs->barriers, b, link);
        atomic_store(&vs->watched, true);
        pthread_cond_signal(&vs->news);
    }
    pthread_mutex_unlock(&vs->lock);
    if (stopping)
        barrier_answer(b, -ESHUTDOWN, NULL);
}

/* --- rebuilds that are done */

static struct view *view_ready(struct views *vs, struct side *old) {
    struct view *v;
    LIST_FOREACH(v, &vs->list, link)
    if (v->beside.build && view_has_caught_up(vs, v)) {
        view_change_over(vs, v, old);
        return v;
    }
    return NULL;
}

static void rebuilds_end(struct views *vs) {
    for (;;) {
        struct side old = {0};
        pthread_mutex_lock(&vs->lock);
        struct view *v = vs->stopping ? NULL : view_ready(vs, &old);
        pthread_mutex_unlock(&vs->lock);
        if (!v)
            return;
        side_end(vs, &old, true);
    }
}

/* --- parked events */

static void pending_answer(struct pending *p, int result) {
    p->done(p->arg, result);
    free(p);
}

/* A rebuild may have made good what was parked; then there is nothing left to do. */
static int pending_result(struct pending *p, int result) {
    if (result == -ENOENT && view_was_resolved(p->views, p->no, p->position)) {
        view_resolved_forget(p->views, p->no, p->position);
        return 0;
    }
    return result == -ENOENT && p->recorded ? 0 : result;
}

static void skip_recorded(void *arg, enum outcome outcome) {
    struct pending *p = arg;
    p->recorded = outcome == OUTCOME_OK;
    if (p->recorded)
        pending_dispatch(p->views, p);
    else
        pending_answer(p, -outcome_errno(outcome));
}

/* Only what is parked is recorded: what is in the view already, as a rebuild has taken it in, would be out of it after
 * the next one. */
static void skip_record(struct pending *p) {
    char name[VIEW_FOLLOWER_ROOM];
    struct view_info info;
    int r = views_get(p->views, p->no, &info);
    if (r == 0)
        store_skip(p->views->store, view_follower(info.name, name), p->position, &p->caller, skip_recorded, p);
    else
        pending_answer(p, r == VIEW_NONE ? -ENOENT : r);
}

struct again {
    struct maker *maker;
    struct pending *pending;
};

static void again_work(void *arg, bool stopped) {
    struct again *a = arg;
    struct pending *p = a->pending;
    struct views *vs = p->views;
    if (stopped) { /* by a reload: what follows the log then is asked */
        pthread_mutex_lock(&vs->lock);
        STAILQ_INSERT_TAIL(&vs->pending, p, link);
        pthread_mutex_unlock(&vs->lock);
        views_wake(vs);
    } else if (p->skip && !p->recorded && maker_has_parked(a->maker, p->position)) {
        skip_record(p);
    } else {
        int r = p->skip ? maker_skip(a->maker, p->position) : maker_retry(a->maker, p->position);
        pending_answer(p, pending_result(p, r));
    }
    free(a);
}

/* Whether it is done with, or on its way; false: it waits. *result is for whoever answers, when it is not 1. */
static bool pending_try(struct views *vs, struct pending *p, int *result) {
    struct view *v = view_by_no(vs, p->no);
    struct follower_status status;
    *result = vs->stopping ? -ESHUTDOWN : !v || !v->defined ? -ENOENT : 0;
    if (*result < 0)
        return true;
    if (v->moving || (v->beside.build && side_hindrance(vs, &v->beside, &status) == NULL))
        return false;
    if (!v->now.follower) {
        *result = store_read_only(vs->store) ? -EROFS : -EBUSY;
        return true;
    }
    struct again *a = malloc(sizeof *a);
    if (a)
        *a = (struct again){v->now.maker, p};
    *result = a && follower_call(v->now.follower, again_work, a) == 0 ? 1 : -ENOMEM;
    if (*result < 0)
        free(a);
    return true;
}

void pending_dispatch(struct views *vs, struct pending *p) {
    int result;
    pthread_mutex_lock(&vs->lock);
    bool over = pending_try(vs, p, &result);
    if (!over) {
        STAILQ_INSERT_TAIL(&vs->pending, p, link);
        atomic_store(&vs->watched, true);
        pthread_cond_signal(&vs->news);
    }
    pthread_mutex_unlock(&vs->lock);
    if (over && result <= 0)
        pending_answer(p, result);
}

static void pending_look(struct views *vs) {
    STAILQ_HEAD(, pending) list = STAILQ_HEAD_INITIALIZER(list);
    struct pending *p;
    pthread_mutex_lock(&vs->lock);
    STAILQ_CONCAT(&list, &vs->pending);
    pthread_mutex_unlock(&vs->lock);
    while ((p = STAILQ_FIRST(&list))) {
        STAILQ_REMOVE_HEAD(&list, link);
        pending_dispatch(vs, p);
    }
}

/* --- the thread */

/* With the lock held. Whether anybody waits for progress. */
static bool is_watching(struct views *vs) {
    struct view *v;
    LIST_FOREACH(v, &vs->list, link)
    if (v->beside.build)
        return true;
    return !LIST_EMPTY(&vs->barriers) || !STAILQ_EMPTY(&vs->pending);
}

static void wait_for_news(struct views *vs) {
    struct timespec end;
    struct barrier *b;
    uint64_t at = clock_ms() + LOOK_MS;
    LIST_FOREACH(b, &vs->barriers, link)
    if (b->deadline && b->deadline < at)
        at = b->deadline;
    end.tv_sec = (time_t)(at / 1000);
    end.tv_nsec = (long)(at % 1000) * 1000000;
    pthread_cond_timedwait(&vs->news, &vs->lock, &end);
}

/* `watched` is set before things are looked at: who gets on afterwards says so. */
void *keeper_run(void *arg) {
    struct views *vs = arg;
    pthread_setname_np(pthread_self(), "views");
    pthread_mutex_lock(&vs->lock);
    while (!vs->stopping) {
        atomic_store(&vs->watched, is_watching(vs));
        pthread_mutex_unlock(&vs->lock);
        rebuilds_end(vs);
        barriers_answer(vs);
        pending_look(vs);
        pthread_mutex_lock(&vs->lock);
        if (!vs->stopping)
            wait_for_news(vs);
    }
    pthread_mutex_unlock(&vs->lock);
    return NULL;
}

/* Takes one follower away from its side. */
static struct follower *follower_take(struct views *vs) {
    struct follower *f = NULL;
    struct view *v;
    pthread_mutex_lock(&vs->lock);
    LIST_FOREACH(v, &vs->list, link) {
        struct side *side = v->now.follower ? &v->now : &v->beside;
        if (!side->follower)
            continue;
        f = side->follower;
        side->follower = NULL;
        break;
    }
    pthread_mutex_unlock(&vs->lock);
    return f;
}

static void followers_signal(struct views *vs) {
    struct view *v;
    pthread_mutex_lock(&vs->lock);
    LIST_FOREACH(v, &vs->list, link) {
        if (v->now.follower)
            follower_signal(v->now.follower);
        if (v->beside.follower)
            follower_signal(v->beside.follower);
    }
    pthread_mutex_unlock(&vs->lock);
}

/* What a follower has not done it gives back when it is stopped, and then that is answered too. */
void views_stop(struct views *vs) {
    struct follower *f;
    pthread_mutex_lock(&vs->lock);
    bool running = vs->kept;
    vs->stopping = true;
    vs->kept = false;
    pthread_cond_signal(&vs->news);
    pthread_mutex_unlock(&vs->lock);
    if (running)
        pthread_join(vs->keeper, NULL);
    followers_signal(vs);
    while ((f = follower_take(vs)))
        follower_stop(f);
    barriers_answer(vs);
    pending_look(vs);
}

/* --- for readers */

static void order(struct views *vs, const struct pending *like) {
    struct pending *p = malloc(sizeof *p);
    if (!p) {
        like->done(like->arg, -ENOMEM);
        return;
    }
    *p = *like;
    pending_dispatch(vs, p);
}

void views_retry(struct views *vs, uint32_t no, uint64_t position, views_done *done, void *arg) {
    order(vs, &(struct pending){.views = vs, .no = no, .position = position, .done = done, .arg = arg});
}

void views_skip(struct views *vs, uint32_t no, uint64_t position, const struct caller *caller, views_done *done,
                void *arg) {
    struct buf text = {0};
    int r = views_parked_text(vs, no, position, &text);
    buf_free(&text);
    if (r != 0) {
        done(arg, r == VIEW_NONE ? -ENOENT : r);
        return;
    }
    struct pending like = {
        .views = vs, .no = no, .position = position, .skip = true, .caller = *caller, .done = done, .arg = arg};
    like.caller.who.gids = NULL;
    like.caller.who.n_gids = 0;
    order(vs, &like);
}
