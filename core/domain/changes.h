/* What is written to the `folds` family together with the block under construction. One thread. */
#ifndef ESFS_CHANGES_H
#define ESFS_CHANGES_H

#include "arena.h"
#include "db.h"

/* Zero-initialise to start. A later change of a key wins. */
struct changes {
    struct arena arena;
    struct db_change *list;
    size_t n, room;
};

/* Key and value are copied. 0 or -ENOMEM. */
int changes_put(struct changes *c, struct str key, struct str value);
int changes_remove(struct changes *c, struct str key);
void changes_free(struct changes *c); /* empty and usable again */

#endif
