#include "arena.h"
#include "json.h"
#include "regex.h"
#include "schema.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

struct fixture {
    struct json_parser *parser;
    struct arena arena;
    struct schema *schema;
    struct schema_fault fault;
    struct err err;
    struct schema_options options;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->parser = json_parser_new();
    *state = f;
    return f->parser ? 0 : -1;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    schema_free(f->schema);
    json_parser_free(f->parser);
    arena_free(&f->arena);
    free(f);
    return 0;
}

/* Each ' of the text stands for a ". */
static const struct json_value *tree(struct fixture *f, const char *text) {
    const char *why;
    size_t n = strlen(text);
    char *copy = arena_alloc(&f->arena, n + JSON_PADDING);
    struct json_value *out = arena_alloc(&f->arena, sizeof *out);
    for (size_t i = 0; i < n; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    memset(copy + n, 0, JSON_PADDING);
    if (json_tree_read(f->parser, (struct str){copy, n}, &f->arena, out, &why))
        fail_msg("%s: %s", text, why);
    return out;
}

static int compile(struct fixture *f, const char *schema) {
    schema_free(f->schema);
    f->schema = NULL;
    f->err = (struct err){0};
    return schema_compile(&f->schema, tree(f, schema), &f->options, &f->err);
}

static void must_compile(struct fixture *f, const char *schema) {
    if (compile(f, schema))
        fail_msg("%.300s: %s", schema, f->err.text);
}

static void assert_refused(struct fixture *f, const char *schema, const char *place, const char *words) {
    assert_int_equal(compile(f, schema), -EINVAL);
    assert_null(f->schema);
    if (strncmp(f->err.text, place, strlen(place)) != 0 || !strstr(f->err.text, words))
        fail_msg("%.300s: %s", schema, f->err.text);
}

static int check(struct fixture *f, const char *instance) {
    memset(&f->fault, 'x', sizeof f->fault);
    return schema_check(f->schema, tree(f, instance), &f->fault);
}

static void assert_valid(struct fixture *f, const char *instance) {
    if (check(f, instance))
        fail_msg("%.300s: %s %s: %s", instance, f->fault.instance, f->fault.schema, f->fault.text);
}

static void assert_fault(struct fixture *f, const char *instance, const char *at, const char *schema,
                         const char *text) {
    assert_int_equal(check(f, instance), SCHEMA_VIOLATED);
    assert_string_equal(f->fault.instance, at);
    assert_string_equal(f->fault.schema, schema);
    assert_string_equal(f->fault.text, text);
    assert_int_equal(schema_check(f->schema, tree(f, instance), NULL), SCHEMA_VIOLATED);
}

/* --- what a fault tells */

static void faults_name_the_place_and_the_keyword(void **state) {
    struct fixture *f = *state;
    must_compile(f, "{'type':'object','required':['customer'],'additionalProperties':false,'properties':{"
                    "'customer':{'type':'object','properties':{'name':{'minLength':2}}},"
                    "'items':{'maxItems':2,'uniqueItems':true,'items':{'type':['integer','null'],'maximum':9}},"
                    "'a/b~c':{'const':1}}}");
    assert_valid(f, "{'customer':{'name':'ab'},'items':[1,null]}");
    assert_fault(f, "3", "", "/type", "is not an object");
    assert_fault(f, "{}", "", "/required", "lacks the member customer");
    assert_string_equal(f->fault.keyword, "required");
    assert_fault(f, "{'customer':{'name':'\u00fc'}}", "/customer/name",
                 "/properties/customer/properties/name/minLength", "is shorter than 2 characters");
    assert_string_equal(f->fault.keyword, "minLength");
    assert_fault(f, "{'customer':{},'items':[1,10]}", "/items/1", "/properties/items/items/maximum",
                 "10 is greater than 9");
    assert_fault(f, "{'customer':{},'items':[1,'x']}", "/items/1", "/properties/items/items/type",
                 "is not an integer or null");
    assert_fault(f, "{'customer':{},'items':[1,1.0]}", "/items", "/properties/items/uniqueItems",
                 "has items 0 and 1 that are the same");
    assert_fault(f, "{'customer':{},'items':[1,2,3]}", "/items", "/properties/items/maxItems", "has more than 2 items");
    assert_fault(f, "{'customer':{},'other':1}", "/other", "/additionalProperties", "is not allowed");
    assert_string_equal(f->fault.keyword, "additionalProperties");
    assert_fault(f, "{'customer':{},'a/b~c':2}", "/a~1b~0c", "/properties/a~1b~0c/const",
                 "is not the value that it must be");
}

static void faults_are_in_the_document_that_has_the_keyword(void **state) {
    struct fixture *f = *state;
    must_compile(f, "{'$defs':{'name':{'minLength':1}},'properties':{'a':{'$ref':'#/$defs/name'},"
                    "'b':{'anyOf':[{'type':'null'},{'$ref':'#/$defs/name','type':'string'}]},'c':{'not':{}},"
                    "'d':{'oneOf':[true,{'type':'null'}]},'e':{'contains':{'type':'null'}}}}");
    assert_fault(f, "{'a':''}", "/a", "/$defs/name/minLength", "is shorter than 1 character");
    assert_fault(f, "{'b':''}", "/b", "/$defs/name/minLength", "is shorter than 1 character");
    assert_fault(f, "{'b':1}", "/b", "/properties/b/anyOf", "is none of the 2 things that it can be");
    assert_fault(f, "{'c':''}", "/c", "/properties/c/not", "is what it must not be");
    assert_fault(f, "{'d':null}", "/d", "/properties/d/oneOf",
                 "is more than one of the things of which it must be exactly one (0 and 1)");
    assert_fault(f, "{'e':[1]}", "/e", "/properties/e/contains", "has fewer than 1 item of the kind it must contain");
}

/* Cut after a whole character, whatever the length of what comes before. */
static void long_places_are_cut_at_a_character(void **state) {
    struct fixture *f = *state;
    must_compile(f, "{'additionalProperties':{'additionalProperties':{'type':'null'}}}");
    for (int shift = 0; shift < 8; shift++) {
        char text[1000] = "{'x", *at = text + 3;
        for (int i = 0; i < shift; i++)
            *at++ = 'y';
        for (int i = 0; i < 60; i++)
            at = stpcpy(at, "\u20ac");
        strcpy(at, "':{'\u20ac':1}}");
        assert_int_equal(check(f, text), SCHEMA_VIOLATED);
        size_t n = strlen(f->fault.instance);
        assert_in_range(n, sizeof f->fault.instance - 4, sizeof f->fault.instance - 1);
        assert_memory_equal(f->fault.instance, "/x", 2);
        assert_int_equal((n - 2 - (size_t)shift) % 3, 0);
        snprintf(text, sizeof text, "{'a':{'%.*s\u20ac\u20ac\u20ac':1}}", 140 + shift,
                 "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
                 "01234567890123456789012345678901234567890123456789");
        assert_int_equal(check(f, text), SCHEMA_VIOLATED);
        n = strlen(f->fault.instance);
        assert_true(n < sizeof f->fault.instance);
        assert_int_equal((n - 3 - (size_t)(140 + shift)) % 3, 0);
    }
}

/* --- numbers */

static void numbers_are_compared_exactly(void **state) {
    struct fixture *f = *state;
    must_compile(f, "{'minimum':0.1,'maximum':9007199254740993,'multipleOf':0.01}");
    assert_valid(f, "0.1");
    assert_valid(f, "1e-1");
    assert_valid(f, "9007199254740993");
    assert_valid(f, "9007199254740993.000");
    assert_valid(f, "0.29e0");
    assert_valid(f, "1.1e3");
    assert_fault(f, "9007199254740994", "", "/maximum", "9007199254740994 is greater than 9007199254740993");
    assert_fault(f, "9007199254740993.000000000000000000000000000000000000000000000001", "", "/maximum",
                 "9007199254740993.0000000000000000000000000000000000000000000 is greater than 9007199254740993");
    assert_fault(f, "0.09999999999999999999999999999999999999999", "", "/minimum",
                 "0.09999999999999999999999999999999999999999 is less than 0.1");
    assert_fault(f, "0.295", "", "/multipleOf", "0.295 is not a multiple of 0.01");
    assert_fault(f, "-1e1000", "", "/minimum", "-1e1000 is less than 0.1");
    must_compile(f, "{'multipleOf':7}");
    assert_valid(f, "700000000000000000000000000000000000000000000000000007");
    assert_fault(f, "700000000000000000000000000000000000000000000000000008", "", "/multipleOf",
                 "700000000000000000000000000000000000000000000000000008 is not a multiple of 7");
    assert_int_equal(check(f, "1e999999999999999999999999"), SCHEMA_VIOLATED);
    assert_valid(f, "-0.0");
    assert_valid(f, "7e999999999999999999999999");
    must_compile(f, "{'multipleOf':1024}");
    assert_valid(f, "1e999999999");
    assert_valid(f, "1e10");
    assert_int_equal(check(f, "1e9"), SCHEMA_VIOLATED);
}

static void integers_are_numbers_without_a_fraction(void **state) {
    static const char *const good[] = {"0",      "-0", "1.0", "10e-1", "1e2", "123456789012345678901234567890",
                                       "1.50e1", "0e5"};
    static const char *const bad[] = {"0.5", "1.01", "1e-1", "12345678901234567890.1", "15e-1"};
    struct fixture *f = *state;
    must_compile(f, "{'type':'integer'}");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_valid(f, good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fault(f, bad[i], "", "/type", "is not an integer");
}

static void equal_values_are_found_whatever_their_form(void **state) {
    struct fixture *f = *state;
    must_compile(f, "{'enum':[{'a':[1,2.50],'b':null},100,'x']}");
    assert_valid(f, "{'b':null,'a':[1.0,25e-1]}");
    assert_valid(f, "1e2");
    assert_valid(f, "100.00");
    assert_valid(f, "'\\u0078'");
    assert_fault(f, "'y'", "", "/enum", "is none of the values that it can be");
    assert_int_equal(check(f, "{'a':[1,2.51],'b':null}"), SCHEMA_VIOLATED);
    assert_int_equal(check(f, "{'a':[1,2.50]}"), SCHEMA_VIOLATED);
    must_compile(f, "{'uniqueItems':true}");
    assert_valid(f,
                 "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,'17',true,false,null,{},[],{'a':1},{'a':2},{'b':1},[1]]");
    assert_fault(f, "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,{'a':1,'b':[2.0]},{'b':[2],'a':1e0}]", "",
                 "/uniqueItems", "has items 17 and 18 that are the same");
}

/* --- dialects and references */

static void the_dialect_is_what_schema_says(void **state) {
    struct fixture *f = *state;
    must_compile(f, "{'items':true,'prefixItems':[{'type':'null'}]}");
    assert_int_equal(check(f, "[1]"), SCHEMA_VIOLATED);
    must_compile(f, "{'$schema':'http://json-schema.org/draft-07/schema#','items':[{'type':'null'}],"
                    "'additionalItems':false,'prefixItems':[false]}");
    assert_valid(f, "[null]");
    assert_fault(f, "[null,1]", "/1", "/additionalItems", "is not allowed");
    assert_refused(f, "{'$schema':'https://json-schema.org/draft/2019-09/schema'}", "$schema: https://json-schema.org/",
                   "draft/2019-09/schema is not known here");
}

static bool load(void *arg, struct str uri, const struct json_value **document) {
    struct fixture *f = arg;
    if (str_eq(uri, STR("https://esfs.example/name")))
        *document = tree(f, "{'type':'string','$defs':{'n':{'$anchor':'n','maximum':'x'}}}");
    else if (str_eq(uri, STR("https://esfs.example/shop/name.json")))
        *document = tree(f, "{'type':'string','$defs':{'n':{'$anchor':'few','maximum':3}}}");
    else
        return false;
    return true;
}

static void documents_are_loaded_by_their_uri(void **state) {
    struct fixture *f = *state;
    f->options = (struct schema_options){.load = load, .arg = f};
    must_compile(f, "{'$id':'https://esfs.example/shop/order.json','properties':{'a':{'$ref':'name.json'},"
                    "'b':{'$ref':'./x/../name.json#few'},'c':{'$ref':'name.json#/$defs/n'}}}");
    assert_valid(f, "{'a':'x','b':3,'c':2}");
    assert_fault(f, "{'a':1}", "/a", "/type", "is not a string");
    assert_fault(f, "{'b':4}", "/b", "/$defs/n/maximum", "4 is greater than 3");
    assert_fault(f, "{'c':4}", "/c", "/$defs/n/maximum", "4 is greater than 3");
    assert_refused(f, "{'$ref':'https://esfs.example/name'}",
                   "https://esfs.example/name#/$defs/n/maximum:", "is not a number");
    assert_refused(f, "{'$ref':'https://esfs.example/shop/name.json#many'}", "/$ref:", "leads nowhere");
    assert_refused(f, "{'$ref':'https://esfs.example/none'}",
                   "/$ref:", "leads to https://esfs.example/none, which is not known here");
    f->options = (struct schema_options){0};
    assert_refused(f, "{'$ref':'https://esfs.example/shop/name.json'}", "/$ref:", "not known here");
    must_compile(f, "{'$ref':'https://json-schema.org/draft/2020-12/schema'}");
    assert_valid(f, "{'minLength':1}");
    assert_fault(f, "{'minLength':-1}", "/minLength", "/$defs/nonNegativeInteger/minimum", "-1 is less than 0");
}

static void a_schema_outlives_its_document(void **state) {
    struct fixture *f = *state;
    struct arena arena = {0};
    struct json_value document;
    const char *why;
    char text[200 + JSON_PADDING] = "{\"properties\":{\"a\":{\"enum\":[{\"b\":[1]},\"x\"]}},\"required\":[\"a\"],"
                                    "\"patternProperties\":{\"^y\":false}}";
    assert_int_equal(json_tree_read(f->parser, str_of(text), &arena, &document, &why), 0);
    assert_int_equal(schema_compile(&f->schema, &document, NULL, NULL), 0);
    arena_free(&arena);
    memset(text, 'z', sizeof text);
    assert_valid(f, "{'a':{'b':[1]}}");
    assert_fault(f, "{'y':1}", "/y", "/patternProperties/^y", "is not allowed");
}

/* --- what is no schema */

static void what_is_no_schema_is_refused_with_the_place(void **state) {
    struct fixture *f = *state;
    assert_refused(f, "3", "the whole:", "is not an object or true or false");
    assert_refused(f, "{'type':'strnig'}", "/type:", "is none of the values that it can be");
    assert_refused(f, "{'properties':{'a':{'minLength':-1}}}", "/properties/a/minLength:", "-1 is less than 0");
    assert_refused(f, "{'properties':{'a':{'minLength':1.5}}}", "/properties/a/minLength:", "is not an integer");
    assert_refused(f, "{'required':['a','a']}", "/required:", "the same");
    assert_refused(f, "{'$defs':{'a':{'pattern':'a('}}}", "/$defs/a/pattern:", "is not a regular expression");
    assert_refused(f, "{'patternProperties':{'*':true}}",
                   "/patternProperties:", "there is nothing that * could repeat");
    assert_refused(f, "{'items':{'$ref':'#/$defs/none'}}", "/items/$ref:", "#/$defs/none leads nowhere");
    assert_refused(f, "{'items':{'$ref':'#none'}}", "/items/$ref:", "#none leads nowhere");
    assert_refused(f, "{'items':[{}]}", "/items:", "");
    assert_refused(f, "{'multipleOf':0}", "/multipleOf:", "0 is not greater than 0");
    assert_refused(f, "{'x':[1],'$ref':'#/x/0'}", "/x/0:", "is not a schema");
    assert_refused(f, "{'x':{'minLength':'long'},'$ref':'#/x'}", "/x/minLength:", "is not a number");
    assert_refused(f, "{'$defs':{'a':{'$anchor':'x'},'b':{'$anchor':'x'}}}", "/$defs/b/$anchor:", "two anchors");
    assert_refused(f, "{'$schema':'http://json-schema.org/draft-07/schema#','minLength':'x'}",
                   "/minLength:", "is not an integer");
    must_compile(f, "{'unknown':{'minLength':'x'},'minLength':2.0,'maxLength':1e400}");
    assert_valid(f, "'ab'");
    assert_int_equal(check(f, "'a'"), SCHEMA_VIOLATED);
}

/* --- bombs */

static void references_that_make_no_step_are_refused(void **state) {
    struct fixture *f = *state;
    const char *words = "refers back to itself";
    assert_refused(f, "{'$ref':'#'}", "the whole:", words);
    assert_refused(f, "{'$defs':{'a':{'$ref':'#/$defs/b'},'b':{'allOf':[{'$ref':'#/$defs/a'}]}}}", "/$defs/", words);
    assert_refused(f, "{'if':{'not':{'$ref':'#'}}}", "the whole:", words);
    assert_refused(f, "{'dependentSchemas':{'a':{'$ref':'#'}}}", "the whole:", words);
    must_compile(f, "{'items':{'$ref':'#'},'additionalProperties':{'$ref':'#'},'type':['array','object','null']}");
    assert_valid(f, "[[],[[null,{'a':[]}]]]");
    assert_fault(f, "[[],[{'a':[1]}]]", "/1/0/a/0", "/type", "is not an object or an array or null");
    must_compile(f, "{'$dynamicAnchor':'x','$dynamicRef':'#x'}");
    assert_int_equal(check(f, "1"), SCHEMA_VIOLATED);
    assert_non_null(strstr(f->fault.text, "nested too deep to check"));
}

static void a_long_chain_of_references_ends(void **state) {
    struct fixture *f = *state;
    char *text = malloc(200000), *at = text;
    at = stpcpy(at, "{'$ref':'#/$defs/0','$defs':{");
    for (int i = 0; i < 3000; i++)
        at += sprintf(at, "'%d':{'$ref':'#/$defs/%d'},", i, i + 1);
    strcpy(at, "'3000':true}}");
    must_compile(f, text);
    assert_int_equal(check(f, "1"), SCHEMA_VIOLATED);
    assert_non_null(strstr(f->fault.text, "nested too deep to check"));
    free(text);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 10^30 ways through. */
static void what_multiplies_is_given_up(void **state) {
    struct fixture *f = *state;
    char *text = malloc(20000), *at = text;
    at = stpcpy(at, "{'$ref':'#/$defs/0','$defs':{");
    for (int i = 0; i < 30; i++) {
        at += sprintf(at, "'%d':{'anyOf':[", i);
        for (int k = 0; k < 10; k++)
            at += sprintf(at, "%s{'$ref':'#/$defs/%d'}", k ? "," : "", i + 1);
        at = stpcpy(at, "]},");
    }
    strcpy(at, "'30':false}}");
    must_compile(f, text);
    double began = seconds();
    assert_int_equal(check(f, "{'a':1}"), SCHEMA_VIOLATED);
    assert_non_null(strstr(f->fault.text, "costs too much to check"));
    assert_true(seconds() - began < 5);
    must_compile(
        f, "{'not':{'not':{'$defs':{'a':{'$dynamicAnchor':'x','$dynamicRef':'#x'}},'$ref':'#/not/not/$defs/a'}}}");
    assert_int_equal(check(f, "1"), SCHEMA_VIOLATED); /* `not` turns a violation round, but not this one */
    free(text);
}

static void expensive_patterns_are_given_up(void **state) {
    static const char *const schemas[] = {"{'pattern':'^(a+)+$'}", "{'pattern':'^(a|a)*$'}", "{'pattern':'(.*)*=.*='}",
                                          "{'not':{'pattern':'^(a+)+$'}}"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        must_compile(f, schemas[i]);
        double began = seconds();
        assert_int_equal(check(f, "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'"),
                         SCHEMA_VIOLATED);
        assert_non_null(strstr(f->fault.text, i == 2 ? "" : "costs too much to match"));
        assert_true(seconds() - began < 2);
    }
    must_compile(f, "{'patternProperties':{'^(a+)+$':true}}");
    assert_int_equal(check(f, "{'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!':1}"), SCHEMA_VIOLATED);
    assert_string_equal(f->fault.keyword, "patternProperties");
    char *text = malloc(600000), *at = text;
    *at++ = '{';
    for (int i = 0; i < 10000; i++)
        at += sprintf(at, "%s'aaaaaaaaaaaaa%d!':1", i ? "," : "", i);
    strcpy(at, "}");
    double began = seconds();
    must_compile(f, "{'patternProperties':{'^(a+)+$':true}}");
    assert_int_equal(check(f, text), SCHEMA_VIOLATED);
    assert_string_equal(f->fault.keyword, "patternProperties");
    assert_non_null(strstr(f->fault.text, "costs too much to check"));
    assert_true(seconds() - began < 5);
    free(text);
    must_compile(f, "{'minLength':99999999999999999999999999999}");
    assert_int_equal(check(f, "'a'"), SCHEMA_VIOLATED);
}

static void what_is_large_may_take_more_steps(void **state) {
    struct fixture *f = *state;
    size_t n = 1200000;
    char *text = malloc(2 * n + 100), *at = text;
    *at++ = '[';
    for (size_t i = 0; i < n; i++)
        at = stpcpy(at, i ? ",1" : "1");
    strcpy(at, "]");
    must_compile(f, "{'items':{'type':'integer'}}");
    assert_valid(f, text);
    free(text);
}

/* --- regular expressions */

static int match(const char *pattern, const char *text) {
    char why[REGEX_WHY] = "";
    struct regex *r;
    int rc = regex_new(&r, str_of(pattern), why);
    if (rc) {
        assert_int_equal(rc, REGEX_INVALID);
        assert_true(*why);
        return -1;
    }
    rc = regex_match(r, str_of(text), NULL);
    regex_free(r);
    return rc;
}

static void expressions_mean_what_ecma_262_says(void **state) {
    (void)state;
    assert_int_equal(match("^\\d+$", "42"), 1);
    assert_int_equal(match("^\\d+$", "\u0664\u0662"), 0);
    assert_int_equal(match("^\\w$", "\u00e9"), 0);
    assert_int_equal(match("^\\s$", "\u2003"), 1);
    assert_int_equal(match("^[\\s]$", "\ufeff"), 1);
    assert_int_equal(match("^[^\\s]$", "\u2003"), 0);
    assert_int_equal(match("^.$", "\u2028"), 0);
    assert_int_equal(match("^.$", "\U0001f600"), 1);
    assert_int_equal(match("^a$", "a\n"), 0);
    assert_int_equal(match("^\\v$", "\x0b"), 1);
    assert_int_equal(match("^\\v$", "\n"), 0);
    assert_int_equal(match("^\\u{1F600}\\ud83d\\ude00\\x41\\cJ$", "\U0001f600\U0001f600A\n"), 1);
    assert_int_equal(match("^\\p{Letter}\\p{gc=Lu}\\p{Script=Greek}\\P{L}\\p{sc=Latin}$", "\u00e9\u00c9\u03b1"
                                                                                          "1a"),
                     1);
    assert_int_equal(match("^[[:alpha:]]$", "a]"), 1);
    assert_int_equal(match("^[^]$", "x"), 1);
    assert_int_equal(match("[]", "x"), 0);
    assert_int_equal(match("^(?<y>a)\\k<y>\\1$", "aaa"), 1);
    assert_int_equal(match("^(?:a|(b))\\1$", "a"), 1);
    assert_int_equal(match("^[\\b\\-\\]]+$", "\b-]"), 1);
    assert_int_equal(match("^a{2}{$", "aa{"), 1);
    assert_int_equal(match("^x{,2}}]$", "x{,2}}]"), 1);
    assert_int_equal(match("(?<=a)b(?!c)", "abd"), 1);
    assert_int_equal(match("^\\/\\@\\-$", "/@-"), 1);
    assert_int_equal(match("\\0", "a"), 0);
}

static void what_ecma_262_does_not_know_is_refused(void **state) {
    static const char *const bad[] = {
        "\\Z",      "\\A",          "\\a",           "\\e",         "\\Qx\\E", "\\h",   "\\R",    "\\X",    "\\K",
        "\\G",      "\\C",          "a++",           "a*+",         "(?>a)",   "(?i)a", "(?R)",   "(?1)",   "(?#x)",
        "(?P<n>a)", "(*FAIL)",      "(*UTF)a",       "*a",          "a**",     "^*",    "(",      ")",      "[a",
        "[b-a]",    "\\",           "\\u12",         "\\u{110000}", "\\ud800", "\\x1",  "\\c1",   "\\p",    "\\pL",
        "\\p{}",    "\\p{No such}", "\\p{Nonsense}", "\\k<x>",      "\\1",     "\\01",  "a{3,2}", "(?C1)a", "(?(1)a|b)",
        "[\\A]",    "\\\u00e9",     "(?|a|b)",       "\\_",         "[a",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (match(bad[i], "") != -1)
            fail_msg("%s was taken", bad[i]);
}

/* --- formats */

static void format_is_an_assertion_by_option(void **state) {
    struct fixture *f = *state;
    must_compile(f, "{'format':'date'}");
    assert_valid(f, "'2026-02-30'");
    f->options.assert_format = true;
    must_compile(f, "{'format':'date'}");
    assert_valid(f, "'2024-02-29'");
    assert_valid(f, "20240229");
    assert_fault(f, "'2026-02-29'", "", "/format", "is not a date");
    must_compile(f, "{'format':'no such'}");
    assert_valid(f, "'x'");
    must_compile(f, "{'format':'idn-hostname'}");
    assert_valid(f, "'b\u00fccher.example'");
    assert_valid(f, "'xn--bcher-kva.example'");
    assert_int_equal(check(f, "'xn--zzzzzz99999.example'"), SCHEMA_VIOLATED);
    must_compile(f, "{'format':'uri'}");
    assert_valid(f, "'http://[v1.a:b]:80/%41?q#f'");
    assert_int_equal(check(f, "'http://[::1'"), SCHEMA_VIOLATED);
    assert_int_equal(check(f, "'/x'"), SCHEMA_VIOLATED);
}

/* --- unevaluated */

static void what_failing_branches_saw_stays_unevaluated(void **state) {
    struct fixture *f = *state;
    must_compile(f, "{'anyOf':[{'properties':{'a':true},'required':['a']},{'properties':{'b':true},'required':['c']}],"
                    "'unevaluatedProperties':false}");
    assert_valid(f, "{'a':1}");
    assert_fault(f, "{'a':1,'b':2}", "/b", "/unevaluatedProperties", "is not allowed");
    must_compile(f, "{'prefixItems':[true],'contains':{'type':'string'},'unevaluatedItems':{'type':'null'}}");
    assert_valid(f, "[1,'x',null]");
    assert_fault(f, "[1,'x',2]", "/2", "/unevaluatedItems/type", "is not null");
}

static void members_beyond_a_word_are_told_apart(void **state) {
    struct fixture *f = *state;
    char text[20000], *at = stpcpy(text, "{");
    must_compile(f, "{'patternProperties':{'^a':true},'unevaluatedProperties':false}");
    for (int i = 0; i < 1000; i++)
        at += sprintf(at, "%s'a%d':0", i ? "," : "", i);
    strcpy(at, "}");
    assert_valid(f, text);
    strcpy(at, ",'b':0}");
    assert_fault(f, text, "/b", "/unevaluatedProperties", "is not allowed");
}

/* --- threads */

struct crew_member {
    const struct schema *schema;
    const struct json_value *good, *bad;
    unsigned wrong;
};

static void *checks(void *arg) {
    struct crew_member *m = arg;
    for (int i = 0; i < 5000; i++) {
        struct schema_fault fault;
        m->wrong += schema_check(m->schema, m->good, &fault) != 0;
        m->wrong += schema_check(m->schema, m->bad, &fault) != SCHEMA_VIOLATED || strcmp(fault.instance, "/a") != 0;
    }
    return NULL;
}

static void threads_share_a_schema(void **state) {
    struct fixture *f = *state;
    struct crew_member members[4];
    pthread_t threads[4];
    must_compile(f, "{'additionalProperties':{'pattern':'^[a-z]+$'}}");
    for (int i = 0; i < 4; i++) {
        members[i] = (struct crew_member){f->schema, tree(f, "{'a':'abc'}"), tree(f, "{'a':'ABC'}"), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, checks, &members[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(members[i].wrong, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(faults_name_the_place_and_the_keyword),
        TEST(faults_are_in_the_document_that_has_the_keyword),
        TEST(long_places_are_cut_at_a_character),
        TEST(numbers_are_compared_exactly),
        TEST(integers_are_numbers_without_a_fraction),
        TEST(equal_values_are_found_whatever_their_form),
        TEST(the_dialect_is_what_schema_says),
        TEST(documents_are_loaded_by_their_uri),
        TEST(a_schema_outlives_its_document),
        TEST(what_is_no_schema_is_refused_with_the_place),
        TEST(references_that_make_no_step_are_refused),
        TEST(a_long_chain_of_references_ends),
        TEST(what_multiplies_is_given_up),
        TEST(expensive_patterns_are_given_up),
        TEST(what_is_large_may_take_more_steps),
        TEST(expressions_mean_what_ecma_262_says),
        TEST(what_ecma_262_does_not_know_is_refused),
        TEST(format_is_an_assertion_by_option),
        TEST(what_failing_branches_saw_stays_unevaluated),
        TEST(members_beyond_a_word_are_told_apart),
        TEST(threads_share_a_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
