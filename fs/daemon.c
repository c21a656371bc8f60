#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- the background */

static _Noreturn void parent_wait(int pipe, pid_t child) {
    char ready;
    ssize_t n;
    do
        n = read(pipe, &ready, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(0);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
}

int daemon_fork(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid < 0) {
        int r = -errno;
        close(ends[0]);
        close(ends[1]);
        return r;
    }
    if (pid > 0) {
        close(ends[1]);
        parent_wait(ends[0], pid);
    }
    close(ends[0]);
    setsid();
    return ends[1];
}

void daemon_ready(int pipe) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    ssize_t ignored = write(pipe, "", 1);
    (void)ignored;
    close(pipe);
}

/* --- systemd */

void daemon_notify(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path));
    if (*path == '@')
        to.sun_path[0] = '\0'; /* an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    ssize_t ignored = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, n);
    (void)ignored;
    close(fd);
}

/* --- signals */

static void waited_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

static void woken(int signal) {
    (void)signal;
}

void daemon_block_signals(void) {
    sigset_t set;
    waited_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct sigaction wake = {.sa_handler = woken}; /* without SA_RESTART: it is there to interrupt */
    sigaction(SIGUSR1, &wake, NULL);
}

static void aborted(int signal) {
    static const char text[] =
        "esfs: RocksDB stopped the process, as the assertion says: its disk failed while the store"
        " was being opened, or a table of it is damaged. Nothing that was acknowledged is lost by stopping.\n";
    (void)signal;
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(1);
}

void daemon_abort_explain(bool on) {
    signal(SIGABRT, on ? aborted : SIG_DFL);
}

/* libfuse's loop sleeps in the main thread and looks whether it is over only when a signal wakes it. A signal may
 * come between its look and its sleep, so it is sent until the loop has ended. */
static void *signals_wait(void *arg) {
    struct daemon_signals *s = arg;
    sigset_t set;
    int signal;
    waited_signals(&set);
    for (;;) {
        if (sigwait(&set, &signal) != 0)
            continue;
        if (signal != SIGHUP)
            break;
        s->hangup(s->arg);
    }
    fuse_session_exit(s->session);
    while (!atomic_load(&s->over)) {
        pthread_kill(s->main, SIGUSR1);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return NULL;
}

int daemon_signals_start(struct daemon_signals *s, struct fuse_session *session) {
    s->session = session;
    s->main = pthread_self();
    atomic_init(&s->over, false);
    return -pthread_create(&s->thread, NULL, signals_wait, s);
}

void daemon_signals_stop(struct daemon_signals *s) {
    atomic_store(&s->over, true);
    pthread_cancel(s->thread);
    pthread_join(s->thread, NULL);
}
