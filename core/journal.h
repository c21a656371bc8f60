/* The latest lines of something, bounded, in memory: rejections.ndjson and .esfs/errors.ndjson. When full, the
 * older half goes. Lines carry an optional topic (an aggregate type), so that one journal serves a type's file
 * too. Thread safe. */
#ifndef ESFS_JOURNAL_H
#define ESFS_JOURNAL_H

#include "str.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct journal;

struct journal *journal_new(size_t max_bytes); /* NULL when out of memory */
void journal_free(struct journal *j);
/* Takes a line with its newline; dropped when memory is short. `time` in microseconds. */
void journal_add(struct journal *j, struct str topic, struct str line, uint64_t time);
/* Of all lines (empty topic) or a topic's. */
void journal_stat(struct journal *j, struct str topic, uint64_t *size, uint64_t *time);
ssize_t journal_read(struct journal *j, struct str topic, uint64_t offset, char *out, size_t n);

#endif
