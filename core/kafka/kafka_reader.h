/* The events of the log, one after the other. One thread. */
#ifndef ESFS_KAFKA_READER_H
#define ESFS_KAFKA_READER_H

#include "block.h"
#include "stream.h"

struct kafka_reader {
    struct stream_source from;
    uint64_t taken; /* the last event that was moved past */
    struct log_scan *scan;
    struct chunk chunk;
    struct chunk_walk walk;
    bool walking, holds; /* a chunk is open; `event` is the one after `taken` */
    struct event event;
};

enum { KAFKA_READER_END = 1 };

/* Begins behind a position. */
void kafka_reader_begin(struct kafka_reader *r, const struct stream_source *from, uint64_t position);
/* Lets go of the database; it goes on from where it is. */
void kafka_reader_rest(struct kafka_reader *r);

/* The event behind `taken`, complete, if it is not behind `head`; valid until the next call of any. 0,
 * KAFKA_READER_END, or a negative errno in words. */
int kafka_reader_next(struct kafka_reader *r, uint64_t head, struct event **out, struct err *err);
/* Moves past it. */
void kafka_reader_take(struct kafka_reader *r);

#endif
