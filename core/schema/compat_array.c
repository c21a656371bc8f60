#include "compat_private.h"

/* --- which schema applies to which item */

static const struct json_value *prefix_of(struct place p) {
    const struct json_value *word = keyword_of(p, p.document->draft == DRAFT_07 ? "items" : "prefixItems");
    return word && word->kind == JSON_KIND_ARRAY ? word : NULL;
}

size_t prefix_length(struct place p) {
    const struct json_value *prefix = prefix_of(p);
    return prefix ? prefix->n : 0;
}

struct place item_schema(struct place p, size_t i) {
    const struct json_value *prefix = prefix_of(p);
    if (prefix && i < prefix->n)
        return (struct place){p.document, &prefix->items[i]};
    const struct json_value *rest =
        keyword_of(p, prefix && p.document->draft == DRAFT_07 ? "additionalItems" : "items");
    return (struct place){p.document, rest && rest->kind != JSON_KIND_ARRAY ? rest : NULL};
}

size_t facts_prefix(const struct facts *f) {
    size_t longest = 0;
    for (size_t i = 0; i < f->all.n; i++) {
        size_t n = prefix_length(f->all.items[i]);
        longest = n > longest ? n : longest;
    }
    return longest;
}

struct facts *facts_item(struct compat *c, const struct facts *f, size_t i) {
    struct facts *item = facts_new(c);
    for (size_t k = 0; item && k < f->all.n; k++) {
        struct place p = item_schema(f->all.items[k], i);
        if (p.schema)
            facts_add(c, item, p);
    }
    if (item)
        facts_close(c, item);
    return item;
}

/* --- items */

static bool item_fits(struct compat *c, const struct claim *claim, size_t i, struct place to, const char *index,
                      const struct path *path) {
    const struct path where = {claim->where, str_of(index), false, "items was open"};
    struct facts *item = facts_item(c, claim->facts, i);
    if (!item)
        return false;
    c->level++;
    bool fits = facts_fit(c, item, to, path, &where);
    c->level--;
    return fits;
}

/* The places of a list, one by one. */
static bool prove_prefix(struct compat *c, const struct claim *claim, const struct path *path) {
    const struct json_value *list = &claim->keyword->value;
    for (size_t i = 0; i < list->n; i++) {
        struct str index = number_name(c, i);
        const struct path at = {path, index, false, NULL};
        if (!step(c, 1))
            return false;
        if (bound_at_most(&claim->facts->items.max, i))
            return true;
        if (!item_fits(c, claim, i, (struct place){claim->at.document, &list->items[i]}, index.p, &at))
            return false;
    }
    return true;
}

/* All items behind the list: those for which old facts have places of their own, then the others alike. */
static bool prove_rest(struct compat *c, const struct claim *claim, const struct path *path) {
    size_t from = prefix_length(claim->at), to = facts_prefix(claim->facts);
    if (to < from)
        to = from;
    for (size_t i = from; i <= to; i++) {
        if (bound_at_most(&claim->facts->items.max, i))
            return true;
        const char *index = i == to ? "*" : number_name(c, i).p;
        if (!step(c, 1) || !index)
            return false;
        if (!item_fits(c, claim, i, (struct place){claim->at.document, &claim->keyword->value}, index, path))
            return false;
    }
    return true;
}

bool prove_items(struct compat *c, const struct claim *claim) {
    const struct path path = {claim->path, claim->keyword->name, false, NULL};
    if (claim->keyword->value.kind == JSON_KIND_ARRAY)
        return prove_prefix(c, claim, &path);
    if (str_eq(claim->keyword->name, STR("additionalItems")) && !prefix_of(claim->at))
        return true; /* ignored where `items` is no list */
    return prove_rest(c, claim, &path);
}

bool prove_unique(struct compat *c, const struct claim *claim) {
    if (claim->keyword->value.kind == JSON_KIND_FALSE || bound_at_most(&claim->facts->items.max, 1))
        return true;
    for (size_t i = 0; i < claim->facts->all.n; i++) {
        const struct json_value *old = keyword_of(claim->facts->all.items[i], "uniqueItems");
        if (old && old->kind == JSON_KIND_TRUE)
            return true;
    }
    return unproven_claim(c, claim, "the old schema allowed items that are equal");
}

/* --- contains */

/* What is known of each item, wherever it is. */
static struct facts *facts_each(struct compat *c, const struct facts *f, struct place also) {
    struct facts *item = facts_new(c);
    for (size_t i = 0; item && i < f->all.n; i++) {
        struct place p = item_schema(f->all.items[i], 0);
        if (p.schema && !prefix_length(f->all.items[i]))
            facts_add(c, item, p);
    }
    if (item && also.schema)
        facts_add(c, item, also);
    if (item)
        facts_close(c, item);
    return item;
}

/* What of the items is so by the facts, and `also`, fits another schema. */
static bool each_fits(struct compat *c, const struct claim *claim, struct place also, struct place to) {
    const struct path path = {claim->path, claim->keyword->name, false, NULL};
    const struct path where = {claim->where, STR("*"), false, "items was open"};
    struct facts *item = facts_each(c, claim->facts, also);
    if (!item)
        return false;
    c->level++;
    c->quiet++;
    bool fits = facts_fit(c, item, to, &path, &where);
    c->quiet--;
    c->level--;
    return fits;
}

static struct str digits_or(const struct json_value *word, struct str none) {
    return word && word->kind == JSON_KIND_NUMBER ? word->text : none;
}

static bool at_least(struct str a, struct str b) {
    int order;
    return digits_compare(a, b, &order) && order >= 0;
}

static bool prove_enough(struct compat *c, const struct claim *claim, struct place wanted) {
    struct str least = digits_or(keyword_of(claim->at, "minContains"), STR("1"));
    if (at_least(STR("0"), least))
        return true;
    for (size_t i = 0; i < claim->facts->all.n; i++) {
        struct place p = claim->facts->all.items[i];
        const struct json_value *old = keyword_of(p, "contains");
        if (old && at_least(digits_or(keyword_of(p, "minContains"), STR("1")), least) &&
            each_fits(c, claim, (struct place){p.document, old}, wanted))
            return true;
    }
    const struct bound *items = &claim->facts->items.min;
    return items->digits.n && at_least(items->digits, least) && each_fits(c, claim, (struct place){0}, wanted);
}

static bool prove_not_too_many(struct compat *c, const struct claim *claim, struct place wanted) {
    const struct json_value *word = keyword_of(claim->at, "maxContains");
    const struct bound *items = &claim->facts->items.max;
    if (!word || (word->kind == JSON_KIND_NUMBER && items->digits.n && at_least(word->text, items->digits)))
        return true;
    for (size_t i = 0; i < claim->facts->all.n; i++) {
        struct place p = claim->facts->all.items[i];
        const struct json_value *old = keyword_of(p, "contains"), *most = keyword_of(p, "maxContains");
        if (old && most && most->kind == JSON_KIND_NUMBER && word->kind == JSON_KIND_NUMBER &&
            at_least(word->text, most->text) && each_fits(c, claim, wanted, (struct place){p.document, old}))
            return true;
    }
    return false;
}

bool prove_contains(struct compat *c, const struct claim *claim) {
    struct place wanted = {claim->at.document, &claim->keyword->value};
    if (!prove_enough(c, claim, wanted))
        return unproven_claim(c, claim, "the old schema did not ask for enough such items");
    if (!prove_not_too_many(c, claim, wanted))
        return unproven_claim(c, claim, "the old schema allowed more such items than maxContains");
    return true;
}
