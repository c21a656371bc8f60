/* decide.c through the front door: what must hold however much is decided between two flushes. */
#include "lib_store.h"

#include <errno.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        LIB_TEST(a_block_knows_its_aggregates_whatever_else_it_looks_at),
        LIB_TEST(a_transaction_may_begin_an_aggregate_with_many_events),
        LIB_TEST(aggregates_are_made_when_types_have_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
