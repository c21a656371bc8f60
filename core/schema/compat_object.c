#include "compat_private.h"

/* A member whose value is looked at: one name, or any that no schema at hand gives by name. */
struct member {
    bool named;
    struct str name;
    struct str matches;              /* a pattern that the others match; p is NULL when there is none */
    const struct json_value *unlike; /* a map of patterns that they do not match */
};

/* What is to be proven of a member. */
struct aim {
    struct place to; /* schema NULL: that it cannot be there */
    const struct path *path, *where;
};

static bool is_map(const struct json_value *word) {
    return word && word->kind == JSON_KIND_OBJECT;
}

static enum verdict member_matches(const struct member *m, struct str pattern) {
    if (m->named)
        return pattern_matches(pattern, m->name);
    if (m->matches.p && str_eq(pattern, m->matches))
        return YES;
    if (m->unlike && field_of(m->unlike, pattern))
        return NO;
    return pattern.n == 0 || str_eq(pattern, STR(".*")) ? YES : UNSURE;
}

/* --- unevaluatedProperties */

/* Whether some schema at the same instance might look at the member. `f` has the schemas whose properties a
 * nameless member is none of. */
static bool may_evaluate(struct compat *c, const struct facts *f, struct place p, const struct member *m,
                         unsigned depth);

static bool list_may_evaluate(struct compat *c, const struct facts *f, struct place p, const char *keyword,
                              const struct member *m, unsigned depth) {
    const struct json_value *list = keyword_of(p, keyword);
    for (size_t i = 0; list && list->kind == JSON_KIND_ARRAY && i < list->n; i++)
        if (may_evaluate(c, f, (struct place){p.document, &list->items[i]}, m, depth))
            return true;
    return false;
}

static bool map_may_evaluate(struct compat *c, const struct facts *f, struct place p, const char *keyword,
                             const struct member *m, unsigned depth) {
    const struct json_value *map = keyword_of(p, keyword);
    for (size_t i = 0; is_map(map) && i < map->n; i++)
        if (may_evaluate(c, f, (struct place){p.document, &map->fields[i].value}, m, depth))
            return true;
    return false;
}

static bool word_may_evaluate(struct compat *c, const struct facts *f, struct place p, const char *keyword,
                              const struct member *m, unsigned depth) {
    const struct json_value *word = keyword_of(p, keyword);
    return word && may_evaluate(c, f, (struct place){p.document, word}, m, depth);
}

static bool facts_have(const struct facts *f, struct place p) {
    for (size_t i = 0; i < f->all.n; i++)
        if (f->all.items[i].schema == p.schema)
            return true;
    return false;
}

static bool names_may_evaluate(const struct facts *f, struct place p, const struct member *m) {
    const struct json_value *own = keyword_of(p, "properties"), *patterns = keyword_of(p, "patternProperties");
    if (is_map(own) && own->n && (m->named ? field_of(own, m->name) != NULL : !facts_have(f, p)))
        return true;
    for (size_t i = 0; is_map(patterns) && i < patterns->n; i++)
        if (member_matches(m, patterns->fields[i].name) != NO)
            return true;
    return false;
}

static bool parts_may_evaluate(struct compat *c, const struct facts *f, struct place p, const struct member *m,
                               unsigned depth) {
    static const char *const lists[] = {"allOf", "anyOf", "oneOf"}, *const words[] = {"if", "then", "else"};
    const struct json_value *ref = keyword_of(p, "$ref");
    struct place to;
    struct str pointer;
    if (keyword_of(p, "$dynamicRef") || keyword_of(p, "dependencies"))
        return true;
    if (ref && !(ref->kind == JSON_KIND_STRING && reference_resolve(c, p.document, ref->text, &to, &pointer)))
        return true;
    if (ref && may_evaluate(c, f, to, m, depth))
        return true;
    for (size_t i = 0; i < 3; i++)
        if (list_may_evaluate(c, f, p, lists[i], m, depth) || word_may_evaluate(c, f, p, words[i], m, depth))
            return true;
    return map_may_evaluate(c, f, p, "dependentSchemas", m, depth);
}

static bool may_evaluate(struct compat *c, const struct facts *f, struct place p, const struct member *m,
                         unsigned depth) {
    if (p.schema->kind != JSON_KIND_OBJECT)
        return false;
    if (depth == 0 || !step(c, 1 + p.schema->n))
        return true;
    if (keyword_of(p, "additionalProperties") || keyword_of(p, "unevaluatedProperties"))
        return true;
    return names_may_evaluate(f, p, m) || parts_may_evaluate(c, f, p, m, depth - 1);
}

/* Its unevaluatedProperties, when the member surely falls under them. */
static const struct json_value *unevaluated_schema(struct compat *c, const struct facts *f, struct place p,
                                                   const struct member *m) {
    const struct json_value *word = keyword_of(p, "unevaluatedProperties");
    if (!word || keyword_of(p, "additionalProperties"))
        return NULL;
    return names_may_evaluate(f, p, m) || parts_may_evaluate(c, f, p, m, 24) ? NULL : word;
}

/* --- what facts say of a member */

static void value_add(struct compat *c, struct facts *value, struct place at, const struct json_value *schema) {
    if (schema)
        facts_add(c, value, (struct place){at.document, schema});
}

/* Adds what one fact surely says. True when the rest hangs on patterns that cannot be decided. */
static bool fact_follow(struct compat *c, const struct facts *f, struct place p, const struct member *m,
                        struct facts *value) {
    const struct json_value *own = m->named ? field_of(keyword_of(p, "properties"), m->name) : NULL;
    const struct json_value *patterns = keyword_of(p, "patternProperties");
    bool found = own != NULL, unsure = false;
    value_add(c, value, p, own);
    for (size_t i = 0; is_map(patterns) && i < patterns->n && step(c, 1); i++) {
        enum verdict matches = member_matches(m, patterns->fields[i].name);
        if (matches == YES)
            value_add(c, value, p, &patterns->fields[i].value);
        found |= matches == YES;
        unsure |= matches == UNSURE;
    }
    value_add(c, value, p, unevaluated_schema(c, f, p, m));
    if (!found && !unsure)
        value_add(c, value, p, keyword_of(p, "additionalProperties"));
    return !found && unsure;
}

static bool aim_proven(struct compat *c, struct facts *value, const struct aim *aim) {
    facts_close(c, value);
    if (aim->to.schema)
        return facts_fit(c, value, aim->to, aim->path, aim->where);
    return facts_impossible(c, value);
}

static bool member_aim(struct compat *c, const struct facts *f, size_t from, const struct member *m,
                       struct facts *value, const struct aim *aim);

/* Either some pattern matches, or none does and the name is an additional one: all must be proven. */
static bool member_cases(struct compat *c, const struct facts *f, size_t at, const struct member *m,
                         const struct facts *value, const struct aim *aim) {
    struct place p = f->all.items[at];
    const struct json_value *patterns = keyword_of(p, "patternProperties");
    for (size_t i = 0; i <= patterns->n; i++) {
        bool rest = i == patterns->n;
        if (!rest && member_matches(m, patterns->fields[i].name) != UNSURE)
            continue;
        struct facts *one = facts_copy(c, value);
        if (!one)
            return false;
        value_add(c, one, p, rest ? keyword_of(p, "additionalProperties") : &patterns->fields[i].value);
        if (!member_aim(c, f, at + 1, m, one, aim))
            return false;
    }
    return true;
}

static bool member_aim(struct compat *c, const struct facts *f, size_t from, const struct member *m,
                       struct facts *value, const struct aim *aim) {
    for (size_t i = from; i < f->all.n && step(c, 1); i++)
        if (fact_follow(c, f, f->all.items[i], m, value))
            return member_cases(c, f, i, m, value, aim);
    return c->stop == STOP_NOT && aim_proven(c, value, aim);
}

/* Whether the name is no member's, or the propertyNames of an old fact let none like it be. */
static bool name_refused(struct compat *c, const struct facts *f, const struct member *m) {
    const struct json_value name = {.kind = JSON_KIND_STRING, .text = m->name};
    for (size_t i = 0; m->named && i < f->all.n; i++) {
        const struct json_value *names = keyword_of(f->all.items[i], "propertyNames");
        if (names && place_check(c, (struct place){f->all.items[i].document, names}, &name) == NO)
            return true;
    }
    return false;
}

static bool member_proven(struct compat *c, const struct facts *f, const struct member *m, const struct aim *aim) {
    struct facts *value = name_refused(c, f, m) ? NULL : facts_new(c);
    if (!value)
        return c->stop == STOP_NOT;
    c->level++;
    bool proven = member_aim(c, f, 0, m, value, aim);
    c->level--;
    return proven;
}

bool member_impossible(struct compat *c, const struct facts *f, struct str name) {
    const struct aim aim = {.to = {0}};
    return member_proven(c, f, &(struct member){.named = true, .name = name}, &aim);
}

const struct json_value *facts_closed(const struct facts *f) {
    static const struct json_value none = {.kind = JSON_KIND_OBJECT};
    const struct json_value *closed = NULL;
    for (size_t i = 0; i < f->all.n; i++) {
        const struct json_value *rest = keyword_of(f->all.items[i], "additionalProperties");
        const struct json_value *patterns = keyword_of(f->all.items[i], "patternProperties");
        if (!rest || rest->kind != JSON_KIND_FALSE || (is_map(patterns) && patterns->n))
            continue;
        const struct json_value *own = keyword_of(f->all.items[i], "properties");
        own = is_map(own) ? own : &none;
        if (!closed || own->n < closed->n)
            closed = own;
    }
    return closed;
}

/* --- claims about members */

static bool member_fits(struct compat *c, const struct claim *claim, const struct member *m,
                        const struct json_value *schema, const struct path *path) {
    const struct path where = {claim->where, m->named ? m->name : STR("*"), false, "additionalProperties was open"};
    const struct aim aim = {{claim->at.document, schema}, path, &where};
    return member_proven(c, claim->facts, m, &aim);
}

bool prove_properties(struct compat *c, const struct claim *claim) {
    const struct json_value *word = &claim->keyword->value;
    const struct path path = {claim->path, claim->keyword->name, false, NULL};
    for (size_t i = 0; i < word->n && step(c, 1); i++) {
        const struct member m = {.named = true, .name = word->fields[i].name};
        const struct path at = {&path, m.name, false, NULL};
        if (!member_fits(c, claim, &m, &word->fields[i].value, &at))
            return false;
    }
    return c->stop == STOP_NOT;
}

/* Names that a schema surely looks at: `properties` and what else its keyword leaves aside. */
struct spared {
    const struct json_value *names[16], *patterns[16];
    size_t n;
    bool all;
};

static void spared_add(struct compat *c, struct spared *s, struct place p, unsigned depth) {
    struct place to;
    struct str pointer;
    const struct json_value *list = keyword_of(p, "allOf"), *ref = keyword_of(p, "$ref");
    if (p.schema->kind != JSON_KIND_OBJECT || s->n == 16 || depth == 0 || !step(c, 1))
        return;
    s->names[s->n] = keyword_of(p, "properties");
    s->patterns[s->n++] = keyword_of(p, "patternProperties");
    if (keyword_of(p, "additionalProperties"))
        s->all = true;
    for (size_t i = 0; list && list->kind == JSON_KIND_ARRAY && i < list->n; i++)
        spared_add(c, s, (struct place){p.document, &list->items[i]}, depth - 1);
    if (ref && ref->kind == JSON_KIND_STRING && reference_resolve(c, p.document, ref->text, &to, &pointer))
        spared_add(c, s, to, depth - 1);
}

static void spared_of(struct compat *c, struct spared *s, const struct claim *claim) {
    *s = (struct spared){0};
    if (str_eq(claim->keyword->name, STR("unevaluatedProperties"))) {
        spared_add(c, s, claim->at, 8);
        return;
    }
    s->names[0] = keyword_of(claim->at, "properties");
    s->patterns[0] = keyword_of(claim->at, "patternProperties");
    s->n = 1;
}

static bool spares(const struct spared *s, struct str name) {
    for (size_t i = 0; i < s->n; i++) {
        if (field_of(s->names[i], name))
            return true;
        for (size_t k = 0; is_map(s->patterns[i]) && k < s->patterns[i]->n; k++)
            if (pattern_matches(s->patterns[i]->fields[k].name, name) == YES)
                return true;
    }
    return false;
}

/* Whether an earlier fact gave the name already. */
static bool named_before(struct compat *c, const struct facts *f, size_t n, struct str name) {
    for (size_t i = 0; i < n && step(c, 1); i++)
        if (field_of(keyword_of(f->all.items[i], "properties"), name))
            return true;
    return false;
}

/* Old members by name that the new schema looks at in no other way. */
static bool prove_named(struct compat *c, const struct claim *claim, const struct spared *s, const struct path *path) {
    for (size_t i = 0; i < claim->facts->all.n; i++) {
        const struct json_value *own = keyword_of(claim->facts->all.items[i], "properties");
        for (size_t k = 0; is_map(own) && k < own->n; k++) {
            const struct member m = {.named = true, .name = own->fields[k].name};
            if (!step(c, 1 + own->n / 16))
                return false;
            if (spares(s, m.name) || named_before(c, claim->facts, i, m.name))
                continue;
            if (!member_fits(c, claim, &m, &claim->keyword->value, path))
                return false;
        }
    }
    return true;
}

bool prove_additional(struct compat *c, const struct claim *claim) {
    const struct json_value *word = &claim->keyword->value;
    const struct path path = {claim->path, claim->keyword->name, false, NULL};
    struct spared s;
    if (word->kind == JSON_KIND_TRUE || (word->kind == JSON_KIND_OBJECT && word->n == 0))
        return true;
    spared_of(c, &s, claim);
    if (s.all)
        return true;
    if (!prove_named(c, claim, &s, &path))
        return false;
    /* A pattern in one of several maps is enough to be spared; one map is all that is told apart here. */
    const struct json_value *unlike = NULL;
    for (size_t i = 0; i < s.n && !unlike; i++)
        unlike = is_map(s.patterns[i]) && s.patterns[i]->n ? s.patterns[i] : NULL;
    return member_fits(c, claim, &(struct member){.unlike = unlike}, word, &path);
}

/* One pattern: old members by name that match it, or might, and all others that do. */
static bool prove_pattern(struct compat *c, const struct claim *claim, const struct json_field *pattern,
                          const struct path *path) {
    for (size_t i = 0; i < claim->facts->all.n; i++) {
        const struct json_value *own = keyword_of(claim->facts->all.items[i], "properties");
        for (size_t k = 0; is_map(own) && k < own->n; k++) {
            const struct member m = {.named = true, .name = own->fields[k].name};
            if (!step(c, 1 + own->n / 16))
                return false;
            if (pattern_matches(pattern->name, m.name) == NO || named_before(c, claim->facts, i, m.name))
                continue;
            if (!member_fits(c, claim, &m, &pattern->value, path))
                return false;
        }
    }
    return member_fits(c, claim, &(struct member){.matches = pattern->name}, &pattern->value, path);
}

bool prove_patterns(struct compat *c, const struct claim *claim) {
    const struct json_value *word = &claim->keyword->value;
    const struct path path = {claim->path, claim->keyword->name, false, NULL};
    for (size_t i = 0; i < word->n; i++) {
        const struct path at = {&path, word->fields[i].name, false, NULL};
        if (!prove_pattern(c, claim, &word->fields[i], &at))
            return false;
    }
    return true;
}

/* --- required and dependent members, names */

bool prove_required(struct compat *c, const struct claim *claim) {
    const struct json_value *word = &claim->keyword->value;
    for (size_t i = 0; i < word->n; i++) {
        struct str name = word->items[i].text;
        if (word->items[i].kind != JSON_KIND_STRING || !facts_require(c, claim->facts, name))
            return unproven_claim(c, claim, "\"%.*s\" was not required", (int)name.n, name.p);
    }
    return true;
}

bool prove_names(struct compat *c, const struct claim *claim) {
    struct place to = {claim->at.document, &claim->keyword->value};
    const struct path path = {claim->path, claim->keyword->name, false, NULL};
    const struct path where = {claim->where, STR("(name)"), false, "propertyNames was open"};
    const struct json_value *closed = facts_closed(claim->facts);
    size_t fitting = 0;
    for (size_t i = 0; closed && i < closed->n; i++) {
        const struct json_value name = {.kind = JSON_KIND_STRING, .text = closed->fields[i].name};
        fitting += place_check(c, to, &name) == YES;
    }
    if (closed && fitting == closed->n)
        return true;
    struct facts *f = facts_new(c);
    for (size_t i = 0; f && i < claim->facts->all.n; i++) {
        struct place p = claim->facts->all.items[i];
        value_add(c, f, p, keyword_of(p, "propertyNames"));
    }
    if (!f)
        return false;
    f->types = TYPE_STRING;
    facts_close(c, f);
    c->level++;
    bool proven = facts_fit(c, f, to, &path, &where);
    c->level--;
    return proven;
}

/* What must be so when a member is there. */
static bool prove_dependency(struct compat *c, const struct claim *claim, const struct json_field *member,
                             const struct path *path) {
    const struct json_value *then = &member->value;
    if (member_impossible(c, claim->facts, member->name))
        return true;
    struct facts *f = facts_copy(c, claim->facts);
    if (!f)
        return false;
    f->types &= TYPE_OBJECT;
    facts_present(c, f, member->name);
    facts_close(c, f);
    if (then->kind != JSON_KIND_ARRAY)
        return facts_fit(c, f, (struct place){claim->at.document, then}, path, claim->where);
    for (size_t i = 0; i < then->n; i++)
        if (!facts_require(c, f, then->items[i].text))
            return unproven(c, path, NULL, "\"%.*s\" was not required beside it", (int)then->items[i].text.n,
                            then->items[i].text.p);
    return true;
}

bool prove_dependent(struct compat *c, const struct claim *claim) {
    const struct json_value *word = &claim->keyword->value;
    const struct path path = {claim->path, claim->keyword->name, false, NULL};
    for (size_t i = 0; i < word->n; i++) {
        const struct path at = {&path, word->fields[i].name, false, NULL};
        if (!step(c, 1) || !prove_dependency(c, claim, &word->fields[i], &at))
            return false;
    }
    return true;
}
