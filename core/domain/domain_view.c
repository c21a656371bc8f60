/* What a file in views/ says. */
#include "domain_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct view_reader {
    struct reader in;
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

/* --- on */

static int on_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct view_reader *r = arg;
    struct domain_view *v = r->v;
    char shown[DOMAIN_SHOWN];
    snprintf(r->in.at, sizeof r->in.at, "on.%s", domain_shown(key, shown));
    if (key_is_integer)
        return reader_fault(&r->in, "", "a number is no name: write { OrderPlaced = function(view, e) ... end }");
    int rc = str_eq(key, STR("*")) ? 0 : reader_event(&r->in, v->from, v->n_from, key);
    if (rc < 0)
        return rc;
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

int domain_view_read(struct domain *d, size_t i, struct script *s, script_value table, struct err *err) {
    static const char *const names[] = {"kind", "from", "key", "init", "on", "output", "path", "allow"};
    struct view_reader r = {.v = &d->views[i]};
    r.in = (struct reader){.arena = &d->own->arena, .s = s, .err = err, .file = r.v->file};
    int rc = reader_members(&r.in, table, names, sizeof names / sizeof *names);
    if (rc == 0)
        rc = kind_read(&r, table);
    if (rc == 0)
        rc = kind_check(&r, table);
    if (rc == 0)
        rc = reader_from(&r.in, d, table, &r.v->from, &r.v->n_from);
    if (rc == 0)
        rc = r.v->index ? index_read(&r, table) : projection_read(&r, table);
    if (rc == 0)
        rc = reader_allow(&r.in, table, "allow", &r.v->allow);
    d->own->view_layouts[i] = d->own->n_handlers;
    d->own->n_handlers += DOMAIN_VIEW_PARTS + r.v->n_on;
    return rc;
}
