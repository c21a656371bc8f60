/* Consumers through a mount.
 *
 *   consumer backlog [-b BYTES] [-a ACK] FOLLOW EVENTS SIZE
 *                                  reads SIZE bytes, which are EVENTS lines, BYTES (1 MiB) a read; after each read
 * writes to ACK that all of it is done consumer live [-s SECONDS] [-w WAITERS] COMMANDS FOLLOW OTHER one command after
 * the other; from its answer until the reader, another process, has the event. WAITERS other descriptors wait for
 * events of another type: OTHER consumer acks [-s SECONDS] [-w CONSUMERS] CONSUMERS_DIR each consumer, w0, w1 ... in a
 * process of its own, says of one event after the other that it is done */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_WAITERS 2000
#define LIVE_PAUSE_US 200 /* between two commands: the reader is waiting again */
#define ROOM (1 << 20)

struct task {
    size_t bytes;
    double seconds;
    unsigned waiters;
    const char *ack;
    char **args;
};

static int open_or_die(const char *path, int flags) {
    int fd = open(path, flags);
    if (fd < 0)
        die("%s", path);
    return fd;
}

/* --- backlog */

/* The position of the last line; a read of 64 KiB or more ends with one. */
static void backlog_ack(int ack, char *bytes, size_t n) {
    const char *key = "\"position\":\"";
    char *line = memrchr(bytes, '\n', n - 1), position[17];
    line = line ? line + 1 : bytes;
    const char *at = memmem(line, (size_t)(bytes + n - line), key, strlen(key));
    if (!at)
        die("a line without a position");
    memcpy(position, at + strlen(key), 16);
    position[16] = '\n';
    if (write(ack, position, sizeof position) != sizeof position)
        die("ack %.16s", position);
}

static void backlog_run(struct task *t) {
    uint64_t events = number(t->args[1]), size = number(t->args[2]), done = 0;
    char *bytes = need(t->bytes);
    int fd = open_or_die(t->args[0], O_RDONLY), ack = t->ack ? open_or_die(t->ack, O_WRONLY) : -1;
    double began = now();
    while (done < size) {
        ssize_t n = read(fd, bytes, t->bytes);
        if (n <= 0)
            die("%s: read %zd bytes", t->args[0], n);
        done += (uint64_t)n;
        if (ack >= 0)
            backlog_ack(ack, bytes, (size_t)n);
    }
    report("", (double)events / (now() - began), "events/s");
    free(bytes);
    close(fd);
}

/* --- live */

/* Reads lines, and writes when each came. */
static void live_read(const char *path, int out) {
    char *bytes = need(ROOM);
    int fd = open_or_die(path, O_RDONLY);
    for (ssize_t n; (n = read(fd, bytes, ROOM)) > 0;) {
        double at = now();
        if (write(out, &at, sizeof at) != sizeof at)
            break;
    }
    exit(0);
}

static void *wait_for_ever(void *arg) {
    char c;
    ssize_t n = read(*(int *)arg, &c, 1);
    (void)n;
    return NULL;
}

/* Threads that wait on descriptors of their own, in a process of its own. */
static pid_t live_waiters(unsigned n, const char *other) {
    pid_t pid = n ? fork() : 0;
    if (pid != 0 || n == 0)
        return pid;
    pthread_attr_t attr;
    pthread_t thread;
    static int fds[MOST_WAITERS];
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 << 10);
    for (unsigned i = 0; i < n; i++) {
        fds[i] = open_or_die(other, O_RDONLY);
        if (pthread_create(&thread, &attr, wait_for_ever, &fds[i]) != 0)
            die("a thread");
    }
    for (;;)
        pause();
}

static void live_run(struct task *t) {
    int pipes[2];
    char line[LINE_BYTES];
    struct samples times = {0};
    if (pipe(pipes) < 0)
        die("pipe");
    pid_t waiters = live_waiters(t->waiters, t->args[2]), reader = fork();
    if (reader == 0)
        live_read(t->args[1], pipes[1]);
    int fd = open_or_die(t->args[0], O_WRONLY);
    sleep(1);
    double end = now() + t->seconds;
    for (uint64_t version = 0; now() < end; version++) {
        double told;
        line_make(line, "order", 0, version);
        if (write(fd, line, sizeof line) != sizeof line)
            die("%s", t->args[0]);
        double answered = now();
        if (read(pipes[0], &told, sizeof told) != sizeof told)
            die("the reader");
        samples_add(&times, told > answered ? told - answered : 0);
        usleep(LIVE_PAUSE_US);
    }
    samples_report(&times);
    samples_free(&times);
    kill(reader, SIGKILL);
    waitpid(reader, NULL, 0);
    if (waiters > 0) {
        kill(waiters, SIGKILL);
        waitpid(waiters, NULL, 0);
    }
}

/* --- acks */

static void acks_work(struct crew_member *self, void *arg) {
    const struct task *t = arg;
    struct samples times = {0};
    char path[512], text[32], *bytes = need(ROOM);
    uint64_t given = 0;
    snprintf(path, sizeof path, "%s/w%u/pending", t->args[0], self->no);
    int fd = open_or_die(path, O_RDONLY);
    for (ssize_t n; (n = read(fd, bytes, ROOM)) > 0;)
        for (const char *p = bytes; (p = memchr(p, '\n', (size_t)(bytes + n - p))); p++)
            given++;
    close(fd);
    snprintf(path, sizeof path, "%s/w%u/ack", t->args[0], self->no);
    fd = open_or_die(path, O_WRONLY);
    crew_start(self);
    double at = now(), end = at + t->seconds;
    while (at < end && self->done < given) {
        snprintf(text, sizeof text, "%016lx\n", ++self->done);
        if (write(fd, text, 17) != 17)
            die("%s: %s", path, text);
        double then = at;
        at = now();
        samples_add(&times, at - then);
    }
    self->p50 = samples_at(&times, 0.5);
    self->p99 = samples_at(&times, 0.99);
}

static void acks_run(struct task *t) {
    struct crew_member members[MOST_WAITERS];
    struct samples medians = {0};
    uint64_t acks = 0;
    double seconds = crew_run(t->waiters, acks_work, t, members);
    for (unsigned i = 0; i < t->waiters; i++) {
        acks += members[i].done;
        samples_add(&medians, members[i].p50);
    }
    report("", (double)acks / seconds, "acks/s");
    report(" p50", samples_at(&medians, 0.5) * 1e6, "us");
    samples_free(&medians);
}

/* --- */

static const struct verb {
    const char *name;
    int args;
    void (*run)(struct task *);
} verbs[] = {
    {"backlog", 3, backlog_run},
    {"live", 3, live_run},
    {"acks", 1, acks_run},
};

static void task_parse(struct task *t, int argc, char **argv) {
    for (int c; (c = getopt(argc, argv, "a:b:s:w:")) != -1;) {
        if (c == 'b')
            t->bytes = number(optarg);
        else if (c == 'a')
            t->ack = optarg;
        else if (c == 's')
            t->seconds = atof(optarg);
        else if (c == 'w')
            t->waiters = (unsigned)number(optarg);
        else
            exit(2);
    }
    t->args = argv + optind;
}

int main(int argc, char **argv) {
    struct task t = {.bytes = ROOM, .seconds = 3};
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        task_parse(&t, argc - 1, argv + 1);
        if (argc - 1 - optind != verbs[i].args || t.waiters > MOST_WAITERS)
            break;
        verbs[i].run(&t);
        return 0;
    }
    errno = 0;
    die("usage: see the head of consumer.c");
}
