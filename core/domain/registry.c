#include "registry.h"

#include "array.h"
#include "domain_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define KINDS_BATCH 256

/* A version of an event, from the directory, the registry or the stored events. */
struct version {
    size_t event; /* of the type */
    struct domain_link link;
};

struct check {
    const struct domain *d;
    struct index *ix;
    struct err *err;
    struct arena arena;           /* trees of stored schemas */
    struct domain_schema *stored; /* with neither tree nor compiled; by name, as numbers of types mean nothing here */
    size_t n_stored, cap_stored;
    struct version *versions; /* of the type being checked */
    size_t n_versions, cap_versions;
};

static int memory_fault(struct check *c) {
    return err_set(c->err, ENOMEM, "out of memory");
}

/* --- what the store holds */

static int stored_order(const void *a, const void *b) {
    return domain_schema_compare(a, b);
}

static int stored_read(struct check *c) {
    struct index_schema s;
    for (int r = index_schema_after(c->ix, NULL, &s); r != INDEX_NONE; r = index_schema_after(c->ix, &s, &s)) {
        if (r < 0)
            return err_set(c->err, -r, "the schemas of the store cannot be read");
        if (!ARRAY_ROOM(c->stored, c->n_stored, c->cap_stored))
            return memory_fault(c);
        c->stored[c->n_stored++] = (struct domain_schema){.of_command = s.of_command,
                                                          .type = index_type_name(c->ix, s.type_no),
                                                          .name = s.name,
                                                          .version = s.version,
                                                          .text = s.text};
    }
    if (c->n_stored)
        qsort(c->stored, c->n_stored, sizeof *c->stored, stored_order);
    return 0;
}

static bool is_stored(const struct check *c, const struct domain_schema *s) {
    return c->n_stored && bsearch(s, c->stored, c->n_stored, sizeof *c->stored, stored_order);
}

/* --- a version keeps its text */

static int texts_check(struct check *c) {
    for (size_t i = 0; i < c->n_stored; i++) {
        const struct domain_schema *s = &c->stored[i];
        const struct domain_schema *now = domain_schema(c->d, s->type, s->of_command, s->name, s->version);
        if (now && !str_eq(now->text, s->text))
            return err_set(c->err, EINVAL,
                           "schemas/%s/%s%s.%u.json is not what the store holds as version %u: a version may never "
                           "change; put the old text back and make the new one version %u",
                           now->type.p, now->of_command ? "commands/" : "", now->name.p, now->version, now->version,
                           now->version + 1);
    }
    return 0;
}

/* --- every version of an event leads to the next */

static int version_add(struct check *c, size_t event, uint32_t version, const struct json_value *tree) {
    if (!ARRAY_ROOM(c->versions, c->n_versions, c->cap_versions))
        return memory_fault(c);
    c->versions[c->n_versions++] = (struct version){event, {version, tree}};
    return 0;
}

/* By event and version; of the same one, what has a tree first. */
static int version_order(const void *a, const void *b) {
    const struct version *x = a, *y = b;
    if (x->event != y->event)
        return x->event < y->event ? -1 : 1;
    if (x->link.version != y->link.version)
        return x->link.version < y->link.version ? -1 : 1;
    return (x->link.tree == NULL) - (y->link.tree == NULL);
}

static int tree_of_stored(struct check *c, const struct domain_schema *s, const struct json_value **out) {
    struct str text;
    struct json_value *tree = arena_alloc(&c->arena, sizeof *tree);
    char *copy = arena_alloc(&c->arena, s->text.n + JSON_PADDING);
    char what[2 * DOMAIN_SHOWN];
    if (!tree || !copy)
        return memory_fault(c);
    if (s->text.n)
        memcpy(copy, s->text.p, s->text.n);
    memset(copy + s->text.n, 0, JSON_PADDING);
    snprintf(what, sizeof what, "%.*s/%.*s: version %u, as the store holds it", (int)s->type.n, s->type.p,
             (int)s->name.n, s->name.p, s->version);
    *out = tree;
    return domain_document_read((struct str){copy, s->text.n}, what, &c->arena, tree, &text, c->err);
}

static int versions_of_stored(struct check *c, const struct domain_type *t) {
    for (size_t i = 0; i < c->n_stored; i++) {
        const struct domain_schema *s = &c->stored[i];
        const struct domain_event *e = str_eq(s->type, t->name) && !s->of_command ? domain_event(t, s->name) : NULL;
        if (!e || e->retired || domain_schema(c->d, s->type, false, s->name, s->version))
            continue;
        const struct json_value *tree = NULL;
        int r = tree_of_stored(c, s, &tree);
        if (r == 0)
            r = version_add(c, (size_t)(e - t->events), s->version, tree);
        if (r < 0)
            return r;
    }
    return 0;
}

static int versions_of_directory(struct check *c, const struct domain_type *t) {
    for (size_t i = 0; i < t->n_events; i++) {
        size_t n;
        struct domain_schema *const *schemas = domain_schemas_of(c->d, t->name, false, t->events[i].name, &n);
        for (size_t j = 0; j < n; j++)
            if (version_add(c, i, schemas[j]->version, schemas[j]->tree) < 0)
                return -ENOMEM;
    }
    return 0;
}

static int kind_check(struct check *c, const struct domain_type *t, const struct index_event_kind *kind) {
    const struct str name = {kind->name, kind->name_bytes};
    const struct domain_event *e = domain_event(t, name);
    if (!e)
        return err_set(c->err, EINVAL,
                       "%s/%.*s: the store holds such events, and %s does not declare them: declare the event, or "
                       "say retired = true",
                       t->name.p, (int)name.n, name.p, t->file.p);
    return e->retired ? 0 : version_add(c, (size_t)(e - t->events), kind->schema, NULL);
}

static int versions_of_events(struct check *c, const struct domain_type *t) {
    struct index_type type;
    struct index_event_kind *kinds = malloc(KINDS_BATCH * sizeof *kinds), last;
    const struct index_event_kind *after = NULL;
    int r = kinds ? index_type_by_name(c->ix, t->name, &type) : memory_fault(c);
    if (r == 0) {
        int n;
        while ((n = index_event_kinds_after(c->ix, type.no, after, kinds, KINDS_BATCH, c->err)) > 0) {
            for (int i = 0; r == 0 && i < n; i++)
                r = kind_check(c, t, &kinds[i]);
            if (r < 0)
                break;
            last = kinds[n - 1];
            after = &last;
        }
        r = n < 0 ? n : r;
    }
    free(kinds);
    return r == INDEX_NONE ? 0 : r;
}

/* Leaves each version once. */
static void versions_unite(struct check *c) {
    size_t n = 0;
    if (c->n_versions)
        qsort(c->versions, c->n_versions, sizeof *c->versions, version_order);
    for (size_t i = 0; i < c->n_versions; i++) {
        const struct version *v = &c->versions[i];
        if (n == 0 || c->versions[n - 1].event != v->event || c->versions[n - 1].link.version != v->link.version)
            c->versions[n++] = *v;
    }
    c->n_versions = n;
}

static int chains_check(struct check *c, const struct domain_type *t) {
    struct domain_link *links = malloc((c->n_versions + 1) * sizeof *links);
    int r = links ? 0 : memory_fault(c);
    for (size_t i = 0; r == 0 && i < c->n_versions;) {
        size_t event = c->versions[i].event, n = 0;
        for (; i < c->n_versions && c->versions[i].event == event; i++)
            links[n++] = c->versions[i].link;
        r = domain_chain_check(t, &t->events[event], links, n, c->err);
    }
    free(links);
    return r;
}

static int type_check(struct check *c, const struct domain_type *t) {
    c->n_versions = 0;
    int r = versions_of_directory(c, t);
    if (r == 0)
        r = versions_of_stored(c, t);
    if (r == 0)
        r = versions_of_events(c, t);
    if (r < 0)
        return r;
    versions_unite(c);
    return chains_check(c, t);
}

/* --- every type with events is there */

static int types_check(struct check *c) {
    struct index_type type;
    for (uint32_t no = 0; index_type_after(c->ix, no, &type) == 0; no = type.no)
        if (type.events && type.name.p[0] != '$' && !domain_type(c->d, type.name))
            return err_set(c->err, EINVAL,
                           "the store holds %" PRIu64 " event%s of the type %.*s, and %s has no aggregates/%.*s.lua",
                           type.events, type.events == 1 ? "" : "s", (int)type.name.n, type.name.p, c->d->directory.p,
                           (int)type.name.n, type.name.p);
    return 0;
}

/* --- what is new */

static int fresh_list(struct check *c, const struct domain_schema ***fresh, size_t *n_fresh) {
    const struct domain_schema **list = malloc((c->d->n_schemas + 1) * sizeof *list);
    size_t n = 0;
    if (!list)
        return memory_fault(c);
    for (size_t i = 0; i < c->d->n_schemas; i++)
        if (!is_stored(c, c->d->schemas[i]))
            list[n++] = c->d->schemas[i];
    if (n == 0) {
        free(list);
        list = NULL;
    }
    *fresh = list;
    *n_fresh = n;
    return 0;
}

int registry_check(const struct domain *d, struct index *ix, const struct domain_schema ***fresh, size_t *n_fresh,
                   struct err *err) {
    struct check c = {.d = d, .ix = ix, .err = err};
    int r = stored_read(&c);
    if (r == 0)
        r = texts_check(&c);
    for (size_t i = 0; r == 0 && i < d->n_types; i++)
        r = type_check(&c, &d->types[i]);
    if (r == 0)
        r = types_check(&c);
    if (r == 0)
        r = fresh_list(&c, fresh, n_fresh);
    arena_free(&c.arena);
    free(c.stored);
    free(c.versions);
    return r;
}
