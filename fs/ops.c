/* The FUSE table. Every operation finds its node, checks the caller and asks the node's kind; what a node is and
 * does stands in node.c.
 *
 * What would change the tree in a way that it does not have (rm, mv, chmod, a file of one's own) is EPERM here for
 * whoever may see the node: left out, it would be "Function not implemented". fsync is no exception: left out, it
 * would be a success that synced nothing. */
#include "ops.h"

#include "access.h"
#include "node.h"
#include "node_dir.h"
#include "xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define WRITE_MAX (1 << 20)
#define NAMES_MAX 255 /* bytes of a name: of a view's file or a query's result */

/* The node of an id, if the caller may do that with it. */
static int node_for(fuse_req_t req, fuse_ino_t ino, int want, struct node *out) {
    int r = node_of_ino(fs_of(req), ino, out);
    return r < 0 ? r : access_check(fs_of(req), req, out, want);
}

/* --- the session */

static void ops_init(void *userdata, struct fuse_conn_info *conn) {
    struct fs *fs = userdata;
    conn->max_write = WRITE_MAX;
    /* Splicing was never faster for replies of this size. Without ASYNC_DIO a write on O_DIRECT is one at a time
     * too, as a channel needs it. */
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ASYNC_DIO);
    conn->want |= conn->capable & (FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                                   FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_ATOMIC_O_TRUNC);
    if (fs->ready)
        fs->ready(fs->ready_arg);
}

/* --- names */

static void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
    struct fs *fs = fs_of(req);
    struct node dir, child;
    struct node_stat stat = {0};
    int r = node_for(req, parent, X_OK, &dir);
    if (r == 0)
        r = node_find(fs, &dir, str_of(name), req, &child, &stat);
    if (r < 0) {
        reply_result(req, r);
        return;
    }
    struct fuse_entry_param e;
    node_entry(fs, &child, &stat, &e);
    if (fuse_reply_entry(req, &e) < 0)
        node_drop(fs, &child, 1);
}

static void forget(struct fs *fs, fuse_ino_t ino, uint64_t n) {
    struct node node;
    if (node_of_ino(fs, ino, &node) == 0)
        node_drop(fs, &node, n);
}

static void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n) {
    forget(fs_of(req), ino, n);
    fuse_reply_none(req);
}

static void ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets) {
    for (size_t i = 0; i < count; i++)
        forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
    (void)mode;
    struct node dir;
    int r = node_for(req, parent, X_OK, &dir);
    const struct node_kind *k = r < 0 ? NULL : node_kind(dir.tag);
    if (r == 0)
        r = k->ops->make ? access_check(fs_of(req), req, &dir, W_OK) : -EPERM;
    if (r == 0)
        k->ops->make(fs_of(req), &dir, str_of(name), req);
    else
        reply_result(req, r);
}

static void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name) {
    struct node dir;
    int r = node_for(req, parent, X_OK, &dir);
    const struct node_kind *k = r < 0 ? NULL : node_kind(dir.tag);
    if (r == 0)
        r = k->ops->remove ? access_check(fs_of(req), req, &dir, W_OK) : -EPERM;
    if (r == 0)
        k->ops->remove(fs_of(req), &dir, str_of(name), req);
    else
        reply_result(req, r);
}

static void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) {
    struct node dir;
    int r = node_for(req, parent, X_OK, &dir);
    const struct node_kind *k = r < 0 ? NULL : node_kind(dir.tag);
    if (r == 0)
        r = k->ops->unlink ? access_check(fs_of(req), req, &dir, W_OK) : -EPERM;
    if (r == 0)
        k->ops->unlink(fs_of(req), &dir, str_of(name), req);
    else
        reply_result(req, r);
}

/* Only into a directory that takes such a file, and under its own name. */
static void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *to_name,
                       unsigned flags) {
    struct node dir, from;
    int r = node_for(req, parent, X_OK, &from);
    if (r == 0)
        r = node_for(req, to, X_OK, &dir);
    const struct node_kind *k = r < 0 ? NULL : node_kind(dir.tag);
    if (r == 0)
        r = k->ops->take ? access_check(fs_of(req), req, &dir, W_OK) : -EPERM;
    if (r == 0 && ((flags & ~(unsigned)RENAME_NOREPLACE) || strcmp(name, to_name) != 0))
        r = -EPERM;
    if (r == 0)
        k->ops->take(fs_of(req), &dir, &from, str_of(name), req);
    else
        reply_result(req, r);
}

/* --- what no node can do */

static void refuse(fuse_req_t req, fuse_ino_t dir, int want) {
    struct node node;
    int r = node_for(req, dir, want, &node);
    reply_result(req, r < 0 ? r : -EPERM);
}

static void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev) {
    (void)name, (void)mode, (void)rdev;
    refuse(req, parent, X_OK);
}

static void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi) {
    (void)name, (void)mode, (void)fi;
    refuse(req, parent, X_OK);
}

static void ops_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name) {
    (void)link, (void)name;
    refuse(req, parent, X_OK);
}

static void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name) {
    (void)ino, (void)name;
    refuse(req, parent, X_OK);
}

static void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t n, struct fuse_file_info *fi) {
    (void)mode, (void)offset, (void)n, (void)fi;
    refuse(req, ino, 0);
}

/* --- attributes */

static void reply_attr(fuse_req_t req, const struct node *node) {
    struct node_stat stat;
    int r = node_stat(fs_of(req), node, &stat);
    if (r < 0) {
        reply_result(req, r);
        return;
    }
    struct stat attr;
    node_attr(fs_of(req), node, &stat, &attr);
    fuse_reply_attr(req, &attr, node_attr_timeout(fs_of(req), node));
}

static void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
    (void)fi;
    struct node node;
    int r = node_of_ino(fs_of(req), ino, &node);
    if (r == 0)
        reply_attr(req, &node);
    else
        reply_result(req, r);
}

/* `commands` can be truncated to nothing, which it is, and touched; shells and editors do so before they write. */
static void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set, struct fuse_file_info *fi) {
    (void)fi;
    const int harmless = FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW |
                         FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_CTIME;
    struct node node;
    int r = node_for(req, ino, 0, &node);
    if (r == 0 && !node_kind(node.tag)->ops->write)
        r = access_check(fs_of(req), req, &node, R_OK) < 0 ? -EACCES : -EPERM;
    if (r == 0)
        r = access_check(fs_of(req), req, &node, W_OK);
    if (r == 0 && ((set & ~harmless) || ((set & FUSE_SET_ATTR_SIZE) && attr->st_size != 0)))
        r = -EPERM;
    if (r == 0)
        reply_attr(req, &node);
    else
        reply_result(req, r);
}

static void ops_access(fuse_req_t req, fuse_ino_t ino, int mask) {
    struct node node;
    int r = node_for(req, ino, mask, &node);
    if (r == 0) {
        const struct node_kind *k = node_kind(node.tag);
        bool dir = S_ISDIR(k->mode);
        /* What root may not do either. */
        if ((mask & W_OK) && !(dir ? k->ops->make || k->ops->unlink || k->ops->take : k->ops->write != NULL))
            r = -EPERM;
        else if ((mask & X_OK) && !dir)
            r = -EACCES;
    }
    reply_result(req, r);
}

static void ops_readlink(fuse_req_t req, fuse_ino_t ino) {
    struct buf text = {0};
    struct node node;
    int r = node_of_ino(fs_of(req), ino, &node);
    if (r == 0)
        r = node_kind(node.tag)->ops->readlink ? node_kind(node.tag)->ops->readlink(fs_of(req), &node, &text) : -EINVAL;
    buf_put_char(&text, '\0');
    if (r == 0 && text.oom)
        r = -ENOMEM;
    if (r == 0)
        fuse_reply_readlink(req, text.p);
    else
        reply_result(req, r);
    buf_free(&text);
}

/* --- attributes with a name
 *
 * Without a domain there are none, and ENOSYS tells the kernel once and for all not to ask. */

static void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t room) {
    struct node node;
    int r = fs_of(req)->governed ? node_of_ino(fs_of(req), ino, &node) : -ENOSYS;
    if (r == 0)
        xattr_get(req, &node, name, room);
    else
        reply_result(req, r);
}

static void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t room) {
    struct node node;
    int r = fs_of(req)->governed ? node_of_ino(fs_of(req), ino, &node) : -ENOSYS;
    if (r == 0)
        xattr_list(req, &node, room);
    else
        reply_result(req, r);
}

static void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t n, int flags) {
    (void)name, (void)value, (void)n, (void)flags;
    if (fs_of(req)->governed)
        refuse(req, ino, 0);
    else
        fuse_reply_err(req, ENOSYS);
}

static void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name) {
    ops_setxattr(req, ino, name, NULL, 0, 0);
}

static void ops_statfs(fuse_req_t req, fuse_ino_t ino) {
    (void)ino;
    struct statvfs st = {0};
    int r = store_statvfs(fs_of(req)->store, &st);
    st.f_namemax = NAMES_MAX;
    if (r == 0)
        fuse_reply_statfs(req, &st);
    else
        reply_result(req, r);
}

/* --- files */

static int open_wants(int flags) {
    int mode = flags & O_ACCMODE;
    int want = mode == O_RDONLY ? R_OK : mode == O_WRONLY ? W_OK : R_OK | W_OK;
    return flags & O_TRUNC ? want | W_OK : want;
}

static int open_check(fuse_req_t req, fuse_ino_t ino, int flags, struct node *node) {
    int want = open_wants(flags), r = node_of_ino(fs_of(req), ino, node);
    if (r < 0)
        return r;
    const struct node_kind *k = node_kind(node->tag);
    if ((want & W_OK) && !k->ops->write)
        return access_check(fs_of(req), req, node, R_OK) < 0 ? -EACCES : -EPERM;
    return access_check(fs_of(req), req, node, want);
}

static void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
    struct node node;
    struct handle *h = NULL;
    int r = open_check(req, ino, fi->flags, &node);
    const struct node_kind *k = r < 0 ? NULL : node_kind(node.tag);
    if (r == 0 && k->ops->open_later) {
        k->ops->open_later(fs_of(req), &node, req);
        return;
    }
    if (r == 0 && k->ops->open)
        r = k->ops->open(fs_of(req), &node, req, fi->flags, &h);
    if (r == 0)
        node_opened(req, &node, h);
    else
        reply_result(req, r);
}

static void read_now(fuse_req_t req, const struct node *node, struct handle *h, off_t offset, size_t n) {
    char *bytes = malloc(n ? n : 1);
    ssize_t got = bytes ? 0 : -ENOMEM;
    if (bytes)
        got = node_read(fs_of(req), node, h, (uint64_t)offset, bytes, n);
    if (got < 0)
        fuse_reply_err(req, reply_errno(got));
    else
        fuse_reply_buf(req, bytes, (size_t)got);
    free(bytes);
}

static void ops_read(fuse_req_t req, fuse_ino_t ino, size_t n, off_t offset, struct fuse_file_info *fi) {
    struct node node;
    int r = node_of_ino(fs_of(req), ino, &node);
    if (r < 0)
        reply_result(req, r);
    else if (node_kind(node.tag)->ops->read_later)
        node_kind(node.tag)->ops->read_later(fs_of(req), &node, handle_of(fi), req, n, fi->flags);
    else
        read_now(req, &node, handle_of(fi), offset, n);
}

static void ops_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t n, off_t offset,
                      struct fuse_file_info *fi) {
    (void)offset;
    struct node node;
    int r = node_of_ino(fs_of(req), ino, &node);
    if (r == 0 && !node_kind(node.tag)->ops->write)
        r = -EPERM;
    if (r == 0)
        node_kind(node.tag)->ops->write(fs_of(req), &node, handle_of(fi), req, bytes, n);
    else
        reply_result(req, r);
}

/* Left out, it would be the kernel's guess for every file from the first time on. */
static void ops_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *handle) {
    struct node node;
    int r = node_of_ino(fs_of(req), ino, &node);
    if (r == 0 && node_kind(node.tag)->ops->poll) {
        fuse_reply_poll(req, node_kind(node.tag)->ops->poll(fs_of(req), &node, handle_of(fi), handle));
        return;
    }
    if (handle)
        fuse_pollhandle_destroy(handle);
    if (r == 0)
        fuse_reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
    else
        reply_result(req, r);
}

static void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
    struct node node;
    int r = node_of_ino(fs_of(req), ino, &node);
    if (r == 0 && node_kind(node.tag)->ops->flush)
        r = node_kind(node.tag)->ops->flush(handle_of(fi));
    reply_result(req, r);
}

static void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi) {
    (void)ino, (void)datasync, (void)fi;
    reply_result(req, store_sync(fs_of(req)->store));
}

static void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
    struct node node;
    if (fi->flock_release && node_of_ino(fs_of(req), ino, &node) == 0)
        lock_release(fs_of(req)->locks, node_ino(fs_of(req), &node), fi->lock_owner);
    handle_free(handle_of(fi));
    fuse_reply_err(req, 0);
}

static void ops_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op) {
    struct node node;
    int r = node_of_ino(fs_of(req), ino, &node);
    if (r == 0)
        lock_request(fs_of(req)->locks, req, node_ino(fs_of(req), &node), fi->lock_owner, op);
    else
        reply_result(req, r);
}

/* --- directories */

static void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
    struct node node;
    struct node_stat stat;
    int r = node_for(req, ino, R_OK, &node);
    /* The name may be one that the kernel has kept, of what is gone: then it looks again. */
    if (r == 0)
        r = node_stat(fs_of(req), &node, &stat);
    struct handle *h = r < 0 ? NULL : handle_new(fs_of(req));
    if (!h) {
        reply_result(req, r < 0 ? r : -ENOMEM);
        return;
    }
    fi->fh = (uintptr_t)h;
    if (fuse_reply_open(req, fi) < 0)
        handle_free(h);
}

static void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
    (void)ino;
    handle_free(handle_of(fi));
    fuse_reply_err(req, 0);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t n, off_t offset, struct handle *h, bool plus) {
    struct listing l = {.req = req, .fs = fs_of(req), .handle = h, .size = n, .plus = plus, .bytes = malloc(n ? n : 1)};
    struct node dir;
    int r = l.bytes ? node_of_ino(fs_of(req), ino, &dir) : -ENOMEM;
    if (r == 0) {
        pthread_mutex_lock(&h->lock);
        r = dir_list(&l, &dir, (uint64_t)offset);
        pthread_mutex_unlock(&h->lock);
    }
    if (r == 0)
        fuse_reply_buf(req, l.bytes, l.used);
    else
        reply_result(req, r);
    free(l.bytes);
}

static void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t n, off_t offset, struct fuse_file_info *fi) {
    list(req, ino, n, offset, handle_of(fi), false);
}

static void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t n, off_t offset, struct fuse_file_info *fi) {
    list(req, ino, n, offset, handle_of(fi), true);
}

const struct fuse_lowlevel_ops fs_ops = {
    .init = ops_init,
    .lookup = ops_lookup,
    .forget = ops_forget,
    .forget_multi = ops_forget_multi,
    .mkdir = ops_mkdir,
    .rmdir = ops_rmdir,
    .mknod = ops_mknod,
    .create = ops_create,
    .symlink = ops_symlink,
    .link = ops_link,
    .unlink = ops_unlink,
    .rename = ops_rename,
    .fallocate = ops_fallocate,
    .readlink = ops_readlink,
    .getattr = ops_getattr,
    .setattr = ops_setattr,
    .access = ops_access,
    .getxattr = ops_getxattr,
    .listxattr = ops_listxattr,
    .setxattr = ops_setxattr,
    .removexattr = ops_removexattr,
    .statfs = ops_statfs,
    .open = ops_open,
    .read = ops_read,
    .write = ops_write,
    .poll = ops_poll,
    .flush = ops_flush,
    .fsync = ops_fsync,
    .fsyncdir = ops_fsync,
    .release = ops_release,
    .flock = ops_flock,
    .opendir = ops_opendir,
    .releasedir = ops_releasedir,
    .readdir = ops_readdir,
    .readdirplus = ops_readdirplus,
};
