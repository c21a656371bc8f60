/* Moving the cursor by hand. */
#include "changes.h"
#include "kafka_data.h"
#include "kafka_verify.h"
#include "kafka_window.h"

#include <errno.h>

struct seek {
    struct kafka_shelf shelf;
    struct kafka_change change; /* the last one */
    bool changed;               /* there was one */
    struct buf meta, value;
    struct changes changes;
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
    return s->meta.oom || s->value.oom ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* What lies behind the position is not parked any more from shelf.list[first] on. */
static int put_all(struct seek *s, uint64_t position, size_t first, struct err *err) {
    char parked[KAFKA_KEY_PARKED_BYTES], change[KAFKA_KEY_CHANGE_BYTES];
    int r = changes_put(&s->changes, KAFKA_KEY_META, buf_str(&s->meta));
    for (size_t i = first; r == 0 && i < s->shelf.n; i++)
        r = changes_remove(&s->changes, kafka_key_parked(s->shelf.list[i].position, parked));
    if (r == 0 && s->changed)
        r = changes_put(&s->changes, kafka_key_change(position, change), buf_str(&s->value));
    return r < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

int kafka_seek(struct db *db, uint64_t position, uint64_t *kept, uint64_t *dropped, struct err *err) {
    struct seek s = {.changes.of = CHANGES_OF_CURSORS};
    int r = read_all(&s, db, position, err);
    *kept = r == 0 ? kafka_shelf_at(&s.shelf, position + 1) : 0;
    *dropped = s.shelf.n - *kept;
    if (r == 0)
        r = put_all(&s, position, *kept, err);
    if (r == 0)
        r = db_write(db, s.changes.list, s.changes.n, true, err);
    kafka_shelf_free(&s.shelf);
    buf_free(&s.meta);
    buf_free(&s.value);
    changes_free(&s.changes);
    return r;
}
