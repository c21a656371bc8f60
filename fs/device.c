#include "device.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t device_read(int fd, void *to, size_t len, void *arg) {
    (void)arg;
    ssize_t n = read(fd, to, len);
    if (n < 0 && errno == ECONNABORTED)
        errno = ENODEV;
    return n;
}

static ssize_t device_write(int fd, struct iovec *from, int count, void *arg) {
    (void)arg;
    return writev(fd, from, count);
}

int device_attach(struct fuse_session *session) {
    static const struct fuse_custom_io io = {.read = device_read, .writev = device_write};
    return fuse_session_custom_io(session, &io, fuse_session_fd(session));
}
