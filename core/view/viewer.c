#include "viewer.h"

#include "fold_private.h"
#include "views.h"

#include <errno.h>
#include <stdio.h>

#define NAMES_KEPT (64u << 10) /* of memory for the keys and paths of an event */
#define UNFINISHED UINT64_MAX  /* the version of a state that is between two events */

void viewer_init(struct viewer *v, const struct domain_view *view, struct folder *folder) {
    *v = (struct viewer){.view = view, .vm = folder_vm(folder), .folder = folder};
    aggregates_init(&v->aggregates, folder);
}

void viewer_deinit(struct viewer *v) {
    aggregates_deinit(&v->aggregates);
    arena_free(&v->names);
    *v = (struct viewer){0};
}

static script_value handler(const struct viewer *v, enum domain_view_part part) {
    return domain_vm_view(v->vm, v->view, part);
}

/* --- an event */

bool viewer_follows(const struct viewer *v, const struct event *stored, struct viewed *out) {
    const struct domain_type *t = domain_type(domain_vm_domain(v->vm), stored->aggregate_type);
    *out = (struct viewed){.stored = stored, .type = t};
    return t && domain_follows(v->view->from, v->view->n_from, t);
}

/* What a failure leaves half done must not be taken for the state of any event. */
static void state_goes_on(struct viewed *e, bool whole) {
    if (!e->aggregate)
        return;
    e->state = e->aggregate->fold.state;
    e->aggregate->fold.version = whole ? e->stored->version : UNFINISHED;
    e->aggregate->fold.position = e->stored->position;
}

int viewer_begin(struct viewer *v, struct viewed *e, struct script_fault *fault) {
    int r = 0;
    if (v->view->wants_state)
        r = aggregates_before(&v->aggregates, e->type, e->stored, &e->aggregate, fault);
    if (r == 0)
        r = upcast_event(v->folder, e->type, e->stored, &e->fresh, &e->n, fault);
    if (r == 0)
        state_goes_on(e, e->n == 0);
    return r;
}

int viewer_step(struct viewer *v, struct viewed *e, size_t i, struct script_fault *fault) {
    struct fresh_event *fresh = &e->fresh[i];
    int r = fresh->tree ? 0 : fold_parse(v->folder, fresh->data, &fresh->tree, fault);
    if (r == 0)
        r = fold_told(v->folder, e->stored, fresh, &e->told, fault);
    if (r == 0 && e->aggregate)
        r = fold_evolve(v->folder, e->type, &e->aggregate->fold, fresh, &e->told, fault);
    if (r != 0)
        return r;
    state_goes_on(e, i + 1 == e->n);
    e->on = v->view->index ? 0 : domain_vm_view_on(v->vm, v->view, fresh->type);
    return 0;
}

void viewer_end(struct viewer *v) {
    folder_reset(v->folder);
    arena_reset(&v->names, NAMES_KEPT);
}

/* --- projections */

int viewer_keys(struct viewer *v, const struct viewed *e, struct str **keys, size_t *n, struct script_fault *fault) {
    static struct str all = {"all", 3};
    script_value key = handler(v, DOMAIN_VIEW_KEY);
    *n = 0;
    if (!e->on)
        return 0;
    if (key)
        return script_key(domain_vm_script(v->vm), key, &e->told, e->state, &v->names, keys, n, fault);
    *keys = &all;
    *n = 1;
    return 0;
}

int viewer_project(struct viewer *v, const struct viewed *e, struct str key, script_value *state,
                   struct script_fault *fault) {
    struct script *s = domain_vm_script(v->vm);
    bool removed = false;
    int r = *state ? 0 : script_initial(s, handler(v, DOMAIN_VIEW_INIT), key, state, fault);
    if (r == 0)
        r = script_project(s, e->on, state, &e->told, e->state, &removed, fault);
    if (r == 0 && removed) {
        script_drop(s, *state);
        *state = 0;
    }
    return r;
}

/* What was appended behind `before` must not be too large. */
static int size_check(struct buf *out, size_t before, size_t most, const char *what, struct script_fault *fault) {
    size_t n = out->n - before;
    if (out->oom)
        return -ENOMEM;
    if (n <= most)
        return 0;
    *fault = (struct script_fault){0};
    snprintf(fault->text, sizeof fault->text, "%s of %zu bytes is larger than %zu MiB", what, n, most >> 20);
    out->n = before;
    return SCRIPT_FAILED;
}

int viewer_freeze(struct viewer *v, script_value state, struct buf *out, struct script_fault *fault) {
    size_t before = out->n;
    *fault = (struct script_fault){0};
    int r = script_freeze(domain_vm_script(v->vm), state, out, fault);
    return r == 0 ? size_check(out, before, VIEWER_STATE_MAX, "a state", fault) : r;
}

int viewer_text(struct viewer *v, struct str key, script_value state, struct buf *out, struct script_fault *fault) {
    size_t before = out->n;
    int r = script_output(domain_vm_script(v->vm), handler(v, DOMAIN_VIEW_OUTPUT), state, key, out, fault);
    if (r == 0)
        r = size_check(out, before, VIEWER_TEXT_MAX, "a file", fault);
    if (r == 0)
        buf_put_char(out, '\n');
    return out->oom ? -ENOMEM : r;
}

/* --- indexes */

int viewer_path(struct viewer *v, const struct viewed *e, struct str **names, size_t *n, bool *present,
                struct script_fault *fault) {
    struct buf shown = {0};
    int r = script_path(domain_vm_script(v->vm), handler(v, DOMAIN_VIEW_PATH), e->state, &v->names, names, n, present,
                        fault);
    for (size_t i = 0; r == 0 && i < *n; i++) {
        buf_clear(&shown);
        view_name_put((*names)[i], &shown);
        (*names)[i] = arena_copy(&v->names, buf_str(&shown));
        r = shown.oom || !(*names)[i].p ? -ENOMEM : 0;
    }
    buf_free(&shown);
    return r;
}

/* With one type the id tells which aggregate it is, with several it takes the type as well. */
void viewer_link(const struct viewer *v, const struct viewed *e, struct buf *out) {
    view_name_put(v->view->n_from == 1 ? e->stored->aggregate_id : e->told.aggregate, out);
}
