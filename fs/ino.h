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
    NODE_CONTROL_BARRIER = 13,
    NODE_CONTROL_BARRIER_TIMED = 14,
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
    NODE_VIEWS = 64,
    NODE_VIEW = 65,
    NODE_VIEW_STATUS = 66,
    NODE_VIEW_REBUILD = 67,
    NODE_VIEW_PARKED = 68,
    NODE_VIEW_RETRY = 69,
    NODE_VIEW_SKIPPED = 70,
    NODE_VIEW_PARKED_EVENT = 71,
    NODE_VIEW_DIR = 72,
    NODE_VIEW_LINK = 73,
    NODE_VIEW_FILE = 74,
    NODE_AGGREGATE_VIEW_FILE = 75,
    NODE_VIEW_SKIPPED_EVENT = 76,
    NODE_QUERIES = 80,
    NODE_QUERY = 81,
    NODE_QUERY_CALL = 82,
    NODE_QUERY_RESULT = 83,
    NODE_QUERY_REJECTIONS = 84,
    NODE_CONSUMERS = 96,
    NODE_CONSUMER = 97,
    NODE_CONSUMER_CONFIG = 98,
    NODE_CONSUMER_FOLLOW = 99,
    NODE_CONSUMER_FOLLOW_GROUP = 100,
    NODE_CONSUMER_PENDING = 101,
    NODE_CONSUMER_ACK = 102,
    NODE_CONSUMER_NACK = 103,
    NODE_CONSUMER_LAG = 104,
    NODE_CONSUMER_PARKED = 105,
    NODE_CONSUMER_RETRY = 106,
    NODE_CONSUMER_SKIPPED = 107,
    NODE_CONSUMER_PARKED_EVENT = 108,
    NODE_CONSUMER_STATUS = 109,
    NODE_KAFKA = 112,
    NODE_KAFKA_STATUS = 113,
    NODE_KAFKA_PARKED = 114,
    NODE_KAFKA_RETRY = 115,
    NODE_KAFKA_SKIPPED = 116,
    NODE_KAFKA_PARKED_EVENT = 117,
    NODE_KAFKA_SKIPPED_EVENT = 118,
    NODE_MOVED_EVENT = 119,
    NODE_TAGS = 128
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
    PAYLOAD_VIEW,      /* a view's number */
    PAYLOAD_PARKED,    /* a view's number, and a position */
    PAYLOAD_DIR,       /* a build, and the number of one of its directories */
    PAYLOAD_LINK,      /* a view's number, how deep it stands, and the aggregate it leads to */
    PAYLOAD_QUERY,     /* a query's number, and a hash of its name: node_queries.c */
    PAYLOAD_CONTENT,   /* a number that content.c gave it */
    PAYLOAD_TIMEOUT,   /* milliseconds */
    PAYLOAD_CONSUMER,  /* a consumer's number */
    PAYLOAD_SHELVED,   /* the number of an event that a consumer has parked */
};

/* A node of the tree, decoded. `no` is the number of what it belongs to. */
struct node {
    enum node_tag tag;
    uint64_t no;
};

#define INO_EVENT_BITS 56 /* of a position */
#define INO_MOMENT_BITS 54
#define INO_SCHEMA_BITS 40 /* of the hash */
#define INO_QUERY_BITS 16  /* of the number; behind it a hash of INO_QUERY_HASH_BITS */
#define INO_QUERY_HASH_BITS 24
#define INO_TAG_BITS 56    /* what a tag leaves */
#define INO_PARKED_BITS 44 /* of the position */
#define INO_DIR_BITS 36    /* of the directory */
#define INO_LEVEL_BITS 4   /* of a link's depth */

enum node_payload ino_payload(enum node_tag tag);
uint32_t ino_type(struct node node); /* of a payload that has a type's number */

/* Nodes of views, and what their numbers say. */
struct node ino_parked(uint32_t view, uint64_t position);  /* less than 1 << INO_PARKED_BITS */
struct node ino_skipped(uint32_t view, uint64_t position); /* likewise */
struct node ino_dir(uint64_t build, uint64_t dir);
struct node ino_link(uint32_t view, uint32_t levels, uint64_t aggregate);
uint32_t ino_view(struct node node); /* of PAYLOAD_VIEW, PAYLOAD_PARKED, PAYLOAD_LINK */
uint64_t ino_position(struct node node);
uint64_t ino_dir_build(struct node node);
uint64_t ino_dir_no(struct node node);
uint32_t ino_link_levels(struct node node);
uint64_t ino_link_aggregate(struct node node);

/* Hashes that are parts of inode numbers, and so never change: begin with INO_HASH, add bytes, end with so many bits.
 */
#define INO_HASH 0xcbf29ce484222325ULL
uint64_t ino_hash(uint64_t h, const void *bytes, size_t n);
uint64_t ino_hash_end(uint64_t h, unsigned bits);

/* The number of a node that is shown by a hash of INO_TAG_BITS (views and queries). */
fuse_ino_t ino_of_hash(enum node_tag tag, uint64_t hash);

/* The node id of all but those with a counter (ino.c), and what stat(2) shows of all that is not shown by a hash. */
fuse_ino_t ino_of(struct node node);
/* A node id with the counter in it for those, ino_of() for the others. */
fuse_ino_t ino_fresh(struct node node, uint32_t counter);
/* False when no node can have this id. Whether the thing exists is another question. */
bool ino_parse(fuse_ino_t ino, struct node *out);

#endif
