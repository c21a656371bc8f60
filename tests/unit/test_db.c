#include "db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <rocksdb/c.h>

#if defined(__has_feature) && !defined(__SANITIZE_THREAD__)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

struct place {
    char dir[64], path[96];
    struct db *db;
};

static void run(const char *format, const char *a) {
    char command[512];
    snprintf(command, sizeof command, format, a, a);
    assert_int_equal(system(command), 0);
}

static int try_open(struct place *p, bool create, bool read_only, struct err *err) {
    return db_open(&p->db, p->path, &(struct db_options){.create = create, .read_only = read_only}, err);
}

static void reopen(struct place *p, bool create, bool read_only) {
    struct err err = {0};
    if (try_open(p, create, read_only, &err) != 0)
        fail_msg("%s", err.text);
}

static int setup(void **state) {
    struct place *p = calloc(1, sizeof *p);
    strcpy(p->dir, "/tmp/esfs-db-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->path, sizeof p->path, "%s/db", p->dir);
    reopen(p, true, false);
    *state = p;
    return 0;
}

static int teardown(void **state) {
    struct place *p = *state;
    db_close(p->db);
    run("rm -rf '%s'", p->dir);
    free(p);
    return 0;
}

static void put(struct place *p, const char *key, const char *value, bool sync) {
    struct err err = {0};
    struct db_change change = {.family = DB_LOG, .key = str_of(key), .value = str_of(value)};
    if (db_write(p->db, &change, 1, sync, &err) != 0)
        fail_msg("%s", err.text);
}

static void assert_value(struct place *p, enum db_family family, const char *key, const char *value) {
    struct db_value v = {0};
    int r = db_get(p->db, family, str_of(key), &v, NULL);
    assert_int_equal(r, value ? 0 : DB_NOT_FOUND);
    if (value)
        assert_true(str_eq(v.bytes, str_of(value)));
    db_value_release(&v);
}

static void fold(struct place *p, const char *key, const char *value) {
    struct err err = {0};
    struct db_change change = {DB_FOLDS, str_of(key), str_of(value ? value : ""), !value};
    if (db_write(p->db, &change, 1, false, &err) != 0)
        fail_msg("%s", err.text);
}

/* Keys and values in words: "b", "d-" deletes. */
static void ingest(struct place *p, const char *const *keys) {
    struct db_table *t = NULL;
    struct err err = {0};
    assert_int_equal(db_table_new(p->db, &t, NULL), 0);
    for (; *keys; keys++) {
        struct str key = {*keys, 1};
        int r = (*keys)[1] == '-' ? db_table_delete(t, key, &err) : db_table_put(t, key, str_of(*keys + 1), &err);
        if (r != 0)
            fail_msg("%s", err.text);
    }
    if (db_table_ingest(t, &err) != 0)
        fail_msg("%s", err.text);
}

static void a_new_database_is_not_made_over_another(void **state) {
    struct place *p = *state;
    put(p, "a", "1", true);
    db_close(p->db);
    struct err err = {0};
    assert_true(try_open(p, true, false, &err) < 0);
    assert_true(err.text[0]);
    reopen(p, false, false);
    assert_value(p, DB_LOG, "a", "1");
}

static void a_missing_database_is_enoent(void **state) {
    struct place *p = *state, other = {.path = "/tmp/esfs-no-such-place"};
    (void)p;
    assert_int_equal(try_open(&other, false, false, NULL), -ENOENT);
    assert_int_equal(try_open(&other, false, true, NULL), -ENOENT);
}

static void one_process_at_a_time_writes(void **state) {
    struct place *p = *state, again = *p;
    assert_int_equal(try_open(&again, false, false, NULL), -EBUSY);
}

static void a_batch_is_there_after_reopening(void **state) {
    struct place *p = *state;
    struct db_change changes[] = {{DB_LOG, STR("k1"), STR("one"), false},
                                  {DB_LOG, STR("k2"), STR("two"), false},
                                  {DB_LOG, STR("k3"), STR(""), false}};
    assert_int_equal(db_write(p->db, changes, 3, false, NULL), 0);
    assert_int_equal(db_log_sync(p->db, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_value(p, DB_LOG, "k1", "one");
        assert_value(p, DB_LOG, "k2", "two");
        assert_value(p, DB_LOG, "k3", "");
        assert_value(p, DB_LOG, "k", NULL);
        assert_value(p, DB_DERIVED, "k1", NULL);
        db_close(p->db);
        reopen(p, false, false);
    }
}

static void iterators_go_both_ways_and_stop(void **state) {
    struct place *p = *state;
    const char *const keys[] = {"b", "d", "f", "h"};
    for (int i = 0; i < 4; i++)
        put(p, keys[i], keys[i], false);
    struct db_iter *it = db_iter_new(p->db, DB_LOG, &(struct db_iter_options){.upper = STR("h")});
    struct db_pair pair;
    assert_int_equal(db_iter_seek(it, STR("c"), &pair, NULL), 0);
    assert_true(str_eq(pair.key, STR("d")));
    assert_int_equal(db_iter_next(it, &pair, NULL), 0);
    assert_true(str_eq(pair.value, STR("f")));
    assert_int_equal(db_iter_next(it, &pair, NULL), DB_NOT_FOUND);
    assert_int_equal(db_iter_next(it, &pair, NULL), DB_NOT_FOUND);
    assert_int_equal(db_iter_seek_back(it, STR("e"), &pair, NULL), 0);
    assert_true(str_eq(pair.key, STR("d")));
    assert_int_equal(db_iter_prev(it, &pair, NULL), 0);
    assert_true(str_eq(pair.key, STR("b")));
    assert_int_equal(db_iter_prev(it, &pair, NULL), DB_NOT_FOUND);
    assert_int_equal(db_iter_seek_back(it, STR("z"), &pair, NULL), 0);
    assert_true(str_eq(pair.key, STR("f")));
    assert_int_equal(db_iter_seek_back(it, STR("a"), &pair, NULL), DB_NOT_FOUND);
    put(p, "g", "later", false);
    assert_int_equal(db_iter_seek(it, STR("g"), &pair, NULL), DB_NOT_FOUND);
    db_iter_free(it);
}

static void tables_add_replace_and_delete(void **state) {
    struct place *p = *state;
    ingest(p, (const char *const[]){"a1", "b1", "c1", NULL});
    ingest(p, (const char *const[]){"b2", "c-", "d2", NULL});
    ingest(p, (const char *const[]){NULL});
    for (int i = 0; i < 2; i++) {
        assert_value(p, DB_DERIVED, "a", "1");
        assert_value(p, DB_DERIVED, "b", "2");
        assert_value(p, DB_DERIVED, "c", NULL);
        assert_value(p, DB_DERIVED, "d", "2");
        db_close(p->db);
        reopen(p, false, false);
    }
    struct db_stats stats;
    db_stats_get(p->db, &stats);
    assert_true(stats.table_bytes[DB_DERIVED] > 0);
    assert_true(stats.memory_bytes > 0);
}

static void keys_of_a_table_must_ascend(void **state) {
    struct place *p = *state;
    struct db_table *t = NULL;
    assert_int_equal(db_table_new(p->db, &t, NULL), 0);
    assert_int_equal(db_table_put(t, STR("b"), STR("1"), NULL), 0);
    assert_true(db_table_put(t, STR("a"), STR("1"), NULL) < 0);
    db_table_drop(t);
    assert_value(p, DB_DERIVED, "b", NULL);
}

static size_t count_files(const char *path) {
    size_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

static uint64_t wal_bytes(struct place *p) {
    uint64_t bytes = 0;
    DIR *dir = opendir(p->path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        size_t n = strlen(e->d_name);
        struct stat st;
        if (n > 4 && strcmp(e->d_name + n - 4, ".log") == 0 && fstatat(dirfd(dir), e->d_name, &st, 0) == 0)
            bytes += (uint64_t)st.st_blocks * 512;
    }
    closedir(dir);
    return bytes;
}

static void tables_of_a_crash_are_removed(void **state) {
    struct place *p = *state;
    char tables[128];
    snprintf(tables, sizeof tables, "%s/tables", p->path);
    struct db_table *t = NULL;
    assert_int_equal(db_table_new(p->db, &t, NULL), 0);
    assert_int_equal(count_files(tables), 1);
    db_table_drop(t);
    assert_int_equal(count_files(tables), 0);
    ingest(p, (const char *const[]){"a1", NULL});
    assert_int_equal(count_files(tables), 0);
    db_close(p->db);
    run("echo half >'%s/tables/7.sst'", p->path);
    reopen(p, false, false);
    assert_int_equal(count_files(tables), 0);
}

static void a_reset_empties_the_derived_family_alone(void **state) {
    struct place *p = *state;
    put(p, "a", "log", true);
    ingest(p, (const char *const[]){"a1", NULL});
    assert_int_equal(db_derived_reset(p->db, NULL), 0);
    assert_value(p, DB_DERIVED, "a", NULL);
    assert_value(p, DB_LOG, "a", "log");
    ingest(p, (const char *const[]){"b1", NULL});
    db_close(p->db);
    reopen(p, false, false);
    assert_value(p, DB_DERIVED, "a", NULL);
    assert_value(p, DB_DERIVED, "b", "1");
}

/* Opens with RocksDB itself and drops a family, as a crash in the middle of a reset leaves it. */
static void family_drop(struct place *p, const char *which) {
    char *text = NULL;
    size_t n;
    rocksdb_options_t *o = rocksdb_options_create();
    char **names = rocksdb_list_column_families(o, p->path, &n, &text);
    assert_null(text);
    const rocksdb_options_t *options[] = {o, o, o, o, o, o};
    rocksdb_column_family_handle_t *families[6];
    assert_in_range(n, 2, 6);
    rocksdb_t *rocks =
        rocksdb_open_column_families(o, p->path, (int)n, (const char *const *)names, options, families, &text);
    assert_null(text);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], which) == 0)
            rocksdb_drop_column_family(rocks, families[i], &text);
        assert_null(text);
        rocksdb_column_family_handle_destroy(families[i]);
    }
    rocksdb_close(rocks);
    rocksdb_list_column_families_destroy(names, n);
    rocksdb_options_destroy(o);
}

static void a_crash_within_a_reset_is_survived(void **state) {
    struct place *p = *state;
    put(p, "a", "log", true);
    db_close(p->db);
    family_drop(p, "derived");
    reopen(p, false, true);
    assert_value(p, DB_DERIVED, "a", NULL);
    assert_value(p, DB_LOG, "a", "log");
    struct db_iter *it = db_iter_new(p->db, DB_DERIVED, &(struct db_iter_options){0});
    struct db_pair pair;
    assert_int_equal(db_iter_seek(it, STR(""), &pair, NULL), DB_NOT_FOUND);
    db_iter_free(it);
    db_close(p->db);
    reopen(p, false, false);
    assert_value(p, DB_LOG, "a", "log");
    ingest(p, (const char *const[]){"b1", NULL});
    assert_value(p, DB_DERIVED, "b", "1");
}

static void a_batch_of_two_families_is_there_as_one(void **state) {
    struct place *p = *state;
    fold(p, "old", "1");
    const struct db_change changes[] = {{DB_LOG, STR("k"), STR("block"), false},
                                        {DB_FOLDS, STR("k"), STR("first"), false},
                                        {DB_FOLDS, STR("k"), STR("state"), false},
                                        {DB_FOLDS, STR("old"), STR(""), true},
                                        {DB_FOLDS, STR("never"), STR(""), true}};
    assert_int_equal(db_write(p->db, changes, 5, true, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_value(p, DB_LOG, "k", "block");
        assert_value(p, DB_FOLDS, "k", "state");
        assert_value(p, DB_FOLDS, "old", NULL);
        assert_value(p, DB_FOLDS, "never", NULL);
        assert_value(p, DB_DERIVED, "k", NULL);
        db_close(p->db);
        reopen(p, false, i == 0); /* read-only too, out of the WAL */
    }
}

static void clearing_folds_takes_a_range(void **state) {
    struct place *p = *state;
    put(p, "b", "log", false);
    for (const char *key = "abcde"; *key; key++)
        fold(p, (char[]){*key, 0}, "1");
    fold(p, "bb", "1");
    assert_int_equal(db_folds_clear(p->db, STR("b"), STR("d"), NULL), 0);
    fold(p, "c", "2"); /* what is written later stays */
    for (int i = 0; i < 2; i++) {
        assert_value(p, DB_FOLDS, "a", "1");
        assert_value(p, DB_FOLDS, "b", NULL);
        assert_value(p, DB_FOLDS, "bb", NULL);
        assert_value(p, DB_FOLDS, "c", "2");
        assert_value(p, DB_FOLDS, "d", "1");
        assert_value(p, DB_FOLDS, "e", "1");
        assert_value(p, DB_LOG, "b", "log");
        struct db_iter *it = db_iter_new(p->db, DB_FOLDS, &(struct db_iter_options){0});
        struct db_pair pair;
        assert_int_equal(db_iter_seek_back(it, STR("bz"), &pair, NULL), 0);
        assert_true(str_eq(pair.key, STR("a")));
        assert_int_equal(db_iter_next(it, &pair, NULL), 0);
        assert_true(str_eq(pair.key, STR("c")));
        db_iter_free(it);
        db_close(p->db);
        reopen(p, false, false);
    }
}

static void resetting_folds_leaves_the_rest(void **state) {
    struct place *p = *state;
    put(p, "a", "log", true);
    ingest(p, (const char *const[]){"a1", NULL});
    fold(p, "a", "1");
    assert_int_equal(db_folds_reset(p->db, NULL), 0);
    assert_value(p, DB_FOLDS, "a", NULL);
    fold(p, "b", "2");
    db_close(p->db);
    reopen(p, false, false);
    assert_value(p, DB_FOLDS, "a", NULL);
    assert_value(p, DB_FOLDS, "b", "2");
    assert_value(p, DB_LOG, "a", "log");
    assert_value(p, DB_DERIVED, "a", "1");
}

static void a_missing_folds_family_is_made_again(void **state) {
    struct place *p = *state;
    put(p, "a", "log", true);
    ingest(p, (const char *const[]){"a1", NULL});
    fold(p, "a", "1");
    db_close(p->db);
    family_drop(p, "folds");
    reopen(p, false, true);
    assert_value(p, DB_FOLDS, "a", NULL);
    assert_value(p, DB_LOG, "a", "log");
    assert_value(p, DB_DERIVED, "a", "1");
    db_close(p->db);
    family_drop(p, "derived");
    reopen(p, false, true);
    assert_value(p, DB_FOLDS, "a", NULL);
    assert_value(p, DB_DERIVED, "a", NULL);
    assert_value(p, DB_LOG, "a", "log");
    db_close(p->db);
    reopen(p, false, false);
    assert_value(p, DB_FOLDS, "a", NULL);
    assert_value(p, DB_LOG, "a", "log");
    fold(p, "b", "2");
    assert_value(p, DB_FOLDS, "b", "2");
}

/* The log's memtables come and go; what stands in the folds' own all the time must not hold the WAL of all of it. */
static void the_wal_goes_though_a_family_never_fills(void **state) {
    struct place *p = *state;
    enum { BYTES = 1 << 20, WRITES = 300 };
    char key[16], *value = malloc(BYTES);
    uint64_t most = 0;
    for (int i = 0; i < BYTES; i++)
        value[i] = (char)(i * 7 + i / 251);
    fold(p, "small", "1");
    for (int i = 0; i < WRITES; i++) {
        snprintf(key, sizeof key, "%08d", i);
        const struct db_change changes[] = {{DB_LOG, str_of(key), {value, BYTES}, false},
                                            {DB_FOLDS, str_of(key), STR("state"), false}};
        assert_int_equal(db_write(p->db, changes, 1 + i % 2, false, NULL), 0);
        uint64_t wal = wal_bytes(p);
        most = wal > most ? wal : most;
    }
    free(value);
    print_message("the WAL took up to %llu MiB\n", (unsigned long long)(most >> 20));
    assert_true(most > 32 << 20 && most < 160 << 20);
    db_close(p->db);
    reopen(p, false, false);
    assert_value(p, DB_FOLDS, "small", "1");
    assert_value(p, DB_FOLDS, "00000001", "state");
    assert_value(p, DB_FOLDS, "00000299", "state");
}

/* A copy of the database as it is on the disk, which is what a kill leaves. */
static void copy_open(const struct place *p, struct place *copy, const char *harm) {
    snprintf(copy->path, sizeof copy->path, "%s/copy", p->dir);
    run("cp -r '%s' '%s.new'", p->path);
    run("cd '%s' && rm -rf ../copy && mv ../db.new ../copy", p->path);
    run(harm, copy->path);
    reopen(copy, false, false);
}

/* Recovery takes a WAL that ends early for one that was being written, also one that is not the last. The log finds
 * out, as it has no gaps; folds would not, so they must not depend on a WAL that the log does not need any more. */
static void a_wal_cut_short_never_takes_folds_without_their_block(void **state) {
    static const char *const cut = "cd '%s' && wal=$(find . -name '*.log' -size +0 | sort | head -n 1) && "
                                   "truncate -s $(($(stat -c %%s \"$wal\") / 2)) \"$wal\"";
    struct place *p = *state, copy = {.db = NULL};
    enum { BYTES = 1 << 20, WRITES = 60 };
    char key[16], *value = malloc(BYTES);
    for (int i = 0; i < WRITES; i++) {
        snprintf(key, sizeof key, "%08d", i);
        memset(value, 'a' + i % 26, BYTES);
        const struct db_change changes[] = {{DB_LOG, str_of(key), {value, BYTES}, false},
                                            {DB_FOLDS, str_of(key), STR("state"), false}};
        assert_int_equal(db_write(p->db, changes, 2, i + 1 == WRITES, NULL), 0);
    }
    free(value);
    struct db_stats stats = {0};
    for (int i = 0; i < 500 && !stats.table_bytes[DB_LOG]; i++) {
        usleep(20000);
        db_stats_get(p->db, &stats);
    }
    assert_true(stats.table_bytes[DB_LOG] > 0);
    usleep(100000); /* what is not needed any more is removed after the table is there */
    copy_open(p, &copy, cut);
    int blocks = 0;
    for (int i = 0; i < WRITES; i++) {
        struct db_value block = {0}, fold = {0};
        snprintf(key, sizeof key, "%08d", i);
        int has_block = db_get(copy.db, DB_LOG, str_of(key), &block, NULL);
        int has_fold = db_get(copy.db, DB_FOLDS, str_of(key), &fold, NULL);
        assert_int_equal(has_block, has_fold);
        blocks += has_block == 0;
        db_value_release(&block);
        db_value_release(&fold);
    }
    db_close(copy.db);
    assert_true(blocks > 0 && blocks < WRITES);
}

static void a_database_without_its_log_is_damaged(void **state) {
    struct place *p = *state;
    db_close(p->db);
    p->db = NULL;
    family_drop(p, "log");
    struct err err = {0};
    assert_int_equal(try_open(p, false, false, &err), -EUCLEAN);
    assert_non_null(strstr(err.text, "no log"));
    assert_int_equal(try_open(p, false, true, NULL), -EUCLEAN);
    p->db = NULL;
}

static void read_only_writes_nothing(void **state) {
    struct place *p = *state;
    for (int i = 0; i < 100; i++)
        put(p, "a", "before", true);
    ingest(p, (const char *const[]){"a1", NULL});
    db_close(p->db);
    run("cd '%s' && find . -printf '%%p %%s %%T@\\n' | sort >../before", p->path);
    reopen(p, false, true);
    assert_value(p, DB_LOG, "a", "before");
    assert_value(p, DB_DERIVED, "a", "1");
    db_close(p->db);
    p->db = NULL;
    run("cd '%s' && find . -printf '%%p %%s %%T@\\n' | sort >../after && cmp ../before ../after", p->path);
}

static void what_was_synced_survives_a_kill(void **state) {
    struct place *p = *state;
#ifdef __SANITIZE_THREAD__
    skip(); /* it cannot follow a fork of several threads */
#endif
    db_close(p->db);
    p->db = NULL;
    pid_t child = fork();
    if (child == 0) {
        if (try_open(p, false, false, NULL) != 0)
            _exit(1);
        put(p, "synced", "1", true);
        put(p, "os", "1", false);
        fold(p, "f", "1");
        ingest(p, (const char *const[]){"t1", NULL});
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    reopen(p, false, false);
    assert_value(p, DB_LOG, "synced", "1");
    assert_value(p, DB_LOG, "os", "1");
    assert_value(p, DB_FOLDS, "f", "1");
    assert_value(p, DB_DERIVED, "t", "1");
}

/* Flips a byte near the middle of the largest file that matches. */
static void flip(struct place *p, const char *pattern) {
    char command[512], file[256] = "";
    snprintf(command, sizeof command, "ls -S '%s'/%s | head -n 1", p->path, pattern);
    FILE *f = popen(command, "r");
    assert_non_null(fgets(file, sizeof file, f));
    pclose(f);
    file[strcspn(file, "\n")] = 0;
    int fd = open(file, O_RDWR);
    struct stat st;
    char byte;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, st.st_size / 3), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 3), 1);
    close(fd);
}

static void fill(struct place *p) {
    char key[16], value[4000];
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "%08d", i);
        struct db_change change = {DB_LOG, str_of(key), {value, sizeof value}, false};
        assert_int_equal(db_write(p->db, &change, 1, false, NULL), 0);
    }
    db_close(p->db);
    p->db = NULL;
}

static void a_flipped_bit_in_the_wal_is_not_opened(void **state) {
    struct place *p = *state;
    fill(p);
    flip(p, "*.log");
    struct err err = {0};
    assert_int_equal(try_open(p, false, false, &err), -EUCLEAN);
    assert_true(err.text[0]);
    p->db = NULL;
}

static void a_flipped_bit_in_a_table_is_reported_with_its_file(void **state) {
    struct place *p = *state;
    fill(p);
    reopen(p, false, false); /* turns the WAL into a table */
    db_close(p->db);
    flip(p, "*.sst");
    reopen(p, false, false);
    struct err err = {0};
    struct db_pair pair;
    struct db_iter *it = db_iter_new(p->db, DB_LOG, &(struct db_iter_options){0});
    int n = 0, r = db_iter_seek(it, STR(""), &pair, &err);
    for (; r == 0; n++)
        r = db_iter_next(it, &pair, &err);
    db_iter_free(it);
    assert_int_equal(r, -EUCLEAN);
    assert_true(n > 0 && n < 500);
    assert_non_null(strstr(err.text, ".sst"));
}

static void the_reserve_is_what_was_planned(void **state) {
    (void)state;
    uint64_t mib = db_reserve_bytes() >> 20;
    assert_true(mib >= 128 && mib <= 256);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_database_is_not_made_over_another, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_database_is_enoent, setup, teardown),
        cmocka_unit_test_setup_teardown(one_process_at_a_time_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_is_there_after_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(iterators_go_both_ways_and_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_add_replace_and_delete, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_of_a_table_must_ascend, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_of_a_crash_are_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_empties_the_derived_family_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crash_within_a_reset_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_of_two_families_is_there_as_one, setup, teardown),
        cmocka_unit_test_setup_teardown(clearing_folds_takes_a_range, setup, teardown),
        cmocka_unit_test_setup_teardown(resetting_folds_leaves_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_folds_family_is_made_again, setup, teardown),
        cmocka_unit_test_setup_teardown(the_wal_goes_though_a_family_never_fills, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wal_cut_short_never_takes_folds_without_their_block, setup, teardown),
        cmocka_unit_test_setup_teardown(a_database_without_its_log_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(read_only_writes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_synced_survives_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_bit_in_the_wal_is_not_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_bit_in_a_table_is_reported_with_its_file, setup, teardown),
        cmocka_unit_test(the_reserve_is_what_was_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
