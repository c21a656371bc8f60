#include "node_text.h"

static int status_render(struct fs *fs, const struct node *node, struct buf *out) {
    (void)node;
    return store_status(fs->store, out);
}

static int config_render(struct fs *fs, const struct node *node, struct buf *out) {
    (void)node;
    return store_config(fs->store, out);
}

const struct node_ops status_ops = {.open = text_open, .render = status_render};

const struct node_ops config_ops = {.open = text_open, .render = config_render};

static int errors_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    (void)node;
    journal_stat(store_errors(fs->store), (struct str){0}, &out->size, &out->time);
    return 0;
}

static ssize_t errors_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                           size_t n) {
    (void)node, (void)h;
    return journal_read(store_errors(fs->store), (struct str){0}, offset, out, n);
}

static bool reload_there(struct fs *fs, const struct node *node) {
    (void)node;
    return fs->governed;
}

static void reload_write(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, const char *bytes,
                         size_t n) {
    (void)node, (void)h, (void)bytes;
    if (n > 0)
        reload_start(fs, req, n);
    else
        fuse_reply_write(req, 0);
}

const struct node_ops reload_ops = {
    .there = reload_there, .stat = node_stat_as_parent, .read = read_nothing, .write = reload_write};

const struct node_ops errors_ops = {.stat = errors_stat, .read = errors_read};
