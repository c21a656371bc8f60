/* Which types and events a definition that follows the log names. */
#include "domain_private.h"

#include <errno.h>
#include <stdlib.h>

struct from {
    struct reader *in;
    const struct domain *d;
    const struct domain_type **types;
    size_t n;
};

/* --- what was probably meant; NULL: no guess, or no memory for one */

static const char *type_near(const struct domain *d, struct str name) {
    return domain_near(name, d->types, sizeof *d->types, d->n_types);
}

static const char *event_near(const struct domain_type *const *from, size_t n_from, struct str name) {
    size_t n = 0;
    for (size_t i = 0; i < n_from; i++)
        n += from[i]->n_events;
    const char **names = malloc((n + 1) * sizeof *names), *near = NULL;
    n = 0;
    for (size_t i = 0; names && i < n_from; i++)
        for (size_t j = 0; j < from[i]->n_events; j++)
            names[n++] = from[i]->events[j].name.p;
    if (names)
        near = domain_nearest(name, names, n);
    free(names);
    return near;
}

/* --- types */

static int type_missing(struct from *f, struct str name) {
    char shown[DOMAIN_SHOWN];
    const char *near = type_near(f->d, name);
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
    for (size_t i = 0; i < n_from; i++)
        if (domain_event(from[i], event))
            return 0;
    const char *near = event_near(from, n_from, event);
    return near ? reader_fault(r, "", "no type that it follows declares this event, did you mean %s?", near)
                : reader_fault(r, "", "no type that it follows declares this event");
}

/* --- names that come from elsewhere */

int domain_event_check(const struct domain *d, const struct str *types, size_t n_types, struct str event,
                       struct err *err) {
    const struct domain_type **from = malloc((d->n_types + n_types + 1) * sizeof *from), *t;
    char shown[DOMAIN_SHOWN];
    bool declared = false;
    size_t n = 0;
    if (!from)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < n_types; i++)
        if ((t = domain_type(d, types[i])))
            from[n++] = t;
    for (size_t i = 0; !n_types && i < d->n_types; i++)
        from[n++] = &d->types[i];
    for (size_t i = 0; i < n && !declared; i++)
        declared = domain_event(from[i], event);
    const char *near = declared ? NULL : event_near(from, n, event);
    free(from);
    return declared
               ? 0
               : err_set(err, EINVAL, "no type that it follows declares the event %s%s%s%s", domain_shown(event, shown),
                         near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}

int domain_names_check(const struct domain *d, struct str type, struct str event, struct err *err) {
    const struct domain_type *t = domain_type(d, type);
    char shown[2][DOMAIN_SHOWN];
    if (t && (!event.n || domain_event(t, event)))
        return 0;
    const char *near = t ? event_near(&t, 1, event) : type_near(d, type);
    domain_shown(type, shown[0]);
    domain_shown(event, shown[1]);
    const char *hint = near ? ", did you mean " : "", *mark = near ? "?" : "";
    if (t)
        return err_set(err, EINVAL, "the type %s of the domain declares no event %s%s%s%s", shown[0], shown[1], hint,
                       near ? near : "", mark);
    return err_set(err, EINVAL, "the domain has no type %s%s%s%s", shown[0], hint, near ? near : "", mark);
}
