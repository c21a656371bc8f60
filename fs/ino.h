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
    NODE_CONTROL_RELOAD = 12,
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
    NODE_AGGREGATE_FOLDED = 38,
    NODE_AGGREGATE_VIEWS = 39,
    NODE_AGGREGATE_STATE = 40,
    NODE_EVENT = 48,
    NODE_MOMENT = 49,
    NODE_MOMENT_STREAM = 50,
    NODE_MOMENT_FOLDED = 51,
    NODE_MOMENT_STATE = 52,
    NODE_SCHEMAS = 56,
    NODE_SCHEMAS_TYPE = 57,
    NODE_SCHEMAS_EVENT = 58,
    NODE_SCHEMAS_COMMANDS = 59,
    NODE_SCHEMAS_COMMAND = 60,
    NODE_SCHEMA_OF_EVENT = 61,
    NODE_SCHEMA_OF_COMMAND = 62,
    NODE_TAGS = 64
};

/* What the number of a node says. */
enum node_payload {
    PAYLOAD_NONE,      /* there is no such tag */
    PAYLOAD_ONE,       /* nothing: it is 1 */
    PAYLOAD_TYPE,      /* a type's number */
    PAYLOAD_AGGREGATE, /* an aggregate's number */
    PAYLOAD_POSITION,  /* an event's position */
    PAYLOAD_MOMENT,    /* a hash of a moment: node_at.c */
    PAYLOAD_SCHEMA,    /* a type's number, and a hash of what is named in it: node_schemas.c */
};

/* A node of the tree, decoded. `no` is the number of what it belongs to. */
struct node {
    enum node_tag tag;
    uint64_t no;
};

#define INO_EVENT_BITS 56 /* of a position */
#define INO_MOMENT_BITS 54
#define INO_SCHEMA_BITS 40 /* of the hash */

enum node_payload ino_payload(enum node_tag tag);
uint32_t ino_type(struct node node); /* of a payload that has a type's number */

/* What stat(2) shows, and the node id of all but `commands`. */
fuse_ino_t ino_of(struct node node);
/* A node id with the counter in it for a `commands` node, ino_of() for the others. */
fuse_ino_t ino_fresh(struct node node, uint32_t counter);
/* False when no node can have this id. Whether the thing exists is another question. */
bool ino_parse(fuse_ino_t ino, struct node *out);

#endif
