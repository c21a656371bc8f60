#include "fold_private.h"

#include <errno.h>

/* Events on their way from the version they were stored under to the newest. */
struct chain {
    struct folder *folder;
    const struct domain_type *type;
    const struct event *stored;
    struct fresh_event *events;
    size_t n, room;
};

static const struct domain_event *definition_of(const struct domain_type *t, struct str name,
                                                struct script_fault *fault) {
    const struct domain_event *def = domain_event(t, name);
    if (!def)
        fold_fault(fault, 0, "the domain has no event %.*s of %.*s", (int)name.n, name.p, (int)t->name.n, t->name.p);
    return def;
}

static bool has_upcast(const struct domain_event *def, uint32_t version) {
    for (size_t i = 0; i < def->n_upcasts; i++)
        if (def->upcasts[i] == version)
            return true;
    return false;
}

/* The first version from `version` on that has an upcast; the newest when none has. */
static uint32_t next_upcast(const struct domain_event *def, uint32_t version) {
    while (version < def->version && !has_upcast(def, version))
        version++;
    return version;
}

static int chain_add(struct chain *c, const struct fresh_event *e) {
    if (c->n == c->room) {
        size_t room = c->room ? 2 * c->room : 4;
        struct fresh_event *events = arena_alloc(&c->folder->arena, room * sizeof *events);
        if (!events)
            return -ENOMEM;
        if (c->n)
            memcpy(events, c->events, c->n * sizeof *events);
        c->events = events;
        c->room = room;
    }
    c->events[c->n++] = *e;
    return 0;
}

/* What came out of handlers may be wrong; what was stored was checked when it was. */
static int check_fresh(struct fresh_event *e, struct script_fault *fault) {
    struct schema_fault why;
    if (!e->definition->schema)
        return 0;
    int r = schema_check(e->definition->schema->compiled, e->tree, &why);
    if (r != SCHEMA_VIOLATED)
        return r;
    return fold_fault(fault, 0, "the upcast's %.*s violates schema %u of its data: data%s %s (%s)", (int)e->type.n,
                      e->type.p, e->definition->version, why.instance, why.text, why.keyword);
}

static int chain_step(struct chain *c, struct fresh_event e, uint32_t version, bool changed, unsigned depth,
                      struct script_fault *fault);

/* Where an upcast of `from` has led to: the same event one version on, or another one at its newest. */
static int chain_made(struct chain *c, const struct domain_event *from, uint32_t version,
                      const struct script_made *made, unsigned depth, struct script_fault *fault) {
    struct fresh_event e = {.type = made->type, .data = made->data};
    e.definition = definition_of(c->type, made->type, fault);
    if (!e.definition)
        return SCRIPT_FAILED;
    int r = fold_parse(c->folder, e.data, &e.tree, fault);
    if (r != 0)
        return r;
    return chain_step(c, e, e.definition == from ? version + 1 : e.definition->version, true, depth + 1, fault);
}

static int chain_run(struct chain *c, const struct fresh_event *e, uint32_t version, unsigned depth,
                     struct script_fault *fault) {
    struct script_event told;
    struct script_list made;
    struct event stored = *c->stored;
    stored.type = e->type;
    int r = fold_told(c->folder, &stored, e, &told, fault);
    if (r == 0)
        r = script_upcast(domain_vm_script(c->folder->vm),
                          domain_vm_upcast(c->folder->vm, c->type, e->definition, version), &told, &c->folder->arena,
                          &made, fault);
    for (size_t i = 0; r == 0 && i < made.n; i++)
        r = chain_made(c, e->definition, version, &made.items[i], depth, fault);
    return r;
}

static int chain_step(struct chain *c, struct fresh_event e, uint32_t version, bool changed, unsigned depth,
                      struct script_fault *fault) {
    if (depth > 1000)
        return fold_fault(fault, 0, "upcasts of %.*s lead on and on", (int)e.type.n, e.type.p);
    if (e.definition->retired)
        return 0;
    if (version > e.definition->version)
        return fold_fault(fault, 0, "%.*s was stored under version %u of its schema, and the domain knows %u",
                          (int)e.type.n, e.type.p, version, e.definition->version);
    version = next_upcast(e.definition, version);
    if (version == e.definition->version) {
        int r = changed ? check_fresh(&e, fault) : 0;
        return r == 0 ? chain_add(c, &e) : r;
    }
    int r = e.tree ? 0 : fold_parse(c->folder, e.data, &e.tree, fault);
    return r == 0 ? chain_run(c, &e, version, depth, fault) : r;
}

int upcast_event(struct folder *f, const struct domain_type *t, const struct event *e, struct fresh_event **out,
                 size_t *n, struct script_fault *fault) {
    struct chain c = {.folder = f, .type = t, .stored = e};
    struct fresh_event first = {.type = e->type, .data = e->data, .definition = definition_of(t, e->type, fault)};
    if (!first.definition)
        return SCRIPT_FAILED;
    int r = chain_step(&c, first, e->schema, false, 0, fault);
    *out = c.events;
    *n = c.n;
    return r;
}

struct event upcast_line(const struct event *stored, const struct fresh_event *fresh) {
    struct event line = *stored;
    line.type = fresh->type;
    line.data = fresh->data;
    line.schema = fresh->definition->version;
    return line;
}

int upcast_lines(struct folder *f, const struct domain_type *t, const struct event *e, struct buf *out,
                 struct script_fault *fault) {
    struct fresh_event *fresh;
    size_t n;
    int r = upcast_event(f, t, e, &fresh, &n, fault);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct event line = upcast_line(e, &fresh[i]);
        char *at = buf_reserve(out, event_size(&line));
        if (!at)
            return -ENOMEM;
        out->n += (size_t)(event_render(&line, at) - at);
    }
    return r;
}
