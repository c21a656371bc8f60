/* Verification: the walk along the log, and what it says of the first fault. verify.h tells how it goes. */
#include "verify.h"

#include "array.h"
#include "replay.h"

#include <errno.h>
#include <stdio.h>

/* --- noting damage */

int verify_made(void *arg, uint64_t aggregate, struct made *out, struct arena *names, struct err *err) {
    const struct verification *v = arg;
    const struct made *m = NULL;
    for (size_t i = v->n_windows; i-- > 0 && !m;)
        m = window_made(v->windows[i], aggregate);
    if (m) {
        *out = *m;
        return 0;
    }
    char id[NAME_MAX_BYTES];
    int r = family_made(v->db, aggregate, out, id, err);
    if (r != 0)
        return r == DB_NOT_FOUND ? INDEX_NONE : r;
    out->undeclared = false; /* the family is ahead of the log here */
    out->id = arena_copy(names, out->id);
    return out->id.p ? 0 : -ENOMEM;
}

bool verify_note(struct verification *v, uint64_t position, uint64_t block, uint64_t aggregate) {
    if (v->damaged && v->damage->position <= position)
        return false;
    v->damaged = true;
    *v->damage = (struct index_damage){.position = position, .block = block};
    struct arena names = {0};
    struct made m;
    if (aggregate && verify_made(v, aggregate, &m, &names, NULL) == 0) {
        struct str type = types_name(&v->types, m.type_no);
        snprintf(v->damage->aggregate, sizeof v->damage->aggregate, "%.*s/%.*s", (int)type.n, type.p, (int)m.id.n,
                 m.id.p);
    }
    arena_free(&names);
    return true;
}

int verify_fault(struct verification *v, uint64_t position, uint64_t aggregate, const char *why) {
    if (verify_note(v, position, v->head.block, aggregate))
        err_set(v->err, EUCLEAN, "position %016llx%s%s: the index is damaged: %s", (unsigned long long)position,
                v->damage->aggregate[0] ? ", aggregate " : "", v->damage->aggregate, why);
    return INDEX_DAMAGED;
}

static bool run_holds(const struct run *run, uint64_t position) {
    struct run_at at;
    run_begin(run, &at);
    while (run_next(run, &at) == 0 && at.entry.position <= position)
        if (at.entry.position == position)
            return true;
    return false;
}

/* The aggregate of an event that the log cannot give any more: the family's runs may still know. 0 if not. */
static uint64_t aggregate_of(const struct verification *v, uint64_t position) {
    struct key first = key_run(0, 0), upper = key_run(UINT64_MAX, UINT64_MAX);
    struct db_iter *it = db_iter_new(v->db, DB_DERIVED, &(struct db_iter_options){.upper = key_str(&upper)});
    struct db_pair pair;
    uint64_t found = 0;
    int r = it ? db_iter_seek(it, key_str(&first), &pair, NULL) : -ENOMEM;
    while (r == 0 && !found) {
        uint64_t aggregate = 0, version = 0;
        struct run run;
        if (key_run_read(pair.key, &aggregate, &version) == 0 && run_open(&run, pair.value) == 0 &&
            run.first_position <= position && run_holds(&run, position))
            found = aggregate;
        r = db_iter_next(it, &pair, NULL);
    }
    db_iter_free(it);
    return found;
}

/* last: the position up to which the log could be read. */
static int log_damaged(struct verification *v, int r, uint64_t last) {
    if (r == -ENOMEM)
        return r;
    uint64_t position = last + 1;
    verify_note(v, position, v->head.block + 1, aggregate_of(v, position));
    return INDEX_DAMAGED;
}

/* --- the log */

static int window_begin(struct verification *v) {
    if (!ARRAY_ROOM(v->windows, v->n_windows, v->windows_cap))
        return -ENOMEM;
    struct window *w = window_new(&v->head);
    if (!w)
        return -ENOMEM;
    v->windows[v->n_windows++] = w;
    return 0;
}

static int window_end(struct verification *v) {
    struct window *w = verify_open_window(v);
    if (w->after.head.block > v->family.head.block)
        return window_begin(v); /* not in the family yet, so kept to be asked for names */
    window_seal(w, &v->types);
    int r = verify_window(v);
    if (r == 0 && v->damaged)
        r = INDEX_DAMAGED;
    if (r == 0 && w->after.head.block == v->family.head.block)
        r = verify_family(v);
    if (r != 0)
        return r;
    window_free(w);
    v->n_windows--;
    return window_begin(v);
}

static int block_verify(struct verification *v, const struct replay_block *block) {
    struct decoded_scope scope = {&v->types, v->store_id, verify_made, v};
    int r = decoded_read(&v->decoded, &scope, &v->head, block->chunks, block->n, block->link, v->err);
    if (r == 0)
        r = window_check(verify_open_window(v), &v->schemas, &v->skips, &v->decoded, v->err);
    if (r == 0)
        r = window_apply(verify_open_window(v), &v->types, &v->schemas, &v->skips, &v->decoded);
    if (r < 0)
        return log_damaged(v, r, v->head.position);
    v->head = v->decoded.after.head;
    if (index_window_full(verify_open_window(v), &v->limits))
        return window_end(v);
    if (v->head.block == v->family.head.block)
        return verify_fault(v, v->head.position, 0, "it ends where no window does");
    return 0;
}

static int log_verify(struct verification *v) {
    struct replay *replay = NULL;
    struct replay_block block;
    struct meta start = {0};
    int r = replay_open(&replay, v->db, &start, v->err);
    while (r == 0) {
        r = replay_next(replay, &block, v->err);
        if (r < 0)
            r = log_damaged(v, r, replay_position(replay));
        else if (r == 0)
            r = block_verify(v, &block);
        else
            break;
    }
    bool end = r == REPLAY_END && !v->damaged;
    replay_close(replay);
    if (!end)
        return r;
    if (v->family.head.block <= v->head.block)
        return 0;
    err_set(v->err, EUCLEAN, "the log ends at position %016llx, before position %016llx, which was indexed",
            (unsigned long long)v->head.position, (unsigned long long)v->family.head.position);
    struct err words = v->err ? *v->err : (struct err){0};
    r = log_damaged(v, 0, v->head.position);
    if (v->err)
        *v->err = words;
    return r;
}

static void verification_free(struct verification *v) {
    for (size_t i = 0; i < v->n_windows; i++)
        window_free(v->windows[i]);
    free(v->windows);
    free(v->owed);
    table_free(&v->owed_table);
    decoded_free(&v->decoded);
    schemas_free(&v->schemas);
    skips_free(&v->skips);
    types_free(&v->types);
}

static int verify_pass(struct db *db, const uint8_t *store_id, const struct index_limits *limits, bool exact,
                       struct index_damage *damage, struct err *err) {
    struct verification v = {
        .db = db,
        .store_id = store_id,
        .limits = *limits,
        .exact = exact,
        .damage = damage,
        .err = err,
        .head = {.next_aggregate = 1, .next_type = 1},
    };
    *damage = (struct index_damage){0};
    int r = types_init(&v.types);
    if (r == 0)
        r = family_meta(db, &v.family, err);
    if (r == -EUCLEAN) {
        verify_note(&v, 0, 0, 0);
        r = INDEX_DAMAGED;
    } else if (r >= 0) {
        r = window_begin(&v);
        if (r == 0 && v.family.head.block == 0)
            r = verify_family(&v);
        if (r == 0)
            r = log_verify(&v);
    }
    verification_free(&v);
    return r;
}

int index_verify_sized(struct db *db, const uint8_t *store_id, const struct index_limits *limits,
                       struct index_damage *damage, struct err *err) {
    int r = verify_pass(db, store_id, limits, false, damage, err);
    return r == INDEX_DAMAGED ? verify_pass(db, store_id, limits, true, damage, err) : r;
}

int index_verify(struct db *db, const uint8_t *store_id, struct index_damage *damage, struct err *err) {
    struct index_limits limits = {INDEX_WINDOW_WEIGHT, INDEX_WINDOW_BYTES};
    return index_verify_sized(db, store_id, &limits, damage, err);
}

int index_rebuild_sized(struct db *db, const uint8_t *store_id, const struct index_limits *limits, struct err *err) {
    int r = db_derived_reset(db, err);
    if (r == 0)
        r = db_folds_reset(db, err);
    if (r < 0)
        return r;
    struct index *ix = NULL;
    r = index_open_sized(&ix, db, store_id, false, limits, err);
    if (r == 0)
        r = index_settle(ix, err);
    index_close(ix);
    return r;
}

int index_rebuild(struct db *db, const uint8_t *store_id, struct err *err) {
    struct index_limits limits = {INDEX_WINDOW_WEIGHT, INDEX_WINDOW_BYTES};
    return index_rebuild_sized(db, store_id, &limits, err);
}
