/* decide.c through the front door: what must hold however much is decided between two flushes. */
#include "index_private.h"
#include "lib_store.h"

#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>

static void put_checks(struct buf *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        buf_printf(text, "[{\"aggregate\":\"t/%zx\",\"expectedVersion\":0}]\n", i);
}

static ssize_t send(struct lib_store *l, const struct buf *text, char **results) {
    struct channel *c = lib_channel(l, "", "");
    ssize_t taken = lib_write(c, text->p, text->n);
    if (results)
        *results = lib_results(c);
    channel_free(c);
    return taken;
}

/* Checks put nothing into the block, so it never gets full of them; yet each of them touches an aggregate. */
static void a_block_knows_its_aggregates_whatever_else_it_looks_at(void **state) {
    struct lib_store *l = *state;
    struct buf text = {0};
    buf_put_text(&text, "{\"type\":\"A\",\"aggregate\":\"t/first\",\"expectedVersion\":0}\n");
    put_checks(&text, 300000);
    buf_put_text(&text, "{\"type\":\"B\",\"aggregate\":\"t/first\",\"expectedVersion\":1}\n");
    assert_false(text.oom);
    assert_int_equal(send(l, &text, NULL), text.n);
    assert_int_equal(lib_version(l, "t", "first"), 2);
    buf_free(&text);
    lib_store_close(l);
    lib_store_open(l);
    assert_int_equal(lib_version(l, "t", "first"), 2);
}

static void a_transaction_may_begin_an_aggregate_with_many_events(void **state) {
    struct lib_store *l = *state;
    struct buf text = {0};
    for (size_t i = 0; i < 70000; i++)
        buf_put_text(&text, i ? ",{\"type\":\"A\"}" : "[{\"type\":\"A\"}");
    buf_put_text(&text, "]");
    struct channel *c = lib_channel(l, "t", "1");
    assert_int_equal(lib_write(c, text.p, text.n), text.n);
    channel_free(c);
    assert_int_equal(lib_version(l, "t", "1"), 70000);
    buf_free(&text);
}

static void aggregates_are_made_when_types_have_run_out(void **state) {
    struct lib_store *l = *state;
    struct buf text = {0};
    for (size_t i = 1; i < INDEX_TYPES_MAX; i++)
        buf_printf(&text, "{\"type\":\"A\",\"aggregate\":\"t%zu/1\"}", i);
    assert_int_equal(send(l, &text, NULL), text.n);
    assert_int_equal(lib_send(l, "", "", "{\"type\":\"A\",\"aggregate\":\"more/1\"}", NULL), -ENOSPC);
    lib_append(l, "", "", "{\"type\":\"A\",\"aggregate\":\"t7/2\"}");
    lib_append(l, "", "", "[{\"type\":\"A\",\"aggregate\":\"t7/3\"},{\"type\":\"A\",\"aggregate\":\"t8/3\"}]");
    assert_int_equal(lib_send(l, "", "",
                              "[{\"type\":\"A\",\"aggregate\":\"t7/4\"},{\"type\":\"A\",\"aggregate\":\"more/4\"}]",
                              NULL),
                     -ENOSPC);
    assert_int_equal(lib_version(l, "t7", "4"), -1);
    lib_store_close(l);
    lib_store_open(l);
    assert_int_equal(lib_version(l, "t8", "3"), 1);
    buf_free(&text);
}

/* --- a decision that does not fit the log: as if deciding had gone wrong, the index is made to think otherwise */

static void stream_differs(struct index *ix) {
    struct index_type t;
    struct index_aggregate a;
    assert_int_equal(index_type_by_name(ix, STR("t"), &t), 0);
    assert_int_equal(index_aggregate_by_name(ix, t.no, STR("kept"), &a, NULL), 0);
    for (size_t i = 0; i < ix->open->n_streams; i++)
        ix->open->streams[i].first_version += ix->open->streams[i].aggregate == a.no;
}

static void numbers_differ(struct index *ix) {
    ix->head.next_aggregate++;
}

static void types_differ(struct index *ix) {
    ix->head.next_type++;
}

static const struct {
    void (*differ)(struct index *ix);
    const char *commands, *words;
} differences[] = {
    {stream_differs, "{\"type\":\"A\",\"aggregate\":\"t/other\"}{\"type\":\"A\",\"aggregate\":\"t/kept\"}",
     "does not follow"},
    {numbers_differ, "{\"type\":\"A\",\"aggregate\":\"t/kept\"}{\"type\":\"A\",\"aggregate\":\"t/fresh\"}", "number"},
    {types_differ, "{\"type\":\"A\",\"aggregate\":\"fresh/1\"}", "number"},
};

/* In a process of its own, which a store that has failed wants to be left by _exit(). */
static int decide_wrongly(const char *dir, long i) {
    struct lib_store l = {.options = {.durability = DURABILITY_OS}};
    char *results;
    snprintf(l.dir, sizeof l.dir, "%s", dir);
    lib_store_open(&l);
    lib_append(&l, "t", "kept", "{\"type\":\"A\"}");
    differences[i].differ(store_index(l.store));
    assert_int_equal(lib_send(&l, "", "", differences[i].commands, &results), -EIO);
    assert_int_equal(lib_count(results, "\"status\":\"unknown\""), 1);
    assert_int_equal(lib_count(results, "\"status\":\"appended\""), 0);
    assert_true(store_read_only(l.store));
    assert_int_equal(lib_send(&l, "t", "other", "{\"type\":\"A\"}", NULL), -EROFS);
    char *errors = lib_topic(store_errors(l.store), "");
    assert_non_null(strstr(errors, differences[i].words));
    store_close(l.store);
    return 0;
}

static void what_is_wrong_is_not_written(void **state) {
    struct lib_store *l = *state;
    lib_append(l, "t", "other", "{\"type\":\"A\"}");
    for (long i = 0; i < 3; i++) {
        char number[] = {(char)('0' + i), 0};
        char *const argv[] = {(char[]){"test_decide"}, l->dir, number, NULL};
        pid_t child;
        int status;
        lib_store_close(l);
        assert_int_equal(posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        lib_store_open(l);
        assert_int_equal(lib_version(l, "t", "kept"), i + 1);
        assert_int_equal(lib_version(l, "t", "other"), 1);
        assert_int_equal(lib_version(l, "t", "fresh"), -1);
        assert_int_equal(lib_version(l, "fresh", "1"), -1);
        size_t n;
        char *log = lib_log(l, &n);
        assert_int_equal(lib_count(log, "\n"), i + 2);
        free(log);
    }
    lib_append(l, "t", "fresh", "{\"type\":\"A\"}");
}

int main(int argc, char **argv) {
    if (argc == 3)
        _exit(decide_wrongly(argv[1], atol(argv[2])));
    const struct CMUnitTest tests[] = {
        LIB_TEST(a_block_knows_its_aggregates_whatever_else_it_looks_at),
        LIB_TEST(a_transaction_may_begin_an_aggregate_with_many_events),
        LIB_TEST(aggregates_are_made_when_types_have_run_out),
        LIB_TEST(what_is_wrong_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
