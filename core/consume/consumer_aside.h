/* The events of a consumer that do not come with the others: parked, to be given again, done with ahead of the cursor,
 * or passed over. In memory by position; why they were parked is in the database alone. The consumer's lock guards it.
 */
#ifndef ESFS_CONSUMER_ASIDE_H
#define ESFS_CONSUMER_ASIDE_H

#include "consumer_record.h"

#include <stddef.h>
#include <sys/queue.h>

struct aside {
    uint64_t id; /* first: struct consumers, parked_ids */
    uint64_t position;
    uint64_t time; /* when it was parked, and by whom; ASIDE_SKIPPED: when that was decided, and by whom */
    uint32_t consumer, uid;
    enum aside_state state;
    uint64_t turn; /* ASIDE_AGAIN: readers take them in this order */
    bool given;    /* ... and somebody has had it */
    TAILQ_ENTRY(aside) link;
};

struct asides {
    struct aside **list; /* by position */
    size_t n, room;
    TAILQ_HEAD(, aside) again; /* ASIDE_AGAIN, by turn */
    uint64_t turns;            /* that were given out */
    size_t n_of[ASIDE_STATES]; /* by state */
};

void asides_init(struct asides *s);
void asides_free(struct asides *s); /* and the events in it */
/* NULL when it is not there. */
struct aside *asides_find(const struct asides *s, uint64_t position);
/* Of the first one behind a position; s->n when there is none. */
size_t asides_after(const struct asides *s, uint64_t position);
/* Takes it over. 0 or -ENOMEM. */
int asides_add(struct asides *s, struct aside *p);
/* Gives it back; the caller frees it. */
void asides_take(struct asides *s, struct aside *p);
void asides_set(struct asides *s, struct aside *p, enum aside_state state);
/* Up to n that are to be given again, from the first one behind a turn on, in turn. Returns how many. */
size_t asides_again(const struct asides *s, uint64_t turn, struct aside **out, size_t n);

#endif
