/* What is passed over for good because somebody decided so, by followers whose skips are records in the log (index.h):
 * as `skipped/` of views and of the publisher shows it. Any thread, until store_close(). */
#ifndef ESFS_SKIPPED_H
#define ESFS_SKIPPED_H

#include "buf.h"
#include "store.h"

/* 0, or INDEX_NONE when the follower does not pass over that position. */
int skipped_find(struct store *s, struct str follower, uint64_t position, struct index_skip *out);
/* Up to n positions above `after`, ascending. Returns how many, 0 at the end. */
int skipped_positions(struct store *s, struct str follower, uint64_t after, uint64_t *out, size_t n);
/* <position>.json: when it was decided and by whom, and the event; appended. 0, -ENOENT, -EIO, -ENOMEM. */
int skipped_text(struct store *s, struct str follower, uint64_t position, struct buf *out);

#endif
