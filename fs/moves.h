/* Which parked events were moved last into a retry/. `mv a b retry/` looks for a there before it goes on to b, and
 * would complain that it is gone. Any thread. */
#ifndef ESFS_MOVES_H
#define ESFS_MOVES_H

#include "ino.h"

#include <pthread.h>
#include <stdbool.h>

#define MOVES_MAX 1024 /* that are remembered; mv looks at once */

struct moves {
    pthread_mutex_t lock;
    struct {
        struct node dir;
        uint64_t position;
    } list[MOVES_MAX];
    unsigned long n; /* that there have been */
};

int moves_init(struct moves *m); /* 0 or a negative errno */
void moves_deinit(struct moves *m);
/* The event at a position has gone to a directory. */
void moves_add(struct moves *m, const struct node *dir, uint64_t position);
bool moves_have(struct moves *m, const struct node *dir, uint64_t position);

#endif
