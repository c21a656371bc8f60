/* follow and pending of a consumer: lines of events from where this descriptor has got to, as many as are asked for. In
 * a group `follow` is written to as well: positions that this descriptor is done with. */
#include "asker.h"
#include "node_consumers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>

#define READABLE (POLLIN | POLLRDNORM)
#define WRITABLE (POLLOUT | POLLWRNORM)

static bool is_group(struct fs *fs, const struct node *node) {
    struct consumer_info c;
    return consumer_of_node(fs, node, &c) == 0 && c.group;
}

static bool follow_there(struct fs *fs, const struct node *node) {
    return !is_group(fs, node);
}

/* --- opening */

/* Groups are nobody's business without a domain. */
static int open_reader(struct fs *fs, const struct node *node, enum reader_kind kind, fuse_req_t req,
                       struct reader **out) {
    struct asker a;
    asker_init(&a, req);
    int r = fs->governed ? asker_groups(&a, req) : 0;
    const struct caller caller = {.who = a.who, .pid = fuse_req_ctx(req)->pid};
    if (r == 0)
        r = reply_stale(reader_open(out, fs->consumers, (uint32_t)node->no, kind, &caller));
    asker_deinit(&a);
    return r;
}

static int open_kind(struct fs *fs, const struct node *node, enum reader_kind kind, fuse_req_t req,
                     struct handle **out) {
    struct handle *h = NULL;
    int r = consuming_open(fs, node, &h);
    if (r == 0)
        r = open_reader(fs, node, kind, req, &h->consuming->reader);
    /* Now the config does not change any more: was it what this node is for? */
    if (r == 0 && kind == READER_FOLLOW && is_group(fs, node) != (node->tag == NODE_CONSUMER_FOLLOW_GROUP))
        r = -ESTALE;
    if (r < 0)
        handle_free(h);
    else
        *out = h;
    return r;
}

static int pending_open(struct fs *fs, const struct node *node, fuse_req_t req, int flags, struct handle **out) {
    (void)flags;
    return open_kind(fs, node, READER_PENDING, req, out);
}

static int refuse_open(struct fs *fs, const struct node *node) {
    struct consumer_info c;
    int r = consumer_of_node(fs, node, &c);
    if (r < 0)
        return r;
    consumers_tell(fs->consumers, (struct str){c.name, c.bytes}, "follow",
                   "a reader of a group opens it for reading and writing, to say there what it is done with");
    return -EINVAL;
}

/* Who only reads could never say what is done, and would keep from the others what was given. */
static int follow_open(struct fs *fs, const struct node *node, fuse_req_t req, int flags, struct handle **out) {
    bool both = (flags & O_ACCMODE) == O_RDWR;
    if (node->tag == NODE_CONSUMER_FOLLOW_GROUP && !both && !store_read_only(fs->store))
        return refuse_open(fs, node);
    return open_kind(fs, node, READER_FOLLOW, req, out);
}

/* --- a read that waits: the consumers' own thread answers it, and nothing is lost when it is interrupted, for it takes
 * its bytes only then */

struct blocked {
    struct pending pending; /* first */
    struct reader_wait wait;
    struct reader *reader;
    size_t n;
};

static void blocked_answer(struct blocked *b, fuse_req_t req, const char *bytes, ssize_t got) {
    if (got < 0)
        reply_result(req, (int)got);
    else
        fuse_reply_buf(req, bytes, (size_t)got);
    pending_end(&b->pending);
    free(b);
}

/* There is something, unless another read has taken it. */
static void blocked_wake(struct reader_wait *wait) {
    struct blocked *b = (struct blocked *)((char *)wait - offsetof(struct blocked, wait));
    fuse_req_t req = pending_take(&b->pending);
    char *bytes = malloc(b->n);
    ssize_t got = bytes ? reader_read(b->reader, bytes, b->n) : -ENOMEM;
    bool waits = got == -EAGAIN && (got = pending_again(&b->pending, req)) == 0;
    if (!waits)
        blocked_answer(b, req, bytes, got);
    free(bytes);
}

static int blocked_start(struct pending *p) {
    struct blocked *b = (struct blocked *)p;
    return reader_wait(b->reader, &b->wait);
}

static bool blocked_stop(struct pending *p) {
    struct blocked *b = (struct blocked *)p;
    return reader_unwait(&b->wait);
}

static void blocked_read(struct fs *fs, struct reader *r, fuse_req_t req, size_t n) {
    static const struct pending_stop stop = {blocked_start, blocked_stop};
    struct blocked *b = malloc(sizeof *b);
    if (b)
        *b = (struct blocked){.wait.wake = blocked_wake, .reader = r, .n = n};
    int code = b ? pending_begin_stoppable(&b->pending, fs, req, &stop) : -ENOMEM;
    if (code == 0)
        return;
    free(b);
    reply_result(req, code);
}

/* --- reading */

static int follow_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct consumer_info c;
    int r = consumer_of_node(fs, node, &c);
    if (r == 0)
        out->time = c.time;
    return r;
}

/* `pending` waits for nothing that is to come: that much of the log takes its time is no reason for EAGAIN. */
static void follow_read(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, size_t n, int flags) {
    bool wait = !(flags & O_NONBLOCK) || node->tag == NODE_CONSUMER_PENDING;
    struct consuming *c = h->consuming;
    char *bytes = malloc(n ? n : 1);
    ssize_t got = bytes ? reader_read(c->reader, bytes, n) : -ENOMEM;
    if (got == -EAGAIN)
        polled_wait(&c->polled, c->reader);
    if (got == -EAGAIN && wait)
        blocked_read(fs, c->reader, req, n);
    else if (got < 0)
        reply_result(req, (int)got);
    else
        fuse_reply_buf(req, bytes, (size_t)got);
    free(bytes);
}

static unsigned follow_poll(struct fs *fs, const struct node *node, struct handle *h, struct fuse_pollhandle *handle) {
    (void)fs;
    struct consuming *c = h->consuming;
    unsigned writable = node->tag == NODE_CONSUMER_FOLLOW_GROUP ? WRITABLE : 0;
    if (handle)
        polled_set(&c->polled, handle);
    if (reader_ready(c->reader))
        return READABLE | writable;
    polled_wait(&c->polled, c->reader);
    return writable;
}

/* --- a group's */

static void follow_write(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, const char *bytes,
                         size_t n) {
    (void)fs, (void)node;
    struct consuming *c = h->consuming;
    pthread_mutex_lock(&c->lock);
    ssize_t taken = reader_ack(c->reader, &c->acks, bytes, n);
    pthread_mutex_unlock(&c->lock);
    consuming_tell_removed(h, taken);
    atomic_store(&h->unsynced, true);
    reply_taken(req, taken);
}

const struct node_ops consumer_follow_ops = {
    .there = follow_there,
    .stat = follow_stat,
    .open = follow_open,
    .read_later = follow_read,
    .poll = follow_poll,
};

const struct node_ops consumer_group_ops = {
    .there = is_group,
    .stat = follow_stat,
    .open = follow_open,
    .read_later = follow_read,
    .write = follow_write,
    .flush = consuming_flush,
    .poll = follow_poll,
};

const struct node_ops consumer_pending_ops = {
    .stat = follow_stat,
    .open = pending_open,
    .read_later = follow_read,
    .poll = follow_poll,
};
