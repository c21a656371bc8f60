/* A directory being read into the answer of one READDIR or READDIRPLUS. One thread's. */
#ifndef ESFS_NODE_DIR_H
#define ESFS_NODE_DIR_H

#include "node.h"

struct listing {
    fuse_req_t req;
    struct fs *fs;
    struct handle *handle; /* of the open directory */
    char *bytes;
    size_t size, used;
    bool plus;        /* entries come with their attributes, and the kernel knows the nodes from then on */
    uint32_t subject; /* of the directory's rights, if the attributes depend on it */
    const void *arg;  /* of listing_numbered() */
};

/* The offset of an entry says after what to go on, so it holds whatever comes and goes in between: "." is 1, ".." 2,
 * fixed names 3 + tag, the others LISTING_NUMBERED + their number (of the type, of the aggregate, the version). */
#define LISTING_NUMBERED 256

/* False when it did not fit. stat NULL: not known. */
bool listing_add(struct listing *l, const char *name, const struct node *node, const struct node_stat *stat,
                 uint64_t offset);

/* Entries that have numbers and are fetched from the index, many at a time: a look-up costs as much as a hundred
 * entries, and kernels before 6.16 ask for no more than 4 KiB of a directory. What was fetched waits in the handle. */
struct numbered {
    size_t bytes; /* of an element; it begins with its number, a uint64_t */
    /* Up to n elements with numbers above `after`, ascending. How many, or a negative errno. */
    int (*fetch)(struct listing *l, const struct node *dir, uint64_t after, void *out, size_t n);
    bool (*add)(struct listing *l, const void *element); /* listing_add() of one */
};

/* A `list` handler of such a directory. What `fetch` and `add` want to know besides is l->arg to them. */
int listing_numbered(struct listing *l, const struct node *dir, uint64_t after, const struct numbered *kind,
                     const void *arg);

/* mkdir and rmdir of a type (in the root) or an aggregate (in a type). */
void dir_make(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req);
void dir_remove(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req);

/* The root's time: that of the newest event. */
int root_stat(struct fs *fs, const struct node *node, struct node_stat *out);

/* Reads a directory from an offset on (0, or that of an entry). */
int dir_list(struct listing *l, const struct node *dir, uint64_t offset);

#endif
