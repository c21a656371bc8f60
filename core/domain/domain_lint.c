#include "domain_private.h"

#include <errno.h>
#include <stdlib.h>

static void schema_lint(const struct domain *d, const struct domain_schema *s, struct buf *out) {
    const struct domain_type *t = domain_type(d, s->type);
    bool used = s->of_command ? domain_command(t, s->name) != NULL : domain_event(t, s->name) != NULL;
    if (!used)
        buf_printf(out, "schemas/%s/%s%s.%u.json: a schema without %s: %s declares no %s\n", s->type.p,
                   s->of_command ? "commands/" : "", s->name.p, s->version, s->of_command ? "a command" : "an event",
                   t->file.p, s->name.p);
}

/* As far as the directory tells: a store may know more versions. */
static int chain_lint(const struct domain *d, const struct domain_type *t, const struct domain_event *e,
                      struct buf *out) {
    struct err why = {0};
    size_t n;
    struct domain_schema *const *versions = domain_schemas_of(d, t->name, false, e->name, &n);
    struct domain_link *links = malloc((n + 1) * sizeof *links);
    if (!links)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        links[i] = (struct domain_link){versions[i]->version, versions[i]->tree};
    int r = domain_chain_check(t, e, links, n, &why);
    free(links);
    if (r < 0 && r != -ENOMEM)
        buf_printf(out, "%s\n", why.text);
    return r == -ENOMEM ? r : 0;
}

static int event_lint(const struct domain *d, const struct domain_type *t, const struct domain_event *e,
                      struct buf *out) {
    if (!e->evolves && !e->retired)
        buf_printf(out, "%s: events.%s: nobody evolves it: it never changes a state\n", t->file.p, e->name.p);
    return chain_lint(d, t, e, out);
}

static void view_lint(const struct domain_view *v, struct buf *out) {
    for (size_t i = 0; i < v->n_from; i++)
        if (v->from[i]->n_events)
            return;
    buf_printf(out, "%s: no type that it follows declares an event: nothing will ever be in it\n", v->file.p);
}

/* Functions are given events that are in the newest version, and a retired one is in none. */
static bool is_retired(const struct domain_kafka *k, struct str event) {
    for (size_t i = 0; i < k->n_from; i++) {
        const struct domain_event *e = domain_event(k->from[i], event);
        if (e && !e->retired)
            return false;
    }
    return true;
}

static void kafka_lint(const struct domain_kafka *k, struct buf *out) {
    bool published = false, declared = false;
    for (size_t i = 0; i < k->n_on; i++) {
        const struct domain_kafka_on *on = &k->on[i];
        published |= on->how != DOMAIN_KAFKA_NOT;
        if (on->how == DOMAIN_KAFKA_MADE && !str_eq(on->name, STR("*")) && is_retired(k, on->name))
            buf_printf(out, "%s: on.%s: the event is retired: the function never runs\n", k->file.p, on->name.p);
    }
    for (size_t i = 0; i < k->n_from; i++)
        declared |= k->from[i]->n_events > 0;
    if (!published)
        buf_printf(out, "%s: on: all that it names is false: nothing will ever be published\n", k->file.p);
    else if (!declared)
        buf_printf(out, "%s: no type that it follows declares an event: nothing will ever be published\n", k->file.p);
}

/* Why there are no types; NULL: there are. */
static const char *typeless(const struct domain *d) {
    if (d->n_types)
        return NULL;
    return d->own->files.aggregates ? "there is no file <type>.lua in aggregates/, so the domain has no types"
                                    : "there is no directory aggregates/, so the domain has no types";
}

int domain_types_check(const struct domain *d, struct err *err) {
    const char *why = typeless(d);
    return why ? err_set(err, EINVAL, "%s: %s", d->directory.p, why) : 0;
}

int domain_lint(const struct domain *d, struct buf *out) {
    const struct domain_files *files = &d->own->files;
    const char *why = typeless(d);
    int r = domain_unread_lint(d, out);
    buf_put_str(out, buf_str(&files->unread));
    if (why)
        buf_printf(out, "%s\n", why);
    for (size_t i = 0; i < d->n_schemas; i++)
        schema_lint(d, d->schemas[i], out);
    for (size_t i = 0; r == 0 && i < d->n_types; i++)
        for (size_t j = 0; r == 0 && j < d->types[i].n_events; j++)
            r = event_lint(d, &d->types[i], &d->types[i].events[j], out);
    for (size_t i = 0; i < d->n_views; i++)
        view_lint(&d->views[i], out);
    if (d->kafka)
        kafka_lint(d->kafka, out);
    for (size_t i = 0; i < files->n; i++)
        if (files->items[i].kind == DOMAIN_LIBRARY && !files->items[i].required)
            buf_printf(out, "%s: a library that nobody requires\n", files->items[i].path.p);
    return r == 0 && out->oom ? -ENOMEM : r;
}
