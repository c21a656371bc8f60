#include "node_text.h"

#include "text.h"

#include <errno.h>

int text_open(struct fs *fs, const struct node *node, fuse_req_t req, int flags, struct handle **out) {
    (void)node, (void)req, (void)flags;
    *out = handle_new(fs);
    return *out ? 0 : -ENOMEM;
}

struct text_cursor text_cursor_get(struct handle *h) {
    pthread_mutex_lock(&h->lock);
    struct text_cursor c = h->cursor;
    pthread_mutex_unlock(&h->lock);
    return c;
}

void text_cursor_put(struct handle *h, struct text_cursor c) {
    pthread_mutex_lock(&h->lock);
    h->cursor = c;
    pthread_mutex_unlock(&h->lock);
}

/* --- logs */

static uint32_t log_type(const struct node *node) {
    return node->tag == NODE_ROOT_LOG ? 0 : (uint32_t)node->no;
}

static int log_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    if (node->tag == NODE_ROOT_LOG) {
        struct index_head head;
        index_head(fs->index, &head);
        *out = (struct node_stat){.size = head.log_bytes, .time = head.time};
        return 0;
    }
    struct index_type t;
    int r = reply_stale(index_type_by_no(fs->index, (uint32_t)node->no, &t));
    if (r == 0)
        *out = (struct node_stat){.size = t.bytes, .time = t.time, .subject = t.no};
    return r;
}

static ssize_t log_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                        size_t n) {
    struct text_cursor c = text_cursor_get(h);
    ssize_t got = text_read_log(fs->store, log_type(node), offset, out, n, &c);
    text_cursor_put(h, c);
    return got;
}

const struct node_ops log_ops = {.stat = log_stat, .open = text_open, .read = log_read};

/* --- streams */

static int stream_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct index_aggregate a;
    int r = reply_stale(index_aggregate_by_no(fs->index, node->no, &a, NULL));
    if (r == 0)
        *out = (struct node_stat){.size = a.bytes, .time = a.time, .subject = a.type_no};
    return r;
}

ssize_t range_read(struct fs *fs, uint64_t aggregate, uint64_t from, uint64_t to, struct handle *h, uint64_t offset,
                   char *out, size_t n) {
    struct text_cursor c = text_cursor_get(h);
    ssize_t got = text_read_stream(fs->store, aggregate, from, to, offset, out, n, &c);
    text_cursor_put(h, c);
    return got;
}

static ssize_t stream_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                           size_t n) {
    struct index_aggregate a;
    int r = reply_stale(index_aggregate_by_no(fs->index, node->no, &a, NULL));
    if (r < 0 || a.version == 0)
        return r;
    return range_read(fs, node->no, 1, a.version, h, offset, out, n);
}

const struct node_ops stream_ops = {.stat = stream_stat, .open = text_open, .read = stream_read};

/* --- refusals */

static struct str rejections_topic(struct fs *fs, const struct node *node) {
    return node->tag == NODE_TYPE_REJECTIONS ? index_type_name(fs->index, (uint32_t)node->no) : (struct str){0};
}

static int rejections_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    journal_stat(store_rejections(fs->store), rejections_topic(fs, node), &out->size, &out->time);
    return 0;
}

static ssize_t rejections_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                               size_t n) {
    (void)h;
    return journal_read(store_rejections(fs->store), rejections_topic(fs, node), offset, out, n);
}

const struct node_ops rejections_ops = {.stat = rejections_stat, .read = rejections_read};

/* --- small files */

bool name_without_json(struct str name, struct str *out) {
    const struct str end = STR(".json");
    if (name.n <= end.n || !str_eq((struct str){name.p + name.n - end.n, end.n}, end))
        return false;
    *out = (struct str){name.p, name.n - end.n};
    return true;
}

ssize_t read_text(struct str text, uint64_t offset, char *out, size_t n) {
    if (offset >= text.n)
        return 0;
    size_t left = text.n - (size_t)offset, taken = left < n ? left : n;
    memcpy(out, text.p + offset, taken);
    return (ssize_t)taken;
}

ssize_t read_nothing(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out, size_t n) {
    (void)fs, (void)node, (void)h, (void)offset, (void)out, (void)n;
    return 0;
}

static int version_render(struct fs *fs, const struct node *node, struct buf *out) {
    struct index_aggregate a;
    int r = reply_stale(index_aggregate_by_no(fs->index, node->no, &a, NULL));
    if (r == 0)
        buf_printf(out, "%llu\n", (unsigned long long)a.version);
    return r;
}

static int version_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct index_aggregate a;
    int r = reply_stale(index_aggregate_by_no(fs->index, node->no, &a, NULL));
    if (r < 0)
        return r;
    *out = (struct node_stat){.size = 2, .time = a.time, .subject = a.type_no};
    for (uint64_t v = a.version; v >= 10; v /= 10)
        out->size++;
    return 0;
}

const struct node_ops version_ops = {.stat = version_stat, .open = text_open, .render = version_render};
