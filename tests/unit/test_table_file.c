/* Tables of every family against flipped bits. */
#include "table_file.h"

#include "db.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Of RocksDB's files: a checksum's type, handles of the metaindex and the index, nothing up to 12 bytes before the end,
 * version and magic. A handle here is at least 4 bytes long, as both lie behind the first 128 bytes. */
enum { FOOTER = 53, FOOTER_USED = 1 + 4, MAGIC = 8 };

static const char *const names[] = {"log", "derived", "folds", "views", "cursors"};

struct place {
    char dir[64], path[96];
    struct db *db, *views;
};

static struct db *opened(const struct place *p, const char *name, struct db_options options) {
    char path[128];
    struct err err = {0};
    struct db *db = NULL;
    snprintf(path, sizeof path, "%s/%s", p->dir, name);
    if (db_open(&db, path, &options, &err) != 0)
        fail_msg("%s", err.text);
    return db;
}

static void reopen(struct place *p, bool create, bool read_only) {
    struct db_options options = {.create = create, .read_only = read_only};
    db_close(p->db);
    db_close(p->views);
    p->db = opened(p, "db", options);
    options.views = true;
    p->views = opened(p, "views", options);
}

/* So many keys that the filter has several parts. */
static void derived_fill(struct place *p) {
    struct db_table *t = NULL;
    char key[16];
    assert_int_equal(db_table_new(p->db, &t, NULL), 0);
    for (int i = 0; i < 9000; i++) {
        snprintf(key, sizeof key, "%08d", i);
        assert_int_equal(db_table_put(t, str_of(key), STR("derived"), NULL), 0);
    }
    assert_int_equal(db_table_ingest(t, NULL), 0);
}

static void others_fill(struct place *p) {
    char key[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "%08d", i);
        const struct db_change changes[] = {{DB_LOG, str_of(key), STR("block"), false},
                                            {DB_FOLDS, str_of(key), STR("state"), false},
                                            {DB_CURSORS, str_of(key), STR("cursor"), false}};
        const struct db_change view = {DB_VIEWS, str_of(key), STR("view"), false};
        assert_int_equal(db_write(p->db, changes, 3, false, NULL), 0);
        assert_int_equal(db_views_write(p->views, &view, 1, NULL), 0);
    }
    assert_int_equal(db_folds_clear(p->db, STR("00000010"), STR("00000090"), NULL), 0);
    assert_int_equal(db_views_clear(p->views, STR("00000010"), STR("00000090"), NULL), 0);
}

/* Two databases that have a table of each family, open read-only. Closing and opening turns memtables into tables. */
static int setup(void **state) {
    struct place *p = calloc(1, sizeof *p);
    strcpy(p->dir, "/tmp/esfs-table-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->path, sizeof p->path, "%s/db", p->dir);
    reopen(p, true, false);
    derived_fill(p);
    others_fill(p);
    reopen(p, false, false);
    reopen(p, false, true);
    *state = p;
    return 0;
}

static int teardown(void **state) {
    struct place *p = *state;
    char command[128];
    db_close(p->db);
    db_close(p->views);
    snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
    assert_int_equal(system(command), 0);
    free(p);
    return 0;
}

static glob_t tables_of(const struct place *p, const char *database) {
    char pattern[128];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/%s/*.sst", p->dir, database);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    return found;
}

static void flip(const char *path, off_t at, int bit) {
    int fd = open(path, O_RDWR);
    char byte;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= (char)(1 << bit);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static off_t size_of(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static bool depended_on(off_t at, off_t size) {
    return at < size - FOOTER + FOOTER_USED || at >= size - MAGIC;
}

/* What the database says when it is opened and its derived family read. */
static int database_read(const struct place *p, struct err *err) {
    struct db *db = NULL;
    int r = db_open(&db, p->path, &(struct db_options){.read_only = true}, err);
    if (r < 0)
        return r;
    struct db_iter *it = db_iter_new(db, DB_DERIVED, &(struct db_iter_options){0});
    struct db_pair pair;
    r = db_iter_seek(it, STR(""), &pair, err);
    while (r == 0)
        r = db_iter_next(it, &pair, err);
    db_iter_free(it);
    db_close(db);
    return r == DB_NOT_FOUND ? 0 : r;
}

/* All bytes of a small table and of the last parts of another; of the data of that every seventh. */
static void table_flip(const struct place *p, const char *path) {
    off_t size = size_of(path);
    for (off_t at = 0; at < size; at += at < size - 4000 ? 7 : 1) {
        struct err err = {0};
        int bit = (int)(at % 7); /* the upper one can stop RocksDB: test_damage.py */
        flip(path, at, bit);
        int r = table_file_check(path, &err);
        if (r == 0) /* ingested tables have a number that no checksum covers: the database knows what it must be */
            r = database_read(p, &err);
        flip(path, at, bit);
        if (depended_on(at, size) && (r >= 0 || !err.text[0]))
            fail_msg("%s of %lld bytes, byte %lld: %d %s", path, (long long)size, (long long)at, r, err.text);
    }
    assert_int_equal(table_file_check(path, NULL), 0);
}

static void every_byte_of_a_table_is_checked(void **state) {
    struct place *p = *state;
    glob_t tables = tables_of(p, "*");
    for (size_t i = 0; i < tables.gl_pathc; i++)
        table_flip(p, tables.gl_pathv[i]);
    globfree(&tables);
}

/* Damages the table to hear what the database says of it. */
static enum db_family family_of(struct place *p, const char *table) {
    struct err err = {0};
    char words[32];
    int family = 0;
    flip(table, 1, 0);
    int first = db_tables_check(p->db, &err), second = first < 0 ? 0 : db_tables_check(p->views, &err);
    flip(table, 1, 0);
    assert_int_equal(first + second, -EUCLEAN);
    assert_non_null(strstr(err.text, table));
    for (; family < DB_FAMILIES; family++) {
        snprintf(words, sizeof words, "family `%s`", names[family]);
        if (strstr(err.text, words))
            break;
    }
    return (enum db_family)family;
}

static void a_damaged_table_is_named_with_its_family(void **state) {
    struct place *p = *state;
    struct err err = {0};
    bool named[DB_FAMILIES + 1] = {false};
    if (db_tables_check(p->db, &err) != 0 || db_tables_check(p->views, &err) != 0)
        fail_msg("%s", err.text);
    glob_t tables = tables_of(p, "*");
    for (size_t i = 0; i < tables.gl_pathc; i++)
        named[family_of(p, tables.gl_pathv[i])] = true;
    globfree(&tables);
    for (int family = 0; family < DB_FAMILIES; family++)
        if (!named[family])
            fail_msg("no table of the family `%s`", names[family]);
}

static void a_file_that_is_missing_or_no_table_is_an_error(void **state) {
    struct place *p = *state;
    struct err err = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/none.sst", p->path);
    assert_int_equal(table_file_check(path, &err), -EIO);
    assert_non_null(strstr(err.text, path));
    FILE *f = fopen(path, "w");
    assert_int_equal(table_file_check(path, NULL), -EUCLEAN);
    for (int i = 0; i < 5000; i++)
        putc(i, f);
    fclose(f);
    assert_int_equal(table_file_check(path, NULL), -EUCLEAN);
}

/* --- mending */

static struct db *copy_open(const struct place *p, const char *harm, const char *table, bool mend, struct err *err) {
    char command[512];
    struct db *db = NULL;
    snprintf(command, sizeof command, "cd '%s' && rm -rf copy && cp -r db copy && cd copy && ", p->dir);
    snprintf(command + strlen(command), sizeof command - strlen(command), harm, strrchr(table, '/') + 1);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s/copy", p->dir);
    int r = db_open(&db, command, &(struct db_options){.mend = mend}, err);
    assert_true(r == 0 ? db != NULL : r == -EUCLEAN && err->text[0]);
    return db;
}

static void assert_has(struct db *db, enum db_family family, const char *value) {
    struct db_value v = {0};
    assert_int_equal(db_get(db, family, STR("00000005"), &v, NULL), value ? 0 : DB_NOT_FOUND);
    if (value)
        assert_true(str_eq(v.bytes, str_of(value)));
    db_value_release(&v);
}

static void assert_mended(struct db *db) {
    assert_has(db, DB_LOG, "block");
    assert_has(db, DB_CURSORS, "cursor");
    assert_has(db, DB_DERIVED, NULL);
    assert_has(db, DB_FOLDS, NULL);
    const struct db_change change = {DB_FOLDS, STR("00000005"), STR("again"), false};
    assert_int_equal(db_write(db, &change, 1, true, NULL), 0);
    assert_int_equal(db_tables_check(db, NULL), 0);
}

static void tables_that_cannot_be_opened_are_given_up_unless_they_are_the_logs(void **state) {
    static const char *const harms[] = {
        "rm %s", "truncate -s 100 %s",
        "f=%s; printf 12345678 | dd of=$f bs=1 seek=$(($(stat -c %%s $f) - 8)) conv=notrunc status=none"};
    struct place *p = *state;
    glob_t tables = tables_of(p, "db");
    for (size_t i = 0; i < tables.gl_pathc * 3; i++) {
        const char *table = tables.gl_pathv[i / 3];
        enum db_family family = family_of(p, table);
        bool lasting = family == DB_LOG || family == DB_CURSORS;
        struct err err = {0};
        assert_null(copy_open(p, harms[i % 3], table, false, &err));
        struct db *db = copy_open(p, harms[i % 3], table, true, &err);
        if (lasting != !db)
            fail_msg("%s of the family %s: %s", harms[i % 3], names[family], err.text);
        if (db)
            assert_mended(db);
        db_close(db);
    }
    globfree(&tables);
}

static void what_opens_is_not_mended(void **state) {
    struct place *p = *state;
    struct err err = {0};
    struct db *db = copy_open(p, ": %s", "/", true, &err);
    assert_non_null(db);
    assert_has(db, DB_DERIVED, "derived");
    assert_has(db, DB_FOLDS, "state");
    db_close(db);
}

/* Mending must not pass over what is damaged in the WAL. */
static void a_damaged_wal_is_not_mended(void **state) {
    static const char *const harm = "rm %s && wal=$(ls -S *.log | head -n 1) && "
                                    "printf '\\377' | dd of=$wal bs=1 seek=3000 conv=notrunc status=none";
    struct place *p = *state;
    glob_t tables = tables_of(p, "db");
    const char *derived = NULL;
    for (size_t i = 0; i < tables.gl_pathc; i++)
        if (family_of(p, tables.gl_pathv[i]) == DB_DERIVED)
            derived = tables.gl_pathv[i];
    assert_non_null(derived);
    reopen(p, false, false);
    others_fill(p);
    assert_int_equal(db_log_sync(p->db, NULL), 0);
    struct err err = {0};
    assert_null(copy_open(p, harm, derived, true, &err));
    assert_non_null(strstr(err.text, "write-ahead log"));
    struct db *db = copy_open(p, "rm %s", derived, true, &err);
    assert_non_null(db);
    assert_mended(db);
    db_close(db);
    globfree(&tables);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_byte_of_a_table_is_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_table_is_named_with_its_family, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_missing_or_no_table_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_that_cannot_be_opened_are_given_up_unless_they_are_the_logs, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_opens_is_not_mended, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_wal_is_not_mended, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
