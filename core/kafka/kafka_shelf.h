/* The shelf: events that Kafka refused, and the later ones of their aggregates, which wait behind them. All of it is in
 * memory; what changes is noted, to be made durable with the cursor.
 *
 * The publisher's thread alone changes it, under a lock of the owner's that readers in other threads take. */
#ifndef ESFS_KAFKA_SHELF_H
#define ESFS_KAFKA_SHELF_H

#include "kafka.h"
#include "table.h"

struct kafka_parked {
    uint64_t position, aggregate;
    bool refused;      /* itself; otherwise it waits for an earlier one of its aggregate */
    uint64_t attempts; /* that were refused */
    uint64_t time;     /* of the last of them, microseconds */
    char *why;         /* in words; NULL when it only waits */

    /* not durable */
    uint32_t bytes; /* under way, 0: not */
    bool doubted;   /* it was refused, perhaps for another one in its batch */
    bool retried;   /* somebody asked for it: that it was refused does not hold it back */
    bool skipped;   /* the log says to pass over it */
    kafka_done *done;
    void *arg;
};

struct kafka_shelf {           /* zero-initialise to start */
    struct kafka_parked *list; /* by position */
    size_t n, cap;
    struct table first; /* aggregate -> place of its first one in the list */
    uint64_t *changed;  /* positions to be written, or removed when they are not in the list */
    size_t n_changed, changed_cap;
};

void kafka_shelf_free(struct kafka_shelf *s);

/* The place of the first one at or behind a position; n when there is none. */
size_t kafka_shelf_at(const struct kafka_shelf *s, uint64_t position);
struct kafka_parked *kafka_shelf_find(const struct kafka_shelf *s, uint64_t position); /* NULL: not there */
/* The first one of an aggregate; NULL: none is there. */
struct kafka_parked *kafka_shelf_first(const struct kafka_shelf *s, uint64_t aggregate);

/* Takes over *p, which must not be there, with its words, also when it fails (-ENOMEM, and then the shelf is of no use
 * any more). `noted`: it is not durable yet. */
int kafka_shelf_add(struct kafka_shelf *s, const struct kafka_parked *p, bool noted);
int kafka_shelf_remove(struct kafka_shelf *s, uint64_t position);
/* It was refused (again). 0 or -ENOMEM. */
int kafka_shelf_refuse(struct kafka_shelf *s, struct kafka_parked *p, const char *why, uint64_t time);

#endif
