#include "arena.h"
#include "json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct json_parser *parser;
    struct arena arena;
    char *text; /* padded copy of what was read last */
    struct json_member *members;
    size_t n;
    const char *why;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->parser = json_parser_new();
    *state = f;
    return f->parser ? 0 : -1;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    json_parser_free(f->parser);
    arena_free(&f->arena);
    free(f->text);
    free(f);
    return 0;
}

static int read_bytes(struct fixture *f, struct str s) {
    free(f->text);
    f->text = malloc(s.n + JSON_PADDING);
    memcpy(f->text, s.p, s.n);
    memset(f->text + s.n, '"', JSON_PADDING);
    return json_object_read(f->parser, (struct str){f->text, s.n}, &f->arena, &f->members, &f->n, &f->why);
}

static int read_text(struct fixture *f, const char *text) {
    return read_bytes(f, str_of(text));
}

static void assert_str(struct str got, struct str want) {
    if (!str_eq(got, want))
        fail_msg("got %.*s, not %.*s", (int)got.n, got.p, (int)want.n, want.p);
}

/* The text as the value of a member must be taken, and its raw come out as `raw`. */
static void assert_value(struct fixture *f, const char *value, enum json_kind kind, const char *raw) {
    char text[1000];
    snprintf(text, sizeof text, "{ \"v\" : %s , \"w\":0}", value);
    if (read_text(f, text))
        fail_msg("%s: %s", value, f->why);
    assert_int_equal(f->n, 2);
    assert_int_equal(f->members[0].kind, kind);
    assert_str(f->members[0].raw, str_of(raw));
}

static void assert_bad_value(struct fixture *f, const char *value) {
    static const char *const around[] = {"{\"v\":%s}", "{\"v\":[%s]}", "{\"v\": %s ,\"w\":1}",
                                         "{\"v\":{\"u\":[1, %s]}}"};
    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
        char text[1000];
        _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wformat-nonliteral\"")
            snprintf(text, sizeof text, around[i], value);
        _Pragma("GCC diagnostic pop") if (read_text(f, text) != JSON_MALFORMED) fail_msg("%s was taken", text);
        assert_non_null(f->why);
    }
}

static void members_come_in_order_with_their_kinds(void **state) {
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "{\"s\":\"x\",\"n\":1,\"t\":true,\"f\":false,\"z\":null,\"o\":{},\"a\":[]}"), 0);
    assert_int_equal(f->n, 7);
    static const char names[] = "sntfzoa";
    static const enum json_kind kinds[] = {JSON_KIND_STRING, JSON_KIND_NUMBER, JSON_KIND_TRUE, JSON_KIND_FALSE,
                                           JSON_KIND_NULL,   JSON_KIND_OBJECT, JSON_KIND_ARRAY};
    for (size_t i = 0; i < 7; i++) {
        assert_str(f->members[i].name, (struct str){names + i, 1});
        assert_int_equal(f->members[i].kind, kinds[i]);
    }
    assert_int_equal(read_text(f, "{ \n}"), 0);
    assert_int_equal(f->n, 0);
}

static void values_are_minified_and_otherwise_kept_to_the_byte(void **state) {
    struct fixture *f = *state;
    assert_value(f, "{ \"a\" : [ 1 , { \"b c\" : \"d  \\u0041\" } ] , \"e\" : 1.50 }\n\t", JSON_KIND_OBJECT,
                 "{\"a\":[1,{\"b c\":\"d  \\u0041\"}],\"e\":1.50}");
    assert_value(f, "[ ]", JSON_KIND_ARRAY, "[]");
    assert_value(f, "[ 1 ,\r\n 2 ]", JSON_KIND_ARRAY, "[1,2]");
    assert_value(f, "{\"a\":1}", JSON_KIND_OBJECT, "{\"a\":1}");
    assert_value(f, "\"a b\"", JSON_KIND_STRING, "\"a b\"");
    assert_value(f, "1e400", JSON_KIND_NUMBER, "1e400");
    assert_value(f, "-0.0E-0", JSON_KIND_NUMBER, "-0.0E-0");
    assert_value(f, "123456789012345678901234567890  ", JSON_KIND_NUMBER, "123456789012345678901234567890");
}

static void strings_come_unescaped_and_raw(void **state) {
    struct fixture *f = *state;
    assert_value(f, "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\u0000z\"", JSON_KIND_STRING,
                 "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\u0000z\"");
    assert_str(f->members[0].text, STR("a\"\\/\b\f\n\r\t\xc3\xa9\xf0\x9f\x98\x80\0z"));
    assert_value(f, "\"\"", JSON_KIND_STRING, "\"\"");
    assert_str(f->members[0].text, STR(""));
    assert_value(f, "\"\\\"\"", JSON_KIND_STRING, "\"\\\"\"");
    assert_str(f->members[0].text, STR("\""));
    assert_int_equal(read_text(f, "{\"\\u0061\\n\":1}"), 0);
    assert_str(f->members[0].name, STR("a\n"));
}

static void numbers_outside_the_grammar_are_malformed(void **state) {
    static const char *const bad[] = {"01",       "-",   "1.",   ".5",  "-.5",   "1e",    "1e+",
                                      "+1",       "0x1", "1.e1", "00",  "-01",   "1_0",   "NaN",
                                      "Infinity", "1a",  "1 2",  "--1", "1.2.3", "1e5.0", "1f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_bad_value(*state, bad[i]);
}

static void words_other_than_the_three_are_malformed(void **state) {
    static const char *const bad[] = {"tru",    "truee", "True", "nul",       "nulll",
                                      "falsey", "fals",  "t",    "undefined", "tr ue"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_bad_value(*state, bad[i]);
}

static void bad_strings_are_malformed(void **state) {
    static const char *const bad[] = {
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800x\"",
        "\"\n\"",
        "\"\t\"",
        "\"\x01\"",
        "\"\xff\"",
        "\"\xed\xa0\x80\"",
        "\"\xc0\xaf\"",
        "'a'",
        "\"\xf4\x90\x80\x80\"",
        "\"a\"b",
        "\"a\"\"b\"",
        "\"\\uD83D\\uD83D\\uDE00\"",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_bad_value(*state, bad[i]);
}

static void bad_punctuation_is_malformed(void **state) {
    static const char *const bad[] = {
        ",",
        "[1,]",
        "[,1]",
        "[1 1]",
        "[1,,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{1:1}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\"::1}",
        "[\"a\":1]",
        "{\"a\",1}",
        "\"a\":1",
        "{\"a\":\"b\":1}",
        "1:1",
        "[:]",
        "{\"a\":1 \"b\":1}",
        "{\"a\":1;}",
        "[1;2]",
        "/**/1",
        "1//",
        "\f1",
        "1\f",
        "[1]\v",
        "{}{}",
        "[][]",
        "\xef\xbb\xbf"
        "1",
        "\xc2\xa0"
        "1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_bad_value(*state, bad[i]);
}

static void what_is_not_one_object_is_malformed(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {"",           "[]",         "1",   "\"a\"", "{}{}", "{} {}",
                                      "{",          "}",          "{}}", "{]",    "[}",   "{\"a\":[}",
                                      "{\"a\":[}]", "{\"a\":1]",  "{}x", "{},",   "{}\"", "{\"a",
                                      "{\"a\":1}1", "{\"a\":\"}", " ",   "null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (read_text(f, bad[i]) != JSON_MALFORMED)
            fail_msg("%s was taken", bad[i]);
    assert_int_equal(read_bytes(f, STR("{\0}")), JSON_MALFORMED);
}

static void a_member_given_twice_is_malformed_at_any_depth(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {"{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":2,\"\\u0061\":3}", "{\"\":1,\"\":2}",
                                      "{\"x\":{\"a\":1,\"a\":1}}", "{\"x\":[[{\"a\":1,\"b\":[],\"a\":{}}]]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(read_text(f, bad[i]), JSON_MALFORMED);
    assert_string_equal(f->why, "an object has the same member twice");
    assert_int_equal(read_text(f, "{\"a\":{\"a\":[{\"a\":1},{\"a\":2}]},\"A\":1,\"b\":{\"a\":1}}"), 0);
}

static void large_objects_are_searched_for_twins_too(void **state) {
    struct fixture *f = *state;
    for (int twin = 0; twin < 2; twin++) {
        char *text = malloc(4 << 20), *p = text + sprintf(text, "{\"x\":{");
        for (int i = 0; i < 100000; i++)
            p += sprintf(p, "%s\"m%d\":%d", i ? "," : "", twin && i == 99999 ? 17 : i, i);
        strcpy(p, "}}");
        assert_int_equal(read_text(f, text), twin ? JSON_MALFORMED : 0);
        memset(text + 6, 0, 1);
        free(text);
    }
    for (int n = 2; n < 40; n++) {
        char text[1000], *p = text + sprintf(text, "{");
        for (int i = 0; i < n; i++)
            p += sprintf(p, "\"k%d\":0,", i);
        strcpy(p, "\"k0\":0}");
        assert_int_equal(read_text(f, text), JSON_MALFORMED);
        strcpy(p, "\"k00\":0}");
        assert_int_equal(read_text(f, text), 0);
        assert_int_equal(f->n, n + 1);
        assert_str(f->members[0].name, STR("k0"));
    }
}

static void nesting_is_bounded(void **state) {
    struct fixture *f = *state;
    for (int kind = 0; kind < 2; kind++) {
        for (int depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
            char text[JSON_DEPTH_MAX * 8], *p = text + sprintf(text, "{\"v\":");
            for (int i = 0; i < depth; i++)
                p += sprintf(p, "%s", kind ? "[" : i < depth - 1 ? "{\"a\":" : "{");
            for (int i = 0; i < depth; i++)
                *p++ = kind ? ']' : '}';
            strcpy(p, "}");
            assert_int_equal(read_text(f, text), depth > JSON_DEPTH_MAX ? JSON_MALFORMED : 0);
            bool complete;
            struct json_scan scan = {0};
            ssize_t n = json_scan(&scan, text, strlen(text), &complete);
            assert_int_equal(n, depth + 1 > JSON_DEPTH_MAX ? -EBADMSG : (ssize_t)strlen(text));
        }
    }
}

static void a_member_that_is_an_object_can_be_read_in_its_turn(void **state) {
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "{\"meta\": {\"a\": {\"b\": 1}}}"), 0);
    struct json_member *inner;
    size_t n;
    assert_int_equal(json_object_read(f->parser, f->members[0].raw, &f->arena, &inner, &n, &f->why), 0);
    assert_int_equal(n, 1);
    assert_str(inner[0].raw, STR("{\"b\":1}"));
    assert_int_equal(json_object_read(f->parser, inner[0].raw, &f->arena, &inner, &n, &f->why), 0);
    assert_str(inner[0].raw, STR("1"));
}

static void a_parser_takes_a_text_after_a_bad_one_and_a_larger_after_a_small_one(void **state) {
    struct fixture *f = *state;
    size_t n = 1 << 20;
    char *text = malloc(n + 64);
    for (size_t size = 1; size <= n; size *= 4) {
        char *p = text + sprintf(text, "{\"a\":\"");
        memset(p, 'x', size);
        strcpy(p + size, "\\n\"}");
        assert_int_equal(read_text(f, text), 0);
        assert_int_equal(f->members[0].text.n, size + 1);
        assert_int_equal(f->members[0].text.p[size], '\n');
        assert_int_equal(read_text(f, "{\"a\":[1,{\"b\":\"\\x\"}]}"), JSON_MALFORMED);
    }
    free(text);
}

static ssize_t scan_text(const char *text, bool *complete) {
    struct json_scan scan = {0};
    return json_scan(&scan, text, strlen(text), complete);
}

static void a_scan_ends_with_the_closing_bracket(void **state) {
    (void)state;
    static const struct {
        const char *text;
        ssize_t n;
    } cases[] = {{"{}", 2},
                 {"[] ", 2},
                 {"{\"a\":[1,{}]}{", 12},
                 {"{\"}\":\"]\\\"}\"}]", 12},
                 {"[\"\\\\\"]x", 6},
                 {"[\"\\\\\\\"]\"]", 9},
                 {"{]x", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool complete = false;
        assert_int_equal(scan_text(cases[i].text, &complete), cases[i].n);
        assert_true(complete);
    }
}

static void a_scan_begins_with_a_bracket(void **state) {
    (void)state;
    bool complete;
    static const char *const bad[] = {"1", "\"a\"", "true", " {}", "}", "]", ",", "\\"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(scan_text(bad[i], &complete), -EBADMSG);
    assert_int_equal(scan_text("", &complete), 0);
    assert_false(complete);
}

/* Pieces of every length, over borders of 64 bytes, with runs of backslashes across them. */
static void a_scan_does_not_depend_on_how_the_bytes_are_cut(void **state) {
    (void)state;
    for (size_t run = 0; run < 140; run++) {
        char text[400];
        size_t n = (size_t)sprintf(text, "{\"%*s\":[\"", (int)(run % 7), "");
        memset(text + n, '\\', run);
        n += run;
        n += (size_t)sprintf(text + n, "%s}]{\",2],\"z\":{}}", run % 2 ? "\"" : "");
        for (size_t piece = 1; piece <= n; piece++) {
            struct json_scan scan = {0};
            bool complete = false;
            size_t at = 0;
            while (at < n) {
                assert_false(complete);
                size_t here = n - at < piece ? n - at : piece;
                assert_int_equal(json_scan(&scan, text + at, here, &complete), here);
                at += here;
            }
            assert_true(complete);
            assert_int_equal(scan.depth, 0);
        }
    }
}

/* --- trees */

static int tree_bytes(struct fixture *f, struct str s, struct json_value *out) {
    free(f->text);
    f->text = malloc(s.n + JSON_PADDING);
    memcpy(f->text, s.p, s.n);
    memset(f->text + s.n, '"', JSON_PADDING);
    f->why = NULL;
    return json_tree_read(f->parser, (struct str){f->text, s.n}, &f->arena, out, &f->why);
}

static struct json_value tree(struct fixture *f, const char *text) {
    struct json_value out;
    if (tree_bytes(f, str_of(text), &out))
        fail_msg("%s: %s", text, f->why);
    return out;
}

static void assert_no_tree(struct fixture *f, const char *text) {
    struct json_value out;
    if (tree_bytes(f, str_of(text), &out) != JSON_MALFORMED)
        fail_msg("%s was taken", text);
    assert_non_null(f->why);
}

static void a_tree_has_all_that_is_in_a_value(void **state) {
    struct fixture *f = *state;
    struct json_value v =
        tree(f, " { \"a\" : [ 1.10 , -2E+3,\"x\\n\\u00fc\", [] ] ,\"\\u0062\":{\"c\":null}, \"d\":true,\"e\":false} ");
    assert_int_equal(v.kind, JSON_KIND_OBJECT);
    assert_int_equal(v.n, 4);
    assert_str(v.fields[0].name, STR("a"));
    assert_str(v.fields[1].name, STR("b"));
    const struct json_value *a = &v.fields[0].value;
    assert_int_equal(a->kind, JSON_KIND_ARRAY);
    assert_int_equal(a->n, 4);
    assert_str(a->raw, STR("[ 1.10 , -2E+3,\"x\\n\\u00fc\", [] ]"));
    assert_int_equal(a->items[0].kind, JSON_KIND_NUMBER);
    assert_str(a->items[0].text, STR("1.10"));
    assert_str(a->items[0].raw, STR("1.10"));
    assert_str(a->items[1].text, STR("-2E+3"));
    assert_int_equal(a->items[2].kind, JSON_KIND_STRING);
    assert_str(a->items[2].text, STR("x\n\u00fc"));
    assert_str(a->items[2].raw, STR("\"x\\n\\u00fc\""));
    assert_int_equal(a->items[3].kind, JSON_KIND_ARRAY);
    assert_int_equal(a->items[3].n, 0);
    assert_str(v.fields[1].value.raw, STR("{\"c\":null}"));
    assert_int_equal(v.fields[1].value.fields[0].value.kind, JSON_KIND_NULL);
    assert_int_equal(json_field(&v, STR("d"))->kind, JSON_KIND_TRUE);
    assert_int_equal(json_field(&v, STR("e"))->kind, JSON_KIND_FALSE);
    assert_null(json_field(&v, STR("f")));
    assert_null(json_field(a, STR("a")));
    assert_str(v.raw, (struct str){f->text + 1, strlen("{ \"a\" : [ 1.10 , -2E+3,\"x\\n\\u00fc\", [] ] ,"
                                                       "\"\\u0062\":{\"c\":null}, \"d\":true,\"e\":false}")});
}

static void a_tree_can_be_of_any_kind(void **state) {
    static const struct {
        const char *text, *content;
        enum json_kind kind;
    } cases[] = {{"12", "12", JSON_KIND_NUMBER},          {" -0.50e7\n", "-0.50e7", JSON_KIND_NUMBER},
                 {"\"a\\tb\"", "a\tb", JSON_KIND_STRING}, {" \"\" ", "", JSON_KIND_STRING},
                 {"true", "true", JSON_KIND_TRUE},        {" false", "false", JSON_KIND_FALSE},
                 {"null ", "null", JSON_KIND_NULL}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_value v = tree(f, cases[i].text);
        assert_int_equal(v.kind, cases[i].kind);
        assert_str(v.text, str_of(cases[i].content));
    }
    assert_int_equal(tree(f, "[]").n, 0);
    assert_int_equal(tree(f, " {} ").n, 0);
}

/* Whatever one of the two readers refuses, the other does. */
static void a_tree_is_checked_as_an_object_is(void **state) {
    static const char *const bad[] = {
        "",           " ",           "1 2",
        "1,2",        "[1,]",        "[,1]",
        "{\"a\"}",    "{\"a\":}",    "{a:1}",
        "[1 2]",      "[1}",         "[",
        "]",          "\"a",         "\"\x01\"",
        "\"\\x\"",    "01",          "1.",
        ".5",         "+1",          "0x1",
        "1e",         "nul",         "truee",
        "NaN",        "[[[]",        "\"\\ud800\"",
        "\"\xff\"",   "{} {}",       "[] 1",
        "{\"a\":1}}", "\"a\":1",     "[\"a\":1]",
        "'a'",        "tru",         "{\"a\" 1}",
        "{\"a\":1,}", "\"a\" \"b\"", "{\"a\":{\"b\" 1}}",
        "][",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char member[100];
        assert_no_tree(f, bad[i]);
        snprintf(member, sizeof member, "{\"v\":%s}", bad[i]);
        if (strcmp(bad[i], "\"a\":1") != 0)
            assert_no_tree(f, member);
        if (*bad[i] == '{')
            assert_int_equal(read_text(f, bad[i]), JSON_MALFORMED);
    }
    assert_no_tree(f, "{\"a\":1,\"b\":{\"c\":1,\"\\u0063\":2}}");
    assert_no_tree(f, "[{\"a\":1,\"a\":1}]");
}

static void a_tree_has_as_many_members_as_one_likes(void **state) {
    enum { N = 100000 };
    struct fixture *f = *state;
    struct json_value v;
    char *text = malloc(N * 24 + 100), *at = stpcpy(text, "{\"list\":[");
    for (int i = 0; i < N; i++)
        at += sprintf(at, "%s%d", i ? "," : "", i);
    at = stpcpy(at, "]");
    for (int i = 0; i < N; i++)
        at += sprintf(at, ",\"m%d\":[%d]", i, i);
    char *end = at;
    stpcpy(end, "}");
    v = tree(f, text);
    assert_int_equal(v.n, N + 1);
    assert_int_equal(v.fields[0].value.n, N);
    assert_str(v.fields[0].value.items[N - 1].text, STR("99999"));
    assert_str(v.fields[N].value.items[0].raw, STR("99999"));
    stpcpy(end, ",\"m500\":0}");
    assert_no_tree(f, text);
    assert_string_equal(f->why, "an object has the same member twice");
    free(text);
}

static void the_nesting_of_a_tree_is_bounded(void **state) {
    struct fixture *f = *state;
    char text[2 * JSON_DEPTH_MAX + 10];
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    text[2 * JSON_DEPTH_MAX] = 0;
    struct json_value v = tree(f, text);
    for (int i = 1; i < JSON_DEPTH_MAX; i++) {
        assert_int_equal(v.n, 1);
        assert_int_equal(v.items[0].raw.n, 2 * (JSON_DEPTH_MAX - i));
        v = v.items[0];
    }
    assert_int_equal(v.n, 0);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    text[2 * JSON_DEPTH_MAX + 2] = 0;
    assert_no_tree(f, text);
    assert_string_equal(f->why, "it is nested too deep");
}

static void a_tree_outlives_the_next_text(void **state) {
    struct fixture *f = *state;
    char text[200 + JSON_PADDING] = "{\"na\\nme\":\"va\\tlue\"}";
    struct json_value v;
    assert_int_equal(json_tree_read(f->parser, str_of(text), &f->arena, &v, &f->why), 0);
    tree(f, "{\"xx\\nxx\":\"yy\\tyyy\"}");
    assert_str(v.fields[0].name, STR("na\nme"));
    assert_str(v.fields[0].value.text, STR("va\tlue"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(members_come_in_order_with_their_kinds),
        TEST(values_are_minified_and_otherwise_kept_to_the_byte),
        TEST(strings_come_unescaped_and_raw),
        TEST(numbers_outside_the_grammar_are_malformed),
        TEST(words_other_than_the_three_are_malformed),
        TEST(bad_strings_are_malformed),
        TEST(bad_punctuation_is_malformed),
        TEST(what_is_not_one_object_is_malformed),
        TEST(a_member_given_twice_is_malformed_at_any_depth),
        TEST(large_objects_are_searched_for_twins_too),
        TEST(nesting_is_bounded),
        TEST(a_member_that_is_an_object_can_be_read_in_its_turn),
        TEST(a_parser_takes_a_text_after_a_bad_one_and_a_larger_after_a_small_one),
        TEST(a_tree_has_all_that_is_in_a_value),
        TEST(a_tree_can_be_of_any_kind),
        TEST(a_tree_is_checked_as_an_object_is),
        TEST(a_tree_has_as_many_members_as_one_likes),
        TEST(the_nesting_of_a_tree_is_bounded),
        TEST(a_tree_outlives_the_next_text),
        TEST(a_scan_ends_with_the_closing_bracket),
        TEST(a_scan_begins_with_a_bracket),
        TEST(a_scan_does_not_depend_on_how_the_bytes_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
