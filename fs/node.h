/* Nodes: what the tree is made of. node.c holds the table; ops.c asks it; node_*.c are the handlers it names.
 *
 * Handlers run in any of the session's threads. They return 0 or a negative errno unless said otherwise. */
#ifndef ESFS_NODE_H
#define ESFS_NODE_H

#include "fs.h"
#include "ino.h"

/* How the kernel may cache a node and what its files can do. */
struct node_caching {
    bool direct_io, keep_cache, nonseekable;
    bool stream; /* nonseekable, and a read that waits keeps no write on its descriptor waiting */
    double entry_timeout, attr_timeout; /* seconds */
    blksize_t blksize;
};

struct node_stat {
    uint64_t size;
    uint64_t time;    /* microseconds, 0: never; mtime, ctime and atime */
    uint32_t subject; /* of its rights (rights.h), where that is known at no cost; 0: not known */
    fuse_ino_t ino;   /* of nodes that are shown by a hash (ino.c); otherwise 0 */
};

struct listing; /* a directory being read: node_dir.h */

/* What a kind of node can do. What it cannot do is NULL. */
struct node_ops {
    /* Whether an entry with a fixed name is there; NULL: always. */
    bool (*there)(struct fs *fs, const struct node *node);
    /* NULL: as old as the mount, and of no size but that of `render`. */
    int (*stat)(struct fs *fs, const struct node *node, struct node_stat *out);
    bool costly; /* `stat` is work, which a listing does not do */

    /* Directories. `find` and `list` are for entries without a fixed name; -ENOENT when there is none of this name.
     * `find` gets the request for who asks. `list` gives those with numbers above `after` to listing_add() until it is
     * full. */
    int (*find)(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                struct node_stat *stat);
    int (*list)(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out);
    /* mkdir and rmdir; they answer the request themselves. */
    void (*make)(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req);
    void (*remove)(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req);
    /* unlink; and rename of a file of another directory into this one, under the same name. Likewise. */
    void (*unlink)(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req);
    void (*take)(struct fs *fs, const struct node *dir, const struct node *from, struct str name, fuse_req_t req);

    /* Files. Without `open` there is no handle. `open_later`, `read_later` and `write` answer the request themselves,
     * with node_opened() the first. */
    int (*open)(struct fs *fs, const struct node *node, fuse_req_t req, int flags, struct handle **out);
    void (*open_later)(struct fs *fs, const struct node *node, fuse_req_t req);
    ssize_t (*read)(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out, size_t n);
    /* Instead of `read`, where there is a handle: appends the whole text of a small file. A read from the beginning
     * makes it anew, one further on continues in what was made: no reader gets the halves of two versions, and one that
     * starts again sees news. Its size is the file's where `stat` gives none. */
    int (*render)(struct fs *fs, const struct node *node, struct buf *out);
    void (*read_later)(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, size_t n, int flags);
    void (*write)(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, const char *bytes,
                  size_t n);
    int (*flush)(struct handle *h);
    /* What poll(2) says; takes over the handle, if there is one, to tell when that changes. Without it: always ready.
     */
    unsigned (*poll)(struct fs *fs, const struct node *node, struct handle *h, struct fuse_pollhandle *handle);
    /* Appends the text of a symlink. */
    int (*readlink)(struct fs *fs, const struct node *node, struct buf *out);
    /* Attributes with a name: appends the value of one (nothing: there is none), or all names, each with a zero byte
     * behind it. */
    int (*xattr)(struct fs *fs, const struct node *node, fuse_req_t req, struct str name, struct buf *out);
    int (*xattrs)(struct fs *fs, const struct node *node, fuse_req_t req, struct buf *out);

    /* Nodes that are remembered while the kernel knows them: called for each LOOKUP answered and for FORGET. */
    void (*hold)(struct fs *fs, const struct node *node);
    void (*drop)(struct fs *fs, const struct node *node, uint64_t n);
};

/* Who may do what with a node, when there is a domain. Without one, and for what no list is about, the mode says it,
 * for the mount's owner and group, and root may everything. In the root and in views/ and queries/ "the" view or query
 * is any of them. */
enum node_access {
    ACCESS_MODE,   /* no list is about it */
    ACCESS_READ,   /* who may read the type, or, in the root, every type */
    ACCESS_SEND,   /* who may send the type, or in the root any type, one command at least; who may read it can read */
    ACCESS_EITHER, /* its mode, and who may read or send something can read and search; the root: also views' and
                      queries' readers */
    ACCESS_MAKE,   /* the same, and those who may send something, and nobody else, can mkdir and rmdir */
    ACCESS_VIEW,   /* who may read the view */
    ACCESS_VIEW_EITHER,  /* its mode, and who may read the view can read and search */
    ACCESS_QUERY,        /* who may read the query, as far as the mode says for the owner */
    ACCESS_QUERY_EITHER, /* its mode without writing, and who may read the query as far as the mode says */
};

struct node_kind {
    const char *name;     /* of an entry with a fixed name; NULL: its name is found by the parent's `find` */
    enum node_tag parent; /* the directory of a fixed name */
    bool unlisted;        /* found by name only */
    mode_t mode;          /* 0: there is no such kind */
    enum node_access access;
    const struct node_caching *caching;
    const struct node_ops *ops;
};

/* NULL for a tag without a kind. */
const struct node_kind *node_kind(enum node_tag tag);
/* The node of an id that the kernel names; -ESTALE when none can have it in this mount. */
int node_of_ino(struct fs *fs, fuse_ino_t ino, struct node *out);

/* The entry of a directory, "." and ".." included. What it gives has been held; node_drop() it if the kernel does
 * not get it. stat may be filled on the way. -ENOENT, -ENAMETOOLONG, ... */
int node_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
              struct node_stat *stat);
void node_drop(struct fs *fs, const struct node *node, uint64_t n);
/* Whether the entry with a fixed name is in its directory. */
bool node_is_there(struct fs *fs, const struct node *node);
/* Whether that is a fixed name in the directory. */
bool node_name_is_fixed(struct fs *fs, const struct node *dir, struct str name);
/* The directory that a directory is in. */
int node_parent(struct fs *fs, const struct node *dir, struct node *out);

int node_stat(struct fs *fs, const struct node *node, struct node_stat *out);
/* Of what `render` makes, for a `stat` that has to know first whether that can be made. */
int node_render_size(struct fs *fs, const struct node *node, uint64_t *size);
/* `read`, or what `render` makes. */
ssize_t node_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out, size_t n);
/* The number that stat(2) shows. */
fuse_ino_t node_ino(struct fs *fs, const struct node *node);
/* What the kernel is told. */
void node_attr(struct fs *fs, const struct node *node, const struct node_stat *stat, struct stat *out);
void node_entry(struct fs *fs, const struct node *node, const struct node_stat *stat, struct fuse_entry_param *out);

/* How long the kernel may keep what it was told, in seconds. */
double node_attr_timeout(const struct fs *fs, const struct node *node);

/* Answers an open. The handle (may be NULL) is the kernel's from then on, or freed when it does not want it. */
void node_opened(fuse_req_t req, const struct node *node, struct handle *h);

/* For `stat` of what is as old as the directory it is in, and shows no size. */
int node_stat_as_parent(struct fs *fs, const struct node *node, struct node_stat *out);

/* What kinds do, by the file that says it. */
extern const struct node_ops root_ops, type_ops, aggregate_ops;                /* node_dir.c */
extern const struct node_ops events_ops, event_ops;                            /* node_events.c */
extern const struct node_ops log_ops, stream_ops, rejections_ops, version_ops; /* node_text.c */
extern const struct node_ops commands_ops;                                     /* node_commands.c */
extern const struct node_ops at_ops, moment_ops, moment_stream_ops;            /* node_at.c */
extern const struct node_ops control_ops, status_ops, config_ops, errors_ops;  /* node_control.c */
extern const struct node_ops reload_ops;                                       /* node_control.c */
extern const struct node_ops barrier_ops, barrier_timed_ops;                   /* node_barrier.c */
extern const struct node_ops folded_ops, state_ops;                            /* node_folded.c */
extern const struct node_ops moment_folded_ops, moment_state_ops;              /* node_folded.c */
extern const struct node_ops schemas_ops, schemas_type_ops, schemas_name_ops;  /* node_schemas.c */
extern const struct node_ops schemas_commands_ops, schema_ops;                 /* node_schemas.c */
extern const struct node_ops views_ops, view_ops, view_status_ops;             /* node_views.c */
extern const struct node_ops view_rebuild_ops;                                 /* node_views.c */
extern const struct node_ops view_dir_ops, view_link_ops;                      /* node_index.c */
extern const struct node_ops view_file_ops, aggregate_views_ops;               /* node_view_file.c */
extern const struct node_ops parked_ops, parked_event_ops;                     /* node_parked.c */
extern const struct node_ops parked_retry_ops, parked_skipped_ops;             /* node_parked.c */
extern const struct node_ops skipped_event_ops;                                /* node_parked.c */
extern const struct node_ops queries_ops, query_ops;                           /* node_queries.c */
extern const struct node_ops query_rejections_ops;                             /* node_queries.c */
extern const struct node_ops query_result_ops;                                 /* node_result.c */
extern const struct node_ops query_call_ops;                                   /* node_call.c */
extern const struct node_ops consumers_ops, consumer_ops, consumer_config_ops; /* node_consumers.c */
extern const struct node_ops consumer_ack_ops, consumer_nack_ops;              /* node_consumers.c */
extern const struct node_ops consumer_lag_ops, consumer_status_ops;            /* node_consumers.c */
extern const struct node_ops consumer_follow_ops, consumer_group_ops;          /* node_follow.c */
extern const struct node_ops consumer_pending_ops;                             /* node_follow.c */
extern const struct node_ops consumer_parked_ops, consumer_parked_event_ops;   /* node_shelf.c */
extern const struct node_ops consumer_retry_ops, consumer_skipped_ops;         /* node_shelf.c */
extern const struct node_ops kafka_ops, kafka_status_ops, kafka_parked_ops;    /* node_kafka.c */
extern const struct node_ops kafka_parked_event_ops, kafka_skipped_event_ops;  /* node_kafka.c */
extern const struct node_ops moved_event_ops;                                  /* parked.c */
extern const struct node_ops kafka_retry_ops, kafka_skipped_ops;               /* node_kafka.c */

#endif
