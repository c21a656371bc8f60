#include "compat_private.h"

#include "array.h"

enum { EQUAL_DEPTH = 1500 };

/* --- a document */

static struct str text_of(const struct json_value *object, struct str name) {
    const struct json_value *v = field_of(object, name);
    return v && v->kind == JSON_KIND_STRING ? v->text : (struct str){0};
}

static bool str_starts(struct str s, struct str with) {
    return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

/* Looks at all objects, whether they are schemas or not: what is found too much makes the checker refuse more. */
static void document_look(struct document *d, const struct json_value *v) {
    if (v->kind == JSON_KIND_ARRAY)
        for (size_t i = 0; i < v->n; i++)
            document_look(d, &v->items[i]);
    if (v->kind != JSON_KIND_OBJECT)
        return;
    struct str id = text_of(v, STR("$id"));
    if (v != d->root && id.n && !(d->draft == DRAFT_07 && id.p[0] == '#'))
        d->nested_ids = true;
    if (text_of(v, STR("$dynamicAnchor")).n || text_of(v, STR("$dynamicRef")).n)
        d->dynamic = true;
    for (size_t i = 0; i < v->n; i++)
        document_look(d, &v->fields[i].value);
}

void document_init(struct document *d, const struct json_value *root) {
    *d = (struct document){.root = root, .draft = DRAFT_2020, .known_draft = true};
    struct str draft = text_of(root, STR("$schema"));
    if (draft.n && draft.p[draft.n - 1] == '#')
        draft.n--;
    if (str_eq(draft, STR("http://json-schema.org/draft-07/schema")) ||
        str_eq(draft, STR("https://json-schema.org/draft-07/schema")))
        d->draft = DRAFT_07;
    else if (draft.n && !str_eq(draft, STR("https://json-schema.org/draft/2020-12/schema")))
        d->known_draft = false;
    d->id = text_of(root, STR("$id"));
    if (d->id.n && d->id.p[d->id.n - 1] == '#')
        d->id.n--;
    document_look(d, root);
}

/* --- references */

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A fragment without its percent signs. */
static bool fragment_decode(struct compat *c, struct str s, struct str *out) {
    char *to = room(c, s.n);
    size_t n = 0;
    if (!to)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            to[n++] = s.p[i];
            continue;
        }
        int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1, low = i + 2 < s.n ? hex(s.p[i + 2]) : -1;
        if (high < 0 || low < 0)
            return false;
        to[n++] = (char)(high << 4 | low);
        i += 2;
    }
    *out = (struct str){to, n};
    return true;
}

/* One part of a JSON pointer (RFC 6901) without its tildes; it is written over itself. */
static struct str part_decode(char *p, size_t n) {
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (p[i] == '~' && i + 1 < n)
            p[m++] = p[++i] == '1' ? '/' : '~';
        else
            p[m++] = p[i];
    return (struct str){p, m};
}

static const struct json_value *part_find(const struct json_value *v, struct str part) {
    size_t index = 0;
    if (v->kind == JSON_KIND_OBJECT)
        return field_of(v, part);
    if (v->kind != JSON_KIND_ARRAY || !part.n || part.n > 9 || (part.n > 1 && part.p[0] == '0'))
        return NULL;
    for (size_t i = 0; i < part.n; i++) {
        if (part.p[i] < '0' || part.p[i] > '9')
            return NULL;
        index = index * 10 + (size_t)(part.p[i] - '0');
    }
    return index < v->n ? &v->items[index] : NULL;
}

static const struct json_value *pointer_find(struct compat *c, const struct json_value *v, struct str pointer) {
    struct str copy = arena_copy(&c->arena, pointer);
    if (!copy.p)
        return NULL;
    char *at = (char *)copy.p, *end = at + copy.n;
    while (v && at < end) {
        char *part = at + 1, *slash = memchr(part, '/', (size_t)(end - part));
        if (*at != '/')
            return NULL;
        at = slash ? slash : end;
        v = step(c, 1 + v->n) ? part_find(v, part_decode(part, (size_t)(at - part))) : NULL;
    }
    return v;
}

/* Counts the objects with an anchor of that name; *found is the last. */
static size_t anchor_find(struct compat *c, const struct document *d, const struct json_value *v, struct str name,
                          const struct json_value **found) {
    size_t n = 0;
    if (!step(c, 1))
        return 0;
    if (v->kind == JSON_KIND_ARRAY)
        for (size_t i = 0; i < v->n; i++)
            n += anchor_find(c, d, &v->items[i], name, found);
    if (v->kind != JSON_KIND_OBJECT)
        return n;
    struct str id = text_of(v, STR("$id"));
    bool old_way =
        d->draft == DRAFT_07 && id.n == name.n + 1 && id.p[0] == '#' && memcmp(id.p + 1, name.p, name.n) == 0;
    bool named = d->draft == DRAFT_2020 &&
                 (str_eq(text_of(v, STR("$anchor")), name) || str_eq(text_of(v, STR("$dynamicAnchor")), name));
    if (old_way || named) {
        *found = v;
        n++;
    }
    for (size_t i = 0; i < v->n; i++)
        n += anchor_find(c, d, &v->fields[i].value, name, found);
    return n;
}

bool reference_resolve(struct compat *c, const struct document *d, struct str reference, struct place *out,
                       struct str *pointer) {
    const struct json_value *found = NULL;
    struct str s = reference;
    if (d->nested_ids || !d->known_draft)
        return false;
    if (d->id.n && str_starts(s, d->id) && (s.n == d->id.n || s.p[d->id.n] == '#'))
        s = (struct str){s.p + d->id.n, s.n - d->id.n};
    else if (!s.n || s.p[0] != '#')
        return false;
    if (s.n && !fragment_decode(c, (struct str){s.p + 1, s.n - 1}, &s))
        return false;
    if (!s.n)
        found = d->root;
    else if (s.p[0] == '/')
        found = pointer_find(c, d->root, s);
    else if (anchor_find(c, d, d->root, s, &found) != 1)
        return false;
    *out = (struct place){d, found};
    *pointer = s;
    return found && c->stop == STOP_NOT;
}

/* --- equality */

/* True when the pair is taken for equal already, or is from now on. */
static bool pair_assume(struct compat *c, struct place a, struct place b, bool *known) {
    *known = false;
    for (size_t i = 0; i < c->n_equal; i += 2)
        if (c->equal[i].schema == a.schema && c->equal[i + 1].schema == b.schema)
            return *known = true;
    if (!step(c, 1 + c->n_equal / 16))
        return false;
    for (size_t i = 0; i < 2; i++) {
        if (!ARRAY_ROOM(c->equal, c->n_equal, c->cap_equal)) {
            c->stop = STOP_MEMORY;
            return false;
        }
        c->equal[c->n_equal++] = i ? b : a;
    }
    return true;
}

static bool schemas_equal(struct compat *c, struct place a, struct place b);

static bool targets_equal(struct compat *c, struct place a, struct place b, const struct json_value *ra,
                          const struct json_value *rb) {
    struct place to_a, to_b;
    struct str pointer;
    bool known;
    if (ra->kind != JSON_KIND_STRING || rb->kind != JSON_KIND_STRING)
        return false;
    bool in_a = reference_resolve(c, a.document, ra->text, &to_a, &pointer);
    bool in_b = reference_resolve(c, b.document, rb->text, &to_b, &pointer);
    if (in_a && in_b)
        return pair_assume(c, to_a, to_b, &known) && (known || schemas_equal(c, to_a, to_b));
    /* Outside. A dynamic anchor of ours may change what is found there. */
    return !in_a && !in_b && ra->text.n && ra->text.p[0] != '#' && !a.document->nested_ids && !b.document->nested_ids &&
           !a.document->dynamic && !b.document->dynamic && str_eq(ra->text, rb->text) &&
           str_eq(a.document->id, b.document->id);
}

static bool is_one_of(struct str name, const char *const *list) {
    for (; *list; list++)
        if (str_eq(name, str_of(*list)))
            return true;
    return false;
}

static bool maps_equal(struct compat *c, struct place a, struct place b) {
    if (a.schema->kind != JSON_KIND_OBJECT || b.schema->kind != JSON_KIND_OBJECT || a.schema->n != b.schema->n)
        return false;
    for (size_t i = 0; i < a.schema->n; i++) {
        const struct json_field *field = &a.schema->fields[i];
        const struct json_value *other = field_of(b.schema, field->name);
        if (!step(c, 1 + i / 16) || !other)
            return false;
        bool equal =
            field->value.kind == JSON_KIND_ARRAY
                ? values_equal(c, &field->value, other) == YES /* draft-07: dependencies */
                : schemas_equal(c, (struct place){a.document, &field->value}, (struct place){b.document, other});
        if (!equal)
            return false;
    }
    return true;
}

static bool lists_equal(struct compat *c, struct place a, struct place b) {
    if (b.schema->kind != JSON_KIND_ARRAY || a.schema->n != b.schema->n)
        return false;
    for (size_t i = 0; i < a.schema->n; i++)
        if (!schemas_equal(c, (struct place){a.document, &a.schema->items[i]},
                           (struct place){b.document, &b.schema->items[i]}))
            return false;
    return true;
}

static bool words_equal(struct compat *c, struct place a, struct place b, struct str name) {
    static const char *const maps[] = {"properties", "patternProperties", "dependentSchemas", "dependencies", NULL};
    static const char *const schemas[] = {"allOf",
                                          "anyOf",
                                          "oneOf",
                                          "prefixItems",
                                          "items",
                                          "additionalItems",
                                          "contains",
                                          "additionalProperties",
                                          "propertyNames",
                                          "not",
                                          "if",
                                          "then",
                                          "else",
                                          "unevaluatedItems",
                                          "unevaluatedProperties",
                                          NULL};
    struct place wa = {a.document, field_of(a.schema, name)}, wb = {b.document, field_of(b.schema, name)};
    if (!wb.schema || str_eq(name, STR("$dynamicRef")))
        return false;
    if (str_eq(name, STR("$ref")))
        return targets_equal(c, a, b, wa.schema, wb.schema);
    if (is_one_of(name, maps))
        return maps_equal(c, wa, wb);
    if (is_one_of(name, schemas))
        return wa.schema->kind == JSON_KIND_ARRAY ? lists_equal(c, wa, wb) : schemas_equal(c, wa, wb);
    return values_equal(c, wa.schema, wb.schema) == YES;
}

static size_t keywords_count(struct place p) {
    size_t n = 0;
    for (size_t i = 0; i < p.schema->n; i++)
        n += keyword_counts(p, p.schema->fields[i].name);
    return n;
}

static bool objects_equal(struct compat *c, struct place a, struct place b) {
    if (!step(c, 1 + a.schema->n + b.schema->n) || keywords_count(a) != keywords_count(b))
        return false;
    for (size_t i = 0; i < a.schema->n; i++) {
        struct str name = a.schema->fields[i].name;
        if (keyword_counts(a, name) && !(keyword_counts(b, name) && words_equal(c, a, b, name)))
            return false;
    }
    return true;
}

/* Where it is remembered that two schemas differ; what is assumed meanwhile can only make them equal. */
static struct pair *pair_slot(struct compat *c, struct place a, struct place b) {
    uintptr_t h = (uintptr_t)a.schema / 8 * 31 + (uintptr_t)b.schema / 8;
    return &c->unequal[(h ^ h >> 12) % COMPAT_PAIRS];
}

static bool schemas_equal(struct compat *c, struct place a, struct place b) {
    if (a.schema == b.schema)
        return true;
    if (a.schema->kind != b.schema->kind || a.document->draft != b.document->draft || c->equal_depth >= EQUAL_DEPTH)
        return false;
    if (a.schema->kind != JSON_KIND_OBJECT)
        return a.schema->kind == JSON_KIND_TRUE || a.schema->kind == JSON_KIND_FALSE;
    struct pair *known = pair_slot(c, a, b);
    if (known->a == a.schema && known->b == b.schema)
        return false;
    c->equal_depth++;
    bool equal = objects_equal(c, a, b);
    c->equal_depth--;
    if (!equal)
        *known = (struct pair){a.schema, b.schema};
    return equal;
}

bool places_equal(struct compat *c, struct place a, struct place b) {
    c->n_equal = 0;
    return schemas_equal(c, a, b) && c->stop == STOP_NOT;
}

bool references_equal(struct compat *c, struct place a, struct place b) {
    c->n_equal = 0;
    return targets_equal(c, a, b, keyword_of(a, "$ref"), keyword_of(b, "$ref")) && c->stop == STOP_NOT;
}
