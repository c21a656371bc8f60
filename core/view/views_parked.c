/* Parked events, for readers; and those that a rebuild has made good. */
#include "views_private.h"

#include "store_parts.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* --- made good by a rebuild: kept by name until somebody moves them, for whoever repaired the view */

static struct view_key_bytes resolved_key(uint32_t no, uint64_t position) {
    struct view_key_bytes k = view_key_begin(0, VIEW_CLASS_RESOLVED);
    view_key_add(&k, no);
    view_key_add(&k, position);
    return k;
}

bool view_was_resolved(struct views *vs, uint32_t no, uint64_t position) {
    struct view_key_bytes key = resolved_key(no, position);
    struct db_value value;
    int r = db_get(vs->db, DB_VIEWS, view_key_str(&key), &value, NULL);
    if (r == 0)
        db_value_release(&value);
    return r == 0;
}

void view_resolved_forget(struct views *vs, uint32_t no, uint64_t position) {
    struct view_key_bytes key = resolved_key(no, position);
    const struct db_change change = {.family = DB_VIEWS, .key = view_key_str(&key), .remove = true};
    struct err err = {0};
    if (db_views_write(vs->db, &change, 1, &err) < 0)
        views_fail(vs, &err);
}

/* --- positions */

struct positions {
    uint64_t *out;
    size_t n, room;
};

/* Positions parked in a build, or noted as resolved, above a number: each once. */
static int positions_read(struct views *vs, const struct view_key_bytes *begin, int numbers, uint64_t after,
                          struct positions *p, struct err *err) {
    struct view_key_bytes from = *begin, to = *begin;
    struct db_pair pair;
    uint64_t number[2];
    if (after == UINT64_MAX)
        return 0;
    view_key_add(&from, after + 1);
    memset(to.bytes + to.n, 0xff, 9);
    to.n += 9;
    const struct db_iter_options options = {.upper = view_key_str(&to)};
    struct db_iter *it = db_iter_new(vs->db, DB_VIEWS, &options);
    if (!it)
        return -ENOMEM;
    int r = db_iter_seek(it, view_key_str(&from), &pair, err);
    while (r == 0 && p->n < p->room && view_key_numbers(pair.key, number, numbers) == numbers) {
        uint64_t position = number[numbers - 1];
        if (p->n == 0 || p->out[p->n - 1] != position)
            p->out[p->n++] = position;
        r = db_iter_next(it, &pair, err);
    }
    db_iter_free(it);
    return r < 0 ? r : 0;
}

static int parked_read(struct views *vs, uint64_t build, uint64_t after, struct positions *p, struct err *err) {
    struct view_key_bytes begin = view_key_begin(build, VIEW_CLASS_PARKED);
    return positions_read(vs, &begin, 1, after, p, err);
}

int views_parked(struct views *vs, uint32_t no, uint64_t after, uint64_t *out, size_t n) {
    struct positions p = {out, 0, n};
    struct err err = {0};
    struct view_info info;
    int r = views_get(vs, no, &info);
    if (r == 0)
        r = parked_read(vs, info.build, after, &p, &err);
    if (r < 0)
        store_report(vs->store, "reading what a view has parked", &err);
    return r < 0 ? r : (int)p.n;
}

static bool has_position(const struct positions *p, uint64_t position) {
    for (size_t low = 0, high = p->n; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (p->out[middle] == position)
            return true;
        if (p->out[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Notes what was parked in one build and is not in the other, and forgets what was noted before and is parked again.
 * Notes outlast further rebuilds, as they wait for a person; when nobody has come for PARKED_MAX of them they all go.
 */
static int resolved_change(struct views *vs, uint32_t no, const struct positions *old, const struct positions *now,
                           struct positions *before, struct changes *changes, struct err *err) {
    struct view_key_bytes begin = view_key_begin(0, VIEW_CLASS_RESOLVED);
    view_key_add(&begin, no);
    int r = positions_read(vs, &begin, 2, 0, before, err);
    bool full = before->n > PARKED_MAX;
    for (size_t i = 0; r == 0 && i < before->n; i++) {
        struct view_key_bytes key = resolved_key(no, before->out[i]);
        if (full || has_position(now, before->out[i]))
            r = changes_remove(changes, view_key_str(&key));
    }
    for (size_t i = 0; r == 0 && i < old->n; i++) {
        struct view_key_bytes key = resolved_key(no, old->out[i]);
        if (!has_position(now, old->out[i]))
            r = changes_put(changes, view_key_str(&key), STR("1"));
    }
    return r;
}

int view_resolved_note(struct views *vs, uint32_t no, uint64_t old_build, uint64_t new_build, struct changes *changes,
                       struct err *err) {
    struct positions list[3] = {{.room = PARKED_MAX + 1}, {.room = PARKED_MAX + 1}, {.room = PARKED_MAX + 1}};
    int r = 0;
    for (int i = 0; i < 3; i++)
        if (!(list[i].out = malloc(list[i].room * sizeof *list[i].out)))
            r = -ENOMEM;
    if (r == 0 && old_build)
        r = parked_read(vs, old_build, 0, &list[0], err);
    if (r == 0)
        r = parked_read(vs, new_build, 0, &list[1], err);
    if (r == 0)
        r = resolved_change(vs, no, &list[0], &list[1], &list[2], changes, err);
    for (int i = 0; i < 3; i++)
        free(list[i].out);
    return r;
}

/* --- the file of one */

static void member_put(struct buf *out, const char *name, struct str text) {
    buf_printf(out, ",\"%s\":", name);
    buf_put_json_string(out, text);
}

/* The first event that is parked for a key. */
static uint64_t first_parked(struct views *vs, uint64_t build, struct str key) {
    struct view_key_bytes from = view_key_begin(build, VIEW_CLASS_PARKED),
                          to = view_key_begin(build, VIEW_CLASS_PARKED + 1);
    const struct db_iter_options options = {.upper = view_key_str(&to)};
    struct db_iter *it = db_iter_new(vs->db, DB_VIEWS, &options);
    struct parked_record record;
    struct db_pair pair;
    uint64_t position = 0;
    int r = it ? db_iter_seek(it, view_key_str(&from), &pair, NULL) : -ENOMEM;
    while (r == 0 && position == 0) {
        if (parked_record_get(pair.value, &record) == 0 && record.has_key && str_eq(record.key, key))
            view_key_numbers(pair.key, &position, 1);
        r = db_iter_next(it, &pair, NULL);
    }
    db_iter_free(it);
    return position;
}

/* What became of the event for one key. */
static void failure_put(struct views *vs, uint64_t build, const struct parked_record *r, struct buf *out) {
    char time[EVENT_TIME_CHARS], position[EVENT_POSITION_CHARS];
    if (r->has_key)
        member_put(out, "key", r->key);
    if (r->attempts == 0) {
        event_position(first_parked(vs, build, r->key), position);
        member_put(out, "waits_for", (struct str){position, sizeof position});
        return;
    }
    member_put(out, "error", r->text);
    if (r->file.n)
        member_put(out, "file", r->file);
    if (r->line)
        buf_printf(out, ",\"line\":%" PRIu64, r->line);
    if (r->traceback.n)
        member_put(out, "traceback", r->traceback);
    event_time(r->time, time);
    member_put(out, "tried", (struct str){time, sizeof time});
    buf_printf(out, ",\"attempts\":%" PRIu64, r->attempts);
}

/* One key at the top, where it is looked for; if there are more, those in a list. */
static int failures_put(struct views *vs, uint64_t build, uint64_t position, struct buf *out, struct err *err) {
    struct view_key_bytes from = view_key_begin(build, VIEW_CLASS_PARKED), to;
    struct parked_record record;
    struct db_pair pair;
    size_t n = 0;
    view_key_add(&from, position);
    to = from;
    memset(to.bytes + to.n, 0xff, 1);
    to.n++;
    const struct db_iter_options options = {.upper = view_key_str(&to)};
    struct db_iter *it = db_iter_new(vs->db, DB_VIEWS, &options);
    int r = it ? db_iter_seek(it, view_key_str(&from), &pair, err) : -ENOMEM;
    for (; r == 0; r = db_iter_next(it, &pair, err)) {
        if (parked_record_get(pair.value, &record) < 0)
            continue;
        if (n > 0)
            buf_put_text(out, n == 1 ? ",\"also\":[" : ",");
        size_t at = out->n;
        failure_put(vs, build, &record, out);
        if (n > 0 && !out->oom && out->n > at) {
            out->p[at] = '{'; /* in the place of the comma */
            buf_put_char(out, '}');
        }
        n++;
    }
    if (n > 1)
        buf_put_char(out, ']');
    db_iter_free(it);
    return r < 0 && r != DB_NOT_FOUND ? r : n ? 0 : VIEW_NONE;
}

int views_parked_text(struct views *vs, uint32_t no, uint64_t position, struct buf *out) {
    char shown[EVENT_POSITION_CHARS];
    size_t before = out->n;
    struct err err = {0};
    struct view_info info;
    int r = views_get(vs, no, &info);
    if (r != 0)
        return r;
    event_position(position, shown);
    buf_printf(out, "{\"position\":\"%.*s\"", EVENT_POSITION_CHARS, shown);
    r = failures_put(vs, info.build, position, out, &err);
    if (r == VIEW_NONE && view_was_resolved(vs, no, position)) {
        buf_put_text(out, ",\"resolved\":\"by a rebuild of the view\"");
        r = 0;
    }
    if (r == 0) {
        buf_put_text(out, ",\"event\":");
        r = text_put_event(vs->store, position, out);
        buf_put_text(out, "}\n");
    }
    if (r < 0 && err.code)
        store_report(vs->store, "reading what a view has parked", &err);
    if (r == 0 && out->oom)
        r = -ENOMEM;
    if (r != 0)
        out->n = before;
    return r < 0 && r != -ENOMEM ? -EIO : r;
}
