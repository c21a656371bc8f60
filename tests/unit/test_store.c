#include "store.h"

#include "event.h"
#include "home.h"
#include "lib_store.h"
#include "skipped.h"
#include "store_parts.h"

#include <dirent.h>
#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

/* --- a process of its own that does something to a store and is gone without closing it */

/* Appends n commands, one write each, calling store_sync() after `sync` of them, and leaves as kill -9 would. */
static int crash(const char *dir, const char *durability, const char *n, const char *sync) {
    struct store_options options = {.durability = (enum durability)atoi(durability)};
    struct store *s;
    const struct scope scope = {STR("order"), STR("1")};
    if (store_open(&s, dir, &options, NULL) != 0)
        return 1;
    struct channel *c = channel_new(s, &scope, &lib_caller, false);
    for (int i = 1; i <= atoi(n); i++) {
        char text[64];
        int bytes = snprintf(text, sizeof text, "{\"type\":\"E\",\"id\":\"%d\"}", i);
        if (lib_write(c, text, (size_t)bytes) != bytes)
            return 2;
        if (i == atoi(sync) && store_sync(s) != 0)
            return 3;
    }
    _exit(0);
}

static void run_crash(struct lib_store *l, enum durability durability, int n, int sync) {
    char args[3][16];
    pid_t child;
    int status;
    snprintf(args[0], sizeof args[0], "%d", (int)durability);
    snprintf(args[1], sizeof args[1], "%d", n);
    snprintf(args[2], sizeof args[2], "%d", sync);
    char *const argv[] = {(char[]){"test_store"}, (char[]){"crash"}, l->dir, args[0], args[1], args[2], NULL};
    lib_store_close(l);
    assert_int_equal(posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Cuts `bytes` off the end of the newest write-ahead log that has any. */
static void shorten_wal(const char *dir, long bytes) {
    char newest[64] = "";
    DIR *d = opendir(lib_path(dir, "db"));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        char name[300];
        snprintf(name, sizeof name, "db/%s", e->d_name);
        size_t n = strlen(e->d_name);
        if (n == 10 && strcmp(e->d_name + 6, ".log") == 0 && stat(lib_path(dir, name), &st) == 0 && st.st_size > 0 &&
            strcmp(name, newest) > 0)
            memcpy(newest, name, n + 4);
    }
    closedir(d);
    assert_true(newest[0]);
    struct stat st;
    assert_int_equal(stat(lib_path(dir, newest), &st), 0);
    assert_true(st.st_size > bytes);
    assert_int_equal(truncate(lib_path(dir, newest), st.st_size - bytes), 0);
}

static void assert_not_opened(struct lib_store *l, int code, const char *words) {
    struct err err = {0};
    struct store *s = NULL;
    int r = store_open(&s, l->dir, &l->options, &err);
    if (r == 0)
        store_close(s);
    assert_int_equal(r, -code);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" does not tell of \"%s\"", err.text, words);
}

/* As `esfsctl rebuild` and `verify` do, of a store that is closed. */
static void derive_again(struct lib_store *l) {
    struct err err = {0};
    struct index_damage damage;
    struct home *home;
    struct db *db;
    assert_int_equal(home_open(&home, l->dir, &(struct home_options){.must_exist = true}, &err), 0);
    assert_int_equal(db_open(&db, home_db_path(home), &(struct db_options){0}, &err), 0);
    if (index_rebuild(db, home_id(home), &err) != 0 || index_verify(db, home_id(home), &damage, &err) != 0)
        fail_msg("%s", err.text);
    db_close(db);
    home_close(home);
}

/* --- opening again */

static void fill(struct lib_store *l, int n) {
    struct channel *c = lib_channel(l, "", "");
    for (int i = 0; i < n; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"type\":\"E%d\",\"aggregate\":\"t%d/"
                 "%d\",\"data\":{\"p\":\"%0*d\"},\"id\":\"c%d\",\"correlationid\":\"k\","
                 "\"causationid\":\"w\",\"traceparent\":\"00-1\",\"meta\":{\"tenant\":\"a\\\"b\",\"n\":%d}}",
                 i % 5, i % 3, i % 11, i * 7 % 200 + 1, i, i, i);
        assert_int_equal(lib_puts(c, text), strlen(text));
    }
    channel_free(c);
}

static void a_store_that_is_opened_again_gives_identical_bytes(void **state) {
    struct lib_store *l = *state;
    char *before = NULL;
    size_t n = 0;
    uint8_t id[16];
    memcpy(id, store_id(l->store), 16);
    for (int round = 0; round < 4; round++) {
        fill(l, 100);
        if (before) { /* what there was is the beginning of what there is */
            size_t more;
            char *now = lib_log(l, &more);
            assert_true(more >= n);
            assert_memory_equal(now, before, n);
            free(now);
            free(before);
        }
        before = lib_log(l, &n);
        lib_store_close(l);
        lib_store_open(l);
        size_t same;
        char *after = lib_log(l, &same);
        assert_int_equal(same, n);
        assert_memory_equal(after, before, n);
        assert_memory_equal(store_id(l->store), id, 16);
        free(after);
    }
    assert_int_equal(lib_count(before, "\n"), 100); /* the same ids again: duplicates */
    free(before);
}

static void directories_are_kept_and_counted(void **state) {
    struct lib_store *l = *state;
    struct index_aggregate a;
    struct index_type type;
    fill(l, 30);
    lib_store_close(l);
    lib_store_open(l);
    assert_int_equal(lib_find(l->store, "t0", "0", &a), 0);
    assert_int_equal(a.version, 1);
    uint64_t number = a.no;
    lib_append(l, "t0", "0", "{\"type\":\"E\",\"expectedVersion\":1}");
    lib_append(l, "new", "0", "{\"type\":\"E\",\"expectedVersion\":0}");
    lib_store_close(l);
    lib_store_open(l);
    assert_int_equal(lib_find(l->store, "t0", "0", &a), 0);
    assert_int_equal(a.no, number);
    assert_int_equal(a.version, 2);
    assert_int_equal(index_type_by_name(store_index(l->store), STR("new"), &type), 0);
    assert_int_equal(type.no, 4);
    assert_int_equal(type.events, 1);
}

/* --- mkdir and rmdir */

struct declared {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    enum outcome outcome;
};

static void declared(void *arg, enum outcome outcome) {
    struct declared *d = arg;
    pthread_mutex_lock(&d->lock);
    d->done = true;
    d->outcome = outcome;
    pthread_cond_signal(&d->cond);
    pthread_mutex_unlock(&d->lock);
}

static enum outcome make_or_remove(struct lib_store *l, bool make, const char *type, const char *id) {
    struct declared d = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, OUTCOME_OK};
    char names[2][256];
    strcpy(names[0], type);
    strcpy(names[1], id);
    (make ? store_declare : store_undeclare)(l->store, str_of(names[0]), str_of(names[1]), &lib_caller, declared, &d);
    memset(names, 'x', sizeof names); /* they were copied */
    pthread_mutex_lock(&d.lock);
    while (!d.done)
        pthread_cond_wait(&d.cond, &d.lock);
    pthread_mutex_unlock(&d.lock);
    return d.outcome;
}

static void a_declared_aggregate_stays_until_it_is_undeclared(void **state) {
    struct lib_store *l = *state;
    struct index_aggregate a;
    struct index_type type;
    assert_int_equal(make_or_remove(l, true, "order", "1"), OUTCOME_OK);
    assert_int_equal(make_or_remove(l, true, "order", "1"), OUTCOME_EXISTS);
    assert_int_equal(make_or_remove(l, true, "order", ""), OUTCOME_EXISTS);
    assert_int_equal(make_or_remove(l, true, "stock", ""), OUTCOME_OK);
    assert_int_equal(lib_find(l->store, "order", "1", &a), 0);
    uint64_t number = a.no;
    assert_int_equal(a.version, 0);
    lib_store_close(l);
    lib_store_open(l);
    assert_int_equal(lib_find(l->store, "order", "1", &a), 0);
    assert_int_equal(make_or_remove(l, false, "order", ""), OUTCOME_NOT_EMPTY);
    assert_int_equal(make_or_remove(l, false, "order", "2"), OUTCOME_NOT_FOUND);
    assert_int_equal(make_or_remove(l, false, "nothing", ""), OUTCOME_NOT_FOUND);
    assert_int_equal(make_or_remove(l, false, "nothing", "1"), OUTCOME_NOT_FOUND);
    assert_int_equal(make_or_remove(l, false, "order", "1"), OUTCOME_OK);
    assert_int_equal(lib_find(l->store, "order", "1", &a), INDEX_NONE);
    assert_int_equal(make_or_remove(l, false, "order", "1"), OUTCOME_NOT_FOUND);
    assert_int_equal(make_or_remove(l, false, "order", ""), OUTCOME_OK);
    assert_int_equal(index_type_by_name(store_index(l->store), STR("order"), &type), INDEX_NONE);
    lib_append(l, "order", "1",
               "{\"type\":\"E\",\"expectedVersion\":\"none\"}"); /* both names again, with new numbers */
    assert_int_equal(lib_find(l->store, "order", "1", &a), 0);
    assert_true(a.no > number);
    assert_int_equal(a.type_no, 3);
    assert_int_equal(make_or_remove(l, false, "order", "1"), OUTCOME_NOT_EMPTY);
    lib_store_close(l);
    lib_store_open(l);
    assert_int_equal(lib_version(l, "order", "1"), 1);
    assert_int_equal(lib_version(l, "stock", "1"), -1);
    assert_int_equal(index_type_by_name(store_index(l->store), STR("stock"), &type), 0);
}

static void an_id_of_an_aggregate_that_was_removed_is_forgotten(void **state) {
    struct lib_store *l = *state;
    const char *check = "[{\"expectedVersion\":0}]";
    assert_int_equal(make_or_remove(l, true, "order", "1"), OUTCOME_OK);
    lib_append(l, "order", "1", check);
    assert_int_equal(make_or_remove(l, false, "order", "1"), OUTCOME_OK);
    char *lines;
    assert_int_equal(lib_send(l, "order", "1", "{\"type\":\"E\",\"id\":\"c\"}", &lines), 21);
    LINE_HAS(lines, 0, "{\"version\":1,\"duplicate\":null}");
    free(lines);
}

static void bad_and_reserved_names_are_not_made(void **state) {
    struct lib_store *l = *state;
    static const char *const types[] = {".hidden", "$system", "a\nb", "\xff", "views", "commands", "log.ndjson"};
    static const char *const ids[] = {".hidden", "$system", "\x7f", "commands", "log.ndjson", "rejections.ndjson"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        assert_int_equal(make_or_remove(l, true, types[i], ""), OUTCOME_INVALID);
        assert_int_equal(make_or_remove(l, true, types[i], "1"), OUTCOME_INVALID);
    }
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_int_equal(make_or_remove(l, true, "order", ids[i]), OUTCOME_INVALID);
    struct index_head head;
    index_head(store_index(l->store), &head);
    assert_int_equal(head.block, 0); /* and no empty blocks either */
}

/* --- skips */

static enum outcome pass_over(struct lib_store *l, const char *follower, size_t n, uint64_t position) {
    struct declared d = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, OUTCOME_OK};
    char *name = malloc(n ? n : 1);
    memcpy(name, follower, n);
    store_skip(l->store, (struct str){name, n}, position, &lib_caller, declared, &d);
    free(name); /* it was copied */
    pthread_mutex_lock(&d.lock);
    while (!d.done)
        pthread_cond_wait(&d.cond, &d.lock);
    pthread_mutex_unlock(&d.lock);
    return d.outcome;
}

static uint64_t head_block(struct lib_store *l) {
    struct index_head head;
    index_head(store_index(l->store), &head);
    return head.block;
}

/* Those of one follower: their number. */
static size_t count_skips(struct lib_store *l, const char *follower) {
    struct index_skip skip = {0};
    size_t n = 0;
    while (index_skip_after(store_index(l->store), str_of(follower), skip.position, &skip) == 0)
        n++;
    return n;
}

static void an_event_is_passed_over_for_good(void **state) {
    struct lib_store *l = *state;
    struct index_skip skip;
    struct index_type type;
    fill(l, 50);
    uint64_t block = head_block(l), before = store_now();
    for (int round = 0; round < 4; round++) {
        struct index *ix = store_index(l->store);
        assert_int_equal(index_skip_find(ix, STR("views/a"), 41), round ? 0 : INDEX_NONE);
        assert_int_equal(pass_over(l, "views/a", 7, 41), OUTCOME_OK); /* the second time nothing is appended */
        assert_int_equal(index_skip_find(ix, STR("views/a"), 41), 0);
        assert_int_equal(index_skip_find(ix, STR("views/a"), 40), INDEX_NONE);
        assert_int_equal(index_skip_find(ix, STR("views/b"), 41), INDEX_NONE);
        assert_int_equal(head_block(l), block + 1);
        assert_int_equal(index_skip_after(ix, STR("views/a"), 0, &skip), 0);
        assert_int_equal(skip.position, 41);
        assert_int_equal(skip.uid, 1000);
        assert_true(skip.time >= before && skip.time < before + 600000000);
        assert_int_equal(index_type_by_name(ix, STR("t1"), &type), 0); /* event 41 is of the 40th command: t(40 % 3) */
        assert_int_equal(skip.type_no, type.no);
        assert_int_equal(index_skip_after(ix, STR("views/a"), 41, &skip), INDEX_NONE);
        lib_store_close(l);
        if (round == 2)
            derive_again(l);
        lib_store_open(l);
    }
    assert_int_equal(pass_over(l, "views/b", 7, 41), OUTCOME_OK);
    assert_int_equal(head_block(l), block + 2);
    assert_int_equal(count_skips(l, "views/a"), 1);
    assert_int_equal(count_skips(l, "views/b"), 1);
    lib_append(l, "t1", "9", "{\"type\":\"E\"}");
    assert_int_equal(pass_over(l, "views/b", 7, 51), OUTCOME_OK);
    lib_append(l, "t1", "9", "{\"type\":\"E\"}");
    struct text_event earlier, later;
    assert_int_equal(text_stat_event(l->store, 51, &earlier), 0);
    assert_int_equal(text_stat_event(l->store, 52, &later), 0);
    assert_int_equal(index_skip_after(store_index(l->store), STR("views/b"), 41, &skip), 0);
    assert_true(earlier.time < skip.time && skip.time < later.time);
}

static void what_is_passed_over_is_shown(void **state) {
    struct lib_store *l = *state;
    uint64_t positions[4];
    struct index_skip skip;
    struct buf text = {0};
    char *line = calloc(1, 4096);
    fill(l, 50);
    for (uint64_t position = 41; position > 1; position -= 10)
        assert_int_equal(pass_over(l, "views/a", 7, position), OUTCOME_OK);
    assert_int_equal(pass_over(l, "views/b", 7, 12), OUTCOME_OK);
    assert_int_equal(skipped_positions(l->store, STR("views/a"), 0, positions, 3), 3);
    assert_true(positions[0] == 11 && positions[1] == 21 && positions[2] == 31);
    assert_int_equal(skipped_positions(l->store, STR("views/a"), 31, positions, 3), 1);
    assert_int_equal(positions[0], 41);
    assert_int_equal(skipped_positions(l->store, STR("views/a"), 41, positions, 3), 0);
    assert_int_equal(skipped_positions(l->store, STR("views/a"), UINT64_MAX, positions, 3), 0);
    assert_int_equal(skipped_find(l->store, STR("views/a"), 21, &skip), 0);
    assert_int_equal(skip.position, 21);
    for (uint64_t position = 0; position <= 60; position += 12)
        assert_int_equal(skipped_find(l->store, STR("views/a"), position, &skip), INDEX_NONE);
    assert_int_equal(skipped_text(l->store, STR("views/b"), 12, &text), 0);
    buf_put_char(&text, '\0');
    assert_non_null(strstr(text.p, "{\"position\":\"000000000000000c\",\"time\":\"20"));
    assert_non_null(strstr(text.p, "Z\",\"uid\":1000,\"event\":{"));
    ssize_t n = text_read_event(l->store, 12, 0, line, 4095);
    assert_true(n > 1);
    line[n - 1] = '\0';
    assert_non_null(strstr(text.p, line));
    assert_string_equal(text.p + strlen(text.p) - 3, "}}\n");
    assert_int_equal(skipped_text(l->store, STR("views/b"), 11, &text), -ENOENT);
    buf_free(&text);
    free(line);
}

static void what_is_no_follower_or_no_event_is_not_passed_over(void **state) {
    struct lib_store *l = *state;
    char name[BLOCK_FOLLOWER_BYTES + 1];
    memset(name, 'n', sizeof name);
    assert_int_equal(pass_over(l, "views/a", 7, 1), OUTCOME_NOT_FOUND);
    fill(l, 5);
    uint64_t block = head_block(l);
    static const uint64_t absent[] = {0, 6, 1ULL << 40, UINT64_MAX};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_int_equal(pass_over(l, "views/a", 7, absent[i]), OUTCOME_NOT_FOUND);
    static const char *const wrong[] = {"", "views/a\n", "\x7f", "views/\xff", "\xc2\x85", "\xef\xbf\xbe"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(pass_over(l, wrong[i], strlen(wrong[i]), 1), OUTCOME_INVALID);
    assert_int_equal(pass_over(l, "views/\0a", 8, 1), OUTCOME_INVALID);
    assert_int_equal(pass_over(l, name, sizeof name, 1), OUTCOME_INVALID);
    assert_int_equal(head_block(l), block);
    assert_int_equal(pass_over(l, name, sizeof name - 1, 5), OUTCOME_OK);
    assert_int_equal(head_block(l), block + 1);
    lib_store_close(l);
    l->options.read_only = true;
    lib_store_open(l);
    assert_int_equal(pass_over(l, "views/a", 7, 1), OUTCOME_READ_ONLY);
    assert_int_equal(index_skip_find(store_index(l->store), (struct str){name, sizeof name - 1}, 5), 0);
}

enum { PASSED = 40, PASSERS = 4 };

static void *pass_over_all(void *arg) {
    struct lib_store *l = arg;
    for (uint64_t position = 1; position <= PASSED; position++)
        assert_int_equal(pass_over(l, "views/a", 7, position), OUTCOME_OK);
    return NULL;
}

static void an_event_is_passed_over_once_whoever_asks_at_the_same_time(void **state) {
    struct lib_store *l = *state;
    pthread_t threads[PASSERS];
    fill(l, PASSED);
    for (int i = 0; i < PASSERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pass_over_all, l), 0);
    for (int i = 0; i < 300; i++)
        lib_append(l, "order", "1", "{\"type\":\"E\"}");
    for (int i = 0; i < PASSERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(count_skips(l, "views/a"), PASSED);
    assert_int_equal(lib_version(l, "order", "1"), 300);
    lib_store_close(l);
    lib_store_open(l); /* where a second one would be damage */
    assert_int_equal(count_skips(l, "views/a"), PASSED);
}

/* --- durability */

static void what_was_acknowledged_is_there_after_a_crash(void **state) {
    struct lib_store *l = *state;
    long want = 0;
    for (enum durability d = DURABILITY_COMMIT; d <= DURABILITY_OS; d++) {
        run_crash(l, d, 20 * (d + 1), d == DURABILITY_FSYNC ? 25 : 0);
        l->options.durability = d;
        lib_store_open(l);
        want = 20 * ((long)d + 1); /* the ids of the run before are duplicates */
        assert_int_equal(lib_version(l, "order", "1"), want);
    }
    size_t n;
    char *log = lib_log(l, &n);
    assert_int_equal(lib_count(log, "\n"), want);
    free(log);
}

static void a_log_that_was_cut_short_is_refused(void **state) {
    struct lib_store *l = *state;
    static const struct {
        long bytes;
        const char *words;
    } cuts[] = {{1, "cut short: it ends with block 19 at position 0000000000000013, but block 20 at position "
                    "0000000000000014 was made durable"},
                {1000, "block 20 at position 0000000000000014 was made durable"}};
    for (size_t i = 0; i < 2; i++) {
        run_crash(l, DURABILITY_COMMIT, 20, 0);
        shorten_wal(l->dir, cuts[i].bytes);
        l->options.read_only = true;
        assert_not_opened(l, EUCLEAN, cuts[i].words);
        l->options.read_only = false;
        assert_not_opened(l, EUCLEAN, cuts[i].words);
        assert_not_opened(l, EUCLEAN, cuts[i].words); /* it does not heal by itself */
        lib_dir_remove(l->dir);
        lib_store_open(l);
    }
}

static void a_log_cut_short_behind_the_last_sync_has_lost_nothing_that_was_promised(void **state) {
    struct lib_store *l = *state;
    run_crash(l, DURABILITY_FSYNC, 20, 15);
    shorten_wal(l->dir, 1);
    lib_store_open(l);
    assert_int_equal(lib_version(l, "order", "1"), 19);
    lib_append(l, "order", "1", "{\"type\":\"E\",\"expectedVersion\":19}");
    run_crash(l, DURABILITY_FSYNC, 40, 30); /* 1 to 19 are duplicates; up to 30 synced */
    shorten_wal(l->dir, 2000);
    assert_not_opened(l, EUCLEAN, "cut short");
}

static void closing_makes_everything_durable(void **state) {
    struct lib_store *l = *state;
    for (enum durability d = DURABILITY_COMMIT; d <= DURABILITY_OS; d++) {
        lib_store_close(l);
        l->options.durability = d;
        lib_store_open(l);
        lib_append(l, "order", "1", "{\"type\":\"E\"}");
        lib_store_close(l);
        size_t n;
        char *head = lib_file_read(l->dir, "head", &n);
        assert_int_equal(n, 64);
        assert_true(head[8] == (char)(d + 1) || head[32 + 8] == (char)(d + 1)); /* block d + 1 is noted */
        free(head);
        lib_store_open(l);
    }
}

/* --- read-only */

/* Names, sizes and times of all files, as one text. */
static char *listing(const char *dir) {
    char command[LIB_PATH + 64], *text = calloc(1, 1 << 16);
    snprintf(command, sizeof command, "cd '%s' && find . -printf '%%p %%s %%T@ %%C@\\n' | sort", dir);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
    pclose(f);
    return text;
}

static void a_store_opened_read_only_is_read_and_not_touched(void **state) {
    struct lib_store *l = *state;
    size_t n, same;
    fill(l, 50);
    char *before = lib_log(l, &n);
    run_crash(l, DURABILITY_OS, 3, 0); /* so that there is something in the write-ahead log */
    char *files = listing(l->dir);
    l->options.read_only = true;
    lib_store_open(l);
    struct lib_store second = *l;
    lib_store_open(&second); /* readers share it */
    char *after = lib_log(l, &same);
    assert_true(same > n);
    assert_memory_equal(after, before, n);
    assert_int_equal(lib_version(&second, "order", "1"), 3);
    assert_true(store_read_only(l->store));
    assert_int_equal(store_sync(l->store), 0);
    assert_int_equal(make_or_remove(l, true, "order", "9"), OUTCOME_READ_ONLY);
    assert_int_equal(make_or_remove(l, false, "order", "1"), OUTCOME_READ_ONLY);
    assert_int_equal(lib_send(l, "order", "1", "{\"type\":\"E\"}", NULL), -EROFS);
    lib_store_close(&second);
    lib_store_close(l);
    char *files_after = listing(l->dir);
    assert_string_equal(files, files_after);
    free(files);
    free(files_after);
    l->options.read_only = false;
    lib_store_open(l);
    assert_false(store_read_only(l->store));
    assert_int_equal(lib_version(l, "order", "1"), 3);
    free(before);
    free(after);
}

static void a_store_is_open_once_for_writing(void **state) {
    struct lib_store *l = *state;
    char words[64];
    snprintf(words, sizeof words, "in use by process %d", (int)getpid());
    assert_not_opened(l, EBUSY, words);
    l->options.read_only = true;
    assert_not_opened(l, EBUSY, words);
    l->options.read_only = false;
    lib_append(l, "order", "1", "{\"type\":\"E\"}"); /* the one who has it does not notice */
}

static void a_missing_store_is_made_only_when_that_was_asked_for(void **state) {
    struct lib_store *l = *state, other = {.options = {.must_exist = true}};
    snprintf(other.dir, sizeof other.dir, "%.*s/other", LIB_PATH - 8, l->dir);
    assert_not_opened(&other, ENOENT, "other");
    other.options = (struct store_options){.read_only = true};
    assert_not_opened(&other, ENOENT, "other");
    assert_int_equal(access(other.dir, F_OK), -1);
    other.options = (struct store_options){.durability = DURABILITY_OS};
    lib_store_open(&other);
    lib_append(&other, "order", "1", "{\"type\":\"E\"}");
    lib_store_close(&other);
    other.options.must_exist = true;
    lib_store_open(&other);
    assert_int_equal(lib_version(&other, "order", "1"), 1);
    lib_store_close(&other);
    assert_int_equal(store_close(NULL), 0);
}

/* --- telling */

static void status_and_config_tell_what_the_store_is(void **state) {
    struct lib_store *l = *state;
    struct buf text = {0};
    fill(l, 30);
    lib_send(l, "order", "1", "{\"type\":\"\"}", NULL);
    lib_send(l, "order", "1", "{\"type\":\"E\",\"expectedVersion\":1}", NULL);
    assert_int_equal(store_status(l->store, &text), 0);
    json_error_t where;
    json_t *status = json_loadb(text.p, text.n, 0, &where);
    assert_non_null(status);
    assert_int_equal(text.p[text.n - 1], '\n');
    assert_string_equal(json_string_value(json_object_get(status, "state")), "ok");
    assert_string_equal(json_string_value(json_object_get(status, "position")), "000000000000001e");
    assert_int_equal(json_integer_value(json_object_get(status, "events")), 30);
    assert_int_equal(json_integer_value(json_object_get(status, "types")), 3);
    assert_int_equal(json_integer_value(json_object_get(status, "aggregates")), 30);
    assert_int_equal(json_integer_value(json_object_get(status, "commands")), 30);
    assert_int_equal(json_integer_value(json_object_get(status, "queued")), 0);
    assert_int_equal(json_integer_value(json_object_get(status, "pid")), getpid());
    assert_null(json_object_get(status, "reason"));
    json_decref(status);
    buf_clear(&text);
    assert_int_equal(store_config(l->store, &text), 0);
    json_t *config = json_loadb(text.p, text.n, 0, &where);
    assert_string_equal(json_string_value(json_object_get(config, "store")), l->dir);
    assert_string_equal(json_string_value(json_object_get(config, "durability")), "os");
    assert_int_equal(json_integer_value(json_object_get(config, "max_command")), STORE_MAX_COMMAND_DEFAULT);
    assert_int_equal(strlen(json_string_value(json_object_get(config, "store_id"))), 32);
    json_decref(config);
    lib_store_close(l);
    l->options.read_only = true;
    lib_store_open(l);
    buf_clear(&text);
    assert_int_equal(store_status(l->store, &text), 0);
    status = json_loadb(text.p, text.n, 0, &where);
    assert_string_equal(json_string_value(json_object_get(status, "state")), "read-only");
    assert_non_null(json_object_get(status, "reason"));
    json_decref(status);
    buf_free(&text);
}

static void take_line(void *arg, int priority, const char *line) {
    snprintf(arg, 256, "%d %s", priority, line);
}

static void a_report_is_a_line_for_the_operator_and_one_of_errors(void **state) {
    struct lib_store *l = *state;
    char line[256] = "", got[512];
    struct err err = {0};
    lib_store_close(l);
    l->options.log = take_line;
    l->options.log_arg = line;
    lib_store_open(l);
    err_set(&err, EIO, "position 7: \"bad\"\n");
    store_report(l->store, "reading the log", &err);
    assert_string_equal(line, "3 reading the log: position 7: \"bad\"\n");
    uint64_t size, time;
    journal_stat(store_errors(l->store), STR(""), &size, &time);
    assert_int_equal(journal_read(store_errors(l->store), STR(""), 0, got, sizeof got - 1), size);
    got[size] = '\0';
    assert_int_equal(lib_count(got, "\n"), 1);
    LINE_HAS(got, 0, "{\"what\":\"reading the log\",\"error\":\"position 7: \\\"bad\\\"\\n\"}");
}

/* --- damage */

static void a_flipped_byte_in_the_log_is_not_served(void **state) {
    struct lib_store *l = *state;
    run_crash(l, DURABILITY_COMMIT, 20, 0);
    char name[32] = "";
    DIR *d = opendir(lib_path(l->dir, "db"));
    for (struct dirent *e; (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if (n == 10 && strcmp(e->d_name + 6, ".log") == 0 && strcmp(e->d_name, name + (name[0] ? 3 : 0)) > 0)
            snprintf(name, sizeof name, "db/%.16s", e->d_name);
    }
    closedir(d);
    size_t n;
    char *wal = lib_file_read(l->dir, name, &n);
    assert_true(n > 1000);
    wal[n / 2] ^= 1;
    lib_file_write(l->dir, name, wal, n);
    free(wal);
    struct err err = {0};
    struct store *s;
    assert_true(store_open(&s, l->dir, &l->options, &err) < 0); /* never with 10 events less and no word */
    assert_true(err.text[0]);
}

int main(int argc, char **argv) {
    if (argc == 6 && strcmp(argv[1], "crash") == 0)
        return crash(argv[2], argv[3], argv[4], argv[5]);
    const struct CMUnitTest tests[] = {
        LIB_TEST(a_store_that_is_opened_again_gives_identical_bytes),
        LIB_TEST(directories_are_kept_and_counted),
        LIB_TEST(a_declared_aggregate_stays_until_it_is_undeclared),
        LIB_TEST(an_id_of_an_aggregate_that_was_removed_is_forgotten),
        LIB_TEST(bad_and_reserved_names_are_not_made),
        LIB_TEST(an_event_is_passed_over_for_good),
        LIB_TEST(what_is_passed_over_is_shown),
        LIB_TEST(what_is_no_follower_or_no_event_is_not_passed_over),
        LIB_TEST(an_event_is_passed_over_once_whoever_asks_at_the_same_time),
        LIB_TEST(what_was_acknowledged_is_there_after_a_crash),
        LIB_TEST(a_log_that_was_cut_short_is_refused),
        LIB_TEST(a_log_cut_short_behind_the_last_sync_has_lost_nothing_that_was_promised),
        LIB_TEST(closing_makes_everything_durable),
        LIB_TEST(a_store_opened_read_only_is_read_and_not_touched),
        LIB_TEST(a_store_is_open_once_for_writing),
        LIB_TEST(a_missing_store_is_made_only_when_that_was_asked_for),
        LIB_TEST(status_and_config_tell_what_the_store_is),
        LIB_TEST(a_report_is_a_line_for_the_operator_and_one_of_errors),
        LIB_TEST(a_flipped_byte_in_the_log_is_not_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
