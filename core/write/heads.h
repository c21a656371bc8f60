/* Where each aggregate stands for the sequencer: ahead of what readers see by the blocks that are not applied yet.
 *
 * A cache in two generations, which turn between blocks alone: all that the block under construction has looked at is
 * in the younger one, so what it changed is in one of the two until the block after it is finished, and is read from
 * the index again only once it has been applied. One thread. */
#ifndef ESFS_HEADS_H
#define ESFS_HEADS_H

#include "index.h"

#define HEADS_GENERATION (128 << 10) /* and what one block adds */

struct head {
    uint64_t no;      /* the aggregate's number, 0 while it does not exist */
    uint64_t version; /* events */
    uint64_t bytes;   /* of events.ndjson */
    uint32_t staged;  /* events that the transaction being judged would append */
    uint64_t hash;
    struct str type, id;
};

struct heads;

struct heads *heads_new(struct index *ix); /* NULL when out of memory */
void heads_free(struct heads *h);          /* NULL is fine */

/* The head of an aggregate, existing or not; valid until heads_turn(). 0, -ENOMEM, -EIO. */
int heads_get(struct heads *h, struct str type, struct str id, struct head **out, struct err *err);
/* Between blocks, when all but the last one have been applied: makes room when the younger generation is full. */
void heads_turn(struct heads *h);

#endif
