#include "views_private.h"

#include "store_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

/* --- the catalog */

static int catalog_each(struct db *db,
                        int (*visit)(void *arg, uint32_t no, const struct view_record *r, struct err *err), void *arg,
                        struct err *err) {
    struct view_key_bytes from = view_key_begin(0, VIEW_CLASS_VIEW), to = view_key_begin(0, VIEW_CLASS_VIEW + 1);
    const struct db_iter_options options = {.upper = view_key_str(&to)};
    struct db_iter *it = db_iter_new(db, DB_VIEWS, &options);
    struct db_pair pair;
    if (!it)
        return err_set(err, ENOMEM, "out of memory");
    int r = db_iter_seek(it, view_key_str(&from), &pair, err);
    while (r == 0) {
        struct view_record record;
        uint64_t no;
        if (view_key_numbers(pair.key, &no, 1) != 1 || view_record_get(pair.value, &record) < 0)
            r = err_set(err, EUCLEAN, "the list of views is damaged: esfsctl rebuild makes it anew");
        if (r == 0)
            r = visit(arg, (uint32_t)no, &record, err);
        if (r == 0)
            r = db_iter_next(it, &pair, err);
    }
    db_iter_free(it);
    return r == DB_NOT_FOUND ? 0 : r;
}

static int meta_read(struct db *db, uint64_t build, struct build_meta *out, struct err *err) {
    struct view_key_bytes key = view_key_begin(build, VIEW_CLASS_META);
    struct db_value value;
    int r = db_get(db, DB_VIEWS, view_key_str(&key), &value, err);
    if (r != 0)
        return r;
    r = build_meta_get(value.bytes, out);
    db_value_release(&value);
    return r < 0 ? err_set(err, EUCLEAN, "what is kept of a view is damaged: esfsctl rebuild makes it anew") : 0;
}

/* The view and the counters, in one batch with what else there is. With the lock held. */
static int catalog_write(struct views *vs, const struct view *v, struct changes *more, struct err *err) {
    struct view_key_bytes key = view_key_begin(0, VIEW_CLASS_VIEW), meta = view_key_begin(0, VIEW_CLASS_META);
    struct changes own = {.of = CHANGES_OF_VIEWS}, *changes = more ? more : &own;
    struct buf value = {0}, counters = {0};
    const struct view_record record = {v->now.build, v->beside.build, v->name};
    view_key_add(&key, v->no);
    view_record_put(&record, &value);
    catalog_meta_put(&vs->catalog, &counters);
    int r = value.oom || counters.oom ? -ENOMEM : changes_put(changes, view_key_str(&key), buf_str(&value));
    if (r == 0)
        r = changes_put(changes, view_key_str(&meta), buf_str(&counters));
    if (r < 0)
        err_set(err, ENOMEM, "out of memory");
    else if ((r = db_views_write(vs->db, changes->list, changes->n, err)) < 0)
        views_fail(vs, err);
    changes_free(&own);
    buf_free(&value);
    buf_free(&counters);
    return r;
}

/* --- sides */

void side_meta(const struct side *side, struct build_meta *out) {
    if (side->maker)
        maker_meta(side->maker, out);
    else
        *out = side->stored;
}

/* A writer may outrun every view for hours: what has got as far as what serves need not reach the head of the log. */
bool view_has_caught_up(struct views *vs, const struct view *v) {
    struct follower_status now = {.state = FOLLOWER_HALTED}, beside;
    if (!v->beside.follower)
        return false;
    if (v->now.follower)
        follower_status(v->now.follower, &now);
    follower_status(v->beside.follower, &beside);
    if (beside.state != FOLLOWER_LIVE && beside.state != FOLLOWER_CATCHING_UP)
        return false;
    return beside.position >= feed_position(&vs->store->feed) ||
           (now.state != FOLLOWER_HALTED && beside.position >= now.position && now.position > 0);
}

void views_fail(struct views *vs, const struct err *err) {
    if (!atomic_exchange(&vs->failed, true))
        store_report(vs->store, "no view goes on until the store is mounted again", err);
}

/* A store without room, or one that has failed, is not written to: the disk's reserve is for the log. */
static bool can_commit(void *arg) {
    struct views *vs = arg;
    return !atomic_load(&vs->failed) && !store_read_only(vs->store) && store_has_room(vs->store);
}

static void skip_decided(void *arg, bool stopped) {
    struct maker *m = arg;
    if (!stopped)
        maker_skip_decided(m);
}

static int side_follow(struct views *vs, struct side *side) {
    static const struct follower_ops ops = {.event = maker_event,
                                            .full = maker_full,
                                            .commit = maker_commit,
                                            .abandon = maker_abandon,
                                            .changed = views_progressed};
    struct store *s = vs->store;
    char name[16];
    struct build_meta meta;
    maker_meta(side->maker, &meta);
    snprintf(name, sizeof name, "v:%.12s", side->maker->view->name.p);
    const struct follower_options options = {.name = name,
                                             .source = {s->index, s->log, home_id(s->home)},
                                             .feed = &s->feed,
                                             .position = meta.position,
                                             .has_room = can_commit,
                                             .room_arg = vs,
                                             .ops = &ops,
                                             .arg = side->maker};
    bool parked = side->maker->parking.n > 0; /* the follower's from its start on */
    int r = follower_start(&side->follower, &options);
    if (r == 0 && parked)
        r = follower_call(side->follower, skip_decided, side->maker);
    return r;
}

/* Nobody else looks at the side yet. */
static void side_begin(struct views *vs, struct side *side, struct domain *d, const struct domain_view *def,
                       uint64_t build) {
    struct err err = {0};
    *side = (struct side){.build = build};
    int r = maker_new(&side->maker, vs, d, def, build, &err);
    if (r == 0 && (r = side_follow(vs, side)) < 0)
        err_set(&err, -r, "no thread can be started for it: errno %d", -r);
    if (r == 0)
        return;
    maker_free(side->maker);
    side->maker = NULL;
    side->broken = err;
    store_report(vs->store, def->file.p, &err);
}

static void build_remove(struct views *vs, uint64_t build) {
    struct view_key_bytes from = view_key_build(build), to = view_key_build(build + 1);
    struct err err = {0};
    if (store_read_only(vs->store))
        return;
    if (db_views_clear(vs->db, view_key_str(&from), view_key_str(&to), &err) < 0)
        views_fail(vs, &err);
}

void side_end(struct views *vs, struct side *side, bool remove) {
    follower_stop(side->follower);
    maker_free(side->maker);
    if (remove && side->build)
        build_remove(vs, side->build);
    *side = (struct side){0};
}

/* --- views */

struct view *view_by_no(struct views *vs, uint32_t no) {
    struct view *v;
    LIST_FOREACH(v, &vs->list, link)
    if (v->no == no)
        return v;
    return NULL;
}

static struct view *view_by_name(struct views *vs, struct str name) {
    struct view *v;
    LIST_FOREACH(v, &vs->list, link)
    if (str_eq(v->name, name))
        return v;
    return NULL;
}

static struct view *view_add(struct views *vs, uint32_t no, struct str name) {
    struct view *v = calloc(1, sizeof *v + name.n + 1);
    if (!v)
        return NULL;
    memcpy(v + 1, name.p, name.n);
    v->no = no;
    v->name = (struct str){(char *)(v + 1), name.n};
    LIST_INSERT_HEAD(&vs->list, v, link);
    return v;
}

static int side_load(struct views *vs, struct side *side, uint64_t build, struct err *err) {
    side->build = build;
    char line[256];
    int r = build ? meta_read(vs->db, build, &side->stored, err) : 0;
    if (r == DB_NOT_FOUND)
        side->build = 0; /* a crash came before its first batch */
    if (r != 0 || side->stored.position <= feed_position(&vs->store->feed))
        return r < 0 ? r : 0;
    /* With durability=os or fsync the log may lose in a power cut what a view has kept. */
    snprintf(line, sizeof line,
             "view build %llu has seen position %016llx, which the log does not have: it is made anew",
             (unsigned long long)build, (unsigned long long)side->stored.position);
    store_tell(vs->store, LOG_WARNING, line);
    side->build = 0;
    return 0;
}

static int view_load(void *arg, uint32_t no, const struct view_record *record, struct err *err) {
    struct views *vs = arg;
    struct view *v = view_add(vs, no, record->name);
    if (!v)
        return err_set(err, ENOMEM, "out of memory");
    int r = side_load(vs, &v->now, record->serving, err);
    return r < 0 ? r : side_load(vs, &v->beside, record->building, err);
}

static bool is_of(const struct side *side, const struct domain_view *def) {
    struct build_meta meta;
    if (!side->build)
        return false;
    side_meta(side, &meta);
    return meta.index == def->index && memcmp(meta.hash, def->hash, sizeof meta.hash) == 0;
}

void view_change_over(struct views *vs, struct view *v, struct side *old) {
    struct changes changes = {.of = CHANGES_OF_VIEWS};
    struct err err = {0};
    struct side now = v->now;
    int r = view_resolved_note(vs, v->no, now.build, v->beside.build, &changes, &err);
    v->now = v->beside;
    v->beside = (struct side){0};
    if (r == 0)
        r = catalog_write(vs, v, &changes, &err);
    if (r < 0)
        store_report(vs->store, "a rebuilt view takes over", &err);
    changes_free(&changes);
    *old = now;
    atomic_fetch_add(&vs->moment, 1);
}

/* --- adopting */

/* What a view does under a domain: its sides are taken out, so that they can be stopped without the lock. */
static void sides_take(struct views *vs, struct view *v, struct side *now, struct side *beside) {
    pthread_mutex_lock(&vs->lock);
    *now = v->now;
    *beside = v->beside;
    /* Readers go on; nobody may call the followers any more. */
    side_meta(now, &v->now.stored);
    v->now.maker = v->beside.maker = NULL;
    v->now.follower = v->beside.follower = NULL;
    pthread_mutex_unlock(&vs->lock);
}

/* Nobody follows the log for it any more. */
static void side_stop(struct side *side) {
    uint64_t build = side->build;
    struct build_meta stored;
    follower_stop(side->follower);
    side->follower = NULL;
    side_meta(side, &stored);
    maker_free(side->maker);
    *side = (struct side){.build = build, .stored = stored};
}

/* Goes on with a build under another domain that makes the same of it. */
static void side_resume(struct views *vs, struct side *side, struct domain *d, const struct domain_view *def) {
    side_stop(side);
    const struct build_meta stored = side->stored;
    if (!vs->read_only)
        side_begin(vs, side, d, def, side->build);
    side->stored = stored;
}

/* 0: there are none left. */
static uint64_t build_number(struct views *vs, struct err *err) {
    pthread_mutex_lock(&vs->lock);
    uint64_t build = vs->catalog.next_build <= VIEW_BUILD_MAX ? vs->catalog.next_build++ : 0;
    pthread_mutex_unlock(&vs->lock);
    if (!build)
        err_set(err, ENOSPC, "a store can build %u views, and this one has: esfsctl rebuild begins anew",
                VIEW_BUILD_MAX);
    return build;
}

/* Begins to build, beside what is served or, when there is nothing, in its place. */
static void side_begin_anew(struct views *vs, struct side *now, struct side *beside, struct domain *d,
                            const struct domain_view *def) {
    struct err err = {0};
    uint64_t build = build_number(vs, &err);
    if (build) {
        side_begin(vs, now->build ? beside : now, d, def, build);
        return;
    }
    side_stop(now);
    now->broken = err;
    store_report(vs->store, def->file.p, &err);
}

/* Which build serves, and which is made beside it. */
static void sides_settle(struct views *vs, struct side *now, struct side *beside, struct domain *d,
                         const struct domain_view *def) {
    if (!now->build && beside->build) { /* what was served is lost, as side_load() tells */
        *now = *beside;
        *beside = (struct side){0};
    }
    bool fits = is_of(now, def);
    if (is_of(beside, def))
        side_resume(vs, beside, d, def);
    else if (beside->build && !vs->read_only)
        side_end(vs, beside, true);
    if (fits)
        side_resume(vs, now, d, def);
    if (vs->read_only || fits || beside->build)
        return;
    side_begin_anew(vs, now, beside, d, def);
}

static void view_adopt(struct views *vs, struct view *v, struct domain *d, const struct domain_view *def) {
    struct side now, beside;
    struct err err = {0};
    sides_take(vs, v, &now, &beside);
    sides_settle(vs, &now, &beside, d, def);
    pthread_mutex_lock(&vs->lock);
    v->now = now;
    v->beside = beside;
    v->moving = false;
    v->defined = now.build != 0;
    if (!vs->read_only && catalog_write(vs, v, NULL, &err) < 0)
        store_report(vs->store, def->file.p, &err);
    pthread_mutex_unlock(&vs->lock);
}

/* The number stays taken: nothing else is to be found under it. */
static void view_remove(struct views *vs, struct view *v) {
    struct side now, beside;
    struct err err = {0};
    pthread_mutex_lock(&vs->lock);
    v->defined = v->moving = false;
    pthread_mutex_unlock(&vs->lock);
    if (vs->read_only)
        return;
    sides_take(vs, v, &now, &beside);
    pthread_mutex_lock(&vs->lock);
    bool had = now.build || beside.build;
    v->now = v->beside = (struct side){0};
    if (had && catalog_write(vs, v, NULL, &err) < 0)
        store_report(vs->store, "removing a view", &err);
    pthread_mutex_unlock(&vs->lock);
    side_end(vs, &now, true);
    side_end(vs, &beside, true);
}

static struct view *view_for(struct views *vs, const struct domain_view *def, struct err *err) {
    pthread_mutex_lock(&vs->lock);
    struct view *v = view_by_name(vs, def->name);
    if (!v && vs->catalog.next_view > VIEW_NO_MAX)
        err_set(err, ENOSPC, "a store can have had %d views, and this one has", VIEW_NO_MAX);
    else if (!v && !vs->read_only && !(v = view_add(vs, (uint32_t)vs->catalog.next_view++, def->name)))
        err_set(err, ENOMEM, "out of memory");
    pthread_mutex_unlock(&vs->lock);
    return v;
}

static void all_move(struct views *vs) {
    struct view *v;
    pthread_mutex_lock(&vs->lock);
    LIST_FOREACH(v, &vs->list, link)
    v->moving = v->defined;
    pthread_mutex_unlock(&vs->lock);
}

void views_adopt(struct views *vs, struct domain *d) {
    struct view *v, *next;
    all_move(vs);
    for (v = LIST_FIRST(&vs->list); v; v = next) {
        next = LIST_NEXT(v, link);
        if (!domain_view(d, v->name))
            view_remove(vs, v);
    }
    for (size_t i = 0; i < d->n_views; i++) {
        struct err err = {0};
        v = view_for(vs, &d->views[i], &err);
        if (v)
            view_adopt(vs, v, d, &d->views[i]);
        else if (err.code)
            store_report(vs->store, d->views[i].file.p, &err);
    }
    views_moved(vs);
    views_wake(vs);
}

static int view_rebuild(struct views *vs, uint32_t no, struct domain *d) {
    struct side old, fresh = {0};
    struct err err = {0};
    pthread_mutex_lock(&vs->lock);
    struct view *v = view_by_no(vs, no);
    const struct domain_view *def = v && v->defined ? domain_view(d, v->name) : NULL;
    pthread_mutex_unlock(&vs->lock);
    if (!def)
        return VIEW_NONE;
    uint64_t build = build_number(vs, &err);
    if (!build) {
        store_report(vs->store, def->file.p, &err);
        return -ENOSPC;
    }
    pthread_mutex_lock(&vs->lock);
    old = v->beside;
    v->beside = (struct side){0};
    pthread_mutex_unlock(&vs->lock);
    side_end(vs, &old, true);
    side_begin(vs, &fresh, d, def, build);
    pthread_mutex_lock(&vs->lock);
    v->beside = fresh;
    int r = catalog_write(vs, v, NULL, &err);
    pthread_mutex_unlock(&vs->lock);
    views_wake(vs);
    return r;
}

int views_rebuild(struct views *vs, uint32_t no) {
    if (store_read_only(vs->store))
        return -EROFS;
    /* Not while a domain is being brought into force: that settles what is built. */
    pthread_mutex_lock(&vs->store->adopting);
    struct domain *d = store_domain(vs->store);
    int r = view_rebuild(vs, no, d);
    domain_unref(d);
    pthread_mutex_unlock(&vs->store->adopting);
    return r;
}

/* --- life */

/* A store that may not be written to need not have one. */
static int database_open(struct views *vs, struct err *err) {
    const char *path = home_views_path(vs->store->home);
    char current[4096];
    snprintf(current, sizeof current, "%s/CURRENT", path);
    bool there = access(current, F_OK) == 0;
    const struct db_options options = {.create = !there, .read_only = vs->read_only, .views = true};
    if (!there && vs->read_only)
        return 0;
    int r = db_open(&vs->db, path, &options, err);
    if (r < 0 && err->code != ENOMEM) {
        struct err why = *err;
        err_set(err, why.code, "%.300s (views/ can be made again: esfsctl rebuild)", why.text);
    }
    return r;
}

static int catalog_load(struct views *vs, struct err *err) {
    struct view_key_bytes key = view_key_begin(0, VIEW_CLASS_META);
    struct db_value value;
    int r = db_get(vs->db, DB_VIEWS, view_key_str(&key), &value, err);
    vs->catalog = (struct catalog_meta){.next_view = 1, .next_build = 1};
    if (r == 0) {
        r = catalog_meta_get(value.bytes, &vs->catalog);
        db_value_release(&value);
        if (r < 0)
            return err_set(err, EUCLEAN, "the list of views is damaged: esfsctl rebuild makes it anew");
    }
    return r < 0 ? r : catalog_each(vs->db, view_load, vs, err);
}

static int build_order(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Removes builds that no view has any more: a crash may have come before they were removed. */
static int builds_sweep(struct views *vs) {
    struct view *v;
    size_t n = 0, room = 2;
    LIST_FOREACH(v, &vs->list, link)
    room += 2;
    uint64_t *builds = calloc(room, sizeof *builds);
    if (!builds)
        return -ENOMEM;
    LIST_FOREACH(v, &vs->list, link) {
        builds[n++] = v->now.build;
        builds[n++] = v->beside.build;
    }
    builds[n++] = vs->catalog.next_build;
    qsort(builds, n, sizeof *builds, build_order);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        uint64_t from = i ? builds[i - 1] + 1 : 1;
        struct view_key_bytes first = view_key_build(from), end = view_key_build(builds[i]);
        if (from < builds[i])
            r = db_views_clear(vs->db, view_key_str(&first), view_key_str(&end), NULL);
    }
    /* One may have been begun whose number was not noted any more. */
    struct view_key_bytes first = view_key_build(vs->catalog.next_build), end = view_key_build(UINT32_MAX);
    if (r == 0)
        r = db_views_clear(vs->db, view_key_str(&first), view_key_str(&end), NULL);
    free(builds);
    return r;
}

int views_new(struct views **out, struct store *s, struct err *err) {
    pthread_condattr_t attr;
    struct views *vs = calloc(1, sizeof *vs);
    if (!vs)
        return err_set(err, ENOMEM, "out of memory");
    vs->store = s;
    vs->read_only = store_read_only(s);
    LIST_INIT(&vs->list);
    LIST_INIT(&vs->barriers);
    STAILQ_INIT(&vs->pending);
    atomic_init(&vs->moment, 1);
    pthread_mutex_init(&vs->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&vs->news, &attr);
    pthread_condattr_destroy(&attr);
    int r = database_open(vs, err);
    if (r == 0 && vs->db)
        r = catalog_load(vs, err);
    if (r == 0 && !vs->read_only && (r = builds_sweep(vs)) < 0)
        err_set(err, -r, "the remains of views cannot be removed: errno %d", -r);
    if (r == 0 && (r = -pthread_create(&vs->keeper, NULL, keeper_run, vs)) < 0)
        err_set(err, -r, "the thread that watches over views cannot be started: errno %d", -r);
    vs->kept = r == 0;
    if (r < 0) {
        views_free(vs);
        return r;
    }
    *out = vs;
    return 0;
}

int views_free(struct views *vs) {
    struct view *v;
    if (!vs)
        return 0;
    views_stop(vs);
    while ((v = LIST_FIRST(&vs->list))) {
        LIST_REMOVE(v, link);
        side_end(vs, &v->now, false);
        side_end(vs, &v->beside, false);
        free(v);
    }
    bool failed = atomic_load(&vs->failed);
    if (!failed)
        db_close(vs->db);
    pthread_cond_destroy(&vs->news);
    pthread_mutex_destroy(&vs->lock);
    free(vs);
    return failed ? -EIO : 0;
}

struct views *store_views(struct store *s) {
    return s->views;
}

void views_moved(struct views *vs) {
    atomic_fetch_add(&vs->moment, 1);
}

uint64_t views_moment(struct views *vs) {
    return atomic_load(&vs->moment);
}
