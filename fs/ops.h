/* The table of low-level operations. Its userdata is a struct fs. */
#ifndef ESFS_OPS_H
#define ESFS_OPS_H

#include "lowlevel.h"

extern const struct fuse_lowlevel_ops fs_ops;

#endif
