/* Documents, the base URIs and anchors in them, and what references lead to. */
#include "schema_private.h"

#include "array.h"
#include "schema_uri.h"

#include <errno.h>
#include <stdio.h>

void *compiler_alloc(struct compiler *c, size_t n) {
    void *p = arena_alloc(&c->s->arena, n);
    return p ? memset(p, 0, n) : NULL;
}

/* --- dialects */

static const struct dialect drafts[] = {
    {.draft = DRAFT_2020,
     .vocabularies = VOCABULARY_APPLICATOR | VOCABULARY_UNEVALUATED | VOCABULARY_VALIDATION | VOCABULARY_OTHER,
     .uri = {"https://json-schema.org/draft/2020-12/schema", 44}},
    {.draft = DRAFT_07,
     .vocabularies = VOCABULARY_APPLICATOR | VOCABULARY_VALIDATION | VOCABULARY_OTHER,
     .uri = {"http://json-schema.org/draft-07/schema", 38}},
};

const struct dialect *dialect_default(void) {
    return &drafts[0];
}

static const struct {
    struct str name;
    unsigned bit;
} vocabularies[] = {
    {{"core", 4}, VOCABULARY_OTHER},
    {{"applicator", 10}, VOCABULARY_APPLICATOR},
    {{"unevaluated", 11}, VOCABULARY_UNEVALUATED},
    {{"validation", 10}, VOCABULARY_VALIDATION},
    {{"meta-data", 9}, VOCABULARY_OTHER},
    {{"format-annotation", 17}, VOCABULARY_OTHER},
    {{"format-assertion", 16}, VOCABULARY_FORMAT_ASSERTION},
    {{"content", 7}, VOCABULARY_OTHER},
};

static unsigned vocabulary_find(struct str uri) {
    const struct str prefix = STR("https://json-schema.org/draft/2020-12/vocab/");
    if (uri.n < prefix.n || memcmp(uri.p, prefix.p, prefix.n) != 0)
        return 0;
    struct str name = {uri.p + prefix.n, uri.n - prefix.n};
    for (size_t i = 0; i < sizeof vocabularies / sizeof *vocabularies; i++)
        if (str_eq(vocabularies[i].name, name))
            return vocabularies[i].bit;
    return 0;
}

/* A metaschema that `load` knows: draft 2020-12 with the vocabularies it names. */
static int dialect_read(struct compiler *c, struct str uri, const struct json_value *document, struct dialect *out) {
    const struct json_value *base = json_field(document, STR("$schema"));
    const struct json_value *listed = json_field(document, STR("$vocabulary"));
    *out = drafts[0];
    out->own = true;
    if (base && (base->kind != JSON_KIND_STRING || !str_eq(base->text, drafts[0].uri)))
        return err_set(c->err, EINVAL, "$schema: %.*s is not a metaschema of draft 2020-12", (int)uri.n, uri.p);
    if (!(out->uri = arena_copy(&c->s->arena, uri)).p)
        return -ENOMEM;
    if (!listed || listed->kind != JSON_KIND_OBJECT)
        return 0;
    out->vocabularies = VOCABULARY_OTHER;
    for (uint32_t i = 0; i < listed->n; i++) {
        struct str name = listed->fields[i].name;
        unsigned bit = vocabulary_find(name);
        if (!bit && listed->fields[i].value.kind == JSON_KIND_TRUE)
            return err_set(c->err, EINVAL, "$schema: %.*s requires the vocabulary %.*s, which is not known here",
                           (int)uri.n, uri.p, (int)name.n, name.p);
        out->vocabularies |= bit;
    }
    return 0;
}

int dialect_find(struct compiler *c, struct str uri, const struct dialect **out) {
    const struct json_value *document;
    struct str plain = uri;
    if (plain.n && plain.p[plain.n - 1] == '#')
        plain.n--;
    for (size_t i = 0; i < sizeof drafts / sizeof *drafts; i++)
        if (str_eq(plain, drafts[i].uri)) {
            *out = &drafts[i];
            return 0;
        }
    if (!c->options || !c->options->load || !c->options->load(c->options->arg, plain, &document))
        return err_set(c->err, EINVAL,
                       "$schema: %.*s is not known here: it can be draft 2020-12 (%s) or draft-07 (%s#)", (int)uri.n,
                       uri.p, drafts[0].uri.p, drafts[1].uri.p);
    struct dialect *found = compiler_alloc(c, sizeof *found);
    if (!found)
        return -ENOMEM;
    *out = found;
    return dialect_read(c, plain, document, found);
}

/* --- resources and anchors */

static uint64_t str_hash(struct str s) {
    return bytes_hash(s.p, s.n);
}

static int uri_put(struct compiler *c, struct str uri, uint32_t resource) {
    if (!ARRAY_ROOM(c->uri_resource, c->n_uris, c->cap_uris) ||
        !ARRAY_ROOM(c->uri_names, c->n_uris, c->cap_uri_names) ||
        table_put(&c->uris, str_hash(uri), (uint32_t)c->n_uris))
        return -ENOMEM;
    c->uri_names[c->n_uris] = uri;
    c->uri_resource[c->n_uris++] = resource;
    return 0;
}

static bool uri_find(const struct compiler *c, struct str uri, uint32_t *resource) {
    struct table_probe probe;
    for (uint32_t i = table_first(&c->uris, str_hash(uri), &probe); i != TABLE_NONE; i = table_next(&c->uris, &probe))
        if (str_eq(c->uri_names[i], uri)) {
            *resource = c->uri_resource[i];
            return true;
        }
    return false;
}

static int resource_add(struct compiler *c, struct str uri, const struct dialect *dialect, uint32_t *out) {
    struct schema *s = c->s;
    uint32_t other;
    if (!ARRAY_ROOM(s->resources, s->n_resources, s->cap_resources))
        return -ENOMEM;
    *out = (uint32_t)s->n_resources;
    s->resources[s->n_resources++] = (struct resource){.uri = uri, .dialect = dialect};
    return uri_find(c, uri, &other) ? 0 : uri_put(c, uri, *out);
}

static uint64_t anchor_hash(uint32_t resource, struct str name) {
    return str_hash(name) ^ table_hash_number(resource + 1);
}

static const struct anchor *anchor_find(const struct compiler *c, uint32_t resource, struct str name) {
    struct table_probe probe;
    for (uint32_t i = table_first(&c->names, anchor_hash(resource, name), &probe); i != TABLE_NONE;
         i = table_next(&c->names, &probe))
        if (c->anchors[i].resource == resource && str_eq(c->anchors[i].name, name))
            return &c->anchors[i];
    return NULL;
}

static int anchor_add(struct compiler *c, struct node *node, const struct json_value *v, const char *keyword,
                      bool dynamic) {
    if (v->kind != JSON_KIND_STRING)
        return compile_error(c, node, keyword, "is not a string");
    struct str name = arena_copy(&c->s->arena, v->text);
    struct resource *r = &c->s->resources[node->resource];
    if (!name.p || !ARRAY_ROOM(c->anchors, c->n_anchors, c->cap_anchors))
        return -ENOMEM;
    const struct anchor *other = anchor_find(c, node->resource, name);
    if (other && other->node != node)
        return compile_error(c, node, keyword, "there are two anchors of the name %.*s", (int)name.n, name.p);
    if (!other && table_put(&c->names, anchor_hash(node->resource, name), (uint32_t)c->n_anchors))
        return -ENOMEM;
    if (!other)
        c->anchors[c->n_anchors++] = (struct anchor){node->resource, name, node, dynamic};
    else if (dynamic)
        c->anchors[other - c->anchors].dynamic = true;
    if (!dynamic)
        return 0;
    if (!ARRAY_ROOM(r->anchors, r->n_anchors, r->cap_anchors))
        return -ENOMEM;
    r->anchors[r->n_anchors++] = (struct dynamic_anchor){name, node};
    return 0;
}

/* --- walking */

struct node *node_of(const struct compiler *c, const struct json_value *v) {
    struct table_probe probe;
    for (uint32_t i = table_first(&c->values, table_hash_number((uintptr_t)v), &probe); i != TABLE_NONE;
         i = table_next(&c->values, &probe))
        if (c->by_value[i]->value == v)
            return c->by_value[i];
    return NULL;
}

static struct node *node_add(struct compiler *c, const struct json_value *v, const struct node *parent,
                             const char *keyword, struct str suffix) {
    struct node *node = compiler_alloc(c, sizeof *node);
    if (!node || !ARRAY_ROOM(c->by_value, c->n_values, c->cap_values) ||
        table_put(&c->values, table_hash_number((uintptr_t)v), (uint32_t)c->n_values))
        return NULL;
    *node = (struct node){.types = TYPES_ALL,
                          .resource = parent ? parent->resource : 0,
                          .parent = parent,
                          .suffix = suffix,
                          .keyword = keyword,
                          .value = v};
    c->by_value[c->n_values++] = node;
    if (c->last)
        c->last->next = node;
    else
        c->s->nodes = node;
    return c->last = node;
}

/* "/properties/a~1b"; token p NULL: the keyword alone. */
static struct str suffix_make(struct compiler *c, const char *keyword, struct str token) {
    size_t n = strlen(keyword);
    char *start = arena_alloc(&c->s->arena, n + 2 * token.n + 2), *at = start;
    if (!start)
        return (struct str){0};
    *at++ = '/';
    at = mempcpy(at, keyword, n);
    if (token.p)
        *at++ = '/';
    for (size_t i = 0; i < token.n; i++) {
        char ch = token.p[i];
        if (ch == '~' || ch == '/')
            *at++ = '~';
        *at++ = ch == '~' ? '0' : ch == '/' ? '1' : ch;
    }
    return (struct str){start, (size_t)(at - start)};
}

static int walk(struct compiler *c, struct node *node, unsigned depth);

static int walk_child(struct compiler *c, const struct node *node, const char *keyword, struct str token,
                      const struct json_value *v, unsigned depth) {
    struct str suffix = suffix_make(c, keyword, token);
    struct node *child = suffix.p ? node_add(c, v, node, keyword, suffix) : NULL;
    return child ? walk(c, child, depth + 1) : -ENOMEM;
}

static int walk_children(struct compiler *c, const struct node *node, const struct keyword *k,
                         const struct json_value *v, unsigned depth) {
    char digits[16];
    int rc = 0;
    if (k->shape == SHAPE_ONE || (k->shape == SHAPE_ONE_OR_LIST && v->kind != JSON_KIND_ARRAY))
        return walk_child(c, node, k->name, (struct str){0}, v, depth);
    if (v->kind == JSON_KIND_ARRAY && (k->shape == SHAPE_LIST || k->shape == SHAPE_ONE_OR_LIST))
        for (uint32_t i = 0; i < v->n && !rc; i++) {
            struct str token = {digits, (size_t)snprintf(digits, sizeof digits, "%u", i)};
            rc = walk_child(c, node, k->name, token, &v->items[i], depth);
        }
    if (v->kind == JSON_KIND_OBJECT && (k->shape == SHAPE_MAP || k->shape == SHAPE_MAP_MIXED))
        for (uint32_t i = 0; i < v->n && !rc; i++) {
            struct str token = {v->fields[i].name.n ? v->fields[i].name.p : "", v->fields[i].name.n};
            if (k->shape == SHAPE_MAP || v->fields[i].value.kind != JSON_KIND_ARRAY)
                rc = walk_child(c, node, k->name, token, &v->fields[i].value, depth);
        }
    return rc;
}

/* $id begins a resource; in draft-07 "#name" is an anchor. */
static int walk_id(struct compiler *c, struct node *node, const struct json_value *id) {
    struct resource *r = &c->s->resources[node->resource];
    const struct dialect *dialect = r->dialect;
    const struct json_value *named = json_field(node->value, STR("$schema"));
    if (id->kind != JSON_KIND_STRING)
        return compile_error(c, node, "$id", "is not a string");
    struct uri u = uri_split(id->text);
    if (dialect->draft == DRAFT_07 && u.fragment.n) {
        struct json_value name = {.kind = JSON_KIND_STRING, .text = u.fragment};
        int rc = anchor_add(c, node, &name, "$id", false);
        if (rc || u.fragment.p == id->text.p + 1)
            return rc;
    } else if (u.fragment.n) {
        return compile_error(c, node, "$id", "has a fragment");
    }
    if (named && named->kind == JSON_KIND_STRING && node->parent) {
        int rc = dialect_find(c, named->text, &dialect);
        if (rc)
            return rc;
    }
    struct str uri;
    if (!uri_resolve(&c->s->arena, r->uri, id->text, &uri))
        return -ENOMEM;
    int rc = 0;
    if (!node->parent && r->root == node) { /* a document has two names */
        uint32_t other;
        r->uri = uri;
        return uri_find(c, uri, &other) ? 0 : uri_put(c, uri, node->resource);
    }
    rc = resource_add(c, uri, dialect, &node->resource);
    if (!rc)
        c->s->resources[node->resource].root = node;
    return rc;
}

/* In draft-07 nothing counts beside $ref, but definitions are looked into. */
static bool walked(const struct dialect *d, bool hidden, struct str name) {
    return !hidden || (d->draft == DRAFT_07 && str_eq(name, STR("definitions")));
}

static int walk(struct compiler *c, struct node *node, unsigned depth) {
    const struct json_value *v = node->value, *found;
    int rc = 0;
    if (v->kind != JSON_KIND_OBJECT)
        return 0; /* compile_nodes() tells what is no schema */
    if (depth > JSON_DEPTH_MAX)
        return compile_error(c, node, NULL, "is nested too deep");
    bool hidden = c->s->resources[node->resource].dialect->draft == DRAFT_07 && json_field(v, STR("$ref"));
    if (!hidden && (found = json_field(v, STR("$id"))))
        rc = walk_id(c, node, found);
    const struct dialect *dialect = c->s->resources[node->resource].dialect;
    if (!rc && dialect->draft == DRAFT_2020 && (found = json_field(v, STR("$anchor"))))
        rc = anchor_add(c, node, found, "$anchor", false);
    if (!rc && dialect->draft == DRAFT_2020 && (found = json_field(v, STR("$dynamicAnchor"))))
        rc = anchor_add(c, node, found, "$dynamicAnchor", true);
    for (uint32_t i = 0; i < v->n && !rc; i++) {
        const struct keyword *k = keyword_find(v->fields[i].name, dialect);
        if (k && k->shape != SHAPE_NONE && walked(dialect, hidden, v->fields[i].name))
            rc = walk_children(c, node, k, &v->fields[i].value, depth);
    }
    return rc;
}

/* A subschema where `v` is: walked already, or found by a reference only. */
int node_child(struct compiler *c, const struct node *node, const char *keyword, const struct json_value *v,
               struct node **out) {
    *out = node_of(c, v);
    return *out ? 0 : compile_error(c, node, keyword, "is not a schema");
}

static int document_dialect(struct compiler *c, const struct json_value *document, const struct dialect **dialect) {
    const struct json_value *named = json_field(document, STR("$schema"));
    if (!named)
        return 0;
    if (named->kind != JSON_KIND_STRING)
        return err_set(c->err, EINVAL, "/$schema: is not a string");
    return dialect_find(c, named->text, dialect);
}

int document_add(struct compiler *c, struct str uri, const struct json_value *document, const struct dialect *dialect,
                 struct node **root) {
    uint32_t resource;
    int rc = document_dialect(c, document, &dialect);
    if (!rc)
        rc = meta_check(c, dialect, uri, document);
    if (!rc)
        rc = resource_add(c, uri, dialect, &resource);
    if (rc)
        return rc;
    struct node *node = node_add(c, document, NULL, "", STR(""));
    if (!node)
        return -ENOMEM;
    node->resource = resource;
    c->s->resources[resource].root = node;
    *root = node;
    return walk(c, node, 1);
}

/* --- references */

static int meta_load(struct compiler *c, const struct meta *meta, const struct json_value **document) {
    const char *why;
    struct json_value *tree = compiler_alloc(c, sizeof *tree);
    if (!c->parser)
        c->parser = json_parser_new();
    if (!tree || !c->parser)
        return -ENOMEM;
    *document = tree;
    int rc = json_tree_read(c->parser, meta->text, &c->s->arena, tree, &why);
    return rc == JSON_MALFORMED ? err_set(c->err, EIO, "a metaschema is not JSON: %s", why) : rc;
}

static int resource_find(struct compiler *c, struct node *node, const char *keyword, struct str uri, uint32_t *out) {
    const struct json_value *document;
    struct node *root;
    if (uri_find(c, uri, out))
        return 0;
    const struct meta *meta = meta_find(uri);
    int rc = 0;
    if (meta)
        rc = meta_load(c, meta, &document);
    else if (!c->options || !c->options->load || !c->options->load(c->options->arg, uri, &document))
        return compile_error(c, node, keyword, "leads to %.*s, which is not known here", (int)uri.n, uri.p);
    bool trusted = c->trusted;
    c->trusted = trusted || meta;
    if (!rc)
        rc = document_add(c, uri, document, c->s->resources[node->resource].dialect, &root);
    c->trusted = trusted;
    if (!rc)
        *out = root->resource;
    return rc;
}

/* One token of a JSON pointer, unescaped in place. */
static struct str token_unescape(char *p, size_t n) {
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        bool escape = p[i] == '~' && i + 1 < n && (p[i + 1] == '0' || p[i + 1] == '1');
        p[out++] = escape ? (p[i + 1] == '0' ? '~' : '/') : p[i];
        i += escape;
    }
    return (struct str){p, out};
}

static const struct json_value *item_find(const struct json_value *array, struct str token) {
    uint64_t v = 0;
    if (token.n == 0 || token.n > 10 || (token.n > 1 && token.p[0] == '0'))
        return NULL;
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] < '0' || token.p[i] > '9')
            return NULL;
        v = v * 10 + (uint64_t)(token.p[i] - '0');
    }
    return v < array->n ? &array->items[v] : NULL;
}

/* A node for what a pointer leads to; *near: the innermost schema on the way, and the way on from there. */
static int pointer_follow(struct compiler *c, struct node *root, struct str pointer, struct node **out) {
    const struct json_value *v = root->value;
    struct node *near = root;
    char *copy = (char *)arena_copy(&c->s->arena, pointer).p;
    if (!copy)
        return -ENOMEM;
    size_t after_near = 0;
    for (size_t at = 0; v && at < pointer.n;) {
        size_t start = ++at;
        while (at < pointer.n && pointer.p[at] != '/')
            at++;
        struct str token = token_unescape(copy + start, at - start);
        v = v->kind == JSON_KIND_ARRAY ? item_find(v, token) : json_field(v, token);
        struct node *here = v ? node_of(c, v) : NULL;
        if (here) {
            near = here;
            after_near = at;
        }
    }
    *out = NULL;
    if (!v)
        return 0;
    if (after_near == pointer.n || near->value == v) {
        *out = near;
        return 0;
    }
    struct str suffix = arena_copy(&c->s->arena, (struct str){pointer.p + after_near, pointer.n - after_near});
    *out = suffix.p ? node_add(c, v, near, "$ref", suffix) : NULL;
    return *out ? walk(c, *out, 1) : -ENOMEM;
}

int ref_resolve(struct compiler *c, struct node *node, const char *keyword, struct str ref, struct node **out,
                const struct anchor **anchor) {
    struct str uri, fragment = uri_split(ref).fragment;
    uint32_t resource;
    *anchor = NULL;
    if (!uri_resolve(&c->s->arena, c->s->resources[node->resource].uri, ref, &uri) ||
        !uri_unescape(&c->s->arena, fragment, &fragment))
        return -ENOMEM;
    int rc = resource_find(c, node, keyword, uri, &resource);
    if (rc)
        return rc;
    *out = c->s->resources[resource].root;
    if (fragment.n && fragment.p[0] == '/') {
        rc = pointer_follow(c, *out, fragment, out);
    } else if (fragment.n) {
        *anchor = anchor_find(c, resource, fragment);
        *out = *anchor ? (*anchor)->node : NULL;
    }
    if (!rc && !*out)
        return compile_error(c, node, keyword, "%.*s leads nowhere", (int)ref.n, ref.p);
    return rc;
}
