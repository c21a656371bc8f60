/* What the files of a consumer share. */
#ifndef ESFS_NODE_CONSUMERS_H
#define ESFS_NODE_CONSUMERS_H

#include "consumers.h"
#include "intake.h"
#include "node.h"
#include "polled.h"

/* What an open file of a consumer keeps; a part of its handle. */
struct consuming {
    const char *file; /* its name, for what is told */
    struct consumer_info consumer;
    struct reader *reader; /* `follow`, `pending` */
    struct ack_text acks;  /* positions that are written */
    struct intake intake;  /* objects that are written */
    struct polled polled;
    pthread_mutex_t lock; /* of what is written: the kernel may send writes side by side */
};

/* In a new handle. 0, -ESTALE or -ENOMEM. */
int consuming_open(struct fs *fs, const struct node *node, struct handle **out);
void consuming_free(struct consuming *c); /* NULL is fine */

/* 0, -ESTALE when it is gone. */
int consumer_of_node(struct fs *fs, const struct node *node, struct consumer_info *out);

/* Tells in the store's errors what is wrong with what was written. */
void consuming_tell(struct handle *h, const char *words);
/* ... when the consumer was removed meanwhile. */
void consuming_tell_removed(struct handle *h, ssize_t taken);

/* Answers a write with the bytes that were taken, or an errno. */
void reply_taken(fuse_req_t req, ssize_t taken);
/* `flush` of what positions or objects are written to: is there half of one, and is the rest on disk? */
int consuming_flush(struct handle *h);

#endif
