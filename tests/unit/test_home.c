#include "home.h"

#include "digest.h"
#include "lib_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const struct home_options writing = {0}, reading = {.read_only = true}, existing = {.must_exist = true};

static int setup(void **state) {
    char *dir = malloc(LIB_PATH);
    lib_dir_make(dir);
    *state = dir;
    return 0;
}

static int teardown(void **state) {
    lib_dir_remove(*state);
    free(*state);
    return 0;
}

/* --- helpers */

static struct home *open_well(const char *dir, const struct home_options *options) {
    struct home *h = NULL;
    struct err err = {0};
    if (home_open(&h, dir, options, &err) != 0)
        fail_msg("%s", err.text);
    return h;
}

/* Opening fails with the code and words that name the place. */
static void assert_refused(const char *dir, const struct home_options *options, int code, const char *words) {
    struct home *h = NULL;
    struct err err = {0};
    assert_int_equal(home_open(&h, dir, options, &err), -code);
    assert_null(h);
    assert_int_equal(err.code, code);
    if (!strstr(err.text, words) || !strstr(err.text, dir))
        fail_msg("\"%s\" does not tell of \"%s\" and %s", err.text, words, dir);
}

/* A sealed store in dir; its id. */
static void make_store(const char *dir, uint8_t id[16]) {
    struct home *h = open_well(dir, &writing);
    assert_true(home_is_new(h));
    assert_int_equal(mkdir(home_db_path(h), 0700), 0);
    assert_int_equal(home_seal(h, NULL), 0);
    assert_false(home_is_new(h));
    memcpy(id, home_id(h), 16);
    home_close(h);
}

static bool is_there(const char *dir, const char *name) {
    return access(lib_path(dir, name), F_OK) == 0;
}

static size_t count_entries(const char *dir) {
    DIR *d = opendir(dir);
    size_t n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static struct home_head head_of(const char *dir) {
    struct home_head head;
    struct home *h = open_well(dir, &writing);
    home_head(h, &head);
    home_close(h);
    return head;
}

static void note(const char *dir, uint64_t from, uint64_t to) {
    struct home *h = open_well(dir, &writing);
    for (uint64_t block = from; block <= to; block++) {
        const struct home_head head = {block, 10 * block};
        assert_int_equal(home_note_head(h, &head, block % 2), 0);
    }
    home_close(h);
}

/* Changes one byte of a file. */
static void spoil(const char *dir, const char *name, size_t at) {
    size_t n;
    char *bytes = lib_file_read(dir, name, &n);
    assert_true(at < n);
    bytes[at] ^= 1;
    lib_file_write(dir, name, bytes, n);
    free(bytes);
}

/* --- making and opening */

static void a_missing_or_empty_directory_becomes_a_store(void **state) {
    char *dir = *state, inner[LIB_PATH + 8];
    uint8_t id[16], other[16];
    static const uint8_t zeros[16];
    snprintf(inner, sizeof inner, "%s/inner", dir);
    make_store(inner, id);
    assert_memory_not_equal(id, zeros, 16);
    struct home *h = open_well(inner, &writing);
    struct home_head head = {1, 1};
    struct stat st;
    assert_false(home_is_new(h));
    assert_memory_equal(home_id(h), id, 16);
    assert_string_equal(home_path(h), inner);
    assert_string_equal(home_db_path(h), lib_path(inner, "db"));
    home_head(h, &head);
    assert_int_equal(head.block, 0);
    assert_int_equal(head.position, 0);
    assert_int_equal(fstat(home_fd(h), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    home_close(h);
    home_close(NULL);
    char *format = lib_file_read(inner, "format", NULL), want[128] = "esfs store\nformat 1\nid ";
    for (int i = 0; i < 16; i++)
        sprintf(want + strlen(want), "%02x", id[i]);
    strcat(want, "\n");
    assert_string_equal(format, want);
    free(format);
    assert_int_equal(rename(inner, lib_path(dir, "moved")), 0);
    assert_int_equal(mkdir(inner, 0700), 0);
    make_store(inner, other); /* an empty directory; every store has an id of its own */
    assert_memory_not_equal(id, other, 16);
}

static void an_interrupted_making_is_begun_anew(void **state) {
    char *dir = *state;
    struct home *h = open_well(dir, &writing);
    uint8_t first[16], id[16];
    memcpy(first, home_id(h), 16);
    assert_int_equal(mkdir(home_db_path(h), 0700), 0);
    assert_int_equal(mkdir(lib_path(dir, "db/tables"), 0700), 0);
    lib_file_write(dir, "db/CURRENT", "half", 4);
    lib_file_write(dir, "db/tables/1.sst", "half", 4);
    home_close(h); /* never sealed, as if it had been killed */
    assert_false(is_there(dir, "format"));
    assert_refused(dir, &existing, ENOENT, "no esfs store");
    assert_refused(dir, &reading, ENOENT, "no esfs store");
    assert_true(is_there(dir, "db/CURRENT"));
    h = open_well(dir, &writing);
    assert_true(home_is_new(h));
    assert_false(is_there(dir, "db"));
    home_close(h);
    make_store(dir, id);
    assert_memory_not_equal(first, id, 16);
    assert_true(is_there(dir, "format"));
    assert_false(is_there(dir, "format.new"));
}

static void a_store_that_must_exist_is_not_made(void **state) {
    char *dir = *state, inner[LIB_PATH + 8];
    snprintf(inner, sizeof inner, "%s/inner", dir);
    assert_refused(inner, &existing, ENOENT, "");
    assert_refused(inner, &reading, ENOENT, "");
    assert_refused(dir, &existing, ENOENT, "no esfs store");
    assert_refused(dir, &reading, ENOENT, "no esfs store");
    assert_int_equal(count_entries(dir), 0);
}

static void what_is_not_a_directory_is_refused(void **state) {
    char *dir = *state;
    lib_file_write(dir, "file", "text", 4);
    assert_refused(lib_path(dir, "file"), &writing, ENOTDIR, "not a directory");
    assert_refused(lib_path(dir, "file/store"), &writing, ENOTDIR, "");
    assert_refused(lib_path(dir, "missing/store"), &writing, ENOENT, "");
}

static void a_directory_of_somebody_else_is_refused_and_left_as_it_is(void **state) {
    static const char *const foreign[] = {"notes.txt", "db", "head", ".hidden", "formats"};
    char *dir = *state;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        lib_file_write(dir, foreign[i], "precious", 8);
        assert_refused(dir, &writing, EMEDIUMTYPE, foreign[i]);
        assert_int_equal(count_entries(dir), 1);
        assert_refused(dir, &reading, EMEDIUMTYPE, foreign[i]);
        assert_int_equal(count_entries(dir), 1);
        char *bytes = lib_file_read(dir, foreign[i], NULL);
        assert_string_equal(bytes, "precious");
        free(bytes);
        assert_int_equal(unlink(lib_path(dir, foreign[i])), 0);
    }
}

static void a_format_new_among_foreign_files_is_no_licence_to_clear_them(void **state) {
    char *dir = *state;
    lib_file_write(dir, "format.new", "", 0);
    lib_file_write(dir, "notes.txt", "precious", 8);
    assert_int_equal(mkdir(lib_path(dir, "db"), 0700), 0);
    lib_file_write(dir, "db/mine", "precious", 8);
    assert_refused(dir, &writing, EMEDIUMTYPE, "notes.txt");
    assert_true(is_there(dir, "db/mine"));
    assert_int_equal(count_entries(dir), 3);
}

static void the_lost_and_found_of_a_fresh_disk_is_no_obstacle(void **state) {
    uint8_t id[16];
    assert_int_equal(mkdir(lib_path(*state, "lost+found"), 0700), 0);
    make_store(*state, id);
    assert_true(is_there(*state, "lost+found"));
}

/* --- format */

static void a_newer_format_is_refused_whatever_it_looks_like(void **state) {
    char *dir = *state;
    uint8_t id[16];
    make_store(dir, id);
    const char *const newer[] = {"esfs store\nformat 2\nid 000102030405060708090a0b0c0d0e0f\n",
                                 "esfs store\nformat 3\nuuid 1-2-3\nmore\n"};
    for (size_t i = 0; i < 2; i++) {
        lib_file_write(dir, "format", newer[i], strlen(newer[i]));
        assert_refused(dir, &writing, EPROTONOSUPPORT, i ? "format 3" : "format 2");
        assert_refused(dir, &reading, EPROTONOSUPPORT, "reads format 1");
        char *now = lib_file_read(dir, "format", NULL);
        assert_string_equal(now, newer[i]);
        free(now);
    }
}

static void a_damaged_format_is_refused_in_words(void **state) {
    static const struct {
        const char *text;
        int code;
    } damaged[] = {
        {"", EMEDIUMTYPE},
        {"another program's format\n", EMEDIUMTYPE},
        {"esfs store\n", EMEDIUMTYPE},
        {"esfs store\nformat 1\nid \n", EUCLEAN},
        {"esfs store\nformat 1\nid 000102030405060708090a0b0c0d0e0\n", EUCLEAN},
        {"esfs store\nformat 1\nid 000102030405060708090a0b0c0d0e0f0\n", EUCLEAN},
        {"esfs store\nformat 1\nid 000102030405060708090a0b0c0d0e0g\n", EUCLEAN},
        {"esfs store\nformat 1\nid 000102030405060708090A0b0c0d0e0f\n", EUCLEAN},
        {"esfs store\nformat 1\nid 000102030405060708090a0b0c0d0e0f", EUCLEAN},
        {"esfs store\nformat 1\nid 000102030405060708090a0b0c0d0e0f\nmore\n", EUCLEAN},
    };
    char *dir = *state;
    uint8_t id[16];
    make_store(dir, id);
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        lib_file_write(dir, "format", damaged[i].text, strlen(damaged[i].text));
        assert_refused(dir, &writing, damaged[i].code, "format");
    }
    lib_file_write(dir, "format",
                   "esfs store\nformat 1\nid 0001020304050607\0"
                   "8090a0b0c0d0e0f\n",
                   56);
    assert_refused(dir, &writing, EUCLEAN, "NUL");
    lib_file_write(dir, "format", "esfs store\nformat 1\nid 000102030405060708090a0b0c0d0eff\n", 56);
    assert_refused(dir, &writing, EUCLEAN, "not of the store that `format` names");
}

/* --- lock */

static void a_second_opener_is_told_who_has_the_store(void **state) {
    char *dir = *state, words[64];
    uint8_t id[16];
    int ready[2];
    make_store(dir, id);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct home *h;
        bool ok = home_open(&h, dir, &writing, NULL) == 0 && write(ready[1], "", 1) == 1;
        while (ok)
            pause();
        _exit(1);
    }
    char c;
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    snprintf(words, sizeof words, "in use by process %d", (int)child);
    assert_refused(dir, &writing, EBUSY, words);
    assert_refused(dir, &reading, EBUSY, words);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    home_close(open_well(dir, &writing)); /* what a killed holder left behind does not lock */
}

static void readers_share_a_store_and_keep_writers_out(void **state) {
    char *dir = *state;
    uint8_t id[16];
    make_store(dir, id);
    struct home *a = open_well(dir, &reading), *b = open_well(dir, &reading);
    assert_refused(dir, &writing, EBUSY, "reads only"); /* not the writer of old that `lock` still names */
    home_close(a);
    assert_refused(dir, &writing, EBUSY, "reads only");
    home_close(b);
    home_close(open_well(dir, &writing));
}

static void a_reader_writes_nothing(void **state) {
    char *dir = *state;
    uint8_t id[16];
    make_store(dir, id);
    note(dir, 1, 3);
    const char *const names[] = {"format", "lock", "head"};
    char *before[3];
    size_t sizes[3];
    for (int i = 0; i < 3; i++) {
        before[i] = lib_file_read(dir, names[i], &sizes[i]);
        assert_int_equal(chmod(lib_path(dir, names[i]), 0400), 0);
    }
    assert_int_equal(chmod(dir, 0500), 0);
    struct home *h = open_well(dir, &reading);
    struct home_head head;
    home_head(h, &head);
    assert_int_equal(head.block, 3);
    assert_int_not_equal(home_note_head(h, &(struct home_head){9, 9}, false), 0);
    home_close(h);
    assert_int_equal(chmod(dir, 0700), 0);
    for (int i = 0; i < 3; i++) {
        size_t n;
        char *after = lib_file_read(dir, names[i], &n);
        assert_int_equal(n, sizes[i]);
        assert_memory_equal(after, before[i], n);
        free(after);
        free(before[i]);
    }
    assert_int_equal(count_entries(dir), 4);
}

/* --- head */

static void the_noted_head_is_the_one_that_was_noted_last(void **state) {
    char *dir = *state;
    uint8_t id[16];
    make_store(dir, id);
    for (uint64_t block = 1; block <= 5; block++) {
        note(dir, block, block); /* through a new handle each time: it must not overwrite the newest slot */
        assert_int_equal(head_of(dir).block, block);
        assert_int_equal(head_of(dir).position, 10 * block);
    }
    note(dir, 6, 11);
    assert_int_equal(head_of(dir).block, 11);
    size_t n;
    free(lib_file_read(dir, "head", &n));
    assert_int_equal(n, 64);
}

static void a_head_never_goes_back(void **state) {
    char *dir = *state;
    uint8_t id[16];
    make_store(dir, id);
    struct home *h = open_well(dir, &writing);
    const uint64_t blocks[] = {5, 6, 4, 3, 6, 2};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(home_note_head(h, &(struct home_head){blocks[i], blocks[i]}, true), 0);
    home_close(h);
    assert_int_equal(head_of(dir).block, 6);
    h = open_well(dir, &writing);
    assert_int_equal(home_note_head(h, &(struct home_head){4, 4}, false), 0);
    assert_int_equal(home_note_head(h, &(struct home_head){4, 4}, false), 0);
    home_close(h);
    assert_int_equal(head_of(dir).block, 6);
}

/* Whatever byte of the newest slot is wrong, the one before it counts; and it is the torn one that is written next. */
static void a_torn_slot_falls_back_to_the_other(void **state) {
    char *dir = *state;
    uint8_t id[16];
    make_store(dir, id);
    for (uint64_t newest = 10; newest <= 11; newest++) { /* once in each slot */
        note(dir, newest, newest);
        size_t n, slot = 0;
        char *good = lib_file_read(dir, "head", &n);
        if ((unsigned char)good[32 + 8] == newest)
            slot = 32;
        uint64_t before = newest == 10 ? 0 : 10;
        for (size_t at = 0; at < 32; at++) {
            spoil(dir, "head", slot + at);
            assert_int_equal(head_of(dir).block, before);
            lib_file_write(dir, "head", good, n);
        }
        spoil(dir, "head", slot + 20);
        note(dir, 12, 12);
        spoil(dir, "head", slot); /* 12 went there: the older one was not touched */
        assert_int_equal(head_of(dir).block, before);
        lib_file_write(dir, "head", good, n);
        free(good);
    }
}

static void a_head_of_one_slot_is_enough_and_none_is_damage(void **state) {
    char *dir = *state;
    uint8_t id[16];
    size_t n;
    make_store(dir, id);
    note(dir, 1, 7);
    char *good = lib_file_read(dir, "head", &n);
    for (size_t size = 0; size < 64; size++) {
        lib_file_write(dir, "head", good, size);
        if (size < 32)
            assert_refused(dir, &writing, EUCLEAN, "head");
        else
            assert_in_range(head_of(dir).block, 6, 7);
    }
    lib_file_write(dir, "head", good, n);
    spoil(dir, "head", 10);
    spoil(dir, "head", 32 + 10);
    assert_refused(dir, &writing, EUCLEAN, "damaged, or not of the store");
    free(good);
    assert_int_equal(unlink(lib_path(dir, "head")), 0);
    assert_refused(dir, &writing, EUCLEAN, "head");
    assert_false(is_there(dir, "head"));
}

struct noter {
    struct home *home;
    uint64_t first;
};

static void *note_many(void *arg) {
    const struct noter *n = arg;
    for (uint64_t i = n->first; i <= 2000; i += 2)
        home_note_head(n->home, &(struct home_head){i, i}, false);
    return NULL;
}

static void heads_may_be_noted_from_two_threads(void **state) {
    char *dir = *state;
    uint8_t id[16];
    make_store(dir, id);
    struct home *h = open_well(dir, &writing);
    struct noter noters[] = {{h, 1}, {h, 2}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, &noters[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    home_close(h);
    assert_int_equal(head_of(dir).block, 2000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    if (digest_init() != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(a_missing_or_empty_directory_becomes_a_store),
        TEST(an_interrupted_making_is_begun_anew),
        TEST(a_store_that_must_exist_is_not_made),
        TEST(what_is_not_a_directory_is_refused),
        TEST(a_directory_of_somebody_else_is_refused_and_left_as_it_is),
        TEST(a_format_new_among_foreign_files_is_no_licence_to_clear_them),
        TEST(the_lost_and_found_of_a_fresh_disk_is_no_obstacle),
        TEST(a_newer_format_is_refused_whatever_it_looks_like),
        TEST(a_damaged_format_is_refused_in_words),
        TEST(a_second_opener_is_told_who_has_the_store),
        TEST(readers_share_a_store_and_keep_writers_out),
        TEST(a_reader_writes_nothing),
        TEST(the_noted_head_is_the_one_that_was_noted_last),
        TEST(a_head_never_goes_back),
        TEST(a_torn_slot_falls_back_to_the_other),
        TEST(a_head_of_one_slot_is_enough_and_none_is_damage),
        TEST(heads_may_be_noted_from_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
