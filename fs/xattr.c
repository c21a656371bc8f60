#include "xattr.h"

#include "acl.h"

#include <errno.h>
#include <string.h>

static void xattr_reply(fuse_req_t req, int r, struct buf *text, size_t room) {
    if (r == 0 && text->oom)
        r = -ENOMEM;
    if (r < 0)
        reply_result(req, r);
    else if (room == 0)
        fuse_reply_xattr(req, text->n);
    else if (text->n > room)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, text->p, text->n);
    buf_free(text);
}

static int value_of(fuse_req_t req, const struct node *node, const char *name, struct buf *out) {
    const struct node_ops *ops = node_kind(node->tag)->ops;
    if (strcmp(name, ACL_XATTR) == 0)
        return acl_xattr(fs_of(req), node, out);
    return ops->xattr ? ops->xattr(fs_of(req), node, req, str_of(name), out) : 0;
}

void xattr_get(fuse_req_t req, const struct node *node, const char *name, size_t room) {
    struct buf value = {0};
    int r = value_of(req, node, name, &value);
    if (r == 0 && value.n == 0 && !value.oom)
        r = -ENODATA;
    xattr_reply(req, r, &value, room);
}

static int names_of(fuse_req_t req, const struct node *node, struct buf *out) {
    const struct node_ops *ops = node_kind(node->tag)->ops;
    struct buf acl = {0};
    int r = acl_xattr(fs_of(req), node, &acl);
    if (r == 0 && acl.n)
        buf_put(out, ACL_XATTR, sizeof ACL_XATTR);
    buf_free(&acl);
    return r == 0 && ops->xattrs ? ops->xattrs(fs_of(req), node, req, out) : r;
}

void xattr_list(fuse_req_t req, const struct node *node, size_t room) {
    struct buf names = {0};
    int r = names_of(req, node, &names);
    xattr_reply(req, r, &names, room);
}
