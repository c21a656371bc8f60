/* Changes of one family on their way into a batch: of `folds` with the block under construction, or of `views` with a
 * follower's cursor. One thread. */
#ifndef ESFS_CHANGES_H
#define ESFS_CHANGES_H

#include "arena.h"
#include "db.h"

/* Zero-initialise to start. A later change of a key wins. */
struct changes {
    bool views; /* of DB_VIEWS; otherwise of DB_FOLDS */
    struct arena arena;
    struct db_change *list;
    size_t n, room;
};

/* Key and value are copied. 0 or -ENOMEM. */
int changes_put(struct changes *c, struct str key, struct str value);
int changes_remove(struct changes *c, struct str key);
void changes_clear(struct changes *c); /* empties it, keeping memory */
void changes_free(struct changes *c);  /* empty and usable again */

#endif
