#include "node_dir.h"

#include "name.h"
#include "node_at.h"
#include "rights.h"

#include <errno.h>
#include <stddef.h>

#define BATCH 512 /* elements fetched at a time */

/* --- any directory */

static struct stat listing_attr(const struct node *node, const struct node_stat *stat) {
    bool hashed = stat && stat->ino;
    return (struct stat){.st_ino = hashed ? stat->ino : ino_of(*node), .st_mode = node_kind(node->tag)->mode};
}

/* The kernel may well not look at what it is told here, so nothing can be held for it; what it is not told it asks for
 * when it wants it. */
static void listing_entry(const struct listing *l, const struct node *node, const struct node_stat *stat,
                          struct fuse_entry_param *out) {
    struct node_stat typed = stat ? *stat : (struct node_stat){0};
    if (!stat || node_kind(node->tag)->ops->hold) {
        *out = (struct fuse_entry_param){.attr = listing_attr(node, stat)};
        return;
    }
    if (!typed.subject)
        typed.subject = l->subject;
    node_entry(l->fs, node, &typed, out);
}

bool listing_add(struct listing *l, const char *name, const struct node *node, const struct node_stat *stat,
                 uint64_t offset) {
    char *at = l->bytes + l->used;
    size_t room = l->size - l->used, n;
    if (l->plus) {
        struct fuse_entry_param e;
        listing_entry(l, node, stat, &e);
        n = fuse_add_direntry_plus(l->req, at, room, name, &e, (off_t)offset);
    } else {
        struct stat attr = listing_attr(node, stat);
        n = fuse_add_direntry(l->req, at, room, name, &attr, (off_t)offset);
    }
    if (n > room)
        return false;
    l->used += n;
    return true;
}

static uint64_t number_of(const struct buf *fetched, size_t bytes, size_t i) {
    uint64_t no;
    memcpy(&no, fetched->p + i * bytes, sizeof no);
    return no;
}

/* Which of the n fetched elements comes next after a number; n: it must be fetched. Elements before the first may
 * have been left out, so unless the first is the very next number, nothing below it can be answered. */
static size_t numbered_after(const struct buf *fetched, size_t bytes, size_t n, uint64_t after) {
    size_t low = 0, high = n;
    if (n == 0 || number_of(fetched, bytes, 0) > after + 1)
        return n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (number_of(fetched, bytes, middle) <= after)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How many elements came, or a negative errno. */
static int numbered_fetch(struct listing *l, const struct node *dir, uint64_t after, const struct numbered *kind) {
    struct buf *fetched = &l->handle->text;
    buf_clear(fetched);
    if (!buf_reserve(fetched, BATCH * kind->bytes))
        return -ENOMEM;
    int n = kind->fetch(l, dir, after, fetched->p, BATCH);
    if (n > 0)
        fetched->n = (size_t)n * kind->bytes;
    return n;
}

int listing_numbered(struct listing *l, const struct node *dir, uint64_t after, const struct numbered *kind,
                     const void *arg) {
    l->arg = arg;
    struct buf *fetched = &l->handle->text;
    int n = (int)(fetched->n / kind->bytes);
    size_t i = numbered_after(fetched, kind->bytes, (size_t)n, after);
    for (;;) {
        for (; i < (size_t)n; i++) {
            if (!kind->add(l, fetched->p + i * kind->bytes))
                return 0;
            after = number_of(fetched, kind->bytes, i);
        }
        /* That was the end. The reader asks again, and then sees what has come since. */
        if (n > 0 && n < BATCH && l->used > 0)
            return 0;
        n = numbered_fetch(l, dir, after, kind);
        if (n <= 0)
            return n;
        i = 0;
    }
}

/* An entry whose attributes are still to be found. When they cannot be, the name is there all the same, and who wants
 * to know more meets the failure. */
static bool listing_add_node(struct listing *l, const char *name, const struct node *node, uint64_t offset) {
    struct node_stat stat = {0};
    bool known = l->plus && !node_kind(node->tag)->ops->costly && node_stat(l->fs, node, &stat) == 0;
    return listing_add(l, name, node, known ? &stat : NULL, offset);
}

/* 0, 1 when full, or a negative errno. */
static int dir_list_fixed(struct listing *l, const struct node *dir, uint64_t after) {
    for (uint64_t tag = after < 3 ? 0 : after - 2; tag < NODE_TAGS; tag++) {
        const struct node_kind *k = node_kind((enum node_tag)tag);
        if (!k || !k->name || k->parent != dir->tag || k->unlisted)
            continue;
        struct node node = {(enum node_tag)tag, dir->no};
        if (node_is_there(l->fs, &node) && !listing_add_node(l, k->name, &node, 3 + tag))
            return 1;
    }
    return 0;
}

/* "." and "..": the kernel wants their numbers and nothing else. */
static int dir_list_dots(struct listing *l, const struct node *dir, uint64_t after) {
    struct listing plain = *l;
    struct node parent;
    int r = node_parent(l->fs, dir, &parent);
    if (r < 0)
        return r;
    const struct node_stat self = {.ino = node_ino(l->fs, dir)}, above = {.ino = node_ino(l->fs, &parent)};
    if (after < 1 && !listing_add(&plain, ".", dir, &self, 1))
        return 1;
    if (!listing_add(&plain, "..", &parent, &above, 2))
        return 1;
    l->used = plain.used;
    return 0;
}

int dir_list(struct listing *l, const struct node *dir, uint64_t offset) {
    const struct node_kind *k = node_kind(dir->tag);
    int r = l->plus && l->fs->governed ? rights_subject(l->fs, dir, &l->subject) : 0;
    if (offset == 0) { /* rewinddir(3) wants it fresh */
        buf_clear(&l->handle->text);
        l->handle->build = 0;
    }
    if (r == 0 && offset < 2)
        r = dir_list_dots(l, dir, offset);
    if (r == 0 && offset < LISTING_NUMBERED)
        r = dir_list_fixed(l, dir, offset);
    if (r == 0 && k->ops->list)
        r = k->ops->list(l->fs, dir, offset < LISTING_NUMBERED ? 0 : offset - LISTING_NUMBERED, l);
    /* What was read before a failure is given; the next call meets the failure again. */
    return r < 0 && l->used == 0 ? r : 0;
}

int node_parent(struct fs *fs, const struct node *dir, struct node *out) {
    struct index_aggregate a = {0};
    struct moment_range range = {0};
    struct view_dir in = {0};
    int r = 0;
    switch (dir->tag) {
    case NODE_AGGREGATE:
        r = reply_stale(index_aggregate_by_no(fs->index, dir->no, &a, NULL));
        *out = (struct node){NODE_TYPE, a.type_no};
        break;
    case NODE_AGGREGATE_EVENTS:
    case NODE_AGGREGATE_AT:
    case NODE_AGGREGATE_VIEWS:
        *out = (struct node){NODE_AGGREGATE, dir->no};
        break;
    case NODE_MOMENT:
        r = moment_range(fs, dir, &range);
        *out = (struct node){NODE_AGGREGATE_AT, range.aggregate};
        break;
    case NODE_SCHEMAS_TYPE:
        *out = (struct node){NODE_SCHEMAS, 1};
        break;
    case NODE_SCHEMAS_EVENT:
    case NODE_SCHEMAS_COMMANDS:
        *out = (struct node){NODE_SCHEMAS_TYPE, ino_type(*dir)};
        break;
    case NODE_SCHEMAS_COMMAND:
        *out = (struct node){NODE_SCHEMAS_COMMANDS, ino_type(*dir)};
        break;
    case NODE_VIEW:
        *out = (struct node){NODE_VIEWS, 1};
        break;
    case NODE_VIEW_PARKED:
        *out = (struct node){NODE_VIEW, dir->no};
        break;
    case NODE_VIEW_RETRY:
    case NODE_VIEW_SKIPPED:
        *out = (struct node){NODE_VIEW_PARKED, dir->no};
        break;
    case NODE_VIEW_DIR:
        r = reply_stale(views_dir(fs->views, ino_dir_build(*dir), ino_dir_no(*dir), &in));
        *out = in.parent ? ino_dir(ino_dir_build(*dir), in.parent) : (struct node){NODE_VIEW, in.view};
        break;
    case NODE_QUERY:
        *out = (struct node){NODE_QUERIES, 1};
        break;
    case NODE_CONSUMER:
        *out = (struct node){NODE_CONSUMERS, 1};
        break;
    case NODE_CONSUMER_PARKED:
        *out = (struct node){NODE_CONSUMER, dir->no};
        break;
    case NODE_CONSUMER_RETRY:
    case NODE_CONSUMER_SKIPPED:
        *out = (struct node){NODE_CONSUMER_PARKED, dir->no};
        break;
    default:
        *out = (struct node){NODE_ROOT, 1};
    }
    return r;
}

/* --- the root */

int root_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    (void)node;
    struct index_head head;
    index_head(fs->index, &head);
    out->time = head.time;
    return 0;
}

static int root_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                     struct node_stat *stat) {
    (void)dir, (void)req;
    if (name.n > NAME_MAX_BYTES)
        return -ENAMETOOLONG;
    struct index_type t;
    int r = reply_absent(index_type_by_name(fs->index, name, &t));
    if (r < 0)
        return r;
    *child = (struct node){NODE_TYPE, t.no};
    *stat = (struct node_stat){.time = t.time, .subject = t.no};
    return 0;
}

static int root_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)dir;
    struct index_type t = {.no = after < INDEX_TYPES_MAX ? (uint32_t)after : INDEX_TYPES_MAX};
    int r;
    while ((r = index_type_after(fs->index, t.no, &t)) == 0) {
        char name[NAME_MAX_BYTES + 1];
        memcpy(name, t.name.p, t.name.n);
        name[t.name.n] = '\0';
        struct node node = {NODE_TYPE, t.no};
        struct node_stat stat = {.time = t.time, .subject = t.no};
        if (!listing_add(out, name, &node, &stat, LISTING_NUMBERED + t.no))
            return 0;
    }
    return r == INDEX_NONE ? 0 : r;
}

const struct node_ops root_ops = {
    .stat = root_stat,
    .find = root_find,
    .list = root_list,
    .make = dir_make,
    .remove = dir_remove,
};

/* --- a type */

static int type_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct index_type t;
    int r = reply_stale(index_type_by_no(fs->index, (uint32_t)node->no, &t));
    if (r == 0)
        *out = (struct node_stat){.time = t.time, .subject = t.no};
    return r;
}

static int type_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                     struct node_stat *stat) {
    (void)req;
    if (name.n > NAME_MAX_BYTES)
        return -ENAMETOOLONG;
    struct index_aggregate a;
    int r = reply_absent(index_aggregate_by_name(fs->index, (uint32_t)dir->no, name, &a, NULL));
    if (r < 0)
        return r;
    *child = (struct node){NODE_AGGREGATE, a.no};
    *stat = (struct node_stat){.time = a.time, .subject = a.type_no};
    return 0;
}

static int aggregates_fetch(struct listing *l, const struct node *dir, uint64_t after, void *out, size_t n) {
    return index_aggregates_after(l->fs->index, (uint32_t)dir->no, after, out, n, NULL);
}

static bool aggregates_add(struct listing *l, const void *element) {
    const struct index_aggregate *a = element;
    char name[NAME_MAX_BYTES + 1];
    memcpy(name, a->id, a->id_bytes);
    name[a->id_bytes] = '\0';
    struct node node = {NODE_AGGREGATE, a->no};
    struct node_stat stat = {.time = a->time, .subject = a->type_no};
    return listing_add(l, name, &node, &stat, LISTING_NUMBERED + a->no);
}

_Static_assert(offsetof(struct index_aggregate, no) == 0, "struct numbered");

static int type_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)fs;
    static const struct numbered kind = {sizeof(struct index_aggregate), aggregates_fetch, aggregates_add};
    return listing_numbered(out, dir, after, &kind, NULL);
}

const struct node_ops type_ops = {
    .stat = type_stat,
    .find = type_find,
    .list = type_list,
    .make = dir_make,
    .remove = dir_remove,
};

/* --- an aggregate */

static int aggregate_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct index_aggregate a;
    int r = reply_stale(index_aggregate_by_no(fs->index, node->no, &a, NULL));
    if (r == 0)
        *out = (struct node_stat){.time = a.time, .subject = a.type_no};
    return r;
}

const struct node_ops aggregate_ops = {.stat = aggregate_stat};
