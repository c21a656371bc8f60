/* .esfs/kafka/: how the publisher is, and what Kafka refused. `mv parked/P.json parked/retry/` sends one again; into
 * parked/skipped/ has it passed over for good, and there it is shown from then on. */
#include "node_text.h"

#include "kafka.h"
#include "parked.h"
#include "skipped.h"
#include "text.h"

#include <errno.h>

const struct node_ops kafka_ops = {0};

/* --- status.json */

static int status_render(struct fs *fs, const struct node *node, struct buf *out) {
    (void)node;
    return kafka_status(store_kafka(fs->store), out);
}

const struct node_ops kafka_status_ops = {.open = text_open, .render = status_render};

/* --- parked/ */

/* False when the name is not that of an event that a node can have. */
static bool position_of_name(struct str name, uint64_t *out) {
    return parked_position(name, out) && *out > 0 && *out >> INO_EVENT_BITS == 0;
}

static struct node entry_of(const struct node *dir, uint64_t position) {
    bool skipped = dir->tag == NODE_KAFKA_SKIPPED;
    return (struct node){skipped ? NODE_KAFKA_SKIPPED_EVENT : NODE_KAFKA_PARKED_EVENT, position};
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
    struct kafka *k = store_kafka(l->fs->store);
    (void)dir;
    return k ? kafka_parked(k, after, out, n) : 0;
}

static bool parked_add(struct listing *l, const void *element) {
    uint64_t position;
    memcpy(&position, element, sizeof position);
    const struct node node = entry_of(l->arg, position);
    return parked_listing_add(l, position, &node);
}

static int parked_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)fs;
    static const struct numbered kind = {sizeof(uint64_t), parked_fetch, parked_add};
    return listing_numbered(out, dir, after, &kind, dir);
}

const struct node_ops kafka_parked_ops = {.find = parked_find, .list = parked_list};

/* --- parked/<position>.json: another try may fail for another reason */

static int event_render_parked(struct fs *fs, const struct node *node, struct buf *out) {
    struct kafka *k = store_kafka(fs->store);
    int r = k ? kafka_parked_text(k, node->no, out) : -ENOENT;
    return r == -ENOENT ? -ESTALE : r;
}

static int event_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    return parked_event_stat(fs, node, node->no, out);
}

const struct node_ops kafka_parked_event_ops = {.stat = event_stat, .open = text_open, .render = event_render_parked};

/* --- into parked/retry/ and parked/skipped/ */

static void order(struct fs *fs, const struct node *dir, uint64_t position, const struct caller *caller,
                  parked_done *done, void *arg) {
    struct kafka *k = store_kafka(fs->store);
    if (!k)
        done(arg, -EROFS);
    else if (dir->tag == NODE_KAFKA_RETRY)
        kafka_retry(k, position, done, arg);
    else
        kafka_skip(k, position, caller, done, arg);
}

static void parked_take(struct fs *fs, const struct node *dir, const struct node *from, struct str name,
                        fuse_req_t req) {
    uint64_t position;
    if (from->tag == NODE_KAFKA_PARKED && position_of_name(name, &position))
        parked_move(fs, dir, position, req, order);
    else
        fuse_reply_err(req, EPERM);
}

const struct node_ops kafka_retry_ops = {.find = parked_find_moved, .take = parked_take};

/* --- what there is in skipped/ */

static int skipped_fetch(struct listing *l, const struct node *dir, uint64_t after, void *out, size_t n) {
    (void)dir;
    return skipped_positions(l->fs->store, STR(KAFKA_FOLLOWER), after, out, n);
}

static int skipped_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)fs;
    static const struct numbered kind = {sizeof(uint64_t), skipped_fetch, parked_add};
    return listing_numbered(out, dir, after, &kind, dir);
}

const struct node_ops kafka_skipped_ops = {.find = parked_find, .list = skipped_list, .take = parked_take};

static int skipped_render(struct fs *fs, const struct node *node, struct buf *out) {
    return parked_skipped_render(fs, STR(KAFKA_FOLLOWER), node->no, out);
}

static int skipped_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    return parked_skipped_stat(fs, STR(KAFKA_FOLLOWER), node->no, out);
}

const struct node_ops kafka_skipped_event_ops = {
    .stat = skipped_stat, .costly = true, .open = text_open, .render = skipped_render};
