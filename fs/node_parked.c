/* .parked/ of a view: the events that its handlers failed on. `mv .parked/P.json .parked/retry/` has one done again,
 * into .parked/skipped/ has it passed over for good; both directories are always empty. */
#include "node_text.h"
#include "node_view.h"

#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define POSITION_CHARS 16
#define FILE_NAME_CHARS (POSITION_CHARS + 5)

/* --- names */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False when the name is not that of a parked event that a node can have. */
static bool position_of_name(struct str name, uint64_t *out) {
    struct str digits;
    *out = 0;
    if (!name_without_json(name, &digits) || digits.n != POSITION_CHARS)
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        int digit = hex_digit(digits.p[i]);
        if (digit < 0)
            return false;
        *out = *out << 4 | (uint64_t)digit;
    }
    return *out > 0 && *out >> INO_PARKED_BITS == 0;
}

/* --- .parked/ */

static int parked_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct view_info view;
    int r = view_of(fs, ino_view(*node), &view);
    if (r == 0)
        out->time = view.time;
    return r;
}

static int parked_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                       struct node_stat *stat) {
    (void)req;
    uint64_t position;
    if (!position_of_name(name, &position))
        return -ENOENT;
    *child = ino_parked(ino_view(*dir), position);
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
    char name[FILE_NAME_CHARS + 1];
    memcpy(&position, element, sizeof position);
    if (position >> INO_PARKED_BITS)
        return true;
    snprintf(name, sizeof name, "%016" PRIx64 ".json", position);
    const struct node node = ino_parked(ino_view(*dir), position);
    return listing_add(l, name, &node, NULL, LISTING_NUMBERED + position);
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

/* As old as the event. */
static int parked_event_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct text_event e;
    int r = snapshot_size(parked_render, fs, node, &out->size);
    if (r == 0)
        r = text_stat_event(fs->store, ino_position(*node), &e);
    if (r == 0)
        out->time = e.time;
    return r == -ENOENT ? -ESTALE : r;
}

static ssize_t parked_event_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                                 size_t n) {
    return snapshot_read(parked_render, fs, node, h, offset, out, n);
}

const struct node_ops parked_event_ops = {.stat = parked_event_stat, .open = text_open, .read = parked_event_read};

/* --- retry/ and skipped/ */

static void moved(void *arg, int result) {
    struct pending *p = arg;
    fuse_req_t req = pending_take(p);
    if (req)
        reply_result(req, result);
    pending_end(p);
    free(p);
}

static void move(struct fs *fs, const struct node *dir, uint64_t position, fuse_req_t req) {
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    const struct caller caller = {.who = {.uid = ctx->uid, .gid = ctx->gid}, .pid = ctx->pid};
    struct pending *p = malloc(sizeof *p);
    int r = p ? pending_begin(p, fs, req) : -ENOMEM;
    if (r < 0) {
        free(p);
        reply_result(req, r);
    } else if (dir->tag == NODE_VIEW_RETRY) {
        views_retry(fs->views, ino_view(*dir), position, moved, p);
    } else {
        views_skip(fs->views, ino_view(*dir), position, &caller, moved, p);
    }
}

static void parked_take(struct fs *fs, const struct node *dir, const struct node *from, struct str name,
                        fuse_req_t req) {
    uint64_t position;
    if (from->tag == NODE_VIEW_PARKED && from->no == dir->no && position_of_name(name, &position))
        move(fs, dir, position, req);
    else
        fuse_reply_err(req, EPERM);
}

const struct node_ops parked_retry_ops = {.stat = parked_stat, .take = parked_take};
const struct node_ops parked_skipped_ops = {.stat = parked_stat, .take = parked_take};
