/* A channel is an open `commands` file: bytes of commands in, a line for each result out (README.md, "Commands").
 *
 * It cuts the stream into values, parses them in the caller's thread, hands them to the sequencer and answers a
 * write when they are durable. It keeps the rules for refusals: a write is answered with the bytes up to the first
 * refused value, and the write that begins with that value gets its errno; once part of a refused value had been
 * taken by an earlier write, every later write on the channel gets the same errno.
 *
 * One write at a time: the next may begin when `done` of the one before has been called (the kernel's inode lock
 * sees to that for a mount). The other calls may run beside it. */
#ifndef ESFS_CHANNEL_H
#define ESFS_CHANNEL_H

#include "command.h"
#include "store.h"

struct channel;

/* Names of the scope and groups of the caller are copied. With results, result lines are kept for channel_read(). NULL:
 * out of memory. */
struct channel *channel_new(struct store *s, const struct scope *scope, const struct caller *caller, bool results);

/* `done` is called exactly once, with the number of bytes taken (1..n) or a negative errno, from another thread or
 * before the call returns. `bytes` may be reused as soon as channel_write() has returned. */
typedef void channel_done(void *arg, ssize_t taken);
void channel_write(struct channel *c, const char *bytes, size_t n, channel_done *done, void *arg);

/* Gives what the reader has not seen yet of the result lines, whatever its offset; before anything was written, of
 * the help text. 0 at the end, for now. */
ssize_t channel_read(struct channel *c, char *out, size_t n);

/* What close(2) can be told: -EBADMSG while the last value is incomplete, otherwise 0. Changes nothing. */
int channel_flush(struct channel *c);

/* Records an incomplete value as a refusal and frees the channel. No write may be under way. */
void channel_free(struct channel *c);

#endif
