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
 *     root, .esfs/, schemas/ 1                  so that the root's id is FUSE_ROOT_ID
 *     type's                 type number        16 bits
 *     aggregate's            aggregate number   40 bits
 *     event                  position           56 bits
 *     moment (at/<when>)     a hash             54 bits
 *     in schemas/<type>/     type number | hash 16 + 40 bits
 *
 * The top bit stays 0: some programs take an inode number for a signed one. Programs without large file support
 * cannot stat these numbers (EOVERFLOW), as on any large disk.
 *
 * Three kinds of node need more.
 *
 * `commands` has many ids, one for each LOOKUP: a 12-bit counter above the number it belongs to. The kernel locks
 * an inode while it writes to it, and a write here lasts as long as a flush of the disk; with one id all writers of
 * a file would queue behind each other's flush instead of sharing one. With an id each they do not meet. stat(2)
 * shows the number without the counter, so that it remains one file to everybody else. The counter runs over an odd
 * number of values: an open makes two LOOKUPs, of which the second counts, and an even cycle would use half of them.
 *
 * A moment is named by a text (`2h-ago`) that no number can hold. Its id is a hash of what it stands for, and a
 * table (node_at.c) knows it from its LOOKUP to its FORGET.
 *
 * Schemas are named by texts too, of events and commands, but they are few, are kept for good and lie in memory: who
 * comes back with an id has the type's schemas gone through for the one that has this hash (node_schemas.c), and
 * nothing is remembered. Two names of one type that have the same hash are one chance in a million for a type with a
 * thousand schemas: then the second cannot be opened (EIO), rather than that one is taken for the other. */
#include "ino.h"

#define TAG_SHIFT 56
#define COUNTER_SHIFT 40
#define COUNTER_CYCLE 4095
#define TYPE_BITS 16

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
};

/* Without the counter. */
static const uint8_t payload_bits[] = {
    [PAYLOAD_ONE] = 1,
    [PAYLOAD_TYPE] = TYPE_BITS,
    [PAYLOAD_AGGREGATE] = 40,
    [PAYLOAD_POSITION] = INO_EVENT_BITS,
    [PAYLOAD_MOMENT] = INO_MOMENT_BITS,
    [PAYLOAD_SCHEMA] = TYPE_BITS + INO_SCHEMA_BITS,
};

enum node_payload ino_payload(enum node_tag tag) {
    return (enum node_payload)payloads[tag];
}

uint32_t ino_type(struct node node) {
    return (uint32_t)(ino_payload(node.tag) == PAYLOAD_SCHEMA ? node.no >> INO_SCHEMA_BITS : node.no);
}

static bool tag_is_counted(enum node_tag tag) {
    return tag == NODE_ROOT_COMMANDS || tag == NODE_TYPE_COMMANDS || tag == NODE_AGGREGATE_COMMANDS;
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
