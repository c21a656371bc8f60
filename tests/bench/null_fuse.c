/* A FUSE daemon with nothing behind it: how fast can any daemon with this tree be, on this kernel?
 *
 *   null_fuse [-c] MOUNTPOINT TYPE:AGGREGATES:EVENTS:BYTES ...
 *
 * serves the tree of a store whose type TYPE has so many aggregates (order-000000 ...) of so many events each, and
 * whose events have BYTES bytes plus the digits of their version. Every node is computed from its number and every
 * byte comes from memory; what the kernel is told (time-outs, flags, capabilities, threads, readdirplus) is what
 * fs/node.c and fs/ops.c tell it, so that the difference between the two is what the store costs. `commands` takes
 * everything and keeps nothing. -c: an event's name is checked at each open, as that of a view's file is. Stays in the
 * foreground; fusermount3 -u ends it. */
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_TYPES 16
#define DAY 86400.0
#define EVENT_ROOM 4096
#define BUILT 1760000000 /* the time of everything */

struct null_type {
    char name[32];
    uint64_t aggregates, events, bytes;
};

struct null {
    struct null_type types[MOST_TYPES];
    unsigned type_count;
    char event[EVENT_ROOM]; /* what every event is, up to its size */
    bool checked;
};

/* A node's number: kind, type, aggregate, version. */
enum kind { ROOT, TYPE, AGGREGATE, EVENTS, EVENT, COMMANDS, VERSION, STREAM, LOG, REJECTIONS };
struct place {
    enum kind kind;
    uint64_t type, aggregate, version;
};

/* Fixed names, and the directory each is in: what an empty store shows. */
static const struct fixed {
    const char *name;
    enum kind kind, in;
} fixed_names[] = {
    {"commands", COMMANDS, ROOT},         {"log.ndjson", LOG, ROOT},       {"rejections.ndjson", REJECTIONS, ROOT},
    {"commands", COMMANDS, TYPE},         {"log.ndjson", LOG, TYPE},       {"rejections.ndjson", REJECTIONS, TYPE},
    {"commands", COMMANDS, AGGREGATE},    {"version", VERSION, AGGREGATE}, {"events", EVENTS, AGGREGATE},
    {"events.ndjson", STREAM, AGGREGATE},
};
#define FIXED_NAMES (sizeof fixed_names / sizeof *fixed_names)
#define LISTING_NUMBERED 128

static fuse_ino_t ino_of(const struct place *p) {
    if (p->kind == ROOT)
        return FUSE_ROOT_ID;
    return (fuse_ino_t)p->kind << 56 | p->type << 52 | p->aggregate << 26 | p->version;
}

static struct place place_of(fuse_ino_t ino) {
    if (ino == FUSE_ROOT_ID)
        return (struct place){.kind = ROOT};
    return (struct place){(enum kind)(ino >> 56), ino >> 52 & 15, ino >> 26 & ((1 << 26) - 1), ino & ((1 << 26) - 1)};
}

static const struct null *null_of(fuse_req_t req) {
    return fuse_req_userdata(req);
}

static size_t event_bytes(const struct null *n, const struct place *p) {
    size_t bytes = n->types[p->type].bytes;
    for (uint64_t v = p->version; v; v /= 10)
        bytes++;
    return bytes;
}

static bool is_dir(enum kind kind) {
    return kind == ROOT || kind == TYPE || kind == AGGREGATE || kind == EVENTS;
}

static mode_t mode_of(enum kind kind) {
    if (is_dir(kind))
        return S_IFDIR | (kind == ROOT || kind == TYPE ? 0750 : 0550);
    return S_IFREG | (kind == COMMANDS ? 0660 : 0440);
}

static struct stat attr_of(const struct null *n, const struct place *p) {
    struct timespec built = {BUILT, 0};
    size_t size = p->kind == EVENT ? event_bytes(n, p) : 0;
    return (struct stat){.st_ino = ino_of(p),
                         .st_mode = mode_of(p->kind),
                         .st_nlink = 1,
                         .st_uid = geteuid(),
                         .st_gid = getegid(),
                         .st_size = (off_t)size,
                         .st_blocks = (blkcnt_t)((size + 511) / 512),
                         .st_blksize = 4096,
                         .st_mtim = built,
                         .st_ctim = built,
                         .st_atim = built};
}

static struct fuse_entry_param entry_of(const struct null *n, const struct place *p) {
    return (struct fuse_entry_param){.ino = ino_of(p),
                                     .attr = attr_of(n, p),
                                     .attr_timeout = p->kind == EVENT ? DAY : 0,
                                     .entry_timeout = (p->kind == EVENT && !n->checked) || is_dir(p->kind) ? DAY : 0};
}

/* As a daemon must: the caller against the mode. */
static bool allowed(fuse_req_t req, enum kind kind, unsigned want) {
    const struct fuse_ctx *caller = fuse_req_ctx(req);
    unsigned shift = caller->uid == geteuid() ? 6 : caller->gid == getegid() ? 3 : 0;
    return caller->uid == 0 || (want & ~(mode_of(kind) >> shift)) == 0;
}

/* --- names */

static bool number_of(const char *name, const char *before, const char *after, uint64_t most, uint64_t *out) {
    size_t n = strlen(before);
    char *end;
    if (strncmp(name, before, n) != 0)
        return false;
    *out = strtoull(name + n, &end, 10);
    return end != name + n && strcmp(end, after) == 0 && *out < most;
}

static bool find(const struct null *n, const struct place *dir, const char *name, struct place *out) {
    *out = *dir;
    for (size_t i = 0; i < FIXED_NAMES; i++) {
        if (fixed_names[i].in != dir->kind || strcmp(name, fixed_names[i].name) != 0)
            continue;
        out->kind = fixed_names[i].kind;
        return true;
    }
    const struct null_type *t = &n->types[dir->type];
    switch (dir->kind) {
    case ROOT:
        for (out->kind = TYPE; out->type < n->type_count; out->type++)
            if (strcmp(name, n->types[out->type].name) == 0)
                return true;
        return false;
    case TYPE:
        out->kind = AGGREGATE;
        return number_of(name, "order-", "", t->aggregates, &out->aggregate);
    case EVENTS:
        out->kind = EVENT;
        return number_of(name, "", "-ItemAdded.json", t->events + 1, &out->version) && out->version > 0;
    default:
        return false;
    }
}

static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
    struct place dir = place_of(parent), p;
    if (!allowed(req, dir.kind, X_OK) || !find(null_of(req), &dir, name, &p)) {
        fuse_reply_err(req, allowed(req, dir.kind, X_OK) ? ENOENT : EACCES);
        return;
    }
    struct fuse_entry_param e = entry_of(null_of(req), &p);
    fuse_reply_entry(req, &e);
}

static void null_forget(fuse_req_t req, fuse_ino_t ino, uint64_t times) {
    (void)ino, (void)times;
    fuse_reply_none(req);
}

static void null_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets) {
    (void)count, (void)forgets;
    fuse_reply_none(req);
}

static void null_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
    (void)fi;
    struct place p = place_of(ino);
    struct stat attr = attr_of(null_of(req), &p);
    fuse_reply_attr(req, &attr, p.kind == EVENT ? DAY : 0);
}

static void null_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set, struct fuse_file_info *fi) {
    (void)attr, (void)set;
    null_getattr(req, ino, fi);
}

/* --- files */

static void null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
    struct place p = place_of(ino);
    unsigned want = (fi->flags & O_ACCMODE) == O_RDONLY ? R_OK : W_OK;
    if ((want == W_OK && p.kind != COMMANDS) || !allowed(req, p.kind, want)) {
        fuse_reply_err(req, EACCES);
        return;
    }
    fi->keep_cache = p.kind == EVENT;
    fi->direct_io = p.kind != EVENT;
    fi->nonseekable = p.kind == COMMANDS;
    fi->noflush = p.kind != COMMANDS;
    fuse_reply_open(req, fi);
}

static void null_read(fuse_req_t req, fuse_ino_t ino, size_t n, off_t offset, struct fuse_file_info *fi) {
    (void)fi;
    struct place p = place_of(ino);
    size_t size = p.kind == EVENT ? event_bytes(null_of(req), &p) : 0, at = (size_t)offset;
    size_t left = at < size ? size - at : 0;
    fuse_reply_buf(req, null_of(req)->event + (left ? at : 0), left < n ? left : n);
}

static void null_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t n, off_t offset,
                       struct fuse_file_info *fi) {
    (void)ino, (void)bytes, (void)offset, (void)fi;
    fuse_reply_write(req, n);
}

static void null_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
    (void)ino, (void)fi;
    fuse_reply_err(req, 0);
}

/* --- directories */

struct listing {
    fuse_req_t req;
    char *bytes;
    size_t used, size;
    bool plus;
};

static bool listing_add(struct listing *l, const char *name, const struct place *p, uint64_t offset) {
    char *at = l->bytes + l->used;
    size_t room = l->size - l->used, n;
    if (l->plus) {
        struct fuse_entry_param e = entry_of(null_of(l->req), p);
        n = fuse_add_direntry_plus(l->req, at, room, name, &e, (off_t)offset);
    } else {
        struct stat attr = {.st_ino = ino_of(p), .st_mode = mode_of(p->kind)};
        n = fuse_add_direntry(l->req, at, room, name, &attr, (off_t)offset);
    }
    if (n > room)
        return false;
    l->used += n;
    return true;
}

/* The kernel makes no nodes of "." and "..", so any directory's attributes do. */
static bool list_fixed(struct listing *l, const struct place *dir, uint64_t after) {
    bool fits = (after >= 1 || listing_add(l, ".", dir, 1)) && (after >= 2 || listing_add(l, "..", dir, 2));
    for (uint64_t i = after < 3 ? 0 : after - 2; fits && i < FIXED_NAMES; i++) {
        struct place p = *dir;
        p.kind = fixed_names[i].kind;
        if (fixed_names[i].in == dir->kind)
            fits = listing_add(l, fixed_names[i].name, &p, 3 + i);
    }
    return fits;
}

static void list_numbered(struct listing *l, const struct place *dir, uint64_t after) {
    const struct null *n = null_of(l->req);
    const struct null_type *t = &n->types[dir->type];
    char name[64];
    struct place p = *dir;
    bool fits = true;
    for (uint64_t i = after; fits && dir->kind == ROOT && i < n->type_count; i++) {
        p.kind = TYPE, p.type = i;
        fits = listing_add(l, n->types[i].name, &p, LISTING_NUMBERED + i + 1);
    }
    for (uint64_t i = after; fits && dir->kind == TYPE && i < t->aggregates; i++) {
        p.kind = AGGREGATE, p.aggregate = i;
        snprintf(name, sizeof name, "order-%06lu", i);
        fits = listing_add(l, name, &p, LISTING_NUMBERED + i + 1);
    }
    for (uint64_t i = after + 1; fits && dir->kind == EVENTS && i <= t->events; i++) {
        p.kind = EVENT, p.version = i;
        snprintf(name, sizeof name, "%010lu-ItemAdded.json", i);
        fits = listing_add(l, name, &p, LISTING_NUMBERED + i);
    }
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus) {
    struct listing l = {.req = req, .bytes = malloc(size), .size = size, .plus = plus};
    struct place dir = place_of(ino);
    uint64_t at = (uint64_t)offset;
    if (!l.bytes) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    if (at >= LISTING_NUMBERED || list_fixed(&l, &dir, at))
        list_numbered(&l, &dir, at < LISTING_NUMBERED ? 0 : at - LISTING_NUMBERED);
    fuse_reply_buf(req, l.bytes, l.used);
    free(l.bytes);
}

static void null_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
    if (allowed(req, place_of(ino).kind, R_OK))
        fuse_reply_open(req, fi);
    else
        fuse_reply_err(req, EACCES);
}

static void null_readdir(fuse_req_t req, fuse_ino_t ino, size_t n, off_t offset, struct fuse_file_info *fi) {
    (void)fi;
    list(req, ino, n, offset, false);
}

static void null_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t n, off_t offset, struct fuse_file_info *fi) {
    (void)fi;
    list(req, ino, n, offset, true);
}

/* --- the session */

static void null_init(void *userdata, struct fuse_conn_info *conn) {
    (void)userdata;
    conn->max_write = 1 << 20;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ASYNC_DIO);
    conn->want |= conn->capable & (FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                                   FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_ATOMIC_O_TRUNC);
}

static const struct fuse_lowlevel_ops null_ops = {
    .init = null_init,
    .lookup = null_lookup,
    .forget = null_forget,
    .forget_multi = null_forget_multi,
    .getattr = null_getattr,
    .setattr = null_setattr,
    .open = null_open,
    .read = null_read,
    .write = null_write,
    .flush = null_flush,
    .release = null_flush,
    .opendir = null_opendir,
    .readdir = null_readdir,
    .readdirplus = null_readdirplus,
};

static void type_parse(struct null *n, const char *text) {
    errno = 0;
    struct null_type *t = &n->types[n->type_count];
    if (n->type_count == MOST_TYPES ||
        sscanf(text, "%31[^:]:%lu:%lu:%lu", t->name, &t->aggregates, &t->events, &t->bytes) != 4 ||
        t->bytes + 20 > EVENT_ROOM)
        die("not TYPE:AGGREGATES:EVENTS:BYTES, or too large: %s", text);
    n->type_count++;
}

static int serve(struct fuse_session *session) {
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    if (!config)
        die("no memory");
    fuse_loop_cfg_set_max_threads(config, 64);
    fuse_loop_cfg_set_idle_threads(config, 64);
    int r = fuse_session_loop_mt(session, config);
    fuse_loop_cfg_destroy(config);
    return r;
}

int main(int argc, char **argv) {
    static struct null null;
    null.checked = argc > 1 && strcmp(argv[1], "-c") == 0;
    argv += null.checked;
    argc -= null.checked;
    if (argc < 3)
        die("usage: null_fuse [-c] MOUNTPOINT TYPE:AGGREGATES:EVENTS:BYTES ...");
    for (int i = 2; i < argc; i++)
        type_parse(&null, argv[i]);
    memset(null.event, 'x', sizeof null.event);
    char *names[] = {argv[0], "-o", "fsname=null,subtype=null", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, names);
    struct fuse_session *session = fuse_session_new(&args, &null_ops, sizeof null_ops, &null);
    if (!session || fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, argv[1]) != 0)
        die("%s: cannot be mounted", argv[1]);
    int r = serve(session);
    fuse_remove_signal_handlers(session);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    return r != 0;
}
