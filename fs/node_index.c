/* Indexes: directories of links to aggregates. */
#include "node_view.h"

#include <errno.h>
#include <stddef.h>

/* Offsets of links are beyond those of all directories. */
#define LINKS (1ULL << 60)

/* --- links */

static int link_aggregate(struct fs *fs, const struct node *node, struct index_aggregate *out, struct str *type) {
    int r = reply_stale(index_aggregate_by_no(fs->index, ino_link_aggregate(*node), out, NULL));
    if (r < 0)
        return r;
    *type = index_type_name(fs->index, out->type_no);
    return 0;
}

/* "../../../order/1001" */
static int link_readlink(struct fs *fs, const struct node *node, struct buf *out) {
    struct index_aggregate a;
    struct str type;
    int r = link_aggregate(fs, node, &a, &type);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < ino_link_levels(*node) + 2; i++)
        buf_put_text(out, "../");
    buf_put_str(out, type);
    buf_put_char(out, '/');
    buf_put(out, a.id, a.id_bytes);
    return 0;
}

/* As old as what it leads to. */
static int link_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct index_aggregate a;
    struct str type;
    int r = link_aggregate(fs, node, &a, &type);
    if (r == 0)
        *out = (struct node_stat){.size = 3 * (ino_link_levels(*node) + 2) + type.n + 1 + a.id_bytes, .time = a.time};
    return r;
}

const struct node_ops view_link_ops = {.stat = link_stat, .readlink = link_readlink};

/* --- directories */

static int child_found(struct fs *fs, uint32_t view, uint64_t build, uint32_t levels, const struct view_child *found,
                       struct node *child, struct node_stat *stat) {
    if (found->link) {
        *child = ino_link(view, levels, found->no);
        return link_stat(fs, child, stat);
    }
    *child = ino_dir(build, found->no);
    *stat = (struct node_stat){.time = found->time, .subject = view};
    return 0;
}

/* A build that has gone away is asked for its successor. */
int index_find(struct fs *fs, const struct view_info *view, struct str name, struct node *child,
               struct node_stat *stat) {
    struct view_info now = *view;
    struct view_child found;
    if (name.n > VIEW_NAME_MAX)
        return -ENAMETOOLONG;
    for (;;) {
        uint64_t build = now.build;
        int r = views_child(fs->views, build, 0, name, &found);
        if (r == 0)
            return child_found(fs, view->no, build, 0, &found, child, stat);
        if (r == VIEW_NONE)
            r = view_of(fs, view->no, &now);
        if (r < 0)
            return r;
        if (now.build == build || !now.index)
            return -ENOENT;
    }
}

static int dir_of(struct fs *fs, const struct node *node, struct view_dir *out) {
    return reply_stale(views_dir(fs->views, ino_dir_build(*node), ino_dir_no(*node), out));
}

static int dir_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct view_dir dir;
    int r = dir_of(fs, node, &dir);
    if (r == 0)
        *out = (struct node_stat){.time = dir.time, .subject = dir.view};
    return r;
}

static int dir_find(struct fs *fs, const struct node *node, struct str name, fuse_req_t req, struct node *child,
                    struct node_stat *stat) {
    (void)req;
    struct view_dir dir;
    struct view_child found;
    if (name.n > VIEW_NAME_MAX)
        return -ENAMETOOLONG;
    int r = dir_of(fs, node, &dir);
    if (r == 0)
        r = reply_absent(views_child(fs->views, ino_dir_build(*node), ino_dir_no(*node), name, &found));
    if (r == 0)
        r = child_found(fs, dir.view, ino_dir_build(*node), dir.levels, &found, child, stat);
    return r;
}

/* --- listing: directories, then links */

/* What is being listed. */
struct place {
    uint64_t build, dir;
    uint32_t view, levels;
};

/* -ESTALE when it is not there any more. */
static int place_of(struct listing *l, const struct node *dir, struct place *out) {
    struct view_dir found;
    *out = (struct place){.view = ino_view(*dir)};
    if (dir->tag == NODE_VIEW)
        return listing_build(l, dir, &out->build);
    int r = dir_of(l->fs, dir, &found);
    *out = (struct place){ino_dir_build(*dir), ino_dir_no(*dir), r == 0 ? found.view : 0, r == 0 ? found.levels : 0};
    return r;
}

static int links_fetch(struct fs *fs, const struct place *place, uint64_t after, struct view_key *out, size_t n) {
    int got = views_links(fs->views, place->build, place->dir, after, out, n);
    for (int i = 0; i < got; i++)
        out[i].no += LINKS;
    return got;
}

/* At the end of a build that has gone away it is not known whether that was all. */
static int children_fetch(struct listing *l, const struct node *dir, uint64_t after, void *out, size_t n) {
    const struct place *place = l->arg;
    struct place still;
    int got = 0;
    if (after < LINKS)
        got = views_dirs(l->fs->views, place->build, place->dir, after, out, n);
    if (got == 0)
        got = links_fetch(l->fs, place, after < LINKS ? 0 : after - LINKS, out, n);
    if (got < 0 || (size_t)got == n)
        return got;
    int r = place_of(l, dir, &still);
    return r < 0 ? r : got;
}

/* What the kernel would want to know of the entry is asked for by LOOKUP. */
static bool children_add(struct listing *l, const void *element) {
    const struct place *place = l->arg;
    const struct view_key *key = element;
    char name[VIEW_NAME_MAX + 1];
    memcpy(name, key->name, key->bytes);
    name[key->bytes] = '\0';
    bool link = key->no > LINKS;
    struct node node = link ? ino_link(place->view, place->levels, key->no - LINKS) : ino_dir(place->build, key->no);
    return listing_add(l, name, &node, NULL, LISTING_NUMBERED + key->no);
}

_Static_assert(offsetof(struct view_key, no) == 0, "struct numbered");

int index_list(struct listing *l, const struct node *dir, uint64_t after) {
    static const struct numbered kind = {sizeof(struct view_key), children_fetch, children_add};
    struct place place;
    int r = place_of(l, dir, &place);
    return r < 0 ? r : listing_numbered(l, dir, after, &kind, &place);
}

static int dir_list_children(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)fs;
    return index_list(out, dir, after);
}

const struct node_ops view_dir_ops = {.stat = dir_stat, .find = dir_find, .list = dir_list_children};
