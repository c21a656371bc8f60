#include "schema_private.h"

#include <errno.h>
#include <stdlib.h>

#define META_DEPTH_MAX 4 /* metaschemas of metaschemas */

/* --- places */

static size_t put(char *out, size_t size, size_t at, struct str s) {
    size_t n = s.n < size - at ? s.n : size - at;
    memcpy(out + at, s.p, n);
    return at + n;
}

/* From the outermost on, and no deeper on the stack than documents are nested. */
static size_t suffixes_put(const struct node *node, char *out, size_t size) {
    const struct node *path[2 * JSON_DEPTH_MAX];
    size_t n = 0, at = 0;
    for (; node && n < sizeof path / sizeof *path; node = node->parent)
        path[n++] = node;
    while (n-- > 0)
        at = put(out, size, at, path[n]->suffix);
    return at;
}

size_t node_pointer(const struct node *node, const char *keyword, char *out, size_t size) {
    size_t n = suffixes_put(node, out, size);
    if (keyword) {
        n = put(out, size, n, STR("/"));
        n = put(out, size, n, str_of(keyword));
    }
    size_t character = n; /* where the last character begins */
    while (character > 0 && ((unsigned char)out[character - 1] & 0xc0) == 0x80)
        character--;
    unsigned char lead = character ? (unsigned char)out[character - 1] : 0;
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return n == size && character && character - 1 + length > n ? character - 1 : n;
}

/* --- life */

static void compiler_free(struct compiler *c) {
    free(c->by_value);
    free(c->uri_resource);
    free(c->uri_names);
    free(c->anchors);
    table_free(&c->values);
    table_free(&c->uris);
    table_free(&c->names);
    json_parser_free(c->parser);
}

void schema_free(struct schema *s) {
    if (!s)
        return;
    for (size_t i = 0; i < s->n_regexes; i++)
        regex_free(s->regexes[i]);
    for (size_t i = 0; i < s->n_resources; i++)
        free(s->resources[i].anchors);
    free(s->regexes);
    free(s->resources);
    arena_free(&s->arena);
    free(s);
}

static int compile(struct schema **out, struct str uri, const struct json_value *document,
                   const struct schema_options *options, bool trusted, unsigned depth, struct err *err) {
    struct compiler c = {
        .s = calloc(1, sizeof *c.s), .options = options, .err = err, .trusted = trusted, .depth = depth};
    int rc = c.s ? document_add(&c, uri, document, dialect_default(), &c.s->root) : -ENOMEM;
    if (!rc)
        rc = compile_nodes(&c);
    if (!rc)
        rc = compile_loops(&c);
    compiler_free(&c);
    if (rc) {
        schema_free(c.s);
        return rc == -ENOMEM ? err_set(err, ENOMEM, "no memory for the schema") : rc;
    }
    *out = c.s;
    return 0;
}

int schema_compile(struct schema **out, const struct json_value *document, const struct schema_options *options,
                   struct err *err) {
    return compile(out, STR(""), document, options, false, 0, err);
}

/* --- against the metaschema */

const struct meta *meta_find(struct str uri) {
    for (size_t i = 0; i < n_metas; i++)
        if (str_eq(metas[i].uri, uri))
            return &metas[i];
    return NULL;
}

static int meta_compile(struct compiler *c, struct str uri, struct arena *arena, struct schema **out) {
    const struct meta *meta = meta_find(uri);
    const struct json_value *document;
    struct json_value tree;
    const char *why;
    if (c->depth >= META_DEPTH_MAX)
        return err_set(c->err, EINVAL, "$schema: %.*s has metaschemas of metaschemas without end", (int)uri.n, uri.p);
    if (!meta) {
        if (!c->options->load(c->options->arg, uri, &document))
            return err_set(c->err, EINVAL, "$schema: %.*s is not known here", (int)uri.n, uri.p);
        return compile(out, uri, document, c->options, false, c->depth + 1, c->err);
    }
    if (!c->parser && !(c->parser = json_parser_new()))
        return -ENOMEM;
    int rc = json_tree_read(c->parser, meta->text, arena, &tree, &why);
    if (rc == JSON_MALFORMED)
        return err_set(c->err, EIO, "the metaschema %.*s is not JSON: %s", (int)uri.n, uri.p, why);
    return rc ? rc : compile(out, uri, &tree, NULL, true, c->depth + 1, c->err);
}

int meta_check(struct compiler *c, const struct dialect *dialect, struct str uri, const struct json_value *document) {
    struct schema_fault fault;
    struct schema *meta;
    struct arena arena = {0};
    if (c->trusted || (c->depth && str_eq(uri, dialect->uri)))
        return 0;
    int rc = meta_compile(c, dialect->uri, &arena, &meta);
    arena_free(&arena);
    if (rc)
        return rc;
    rc = schema_check(meta, document, &fault);
    schema_free(meta);
    if (rc != SCHEMA_VIOLATED)
        return rc;
    return err_set(c->err, EINVAL, "%.*s%s%s: %s (%s of the metaschema)", (int)uri.n, uri.p, uri.n ? "#" : "",
                   fault.instance[0] ? fault.instance
                   : uri.n           ? ""
                                     : "the whole",
                   fault.text, fault.schema);
}
