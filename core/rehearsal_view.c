/* The views of a rehearsal follow its events, each of which is a batch of its own. */
#include "rehearsal_private.h"

#include "array.h"
#include "dialogue.h"
#include "viewer.h"
#include "views.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- life */

int rehearsal_views_new(struct rehearsal *r) {
    size_t n = r->domain->n_views;
    r->views = calloc(n + 1, sizeof *r->views);
    if (!r->views)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        viewer_init(&r->views[i].viewer, &r->domain->views[i], r->folder);
    return 0;
}

static void view_clear(struct rehearsal *r, struct rehearsed_view *v) {
    for (size_t i = 0; i < v->n_keys; i++) {
        script_drop(domain_vm_script(r->vm), v->keys[i].state);
        buf_free(&v->keys[i].text);
    }
    v->n_keys = v->n_links = 0;
    v->position = 0;
    v->failed = (struct err){0};
    aggregates_clear(&v->viewer.aggregates);
}

void rehearsal_views_clear(struct rehearsal *r) {
    for (size_t i = 0; r->views && i < r->domain->n_views; i++)
        view_clear(r, &r->views[i]);
}

void rehearsal_views_free(struct rehearsal *r) {
    rehearsal_views_clear(r);
    for (size_t i = 0; r->views && i < r->domain->n_views; i++) {
        viewer_deinit(&r->views[i].viewer);
        free(r->views[i].keys);
        free(r->views[i].links);
    }
    free(r->views);
}

/* --- failing */

/* The view takes in no more: "view by_customer cannot take in OrderPlaced, event 1 of order/1: ...". */
static int view_fail(struct rehearsed_view *v, const struct event *e, const char *what) {
    char words[DIALOGUE_WORDS];
    if (!v->fault.file[0])
        snprintf(v->fault.file, sizeof v->fault.file, "%s", v->viewer.view->file.p);
    dialogue_words(&v->fault, words);
    return err_set(&v->failed, EINVAL, "view %s cannot %s %.*s, event %llu of %.*s/%.*s: %s", v->viewer.view->name.p,
                   what, (int)e->type.n, e->type.p, (unsigned long long)e->version, (int)e->aggregate_type.n,
                   e->aggregate_type.p, (int)e->aggregate_id.n, e->aggregate_id.p, words);
}

static int key_fail(struct rehearsed_view *v, const struct event *e, const char *what, const struct shown_key *k) {
    char text[64 + VIEW_NAME_MAX];
    snprintf(text, sizeof text, "%s of key %.*s after", what, (int)k->name.n, k->name.p);
    return view_fail(v, e, text);
}

/* --- projections */

static int key_find(struct rehearsal *r, struct rehearsed_view *v, struct str key, struct shown_key **out) {
    struct buf name = {0};
    for (size_t i = 0; i < v->n_keys; i++)
        if (str_eq(v->keys[i].key, key)) {
            *out = &v->keys[i];
            return 0;
        }
    view_name_put(key, &name);
    struct shown_key k = {.key = arena_copy(&r->world, key), .name = arena_copy(&r->world, buf_str(&name))};
    bool oom = name.oom || !k.name.p || (key.n && !k.key.p) || !ARRAY_ROOM(v->keys, v->n_keys, v->keys_cap);
    buf_free(&name);
    if (oom)
        return -ENOMEM;
    *out = &v->keys[v->n_keys++];
    **out = k;
    return 0;
}

/* The state must be one that can be kept. */
static int key_take(struct rehearsed_view *v, const struct viewed *e, struct shown_key *k) {
    struct buf unread = {0};
    k->touched = true;
    int rc = viewer_project(&v->viewer, e, k->key, &k->state, &v->fault);
    if (rc != 0 || !k->state)
        return rc;
    rc = viewer_freeze(&v->viewer, k->state, &unread, &v->fault);
    buf_free(&unread);
    return rc > 0 ? key_fail(v, e->stored, "keep the state", k) : rc;
}

static int keys_take(struct rehearsal *r, struct rehearsed_view *v, const struct viewed *e) {
    struct shown_key *k = NULL;
    struct str *keys;
    size_t n;
    int rc = viewer_keys(&v->viewer, e, &keys, &n, &v->fault);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = key_find(r, v, keys[i], &k);
        if (rc == 0)
            rc = key_take(v, e, k);
    }
    return rc;
}

static int key_show(struct rehearsed_view *v, const struct event *e, struct shown_key *k) {
    buf_clear(&k->text);
    k->touched = false;
    if (!k->state)
        return 0;
    int rc = viewer_text(&v->viewer, k->key, k->state, &k->text, &v->fault);
    return rc > 0 ? key_fail(v, e, "show the file", k) : rc;
}

/* --- indexes */

static struct shown_link *link_find(struct rehearsed_view *v, uint64_t aggregate) {
    for (size_t i = 0; i < v->n_links; i++)
        if (v->links[i].aggregate == aggregate)
            return &v->links[i];
    return NULL;
}

static int dir_join(struct rehearsal *r, const struct str *names, size_t n, struct str *out) {
    struct buf path = {0};
    for (size_t i = 0; i < n; i++) {
        buf_put_text(&path, i ? "/" : "");
        buf_put_str(&path, names[i]);
    }
    *out = n ? arena_copy(&r->world, buf_str(&path)) : STR("");
    int rc = path.oom || !out->p ? -ENOMEM : 0;
    buf_free(&path);
    return rc;
}

static int link_add(struct rehearsal *r, struct rehearsed_view *v, const struct viewed *e, struct shown_link **out) {
    struct buf name = {0};
    viewer_link(&v->viewer, e, &name);
    const struct shown_link link = {.aggregate = e->stored->aggregate, .name = arena_copy(&r->world, buf_str(&name))};
    bool oom = name.oom || !link.name.p || !ARRAY_ROOM(v->links, v->n_links, v->links_cap);
    buf_free(&name);
    if (oom)
        return -ENOMEM;
    *out = &v->links[v->n_links++];
    **out = link;
    return 0;
}

static int link_take(struct rehearsal *r, struct rehearsed_view *v, const struct viewed *e) {
    struct shown_link *link = link_find(v, e->stored->aggregate);
    struct str *names;
    size_t n;
    bool present;
    int rc = viewer_path(&v->viewer, e, &names, &n, &present, &v->fault);
    if (rc == 0 && present && !link)
        rc = link_add(r, v, e, &link);
    if (rc != 0 || !link)
        return rc;
    link->dir = (struct str){NULL, 0};
    return present ? dir_join(r, names, n, &link->dir) : 0;
}

/* --- following */

static int event_read(struct rehearsal *r, struct rehearsed_view *v, const struct event *e) {
    struct viewed seen;
    if (!viewer_follows(&v->viewer, e, &seen))
        return 0;
    int rc = viewer_begin(&v->viewer, &seen, &v->fault);
    for (size_t i = 0; rc == 0 && i < seen.n; i++) {
        rc = viewer_step(&v->viewer, &seen, i, &v->fault);
        if (rc == 0 && !v->viewer.view->index)
            rc = keys_take(r, v, &seen);
    }
    if (rc == 0 && v->viewer.view->index && seen.n > 0)
        rc = link_take(r, v, &seen);
    viewer_end(&v->viewer);
    return rc;
}

static int event_take(struct rehearsal *r, struct rehearsed_view *v, const struct event *e) {
    v->fault = (struct script_fault){0};
    int rc = event_read(r, v, e);
    if (rc > 0)
        return view_fail(v, e, "take in");
    for (size_t i = 0; rc == 0 && i < v->n_keys; i++)
        if (v->keys[i].touched)
            rc = key_show(v, e, &v->keys[i]);
    return rc;
}

static int view_follow(struct rehearsal *r, struct rehearsed_view *v) {
    int rc = 0;
    while (rc == 0 && !v->failed.code && v->position < r->position) {
        const struct happening *h = &r->log[v->position++];
        rc = event_take(r, v, &h->member->events[h->i]);
    }
    return rc == -ENOMEM ? rc : -v->failed.code;
}

int rehearsal_follow(struct rehearsal *r, struct script_fault *fault, struct err *err) {
    for (size_t i = 0; i < r->domain->n_views; i++) {
        struct rehearsed_view *v = &r->views[i];
        int rc = view_follow(r, v);
        if (rc == -ENOMEM)
            return err_set(err, ENOMEM, "out of memory");
        if (rc < 0) {
            *fault = v->fault;
            return err_set(err, v->failed.code, "%s", v->failed.text);
        }
    }
    return rehearsal_rules_follow(r, fault, err);
}
