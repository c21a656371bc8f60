/* Attributes with a name: POSIX ACLs (acl.h), and what kinds of nodes have. Safe in any thread. */
#ifndef ESFS_XATTR_H
#define ESFS_XATTR_H

#include "node.h"

/* getxattr(2) and listxattr(2); they answer the request. Room 0: how much would be needed. */
void xattr_get(fuse_req_t req, const struct node *node, const char *name, size_t room);
void xattr_list(fuse_req_t req, const struct node *node, size_t room);

#endif
