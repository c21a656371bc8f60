/* Loading the domain anew: asked for by a write to .esfs/reload or by SIGHUP, done in a thread of its own, so that
 * nothing else waits for it. The store is told to one reload at a time; another one meanwhile is refused (EBUSY).
 *
 * A write is answered when the domain is in force, or with the errno of why it is not. Safe in any thread. */
#ifndef ESFS_RELOAD_H
#define ESFS_RELOAD_H

#include "lowlevel.h"

#include <stddef.h>

struct fs;

/* Begins a reload and answers the request, a write of n bytes, when it is done (pending.h). Without a request (NULL)
 * nobody is answered; the log says what came of it in both cases. */
void reload_start(struct fs *fs, fuse_req_t req, size_t n);

#endif
