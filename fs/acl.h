/* Modes and POSIX ACLs of nodes with a domain: they show its lists. Nobody is let in or kept out by them, access.c asks
 * the lists themselves; what an ACL cannot say (root, an owner who comes in by a group) follows the lists.
 *
 * The attribute system.posix_acl_access has the format of posix_acl_xattr.h, version 2. The kernel asks for it like for
 * any other (getfacl and ls do) as long as the daemon does not announce FUSE_CAP_POSIX_ACL, which would make the kernel
 * enforce what it shows; it checks the bytes, and refuses them (EOPNOTSUPP) to a mount made in a user namespace. Seen
 * with kernel 6.18. An answer is cut off at 4096 bytes, about 500 entries: past that the kernel says E2BIG. */
#ifndef ESFS_ACL_H
#define ESFS_ACL_H

#include "node.h"

#define ACL_XATTR "system.posix_acl_access"

/* The mode of a node, with the bits of its type: what its kind says without a domain. subject as in rights.h; 0 with a
 * node that has one: it is looked up. Falls back to the kind's mode when it is not found. */
mode_t acl_mode(struct fs *fs, const struct node *node, uint32_t subject);
/* Appends the attribute; nothing when the mode says it all. 0 or a negative errno. */
int acl_xattr(struct fs *fs, const struct node *node, struct buf *out);

#endif
