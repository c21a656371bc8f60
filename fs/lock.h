/* flock(2), served here because the kernel would keep it by node id, and `commands` has many of those: two shells
 * that lock one `commands` file must meet.
 *
 * Locks are of a file (its inode number) and an owner (an open file description, as the kernel numbers them).
 * Whoever asked first gets it first. Safe in any thread. */
#ifndef ESFS_LOCK_H
#define ESFS_LOCK_H

#include "lowlevel.h"

struct locks;

struct locks *locks_new(void); /* NULL when out of memory */
/* Answers whoever still waits with EINTR and frees. */
void locks_free(struct locks *ls);

/* Answers the request: at once, or (LOCK_SH or LOCK_EX without LOCK_NB) when the lock is free or the caller is
 * interrupted (EINTR). op as in flock(2). */
void lock_request(struct locks *ls, fuse_req_t req, fuse_ino_t file, uint64_t owner, int op);
/* Takes from the owner what it holds. */
void lock_release(struct locks *ls, fuse_ino_t file, uint64_t owner);

#endif
