/* Changes of one family on their way into a batch: of `folds` with the block under construction, of `views` with a
 * follower's cursor, of `cursors`. One thread. */
#ifndef ESFS_CHANGES_H
#define ESFS_CHANGES_H

#include "arena.h"
#include "db.h"

enum changes_of { CHANGES_OF_FOLDS, CHANGES_OF_VIEWS, CHANGES_OF_CURSORS };

/* Zero-initialise to start, but for `of`. A later change of a key wins. */
struct changes {
    enum changes_of of;
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
