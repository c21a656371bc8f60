#include "journal.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct str all = {NULL, 0};

static void assert_holds(struct journal *j, struct str topic, const char *want) {
    uint64_t size, time;
    char got[256];
    journal_stat(j, topic, &size, &time);
    assert_int_equal(size, strlen(want));
    assert_int_equal(journal_read(j, topic, 0, got, sizeof got), size);
    assert_memory_equal(got, want, size);
}

static void an_empty_journal_has_size_zero_and_no_time(void **state) {
    (void)state;
    struct journal *j = journal_new(100);
    uint64_t size = 1, time = 1;
    char c;
    journal_stat(j, all, &size, &time);
    assert_int_equal(size, 0);
    assert_int_equal(time, 0);
    assert_int_equal(journal_read(j, all, 0, &c, 1), 0);
    journal_free(j);
    journal_free(NULL);
}

static void a_topic_shows_its_own_lines_and_no_topic_shows_all(void **state) {
    (void)state;
    struct journal *j = journal_new(1000);
    journal_add(j, STR("order"), STR("one\n"), 10);
    journal_add(j, STR("stock"), STR("two two\n"), 20);
    journal_add(j, all, STR("three\n"), 30);
    journal_add(j, STR("order"), STR("4\n"), 25);
    assert_holds(j, all, "one\ntwo two\nthree\n4\n");
    assert_holds(j, STR("order"), "one\n4\n");
    assert_holds(j, STR("stock"), "two two\n");
    assert_holds(j, STR("orde"), "");
    uint64_t size, time;
    journal_stat(j, STR("stock"), &size, &time);
    assert_int_equal(time, 20);
    journal_stat(j, all, &size, &time);
    assert_int_equal(time, 25); /* of the last line, whatever the clock did */
    journal_free(j);
}

static void lines_and_topics_are_copied(void **state) {
    (void)state;
    struct journal *j = journal_new(1000);
    char line[] = "mine\n", topic[] = "order";
    journal_add(j, (struct str){topic, 5}, (struct str){line, 5}, 1);
    memset(line, 'x', 5);
    memset(topic, 'x', 5);
    assert_holds(j, STR("order"), "mine\n");
    journal_free(j);
}

static void every_offset_and_size_reads_the_same_bytes(void **state) {
    (void)state;
    struct journal *j = journal_new(1000);
    const char *whole = "one\ntwo two\n\n4\n";
    const size_t n = strlen(whole);
    journal_add(j, STR("t"), STR("one\n"), 1);
    journal_add(j, STR("u"), STR("not this\n"), 2);
    journal_add(j, STR("t"), STR("two two\n"), 3);
    journal_add(j, STR("t"), STR("\n"), 4);
    journal_add(j, STR("t"), STR("4\n"), 5);
    for (size_t offset = 0; offset <= n + 2; offset++)
        for (size_t size = 0; size <= n + 2; size++) {
            size_t left = offset < n ? n - offset : 0, want = size < left ? size : left;
            char *got = malloc(size + 1); /* exact, so that writing past it shows */
            assert_int_equal(journal_read(j, STR("t"), offset, got, size), want);
            assert_memory_equal(got, whole + (offset < n ? offset : n), want);
            free(got);
        }
    journal_free(j);
}

static void a_full_journal_drops_its_older_half(void **state) {
    (void)state;
    struct journal *j = journal_new(100);
    char line[16];
    uint64_t size, time;
    for (int i = 0; i < 10; i++) { /* ten lines of ten bytes fill it exactly */
        snprintf(line, sizeof line, "line %04d\n", i);
        journal_add(j, all, str_of(line), (uint64_t)i);
    }
    journal_stat(j, all, &size, &time);
    assert_int_equal(size, 100);
    journal_add(j, all, STR("line 0010\n"), 10);
    assert_holds(j, all, "line 0005\nline 0006\nline 0007\nline 0008\nline 0009\nline 0010\n");
    for (int i = 11; i < 1000; i++) {
        snprintf(line, sizeof line, "line %04d\n", i);
        journal_add(j, all, str_of(line), (uint64_t)i);
        journal_stat(j, all, &size, &time);
        assert_in_range(size, 50, 100);
        assert_int_equal(time, i);
    }
    journal_free(j);
}

#define WRITERS 4
#define LINES 500

static void *add_many(void *arg) {
    for (int i = 0; i < LINES; i++)
        journal_add(arg, STR("t"), STR("0123456789abcde\n"), 1);
    return NULL;
}

static void writers_in_several_threads_lose_nothing(void **state) {
    (void)state;
    struct journal *j = journal_new(1 << 20);
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, j), 0);
    char got[64];
    for (int i = 0; i < 100; i++) {
        ssize_t n = journal_read(j, all, 16, got, sizeof got);
        assert_int_equal(n % 16, 0);
        assert_memory_equal(got, "0123456789abcde\n0123456789abcde\n0123456789abcde\n0123456789abcde\n", (size_t)n);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    uint64_t size, time;
    journal_stat(j, STR("t"), &size, &time);
    assert_int_equal(size, WRITERS * LINES * 16);
    journal_free(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_journal_has_size_zero_and_no_time),
        cmocka_unit_test(a_topic_shows_its_own_lines_and_no_topic_shows_all),
        cmocka_unit_test(lines_and_topics_are_copied),
        cmocka_unit_test(every_offset_and_size_reads_the_same_bytes),
        cmocka_unit_test(a_full_journal_drops_its_older_half),
        cmocka_unit_test(writers_in_several_threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
