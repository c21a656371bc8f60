/* Which types and events a definition that follows the log names. */
#include "domain_private.h"

#include <stdlib.h>

struct from {
    struct reader *in;
    const struct domain *d;
    const struct domain_type **types;
    size_t n;
};

/* --- types */

static int types_near(struct from *f, struct str name, const char **near) {
    const char **names = malloc((f->d->n_types + 1) * sizeof *names);
    if (!names)
        return reader_memory(f->in);
    for (size_t i = 0; i < f->d->n_types; i++)
        names[i] = f->d->types[i].name.p;
    *near = domain_nearest(name, names, f->d->n_types);
    free(names);
    return 0;
}

static int type_missing(struct from *f, struct str name) {
    char shown[DOMAIN_SHOWN];
    const char *near = NULL;
    int rc = types_near(f, name, &near);
    if (rc < 0)
        return rc;
    domain_shown(name, shown);
    return near ? reader_fault(f->in, "from", "there is no type %s, did you mean %s?", shown, near)
                : reader_fault(f->in, "from", "there is no type %s", shown);
}

static int type_add(struct from *f, const struct domain_type *t) {
    size_t i = f->n;
    for (; i > 0 && f->types[i - 1] >= t; i--) /* the types are sorted by their names */
        if (f->types[i - 1] == t)
            return reader_fault(f->in, "from", "%s is named twice", t->name.p);
    memmove(&f->types[i + 1], &f->types[i], (f->n - i) * sizeof *f->types);
    f->types[i] = t;
    f->n++;
    return 0;
}

static int type_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct from *f = arg;
    (void)key_is_integer; /* it is an array */
    if (script_kind(f->in->s, value) != SCRIPT_STRING)
        return reader_fault(f->in, "from", "item %.*s is no name of a type", (int)key.n, key.p);
    struct str name = script_string(f->in->s, value);
    const struct domain_type *t = domain_type(f->d, name);
    return t ? type_add(f, t) : type_missing(f, name);
}

int reader_from(struct reader *r, const struct domain *d, script_value table, const struct domain_type ***from,
                size_t *n) {
    struct from f = {.in = r, .d = d};
    script_value list;
    int rc = reader_member(r, table, "from", SCRIPT_ARRAY, "a list of types, like { \"order\" }", &list);
    if (rc < 0)
        return rc;
    f.types = arena_alloc(r->arena, (d->n_types + 1) * sizeof *f.types);
    if (!f.types)
        rc = reader_memory(r);
    else if (list)
        rc = script_each(r->s, list, type_visit, &f);
    if (rc == 0 && list && !f.n)
        rc = reader_fault(r, "from", "names no type: without it, all are followed");
    script_drop(r->s, list);
    for (size_t i = 0; rc == 0 && !list && i < d->n_types; i++)
        f.types[f.n++] = &d->types[i];
    *from = f.types;
    *n = f.n;
    return rc;
}

/* --- events */

int reader_event(struct reader *r, const struct domain_type *const *from, size_t n_from, struct str event) {
    size_t n = 0;
    for (size_t i = 0; i < n_from; i++) {
        if (domain_event(from[i], event))
            return 0;
        n += from[i]->n_events;
    }
    const char **names = malloc((n + 1) * sizeof *names);
    if (!names)
        return reader_memory(r);
    n = 0;
    for (size_t i = 0; i < n_from; i++)
        for (size_t j = 0; j < from[i]->n_events; j++)
            names[n++] = from[i]->events[j].name.p;
    const char *near = domain_nearest(event, names, n);
    free(names);
    return near ? reader_fault(r, "", "no type that it follows declares this event, did you mean %s?", near)
                : reader_fault(r, "", "no type that it follows declares this event");
}
