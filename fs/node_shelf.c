/* parked/ of a consumer: the events that it could not handle. `mv parked/P.json parked/retry/` has one given again, and
 * there it stays until it is acknowledged; into parked/skipped/ has it passed over for good, and there it stays. */
#include "node_consumers.h"
#include "node_text.h"
#include "parked.h"

#include <errno.h>
#include <stddef.h>

/* --- the directories */

static enum consumer_shelf shelf_of(const struct node *dir) {
    return dir->tag == NODE_CONSUMER_RETRY     ? SHELF_RETRY
           : dir->tag == NODE_CONSUMER_SKIPPED ? SHELF_SKIPPED
                                               : SHELF_PARKED;
}

static int shelf_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct consumer_info c;
    int r = consumer_of_node(fs, node, &c);
    if (r == 0)
        out->time = c.time;
    return r;
}

static int shelf_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                      struct node_stat *stat) {
    (void)req;
    struct consumer_parked p;
    uint64_t position;
    if (!parked_position(name, &position))
        return -ENOENT;
    int r = reply_absent(consumers_parked_at(fs->consumers, (uint32_t)dir->no, position, &p));
    if (r == 0 && p.shelf != shelf_of(dir))
        r = -ENOENT;
    if (r < 0)
        return r;
    *child = (struct node){NODE_CONSUMER_PARKED_EVENT, p.id};
    r = node_stat(fs, child, stat);
    return r == -ESTALE ? -ENOENT : r;
}

/* A reader may be done with an event before mv has looked for what it has moved. One that has been parked again since,
 * or passed over, is not there: mv would ask whether to replace it. */
static int retry_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                      struct node_stat *stat) {
    struct consumer_parked p;
    uint64_t position;
    int r = shelf_find(fs, dir, name, req, child, stat);
    if (r != -ENOENT || !parked_position(name, &position))
        return r;
    bool elsewhere = consumers_parked_at(fs->consumers, (uint32_t)dir->no, position, &p) == 0;
    return elsewhere ? r : parked_find_moved(fs, dir, name, req, child, stat);
}

static int shelf_fetch(struct listing *l, const struct node *dir, uint64_t after, void *out, size_t n) {
    return consumers_parked(l->fs->consumers, (uint32_t)dir->no, shelf_of(dir), after, out, n);
}

static bool shelf_add(struct listing *l, const void *element) {
    const struct consumer_parked *p = element;
    const struct node node = {NODE_CONSUMER_PARKED_EVENT, p->id};
    return parked_listing_add(l, p->position, &node);
}

_Static_assert(offsetof(struct consumer_parked, position) == 0, "struct numbered");

static int shelf_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)fs;
    static const struct numbered kind = {sizeof(struct consumer_parked), shelf_fetch, shelf_add};
    return listing_numbered(out, dir, after, &kind, NULL);
}

static int shelf_order(struct fs *fs, const struct node *dir, uint64_t position, fuse_req_t req) {
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    const struct caller caller = {.who = {.uid = ctx->uid, .gid = ctx->gid}, .pid = ctx->pid};
    if (dir->tag == NODE_CONSUMER_RETRY)
        return reply_absent(consumers_retry(fs->consumers, (uint32_t)dir->no, position));
    return reply_absent(consumers_skip(fs->consumers, (uint32_t)dir->no, position, &caller));
}

static void shelf_take(struct fs *fs, const struct node *dir, const struct node *from, struct str name,
                       fuse_req_t req) {
    struct node child;
    struct node_stat stat;
    uint64_t position;
    bool from_shelf = from->tag == NODE_CONSUMER_PARKED || from->tag == NODE_CONSUMER_RETRY;
    if (!from_shelf || from->tag == dir->tag || from->no != dir->no || !parked_position(name, &position)) {
        fuse_reply_err(req, EPERM);
        return;
    }
    int r = shelf_find(fs, from, name, req, &child, &stat);
    if (r == 0)
        r = shelf_order(fs, dir, position, req);
    if (r == 0 && dir->tag == NODE_CONSUMER_RETRY)
        moves_add(&fs->moves, dir, position);
    reply_result(req, r);
}

const struct node_ops consumer_parked_ops = {.stat = shelf_stat, .find = shelf_find, .list = shelf_list};
const struct node_ops consumer_retry_ops = {
    .stat = shelf_stat, .find = retry_find, .list = shelf_list, .take = shelf_take};
const struct node_ops consumer_skipped_ops = {
    .stat = shelf_stat, .find = shelf_find, .list = shelf_list, .take = shelf_take};

/* --- <position>.json */

static int parked_render(struct fs *fs, const struct node *node, struct buf *out) {
    struct consumer_parked p;
    int r = reply_stale(consumers_parked_by_id(fs->consumers, node->no, &p));
    return r < 0 ? r : reply_stale(consumers_parked_text(fs->consumers, &p, out));
}

/* As old as the parking, or as the decision to pass over it. */
static int parked_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct consumer_parked p;
    int r = reply_stale(consumers_parked_by_id(fs->consumers, node->no, &p));
    if (r == 0)
        out->time = p.time;
    return r;
}

const struct node_ops consumer_parked_event_ops = {
    .stat = parked_stat, .costly = true, .open = text_open, .render = parked_render};
