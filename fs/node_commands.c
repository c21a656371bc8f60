#include "asker.h"
#include "channel.h"
#include "node.h"

#include <errno.h>
#include <fcntl.h>

/* Names of where the file stands; a's memory holds the aggregate's. */
static int commands_scope(struct fs *fs, const struct node *node, struct scope *out, struct index_aggregate *a) {
    *out = (struct scope){0};
    if (node->tag == NODE_ROOT_COMMANDS)
        return 0;
    uint32_t type_no = (uint32_t)node->no;
    if (node->tag == NODE_AGGREGATE_COMMANDS) {
        int r = reply_stale(index_aggregate_by_no(fs->index, node->no, a, NULL));
        if (r < 0)
            return r;
        type_no = a->type_no;
        out->id = (struct str){a->id, a->id_bytes};
    }
    out->type = index_type_name(fs->index, type_no);
    return out->type.n ? 0 : -ESTALE;
}

/* Groups are nobody's business without a domain. */
static int commands_channel(struct fs *fs, const struct scope *scope, fuse_req_t req, bool results,
                            struct channel **out) {
    struct asker a;
    asker_init(&a, req);
    int r = fs->governed ? asker_groups(&a, req) : 0;
    if (r == 0) {
        const struct caller caller = {.who = a.who, .pid = fuse_req_ctx(req)->pid};
        *out = channel_new(fs->store, scope, &caller, results);
        r = *out ? 0 : -ENOMEM;
    }
    asker_deinit(&a);
    return r;
}

static int commands_open(struct fs *fs, const struct node *node, fuse_req_t req, int flags, struct handle **out) {
    struct index_aggregate a;
    struct scope scope;
    struct handle *h = NULL;
    int r = commands_scope(fs, node, &scope, &a);
    if (r == 0 && !(h = handle_new(fs)))
        r = -ENOMEM;
    if (r == 0)
        r = commands_channel(fs, &scope, req, (flags & O_ACCMODE) != O_WRONLY, &h->channel);
    if (r < 0) {
        handle_free(h);
        return r;
    }
    *out = h;
    return 0;
}

static ssize_t commands_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                             size_t n) {
    (void)fs, (void)node, (void)offset;
    return channel_read(h->channel, out, n);
}

/* From the sequencer's thread, or before channel_write() has returned. Once the answer is out the handle may go. */
static void commands_written(void *arg, ssize_t taken) {
    struct handle *h = arg;
    struct fs *fs = h->fs;
    fuse_req_t req = h->request;
    atomic_store(&h->unsynced, true);
    atomic_store(&h->writing, false);
    if (taken > 0)
        fuse_reply_write(req, (size_t)taken);
    else
        fuse_reply_err(req, taken == 0 ? EIO : reply_errno(taken)); /* a count of 0 is tried again for ever */
    deferred_end(&fs->deferred);
}

static void commands_write(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, const char *bytes,
                           size_t n) {
    (void)node;
    /* The kernel's inode lock lets one write of a handle through at a time; the engine relies on it. */
    if (atomic_exchange(&h->writing, true)) {
        fuse_reply_err(req, EBUSY);
        return;
    }
    if (n == 0) {
        atomic_store(&h->writing, false);
        fuse_reply_write(req, 0);
        return;
    }
    h->request = req;
    deferred_begin(&fs->deferred);
    channel_write(h->channel, bytes, n, commands_written, h);
}

/* close(2) of one of the descriptors of a handle: an end of the shell's `>` too, before anything was written. */
static int commands_flush(struct handle *h) {
    int r = channel_flush(h->channel);
    if (h->fs->durability == DURABILITY_FSYNC && atomic_exchange(&h->unsynced, false)) {
        int synced = store_sync(h->fs->store);
        if (synced < 0)
            return synced;
    }
    return r;
}

const struct node_ops commands_ops = {
    .stat = node_stat_as_parent,
    .open = commands_open,
    .read = commands_read,
    .write = commands_write,
    .flush = commands_flush,
};
