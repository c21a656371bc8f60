/* The files of projections: views/<view>/<key>.json, and an aggregate's part of them, views/<view>.json below it.
 *
 * LOOKUP asks the engine what the file shows and gives that a node of its own, so that a reader gets this text and no
 * other, however long he takes (content.h). When its text has been given up meanwhile the engine is asked again; if the
 * file has changed since, this one reader gets the new text, past the page cache of the old one. */
#include "content.h"
#include "node_text.h"
#include "node_view.h"

#include <errno.h>
#include <stddef.h>

#define AGGREGATE_BITS 40

_Static_assert(INDEX_AGGREGATES_MAX >> AGGREGATE_BITS == 0, "numbers of an aggregate's files");

/* --- what a file shows now */

static uint64_t hash_of_view(const struct view_info *view) {
    return ino_hash(ino_hash(INO_HASH, view->name.p, view->name.n), "/", 1);
}

static fuse_ino_t ino_in_view(uint64_t hash, struct str name) {
    return ino_of_hash(NODE_VIEW_FILE, ino_hash_end(ino_hash(hash, name.p, name.n), INO_TAG_BITS));
}

static int entry_of(struct fs *fs, uint64_t build, const struct content *c, struct view_entry *e, struct buf *text) {
    if (c->aggregate)
        return views_aggregate_entry(fs->views, build, c->aggregate, e, text);
    return views_entry(fs->views, build, c->name, e, text);
}

/* *c says which file; the rest of it is filled in. A build that has gone away is asked for its successor. The text is
 * the caller's, NULL when the file has failed. 0, VIEW_NONE or a negative errno. */
static int file_now(struct fs *fs, struct content *c, struct content_text **text) {
    struct view_info view = {0};
    struct view_entry e;
    struct buf bytes = {0};
    uint64_t before;
    int r;
    *text = NULL;
    do {
        before = view.build;
        r = views_get(fs->views, c->no, &view);
        if (r == 0 && (view.index || view.build == before))
            r = VIEW_NONE;
        if (r != 0)
            goto out;
        buf_clear(&bytes);
        r = entry_of(fs, view.build, c, &e, &bytes);
    } while (r == VIEW_NONE);
    if (r < 0)
        goto out;
    c->build = view.build;
    c->stamp = e.stamp;
    c->time = e.time;
    c->failed = e.failed;
    c->size = e.failed ? 0 : bytes.n;
    c->ino = c->aggregate ? ino_of_hash(c->tag, (uint64_t)c->no << AGGREGATE_BITS | c->aggregate)
                          : ino_in_view(hash_of_view(&view), c->name);
    if (bytes.oom || (!e.failed && !(*text = content_text_new(&bytes))))
        r = -ENOMEM;
out:
    buf_free(&bytes);
    return r;
}

static int file_find(struct fs *fs, struct content *c, struct node *child, struct node_stat *stat) {
    struct content_text *text;
    int r = file_now(fs, c, &text);
    if (r == 0)
        r = content_hold(fs->contents, c, text, child);
    content_text_unref(text);
    if (r == 0)
        content_attr(c, stat);
    return r == VIEW_NONE ? -ENOENT : r;
}

/* --- nodes */

/* The text that the node shows, or, when it is not there any more, what the file shows now. */
static int file_text(struct fs *fs, const struct node *node, struct content_text **text, bool *other) {
    char name[CONTENT_NAME_MAX];
    struct content c, now;
    *text = content_text_of(fs->contents, node->no);
    if (*text)
        return 0;
    int r = content_get(fs->contents, node->no, &c, name);
    if (r < 0)
        return r;
    now = c;
    r = file_now(fs, &now, text);
    if (r != 0)
        return r == VIEW_NONE ? -ENOENT : r;
    if (now.failed)
        return -EIO;
    *other = now.build != c.build || now.stamp != c.stamp;
    if (!*other)
        content_keep(fs->contents, node->no, *text);
    return 0;
}

static int file_open(struct fs *fs, const struct node *node, fuse_req_t req, int flags, struct handle **out) {
    (void)req, (void)flags;
    struct handle *h = handle_new(fs);
    if (!h)
        return -ENOMEM;
    int r = file_text(fs, node, &h->content, &h->direct);
    if (r < 0)
        handle_free(h);
    else
        *out = h;
    return r;
}

static ssize_t file_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                         size_t n) {
    (void)fs, (void)node;
    return read_text(content_text_str(h->content), offset, out, n);
}

const struct node_ops view_file_ops = {
    .stat = content_stat,
    .open = file_open,
    .read = file_read,
    .hold = content_hold_again,
    .drop = content_drop,
};

/* --- in a view's directory */

int view_file_find(struct fs *fs, const struct view_info *view, struct str name, struct node *child,
                   struct node_stat *stat) {
    struct content c = {.tag = NODE_VIEW_FILE, .no = view->no};
    if (!name_without_json(name, &c.name))
        return -ENOENT;
    return c.name.n > VIEW_NAME_MAX ? -ENAMETOOLONG : file_find(fs, &c, child, stat);
}

/* At the end of a build that has gone away it is not known whether that was all. */
static int keys_fetch(struct listing *l, const struct node *dir, uint64_t after, void *out, size_t n) {
    uint64_t build;
    int r = listing_build(l, dir, &build);
    int got = r < 0 ? r : views_keys(l->fs->views, build, after, out, n);
    if (got < 0 || (size_t)got == n)
        return got;
    r = listing_build(l, dir, &build);
    return r < 0 ? r : got;
}

static bool keys_add(struct listing *l, const void *element) {
    const struct view_key *key = element;
    char name[VIEW_NAME_MAX + sizeof ".json"];
    memcpy(name, key->name, key->bytes);
    memcpy(name + key->bytes, ".json", sizeof ".json");
    const struct node node = {NODE_VIEW_FILE, 0};
    const struct node_stat stat = {.ino = ino_in_view(*(const uint64_t *)l->arg, (struct str){key->name, key->bytes})};
    return listing_add(l, name, &node, &stat, LISTING_NUMBERED + key->no);
}

_Static_assert(offsetof(struct view_key, no) == 0, "struct numbered");

int view_files_list(struct listing *l, const struct node *dir, const struct view_info *view, uint64_t after) {
    static const struct numbered kind = {sizeof(struct view_key), keys_fetch, keys_add};
    const uint64_t hash = hash_of_view(view);
    return listing_numbered(l, dir, after, &kind, &hash);
}

/* --- in an aggregate's views/ */

static int part_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                     struct node_stat *stat) {
    (void)req;
    struct view_info view;
    struct str view_name;
    if (!fs->views || !name_without_json(name, &view_name))
        return -ENOENT;
    if (view_name.n > NAME_MAX_BYTES)
        return -ENAMETOOLONG;
    int r = reply_absent(views_find(fs->views, view_name, &view));
    struct content c = {.tag = NODE_AGGREGATE_VIEW_FILE, .no = view.no, .aggregate = dir->no};
    return r < 0 ? r : file_find(fs, &c, child, stat);
}

static bool part_add(struct listing *l, const struct node *dir, const struct view_info *view) {
    char name[NAME_MAX_BYTES + sizeof ".json"];
    memcpy(name, view->name.p, view->name.n);
    memcpy(name + view->name.n, ".json", sizeof ".json");
    const struct node node = {NODE_AGGREGATE_VIEW_FILE, 0};
    const uint64_t no = (uint64_t)view->no << AGGREGATE_BITS | dir->no;
    const struct node_stat stat = {.ino = ino_of_hash(node.tag, no)};
    return listing_add(l, name, &node, &stat, LISTING_NUMBERED + view->no);
}

static int parts_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    struct view_info view = {.no = after < VIEW_NO_MAX ? (uint32_t)after : VIEW_NO_MAX};
    struct view_entry e;
    int r = VIEW_NONE;
    while (fs->views && (r = views_after(fs->views, view.no, &view)) == 0) {
        int found = view.index ? VIEW_NONE : views_aggregate_entry(fs->views, view.build, dir->no, &e, NULL);
        if (found < 0)
            return found;
        if (found == 0 && !part_add(out, dir, &view))
            return 0;
    }
    return r == VIEW_NONE ? 0 : r;
}

const struct node_ops aggregate_views_ops = {
    .there = folded_there,
    .stat = node_stat_as_parent,
    .find = part_find,
    .list = parts_list,
};
