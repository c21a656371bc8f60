#include "compat_private.h"

#include "array.h"

enum { DENIED_MAX = 32 };

/* --- lists in the arena */

/* Room for one more; what was there before stays in the arena. */
static bool list_room(struct compat *c, void *list, size_t size, size_t n, size_t *cap) {
    void **items = list;
    if (n < *cap)
        return true;
    size_t more = *cap * 2 + 4;
    void *to = room(c, more * size);
    if (!to)
        return false;
    if (n)
        memcpy(to, *items, n * size);
    *items = to;
    *cap = more;
    return true;
}

#define LIST_ADD(c, list, what)                                                                                        \
    (list_room(c, &(list).items, sizeof *(list).items, (list).n, &(list).cap)                                          \
         ? ((list).items[(list).n++] = (what), true)                                                                   \
         : false)

static bool places_have(struct compat *c, const struct places *list, struct place p) {
    if (!step(c, 1 + list->n / 8))
        return true;
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].schema == p.schema)
            return true;
    return false;
}

/* --- making facts */

struct facts *facts_new(struct compat *c) {
    struct facts *f = step(c, 4) ? room(c, sizeof *f) : NULL;
    if (f)
        *f = (struct facts){.types = TYPE_ALL};
    return f;
}

struct facts *facts_copy(struct compat *c, const struct facts *f) {
    struct facts *copy = facts_new(c);
    if (!copy || !step(c, f->all.n / 4))
        return NULL;
    copy->types = f->types;
    copy->empty = f->empty;
    for (size_t i = 0; i < f->all.n; i++)
        LIST_ADD(c, copy->all, f->all.items[i]);
    for (size_t i = 0; i < f->denied.n; i++)
        LIST_ADD(c, copy->denied, f->denied.items[i]);
    for (size_t i = 0; i < f->splits.n; i++)
        LIST_ADD(c, copy->splits, f->splits.items[i]);
    for (size_t i = 0; i < f->present.n; i++)
        LIST_ADD(c, copy->present, f->present.items[i]);
    return c->stop == STOP_NOT ? copy : NULL;
}

/* Adds a schema, not yet what it leads to. */
static void place_add(struct compat *c, struct facts *f, struct place p) {
    if (p.schema->kind == JSON_KIND_FALSE)
        f->empty = true;
    if (p.schema->kind == JSON_KIND_OBJECT && !places_have(c, &f->all, p))
        LIST_ADD(c, f->all, p);
}

static void list_follow(struct compat *c, struct facts *f, struct place p, const char *keyword, enum split_kind kind) {
    const struct json_value *word = keyword_of(p, keyword);
    if (!word || word->kind != JSON_KIND_ARRAY)
        return;
    if (kind == SPLIT_IF || word->n == 1) /* allOf, or as good as one */
        for (size_t i = 0; i < word->n; i++)
            place_add(c, f, (struct place){p.document, &word->items[i]});
    else if (word->n > 1)
        LIST_ADD(c, f->splits, ((struct split){p, kind}));
}

/* What a schema leads to at the same instance. */
static void place_follow(struct compat *c, struct facts *f, struct place p) {
    struct place to;
    struct str pointer;
    const struct json_value *word = keyword_of(p, "$ref");
    if (word && word->kind == JSON_KIND_STRING && reference_resolve(c, p.document, word->text, &to, &pointer))
        place_add(c, f, to);
    list_follow(c, f, p, "allOf", SPLIT_IF);
    list_follow(c, f, p, "anyOf", SPLIT_ANY);
    list_follow(c, f, p, "oneOf", SPLIT_ONE);
    if (keyword_of(p, "if") && (keyword_of(p, "then") || keyword_of(p, "else")))
        LIST_ADD(c, f->splits, ((struct split){p, SPLIT_IF}));
    if ((word = keyword_of(p, "not")))
        facts_deny(c, f, (struct place){p.document, word});
}

static void places_follow(struct compat *c, struct facts *f, size_t from) {
    for (size_t i = from; i < f->all.n && step(c, 4); i++)
        place_follow(c, f, f->all.items[i]);
}

void facts_add(struct compat *c, struct facts *f, struct place p) {
    size_t from = f->all.n;
    place_add(c, f, p);
    places_follow(c, f, from);
}

void facts_deny(struct compat *c, struct facts *f, struct place p) {
    if (p.schema->kind == JSON_KIND_TRUE)
        f->empty = true;
    if (p.schema->kind == JSON_KIND_OBJECT && f->denied.n < DENIED_MAX && !places_have(c, &f->denied, p))
        LIST_ADD(c, f->denied, p);
}

void facts_present(struct compat *c, struct facts *f, struct str name) {
    LIST_ADD(c, f->present, name);
}

/* Schemas that apply because a member is there, for good. The instance is an object: of nothing else does `required`
 * say anything. True when there were any that are new. */
static bool dependents_follow(struct compat *c, struct facts *f, struct place p, const char *keyword) {
    const struct json_value *word = keyword_of(p, keyword);
    size_t before = f->all.n;
    bool empty = f->empty;
    if (!word || word->kind != JSON_KIND_OBJECT)
        return false;
    for (size_t i = 0; i < word->n && step(c, 1); i++)
        if (word->fields[i].value.kind != JSON_KIND_ARRAY && facts_require(c, f, word->fields[i].name))
            facts_add(c, f, (struct place){p.document, &word->fields[i].value});
    return f->all.n > before || f->empty != empty;
}

/* True when there were schemas to add. */
static bool facts_saturate(struct compat *c, struct facts *f) {
    size_t before = f->all.n;
    for (bool more = true; more && c->stop == STOP_NOT;) {
        more = false;
        for (size_t i = 0; i < f->all.n && c->stop == STOP_NOT; i++) {
            more |= dependents_follow(c, f, f->all.items[i], "dependentSchemas");
            if (f->all.items[i].document->draft == DRAFT_07)
                more |= dependents_follow(c, f, f->all.items[i], "dependencies");
        }
    }
    return f->all.n > before;
}

/* --- types */

unsigned types_of_value(const struct json_value *v) {
    bool integer;
    switch (v->kind) {
    case JSON_KIND_OBJECT:
        return TYPE_OBJECT;
    case JSON_KIND_ARRAY:
        return TYPE_ARRAY;
    case JSON_KIND_STRING:
        return TYPE_STRING;
    case JSON_KIND_TRUE:
    case JSON_KIND_FALSE:
        return TYPE_BOOLEAN;
    case JSON_KIND_NULL:
        return TYPE_NULL;
    case JSON_KIND_NUMBER:
        break;
    }
    if (!digits_integer(v->text, &integer))
        return TYPE_NUMBER;
    return integer ? TYPE_INTEGER : TYPE_FRACTION;
}

static unsigned type_named(struct str name) {
    static const struct {
        const char *name;
        unsigned types;
    } names[] = {{"null", TYPE_NULL},     {"boolean", TYPE_BOOLEAN}, {"object", TYPE_OBJECT}, {"array", TYPE_ARRAY},
                 {"string", TYPE_STRING}, {"integer", TYPE_INTEGER}, {"number", TYPE_NUMBER}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(name, str_of(names[i].name)))
            return names[i].types;
    return 0;
}

unsigned types_named(const struct json_value *word) {
    unsigned types = 0;
    if (word->kind == JSON_KIND_STRING)
        return type_named(word->text);
    if (word->kind == JSON_KIND_ARRAY)
        for (size_t i = 0; i < word->n; i++)
            types |= word->items[i].kind == JSON_KIND_STRING ? type_named(word->items[i].text) : 0;
    return types;
}

/* The shortest list of values wins. */
static void values_take(struct facts *f, struct place p) {
    const struct json_value *one = keyword_of(p, "const"), *many = keyword_of(p, "enum");
    if (one && !(f->listed && f->n_values <= 1)) {
        f->values = one;
        f->n_values = 1;
        f->listed = true;
    }
    if (many && many->kind == JSON_KIND_ARRAY && !(f->listed && f->n_values <= many->n)) {
        f->values = many->items;
        f->n_values = many->n;
        f->listed = true;
    }
}

/* Types that a schema denies whole: it has a `type` and nothing else. */
static unsigned types_denied(struct place p) {
    const struct json_value *type = keyword_of(p, "type");
    for (size_t i = 0; i < p.schema->n; i++)
        if (keyword_counts(p, p.schema->fields[i].name) && &p.schema->fields[i].value != type)
            return 0;
    return type ? types_named(type) : TYPE_ALL;
}

static void facts_types(struct compat *c, struct facts *f) {
    unsigned listed = 0;
    for (size_t i = 0; i < f->all.n; i++) {
        const struct json_value *type = keyword_of(f->all.items[i], "type");
        if (type)
            f->types &= types_named(type);
        values_take(f, f->all.items[i]);
    }
    for (size_t i = 0; i < f->denied.n; i++)
        f->types &= ~types_denied(f->denied.items[i]);
    if (!f->listed)
        return;
    for (size_t i = 0; i < f->n_values && step(c, 1); i++)
        listed |= types_of_value(&f->values[i]);
    if (c->stop == STOP_NOT)
        f->types &= listed;
}

void facts_close(struct compat *c, struct facts *f) {
    step(c, f->all.n);
    facts_types(c, f);
    if (f->types == TYPE_OBJECT && facts_saturate(c, f))
        facts_types(c, f);
    facts_number(c, f);
    if (!f->types)
        f->empty = true;
}

bool facts_blank(const struct facts *f) {
    return f->all.n == 0 && f->denied.n == 0 && f->present.n == 0 && f->types == TYPE_ALL && !f->empty;
}

static bool places_same(const struct places *a, const struct places *b) {
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->items[i].schema != b->items[i].schema)
            return false;
    return true;
}

bool facts_same(const struct facts *a, const struct facts *b) {
    if (a->types != b->types || a->empty != b->empty || a->splits.n != b->splits.n || a->present.n != b->present.n ||
        !places_same(&a->all, &b->all) || !places_same(&a->denied, &b->denied))
        return false;
    for (size_t i = 0; i < a->splits.n; i++)
        if (a->splits.items[i].at.schema != b->splits.items[i].at.schema ||
            a->splits.items[i].kind != b->splits.items[i].kind)
            return false;
    for (size_t i = 0; i < a->present.n; i++)
        if (!str_eq(a->present.items[i], b->present.items[i]))
            return false;
    return true;
}

/* --- required members */

static bool names_have(const struct json_value *list, struct str name) {
    if (!list || list->kind != JSON_KIND_ARRAY)
        return false;
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].kind == JSON_KIND_STRING && str_eq(list->items[i].text, name))
            return true;
    return false;
}

static bool required_plainly(struct compat *c, const struct facts *f, struct str name) {
    for (size_t i = 0; i < f->present.n; i++)
        if (str_eq(f->present.items[i], name))
            return true;
    for (size_t i = 0; i < f->all.n; i++) {
        const struct json_value *list = keyword_of(f->all.items[i], "required");
        if (!step(c, list ? 1 + list->n / 8 : 0))
            return false;
        if (names_have(list, name))
            return true;
    }
    return false;
}

/* Required by dependentRequired, through members that are there: `rounds` of them. */
static bool required_by_others(struct compat *c, const struct facts *f, struct str name, unsigned rounds) {
    for (size_t i = 0; rounds > 0 && i < f->all.n; i++) {
        struct place p = f->all.items[i];
        const struct json_value *map =
            keyword_of(p, p.document->draft == DRAFT_07 ? "dependencies" : "dependentRequired");
        for (size_t k = 0; map && map->kind == JSON_KIND_OBJECT && k < map->n && step(c, 1); k++) {
            struct str by = map->fields[k].name;
            if (names_have(&map->fields[k].value, name) &&
                (required_plainly(c, f, by) || required_by_others(c, f, by, rounds - 1)))
                return true;
        }
    }
    return false;
}

bool facts_require(struct compat *c, const struct facts *f, struct str name) {
    return required_plainly(c, f, name) || required_by_others(c, f, name, 4);
}

/* --- splits */

size_t split_branches(const struct split *s) {
    if (s->kind == SPLIT_IF)
        return 2;
    return keyword_of(s->at, s->kind == SPLIT_ANY ? "anyOf" : "oneOf")->n;
}

static void branch_if(struct compat *c, struct facts *f, struct place at, bool holds) {
    struct place condition = {at.document, keyword_of(at, "if")};
    const struct json_value *then = keyword_of(at, holds ? "then" : "else");
    if (holds)
        facts_add(c, f, condition);
    else
        facts_deny(c, f, condition);
    if (then)
        facts_add(c, f, (struct place){at.document, then});
}

struct facts *facts_branch(struct compat *c, const struct facts *from, size_t split, size_t branch) {
    struct split s = from->splits.items[split];
    struct facts *f = facts_copy(c, from);
    if (!f)
        return NULL;
    f->splits.n--;
    memmove(f->splits.items + split, f->splits.items + split + 1, (f->splits.n - split) * sizeof *f->splits.items);
    if (s.kind == SPLIT_IF) {
        branch_if(c, f, s.at, branch == 0);
    } else {
        const struct json_value *word = keyword_of(s.at, s.kind == SPLIT_ANY ? "anyOf" : "oneOf");
        facts_add(c, f, (struct place){s.at.document, &word->items[branch]});
        for (size_t i = 0; s.kind == SPLIT_ONE && i < word->n; i++)
            if (i != branch)
                facts_deny(c, f, (struct place){s.at.document, &word->items[i]});
    }
    facts_close(c, f);
    return c->stop == STOP_NOT ? f : NULL;
}

/* --- facts that nothing satisfies */

bool facts_exclude(struct compat *c, const struct facts *f, const struct json_value *v) {
    if (!(types_of_value(v) & f->types))
        return true;
    for (size_t i = 0; i < f->all.n; i++)
        if (place_check(c, f->all.items[i], v) == NO)
            return true;
    for (size_t i = 0; i < f->denied.n; i++)
        if (place_check(c, f->denied.items[i], v) == YES)
            return true;
    return false;
}

static bool values_impossible(struct compat *c, const struct facts *f) {
    for (size_t i = 0; i < f->n_values; i++)
        if (!step(c, 1) || !facts_exclude(c, f, &f->values[i]))
            return false;
    return f->listed;
}

/* A required member that cannot be. */
static bool object_impossible(struct compat *c, const struct facts *f) {
    for (size_t i = 0; i < f->present.n; i++)
        if (member_impossible(c, f, f->present.items[i]))
            return true;
    for (size_t i = 0; i < f->all.n; i++) {
        const struct json_value *list = keyword_of(f->all.items[i], "required");
        for (size_t k = 0; list && list->kind == JSON_KIND_ARRAY && k < list->n && step(c, 1); k++)
            if (list->items[k].kind == JSON_KIND_STRING && member_impossible(c, f, list->items[k].text))
                return true;
    }
    return false;
}

/* One of the items that must be there cannot be. */
static bool array_impossible(struct compat *c, const struct facts *f) {
    size_t longest = facts_prefix(f);
    for (size_t i = 0; i <= longest && bound_at_least(&f->items.min, i + 1) && step(c, 1); i++) {
        struct facts *item = facts_item(c, f, i);
        if (item && facts_impossible(c, item))
            return true;
    }
    return false;
}

static bool denied_holds(struct compat *c, struct facts *f) {
    static const struct path nowhere = {0};
    for (size_t i = 0; i < f->denied.n; i++)
        if (facts_fit(c, f, f->denied.items[i], &nowhere, &nowhere))
            return true;
    return false;
}

static bool splits_impossible(struct compat *c, const struct facts *f) {
    for (size_t i = 0; i < f->splits.n; i++) {
        bool all = true;
        for (size_t k = 0; all && k < split_branches(&f->splits.items[i]); k++) {
            struct facts *branch = facts_branch(c, f, i, k);
            all = branch && facts_impossible(c, branch);
        }
        if (all)
            return true;
    }
    return false;
}

static bool impossible_ask(struct compat *c, struct facts *f) {
    if (values_impossible(c, f))
        return true;
    if (f->types == TYPE_OBJECT && object_impossible(c, f))
        return true;
    if (f->types == TYPE_ARRAY && array_impossible(c, f))
        return true;
    return denied_holds(c, f) || splits_impossible(c, f);
}

bool facts_impossible(struct compat *c, struct facts *f) {
    enum { NESTED = 5 };
    if (f->empty)
        return true;
    if (f->possible != POSSIBLE_UNKNOWN || c->impossible_depth >= NESTED || !step(c, 1))
        return f->possible == POSSIBLE_NOT;
    size_t assumed = c->assumed;
    c->assumed = SIZE_MAX;
    f->possible = POSSIBLE_ASKED;
    c->impossible_depth++;
    c->quiet++;
    bool impossible = impossible_ask(c, f) && c->stop == STOP_NOT;
    c->quiet--;
    c->impossible_depth--;
    f->possible = impossible ? POSSIBLE_NOT : POSSIBLE_MAYBE;
    /* What hangs on an assumption is not kept: whoever asks again must see that it does. */
    if (impossible && c->assumed != SIZE_MAX)
        f->possible = POSSIBLE_UNKNOWN;
    c->assumed = assumed < c->assumed ? assumed : c->assumed;
    return impossible;
}
