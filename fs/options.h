/* The command line: esfs STORE MOUNTPOINT [-o option[,option...]] [-f] [-d], as a shell, fstab's `fuse.esfs` or
 * mount.fuse3 give it. */
#ifndef ESFS_OPTIONS_H
#define ESFS_OPTIONS_H

#include "err.h"
#include "lowlevel.h"
#include "options_kafka.h"
#include "store.h"

#include <stdbool.h>

struct options {
    char *store, *mountpoint; /* absolute paths, owned */
    char *domain;             /* the same, or NULL */
    bool foreground;          /* -f; -d means it too */
    bool help, version;       /* asked for; nothing else is set */
    bool shared;              /* allow_other or allow_root */
    bool nonempty;            /* mount also over a directory that is not empty */
    int loglevel;             /* priorities of syslog(3) up to this one are shown */
    struct options_kafka kafka;
    struct store_options engine;
    struct fuse_args fuse; /* what libfuse and the kernel are told; owned */
};

/* 0, or a negative errno with the words (-EINVAL for what a person typed wrong). Free it in both cases. */
int options_read(struct options *o, int argc, char **argv, struct err *err);
void options_free(struct options *o);
extern const char options_help[];

#endif
