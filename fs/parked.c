#include "parked.h"

#include "event.h"
#include "fs.h"
#include "node_text.h"
#include "reply.h"
#include "skipped.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>

bool parked_position(struct str name, uint64_t *out) {
    struct str digits;
    return name_without_json(name, &digits) && event_position_read(digits, out);
}

bool parked_listing_add(struct listing *l, uint64_t position, const struct node *node) {
    char name[EVENT_POSITION_CHARS + sizeof ".json"];
    event_position(position, name);
    memcpy(name + EVENT_POSITION_CHARS, ".json", sizeof ".json");
    return listing_add(l, name, node, NULL, LISTING_NUMBERED + position);
}

/* --- <position>.json */

int parked_event_stat(struct fs *fs, const struct node *node, uint64_t position, struct node_stat *out) {
    struct text_event e;
    int r = node_render_size(fs, node, &out->size);
    if (r == 0)
        r = text_stat_event(fs->store, position, &e);
    if (r == 0) {
        out->time = e.time;
        out->subject = e.type_no;
    }
    return r == -ENOENT ? -ESTALE : r;
}

int parked_skipped_stat(struct fs *fs, struct str follower, uint64_t position, struct node_stat *out) {
    struct index_skip skip;
    int r = reply_stale(skipped_find(fs->store, follower, position, &skip));
    if (r == 0) {
        out->time = skip.time;
        out->subject = skip.type_no;
    }
    return r;
}

int parked_skipped_render(struct fs *fs, struct str follower, uint64_t position, struct buf *out) {
    int r = skipped_text(fs->store, follower, position, out);
    return r == -ENOENT ? -ESTALE : r;
}

/* --- what has been moved into retry/ */

int parked_find_moved(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                      struct node_stat *stat) {
    (void)req;
    uint64_t position;
    if (!parked_position(name, &position) || !moves_have(&fs->moves, dir, position))
        return -ENOENT;
    *child = (struct node){NODE_MOVED_EVENT, position};
    *stat = (struct node_stat){0};
    return 0;
}

const struct node_ops moved_event_ops = {.read = read_nothing};

/* --- moving */

struct move {
    struct pending pending; /* first */
    struct node dir;
    uint64_t position;
};

static void moved(void *arg, int result) {
    struct move *m = arg;
    if (result == 0 && (m->dir.tag == NODE_VIEW_RETRY || m->dir.tag == NODE_KAFKA_RETRY))
        moves_add(&m->pending.fs->moves, &m->dir, m->position);
    fuse_req_t req = pending_take(&m->pending);
    if (req)
        reply_result(req, result);
    pending_end(&m->pending);
    free(m);
}

void parked_move(struct fs *fs, const struct node *dir, uint64_t position, fuse_req_t req, parked_order *order) {
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    const struct caller caller = {.who = {.uid = ctx->uid, .gid = ctx->gid}, .pid = ctx->pid};
    struct move *m = malloc(sizeof *m);
    if (m)
        *m = (struct move){.dir = *dir, .position = position};
    int r = m ? pending_begin(&m->pending, fs, req) : -ENOMEM;
    if (r == 0) {
        order(fs, dir, position, &caller, moved, m);
        return;
    }
    free(m);
    reply_result(req, r);
}
