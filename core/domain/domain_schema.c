#include "domain_private.h"

#include "block.h"

#include <errno.h>
#include <stdlib.h>

/* --- documents */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Leaves out the white space between tokens of a text that was found to be JSON. */
static struct str minified(struct str text, char *out) {
    size_t n = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!in_string && is_blank(c))
            continue;
        if (c == '"')
            in_string = !in_string;
        out[n++] = c;
        if (in_string && c == '\\')
            out[n++] = text.p[++i];
    }
    memset(out + n, 0, JSON_PADDING);
    return (struct str){out, n};
}

static int document_parse(struct str document, const char *what, struct arena *arena, struct json_value *tree,
                          struct err *err) {
    const char *why = "";
    struct json_parser *parser = json_parser_new();
    int r = parser ? json_tree_read(parser, document, arena, tree, &why) : -ENOMEM;
    json_parser_free(parser);
    return r == JSON_MALFORMED ? err_set(err, EINVAL, "%s: is not JSON: %s", what, why) : r;
}

int domain_document_read(struct str document, const char *what, struct arena *arena, struct json_value *tree,
                         struct str *text, struct err *err) {
    int r = document_parse(document, what, arena, tree, err);
    char *out = r == 0 ? arena_alloc(arena, document.n + JSON_PADDING) : NULL;
    if (r == 0 && out) {
        *text = minified(document, out);
        return 0;
    }
    return r < 0 && r != -ENOMEM ? r : err_set(err, ENOMEM, "%s: out of memory", what);
}

/* --- the schemas of the directory */

int domain_schema_compare(const struct domain_schema *a, const struct domain_schema *b) {
    int r = domain_str_compare(a->type, b->type);
    if (r == 0)
        r = a->of_command - b->of_command;
    if (r == 0)
        r = domain_str_compare(a->name, b->name);
    return r ? r : (a->version > b->version) - (a->version < b->version);
}

static int schema_order(const void *a, const void *b) {
    return domain_schema_compare(*(struct domain_schema *const *)a, *(struct domain_schema *const *)b);
}

static int schema_read(const struct domain_file *file, struct arena *arena, const struct schema_options *options,
                       struct domain_schema *out, struct err *err) {
    struct json_value *tree = arena_alloc(arena, sizeof *tree);
    struct schema *compiled = NULL;
    struct err why = {0};
    if (!tree)
        return err_set(err, ENOMEM, "out of memory");
    *out = (struct domain_schema){.of_command = file->kind == DOMAIN_COMMAND_SCHEMA,
                                  .type = file->type,
                                  .name = file->name,
                                  .version = file->version,
                                  .tree = tree};
    int r = domain_document_read(file->text, file->path.p, arena, tree, &out->text, err);
    if (r == 0 && out->text.n > BLOCK_SCHEMA_BYTES)
        r = err_set(err, EINVAL, "%s: is larger than the 1 MiB that a schema may have", file->path.p);
    if (r < 0)
        return r;
    r = schema_compile(&compiled, tree, options, &why);
    out->compiled = compiled;
    return r < 0 ? err_set(err, -r, "%s: %s", file->path.p, r == -ENOMEM ? "out of memory" : why.text) : 0;
}

static bool is_schema(const struct domain_file *file) {
    return file->kind == DOMAIN_EVENT_SCHEMA || file->kind == DOMAIN_COMMAND_SCHEMA;
}

int domain_schemas_read(struct domain *d, const struct domain_options *options, struct err *err) {
    const struct schema_options how = {.assert_format = options->assert_format};
    const struct domain_files *files = &d->own->files;
    struct arena *arena = &d->own->arena;
    d->schemas = arena_alloc(arena, files->n * sizeof(struct domain_schema *) + 1);
    int r = d->schemas ? 0 : err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < files->n; i++) {
        if (!is_schema(&files->items[i]))
            continue;
        struct domain_schema *schema = arena_alloc(arena, sizeof *schema);
        if (!schema)
            return err_set(err, ENOMEM, "out of memory");
        r = schema_read(&files->items[i], arena, &how, schema, err);
        if (r == 0)
            d->schemas[d->n_schemas++] = schema;
    }
    if (r == 0 && d->n_schemas)
        qsort(d->schemas, d->n_schemas, sizeof *d->schemas, schema_order);
    return r;
}

/* The place of the first schema that does not come before `wanted`. */
static size_t schema_place(const struct domain *d, const struct domain_schema *wanted) {
    size_t low = 0, high = d->n_schemas;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (domain_schema_compare(d->schemas[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct domain_schema *const *domain_schemas_of(const struct domain *d, struct str type, bool of_command,
                                               struct str name, size_t *n) {
    struct domain_schema wanted = {.of_command = of_command, .type = type, .name = name};
    size_t first = schema_place(d, &wanted);
    wanted.version = UINT32_MAX;
    *n = schema_place(d, &wanted) - first;
    return d->schemas + first;
}

const struct domain_schema *domain_schema(const struct domain *d, struct str type, bool of_command, struct str name,
                                          uint32_t version) {
    const struct domain_schema wanted = {.of_command = of_command, .type = type, .name = name, .version = version};
    size_t i = schema_place(d, &wanted);
    return i < d->n_schemas && domain_schema_compare(d->schemas[i], &wanted) == 0 ? d->schemas[i] : NULL;
}
