#include "index_private.h"

#include "array.h"
#include "replay.h"
#include "varint.h"

#include <errno.h>
#include <stdlib.h>

#define FULL_MAX 2 /* windows that may wait before index_apply() does */

/* --- the thread that turns full windows into tables */

static int table_take(void *arg, struct str key, const struct str *value, struct err *err) {
    return value ? db_table_put(arg, key, *value, err) : db_table_delete(arg, key, err);
}

static int window_ingest(struct db *db, const struct window *w, struct err *err) {
    /* The table is durable when it is ingested; the log it was made from must not be less so. */
    int r = db_log_sync(db, err);
    struct db_table *table = NULL;
    if (r == 0)
        r = db_table_new(db, &table, err);
    if (r == 0)
        r = window_emit(w, table_take, table, err);
    if (r < 0) {
        db_table_drop(table);
        return r;
    }
    return db_table_ingest(table, err);
}

/* Look-ups that began before find the window's part in the family too; they stop where it began. */
static void window_drop(struct index *ix, struct window *w) {
    pthread_rwlock_wrlock(&ix->lock);
    ix->family = w->after;
    ix->n_windows--;
    memmove(ix->windows, ix->windows + 1, ix->n_windows * sizeof *ix->windows);
    ix->drops++;
    pthread_rwlock_unlock(&ix->lock);
    window_free(w);
}

static struct window *oldest_window(struct index *ix) {
    pthread_rwlock_rdlock(&ix->lock);
    struct window *w = ix->windows[0];
    pthread_rwlock_unlock(&ix->lock);
    return w;
}

static void *thread_main(void *arg) {
    struct index *ix = arg;
    pthread_mutex_lock(&ix->gate);
    while (!ix->stop) {
        if (!ix->full) {
            pthread_cond_wait(&ix->changed, &ix->gate);
            continue;
        }
        pthread_mutex_unlock(&ix->gate);
        struct window *w = oldest_window(ix);
        struct err err = {0};
        int r = window_ingest(ix->db, w, &err);
        if (r == 0)
            window_drop(ix, w);
        pthread_mutex_lock(&ix->gate);
        if (r < 0) {
            ix->fault = err;
            ix->fault.code = -r;
            break;
        }
        ix->full--;
        pthread_cond_broadcast(&ix->changed);
    }
    ix->running = false;
    pthread_cond_broadcast(&ix->changed);
    pthread_mutex_unlock(&ix->gate);
    return NULL;
}

static int thread_start(struct index *ix) {
    ix->running = true;
    int r = pthread_create(&ix->thread, NULL, thread_main, ix);
    if (r != 0)
        ix->running = false;
    ix->started = r == 0;
    return -r;
}

int index_fault(struct index *ix, struct err *err) {
    pthread_mutex_lock(&ix->gate);
    int code = ix->fault.code;
    if (code && err)
        *err = ix->fault;
    pthread_mutex_unlock(&ix->gate);
    return -code;
}

int index_settle(struct index *ix, struct err *err) {
    pthread_mutex_lock(&ix->gate);
    while (ix->running && ix->full)
        pthread_cond_wait(&ix->changed, &ix->gate);
    pthread_mutex_unlock(&ix->gate);
    return index_fault(ix, err);
}

/* --- applying */

static int window_add(struct index *ix) {
    struct window *w = window_new(&ix->head);
    if (!w)
        return -ENOMEM;
    pthread_rwlock_wrlock(&ix->lock);
    bool room = ARRAY_ROOM(ix->windows, ix->n_windows, ix->windows_cap);
    if (room)
        ix->open = ix->windows[ix->n_windows++] = w;
    pthread_rwlock_unlock(&ix->lock);
    if (!room)
        window_free(w);
    return room ? 0 : -ENOMEM;
}

/* Hands the full window to the thread and begins another. Without the thread (read-only, or it failed) windows
 * pile up in memory. */
static int window_turn(struct index *ix) {
    pthread_mutex_lock(&ix->gate);
    while (ix->running && ix->full >= FULL_MAX)
        pthread_cond_wait(&ix->changed, &ix->gate);
    pthread_mutex_unlock(&ix->gate);
    window_seal(ix->open, &ix->types);
    int r = window_add(ix);
    if (r < 0)
        return r;
    pthread_mutex_lock(&ix->gate);
    ix->full++;
    pthread_cond_broadcast(&ix->changed);
    pthread_mutex_unlock(&ix->gate);
    return 0;
}

static int made_find(void *arg, uint64_t aggregate, struct made *out, struct arena *names, struct err *err) {
    struct index *ix = arg;
    const struct made *m = NULL;
    char id[NAME_MAX_BYTES];
    pthread_rwlock_rdlock(&ix->lock);
    for (size_t i = ix->n_windows; i-- > 0 && !m;)
        m = window_made(ix->windows[i], aggregate);
    if (m) {
        *out = *m;
        out->id = arena_copy(names, m->id);
    }
    pthread_rwlock_unlock(&ix->lock);
    if (!m) {
        int r = family_made(ix->db, aggregate, out, id, err);
        if (r != 0)
            return r == DB_NOT_FOUND ? INDEX_NONE : r;
        out->id = arena_copy(names, out->id);
    }
    return out->id.p ? 0 : -ENOMEM;
}

/* Names of types are interned while a block is decoded. */
static void check_undo(struct index *ix) {
    pthread_rwlock_wrlock(&ix->lock);
    types_forget(&ix->types, ix->head.next_type);
    pthread_rwlock_unlock(&ix->lock);
}

int index_check(struct index *ix, const struct str *chunks, size_t n, const uint8_t link[DIGEST_CHAIN],
                struct err *err) {
    struct decoded_scope scope = {&ix->types, ix->store_id, made_find, ix};
    int r = decoded_read(&ix->decoded, &scope, &ix->head, chunks, n, link, err);
    if (r == 0)
        r = window_check(ix->open, &ix->schemas, &ix->skips, &ix->decoded, err);
    if (r < 0)
        check_undo(ix);
    return r == -ENOMEM ? err_set(err, ENOMEM, "out of memory while a block was checked") : r;
}

int index_apply(struct index *ix, struct err *err) {
    pthread_rwlock_wrlock(&ix->lock);
    int r = window_apply(ix->open, &ix->types, &ix->schemas, &ix->skips, &ix->decoded);
    if (r == 0)
        ix->head = ix->decoded.after.head;
    pthread_rwlock_unlock(&ix->lock);
    if (r == 0 && index_window_full(ix->open, &ix->limits))
        r = window_turn(ix);
    return r < 0 ? err_set(err, -r, "out of memory for the index") : 0;
}

void index_head(struct index *ix, struct index_head *out) {
    pthread_rwlock_rdlock(&ix->lock);
    *out = ix->head;
    pthread_rwlock_unlock(&ix->lock);
}

uint64_t index_family_position(struct index *ix) {
    pthread_rwlock_rdlock(&ix->lock);
    uint64_t position = ix->family.head.position;
    pthread_rwlock_unlock(&ix->lock);
    return position;
}

/* --- opening */

int index_types_load(struct db *db, struct types *types, const struct index_head *head, struct err *err) {
    struct db_iter *it = db_iter_new(db, DB_DERIVED, &(struct db_iter_options){0});
    if (!it)
        return -ENOMEM;
    struct key first = key_type(0);
    struct db_pair pair;
    uint32_t no = 0;
    int r = db_iter_seek(it, key_str(&first), &pair, err);
    for (; r == 0; r = db_iter_next(it, &pair, err)) {
        struct index_type kept;
        bool exists;
        if (key_type_read(pair.key, &kept.no) < 0 || value_read_type(pair.value, &kept, &exists) < 0 ||
            kept.no != ++no) {
            r = family_damaged(pair.key, err);
            break;
        }
        r = types_restore(types, &kept, exists);
        if (r < 0)
            break;
    }
    db_iter_free(it);
    if (r == DB_NOT_FOUND)
        r = no + 1 == head->next_type ? 0 : err_set(err, EUCLEAN, "the index lacks types: make it again from the log");
    return r;
}

int index_schemas_load(struct db *db, const struct types *types, struct schemas *schemas, struct err *err) {
    static const char first = KEY_SCHEMA, upper = KEY_SCHEMA + 1;
    struct db_iter *it = db_iter_new(db, DB_DERIVED, &(struct db_iter_options){.upper = {&upper, 1}});
    if (!it)
        return -ENOMEM;
    struct db_pair pair;
    int r = db_iter_seek(it, (struct str){&first, 1}, &pair, err);
    for (; r == 0; r = db_iter_next(it, &pair, err)) {
        struct index_schema kept;
        const char *end = pair.value.p + pair.value.n, *text = varint_get(pair.value.p, end, &kept.time);
        if (key_schema_read(pair.key, &kept) < 0 || !text || types_name(types, kept.type_no).n == 0) {
            r = family_damaged(pair.key, err);
            break;
        }
        kept.text = (struct str){text, (size_t)(end - text)};
        r = schemas_add(schemas, &kept, NULL);
        if (r < 0)
            break;
    }
    db_iter_free(it);
    return r == DB_NOT_FOUND ? 0 : r;
}

int index_skips_load(struct db *db, const struct types *types, struct skips *skips, struct err *err) {
    static const char first = KEY_SKIP, upper = KEY_SKIP + 1;
    struct db_iter *it = db_iter_new(db, DB_DERIVED, &(struct db_iter_options){.upper = {&upper, 1}});
    if (!it)
        return -ENOMEM;
    struct db_pair pair;
    int r = db_iter_seek(it, (struct str){&first, 1}, &pair, err);
    for (; r == 0; r = db_iter_next(it, &pair, err)) {
        struct index_skip kept;
        if (key_skip_read(pair.key, &kept) < 0 || value_read_skip(pair.value, &kept) < 0 ||
            types_name(types, kept.type_no).n == 0) {
            r = family_damaged(pair.key, err);
            break;
        }
        r = skips_add(skips, &kept, NULL);
        if (r < 0)
            break;
    }
    db_iter_free(it);
    return r == DB_NOT_FOUND ? 0 : r;
}

static int family_load(struct index *ix, struct err *err) {
    int r = family_meta(ix->db, &ix->family, err);
    if (r < 0)
        return r;
    if (r == DB_NOT_FOUND)
        ix->family = (struct meta){.head = {.next_aggregate = 1, .next_type = 1}};
    ix->head = ix->family.head;
    r = index_types_load(ix->db, &ix->types, &ix->head, err);
    if (r == 0)
        r = index_schemas_load(ix->db, &ix->types, &ix->schemas, err);
    return r < 0 ? r : index_skips_load(ix->db, &ix->types, &ix->skips, err);
}

static int log_catch_up(struct index *ix, struct err *err) {
    struct replay *replay = NULL;
    struct replay_block block;
    int r = replay_open(&replay, ix->db, &ix->family, err);
    while (r == 0) {
        r = replay_next(replay, &block, err);
        if (r == 0)
            r = index_check(ix, block.chunks, block.n, block.link, err);
        if (r == 0)
            r = index_apply(ix, err);
    }
    replay_close(replay);
    if (r == -EBADMSG && err)
        err->code = EUCLEAN;
    return r == REPLAY_END ? index_fault(ix, err) : r == -EBADMSG ? -EUCLEAN : r;
}

static struct index *index_new(struct db *db, const uint8_t *store_id, bool read_only,
                               const struct index_limits *limits) {
    struct index *ix = calloc(1, sizeof *ix);
    if (!ix)
        return NULL;
    ix->db = db;
    ix->store_id = store_id;
    ix->read_only = read_only;
    ix->limits = *limits;
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    /* Readers come in an endless stream; the one writer must not wait for a gap. */
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&ix->lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    pthread_mutex_init(&ix->gate, NULL);
    pthread_cond_init(&ix->changed, NULL);
    return ix;
}

int index_open_sized(struct index **out, struct db *db, const uint8_t *store_id, bool read_only,
                     const struct index_limits *limits, struct err *err) {
    struct index *ix = index_new(db, store_id, read_only, limits);
    if (!ix)
        return -ENOMEM;
    int r = types_init(&ix->types);
    ix->entries = entry_cache_new();
    ix->chunks = chunk_cache_new();
    if (r == 0 && (!ix->entries || !ix->chunks))
        r = -ENOMEM;
    if (r == 0)
        r = family_load(ix, err);
    if (r == 0)
        r = window_add(ix);
    if (r == 0 && !read_only)
        r = thread_start(ix);
    if (r == 0)
        r = log_catch_up(ix, err);
    if (r < 0) {
        index_close(ix);
        return r;
    }
    *out = ix;
    return 0;
}

int index_open(struct index **out, struct db *db, const uint8_t *store_id, bool read_only, struct err *err) {
    struct index_limits limits = {INDEX_WINDOW_WEIGHT, INDEX_WINDOW_BYTES};
    return index_open_sized(out, db, store_id, read_only, &limits, err);
}

void index_close(struct index *ix) {
    if (!ix)
        return;
    pthread_mutex_lock(&ix->gate);
    ix->stop = true;
    pthread_cond_broadcast(&ix->changed);
    pthread_mutex_unlock(&ix->gate);
    if (ix->started)
        pthread_join(ix->thread, NULL);
    for (size_t i = 0; i < ix->n_windows; i++)
        window_free(ix->windows[i]);
    free(ix->windows);
    decoded_free(&ix->decoded);
    entry_cache_free(ix->entries);
    chunk_cache_free(ix->chunks);
    schemas_free(&ix->schemas);
    skips_free(&ix->skips);
    types_free(&ix->types);
    pthread_cond_destroy(&ix->changed);
    pthread_mutex_destroy(&ix->gate);
    pthread_rwlock_destroy(&ix->lock);
    free(ix);
}
