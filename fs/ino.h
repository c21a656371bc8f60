/* Node ids and inode numbers: see the essay in ino.c. Pure functions, safe in any thread. */
#ifndef ESFS_INO_H
#define ESFS_INO_H

#include "lowlevel.h"

#include <stdbool.h>
#include <stdint.h>

/* What a node is. The numbers are part of inode numbers, which backup programs remember: never renumber. */
enum node_tag {
    NODE_ROOT = 0,
    NODE_ROOT_COMMANDS = 1,
    NODE_ROOT_LOG = 2,
    NODE_ROOT_REJECTIONS = 3,
    NODE_CONTROL = 8,
    NODE_CONTROL_STATUS = 9,
    NODE_CONTROL_CONFIG = 10,
    NODE_CONTROL_ERRORS = 11,
    NODE_TYPE = 16,
    NODE_TYPE_COMMANDS = 17,
    NODE_TYPE_LOG = 18,
    NODE_TYPE_REJECTIONS = 19,
    NODE_AGGREGATE = 32,
    NODE_AGGREGATE_COMMANDS = 33,
    NODE_AGGREGATE_VERSION = 34,
    NODE_AGGREGATE_EVENTS = 35,
    NODE_AGGREGATE_STREAM = 36,
    NODE_AGGREGATE_AT = 37,
    NODE_EVENT = 48,
    NODE_MOMENT = 49,
    NODE_MOMENT_STREAM = 50,
    NODE_TAGS = 64
};

/* A node of the tree, decoded. `no` is the number of what it belongs to: of the type, of the aggregate, of the
 * event (its position), of the moment; 1 in the root and in .esfs/. */
struct node {
    enum node_tag tag;
    uint64_t no;
};

#define INO_EVENT_BITS 56 /* of a position */
#define INO_MOMENT_BITS 54

/* What stat(2) shows, and the node id of all but `commands`. */
fuse_ino_t ino_of(struct node node);
/* A node id with the counter in it for a `commands` node, ino_of() for the others. */
fuse_ino_t ino_fresh(struct node node, uint32_t counter);
/* False when no node can have this id. Whether the thing exists is another question. */
bool ino_parse(fuse_ino_t ino, struct node *out);

#endif
