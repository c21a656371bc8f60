/* The events of one aggregate, one after the other, as they are stored. One thread a walk. */
#ifndef ESFS_STREAM_H
#define ESFS_STREAM_H

#include "index.h"
#include "log.h"

#define STREAM_ENTRIES 64 /* looked up at once */

/* What streams are read from; borrowed. */
struct stream_source {
    struct index *index;
    struct log *log;
    const uint8_t *store_id;
};

struct stream_walk {
    struct stream_source from;
    uint64_t aggregate, version, to; /* the version that comes next, and the last one */
    struct log_chunk *chunk;         /* of the event read last: its neighbour is often the next */
    struct index_entry entries[STREAM_ENTRIES];
    int n, at;
};

enum { STREAM_END = 8 }; /* apart from the outcomes of handlers, which mix with it */

/* Versions from..to; `to` may lie past the end. */
void stream_begin(struct stream_walk *w, const struct stream_source *from, uint64_t aggregate, uint64_t first,
                  uint64_t to);
/* The next event, complete, and its entry; both valid until the next call. 0, STREAM_END, or a negative errno in words.
 */
int stream_next(struct stream_walk *w, struct event *out, const struct index_entry **entry, struct err *err);
void stream_end(struct stream_walk *w);

/* Fills in what the codec leaves empty. */
void stream_complete(const struct stream_source *from, struct event *e);
/* One event by position; its strings live until log_chunk_release(*chunk). 0, INDEX_NONE, or a negative errno in words.
 */
int stream_event(const struct stream_source *from, uint64_t position, struct log_chunk **chunk, struct event *out,
                 struct err *err);

#endif
