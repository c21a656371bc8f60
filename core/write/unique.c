#include "unique.h"

#include "table.h"
#include "varint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Who holds a value as of the blocks that may not be applied yet; aggregate 0: nobody any more. */
struct holding {
    struct str key;
    uint64_t aggregate;
    struct str id; /* of the aggregate, whose name the index may not know */
};

struct generation {
    struct table table;
    struct arena arena;
    struct holding **list;
    uint32_t n, room;
};

#define FEW 8 /* changes of a request that are looked through one by one */

struct unique {
    struct db *db;
    struct index *index;
    struct generation young, old;
    struct buf key;              /* scratch */
    struct table takers, givers; /* of the request under judgement, when its changes are not few: who takes a value
                                    (of those judged so far), who gives one up */
};

struct unique *unique_new(struct db *db, struct index *ix) {
    struct unique *u = calloc(1, sizeof *u);
    if (u) {
        u->db = db;
        u->index = ix;
    }
    return u;
}

static void generation_free(struct generation *g) {
    table_free(&g->table);
    arena_free(&g->arena);
    free(g->list);
    *g = (struct generation){0};
}

void unique_free(struct unique *u) {
    if (!u)
        return;
    generation_free(&u->young);
    generation_free(&u->old);
    buf_free(&u->key);
    table_free(&u->takers);
    table_free(&u->givers);
    free(u);
}

void unique_turn(struct unique *u) {
    generation_free(&u->old);
    u->old = u->young;
    u->young = (struct generation){0};
}

/* --- who holds what */

static struct holding *generation_find(const struct generation *g, uint64_t hash, struct str key) {
    struct table_probe probe;
    for (uint32_t i = table_first(&g->table, hash, &probe); i != TABLE_NONE; i = table_next(&g->table, &probe))
        if (str_eq(g->list[i]->key, key))
            return g->list[i];
    return NULL;
}

static int generation_add(struct generation *g, uint64_t hash, struct str key, uint64_t aggregate, struct str id) {
    struct holding *h = generation_find(g, hash, key);
    if (!h) {
        if (g->n == g->room) {
            uint32_t room = g->room ? g->room * 2 : 64;
            struct holding **list = realloc(g->list, room * sizeof *list);
            if (!list)
                return -ENOMEM;
            g->list = list;
            g->room = room;
        }
        h = arena_alloc(&g->arena, sizeof *h);
        if (!h || !(h->key = arena_copy(&g->arena, key)).p || table_put(&g->table, hash, g->n) < 0)
            return -ENOMEM;
        g->list[g->n++] = h;
    }
    h->aggregate = aggregate;
    h->id = arena_copy(&g->arena, id);
    return h->id.p || !id.n ? 0 : -ENOMEM;
}

/* 0 with the holder; UNIQUE_NOBODY; or a negative errno. `id` is empty when the index knows it. */
enum { UNIQUE_NOBODY = 1 };

static int holder_of(struct unique *u, struct str key, uint64_t *aggregate, struct str *id, struct err *err) {
    uint64_t hash = digest_table(key.p, key.n);
    struct db_value value;
    const struct holding *h = generation_find(&u->young, hash, key);
    if (!h)
        h = generation_find(&u->old, hash, key);
    if (h) {
        *aggregate = h->aggregate;
        *id = h->id;
        return h->aggregate ? 0 : UNIQUE_NOBODY;
    }
    int r = db_get(u->db, DB_FOLDS, key, &value, err);
    if (r != 0)
        return r == DB_NOT_FOUND ? UNIQUE_NOBODY : r;
    bool good = value.bytes.n == 8;
    *aggregate = good ? be64_get(value.bytes.p) : 0;
    *id = (struct str){NULL, 0};
    db_value_release(&value);
    return good ? 0 : err_set(err, EUCLEAN, "the holder of a unique value is damaged: make it anew (esfsctl rebuild)");
}

/* --- judging a request */

static uint64_t hash_value(const struct domain_rule *rule, struct str value) {
    return digest_table(value.p, value.n) ^ table_hash_number((uintptr_t)rule);
}

static bool same_rule(const struct unique_change *a, const struct unique_change *b) {
    return a->type == b->type && a->rule == b->rule;
}

static void name_holder(struct unique *u, const struct unique_change *c, uint64_t aggregate, struct str id,
                        struct unique_clash *clash) {
    struct index_aggregate known;
    if (!id.n && index_aggregate_by_no(u->index, aggregate, &known, NULL) == 0)
        id = (struct str){known.id, known.id_bytes};
    snprintf(clash->holder, sizeof clash->holder, "%.*s/%.*s", (int)c->type->name.n, c->type->name.p, (int)id.n,
             id.p ? id.p : "");
}

static bool takes(const struct unique_change *c, const struct unique_change *wanted) {
    return c->after.p && same_rule(c, wanted) && str_eq(c->after, wanted->after);
}

static bool gives(const struct unique_change *c, const struct unique_change *wanted, uint64_t holder) {
    return c->before.p && c->aggregate == holder && same_rule(c, wanted) && str_eq(c->before, wanted->after);
}

/* An earlier change of the request that takes the same value. */
static const struct unique_change *rival(const struct unique *u, const struct unique_change *changes, size_t n,
                                         size_t i) {
    struct table_probe probe;
    uint64_t hash = n > FEW ? hash_value(changes[i].rule, changes[i].after) : 0;
    for (uint32_t k = n > FEW ? table_first(&u->takers, hash, &probe) : TABLE_NONE; k != TABLE_NONE;
         k = table_next(&u->takers, &probe))
        if (takes(&changes[k], &changes[i]))
            return &changes[k];
    for (size_t k = 0; n <= FEW && k < i; k++)
        if (takes(&changes[k], &changes[i]))
            return &changes[k];
    return NULL;
}

static bool is_released(const struct unique *u, const struct unique_change *changes, size_t n,
                        const struct unique_change *wanted, uint64_t holder) {
    struct table_probe probe;
    uint64_t hash = n > FEW ? hash_value(wanted->rule, wanted->after) : 0;
    for (uint32_t k = n > FEW ? table_first(&u->givers, hash, &probe) : TABLE_NONE; k != TABLE_NONE;
         k = table_next(&u->givers, &probe))
        if (gives(&changes[k], wanted, holder))
            return true;
    for (size_t k = 0; n <= FEW && k < n; k++)
        if (gives(&changes[k], wanted, holder))
            return true;
    return false;
}

static int givers_note(struct unique *u, const struct unique_change *changes, size_t n) {
    int r = 0;
    table_clear(&u->takers);
    table_clear(&u->givers);
    for (size_t i = 0; r == 0 && n > FEW && i < n; i++)
        if (changes[i].before.p)
            r = table_put(&u->givers, hash_value(changes[i].rule, changes[i].before), (uint32_t)i);
    return r;
}

static int check_one(struct unique *u, const struct unique_change *changes, size_t n, size_t i,
                     struct unique_clash *clash, struct err *err) {
    const struct unique_change *c = &changes[i], *other = rival(u, changes, n, i);
    uint64_t holder;
    struct str id;
    clash->change = i;
    if (other) {
        name_holder(u, c, 0, other->id, clash);
        return UNIQUE_TAKEN;
    }
    buf_clear(&u->key);
    holder_key(c->type, c->rule, c->after, &u->key);
    if (u->key.oom || (n > FEW && table_put(&u->takers, hash_value(c->rule, c->after), (uint32_t)i) < 0))
        return err_set(err, ENOMEM, "out of memory");
    int r = holder_of(u, buf_str(&u->key), &holder, &id, err);
    if (r != 0)
        return r == UNIQUE_NOBODY ? 0 : r;
    if (holder == c->aggregate || is_released(u, changes, n, c, holder))
        return 0;
    name_holder(u, c, holder, id, clash);
    return UNIQUE_TAKEN;
}

int unique_check(struct unique *u, const struct unique_change *changes, size_t n, struct unique_clash *clash,
                 struct err *err) {
    int r = givers_note(u, changes, n) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        if (changes[i].after.p)
            r = check_one(u, changes, n, i, clash, err);
    return r;
}

static int accept_one(struct unique *u, const struct unique_change *c, struct str value, bool takes,
                      struct changes *out) {
    char stored[8];
    buf_clear(&u->key);
    holder_key(c->type, c->rule, value, &u->key);
    if (u->key.oom)
        return -ENOMEM;
    struct str key = buf_str(&u->key), id;
    uint64_t holder;
    /* who did not hold it gives nothing up */
    if (!takes && (holder_of(u, key, &holder, &id, NULL) != 0 || holder != c->aggregate))
        return 0;
    int r = generation_add(&u->young, digest_table(key.p, key.n), key, takes ? c->aggregate : 0, c->id);
    if (r < 0)
        return r;
    holder_value(c->aggregate, stored);
    return takes ? changes_put(out, key, (struct str){stored, sizeof stored}) : changes_remove(out, key);
}

/* All that is given up first: another of them may take it. */
int unique_accept(struct unique *u, const struct unique_change *changes, size_t n, struct changes *out) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        if (changes[i].before.p)
            r = accept_one(u, &changes[i], changes[i].before, false, out);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (changes[i].after.p)
            r = accept_one(u, &changes[i], changes[i].after, true, out);
    return r;
}
