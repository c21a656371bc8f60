/* query_name.c: what file names of results and the JSON of calls say, what they may not say, and that both find the
 * same. */
#include "query_name.h"

#include "name.h"
#include "queries.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct json_parser *parser;
    struct arena arena, schema_arena;
    struct schema *schema;
    struct domain_query query;
    struct query_params params;
    struct err err;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->parser = json_parser_new();
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    json_parser_free(f->parser);
    schema_free(f->schema);
    arena_free(&f->arena);
    arena_free(&f->schema_arena);
    free(f);
    return 0;
}

static struct str padded(struct arena *arena, const char *text) {
    size_t n = strlen(text);
    char *p = arena_alloc(arena, n + JSON_PADDING);
    memcpy(p, text, n);
    memset(p + n, 0, JSON_PADDING);
    return (struct str){p, n};
}

/* The schema of the parameters of what is read from here on. */
static void schema(struct fixture *f, const char *text) {
    const struct schema_options options = {0};
    const char *why;
    schema_free(f->schema);
    arena_free(&f->schema_arena);
    struct json_value *tree = arena_alloc(&f->schema_arena, sizeof *tree);
    assert_int_equal(json_tree_read(f->parser, padded(&f->schema_arena, text), &f->schema_arena, tree, &why), 0);
    if (schema_compile(&f->schema, tree, &options, &f->err) != 0)
        fail_msg("%s", f->err.text);
    f->query = (struct domain_query){.name = STR("q"), .tree = tree, .compiled = f->schema};
}

static int read_name(struct fixture *f, struct str name) {
    arena_free(&f->arena);
    f->err = (struct err){0};
    return query_name_read(&f->query, f->parser, &f->arena, name, &f->params, &f->err);
}

static int read_json(struct fixture *f, const char *json) {
    arena_free(&f->arena);
    f->err = (struct err){0};
    return query_params_read(&f->query, f->parser, &f->arena, str_of(json), &f->params, &f->err);
}

static void text_is(const char *of, struct str text, const char *want) {
    if (!str_eq(text, str_of(want)))
        fail_msg("%s: gives %.*s, not %s", of, (int)text.n, text.p, want);
}

/* A name that means these parameters. */
static void means(struct fixture *f, const char *name, const char *canonical, const char *json) {
    if (read_name(f, str_of(name)) != 0)
        fail_msg("%s: %s", name, f->err.text);
    text_is(name, f->params.name, canonical);
    text_is(name, f->params.text, json);
    assert_true(f->params.file);
    assert_int_equal(f->params.tree->kind, JSON_KIND_OBJECT);
    /* the canonical name means the same, and is itself */
    if (read_name(f, str_of(canonical)) != 0)
        fail_msg("%s: %s", canonical, f->err.text);
    text_is(canonical, f->params.name, canonical);
    text_is(canonical, f->params.text, json);
    /* and so does the JSON */
    if (read_json(f, json) != 0)
        fail_msg("%s: %s", json, f->err.text);
    assert_true(f->params.file);
    text_is(json, f->params.name, canonical);
    text_is(json, f->params.text, json);
}

static void says(const struct fixture *f, const char *of, int r, int code, const char *words) {
    if (r == 0)
        fail_msg("%s: was taken, but should have said: %s", of, words);
    if (!strstr(f->err.text, words))
        fail_msg("%s: says: %s\nnot: %s", of, f->err.text, words);
    assert_int_equal(r, -code);
    assert_int_equal(f->err.code, code);
}

static void refused(struct fixture *f, const char *name, const char *words) {
    says(f, name, read_name(f, str_of(name)), EINVAL, words);
}

static void json_refused(struct fixture *f, const char *json, const char *words) {
    says(f, json, read_json(f, json), EINVAL, words);
}

static void json_malformed(struct fixture *f, const char *json, const char *words) {
    says(f, json, read_json(f, json), EBADMSG, words);
}

#define ORDERS                                                                                                         \
    "{\"type\":\"object\",\"properties\":{\"customer\":{\"type\":\"string\",\"maxLength\":300},"                       \
    "\"min\":{\"type\":\"integer\",\"minimum\":0}},\"required\":[\"customer\"]}"

/* --- pairs */

static void pairs_come_in_any_order_and_leave_sorted(void **state) {
    struct fixture *f = *state;
    schema(f, ORDERS);
    means(f, "customer=alice,min=100", "customer=alice,min=100", "{\"customer\":\"alice\",\"min\":100}");
    means(f, "min=100,customer=alice", "customer=alice,min=100", "{\"customer\":\"alice\",\"min\":100}");
    means(f, "customer=alice", "customer=alice", "{\"customer\":\"alice\"}");
    means(f, "customer=", "customer=", "{\"customer\":\"\"}");
    means(f, "customer=all", "customer=all", "{\"customer\":\"all\"}");
}

static void names_are_sorted_by_their_bytes(void **state) {
    struct fixture *f = *state;
    schema(f, "{\"additionalProperties\":{\"type\":\"string\"}}");
    means(f, "b=1,a=2,B=3,ab=4,%C3%A4=5,a%2C=6", "B=3,a=2,a%2C=6,ab=4,b=1,\xc3\xa4=5",
          "{\"B\":\"3\",\"a\":\"2\",\"a,\":\"6\",\"ab\":\"4\",\"b\":\"1\",\"\xc3\xa4\":\"5\"}");
}

static void all_is_no_parameters(void **state) {
    struct fixture *f = *state;
    schema(f, "{}");
    means(f, "all", "all", "{}");
    schema(f, "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}");
    means(f, "all", "all", "{}");
    means(f, "a=1", "a=1", "{\"a\":\"1\"}");
    schema(f, ORDERS);
    refused(f, "all", "lacks the member customer (required)");
}

static void what_is_no_pair_is_refused(void **state) {
    struct fixture *f = *state;
    schema(f, ORDERS);
    refused(f, "", "\"\" is no parameter");
    refused(f, "alice", "alice is no parameter");
    refused(f, "All", "All is no parameter");
    refused(f, "customer=alice,", "\"\" is no parameter");
    refused(f, ",customer=alice", "\"\" is no parameter");
    refused(f, "customer=alice,,min=1", "\"\" is no parameter");
    refused(f, "customer=alice,all", "all is no parameter");
    refused(f, "=alice", "there is no name in front of a =");
    refused(f, "customer=alice,=", "there is no name in front of a =");
    refused(f, "customer=alice,customer=bob", "customer is given twice");
    refused(f, "customer=alice,min=1,customer=alice", "customer is given twice");
    refused(f, "customer=a,%63ustomer=b", "customer is given twice");
    refused(f, "min=1", "lacks the member customer (required)");
}

static void unknown_parameters_are_refused_unless_the_schema_speaks_of_others(void **state) {
    struct fixture *f = *state;
    schema(f, ORDERS);
    refused(f, "customer=alice,mim=1", "the query has no parameter mim");
    refused(f, "custommer=alice", "the query has no parameter custommer");
    json_refused(f, "{\"customer\":\"alice\",\"mim\":1}", "the query has no parameter mim");
    schema(f, "{}");
    refused(f, "a=1", "the query has no parameter a");
    refused(f, "a%20b=1", "the query has no parameter a%20b");
    json_refused(f, "{\"a\":1}", "the query has no parameter a");
    schema(f, "{\"required\":[\"a\"]}");
    means(f, "a=1", "a=1", "{\"a\":\"1\"}");
    schema(f, "{\"additionalProperties\":true}");
    means(f, "a=1", "a=1", "{\"a\":\"1\"}");
    schema(f, "{\"properties\":{\"b\":true},\"additionalProperties\":false}");
    refused(f, "a=1", "(additionalProperties)");
    means(f, "b=1", "b=1", "{\"b\":\"1\"}");
    schema(f, "{\"patternProperties\":{\"^x\":{}},\"additionalProperties\":false}");
    means(f, "x1=1", "x1=1", "{\"x1\":\"1\"}");
    refused(f, "y1=1", "(additionalProperties)");
    schema(f, "{\"allOf\":[{\"properties\":{\"a\":{\"enum\":[\"1\"]}}}]}");
    means(f, "a=1", "a=1", "{\"a\":\"1\"}");
    refused(f, "a=2", "/a ");
}

/* --- encoding */

static void every_byte_that_is_not_unreserved_is_encoded(void **state) {
    struct fixture *f = *state;
    schema(f, ORDERS);
    for (unsigned c = 0; c < 0x80; c++) {
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~';
        char upper[32], lower[32], raw[32], canonical[32];
        snprintf(upper, sizeof upper, "customer=%%%02X", c);
        snprintf(lower, sizeof lower, "customer=%%%02x", c);
        size_t n = (size_t)snprintf(raw, sizeof raw, "customer=%c", c);
        snprintf(canonical, sizeof canonical, plain ? "customer=%c" : "customer=%%%02X", c);
        assert_int_equal(read_name(f, str_of(upper)), 0);
        text_is(upper, f->params.name, canonical);
        assert_int_equal(f->params.tree->fields[0].value.text.n, 1);
        assert_int_equal(f->params.tree->fields[0].value.text.p[0], c);
        assert_int_equal(read_name(f, str_of(lower)), 0);
        text_is(lower, f->params.name, canonical);
        /* as it is, but for what joins pairs and what encodes */
        int r = read_name(f, (struct str){raw, n});
        if (c == ',' || c == '%') {
            assert_int_equal(r, -EINVAL);
        } else {
            assert_int_equal(r, 0);
            text_is(raw, f->params.name, canonical);
        }
    }
}

static void values_hold_whatever_is_encoded(void **state) {
    struct fixture *f = *state;
    schema(f, ORDERS);
    means(f, "customer=a%2Cb%3Dc%25%2f", "customer=a%2Cb%3Dc%25%2F", "{\"customer\":\"a,b=c%/\"}");
    means(f, "customer=a=b==", "customer=a%3Db%3D%3D", "{\"customer\":\"a=b==\"}");
    means(f, "customer=%22%5C%0A", "customer=%22%5C%0A", "{\"customer\":\"\\\"\\\\\\n\"}");
    means(f, "customer=%00", "customer=%00", "{\"customer\":\"\\u0000\"}");
    means(f, "customer=a+b c", "customer=a%2Bb%20c", "{\"customer\":\"a+b c\"}");
    means(f, "c%75stomer=x", "customer=x", "{\"customer\":\"x\"}");
    means(f, "customer=j%C3%BCrgen", "customer=j\xc3\xbcrgen", "{\"customer\":\"j\xc3\xbcrgen\"}");
    means(f, "customer=\xf0\x9f\x90\x9f", "customer=\xf0\x9f\x90\x9f", "{\"customer\":\"\xf0\x9f\x90\x9f\"}");
    schema(f, "{\"properties\":{\"a=b,c\":{\"type\":\"string\"}}}");
    means(f, "a%3Db%2Cc=1", "a%3Db%2Cc=1", "{\"a=b,c\":\"1\"}");
}

static void bad_encodings_are_refused(void **state) {
    struct fixture *f = *state;
    static const char *const values[] = {"%",  "%2",  "%%",    "%zz", "%2g", "%g2",
                                         "a%", "a%4", "%4%31", "% 1", "%-1", "%+1"};
    schema(f, ORDERS);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char name[64];
        snprintf(name, sizeof name, "customer=%s", values[i]);
        refused(f, name, "customer: a % is not followed by two hexadecimal digits");
        snprintf(name, sizeof name, "customer=%s,min=1", values[i]);
        refused(f, name, "customer: a % is not followed by two hexadecimal digits");
        snprintf(name, sizeof name, "%s=1", values[i]);
        refused(f, name, "the name of a parameter: a % is not followed by two hexadecimal digits");
    }
}

static void what_is_not_utf8_is_refused(void **state) {
    struct fixture *f = *state;
    static const char *const values[] = {
        "%80",     "%C3",    "%FF",  "%C0%80", "%E0%80%80", "%ED%A0%80", "%F4%90%80%80", "%F8%88%80%80%80",
        "a%C3%28", "%E2%82", "\xff", "\xc3",   "\xc3%28",   "\xe2\x82,", "%C3,%BC",
    };
    schema(f, ORDERS);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char name[64];
        snprintf(name, sizeof name, "customer=%s", values[i]);
        refused(f, name, "customer: what is encoded is not UTF-8");
        if (!strchr(values[i], ',')) {
            snprintf(name, sizeof name, "%s=1", values[i]);
            refused(f, name, "the name of a parameter: what is encoded is not UTF-8");
        }
    }
    refused(f, "\xff", "(not UTF-8) is no parameter");
    /* a character in two encodings is one */
    means(f, "customer=\xc3%BC", "customer=\xc3\xbc", "{\"customer\":\"\xc3\xbc\"}");
}

/* --- types */

static void integers_keep_their_digits(void **state) {
    struct fixture *f = *state;
    schema(f, "{\"properties\":{\"n\":{\"type\":\"integer\"}}}");
    static const char *const good[] = {"0",
                                       "-0",
                                       "1",
                                       "-1",
                                       "9007199254740993",
                                       "-9223372036854775808",
                                       "18446744073709551616",
                                       "123456789012345678901234567890"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char name[64], json[64];
        snprintf(name, sizeof name, "n=%s", good[i]);
        snprintf(json, sizeof json, "{\"n\":%s}", good[i]);
        means(f, name, name, json);
        assert_int_equal(f->params.tree->fields[0].value.kind, JSON_KIND_NUMBER);
    }
    static const char *const bad[] = {"",    "+1",  "01",  "-01",  "1.0", "1e2", "1.5", " 1",   "1 ",
                                      "0x1", "--1", "one", "1%2C", "-",   "1_0", "NaN", "null", "true"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char name[64];
        snprintf(name, sizeof name, "n=%s", bad[i]);
        refused(f, name, "n must be an integer");
    }
    refused(f, "n=a%20b", "n=a%20b: n must be an integer");
}

static void numbers_are_those_of_json(void **state) {
    struct fixture *f = *state;
    schema(f, "{\"properties\":{\"n\":{\"type\":\"number\"}}}");
    static const char *const good[] = {"0", "-0", "0.10", "-1.50", "10", "1e5", "1E-5", "2.5e3", "-0.0", "0e0"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char name[64], json[64];
        snprintf(name, sizeof name, "n=%s", good[i]);
        snprintf(json, sizeof json, "{\"n\":%s}", good[i]);
        means(f, name, name, json);
    }
    means(f, "n=1e+5", "n=1e%2B5", "{\"n\":1e+5}");
    static const char *const bad[] = {"",   ".5", "5.",  "1e",       "1e+",   "1.e5",  "01",   "00",
                                      "+1", "-",  "-.5", "Infinity", "1.5.2", "1e5e5", "0x10", "1,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char name[64];
        snprintf(name, sizeof name, "n=%s", bad[i]);
        assert_int_equal(read_name(f, str_of(name)), -EINVAL);
    }
    refused(f, "n=.5", "n=.5: n must be a number");
}

static void booleans_and_null_are_words(void **state) {
    struct fixture *f = *state;
    schema(f, "{\"properties\":{\"b\":{\"type\":\"boolean\"},\"z\":{\"type\":\"null\"}}}");
    means(f, "b=true,z=null", "b=true,z=null", "{\"b\":true,\"z\":null}");
    means(f, "b=false", "b=false", "{\"b\":false}");
    refused(f, "b=True", "b=True: b must be true or false");
    refused(f, "b=", "b must be true or false");
    refused(f, "b=1", "b must be true or false");
    refused(f, "z=nil", "z=nil: z must be null");
    refused(f, "z=", "z must be null");
}

static void of_several_types_a_string_comes_last(void **state) {
    struct fixture *f = *state;
    schema(f, "{\"properties\":{\"v\":{\"type\":[\"string\",\"integer\",\"boolean\",\"null\"]}}}");
    means(f, "v=7", "v=7", "{\"v\":7}");
    means(f, "v=true", "v=true", "{\"v\":true}");
    means(f, "v=null", "v=null", "{\"v\":null}");
    means(f, "v=7.0", "v=7.0", "{\"v\":\"7.0\"}");
    means(f, "v=x", "v=x", "{\"v\":\"x\"}");
    means(f, "v=", "v=", "{\"v\":\"\"}");
    schema(f, "{\"properties\":{\"v\":{\"type\":[\"integer\",\"null\"]}}}");
    refused(f, "v=x", "v=x: v must be an integer or null");
    schema(f, "{\"properties\":{\"v\":{\"type\":[\"number\",\"string\"]}}}");
    means(f, "v=7.0", "v=7.0", "{\"v\":7.0}");
    means(f, "v=true", "v=true", "{\"v\":\"true\"}");
}

static void without_a_type_it_is_a_string(void **state) {
    struct fixture *f = *state;
    schema(f, "{\"properties\":{\"a\":{},\"b\":true,\"c\":{\"minLength\":2}}}");
    means(f, "a=1,b=null,c=true", "a=1,b=null,c=true", "{\"a\":\"1\",\"b\":\"null\",\"c\":\"true\"}");
    refused(f, "c=x", "/c is shorter than 2 characters (minLength)");
}

static void arrays_and_objects_are_for_calls(void **state) {
    struct fixture *f = *state;
    schema(f, "{\"properties\":{\"a\":{\"type\":\"array\"},\"o\":{\"type\":\"object\"}}}");
    refused(f, "a=1", "a must be an array, which a file name cannot say: write the parameters to `call`");
    refused(f, "o={}", "o must be an object, which a file name cannot say");
    schema(f, "{\"properties\":{\"a\":{\"type\":[\"array\",\"integer\"]}}}");
    means(f, "a=1", "a=1", "{\"a\":1}");
    refused(f, "a=x", "a=x: a must be an integer or an array");
}

static void the_schema_has_the_last_word(void **state) {
    struct fixture *f = *state;
    schema(f, ORDERS);
    refused(f, "customer=alice,min=-1", "/min ");
    refused(f, "customer=alice,min=-1", "(minimum)");
    json_refused(f, "{\"customer\":\"alice\",\"min\":-1}", "(minimum)");
    json_refused(f, "{\"customer\":7}", "(type)");
    json_refused(f, "{\"min\":7}", "lacks the member customer (required)");
    schema(f, "{\"properties\":{\"s\":{\"type\":\"string\",\"enum\":[\"open\",\"paid\"]}}}");
    means(f, "s=open", "s=open", "{\"s\":\"open\"}");
    refused(f, "s=opened", "(enum)");
}

/* --- sizes */

static void the_canonical_name_is_measured(void **state) {
    struct fixture *f = *state;
    char name[2048] = "customer=";
    schema(f, ORDERS);
    size_t n = strlen(name);
    memset(name + n, 'a', sizeof name - n);
    assert_int_equal(read_name(f, (struct str){name, QUERY_NAME_MAX}), 0);
    assert_int_equal(f->params.name.n, QUERY_NAME_MAX);
    says(f, "too long", read_name(f, (struct str){name, QUERY_NAME_MAX + 1}), ENAMETOOLONG,
         "has 251 bytes when it is encoded, and may have 250");
    /* what is longer than it must be is fine, and what becomes longer is not */
    n = (size_t)snprintf(name, sizeof name, "customer=");
    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(name + n, sizeof name - n, "%%61");
    assert_int_equal(read_name(f, (struct str){name, n}), 0);
    assert_int_equal(f->params.name.n, strlen("customer=") + 100);
    n = (size_t)snprintf(name, sizeof name, "customer=");
    memset(name + n, ' ', 100);
    assert_int_equal(read_name(f, (struct str){name, n + 100}), -ENAMETOOLONG);
}

static void messages_fit_and_are_text(void **state) {
    struct fixture *f = *state;
    char name[5001];
    schema(f, ORDERS);
    memset(name, 'x', sizeof name);
    assert_int_equal(read_name(f, (struct str){name, sizeof name}), -EINVAL);
    assert_non_null(strstr(f->err.text, "xxx is no parameter"));
    for (size_t i = 0; i + 1 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xbc", 2);
    name[sizeof name - 1] = '=';
    assert_int_equal(read_name(f, (struct str){name, sizeof name}), -EINVAL);
    assert_non_null(strstr(f->err.text, "the query has no parameter \xc3\xbc"));
    assert_true(name_is_plain_text(str_of(f->err.text)));
    memset(name, '\n', sizeof name);
    assert_int_equal(read_name(f, (struct str){name, sizeof name}), -EINVAL);
    assert_null(strchr(f->err.text, '\n'));
}

/* --- calls */

static void calls_find_what_file_names_find(void **state) {
    struct fixture *f = *state;
    schema(f, ORDERS);
    assert_int_equal(read_json(f, " { \"min\" : 100 , \"customer\" : \"al\\u0069ce\" } \n"), 0);
    assert_true(f->params.file);
    text_is("call", f->params.name, "customer=alice,min=100");
    assert_int_equal(read_json(f, "{\"customer\":\"alice\"}"), 0);
    text_is("call", f->params.name, "customer=alice");
    schema(f, "{}");
    assert_int_equal(read_json(f, "{}"), 0);
    text_is("call", f->params.name, "all");
    assert_true(f->params.file);
}

/* What a file name would say otherwise has a name that no file name is. */
static void calls_may_say_what_no_file_name_can(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *type, *value;
    } cases[] = {
        {"[\"string\",\"integer\"]", "\"7\""},
        {"[\"string\",\"boolean\"]", "\"true\""},
        {"[\"string\",\"null\"]", "\"null\""},
        {"\"integer\"", "7.0"},
        {"\"integer\"", "1e2"},
        {"\"array\"", "[1,2]"},
        {"\"object\"", "{\"a\":1}"},
        {"[\"array\",\"string\"]", "[]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"properties\":{\"v\":{\"type\":%s}}}", cases[i].type);
        schema(f, text);
        snprintf(text, sizeof text, "{\"v\":%s}", cases[i].value);
        if (read_json(f, text) != 0)
            fail_msg("%s: %s", text, f->err.text);
        assert_false(f->params.file);
        text_is(text, f->params.name, text);
        text_is(text, f->params.text, text);
    }
    schema(f, "{\"properties\":{\"v\":{}}}");
    assert_int_equal(read_json(f, "{\"v\":7}"), 0);
    assert_false(f->params.file);
    assert_int_equal(read_json(f, "{\"v\":\"7\"}"), 0);
    assert_true(f->params.file);
    text_is("7", f->params.name, "v=7");
    schema(f, "{\"additionalProperties\":true}");
    assert_int_equal(read_json(f, "{\"\":\"7\"}"), 0);
    assert_false(f->params.file);
}

static void calls_may_be_long(void **state) {
    struct fixture *f = *state;
    char text[400];
    schema(f, ORDERS);
    snprintf(text, sizeof text, "{\"customer\":\"%0241d\"}", 0);
    assert_int_equal(read_json(f, text), 0);
    assert_true(f->params.file);
    assert_int_equal(f->params.name.n, QUERY_NAME_MAX);
    snprintf(text, sizeof text, "{\"customer\":\"%0242d\"}", 0);
    assert_int_equal(read_json(f, text), 0);
    assert_false(f->params.file);
    text_is("long", f->params.name, text);
}

static void calls_are_sorted(void **state) {
    struct fixture *f = *state;
    schema(f, "{\"additionalProperties\":true}");
    assert_int_equal(read_json(f, "{\"b\":[1],\"a\":{\"z\":1,\"y\":2}}"), 0);
    text_is("sorted", f->params.text, "{\"a\":{\"z\":1,\"y\":2},\"b\":[1]}");
    text_is("sorted", f->params.name, "{\"a\":{\"z\":1,\"y\":2},\"b\":[1]}");
}

static void what_is_no_object_is_refused(void **state) {
    struct fixture *f = *state;
    schema(f, "{\"additionalProperties\":true}");
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "{\"a\":1",
                                      "{\"a\":1}}",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{\"a\":1} {}",
                                      "{\"a\":1,\"a\":1}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":01}",
                                      "{\"a\":\"\\ud800\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        json_malformed(f, bad[i], "the parameters are no JSON");
    json_malformed(f, "[]", "the parameters are no JSON object");
    json_malformed(f, "7", "the parameters are no JSON object");
    json_malformed(f, "null", "the parameters are no JSON object");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(pairs_come_in_any_order_and_leave_sorted),
        TEST(names_are_sorted_by_their_bytes),
        TEST(all_is_no_parameters),
        TEST(what_is_no_pair_is_refused),
        TEST(unknown_parameters_are_refused_unless_the_schema_speaks_of_others),
        TEST(every_byte_that_is_not_unreserved_is_encoded),
        TEST(values_hold_whatever_is_encoded),
        TEST(bad_encodings_are_refused),
        TEST(what_is_not_utf8_is_refused),
        TEST(integers_keep_their_digits),
        TEST(numbers_are_those_of_json),
        TEST(booleans_and_null_are_words),
        TEST(of_several_types_a_string_comes_last),
        TEST(without_a_type_it_is_a_string),
        TEST(arrays_and_objects_are_for_calls),
        TEST(the_schema_has_the_last_word),
        TEST(the_canonical_name_is_measured),
        TEST(messages_fit_and_are_text),
        TEST(calls_find_what_file_names_find),
        TEST(calls_may_say_what_no_file_name_can),
        TEST(calls_may_be_long),
        TEST(calls_are_sorted),
        TEST(what_is_no_object_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
