#include "parking.h"

#include "array.h"
#include "db.h"
#include "digest.h"
#include "view_data.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static uint64_t hash_of(struct str key) {
    return digest_table(key.p, key.n);
}

static size_t first_of(const struct parking *p, struct str key) {
    struct table_probe probe;
    if (p->n == 0)
        return p->n;
    uint32_t i = table_first(&p->first, hash_of(key), &probe);
    while (i != TABLE_NONE && !str_eq(p->list[i].key, key))
        i = table_next(&p->first, &probe);
    return i == TABLE_NONE ? p->n : i;
}

bool parking_holds(const struct parking *p, struct str key, uint64_t *position) {
    size_t i = first_of(p, key);
    if (i == p->n)
        return false;
    *position = p->list[i].position;
    return true;
}

/* Puts it at the end of the list. */
static int append(struct parking *p, uint64_t position, struct str key) {
    char *copy = NULL;
    if (key.p && !(copy = malloc(key.n + 1)))
        return -ENOMEM;
    if (copy && key.n)
        memcpy(copy, key.p, key.n);
    if (!ARRAY_ROOM(p->list, p->n, p->cap)) {
        free(copy);
        return -ENOMEM;
    }
    p->changed = true;
    p->list[p->n] = (struct parked){position, {copy, copy ? key.n : 0}};
    if (copy && first_of(p, key) == p->n && table_put(&p->first, hash_of(key), (uint32_t)p->n) < 0) {
        free(copy);
        return -ENOMEM;
    }
    p->n++;
    return 0;
}

static void clear(struct parking *p) {
    for (size_t i = 0; i < p->n; i++)
        free((char *)p->list[i].key.p);
    p->n = 0;
    table_clear(&p->first);
}

void parking_deinit(struct parking *p) {
    clear(p);
    table_free(&p->first);
    free(p->list);
    *p = (struct parking){0};
}

static struct view_key_bytes key_of(uint64_t build, uint64_t position, struct str key) {
    struct view_key_bytes k = view_key_begin(build, VIEW_CLASS_PARKED);
    view_key_add(&k, position);
    view_key_add_name(&k, key);
    return k;
}

int parking_load(struct parking *p, struct db *db, uint64_t build, struct err *err) {
    struct view_key_bytes from = view_key_begin(build, VIEW_CLASS_PARKED),
                          to = view_key_begin(build, VIEW_CLASS_PARKED + 1);
    const struct db_iter_options options = {.upper = view_key_str(&to)};
    struct db_pair pair;
    clear(p);
    p->changed = true;
    struct db_iter *it = db_iter_new(db, DB_VIEWS, &options);
    if (!it)
        return err_set(err, ENOMEM, "out of memory");
    int r = db_iter_seek(it, view_key_str(&from), &pair, err);
    while (r == 0) {
        struct parked_record record;
        uint64_t position;
        if (view_key_numbers(pair.key, &position, 1) != 1 || parked_record_get(pair.value, &record) < 0)
            r = err_set(err, EUCLEAN, "what a view has parked is damaged");
        else if (append(p, position, record.has_key ? record.key : (struct str){NULL, 0}) < 0)
            r = err_set(err, ENOMEM, "out of memory");
        if (r == 0)
            r = db_iter_next(it, &pair, err);
    }
    db_iter_free(it);
    if (r == DB_NOT_FOUND) {
        p->changed = false;
        r = 0;
    }
    return r;
}

void parking_committed(struct parking *p) {
    p->changed = false;
}

int parking_revert(struct parking *p, struct db *db, uint64_t build, struct err *err) {
    return p->changed ? parking_load(p, db, build, err) : 0;
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int parking_note(uint64_t build, const struct parked *entry, uint64_t attempts, const struct script_fault *fault,
                 struct changes *changes) {
    struct parked_record record = {.key = entry->key, .has_key = entry->key.p != NULL, .attempts = attempts};
    struct buf value = {0};
    if (fault) {
        record.time = now();
        record.file = str_of(fault->file);
        record.line = (uint64_t)fault->line;
        record.text = str_of(fault->text);
        record.traceback = str_of(fault->traceback);
    }
    parked_record_put(&record, &value);
    struct view_key_bytes k = key_of(build, entry->position, entry->key);
    int r = value.oom ? -ENOMEM : changes_put(changes, view_key_str(&k), buf_str(&value));
    buf_free(&value);
    return r;
}

static bool is_there(const struct parking *p, uint64_t position, struct str key) {
    for (size_t i = parking_at(p, position); i < p->n && p->list[i].position == position; i++)
        if (str_eq(p->list[i].key, key))
            return true;
    return false;
}

int parking_add(struct parking *p, uint64_t build, uint64_t position, struct str key, const struct script_fault *fault,
                struct changes *changes) {
    if (is_there(p, position, key))
        return 0;
    if (p->n >= PARKED_MAX)
        return -EDQUOT;
    int r = append(p, position, key);
    return r < 0 ? r : parking_note(build, &p->list[p->n - 1], fault ? 1 : 0, fault, changes);
}

int parking_remove(struct parking *p, uint64_t build, size_t i, struct changes *changes) {
    struct view_key_bytes k = key_of(build, p->list[i].position, p->list[i].key);
    int r = changes_remove(changes, view_key_str(&k));
    p->changed = true;
    free((char *)p->list[i].key.p);
    memmove(p->list + i, p->list + i + 1, (p->n - i - 1) * sizeof *p->list);
    p->n--;
    table_clear(&p->first);
    size_t n = p->n;
    for (p->n = 0; r == 0 && p->n < n; p->n++)
        if (p->list[p->n].key.p && first_of(p, p->list[p->n].key) == p->n)
            r = table_put(&p->first, hash_of(p->list[p->n].key), (uint32_t)p->n);
    p->n = n;
    return r;
}

size_t parking_at(const struct parking *p, uint64_t position) {
    size_t low = 0, high = p->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->list[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low < p->n && p->list[low].position == position ? low : p->n;
}
