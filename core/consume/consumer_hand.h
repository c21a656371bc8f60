/* The events that a group has in hand: freed (nobody's), queued for a member, or given to him. An aggregate is bound to
 * a member as long as there are events of it that are his. The consumer's lock guards it. */
#ifndef ESFS_CONSUMER_HAND_H
#define ESFS_CONSUMER_HAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum held_state { HELD_FREED, HELD_QUEUED, HELD_GIVEN };

struct held {
    uint64_t position; /* first: tsearch(3) */
    uint64_t aggregate;
    enum held_state state;
    bool again;                 /* the cursor does not wait for it */
    struct hand_member *member; /* NULL: freed */
    TAILQ_ENTRY(held) order;
    TAILQ_ENTRY(held) link; /* of the freed ones, or of its member's queue */
};

TAILQ_HEAD(hand_list, held);

struct hand_member {
    struct hand_list queued; /* in the order of giving */
    size_t n_given;
};

struct hand {
    size_t n;
    struct hand_list order; /* all, by position */
    struct hand_list freed; /* by position */
    void *by_position;
    void *bindings; /* by aggregate */
};

void hand_init(struct hand *hand);
void hand_member_init(struct hand_member *m);
/* Drops everything; members are to be initialised again. */
void hand_clear(struct hand *hand);

struct held *hand_find(const struct hand *hand, uint64_t position);
/* Adds an event, freed. NULL when out of memory. */
struct held *hand_add(struct hand *hand, uint64_t position, uint64_t aggregate);
/* Whom an aggregate is bound to; NULL: nobody. */
struct hand_member *hand_owner(const struct hand *hand, uint64_t aggregate);
/* A freed event is queued for a member, to whom its aggregate is bound from now on. 0 or -ENOMEM. */
int hand_bind(struct hand *hand, struct held *h, struct hand_member *m);
/* A queued event has been given. */
void hand_give(struct held *h);
/* It is done with. */
void hand_drop(struct hand *hand, struct held *h);
/* All events of a member are freed. */
void hand_free_all_of(struct hand *hand, struct hand_member *m);
/* The lowest position that the cursor waits for; 0: none. */
uint64_t hand_lowest(const struct hand *hand);

#endif
