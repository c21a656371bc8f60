/* Doing again what was parked. Each step is a batch of its own. */
#include "maker.h"
#include "store_parts.h"

#include <errno.h>
#include <stdlib.h>

/* There is nothing that it could be split into. */
static int step_commit(struct maker *m, struct err *err) {
    m->touched = true;
    m->projection.most = 1;
    return maker_commit(m, m->next.position, err);
}

static uint64_t attempts_of(struct maker *m, const struct parked *entry) {
    struct view_key_bytes key = view_key_begin(m->build, VIEW_CLASS_PARKED);
    struct parked_record record = {0};
    struct db_value value;
    view_key_add(&key, entry->position);
    view_key_add_name(&key, entry->key);
    if (db_get(m->db, DB_VIEWS, view_key_str(&key), &value, NULL) != 0)
        return 0;
    if (parked_record_get(value.bytes, &record) < 0)
        record.attempts = 0;
    db_value_release(&value);
    return record.attempts;
}

static int event_again(struct maker *m, const struct parked *entry, struct script_fault *failed, struct err *err) {
    const struct stream_source source = {m->store->index, m->store->log, home_id(m->store->home)};
    struct log_chunk *chunk;
    struct event stored;
    int r = stream_event(&source, entry->position, &chunk, &stored, err);
    if (r != 0)
        return r < 0 ? r : -ENOENT;
    struct maker_event e = {.seen = {.stored = &stored}, .only = entry->key, .alone = true};
    r = maker_take(m, &e, failed, err);
    if (r == SCRIPT_FAILED)
        maker_tell(m, &stored, "a parked event failed again", failed);
    else if (r != 0)
        r = maker_stop_at(&stored, r, err);
    log_chunk_release(chunk);
    return r;
}

/* 0: it is in, and not parked any more; -EIO: it failed again, which is noted. */
static int entry_again(struct maker *m, size_t i, struct err *err) {
    struct script_fault failed = {0};
    int r = event_again(m, &m->parking.list[i], &failed, err);
    if (r == SCRIPT_FAILED) {
        const struct parked *entry = &m->parking.list[i];
        r = parking_note(m->build, entry, attempts_of(m, entry) + 1, &failed, &m->changes);
        if (r == 0)
            r = step_commit(m, err);
        return r < 0 ? r : -EIO;
    }
    if (r == 0)
        r = parking_remove(&m->parking, m->build, i, &m->changes);
    if (r == 0)
        r = step_commit(m, err);
    return r > 0 ? -EIO : r;
}

/* Those of a key that have waited, in order, until one fails. */
static int release(struct maker *m, struct str key, struct err *err) {
    uint64_t position;
    int r = 0;
    while (r == 0 && parking_holds(&m->parking, key, &position)) {
        size_t i = parking_at(&m->parking, position);
        while (!str_eq(m->parking.list[i].key, key))
            i++;
        r = entry_again(m, i, err);
    }
    return r == -EIO && !err->code ? 0 : r;
}

/* After a failure of the database what is in memory is not what is committed. */
static int again_end(struct maker *m, int r, struct err *err) {
    if (r < 0 && r != -EIO && r != -EBUSY && r != -ENOENT)
        maker_abandon(m);
    if (err->code)
        store_report(m->store, m->follower_name, err);
    return r;
}

static bool is_busy(const struct maker *m, uint64_t position) {
    uint64_t first;
    for (size_t i = parking_at(&m->parking, position); i < m->parking.n && m->parking.list[i].position == position; i++)
        if (m->parking.list[i].key.p && parking_holds(&m->parking, m->parking.list[i].key, &first) && first < position)
            return true;
    return false;
}

static char *key_copy(struct str key) {
    char *copy = malloc(key.n + 1);
    if (copy && key.n)
        memcpy(copy, key.p, key.n);
    return copy;
}

bool maker_has_parked(const struct maker *m, uint64_t position) {
    return parking_at(&m->parking, position) < m->parking.n;
}

int maker_retry(struct maker *m, uint64_t position) {
    struct err err = {0};
    size_t i;
    int r = 0;
    if (!maker_has_parked(m, position))
        return -ENOENT;
    if (is_busy(m, position))
        return -EBUSY;
    while (r == 0 && (i = parking_at(&m->parking, position)) < m->parking.n) {
        struct str key = m->parking.list[i].key;
        char *copy = key_copy(key);
        bool known = key.p != NULL;
        r = copy ? entry_again(m, i, &err) : -ENOMEM;
        if (r == 0 && known)
            r = release(m, (struct str){copy, key.n}, &err);
        free(copy);
    }
    return again_end(m, r, &err);
}

int maker_skip(struct maker *m, uint64_t position) {
    struct err err = {0};
    uint64_t first;
    size_t i;
    int r = 0;
    if (!maker_has_parked(m, position))
        return -ENOENT;
    while (r == 0 && (i = parking_at(&m->parking, position)) < m->parking.n) {
        struct str key = m->parking.list[i].key;
        bool leads = key.p && parking_holds(&m->parking, key, &first) && first == position;
        char *copy = key_copy(key);
        r = copy ? parking_remove(&m->parking, m->build, i, &m->changes) : -ENOMEM;
        if (r == 0)
            r = step_commit(m, &err);
        if (r == 0 && leads)
            r = release(m, (struct str){copy, key.n}, &err);
        free(copy);
    }
    return again_end(m, r, &err);
}

int maker_skip_decided(struct maker *m) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < m->parking.n;) {
        uint64_t position = m->parking.list[i].position;
        if (index_skip_find(m->store->index, str_of(m->follower_name), position) != 0) {
            i++;
            continue;
        }
        r = maker_skip(m, position);
        i = 0;
    }
    return r;
}
