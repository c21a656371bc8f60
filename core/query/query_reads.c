#include "query_reads.h"

#include "digest.h"
#include "table.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum read_kind { READ_VIEW, READ_KEY, READ_KEYS, READ_AGGREGATE };

struct read {
    uint64_t no;      /* of the build, or of the aggregate */
    uint64_t stamp;   /* or version */
    uint32_t view;    /* its number */
    uint32_t name_at; /* in `names`: of a view, a file name, or "order/1001" */
    uint16_t name_n;
    uint8_t kind;
    bool there;
};

struct query_reads {
    atomic_uint references;
    pthread_mutex_t lock;      /* of `since` */
    struct query_moment since; /* all of it was known to hold at this moment */
    struct read *items;
    size_t n, cap;
    struct buf names;
    struct table table; /* of the items, while noting */
    bool any_change;    /* there are too many of them, or memory was short: only `since` tells */
};

void query_moment_get(const struct query_source *from, struct query_moment *out) {
    struct index_head head;
    out->views = views_moment(from->views);
    index_head(from->index, &head);
    out->block = head.block;
}

struct query_reads *query_reads_new(const struct query_moment *began) {
    struct query_reads *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    atomic_init(&r->references, 1);
    pthread_mutex_init(&r->lock, NULL);
    r->since = *began;
    return r;
}

void query_reads_ref(struct query_reads *r) {
    atomic_fetch_add(&r->references, 1);
}

void query_reads_unref(struct query_reads *r) {
    if (!r || atomic_fetch_sub(&r->references, 1) > 1)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r->items);
    buf_free(&r->names);
    table_free(&r->table);
    free(r);
}

static void forget(struct query_reads *r) {
    free(r->items);
    r->items = NULL;
    r->n = r->cap = 0;
    buf_free(&r->names);
    table_free(&r->table);
}

void query_reads_end(struct query_reads *r) {
    table_free(&r->table);
    struct read *items = r->n ? realloc(r->items, r->n * sizeof *items) : NULL;
    if (items) {
        r->items = items;
        r->cap = r->n;
    }
    char *names = r->names.n ? realloc(r->names.p, r->names.n) : NULL;
    if (names) {
        r->names.p = names;
        r->names.cap = r->names.n;
    }
}

size_t query_reads_bytes(const struct query_reads *r) {
    return sizeof *r + r->cap * sizeof *r->items + r->names.cap;
}

size_t query_reads_count(const struct query_reads *r) {
    return r->n;
}

/* --- noting */

static struct str name_of(const struct query_reads *r, const struct read *item) {
    /* There are no names at all while none had a byte. */
    return (struct str){item->name_n ? r->names.p + item->name_at : "", item->name_n};
}

static bool is_same(const struct query_reads *r, const struct read *a, const struct read *b, struct str name) {
    return a->kind == b->kind && a->view == b->view && a->no == b->no && a->stamp == b->stamp && a->there == b->there &&
           str_eq(name_of(r, a), name);
}

static uint64_t hash_of(const struct read *item, struct str name) {
    return digest_table(name.p, name.n) ^ table_hash_number(item->stamp * 8 + item->kind * 2 + item->there) ^
           table_hash_number(item->no + item->view);
}

static bool is_noted(const struct query_reads *r, const struct read *item, struct str name, uint64_t hash) {
    struct table_probe probe;
    for (uint32_t i = table_first(&r->table, hash, &probe); i != TABLE_NONE; i = table_next(&r->table, &probe))
        if (is_same(r, &r->items[i], item, name))
            return true;
    return false;
}

static bool room_make(struct query_reads *r) {
    if (r->n < r->cap)
        return true;
    size_t cap = r->cap ? r->cap * 2 : 4;
    struct read *items = realloc(r->items, cap * sizeof *items);
    if (!items)
        return false;
    r->items = items;
    r->cap = cap;
    return true;
}

static void note(struct query_reads *r, struct read item, struct str name) {
    uint64_t hash = hash_of(&item, name);
    if (r->any_change || is_noted(r, &item, name, hash))
        return;
    item.name_at = (uint32_t)r->names.n;
    item.name_n = (uint16_t)name.n;
    buf_put_str(&r->names, name);
    if (r->n == QUERY_READS_MAX || r->names.oom || !room_make(r) || table_put(&r->table, hash, (uint32_t)r->n) < 0) {
        forget(r);
        r->any_change = true;
        return;
    }
    r->items[r->n++] = item;
}

void query_reads_view(struct query_reads *r, struct str name, const struct view_info *view) {
    note(r, (struct read){.kind = READ_VIEW, .no = view ? view->build : 0, .there = view != NULL}, name);
}

void query_reads_key(struct query_reads *r, const struct view_info *view, struct str name,
                     const struct view_entry *entry) {
    note(r,
         (struct read){.kind = READ_KEY,
                       .view = view->no,
                       .no = view->build,
                       .stamp = entry ? entry->stamp : 0,
                       .there = entry != NULL},
         name);
}

void query_reads_keys(struct query_reads *r, const struct view_info *view, uint64_t stamp) {
    note(r, (struct read){.kind = READ_KEYS, .view = view->no, .no = view->build, .stamp = stamp, .there = true},
         (struct str){"", 0});
}

void query_reads_aggregate(struct query_reads *r, struct str aggregate, uint64_t no, uint64_t version) {
    note(r, (struct read){.kind = READ_AGGREGATE, .no = no, .stamp = version, .there = no != 0}, aggregate);
}

/* --- looking again */

static bool view_holds(const struct query_source *from, const struct read *item, struct str name) {
    struct view_info view;
    int rc = views_find(from->views, name, &view);
    return item->there ? rc == 0 && view.build == item->no : rc == VIEW_NONE;
}

static bool build_holds(const struct query_source *from, const struct read *item) {
    struct view_info view;
    return views_get(from->views, item->view, &view) == 0 && view.build == item->no;
}

static bool key_holds(const struct query_source *from, const struct read *item, struct str name) {
    struct view_entry entry;
    int rc = views_entry(from->views, item->no, name, &entry, NULL);
    return item->there ? rc == 0 && entry.stamp == item->stamp : rc == VIEW_NONE;
}

static bool aggregate_holds(const struct query_source *from, const struct read *item, struct str name) {
    const char *slash = memchr(name.p, '/', name.n);
    const struct str type = {name.p, (size_t)(slash - name.p)}, id = {slash + 1, name.n - type.n - 1};
    struct index_type t;
    struct index_aggregate a;
    struct err err;
    int rc = index_type_by_name(from->index, type, &t);
    if (rc == 0)
        rc = index_aggregate_by_name(from->index, t.no, id, &a, &err);
    return item->there ? rc == 0 && a.no == item->no && a.version == item->stamp : rc == INDEX_NONE;
}

static bool item_holds(const struct query_reads *r, const struct query_source *from, const struct read *item) {
    struct str name = name_of(r, item);
    if (item->kind == READ_AGGREGATE)
        return aggregate_holds(from, item, name);
    if (item->kind == READ_VIEW)
        return view_holds(from, item, name);
    if (!build_holds(from, item))
        return false;
    return item->kind == READ_KEYS ? views_keys_stamp(from->views, item->no) == item->stamp
                                   : key_holds(from, item, name);
}

static bool is_same_moment(struct query_reads *r, const struct query_moment *now) {
    pthread_mutex_lock(&r->lock);
    bool same = r->since.views == now->views && r->since.block == now->block;
    pthread_mutex_unlock(&r->lock);
    return same;
}

bool query_reads_hold(struct query_reads *r, const struct query_source *from) {
    struct query_moment now;
    query_moment_get(from, &now);
    if (is_same_moment(r, &now))
        return true;
    if (r->any_change)
        return false;
    for (size_t i = 0; i < r->n; i++)
        if (!item_holds(r, from, &r->items[i]))
            return false;
    pthread_mutex_lock(&r->lock);
    r->since = now;
    pthread_mutex_unlock(&r->lock);
    return true;
}
