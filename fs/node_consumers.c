/* consumers/ and what each consumer has in it, but for what it reads (node_follow.c) and what it has parked
 * (node_shelf.c). Writes wait for the disk in the thread that got them; those that come together share a sync. */
#include "node_consumers.h"

#include "name.h"
#include "node_dir.h"
#include "node_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NACK_BYTES (16 << 10) /* of one, escapes and white space included */

_Static_assert((int)CONSUMER_NONE == (int)INDEX_NONE, "reply_stale(), reply_absent()");

int consumer_of_node(struct fs *fs, const struct node *node, struct consumer_info *out) {
    return reply_stale(consumers_get(fs->consumers, (uint32_t)node->no, out));
}

/* --- open files */

int consuming_open(struct fs *fs, const struct node *node, struct handle **out) {
    struct consumer_info info;
    int r = consumer_of_node(fs, node, &info);
    if (r < 0)
        return r;
    struct handle *h = handle_new(fs);
    struct consuming *c = h ? calloc(1, sizeof *c) : NULL;
    if (!c || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c);
        handle_free(h);
        return -ENOMEM;
    }
    c->file = node_kind(node->tag)->name;
    c->consumer = info;
    polled_init(&c->polled, &fs->polls);
    h->consuming = c;
    *out = h;
    return 0;
}

static int written_open(struct fs *fs, const struct node *node, fuse_req_t req, int flags, struct handle **out) {
    (void)req, (void)flags;
    return consuming_open(fs, node, out);
}

void consuming_free(struct consuming *c) {
    if (!c)
        return;
    polled_deinit(&c->polled);
    reader_close(c->reader);
    intake_free(&c->intake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void consuming_tell(struct handle *h, const char *words) {
    const struct consuming *c = h->consuming;
    consumers_tell(h->fs->consumers, (struct str){c->consumer.name, c->consumer.bytes}, c->file, words);
}

void consuming_tell_removed(struct handle *h, ssize_t taken) {
    if (taken == -ESTALE)
        consuming_tell(h, "the consumer was removed");
}

void reply_taken(fuse_req_t req, ssize_t taken) {
    if (taken < 0)
        reply_result(req, (int)taken);
    else
        fuse_reply_write(req, (size_t)taken);
}

int consuming_flush(struct handle *h) {
    struct consuming *c = h->consuming;
    pthread_mutex_lock(&c->lock);
    int object = intake_end(&c->intake), position = ack_text_end(&c->acks);
    pthread_mutex_unlock(&c->lock);
    if (object < 0)
        consuming_tell(h, "cut off: the file was closed within a JSON object");
    if (position < 0)
        consuming_tell(h, "cut off: the file was closed within a position");
    if (h->fs->durability == DURABILITY_FSYNC && atomic_exchange(&h->unsynced, false)) {
        int synced = store_sync(h->fs->store);
        if (synced < 0)
            return synced;
    }
    return object < 0 ? object : position;
}

/* --- consumers/ */

static void entry_of(const struct consumer_info *c, struct node *node, struct node_stat *stat) {
    *node = (struct node){NODE_CONSUMER, c->no};
    *stat = (struct node_stat){.time = c->time};
}

static int consumers_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    (void)node;
    struct consumer_info c = {0};
    while (consumers_after(fs->consumers, c.no, &c) == 0)
        if (c.time > out->time)
            out->time = c.time;
    return out->time ? 0 : root_stat(fs, node, out);
}

static int consumers_find_entry(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req,
                                struct node *child, struct node_stat *stat) {
    (void)dir, (void)req;
    struct consumer_info c;
    if (name.n > NAME_MAX_BYTES)
        return -ENAMETOOLONG;
    int r = reply_absent(consumers_find(fs->consumers, name, &c));
    if (r == 0)
        entry_of(&c, child, stat);
    return r;
}

static int consumers_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)dir;
    struct consumer_info c = {.no = after < UINT32_MAX ? (uint32_t)after : UINT32_MAX};
    while (consumers_after(fs->consumers, c.no, &c) == 0) {
        char name[NAME_MAX_BYTES + 1];
        struct node node;
        struct node_stat stat;
        memcpy(name, c.name, c.bytes);
        name[c.bytes] = '\0';
        entry_of(&c, &node, &stat);
        if (!listing_add(out, name, &node, &stat, LISTING_NUMBERED + c.no))
            break;
    }
    return 0;
}

static void consumers_mkdir(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req) {
    struct node child;
    struct node_stat stat = {0};
    struct fuse_entry_param e;
    int r = name.n > NAME_MAX_BYTES ? -ENAMETOOLONG : consumers_make(fs->consumers, name);
    if (r == 0)
        r = consumers_find_entry(fs, dir, name, req, &child, &stat);
    if (r < 0) {
        reply_result(req, r);
        return;
    }
    node_entry(fs, &child, &stat, &e);
    fuse_reply_entry(req, &e);
}

static void consumers_rmdir(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req) {
    (void)dir;
    reply_result(req, reply_absent(consumers_remove(fs->consumers, name)));
}

const struct node_ops consumers_ops = {
    .stat = consumers_stat,
    .find = consumers_find_entry,
    .list = consumers_list,
    .make = consumers_mkdir,
    .remove = consumers_rmdir,
};

/* --- consumers/<name>/ */

static int consumer_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct consumer_info c;
    int r = consumer_of_node(fs, node, &c);
    if (r == 0)
        out->time = c.time;
    return r;
}

const struct node_ops consumer_ops = {.stat = consumer_stat};

/* --- config.json */

static int consumer_config_render(struct fs *fs, const struct node *node, struct buf *out) {
    return reply_stale(consumers_config(fs->consumers, (uint32_t)node->no, out));
}

/* What an object is for. */
struct taking {
    struct fs *fs;
    uint32_t consumer;
    struct caller caller;
};

static int take_config(void *arg, struct str object) {
    const struct taking *t = arg;
    return reply_stale(consumers_configure(t->fs->consumers, t->consumer, object));
}

static void objects_write(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, struct str bytes,
                          size_t max, intake_take *take) {
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct consuming *c = h->consuming;
    char words[96];
    struct taking t = {.fs = fs,
                       .consumer = (uint32_t)node->no,
                       .caller = {.who = {.uid = ctx->uid, .gid = ctx->gid}, .pid = ctx->pid}};
    pthread_mutex_lock(&c->lock);
    bool before = c->intake.refused < 0;
    ssize_t taken = intake_write(&c->intake, bytes.p, bytes.n, max, take, &t);
    pthread_mutex_unlock(&c->lock);
    atomic_store(&h->unsynced, true);
    snprintf(words, sizeof words, taken == -EBADMSG ? "not a JSON object" : "longer than %zu bytes", max);
    if (!before && (taken == -EBADMSG || taken == -EMSGSIZE))
        consuming_tell(h, words);
    consuming_tell_removed(h, taken);
    reply_taken(req, taken);
}

static void consumer_config_write(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req,
                                  const char *bytes, size_t n) {
    objects_write(fs, node, h, req, (struct str){bytes, n}, CONSUMER_CONFIG_BYTES, take_config);
}

const struct node_ops consumer_config_ops = {
    .stat = consumer_stat,
    .open = written_open,
    .render = consumer_config_render,
    .write = consumer_config_write,
    .flush = consuming_flush,
};

/* --- nack */

static int take_nack(void *arg, struct str object) {
    const struct taking *t = arg;
    return reply_stale(consumers_nack(t->fs->consumers, t->consumer, object, &t->caller));
}

static void nack_write(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, const char *bytes,
                       size_t n) {
    objects_write(fs, node, h, req, (struct str){bytes, n}, NACK_BYTES, take_nack);
}

const struct node_ops consumer_nack_ops = {
    .stat = node_stat_as_parent,
    .open = written_open,
    .read = read_nothing,
    .write = nack_write,
    .flush = consuming_flush,
};

/* --- ack: what is read is the cursor; as old as its last move */

static int ack_render(struct fs *fs, const struct node *node, struct buf *out) {
    struct consumer_info c;
    int r = consumer_of_node(fs, node, &c);
    if (r == 0)
        buf_printf(out, "%016" PRIx64 "\n", c.cursor);
    return r;
}

static int ack_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct consumer_info c;
    int r = consumer_of_node(fs, node, &c);
    if (r == 0)
        *out = (struct node_stat){.size = 17, .time = c.acked ? c.acked : c.time};
    return r;
}

static void ack_write(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, const char *bytes,
                      size_t n) {
    struct consuming *c = h->consuming;
    pthread_mutex_lock(&c->lock);
    ssize_t taken = consumers_ack(fs->consumers, (uint32_t)node->no, &c->acks, bytes, n);
    pthread_mutex_unlock(&c->lock);
    consuming_tell_removed(h, taken);
    atomic_store(&h->unsynced, true);
    reply_taken(req, taken);
}

const struct node_ops consumer_ack_ops = {
    .stat = ack_stat,
    .open = written_open,
    .render = ack_render,
    .write = ack_write,
    .flush = consuming_flush,
};

/* --- lag */

static int lag_render(struct fs *fs, const struct node *node, struct buf *out) {
    struct consumer_info c;
    int r = consumer_of_node(fs, node, &c);
    if (r == 0)
        buf_printf(out, "%" PRIu64 "\n", c.lag);
    return r;
}

const struct node_ops consumer_lag_ops = {.stat = consumer_stat, .open = text_open, .render = lag_render};

/* --- .status.json */

static int status_render(struct fs *fs, const struct node *node, struct buf *out) {
    return reply_stale(consumers_status(fs->consumers, (uint32_t)node->no, out));
}

const struct node_ops consumer_status_ops = {.open = text_open, .render = status_render};
