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
 *     root, .esfs/           1                  so that the root's id is FUSE_ROOT_ID
 *     type's                 type number        16 bits
 *     aggregate's            aggregate number   40 bits
 *     event                  position           56 bits
 *     moment (at/<when>)     a hash             54 bits
 *
 * The top bit stays 0: some programs take an inode number for a signed one. Programs without large file support
 * cannot stat these numbers (EOVERFLOW), as on any large disk.
 *
 * Two kinds of node need more.
 *
 * `commands` has many ids, one for each LOOKUP: a 12-bit counter above the number it belongs to. The kernel locks
 * an inode while it writes to it, and a write here lasts as long as a flush of the disk; with one id all writers of
 * a file would queue behind each other's flush instead of sharing one. With an id each they do not meet. stat(2)
 * shows the number without the counter, so that it remains one file to everybody else. The counter runs over an odd
 * number of values: an open makes two LOOKUPs, of which the second counts, and an even cycle would use half of them.
 *
 * A moment is named by a text (`2h-ago`) that no number can hold. Its id is a hash of what it stands for, and a
 * table (node_at.c) knows it from its LOOKUP to its FORGET. */
#include "ino.h"

#define TAG_SHIFT 56
#define COUNTER_SHIFT 40
#define COUNTER_CYCLE 4095

/* Bits of a payload without the counter; 0: there is no such tag. */
static const uint8_t payload_bits[NODE_TAGS] = {
    [NODE_ROOT] = 1,
    [NODE_ROOT_COMMANDS] = 1,
    [NODE_ROOT_LOG] = 1,
    [NODE_ROOT_REJECTIONS] = 1,
    [NODE_CONTROL] = 1,
    [NODE_CONTROL_STATUS] = 1,
    [NODE_CONTROL_CONFIG] = 1,
    [NODE_CONTROL_ERRORS] = 1,
    [NODE_TYPE] = 16,
    [NODE_TYPE_COMMANDS] = 16,
    [NODE_TYPE_LOG] = 16,
    [NODE_TYPE_REJECTIONS] = 16,
    [NODE_AGGREGATE] = 40,
    [NODE_AGGREGATE_COMMANDS] = 40,
    [NODE_AGGREGATE_VERSION] = 40,
    [NODE_AGGREGATE_EVENTS] = 40,
    [NODE_AGGREGATE_STREAM] = 40,
    [NODE_AGGREGATE_AT] = 40,
    [NODE_EVENT] = INO_EVENT_BITS,
    [NODE_MOMENT] = INO_MOMENT_BITS,
    [NODE_MOMENT_STREAM] = INO_MOMENT_BITS,
};

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
    if (tag >= NODE_TAGS)
        return false;
    if (tag_is_counted((enum node_tag)tag))
        payload &= (1ULL << COUNTER_SHIFT) - 1;
    if (payload == 0 || payload >> payload_bits[tag])
        return false;
    *out = (struct node){(enum node_tag)tag, payload};
    return true;
}
