/* What a file in views/ says. */
#include "domain_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct view_reader {
    struct reader in;
    const struct domain *d;
    struct domain_view *v;
};

/* --- kind */

static int kind_read(struct view_reader *r, script_value table) {
    char shown[DOMAIN_SHOWN];
    struct str kind;
    int rc = reader_text(&r->in, table, "kind", &kind);
    r->v->index = kind.p && str_eq(kind, STR("index"));
    if (rc == 0 && kind.p && !r->v->index && !str_eq(kind, STR("projection")))
        rc = reader_fault(&r->in, "kind", "%s is none: it is \"projection\" or \"index\"", domain_shown(kind, shown));
    return rc;
}

/* What belongs to the other kind. */
static int kind_check(struct view_reader *r, script_value table) {
    static const char *const of_projection[] = {"key", "init", "on", "output"}, *const of_index[] = {"path"};
    const char *const *names = r->v->index ? of_projection : of_index;
    size_t n = r->v->index ? sizeof of_projection / sizeof *of_projection : sizeof of_index / sizeof *of_index;
    for (size_t i = 0; i < n; i++) {
        script_value v = script_member(r->in.s, table, names[i]);
        script_drop(r->in.s, v);
        if (v)
            return r->v->index ? reader_fault(&r->in, names[i], "does not belong to an index, which has `path` alone")
                               : reader_fault(&r->in, names[i], "belongs to an index: is kind = \"index\" missing?");
    }
    return 0;
}

/* --- from */

static int types_near(struct view_reader *r, struct str name, const char **near) {
    const char **names = malloc((r->d->n_types + 1) * sizeof *names);
    if (!names)
        return reader_memory(&r->in);
    for (size_t i = 0; i < r->d->n_types; i++)
        names[i] = r->d->types[i].name.p;
    *near = domain_nearest(name, names, r->d->n_types);
    free(names);
    return 0;
}

static int type_missing(struct view_reader *r, struct str name) {
    char shown[DOMAIN_SHOWN];
    const char *near = NULL;
    if (types_near(r, name, &near) < 0)
        return -ENOMEM;
    domain_shown(name, shown);
    return near ? reader_fault(&r->in, "from", "there is no type %s, did you mean %s?", shown, near)
                : reader_fault(&r->in, "from", "there is no type %s", shown);
}

static int type_add(struct view_reader *r, const struct domain_type *t) {
    struct domain_view *v = r->v;
    size_t i = v->n_from;
    for (; i > 0 && v->from[i - 1] >= t; i--) /* the types are sorted by their names */
        if (v->from[i - 1] == t)
            return reader_fault(&r->in, "from", "%s is named twice", t->name.p);
    memmove(&v->from[i + 1], &v->from[i], (v->n_from - i) * sizeof *v->from);
    v->from[i] = t;
    v->n_from++;
    return 0;
}

static int type_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct view_reader *r = arg;
    (void)key_is_integer; /* it is an array */
    if (script_kind(r->in.s, value) != SCRIPT_STRING)
        return reader_fault(&r->in, "from", "item %.*s is no name of a type", (int)key.n, key.p);
    struct str name = script_string(r->in.s, value);
    const struct domain_type *t = domain_type(r->d, name);
    return t ? type_add(r, t) : type_missing(r, name);
}

static int from_read(struct view_reader *r, script_value table) {
    struct domain_view *v = r->v;
    script_value list;
    int rc = reader_member(&r->in, table, "from", SCRIPT_ARRAY, "a list of types, like { \"order\" }", &list);
    if (rc < 0)
        return rc;
    v->from = arena_alloc(r->in.arena, (r->d->n_types + 1) * sizeof *v->from);
    if (!v->from)
        rc = reader_memory(&r->in);
    else if (list)
        rc = script_each(r->in.s, list, type_visit, r);
    if (rc == 0 && list && !v->n_from)
        rc = reader_fault(&r->in, "from", "names no type: without it, all are followed");
    script_drop(r->in.s, list);
    for (size_t i = 0; rc == 0 && !list && i < r->d->n_types; i++)
        v->from[v->n_from++] = &r->d->types[i];
    return rc;
}

/* --- on */

static bool is_declared(const struct domain_view *v, struct str event) {
    for (size_t i = 0; i < v->n_from; i++)
        if (domain_event(v->from[i], event))
            return true;
    return false;
}

static int event_missing(struct view_reader *r, struct str event) {
    const struct domain_view *v = r->v;
    size_t n = 0;
    for (size_t i = 0; i < v->n_from; i++)
        n += v->from[i]->n_events;
    const char **names = malloc((n + 1) * sizeof *names);
    if (!names)
        return reader_memory(&r->in);
    n = 0;
    for (size_t i = 0; i < v->n_from; i++)
        for (size_t j = 0; j < v->from[i]->n_events; j++)
            names[n++] = v->from[i]->events[j].name.p;
    const char *near = domain_nearest(event, names, n);
    free(names);
    return near ? reader_fault(&r->in, "", "no type that it follows declares this event, did you mean %s?", near)
                : reader_fault(&r->in, "", "no type that it follows declares this event");
}

static int on_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct view_reader *r = arg;
    struct domain_view *v = r->v;
    char shown[DOMAIN_SHOWN];
    snprintf(r->in.at, sizeof r->in.at, "on.%s", domain_shown(key, shown));
    if (key_is_integer)
        return reader_fault(&r->in, "", "a number is no name: write { OrderPlaced = function(view, e) ... end }");
    if (!str_eq(key, STR("*")) && !is_declared(v, key))
        return event_missing(r, key);
    if (script_kind(r->in.s, value) != SCRIPT_FUNCTION)
        return reader_fault(&r->in, "", "must be a function(view, e, state)");
    struct str name = domain_name_copy(r->in.arena, key);
    if (!name.p)
        return reader_memory(&r->in);
    v->wants_state |= script_takes(r->in.s, value, 3);
    v->on[v->n_on++] = name; /* they come by name */
    return 0;
}

static int on_read(struct view_reader *r, script_value table) {
    struct domain_view *v = r->v;
    script_value on;
    int rc =
        reader_member(&r->in, table, "on", SCRIPT_OBJECT, "a table: { OrderPlaced = function(view, e) ... end }", &on);
    size_t n = on ? reader_count(&r->in, on) : 0;
    if (rc == 0 && !n)
        rc = reader_fault(&r->in, "on", "%s: a projection has on = { OrderPlaced = function(view, e) ... end }",
                          on ? "is empty" : "is missing");
    if (rc == 0) {
        v->on = arena_alloc(r->in.arena, n * sizeof *v->on);
        rc = v->on ? script_each(r->in.s, on, on_visit, r) : reader_memory(&r->in);
    }
    script_drop(r->in.s, on);
    r->in.at[0] = 0;
    return rc;
}

/* --- the definition */

static int key_read(struct view_reader *r, script_value table) {
    script_value key;
    int rc = reader_member(&r->in, table, "key", SCRIPT_FUNCTION, "a function", &key);
    r->v->wants_state |= key && script_takes(r->in.s, key, 2);
    script_drop(r->in.s, key);
    return rc;
}

static int projection_read(struct view_reader *r, script_value table) {
    bool there;
    int rc = key_read(r, table);
    if (rc == 0)
        rc = reader_function(&r->in, table, "init", &there);
    if (rc == 0)
        rc = reader_function(&r->in, table, "output", &there);
    return rc < 0 ? rc : on_read(r, table);
}

static int index_read(struct view_reader *r, script_value table) {
    bool there;
    int rc = reader_function(&r->in, table, "path", &there);
    if (rc == 0 && !there)
        rc = reader_fault(&r->in, "path", "is missing: an index has path = function(state) return { ... } end");
    r->v->wants_state = true;
    return rc;
}

const char *domain_view_near(const struct domain *d, struct str name) {
    const char **names = malloc((d->n_views + 1) * sizeof *names), *near = NULL;
    for (size_t i = 0; names && i < d->n_views; i++)
        names[i] = d->views[i].name.p;
    if (names)
        near = domain_nearest(name, names, d->n_views);
    free(names);
    return near;
}

int domain_view_read(struct domain *d, size_t i, struct script *s, script_value table, struct err *err) {
    static const char *const names[] = {"kind", "from", "key", "init", "on", "output", "path", "allow"};
    struct view_reader r = {.d = d, .v = &d->views[i]};
    r.in = (struct reader){.arena = &d->own->arena, .s = s, .err = err, .file = r.v->file};
    int rc = reader_members(&r.in, table, names, sizeof names / sizeof *names);
    if (rc == 0)
        rc = kind_read(&r, table);
    if (rc == 0)
        rc = kind_check(&r, table);
    if (rc == 0)
        rc = from_read(&r, table);
    if (rc == 0)
        rc = r.v->index ? index_read(&r, table) : projection_read(&r, table);
    if (rc == 0)
        rc = reader_allow(&r.in, table, "allow", &r.v->allow);
    d->own->view_layouts[i] = d->own->n_handlers;
    d->own->n_handlers += DOMAIN_VIEW_PARTS + r.v->n_on;
    return rc;
}
