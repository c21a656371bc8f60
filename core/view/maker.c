#include "maker.h"

#include "handlers.h"
#include "store_parts.h"
#include "views_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#define BATCH_BYTES (8u << 20)   /* that may wait for a commit, roughly */
#define BATCH_MOVES 50000        /* likewise, of links */
#define STATES_BYTES (96u << 20) /* of Lua's memory, past which everything is forgotten */
#define STATES_COUNT 500000      /* likewise, of aggregates, keys or directories */

/* --- telling */

int maker_fault(struct maker *m, const struct event *e, const char *what, const struct script_fault *fault,
                struct err *err) {
    maker_tell(m, e, "a view has halted", fault);
    if (fault->file[0])
        err_set(err, EIO, "%s:%d: %s: %s", fault->file, fault->line, what, fault->text);
    else
        err_set(err, EIO, "%s: %s: %s", m->view->file.p, what, fault->text);
    return FOLLOW_HALT;
}

int maker_stop_at(const struct event *e, int r, struct err *err) {
    struct err why = *err;
    if (!why.code)
        err_set(&why, r < 0 ? -r : EIO, "%s", r == -ENOMEM ? "out of memory" : "it failed");
    err_set(err, why.code, "position %016llx, %.*s/%.*s: %s", (unsigned long long)e->position, (int)e->aggregate_type.n,
            e->aggregate_type.p, (int)e->aggregate_id.n, e->aggregate_id.p, why.text);
    return r;
}

void maker_tell(struct maker *m, const struct event *e, const char *what, const struct script_fault *fault) {
    char words[96 + NAME_MAX_BYTES];
    snprintf(words, sizeof words, "%s: %s", m->follower_name, what);
    const struct handler_failure failure = {.event = e, .fault = fault, .what = words};
    store_report_handler(m->store, &failure);
}

/* --- an event */

/* What could not be brought to the newest version, or folded, belongs to no key: nothing waits behind it. */
static int park_unread(struct maker *m, const struct event *e, const struct script_fault *fault, struct err *err) {
    maker_tell(m, e, "an event of a view was parked", fault);
    m->touched = true;
    int r = parking_add(&m->parking, m->build, e->position, (struct str){NULL, 0}, fault, &m->changes);
    if (r == -EDQUOT)
        return err_set(err, EDQUOT, "%d events are parked, the last one because of %s:%d: %s", PARKED_MAX, fault->file,
                       fault->line, fault->text);
    return r;
}

static bool is_skipped(struct maker *m, uint64_t position) {
    return index_skip_find(m->store->index, str_of(m->follower_name), position) == 0;
}

/* 0; SCRIPT_FAILED with *failed when the event itself could not be read; otherwise as struct follower_ops says. */
static int event_read(struct maker *m, struct maker_event *e, struct script_fault *failed, struct err *err) {
    int r = viewer_begin(&m->viewer, &e->seen, failed);
    for (size_t i = 0; r == 0 && i < e->seen.n; i++) {
        r = viewer_step(&m->viewer, &e->seen, i, failed);
        if (r == 0 && !m->view->index)
            r = projection_event(m, e, failed, err);
    }
    if (r == 0 && m->view->index && e->seen.n > 0)
        r = tree_event(m, e, failed, err);
    return r;
}

int maker_take(struct maker *m, struct maker_event *e, struct script_fault *failed, struct err *err) {
    const struct event *stored = e->seen.stored;
    if (!viewer_follows(&m->viewer, stored, &e->seen) || (!e->only.p && is_skipped(m, stored->position)))
        return 0;
    int r = event_read(m, e, failed, err);
    viewer_end(&m->viewer);
    return r;
}

/* Events that another domain has made since need not mean anything to this one. */
static bool is_outdated(struct maker *m) {
    struct domain *d = store_domain(m->store);
    bool other = d != m->domain;
    domain_unref(d);
    return other;
}

static int event_take(struct maker *m, const struct event *stored, bool alone, struct err *err) {
    struct script_fault fault = {0};
    struct maker_event e = {.seen = {.stored = stored}, .alone = alone};
    int r = maker_take(m, &e, &fault, err);
    if (r != SCRIPT_FAILED)
        return r;
    if (is_outdated(m)) {
        err_set(err, ESTALE, "%s: what came after a reload is for the rebuilt view", fault.text);
        return FOLLOW_HALT;
    }
    return alone ? park_unread(m, stored, &fault, err) : FOLLOW_AGAIN;
}

int maker_event(void *maker, const struct event *stored, bool alone, struct err *err) {
    int r = event_take(maker, stored, alone, err);
    return r == 0 || r == FOLLOW_AGAIN ? r : maker_stop_at(stored, r, err);
}

/* --- a batch */

bool maker_full(void *maker) {
    struct maker *m = maker;
    return m->changes.arena.total > BATCH_BYTES || m->tree.n_moves > BATCH_MOVES || projection_full(m) ||
           script_memory(domain_vm_script(m->vm)) > 2 * (size_t)STATES_BYTES;
}

/* Between two batches everything can be read back from the build. */
static void states_trim(struct maker *m) {
    struct script *s = domain_vm_script(m->vm);
    if (script_memory(s) < STATES_BYTES && m->viewer.aggregates.n < STATES_COUNT && m->projection.n < STATES_COUNT &&
        m->tree.n < STATES_COUNT)
        return;
    aggregates_clear(&m->viewer.aggregates);
    projection_clear(m);
    tree_clear(m);
    script_collect(s, true);
}

static int meta_put(struct maker *m) {
    struct view_key_bytes key = view_key_begin(m->build, VIEW_CLASS_META);
    buf_clear(&m->scratch);
    build_meta_put(&m->next, &m->scratch);
    return m->scratch.oom ? -ENOMEM : changes_put(&m->changes, view_key_str(&key), buf_str(&m->scratch));
}

static void meta_publish(struct maker *m) {
    pthread_mutex_lock(&m->lock);
    m->meta = m->next;
    pthread_mutex_unlock(&m->lock);
}

void maker_meta(struct maker *m, struct build_meta *out) {
    pthread_mutex_lock(&m->lock);
    *out = m->meta;
    pthread_mutex_unlock(&m->lock);
}

#define IDLE_EVENTS 100000 /* of which nothing came: then the cursor alone is worth a write */

static int batch_write(struct maker *m, struct err *err) {
    int r = meta_put(m);
    if (r < 0)
        return err_set(err, ENOMEM, "out of memory");
    r = db_views_write(m->db, m->changes.list, m->changes.n, err);
    if (r < 0)
        views_fail(m->store->views, err);
    return r;
}

int maker_commit(void *maker, uint64_t position, struct err *err) {
    struct maker *m = maker;
    bool idle = !m->touched && m->projection.n_dirty == 0 && m->tree.n_moves == 0;
    if (idle && position - m->next.position < IDLE_EVENTS)
        return 0;
    int r = m->view->index ? tree_flush(m) : projection_flush(m, position, err);
    if (r != 0)
        return r > 0 || err->code ? r : err_set(err, -r, "out of memory");
    m->next.position = position;
    r = batch_write(m, err);
    changes_clear(&m->changes);
    m->touched = false;
    if (r < 0)
        return r;
    parking_committed(&m->parking);
    meta_publish(m);
    if (!idle)
        views_moved(m->store->views);
    states_trim(m);
    return 0;
}

void maker_abandon(void *maker) {
    struct maker *m = maker;
    struct err err = {0};
    aggregates_clear(&m->viewer.aggregates);
    projection_clear(m);
    tree_clear(m);
    changes_clear(&m->changes);
    m->touched = false;
    m->next = m->meta; /* this thread alone writes it */
    if (parking_revert(&m->parking, m->db, m->build, &err) < 0)
        store_report(m->store, m->follower_name, &err);
}

/* --- life */

static int meta_load(struct maker *m, struct err *err) {
    struct view_key_bytes key = view_key_begin(m->build, VIEW_CLASS_META);
    struct db_value value;
    int r = db_get(m->db, DB_VIEWS, view_key_str(&key), &value, err);
    if (r == DB_NOT_FOUND) {
        m->next = (struct build_meta){.index = m->view->index, .next_key = 1, .next_dir = 1};
        memcpy(m->next.hash, m->view->hash, sizeof m->next.hash);
        r = meta_put(m);
        if (r == 0)
            r = db_views_write(m->db, m->changes.list, m->changes.n, err);
        changes_clear(&m->changes);
    } else if (r == 0) {
        r = build_meta_get(value.bytes, &m->next);
        if (r < 0)
            err_set(err, EUCLEAN, "what is kept of view %s is damaged: esfsctl rebuild makes it anew", m->view->name.p);
        db_value_release(&value);
    }
    m->meta = m->next;
    return r;
}

static int maker_fill(struct maker *m, struct err *err) {
    struct store *s = m->store;
    const struct folder_options options = {.source = {s->index, s->log, home_id(s->home)}, .db = s->db};
    int r = domain_vm_new(&m->vm, m->domain, err);
    if (r < 0)
        return r;
    m->folder = folder_new(m->vm, &options);
    if (!m->folder)
        return err_set(err, ENOMEM, "out of memory");
    viewer_init(&m->viewer, m->view, m->folder);
    projection_init(&m->projection);
    tree_init(&m->tree);
    r = meta_load(m, err);
    return r < 0 ? r : parking_load(&m->parking, m->db, m->build, err);
}

int maker_new(struct maker **out, struct views *vs, struct domain *d, const struct domain_view *v, uint64_t build,
              struct err *err) {
    struct maker *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(err, ENOMEM, "out of memory");
    pthread_mutex_init(&m->lock, NULL);
    m->store = vs->store;
    m->db = vs->db;
    m->build = build;
    m->domain = domain_ref(d);
    m->view = v;
    m->changes.of = CHANGES_OF_VIEWS;
    view_follower(v->name, m->follower_name);
    int r = maker_fill(m, err);
    if (r < 0) {
        maker_free(m);
        return r;
    }
    *out = m;
    return 0;
}

void maker_free(struct maker *m) {
    if (!m)
        return;
    if (m->vm)
        projection_deinit(m);
    viewer_deinit(&m->viewer);
    tree_deinit(m);
    parking_deinit(&m->parking);
    changes_free(&m->changes);
    buf_free(&m->scratch);
    folder_free(m->folder);
    domain_vm_free(m->vm);
    domain_unref(m->domain);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
