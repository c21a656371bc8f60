#include "logger.h"

#include "lowlevel.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

/* libfuse gives its log function no context, so there is one for each place. Its levels are those of syslog. */
static void fuse_to_stderr(enum fuse_log_level level, const char *format, va_list args) {
    (void)level;
    vfprintf(stderr, format, args);
}

static void fuse_to_syslog(enum fuse_log_level level, const char *format, va_list args) {
    vsyslog((int)level, format, args);
}

void logger_init(struct logger *log, int level) {
    log->level = level;
    atomic_init(&log->to_syslog, false);
    fuse_set_log_func(fuse_to_stderr);
}

void logger_to_syslog(struct logger *log) {
    openlog("esfs", LOG_PID, LOG_DAEMON);
    setlogmask(LOG_UPTO(log->level));
    fuse_set_log_func(fuse_to_syslog);
    atomic_store(&log->to_syslog, true);
}

void logger_line(void *arg, int priority, const char *line) {
    struct logger *log = arg;
    if (priority > log->level)
        return;
    if (atomic_load(&log->to_syslog))
        syslog(priority, "%s", line);
    else
        fprintf(stderr, "esfs: %s\n", line);
}

void logger_printf(struct logger *log, int priority, const char *format, ...) {
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    logger_line(log, priority, line);
}
