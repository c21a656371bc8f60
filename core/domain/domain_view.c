/* What a file in views/ says. */
#include "domain_private.h"

#include <errno.h>
#include <stdio.h>

struct reader {
    struct domain *d;
    struct domain_view *v;
    struct arena *arena;
    struct script *s;
    struct err *err;
};

static int fault(struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fault(struct reader *r, const char *format, ...) {
    char words[400];
    va_list args;
    va_start(args, format);
    err_format(words, sizeof words, format, args);
    va_end(args);
    return err_set(r->err, EINVAL, "%s: %s", r->v->file.p, words);
}

static int memory_fault(struct reader *r) {
    return err_set(r->err, ENOMEM, "%s: out of memory", r->v->file.p);
}

static int members_check(struct reader *r, script_value table, const char *const *names, size_t n) {
    struct err why = {0};
    int rc = domain_members_check(r->s, table, names, n, &why);
    return rc == -EINVAL ? fault(r, "%s", why.text) : rc;
}

/* Whether a member is there, which must then be a function; *arguments: whether it takes that many. */
static int function_read(struct reader *r, script_value table, const char *name, int n, bool *there, bool *arguments) {
    script_value v = script_member(r->s, table, name);
    *there = v != 0;
    int rc = v && script_kind(r->s, v) != SCRIPT_FUNCTION ? fault(r, "%s: must be a function", name) : 0;
    if (rc == 0 && v)
        *arguments |= script_takes(r->s, v, n);
    script_drop(r->s, v);
    return rc;
}

/* --- kind */

static int kind_read(struct reader *r, script_value table) {
    script_value v = script_member(r->s, table, "kind");
    struct str kind = v && script_kind(r->s, v) == SCRIPT_STRING ? script_string(r->s, v) : (struct str){0};
    int rc = 0;
    if (str_eq(kind, STR("index")))
        r->v->index = true;
    else if (v && !str_eq(kind, STR("projection")))
        rc = fault(r, "kind: must be \"projection\" or \"index\"");
    script_drop(r->s, v);
    return rc;
}

/* --- from */

static int type_take(struct reader *r, script_value item) {
    char shown[DOMAIN_SHOWN];
    struct domain_view *v = r->v;
    if (!item || script_kind(r->s, item) != SCRIPT_STRING)
        return fault(r, "from: must be a list of the names of aggregate types");
    struct str name = script_string(r->s, item);
    const struct domain_type *t = domain_type(r->d, name);
    if (!t)
        return fault(r, "from: there is no aggregate type %s", domain_shown(name, shown));
    if (domain_view_follows(v, t))
        return fault(r, "from: %s is there twice", t->name.p);
    size_t i = v->n_from++;
    for (; i > 0 && domain_str_compare(v->from[i - 1]->name, t->name) > 0; i--)
        v->from[i] = v->from[i - 1];
    v->from[i] = t;
    return 0;
}

static int types_take(struct reader *r, script_value list) {
    int rc = 0;
    if (script_kind(r->s, list) != SCRIPT_ARRAY)
        return fault(r, "from: must be a list of the names of aggregate types, like { \"order\" }");
    int64_t n = script_length(r->s, list);
    if (n > (int64_t)r->d->n_types)
        return fault(r, "from: has more names than there are aggregate types");
    for (int64_t i = 1; rc == 0 && i <= n; i++) {
        script_value item = script_item(r->s, list, i);
        rc = type_take(r, item);
        script_drop(r->s, item);
    }
    return rc;
}

static int from_read(struct reader *r, script_value table) {
    struct domain_view *v = r->v;
    v->from = arena_alloc(r->arena, r->d->n_types * sizeof *v->from + 1);
    if (!v->from)
        return memory_fault(r);
    script_value list = script_member(r->s, table, "from");
    int rc = list ? types_take(r, list) : 0;
    script_drop(r->s, list);
    for (size_t i = 0; !list && i < r->d->n_types; i++)
        v->from[v->n_from++] = &r->d->types[i];
    return rc;
}

/* --- on */

static int count(void *arg, struct str key, bool key_is_integer, script_value value) {
    (void)key, (void)key_is_integer, (void)value;
    ++*(size_t *)arg;
    return 0;
}

static bool is_declared(const struct domain_view *v, struct str event) {
    for (size_t i = 0; i < v->n_from; i++)
        if (domain_event(v->from[i], event))
            return true;
    return false;
}

static int on_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct reader *r = arg;
    struct domain_view *v = r->v;
    char shown[DOMAIN_SHOWN];
    domain_shown(key, shown);
    if (key_is_integer)
        return fault(r, "on: a number is no name: write { OrderPlaced = function(view, e) ... end }");
    if (script_kind(r->s, value) != SCRIPT_FUNCTION)
        return fault(r, "on.%s: must be a function(view, e, state)", shown);
    if (!str_eq(key, STR("*")) && !is_declared(v, key))
        return fault(r, "on.%s: no type that the view follows declares such an event", shown);
    v->wants_state |= script_takes(r->s, value, 3);
    v->on[v->n_on] = domain_name_copy(r->arena, key);
    return v->on[v->n_on++].p ? 0 : memory_fault(r);
}

/* Members come sorted by their bytes, which is the order that look-ups want, and "*" comes first. */
static int on_read(struct reader *r, script_value table) {
    struct domain_view *v = r->v;
    size_t n = 0;
    script_value on = script_member(r->s, table, "on");
    int rc = 0;
    if (!on || !domain_is_table(r->s, on))
        rc = fault(r, "on: %s: a projection has on = { OrderPlaced = function(view, e) ... end }",
                   on ? "must be a table" : "is missing");
    if (rc == 0) {
        script_each(r->s, on, count, &n);
        v->on = arena_alloc(r->arena, n * sizeof *v->on + 1);
        rc = v->on ? script_each(r->s, on, on_visit, r) : memory_fault(r);
    }
    script_drop(r->s, on);
    return rc;
}

/* --- the whole */

static int projection_read(struct reader *r, script_value table) {
    static const char *const names[] = {"kind", "from", "key", "init", "on", "output", "allow"};
    bool there, unused = false;
    int rc = members_check(r, table, names, sizeof names / sizeof *names);
    if (rc == 0)
        rc = function_read(r, table, "key", 2, &there, &r->v->wants_state);
    if (rc == 0)
        rc = function_read(r, table, "init", 1, &there, &unused);
    if (rc == 0)
        rc = function_read(r, table, "output", 1, &there, &unused);
    return rc < 0 ? rc : on_read(r, table);
}

static int index_read(struct reader *r, script_value table) {
    static const char *const names[] = {"kind", "from", "path", "allow"};
    bool there = false;
    int rc = members_check(r, table, names, sizeof names / sizeof *names);
    if (rc == 0)
        rc = function_read(r, table, "path", 1, &there, &r->v->wants_state);
    if (rc == 0 && !there)
        rc = fault(r, "path: is missing: an index has path = function(state) return { ... } end");
    r->v->wants_state = true;
    return rc;
}

static int allow_take(struct reader *r, script_value table) {
    struct err why = {0};
    script_value v = script_member(r->s, table, "allow");
    int rc = allow_read(r->s, v, r->arena, &r->v->allow, &why);
    script_drop(r->s, v);
    return rc < 0 ? err_set(r->err, -rc, "%s: allow: %s", r->v->file.p, why.text) : 0;
}

/* The view's handlers get their places behind those of the definitions before it. */
static void layout_make(struct reader *r, size_t view) {
    size_t *next = &r->d->own->n_handlers;
    r->d->own->view_layouts[view] = *next;
    *next += DOMAIN_VIEW_PARTS + r->v->n_on;
}

int domain_view_read(struct domain *d, size_t i, struct script *s, script_value table, struct err *err) {
    struct reader r = {.d = d, .v = &d->views[i], .arena = &d->own->arena, .s = s, .err = err};
    int rc = kind_read(&r, table);
    if (rc == 0)
        rc = from_read(&r, table);
    if (rc == 0)
        rc = r.v->index ? index_read(&r, table) : projection_read(&r, table);
    if (rc == 0)
        rc = allow_take(&r, table);
    if (rc == 0)
        layout_make(&r, i);
    return rc;
}
