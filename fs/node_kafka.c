/* .esfs/kafka/: how the publisher is, and what Kafka refused. `mv parked/P.json parked/retry/` sends one again, into
 * parked/skipped/ has it passed over for good; both directories are always empty. */
#include "node_text.h"

#include "kafka.h"
#include "kafka_settings.h"
#include "node_dir.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_NAME_CHARS (EVENT_POSITION_CHARS + 5)

static int kafka_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    (void)node;
    out->time = fs->started;
    return 0;
}

const struct node_ops kafka_ops = {.stat = kafka_stat};

/* --- status.json */

static int status_render(struct fs *fs, const struct node *node, struct buf *out) {
    (void)node;
    return kafka_status(store_kafka(fs->store), out);
}

static int status_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    out->time = fs->started; /* tar minds a file that changes while it is read */
    return snapshot_size(status_render, fs, node, &out->size);
}

static ssize_t status_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                           size_t n) {
    return snapshot_read(status_render, fs, node, h, offset, out, n);
}

const struct node_ops kafka_status_ops = {.stat = status_stat, .open = text_open, .read = status_read};

/* --- parked/ */

/* False when the name is not that of an event that a node can have. */
static bool position_of_name(struct str name, uint64_t *out) {
    struct str digits;
    return name_without_json(name, &digits) && kafka_position_read(digits, out) && *out > 0 &&
           *out >> INO_EVENT_BITS == 0;
}

static int parked_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                       struct node_stat *stat) {
    (void)dir, (void)req;
    uint64_t position;
    if (!position_of_name(name, &position))
        return -ENOENT;
    *child = (struct node){NODE_KAFKA_PARKED_EVENT, position};
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
    char name[FILE_NAME_CHARS + 1];
    memcpy(&position, element, sizeof position);
    snprintf(name, sizeof name, "%016" PRIx64 ".json", position);
    const struct node node = {NODE_KAFKA_PARKED_EVENT, position};
    return listing_add(l, name, &node, NULL, LISTING_NUMBERED + position);
}

static int parked_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)fs;
    static const struct numbered kind = {sizeof(uint64_t), parked_fetch, parked_add};
    return listing_numbered(out, dir, after, &kind, NULL);
}

const struct node_ops kafka_parked_ops = {.stat = kafka_stat, .find = parked_find, .list = parked_list};

/* --- parked/<position>.json: another try may fail for another reason */

static int event_render_parked(struct fs *fs, const struct node *node, struct buf *out) {
    struct kafka *k = store_kafka(fs->store);
    int r = k ? kafka_parked_text(k, node->no, out) : -ENOENT;
    return r == -ENOENT ? -ESTALE : r;
}

/* As old as the event. */
static int event_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct text_event e;
    int r = snapshot_size(event_render_parked, fs, node, &out->size);
    if (r == 0)
        r = text_stat_event(fs->store, node->no, &e);
    if (r == 0) {
        out->time = e.time;
        out->subject = e.type_no;
    }
    return r == -ENOENT ? -ESTALE : r;
}

static ssize_t event_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                          size_t n) {
    return snapshot_read(event_render_parked, fs, node, h, offset, out, n);
}

const struct node_ops kafka_parked_event_ops = {.stat = event_stat, .open = text_open, .read = event_read};

/* --- parked/retry/ and parked/skipped/ */

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
    struct kafka *k = store_kafka(fs->store);
    struct pending *p = k ? malloc(sizeof *p) : NULL;
    int r = !k ? -EROFS : p ? pending_begin(p, fs, req) : -ENOMEM;
    if (r < 0) {
        free(p);
        reply_result(req, r);
    } else if (dir->tag == NODE_KAFKA_RETRY) {
        kafka_retry(k, position, moved, p);
    } else {
        kafka_skip(k, position, &caller, moved, p);
    }
}

static void parked_take(struct fs *fs, const struct node *dir, const struct node *from, struct str name,
                        fuse_req_t req) {
    uint64_t position;
    if (from->tag == NODE_KAFKA_PARKED && position_of_name(name, &position))
        move(fs, dir, position, req);
    else
        fuse_reply_err(req, EPERM);
}

const struct node_ops kafka_retry_ops = {.stat = kafka_stat, .take = parked_take};
const struct node_ops kafka_skipped_ops = {.stat = kafka_stat, .take = parked_take};
