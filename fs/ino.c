/* Inode numbers
 *
 * The kernel names a node by the 64-bit id that a LOOKUP gave it, and may come back with that id hours later, or
 * (NFS, open_by_handle_at) after a remount. A daemon that keeps a table of the ids it gave out grows with what the
 * kernel caches: a gigabyte after `ls -l` of a million events. So an id is not looked up, it is read: it says what
 * it is the id of, in numbers that the log itself assigned and never assigns twice. Nothing is remembered for it,
 * FORGET has nothing to do, and the numbers are the same after a remount and after a rebuild, which is what makes
 * an incremental backup incremental.
 *
 *      63   62..56   55..............................0
 *     +---+--------+--------------------------------+
 *     | 0 |  tag   |            payload             |
 *     +---+--------+--------------------------------+
 *
 *     root, .esfs/, views/ ... 1                so that the root's id is FUSE_ROOT_ID
 *     type's                 type number        16 bits
 *     aggregate's            aggregate number   40 bits
 *     event                  position           56 bits
 *     moment (at/<when>)     a hash             54 bits
 *     in schemas/<type>/     type number | hash 16 + 40 bits
 *     view's                 view number        12 bits
 *     parked, skipped event  view | position    12 + 44 bits
 *     directory of an index  build | directory  20 + 36 bits
 *     link of an index       view | levels | aggregate   12 + 4 + 40 bits
 *     query's                hash | number      24 + 16 bits
 *     content                a counter          56 bits
 *     barrier@<time>         milliseconds       56 bits
 *     consumer's             consumer number    32 bits
 *     parked by a consumer   its number         56 bits
 *
 * The top bit stays 0: some programs take an inode number for a signed one. Programs without large file support
 * cannot stat these numbers (EOVERFLOW), as on any large disk.
 *
 * Some kinds of node need more.
 *
 * `commands` (and a query's `call`, and `ack` and `follow` of a consumer) has many ids, one for each LOOKUP: a 12-bit
 * counter above the number it belongs to. The kernel locks an inode while it writes to it, and a write here lasts as
 * long as a flush of the disk; with one id all writers of a file would queue behind each other's flush instead of
 * sharing one. With an id each they do not meet. stat(2) shows the number without the counter, so that it remains one
 * file to everybody else. The counter runs over an odd number of values: an open makes two LOOKUPs, of which the second
 * counts, and an even cycle would use half of them.
 *
 * A moment is named by a text (`2h-ago`) that no number can hold. Its id is a hash of what it stands for, and a
 * table (node_at.c) knows it from its LOOKUP to its FORGET.
 *
 * Schemas are named by texts too, of events and commands, but they are few, are kept for good and lie in memory: who
 * comes back with an id has the type's schemas gone through for the one that has this hash (node_schemas.c), and
 * nothing is remembered. Two names of one type that have the same hash are one chance in a million for a type with a
 * thousand schemas: then the second cannot be opened (EIO), rather than that one is taken for the other.
 *
 * The file of a view, or the result of a query, has another id after each change: what one id shows never changes, so
 * that the kernel may keep its pages, and no reader sees the halves of two texts. Those ids are numbers of a counter,
 * which begins with the time, so that no mount gives out those of the one before; a table (content.c) knows them from
 * LOOKUP to FORGET. stat(2) shows a hash of the names of view and file instead, so that to everybody else it is one
 * file, whatever is in it, also after a rebuild and in another mount. So it is with a query's directory: its number is
 * this process's own. The hash in its id tells it from one that had this number in the mount before.
 *
 * What an index has is numbered for good, a build's directories by the build, and needs no table. The text of a link
 * is made of what its id says, so a link that moves up or down is another one. Positions of parked events have 44 bits
 * here, which is 17 million million events; one beyond that would not be shown. */
#include "ino.h"

#include "views.h"

#define TAG_SHIFT INO_TAG_BITS
#define COUNTER_SHIFT 40
#define COUNTER_CYCLE 4095
#define TYPE_BITS 16
#define AGGREGATE_BITS 40
#define VIEW_BITS 12

_Static_assert(VIEW_NO_MAX >> VIEW_BITS == 0, "view numbers");
_Static_assert(VIEW_DIRS_MAX >> INO_DIR_BITS == 0, "directories of an index");
_Static_assert(VIEW_BUILD_MAX >> (INO_TAG_BITS - INO_DIR_BITS) == 0, "builds");
_Static_assert(VIEW_LEVELS_MAX >> INO_LEVEL_BITS == 0, "levels");

/* By tag. */
static const uint8_t payloads[NODE_TAGS] = {
    [NODE_ROOT] = PAYLOAD_ONE,
    [NODE_ROOT_COMMANDS] = PAYLOAD_ONE,
    [NODE_ROOT_LOG] = PAYLOAD_ONE,
    [NODE_ROOT_REJECTIONS] = PAYLOAD_ONE,
    [NODE_CONTROL] = PAYLOAD_ONE,
    [NODE_CONTROL_STATUS] = PAYLOAD_ONE,
    [NODE_CONTROL_CONFIG] = PAYLOAD_ONE,
    [NODE_CONTROL_ERRORS] = PAYLOAD_ONE,
    [NODE_CONTROL_RELOAD] = PAYLOAD_ONE,
    [NODE_CONTROL_BARRIER] = PAYLOAD_ONE,
    [NODE_CONTROL_BARRIER_TIMED] = PAYLOAD_TIMEOUT,
    [NODE_TYPE] = PAYLOAD_TYPE,
    [NODE_TYPE_COMMANDS] = PAYLOAD_TYPE,
    [NODE_TYPE_LOG] = PAYLOAD_TYPE,
    [NODE_TYPE_REJECTIONS] = PAYLOAD_TYPE,
    [NODE_AGGREGATE] = PAYLOAD_AGGREGATE,
    [NODE_AGGREGATE_COMMANDS] = PAYLOAD_AGGREGATE,
    [NODE_AGGREGATE_VERSION] = PAYLOAD_AGGREGATE,
    [NODE_AGGREGATE_EVENTS] = PAYLOAD_AGGREGATE,
    [NODE_AGGREGATE_STREAM] = PAYLOAD_AGGREGATE,
    [NODE_AGGREGATE_AT] = PAYLOAD_AGGREGATE,
    [NODE_AGGREGATE_FOLDED] = PAYLOAD_AGGREGATE,
    [NODE_AGGREGATE_VIEWS] = PAYLOAD_AGGREGATE,
    [NODE_AGGREGATE_STATE] = PAYLOAD_AGGREGATE,
    [NODE_EVENT] = PAYLOAD_POSITION,
    [NODE_MOMENT] = PAYLOAD_MOMENT,
    [NODE_MOMENT_STREAM] = PAYLOAD_MOMENT,
    [NODE_MOMENT_FOLDED] = PAYLOAD_MOMENT,
    [NODE_MOMENT_STATE] = PAYLOAD_MOMENT,
    [NODE_SCHEMAS] = PAYLOAD_ONE,
    [NODE_SCHEMAS_TYPE] = PAYLOAD_TYPE,
    [NODE_SCHEMAS_EVENT] = PAYLOAD_SCHEMA,
    [NODE_SCHEMAS_COMMANDS] = PAYLOAD_TYPE,
    [NODE_SCHEMAS_COMMAND] = PAYLOAD_SCHEMA,
    [NODE_SCHEMA_OF_EVENT] = PAYLOAD_SCHEMA,
    [NODE_SCHEMA_OF_COMMAND] = PAYLOAD_SCHEMA,
    [NODE_VIEWS] = PAYLOAD_ONE,
    [NODE_VIEW] = PAYLOAD_VIEW,
    [NODE_VIEW_STATUS] = PAYLOAD_VIEW,
    [NODE_VIEW_REBUILD] = PAYLOAD_VIEW,
    [NODE_VIEW_PARKED] = PAYLOAD_VIEW,
    [NODE_VIEW_RETRY] = PAYLOAD_VIEW,
    [NODE_VIEW_SKIPPED] = PAYLOAD_VIEW,
    [NODE_VIEW_PARKED_EVENT] = PAYLOAD_PARKED,
    [NODE_VIEW_DIR] = PAYLOAD_DIR,
    [NODE_VIEW_LINK] = PAYLOAD_LINK,
    [NODE_VIEW_FILE] = PAYLOAD_CONTENT,
    [NODE_AGGREGATE_VIEW_FILE] = PAYLOAD_CONTENT,
    [NODE_VIEW_SKIPPED_EVENT] = PAYLOAD_PARKED,
    [NODE_QUERIES] = PAYLOAD_ONE,
    [NODE_QUERY] = PAYLOAD_QUERY,
    [NODE_QUERY_CALL] = PAYLOAD_QUERY,
    [NODE_QUERY_RESULT] = PAYLOAD_CONTENT,
    [NODE_QUERY_REJECTIONS] = PAYLOAD_QUERY,
    [NODE_CONSUMERS] = PAYLOAD_ONE,
    [NODE_CONSUMER] = PAYLOAD_CONSUMER,
    [NODE_CONSUMER_CONFIG] = PAYLOAD_CONSUMER,
    [NODE_CONSUMER_FOLLOW] = PAYLOAD_CONSUMER,
    [NODE_CONSUMER_FOLLOW_GROUP] = PAYLOAD_CONSUMER,
    [NODE_CONSUMER_PENDING] = PAYLOAD_CONSUMER,
    [NODE_CONSUMER_ACK] = PAYLOAD_CONSUMER,
    [NODE_CONSUMER_NACK] = PAYLOAD_CONSUMER,
    [NODE_CONSUMER_LAG] = PAYLOAD_CONSUMER,
    [NODE_CONSUMER_PARKED] = PAYLOAD_CONSUMER,
    [NODE_CONSUMER_RETRY] = PAYLOAD_CONSUMER,
    [NODE_CONSUMER_SKIPPED] = PAYLOAD_CONSUMER,
    [NODE_CONSUMER_PARKED_EVENT] = PAYLOAD_SHELVED,
    [NODE_CONSUMER_STATUS] = PAYLOAD_CONSUMER,
    [NODE_KAFKA] = PAYLOAD_ONE,
    [NODE_KAFKA_STATUS] = PAYLOAD_ONE,
    [NODE_KAFKA_PARKED] = PAYLOAD_ONE,
    [NODE_KAFKA_RETRY] = PAYLOAD_ONE,
    [NODE_KAFKA_SKIPPED] = PAYLOAD_ONE,
    [NODE_KAFKA_PARKED_EVENT] = PAYLOAD_POSITION,
    [NODE_KAFKA_SKIPPED_EVENT] = PAYLOAD_POSITION,
    [NODE_MOVED_EVENT] = PAYLOAD_POSITION,
};

/* Without the counter. */
static const uint8_t payload_bits[] = {
    [PAYLOAD_ONE] = 1,
    [PAYLOAD_TYPE] = TYPE_BITS,
    [PAYLOAD_AGGREGATE] = AGGREGATE_BITS,
    [PAYLOAD_POSITION] = INO_EVENT_BITS,
    [PAYLOAD_MOMENT] = INO_MOMENT_BITS,
    [PAYLOAD_SCHEMA] = TYPE_BITS + INO_SCHEMA_BITS,
    [PAYLOAD_VIEW] = VIEW_BITS,
    [PAYLOAD_PARKED] = VIEW_BITS + INO_PARKED_BITS,
    [PAYLOAD_DIR] = INO_TAG_BITS,
    [PAYLOAD_LINK] = VIEW_BITS + INO_LEVEL_BITS + AGGREGATE_BITS,
    [PAYLOAD_QUERY] = INO_QUERY_BITS + INO_QUERY_HASH_BITS,
    [PAYLOAD_CONTENT] = INO_TAG_BITS,
    [PAYLOAD_TIMEOUT] = INO_TAG_BITS,
    [PAYLOAD_CONSUMER] = 32,
    [PAYLOAD_SHELVED] = INO_TAG_BITS,
};

enum node_payload ino_payload(enum node_tag tag) {
    return (enum node_payload)payloads[tag];
}

uint32_t ino_type(struct node node) {
    return (uint32_t)(ino_payload(node.tag) == PAYLOAD_SCHEMA ? node.no >> INO_SCHEMA_BITS : node.no);
}

/* --- views */

static uint64_t low_bits(uint64_t v, unsigned bits) {
    return v & ((1ULL << bits) - 1);
}

struct node ino_parked(uint32_t view, uint64_t position) {
    return (struct node){NODE_VIEW_PARKED_EVENT, (uint64_t)view << INO_PARKED_BITS | position};
}

struct node ino_skipped(uint32_t view, uint64_t position) {
    return (struct node){NODE_VIEW_SKIPPED_EVENT, ino_parked(view, position).no};
}

struct node ino_dir(uint64_t build, uint64_t dir) {
    return (struct node){NODE_VIEW_DIR, build << INO_DIR_BITS | dir};
}

struct node ino_link(uint32_t view, uint32_t levels, uint64_t aggregate) {
    uint64_t place = (uint64_t)view << INO_LEVEL_BITS | levels;
    return (struct node){NODE_VIEW_LINK, place << AGGREGATE_BITS | aggregate};
}

uint32_t ino_view(struct node node) {
    switch (ino_payload(node.tag)) {
    case PAYLOAD_PARKED:
        return (uint32_t)(node.no >> INO_PARKED_BITS);
    case PAYLOAD_LINK:
        return (uint32_t)(node.no >> (INO_LEVEL_BITS + AGGREGATE_BITS));
    default:
        return (uint32_t)node.no;
    }
}

uint64_t ino_position(struct node node) {
    return low_bits(node.no, INO_PARKED_BITS);
}

uint64_t ino_dir_build(struct node node) {
    return node.no >> INO_DIR_BITS;
}

uint64_t ino_dir_no(struct node node) {
    return low_bits(node.no, INO_DIR_BITS);
}

uint32_t ino_link_levels(struct node node) {
    return (uint32_t)low_bits(node.no >> AGGREGATE_BITS, INO_LEVEL_BITS);
}

uint64_t ino_link_aggregate(struct node node) {
    return low_bits(node.no, AGGREGATE_BITS);
}

/* --- hashes: FNV-1a, and a mix so that every bit counts in those that are kept */

uint64_t ino_hash(uint64_t h, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3ULL;
    return h;
}

uint64_t ino_hash_end(uint64_t h, unsigned bits) {
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15ULL;
    return h >> (64 - bits);
}

fuse_ino_t ino_of_hash(enum node_tag tag, uint64_t hash) {
    return (fuse_ino_t)tag << TAG_SHIFT | hash;
}

/* --- ids */

static bool tag_is_counted(enum node_tag tag) {
    return tag == NODE_ROOT_COMMANDS || tag == NODE_TYPE_COMMANDS || tag == NODE_AGGREGATE_COMMANDS ||
           tag == NODE_QUERY_CALL || tag == NODE_CONSUMER_ACK || tag == NODE_CONSUMER_FOLLOW_GROUP;
}

fuse_ino_t ino_of(struct node node) {
    return (fuse_ino_t)node.tag << TAG_SHIFT | node.no;
}

fuse_ino_t ino_fresh(struct node node, uint32_t counter) {
    if (!tag_is_counted(node.tag))
        return ino_of(node);
    return ino_of(node) | (fuse_ino_t)(counter % COUNTER_CYCLE) << COUNTER_SHIFT;
}

bool ino_parse(fuse_ino_t ino, struct node *out) {
    uint64_t tag = ino >> TAG_SHIFT, payload = ino & ((1ULL << TAG_SHIFT) - 1);
    if (tag >= NODE_TAGS || payloads[tag] == PAYLOAD_NONE)
        return false;
    if (tag_is_counted((enum node_tag)tag))
        payload &= (1ULL << COUNTER_SHIFT) - 1;
    if (payload == 0 || payload >> payload_bits[ino_payload((enum node_tag)tag)])
        return false;
    *out = (struct node){(enum node_tag)tag, payload};
    return true;
}
