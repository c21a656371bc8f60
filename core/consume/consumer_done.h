/* What a group is done with while the cursor is before it: a bit for each position, in blocks, of which each is a
 * record (FORMAT.md, "Cursors"). The consumer's lock guards it. */
#ifndef ESFS_CONSUMER_DONE_H
#define ESFS_CONSUMER_DONE_H

#include "consumer_record.h"

#include <stddef.h>

#define DONE_BLOCKS_MAX 65536 /* of a consumer: with as many a group is given nothing new */

struct done_block {
    uint64_t first; /* position */
    bool changed;   /* since it was put */
    char bits[RECORD_DONE_BYTES];
};

/* Zero-initialise to start. */
struct done {
    struct done_block **list; /* by position */
    size_t n, room;
    size_t n_changed;
};

void done_free(struct done *d);
bool done_has(const struct done *d, uint64_t position);
/* How many behind a position. */
uint64_t done_count(const struct done *d, uint64_t position);
int done_set(struct done *d, uint64_t position); /* 0 or -ENOMEM */
/* A block that was read from its record. 0 or -ENOMEM. */
int done_load(struct done *d, uint64_t first, const char bits[RECORD_DONE_BYTES]);

#endif
