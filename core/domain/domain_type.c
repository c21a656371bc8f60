/* What a definition file says of a type. */
#include "domain_private.h"

#include "name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct type_reader {
    struct reader in;
    struct domain *d;
    struct domain_type *t;
    struct domain_layout *layout;
    size_t n;          /* of the commands, events, rules or upcasts read so far */
    uint32_t *upcasts; /* of the event being read */
};

/* Encryption is not there: what asks for it must not be stored in clear. */
static int secret_refuse(struct type_reader *r, script_value table, const char *name) {
    script_value v = script_member(r->in.s, table, name);
    script_drop(r->in.s, v);
    return v ? reader_fault(&r->in, name,
                            "this release of esfs does not encrypt: what is meant to be secret would be stored in "
                            "clear text, so the domain is refused")
             : 0;
}

/* --- tables of named things */

/* Visits the members of a table of the definition, which may be missing, with room for all in *array. */
static int table_visit(struct type_reader *r, script_value definition, const char *name, const char *what, void **array,
                       size_t size, script_visit *visit) {
    script_value table;
    r->in.at[0] = 0;
    r->n = 0;
    int rc = reader_member(&r->in, definition, name, SCRIPT_OBJECT, what, &table);
    if (rc < 0 || !table)
        return rc;
    size_t n = reader_count(&r->in, table);
    *array = arena_alloc(r->in.arena, n * size + 1);
    if (*array)
        memset(*array, 0, n * size);
    rc = *array ? script_each(r->in.s, table, visit, r) : reader_memory(&r->in);
    script_drop(r->in.s, table);
    return rc;
}

/* A name that stands as a key in a table of the definition. */
static int key_take(struct type_reader *r, const char *table, struct str key, bool key_is_integer, struct str *out) {
    char shown[DOMAIN_SHOWN];
    domain_shown(key, shown);
    snprintf(r->in.at, sizeof r->in.at, "%s.%s", table, shown);
    if (key_is_integer)
        return reader_fault(&r->in, "", "a number is no name: write { Name = ... }");
    const char *why = name_fault(key);
    if (why)
        return reader_fault(&r->in, "", "the name %s", why);
    *out = domain_name_copy(r->in.arena, key);
    return out->p ? 0 : reader_memory(&r->in);
}

/* --- schemas */

/* The newest version that the directory holds of an event or a command, or 0. */
static uint32_t newest_version(const struct type_reader *r, bool of_command, struct str name) {
    size_t n;
    struct domain_schema *const *versions = domain_schemas_of(r->d, r->t->name, of_command, name, &n);
    return n ? versions[n - 1]->version : 0;
}

/* "OrderPlaced.2" of the event OrderPlaced: 2. 0 when it is not that. */
static uint32_t version_of(struct str text, struct str name) {
    uint32_t version = 0;
    if (text.n < name.n + 2 || memcmp(text.p, name.p, name.n) || text.p[name.n] != '.' || text.p[name.n + 1] == '0')
        return 0;
    for (size_t i = name.n + 1; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || version > DOMAIN_VERSION_MAX / 10)
            return 0;
        version = version * 10 + (uint32_t)(text.p[i] - '0');
    }
    return version;
}

static int schema_named(struct type_reader *r, bool of_command, struct str name, struct str text,
                        const struct domain_schema **out) {
    char shown[DOMAIN_SHOWN];
    const char *room = of_command ? "commands/" : "";
    uint32_t version = version_of(text, name), newest = newest_version(r, of_command, name);
    if (!version)
        return reader_fault(&r->in, "schema", "%s is not the name of a schema of %s, like %s.1",
                            domain_shown(text, shown), name.p, name.p);
    *out = domain_schema(r->d, r->t->name, of_command, name, version);
    if (!*out)
        return reader_fault(&r->in, "schema", "there is no file schemas/%s/%s%s.%u.json", r->t->name.p, room, name.p,
                            version);
    if (newest > version)
        return reader_fault(&r->in, "schema", "schemas/%s/%s%s.%u.json is newer than the version %u that is named here",
                            r->t->name.p, room, name.p, newest, version);
    return 0;
}

static int schema_find(struct type_reader *r, script_value table, bool of_command, struct str name,
                       const struct domain_schema **out) {
    struct str text;
    int rc = reader_text(&r->in, table, "schema", &text);
    *out = NULL;
    if (rc < 0)
        return rc;
    if (text.p)
        return schema_named(r, of_command, name, text, out);
    uint32_t newest = newest_version(r, of_command, name);
    return newest ? reader_fault(&r->in, "schema", "is missing, but there is schemas/%s/%s%s.%u.json", r->t->name.p,
                                 of_command ? "commands/" : "", name.p, newest)
                  : 0;
}

/* --- commands */

static int command_read(struct type_reader *r, script_value table, struct domain_command *c) {
    static const char *const names[] = {"schema", "allow", "sensitive", "decide"};
    bool decides = false;
    int rc = reader_members(&r->in, table, names, sizeof names / sizeof *names);
    if (rc == 0)
        rc = secret_refuse(r, table, "sensitive");
    if (rc == 0)
        rc = reader_function(&r->in, table, "decide", &decides);
    if (rc == 0 && !decides)
        rc = reader_fault(&r->in, "decide", "is missing: a command has decide = function(state, cmd, get) ... end");
    if (rc == 0)
        rc = reader_allow(&r->in, table, "allow", &c->allow);
    return rc < 0 ? rc : schema_find(r, table, true, c->name, &c->schema);
}

static int command_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct type_reader *r = arg;
    struct domain_command *c = &r->t->commands[r->n++];
    int rc = key_take(r, "commands", key, key_is_integer, &c->name);
    if (rc == 0 && !domain_is_table(r->in.s, value))
        rc = reader_fault(&r->in, "", "must be a table: { decide = function(state, cmd, get) ... end }");
    return rc < 0 ? rc : command_read(r, value, c);
}

/* --- events */

static int upcast_key(struct type_reader *r, struct str key, uint32_t newest, uint32_t *version) {
    char shown[DOMAIN_SHOWN];
    uint64_t v = 0;
    bool plain = key.n == 1 || (key.n > 1 && key.n <= 10 && key.p[0] != '0');
    for (size_t i = 0; plain && i < key.n; i++) {
        plain = key.p[i] >= '0' && key.p[i] <= '9';
        v = v * 10 + (uint64_t)(key.p[i] - '0');
    }
    if (!plain)
        return reader_fault(&r->in, "upcast", "%s is no version: write { [1] = function(data, e) ... end }",
                            domain_shown(key, shown));
    if (v >= newest)
        return reader_fault(&r->in, "upcast", "%s leads beyond the newest version, which is %u%s",
                            domain_shown(key, shown), newest, newest ? "" : " (there is no schema)");
    *version = (uint32_t)v;
    return 0;
}

static int upcast_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    (void)key_is_integer;
    struct type_reader *r = arg;
    uint32_t version = 0, newest = r->t->events[r->t->n_events].version;
    int rc = upcast_key(r, key, newest, &version);
    if (rc < 0)
        return rc;
    if (script_kind(r->in.s, value) != SCRIPT_FUNCTION)
        return reader_fault(&r->in, "upcast", "[%u] must be a function", version);
    size_t i = r->n++;
    for (; i > 0 && r->upcasts[i - 1] >= version; i--) {
        if (r->upcasts[i - 1] == version)
            return reader_fault(&r->in, "upcast", "[%u] and [\"%u\"] are the same version", version, version);
        r->upcasts[i] = r->upcasts[i - 1];
    }
    r->upcasts[i] = version;
    return 0;
}

static int upcasts_read(struct type_reader *r, script_value table, struct domain_event *e) {
    script_value v;
    size_t outer = r->n;
    int rc = reader_member(&r->in, table, "upcast", SCRIPT_OBJECT, "a table: { [1] = function(data, e) ... end }", &v);
    if (rc < 0 || !v)
        return rc;
    r->upcasts = arena_alloc(r->in.arena, reader_count(&r->in, v) * sizeof *r->upcasts + 1);
    r->n = 0;
    rc = r->upcasts ? script_each(r->in.s, v, upcast_visit, r) : reader_memory(&r->in);
    script_drop(r->in.s, v);
    e->upcasts = r->upcasts;
    e->n_upcasts = r->n;
    r->n = outer;
    r->t->upcasts |= e->n_upcasts > 0;
    return rc;
}

/* What is passed over has no use for anything else; its schemas may stay in the directory. */
static int retired_check(struct type_reader *r, script_value table) {
    static const char *const names[] = {"schema", "upcast", "evolve", "compatible"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        script_value v = script_member(r->in.s, table, names[i]);
        script_drop(r->in.s, v);
        if (v)
            return reader_fault(&r->in, names[i], "a retired event is passed over and has only `retired` and `reason`");
    }
    return 0;
}

static int reason_read(struct type_reader *r, script_value table, struct domain_event *e) {
    int rc = reader_text(&r->in, table, "reason", &e->reason);
    if (rc < 0)
        return rc;
    if (e->compatible && !e->reason.n)
        return reader_fault(&r->in, "compatible", "needs a reason = \"why old data is valid under the new schema\"");
    return e->reason.p && !e->compatible && !e->retired
               ? reader_fault(&r->in, "reason", "belongs to compatible = true or retired = true")
               : 0;
}

static int event_read(struct type_reader *r, script_value table, struct domain_event *e) {
    static const char *const names[] = {"schema",  "sensitive",  "upcast", "evolve",
                                        "retired", "compatible", "reason", "shredded"};
    int rc = reader_members(&r->in, table, names, sizeof names / sizeof *names);
    if (rc == 0)
        rc = secret_refuse(r, table, "sensitive");
    if (rc == 0)
        rc = secret_refuse(r, table, "shredded");
    if (rc == 0)
        rc = reader_boolean(&r->in, table, "retired", &e->retired);
    if (rc == 0)
        rc = reader_boolean(&r->in, table, "compatible", &e->compatible);
    if (rc == 0)
        rc = reason_read(r, table, e);
    if (rc < 0 || e->retired)
        return rc < 0 ? rc : retired_check(r, table);
    rc = schema_find(r, table, false, e->name, &e->schema);
    e->version = e->schema ? e->schema->version : 0;
    if (rc == 0)
        rc = reader_function(&r->in, table, "evolve", &e->evolves);
    return rc < 0 ? rc : upcasts_read(r, table, e);
}

static int event_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct type_reader *r = arg;
    struct domain_event *e = &r->t->events[r->n];
    int rc = key_take(r, "events", key, key_is_integer, &e->name);
    if (rc == 0 && str_eq(e->name, STR("commands")))
        rc = reader_fault(&r->in, "",
                          "no event can have this name: schemas/<type>/commands/ is where the schemas of commands are");
    if (rc == 0 && !domain_is_table(r->in.s, value))
        rc = reader_fault(&r->in, "", "must be a table: { evolve = function(state, e) ... end }");
    r->t->n_events = r->n;
    if (rc == 0)
        rc = event_read(r, value, e);
    r->n++;
    return rc;
}

/* --- rules */

static int rule_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct type_reader *r = arg;
    int rc = key_take(r, "unique", key, key_is_integer, &r->t->rules[r->n++].name);
    if (rc == 0 && script_kind(r->in.s, value) != SCRIPT_FUNCTION)
        rc = reader_fault(&r->in, "", "must be a function(state) that returns what no two aggregates may have");
    return rc;
}

/* --- the definition */

static int tables_read(struct type_reader *r, script_value table) {
    struct domain_type *t = r->t;
    int rc = table_visit(r, table, "commands", "a table: { PlaceOrder = { decide = ... } }", (void **)&t->commands,
                         sizeof *t->commands, command_visit);
    t->n_commands = r->n;
    if (rc == 0) {
        rc = table_visit(r, table, "events", "a table: { OrderPlaced = { evolve = ... } }", (void **)&t->events,
                         sizeof *t->events, event_visit);
        t->n_events = r->n;
    }
    if (rc == 0) {
        rc = table_visit(r, table, "unique", "a table: { number = function(state) ... end }", (void **)&t->rules,
                         sizeof *t->rules, rule_visit);
        t->n_rules = r->n;
    }
    return rc;
}

/* Gives the type's handlers their places behind those of the types before it. */
static int layout_make(struct type_reader *r) {
    size_t *next = &r->d->own->n_handlers;
    size_t *upcast = arena_alloc(r->in.arena, r->t->n_events * sizeof *upcast + 1);
    if (!upcast)
        return reader_memory(&r->in);
    struct domain_layout *layout = r->layout;
    *layout = (struct domain_layout){.initial = *next, .upcast = upcast};
    layout->decide = layout->initial + 1;
    layout->evolve = layout->decide + r->t->n_commands;
    layout->rule = layout->evolve + r->t->n_events;
    *next = layout->rule + r->t->n_rules;
    for (size_t i = 0; i < r->t->n_events; i++) {
        upcast[i] = *next;
        *next += r->t->events[i].n_upcasts;
    }
    return 0;
}

int domain_type_read(struct domain *d, size_t i, struct script *s, script_value table, struct err *err) {
    static const char *const names[] = {"initial", "read", "unique", "commands", "events"};
    struct type_reader r = {.d = d, .t = &d->types[i], .layout = &d->own->layouts[i]};
    r.in = (struct reader){.arena = &d->own->arena, .s = s, .err = err, .file = r.t->file};
    bool there;
    int rc = reader_members(&r.in, table, names, sizeof names / sizeof *names);
    if (rc == 0)
        rc = reader_function(&r.in, table, "initial", &there);
    if (rc == 0)
        rc = reader_allow(&r.in, table, "read", &r.t->read);
    if (rc == 0)
        rc = tables_read(&r, table);
    return rc < 0 ? rc : layout_make(&r);
}
