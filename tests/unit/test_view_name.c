/* File names of keys. */
#include "views.h"

#include "digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void named(struct str key, const char *name) {
    struct buf out = {0};
    view_name_put(key, &out);
    buf_put_char(&out, 0);
    assert_string_equal(out.p, name);
    buf_free(&out);
}

static void plain_keys_are_their_names(void **state) {
    (void)state;
    named(STR("alice"), "alice");
    named(STR("2026-11"), "2026-11");
    named(STR("a b,c=d"), "a b,c=d");
    named(STR("Zürich"), "Zürich");
    named(STR("a.b."), "a.b.");
    named(STR("日本"), "日本");
}

static void what_a_file_name_cannot_hold_is_escaped(void **state) {
    (void)state;
    named(STR("a/b"), "a%2Fb");
    named(STR(".hidden"), "%2Ehidden");
    named(STR(".."), "%2E.");
    named(STR("100%"), "100%25");
    named(STR("a\nb\0c\x7f"), "a%0Ab%00c%7F");
    named(STR("a\xc2\x85z"), "a%C2%85z");    /* a control character of two bytes */
    named(STR("a\xff\xc3"), "a%FF%C3");      /* not UTF-8 */
    named(STR("\xed\xa0\x80"), "%ED%A0%80"); /* a surrogate */
    named(STR(""), "%");
}

static void keys_that_look_alike_stay_apart(void **state) {
    (void)state;
    named(STR("Alice"), "Alice");
    named(STR("\xc3\xa9"), "\xc3\xa9");
    named(STR("e\xcc\x81"), "e\xcc\x81");
    named(STR("a%2Fb"), "a%252Fb");
}

static void long_name(char byte, size_t n, struct buf *out) {
    char *key = malloc(n);
    memset(key, byte, n);
    view_name_put((struct str){key, n}, out);
    free(key);
}

static void long_keys_end_in_a_hash(void **state) {
    (void)state;
    struct buf a = {0}, b = {0};
    long_name('x', VIEW_NAME_MAX, &a);
    assert_int_equal(a.n, VIEW_NAME_MAX);
    assert_null(memchr(a.p, '%', a.n));
    buf_clear(&a);
    long_name('x', VIEW_NAME_MAX + 1, &a);
    assert_int_equal(a.n, VIEW_NAME_MAX);
    assert_memory_equal(a.p + VIEW_NAME_MAX - 34, "%~", 2);
    long_name('x', VIEW_NAME_MAX + 2, &b);
    assert_int_equal(b.n, VIEW_NAME_MAX);
    assert_memory_not_equal(a.p, b.p, a.n);
    buf_clear(&a);
    long_name('/', 300, &a); /* the head ends with a whole escape */
    assert_true(a.n <= VIEW_NAME_MAX && (a.n - 34) % 3 == 0);
    buf_clear(&a);
    for (int i = 0; i < 200; i++)
        buf_put_text(&b, "\xc3\xa9");
    view_name_put(buf_str(&b), &a);
    assert_true(a.n <= VIEW_NAME_MAX);
    buf_free(&a);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_keys_are_their_names),
        cmocka_unit_test(what_a_file_name_cannot_hold_is_escaped),
        cmocka_unit_test(keys_that_look_alike_stay_apart),
        cmocka_unit_test(long_keys_end_in_a_hash),
    };
    return digest_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
