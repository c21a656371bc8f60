/* esfs: mounts an event store. */
#include "daemon.h"
#include "device.h"
#include "fs.h"
#include "logger.h"
#include "ops.h"
#include "options.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <syslog.h>
#include <unistd.h>

#ifndef ESFS_VERSION
#define ESFS_VERSION "of no release"
#endif

/* Handlers wait for the disk, not for each other or for a commit: so many reads of cold events, or fsyncs that then
 * share one flush, can be under way. Idle threads cost a stack each; making them anew costs more than a request. */
#define WORKERS_MAX 64

struct mount {
    struct options options;
    struct logger log;
    struct store *store;
    struct fs fs;
    struct fuse_session *session;
    int ready_pipe; /* to the parent, -1 in the foreground */
    bool abandoned; /* the store could not be closed: store_close() */
};

/* The kernel has answered: from here on nobody meets an empty directory. */
static void mount_ready(void *arg) {
    struct mount *m = arg;
    daemon_abort_explain(false);
    daemon_notify("READY=1");
    if (m->ready_pipe < 0)
        return;
    logger_to_syslog(&m->log);
    daemon_ready(m->ready_pipe);
    m->ready_pipe = -1;
}

/* Files there would be opened through the mount that they make. */
static bool is_in_mountpoint(const struct options *o, const char *path) {
    size_t n = strlen(o->mountpoint);
    return strncmp(path, o->mountpoint, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static const char *place_of(const struct options *o, const char *path) {
    return strcmp(path, o->mountpoint) == 0 ? "the mountpoint itself" : "below the mountpoint";
}

/* A mount over another one hides it, and whoever goes on writing there writes into the wrong store. */
static int check_unmounted(const struct options *o, struct err *err) {
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    struct mntent entry;
    char line[2 * PATH_MAX];
    int r = 0;
    while (mounts && r == 0 && getmntent_r(mounts, &entry, line, sizeof line))
        if (strcmp(entry.mnt_type, "fuse.esfs") == 0 && strcmp(entry.mnt_dir, o->mountpoint) == 0)
            r = err_set(err, EBUSY, "%s: %s is mounted there: fusermount3 -u, or another directory", o->mountpoint,
                        entry.mnt_fsname);
    if (mounts)
        endmntent(mounts);
    return r;
}

static bool is_empty(DIR *d) {
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strcmp(e->d_name, "lost+found"))
            return false;
    return true;
}

/* What lies there would be out of sight: files that somebody wrote while the store was not mounted, and took for
 * commands. What cannot be read is taken for empty, as is what autofs has there: to open that would be to wait for the
 * mount that is being made. */
static int check_empty(const struct options *o, struct err *err) {
    struct statfs there;
    int path = open(o->mountpoint, O_PATH | O_CLOEXEC);
    bool looked = path >= 0 && fstatfs(path, &there) == 0 && there.f_type != AUTOFS_SUPER_MAGIC;
    DIR *d = looked ? opendir(o->mountpoint) : NULL;
    int r = 0;
    if (d && !is_empty(d))
        r = err_set(err, ENOTEMPTY,
                    "%s: is not empty: a mount would hide what is in it (-o nonempty mounts all the same)",
                    o->mountpoint);
    if (d)
        closedir(d);
    if (path >= 0)
        close(path);
    return r;
}

static int check_paths(const struct options *o, struct err *err) {
    if (is_in_mountpoint(o, o->store))
        return err_set(err, EINVAL, "%s: is %s", o->store, place_of(o, o->store));
    if (o->domain && is_in_mountpoint(o, o->domain))
        return err_set(err, EINVAL, "domain=%s: is %s", o->domain, place_of(o, o->domain));
    int r = check_unmounted(o, err);
    return r == 0 && !o->nonempty ? check_empty(o, err) : r;
}

static int mount_store(struct mount *m, struct err *err) {
    int r = check_paths(&m->options, err);
    if (r < 0)
        return r;
    m->options.engine.log = logger_line;
    m->options.engine.log_arg = &m->log;
    m->options.engine.ownership.uid = geteuid();
    m->options.engine.ownership.gid = getegid();
    daemon_abort_explain(true);
    r = store_open(&m->store, m->options.store, &m->options.engine, err);
    if (r < 0)
        return r;
    r = fs_init(&m->fs, m->store, &m->options.engine.ownership);
    if (r < 0) {
        store_close(m->store);
        return err_set(err, -r, "%s: %s", m->options.store, strerror(-r));
    }
    m->fs.durability = m->options.engine.durability;
    m->fs.shared = m->options.shared;
    m->fs.published = m->options.engine.kafka != NULL;
    m->fs.ready = mount_ready;
    m->fs.ready_arg = m;
    m->fs.log = logger_line;
    m->fs.log_arg = &m->log;
    return 0;
}

/* libfuse says itself, through the log, why it cannot mount. */
static int mount_session(struct mount *m, struct err *err) {
    m->session = fuse_session_new(&m->options.fuse, &fs_ops, sizeof fs_ops, &m->fs);
    if (!m->session)
        return err_set(err, EINVAL, "%s: cannot be mounted so", m->options.mountpoint);
    int r = fuse_session_mount(m->session, m->options.mountpoint) == 0 ? 0 : -EIO;
    if (r == 0 && (r = device_attach(m->session)) < 0)
        fuse_session_unmount(m->session);
    if (r == 0)
        return 0;
    fuse_session_destroy(m->session);
    m->session = NULL;
    return err_set(err, -r, "%s: cannot be mounted", m->options.mountpoint);
}

/* Without a domain there is nothing to load, and a terminal that goes away is no reason to end. */
static void mount_hangup(void *arg) {
    struct mount *m = arg;
    if (m->fs.governed)
        reload_start(&m->fs, NULL, 0);
}

/* Serves until the mount is gone or a signal comes. */
static int mount_serve(struct mount *m, struct err *err) {
    struct daemon_signals signals = {.hangup = mount_hangup, .arg = m};
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    if (!config)
        return err_set(err, ENOMEM, "out of memory");
    fuse_loop_cfg_set_max_threads(config, WORKERS_MAX);
    fuse_loop_cfg_set_idle_threads(config, WORKERS_MAX);
    int r = daemon_signals_start(&signals, m->session);
    if (r == 0) {
        r = fuse_session_loop_mt(m->session, config);
        daemon_signals_stop(&signals);
    }
    fuse_loop_cfg_destroy(config);
    return r < 0 ? err_set(err, -r, "%s: %s", m->options.mountpoint, strerror(-r)) : 0;
}

/* From the store to the store: what was accepted is answered, then the mount goes, then the store is closed. */
static int mount_run(struct mount *m, struct err *err) {
    int r = mount_store(m, err);
    if (r < 0)
        return r;
    r = mount_session(m, err);
    if (r == 0)
        r = mount_serve(m, err);
    bool mounted = m->session != NULL;
    if (mounted)
        daemon_notify("STOPPING=1");
    fs_deinit(&m->fs);
    if (mounted) {
        fuse_session_unmount(m->session);
        fuse_session_destroy(m->session);
    }
    m->abandoned = store_close(m->store) < 0;
    if (m->abandoned && r == 0)
        r = err_set(err, EIO, "%s: not all of it is on disk", m->options.store);
    return r;
}

static int mount_main(struct mount *m, struct err *err) {
    m->ready_pipe = -1;
    daemon_block_signals();
    if (!m->options.foreground && (m->ready_pipe = daemon_fork()) < 0)
        return err_set(err, -m->ready_pipe, "into the background: %s", strerror(-m->ready_pipe));
    if (chdir("/") < 0)
        return err_set(err, errno, "/: %s", strerror(errno));
    return mount_run(m, err);
}

int main(int argc, char **argv) {
    struct mount m = {0};
    struct err err = {0};
    int r = options_read(&m.options, argc, argv, &err);
    logger_init(&m.log, m.options.loglevel);
    if (r == 0 && m.options.help)
        fputs(options_help, stdout);
    else if (r == 0 && m.options.version)
        puts("esfs " ESFS_VERSION);
    else if (r == 0)
        r = mount_main(&m, &err);
    if (r < 0)
        logger_line(&m.log, LOG_ERR, err.text);
    if (m.abandoned)
        _exit(1);
    options_free(&m.options);
    return r < 0;
}
