#include "domain_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define IDLE_MEMORY (32u << 20)

struct domain_vm {
    struct domain *domain; /* a reference of its own but while it is idle */
    struct script *script;
    bool loading;   /* libraries are there while definitions are loaded: `fold` covers those, and no others */
    bool *required; /* by the definition being loaded, by place in the files; NULL unless someone asks */
    script_value *handlers;
};

/* --- loading */

static bool library_find(void *arg, struct str name, struct str *text) {
    struct domain_vm *vm = arg;
    const struct domain_files *files = &vm->domain->own->files;
    const struct domain_file *file =
        vm->loading ? domain_file_find(files, DOMAIN_LIBRARY, (struct str){0}, name, 0) : NULL;
    if (!file)
        return false;
    if (vm->required)
        vm->required[file - files->items] = true;
    *text = file->text;
    return true;
}

const bool *domain_vm_required(const struct domain_vm *vm) {
    return vm->required;
}

static int load_fault(const struct domain_file *file, int r, const struct script_fault *f, struct err *err) {
    if (r == -ENOMEM)
        return err_set(err, ENOMEM, "%s: out of memory", file->path.p);
    if (!f->file[0] || !f->line)
        return err_set(err, EINVAL, "%s: %s", file->path.p, f->text);
    return err_set(err, EINVAL, "%s:%d: %s", f->file, f->line, f->text);
}

static int definition_load(struct domain_vm *vm, size_t i, script_value *table, struct err *err) {
    const struct domain_file *file = vm->domain->own->definitions[i];
    struct script_fault fault = {0};
    if (vm->required)
        memset(vm->required, 0, vm->domain->own->files.n * sizeof *vm->required);
    vm->loading = true;
    int r = script_load(vm->script, file->path.p, file->text, table, &fault);
    vm->loading = false;
    return r ? load_fault(file, r, &fault, err) : 0;
}

/* --- handlers */

/* A function two levels down: events.OrderPlaced.evolve. 0 when there is none. */
static script_value member_at(struct script *s, script_value table, const char *name, const char *member) {
    script_value inner = script_member(s, table, name);
    script_value v = inner ? script_member(s, inner, member) : 0;
    script_drop(s, inner);
    return v;
}

static script_value upcast_at(struct script *s, script_value table, uint32_t version) {
    char text[16];
    snprintf(text, sizeof text, "%u", version);
    script_value v = script_item(s, table, version);
    return v ? v : script_member(s, table, text);
}

static void event_bind(struct domain_vm *vm, const struct domain_layout *layout, const struct domain_type *t, size_t i,
                       script_value events) {
    const struct domain_event *e = &t->events[i];
    vm->handlers[layout->evolve + i] = member_at(vm->script, events, e->name.p, "evolve");
    script_value upcasts = e->n_upcasts ? member_at(vm->script, events, e->name.p, "upcast") : 0;
    for (size_t j = 0; j < e->n_upcasts; j++)
        vm->handlers[layout->upcast[i] + j] = upcast_at(vm->script, upcasts, e->upcasts[j]);
    script_drop(vm->script, upcasts);
}

static void type_bind(struct domain_vm *vm, size_t type, script_value table) {
    const struct domain_type *t = &vm->domain->types[type];
    const struct domain_layout *layout = &vm->domain->own->layouts[type];
    struct script *s = vm->script;
    script_value commands = t->n_commands ? script_member(s, table, "commands") : 0;
    script_value events = t->n_events ? script_member(s, table, "events") : 0;
    vm->handlers[layout->initial] = script_member(s, table, "initial");
    for (size_t i = 0; i < t->n_commands; i++)
        vm->handlers[layout->decide + i] = member_at(s, commands, t->commands[i].name.p, "decide");
    for (size_t i = 0; i < t->n_events; i++)
        event_bind(vm, layout, t, i, events);
    for (size_t i = 0; i < t->n_rules; i++)
        vm->handlers[layout->rule + i] = member_at(s, table, "unique", t->rules[i].name.p);
    script_drop(s, commands);
    script_drop(s, events);
}

static void view_bind(struct domain_vm *vm, size_t view, script_value table) {
    static const char *const parts[DOMAIN_VIEW_PARTS] = {"key", "init", "output", "path"};
    const struct domain_view *v = &vm->domain->views[view];
    size_t at = vm->domain->own->view_layouts[view];
    for (size_t i = 0; i < DOMAIN_VIEW_PARTS; i++)
        vm->handlers[at++] = script_member(vm->script, table, parts[i]);
    for (size_t i = 0; i < v->n_on; i++)
        vm->handlers[at++] = member_at(vm->script, table, "on", v->on[i].p);
}

static void query_bind(struct domain_vm *vm, size_t query, script_value table) {
    script_value *handlers = vm->handlers + vm->domain->own->query_layouts[query];
    handlers[0] = script_member(vm->script, table, "run");
    handlers[1] = script_member(vm->script, table, "post");
}

static void kafka_bind(struct domain_vm *vm, script_value table) {
    const struct domain_kafka *k = vm->domain->kafka;
    script_value *handlers = vm->handlers + vm->domain->own->kafka_layout;
    for (size_t i = 0; i < k->n_on; i++)
        if (k->on[i].how == DOMAIN_KAFKA_MADE)
            handlers[i] = member_at(vm->script, table, "on", k->on[i].name.p);
}

/* --- making */

static size_t definition_count(const struct domain *d) {
    return d->n_types + d->n_views + d->n_queries + (d->kafka != NULL);
}

/* Loads each definition; `seen` reads the tables of the first vm, so that afterwards it is known how many
 * handlers there are. */
static int tables_load(struct domain_vm *vm, domain_vm_seen *seen, void *arg, script_value *tables, struct err *err) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < definition_count(vm->domain); i++) {
        r = definition_load(vm, i, &tables[i], err);
        if (r == 0 && seen)
            r = seen(arg, vm, vm->script, i, tables[i], err);
    }
    return r;
}

static int handlers_bind(struct domain_vm *vm, const script_value *tables, struct err *err) {
    vm->handlers = calloc(vm->domain->own->n_handlers + 1, sizeof *vm->handlers);
    if (!vm->handlers)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < vm->domain->n_types; i++)
        type_bind(vm, i, tables[i]);
    for (size_t i = 0; i < vm->domain->n_views; i++)
        view_bind(vm, i, tables[vm->domain->n_types + i]);
    for (size_t i = 0; i < vm->domain->n_queries; i++)
        query_bind(vm, i, tables[vm->domain->n_types + vm->domain->n_views + i]);
    if (vm->domain->kafka)
        kafka_bind(vm, tables[definition_count(vm->domain) - 1]);
    return 0;
}

static int definitions_load(struct domain_vm *vm, domain_vm_seen *seen, void *arg, struct err *err) {
    size_t n = definition_count(vm->domain);
    script_value *tables = calloc(n + 1, sizeof *tables);
    if (!tables)
        return err_set(err, ENOMEM, "out of memory");
    int r = tables_load(vm, seen, arg, tables, err);
    if (r == 0)
        r = handlers_bind(vm, tables, err);
    for (size_t i = 0; i < n; i++)
        script_drop(vm->script, tables[i]);
    free(tables);
    return r;
}

int domain_vm_make(struct domain_vm **out, struct domain *d, domain_vm_seen *seen, void *arg, struct err *err) {
    struct domain_vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return err_set(err, ENOMEM, "out of memory");
    struct script_options options = {.limits = d->own->limits, .library = library_find, .arg = vm};
    vm->domain = d;
    vm->required = seen ? calloc(d->own->files.n + 1, sizeof *vm->required) : NULL;
    int r = seen && !vm->required ? -ENOMEM : script_new(&vm->script, &options);
    r = r < 0 ? err_set(err, -r, "a Lua state cannot be made: %s", strerror(-r)) : definitions_load(vm, seen, arg, err);
    free(vm->required);
    vm->required = NULL;
    if (r < 0) {
        domain_vm_destroy(vm);
        return r;
    }
    *out = vm;
    return 0;
}

void domain_vm_destroy(struct domain_vm *vm) {
    script_free(vm->script);
    free(vm->handlers);
    free(vm);
}

int domain_vm_new(struct domain_vm **out, struct domain *d, struct err *err) {
    int r = domain_vm_make(out, d, NULL, NULL, err);
    if (r == 0)
        domain_ref(d);
    return r;
}

void domain_vm_free(struct domain_vm *vm) {
    if (!vm)
        return;
    struct domain *d = vm->domain;
    domain_vm_destroy(vm);
    domain_unref(d);
}

/* --- the idle ones */

int domain_vm_take(struct domain *d, struct domain_vm **out, struct err *err) {
    struct domain_private *own = d->own;
    struct domain_vm *vm = NULL;
    pthread_mutex_lock(&own->mutex);
    if (own->n_idle)
        vm = own->idle[--own->n_idle];
    pthread_mutex_unlock(&own->mutex);
    if (!vm)
        return domain_vm_new(out, d, err);
    domain_ref(d);
    *out = vm;
    return 0;
}

/* An idle vm that holds much is not worth keeping. */
static bool is_worth_keeping(struct domain_vm *vm) {
    if (script_memory(vm->script) > IDLE_MEMORY)
        script_collect(vm->script, true);
    return script_memory(vm->script) <= IDLE_MEMORY;
}

void domain_vm_give(struct domain_vm *vm) {
    struct domain *d = vm->domain;
    struct domain_private *own = d->own;
    bool kept = false;
    if (is_worth_keeping(vm)) {
        pthread_mutex_lock(&own->mutex);
        kept = own->n_idle < DOMAIN_IDLE_VMS;
        if (kept)
            own->idle[own->n_idle++] = vm;
        pthread_mutex_unlock(&own->mutex);
    }
    if (!kept)
        domain_vm_destroy(vm);
    domain_unref(d);
}

/* --- asking */

struct script *domain_vm_script(struct domain_vm *vm) {
    return vm->script;
}

const struct domain *domain_vm_domain(const struct domain_vm *vm) {
    return vm->domain;
}

static const struct domain_layout *layout_of(const struct domain_vm *vm, const struct domain_type *t) {
    return &vm->domain->own->layouts[t - vm->domain->types];
}

script_value domain_vm_initial(struct domain_vm *vm, const struct domain_type *t) {
    return vm->handlers[layout_of(vm, t)->initial];
}

script_value domain_vm_decide(struct domain_vm *vm, const struct domain_type *t, const struct domain_command *c) {
    return vm->handlers[layout_of(vm, t)->decide + (size_t)(c - t->commands)];
}

script_value domain_vm_evolve(struct domain_vm *vm, const struct domain_type *t, const struct domain_event *e) {
    return vm->handlers[layout_of(vm, t)->evolve + (size_t)(e - t->events)];
}

script_value domain_vm_upcast(struct domain_vm *vm, const struct domain_type *t, const struct domain_event *e,
                              uint32_t version) {
    for (size_t i = 0; i < e->n_upcasts; i++)
        if (e->upcasts[i] == version)
            return vm->handlers[layout_of(vm, t)->upcast[e - t->events] + i];
    return 0;
}

script_value domain_vm_rule(struct domain_vm *vm, const struct domain_type *t, const struct domain_rule *r) {
    return vm->handlers[layout_of(vm, t)->rule + (size_t)(r - t->rules)];
}

script_value domain_vm_view(struct domain_vm *vm, const struct domain_view *v, enum domain_view_part part) {
    return vm->handlers[vm->domain->own->view_layouts[v - vm->domain->views] + part];
}

/* The place of a name in `on`, which is sorted; n_on when it is not there. */
static size_t on_find(const struct domain_view *v, struct str name) {
    size_t low = 0, high = v->n_on;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = domain_str_compare(name, v->on[middle]);
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return v->n_on;
}

script_value domain_vm_view_on(struct domain_vm *vm, const struct domain_view *v, struct str event) {
    size_t i = on_find(v, event);
    if (i == v->n_on)
        i = on_find(v, STR("*"));
    return i < v->n_on ? domain_vm_view(vm, v, DOMAIN_VIEW_PARTS + (enum domain_view_part)i) : 0;
}

static const script_value *query_handlers(const struct domain_vm *vm, const struct domain_query *q) {
    return vm->handlers + vm->domain->own->query_layouts[q - vm->domain->queries];
}

script_value domain_vm_query_run(struct domain_vm *vm, const struct domain_query *q) {
    return query_handlers(vm, q)[0];
}

script_value domain_vm_query_post(struct domain_vm *vm, const struct domain_query *q) {
    return query_handlers(vm, q)[1];
}

script_value domain_vm_kafka_on(struct domain_vm *vm, const struct domain_kafka_on *on) {
    return vm->handlers[vm->domain->own->kafka_layout + (size_t)(on - vm->domain->kafka->on)];
}
