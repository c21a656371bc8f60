/* Moving the cursor by hand. */
#include "kafka_data.h"
#include "kafka_verify.h"
#include "kafka_window.h"

#include <errno.h>
#include <stdlib.h>

struct seek {
    struct kafka_shelf shelf;
    struct kafka_change change; /* the last one */
    bool changed;               /* there was one */
    struct buf meta, value;
    char change_key[KAFKA_KEY_CHANGE_BYTES];
    char (*keys)[KAFKA_KEY_PARKED_BYTES]; /* of what is not parked any more */
    struct db_change *list;
    size_t n;
};

/* What is published again may be there as other rules than those to come have made it. */
static int change_read(struct seek *s, struct db *db, uint64_t position, struct err *err) {
    struct kafka_meta meta = {0};
    struct kafka_change first;
    struct buf text = {0};
    int r = kafka_meta_load(db, &meta, &text, err);
    buf_free(&text);
    if (r == 0 || r == DB_NOT_FOUND)
        r = kafka_changes_load(db, &first, &s->change, err);
    static const struct kafka_change none = {0};
    s->changed = r == 0 && memcmp(&s->change, &none, sizeof none) != 0;
    s->change.position = position;
    if (meta.position + KAFKA_WINDOW > s->change.until)
        s->change.until = meta.position + KAFKA_WINDOW;
    return r;
}

static int read_all(struct seek *s, struct db *db, uint64_t position, struct err *err) {
    const struct kafka_meta meta = {.position = position};
    int r = kafka_parked_load(db, &s->shelf, err);
    if (r == 0)
        r = change_read(s, db, position, err);
    if (r < 0)
        return r;
    kafka_meta_put(&meta, &s->meta);
    kafka_change_put(&s->change, &s->value);
    s->list = calloc(s->shelf.n + 2, sizeof *s->list);
    s->keys = calloc(s->shelf.n + 1, sizeof *s->keys);
    return s->list && s->keys && !s->meta.oom && !s->value.oom ? 0 : err_set(err, ENOMEM, "out of memory");
}

static void add(struct seek *s, struct str key, const struct buf *value) {
    s->list[s->n++] = (struct db_change){
        .family = DB_CURSORS, .key = key, .value = value ? buf_str(value) : (struct str){0}, .remove = !value};
}

int kafka_seek(struct db *db, uint64_t position, uint64_t *kept, uint64_t *dropped, struct err *err) {
    struct seek s = {0};
    int r = read_all(&s, db, position, err);
    if (r == 0) {
        size_t first = kafka_shelf_at(&s.shelf, position + 1);
        for (size_t i = first; i < s.shelf.n; i++)
            add(&s, kafka_key_parked(s.shelf.list[i].position, s.keys[i]), NULL);
        add(&s, KAFKA_KEY_META, &s.meta);
        if (s.changed)
            add(&s, kafka_key_change(position, s.change_key), &s.value);
        r = db_write(db, s.list, s.n, true, err);
        *kept = first;
        *dropped = s.shelf.n - first;
    }
    kafka_shelf_free(&s.shelf);
    buf_free(&s.meta);
    buf_free(&s.value);
    free(s.list);
    free(s.keys);
    return r;
}
