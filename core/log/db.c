#include "db.h"

#include "table_file.h"

#include <dirent.h>
#include <errno.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)
#define LOG_BUFFER_BYTES (32 * MIB) /* of a memtable; its WAL is as long */
#define LOG_BUFFERS 2
#define WAL_BYTES (LOG_BUFFERS * LOG_BUFFER_BYTES) /* together; then what needs the oldest one is flushed */
#define LOG_BLOCK_BYTES (16 << 10)                 /* a chunk of the log is a block of its own */
#define LOG_FILE_BYTES (64 * MIB)
#define DERIVED_FILE_BYTES (8 * MIB)
#define DERIVED_LEVEL_BYTES (32 * MIB)
#define DERIVED_COMPACTION_BYTES (64 * MIB)
#define FOLDS_BUFFER_BYTES (8 * MIB)
#define FOLDS_BUFFERS 2
#define VIEWS_BUFFER_BYTES (8 * MIB)
#define VIEWS_BUFFERS 3
#define CACHE_BYTES (32 * MIB)
#define OPEN_FILES 512

enum { INFO_LOG_WARN = 2, RECOVER_TOLERATE_TAIL = 0, INDEX_TWO_LEVEL = 2 };

#define ALL_FAMILIES (DB_FAMILIES + 1) /* RocksDB wants one named `default`, which stays empty */

static const char *const family_names[ALL_FAMILIES] = {"log", "derived", "folds", "views", "cursors", "default"};

struct db {
    rocksdb_t *rocks;
    rocksdb_column_family_handle_t *families[ALL_FAMILIES];
    rocksdb_options_t *options[ALL_FAMILIES]; /* the last one has those of the whole database too */
    rocksdb_cache_t *cache;
    rocksdb_writeoptions_t *write, *write_sync, *write_views;
    rocksdb_readoptions_t *read[DB_FAMILIES];
    rocksdb_envoptions_t *env;
    rocksdb_ingestexternalfileoptions_t *ingest;
    bool views;
    char *path, *tables; /* tables: where tables are made before they are ingested */
    atomic_uint_fast64_t next_table;
};

struct db_iter {
    rocksdb_iterator_t *rocks;
    rocksdb_readoptions_t *options;
};

struct db_table {
    struct db *db;
    rocksdb_sstfilewriter_t *writer;
    uint64_t entries;
    char path[];
};

/* Takes over RocksDB's message. Its first word tells what kind of failure it was. */
static int db_failed(struct err *err, const char *what, char *text) {
    int code = strncmp(text, "Corruption", 10) == 0 ? EUCLEAN : EIO;
    if (strstr(text, "lock hold") || strstr(text, "While lock file"))
        code = EBUSY;
    err_set(err, code, "store: %s: %s", what, text);
    rocksdb_free(text);
    return -code;
}

/* The files of the write-ahead log, for a message: RocksDB names none when a checksum in it does not hold. */
static void wal_names(const char *path, char *out, size_t room) {
    size_t n = 0;
    DIR *dir = opendir(path);
    out[0] = '\0';
    for (struct dirent *e; dir && n < room && (e = readdir(dir));) {
        size_t length = strlen(e->d_name);
        if (length > 4 && strcmp(e->d_name + length - 4, ".log") == 0)
            n += (size_t)snprintf(out + n, room - n, "%s%s", n ? ", " : "", e->d_name);
    }
    if (dir)
        closedir(dir);
}

static int open_failed(struct db *db, struct err *err, char *text) {
    char names[128];
    if (strncmp(text, "Corruption", 10) != 0 || strchr(text, '/'))
        return db_failed(err, "opening", text);
    wal_names(db->path, names, sizeof names);
    err_set(err, EUCLEAN, "store: opening %s: its write-ahead log (%s) is damaged: %s", db->path, names, text);
    rocksdb_free(text);
    return -EUCLEAN;
}

/* --- opening */

static void block_options_set(struct db *db, rocksdb_options_t *o, size_t block_bytes, bool bloom) {
    rocksdb_block_based_table_options_t *b = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(b, db->cache);
    rocksdb_block_based_options_set_block_size(b, block_bytes);
    rocksdb_block_based_options_set_format_version(b, 5);
    /* Indexes and filters live in the cache, in parts, so that memory does not grow with the store. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(b, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(b, 1);
    rocksdb_block_based_options_set_index_type(b, INDEX_TWO_LEVEL);
    rocksdb_block_based_options_set_partition_filters(b, bloom);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(b, 1);
    if (bloom)
        rocksdb_block_based_options_set_filter_policy(b, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(o, b);
    rocksdb_block_based_options_destroy(b);
}

static rocksdb_options_t *log_options(struct db *db) {
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_write_buffer_size(o, LOG_BUFFER_BYTES);
    rocksdb_options_set_max_write_buffer_number(o, LOG_BUFFERS);
    rocksdb_options_set_target_file_size_base(o, LOG_FILE_BYTES);
    rocksdb_options_set_compression(o, rocksdb_no_compression);
    block_options_set(db, o, LOG_BLOCK_BYTES, false);
    return o;
}

/* For what is looked up by key; folds compact as derived does, so that the reserve for a compaction serves both. */
static rocksdb_options_t *lookup_options(struct db *db, uint64_t buffer_bytes, int buffers) {
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_write_buffer_size(o, buffer_bytes);
    rocksdb_options_set_max_write_buffer_number(o, buffers);
    rocksdb_options_set_target_file_size_base(o, DERIVED_FILE_BYTES);
    rocksdb_options_set_max_bytes_for_level_base(o, DERIVED_LEVEL_BYTES);
    rocksdb_options_set_max_compaction_bytes(o, DERIVED_COMPACTION_BYTES);
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    block_options_set(db, o, 4 << 10, true);
    return o;
}

static rocksdb_options_t *whole_options(void) {
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_paranoid_checks(o, 1);
    rocksdb_options_set_wal_recovery_mode(o, RECOVER_TOLERATE_TAIL);
    rocksdb_options_set_max_total_wal_size(o, WAL_BYTES);
    /* All memtables become tables at once, so folds, which fill slowly, never need a WAL that the log has done with:
     * it would not be missed if it were cut short, as the log's gap is. */
    rocksdb_options_set_atomic_flush(o, 1);
    rocksdb_options_set_max_open_files(o, OPEN_FILES);
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_bytes_per_sync(o, MIB);
    rocksdb_options_set_info_log_level(o, INFO_LOG_WARN);
    rocksdb_options_set_keep_log_file_num(o, 2);
    rocksdb_options_set_max_log_file_size(o, MIB);
    rocksdb_options_set_max_manifest_file_size(o, 4 * MIB);
    rocksdb_options_set_manifest_preallocation_size(o, 64 << 10);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    rocksdb_options_set_skip_stats_update_on_db_open(o, 1);
    rocksdb_options_set_write_buffer_size(o, MIB);
    return o;
}

static void db_options_make(struct db *db) {
    db->cache = rocksdb_cache_create_lru(CACHE_BYTES);
    db->options[DB_LOG] = log_options(db);
    db->options[DB_DERIVED] = lookup_options(db, MIB, 2);
    db->options[DB_FOLDS] = lookup_options(db, FOLDS_BUFFER_BYTES, FOLDS_BUFFERS);
    db->options[DB_VIEWS] = lookup_options(db, VIEWS_BUFFER_BYTES, VIEWS_BUFFERS);
    db->options[DB_CURSORS] = lookup_options(db, MIB, 2);
    db->options[DB_FAMILIES] = whole_options();
    db->write = rocksdb_writeoptions_create();
    db->write_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(db->write_sync, 1);
    db->write_views = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(db->write_views, 1);
    for (int i = 0; i < DB_FAMILIES; i++)
        db->read[i] = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(db->read[DB_LOG], 0); /* log.h keeps what was read of the log */
    db->env = rocksdb_envoptions_create();
    db->ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(db->ingest, 1);
}

static bool is_ours(const struct db *db, int family) {
    return family == DB_FAMILIES || (family == DB_VIEWS) == db->views;
}

/* Which families an existing database has. A missing log is damage; the others are missing for a moment when they are
 * reset, so a crash may leave it so. */
static int families_find(struct db *db, bool has[ALL_FAMILIES], struct err *err) {
    size_t n = 0;
    char *text = NULL;
    char **names = rocksdb_list_column_families(db->options[DB_FAMILIES], db->path, &n, &text);
    if (text)
        return db_failed(err, "opening", text);
    const char *unknown = NULL;
    for (size_t i = 0; i < n; i++) {
        int family = 0;
        while (family < ALL_FAMILIES && strcmp(names[i], family_names[family]) != 0)
            family++;
        if (family < ALL_FAMILIES && is_ours(db, family))
            has[family] = true;
        else
            unknown = names[i];
    }
    int r = 0;
    if (unknown)
        r = err_set(err, EUCLEAN, "store: %s has a family `%s` that this release does not know", db->path, unknown);
    else if (!has[DB_LOG] && !db->views)
        r = err_set(err, EUCLEAN, "store: %s has no log", db->path);
    rocksdb_list_column_families_destroy(names, n);
    return r;
}

/* Opens those of the families that are wanted; the others have no handle. */
static int open_families(struct db *db, const bool wanted[ALL_FAMILIES], bool read_only, struct err *err) {
    char *text = NULL;
    const char *names[ALL_FAMILIES];
    const rocksdb_options_t *options[ALL_FAMILIES], *whole = db->options[DB_FAMILIES];
    rocksdb_column_family_handle_t *families[ALL_FAMILIES] = {NULL};
    int n = 0;
    for (int i = 0; i < ALL_FAMILIES; i++) {
        if (!wanted[i])
            continue;
        names[n] = family_names[i];
        options[n++] = db->options[i];
    }
    db->rocks = read_only
                    ? rocksdb_open_for_read_only_column_families(whole, db->path, n, names, options, families, 0, &text)
                    : rocksdb_open_column_families(whole, db->path, n, names, options, families, &text);
    if (text)
        return open_failed(db, err, text);
    for (int i = ALL_FAMILIES; i-- > 0;)
        if (wanted[i])
            db->families[i] = families[--n];
    return 0;
}

static int db_open_writable(struct db *db, bool create, struct err *err) {
    rocksdb_options_t *whole = db->options[DB_FAMILIES];
    bool ours[ALL_FAMILIES];
    for (int i = 0; i < ALL_FAMILIES; i++)
        ours[i] = is_ours(db, i);
    rocksdb_options_set_create_if_missing(whole, create);
    rocksdb_options_set_error_if_exists(whole, create);
    rocksdb_options_set_create_missing_column_families(whole, 1);
    return open_families(db, ours, false, err);
}

static void rocks_close(struct db *db) {
    /* Families before the database: Debian's build asserts it. */
    for (int i = 0; i < ALL_FAMILIES; i++)
        if (db->families[i])
            rocksdb_column_family_handle_destroy(db->families[i]);
    memset(db->families, 0, sizeof db->families);
    if (db->rocks)
        rocksdb_close(db->rocks);
    db->rocks = NULL;
}

/* Whether what cannot be made again opens, with all of the WAL. */
static int lasting_open(struct db *db, const bool has[ALL_FAMILIES], struct err *err) {
    bool lasting[ALL_FAMILIES] = {false};
    lasting[DB_LOG] = has[DB_LOG];
    lasting[DB_CURSORS] = has[DB_CURSORS];
    lasting[DB_FAMILIES] = has[DB_FAMILIES];
    int r = open_families(db, lasting, true, err);
    rocks_close(db);
    return r;
}

static int makeable_reset(struct db *db, struct err *err) {
    int r = db_derived_reset(db, err);
    return r == 0 ? db_folds_reset(db, err) : r;
}

/* Without its paranoid checks RocksDB opens whatever tables cannot be, and skips damage in the WAL: hence only when the
 * log is known to be whole, and not for longer than it takes to drop the families that may have those tables. */
static int db_open_mended(struct db *db, const bool has[ALL_FAMILIES], struct err *err) {
    rocksdb_options_t *whole = db->options[DB_FAMILIES];
    int r = lasting_open(db, has, err);
    if (r < 0)
        return r;
    rocksdb_options_set_paranoid_checks(whole, 0);
    r = db_open_writable(db, false, err);
    if (r == 0)
        r = makeable_reset(db, err);
    rocks_close(db);
    rocksdb_options_set_paranoid_checks(whole, 1);
    return r == 0 ? db_open_writable(db, false, err) : r;
}

/* Makes the directory of tables, or removes what a crash has left in it. */
static int tables_clear(struct db *db, struct err *err) {
    if (mkdir(db->tables, 0700) == 0)
        return 0;
    DIR *dir = errno == EEXIST ? opendir(db->tables) : NULL;
    if (!dir)
        return err_set(err, EIO, "store: %s: %s", db->tables, strerror(errno));
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(dir));) {
        if (e->d_name[0] != '.' && unlinkat(dirfd(dir), e->d_name, 0) != 0)
            r = err_set(err, EIO, "store: %s/%s: %s", db->tables, e->d_name, strerror(errno));
    }
    closedir(dir);
    return r;
}

static int db_open_families(struct db *db, const struct db_options *options, struct err *err) {
    bool has[ALL_FAMILIES] = {false};
    if (!options->create) {
        char current[4096];
        snprintf(current, sizeof current, "%s/CURRENT", db->path);
        if (access(current, F_OK) != 0)
            return err_set(err, errno, "store: %s: %s", current, strerror(errno));
        int r = families_find(db, has, err);
        if (r < 0)
            return r;
    }
    if (options->read_only)
        return open_families(db, has, true, err);
    int r = db_open_writable(db, options->create, err);
    if (r == -EUCLEAN && options->mend)
        r = db_open_mended(db, has, err);
    return r < 0 || db->views ? r : tables_clear(db, err);
}

int db_open(struct db **out, const char *path, const struct db_options *options, struct err *err) {
    struct db *db = calloc(1, sizeof *db);
    if (!db)
        return -ENOMEM;
    db->views = options->views;
    db->path = strdup(path);
    if (!db->path || asprintf(&db->tables, "%s/tables", path) < 0) {
        free(db->path);
        free(db);
        return -ENOMEM;
    }
    db_options_make(db);
    int r = db_open_families(db, options, err);
    if (r < 0) {
        db_close(db);
        return r;
    }
    *out = db;
    return 0;
}

void db_close(struct db *db) {
    if (!db)
        return;
    rocks_close(db);
    for (int i = 0; i < ALL_FAMILIES; i++)
        rocksdb_options_destroy(db->options[i]);
    rocksdb_ingestexternalfileoptions_destroy(db->ingest);
    rocksdb_envoptions_destroy(db->env);
    for (int i = 0; i < DB_FAMILIES; i++)
        rocksdb_readoptions_destroy(db->read[i]);
    rocksdb_writeoptions_destroy(db->write_views);
    rocksdb_writeoptions_destroy(db->write_sync);
    rocksdb_writeoptions_destroy(db->write);
    rocksdb_cache_destroy(db->cache);
    free(db->tables);
    free(db->path);
    free(db);
}

/* --- reading */

/* Read-only, a missing family cannot be made: the one that is always empty stands in for it. */
static rocksdb_column_family_handle_t *family_of(const struct db *db, enum db_family family) {
    return db->families[family] ? db->families[family] : db->families[DB_FAMILIES];
}

int db_get(struct db *db, enum db_family family, struct str key, struct db_value *out, struct err *err) {
    char *text = NULL;
    rocksdb_pinnableslice_t *pin =
        rocksdb_get_pinned_cf(db->rocks, db->read[family], family_of(db, family), key.p, key.n, &text);
    if (text)
        return db_failed(err, "reading", text);
    if (!pin)
        return DB_NOT_FOUND;
    out->pin = pin;
    out->bytes.p = rocksdb_pinnableslice_value(pin, &out->bytes.n);
    return 0;
}

void db_value_release(struct db_value *v) {
    if (v->pin)
        rocksdb_pinnableslice_destroy(v->pin);
    *v = (struct db_value){0};
}

struct db_iter *db_iter_new(struct db *db, enum db_family family, const struct db_iter_options *options) {
    struct db_iter *it = calloc(1, sizeof *it);
    if (!it)
        return NULL;
    it->options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(it->options, options->fill_cache);
    if (options->readahead)
        rocksdb_readoptions_set_readahead_size(it->options, options->readahead);
    if (options->upper.n)
        rocksdb_readoptions_set_iterate_upper_bound(it->options, options->upper.p, options->upper.n);
    it->rocks = rocksdb_create_iterator_cf(db->rocks, it->options, family_of(db, family));
    return it;
}

void db_iter_free(struct db_iter *it) {
    if (!it)
        return;
    rocksdb_iter_destroy(it->rocks);
    rocksdb_readoptions_destroy(it->options);
    free(it);
}

static int iter_result(struct db_iter *it, struct db_pair *out, struct err *err) {
    if (rocksdb_iter_valid(it->rocks)) {
        out->key.p = rocksdb_iter_key(it->rocks, &out->key.n);
        out->value.p = rocksdb_iter_value(it->rocks, &out->value.n);
        return 0;
    }
    char *text = NULL;
    rocksdb_iter_get_error(it->rocks, &text);
    return text ? db_failed(err, "reading", text) : DB_NOT_FOUND;
}

int db_iter_seek(struct db_iter *it, struct str key, struct db_pair *out, struct err *err) {
    rocksdb_iter_seek(it->rocks, key.p, key.n);
    return iter_result(it, out, err);
}

int db_iter_seek_back(struct db_iter *it, struct str key, struct db_pair *out, struct err *err) {
    rocksdb_iter_seek_for_prev(it->rocks, key.p, key.n);
    return iter_result(it, out, err);
}

int db_iter_next(struct db_iter *it, struct db_pair *out, struct err *err) {
    if (rocksdb_iter_valid(it->rocks)) /* moving on from the end is an assertion of RocksDB's */
        rocksdb_iter_next(it->rocks);
    return iter_result(it, out, err);
}

int db_iter_prev(struct db_iter *it, struct db_pair *out, struct err *err) {
    if (rocksdb_iter_valid(it->rocks))
        rocksdb_iter_prev(it->rocks);
    return iter_result(it, out, err);
}

/* --- writing */

static void batch_add(rocksdb_writebatch_t *batch, rocksdb_column_family_handle_t *family, const struct db_change *c) {
    if (c->remove)
        rocksdb_writebatch_delete_cf(batch, family, c->key.p, c->key.n);
    else
        rocksdb_writebatch_put_cf(batch, family, c->key.p, c->key.n, c->value.p, c->value.n);
}

static int batch_write(struct db *db, const struct db_change *changes, size_t n, rocksdb_writeoptions_t *how,
                       const char *what, struct err *err) {
    char *text = NULL;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    for (size_t i = 0; i < n; i++)
        batch_add(batch, db->families[changes[i].family], &changes[i]);
    rocksdb_write(db->rocks, how, batch, &text);
    rocksdb_writebatch_destroy(batch);
    return text ? db_failed(err, what, text) : 0;
}

int db_write(struct db *db, const struct db_change *changes, size_t n, bool sync, struct err *err) {
    return batch_write(db, changes, n, sync ? db->write_sync : db->write, "writing the log", err);
}

int db_views_write(struct db *db, const struct db_change *changes, size_t n, struct err *err) {
    return batch_write(db, changes, n, db->write_views, "writing a view", err);
}

int db_log_sync(struct db *db, struct err *err) {
    char *text = NULL;
    rocksdb_flush_wal(db->rocks, 1, &text);
    return text ? db_failed(err, "syncing the log", text) : 0;
}

int db_table_new(struct db *db, struct db_table **out, struct err *err) {
    size_t n = strlen(db->tables) + 32;
    struct db_table *t = calloc(1, sizeof *t + n);
    if (!t)
        return -ENOMEM;
    snprintf(t->path, n, "%s/%llu.sst", db->tables, (unsigned long long)atomic_fetch_add(&db->next_table, 1));
    t->db = db;
    t->writer = rocksdb_sstfilewriter_create(db->env, db->options[DB_DERIVED]);
    char *text = NULL;
    rocksdb_sstfilewriter_open(t->writer, t->path, &text);
    if (text) {
        db_table_drop(t);
        return db_failed(err, "making a table", text);
    }
    *out = t;
    return 0;
}

int db_table_put(struct db_table *t, struct str key, struct str value, struct err *err) {
    char *text = NULL;
    t->entries++;
    rocksdb_sstfilewriter_put(t->writer, key.p, key.n, value.p, value.n, &text);
    return text ? db_failed(err, "making a table", text) : 0;
}

int db_table_delete(struct db_table *t, struct str key, struct err *err) {
    char *text = NULL;
    t->entries++;
    rocksdb_sstfilewriter_delete(t->writer, key.p, key.n, &text);
    return text ? db_failed(err, "making a table", text) : 0;
}

int db_table_ingest(struct db_table *t, struct err *err) {
    char *text = NULL;
    if (t->entries) /* RocksDB refuses an empty table */
        rocksdb_sstfilewriter_finish(t->writer, &text);
    if (t->entries && !text) {
        const char *paths[] = {t->path};
        rocksdb_ingest_external_file_cf(t->db->rocks, t->db->families[DB_DERIVED], paths, 1, t->db->ingest, &text);
    }
    db_table_drop(t);
    return text ? db_failed(err, "adding a table", text) : 0;
}

void db_table_drop(struct db_table *t) {
    if (!t)
        return;
    rocksdb_sstfilewriter_destroy(t->writer);
    unlink(t->path);
    free(t);
}

static int family_reset(struct db *db, enum db_family family, const char *what, struct err *err) {
    char *text = NULL;
    rocksdb_drop_column_family(db->rocks, db->families[family], &text);
    if (text)
        return db_failed(err, what, text);
    rocksdb_column_family_handle_destroy(db->families[family]);
    db->families[family] = NULL;
    rocksdb_column_family_handle_t *made =
        rocksdb_create_column_family(db->rocks, db->options[family], family_names[family], &text);
    if (text)
        return db_failed(err, what, text);
    db->families[family] = made;
    return 0;
}

int db_derived_reset(struct db *db, struct err *err) {
    return family_reset(db, DB_DERIVED, "emptying the derived family", err);
}

int db_folds_reset(struct db *db, struct err *err) {
    return family_reset(db, DB_FOLDS, "emptying the folds family", err);
}

static int range_clear(struct db *db, enum db_family family, rocksdb_writeoptions_t *how, struct str from,
                       struct str to, struct err *err) {
    char *text = NULL;
    rocksdb_delete_range_cf(db->rocks, how, db->families[family], from.p, from.n, to.p, to.n, &text);
    return text ? db_failed(err, "clearing a range of keys", text) : 0;
}

int db_folds_clear(struct db *db, struct str from, struct str to, struct err *err) {
    return range_clear(db, DB_FOLDS, db->write, from, to, err);
}

int db_views_clear(struct db *db, struct str from, struct str to, struct err *err) {
    return range_clear(db, DB_VIEWS, db->write_views, from, to, err);
}

/* --- checking */

/* RocksDB's names of tables begin with a slash. */
static int live_table_check(const struct db *db, const rocksdb_livefiles_t *live, int i, struct err *err) {
    char path[4096];
    snprintf(path, sizeof path, "%s%s", db->path, rocksdb_livefiles_name(live, i));
    struct err why = {0};
    int r = table_file_check(path, &why);
    if (r < 0)
        err_set(err, -r, "store: a table of the family `%s`: %s", rocksdb_livefiles_column_family_name(live, i),
                why.text);
    return r;
}

int db_tables_check(struct db *db, struct err *err) {
    const rocksdb_livefiles_t *live = rocksdb_livefiles(db->rocks);
    int r = 0, n = rocksdb_livefiles_count(live);
    for (int i = 0; r == 0 && i < n; i++)
        r = live_table_check(db, live, i, err);
    rocksdb_livefiles_destroy(live);
    return r;
}

/* --- figures */

static uint64_t property(const struct db *db, enum db_family family, const char *name) {
    uint64_t v = 0;
    rocksdb_property_int_cf(db->rocks, family_of(db, family), name, &v);
    return v;
}

void db_stats_get(struct db *db, struct db_stats *out) {
    out->memory_bytes = rocksdb_cache_get_usage(db->cache);
    for (enum db_family f = 0; f < DB_FAMILIES; f++) {
        out->table_bytes[f] = property(db, f, "rocksdb.total-sst-files-size");
        out->memory_bytes += property(db, f, "rocksdb.size-all-mem-tables");
        out->memory_bytes += property(db, f, "rocksdb.estimate-table-readers-mem");
    }
}

/* Tables of all memtables, which may be full and wait, while their WAL goes only when they are there; one compaction at
 * a time (of two background jobs one flushes), the largest, whose inputs go when its outputs are there. */
uint64_t db_reserve_bytes(void) {
    uint64_t flush = LOG_BUFFERS * LOG_BUFFER_BYTES + FOLDS_BUFFERS * FOLDS_BUFFER_BYTES + 2 * MIB;
    uint64_t wal = LOG_BUFFER_BYTES + LOG_BUFFER_BYTES / 10; /* RocksDB preallocates the next one */
    uint64_t compaction = DERIVED_COMPACTION_BYTES + 2 * DERIVED_FILE_BYTES;
    return flush + wal + compaction + 16 * MIB;
}

uint64_t db_views_reserve_bytes(void) {
    return VIEWS_BUFFERS * VIEWS_BUFFER_BYTES + DERIVED_COMPACTION_BYTES + 2 * DERIVED_FILE_BYTES + 4 * MIB;
}
