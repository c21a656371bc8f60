#include "decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct decimal number(const char *text) {
    struct decimal d;
    if (decimal_read(&d, str_of(text)))
        fail_msg("%s was not read", text);
    return d;
}

static void assert_text(const struct decimal *d, const char *want) {
    char text[DECIMAL_CHARS + 1];
    size_t n = decimal_write(d, text);
    assert_in_range(n, 1, DECIMAL_CHARS);
    text[n] = 0;
    assert_string_equal(text, want);
}

static void assert_reads(const char *text, const char *want) {
    struct decimal d = number(text), again;
    assert_text(&d, want);
    assert_int_equal(decimal_read(&again, str_of(want)), 0);
    assert_memory_equal(&d, &again, sizeof d);
}

#define NINES "9999999999999999999999999999999999" /* 34 */

static void text_keeps_the_scale(void **state) {
    (void)state;
    assert_reads("0", "0");
    assert_reads("1.10", "1.10");
    assert_reads("-2", "-2");
    assert_reads("1e3", "1e+3");
    assert_reads("1.5E3", "1.5e+3");
    assert_reads("1.50e1", "15.0");
    assert_reads("1e-3", "0.001");
    assert_reads("0.000001", "0.000001");
    assert_reads("0.0000001", "1e-7");
    assert_reads("0.00000012", "1.2e-7");
    assert_reads("0.00", "0.00");
    assert_reads("-0.00", "0.00");
    assert_reads(NINES, NINES);
    assert_reads("-0." NINES, "-0." NINES);
    assert_reads("-0.00000" NINES, "-0.00000" NINES);
    assert_reads("-1.234567890123456789012345678901234e-6000", "-1.234567890123456789012345678901234e-6000");
    assert_reads("100000000000000000000000000000000000000", "1.000000000000000000000000000000000e+38");
    assert_reads("1e6144", "1.000000000000000000000000000000000e+6144");
    assert_reads("1e-6176", "1e-6176");
    assert_reads("10e-6177", "1e-6176");
    assert_reads("0e999999999999", "0e+6111");
    assert_reads("0e-999999999999", "0e-6176");
}

static void text_that_is_no_number_is_told_from_what_does_not_fit(void **state) {
    (void)state;
    static const char *const invalid[] = {"",      "-",    "+1",  "1.",  ".5",  "01",   "-01", "1e",
                                          "1e+",   "1e-",  "1 ",  " 1",  "1x",  "nan",  "inf", "1..2",
                                          "1e1.5", "0x10", "--1", "1,0", "1_0", "1e1e1"};
    static const char *const inexact[] = {NINES "1", "0." NINES "1",           "1e6145",
                                          "1e-6177", "1e99999999999999999999", "1e-99999999999999999999",
                                          "11e-6177"};
    struct decimal d;
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        if (decimal_read(&d, str_of(invalid[i])) != DECIMAL_INVALID)
            fail_msg("%s was read", invalid[i]);
    for (size_t i = 0; i < sizeof inexact / sizeof *inexact; i++)
        if (decimal_read(&d, str_of(inexact[i])) != DECIMAL_INEXACT)
            fail_msg("%s was read", inexact[i]);
    assert_int_equal(decimal_read(&d, (struct str){"1\0002", 3}), DECIMAL_INVALID);
}

static void integers_of_all_sizes(void **state) {
    (void)state;
    struct decimal d;
    decimal_of_int(&d, INT64_MIN);
    assert_text(&d, "-9223372036854775808");
    decimal_of_int(&d, INT64_MAX);
    assert_text(&d, "9223372036854775807");
    decimal_of_int(&d, 0);
    assert_text(&d, "0");
}

typedef int operation(struct decimal *out, const struct decimal *a, const struct decimal *b);

static void assert_gives(operation *op, const char *a, const char *b, const char *want) {
    struct decimal x = number(a), y = number(b), z;
    assert_int_equal(op(&z, &x, &y), 0);
    assert_text(&z, want);
    assert_int_equal(op(&x, &x, &y), 0);
    assert_memory_equal(&x, &z, sizeof z);
}

static void assert_refuses(operation *op, const char *a, const char *b, int outcome) {
    struct decimal x = number(a), y = number(b), z;
    assert_int_equal(op(&z, &x, &y), outcome);
}

static void arithmetic_is_exact_and_keeps_the_scale(void **state) {
    (void)state;
    assert_gives(decimal_add, "1.10", "1.1", "2.20");
    assert_gives(decimal_add, "0.1", "0.2", "0.3");
    assert_gives(decimal_add, NINES, "0", NINES);
    assert_gives(decimal_sub, "1.10", "1.1", "0.00");
    assert_gives(decimal_sub, "1", "2.50", "-1.50");
    assert_gives(decimal_mul, "1.10", "1.1", "1.210");
    assert_gives(decimal_mul, "19.99", "3", "59.97");
    assert_gives(decimal_mul, "-1", "0", "0");
    assert_gives(decimal_div, "10", "4", "2.5");
    assert_gives(decimal_div, "1.20", "2", "0.60");
    assert_gives(decimal_rem, "7.5", "2", "1.5");
    assert_gives(decimal_rem, "-7", "2", "-1");
    assert_gives(decimal_rem, "7", "-2", "1");
    assert_gives(decimal_rem, "1e6000", "7", "1");
}

static void what_is_not_exact_is_an_outcome(void **state) {
    (void)state;
    assert_refuses(decimal_add, NINES, "0.1", DECIMAL_INEXACT);
    assert_refuses(decimal_add, "1e100", "1", DECIMAL_INEXACT);
    assert_refuses(decimal_sub, "1e100", "1", DECIMAL_INEXACT);
    assert_refuses(decimal_mul, NINES, NINES, DECIMAL_INEXACT);
    assert_refuses(decimal_mul, "1e6000", "1e6000", DECIMAL_INEXACT);
    assert_refuses(decimal_mul, "1e-6000", "1e-6000", DECIMAL_INEXACT);
    assert_refuses(decimal_div, "1", "3", DECIMAL_INEXACT);
    assert_refuses(decimal_div, "1", "0", DECIMAL_INVALID);
    assert_refuses(decimal_div, "0", "0.00", DECIMAL_INVALID);
    assert_refuses(decimal_rem, "1", "0", DECIMAL_INVALID);
}

static void assert_rounds(const char *text, int digits, const char *want) {
    struct decimal d = number(text);
    assert_int_equal(decimal_round(&d, &d, digits), 0);
    assert_text(&d, want);
}

static void rounding_is_half_to_even(void **state) {
    (void)state;
    assert_rounds("1.005", 2, "1.00");
    assert_rounds("1.015", 2, "1.02");
    assert_rounds("-1.015", 2, "-1.02");
    assert_rounds("2.5", 0, "2");
    assert_rounds("3.5", 0, "4");
    assert_rounds("1.5", 4, "1.5000");
    assert_rounds("-0.4", 0, "0");
    assert_rounds("1250", -2, "1200");
    assert_rounds("1351", -2, "1400");
    assert_rounds("1", -34, "0");
    assert_rounds("1e40", -34, "1.000000e+40");
    struct decimal d = number("1");
    assert_int_equal(decimal_round(&d, &d, 34), DECIMAL_INEXACT);
    assert_int_equal(decimal_round(&d, &d, 35), DECIMAL_INVALID);
    assert_int_equal(decimal_round(&d, &d, -35), DECIMAL_INVALID);
    assert_text(&d, "1");
}

static void assert_order(const char *a, const char *b, int want) {
    struct decimal x = number(a), y = number(b);
    assert_int_equal(decimal_compare(&x, &y), want);
    assert_int_equal(decimal_compare(&y, &x), -want);
}

static void comparison_is_by_value(void **state) {
    (void)state;
    assert_order("1.1", "1.10", 0);
    assert_order("1e3", "1000", 0);
    assert_order("0", "0e10", 0);
    assert_order("-1", "1", -1);
    assert_order("1e-6176", "0", 1);
    assert_order("1e6144", NINES, 1);
    assert_order("0.1", "0.1000000000000000000000000000000001", -1);
}

static void integers_are_known_by_value(void **state) {
    (void)state;
    static const char *const whole[] = {"0", "0.00", "1.0", "-2", "1e3", "1e6144", "12e-0", "1200e-2"};
    static const char *const broken[] = {"0.1", "1.01", "1e-1", "1e-6176", "-1234567890.000000000000000000000001"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        struct decimal d = number(whole[i]);
        assert_true(decimal_is_integer(&d));
    }
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct decimal d = number(broken[i]);
        assert_false(decimal_is_integer(&d));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_keeps_the_scale),
        cmocka_unit_test(text_that_is_no_number_is_told_from_what_does_not_fit),
        cmocka_unit_test(integers_of_all_sizes),
        cmocka_unit_test(arithmetic_is_exact_and_keeps_the_scale),
        cmocka_unit_test(what_is_not_exact_is_an_outcome),
        cmocka_unit_test(rounding_is_half_to_even),
        cmocka_unit_test(comparison_is_by_value),
        cmocka_unit_test(integers_are_known_by_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
