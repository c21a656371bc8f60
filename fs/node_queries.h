/* What the nodes of queries/ share. Safe in any thread. */
#ifndef ESFS_NODE_QUERIES_H
#define ESFS_NODE_QUERIES_H

#include "asker.h"
#include "node_dir.h"

/* The query that a node of queries/<query>/ belongs to. 0 or -ESTALE. */
int query_of(struct fs *fs, const struct node *node, struct query_info *out);
int query_no(struct fs *fs, const struct node *node, uint32_t *no);
/* A hash to go on with the name of something in it (ino_hash()). */
uint64_t query_hash(const struct query_info *query);

/* What its directory, or `call` in it, shows: as old as the last event. */
void query_attr(struct fs *fs, const struct query_info *query, enum node_tag tag, struct node_stat *out);

/* Who asks, with all that the cache of this query looks at. a is to be given back with asker_deinit() in any case. 0 or
 * -ENOMEM. */
int query_asker(struct fs *fs, const struct query_info *query, fuse_req_t req, struct asker *a);

/* `find` of a result. */
int result_find(struct fs *fs, const struct query_info *query, struct str name, fuse_req_t req, struct node *child,
                struct node_stat *stat);
/* The canonical name (appended) of what a file name stands for. 0, -ENOENT; -EINVAL, -ENAMETOOLONG in words; ... */
int result_name(struct fs *fs, const struct query_info *query, struct str name, struct buf *out, struct err *err);

#endif
