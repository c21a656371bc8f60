/* Keywords to nodes. */
#include "schema_private.h"

#include "array.h"

#include <errno.h>
#include <stdio.h>

int compile_error(struct compiler *c, const struct node *node, const char *keyword, const char *format, ...) {
    char place[200], text[260];
    va_list args;
    size_t n = node_pointer(node, keyword, place, sizeof place - 1);
    place[n] = 0;
    va_start(args, format);
    err_format(text, sizeof text, format, args);
    va_end(args);
    return err_set(c->err, EINVAL, "%s: %s", n ? place : "the whole", text);
}

/* --- the groups of rules that a node has, made when the first keyword needs them */

static struct object_rules *object_rules(struct compiler *c, struct node *node) {
    if (!node->object && (node->object = compiler_alloc(c, sizeof *node->object)))
        node->object->max = UINT64_MAX;
    return node->object;
}

static struct array_rules *array_rules(struct compiler *c, struct node *node) {
    if (!node->array && (node->array = compiler_alloc(c, sizeof *node->array))) {
        node->array->max = node->array->max_contains = UINT64_MAX;
        node->array->min_contains = 1;
        node->array->contains_evaluates = c->s->resources[node->resource].dialect->draft == DRAFT_2020;
    }
    return node->array;
}

static struct string_rules *string_rules(struct compiler *c, struct node *node) {
    if (!node->string && (node->string = compiler_alloc(c, sizeof *node->string)))
        node->string->max = UINT64_MAX;
    return node->string;
}

static struct applicators *applicators(struct compiler *c, struct node *node) {
    if (!node->apply)
        node->apply = compiler_alloc(c, sizeof *node->apply);
    return node->apply;
}

/* --- what keywords hold */

static const struct json_value *sibling(const struct node *node, const char *name) {
    return json_field(node->value, str_of(name));
}

static int count_read(struct compiler *c, struct node *node, const char *keyword, const struct json_value *v,
                      uint64_t *out) {
    if (v->kind != JSON_KIND_NUMBER)
        return compile_error(c, node, keyword, "is not a number");
    struct number number = number_read(v->text);
    if (number.negative || !number_is_integer(&number))
        return compile_error(c, node, keyword, "is not a whole number from 0 on");
    *out = number_count(&number);
    return 0;
}

/* The node looks at the same instance as the one that has it. */
static int in_place(struct compiler *c, struct node *from, struct node *to) {
    struct edge *edge = compiler_alloc(c, sizeof *edge);
    if (!edge)
        return -ENOMEM;
    *edge = (struct edge){to, from->edges};
    from->edges = edge;
    return 0;
}

static int child_in_place(struct compiler *c, struct node *node, const char *keyword, const struct json_value *v,
                          struct node **out) {
    int rc = node_child(c, node, keyword, v, out);
    return rc ? rc : in_place(c, node, *out);
}

static int list_read(struct compiler *c, struct node *node, const char *keyword, const struct json_value *v,
                     struct node_list *out) {
    if (v->kind != JSON_KIND_ARRAY)
        return compile_error(c, node, keyword, "is not an array");
    out->n = v->n;
    out->items = compiler_alloc(c, v->n * sizeof *out->items);
    int rc = out->items ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < v->n && !rc; i++)
        rc = node_child(c, node, keyword, &v->items[i], &out->items[i]);
    return rc;
}

static int list_in_place(struct compiler *c, struct node *node, const char *keyword, const struct json_value *v,
                         struct node_list *out) {
    int rc = list_read(c, node, keyword, v, out);
    for (size_t i = 0; i < out->n && !rc; i++)
        rc = in_place(c, node, out->items[i]);
    return rc;
}

static int object_need(struct compiler *c, struct node *node, const char *keyword, const struct json_value *v) {
    return v->kind == JSON_KIND_OBJECT ? 0 : compile_error(c, node, keyword, "is not an object");
}

static int regex_compile(struct compiler *c, struct node *node, const char *keyword, struct str pattern,
                         struct regex **out) {
    char why[REGEX_WHY];
    struct schema *s = c->s;
    if (!ARRAY_ROOM(s->regexes, s->n_regexes, s->cap_regexes))
        return -ENOMEM;
    int rc = regex_new(out, pattern, why);
    if (rc == REGEX_INVALID)
        return compile_error(c, node, keyword, "%.*s is not a regular expression: %s",
                             (int)(pattern.n < 80 ? pattern.n : 80), pattern.p, why);
    if (!rc)
        s->regexes[s->n_regexes++] = *out;
    return rc;
}

/* --- type, const, enum */

static int type_read(struct compiler *c, struct node *node, const struct json_value *v, uint8_t *types) {
    static const struct {
        const char *name;
        uint8_t types;
    } names[] = {
        {"object", 1 << JSON_KIND_OBJECT}, {"array", 1 << JSON_KIND_ARRAY},
        {"string", 1 << JSON_KIND_STRING}, {"number", 1 << JSON_KIND_NUMBER | TYPE_INTEGER},
        {"integer", TYPE_INTEGER},         {"boolean", 1 << JSON_KIND_TRUE | 1 << JSON_KIND_FALSE},
        {"null", 1 << JSON_KIND_NULL},
    };
    for (size_t i = 0; v->kind == JSON_KIND_STRING && i < sizeof names / sizeof *names; i++)
        if (str_eq(v->text, str_of(names[i].name))) {
            *types |= names[i].types;
            return 0;
        }
    return compile_error(c, node, "type", "is not the name of a type");
}

static int read_type(struct compiler *c, struct node *node, const struct json_value *v) {
    int rc = 0;
    uint8_t types = 0;
    if (v->kind != JSON_KIND_ARRAY)
        rc = type_read(c, node, v, &types);
    for (uint32_t i = 0; v->kind == JSON_KIND_ARRAY && i < v->n && !rc; i++)
        rc = type_read(c, node, &v->items[i], &types);
    node->types = types;
    return rc;
}

static int values_read(struct compiler *c, const struct json_value *items, uint32_t n, const char *keyword,
                       struct value_rules **out) {
    struct arena *arena = &c->s->arena;
    struct value_rules *rules = *out = compiler_alloc(c, sizeof *rules);
    uint32_t texts = 0;
    for (uint32_t i = 0; i < n; i++)
        texts += items[i].kind == JSON_KIND_STRING;
    if (!rules || (texts && !names_init(&rules->texts, arena, texts)) ||
        !(rules->others = arena_alloc(arena, (n - texts) * sizeof *rules->others)))
        return -ENOMEM;
    rules->keyword = keyword;
    for (uint32_t i = 0; i < n; i++) {
        struct str text = items[i].kind == JSON_KIND_STRING ? arena_copy(arena, items[i].text) : STR("");
        if (!text.p)
            return -ENOMEM;
        if (items[i].kind == JSON_KIND_STRING)
            names_put(&rules->texts, text);
        else if (value_copy(arena, &items[i], &rules->others[rules->n_others++]))
            return -ENOMEM;
    }
    return 0;
}

static int read_const(struct compiler *c, struct node *node, const struct json_value *v) {
    return values_read(c, v, 1, "const", &node->constant);
}

static int read_enum(struct compiler *c, struct node *node, const struct json_value *v) {
    if (v->kind != JSON_KIND_ARRAY)
        return compile_error(c, node, "enum", "is not an array");
    return values_read(c, v->items, v->n, "enum", &node->choice);
}

/* --- numbers */

static int bound_read(struct compiler *c, struct node *node, const char *keyword, const struct json_value *v,
                      int which) {
    if (v->kind != JSON_KIND_NUMBER)
        return compile_error(c, node, keyword, "is not a number");
    if (!node->number && !(node->number = compiler_alloc(c, sizeof *node->number)))
        return -ENOMEM;
    struct bound *bound = &node->number->bounds[which];
    bound->text = arena_copy(&c->s->arena, v->text);
    if (!bound->text.p)
        return -ENOMEM;
    bound->set = true;
    bound->number = number_read(bound->text);
    bound->small = number_small(bound->text, &bound->v);
    if (which != BOUND_MULTIPLE)
        return 0;
    if (bound->number.n == 0 || bound->number.negative)
        return compile_error(c, node, keyword, "is not greater than 0");
    if (bound->number.n > NUMBER_DIVISOR_DIGITS)
        return compile_error(c, node, keyword, "has more than %d digits", NUMBER_DIVISOR_DIGITS);
    return 0;
}

#define BOUND(function, keyword, which)                                                                                \
    static int function(struct compiler *c, struct node *node, const struct json_value *v) {                           \
        return bound_read(c, node, keyword, v, which);                                                                 \
    }
BOUND(read_minimum, "minimum", BOUND_MIN)
BOUND(read_exclusive_minimum, "exclusiveMinimum", BOUND_ABOVE)
BOUND(read_maximum, "maximum", BOUND_MAX)
BOUND(read_exclusive_maximum, "exclusiveMaximum", BOUND_BELOW)
BOUND(read_multiple_of, "multipleOf", BOUND_MULTIPLE)

/* --- counts */

#define COUNT(function, keyword, rules, member)                                                                        \
    static int function(struct compiler *c, struct node *node, const struct json_value *v) {                           \
        return rules(c, node) ? count_read(c, node, keyword, v, &rules(c, node)->member) : -ENOMEM;                    \
    }
COUNT(read_min_length, "minLength", string_rules, min)
COUNT(read_max_length, "maxLength", string_rules, max)
COUNT(read_min_items, "minItems", array_rules, min)
COUNT(read_max_items, "maxItems", array_rules, max)
COUNT(read_min_contains, "minContains", array_rules, min_contains)
COUNT(read_max_contains, "maxContains", array_rules, max_contains)
COUNT(read_min_properties, "minProperties", object_rules, min)
COUNT(read_max_properties, "maxProperties", object_rules, max)

/* --- strings */

static int read_pattern(struct compiler *c, struct node *node, const struct json_value *v) {
    if (v->kind != JSON_KIND_STRING)
        return compile_error(c, node, "pattern", "is not a string");
    return string_rules(c, node) ? regex_compile(c, node, "pattern", v->text, &node->string->pattern) : -ENOMEM;
}

static int read_format(struct compiler *c, struct node *node, const struct json_value *v) {
    const struct dialect *dialect = c->s->resources[node->resource].dialect;
    if (v->kind != JSON_KIND_STRING)
        return compile_error(c, node, "format", "is not a string");
    bool asserted = (c->options && c->options->assert_format) || dialect->vocabularies & VOCABULARY_FORMAT_ASSERTION;
    const struct format *format = asserted ? format_find(v->text, dialect->draft) : NULL;
    if (!format)
        return 0;
    if (!string_rules(c, node))
        return -ENOMEM;
    node->string->format = format;
    if (!format->regex)
        return 0;
    return regex_compile(c, node, "format", str_of(format->regex), &node->string->format_regex);
}

/* --- arrays */

static int read_unique_items(struct compiler *c, struct node *node, const struct json_value *v) {
    if (!array_rules(c, node))
        return -ENOMEM;
    node->array->unique = v->kind == JSON_KIND_TRUE;
    return 0;
}

static int read_prefix_items(struct compiler *c, struct node *node, const struct json_value *v) {
    return array_rules(c, node) ? list_read(c, node, "prefixItems", v, &node->array->prefix) : -ENOMEM;
}

static int read_items(struct compiler *c, struct node *node, const struct json_value *v) {
    if (!array_rules(c, node))
        return -ENOMEM;
    if (v->kind == JSON_KIND_ARRAY && c->s->resources[node->resource].dialect->draft == DRAFT_07)
        return list_read(c, node, "items", v, &node->array->prefix);
    return node_child(c, node, "items", v, &node->array->rest);
}

static int read_additional_items(struct compiler *c, struct node *node, const struct json_value *v) {
    const struct json_value *items = sibling(node, "items");
    if (!items || items->kind != JSON_KIND_ARRAY)
        return 0;
    return array_rules(c, node) ? node_child(c, node, "additionalItems", v, &node->array->rest) : -ENOMEM;
}

static int read_contains(struct compiler *c, struct node *node, const struct json_value *v) {
    return array_rules(c, node) ? node_child(c, node, "contains", v, &node->array->contains) : -ENOMEM;
}

static int read_unevaluated_items(struct compiler *c, struct node *node, const struct json_value *v) {
    node->unevaluated = true;
    return array_rules(c, node) ? node_child(c, node, "unevaluatedItems", v, &node->array->unevaluated) : -ENOMEM;
}

/* --- objects */

/* properties and required share a table, made by whichever comes first. */
static int members_init(struct compiler *c, struct node *node) {
    const struct json_value *properties = sibling(node, "properties"), *required = sibling(node, "required");
    struct object_rules *rules = object_rules(c, node);
    if (!rules)
        return -ENOMEM;
    if (rules->members.slots)
        return 0;
    size_t n = (properties ? properties->n : 0) + (required ? required->n : 0);
    return names_init(&rules->members, &c->s->arena, n) ? 0 : -ENOMEM;
}

static struct name_slot *member_put(struct compiler *c, struct names *members, struct str name) {
    struct name_slot *slot = names_find(members, name);
    struct str copy = slot ? name : arena_copy(&c->s->arena, name);
    return slot ? slot : copy.p ? names_put(members, copy) : NULL;
}

static int read_properties(struct compiler *c, struct node *node, const struct json_value *v) {
    int rc = object_need(c, node, "properties", v);
    if (!rc)
        rc = members_init(c, node);
    for (uint32_t i = 0; !rc && i < v->n; i++) {
        struct node *child;
        struct name_slot *slot = member_put(c, &node->object->members, v->fields[i].name);
        rc = slot ? node_child(c, node, "properties", &v->fields[i].value, &child) : -ENOMEM;
        if (!rc)
            slot->node = child;
    }
    return rc;
}

static int names_need(struct compiler *c, struct node *node, const char *keyword, const struct json_value *v) {
    bool good = v->kind == JSON_KIND_ARRAY;
    for (uint32_t i = 0; good && i < v->n; i++)
        good = v->items[i].kind == JSON_KIND_STRING;
    return good ? 0 : compile_error(c, node, keyword, "is not an array of names");
}

static int read_required(struct compiler *c, struct node *node, const struct json_value *v) {
    int rc = names_need(c, node, "required", v);
    if (!rc)
        rc = members_init(c, node);
    for (uint32_t i = 0; !rc && i < v->n; i++) {
        struct name_slot *slot = member_put(c, &node->object->members, v->items[i].text);
        if (!slot)
            return -ENOMEM;
        node->object->n_required += !slot->required;
        slot->required = true;
    }
    return rc;
}

static int read_pattern_properties(struct compiler *c, struct node *node, const struct json_value *v) {
    struct object_rules *rules = object_rules(c, node);
    int rc = object_need(c, node, "patternProperties", v);
    if (rc)
        return rc;
    if (!rules || !(rules->patterns = compiler_alloc(c, v->n * sizeof *rules->patterns)))
        return -ENOMEM;
    for (uint32_t i = 0; !rc && i < v->n; i++) {
        struct pattern_rule *rule = &rules->patterns[rules->n_patterns++];
        rc = regex_compile(c, node, "patternProperties", v->fields[i].name, &rule->regex);
        if (!rc)
            rc = node_child(c, node, "patternProperties", &v->fields[i].value, &rule->node);
    }
    return rc;
}

static int read_additional_properties(struct compiler *c, struct node *node, const struct json_value *v) {
    return object_rules(c, node) ? node_child(c, node, "additionalProperties", v, &node->object->additional) : -ENOMEM;
}

static int read_property_names(struct compiler *c, struct node *node, const struct json_value *v) {
    return object_rules(c, node) ? node_child(c, node, "propertyNames", v, &node->object->names) : -ENOMEM;
}

static int read_unevaluated_properties(struct compiler *c, struct node *node, const struct json_value *v) {
    node->unevaluated = true;
    if (!object_rules(c, node))
        return -ENOMEM;
    return node_child(c, node, "unevaluatedProperties", v, &node->object->unevaluated);
}

static int dependent_names(struct compiler *c, struct node *node, const char *keyword, const struct json_value *v,
                           struct dependent *out) {
    int rc = names_need(c, node, keyword, v);
    if (rc)
        return rc;
    if (!(out->required = compiler_alloc(c, v->n * sizeof *out->required)))
        return -ENOMEM;
    for (uint32_t i = 0; i < v->n; i++)
        if (!(out->required[out->n_required++] = arena_copy(&c->s->arena, v->items[i].text)).p)
            return -ENOMEM;
    return 0;
}

/* What is there already moves to a larger array: there are at most two keywords with dependents. */
static int dependents_read(struct compiler *c, struct node *node, const char *keyword, const struct json_value *v) {
    struct object_rules *rules = object_rules(c, node);
    int rc = object_need(c, node, keyword, v);
    if (rc || !rules)
        return rc ? rc : -ENOMEM;
    struct dependent *all = compiler_alloc(c, (rules->n_dependents + v->n) * sizeof *all);
    if (!all)
        return -ENOMEM;
    if (rules->n_dependents)
        memcpy(all, rules->dependents, rules->n_dependents * sizeof *all);
    rules->dependents = all;
    for (uint32_t i = 0; i < v->n && !rc; i++) {
        struct dependent *d = &all[rules->n_dependents++];
        const struct json_value *held = &v->fields[i].value;
        *d = (struct dependent){.name = arena_copy(&c->s->arena, v->fields[i].name), .keyword = keyword};
        if (!d->name.p)
            return -ENOMEM;
        if (held->kind == JSON_KIND_ARRAY)
            rc = dependent_names(c, node, keyword, held, d);
        else
            rc = child_in_place(c, node, keyword, held, &d->node);
    }
    return rc;
}

static int read_dependent_required(struct compiler *c, struct node *node, const struct json_value *v) {
    return dependents_read(c, node, "dependentRequired", v);
}

static int read_dependent_schemas(struct compiler *c, struct node *node, const struct json_value *v) {
    return dependents_read(c, node, "dependentSchemas", v);
}

static int read_dependencies(struct compiler *c, struct node *node, const struct json_value *v) {
    return dependents_read(c, node, "dependencies", v);
}

/* --- subschemas that look at the same instance */

#define LIST(function, keyword, member)                                                                                \
    static int function(struct compiler *c, struct node *node, const struct json_value *v) {                           \
        return applicators(c, node) ? list_in_place(c, node, keyword, v, &node->apply->member) : -ENOMEM;              \
    }
LIST(read_all_of, "allOf", all_of)
LIST(read_any_of, "anyOf", any_of)
LIST(read_one_of, "oneOf", one_of)

#define ONE(function, keyword, member)                                                                                 \
    static int function(struct compiler *c, struct node *node, const struct json_value *v) {                           \
        return applicators(c, node) ? child_in_place(c, node, keyword, v, &node->apply->member) : -ENOMEM;             \
    }
ONE(read_not, "not", not_)
ONE(read_if, "if", if_)
ONE(read_then, "then", then_)
ONE(read_else, "else", else_)

static int read_ref(struct compiler *c, struct node *node, const struct json_value *v) {
    const struct anchor *anchor;
    if (v->kind != JSON_KIND_STRING)
        return compile_error(c, node, "$ref", "is not a string");
    if (!applicators(c, node))
        return -ENOMEM;
    int rc = ref_resolve(c, node, "$ref", v->text, &node->apply->ref, &anchor);
    return rc ? rc : in_place(c, node, node->apply->ref);
}

/* Only a dynamic anchor makes it differ from $ref. */
static int read_dynamic_ref(struct compiler *c, struct node *node, const struct json_value *v) {
    const struct anchor *anchor;
    struct node *to;
    if (v->kind != JSON_KIND_STRING)
        return compile_error(c, node, "$dynamicRef", "is not a string");
    if (!applicators(c, node))
        return -ENOMEM;
    int rc = ref_resolve(c, node, "$dynamicRef", v->text, &to, &anchor);
    if (rc)
        return rc;
    node->apply->dynamic = to;
    if (!anchor || !anchor->dynamic)
        return in_place(c, node, to);
    node->apply->dynamic_name = anchor->name;
    c->s->dynamic = true;
    return 0;
}

/* --- all of them */

#define NAME(text) text, sizeof(text) - 1
#define BOTH (DRAFT_07 | DRAFT_2020)
#define CORE VOCABULARY_OTHER
#define APPLY VOCABULARY_APPLICATOR
#define VALID VOCABULARY_VALIDATION

/* Sorted by length, then by bytes. */
static const struct keyword keywords[] = {
    {NAME("if"), BOTH, APPLY, SHAPE_ONE, read_if},
    {NAME("not"), BOTH, APPLY, SHAPE_ONE, read_not},
    {NAME("$ref"), BOTH, CORE, SHAPE_NONE, read_ref},
    {NAME("else"), BOTH, APPLY, SHAPE_ONE, read_else},
    {NAME("enum"), BOTH, VALID, SHAPE_NONE, read_enum},
    {NAME("then"), BOTH, APPLY, SHAPE_ONE, read_then},
    {NAME("type"), BOTH, VALID, SHAPE_NONE, read_type},
    {NAME("$defs"), DRAFT_2020, CORE, SHAPE_MAP, NULL},
    {NAME("allOf"), BOTH, APPLY, SHAPE_LIST, read_all_of},
    {NAME("anyOf"), BOTH, APPLY, SHAPE_LIST, read_any_of},
    {NAME("const"), BOTH, VALID, SHAPE_NONE, read_const},
    {NAME("items"), BOTH, APPLY, SHAPE_ONE_OR_LIST, read_items},
    {NAME("oneOf"), BOTH, APPLY, SHAPE_LIST, read_one_of},
    {NAME("format"), BOTH, CORE, SHAPE_NONE, read_format},
    {NAME("maximum"), BOTH, VALID, SHAPE_NONE, read_maximum},
    {NAME("minimum"), BOTH, VALID, SHAPE_NONE, read_minimum},
    {NAME("pattern"), BOTH, VALID, SHAPE_NONE, read_pattern},
    {NAME("contains"), BOTH, APPLY, SHAPE_ONE, read_contains},
    {NAME("maxItems"), BOTH, VALID, SHAPE_NONE, read_max_items},
    {NAME("minItems"), BOTH, VALID, SHAPE_NONE, read_min_items},
    {NAME("required"), BOTH, VALID, SHAPE_NONE, read_required},
    {NAME("maxLength"), BOTH, VALID, SHAPE_NONE, read_max_length},
    {NAME("minLength"), BOTH, VALID, SHAPE_NONE, read_min_length},
    {NAME("multipleOf"), BOTH, VALID, SHAPE_NONE, read_multiple_of},
    {NAME("properties"), BOTH, APPLY, SHAPE_MAP, read_properties},
    {NAME("$dynamicRef"), DRAFT_2020, CORE, SHAPE_NONE, read_dynamic_ref},
    {NAME("definitions"), BOTH, CORE, SHAPE_MAP, NULL},
    {NAME("maxContains"), DRAFT_2020, VALID, SHAPE_NONE, read_max_contains},
    {NAME("minContains"), DRAFT_2020, VALID, SHAPE_NONE, read_min_contains},
    {NAME("prefixItems"), DRAFT_2020, APPLY, SHAPE_LIST, read_prefix_items},
    {NAME("uniqueItems"), BOTH, VALID, SHAPE_NONE, read_unique_items},
    {NAME("dependencies"), DRAFT_07, APPLY, SHAPE_MAP_MIXED, read_dependencies},
    {NAME("contentSchema"), DRAFT_2020, CORE, SHAPE_ONE, NULL},
    {NAME("maxProperties"), BOTH, VALID, SHAPE_NONE, read_max_properties},
    {NAME("minProperties"), BOTH, VALID, SHAPE_NONE, read_min_properties},
    {NAME("propertyNames"), BOTH, APPLY, SHAPE_ONE, read_property_names},
    {NAME("additionalItems"), DRAFT_07, APPLY, SHAPE_ONE, read_additional_items},
    {NAME("dependentSchemas"), DRAFT_2020, APPLY, SHAPE_MAP, read_dependent_schemas},
    {NAME("exclusiveMaximum"), BOTH, VALID, SHAPE_NONE, read_exclusive_maximum},
    {NAME("exclusiveMinimum"), BOTH, VALID, SHAPE_NONE, read_exclusive_minimum},
    {NAME("unevaluatedItems"), DRAFT_2020, VOCABULARY_UNEVALUATED, SHAPE_ONE, read_unevaluated_items},
    {NAME("dependentRequired"), DRAFT_2020, VALID, SHAPE_NONE, read_dependent_required},
    {NAME("patternProperties"), BOTH, APPLY, SHAPE_MAP, read_pattern_properties},
    {NAME("additionalProperties"), BOTH, APPLY, SHAPE_ONE, read_additional_properties},
    {NAME("unevaluatedProperties"), DRAFT_2020, VOCABULARY_UNEVALUATED, SHAPE_ONE, read_unevaluated_properties},
};

const struct keyword *keyword_find(struct str name, const struct dialect *dialect) {
    size_t low = 0, high = sizeof keywords / sizeof *keywords;
    while (low < high) {
        const struct keyword *k = &keywords[(low + high) / 2];
        int order = k->length != name.n ? (k->length < name.n ? -1 : 1) : memcmp(k->name, name.p, name.n);
        if (order == 0)
            return k->drafts & dialect->draft && k->vocabulary & dialect->vocabularies ? k : NULL;
        if (order < 0)
            low = (size_t)(k - keywords) + 1;
        else
            high = (size_t)(k - keywords);
    }
    return NULL;
}

static int node_compile(struct compiler *c, struct node *node) {
    const struct json_value *v = node->value, *ref;
    const struct dialect *dialect = c->s->resources[node->resource].dialect;
    if (v->kind == JSON_KIND_TRUE)
        return 0;
    if (v->kind == JSON_KIND_FALSE) {
        node->never = true;
        node->types = 0;
        return 0;
    }
    if (v->kind != JSON_KIND_OBJECT)
        return compile_error(c, node, NULL, "is not a schema, which is an object, true or false");
    if (dialect->draft == DRAFT_07 && (ref = json_field(v, STR("$ref")))) /* what stands beside it does not count */
        return read_ref(c, node, ref);
    int rc = 0;
    for (uint32_t i = 0; i < v->n && !rc; i++) {
        const struct keyword *k = keyword_find(v->fields[i].name, dialect);
        if (k && k->read)
            rc = k->read(c, node, &v->fields[i].value);
    }
    return rc;
}

int compile_nodes(struct compiler *c) {
    int rc = 0;
    for (struct node *node = c->s->nodes; node && !rc; node = node->next)
        rc = node_compile(c, node);
    return rc;
}

/* --- loops: a depth-first search, with the way back kept in the nodes */

static int loops_from(struct compiler *c, struct node *start) {
    struct node *node = start;
    node->on_path = true;
    node->back = NULL;
    while (node) {
        struct edge *edge = node->edges;
        if (!edge) {
            node->on_path = false;
            node->done = true;
            node = node->back;
            continue;
        }
        node->edges = edge->next;
        if (edge->to->on_path)
            return compile_error(c, edge->to, NULL,
                                 "refers back to itself without a step into what it checks: it would never end");
        if (edge->to->done)
            continue;
        edge->to->back = node;
        edge->to->on_path = true;
        node = edge->to;
    }
    return 0;
}

int compile_loops(struct compiler *c) {
    int rc = 0;
    for (struct node *node = c->s->nodes; node && !rc; node = node->next)
        if (!node->done)
            rc = loops_from(c, node);
    return rc;
}
