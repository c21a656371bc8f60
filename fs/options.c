#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define STATES_LIMIT (1ULL << 40)
#define SNAPSHOT_EVERY_LIMIT 1000000000

const char options_help[] =
    "Usage: esfs STORE MOUNTPOINT [-o option[,option...]] [-f]\n"
    "Mounts the event store in the directory STORE, which is made if it is not there.\n"
    "\n"
    "  -f             stay in the foreground, log to stderr\n"
    "  -d             the same, and show every request\n"
    "  -h, --help     show this\n"
    "  -V, --version  show the version\n"
    "\n"
    "  -o durability=commit  a write returns when it is on disk (the default)\n"
    "  -o durability=fsync   fsync or close of the descriptor puts it there\n"
    "  -o durability=os      the system does, when it likes\n"
    "  -o max_command=SIZE   longest command, in bytes or with K or M behind it (1M; at most 64M)\n"
    "  -o domain=DIR         a domain directory says which commands there are, what becomes of them and who may send\n"
    "                        and read what; SIGHUP, or a write to .esfs/reload, loads it again\n"
    "  -o root_allowed       root may do what the lists of the domain do not allow it\n"
    "  -o assert_format      `format` in JSON schemas refuses what does not have it\n"
    "  -o snapshot_every=N   keep an aggregate's state every N events (100)\n"
    "  -o states=SIZE        memory for states that are in use (256M)\n"
    "  -o kafka=HOST:PORT    publish the events to Kafka; several times for several brokers\n"
    "  -o kafka-config=FILE  properties of librdkafka, name=value lines (SASL, TLS, and any other)\n"
    "  -o kafka-topic=NAME   the topic, {type} in it stands for the aggregate type (esfs.{type})\n"
    "  -o kafka-mode=MODE    binary (the default) or structured, as CloudEvents has them\n"
    "  -o kafka-filter=TYPE  only events of this type, or TYPE/EVENT; several times for several\n"
    "  -o kafka-since=WHEN   ... and from this position or time on\n"
    "  -o kafka-flush=N      wait N seconds at most for what is under way when unmounting (10)\n"
    "  -o loglevel=LEVEL     error, warning, info (the default) or debug\n"
    "  -o ro                 read only\n"
    "  -o nonempty           mount also over a directory that is not empty; what is in it is hidden\n"
    "  -o allow_other        let other users in, as the modes of the files say\n"
    "and those of mount(8) and mount.fuse3(8). Unmount with: fusermount3 -u MOUNTPOINT\n";

/* Options that libfuse and the kernel know. */
static const char *const passed[] = {
    "rw",        "suid",     "nosuid",     "dev",         "nodev",        "exec",         "noexec",
    "sync",      "async",    "dirsync",    "noatime",     "blkdev",       "fsname=",      "subtype=",
    "max_read=", "context=", "fscontext=", "defcontext=", "rootcontext=", "auto_unmount",
};

/* Options of fstab that concern others, and those that the kernel has by default. */
static const char *const ignored[] = {
    "defaults",   "user",        "users",   "nouser", "owner",         "group",      "auto",
    "noauto",     "nofail",      "_netdev", "atime",  "diratime",      "nodiratime", "relatime",
    "norelatime", "strictatime", "silent",  "loud",   "nostrictatime", "comment=",   "x-",
};

/* Names that end in '=' or '-' begin an option, the others are one. */
static bool option_in(const char *option, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t bytes = strlen(list[i]);
        bool prefix = list[i][bytes - 1] == '=' || list[i][bytes - 1] == '-';
        if (prefix ? strncmp(option, list[i], bytes) == 0 : strcmp(option, list[i]) == 0)
            return true;
    }
    return false;
}

static int read_durability(struct options *o, const char *value, struct err *err) {
    if (strcmp(value, "commit") == 0)
        o->engine.durability = DURABILITY_COMMIT;
    else if (strcmp(value, "fsync") == 0)
        o->engine.durability = DURABILITY_FSYNC;
    else if (strcmp(value, "os") == 0)
        o->engine.durability = DURABILITY_OS;
    else
        return err_set(err, EINVAL, "durability=%s: commit, fsync or os is meant", value);
    return 0;
}

static int read_loglevel(struct options *o, const char *value, struct err *err) {
    static const struct {
        const char *name;
        int priority;
    } levels[] = {{"error", LOG_ERR}, {"warning", LOG_WARNING}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (strcmp(value, levels[i].name) != 0)
            continue;
        o->loglevel = levels[i].priority;
        return 0;
    }
    return err_set(err, EINVAL, "loglevel=%s: error, warning, info or debug is meant", value);
}

/* A number with K, M or G behind it, from 1 to max; 0 when it is none. */
static size_t size_of(const char *value, unsigned long long max) {
    static const char units[] = "KMG";
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    bool number = *value >= '0' && *value <= '9' && !errno && end[unit ? 1 : 0] == '\0';
    return number && n <= max >> shift ? (size_t)n << shift : 0;
}

static int read_max_command(struct options *o, const char *value, struct err *err) {
    o->engine.max_command = size_of(value, STORE_MAX_COMMAND_LIMIT);
    if (!o->engine.max_command)
        return err_set(err, EINVAL, "max_command=%s: a size from 1 to %dM is meant, like 512K", value,
                       STORE_MAX_COMMAND_LIMIT >> 20);
    return 0;
}

static int read_states(struct options *o, const char *value, struct err *err) {
    o->engine.states_max = size_of(value, STATES_LIMIT);
    return o->engine.states_max ? 0 : err_set(err, EINVAL, "states=%s: a size is meant, like 256M", value);
}

static int read_snapshot_every(struct options *o, const char *value, struct err *err) {
    size_t n = size_of(value, SNAPSHOT_EVERY_LIMIT);
    if (n == 0 || strspn(value, "0123456789") != strlen(value))
        return err_set(err, EINVAL, "snapshot_every=%s: a number of events from 1 to %d is meant", value,
                       SNAPSHOT_EVERY_LIMIT);
    o->engine.snapshot_every = (uint32_t)n;
    return 0;
}

/* The daemon leaves its directory, and the store may not be there yet. */
static char *path_absolute(const char *path) {
    char *there = realpath(path, NULL), *cwd, *joined;
    if (there)
        return there;
    if (*path == '/')
        return strdup(path);
    cwd = getcwd(NULL, 0);
    if (!cwd)
        return NULL;
    int n = asprintf(&joined, "%s/%s", cwd, path);
    free(cwd);
    return n < 0 ? NULL : joined;
}

static int read_domain(struct options *o, const char *value, struct err *err) {
    struct stat st;
    if (*value == '\0')
        return err_set(err, EINVAL, "domain=: a directory is meant");
    if (stat(value, &st) < 0)
        return err_set(err, EINVAL, "domain=%s: %s", value, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, EINVAL, "domain=%s: is not a directory", value);
    free(o->domain);
    o->engine.domain = o->domain = path_absolute(value);
    return o->domain ? 0 : -ENOMEM;
}

static int pass_on(struct options *o, const char *option) {
    char *list = NULL;
    /* Escaped, for a comma in a path is not the end of an option. */
    if (fuse_opt_add_opt_escaped(&list, option) < 0)
        return -ENOMEM;
    int r = fuse_opt_add_arg(&o->fuse, "-o") < 0 || fuse_opt_add_arg(&o->fuse, list) < 0 ? -ENOMEM : 0;
    free(list);
    return r;
}

/* What is said of an option that was not taken. */
static int refuse_option(const char *option, struct err *err) {
    static const char *const names[][2] = {
        {"durability", "commit|fsync|os"}, {"max_command", "SIZE"}, {"domain", "DIR"},
        {"snapshot_every", "N"},           {"states", "SIZE"},      {"loglevel", "LEVEL"},
    };
    int r = option_bare(option, names, sizeof names / sizeof *names, err);
    size_t n = strlen(option);
    for (size_t i = 0; r == OPTION_OTHER && i < sizeof passed / sizeof *passed; i++)
        if (strncmp(option, passed[i], n) == 0 && strcmp(passed[i] + n, "=") == 0)
            r = err_set(err, EINVAL, "%s: %s=VALUE is meant", option, option);
    return r == OPTION_OTHER ? err_set(err, EINVAL, "unknown option: %s", option) : r;
}

static int read_option(struct options *o, const char *option, struct err *err) {
    const char *value;
    int r = options_kafka_read(&o->kafka, option, err);
    if (r != OPTION_OTHER)
        return r;
    if ((value = option_value(option, "durability")))
        return read_durability(o, value, err);
    if ((value = option_value(option, "loglevel")))
        return read_loglevel(o, value, err);
    if ((value = option_value(option, "max_command")))
        return read_max_command(o, value, err);
    if ((value = option_value(option, "domain")))
        return read_domain(o, value, err);
    if ((value = option_value(option, "snapshot_every")))
        return read_snapshot_every(o, value, err);
    if ((value = option_value(option, "states")))
        return read_states(o, value, err);
    if (strcmp(option, "root_allowed") == 0) {
        o->engine.ownership.root_allowed = true;
        return 0;
    }
    if (strcmp(option, "assert_format") == 0) {
        o->engine.assert_format = true;
        return 0;
    }
    if (strcmp(option, "nonempty") == 0) {
        o->nonempty = true;
        return 0;
    }
    if (strcmp(option, "ro") == 0) {
        o->engine.read_only = o->engine.must_exist = true;
        return pass_on(o, option);
    }
    if (strcmp(option, "allow_other") == 0 || strcmp(option, "allow_root") == 0) {
        o->shared = true;
        return pass_on(o, option);
    }
    if (option_in(option, passed, sizeof passed / sizeof *passed))
        return pass_on(o, option);
    if (*option == '\0' || option_in(option, ignored, sizeof ignored / sizeof *ignored))
        return 0;
    return refuse_option(option, err);
}

/* A list as in fstab: commas between, a backslash before a comma that belongs to a value. */
static int read_list(struct options *o, const char *list, struct err *err) {
    char *option = malloc(strlen(list) + 1);
    if (!option)
        return err_set(err, ENOMEM, "out of memory");
    int r = 0;
    while (r == 0) {
        size_t n = 0;
        for (; *list && *list != ','; list++) {
            if (*list == '\\' && list[1])
                list++;
            option[n++] = *list;
        }
        option[n] = '\0';
        r = read_option(o, option, err);
        if (*list++ == '\0')
            break;
    }
    free(option);
    return r == -ENOMEM ? err_set(err, ENOMEM, "out of memory") : r;
}

static int read_paths(struct options *o, int argc, char **argv, struct err *err) {
    if (argc < 2)
        return err_set(err, EINVAL, argc < 1 ? "STORE and MOUNTPOINT are missing" : "MOUNTPOINT is missing");
    if (argc > 2)
        return err_set(err, EINVAL, "one argument too many: %s", argv[2]);
    o->store = path_absolute(argv[0]);
    if (!o->store)
        return err_set(err, errno, "%s: %s", argv[0], strerror(errno));
    o->mountpoint = realpath(argv[1], NULL);
    struct stat st;
    if (!o->mountpoint || stat(o->mountpoint, &st) < 0) {
        const char *hint = errno == ENOTCONN ? " (a dead mount is in the way: fusermount3 -u)" : "";
        return err_set(err, errno, "%s: %s%s", argv[1], strerror(errno), hint);
    }
    return S_ISDIR(st.st_mode) ? 0 : err_set(err, ENOTDIR, "%s: is not a directory", argv[1]);
}

/* The path in what `mount` and `df` show, unless the user named it otherwise. libfuse takes the last one given. */
static int add_names(struct options *o) {
    char *name = NULL;
    if (asprintf(&name, "fsname=%s", o->store) < 0)
        return -ENOMEM;
    int r = pass_on(o, name);
    free(name);
    return r < 0 ? r : pass_on(o, "subtype=esfs");
}

int options_read(struct options *o, int argc, char **argv, struct err *err) {
    static const struct option longs[] = {{"help", 0, 0, 'h'}, {"version", 0, 0, 'V'}, {0}};
    *o = (struct options){.loglevel = LOG_INFO, .fuse = FUSE_ARGS_INIT(0, NULL)};
    bool debug = false;
    int c, r = fuse_opt_add_arg(&o->fuse, "esfs") < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
    opterr = 0;
    while (r == 0 && (c = getopt_long(argc, argv, ":o:fdhV", longs, NULL)) != -1) {
        switch (c) {
        case 'o':
            r = read_list(o, optarg, err);
            break;
        case 'd':
            debug = true;
            /* fall through */
        case 'f':
            o->foreground = true;
            break;
        case 'h':
            o->help = true;
            return 0;
        case 'V':
            o->version = true;
            return 0;
        case ':':
            return err_set(err, EINVAL, "-%c wants a value", optopt);
        default:
            return err_set(err, EINVAL, "unknown option: %s", argv[optind - 1]);
        }
    }
    if (r == 0)
        r = read_paths(o, argc - optind, argv + optind, err);
    if (r == 0)
        r = options_kafka_end(&o->kafka, &o->engine.kafka, err);
    if (r == 0 && (add_names(o) < 0 || (debug && fuse_opt_add_arg(&o->fuse, "-d") < 0)))
        r = err_set(err, ENOMEM, "out of memory");
    return r;
}

void options_free(struct options *o) {
    fuse_opt_free_args(&o->fuse);
    free(o->store);
    free(o->mountpoint);
    free(o->domain);
    options_kafka_free(&o->kafka);
}
