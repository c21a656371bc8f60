/* Who may do what: the one place where the mount checks a caller against a node. Safe in any thread.
 *
 * Without a domain the modes say it: nodes belong to the mount's owner and group, and root may do everything. With one,
 * its lists say it, as each kind of node asks for (enum node_access). Asked at every open, whatever the kernel has in
 * its caches. */
#ifndef ESFS_ACCESS_H
#define ESFS_ACCESS_H

#include "node.h"

/* Whether the caller of the request may read (R_OK), write (W_OK) or search (X_OK) the node. 0, -EACCES, or why it
 * could not be found out. */
int access_check(struct fs *fs, fuse_req_t req, const struct node *node, int want);

#endif
