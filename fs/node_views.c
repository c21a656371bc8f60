/* views/: the directories of the views, and what each has beside its own files. */
#include "node_text.h"
#include "node_view.h"

#include <errno.h>

int view_of(struct fs *fs, uint32_t no, struct view_info *out) {
    return reply_stale(views_get(fs->views, no, out));
}

int listing_build(struct listing *l, const struct node *dir, uint64_t *build) {
    struct view_info view;
    int r = view_of(l->fs, ino_view(*dir), &view);
    if (r < 0)
        return r;
    if (l->handle->build == 0)
        l->handle->build = view.build;
    *build = view.build;
    return l->handle->build == view.build ? 0 : -ESTALE;
}

/* --- views/ */

static void view_entry(const struct view_info *view, struct node *node, struct node_stat *stat) {
    *node = (struct node){NODE_VIEW, view->no};
    *stat = (struct node_stat){.time = view->time, .subject = view->no};
}

static int views_find_entry(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                            struct node_stat *stat) {
    (void)dir, (void)req;
    struct view_info view;
    if (name.n > NAME_MAX_BYTES)
        return -ENAMETOOLONG;
    int r = reply_absent(views_find(fs->views, name, &view));
    if (r == 0)
        view_entry(&view, child, stat);
    return r;
}

static int views_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)dir;
    struct view_info view = {.no = after < VIEW_NO_MAX ? (uint32_t)after : VIEW_NO_MAX};
    int r;
    while ((r = views_after(fs->views, view.no, &view)) == 0) {
        char name[NAME_MAX_BYTES + 1];
        struct node node;
        struct node_stat stat;
        memcpy(name, view.name.p, view.name.n);
        name[view.name.n] = '\0';
        view_entry(&view, &node, &stat);
        if (!listing_add(out, name, &node, &stat, LISTING_NUMBERED + view.no))
            return 0;
    }
    return r == VIEW_NONE ? 0 : r;
}

const struct node_ops views_ops = {.stat = node_stat_as_parent, .find = views_find_entry, .list = views_list};

/* --- views/<view>/ */

static int view_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct view_info view;
    int r = view_of(fs, ino_view(*node), &view);
    if (r == 0)
        *out = (struct node_stat){.time = view.time, .subject = view.no};
    return r;
}

static int view_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                     struct node_stat *stat) {
    (void)req;
    struct view_info view;
    int r = view_of(fs, ino_view(*dir), &view);
    if (r < 0)
        return r;
    return view.index ? index_find(fs, &view, name, child, stat) : view_file_find(fs, &view, name, child, stat);
}

static int view_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    struct view_info view;
    int r = view_of(fs, ino_view(*dir), &view);
    if (r < 0)
        return r;
    return view.index ? index_list(out, dir, after) : view_files_list(out, dir, &view, after);
}

const struct node_ops view_ops = {.stat = view_stat, .find = view_find, .list = view_list};

/* --- .status.json */

static int status_render(struct fs *fs, const struct node *node, struct buf *out) {
    return reply_stale(views_status(fs->views, ino_view(*node), out));
}

const struct node_ops view_status_ops = {.open = text_open, .render = status_render};

/* --- .rebuild: whatever is written to it */

static void rebuild_write(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, const char *bytes,
                          size_t n) {
    (void)h, (void)bytes;
    int r = n > 0 ? reply_stale(views_rebuild(fs->views, ino_view(*node))) : 0;
    if (r == 0)
        fuse_reply_write(req, n);
    else
        reply_result(req, r);
}

const struct node_ops view_rebuild_ops = {.stat = view_stat, .read = read_nothing, .write = rebuild_write};
