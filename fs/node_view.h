/* What the nodes of views/ share. Safe in any thread. */
#ifndef ESFS_NODE_VIEW_H
#define ESFS_NODE_VIEW_H

#include "node_dir.h"

/* A view by its number. 0 or -ESTALE. */
int view_of(struct fs *fs, uint32_t no, struct view_info *out);

/* `find` and `list` of a view's own directory and of those in it, by the kind of the view. */
int view_file_find(struct fs *fs, const struct view_info *view, struct str name, struct node *child,
                   struct node_stat *stat);
int view_files_list(struct listing *l, const struct node *dir, const struct view_info *view, uint64_t after);
int index_find(struct fs *fs, const struct view_info *view, struct str name, struct node *child,
               struct node_stat *stat);
int index_list(struct listing *l, const struct node *dir, uint64_t after);

/* The build that a listing of a view's own directory is about. A view that was built anew meanwhile has other numbers,
 * so that a listing cannot go on: -ESTALE. */
int listing_build(struct listing *l, const struct node *dir, uint64_t *build);

#endif
