#include "home.h"

#include "digest.h"
#include "varint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT_BYTES 32
#define SLOT_MAGIC 0x44414548u /* "HEAD" */

struct home {
    char *path, *db_path, *views_path;
    int dir, lock, head;
    bool fresh, read_only;
    uint8_t id[16];
    struct home_head noted;
    const char *torn; /* which slot did not hold; NULL: both did */

    pthread_mutex_t noting; /* of what follows */
    struct home_head last;  /* that was noted */
    unsigned slot;          /* that is written next */
};

/* --- head: slots of magic, block, position and a check; the valid one with the higher block counts */

/* Keyed with the store's id, so that a `format` or a `head` of another store, or an id with a wrong digit, is found
 * out: the id is part of every event's text. */
static uint64_t slot_check(const struct home *h, const char *slot) {
    return digest_sip(h->id, slot, SLOT_BYTES - 8);
}

static bool slot_read(const struct home *h, const char *slot, struct home_head *out) {
    if (le32_get(slot) != SLOT_MAGIC || le64_get(slot + 24) != slot_check(h, slot))
        return false;
    *out = (struct home_head){le64_get(slot + 8), le64_get(slot + 16)};
    return true;
}

static int head_read(struct home *h, struct err *err) {
    char slots[2 * SLOT_BYTES];
    struct home_head a, b;
    ssize_t n = pread(h->head, slots, sizeof slots, 0);
    if (n < 0)
        return err_set(err, errno, "%s/head: %s", h->path, strerror(errno));
    bool has_a = n >= SLOT_BYTES && slot_read(h, slots, &a),
         has_b = n == sizeof slots && slot_read(h, slots + SLOT_BYTES, &b);
    if (!has_a && !has_b)
        return err_set(err, EUCLEAN, "%s/head: damaged, or not of the store that `format` names", h->path);
    bool second = has_b && (!has_a || b.block >= a.block);
    h->torn = !has_a ? "first" : !has_b ? "second" : NULL;
    h->noted = h->last = second ? b : a;
    h->slot = !second;
    return 0;
}

static int slot_write(struct home *h, const struct home_head *head) {
    char slot[SLOT_BYTES] = {0};
    le32_put(slot, SLOT_MAGIC);
    le64_put(slot + 8, head->block);
    le64_put(slot + 16, head->position);
    le64_put(slot + 24, slot_check(h, slot));
    ssize_t n = pwrite(h->head, slot, sizeof slot, h->slot * SLOT_BYTES);
    if (n != sizeof slot)
        return n < 0 ? -errno : -EIO;
    h->slot = !h->slot;
    h->last = *head;
    return 0;
}

/* Two may note at once: one after a commit, one after a sync, which may know of less by now. */
int home_note_head(struct home *h, const struct home_head *head, bool sync) {
    pthread_mutex_lock(&h->noting);
    int r = head->block < h->last.block ? 0 : slot_write(h, head);
    pthread_mutex_unlock(&h->noting);
    if (r < 0)
        return r;
    return sync && fdatasync(h->head) < 0 ? -errno : 0;
}

void home_head(const struct home *h, struct home_head *out) {
    *out = h->noted;
}

bool home_head_is_torn(const struct home *h, struct err *words) {
    if (h->torn)
        err_set(words, EUCLEAN,
                "%s/head: its %s half does not hold, as after a power cut: a log that was cut short after position "
                "%016" PRIx64 " might not be noticed",
                h->path, h->torn, h->noted.position);
    return h->torn != NULL;
}

/* --- format */

static int format_parse(struct home *h, const char *text, struct err *err) {
    unsigned format;
    int at = 0;
    if (sscanf(text, "esfs store\nformat %u\nid %n", &format, &at) != 1)
        return err_set(err, EMEDIUMTYPE, "%s/format: not the format file of an esfs store", h->path);
    if (format != HOME_FORMAT)
        return err_set(err, EPROTONOSUPPORT, "%s: a store of format %u; this release reads format %d", h->path, format,
                       HOME_FORMAT);
    if (at == 0 || strspn(text + at, "0123456789abcdef") != 32 || strcmp(text + at + 32, "\n") != 0)
        return err_set(err, EUCLEAN, "%s/format: damaged: the id is not 32 hex digits", h->path);
    for (size_t i = 0; i < sizeof h->id; i++)
        sscanf(text + at + 2 * i, "%2hhx", &h->id[i]);
    return 0;
}

static int format_read(struct home *h, struct err *err) {
    char text[128] = "";
    int fd = openat(h->dir, "format", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno, "%s/format: %s", h->path, strerror(errno));
    ssize_t n = read(fd, text, sizeof text - 1);
    int r = n < 0 ? err_set(err, errno, "%s/format: %s", h->path, strerror(errno)) : 0;
    close(fd);
    if (r < 0)
        return r;
    return strlen(text) == (size_t)n ? format_parse(h, text, err)
                                     : err_set(err, EUCLEAN, "%s/format: damaged: it holds a NUL", h->path);
}

static int format_write(struct home *h, int fd) {
    char hex[33];
    for (size_t i = 0; i < sizeof h->id; i++)
        snprintf(hex + 2 * i, 3, "%02x", h->id[i]);
    if (dprintf(fd, "esfs store\nformat %d\nid %s\n", HOME_FORMAT, hex) < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

int home_seal(struct home *h, struct err *err) {
    int fd = openat(h->dir, "format.new", O_WRONLY | O_TRUNC | O_CLOEXEC);
    int r = fd < 0 ? -errno : format_write(h, fd);
    if (fd >= 0)
        close(fd);
    if (r == 0 && (renameat(h->dir, "format.new", h->dir, "format") < 0 || fsync(h->dir) < 0))
        r = -errno;
    if (r < 0)
        return err_set(err, -r, "%s/format: %s", h->path, strerror(-r));
    h->fresh = false;
    return 0;
}

/* --- the directory */

static int exists(struct home *h, const char *name) {
    if (faccessat(h->dir, name, F_OK, 0) == 0)
        return 1;
    return errno == ENOENT ? 0 : -errno;
}

/* What may be in a directory that becomes a store: nothing, or, where `format.new` tells that the making was
 * interrupted, what had been made. */
static bool is_ours(const char *name, bool half) {
    static const char *const names[] = {".", "..", "lock", "lost+found", "format.new", "head", "db"};
    for (size_t i = 0; i < (half ? 7 : 4); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static int check_empty(struct home *h, struct err *err) {
    int half = exists(h, "format.new"), r = 0;
    int fd = openat(h->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        r = err_set(err, errno, "%s: %s", h->path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return r;
    }
    for (struct dirent *e; r == 0 && (e = readdir(d));)
        if (!is_ours(e->d_name, half == 1))
            r = err_set(err, EMEDIUMTYPE, "%s: not an esfs store: it has no file `format`, but it has `%s`", h->path,
                        e->d_name);
    closedir(d);
    return r;
}

static int remove_tree(int dir, const char *name) {
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        return errno == ENOENT ? 0 : -errno;
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && unlinkat(fd, e->d_name, 0) < 0)
            remove_tree(fd, e->d_name);
    closedir(d);
    return unlinkat(dir, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* The marker comes first and becomes `format` last: whatever lies between was never acknowledged to anybody. */
static int make(struct home *h, struct err *err) {
    int r = check_empty(h, err);
    if (r < 0)
        return r;
    int fd = openat(h->dir, "format.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fsync(fd) < 0 || fsync(h->dir) < 0)
        r = err_set(err, errno, "%s/format.new: %s", h->path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (r == 0 && (r = remove_tree(h->dir, "db")) < 0)
        return err_set(err, -r, "%s/db: left over from an interrupted start: %s", h->path, strerror(-r));
    digest_random(h->id, sizeof h->id);
    h->fresh = true;
    return r;
}

/* A writer leaves its pid in `lock`, so it tells who holds it only while a writer does. */
static int lock_busy(struct home *h, struct err *err) {
    char pid[32] = "";
    bool readers = !h->read_only && flock(h->lock, LOCK_SH | LOCK_NB) == 0;
    ssize_t n = readers ? 0 : pread(h->lock, pid, sizeof pid - 1, 0);
    if (n < 0)
        return err_set(err, errno, "%s/lock: %s", h->path, strerror(errno));
    pid[strcspn(pid, "\n")] = '\0';
    return err_set(err, EBUSY, "%s: in use by process %s", h->path, *pid ? pid : "(unknown: it reads only)");
}

static int lock_take(struct home *h, struct err *err) {
    char pid[32];
    h->lock = openat(h->dir, "lock", (h->read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0600);
    if (h->lock < 0)
        return err_set(err, errno, "%s/lock: %s", h->path, strerror(errno));
    if (flock(h->lock, (h->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? lock_busy(h, err) : err_set(err, errno, "%s/lock: %s", h->path, strerror(errno));
    if (h->read_only)
        return 0;
    int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(h->lock, 0) < 0 || pwrite(h->lock, pid, (size_t)n, 0) != n)
        return err_set(err, errno ? errno : EIO, "%s/lock: cannot be written", h->path);
    return 0;
}

static int head_open(struct home *h, struct err *err) {
    h->head = openat(h->dir, "head",
                     (h->read_only ? O_RDONLY : O_RDWR) | (h->fresh ? O_CREAT | O_TRUNC : 0) | O_CLOEXEC, 0600);
    if (h->head < 0)
        return err_set(err, errno == ENOENT ? EUCLEAN : errno, "%s/head: %s", h->path, strerror(errno));
    if (!h->fresh)
        return head_read(h, err);
    const struct home_head none = {0, 0};
    int r = home_note_head(h, &none, false);
    r = r == 0 ? home_note_head(h, &none, true) : r;
    return r < 0 ? err_set(err, -r, "%s/head: %s", h->path, strerror(-r)) : 0;
}

/* A new directory is durable only when its entry is. A parent that may be written but not read cannot be asked. */
static int parent_sync(struct home *h, struct err *err) {
    int fd = openat(h->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r =
        fd >= 0 && fsync(fd) < 0 && errno != EINVAL ? err_set(err, errno, "%s/..: %s", h->path, strerror(errno)) : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

static int directory_open(struct home *h, const struct home_options *o, struct err *err) {
    bool made = !o->must_exist && !o->read_only && mkdir(h->path, 0700) == 0;
    if (!made && !o->must_exist && !o->read_only && errno != EEXIST)
        return err_set(err, errno, "%s: %s", h->path, strerror(errno));
    h->dir = open(h->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (h->dir < 0)
        return err_set(err, errno, "%s: %s", h->path, errno == ENOTDIR ? "not a directory" : strerror(errno));
    return made ? parent_sync(h, err) : 0;
}

static int open_all(struct home *h, const struct home_options *o, struct err *err) {
    int r = directory_open(h, o, err);
    if (r < 0)
        return r;
    int there = exists(h, "format");
    if (there < 0)
        return err_set(err, -there, "%s/format: %s", h->path, strerror(-there));
    if (!there) {
        /* before the lock file is made: nothing is left behind in a directory that is somebody else's */
        r = check_empty(h, err);
        if (r == 0 && (o->must_exist || o->read_only))
            r = err_set(err, ENOENT, "%s: no esfs store: it has no file `format`", h->path);
        if (r < 0)
            return r;
    }
    r = there ? format_read(h, err) : 0;
    r = r == 0 ? lock_take(h, err) : r;
    if (r == 0 && !there)
        r = exists(h, "format") == 1 ? format_read(h, err) : make(h, err);
    return r == 0 ? head_open(h, err) : r;
}

int home_open(struct home **out, const char *path, const struct home_options *options, struct err *err) {
    struct home *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(err, ENOMEM, "%s: out of memory", path);
    pthread_mutex_init(&h->noting, NULL);
    h->dir = h->lock = h->head = -1;
    h->read_only = options->read_only;
    h->path = strdup(path);
    if (!h->path || asprintf(&h->db_path, "%s/db", path) < 0 || asprintf(&h->views_path, "%s/views", path) < 0) {
        home_close(h);
        return err_set(err, ENOMEM, "%s: out of memory", path);
    }
    int r = open_all(h, options, err);
    if (r < 0) {
        home_close(h);
        return r;
    }
    *out = h;
    return 0;
}

void home_close(struct home *h) {
    if (!h)
        return;
    if (h->head >= 0)
        close(h->head);
    if (h->lock >= 0)
        close(h->lock);
    if (h->dir >= 0)
        close(h->dir);
    pthread_mutex_destroy(&h->noting);
    free(h->db_path);
    free(h->views_path);
    free(h->path);
    free(h);
}

const uint8_t *home_id(const struct home *h) {
    return h->id;
}

const char *home_path(const struct home *h) {
    return h->path;
}

const char *home_db_path(const struct home *h) {
    return h->db_path;
}

const char *home_views_path(const struct home *h) {
    return h->views_path;
}

int home_remove_views(struct home *h) {
    return remove_tree(h->dir, "views");
}

int home_fd(const struct home *h) {
    return h->dir;
}

bool home_is_new(const struct home *h) {
    return h->fresh;
}
