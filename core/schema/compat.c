#include "compat_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FINISHED_BUCKETS = 1024, POINTER_CHARS = 220 };

/* --- what a check may cost */

bool step(struct compat *c, size_t n) {
    if (c->stop != STOP_NOT)
        return false;
    if (n >= c->steps || c->arena.total > COMPAT_BYTES) {
        c->stop = STOP_SIZE;
        return false;
    }
    c->steps -= n;
    return true;
}

void *room(struct compat *c, size_t n) {
    void *p = arena_alloc(&c->arena, n ? n : 1);
    if (!p)
        c->stop = STOP_MEMORY;
    return p;
}

/* A number as a text that ends with a zero byte. */
struct str number_name(struct compat *c, size_t i) {
    char *text = room(c, 24);
    return text ? (struct str){text, (size_t)snprintf(text, 24, "%zu", i)} : (struct str){0};
}

/* --- words */

static void pointer_put(char *out, size_t size, size_t *n, char ch) {
    if (*n + 1 < size)
        out[(*n)++] = ch;
}

static void path_put(const struct path *path, char *out, size_t size, size_t *n) {
    if (path->up)
        path_put(path->up, out, size, n);
    if (!path->up && !path->written)
        return; /* the root */
    if (!path->written)
        pointer_put(out, size, n, '/');
    for (size_t i = 0; i < path->name.n; i++) {
        char ch = path->name.p[i];
        bool escape = !path->written && (ch == '~' || ch == '/');
        pointer_put(out, size, n, escape ? '~' : ch);
        if (escape)
            pointer_put(out, size, n, ch == '~' ? '0' : '1');
    }
}

static void path_write(char out[POINTER_CHARS], const struct path *path) {
    char whole[POINTER_CHARS];
    size_t n = 0;
    path_put(path, whole, sizeof whole, &n);
    bool cut = n + 1 >= sizeof whole; /* perhaps within a character */
    while (cut && n > 0 && ((unsigned char)whole[n - 1] & 0xc0) == 0x80)
        n--;
    if (cut && n > 0 && ((unsigned char)whole[n - 1] & 0x80))
        n--;
    whole[n] = '\0';
    memcpy(out, whole, n + 1);
}

static bool unproven_words(struct compat *c, const struct path *path, const char *keyword, const char *format,
                           va_list args) {
    char pointer[POINTER_CHARS], why[256];
    if (c->quiet || !c->err || c->stop != STOP_NOT)
        return false;
    path_write(pointer, path);
    err_format(why, sizeof why, format, args);
    const char *whole = !pointer[0] && !keyword ? "the whole schema" : "";
    err_set(c->err, EINVAL, "%s%s%s%s: %s", whole, pointer, keyword ? "/" : "", keyword ? keyword : "", why);
    return false;
}

bool unproven(struct compat *c, const struct path *path, const char *keyword, const char *format, ...) {
    va_list args;
    va_start(args, format);
    unproven_words(c, path, keyword, format, args);
    va_end(args);
    return false;
}

bool unproven_claim(struct compat *c, const struct claim *claim, const char *format, ...) {
    va_list args;
    va_start(args, format);
    unproven_words(c, claim->path, claim->rule->name, format, args);
    va_end(args);
    return false;
}

/* --- one keyword */

/* Values that are all there can be; false when they cannot be listed. */
static bool values_list(const struct facts *f, const struct json_value **values, size_t *n) {
    static const struct json_value few[] = {{.kind = JSON_KIND_NULL, .raw = {"null", 4}},
                                            {.kind = JSON_KIND_TRUE, .raw = {"true", 4}},
                                            {.kind = JSON_KIND_FALSE, .raw = {"false", 5}}};
    *values = f->listed ? f->values : few;
    *n = f->listed ? f->n_values : 3;
    return f->listed || !(f->types & ~(unsigned)(TYPE_NULL | TYPE_BOOLEAN));
}

/* Each value that old data may have is looked at on its own. */
static bool values_fit(struct compat *c, const struct claim *claim) {
    const struct json_value *values;
    size_t n;
    if (!values_list(claim->facts, &values, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct json_value *v = &values[i];
        if (!step(c, 1) || facts_exclude(c, claim->facts, v))
            continue;
        enum verdict fits = word_check(c, claim->at, claim->keyword, v);
        if (fits != YES && !claim->facts->listed)
            return false; /* the keyword's own words are better */
        if (fits == NO)
            return unproven_claim(c, claim, "the old value %.*s does not fit", (int)v->raw.n, v->raw.p);
        if (fits == UNSURE)
            return unproven_claim(c, claim, "it cannot be told whether the old value %.*s fits", (int)v->raw.n,
                                  v->raw.p);
    }
    return c->stop == STOP_NOT;
}

static struct facts *facts_of_types(struct compat *c, const struct facts *f, unsigned types) {
    struct facts *some = facts_copy(c, f);
    if (!some)
        return NULL;
    some->types &= types;
    facts_close(c, some);
    return c->stop == STOP_NOT ? some : NULL;
}

static bool claim_proven(struct compat *c, const struct claim *claim);

/* In every case that old data may be in. */
static bool claim_by_case(struct compat *c, const struct claim *claim) {
    const struct facts *f = claim->facts;
    struct claim one = *claim;
    if (f->splits.n) {
        for (size_t i = 0; i < split_branches(&f->splits.items[0]); i++)
            if (!(one.facts = facts_branch(c, f, 0, i)) || !claim_proven(c, &one))
                return false;
        return true;
    }
    if (!claim->rule->by_type || !(f->types & (f->types - 1)))
        return false;
    for (unsigned type = 1; type < TYPE_ALL; type <<= 1)
        if (f->types & type && (!(one.facts = facts_of_types(c, f, type)) || !claim_proven(c, &one)))
            return false;
    return true;
}

static bool claim_proven(struct compat *c, const struct claim *claim) {
    struct claim narrow = *claim;
    if (!(claim->facts->types & claim->rule->types) || claim->facts->empty)
        return true;
    if (claim->facts->types & ~claim->rule->types &&
        !(narrow.facts = facts_of_types(c, claim->facts, claim->rule->types)))
        return false;
    if (c->depth >= COMPAT_DEPTH)
        return unproven_claim(c, claim, "is nested too deep to be compared");
    c->depth++;
    bool proven = claim->rule->prove(c, &narrow) || values_fit(c, &narrow) || facts_impossible(c, narrow.facts) ||
                  claim_by_case(c, &narrow);
    c->depth--;
    return proven && c->stop == STOP_NOT;
}

/* --- one schema */

struct goal {
    struct goal *outer;
    const struct facts *facts;
    struct place to;
    unsigned level; /* how far down the instance it is */
};

/* A goal proven without assumptions. */
struct finished {
    struct finished *next;
    const struct facts *facts;
    const struct json_value *to;
};

static size_t goal_bucket(const struct facts *f, struct place to) {
    uintptr_t h = (uintptr_t)to.schema / 8 + f->types;
    for (size_t i = 0; i < f->all.n; i++)
        h = h * 31 + (uintptr_t)f->all.items[i].schema / 8;
    return (h ^ h >> 16) % FINISHED_BUCKETS;
}

static bool goal_finished(struct compat *c, const struct facts *f, struct place to) {
    for (const struct finished *done = c->finished[goal_bucket(f, to)]; done && step(c, 1); done = done->next)
        if (done->to == to.schema && facts_same(done->facts, f))
            return true;
    return false;
}

static void goal_finish(struct compat *c, const struct facts *f, struct place to) {
    struct finished **bucket = &c->finished[goal_bucket(f, to)], *done = room(c, sizeof *done);
    if (!done)
        return;
    *done = (struct finished){*bucket, f, to.schema};
    *bucket = done;
}

/* The goal when it is under proof already; *number counts from the outside. */
static const struct goal *goal_find(struct compat *c, const struct facts *f, struct place to, size_t *number) {
    *number = c->n_goals;
    for (const struct goal *g = c->goals; g; g = g->outer) {
        --*number;
        if (g->to.schema == to.schema && facts_same(g->facts, f))
            return g;
    }
    return NULL;
}

static bool words_fit(struct compat *c, struct facts *f, struct place to, const struct path *path,
                      const struct path *where) {
    for (size_t i = 0; i < to.schema->n && step(c, 1); i++) {
        const struct json_field *word = &to.schema->fields[i];
        const struct rule *rule = keyword_counts(to, word->name) ? rule_of(to, word->name) : NULL;
        const struct claim claim = {f, to, word, path, where, rule};
        if (rule && !claim_proven(c, &claim))
            return false;
    }
    return c->stop == STOP_NOT;
}

/* Proves a goal, and remembers that when nothing was assumed but the goal itself. */
static bool goal_proven(struct compat *c, struct facts *f, struct place to, const struct path *path,
                        const struct path *where) {
    struct goal goal = {c->goals, f, to, c->level};
    size_t assumed = c->assumed, number = c->n_goals++;
    c->goals = &goal;
    c->assumed = SIZE_MAX;
    bool proven = words_fit(c, f, to, path, where);
    c->goals = goal.outer;
    c->n_goals--;
    if (proven && c->assumed >= number)
        goal_finish(c, f, to);
    if (c->assumed >= number || assumed < c->assumed)
        c->assumed = assumed;
    return proven;
}

static bool known_already(struct compat *c, const struct facts *f, struct place to) {
    for (size_t i = 0; i < f->all.n; i++)
        if (places_equal(c, f->all.items[i], to))
            return true;
    return false;
}

static bool nothing_fits(struct compat *c, struct facts *f, const struct path *path, const struct path *where) {
    char place[POINTER_CHARS];
    if (facts_impossible(c, f))
        return true;
    path_write(place, where);
    return unproven(c, path, NULL, "nothing is allowed here any more, where old data may hold something in %s",
                    place[0] ? place : "the whole");
}

bool facts_fit(struct compat *c, struct facts *f, struct place to, const struct path *path, const struct path *where) {
    size_t number;
    if (f->empty || to.schema->kind == JSON_KIND_TRUE)
        return c->stop == STOP_NOT;
    if (to.schema->kind != JSON_KIND_OBJECT)
        return nothing_fits(c, f, path, where);
    if (!step(c, 2) || c->depth >= COMPAT_DEPTH)
        return unproven(c, path, NULL, "is nested too deep to be compared");
    if (known_already(c, f, to) || goal_finished(c, f, to))
        return true;
    const struct goal *same = goal_find(c, f, to, &number);
    if (same && same->level >= c->level)
        return unproven(c, path, NULL, "refers to itself");
    if (same) {
        c->assumed = number < c->assumed ? number : c->assumed;
        return true;
    }
    c->depth++;
    bool proven = goal_proven(c, f, to, path, where);
    c->depth--;
    if (!proven && facts_blank(f)) {
        char place[POINTER_CHARS];
        path_write(place, where);
        unproven(c, path, NULL, "old data may hold anything in %s: %s", place[0] ? place : "the whole",
                 where->open ? where->open : "the old schema said nothing");
    }
    return proven;
}

/* --- two documents */

static bool documents_fit(struct compat *c) {
    static const struct path root = {0};
    const struct document *unknown = !c->older.known_draft ? &c->older : !c->newer.known_draft ? &c->newer : NULL;
    if (unknown) {
        const struct json_value *draft = field_of(unknown->root, STR("$schema"));
        return unproven(c, &root, "$schema", "%s\"%.*s\" is neither draft 2020-12 nor draft-07",
                        unknown == &c->older ? "the old " : "", (int)draft->text.n, draft->text.p);
    }
    struct facts *f = facts_new(c);
    if (!f)
        return false;
    facts_add(c, f, (struct place){&c->older, c->older.root});
    facts_close(c, f);
    return facts_fit(c, f, (struct place){&c->newer, c->newer.root}, &root, &root);
}

int compat_check(const struct json_value *older, const struct json_value *newer, struct err *err) {
    struct compat c = {.err = err, .steps = SIZE_MAX, .assumed = SIZE_MAX};
    if (err)
        *err = (struct err){0};
    bool proven = values_equal(&c, older, newer) == YES;
    c.steps = COMPAT_STEPS;
    c.stop = STOP_NOT;
    c.finished = calloc(FINISHED_BUCKETS, sizeof(struct finished *));
    c.unequal = calloc(COMPAT_PAIRS, sizeof *c.unequal);
    if (!c.finished || !c.unequal)
        c.stop = STOP_MEMORY;
    else if (!proven) {
        document_init(&c.older, older);
        document_init(&c.newer, newer);
        proven = documents_fit(&c);
    }
    arena_free(&c.arena);
    free(c.finished);
    free(c.unequal);
    free(c.equal);
    if (c.stop == STOP_MEMORY)
        return err_set(err, ENOMEM, "out of memory");
    if (c.stop == STOP_SIZE)
        err_set(err, EINVAL, "the schemas are too large to be compared");
    else if (proven && err)
        *err = (struct err){0};
    return proven && c.stop == STOP_NOT ? COMPAT_PROVEN : COMPAT_UNPROVEN;
}
