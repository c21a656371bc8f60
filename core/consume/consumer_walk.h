/* The events of the log one after the other, from a position on. One thread's. */
#ifndef ESFS_CONSUMER_WALK_H
#define ESFS_CONSUMER_WALK_H

#include "stream.h"

struct walk {
    const struct stream_source *from;
    uint64_t next, head;   /* the position that comes next; the last one */
    struct log_scan *scan; /* of a long way; otherwise chunks come from the log's cache */
    struct log_chunk *cached;
    struct chunk chunk;
    struct chunk_walk events;
    bool open;      /* events goes on */
    size_t chunks;  /* read so far */
    struct err err; /* words of the last failure */
};

enum { WALK_END = 1 };

/* From `next` to `head`, which must be readable. `far`: most of it will be read. */
void walk_begin(struct walk *w, const struct stream_source *from, uint64_t next, uint64_t head, bool far);
/* The next event, but for aggregate_type and store_id (stream_complete()); valid until the next call. 0, WALK_END or a
 * negative errno in words. */
int walk_next(struct walk *w, struct event *e);
void walk_end(struct walk *w);

#endif
