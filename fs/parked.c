#include "parked.h"

#include "event.h"
#include "fs.h"
#include "node_text.h"
#include "reply.h"

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

static void moved(void *arg, int result) {
    struct pending *p = arg;
    fuse_req_t req = pending_take(p);
    if (req)
        reply_result(req, result);
    pending_end(p);
    free(p);
}

void parked_move(struct fs *fs, const struct node *dir, uint64_t position, fuse_req_t req, parked_order *order) {
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    const struct caller caller = {.who = {.uid = ctx->uid, .gid = ctx->gid}, .pid = ctx->pid};
    struct pending *p = malloc(sizeof *p);
    int r = p ? pending_begin(p, fs, req) : -ENOMEM;
    if (r == 0) {
        order(fs, dir, position, &caller, moved, p);
        return;
    }
    free(p);
    reply_result(req, r);
}
