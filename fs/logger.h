/* Where the daemon's lines go: to stderr while a person looks (in the foreground, and until the mount is up), then
 * to syslog. Lines of libfuse too. Safe in any thread. */
#ifndef ESFS_LOGGER_H
#define ESFS_LOGGER_H

#include <stdatomic.h>
#include <stdbool.h>

struct logger {
    int level; /* priorities of syslog(3) up to this one */
    atomic_bool to_syslog;
};

void logger_init(struct logger *log, int level);
void logger_to_syslog(struct logger *log);
/* A line without a newline; arg is the struct logger (store_options.log). */
void logger_line(void *arg, int priority, const char *line);
void logger_printf(struct logger *log, int priority, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
