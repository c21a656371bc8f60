#include "tree.h"

#include "array.h"
#include "digest.h"
#include "maker.h"
#include "store_parts.h"
#include "varint.h"
#include "views.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOT 0
#define NAMES_KEPT (256u << 10) /* of memory, from one batch to the next */

struct live_dir {
    uint64_t no;
    struct dir_record record; /* its name is behind the struct */
    bool stored;              /* in the build */
    bool dirty;
};

/* --- directories in use */

void tree_init(struct tree *t) {
    *t = (struct tree){.batch = 1};
}

static void moves_forget(struct tree *t) {
    t->n_moves = 0;
    t->batch++;
    arena_reset(&t->arena, NAMES_KEPT);
}

void tree_clear(struct maker *m) {
    struct tree *t = &m->tree;
    for (uint32_t i = 0; i < t->n; i++)
        free(t->list[i]);
    t->n = 0;
    t->n_dirty = 0;
    moves_forget(t);
    table_clear(&t->by_no);
    table_clear(&t->by_name);
}

void tree_deinit(struct maker *m) {
    struct tree *t = &m->tree;
    tree_clear(m);
    table_free(&t->by_no);
    table_free(&t->by_name);
    free(t->list);
    free(t->dirty);
    free(t->moves);
    arena_free(&t->arena);
    *t = (struct tree){0};
}

static uint64_t name_hash(uint64_t parent, struct str name) {
    return digest_table(name.p, name.n) ^ table_hash_number(parent);
}

static struct live_dir *find_no(struct tree *t, uint64_t no) {
    struct table_probe probe;
    uint32_t i = table_first(&t->by_no, table_hash_number(no), &probe);
    while (i != TABLE_NONE && t->list[i]->no != no)
        i = table_next(&t->by_no, &probe);
    return i == TABLE_NONE ? NULL : t->list[i];
}

static struct live_dir *find_name(struct tree *t, uint64_t parent, struct str name) {
    struct table_probe probe;
    uint32_t i = table_first(&t->by_name, name_hash(parent, name), &probe);
    while (i != TABLE_NONE &&
           (t->list[i]->no == ROOT || t->list[i]->record.parent != parent || !str_eq(t->list[i]->record.name, name)))
        i = table_next(&t->by_name, &probe);
    return i == TABLE_NONE ? NULL : t->list[i];
}

static struct live_dir *dir_keep(struct tree *t, uint64_t no, const struct dir_record *record, bool stored) {
    size_t cap = t->cap;
    struct live_dir *d = malloc(sizeof *d + record->name.n + 1);
    bool room = d && ARRAY_ROOM(t->list, t->n, cap);
    t->cap = (uint32_t)cap;
    if (!room || table_put(&t->by_no, table_hash_number(no), t->n) < 0 ||
        table_put(&t->by_name, name_hash(record->parent, record->name), t->n) < 0) {
        free(d);
        return NULL;
    }
    char *name = (char *)(d + 1);
    if (record->name.n)
        memcpy(name, record->name.p, record->name.n);
    *d = (struct live_dir){.no = no, .record = *record, .stored = stored};
    d->record.name = (struct str){name, record->name.n};
    return t->list[t->n++] = d;
}

static struct view_key_bytes dir_key(const struct maker *m, uint64_t no) {
    struct view_key_bytes k = view_key_begin(m->build, VIEW_CLASS_DIR);
    view_key_add(&k, no);
    return k;
}

/* The root need not be there. */
static int dir_load(struct maker *m, uint64_t no, struct live_dir **out, struct err *err) {
    struct view_key_bytes key = dir_key(m, no);
    struct dir_record record = {.name = STR("")};
    struct db_value value = {0};
    *out = find_no(&m->tree, no);
    if (*out)
        return 0;
    int r = db_get(m->db, DB_VIEWS, view_key_str(&key), &value, err);
    bool stored = r == 0;
    if (stored && dir_record_get(value.bytes, &record) < 0)
        r = err_set(err, EUCLEAN, "a directory of view %s is damaged", m->view->name.p);
    if (r == DB_NOT_FOUND)
        r = no == ROOT ? 0 : err_set(err, EUCLEAN, "a directory of view %s is missing", m->view->name.p);
    if (r == 0 && !(*out = dir_keep(&m->tree, no, &record, stored)))
        r = err_set(err, ENOMEM, "out of memory");
    db_value_release(&value);
    return r;
}

/* The directory of a name in a directory: one that is there, or a new one, which stays nobody's until something is put
 * into it. */
static int dir_child(struct maker *m, const struct live_dir *parent, struct str name, struct live_dir **out,
                     struct err *err) {
    struct view_key_bytes key = view_key_begin(m->build, VIEW_CLASS_ENTRY);
    struct db_value value = {0};
    uint64_t no;
    *out = find_name(&m->tree, parent->no, name);
    if (*out)
        return 0;
    view_key_add(&key, parent->no);
    view_key_add_name(&key, name);
    int r = db_get(m->db, DB_VIEWS, view_key_str(&key), &value, err);
    if (r == 0 && value.bytes.n == 8) {
        no = be64_get(value.bytes.p);
        db_value_release(&value);
        return dir_load(m, no, out, err);
    }
    db_value_release(&value);
    if (r != DB_NOT_FOUND)
        return r < 0 ? r : err_set(err, EUCLEAN, "a directory of view %s is damaged", m->view->name.p);
    const struct dir_record record = {.parent = parent->no, .levels = parent->record.levels + 1, .name = name};
    *out = dir_keep(&m->tree, m->next.next_dir++, &record, false);
    return *out ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* --- moving links */

static int touch(struct tree *t, struct live_dir *d) {
    if (d->dirty)
        return 0;
    if (!ARRAY_ROOM(t->dirty, t->n_dirty, t->dirty_cap))
        return -ENOMEM;
    t->dirty[t->n_dirty++] = d;
    d->dirty = true;
    return 0;
}

/* A directory gains or loses a child; one that has become empty goes, and one that was empty comes. */
static int children_add(struct maker *m, struct live_dir *d, int by, bool dir, uint64_t time, struct err *err) {
    for (;;) {
        bool was_empty = d->record.children == 0;
        d->record.children += (uint64_t)(int64_t)by;
        d->record.dirs += dir ? (uint64_t)(int64_t)by : 0;
        d->record.time = time;
        if (touch(&m->tree, d) < 0)
            return err_set(err, ENOMEM, "out of memory");
        bool is_empty = d->record.children == 0;
        if (d->no == ROOT || was_empty == is_empty)
            return 0;
        int r = dir_load(m, d->record.parent, &d, err);
        if (r < 0)
            return r;
        dir = true;
    }
}

static struct view_key_bytes place_key(const struct maker *m, uint64_t aggregate) {
    struct view_key_bytes k = view_key_begin(m->build, VIEW_CLASS_PLACE);
    view_key_add(&k, aggregate);
    return k;
}

/* Where the aggregate is listed now. */
static int place_load(struct maker *m, struct aggregate_state *a, struct err *err) {
    struct view_key_bytes key = place_key(m, a->aggregate);
    struct db_value value = {0};
    if (a->place != AGGREGATE_NO_PLACE)
        return 0;
    int r = db_get(m->db, DB_VIEWS, view_key_str(&key), &value, err);
    if (r < 0)
        return r;
    a->place = r == 0 && value.bytes.n == 8 ? be64_get(value.bytes.p) + 1 : 0;
    db_value_release(&value);
    return 0;
}

static int move_name(struct maker *m, const struct maker_event *e, struct str *out) {
    buf_clear(&m->scratch);
    viewer_link(&m->viewer, &e->seen, &m->scratch);
    *out = m->scratch.oom ? (struct str){0} : arena_copy(&m->tree.arena, buf_str(&m->scratch));
    return out->p ? 0 : -ENOMEM;
}

/* Of several moves in a batch the last one counts. */
static int move_note(struct maker *m, const struct maker_event *e, uint64_t to) {
    struct aggregate_state *a = e->seen.aggregate;
    struct tree *t = &m->tree;
    if (a->batch != t->batch) {
        struct tree_move move = {.aggregate = a->aggregate, .from = a->place};
        if (move_name(m, e, &move.name) < 0 || !ARRAY_ROOM(t->moves, t->n_moves, t->moves_cap))
            return -ENOMEM;
        a->batch = t->batch;
        a->move = t->n_moves;
        t->moves[t->n_moves++] = move;
    }
    t->moves[a->move].to = a->place = to;
    t->moves[a->move].time = e->seen.stored->time;
    return 0;
}

/* to NULL: it is not listed any more. */
static int move(struct maker *m, const struct maker_event *e, struct live_dir *to, struct err *err) {
    struct live_dir *from = NULL;
    uint64_t time = e->seen.stored->time, place = to ? to->no + 1 : 0;
    int r = place_load(m, e->seen.aggregate, err);
    uint64_t at = e->seen.aggregate->place;
    if (r < 0 || at == place)
        return r;
    if (at)
        r = dir_load(m, at - 1, &from, err);
    /* First what comes: a directory that both have on their way does not go. */
    if (r == 0 && to)
        r = children_add(m, to, 1, false, time, err);
    if (r == 0 && from)
        r = children_add(m, from, -1, false, time, err);
    if (r == 0 && move_note(m, e, place) < 0)
        r = err_set(err, ENOMEM, "out of memory");
    m->next.links += (uint64_t)(int64_t)((to != NULL) - (from != NULL));
    m->next.time = time;
    m->touched = true;
    return r;
}

static int dir_of(struct maker *m, const struct str *names, size_t n, struct live_dir **out, struct err *err) {
    int r = dir_load(m, ROOT, out, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = dir_child(m, *out, names[i], out, err);
    return r;
}

/* --- an event */

static int park(struct maker *m, const struct maker_event *e, const struct script_fault *fault, struct err *err) {
    uint64_t first;
    struct str name = e->seen.told.aggregate;
    bool waits = parking_holds(&m->parking, name, &first);
    if (!waits)
        maker_tell(m, e->seen.stored, "an event of a view was parked", fault);
    m->touched = true;
    int r = parking_add(&m->parking, m->build, e->seen.stored->position, name, waits ? NULL : fault, &m->changes);
    if (r == -EDQUOT)
        return err_set(err, EDQUOT, "%d events are parked: %s fails too often", PARKED_MAX, m->view->file.p);
    return r < 0 ? err_set(err, -r, "out of memory") : 0;
}

int tree_event(struct maker *m, const struct maker_event *e, struct script_fault *failed, struct err *err) {
    struct script_fault fault;
    struct live_dir *dir = NULL;
    struct str *names;
    uint64_t first;
    size_t n = 0;
    bool present = false;
    if (!e->only.p && parking_holds(&m->parking, e->seen.told.aggregate, &first))
        return park(m, e, NULL, err);
    int r = viewer_path(&m->viewer, &e->seen, &names, &n, &present, &fault);
    if (r == 0 && present)
        r = dir_of(m, names, n, &dir, err);
    if (r == 0)
        r = move(m, e, dir, err);
    if (r > 0 && e->only.p) {
        *failed = fault;
        r = SCRIPT_FAILED;
    } else if (r > 0) {
        r = park(m, e, &fault, err);
    }
    return r;
}

/* --- a batch */

/* Where a directory is found by its name and by its number, in the one above it. */
static int entry_put(struct maker *m, const struct live_dir *d, bool there) {
    struct view_key_bytes entry = view_key_begin(m->build, VIEW_CLASS_ENTRY),
                          child = view_key_begin(m->build, VIEW_CLASS_CHILD);
    char no[8];
    be64_put(no, d->no);
    view_key_add(&entry, d->record.parent);
    view_key_add_name(&entry, d->record.name);
    view_key_add(&child, d->record.parent);
    view_key_add(&child, d->no);
    int r = there ? changes_put(&m->changes, view_key_str(&entry), (struct str){no, sizeof no})
                  : changes_remove(&m->changes, view_key_str(&entry));
    if (r < 0)
        return r;
    return there ? changes_put(&m->changes, view_key_str(&child), d->record.name)
                 : changes_remove(&m->changes, view_key_str(&child));
}

static int dir_flush(struct maker *m, struct live_dir *d) {
    struct view_key_bytes key = dir_key(m, d->no);
    bool there = d->no == ROOT || d->record.children > 0;
    int r = 0;
    d->dirty = false;
    if (d->no != ROOT && there != d->stored)
        r = entry_put(m, d, there);
    bool was_stored = d->stored;
    d->stored = there;
    if (r < 0 || (!there && !was_stored))
        return r;
    if (!there)
        return changes_remove(&m->changes, view_key_str(&key));
    buf_clear(&m->scratch);
    dir_record_put(&d->record, &m->scratch);
    return m->scratch.oom ? -ENOMEM : changes_put(&m->changes, view_key_str(&key), buf_str(&m->scratch));
}

static struct view_key_bytes link_key(const struct maker *m, uint64_t place, uint64_t aggregate) {
    struct view_key_bytes k = view_key_begin(m->build, VIEW_CLASS_LINK);
    view_key_add(&k, place - 1);
    view_key_add(&k, aggregate);
    return k;
}

static int link_put(struct maker *m, const struct tree_move *move) {
    struct view_key_bytes key = link_key(m, move->to, move->aggregate);
    const struct link_record record = {move->time, move->name};
    buf_clear(&m->scratch);
    link_record_put(&record, &m->scratch);
    return m->scratch.oom ? -ENOMEM : changes_put(&m->changes, view_key_str(&key), buf_str(&m->scratch));
}

static int place_put(struct maker *m, const struct tree_move *move) {
    struct view_key_bytes key = place_key(m, move->aggregate);
    char dir[8];
    be64_put(dir, move->to - 1);
    return move->to ? changes_put(&m->changes, view_key_str(&key), (struct str){dir, sizeof dir})
                    : changes_remove(&m->changes, view_key_str(&key));
}

static int move_flush(struct maker *m, const struct tree_move *move) {
    int r = move->from != move->to ? place_put(m, move) : 0;
    if (r == 0 && move->from && move->from != move->to) {
        struct view_key_bytes key = link_key(m, move->from, move->aggregate);
        r = changes_remove(&m->changes, view_key_str(&key));
    }
    return r == 0 && move->to ? link_put(m, move) : r;
}

int tree_flush(struct maker *m) {
    struct tree *t = &m->tree;
    int r = 0;
    for (size_t i = 0; r == 0 && i < t->n_moves; i++)
        r = move_flush(m, &t->moves[i]);
    for (size_t i = 0; r == 0 && i < t->n_dirty; i++)
        r = dir_flush(m, t->dirty[i]);
    t->n_dirty = 0;
    moves_forget(t);
    return r;
}
