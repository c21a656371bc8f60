/* The codec of what consumers have in the `cursors` family (FORMAT.md, "Cursors"). Pure functions. */
#ifndef ESFS_CONSUMER_RECORD_H
#define ESFS_CONSUMER_RECORD_H

#include "buf.h"
#include "str.h"

#include <stdbool.h>
#include <stdint.h>

#define RECORD_CLASS_CONSUMER 'c'
#define RECORD_CLASS_PARKED 'n'
#define RECORD_KEY_BYTES 16   /* room for any key */
#define RECORD_SMALL_BYTES 64 /* room for a value of fixed parts alone */

enum record_key {
    RECORD_NEXT,
    RECORD_CONSUMER,
    RECORD_CURSOR,
    RECORD_DONE, /* at the first position of a block */
    RECORD_PARKED,
    RECORD_STATE, /* of a parked event that is not just parked */
    RECORD_UNKNOWN
};

/* Each gives the bytes written to `out`. */
struct str record_next_key(char out[RECORD_KEY_BYTES]);
struct str record_consumer_key(uint32_t no, char out[RECORD_KEY_BYTES]);
struct str record_cursor_key(uint32_t no, char out[RECORD_KEY_BYTES]);
struct str record_done_key(uint32_t no, uint64_t first, char out[RECORD_KEY_BYTES]);
struct str record_parked_key(uint32_t no, uint64_t position, char out[RECORD_KEY_BYTES]);
struct str record_state_key(uint32_t no, uint64_t position, char out[RECORD_KEY_BYTES]);
enum record_key record_key_read(struct str key, uint32_t *no, uint64_t *position);

/* Numbers that come next. */
struct record_next {
    uint64_t consumer, parked;
};
struct str record_next_put(const struct record_next *r, char out[RECORD_SMALL_BYTES]);
bool record_next_read(struct str value, struct record_next *r);

struct record_consumer {
    uint64_t time; /* of its making, or of the last change of its config */
    struct str name, config;
};
void record_consumer_put(const struct record_consumer *r, struct buf *out);
bool record_consumer_read(struct str value, struct record_consumer *r); /* strings point into the value */

struct record_cursor {
    uint64_t position;
    uint64_t time; /* when it was moved last, 0: never */
};
struct str record_cursor_put(const struct record_cursor *r, char out[RECORD_SMALL_BYTES]);
bool record_cursor_read(struct str value, struct record_cursor *r);

/* Which positions of a block are done with: a bit each. */
#define RECORD_DONE_EVENTS 1024 /* positions of a block, which begins at a multiple */
#define RECORD_DONE_BYTES (RECORD_DONE_EVENTS / 8)
#define RECORD_DONE_ROOM (1 + RECORD_DONE_BYTES) /* of a value */
bool record_done_has(const char bits[RECORD_DONE_BYTES], uint64_t position);
void record_done_set(char bits[RECORD_DONE_BYTES], uint64_t position);
struct str record_done_put(const char bits[RECORD_DONE_BYTES], char out[RECORD_DONE_ROOM]);
bool record_done_read(struct str value, char bits[RECORD_DONE_BYTES]); /* false also when there is no bit */

struct record_parked {
    uint64_t id, time;
    uint32_t uid;
    struct str reason;
};
void record_parked_put(const struct record_parked *r, struct buf *out);
bool record_parked_read(struct str value, struct record_parked *r);

enum aside_state {
    ASIDE_PARKED = 1,
    ASIDE_AGAIN = 2,   /* to be given again */
    ASIDE_DONE = 3,    /* done with, while the cursor is before it */
    ASIDE_SKIPPED = 4, /* passed over, for good */
    ASIDE_STATES
};
struct record_state {
    enum aside_state state;
    uint64_t time; /* ASIDE_SKIPPED: when it was decided, and by whom; otherwise 0 */
    uint32_t uid;
};
struct str record_state_put(const struct record_state *r, char out[RECORD_SMALL_BYTES]);
bool record_state_read(struct str value, struct record_state *r);

#endif
