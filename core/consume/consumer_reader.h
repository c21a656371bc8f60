/* A reader's insides, for its own file, the group and the wakes. */
#ifndef ESFS_CONSUMER_READER_H
#define ESFS_CONSUMER_READER_H

#include "consumer_lines.h"
#include "consumers_private.h"

/* What a scan of the log reads ahead: for less it costs more than the log's cache. */
#define READER_FAR_BYTES (256 << 10)
#define READER_SLICE_CHUNKS 64 /* of the log that are read at a time, whatever is found */

struct reader {
    struct consumer *consumer; /* a reference */
    LIST_ENTRY(reader) link;   /* of its consumer's */
    enum reader_kind kind;
    uint32_t uid; /* who opened it */
    int32_t pid;
    uint64_t end; /* the last position that it shows */
    atomic_uint references;
    struct waits waits;
    atomic_ulong looked_to, looked_news; /* where the log ended, and the consumer's news, when it was last looked at */
    atomic_bool looked_further;          /* ... and there was more than was looked at */

    pthread_mutex_t lock; /* of what follows */
    struct selection selection;
    struct lines_rest rest; /* of a line that did not fit */
    int error;              /* negative errno: what comes next cannot be read */
    bool ended;

    /* not in a group */
    uint64_t place;   /* everything up to here was given or is of no concern */
    uint64_t epoch;   /* of the consumer's */
    uint64_t turn;    /* of the last event that it was given again */
    uint64_t last;    /* the last event of the log that was for this consumer, or where the reader began */
    uint64_t *parked; /* scratch: positions behind the place that are not given from the log */
    size_t n_parked, room_parked;

    struct member *member; /* of a group, the consumer's lock guards it; NULL: not in one */
};

/* Whether a walk for these lines reads on and on: then it need not go through the log's cache. */
static inline bool reader_far(const struct lines *l, const struct selection *s) {
    return l->room - l->done >= READER_FAR_BYTES || s->config->n_types || s->config->n_events;
}

enum reader_look { LOOK_NOTHING, LOOK_FURTHER, LOOK_READY };

/* Looks for something to read, for a while: there is something (or the end, or an error); there is nothing up to the
 * end of the log; or it must be looked at further. */
enum reader_look reader_look(struct reader *r);

void reader_unref(struct reader *r);

#endif
