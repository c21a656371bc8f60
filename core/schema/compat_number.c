#include "compat_private.h"

#include "decimal.h"

#include <stdio.h>

/* --- digits */

bool digits_compare(struct str a, struct str b, int *order) {
    struct decimal x, y;
    *order = 0;
    if (str_eq(a, b))
        return true;
    if (decimal_read(&x, a) != 0 || decimal_read(&y, b) != 0)
        return false;
    *order = decimal_compare(&x, &y);
    return true;
}

bool digits_integer(struct str a, bool *integer) {
    struct decimal x;
    if (decimal_read(&x, a) != 0)
        return false;
    *integer = decimal_is_integer(&x);
    return true;
}

enum verdict digits_multiple(struct str a, struct str of) {
    struct decimal x, y, rest, zero;
    decimal_of_int(&zero, 0);
    if (decimal_read(&x, a) != 0 || decimal_read(&y, of) != 0 || decimal_rem(&rest, &x, &y) != 0)
        return UNSURE;
    return decimal_compare(&rest, &zero) == 0 ? YES : NO;
}

/* --- bounds */

/* Whether a limit is the stronger one; `side` is 1 for lower bounds, -1 for upper ones. */
static bool stronger(struct str a, bool strict_a, const struct bound *b, int side) {
    int order;
    if (!b->digits.n)
        return true;
    if (!digits_compare(a, b->digits, &order))
        return false;
    return order == side || (order == 0 && strict_a && !b->strict);
}

void bound_raise(struct bound *b, struct str digits, bool strict) {
    if (stronger(digits, strict, b, 1))
        *b = (struct bound){digits, strict};
}

void bound_lower(struct bound *b, struct str digits, bool strict) {
    if (stronger(digits, strict, b, -1))
        *b = (struct bound){digits, strict};
}

bool range_empty(const struct range *r) {
    int order;
    if (!r->min.digits.n || !r->max.digits.n || !digits_compare(r->min.digits, r->max.digits, &order))
        return false;
    return order > 0 || (order == 0 && (r->min.strict || r->max.strict));
}

static struct str count_write(char out[24], size_t n) {
    return (struct str){out, (size_t)snprintf(out, 24, "%zu", n)};
}

bool bound_at_most(const struct bound *max, size_t n) {
    char text[24];
    int order;
    return max->digits.n && digits_compare(max->digits, count_write(text, n), &order) && order <= 0;
}

bool bound_at_least(const struct bound *min, size_t n) {
    char text[24];
    int order;
    return min->digits.n && digits_compare(min->digits, count_write(text, n), &order) && order >= 0;
}

/* --- what facts say */

static void limit_take(struct place p, const char *keyword, struct bound *b, bool strict, bool lower) {
    const struct json_value *word = keyword_of(p, keyword);
    if (!word || word->kind != JSON_KIND_NUMBER)
        return;
    if (lower)
        bound_raise(b, word->text, strict);
    else
        bound_lower(b, word->text, strict);
}

static void place_limits(struct facts *f, struct place p) {
    limit_take(p, "minimum", &f->number.min, false, true);
    limit_take(p, "exclusiveMinimum", &f->number.min, true, true);
    limit_take(p, "maximum", &f->number.max, false, false);
    limit_take(p, "exclusiveMaximum", &f->number.max, true, false);
    limit_take(p, "minLength", &f->length.min, false, true);
    limit_take(p, "maxLength", &f->length.max, false, false);
    limit_take(p, "minItems", &f->items.min, false, true);
    limit_take(p, "maxItems", &f->items.max, false, false);
    limit_take(p, "minProperties", &f->members.min, false, true);
    limit_take(p, "maxProperties", &f->members.max, false, false);
}

static void count_raise(struct compat *c, struct bound *b, size_t n) {
    if (n && !bound_at_least(b, n))
        bound_raise(b, number_name(c, n), false);
}

static void count_lower(struct compat *c, struct bound *b, size_t n) {
    if (!bound_at_most(b, n))
        bound_lower(b, number_name(c, n), false);
}

/* `contains` asks for items, `required` for members; a closed list allows no more than it has. */
static void place_counts(struct compat *c, struct facts *f, struct place p) {
    const struct json_value *least = keyword_of(p, "minContains"), *required = keyword_of(p, "required");
    if (keyword_of(p, "contains") && !least)
        count_raise(c, &f->items.min, 1);
    if (keyword_of(p, "contains") && least && least->kind == JSON_KIND_NUMBER)
        bound_raise(&f->items.min, least->text, false);
    size_t prefix = prefix_length(p);
    struct place rest = item_schema(p, prefix);
    if (rest.schema && rest.schema->kind == JSON_KIND_FALSE)
        count_lower(c, &f->items.max, prefix);
    if (required && required->kind == JSON_KIND_ARRAY)
        count_raise(c, &f->members.min, required->n);
}

/* The bound of whole numbers: above 0 is from 1 on. */
static void bound_round(struct compat *c, struct bound *b, int64_t by) {
    struct decimal d, one;
    char text[DECIMAL_CHARS];
    if (!b->digits.n || !b->strict || decimal_read(&d, b->digits) != 0 || !decimal_is_integer(&d))
        return;
    decimal_of_int(&one, by);
    if (decimal_add(&d, &d, &one) != 0)
        return;
    struct str digits = arena_copy(&c->arena, (struct str){text, decimal_write(&d, text)});
    if (digits.p)
        *b = (struct bound){digits, false};
}

static bool place_whole(struct place p) {
    const struct json_value *word = keyword_of(p, "multipleOf");
    return word && word->kind == JSON_KIND_NUMBER && digits_multiple(word->text, STR("1")) == YES;
}

void facts_number(struct compat *c, struct facts *f) {
    for (size_t i = 0; i < f->all.n; i++) {
        place_limits(f, f->all.items[i]);
        place_counts(c, f, f->all.items[i]);
        if (place_whole(f->all.items[i]))
            f->types &= ~(unsigned)TYPE_FRACTION;
    }
    const struct json_value *closed = facts_closed(f);
    if (closed)
        count_lower(c, &f->members.max, closed->n);
    if (!(f->types & TYPE_FRACTION)) {
        bound_round(c, &f->number.min, 1);
        bound_round(c, &f->number.max, -1);
    }
    if (range_empty(&f->number))
        f->types &= ~(unsigned)TYPE_NUMBER;
    if (range_empty(&f->length))
        f->types &= ~(unsigned)TYPE_STRING;
    if (range_empty(&f->items))
        f->types &= ~(unsigned)TYPE_ARRAY;
    if (range_empty(&f->members))
        f->types &= ~(unsigned)TYPE_OBJECT;
}

/* --- what a new schema asks for */

struct limit {
    const char *keyword;
    bool lower, strict;
    const struct bound *old;
};

static struct limit limit_of(const struct claim *claim) {
    const struct facts *f = claim->facts;
    const struct limit limits[] = {
        {"minimum", true, false, &f->number.min},        {"exclusiveMinimum", true, true, &f->number.min},
        {"maximum", false, false, &f->number.max},       {"exclusiveMaximum", false, true, &f->number.max},
        {"minLength", true, false, &f->length.min},      {"maxLength", false, false, &f->length.max},
        {"minItems", true, false, &f->items.min},        {"maxItems", false, false, &f->items.max},
        {"minProperties", true, false, &f->members.min}, {"maxProperties", false, false, &f->members.max},
    };
    for (size_t i = 0; i + 1 < sizeof limits / sizeof *limits; i++)
        if (str_eq(claim->keyword->name, str_of(limits[i].keyword)))
            return limits[i];
    return limits[sizeof limits / sizeof *limits - 1];
}

bool prove_limit(struct compat *c, const struct claim *claim) {
    struct limit l = limit_of(claim);
    struct str digits = claim->keyword->value.text;
    int order;
    if (claim->keyword->value.kind != JSON_KIND_NUMBER)
        return unproven_claim(c, claim, "it is no number");
    bool count = claim->rule->types != TYPE_NUMBER;
    if (count && l.lower && digits_compare(digits, STR("0"), &order) && order == 0)
        return true;
    if (!l.old->digits.n)
        return unproven_claim(c, claim, "%.*s is a limit where the old schema had none", (int)digits.n, digits.p);
    if (!digits_compare(digits, l.old->digits, &order))
        return unproven_claim(c, claim, "has too many digits to be compared with the old %.*s", (int)l.old->digits.n,
                              l.old->digits.p);
    if (order == (l.lower ? -1 : 1) || (order == 0 && (l.old->strict || !l.strict)))
        return true;
    if (order == 0)
        return unproven_claim(c, claim, "the old schema allowed %.*s itself", (int)digits.n, digits.p);
    return unproven_claim(c, claim, "%.*s is %s than the old %.*s", (int)digits.n, digits.p,
                          order < 0 ? "less" : "greater", (int)l.old->digits.n, l.old->digits.p);
}

bool prove_multiple(struct compat *c, const struct claim *claim) {
    const struct json_value *word = &claim->keyword->value, *old = NULL;
    const struct facts *f = claim->facts;
    if (word->kind != JSON_KIND_NUMBER)
        return unproven_claim(c, claim, "it is no number");
    if (!(f->types & TYPE_FRACTION) && digits_multiple(STR("1"), word->text) == YES)
        return true;
    for (size_t i = 0; i < f->all.n; i++) {
        const struct json_value *m = keyword_of(f->all.items[i], "multipleOf");
        if (!m || m->kind != JSON_KIND_NUMBER)
            continue;
        if (str_eq(m->text, word->text) || digits_multiple(m->text, word->text) == YES)
            return true;
        old = m;
    }
    if (old)
        return unproven_claim(c, claim, "multiples of the old %.*s need not be multiples of %.*s", (int)old->text.n,
                              old->text.p, (int)word->text.n, word->text.p);
    return unproven_claim(c, claim, "the old schema allowed numbers that are no multiples of %.*s", (int)word->text.n,
                          word->text.p);
}

bool prove_same_text(struct compat *c, const struct claim *claim) {
    struct str name = claim->keyword->name;
    const struct json_value *word = &claim->keyword->value, *old = NULL;
    for (size_t i = 0; i < claim->facts->all.n; i++) {
        const struct json_value *w = keyword_of(claim->facts->all.items[i], claim->rule->name);
        if (w && w->kind == JSON_KIND_STRING && word->kind == JSON_KIND_STRING && str_eq(w->text, word->text))
            return true;
        old = w ? w : old;
    }
    if (str_eq(name, STR("pattern")) && word->kind == JSON_KIND_STRING &&
        (word->text.n == 0 || str_eq(word->text, STR(".*"))))
        return true;
    if (old && old->kind == JSON_KIND_STRING)
        return unproven_claim(c, claim, "differs from the old \"%.*s\"", (int)old->text.n, old->text.p);
    return unproven_claim(c, claim, "is new: the old schema had none");
}
