/* What a file in queries/ says. */
#include "domain_private.h"

#include "block.h"

#include <errno.h>

#define PARAMS_NONE "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"
#define TTL_MAX (UINT64_C(100) * 365 * 24 * 60 * 60 * 1000) /* ms: a hundred years */

struct query_reader {
    struct reader in;
    const struct domain *d;
    struct domain_query *q;
};

/* --- params */

/* The schema as JSON, with what must be readable behind it. */
static int params_text(struct query_reader *r, script_value params, struct str *out) {
    struct script_fault fault;
    struct buf text = {0};
    int rc = 0;
    if (params)
        rc = script_to_json(r->in.s, params, &text, &fault);
    else
        buf_put_text(&text, PARAMS_NONE);
    if (rc == SCRIPT_FAILED)
        rc = reader_fault(&r->in, "params", "%s", fault.text);
    else if (rc == 0 && text.n > BLOCK_SCHEMA_BYTES)
        rc = reader_fault(&r->in, "params", "is larger than the 1 MiB that a schema may have");
    char *bytes = rc == 0 && !text.oom ? arena_alloc(r->in.arena, text.n + JSON_PADDING) : NULL;
    if (bytes) {
        memcpy(bytes, text.p, text.n);
        memset(bytes + text.n, 0, JSON_PADDING);
        *out = (struct str){bytes, text.n};
    } else if (rc == 0 || rc == -ENOMEM) {
        rc = reader_memory(&r->in);
    }
    buf_free(&text);
    return rc;
}

static bool is_of_objects(const struct json_value *schema) {
    const struct json_value *type = json_field(schema, STR("type"));
    return type && type->kind == JSON_KIND_STRING && str_eq(type->text, STR("object"));
}

static int params_compile(struct query_reader *r, struct str document) {
    const struct schema_options how = {.assert_format = r->d->own->assert_format};
    struct json_value *tree = arena_alloc(r->in.arena, sizeof *tree);
    struct schema *compiled = NULL;
    struct err why = {0};
    if (!tree)
        return reader_memory(&r->in);
    int rc = domain_document_read(document, r->q->file.p, r->in.arena, tree, &r->q->params, r->in.err);
    if (rc < 0)
        return rc;
    r->q->tree = tree;
    rc = schema_compile(&compiled, tree, &how, &why);
    r->q->compiled = compiled;
    if (rc < 0)
        return rc == -ENOMEM ? reader_memory(&r->in) : reader_fault(&r->in, "params", "%s", why.text);
    if (!is_of_objects(tree))
        return reader_fault(&r->in, "params", "must have type = \"object\": what is asked with has names");
    return 0;
}

static int params_read(struct query_reader *r, script_value table) {
    script_value params;
    struct str document;
    int rc = reader_member(&r->in, table, "params", SCRIPT_OBJECT,
                           "a JSON Schema as a table, like { type = \"object\", properties = { ... } }", &params);
    if (rc == 0)
        rc = params_text(r, params, &document);
    script_drop(r->in.s, params);
    return rc < 0 ? rc : params_compile(r, document);
}

/* --- for how long, and for whom */

/* "500ms" in ms; 0 when it is nothing such, or too long. */
static uint64_t duration_of(struct str text) {
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1},
                 {"s", 1000},
                 {"m", 60 * 1000},
                 {"h", 60 * 60 * 1000},
                 {"d", 24 * 60 * 60 * 1000},
                 {"w", 7 * 24 * 60 * 60 * 1000}};
    uint64_t n = 0;
    size_t i = 0;
    for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9' && n <= TTL_MAX; i++)
        n = n * 10 + (uint64_t)(text.p[i] - '0');
    const struct str unit = {text.p + i, text.n - i};
    for (size_t k = 0; k < sizeof units / sizeof *units; k++)
        if (str_eq(unit, str_of(units[k].unit)))
            return n <= TTL_MAX / units[k].ms ? n * units[k].ms : 0;
    return 0;
}

static int ttl_read(struct query_reader *r, script_value table) {
    char shown[DOMAIN_SHOWN];
    script_value v;
    int rc = reader_member(&r->in, table, "ttl", SCRIPT_STRING, "a text like \"30s\"", &v);
    struct str text = v ? script_string(r->in.s, v) : (struct str){"", 0};
    if (v) {
        r->q->ttl = duration_of(text);
        if (!r->q->ttl)
            rc = reader_fault(&r->in, "ttl",
                              "%s is no time: it is a number from 1 and ms, s, m, h, d or w, like \"30s\", and at most "
                              "a hundred years",
                              domain_shown(text, shown));
    }
    script_drop(r->in.s, v);
    return rc;
}

/* A member that is one of two words, the first of which may be left out; *second: it is the other. */
static int word_read(struct query_reader *r, script_value table, const char *name, const char *first, const char *other,
                     bool *second) {
    char shown[DOMAIN_SHOWN];
    struct str text;
    int rc = reader_text(&r->in, table, name, &text);
    *second = text.p && str_eq(text, str_of(other));
    if (rc < 0 || !text.p || *second || (first && str_eq(text, str_of(first))))
        return rc;
    domain_shown(text, shown);
    return first ? reader_fault(&r->in, name, "must be \"%s\" or \"%s\", not %s", first, other, shown)
                 : reader_fault(&r->in, name, "must be \"%s\", or not there, and not %s", other, shown);
}

static int cache_read(struct query_reader *r, script_value table) {
    struct domain_query *q = r->q;
    int rc = ttl_read(r, table);
    if (rc == 0)
        rc = word_read(r, table, "depends", "read", "ttl", &q->depends_on_ttl);
    if (rc == 0 && q->depends_on_ttl && !q->ttl)
        rc = reader_fault(&r->in, "depends", "is \"ttl\", and there is no ttl = \"30s\"");
    return rc < 0 ? rc : word_read(r, table, "cache", NULL, "per_caller", &q->per_caller);
}

/* --- the definition */

static int handlers_read(struct query_reader *r, script_value table) {
    bool runs, there;
    int rc = reader_function(&r->in, table, "run", &runs);
    if (rc == 0 && !runs)
        rc = reader_fault(&r->in, "run", "is missing: a query has run = function(q, params) ... end");
    return rc < 0 ? rc : reader_function(&r->in, table, "post", &there);
}

int domain_query_read(struct domain *d, size_t i, struct script *s, script_value table, struct err *err) {
    static const char *const names[] = {"params", "allow", "ttl", "depends", "cache", "run", "post"};
    struct query_reader r = {.d = d, .q = &d->queries[i]};
    r.in = (struct reader){.arena = &d->own->arena, .s = s, .err = err, .file = r.q->file};
    _Static_assert(DOMAIN_FOLD_HASH <= DIGEST_CHAIN, "the hash is cut");
    memcpy(r.q->hash, d->hash, sizeof r.q->hash);
    int rc = reader_members(&r.in, table, names, sizeof names / sizeof *names);
    if (rc == 0)
        rc = params_read(&r, table);
    if (rc == 0)
        rc = reader_allow(&r.in, table, "allow", &r.q->allow);
    if (rc == 0)
        rc = cache_read(&r, table);
    if (rc == 0)
        rc = handlers_read(&r, table);
    d->own->query_layouts[i] = d->own->n_handlers;
    d->own->n_handlers += 2;
    return rc;
}
