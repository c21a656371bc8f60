/* Runs: how a stream is kept in the derived family (FORMAT.md section "Runs"). A run is up to RUN_MAX entries of
 * one aggregate with consecutive versions, in one value; readers borrow from it. Not thread safe. */
#ifndef ESFS_RUN_H
#define ESFS_RUN_H

#include "buf.h"
#include "str.h"

#include <stdint.h>

#define RUN_MAX 256

struct run_entry {
    uint64_t position, time;
    uint64_t offset; /* of the stream, before it */
    uint32_t size;
    struct str type;
};

/* An open run. Its head tells what a search needs without reading the entries. */
struct run {
    uint64_t first_version; /* for the caller to set, from the key */
    uint64_t offset, bytes; /* of the stream before the run; of its own */
    uint64_t first_position;
    uint64_t first_time, span; /* span: from the first time to the last */
    uint32_t n, n_types;
    struct str types[RUN_MAX];
    const char *entries, *end;
};

/* 0 or -EBADMSG. */
int run_open(struct run *out, struct str value);

struct run_at {
    const char *p;
    uint32_t i; /* of the entry that comes next */
    struct run_entry entry;
};
void run_begin(const struct run *r, struct run_at *at);
int run_next(const struct run *r, struct run_at *at); /* 0 with at->entry set, 1 past the last, -EBADMSG */

/* Appends the value of a run. The entries are consecutive, n is 1 to RUN_MAX. */
void run_put(struct buf *out, const struct run_entry *entries, uint32_t n);

#endif
