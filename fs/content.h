/* Contents: what the file of a view or the result of a query shows at a moment. Each has a node of its own, so that
 * what a node shows never changes (ino.c); they are known from their LOOKUP to their FORGET.
 *
 * The texts of views that LOOKUP has read are kept beside them, the latest CONTENT_BYTES of them, so that the open that
 * follows shows what was looked up, whatever a writer does, and asks nobody. Safe in any thread. */
#ifndef ESFS_CONTENT_H
#define ESFS_CONTENT_H

#include "buf.h"
#include "ino.h"
#include "str.h"

#include <stdbool.h>
#include <stdint.h>

#define CONTENT_BYTES (64u << 20)
#define CONTENT_NAME_MAX 255

struct contents;
struct fs;
struct node_stat;

struct contents *contents_new(void); /* NULL when out of memory */
void contents_free(struct contents *cs);

/* --- texts: immutable, shared by references */

struct content_text;

/* With one reference. Takes the buffer's memory, which is empty then. NULL when out of memory. */
struct content_text *content_text_new(struct buf *text);
struct content_text *content_text_ref(struct content_text *t);
void content_text_unref(struct content_text *t); /* NULL is fine */
struct str content_text_str(const struct content_text *t);

/* --- contents */

struct content {
    enum node_tag tag;     /* NODE_VIEW_FILE, NODE_AGGREGATE_VIEW_FILE, NODE_QUERY_RESULT */
    bool failed;           /* there is no text, and reading it is -EIO */
    uint32_t no;           /* of the view or the query */
    uint64_t aggregate;    /* whose part of the view it is; 0: none's */
    uint64_t build, stamp; /* of a view; of a query stamp is the result's number, 0 while nothing was computed */
    uint64_t size, time;   /* of its text; microseconds */
    fuse_ino_t ino;        /* what stat(2) shows */
    struct str name;       /* of the file, without ".json"; empty with an aggregate */
};

/* Finds or adds it by all but size, time and ino, and holds it once. The text (may be NULL) is kept with it. 0 or a
 * negative errno. */
int content_hold(struct contents *cs, const struct content *like, struct content_text *text, struct node *out);
/* 0, or -ESTALE when it is not known (any more). The name is copied to `name`; NULL: nobody asks for it. */
int content_get(struct contents *cs, uint64_t id, struct content *out, char name[CONTENT_NAME_MAX]);
/* A reference to its text; NULL when that is not there any more. */
struct content_text *content_text_of(struct contents *cs, uint64_t id);
/* Keeps its text again. */
void content_keep(struct contents *cs, uint64_t id, struct content_text *text);

/* What its node shows. */
void content_attr(const struct content *c, struct node_stat *out);

/* `stat`, `hold` and `drop` of its nodes. */
int content_stat(struct fs *fs, const struct node *node, struct node_stat *out);
void content_hold_again(struct fs *fs, const struct node *node);
void content_drop(struct fs *fs, const struct node *node, uint64_t n);

#endif
