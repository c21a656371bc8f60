#include "query_name.h"

#include "buf.h"
#include "name.h"
#include "queries.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN 200 /* bytes of a name or a value in words */

/* A parameter. */
struct pair {
    struct str name, value; /* value: as a file name says it, decoded */
    enum json_kind kind;
    struct str raw; /* its JSON */
};

struct reading {
    const struct domain_query *query;
    struct arena *arena;
    struct err *err;
    struct pair *pairs;
    size_t n;
};

/* --- encoding */

static bool is_unreserved(uint8_t c) {
    return c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

static void encoded_put(struct buf *out, struct str text) {
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = (uint8_t)text.p[i];
        if (is_unreserved(c))
            buf_put_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

/* For messages: encoded, so that it is plain text, and cut. */
static const char *shown(struct str text, char out[SHOWN]) {
    struct buf encoded = {0};
    if (name_is_utf8(text))
        encoded_put(&encoded, text);
    else
        buf_put_text(&encoded, "(not UTF-8)");
    size_t n = encoded.n < SHOWN - 1 ? encoded.n : SHOWN - 1;
    while (n > 0 && n < encoded.n && ((uint8_t)encoded.p[n] & 0xc0) == 0x80)
        n--;
    if (n)
        memcpy(out, encoded.p, n);
    out[n] = 0;
    buf_free(&encoded);
    return out;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int no_memory(struct reading *r) {
    return err_set(r->err, ENOMEM, "out of memory");
}

/* `what` is what faults call the text. */
static int decode(struct reading *r, struct str text, const char *what, struct str *out) {
    char *p = arena_alloc(r->arena, text.n + 1);
    size_t n = 0;
    if (!p)
        return no_memory(r);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '%') {
            p[n++] = text.p[i];
            continue;
        }
        int high = i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.p[i + 2]) : -1;
        if (low < 0)
            return err_set(r->err, EINVAL,
                           "%s: a %% is not followed by two hexadecimal digits (%%25 is the sign itself)", what);
        p[n++] = (char)(high << 4 | low);
        i += 2;
    }
    *out = (struct str){p, n};
    return name_is_utf8(*out) ? 0 : err_set(r->err, EINVAL, "%s: what is encoded is not UTF-8", what);
}

/* --- what a value may be */

enum { STRING = 1, INTEGER = 2, NUMBER = 4, BOOLEAN = 8, NUL = 16, ARRAY = 32, OBJECT = 64 };

static const struct {
    const char *name, *words;
    unsigned type;
} types[] = {
    {"string", "a string", STRING},  {"integer", "an integer", INTEGER},
    {"number", "a number", NUMBER},  {"boolean", "true or false", BOOLEAN},
    {"null", "null", NUL},           {"array", "an array", ARRAY},
    {"object", "an object", OBJECT},
};
#define TYPES (sizeof types / sizeof *types)

static unsigned type_named(const struct json_value *v) {
    for (size_t i = 0; v->kind == JSON_KIND_STRING && i < TYPES; i++)
        if (str_eq(v->text, str_of(types[i].name)))
            return types[i].type;
    return 0;
}

static unsigned types_of(const struct domain_query *q, struct str name) {
    const struct json_value *properties = json_field(q->tree, STR("properties"));
    const struct json_value *property = properties ? json_field(properties, name) : NULL;
    const struct json_value *type = property ? json_field(property, STR("type")) : NULL;
    unsigned allowed = 0;
    if (!type)
        return STRING;
    for (uint32_t i = 0; type->kind == JSON_KIND_ARRAY && i < type->n; i++)
        allowed |= type_named(&type->items[i]);
    return allowed | type_named(type);
}

static size_t digits(struct str t, size_t at) {
    size_t n = 0;
    while (at + n < t.n && t.p[at + n] >= '0' && t.p[at + n] <= '9')
        n++;
    return n;
}

static char char_at(struct str t, size_t at) {
    return at < t.n ? t.p[at] : 0;
}

/* The grammar of RFC 8259. */
static bool is_number(struct str t, bool *integer) {
    size_t at = char_at(t, 0) == '-', n = digits(t, at);
    if (n == 0 || (n > 1 && t.p[at] == '0'))
        return false;
    at += n;
    *integer = at == t.n;
    if (char_at(t, at) == '.') {
        n = digits(t, at + 1);
        if (n == 0)
            return false;
        at += 1 + n;
    }
    if (char_at(t, at) == 'e' || char_at(t, at) == 'E') {
        at += 1 + (char_at(t, at + 1) == '+' || char_at(t, at + 1) == '-');
        n = digits(t, at);
        if (n == 0)
            return false;
        at += n;
    }
    return at == t.n;
}

/* What a value is when it is written like this. False: nothing that is allowed. */
static bool kind_of(unsigned allowed, struct str text, enum json_kind *kind) {
    bool integer;
    if (allowed & (INTEGER | NUMBER) && is_number(text, &integer) && (integer || allowed & NUMBER))
        *kind = JSON_KIND_NUMBER;
    else if (allowed & BOOLEAN && str_eq(text, STR("true")))
        *kind = JSON_KIND_TRUE;
    else if (allowed & BOOLEAN && str_eq(text, STR("false")))
        *kind = JSON_KIND_FALSE;
    else if (allowed & NUL && str_eq(text, STR("null")))
        *kind = JSON_KIND_NULL;
    else if (allowed & STRING)
        *kind = JSON_KIND_STRING;
    else
        return false;
    return true;
}

static int ill_typed(struct reading *r, const struct pair *p, unsigned allowed) {
    char words[128] = "", name[SHOWN], value[SHOWN];
    size_t n = 0;
    for (size_t i = 0; i < TYPES; i++)
        if (allowed & types[i].type)
            n += (size_t)snprintf(words + n, sizeof words - n, "%s%s", n ? " or " : "", types[i].words);
    bool here = allowed & ~(unsigned)(ARRAY | OBJECT);
    return err_set(r->err, EINVAL, "%s=%s: %s must be %s%s", shown(p->name, name), shown(p->value, value), name,
                   n ? words : "of a type that does not exist",
                   n && !here ? ", which a file name cannot say: write the parameters to `call`" : "");
}

/* --- what there may be */

/* Whether the schema may speak of members that `properties` does not name. */
static bool is_open(const struct json_value *tree) {
    static const char *const keywords[] = {"additionalProperties",
                                           "patternProperties",
                                           "unevaluatedProperties",
                                           "propertyNames",
                                           "dependentSchemas",
                                           "$ref",
                                           "$dynamicRef",
                                           "allOf",
                                           "anyOf",
                                           "oneOf",
                                           "if"};
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (json_field(tree, str_of(keywords[i])))
            return true;
    return false;
}

static bool is_required(const struct json_value *tree, struct str name) {
    const struct json_value *required = json_field(tree, STR("required"));
    for (uint32_t i = 0; required && required->kind == JSON_KIND_ARRAY && i < required->n; i++)
        if (str_eq(required->items[i].text, name))
            return true;
    return false;
}

static bool is_known(const struct json_value *tree, struct str name) {
    const struct json_value *properties = json_field(tree, STR("properties"));
    return (properties && json_field(properties, name)) || is_required(tree, name);
}

static int pair_compare(const void *a, const void *b) {
    const struct pair *x = a, *y = b;
    size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
    int order = n ? memcmp(x->name.p, y->name.p, n) : 0;
    return order ? order : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

/* Sorts the pairs; none may be there twice, or unknown. */
static int pairs_settle(struct reading *r) {
    char name[SHOWN];
    bool open = is_open(r->query->tree);
    if (r->n)
        qsort(r->pairs, r->n, sizeof *r->pairs, pair_compare);
    for (size_t i = 0; i < r->n; i++) {
        if (i && str_eq(r->pairs[i - 1].name, r->pairs[i].name))
            return err_set(r->err, EINVAL, "%s is given twice", shown(r->pairs[i].name, name));
        if (!open && !is_known(r->query->tree, r->pairs[i].name))
            return err_set(r->err, EINVAL, "the query has no parameter %s", shown(r->pairs[i].name, name));
    }
    return 0;
}

/* --- what comes out */

static int kept(struct reading *r, struct buf *text, struct str *out) {
    char *p = text->oom ? NULL : arena_alloc(r->arena, text->n + JSON_PADDING);
    if (p) {
        if (text->n)
            memcpy(p, text->p, text->n);
        memset(p + text->n, 0, JSON_PADDING);
        *out = (struct str){p, text->n};
    }
    buf_free(text);
    return p ? 0 : no_memory(r);
}

static int canonical_make(struct reading *r, struct str *out) {
    struct buf text = {0};
    if (r->n == 0)
        buf_put_text(&text, "all");
    for (size_t i = 0; i < r->n; i++) {
        if (i)
            buf_put_char(&text, ',');
        encoded_put(&text, r->pairs[i].name);
        buf_put_char(&text, '=');
        encoded_put(&text, r->pairs[i].value);
    }
    return kept(r, &text, out);
}

static int json_make(struct reading *r, struct str *out) {
    struct buf text = {0};
    buf_put_char(&text, '{');
    for (size_t i = 0; i < r->n; i++) {
        if (i)
            buf_put_char(&text, ',');
        buf_put_json_string(&text, r->pairs[i].name);
        buf_put_char(&text, ':');
        buf_put_str(&text, r->pairs[i].raw);
    }
    buf_put_char(&text, '}');
    return kept(r, &text, out);
}

static int params_check(struct reading *r, struct json_parser *parser, struct query_params *out) {
    struct schema_fault fault;
    const char *why;
    struct json_value *tree = arena_alloc(r->arena, sizeof *tree);
    if (!tree)
        return no_memory(r);
    int rc = json_tree_read(parser, out->text, r->arena, tree, &why);
    if (rc == JSON_MALFORMED)
        return err_set(r->err, EBADMSG, "the parameters are no JSON: %s", why);
    out->tree = tree;
    if (rc == 0)
        rc = schema_check(r->query->compiled, tree, &fault);
    if (rc == SCHEMA_VIOLATED)
        return err_set(r->err, EINVAL, "%s %s (%s)", *fault.instance ? fault.instance : "the whole of the parameters",
                       fault.text, fault.keyword);
    return rc < 0 ? no_memory(r) : 0;
}

/* --- from file names */

static int pair_read(struct reading *r, struct str text, struct pair *out) {
    const char *equals = text.n ? memchr(text.p, '=', text.n) : NULL;
    char name[SHOWN];
    if (!equals)
        return err_set(r->err, EINVAL,
                       "%s is no parameter: pairs like customer=alice are joined by commas, and \"all\" is "
                       "no parameters",
                       text.n ? shown(text, name) : "\"\"");
    size_t n = (size_t)(equals - text.p);
    if (n == 0)
        return err_set(r->err, EINVAL, "there is no name in front of a =");
    int rc = decode(r, (struct str){text.p, n}, "the name of a parameter", &out->name);
    if (rc == 0)
        rc = decode(r, (struct str){equals + 1, text.n - n - 1}, shown(out->name, name), &out->value);
    return rc;
}

static int pairs_read(struct reading *r, struct str name) {
    size_t most = 1;
    for (size_t i = 0; i < name.n; i++)
        most += name.p[i] == ',';
    r->pairs = arena_alloc(r->arena, most * sizeof *r->pairs);
    if (!r->pairs)
        return no_memory(r);
    for (size_t at = 0; r->n < most; r->n++) {
        const char *comma = at < name.n ? memchr(name.p + at, ',', name.n - at) : NULL;
        size_t end = comma ? (size_t)(comma - name.p) : name.n;
        int rc = pair_read(r, (struct str){name.p + at, end - at}, &r->pairs[r->n]);
        if (rc < 0)
            return rc;
        at = end + 1;
    }
    return 0;
}

static int pair_type(struct reading *r, struct pair *p) {
    unsigned allowed = types_of(r->query, p->name);
    struct buf raw = {0};
    if (!kind_of(allowed, p->value, &p->kind))
        return ill_typed(r, p, allowed);
    if (p->kind == JSON_KIND_STRING)
        buf_put_json_string(&raw, p->value);
    else
        buf_put_str(&raw, p->value);
    return kept(r, &raw, &p->raw);
}

int query_name_read(const struct domain_query *q, struct json_parser *parser, struct arena *arena, struct str name,
                    struct query_params *out, struct err *err) {
    struct reading r = {.query = q, .arena = arena, .err = err};
    *out = (struct query_params){.file = true};
    int rc = str_eq(name, STR("all")) ? 0 : pairs_read(&r, name);
    if (rc == 0)
        rc = pairs_settle(&r);
    for (size_t i = 0; rc == 0 && i < r.n; i++)
        rc = pair_type(&r, &r.pairs[i]);
    if (rc == 0)
        rc = canonical_make(&r, &out->name);
    if (rc == 0 && out->name.n > QUERY_NAME_MAX)
        rc = err_set(err, ENAMETOOLONG,
                     "the name has %zu bytes when it is encoded, and may have %d: write the parameters to `call`",
                     out->name.n, QUERY_NAME_MAX);
    if (rc == 0)
        rc = json_make(&r, &out->text);
    return rc == 0 ? params_check(&r, parser, out) : rc;
}

/* --- from JSON */

/* Whether a file name says the same: its value, written there, is read as it is here. */
static bool pair_of_field(const struct domain_query *q, const struct json_field *field, struct pair *out) {
    const struct json_value *v = &field->value;
    enum json_kind kind;
    *out = (struct pair){.name = field->name, .kind = v->kind, .raw = v->raw};
    if (v->kind == JSON_KIND_ARRAY || v->kind == JSON_KIND_OBJECT || field->name.n == 0)
        return false;
    out->value = v->kind == JSON_KIND_STRING || v->kind == JSON_KIND_NUMBER ? v->text : v->raw;
    return kind_of(types_of(q, field->name), out->value, &kind) && kind == v->kind;
}

static int pairs_of_object(struct reading *r, const struct json_value *object, bool *file) {
    r->pairs = arena_alloc(r->arena, (object->n + 1) * sizeof *r->pairs);
    if (!r->pairs)
        return no_memory(r);
    *file = true;
    for (; r->n < object->n; r->n++)
        *file = pair_of_field(r->query, &object->fields[r->n], &r->pairs[r->n]) && *file;
    return 0;
}

static int object_read(struct reading *r, struct json_parser *parser, struct str json, struct json_value *out) {
    struct buf text = {0};
    struct str copy;
    const char *why;
    buf_put_str(&text, json);
    int rc = kept(r, &text, &copy);
    if (rc == 0)
        rc = json_tree_read(parser, copy, r->arena, out, &why);
    if (rc == JSON_MALFORMED)
        return err_set(r->err, EBADMSG, "the parameters are no JSON: %s", why);
    if (rc == 0 && out->kind != JSON_KIND_OBJECT)
        return err_set(r->err, EBADMSG, "the parameters are no JSON object");
    return rc < 0 ? no_memory(r) : 0;
}

int query_params_read(const struct domain_query *q, struct json_parser *parser, struct arena *arena, struct str json,
                      struct query_params *out, struct err *err) {
    struct reading r = {.query = q, .arena = arena, .err = err};
    struct json_value object;
    *out = (struct query_params){0};
    int rc = object_read(&r, parser, json, &object);
    if (rc == 0)
        rc = pairs_of_object(&r, &object, &out->file);
    if (rc == 0)
        rc = pairs_settle(&r);
    if (rc == 0)
        rc = json_make(&r, &out->text);
    if (rc == 0)
        rc = params_check(&r, parser, out);
    if (rc == 0 && out->file)
        rc = canonical_make(&r, &out->name);
    out->file = out->file && out->name.n <= QUERY_NAME_MAX;
    if (!out->file)
        out->name = out->text;
    return rc;
}
