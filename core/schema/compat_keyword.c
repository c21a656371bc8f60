#include "compat_private.h"

/* --- what is known of each keyword */

#define BOTH (DRAFT_07 | DRAFT_2020)

static const struct rule rules[] = {
    {"$ref", BOTH, TYPE_ALL, false, prove_ref, check_ref},
    {"$dynamicRef", DRAFT_2020, TYPE_ALL, false, prove_equal_only, check_unsure},
    {"type", BOTH, TYPE_ALL, false, prove_type, check_type},
    {"enum", BOTH, TYPE_ALL, false, prove_listed, check_enum},
    {"const", BOTH, TYPE_ALL, false, prove_listed, check_const},
    {"allOf", BOTH, TYPE_ALL, false, prove_all, check_all},
    {"anyOf", BOTH, TYPE_ALL, true, prove_any, check_any},
    {"oneOf", BOTH, TYPE_ALL, true, prove_one, check_one},
    {"not", BOTH, TYPE_ALL, true, prove_not, check_not},
    {"if", BOTH, TYPE_ALL, true, prove_if, check_if},
    {"minimum", BOTH, TYPE_NUMBER, false, prove_limit, check_minimum},
    {"maximum", BOTH, TYPE_NUMBER, false, prove_limit, check_maximum},
    {"exclusiveMinimum", BOTH, TYPE_NUMBER, false, prove_limit, check_above},
    {"exclusiveMaximum", BOTH, TYPE_NUMBER, false, prove_limit, check_below},
    {"multipleOf", BOTH, TYPE_NUMBER, false, prove_multiple, check_multiple},
    {"minLength", BOTH, TYPE_STRING, false, prove_limit, check_min_length},
    {"maxLength", BOTH, TYPE_STRING, false, prove_limit, check_max_length},
    {"pattern", BOTH, TYPE_STRING, false, prove_same_text, check_pattern},
    {"format", BOTH, TYPE_STRING, false, prove_same_text, check_unsure},
    {"items", BOTH, TYPE_ARRAY, false, prove_items, check_items},
    {"prefixItems", DRAFT_2020, TYPE_ARRAY, false, prove_items, check_items},
    {"additionalItems", DRAFT_07, TYPE_ARRAY, false, prove_items, check_items},
    {"contains", BOTH, TYPE_ARRAY, false, prove_contains, check_contains},
    {"minItems", BOTH, TYPE_ARRAY, false, prove_limit, check_min_count},
    {"maxItems", BOTH, TYPE_ARRAY, false, prove_limit, check_max_count},
    {"uniqueItems", BOTH, TYPE_ARRAY, false, prove_unique, check_unique},
    {"unevaluatedItems", DRAFT_2020, TYPE_ARRAY, false, prove_equal_only, check_unsure},
    {"properties", BOTH, TYPE_OBJECT, false, prove_properties, check_members},
    {"patternProperties", BOTH, TYPE_OBJECT, false, prove_patterns, check_members},
    {"additionalProperties", BOTH, TYPE_OBJECT, false, prove_additional, check_members},
    {"unevaluatedProperties", DRAFT_2020, TYPE_OBJECT, false, prove_additional, check_unsure},
    {"required", BOTH, TYPE_OBJECT, false, prove_required, check_required},
    {"propertyNames", BOTH, TYPE_OBJECT, false, prove_names, check_names},
    {"minProperties", BOTH, TYPE_OBJECT, false, prove_limit, check_min_count},
    {"maxProperties", BOTH, TYPE_OBJECT, false, prove_limit, check_max_count},
    {"dependentRequired", DRAFT_2020, TYPE_OBJECT, false, prove_dependent, check_dependent},
    {"dependentSchemas", DRAFT_2020, TYPE_OBJECT, false, prove_dependent, check_dependent},
    {"dependencies", DRAFT_07, TYPE_OBJECT, false, prove_dependent, check_dependent},
    /* No keyword of 2020-12, but some implementations go on knowing it. */
    {"dependencies", DRAFT_2020, TYPE_OBJECT, false, prove_equal_only, check_unsure},
};

const struct json_value *field_of(const struct json_value *object, struct str name) {
    return object ? json_field(object, name) : NULL;
}

const struct rule *rule_of(struct place p, struct str name) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if ((rules[i].drafts & p.document->draft) && str_eq(name, str_of(rules[i].name)))
            return &rules[i];
    return NULL;
}

/* Keywords that others look at; on their own they say nothing. */
static bool helps(struct place p, struct str name) {
    if (str_eq(name, STR("then")) || str_eq(name, STR("else")))
        return true;
    return p.document->draft == DRAFT_2020 && (str_eq(name, STR("minContains")) || str_eq(name, STR("maxContains")));
}

/* In draft-07 nothing counts beside a $ref. */
static bool hidden(struct place p, struct str name) {
    return p.document->draft == DRAFT_07 && !str_eq(name, STR("$ref")) && field_of(p.schema, STR("$ref"));
}

bool keyword_counts(struct place p, struct str name) {
    return !hidden(p, name) && (rule_of(p, name) || helps(p, name));
}

const struct json_value *keyword_of(struct place p, const char *name) {
    const struct json_value *word = field_of(p.schema, str_of(name));
    return word && keyword_counts(p, str_of(name)) ? word : NULL;
}
