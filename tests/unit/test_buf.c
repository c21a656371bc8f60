#include "arena.h"
#include "buf.h"
#include "err.h"
#include "outcome.h"
#include "varint.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_buf(struct buf *b, struct str want) {
    assert_int_equal(b->n, want.n);
    assert_memory_equal(b->p, want.p, want.n);
}

static void a_buffer_keeps_what_is_put_in_order(void **state) {
    (void)state;
    struct buf b = {0};
    buf_put(&b, "ab", 2);
    buf_put_char(&b, 'c');
    buf_put_text(&b, "de");
    buf_put_str(&b, STR("f\0g"));
    buf_put(&b, NULL, 0);
    assert_buf(&b, STR("abcdef\0g"));
    buf_clear(&b);
    assert_int_equal(b.n, 0);
    assert_true(b.cap > 0);
    buf_free(&b);
    assert_null(b.p);
}

static void a_buffer_grows_past_any_capacity(void **state) {
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 100000; i++)
        buf_put(&b, &i, sizeof i);
    assert_false(b.oom);
    for (int i = 0; i < 100000; i++)
        assert_memory_equal(b.p + 4 * i, &i, sizeof i);
    buf_free(&b);
}

static void an_impossible_reservation_marks_the_buffer_and_keeps_its_bytes(void **state) {
    (void)state;
    struct buf b = {0};
    buf_put_text(&b, "kept");
    assert_null(buf_reserve(&b, SIZE_MAX - 2));
    assert_true(b.oom);
    buf_put_text(&b, "ignored");
    assert_buf(&b, STR("kept"));
    buf_clear(&b);
    buf_put_text(&b, "again");
    assert_buf(&b, STR("again"));
    buf_free(&b);
}

static void printf_fits_texts_of_any_length(void **state) {
    (void)state;
    struct buf b = {0};
    buf_printf(&b, "%d-%s", 42, "x");
    assert_buf(&b, STR("42-x"));
    for (int width = 1; width < 300; width++) {
        buf_clear(&b);
        buf_printf(&b, "%*d", width, 7);
        assert_int_equal(b.n, width);
        assert_int_equal(b.p[width - 1], '7');
    }
    buf_free(&b);
}

static void json_strings_are_escaped_where_json_asks_for_it(void **state) {
    (void)state;
    struct buf b = {0};
    buf_put_json_string(&b, STR(""));
    buf_put_json_string(&b, STR("a\"b\\c/\b\t\n\f\r\x01\x1f\x7f\0 \xc3\xa9"));
    assert_buf(&b, STR("\"\"\"a\\\"b\\\\c/\\b\\t\\n\\f\\r\\u0001\\u001f\x7f\\u0000 \xc3\xa9\""));
    buf_free(&b);
}

static void pieces_of_an_arena_are_aligned_and_apart(void **state) {
    (void)state;
    struct arena a = {0};
    uint8_t *piece[2000];
    for (int i = 0; i < 2000; i++) {
        size_t n = (size_t)i * 7 % 6000;
        piece[i] = arena_alloc(&a, n);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % 8, 0);
        memset(piece[i], i & 0xff, n);
    }
    for (int i = 0; i < 2000; i++)
        for (int k = 0; k < i * 7 % 6000; k++)
            assert_int_equal(piece[i][k], i & 0xff);
    arena_free(&a);
    assert_int_equal(a.total, 0);
    assert_non_null(arena_alloc(&a, 0));
    arena_free(&a);
}

static void a_large_piece_does_not_waste_the_page_before_it(void **state) {
    (void)state;
    struct arena a = {0};
    char *small = arena_alloc(&a, 8);
    assert_non_null(arena_alloc(&a, 1 << 20));
    assert_ptr_equal(arena_alloc(&a, 8), small + 8);
    assert_null(arena_alloc(&a, SIZE_MAX));
    arena_free(&a);
}

static void copies_in_an_arena_have_their_own_bytes(void **state) {
    (void)state;
    struct arena a = {0};
    char text[] = "text";
    struct str copy = arena_copy(&a, (struct str){text, 4});
    text[0] = 'n';
    assert_true(str_eq(copy, STR("text")));
    assert_int_equal(arena_copy(&a, (struct str){NULL, 0}).n, 0);
    arena_free(&a);
}

static void varints_come_back_as_they_went(void **state) {
    (void)state;
    char bytes[VARINT_MAX];
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int around = -1; around <= 1; around++) {
            uint64_t v = (UINT64_C(1) << bit) + (uint64_t)around, back = ~v;
            size_t n = varint_put(bytes, v);
            assert_in_range(n, 1, VARINT_MAX);
            assert_ptr_equal(varint_get(bytes, bytes + n, &back), bytes + n);
            assert_true(back == v);
            assert_null(varint_get(bytes, bytes + n - 1, &back));
        }
    }
}

static void varints_beyond_64_bits_are_refused(void **state) {
    (void)state;
    uint64_t v;
    char largest[10] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    char beyond[10] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
    char endless[11] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00";
    assert_non_null(varint_get(largest, largest + 10, &v));
    assert_true(v == UINT64_MAX);
    assert_null(varint_get(beyond, beyond + 10, &v));
    assert_null(varint_get(endless, endless + 11, &v));
    assert_null(varint_get(largest, largest, &v));
}

static void big_endian_numbers_sort_as_bytes(void **state) {
    (void)state;
    char a[8], b[8];
    be64_put(a, 255);
    be64_put(b, 256);
    assert_true(memcmp(a, b, 8) < 0);
    assert_true(be64_get(b) == 256);
    be32_put(a, 0x01020304);
    assert_memory_equal(a, "\1\2\3\4", 4);
    assert_int_equal(be32_get(a), 0x01020304);
}

static void a_long_error_is_cut_at_the_end_of_a_character(void **state) {
    (void)state;
    struct err err;
    char text[600];
    for (size_t before = 500; before < 512; before++) {
        memset(text, 'a', before);
        for (size_t i = before; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xf0\x9f\x98\x80", 4);
        text[before + 4 * ((sizeof text - before) / 4) - 4] = '\0';
        assert_int_equal(err_set(&err, EIO, "%s", text), -EIO);
        size_t n = strlen(err.text);
        assert_in_range(n, sizeof err.text - 4, sizeof err.text - 1);
        assert_int_equal((n - before) % 4, 0);
    }
    assert_int_equal(err_set(NULL, ENOMEM, "nobody listens"), -ENOMEM);
    assert_int_equal(err_set(&err, EIO, "%d", 5), -EIO);
    assert_string_equal(err.text, "5");
    assert_int_equal(err.code, EIO);
}

static void every_outcome_has_a_row(void **state) {
    (void)state;
    for (enum outcome o = OUTCOME_OK; o < OUTCOME_COUNT; o++) {
        assert_non_null(outcome_word(o));
        assert_non_null(outcome_errno_name(o));
        assert_true(o == OUTCOME_OK ? outcome_errno(o) == 0 : outcome_errno(o) > 0);
    }
    assert_int_equal(outcome_errno(OUTCOME_CONFLICT), ESTALE);
    assert_string_equal(outcome_errno_name(OUTCOME_CONFLICT), "ESTALE");
    assert_string_equal(outcome_word(OUTCOME_CONFLICT), "conflict");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_keeps_what_is_put_in_order),
        cmocka_unit_test(a_buffer_grows_past_any_capacity),
        cmocka_unit_test(an_impossible_reservation_marks_the_buffer_and_keeps_its_bytes),
        cmocka_unit_test(printf_fits_texts_of_any_length),
        cmocka_unit_test(json_strings_are_escaped_where_json_asks_for_it),
        cmocka_unit_test(pieces_of_an_arena_are_aligned_and_apart),
        cmocka_unit_test(a_large_piece_does_not_waste_the_page_before_it),
        cmocka_unit_test(copies_in_an_arena_have_their_own_bytes),
        cmocka_unit_test(varints_come_back_as_they_went),
        cmocka_unit_test(varints_beyond_64_bits_are_refused),
        cmocka_unit_test(big_endian_numbers_sort_as_bytes),
        cmocka_unit_test(a_long_error_is_cut_at_the_end_of_a_character),
        cmocka_unit_test(every_outcome_has_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
