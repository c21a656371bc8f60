/* libfuse as fs/ uses it: the low-level API of 3.14. */
#ifndef ESFS_LOWLEVEL_H
#define ESFS_LOWLEVEL_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#endif
