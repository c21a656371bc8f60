/* Text that is read through a handle. Small files are rendered as a whole (node.h); streams are read with a cursor. */
#ifndef ESFS_NODE_TEXT_H
#define ESFS_NODE_TEXT_H

#include "node.h"

/* `open` of a file whose handle holds a cursor or a rendered text. */
int text_open(struct fs *fs, const struct node *node, fuse_req_t req, int flags, struct handle **out);

/* The handle's cursor; reads may run side by side. */
struct text_cursor text_cursor_get(struct handle *h);
void text_cursor_put(struct handle *h, struct text_cursor c);

/* Versions from..to of an aggregate, with the handle's cursor. */
ssize_t range_read(struct fs *fs, uint64_t aggregate, uint64_t from, uint64_t to, struct handle *h, uint64_t offset,
                   char *out, size_t n);

/* The name without ".json". False when it has no such end, or nothing before it. */
bool name_without_json(struct str name, struct str *out);

/* `there` of what the domain makes of an aggregate: its type is one of the domain's. */
bool folded_there(struct fs *fs, const struct node *node);

/* `read` of what is there as a whole. */
ssize_t read_text(struct str text, uint64_t offset, char *out, size_t n);

/* `read` of what is only written to. */
ssize_t read_nothing(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out, size_t n);

#endif
