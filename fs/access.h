/* Who may do what: the one place where the mount checks a caller against a mode. Safe in any thread. */
#ifndef ESFS_ACCESS_H
#define ESFS_ACCESS_H

#include "fs.h"

/* Whether the caller of the request may read (R_OK), write (W_OK) or search (X_OK) a node of this mode that belongs
 * to the mount's owner and group. Root may. 0 or -EACCES. */
int access_check(struct fs *fs, fuse_req_t req, mode_t mode, int want);

#endif
