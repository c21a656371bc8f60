/* The directory that a store is: who has it open, what it is, and how far it is known to be durable.
 *
 *   format   "esfs store\nformat 1\nid <32 hex digits>\n": made last, so a directory without it was never used
 *   lock     flock(2)ed while open; holds the pid of the holder
 *   head     two slots with the last block known to be durable (see home_note_head)
 *   db/      RocksDB
 *   views/   RocksDB: what views have made of the log; may be missing
 *
 * Not thread safe, except home_note_head() beside the others and itself. */
#ifndef ESFS_HOME_H
#define ESFS_HOME_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

#define HOME_FORMAT 1

struct home;

struct home_options {
    bool read_only;  /* the directory and its files are not written, the lock is shared by readers */
    bool must_exist; /* do not make a store where there is none */
};

/* Locks the directory, and makes it a store when it is missing or empty. Errors in words: -EBUSY naming the pid,
 * -ENOTDIR, -EMEDIUMTYPE (something else is in it), -EPROTONOSUPPORT (other format), -EUCLEAN (a damaged file). */
int home_open(struct home **out, const char *path, const struct home_options *options, struct err *err);
void home_close(struct home *h); /* NULL is fine */

const uint8_t *home_id(const struct home *h); /* 16 bytes, drawn when the store was made */
const char *home_path(const struct home *h);
const char *home_db_path(const struct home *h);
const char *home_views_path(const struct home *h);
int home_fd(const struct home *h); /* of the directory */
/* Removes views/, which nobody may have open. 0 or negative errno. */
int home_remove_views(struct home *h);
/* True until home_seal(): the store is being made, and db/ must be created. */
bool home_is_new(const struct home *h);
/* Writes `format`, once db/ is there and synced. 0 or negative errno. */
int home_seal(struct home *h, struct err *err);

/* The last block that was made durable. A WAL that was cut short is found by it: recovery mode 0 of RocksDB opens
 * such a store in silence. Noted after each sync by a plain pwrite, so it survives kill -9; synced with sync set,
 * so that a power cut leaves at most an older one. A block before the one noted last is passed over. */
struct home_head {
    uint64_t block, position;
};
int home_note_head(struct home *h, const struct home_head *head, bool sync);
void home_head(const struct home *h, struct home_head *out); /* as it was when the home was opened */
/* Whether one of the two slots did not hold when the home was opened, in words: a power cut may leave that, and the
 * other one counts, which may be of an earlier block. */
bool home_head_is_torn(const struct home *h, struct err *words);

#endif
