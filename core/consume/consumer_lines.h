/* Lines of events on their way to a reader: as many as fit, whole. */
#ifndef ESFS_CONSUMER_LINES_H
#define ESFS_CONSUMER_LINES_H

#include "buf.h"
#include "event.h"

#include <sys/types.h>

/* A line that was longer than what was asked for, and is given bit by bit. */
struct lines_rest {
    struct buf text;
    size_t given;      /* bytes of it */
    uint64_t position; /* of its event */
    bool again;        /* that is given again */
};

struct lines {
    char *out;
    size_t room, done;
    struct lines_rest *rest;
};

enum { LINES_FULL = 1 };

/* No room: the first line goes to the rest. */
void lines_begin(struct lines *l, struct lines_rest *rest, char *out, size_t room);
/* What is left of the rest. True when that was all of it, and there is room for more. */
bool lines_put_rest(struct lines *l);
/* Whether the event's line fits. The first one always does, in the rest if need be; nothing fits behind that. */
bool lines_fit(const struct lines *l, const struct event *e);
/* 0; LINES_FULL: it does not fit, and nothing was done; or -ENOMEM. */
int lines_put(struct lines *l, const struct event *e, bool again);

void lines_rest_clear(struct lines_rest *rest);
void lines_rest_free(struct lines_rest *rest);

#endif
