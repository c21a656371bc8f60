/* What the directories of parked events have in common: parked/ holds <position>.json, a move of one into retry/ or
 * skipped/ is an order, and skipped/ holds what was passed over. Those of views, consumers and the publisher differ in
 * what they ask of core/. */
#ifndef ESFS_PARKED_H
#define ESFS_PARKED_H

#include "node_dir.h"
#include "pending.h"

/* False when the name is not that of a parked event. */
bool parked_position(struct str name, uint64_t *out);
/* listing_add() of <position>.json, which is at the offset of its position. */
bool parked_listing_add(struct listing *l, uint64_t position, const struct node *node);

/* Of <position>.json in parked/: its size, which says whether it can be made, the rest as the event's. 0, -ESTALE,
 * -EIO, -ENOMEM. */
int parked_event_stat(struct fs *fs, const struct node *node, uint64_t position, struct node_stat *out);
/* Of <position>.json in skipped/, of a follower whose skips are records in the log: as old as the decision, and its
 * text. Likewise. */
int parked_skipped_stat(struct fs *fs, struct str follower, uint64_t position, struct node_stat *out);
int parked_skipped_render(struct fs *fs, struct str follower, uint64_t position, struct buf *out);

/* `find` of what has just been moved into a retry/ and is gone: that is found for a while, as a file of no bytes. */
int parked_find_moved(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                      struct node_stat *stat);

/* Orders a move; `done` is called once with its result, by whatever thread, perhaps before this returns. */
typedef void parked_done(void *arg, int result);
typedef void parked_order(struct fs *fs, const struct node *dir, uint64_t position, const struct caller *caller,
                          parked_done *done, void *arg);
/* Answers the request when the move is done, or when it is interrupted; the order stands even so. */
void parked_move(struct fs *fs, const struct node *dir, uint64_t position, fuse_req_t req, parked_order *order);

#endif
