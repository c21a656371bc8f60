/* What the domain makes of an aggregate: stream.ndjson and state.json, now and as of a moment.
 *
 * At a moment too they are read past the page cache: the events of a moment never change, but another domain may make
 * something else of them. When a handler fails on a stored event, or the log cannot be read, the file alone is EIO, its
 * attributes included, for nobody knows its size. */
#include "domain.h"
#include "folded.h"
#include "node_at.h"
#include "node_text.h"
#include "rights.h"

#include <errno.h>

/* --- which streams: those of the domain's types */

bool folded_there(struct fs *fs, const struct node *node) {
    uint32_t type_no;
    if (!fs->governed || rights_subject(fs, node, &type_no) < 0)
        return false;
    struct domain *d = store_domain(fs->store);
    bool has = domain_type(d, index_type_name(fs->index, type_no)) != NULL;
    domain_unref(d);
    return has;
}

/* The versions that a node shows; `to` is FOLDED_NOW for an aggregate's own files, 0 for none. */
static int versions_of(struct fs *fs, const struct node *node, struct moment_range *out) {
    if (ino_payload(node->tag) == PAYLOAD_MOMENT)
        return moment_range(fs, node, out);
    *out = (struct moment_range){.aggregate = node->no, .from = 1, .to = FOLDED_NOW};
    return 0;
}

/* As old as the events it was made of. */
static int folded_time(struct fs *fs, const struct node *node, const struct moment_range *range,
                       struct node_stat *out) {
    struct index_aggregate a;
    uint64_t bytes;
    if (range->to == 0)
        return 0;
    if (ino_payload(node->tag) == PAYLOAD_MOMENT)
        return text_stat_range(fs->store, range->aggregate, range->from, range->to, &bytes, &out->time);
    int r = reply_stale(index_aggregate_by_no(fs->index, node->no, &a, NULL));
    if (r == 0)
        *out = (struct node_stat){.time = a.time, .subject = a.type_no};
    return r;
}

/* --- stream.ndjson */

static int folded_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct moment_range range;
    int r = versions_of(fs, node, &range);
    if (r == 0)
        r = folded_time(fs, node, &range, out);
    if (r == 0 && range.to > 0)
        r = folded_stream_size(fs->store, range.aggregate, range.from, range.to, &out->size);
    return r;
}

static ssize_t folded_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                           size_t n) {
    struct moment_range range;
    int r = versions_of(fs, node, &range);
    if (r < 0 || range.to == 0)
        return r;
    struct text_cursor c = text_cursor_get(h);
    ssize_t got = folded_stream_read(fs->store, range.aggregate, range.from, range.to, offset, out, n, &c);
    text_cursor_put(h, c);
    return got;
}

const struct node_ops folded_ops = {
    .there = folded_there,
    .stat = folded_stat,
    .costly = true,
    .open = text_open,
    .read = folded_read,
};

const struct node_ops moment_folded_ops = {
    .there = folded_there,
    .stat = folded_stat,
    .costly = true,
    .open = text_open,
    .read = folded_read,
    .hold = moment_hold,
    .drop = moment_drop,
};

/* --- state.json */

static int state_render(struct fs *fs, const struct node *node, struct buf *out) {
    struct moment_range range;
    int r = versions_of(fs, node, &range);
    return r < 0 ? r : folded_state(fs->store, range.aggregate, range.to, out);
}

static int state_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct moment_range range;
    int r = versions_of(fs, node, &range);
    if (r == 0)
        r = folded_time(fs, node, &range, out);
    if (r == 0)
        r = folded_state_size(fs->store, range.aggregate, range.to, &out->size);
    return r;
}

/* A range of versions has no state. */
static bool moment_state_there(struct fs *fs, const struct node *node) {
    return !moment_is_range(fs, node) && folded_there(fs, node);
}

const struct node_ops state_ops = {
    .there = folded_there,
    .stat = state_stat,
    .costly = true,
    .open = text_open,
    .render = state_render,
};

const struct node_ops moment_state_ops = {
    .there = moment_state_there,
    .stat = state_stat,
    .costly = true,
    .open = text_open,
    .render = state_render,
    .hold = moment_hold,
    .drop = moment_drop,
};
