/* Verification of one window: what it emits, held against the family's keys. */
#include "verify.h"

#include "array.h"
#include "digest.h"
#include "varint.h"

#include <errno.h>

static bool is_owed(const struct verification *v, uint64_t aggregate, uint32_t *at) {
    struct table_probe probe;
    *at = table_first(&v->owed_table, table_hash_number(aggregate), &probe);
    while (*at != TABLE_NONE && v->owed[*at] != aggregate)
        *at = table_next(&v->owed_table, &probe);
    return *at != TABLE_NONE;
}

static int owe(struct verification *v, uint64_t aggregate) {
    if (!ARRAY_ROOM(v->owed, v->n_owed, v->owed_cap) ||
        table_put(&v->owed_table, table_hash_number(aggregate), (uint32_t)v->n_owed) < 0)
        return -ENOMEM;
    v->owed[v->n_owed++] = aggregate;
    return 0;
}

/* An aggregate's key may differ in one thing: that it was undeclared later. */
static int aggregate_differs(struct verification *v, uint64_t aggregate, struct str emitted, struct str kept,
                             bool *differs) {
    struct made log, family;
    *differs = value_read_made(emitted, &log) < 0 || value_read_made(kept, &family) < 0 || log.undeclared ||
               !family.undeclared || log.type_no != family.type_no || log.time != family.time ||
               !str_eq(log.id, family.id);
    return *differs ? 0 : owe(v, aggregate);
}

/* Where in the log an emitted key comes from. */
static void key_origin(const struct verification *v, struct str key, struct str value, uint64_t *position,
                       uint64_t *aggregate) {
    struct index_command command;
    struct index_chunk chunk;
    struct run run;
    *position = verify_open_window(v)->first_position;
    *aggregate = key.p[0] == KEY_AGGREGATE || key.p[0] == KEY_COMMAND || key.p[0] == KEY_RUN ? be64_get(key.p + 1) : 0;
    if (key.p[0] == KEY_COMMAND && value_read_command(value, &command) == 0)
        *position = command.position;
    else if (key.p[0] == KEY_CHUNK && value_read_chunk(value, &chunk) == 0)
        *position = chunk.first_position;
    else if (key.p[0] == KEY_RUN && run_open(&run, value) == 0)
        *position = run.first_position;
    else if (key.p[0] == KEY_EVENT_KIND)
        value_read_number(value, position);
}

static void key_damaged(struct verification *v, struct str key, struct str value, const char *why) {
    uint64_t position, aggregate;
    key_origin(v, key, value, &position, &aggregate);
    struct err named;
    if (!verify_note(v, position, verify_open_window(v)->after.head.block, aggregate))
        return;
    family_damaged(key, &named);
    err_set(v->err, EUCLEAN, "position %016llx%s%s: %s (%s)", (unsigned long long)position,
            v->damage->aggregate[0] ? ", aggregate " : "", v->damage->aggregate, named.text, why);
}

/* The family's keys beside those that the window emits; both ascend. */
struct comparison {
    struct verification *v;
    struct db_iter *it;
    struct db_pair at; /* the first key of the family that is not before the one asked for last */
    int state;         /* of `at`: 0, DB_NOT_FOUND past the end, or what reading failed with */
    struct err why;
};

#define STEPS_MAX 8 /* keys of other windows that are passed over before seeking */

static int order_keys(struct str a, struct str b) {
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* 0 with the value in c->at, DB_NOT_FOUND, or a negative errno with the words in c->why. */
static int kept_find(struct comparison *c, struct str key) {
    for (int i = 0; c->state == 0 && i < STEPS_MAX && order_keys(c->at.key, key) < 0; i++)
        c->state = db_iter_next(c->it, &c->at, &c->why);
    if (c->state < 0 || (c->state == 0 && order_keys(c->at.key, key) < 0))
        c->state = db_iter_seek(c->it, key, &c->at, &c->why);
    if (c->state != 0)
        return c->state;
    return str_eq(c->at.key, key) ? 0 : DB_NOT_FOUND;
}

static int aggregate_compare(struct verification *v, uint64_t aggregate, struct str value, struct str kept,
                             bool *differs) {
    uint32_t at;
    if (!str_eq(value, kept))
        return aggregate_differs(v, aggregate, value, kept, differs);
    if (is_owed(v, aggregate, &at))
        v->owed[at] = 0; /* here is the reason */
    return 0;
}

/* A kind of event whose key a later window writes again is compared and counted there. */
static void kind_compare(struct verification *v, struct str kept, bool *differs) {
    const struct window *w = verify_open_window(v);
    uint64_t later = 0;
    if (*differs)
        *differs = value_read_number(kept, &later) < 0 || later <= w->after.head.position;
    if (!later)
        v->expected[KEY_EVENT_KIND]++;
}

static int key_compare(struct comparison *c, struct str key, struct str value) {
    struct verification *v = c->v;
    int r = kept_find(c, key);
    if (r != 0) {
        key_damaged(v, key, value, r == DB_NOT_FOUND ? "it is missing" : c->why.text);
        return r == -ENOMEM ? r : 0;
    }
    bool differs = !str_eq(c->at.value, value);
    if (key.p[0] == KEY_AGGREGATE)
        r = aggregate_compare(v, be64_get(key.p + 1), value, c->at.value, &differs);
    else if (key.p[0] == KEY_EVENT_KIND)
        kind_compare(v, c->at.value, &differs);
    if (differs)
        key_damaged(v, key, value, "the log says otherwise");
    return r;
}

static int key_take(void *arg, struct str key, const struct str *value, struct err *err) {
    struct comparison *c = arg;
    struct verification *v = c->v;
    (void)err;
    switch (key.p[0]) {
    case KEY_LISTING:
    case KEY_NAME:
    case KEY_TYPE:
        return 0;
    case KEY_META:
        if (verify_open_window(v)->after.head.block != v->family.head.block)
            return 0;
        break;
    }
    uint8_t class = (uint8_t)key.p[0];
    bool rewritten = class == KEY_AGGREGATE || class == KEY_EVENT_KIND;
    v->expected[class] += !rewritten; /* of aggregates the number is known, kinds are counted as they are compared */
    if (v->exact || rewritten || class == KEY_META)
        return key_compare(c, key, *value);
    v->sums[class] += verify_hash(key, *value);
    return 0;
}

uint64_t verify_hash(struct str key, struct str value) {
    return table_hash_number(digest_table(key.p, key.n) + 3 * digest_table(value.p, value.n));
}

int verify_window(struct verification *v) {
    struct comparison c = {.v = v};
    c.it = db_iter_new(v->db, DB_DERIVED, &(struct db_iter_options){.fill_cache = true});
    if (!c.it)
        return -ENOMEM;
    c.state = db_iter_seek(c.it, STR(""), &c.at, &c.why);
    int r = window_emit(verify_open_window(v), key_take, &c, v->err);
    db_iter_free(c.it);
    return r;
}
