/* query_cache.c: who finds what, what goes first, what is listed. Whether something that was read still holds is the
 * test's to say. */
#include "query_cache.h"

#include "digest.h"
#include "query_result.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES (1 << 20)
#define READS_MAX 64

struct fixture {
    struct query_cache *cache;
    uint64_t results;
    struct query_reads *outdated[READS_MAX];
    size_t n_outdated;
    int asked;                      /* how often */
    struct query_cache_key evicted; /* while that is asked; query 0: nothing is */
};

static bool holds(void *arg, struct query_reads *reads) {
    struct fixture *f = arg;
    f->asked++;
    if (f->evicted.query)
        query_cache_drop(f->cache, f->evicted.query, f->evicted.name);
    for (size_t i = 0; i < f->n_outdated; i++)
        if (f->outdated[i] == reads)
            return false;
    return true;
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    const struct query_cache_options options = {.bytes = BYTES, .holds = holds, .arg = f};
    assert_int_equal(digest_init(), 0);
    f->cache = query_cache_new(&options);
    assert_non_null(f->cache);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    query_cache_free(f->cache);
    free(f);
    return 0;
}

static struct query_cache_key key(uint32_t query, const char *name, const char *caller) {
    return (struct query_cache_key){query, str_of(name), str_of(caller)};
}

static struct query_result *result(struct fixture *f, size_t n) {
    struct buf text = {0};
    char *p = buf_reserve(&text, n + 1);
    memset(p, 'x', n + 1);
    text.n = n;
    struct query_result *r = query_result_new(&text, ++f->results, 1, 2);
    assert_non_null(r);
    return r;
}

static struct query_reads *reads(void) {
    const struct query_moment began = {1, 1};
    struct query_reads *r = query_reads_new(&began);
    assert_non_null(r);
    return r;
}

/* Puts a result of n bytes that ends at a time; gives its number. */
static uint64_t put_until(struct fixture *f, struct query_cache_key k, size_t n, uint64_t ends) {
    struct query_result *r = result(f, n);
    query_cache_put(f->cache, &k, r, NULL, ends, true);
    query_result_unref(r);
    return f->results;
}

static uint64_t put(struct fixture *f, struct query_cache_key k, size_t n) {
    return put_until(f, k, n, QUERY_CACHE_NEVER);
}

static struct query_reads *put_read(struct fixture *f, struct query_cache_key k) {
    struct query_result *r = result(f, 10);
    struct query_reads *read = reads();
    query_cache_put(f->cache, &k, r, read, QUERY_CACHE_NEVER, true);
    query_result_unref(r);
    return read;
}

/* The number of what is there, 0 when nothing is. */
static uint64_t get_at(struct fixture *f, struct query_cache_key k, uint64_t now) {
    struct query_result *r = query_cache_get(f->cache, &k, now);
    uint64_t no = r ? r->no : 0;
    query_result_unref(r);
    return no;
}

static uint64_t get(struct fixture *f, struct query_cache_key k) {
    return get_at(f, k, 0);
}

static size_t list(struct fixture *f, uint32_t query, uint64_t after, struct query_cached *out, size_t n) {
    return query_cache_list(f->cache, query, after, 0, out, n);
}

static void is_listed(const struct query_cached *c, const char *name) {
    assert_int_equal(c->bytes, strlen(name));
    assert_memory_equal(c->name, name, c->bytes);
}

/* --- finding */

static void what_is_put_is_found_under_its_key_alone(void **state) {
    struct fixture *f = *state;
    assert_int_equal(get(f, key(1, "a=1", "")), 0);
    uint64_t a = put(f, key(1, "a=1", ""), 10), b = put(f, key(1, "a=2", ""), 10), c = put(f, key(2, "a=1", ""), 10);
    uint64_t d = put(f, key(1, "a=1", "ann"), 10), e = put(f, key(1, "a=1", "bob"), 10);
    assert_int_equal(get(f, key(1, "a=1", "")), a);
    assert_int_equal(get(f, key(1, "a=2", "")), b);
    assert_int_equal(get(f, key(2, "a=1", "")), c);
    assert_int_equal(get(f, key(1, "a=1", "ann")), d);
    assert_int_equal(get(f, key(1, "a=1", "bob")), e);
    assert_int_equal(get(f, key(1, "a=1", "eve")), 0);
    assert_int_equal(get(f, key(1, "a=", "")), 0);
    assert_int_equal(get(f, key(3, "a=1", "")), 0);
    assert_true(query_cache_has(f->cache, &(struct query_cache_key){1, STR("a=1"), STR("ann")}));
    assert_false(query_cache_has(f->cache, &(struct query_cache_key){1, STR("a=1"), STR("eve")}));
    assert_int_equal(get(f, key(1, "a=1", "")), a);
}

static void a_new_result_takes_the_place_of_the_old_one(void **state) {
    struct fixture *f = *state;
    struct query_cached listed[4];
    put(f, key(1, "a=1", ""), 1000);
    size_t bytes = query_cache_bytes(f->cache);
    put(f, key(1, "b=1", ""), 1000);
    assert_int_equal(list(f, 1, 0, listed, 4), 2);
    uint64_t no = listed[0].no, second = put(f, key(1, "a=1", ""), 1000);
    assert_int_equal(get(f, key(1, "a=1", "")), second);
    assert_int_equal(query_cache_bytes(f->cache), 2 * bytes);
    assert_int_equal(list(f, 1, 0, listed, 4), 2);
    assert_int_equal(listed[0].no, no);
    is_listed(&listed[0], "a=1");
}

static void a_result_outlives_its_entry(void **state) {
    struct fixture *f = *state;
    struct query_cache_key k = key(1, "a=1", "");
    put(f, k, 100);
    struct query_result *r = query_cache_get(f->cache, &k, 0);
    query_cache_clear(f->cache);
    assert_int_equal(query_cache_bytes(f->cache), 0);
    assert_int_equal(r->text.n, 100);
    assert_int_equal(r->text.p[99], 'x');
    assert_int_equal(r->computed_at, 1);
    assert_int_equal(r->position, 2);
    query_result_unref(r);
    assert_int_equal(get(f, k), 0);
    query_result_unref(NULL);
}

/* --- what may be used */

static void what_was_read_is_asked_each_time(void **state) {
    struct fixture *f = *state;
    struct query_reads *a = put_read(f, key(1, "a=1", ""));
    put_read(f, key(1, "b=1", ""));
    assert_int_equal(get(f, key(1, "a=1", "")), 1);
    assert_int_equal(get(f, key(1, "a=1", "")), 1);
    assert_int_equal(f->asked, 2);
    f->outdated[f->n_outdated++] = a;
    assert_true(query_cache_has(f->cache, &(struct query_cache_key){1, STR("a=1"), STR("")}));
    assert_int_equal(get(f, key(1, "a=1", "")), 0);
    assert_int_equal(f->asked, 3);
    assert_false(query_cache_has(f->cache, &(struct query_cache_key){1, STR("a=1"), STR("")}));
    assert_int_equal(get(f, key(1, "a=1", "")), 0);
    assert_int_equal(f->asked, 3);
    assert_int_equal(get(f, key(1, "b=1", "")), 2);
}

static void without_reads_nothing_is_asked(void **state) {
    struct fixture *f = *state;
    put(f, key(1, "a=1", ""), 10);
    assert_int_equal(get(f, key(1, "a=1", "")), 1);
    assert_int_equal(f->asked, 0);
}

static void what_has_ended_is_dropped(void **state) {
    struct fixture *f = *state;
    put_until(f, key(1, "a=1", ""), 10, 1000);
    assert_int_equal(get_at(f, key(1, "a=1", ""), 0), 1);
    assert_int_equal(get_at(f, key(1, "a=1", ""), 999), 1);
    assert_int_equal(get_at(f, key(1, "a=1", ""), 1000), 0);
    assert_int_equal(query_cache_bytes(f->cache), 0);
    put_until(f, key(1, "a=1", ""), 10, QUERY_CACHE_NEVER);
    assert_int_equal(get_at(f, key(1, "a=1", ""), UINT64_MAX - 1), 2);
}

static void what_goes_while_it_is_judged_is_given_all_the_same(void **state) {
    struct fixture *f = *state;
    f->evicted = key(1, "a=1", "");
    put_read(f, key(1, "a=1", ""));
    assert_int_equal(get(f, key(1, "a=1", "")), 1);
    assert_int_equal(query_cache_bytes(f->cache), 0);
    f->outdated[f->n_outdated++] = put_read(f, key(1, "a=1", ""));
    assert_int_equal(get(f, key(1, "a=1", "")), 0);
    assert_int_equal(query_cache_bytes(f->cache), 0);
    struct query_cached listed[1];
    f->n_outdated = 0;
    put_read(f, key(1, "a=1", ""));
    assert_int_equal(list(f, 1, 0, listed, 1), 1);
    assert_int_equal(query_cache_bytes(f->cache), 0);
}

/* --- bounds */

static void the_least_recently_used_goes_first(void **state) {
    struct fixture *f = *state;
    char names[5][8];
    for (int i = 0; i < 4; i++) {
        snprintf(names[i], sizeof names[i], "a=%d", i);
        put(f, key(1, names[i], ""), BYTES / 5);
    }
    assert_int_equal(get(f, key(1, "a=0", "")), 1);
    put(f, key(1, "b=0", ""), BYTES / 5);
    assert_int_equal(get(f, key(1, "a=1", "")), 0);
    assert_int_equal(get(f, key(1, "a=0", "")), 1);
    assert_int_equal(get(f, key(1, "a=3", "")), 4);
    put(f, key(1, "b=1", ""), BYTES / 2);
    assert_int_equal(get(f, key(1, "a=2", "")), 0);
    assert_int_equal(get(f, key(1, "b=0", "")), 0);
    assert_int_equal(get(f, key(1, "a=0", "")), 1);
    assert_int_equal(get(f, key(1, "a=3", "")), 4);
    assert_int_equal(get(f, key(1, "b=1", "")), 6);
}

static void what_is_larger_than_the_cache_is_not_kept(void **state) {
    struct fixture *f = *state;
    put(f, key(1, "a=1", ""), 10);
    size_t bytes = query_cache_bytes(f->cache);
    put(f, key(1, "b=1", ""), BYTES);
    assert_int_equal(get(f, key(1, "b=1", "")), 0);
    assert_int_equal(get(f, key(1, "a=1", "")), 1);
    assert_int_equal(query_cache_bytes(f->cache), bytes);
    put(f, key(1, "b=1", ""), BYTES - bytes);
    assert_int_equal(get(f, key(1, "b=1", "")), 3);
    assert_int_equal(get(f, key(1, "a=1", "")), 0);
}

static void very_many_stay_within_the_bound(void **state) {
    struct fixture *f = *state;
    char name[32];
    struct query_cached listed[7];
    uint64_t after = 0;
    size_t n = 0, got;
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "n=%d", i);
        put(f, key(1 + (uint32_t)i % 3, name, i % 2 ? "ann" : ""), 100);
        assert_true(query_cache_bytes(f->cache) <= BYTES);
    }
    while ((got = list(f, 1, after, listed, 7)) > 0) {
        for (size_t i = 0; i < got; i++) {
            assert_true(listed[i].no > after);
            after = listed[i].no;
        }
        n += got;
    }
    assert_true(n > 300 && n < 20000 / 3);
    snprintf(name, sizeof name, "n=%d", 19998); /* divides by 3 */
    is_listed(&listed[(n - 1) % 7], name);
    query_cache_clear(f->cache);
    assert_int_equal(query_cache_bytes(f->cache), 0);
    assert_int_equal(list(f, 1, 0, listed, 7), 0);
}

/* --- listing */

static void a_name_is_listed_once_whoever_asked(void **state) {
    struct fixture *f = *state;
    struct query_cached listed[4];
    struct query_reads *ann = put_read(f, key(1, "a=1", "ann")), *bob = put_read(f, key(1, "a=1", "bob"));
    put_read(f, key(1, "b=1", "bob"));
    put_read(f, key(2, "c=1", "bob"));
    assert_int_equal(list(f, 1, 0, listed, 4), 2);
    is_listed(&listed[0], "a=1");
    is_listed(&listed[1], "b=1");
    f->outdated[f->n_outdated++] = bob;
    assert_int_equal(list(f, 1, 0, listed, 4), 2);
    assert_int_equal(get(f, key(1, "a=1", "ann")), 1);
    f->outdated[f->n_outdated++] = ann;
    assert_int_equal(list(f, 1, 0, listed, 4), 1);
    is_listed(&listed[0], "b=1");
    assert_int_equal(list(f, 3, 0, listed, 4), 0);
}

static void listing_goes_on_where_it_was(void **state) {
    struct fixture *f = *state;
    struct query_cached listed[2];
    put(f, key(1, "a=1", ""), 10);
    put(f, key(1, "a=2", ""), 10);
    put(f, key(1, "a=3", ""), 10);
    assert_int_equal(list(f, 1, 0, listed, 2), 2);
    assert_true(query_cache_drop(f->cache, 1, STR("a=2")));
    assert_false(query_cache_drop(f->cache, 1, STR("a=2")));
    put(f, key(1, "a=2", ""), 10); /* which has another number now */
    assert_int_equal(list(f, 1, listed[1].no, listed, 2), 2);
    is_listed(&listed[0], "a=3");
    is_listed(&listed[1], "a=2");
    assert_int_equal(list(f, 1, listed[1].no, listed, 2), 0);
    assert_int_equal(list(f, 1, 0, listed, 0), 0);
}

static void what_is_no_file_name_is_not_listed(void **state) {
    struct fixture *f = *state;
    struct query_cached listed[2];
    struct query_cache_key k = key(1, "{\"a\":[1]}", "");
    struct query_result *r = result(f, 10);
    query_cache_put(f->cache, &k, r, NULL, QUERY_CACHE_NEVER, false);
    query_result_unref(r);
    assert_int_equal(list(f, 1, 0, listed, 2), 0);
    assert_int_equal(get(f, k), 1);
}

static void what_has_ended_is_not_listed(void **state) {
    struct fixture *f = *state;
    struct query_cached listed[2];
    put_until(f, key(1, "a=1", ""), 10, 1000);
    assert_int_equal(query_cache_list(f->cache, 1, 0, 999, listed, 2), 1);
    assert_int_equal(query_cache_list(f->cache, 1, 0, 1000, listed, 2), 0);
    assert_int_equal(query_cache_bytes(f->cache), 0);
}

static void evicting_takes_everybodys(void **state) {
    struct fixture *f = *state;
    put(f, key(1, "a=1", "ann"), 10);
    put(f, key(1, "a=1", "bob"), 10);
    put(f, key(1, "a=1", "eve"), 10);
    put(f, key(1, "a=2", "eve"), 10);
    assert_true(query_cache_drop(f->cache, 1, STR("a=1")));
    assert_int_equal(get(f, key(1, "a=1", "ann")), 0);
    assert_int_equal(get(f, key(1, "a=1", "bob")), 0);
    assert_int_equal(get(f, key(1, "a=1", "eve")), 0);
    assert_int_equal(get(f, key(1, "a=2", "eve")), 4);
    assert_false(query_cache_drop(f->cache, 2, STR("a=2")));
}

/* --- threads */

struct storm {
    struct query_cache *cache;
    atomic_uint_least64_t results, good;
};

static bool mostly(void *arg, struct query_reads *reads) {
    struct storm *s = arg;
    (void)reads;
    return atomic_fetch_add(&s->good, 1) % 8 != 0;
}

static void *storm_run(void *arg) {
    struct storm *s = arg;
    struct query_cached listed[8];
    unsigned seed = (unsigned)(uintptr_t)&seed;
    for (int i = 0; i < 3000; i++) {
        char name[16];
        snprintf(name, sizeof name, "n=%d", rand_r(&seed) % 200);
        struct query_cache_key k = key(1 + (uint32_t)rand_r(&seed) % 2, name, rand_r(&seed) % 2 ? "ann" : "");
        struct query_result *r = query_cache_get(s->cache, &k, 0);
        if (!r) {
            struct buf text = {0};
            buf_put_text(&text, name);
            r = query_result_new(&text, atomic_fetch_add(&s->results, 1), 0, 0);
            query_cache_put(s->cache, &k, r, reads(), QUERY_CACHE_NEVER, true);
        }
        assert_true(str_eq(r->text, k.name));
        query_result_unref(r);
        if (i % 50 == 0)
            query_cache_list(s->cache, k.query, 0, 0, listed, 8);
        if (i % 20 == 0)
            query_cache_drop(s->cache, k.query, k.name);
        if (i % 1000 == 0)
            query_cache_clear(s->cache);
    }
    return NULL;
}

static void threads_do_as_they_like(void **state) {
    (void)state;
    struct storm s = {0};
    pthread_t threads[4];
    const struct query_cache_options options = {.bytes = 40000, .holds = mostly, .arg = &s};
    assert_int_equal(digest_init(), 0);
    s.cache = query_cache_new(&options);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, storm_run, &s), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(query_cache_bytes(s.cache) <= 40000);
    assert_true(atomic_load(&s.results) > 200);
    query_cache_free(s.cache);
    query_cache_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_put_is_found_under_its_key_alone),
        TEST(a_new_result_takes_the_place_of_the_old_one),
        TEST(a_result_outlives_its_entry),
        TEST(what_was_read_is_asked_each_time),
        TEST(without_reads_nothing_is_asked),
        TEST(what_has_ended_is_dropped),
        TEST(what_goes_while_it_is_judged_is_given_all_the_same),
        TEST(the_least_recently_used_goes_first),
        TEST(what_is_larger_than_the_cache_is_not_kept),
        TEST(very_many_stay_within_the_bound),
        TEST(a_name_is_listed_once_whoever_asked),
        TEST(listing_goes_on_where_it_was),
        TEST(what_is_no_file_name_is_not_listed),
        TEST(what_has_ended_is_not_listed),
        TEST(evicting_takes_everybodys),
        cmocka_unit_test(threads_do_as_they_like),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
