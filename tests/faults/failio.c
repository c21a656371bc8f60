/* Preloaded into the daemon: makes the disk under the store fail when a test says so.
 *
 * The file named by $FAILIO holds one rule, "OPERATIONS PATTERN ERRNO SKIP COUNT\n": of the calls to those operations
 * (comma between: write, pwrite, fdatasync, fsync, ftruncate, fallocate) on files whose path contains PATTERN, the
 * first SKIP go through, the next COUNT fail with ERRNO (0 COUNT: all from then on), and later ones go through again.
 * An empty file: everything goes through. A rule counts from when it was written. "short" for ERRNO makes a write
 * stop at half of its bytes, as on a disk that fills up; "after" behind an operation ("fdatasync-after") does the
 * work and then says that it failed. Each failure is a line in $FAILIO.log. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct rule {
    char operations[128], pattern[256], error[16];
    long skip, count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct timespec seen;
static struct rule rule;
static long calls;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Reads the rule when the file is another than before. The raw system calls of this file are never counted. */
static bool rule_current(void) {
    const char *path = getenv("FAILIO");
    struct stat st;
    if (!path || stat(path, &st) < 0)
        return false;
    if (st.st_mtim.tv_sec != seen.tv_sec || st.st_mtim.tv_nsec != seen.tv_nsec) {
        FILE *f = fopen(path, "re");
        memset(&rule, 0, sizeof rule);
        if (!f)
            return false;
        if (fscanf(f, "%127s %255s %15s %ld %ld", rule.operations, rule.pattern, rule.error, &rule.skip, &rule.count) !=
            5)
            rule.operations[0] = '\0';
        fclose(f);
        seen = st.st_mtim;
        calls = 0;
    }
    return rule.operations[0] != '\0';
}

static bool rule_names(const char *operation) {
    size_t n = strlen(operation);
    for (const char *p = rule.operations; (p = strstr(p, operation)); p++)
        if ((p == rule.operations || p[-1] == ',') && (p[n] == ',' || p[n] == '\0'))
            return true;
    return false;
}

static void tell(const char *operation, const char *file) {
    char path[512], line[1024];
    snprintf(path, sizeof path, "%s.log", getenv("FAILIO"));
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int n = snprintf(line, sizeof line, "%s %s %s\n", operation, file, rule.error);
    if (fd >= 0) {
        if (REAL(write)(fd, line, (size_t)n) < 0)
            abort();
        close(fd);
    }
}

/* True when this call is to fail. */
static bool fails(const char *operation, int fd) {
    char link[64], file[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, file, sizeof file - 1);
    if (n <= 0)
        return false;
    file[n] = '\0';
    pthread_mutex_lock(&lock);
    bool yes = rule_current() && rule_names(operation) && strstr(file, rule.pattern);
    if (yes) {
        long call = calls++;
        yes = call >= rule.skip && (rule.count == 0 || call < rule.skip + rule.count);
    }
    if (yes)
        tell(operation, file);
    pthread_mutex_unlock(&lock);
    return yes;
}

static bool is_short(void) {
    return strcmp(rule.error, "short") == 0;
}

static int failure(void) {
    errno = strcmp(rule.error, "ENOSPC") == 0 ? ENOSPC : strcmp(rule.error, "EROFS") == 0 ? EROFS : EIO;
    return -1;
}

ssize_t write(int fd, const void *bytes, size_t n) {
    if (fails("write", fd))
        return is_short() && n > 1 ? REAL(write)(fd, bytes, n / 2) : failure();
    return REAL(write)(fd, bytes, n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset) {
    if (fails("pwrite", fd))
        return is_short() && n > 1 ? REAL(pwrite)(fd, bytes, n / 2, offset) : failure();
    return REAL(pwrite)(fd, bytes, n, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t offset) {
    return fails("pwrite", fd) ? (is_short() && n > 1 ? REAL(pwrite64)(fd, bytes, n / 2, offset) : failure())
                               : REAL(pwrite64)(fd, bytes, n, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    return fails("write", fd) ? failure() : REAL(writev)(fd, parts, n);
}

static int synced(const char *operation, const char *after, int fd, int (*real)(int)) {
    if (fails(operation, fd))
        return failure();
    int r = real(fd);
    return r == 0 && fails(after, fd) ? failure() : r;
}

int fdatasync(int fd) {
    return synced("fdatasync", "fdatasync-after", fd, REAL(fdatasync));
}

int fsync(int fd) {
    return synced("fsync", "fsync-after", fd, REAL(fsync));
}

int ftruncate(int fd, off_t n) {
    return fails("ftruncate", fd) ? failure() : REAL(ftruncate)(fd, n);
}

int ftruncate64(int fd, off64_t n) {
    return fails("ftruncate", fd) ? failure() : REAL(ftruncate64)(fd, n);
}

int fallocate(int fd, int mode, off_t offset, off_t n) {
    return fails("fallocate", fd) ? failure() : REAL(fallocate)(fd, mode, offset, n);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t n) {
    return fails("fallocate", fd) ? failure() : REAL(fallocate64)(fd, mode, offset, n);
}
