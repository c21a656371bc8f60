/* The session's way to /dev/fuse. */
#ifndef ESFS_DEVICE_H
#define ESFS_DEVICE_H

#include "lowlevel.h"

/* Puts reads of the device through a function that knows every way in which the kernel says that the mount is gone:
 * of the two, libfuse 3.14 takes ENODEV for the end and ECONNABORTED for a failure. It prints that one with perror(),
 * and cancels the thread in there: with the lock of stderr held, on which exit() then waits for ever. The kernel gives
 * ECONNABORTED when a request is taken from the queue in the instant the connection ends (fuse_dev_do_read()).
 * For a session that is mounted, before its loop. 0 or negative errno. */
int device_attach(struct fuse_session *session);

#endif
