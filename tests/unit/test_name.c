#include "name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_refused(struct str s, const char *why) {
    const char *fault = name_fault(s);
    assert_non_null(fault);
    assert_string_equal(fault, why);
}

static void ordinary_names_are_accepted(void **state) {
    (void)state;
    static const char *const names[] = {
        "order",
        "1001",
        "a",
        "with space",
        "a.b",
        "a$",
        "Bestellung-\xc3\xa4",
        "\xe6\x97\xa5\xe6\x9c\xac",
        "\xf0\x9f\x98\x80",
        "-",
        "~",
        "\xf4\x8f\xbf\xbd",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xc2\xa0",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_null(name_fault(str_of(names[i])));
}

static void a_name_has_1_to_128_bytes(void **state) {
    (void)state;
    char long_name[129];
    memset(long_name, 'x', sizeof long_name);
    assert_null(name_fault((struct str){long_name, 128}));
    assert_refused((struct str){long_name, 129}, "is longer than 128 bytes");
    assert_refused(STR(""), "is empty");
}

static void a_name_has_no_slash_nor_begins_with_a_dot_or_dollar(void **state) {
    (void)state;
    assert_refused(STR("a/b"), "has a slash");
    assert_refused(STR("/"), "has a slash");
    assert_refused(STR("."), "begins with a dot");
    assert_refused(STR(".."), "begins with a dot");
    assert_refused(STR(".esfs"), "begins with a dot");
    assert_refused(STR("$saga"), "begins with $, which is the system's");
}

static void control_characters_are_refused(void **state) {
    (void)state;
    for (int c = 0; c < 0x20; c++)
        assert_refused((struct str){(char[]){'a', (char)c}, 2}, "has a control character");
    assert_refused(STR("\x7f"), "has a control character");
    for (int c = 0x80; c <= 0x9f; c++)
        assert_refused((struct str){(char[]){'\xc2', (char)c}, 2}, "has a control character");
}

static void bytes_that_are_not_utf8_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc3",
        "\xc3(",
        "\xe2\x82",
        "\xe2(\xa1",
        "\xf0\x9f\x98",
        "\xf0\x9f\x98(",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xe0\x80\xaf",
        "\xe0\x9f\xbf",
        "\xf0\x80\x80\xaf",
        "\xf0\x8f\xbf\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xfe",
        "\xff",
        "\xf8\x88\x80\x80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_refused(str_of(bad[i]), "is not valid UTF-8");
        assert_false(name_is_plain_text(str_of(bad[i])));
    }
}

static void code_points_that_are_no_characters_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"\xef\xb7\x90", "\xef\xb7\xaf",     "\xef\xbf\xbe",
                                      "\xef\xbf\xbf", "\xf0\x9f\xbf\xbe", "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(str_of(bad[i]), "has a code point that is no character");
    assert_null(name_fault(STR("\xef\xb7\xb0")));
    assert_null(name_fault(STR("\xef\xbf\xbd")));
}

static void plain_text_may_have_what_only_names_may_not(void **state) {
    (void)state;
    char long_text[1000];
    memset(long_text, 'x', sizeof long_text);
    assert_true(name_is_plain_text((struct str){long_text, sizeof long_text}));
    assert_true(name_is_plain_text(STR("")));
    assert_true(name_is_plain_text(STR("$saga/.x/1/do")));
    assert_false(name_is_plain_text(STR("a\nb")));
    assert_false(name_is_plain_text(STR("a\0b")));
}

static void names_of_the_tree_are_reserved_at_their_level(void **state) {
    (void)state;
    assert_true(name_is_reserved_type(STR("commands")));
    assert_true(name_is_reserved_type(STR("rejections.ndjson")));
    assert_true(name_is_reserved_type(STR("views")));
    assert_true(name_is_reserved_type(STR(".esfs")));
    assert_false(name_is_reserved_type(STR("command")));
    assert_false(name_is_reserved_type(STR("order")));
    assert_true(name_is_reserved_aggregate(STR("commands")));
    assert_true(name_is_reserved_aggregate(STR("log.ndjson")));
    assert_true(name_is_reserved_aggregate(STR("rejections.ndjson")));
    assert_false(name_is_reserved_aggregate(STR("views")));
    assert_false(name_is_reserved_aggregate(STR("1001")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_names_are_accepted),
        cmocka_unit_test(a_name_has_1_to_128_bytes),
        cmocka_unit_test(a_name_has_no_slash_nor_begins_with_a_dot_or_dollar),
        cmocka_unit_test(control_characters_are_refused),
        cmocka_unit_test(bytes_that_are_not_utf8_are_refused),
        cmocka_unit_test(code_points_that_are_no_characters_are_refused),
        cmocka_unit_test(plain_text_may_have_what_only_names_may_not),
        cmocka_unit_test(names_of_the_tree_are_reserved_at_their_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
