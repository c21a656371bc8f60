/* The log family read from one block to the next, each checked: keys against headers, blocks and positions without
 * gaps, whole blocks only, and the hash chain. What the records say is not looked into (decoded.h does).
 *
 * Not thread safe. Failures: -EUCLEAN with the place in words, -EIO, -ENOMEM. */
#ifndef ESFS_REPLAY_H
#define ESFS_REPLAY_H

#include "db.h"
#include "keys.h"

struct replay;

struct replay_block {
    const struct str *chunks; /* values, valid until the next call */
    size_t n;
    uint8_t link[DIGEST_CHAIN];
};

enum { REPLAY_END = 1 };

/* Begins after the block where `from` stands, which is read again and compared; from the first one when
 * from->head.block is 0. */
int replay_open(struct replay **out, struct db *db, const struct meta *from, struct err *err);
void replay_close(struct replay *r);                                          /* NULL is fine */
int replay_next(struct replay *r, struct replay_block *out, struct err *err); /* 0, REPLAY_END, negative errno */

/* Where the log stands after the last good block: what failed comes next. */
uint64_t replay_block_no(const struct replay *r);
uint64_t replay_position(const struct replay *r);

#endif
