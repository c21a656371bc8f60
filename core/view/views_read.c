/* What readers find. Builds are read as they are committed, without the followers' knowledge. */
#include "views_private.h"

#include "store_parts.h"
#include "varint.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* --- which there are */

static void info_of(const struct view *v, struct view_info *out) {
    struct build_meta meta;
    side_meta(&v->now, &meta);
    *out =
        (struct view_info){.no = v->no, .name = v->name, .index = meta.index, .build = v->now.build, .time = meta.time};
}

static int info_get(struct views *vs, const struct view *v, struct view_info *out) {
    if (!v || !v->defined)
        return VIEW_NONE;
    info_of(v, out);
    (void)vs;
    return 0;
}

int views_find(struct views *vs, struct str name, struct view_info *out) {
    struct view *v;
    pthread_mutex_lock(&vs->lock);
    LIST_FOREACH(v, &vs->list, link)
    if (str_eq(v->name, name))
        break;
    int r = info_get(vs, v, out);
    pthread_mutex_unlock(&vs->lock);
    return r;
}

int views_get(struct views *vs, uint32_t no, struct view_info *out) {
    pthread_mutex_lock(&vs->lock);
    int r = info_get(vs, view_by_no(vs, no), out);
    pthread_mutex_unlock(&vs->lock);
    return r;
}

int views_after(struct views *vs, uint32_t no, struct view_info *out) {
    struct view *v, *next = NULL;
    pthread_mutex_lock(&vs->lock);
    LIST_FOREACH(v, &vs->list, link)
    if (v->defined && v->no > no && (!next || v->no < next->no))
        next = v;
    int r = info_get(vs, next, out);
    pthread_mutex_unlock(&vs->lock);
    return r;
}

bool views_may_read(struct views *vs, uint32_t no, const struct identity *who) {
    struct view_info info;
    struct domain *d = store_domain(vs->store);
    const struct domain_view *def = d && views_get(vs, no, &info) == 0 ? domain_view(d, info.name) : NULL;
    bool may = def && allow_admits(&def->allow, who, &vs->store->options.ownership);
    domain_unref(d);
    return may;
}

static int read_failed(struct views *vs, int r, struct err *err) {
    if (r == -ENOMEM)
        return r;
    if (!err->code)
        err_set(err, EIO, "what is kept of a view is damaged: esfsctl rebuild makes it anew");
    store_report(vs->store, "reading a view", err);
    return -EIO;
}

/* Up to n pairs of a class of a build that begin with a key and come after a number. */
typedef bool pair_visit(void *arg, uint64_t number, const struct db_pair *pair);

static int numbered_each(struct views *vs, const struct view_key_bytes *begin, int numbers, uint64_t after,
                         pair_visit *visit, void *arg) {
    struct view_key_bytes from = *begin, to = *begin;
    uint64_t number[2];
    struct err err = {0};
    struct db_pair pair;
    if (after == UINT64_MAX)
        return 0;
    view_key_add(&from, after + 1);
    memset(to.bytes + to.n, 0xff, 9);
    to.n += 9;
    const struct db_iter_options options = {.upper = view_key_str(&to), .fill_cache = true};
    struct db_iter *it = db_iter_new(vs->db, DB_VIEWS, &options);
    if (!it)
        return -ENOMEM;
    int r = db_iter_seek(it, view_key_str(&from), &pair, &err);
    while (r == 0 && view_key_numbers(pair.key, number, numbers) == numbers && visit(arg, number[numbers - 1], &pair))
        r = db_iter_next(it, &pair, &err);
    db_iter_free(it);
    return r < 0 ? read_failed(vs, r, &err) : 0;
}

struct gathering {
    struct views *vs;
    struct view_key *out;
    size_t n, room;
    uint64_t build, dir;
    bool aliases; /* links may have the name of a directory beside them */
};

static bool gather(struct gathering *g, uint64_t no, struct str name) {
    if (g->n == g->room || name.n > VIEW_NAME_MAX)
        return false;
    struct view_key *k = &g->out[g->n++];
    k->no = no;
    k->bytes = (uint8_t)name.n;
    memcpy(k->name, name.p, name.n);
    return true;
}

/* --- projections */

static int key_get(struct views *vs, uint64_t build, struct str name, struct db_value *value, struct key_record *out) {
    struct view_key_bytes key = view_key_begin(build, VIEW_CLASS_KEY);
    struct err err = {0};
    view_key_add_name(&key, name);
    int r = name.n > VIEW_NAME_MAX ? DB_NOT_FOUND : db_get(vs->db, DB_VIEWS, view_key_str(&key), value, &err);
    if (r == DB_NOT_FOUND)
        return VIEW_NONE;
    if (r == 0 && (r = key_record_get(value->bytes, out)) < 0)
        db_value_release(value);
    return r < 0 ? read_failed(vs, r, &err) : 0;
}

int views_entry(struct views *vs, uint64_t build, struct str name, struct view_entry *out, struct buf *text) {
    struct key_record record;
    struct db_value value;
    int r = key_get(vs, build, name, &value, &record);
    if (r != 0)
        return r;
    *out = (struct view_entry){.no = record.no,
                               .stamp = record.stamp,
                               .time = record.time,
                               .size = record.text.n,
                               .aggregate = record.aggregate,
                               .failed = record.failed};
    if (text)
        buf_put_str(text, record.text);
    db_value_release(&value);
    return text && text->oom ? -ENOMEM : 0;
}

static bool key_gather(void *arg, uint64_t no, const struct db_pair *pair) {
    return gather(arg, no, pair->value);
}

int views_keys(struct views *vs, uint64_t build, uint64_t after, struct view_key *out, size_t n) {
    struct view_key_bytes begin = view_key_begin(build, VIEW_CLASS_NUMBER);
    struct gathering g = {.out = out, .room = n};
    int r = numbered_each(vs, &begin, 1, after, key_gather, &g);
    return r < 0 ? r : (int)g.n;
}

static int key_visit(const struct db_pair *pair, struct str prefix, view_visit *visit, void *arg) {
    struct key_record record;
    if (key_record_get(pair->value, &record) < 0)
        return -EUCLEAN;
    if (record.key.n < prefix.n || memcmp(record.key.p, prefix.p, prefix.n) != 0)
        return 0;
    return visit(arg, record.key);
}

/* Names of keys that begin so begin with the prefix's own name, unless that was cut: what is behind it decides. */
int views_each_key(struct views *vs, uint64_t build, struct str prefix, view_visit *visit, void *arg) {
    struct view_key_bytes from = view_key_begin(build, VIEW_CLASS_KEY), to = view_key_begin(build, VIEW_CLASS_KEY + 1);
    const struct db_iter_options options = {.upper = view_key_str(&to), .fill_cache = true};
    struct buf name = {0};
    struct err err = {0};
    struct db_pair pair;
    if (prefix.n > 0 && prefix.n <= VIEW_NAME_MAX / 4)
        view_name_put(prefix, &name);
    view_key_add_name(&from, buf_str(&name));
    struct db_iter *it = name.oom ? NULL : db_iter_new(vs->db, DB_VIEWS, &options);
    int r = it ? db_iter_seek(it, view_key_str(&from), &pair, &err) : -ENOMEM, visited = 0;
    while (r == 0 && visited == 0) {
        struct str found = view_key_name(pair.key, 0);
        if (found.n < name.n || (name.n && memcmp(found.p, name.p, name.n) != 0))
            break;
        visited = key_visit(&pair, prefix, visit, arg);
        if (visited == 0)
            r = db_iter_next(it, &pair, &err);
    }
    db_iter_free(it);
    buf_free(&name);
    if (visited == -EUCLEAN)
        return read_failed(vs, -EUCLEAN, &err);
    return r < 0 ? read_failed(vs, r, &err) : visited;
}

uint64_t views_keys_stamp(struct views *vs, uint64_t build) {
    struct build_meta meta = {0};
    struct view *v;
    pthread_mutex_lock(&vs->lock);
    LIST_FOREACH(v, &vs->list, link)
    if (v->now.build == build)
        side_meta(&v->now, &meta);
    pthread_mutex_unlock(&vs->lock);
    return meta.keys_stamp;
}

int views_aggregate_entry(struct views *vs, uint64_t build, uint64_t aggregate, struct view_entry *out,
                          struct buf *text) {
    struct index_aggregate a;
    struct buf name = {0}, whole = {0};
    struct err err = {0};
    size_t before = text ? text->n : 0;
    int r = index_aggregate_by_no(vs->store->index, aggregate, &a, &err);
    if (r != 0)
        return r < 0 ? read_failed(vs, r, &err) : VIEW_NONE;
    struct str type = index_type_name(vs->store->index, a.type_no), id = {a.id, a.id_bytes};
    view_name_put(id, &name);
    r = name.oom ? -ENOMEM : views_entry(vs, build, buf_str(&name), out, text);
    if (r == VIEW_NONE || (r == 0 && out->aggregate != aggregate)) {
        buf_put_str(&whole, type);
        buf_put_char(&whole, '/');
        buf_put_str(&whole, id);
        buf_clear(&name);
        view_name_put(buf_str(&whole), &name);
        if (text)
            text->n = before;
        r = name.oom ? -ENOMEM : views_entry(vs, build, buf_str(&name), out, text);
        if (r == 0 && out->aggregate != aggregate)
            r = VIEW_NONE;
    }
    if (r != 0 && text)
        text->n = before;
    buf_free(&name);
    buf_free(&whole);
    return r;
}

/* --- indexes */

static uint32_t view_of_build(struct views *vs, uint64_t build, uint64_t *time) {
    struct build_meta meta;
    uint32_t no = 0;
    struct view *v;
    pthread_mutex_lock(&vs->lock);
    LIST_FOREACH(v, &vs->list, link)
    if (v->defined && v->now.build == build) {
        side_meta(&v->now, &meta);
        *time = meta.time;
        no = v->no;
    }
    pthread_mutex_unlock(&vs->lock);
    return no;
}

/* The record's name is not given. */
static int dir_get(struct views *vs, uint64_t build, uint64_t dir, struct dir_record *out) {
    struct view_key_bytes key = view_key_begin(build, VIEW_CLASS_DIR);
    struct db_value value;
    struct err err = {0};
    view_key_add(&key, dir);
    int r = db_get(vs->db, DB_VIEWS, view_key_str(&key), &value, &err);
    *out = (struct dir_record){0};
    if (r == DB_NOT_FOUND)
        return dir == 0 ? 0 : VIEW_NONE;
    if (r == 0) {
        r = dir_record_get(value.bytes, out);
        out->name = (struct str){0};
        db_value_release(&value);
    }
    return r < 0 ? read_failed(vs, r, &err) : 0;
}

int views_dir(struct views *vs, uint64_t build, uint64_t dir, struct view_dir *out) {
    struct dir_record record;
    uint64_t time = 0;
    uint32_t no = view_of_build(vs, build, &time);
    if (no == 0)
        return VIEW_NONE;
    int r = dir_get(vs, build, dir, &record);
    if (r == 0)
        *out = (struct view_dir){no, record.parent, (uint32_t)record.levels, dir == 0 ? time : record.time};
    return r;
}

static int child_dir(struct views *vs, uint64_t build, uint64_t dir, struct str name, struct view_child *out) {
    struct view_key_bytes key = view_key_begin(build, VIEW_CLASS_ENTRY);
    struct dir_record record;
    struct db_value value;
    struct err err = {0};
    view_key_add(&key, dir);
    view_key_add_name(&key, name);
    int r = db_get(vs->db, DB_VIEWS, view_key_str(&key), &value, &err);
    if (r != 0)
        return r < 0 ? read_failed(vs, r, &err) : VIEW_NONE;
    uint64_t no = value.bytes.n == 8 ? be64_get(value.bytes.p) : 0;
    db_value_release(&value);
    r = dir_get(vs, build, no, &record);
    if (r == 0)
        *out = (struct view_child){.no = no, .time = record.time};
    return r;
}

/* What view_name_put() made of a name, back. 0, or VIEW_NONE when it was cut. */
static int name_back(struct str name, struct buf *out) {
    for (size_t i = 0; i < name.n; i++) {
        unsigned byte;
        char digits[3] = "";
        if (name.p[i] != '%') {
            buf_put_char(out, name.p[i]);
            continue;
        }
        if (i + 2 >= name.n || name.p[i + 1] == '~')
            return VIEW_NONE;
        memcpy(digits, name.p + i + 1, 2);
        if (sscanf(digits, "%2X", &byte) != 1)
            return VIEW_NONE;
        buf_put_char(out, (char)byte);
        i += 2;
    }
    return 0;
}

static int link_get(struct views *vs, uint64_t build, uint64_t dir, uint64_t aggregate, struct str name,
                    struct view_child *out) {
    struct view_key_bytes key = view_key_begin(build, VIEW_CLASS_LINK);
    struct link_record record;
    struct db_value value;
    struct err err = {0};
    view_key_add(&key, dir);
    view_key_add(&key, aggregate);
    int r = db_get(vs->db, DB_VIEWS, view_key_str(&key), &value, &err);
    if (r != 0)
        return r < 0 ? read_failed(vs, r, &err) : VIEW_NONE;
    r = link_record_get(value.bytes, &record);
    if (r == 0 && !str_eq(record.name, name))
        r = VIEW_NONE;
    if (r == 0)
        *out = (struct view_child){.link = true, .no = aggregate, .time = record.time};
    db_value_release(&value);
    return r < 0 ? read_failed(vs, r, &err) : r;
}

/* Links of several types have the name of the aggregate, those of one type its id: both are tried. */
static int child_named(struct views *vs, uint64_t build, uint64_t dir, struct str name, struct str whole,
                       struct view_child *out) {
    const char *slash = whole.n ? memchr(whole.p, '/', whole.n) : NULL;
    struct index_type type = {0};
    struct index_aggregate a;
    int r = VIEW_NONE;
    if (slash) {
        struct str type_name = {whole.p, (size_t)(slash - whole.p)};
        struct str id = {slash + 1, whole.n - type_name.n - 1};
        if (index_type_by_name(vs->store->index, type_name, &type) == 0 &&
            index_aggregate_by_name(vs->store->index, type.no, id, &a, NULL) == 0)
            r = link_get(vs, build, dir, a.no, name, out);
        return r;
    }
    while (r == VIEW_NONE && index_type_after(vs->store->index, type.no, &type) == 0)
        if (index_aggregate_by_name(vs->store->index, type.no, whole, &a, NULL) == 0)
            r = link_get(vs, build, dir, a.no, name, out);
    return r;
}

struct search {
    struct str name;
    struct view_child *out;
    bool found;
};

static bool link_search(void *arg, uint64_t no, const struct db_pair *pair) {
    struct search *s = arg;
    struct link_record record;
    if (link_record_get(pair->value, &record) == 0 && str_eq(record.name, s->name)) {
        *s->out = (struct view_child){.link = true, .no = no, .time = record.time};
        s->found = true;
    }
    return !s->found;
}

static int child_link(struct views *vs, uint64_t build, uint64_t dir, struct str name, struct view_child *out) {
    struct view_key_bytes begin = view_key_begin(build, VIEW_CLASS_LINK);
    struct search search = {name, out, false};
    struct buf whole = {0};
    int r = name_back(name, &whole);
    if (r == 0 && !whole.oom) {
        r = child_named(vs, build, dir, name, buf_str(&whole), out);
        buf_free(&whole);
        return r;
    }
    buf_free(&whole);
    if (!memmem(name.p, name.n, "%~", 2))
        return VIEW_NONE;
    /* Of a name that was cut only the link knows whose it is. */
    view_key_add(&begin, dir);
    r = numbered_each(vs, &begin, 2, 0, link_search, &search);
    return r < 0 ? r : search.found ? 0 : VIEW_NONE;
}

int views_child(struct views *vs, uint64_t build, uint64_t dir, struct str name, struct view_child *out) {
    if (name.n == 0 || name.n > VIEW_NAME_MAX + 1)
        return VIEW_NONE;
    int r = child_dir(vs, build, dir, name, out);
    if (r == VIEW_NONE)
        r = child_link(vs, build, dir, name, out);
    struct str less = {name.p, name.n - 1};
    struct view_child beside;
    if (r == VIEW_NONE && name.p[name.n - 1] == '%' && less.n && child_dir(vs, build, dir, less, &beside) == 0)
        r = child_link(vs, build, dir, less, out);
    return r;
}

int views_dirs(struct views *vs, uint64_t build, uint64_t dir, uint64_t after, struct view_key *out, size_t n) {
    struct view_key_bytes begin = view_key_begin(build, VIEW_CLASS_CHILD);
    struct gathering g = {.out = out, .room = n};
    view_key_add(&begin, dir);
    int r = numbered_each(vs, &begin, 2, after, key_gather, &g);
    return r < 0 ? r : (int)g.n;
}

static bool link_gather(void *arg, uint64_t no, const struct db_pair *pair) {
    struct gathering *g = arg;
    struct link_record record;
    struct view_child beside;
    char name[VIEW_NAME_MAX + 1];
    if (link_record_get(pair->value, &record) < 0 || record.name.n > VIEW_NAME_MAX)
        return false;
    memcpy(name, record.name.p, record.name.n);
    name[record.name.n] = '%';
    bool alias =
        g->aliases && record.name.n < VIEW_NAME_MAX && child_dir(g->vs, g->build, g->dir, record.name, &beside) == 0;
    return gather(g, no, (struct str){name, record.name.n + alias});
}

int views_links(struct views *vs, uint64_t build, uint64_t dir, uint64_t after, struct view_key *out, size_t n) {
    struct view_key_bytes begin = view_key_begin(build, VIEW_CLASS_LINK);
    struct gathering g = {.vs = vs, .out = out, .room = n, .build = build, .dir = dir};
    struct dir_record record;
    int r = dir_get(vs, build, dir, &record);
    if (r != 0)
        return r < 0 ? r : 0;
    g.aliases = record.dirs > 0;
    view_key_add(&begin, dir);
    r = numbered_each(vs, &begin, 2, after, link_gather, &g);
    return r < 0 ? r : (int)g.n;
}
