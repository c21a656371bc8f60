#include "domain_private.h"

#include "varint.h"

#include <errno.h>
#include <stdlib.h>

/* --- loading */

static int memory_fault(struct err *err) {
    return err_set(err, ENOMEM, "out of memory");
}

static struct domain *domain_make(const char *directory, const struct domain_options *options) {
    struct domain *d = calloc(1, sizeof *d);
    struct domain_private *own = calloc(1, sizeof *own);
    if (!d || !own || pthread_mutex_init(&own->mutex, NULL)) {
        free(d);
        free(own);
        return NULL;
    }
    atomic_init(&own->references, 1);
    own->limits = options->limits;
    own->assert_format = options->assert_format;
    d->own = own;
    d->directory = domain_name_copy(&own->arena, str_of(directory));
    if (!d->directory.p) {
        domain_unref(d);
        return NULL;
    }
    return d;
}

/* A file's name and bytes as parts of a hash, told apart from the next ones by their lengths. */
static size_t file_parts(const struct domain_file *file, char size[8], struct str *parts) {
    le64_put(size, file->text.n);
    parts[0] = (struct str){file->path.p, file->path.n + 1};
    parts[1] = (struct str){size, 8};
    parts[2] = file->text;
    return 3;
}

typedef bool file_choice(const void *arg, const struct domain_file *file, size_t i);

/* Over a constant and the files that are chosen, in their order. */
static int files_hash(const struct domain_files *files, struct str constant, file_choice *chosen, const void *arg,
                      uint8_t out[DIGEST_CHAIN]) {
    struct str *parts = calloc(3 * files->n + 1, sizeof *parts);
    char(*sizes)[8] = calloc(files->n + 1, sizeof *sizes);
    size_t n = 0;
    if (parts && sizes) {
        parts[n++] = constant;
        for (size_t i = 0; i < files->n; i++)
            if (chosen(arg, &files->items[i], i))
                n += file_parts(&files->items[i], sizes[i], parts + n);
        digest_chain(parts, n, out);
    }
    free(parts);
    free(sizes);
    return n ? 0 : -ENOMEM;
}

static bool every_file(const void *arg, const struct domain_file *file, size_t i) {
    (void)arg, (void)file, (void)i;
    return true;
}

struct folding {
    const struct domain_file *definition;
    const bool *required;
};

static bool folding_file(const void *arg, const struct domain_file *file, size_t i) {
    const struct folding *f = arg;
    return file == f->definition || f->required[i];
}

/* What folding a type depends on. */
static int fold_hash(struct domain *d, size_t type, const bool *required, struct err *err) {
    uint8_t hash[DIGEST_CHAIN];
    const struct folding f = {d->own->definitions[type], required};
    _Static_assert(DOMAIN_FOLD_HASH <= DIGEST_CHAIN, "the hash is cut");
    if (files_hash(&d->own->files, STR(DOMAIN_FOLD_RULES), folding_file, &f, hash) < 0)
        return memory_fault(err);
    memcpy(d->types[type].fold, hash, DOMAIN_FOLD_HASH);
    return 0;
}

/* What the output of a view, or of kafka.lua, depends on: its own file, and how the types that it follows are folded.
 */
static int follower_hash(struct domain *d, const struct folding *f, struct str rules, const struct domain_type **from,
                         size_t n_from, uint8_t out[DOMAIN_FOLD_HASH], struct err *err) {
    uint8_t own[DIGEST_CHAIN], hash[DIGEST_CHAIN];
    struct str *parts = calloc(2 * n_from + 1, sizeof *parts);
    if (!parts || files_hash(&d->own->files, rules, folding_file, f, own) < 0) {
        free(parts);
        return memory_fault(err);
    }
    parts[0] = (struct str){(const char *)own, sizeof own};
    for (size_t i = 0; i < n_from; i++) {
        parts[2 * i + 1] = (struct str){from[i]->name.p, from[i]->name.n + 1};
        parts[2 * i + 2] = (struct str){(const char *)from[i]->fold, DOMAIN_FOLD_HASH};
    }
    digest_chain(parts, 2 * n_from + 1, hash);
    memcpy(out, hash, DOMAIN_FOLD_HASH);
    free(parts);
    return 0;
}

static int view_hash(struct domain *d, size_t view, const bool *required, struct err *err) {
    struct domain_view *v = &d->views[view];
    const struct folding f = {d->own->definitions[d->n_types + view], required};
    return follower_hash(d, &f, STR(DOMAIN_VIEW_RULES), v->from, v->n_from, v->hash, err);
}

static int kafka_hash(struct domain *d, const bool *required, struct err *err) {
    struct domain_kafka *k = d->kafka;
    const struct folding f = {d->own->definitions[d->n_types + d->n_views + d->n_queries], required};
    return follower_hash(d, &f, STR(DOMAIN_KAFKA_RULES), k->from, k->n_from, k->hash, err);
}

static void libraries_note(struct domain *d, const bool *required) {
    for (size_t i = 0; i < d->own->files.n; i++)
        d->own->files.items[i].required |= required[i];
}

static int definition_seen(void *arg, struct domain_vm *vm, struct script *s, size_t definition, script_value table,
                           struct err *err) {
    struct domain *d = arg;
    const bool *required = domain_vm_required(vm);
    libraries_note(d, required);
    if (definition < d->n_types) {
        int r = domain_type_read(d, definition, s, table, err);
        return r < 0 ? r : fold_hash(d, definition, required, err);
    }
    definition -= d->n_types;
    if (definition >= d->n_views + d->n_queries) {
        int r = domain_kafka_read(d, s, table, err);
        return r < 0 ? r : kafka_hash(d, required, err);
    }
    if (definition >= d->n_views)
        return domain_query_read(d, definition - d->n_views, s, table, err);
    int r = domain_view_read(d, definition, s, table, err);
    return r < 0 ? r : view_hash(d, definition, required, err);
}

static int type_order(const void *a, const void *b) {
    return domain_str_compare(((const struct domain_type *)a)->name, ((const struct domain_type *)b)->name);
}

/* A type for each definition file, by name: "a.lua" comes before "a-b.lua" in one order and after it in the other. */
static int types_make(struct domain *d, struct err *err) {
    struct domain_private *own = d->own;
    size_t n = own->files.n;
    d->types = arena_alloc(&own->arena, n * sizeof *d->types + 1);
    own->definitions = arena_alloc(&own->arena, n * sizeof *own->definitions + 1);
    own->layouts = arena_alloc(&own->arena, n * sizeof *own->layouts + 1);
    if (!d->types || !own->definitions || !own->layouts)
        return memory_fault(err);
    for (size_t i = 0; i < n; i++)
        if (own->files.items[i].kind == DOMAIN_AGGREGATE)
            d->types[d->n_types++] =
                (struct domain_type){.name = own->files.items[i].type, .file = own->files.items[i].path};
    if (d->n_types)
        qsort(d->types, d->n_types, sizeof *d->types, type_order);
    for (size_t i = 0; i < d->n_types; i++)
        own->definitions[i] = domain_file_find(&own->files, DOMAIN_AGGREGATE, d->types[i].name, (struct str){0}, 0);
    return 0;
}

static int view_order(const void *a, const void *b) {
    return domain_str_compare(((const struct domain_view *)a)->name, ((const struct domain_view *)b)->name);
}

static int views_make(struct domain *d, struct err *err) {
    struct domain_private *own = d->own;
    size_t n = own->files.n;
    d->views = arena_alloc(&own->arena, n * sizeof *d->views + 1);
    own->view_layouts = arena_alloc(&own->arena, n * sizeof *own->view_layouts + 1);
    if (!d->views || !own->view_layouts)
        return memory_fault(err);
    for (size_t i = 0; i < n; i++)
        if (own->files.items[i].kind == DOMAIN_VIEW)
            d->views[d->n_views++] =
                (struct domain_view){.name = own->files.items[i].name, .file = own->files.items[i].path};
    if (d->n_views)
        qsort(d->views, d->n_views, sizeof *d->views, view_order);
    for (size_t i = 0; i < d->n_views; i++)
        own->definitions[d->n_types + i] =
            domain_file_find(&own->files, DOMAIN_VIEW, (struct str){0}, d->views[i].name, 0);
    return 0;
}

static int query_order(const void *a, const void *b) {
    return domain_str_compare(((const struct domain_query *)a)->name, ((const struct domain_query *)b)->name);
}

static int queries_make(struct domain *d, struct err *err) {
    struct domain_private *own = d->own;
    size_t n = own->files.n;
    d->queries = arena_alloc(&own->arena, n * sizeof *d->queries + 1);
    own->query_layouts = arena_alloc(&own->arena, n * sizeof *own->query_layouts + 1);
    if (!d->queries || !own->query_layouts)
        return memory_fault(err);
    for (size_t i = 0; i < n; i++)
        if (own->files.items[i].kind == DOMAIN_QUERY)
            d->queries[d->n_queries++] =
                (struct domain_query){.name = own->files.items[i].name, .file = own->files.items[i].path};
    if (d->n_queries)
        qsort(d->queries, d->n_queries, sizeof *d->queries, query_order);
    for (size_t i = 0; i < d->n_queries; i++)
        own->definitions[d->n_types + d->n_views + i] =
            domain_file_find(&own->files, DOMAIN_QUERY, (struct str){0}, d->queries[i].name, 0);
    return 0;
}

static int kafka_make(struct domain *d, struct err *err) {
    struct domain_private *own = d->own;
    const struct str none = {0};
    struct domain_file *file = domain_file_find(&own->files, DOMAIN_KAFKA, none, none, 0);
    if (!file)
        return 0;
    d->kafka = arena_alloc(&own->arena, sizeof *d->kafka);
    if (!d->kafka)
        return memory_fault(err);
    *d->kafka = (struct domain_kafka){.file = file->path};
    own->definitions[d->n_types + d->n_views + d->n_queries] = file;
    return 0;
}

static int domain_read(struct domain *d, const struct domain_options *options, struct err *err) {
    struct domain_private *own = d->own;
    struct domain_vm *vm = NULL;
    int r = domain_files_read(&own->files, d->directory.p, &own->arena, err);
    if (r == 0 && files_hash(&own->files, STR("esfs domain 1"), every_file, NULL, d->hash) < 0)
        r = memory_fault(err);
    if (r == 0)
        r = types_make(d, err);
    if (r == 0)
        r = views_make(d, err);
    if (r == 0)
        r = queries_make(d, err);
    if (r == 0)
        r = kafka_make(d, err);
    if (r == 0)
        r = domain_schemas_read(d, options, err);
    if (r == 0)
        r = domain_vm_make(&vm, d, definition_seen, d, err);
    if (r == 0)
        own->idle[own->n_idle++] = vm;
    return r;
}

int domain_load(struct domain **out, const char *directory, const struct domain_options *options, struct err *err) {
    struct domain *d = domain_make(directory, options);
    if (!d)
        return memory_fault(err);
    int r = domain_read(d, options, err);
    if (r < 0) {
        domain_unref(d);
        return r;
    }
    *out = d;
    return 0;
}

/* --- life */

struct domain *domain_ref(struct domain *d) {
    atomic_fetch_add_explicit(&d->own->references, 1, memory_order_relaxed);
    return d;
}

static void domain_free(struct domain *d) {
    struct domain_private *own = d->own;
    for (size_t i = 0; i < own->n_idle; i++)
        domain_vm_destroy(own->idle[i]);
    for (size_t i = 0; i < d->n_schemas; i++)
        schema_free((struct schema *)d->schemas[i]->compiled);
    for (size_t i = 0; i < d->n_queries; i++)
        schema_free((struct schema *)d->queries[i].compiled);
    free(own->files.items);
    buf_free(&own->files.unread);
    pthread_mutex_destroy(&own->mutex);
    arena_free(&own->arena);
    free(own);
    free(d);
}

void domain_unref(struct domain *d) {
    if (d && atomic_fetch_sub_explicit(&d->own->references, 1, memory_order_acq_rel) == 1)
        domain_free(d);
}

/* --- look-ups */

static const void *by_name(const void *items, size_t n, size_t size, struct str name) {
    /* Each of the structs begins with its name. */
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *item = (const char *)items + middle * size;
        int order = domain_str_compare(name, *(const struct str *)item);
        if (order == 0)
            return item;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

_Static_assert(offsetof(struct domain_type, name) == 0 && offsetof(struct domain_command, name) == 0 &&
                   offsetof(struct domain_event, name) == 0 && offsetof(struct domain_view, name) == 0 &&
                   offsetof(struct domain_query, name) == 0,
               "by_name() reads the name in front");

const struct domain_type *domain_type(const struct domain *d, struct str name) {
    return by_name(d->types, d->n_types, sizeof *d->types, name);
}

const struct domain_command *domain_command(const struct domain_type *t, struct str name) {
    return by_name(t->commands, t->n_commands, sizeof *t->commands, name);
}

const struct domain_event *domain_event(const struct domain_type *t, struct str name) {
    return by_name(t->events, t->n_events, sizeof *t->events, name);
}

const struct domain_view *domain_view(const struct domain *d, struct str name) {
    return by_name(d->views, d->n_views, sizeof *d->views, name);
}

const struct domain_query *domain_query(const struct domain *d, struct str name) {
    return by_name(d->queries, d->n_queries, sizeof *d->queries, name);
}

bool domain_follows(const struct domain_type *const *from, size_t n_from, const struct domain_type *t) {
    for (size_t i = 0; i < n_from; i++)
        if (from[i] == t)
            return true;
    return false;
}
