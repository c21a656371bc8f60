/* What the domain makes of streams: state.json (the fold of an aggregate's events) and stream.ndjson (its events in the
 * newest versions of their schemas).
 *
 * Folding begins at the nearest snapshot and runs the domain's handlers in a vm of the reader's own, so nothing here
 * waits for the sequencer. Safe in any thread. Errors: -ENOENT without a domain, for a type that the domain does not
 * have, and for versions past the end; -EIO when a handler fails on a stored event or the log cannot be read (told in
 * the store's errors); -ENOMEM. */
#ifndef ESFS_FOLDED_H
#define ESFS_FOLDED_H

#include "store.h"
#include "text.h"

#define FOLDED_NOW UINT64_MAX /* as a version: the last one */

/* state.json as of a version (0: before the first event): minified, a newline at the end. Appended to `out`. */
int folded_state(struct store *s, uint64_t aggregate, uint64_t version, struct buf *out);
/* Bytes of it. What was rendered is kept for a while, so asking and then reading folds once. */
int folded_state_size(struct store *s, uint64_t aggregate, uint64_t version, uint64_t *size);

/* stream.ndjson of versions from..to (both included; `to` may be FOLDED_NOW). */
int folded_stream_size(struct store *s, uint64_t aggregate, uint64_t from, uint64_t to, uint64_t *size);
ssize_t folded_stream_read(struct store *s, uint64_t aggregate, uint64_t from, uint64_t to, uint64_t offset, char *out,
                           size_t n, struct text_cursor *cursor);

#endif
