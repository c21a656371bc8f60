/* An instance against the nodes of a schema. */
#include "schema_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* On the stack there are at most three functions for each level, a few hundred bytes together. */
#define DEPTH_MAX 2048
#define WORK_MAX 1000000
#define FOUND_ON_STACK 4 /* words of 64 members or items each */

enum { CHECK_STOPPED = 2 }; /* it costs too much: no branch may take this for a mere violation */

/* The resources that the way to a node led through, each once. */
struct scope {
    const struct scope *outer;
    uint32_t resource;
};

struct check {
    const struct schema *s;
    struct schema_fault *fault; /* NULL: a branch that may fail, or nobody asked */
    struct schema_fault *asked;
    const struct scope *scope;
    uint64_t work, work_max;
    unsigned depth;
    bool explaining; /* why all branches failed: once is enough */
};

/* Which members or items of an instance were evaluated; kept only where an unevaluated... keyword wants to know. */
struct found {
    uint64_t *words;
    uint32_t n_words;
    uint64_t own[FOUND_ON_STACK];
};

static int node_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found);

/* --- faults */

/* Cuts what does not end at the end of a character. */
static size_t text_cut(const char *p, size_t n, size_t max) {
    if (n <= max)
        return n;
    for (n = max; n > 0 && ((unsigned char)p[n] & 0xc0) == 0x80;)
        n--;
    return n;
}

static int fault_fill(struct schema_fault *fault, const struct node *node, const char *keyword, const char *format,
                      va_list args) {
    if (!fault)
        return 0;
    fault->instance[0] = 0;
    snprintf(fault->keyword, sizeof fault->keyword, "%s", keyword ? keyword : node->keyword);
    fault->schema[node_pointer(node, keyword, fault->schema, sizeof fault->schema - 1)] = 0;
    err_format(fault->text, sizeof fault->text, format, args);
    return 0;
}

static int violate(struct check *c, const struct node *node, const char *keyword, const char *format, ...)
    __attribute__((format(printf, 4, 5), cold, noinline));

static int violate(struct check *c, const struct node *node, const char *keyword, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fault_fill(c->fault, node, keyword, format, args);
    va_end(args);
    return SCHEMA_VIOLATED;
}

static int stop(struct check *c, const struct node *node, const char *keyword, const char *format, ...)
    __attribute__((format(printf, 4, 5), cold, noinline));

static int stop(struct check *c, const struct node *node, const char *keyword, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fault_fill(c->asked, node, keyword, format, args);
    va_end(args);
    c->fault = c->asked; /* so that the way there is written down */
    return CHECK_STOPPED;
}

static int stop_work(struct check *c, const struct node *node, const char *keyword) {
    return stop(c, node, keyword, "costs too much to check: gave up after %llu steps", (unsigned long long)c->work_max);
}

/* The fault is below a member or item: its name goes before what is there. Returns rc. */
static int __attribute__((cold, noinline)) below(struct check *c, struct str name, int rc) {
    char token[sizeof c->fault->instance * 2];
    size_t n = 0, room = sizeof c->fault->instance - 1;
    if (!c->fault || rc < 0)
        return rc;
    token[n++] = '/';
    for (size_t i = 0; i < name.n && n < room + 4; i++) {
        char ch = name.p[i];
        bool escaped = ch == '~' || ch == '/';
        if (escaped)
            token[n++] = '~';
        token[n++] = ch == '~' ? '0' : ch == '/' ? '1' : ch ? ch : '?';
    }
    struct str rest = {c->fault->instance, strlen(c->fault->instance)};
    if (n > room) {
        n = text_cut(token, n, room);
        rest.n = 0;
    }
    rest.n = text_cut(rest.p, rest.n, room - n);
    memmove(c->fault->instance + n, rest.p, rest.n);
    memcpy(c->fault->instance, token, n);
    c->fault->instance[n + rest.n] = 0;
    return rc;
}

static int __attribute__((cold, noinline)) below_item(struct check *c, uint32_t i, int rc) {
    char digits[16];
    return below(c, (struct str){digits, (size_t)snprintf(digits, sizeof digits, "%u", i)}, rc);
}

/* For texts: names are other people's. */
static int shown(struct str s) {
    return (int)text_cut(s.p, s.n, 60);
}

static const char *plural(uint64_t n) {
    return n == 1 ? "" : "s";
}

/* --- what was evaluated */

static bool found_init(struct found *f, uint32_t n) {
    f->n_words = n / 64 + 1;
    f->words = f->n_words <= FOUND_ON_STACK ? f->own : malloc(f->n_words * sizeof *f->words);
    if (f->words)
        memset(f->words, 0, f->n_words * sizeof *f->words);
    return f->words;
}

static void found_free(struct found *f) {
    if (f->words != f->own)
        free(f->words);
}

static void found_put(struct found *f, uint32_t i) {
    if (f)
        f->words[i / 64] |= (uint64_t)1 << i % 64;
}

static bool found_has(const struct found *f, uint32_t i) {
    return f->words[i / 64] >> i % 64 & 1;
}

static void found_add(struct found *to, const struct found *from) {
    for (uint32_t i = 0; i < to->n_words; i++)
        to->words[i] |= from->words[i];
}

/* A branch that may fail: quiet, and what it evaluated counts only when it holds. */
static int branch_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    struct schema_fault *fault = c->fault;
    struct found own;
    if (found && !found_init(&own, v->n))
        return -ENOMEM;
    c->work += found ? v->n / 64 : 0;
    c->fault = NULL;
    int rc = node_check(c, node, v, found ? &own : NULL);
    if (rc == 0 || rc == SCHEMA_VIOLATED)
        c->fault = fault;
    if (found && rc == 0)
        found_add(found, &own);
    if (found)
        found_free(&own);
    return rc;
}

/* --- numbers, strings */

static bool integer_is(struct check *c, struct str text) {
    int64_t v;
    if (number_small(text, &v))
        return true;
    c->work += text.n / 16;
    struct number number = number_read(text);
    return number_is_integer(&number);
}

/* Below 0, 0 or above: the number against the bound. */
static int bound_compare(const struct bound *bound, struct str text) {
    int64_t v;
    if (bound->small && number_small(text, &v))
        return (v > bound->v) - (v < bound->v);
    struct number number = number_read(text);
    return number_compare(&number, &bound->number);
}

static bool multiple_is(const struct bound *bound, struct str text) {
    int64_t v;
    if (bound->small && number_small(text, &v))
        return v % bound->v == 0;
    struct number number = number_read(text);
    return number_is_multiple(&number, &bound->number);
}

static int number_check(struct check *c, const struct node *node, const struct json_value *v) {
    static const struct {
        const char *keyword, *phrase;
    } words[BOUNDS] = {{"minimum", "is less than"},
                       {"exclusiveMinimum", "is not greater than"},
                       {"maximum", "is greater than"},
                       {"exclusiveMaximum", "is not less than"},
                       {"multipleOf", "is not a multiple of"}};
    for (int i = 0; i < BOUNDS; i++) {
        const struct bound *b = &node->number->bounds[i];
        if (!b->set)
            continue;
        c->work += v->text.n / 16;
        int order = i == BOUND_MULTIPLE ? 0 : bound_compare(b, v->text);
        bool good = i == BOUND_MIN     ? order >= 0
                    : i == BOUND_ABOVE ? order > 0
                    : i == BOUND_MAX   ? order <= 0
                    : i == BOUND_BELOW ? order < 0
                                       : multiple_is(b, v->text);
        if (!good)
            return violate(c, node, words[i].keyword, "%.*s %s %.*s", shown(v->text), v->text.p, words[i].phrase,
                           shown(b->text), b->text.p);
    }
    return 0;
}

/* Whether a text has at least n characters; between n and 4n bytes they must be counted. */
static bool length_reaches(struct check *c, struct str text, uint64_t n) {
    if (text.n < n)
        return false;
    if (text.n / 4 >= n)
        return true;
    c->work += text.n / 64;
    return text_length(text) >= n;
}

static int pattern_check(struct check *c, const struct node *node, const char *keyword, const struct regex *regex,
                         struct str text) {
    int rc = regex_match(regex, text, &c->work);
    if (rc == REGEX_GIVES_UP)
        return stop(c, node, keyword, "costs too much to match with the regular expression: gave up");
    return rc < 0 ? rc : rc == REGEX_MATCHES ? 0 : SCHEMA_VIOLATED;
}

static int string_check(struct check *c, const struct node *node, const struct json_value *v) {
    const struct string_rules *s = node->string;
    if (s->min && !length_reaches(c, v->text, s->min))
        return violate(c, node, "minLength", "is shorter than %llu character%s", (unsigned long long)s->min,
                       plural(s->min));
    if (s->max < v->text.n && length_reaches(c, v->text, s->max + 1))
        return violate(c, node, "maxLength", "is longer than %llu character%s", (unsigned long long)s->max,
                       plural(s->max));
    if (s->format) {
        c->work += v->text.n / 16;
        if (!s->format->matches(v->text, s->format_regex))
            return violate(c, node, "format", "%s", s->format->phrase);
    }
    if (!s->pattern)
        return 0;
    int rc = pattern_check(c, node, "pattern", s->pattern, v->text);
    return rc == SCHEMA_VIOLATED ? violate(c, node, "pattern", "does not match the pattern") : rc;
}

/* --- const, enum */

static int values_check(struct check *c, const struct node *node, const struct value_rules *rules,
                        const struct json_value *v) {
    bool one_of_them = v->kind == JSON_KIND_STRING && names_find(&rules->texts, v->text);
    c->work += v->kind == JSON_KIND_STRING ? v->text.n / 64 : 0;
    if (v->kind != JSON_KIND_STRING)
        for (size_t i = 0; i < rules->n_others && !one_of_them; i++)
            one_of_them = value_equal(&rules->others[i], v, &c->work, c->work_max);
    if (c->work >= c->work_max)
        return stop_work(c, node, rules->keyword);
    if (one_of_them)
        return 0;
    return violate(c, node, rules->keyword,
                   rules->n_others + rules->texts.n == 1 ? "is not the value that it must be"
                                                         : "is none of the values that it can be");
}

/* --- objects */

static int __attribute__((cold)) required_fault(struct check *c, const struct node *node, const struct json_value *v) {
    const struct names *members = &node->object->members;
    for (uint32_t i = 0; i <= members->mask; i++) {
        const struct name_slot *slot = &members->slots[i];
        if (slot->name.p && slot->required && !json_field(v, slot->name))
            return violate(c, node, "required", "lacks the member %.*s", shown(slot->name), slot->name.p);
    }
    return violate(c, node, "required", "lacks a member");
}

static int patterns_check(struct check *c, const struct node *node, const struct json_field *f, bool *matched) {
    const struct object_rules *o = node->object;
    for (size_t i = 0; i < o->n_patterns; i++) {
        int rc = pattern_check(c, node, "patternProperties", o->patterns[i].regex, f->name);
        if (c->work >= c->work_max)
            rc = stop_work(c, node, "patternProperties");
        if (rc == SCHEMA_VIOLATED)
            continue;
        *matched = true;
        if (rc)
            return below(c, f->name, rc);
        if ((rc = node_check(c, o->patterns[i].node, &f->value, NULL)))
            return below(c, f->name, rc);
    }
    return 0;
}

static int names_check(struct check *c, const struct node *node, const struct json_value *v) {
    for (uint32_t i = 0; i < v->n; i++) {
        const struct json_value name = {.kind = JSON_KIND_STRING, .text = v->fields[i].name};
        int rc = node_check(c, node->object->names, &name, NULL);
        if (rc)
            return below(c, v->fields[i].name, rc);
    }
    return 0;
}

static int members_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    const struct object_rules *o = node->object;
    uint32_t required = 0;
    int rc = 0;
    c->work += v->n;
    for (uint32_t i = 0; i < v->n; i++) {
        const struct json_field *f = &v->fields[i];
        const struct name_slot *slot = names_find(&o->members, f->name);
        bool matched = slot && slot->node;
        c->work += f->name.n / 64;
        required += slot && slot->required;
        if (matched && (rc = node_check(c, slot->node, &f->value, NULL)))
            return below(c, f->name, rc);
        if (o->n_patterns && (rc = patterns_check(c, node, f, &matched)))
            return rc;
        if (!matched && o->additional) {
            if ((rc = node_check(c, o->additional, &f->value, NULL)))
                return below(c, f->name, rc);
            matched = true;
        }
        if (matched)
            found_put(found, i);
    }
    return required < o->n_required ? required_fault(c, node, v) : 0;
}

static int dependents_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    const struct object_rules *o = node->object;
    for (size_t i = 0; i < o->n_dependents; i++) {
        const struct dependent *d = &o->dependents[i];
        c->work += v->n;
        if (!json_field(v, d->name))
            continue;
        for (size_t k = 0; k < d->n_required; k++) {
            c->work += v->n;
            if (!json_field(v, d->required[k]))
                return violate(c, node, d->keyword, "has the member %.*s, which needs the member %.*s too",
                               shown(d->name), d->name.p, shown(d->required[k]), d->required[k].p);
        }
        int rc = d->node ? node_check(c, d->node, v, found) : 0;
        if (rc)
            return rc;
    }
    return c->work >= c->work_max ? stop_work(c, node, NULL) : 0;
}

static int object_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    const struct object_rules *o = node->object;
    if (v->n < o->min)
        return violate(c, node, "minProperties", "has fewer than %llu member%s", (unsigned long long)o->min,
                       plural(o->min));
    if (v->n > o->max)
        return violate(c, node, "maxProperties", "has more than %llu member%s", (unsigned long long)o->max,
                       plural(o->max));
    int rc = members_check(c, node, v, found);
    if (!rc && o->names)
        rc = names_check(c, node, v);
    return !rc && o->n_dependents ? dependents_check(c, node, v, found) : rc;
}

/* --- arrays */

static int unique_check(struct check *c, const struct node *node, const struct json_value *v) {
    uint32_t first, second;
    int rc = values_unique(v->items, v->n, &c->work, c->work_max, &first, &second);
    if (rc == 0 && c->work >= c->work_max)
        return stop_work(c, node, "uniqueItems");
    return rc <= 0 ? rc : violate(c, node, "uniqueItems", "has items %u and %u that are the same", first, second);
}

static int contains_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    const struct array_rules *a = node->array;
    uint64_t n = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        int rc = branch_check(c, a->contains, &v->items[i], NULL);
        if (rc != 0 && rc != SCHEMA_VIOLATED)
            return below_item(c, i, rc);
        n += rc == 0;
        if (rc == 0 && a->contains_evaluates)
            found_put(found, i);
    }
    const char *few = a->min_contains == 1 ? "contains" : "minContains";
    if (n < a->min_contains)
        return violate(c, node, few, "has fewer than %llu item%s of the kind it must contain",
                       (unsigned long long)a->min_contains, plural(a->min_contains));
    if (n > a->max_contains)
        return violate(c, node, "maxContains", "has more than %llu item%s of the kind it can contain",
                       (unsigned long long)a->max_contains, plural(a->max_contains));
    return 0;
}

static int items_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    const struct array_rules *a = node->array;
    for (uint32_t i = 0; i < v->n; i++) {
        const struct node *item = i < a->prefix.n ? a->prefix.items[i] : a->rest;
        if (!item)
            break;
        int rc = node_check(c, item, &v->items[i], NULL);
        if (rc)
            return below_item(c, i, rc);
        found_put(found, i);
    }
    return 0;
}

static int array_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    const struct array_rules *a = node->array;
    if (v->n < a->min)
        return violate(c, node, "minItems", "has fewer than %llu item%s", (unsigned long long)a->min, plural(a->min));
    if (v->n > a->max)
        return violate(c, node, "maxItems", "has more than %llu item%s", (unsigned long long)a->max, plural(a->max));
    int rc = items_check(c, node, v, found);
    if (!rc && a->unique)
        rc = unique_check(c, node, v);
    return !rc && a->contains ? contains_check(c, node, v, found) : rc;
}

/* --- subschemas that look at the same instance */

static const struct node *dynamic_find(const struct check *c, const struct applicators *a) {
    const struct node *outermost = a->dynamic;
    for (const struct scope *scope = c->scope; scope; scope = scope->outer) {
        const struct resource *r = &c->s->resources[scope->resource];
        for (size_t i = 0; i < r->n_anchors; i++)
            if (str_eq(r->anchors[i].name, a->dynamic_name))
                outermost = r->anchors[i].node;
    }
    return outermost;
}

/* How far a branch came before it failed: a value of another type, or another of a few values, was never meant. */
static int branch_rank(const struct schema_fault *fault) {
    if (strcmp(fault->keyword, "const") == 0 || strcmp(fault->keyword, "enum") == 0)
        return 1;
    return strcmp(fault->keyword, "type") == 0 && !fault->instance[0] ? 0 : 2;
}

/* All branches failed. When one came further than all others its fault is what a person wants to know. */
static int __attribute__((cold, noinline)) branches_fault(struct check *c, const struct node *node, const char *keyword,
                                                          const struct node_list *list, const struct json_value *v) {
    struct schema_fault *fault = c->fault, best = {0}, here;
    int most = -1;
    bool alone = false;
    for (size_t i = 0; fault && !c->explaining && i < list->n; i++) {
        c->fault = &here;
        c->explaining = true;
        int rc = node_check(c, list->items[i], v, NULL);
        c->explaining = false;
        if (rc != SCHEMA_VIOLATED)
            return rc;
        int rank = branch_rank(&here);
        alone = rank > most || (alone && rank < most);
        if (rank > most)
            best = here;
        most = rank > most ? rank : most;
    }
    c->fault = fault;
    if (!alone || most == 0)
        return violate(c, node, keyword, "is none of the %zu things that it can be", list->n);
    *fault = best;
    return SCHEMA_VIOLATED;
}

static int any_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    const struct node_list *list = &node->apply->any_of;
    bool holds = false;
    for (size_t i = 0; i < list->n && (!holds || found); i++) {
        int rc = branch_check(c, list->items[i], v, found);
        if (rc != 0 && rc != SCHEMA_VIOLATED)
            return rc;
        holds |= rc == 0;
    }
    return holds ? 0 : branches_fault(c, node, "anyOf", list, v);
}

static int one_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    const struct node_list *list = &node->apply->one_of;
    size_t n = 0, first = 0;
    for (size_t i = 0; i < list->n; i++) {
        int rc = branch_check(c, list->items[i], v, found);
        if (rc != 0 && rc != SCHEMA_VIOLATED)
            return rc;
        if (rc == 0 && n++ > 0)
            return violate(c, node, "oneOf",
                           "is more than one of the things of which it must be exactly one (%zu and %zu)", first, i);
        if (rc == 0)
            first = i;
    }
    return n ? 0 : branches_fault(c, node, "oneOf", list, v);
}

static int if_check(struct check *c, const struct applicators *a, const struct json_value *v, struct found *found) {
    int rc = branch_check(c, a->if_, v, found);
    if (rc != 0 && rc != SCHEMA_VIOLATED)
        return rc;
    const struct node *next = rc == 0 ? a->then_ : a->else_;
    return next ? node_check(c, next, v, found) : 0;
}

static int not_check(struct check *c, const struct node *node, const struct json_value *v) {
    int rc = branch_check(c, node->apply->not_, v, NULL);
    if (rc == SCHEMA_VIOLATED)
        return 0;
    return rc ? rc : violate(c, node, "not", "is what it must not be");
}

static int apply_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    const struct applicators *a = node->apply;
    int rc = a->ref ? node_check(c, a->ref, v, found) : 0;
    if (!rc && a->dynamic)
        rc = node_check(c, a->dynamic_name.p ? dynamic_find(c, a) : a->dynamic, v, found);
    for (size_t i = 0; i < a->all_of.n && !rc; i++)
        rc = node_check(c, a->all_of.items[i], v, found);
    if (!rc && a->any_of.n)
        rc = any_check(c, node, v, found);
    if (!rc && a->one_of.n)
        rc = one_check(c, node, v, found);
    if (!rc && a->not_)
        rc = not_check(c, node, v);
    return !rc && a->if_ ? if_check(c, a, v, found) : rc;
}

/* --- nodes */

static int __attribute__((cold)) type_fault(struct check *c, const struct node *node) {
    static const char *const names[] = {"an object", "an array", "a string", "a number", "true", "false", "null"};
    char text[120];
    size_t n = 0;
    if (node->never)
        return violate(c, node, NULL, "is not allowed");
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        bool integer = i == JSON_KIND_NUMBER && !(node->types & 1 << i) && node->types & TYPE_INTEGER;
        if (node->types & 1 << i || integer)
            n +=
                (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " or " : "", integer ? "an integer" : names[i]);
    }
    return violate(c, node, "type", "is not %s", n ? text : "of any type");
}

static bool type_is(struct check *c, const struct node *node, const struct json_value *v) {
    if (node->types & 1u << v->kind)
        return true;
    return v->kind == JSON_KIND_NUMBER && node->types & TYPE_INTEGER && integer_is(c, v->text);
}

static int rules_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    int rc = 0;
    if (!type_is(c, node, v))
        return type_fault(c, node);
    if (node->constant && (rc = values_check(c, node, node->constant, v)))
        return rc;
    if (node->choice && (rc = values_check(c, node, node->choice, v)))
        return rc;
    if (v->kind == JSON_KIND_OBJECT)
        rc = node->object ? object_check(c, node, v, found) : 0;
    else if (v->kind == JSON_KIND_ARRAY)
        rc = node->array ? array_check(c, node, v, found) : 0;
    else if (v->kind == JSON_KIND_STRING)
        rc = node->string ? string_check(c, node, v) : 0;
    else if (v->kind == JSON_KIND_NUMBER)
        rc = node->number ? number_check(c, node, v) : 0;
    return !rc && node->apply ? apply_check(c, node, v, found) : rc;
}

static int rest_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    bool object = v->kind == JSON_KIND_OBJECT;
    const struct node *rest =
        object ? (node->object ? node->object->unevaluated : NULL) : (node->array ? node->array->unevaluated : NULL);
    c->work += v->n;
    for (uint32_t i = 0; rest && i < v->n; i++) {
        if (found_has(found, i))
            continue;
        int rc = node_check(c, rest, object ? &v->fields[i].value : &v->items[i], NULL);
        if (rc)
            return object ? below(c, v->fields[i].name, rc) : below_item(c, i, rc);
        found_put(found, i);
    }
    return 0;
}

/* unevaluatedItems and -Properties see what was evaluated here and in the same instance below, nothing else. */
static int __attribute__((noinline))
unevaluated_check(struct check *c, const struct node *node, const struct json_value *v, struct found *outer) {
    struct found own;
    if (v->kind != JSON_KIND_OBJECT && v->kind != JSON_KIND_ARRAY)
        return rules_check(c, node, v, NULL);
    if (!found_init(&own, v->n))
        return -ENOMEM;
    int rc = rules_check(c, node, v, &own);
    if (!rc)
        rc = rest_check(c, node, v, &own);
    if (!rc && outer)
        found_add(outer, &own);
    found_free(&own);
    return rc;
}

static int node_rules(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    return node->unevaluated ? unevaluated_check(c, node, v, found) : rules_check(c, node, v, found);
}

/* The first time that the way leads through a resource is the one that counts. */
static int __attribute__((noinline))
scoped_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    const struct scope *outer = c->scope;
    for (const struct scope *s = outer; s; s = s->outer)
        if (s->resource == node->resource)
            return node_rules(c, node, v, found);
    struct scope scope = {outer, node->resource};
    c->scope = &scope;
    int rc = node_rules(c, node, v, found);
    c->scope = outer;
    return rc;
}

static int node_check(struct check *c, const struct node *node, const struct json_value *v, struct found *found) {
    if (++c->work >= c->work_max)
        return stop_work(c, node, NULL);
    if (c->depth >= DEPTH_MAX)
        return stop(c, node, NULL, "is nested too deep to check: gave up after %d steps down", DEPTH_MAX);
    c->depth++;
    int rc = c->s->dynamic ? scoped_check(c, node, v, found) : node_rules(c, node, v, found);
    c->depth--;
    return rc;
}

/* What is large may take more steps. */
int schema_check(const struct schema *s, const struct json_value *instance, struct schema_fault *fault) {
    struct check c = {.s = s, .fault = fault, .asked = fault, .work_max = WORK_MAX + instance->raw.n};
    int rc = node_check(&c, s->root, instance, NULL);
    return rc == CHECK_STOPPED ? SCHEMA_VIOLATED : rc;
}
