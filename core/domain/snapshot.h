/* Snapshots: frozen states in the store's `folds` family, so that a fold need not begin at the first event (FORMAT.md,
 * "Folds"). Made again at will; one that is damaged, or does not fit the log, is passed over. */
#ifndef ESFS_SNAPSHOT_H
#define ESFS_SNAPSHOT_H

#include "buf.h"
#include "db.h"
#include "domain.h"

#define SNAPSHOT_KEY_BYTES (1 + DOMAIN_FOLD_HASH + 8 + 8)

/* Where a state stood when it was frozen. */
struct snapshot {
    uint64_t version, position; /* of the last event in it */
    uint64_t stream_bytes;      /* of stream.ndjson up to that event */
    struct str frozen;          /* script_freeze() */
};

void snapshot_key(const uint8_t fold[DOMAIN_FOLD_HASH], uint64_t aggregate, uint64_t version,
                  char out[SNAPSHOT_KEY_BYTES]);
/* The value of one; appended. */
void snapshot_put(const struct snapshot *from, struct buf *out);

/* The newest one of an aggregate that is not newer than a version. 0, and then it is to be released; DB_NOT_FOUND; or a
 * negative errno. */
struct snapshot_found {
    struct snapshot snapshot;
    struct buf bytes;
};
int snapshot_find(struct db *db, const uint8_t fold[DOMAIN_FOLD_HASH], uint64_t aggregate, uint64_t version,
                  struct snapshot_found *out, struct err *err);
/* The newest one whose stream.ndjson up to it is not longer than `offset`. */
int snapshot_find_offset(struct db *db, const uint8_t fold[DOMAIN_FOLD_HASH], uint64_t aggregate, uint64_t version,
                         uint64_t offset, struct snapshot_found *out, struct err *err);
void snapshot_release(struct snapshot_found *found);

#endif
