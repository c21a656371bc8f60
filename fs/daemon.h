/* Life as a service: into the background, telling who started it when the mount is up, and ending on signals. */
#ifndef ESFS_DAEMON_H
#define ESFS_DAEMON_H

#include "lowlevel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The background. The child goes on, the parent waits in here and exits: with 0 once daemon_ready() was called,
 * otherwise as the child did. To be called before there are threads. Returns the pipe for daemon_ready(), or a
 * negative errno. */
int daemon_fork(void);
/* Lets the parent go, and the terminal with it. */
void daemon_ready(int pipe);

/* Tells systemd (sd_notify(3)), when it asked to be told; "READY=1". */
void daemon_notify(const char *state);

/* While on, a process that RocksDB aborts says why, and exits with 1: that is what it does when the disk fails while
 * it opens a database. */
void daemon_abort_explain(bool on);

/* Ends a session's loop on SIGTERM and SIGINT, and calls `hangup`, which must not block, on SIGHUP. It is called in a
 * thread, as any function is, not where the signal came in between. The signals must be blocked
 * (daemon_block_signals()) before any thread is made, so that they come to nobody else. */
struct daemon_signals {
    struct fuse_session *session;
    void (*hangup)(void *arg);
    void *arg;
    pthread_t main, thread;
    atomic_bool over;
};

void daemon_block_signals(void);
/* With `hangup` and `arg` set. 0 or negative errno. */
int daemon_signals_start(struct daemon_signals *s, struct fuse_session *session);
void daemon_signals_stop(struct daemon_signals *s);

#endif
