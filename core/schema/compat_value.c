#include "compat_private.h"

/* How deep references may lead while one value is looked at. */
enum { CHECK_DEPTH = 600 };

static enum verdict verdict_of(bool yes) {
    return yes ? YES : NO;
}

static enum verdict verdict_not(enum verdict v) {
    return v == UNSURE ? UNSURE : verdict_of(v == NO);
}

static enum verdict worse(enum verdict a, enum verdict b) {
    return a < b ? a : b;
}

/* --- equality, as JSON Schema has it: 1 is 1.0, the order of members does not matter */

static enum verdict objects_equal(struct compat *c, const struct json_value *a, const struct json_value *b) {
    enum verdict all = verdict_of(a->n == b->n);
    for (size_t i = 0; all != NO && i < a->n; i++) {
        const struct json_field *field = &a->fields[i];
        bool in_place = str_eq(field->name, b->fields[i].name);
        if (!in_place && !step(c, 1 + a->n / 16))
            return UNSURE;
        const struct json_value *other = in_place ? &b->fields[i].value : field_of(b, field->name);
        all = other ? worse(all, values_equal(c, &field->value, other)) : NO;
    }
    return all;
}

enum verdict values_equal(struct compat *c, const struct json_value *a, const struct json_value *b) {
    int order;
    enum verdict all = YES;
    if (a->kind != b->kind)
        return NO;
    switch (a->kind) {
    case JSON_KIND_OBJECT:
        return objects_equal(c, a, b);
    case JSON_KIND_ARRAY:
        all = verdict_of(a->n == b->n);
        for (size_t i = 0; all != NO && i < a->n; i++)
            all = worse(all, values_equal(c, &a->items[i], &b->items[i]));
        return all;
    case JSON_KIND_STRING:
        return verdict_of(str_eq(a->text, b->text));
    case JSON_KIND_NUMBER:
        return digits_compare(a->text, b->text, &order) ? verdict_of(order == 0) : UNSURE;
    default:
        return YES;
    }
}

/* --- patterns: plain text, perhaps with ^ and $, is understood; all else is not */

static bool plain(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~' || strchr("\\^$.[]|()?*+{}", s.p[i]))
            return false;
    return true;
}

enum verdict pattern_matches(struct str pattern, struct str text) {
    struct str s = pattern;
    if (str_eq(s, STR(".*")) || !s.n)
        return YES;
    bool start = s.p[0] == '^';
    s = (struct str){s.p + start, s.n - start};
    bool end = s.n && s.p[s.n - 1] == '$';
    s.n -= end;
    /* Whether $ matches before a line's end at the end depends on who reads the pattern. */
    if (!plain(s) || (end && memchr(text.p ? text.p : "", '\n', text.n)))
        return UNSURE;
    if (start && end)
        return verdict_of(str_eq(s, text));
    if (s.n > text.n)
        return NO;
    if (start)
        return verdict_of(str_eq(s, (struct str){text.p, s.n}));
    if (end)
        return verdict_of(str_eq(s, (struct str){text.p + text.n - s.n, s.n}));
    return verdict_of(!s.n || memmem(text.p, text.n, s.p, s.n));
}

/* --- keywords of a known value */

enum verdict check_unsure(struct compat *c, struct place at, const struct json_value *word,
                          const struct json_value *v) {
    (void)c, (void)at, (void)word, (void)v;
    return UNSURE;
}

enum verdict check_type(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    (void)c, (void)at;
    unsigned is = types_of_value(v), may = types_named(word);
    if (!(is & may))
        return NO;
    return (is & ~may) ? UNSURE : YES;
}

enum verdict check_const(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    (void)at;
    return step(c, 1) ? values_equal(c, word, v) : UNSURE;
}

enum verdict check_enum(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    enum verdict any = NO;
    (void)at;
    if (word->kind != JSON_KIND_ARRAY)
        return UNSURE;
    if (v >= word->items && v < word->items + word->n)
        return YES;
    if (!step(c, 1 + word->n / 8))
        return UNSURE;
    for (size_t i = 0; any != YES && i < word->n; i++) {
        enum verdict one = values_equal(c, &word->items[i], v);
        any = one > any ? one : any;
    }
    return any;
}

/* NO, UNSURE or YES for: the digits are on that side of the limit, or equal to it where it is not strict. */
static enum verdict check_limit(const struct json_value *word, struct str digits, int side, bool strict) {
    int order;
    if (word->kind != JSON_KIND_NUMBER || !digits_compare(digits, word->text, &order))
        return UNSURE;
    return verdict_of(order == side || (order == 0 && !strict));
}

enum verdict check_minimum(struct compat *c, struct place at, const struct json_value *word,
                           const struct json_value *v) {
    (void)c, (void)at;
    return check_limit(word, v->text, 1, false);
}

enum verdict check_maximum(struct compat *c, struct place at, const struct json_value *word,
                           const struct json_value *v) {
    (void)c, (void)at;
    return check_limit(word, v->text, -1, false);
}

enum verdict check_above(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    (void)c, (void)at;
    return check_limit(word, v->text, 1, true);
}

enum verdict check_below(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    (void)c, (void)at;
    return check_limit(word, v->text, -1, true);
}

enum verdict check_multiple(struct compat *c, struct place at, const struct json_value *word,
                            const struct json_value *v) {
    (void)c, (void)at;
    return word->kind == JSON_KIND_NUMBER ? digits_multiple(v->text, word->text) : UNSURE;
}

static enum verdict check_count(struct compat *c, const struct json_value *word, size_t n, int side) {
    struct str digits = number_name(c, n);
    return digits.n ? check_limit(word, digits, side, false) : UNSURE;
}

static size_t code_points(struct str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

enum verdict check_min_length(struct compat *c, struct place at, const struct json_value *word,
                              const struct json_value *v) {
    (void)at;
    return check_count(c, word, code_points(v->text), 1);
}

enum verdict check_max_length(struct compat *c, struct place at, const struct json_value *word,
                              const struct json_value *v) {
    (void)at;
    return check_count(c, word, code_points(v->text), -1);
}

enum verdict check_pattern(struct compat *c, struct place at, const struct json_value *word,
                           const struct json_value *v) {
    (void)c, (void)at;
    return word->kind == JSON_KIND_STRING ? pattern_matches(word->text, v->text) : UNSURE;
}

enum verdict check_min_count(struct compat *c, struct place at, const struct json_value *word,
                             const struct json_value *v) {
    (void)at;
    return check_count(c, word, v->n, 1);
}

enum verdict check_max_count(struct compat *c, struct place at, const struct json_value *word,
                             const struct json_value *v) {
    (void)at;
    return check_count(c, word, v->n, -1);
}

/* --- arrays */

enum verdict check_unique(struct compat *c, struct place at, const struct json_value *word,
                          const struct json_value *v) {
    enum verdict all = YES;
    (void)at;
    if (word->kind == JSON_KIND_FALSE)
        return YES;
    for (size_t i = 0; i < v->n; i++)
        for (size_t k = 0; all != NO && k < i; k++)
            all = step(c, 1) ? worse(all, verdict_not(values_equal(c, &v->items[i], &v->items[k]))) : UNSURE;
    return all;
}

/* items, prefixItems and additionalItems at once: each of them is true when all are. */
enum verdict check_items(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    enum verdict all = YES;
    (void)word;
    for (size_t i = 0; all != NO && i < v->n; i++) {
        struct place p = item_schema(at, i);
        all = p.schema ? worse(all, place_check(c, p, &v->items[i])) : all;
    }
    return all;
}

enum verdict check_contains(struct compat *c, struct place at, const struct json_value *word,
                            const struct json_value *v) {
    const struct json_value *min = keyword_of(at, "minContains"), *max = keyword_of(at, "maxContains");
    size_t sure = 0, perhaps = 0;
    for (size_t i = 0; i < v->n; i++) {
        enum verdict one = place_check(c, (struct place){at.document, word}, &v->items[i]);
        sure += one == YES;
        perhaps += one != NO;
    }
    struct bound few = {number_name(c, sure), false}, many = {number_name(c, perhaps), false};
    enum verdict enough = min ? worse(check_limit(min, few.digits, 1, false), check_limit(min, many.digits, 1, false))
                              : verdict_of(sure > 0);
    if (enough == NO && sure != perhaps)
        enough = UNSURE;
    enum verdict not_too_many = max ? check_limit(max, many.digits, -1, false) : YES;
    if (not_too_many == NO && sure != perhaps)
        not_too_many = UNSURE;
    return worse(enough, not_too_many);
}

/* --- objects */

static enum verdict check_member(struct compat *c, struct place at, const struct json_field *member) {
    const struct json_value *own = field_of(keyword_of(at, "properties"), member->name);
    const struct json_value *patterns = keyword_of(at, "patternProperties");
    const struct json_value *rest = keyword_of(at, "additionalProperties");
    enum verdict all = own ? place_check(c, (struct place){at.document, own}, &member->value) : YES;
    enum verdict matched = verdict_of(own != NULL);
    for (size_t i = 0; patterns && patterns->kind == JSON_KIND_OBJECT && i < patterns->n; i++) {
        enum verdict m = pattern_matches(patterns->fields[i].name, member->name);
        matched = m > matched ? m : matched;
        if (m == NO)
            continue;
        enum verdict fits = place_check(c, (struct place){at.document, &patterns->fields[i].value}, &member->value);
        all = worse(all, m == YES || fits == YES ? fits : UNSURE);
    }
    if (!rest || matched == YES)
        return all;
    enum verdict fits = place_check(c, (struct place){at.document, rest}, &member->value);
    return worse(all, matched == NO || fits == YES ? fits : UNSURE);
}

/* properties, patternProperties and additionalProperties at once. */
enum verdict check_members(struct compat *c, struct place at, const struct json_value *word,
                           const struct json_value *v) {
    enum verdict all = YES;
    (void)word;
    for (size_t i = 0; all != NO && i < v->n; i++)
        all = step(c, 1) ? worse(all, check_member(c, at, &v->fields[i])) : UNSURE;
    return all;
}

enum verdict check_required(struct compat *c, struct place at, const struct json_value *word,
                            const struct json_value *v) {
    (void)at;
    if (word->kind != JSON_KIND_ARRAY)
        return UNSURE;
    for (size_t i = 0; i < word->n; i++) {
        if (!step(c, 1) || word->items[i].kind != JSON_KIND_STRING)
            return UNSURE;
        if (!field_of(v, word->items[i].text))
            return NO;
    }
    return YES;
}

enum verdict check_names(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    enum verdict all = YES;
    for (size_t i = 0; all != NO && i < v->n; i++) {
        const struct json_value name = {.kind = JSON_KIND_STRING, .text = v->fields[i].name};
        all = worse(all, place_check(c, (struct place){at.document, word}, &name));
    }
    return all;
}

enum verdict check_dependent(struct compat *c, struct place at, const struct json_value *word,
                             const struct json_value *v) {
    enum verdict all = YES;
    if (word->kind != JSON_KIND_OBJECT)
        return UNSURE;
    for (size_t i = 0; all != NO && i < word->n; i++) {
        const struct json_value *then = &word->fields[i].value;
        if (!step(c, 1))
            return UNSURE;
        if (field_of(v, word->fields[i].name))
            all = worse(all, then->kind == JSON_KIND_ARRAY ? check_required(c, at, then, v)
                                                           : place_check(c, (struct place){at.document, then}, v));
    }
    return all;
}

/* --- combined */

/* How many of the list's schemas fit: surely, and perhaps. */
static void list_count(struct compat *c, struct place at, const struct json_value *list, const struct json_value *v,
                       size_t *sure, size_t *perhaps) {
    *sure = *perhaps = 0;
    for (size_t i = 0; list->kind == JSON_KIND_ARRAY && i < list->n; i++) {
        enum verdict one = place_check(c, (struct place){at.document, &list->items[i]}, v);
        *sure += one == YES;
        *perhaps += one != NO;
    }
}

enum verdict check_all(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    size_t sure, perhaps;
    list_count(c, at, word, v, &sure, &perhaps);
    return perhaps < word->n ? NO : sure < word->n ? UNSURE : YES;
}

enum verdict check_any(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    size_t sure, perhaps;
    list_count(c, at, word, v, &sure, &perhaps);
    return !perhaps ? NO : !sure ? UNSURE : YES;
}

enum verdict check_one(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    size_t sure, perhaps;
    list_count(c, at, word, v, &sure, &perhaps);
    if (!perhaps || sure > 1)
        return NO;
    return sure == 1 && perhaps == 1 ? YES : UNSURE;
}

enum verdict check_not(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    return verdict_not(place_check(c, (struct place){at.document, word}, v));
}

static enum verdict check_branch(struct compat *c, struct place at, const char *keyword, const struct json_value *v) {
    const struct json_value *word = keyword_of(at, keyword);
    return word ? place_check(c, (struct place){at.document, word}, v) : YES;
}

enum verdict check_if(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    enum verdict holds = place_check(c, (struct place){at.document, word}, v);
    if (holds != UNSURE)
        return check_branch(c, at, holds == YES ? "then" : "else", v);
    enum verdict then = check_branch(c, at, "then", v), otherwise = check_branch(c, at, "else", v);
    return then == otherwise ? then : UNSURE;
}

enum verdict check_ref(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v) {
    struct place to;
    struct str pointer;
    if (word->kind != JSON_KIND_STRING || !reference_resolve(c, at.document, word->text, &to, &pointer))
        return UNSURE;
    return place_check(c, to, v);
}

/* --- schemas */

enum verdict word_check(struct compat *c, struct place p, const struct json_field *word, const struct json_value *v) {
    const struct rule *rule = keyword_counts(p, word->name) ? rule_of(p, word->name) : NULL;
    if (!rule)
        return YES;
    unsigned types = types_of_value(v);
    if (!(rule->types & types))
        return YES;
    return rule->check(c, p, &word->value, v);
}

enum verdict place_check(struct compat *c, struct place p, const struct json_value *v) {
    enum verdict all = YES;
    if (p.schema->kind != JSON_KIND_OBJECT)
        return p.schema->kind == JSON_KIND_TRUE ? YES : p.schema->kind == JSON_KIND_FALSE ? NO : UNSURE;
    if (c->check_depth >= CHECK_DEPTH || !step(c, 1 + p.schema->n))
        return UNSURE;
    c->check_depth++;
    for (size_t i = 0; all != NO && i < p.schema->n; i++)
        all = worse(all, word_check(c, p, &p.schema->fields[i], v));
    c->check_depth--;
    return c->stop == STOP_NOT ? all : UNSURE;
}
