/* .parked/ of a view: the events that its handlers failed on. `mv .parked/P.json .parked/retry/` has one done again;
 * into .parked/skipped/ has it passed over for good, and there it is shown from then on. */
#include "node_text.h"
#include "node_view.h"
#include "parked.h"

#include "skipped.h"

#include <errno.h>

/* False when the name is not that of a parked event that a node can have. */
static bool position_of_name(struct str name, uint64_t *out) {
    return parked_position(name, out) && *out > 0 && *out >> INO_PARKED_BITS == 0;
}

/* --- .parked/ */

static int parked_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct view_info view;
    int r = view_of(fs, ino_view(*node), &view);
    if (r == 0)
        out->time = view.time;
    return r;
}

static struct node entry_of(const struct node *dir, uint64_t position) {
    return dir->tag == NODE_VIEW_SKIPPED ? ino_skipped(ino_view(*dir), position) : ino_parked(ino_view(*dir), position);
}

static int parked_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                       struct node_stat *stat) {
    (void)req;
    uint64_t position;
    if (!position_of_name(name, &position))
        return -ENOENT;
    *child = entry_of(dir, position);
    int r = node_stat(fs, child, stat);
    return r == -ESTALE ? -ENOENT : r;
}

static int parked_fetch(struct listing *l, const struct node *dir, uint64_t after, void *out, size_t n) {
    struct view_info view;
    int r = view_of(l->fs, ino_view(*dir), &view);
    return r < 0 ? r : views_parked(l->fs->views, view.no, after, out, n);
}

static bool parked_add(struct listing *l, const void *element) {
    const struct node *dir = l->arg;
    uint64_t position;
    memcpy(&position, element, sizeof position);
    if (position >> INO_PARKED_BITS)
        return true;
    const struct node node = entry_of(dir, position);
    return parked_listing_add(l, position, &node);
}

static int parked_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)fs;
    static const struct numbered kind = {sizeof(uint64_t), parked_fetch, parked_add};
    return listing_numbered(out, dir, after, &kind, dir);
}

const struct node_ops parked_ops = {.stat = parked_stat, .find = parked_find, .list = parked_list};

/* --- .parked/<position>.json: another try may fail for another reason */

static int parked_render(struct fs *fs, const struct node *node, struct buf *out) {
    return reply_stale(views_parked_text(fs->views, ino_view(*node), ino_position(*node), out));
}

static int event_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    return parked_event_stat(fs, node, ino_position(*node), out);
}

const struct node_ops parked_event_ops = {.stat = event_stat, .open = text_open, .render = parked_render};

/* --- into retry/ and skipped/ */

static void order(struct fs *fs, const struct node *dir, uint64_t position, const struct caller *caller,
                  parked_done *done, void *arg) {
    if (dir->tag == NODE_VIEW_RETRY)
        views_retry(fs->views, ino_view(*dir), position, done, arg);
    else
        views_skip(fs->views, ino_view(*dir), position, caller, done, arg);
}

static void parked_take(struct fs *fs, const struct node *dir, const struct node *from, struct str name,
                        fuse_req_t req) {
    uint64_t position;
    if (from->tag == NODE_VIEW_PARKED && from->no == dir->no && position_of_name(name, &position))
        parked_move(fs, dir, position, req, order);
    else
        fuse_reply_err(req, EPERM);
}

/* What has been moved there and is parked again, by another definition of the view, is not there: mv would ask whether
 * to replace it. */
static int retry_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                      struct node_stat *stat) {
    uint64_t position, parked;
    if (!position_of_name(name, &position))
        return -ENOENT;
    bool again = views_parked(fs->views, ino_view(*dir), position - 1, &parked, 1) == 1 && parked == position;
    return again ? -ENOENT : parked_find_moved(fs, dir, name, req, child, stat);
}

const struct node_ops parked_retry_ops = {.stat = parked_stat, .find = retry_find, .take = parked_take};

/* --- what there is in skipped/ */

struct follower {
    struct str name;
    char room[VIEW_FOLLOWER_ROOM];
};

/* What the log calls the view of a node. */
static int follower_of(struct fs *fs, const struct node *node, struct follower *out) {
    struct view_info view;
    int r = view_of(fs, ino_view(*node), &view);
    if (r == 0)
        out->name = view_follower(view.name, out->room);
    return r;
}

static int skipped_fetch(struct listing *l, const struct node *dir, uint64_t after, void *out, size_t n) {
    struct follower follower;
    int r = follower_of(l->fs, dir, &follower);
    return r < 0 ? r : skipped_positions(l->fs->store, follower.name, after, out, n);
}

static int skipped_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)fs;
    static const struct numbered kind = {sizeof(uint64_t), skipped_fetch, parked_add};
    return listing_numbered(out, dir, after, &kind, dir);
}

const struct node_ops parked_skipped_ops = {
    .stat = parked_stat, .find = parked_find, .list = skipped_list, .take = parked_take};

static int skipped_render(struct fs *fs, const struct node *node, struct buf *out) {
    struct follower follower;
    int r = follower_of(fs, node, &follower);
    return r < 0 ? r : parked_skipped_render(fs, follower.name, ino_position(*node), out);
}

static int skipped_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct follower follower;
    int r = follower_of(fs, node, &follower);
    return r < 0 ? r : parked_skipped_stat(fs, follower.name, ino_position(*node), out);
}

const struct node_ops skipped_event_ops = {
    .stat = skipped_stat, .costly = true, .open = text_open, .render = skipped_render};
