/* RocksDB behind our errors; db.c alone includes rocksdb/c.h (and table_file.cc what that lacks).
 *
 * A store has two databases. The first one has four column families. `log` is the truth: written through the
 * write-ahead log, one batch a commit. `derived` can be made again from the log: written by whole sorted tables that
 * are ingested, never through the WAL, so it can lag behind the log but two parts of it never disagree. `folds` can be
 * made again from the log and a domain: written through the WAL too, so that what is in one batch with a block is there
 * exactly when the block is. `cursors` is what cannot be made again: how far those have got who are told of events and
 * say when they have dealt with them; written through the WAL.
 *
 * The second one has the family `views`, which can be made again from the log and a domain: written in batches without
 * a WAL, so that a crash takes it back to an earlier batch of its own. It is a database apart because RocksDB has the
 * writers of one wait for each other, and for whatever family is behind; nothing that is made of the log may slow it.
 *
 * Thread safe, but for one db_iter or db_table in two threads at once. Failures are negative errno: -EIO for what
 * the disk or a checksum said (words in err), -ENOMEM; an absent key is DB_NOT_FOUND. */
#ifndef ESFS_DB_H
#define ESFS_DB_H

#include "err.h"
#include "str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum db_family { DB_LOG, DB_DERIVED, DB_FOLDS, DB_VIEWS, DB_CURSORS, DB_FAMILIES };

enum { DB_NOT_FOUND = 1 };

struct db;
struct db_iter;
struct db_table;

struct db_options {
    bool create;    /* make a new one; otherwise it must exist */
    bool read_only; /* nothing is written, not even a log file of RocksDB's own */
    bool views;     /* the second database: it has DB_VIEWS alone */
    bool mend;      /* empties derived and folds when tables of theirs keep it from being opened */
};

int db_open(struct db **out, const char *path, const struct db_options *options, struct err *err);
/* NULL is fine. Every iterator and value must have been released. Must not be called once a write has failed: Debian's
 * RocksDB aborts when it closes a file that it could not write. The process then ends by _exit(2). */
void db_close(struct db *db);

/* A value pinned in RocksDB's memory until db_value_release(). */
struct db_value {
    struct str bytes;
    void *pin;
};
int db_get(struct db *db, enum db_family family, struct str key, struct db_value *out, struct err *err);
void db_value_release(struct db_value *v);

struct db_pair {
    struct str key, value;
};

struct db_change {
    enum db_family family; /* of its database; not DB_DERIVED */
    struct str key, value;
    bool remove; /* the key, which need not be there; value is not looked at */
};
/* Makes the changes in one atomic batch, of one key the later one counts. With sync set it returns after fdatasync of
 * the WAL. After any failure the outcome of the batch is unknown and the caller must not write again. */
int db_write(struct db *db, const struct db_change *changes, size_t n, bool sync, struct err *err);
/* Makes changes of DB_VIEWS in one atomic batch, without a WAL. Failures as of db_write(). */
int db_views_write(struct db *db, const struct db_change *changes, size_t n, struct err *err);
/* Removes the keys of DB_VIEWS from `from` on that are below `to`, likewise. */
int db_views_clear(struct db *db, struct str from, struct str to, struct err *err);
/* Makes every batch written before durable. */
int db_log_sync(struct db *db, struct err *err);

/* Iterators see what was there when they were made. The upper bound (exclusive, may be empty) must stay valid as
 * long as the iterator. readahead in bytes, 0 for RocksDB's own; scans of more than a few values should not fill
 * the cache (fill_cache false). */
struct db_iter_options {
    struct str upper;
    size_t readahead;
    bool fill_cache;
};
struct db_iter *db_iter_new(struct db *db, enum db_family family, const struct db_iter_options *options);
void db_iter_free(struct db_iter *it);
/* Each gives 0 with key and value borrowed until the next call, DB_NOT_FOUND past the end, or -EIO. */
int db_iter_seek(struct db_iter *it, struct str key, struct db_pair *out, struct err *err);      /* first >= key */
int db_iter_seek_back(struct db_iter *it, struct str key, struct db_pair *out, struct err *err); /* last <= key */
int db_iter_next(struct db_iter *it, struct db_pair *out, struct err *err);
int db_iter_prev(struct db_iter *it, struct db_pair *out, struct err *err);

/* A sorted table for the derived family: keys ascending, each once. db_table_ingest() makes all of it visible and
 * durable at once and frees the table, whatever it returns; db_table_drop() gives it up. */
int db_table_new(struct db *db, struct db_table **out, struct err *err);
int db_table_put(struct db_table *t, struct str key, struct str value, struct err *err);
int db_table_delete(struct db_table *t, struct str key, struct err *err);
int db_table_ingest(struct db_table *t, struct err *err);
void db_table_drop(struct db_table *t);

/* Each empties a family. Nothing else may use it meanwhile. A crash in the middle leaves a database without the family,
 * which the next opening makes again. */
int db_derived_reset(struct db *db, struct err *err);
int db_folds_reset(struct db *db, struct err *err);
/* Removes the keys of the folds family from `from` on that are below `to`, as a batch of its own that is not synced.
 * Failures as of db_write(). */
int db_folds_clear(struct db *db, struct str from, struct str to, struct err *err);

/* Bytes of RocksDB's table files (of one family), memtables and caches. */
struct db_stats {
    uint64_t table_bytes[DB_FAMILIES];
    uint64_t memory_bytes;
};
void db_stats_get(struct db *db, struct db_stats *out);

/* Reads every block of every table file, of all families, and holds it against its checksum: also what iterators and
 * look-ups may not meet, like filters and the entries below a removed range. What is not in a table yet was checked
 * when the database was opened. 0; or -EUCLEAN with the first damaged file and its family in the words, -EIO, -ENOMEM.
 */
int db_tables_check(struct db *db, struct err *err);

/* The free space that RocksDB may need at any moment to finish what it began (WAL, memtables, one compaction). */
uint64_t db_reserve_bytes(void);
uint64_t db_views_reserve_bytes(void); /* ... and for the second database */

#endif
