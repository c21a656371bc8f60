/* Decides: whether a request is accepted (ids, versions, names), and which records say so.
 *
 * Sees what was decided before it, durable or not; writes records into the block under construction and never
 * waits for a disk. One thread. */
#ifndef ESFS_DECIDE_H
#define ESFS_DECIDE_H

#include "block.h"
#include "index.h"
#include "job.h"

struct decider;

/* The id (16 bytes) is borrowed. NULL when out of memory. */
struct decider *decider_new(struct index *ix, const uint8_t *store_id);
void decider_free(struct decider *d); /* NULL is fine */

/* Begins the next block in `b`. Everything decided before it but for the block just finished has been applied. */
void decide_begin(struct decider *d, struct block_builder *b);
/* The block under construction will be committed: the next decide_begin() starts another. */
void decide_end(struct decider *d);
/* After decide_end(): what is to be written with the block; lives until the second decide_begin() from here. NULL:
 * nothing. */
const struct changes *decide_changes(const struct decider *d);

/* Judges request i of a job: all its commands, or none. Fills job->results[i]. OUTCOME_OK, or the outcome with
 * job->refusal filled. */
enum outcome decide_request(struct decider *d, struct job *job, size_t i);
/* mkdir and rmdir. */
enum outcome decide_declare(struct decider *d, struct job *job);
enum outcome decide_undeclare(struct decider *d, struct job *job);
/* Puts a domain in force: its types and new schemas become records, its handlers (job->handlers, which are taken)
 * decide from now on. Nothing may have been decided that is not applied. */
enum outcome decide_adopt(struct decider *d, struct job *job);

/* Has a follower pass over an event, or finds that it does already. Nothing may have been decided that is not applied.
 */
enum outcome decide_skip(struct decider *d, struct job *job);

/* Of the last event that was decided. */
uint64_t decide_position(const struct decider *d);

/* True once memory ran out in the middle of writing a request: the block must not be committed. */
bool decide_broken(const struct decider *d);

#endif
