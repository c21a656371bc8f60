#include "compat_private.h"

static struct path path_of(const struct claim *claim) {
    return (struct path){claim->path, claim->keyword->name, false, NULL};
}

/* The facts and one more; NULL when out of steps. */
static struct facts *facts_with(struct compat *c, const struct facts *f, struct place also) {
    struct facts *more = facts_copy(c, f);
    if (!more)
        return NULL;
    facts_add(c, more, also);
    facts_close(c, more);
    return more;
}

/* --- type, enum, const */

static const char *type_name(unsigned type, bool integers_too) {
    switch (type) {
    case TYPE_NULL:
        return "null";
    case TYPE_BOOLEAN:
        return "a boolean";
    case TYPE_OBJECT:
        return "an object";
    case TYPE_ARRAY:
        return "an array";
    case TYPE_STRING:
        return "a string";
    case TYPE_INTEGER:
        return "an integer";
    default:
        return integers_too ? "a number" : "a number that is no integer";
    }
}

bool prove_type(struct compat *c, const struct claim *claim) {
    unsigned more = claim->facts->types & ~types_named(&claim->keyword->value);
    if (!more)
        return true;
    bool numbers = (more & TYPE_NUMBER) == TYPE_NUMBER;
    if (numbers)
        more &= ~(unsigned)TYPE_INTEGER;
    unsigned first = more & -more;
    if (more == first)
        return unproven_claim(c, claim, "old data may be %s", type_name(first, numbers));
    unsigned second = (more & ~first) & -(more & ~first);
    return unproven_claim(c, claim, "old data may be %s, %s%s", type_name(first, numbers), type_name(second, numbers),
                          (more & ~first & ~second) ? ", ..." : "");
}

/* What lists allow is seen value by value, for all keywords alike. */
bool prove_listed(struct compat *c, const struct claim *claim) {
    return unproven_claim(c, claim, "the old schema allowed more than %s",
                          str_eq(claim->keyword->name, STR("const")) ? "this value" : "these values");
}

/* --- allOf, anyOf, oneOf, not, if */

bool prove_all(struct compat *c, const struct claim *claim) {
    const struct json_value *list = &claim->keyword->value;
    const struct path path = path_of(claim);
    for (size_t i = 0; i < list->n; i++) {
        const struct path at = {&path, number_name(c, i), false, NULL};
        struct place to = {claim->at.document, &list->items[i]};
        if (!facts_fit(c, claim->facts, to, &at, claim->where))
            return false;
    }
    return true;
}

static bool branch_fits(struct compat *c, const struct claim *claim, size_t i) {
    const struct path path = path_of(claim), at = {&path, number_name(c, i), false, NULL};
    c->quiet++;
    bool fits = facts_fit(c, claim->facts, (struct place){claim->at.document, &claim->keyword->value.items[i]}, &at,
                          claim->where);
    c->quiet--;
    return fits;
}

bool prove_any(struct compat *c, const struct claim *claim) {
    const struct json_value *list = &claim->keyword->value;
    if (list->n == 1)
        return prove_all(c, claim);
    for (size_t i = 0; i < list->n; i++)
        if (branch_fits(c, claim, i))
            return true;
    return unproven_claim(c, claim, "none of its schemas is sure to take what the old schema allowed");
}

/* No old data fits that branch. */
static bool branch_excluded(struct compat *c, const struct claim *claim, size_t i) {
    struct facts *both =
        facts_with(c, claim->facts, (struct place){claim->at.document, &claim->keyword->value.items[i]});
    return both && facts_impossible(c, both);
}

bool prove_one(struct compat *c, const struct claim *claim) {
    const struct json_value *list = &claim->keyword->value;
    bool some = false;
    for (size_t i = 0; i < list->n; i++) {
        bool one = branch_fits(c, claim, i);
        some |= one;
        for (size_t k = 0; one && k < list->n; k++)
            one = k == i || branch_excluded(c, claim, k);
        if (one)
            return true;
    }
    if (some)
        return unproven_claim(c, claim, "more than one of its schemas may take what the old schema allowed");
    return unproven_claim(c, claim, "none of its schemas is sure to take what the old schema allowed");
}

bool prove_not(struct compat *c, const struct claim *claim) {
    static const struct path nowhere = {0};
    struct place refused = {claim->at.document, &claim->keyword->value};
    struct facts *both = facts_with(c, claim->facts, refused);
    if (both && facts_impossible(c, both))
        return true;
    for (size_t i = 0; i < claim->facts->denied.n; i++) {
        struct facts *less = facts_new(c);
        if (!less)
            return false;
        facts_add(c, less, refused);
        facts_close(c, less);
        c->quiet++;
        bool fits = facts_fit(c, less, claim->facts->denied.items[i], &nowhere, &nowhere);
        c->quiet--;
        if (fits)
            return true;
    }
    return unproven_claim(c, claim, "the old schema may have allowed what it refuses");
}

bool prove_if(struct compat *c, const struct claim *claim) {
    const struct json_value *then = keyword_of(claim->at, "then"), *otherwise = keyword_of(claim->at, "else");
    struct place condition = {claim->at.document, &claim->keyword->value};
    const struct path then_path = {claim->path, STR("then"), false, NULL};
    const struct path else_path = {claim->path, STR("else"), false, NULL};
    if (then) {
        struct facts *f = facts_with(c, claim->facts, condition);
        if (!f || !facts_fit(c, f, (struct place){claim->at.document, then}, &then_path, claim->where))
            return false;
    }
    if (!otherwise)
        return true;
    struct facts *f = facts_copy(c, claim->facts);
    if (!f)
        return false;
    facts_deny(c, f, condition);
    facts_close(c, f);
    return facts_fit(c, f, (struct place){claim->at.document, otherwise}, &else_path, claim->where);
}

/* --- references */

static bool outside_known(struct compat *c, const struct claim *claim) {
    for (size_t i = 0; i < claim->facts->all.n; i++)
        if (keyword_of(claim->facts->all.items[i], "$ref") &&
            references_equal(c, claim->facts->all.items[i], claim->at))
            return true;
    return false;
}

bool prove_ref(struct compat *c, const struct claim *claim) {
    struct place to;
    struct str reference = claim->keyword->value.text, pointer;
    if (claim->keyword->value.kind != JSON_KIND_STRING)
        return unproven_claim(c, claim, "it is no string");
    if (reference_resolve(c, claim->at.document, reference, &to, &pointer)) {
        const struct path path = {NULL, pointer, true, NULL};
        return facts_fit(c, claim->facts, to, &path, claim->where);
    }
    if (outside_known(c, claim))
        return true;
    if (claim->at.document->nested_ids)
        return unproven_claim(c, claim, "references are not followed where schemas inside have an $id");
    return unproven_claim(c, claim, "\"%.*s\" is not in this document, and the old schema did not refer to it",
                          (int)reference.n, reference.p);
}

bool prove_equal_only(struct compat *c, const struct claim *claim) {
    const struct json_value *word = &claim->keyword->value;
    if (word->kind == JSON_KIND_TRUE && str_eq(claim->keyword->name, STR("unevaluatedItems")))
        return true;
    return unproven_claim(c, claim, "is compared only where the schemas around it are equal");
}
