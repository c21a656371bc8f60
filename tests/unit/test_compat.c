#include "arena.h"
#include "compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct json_parser *parser;
    struct arena arena;
    struct json_value older, newer;
    struct err err;
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
    free(f);
    return 0;
}

static void read_tree(struct fixture *f, const char *text, struct json_value *out) {
    size_t n = strlen(text);
    char *copy = arena_alloc(&f->arena, n + JSON_PADDING);
    const char *why;
    memcpy(copy, text, n);
    memset(copy + n, 0, JSON_PADDING);
    if (json_tree_read(f->parser, (struct str){copy, n}, &f->arena, out, &why))
        fail_msg("%s: %.2000s", why, text);
}

static int check(struct fixture *f, const char *older, const char *newer) {
    read_tree(f, older, &f->older);
    read_tree(f, newer, &f->newer);
    return compat_check(&f->older, &f->newer, &f->err);
}

/* words NULL: proven; otherwise unproven, and the words are in the text. */
static const struct pair {
    const char *name, *older, *newer, *words;
} pairs[] = {
    {"equal documents", "{\"type\":\"string\",\"pattern\":\"^[a-z]+$\"}",
     "{\"pattern\":\"^[a-z]+$\",\"type\":\"string\"}", NULL},
    {"equal documents with a dynamic reference", "{\"$dynamicRef\":\"#a\",\"$dynamicAnchor\":\"a\"}",
     "{\"$dynamicRef\":\"#a\",\"$dynamicAnchor\":\"a\"}", NULL},
    {"annotations do not matter", "{\"not\":{\"pattern\":\"x+\",\"title\":\"a\"}}",
     "{\"not\":{\"pattern\":\"x+\",\"description\":\"b\"},\"default\":1}", NULL},
    {"anything is under true", "{\"type\":\"string\"}", "true", NULL},
    {"nothing is under all", "false", "{\"type\":\"string\"}", NULL},
    {"true is not under a schema", "true", "{\"type\":\"string\"}",
     "the whole schema: old data may hold anything in the whole"},
    {"nothing allowed any more", "{\"type\":\"string\"}", "false", "nothing is allowed here any more"},
    {"false to false", "false", "false", NULL},
    {"an empty schema", "true", "{}", NULL},
    {"an unknown draft", "{\"$schema\":\"http://json-schema.org/draft-04/schema#\"}", "{\"type\":\"string\"}",
     "$schema: the old \"http://json-schema.org/draft-04/schema#\" is neither"},
    {"unknown keywords say nothing", "{\"type\":\"string\"}", "{\"type\":\"string\",\"x-note\":7}", NULL},
    {"integer to number", "{\"type\":\"integer\"}", "{\"type\":\"number\"}", NULL},
    {"number to integer", "{\"type\":\"number\"}", "{\"type\":\"integer\"}",
     "/type: old data may be a number that is no integer"},
    {"multiples of 1 are integers", "{\"type\":\"number\",\"multipleOf\":1}", "{\"type\":\"integer\"}", NULL},
    {"multiples of 2.0 are integers", "{\"type\":\"number\",\"multipleOf\":2.0}", "{\"type\":\"integer\"}", NULL},
    {"multiples of a half are not", "{\"type\":\"number\",\"multipleOf\":0.5}", "{\"type\":\"integer\"}", "/type"},
    {"one type of a list", "{\"type\":\"string\"}", "{\"type\":[\"string\",\"null\"]}", NULL},
    {"fewer types", "{\"type\":[\"string\",\"null\"]}", "{\"type\":\"string\"}", "/type: old data may be null"},
    {"two types gone", "{\"type\":[\"string\",\"null\",\"boolean\"]}", "{\"type\":\"string\"}",
     "/type: old data may be null, a boolean"},
    {"numbers gone", "{\"type\":[\"string\",\"number\"]}", "{\"type\":\"string\"}", "/type: old data may be a number"},
    {"all types named", "true", "{\"type\":[\"null\",\"boolean\",\"object\",\"array\",\"string\",\"number\"]}", NULL},
    {"types by const", "{\"const\":\"a\"}", "{\"type\":\"string\"}", NULL},
    {"types by enum", "{\"enum\":[\"a\",1]}", "{\"type\":\"string\"}", "/type: the old value 1 does not fit"},
    {"1.0 is an integer", "{\"const\":1.0}", "{\"type\":\"integer\"}", NULL},
    {"1e2 is an integer in draft-07", "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"const\":1e2}",
     "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"integer\"}", NULL},
    {"types that not takes away", "{\"type\":[\"string\",\"null\"],\"not\":{\"type\":\"null\"}}",
     "{\"type\":\"string\"}", NULL},
    {"an enum grows", "{\"enum\":[\"a\",\"b\"]}", "{\"enum\":[\"b\",\"a\",\"c\"]}", NULL},
    {"an enum shrinks", "{\"enum\":[\"a\",\"b\"]}", "{\"enum\":[\"a\"]}", "/enum: the old value \"b\" does not fit"},
    {"const into enum", "{\"const\":\"a\"}", "{\"enum\":[\"a\",\"b\"]}", NULL},
    {"another const", "{\"const\":\"a\"}", "{\"const\":\"b\"}", "/const: the old value \"a\" does not fit"},
    {"enum of one to const", "{\"enum\":[1]}", "{\"const\":1.0}", NULL},
    {"an enum is new", "{\"type\":\"string\"}", "{\"enum\":[\"a\"]}",
     "/enum: the old schema allowed more than these values"},
    {"a const is new", "{\"type\":\"string\"}", "{\"const\":\"a\"}",
     "/const: the old schema allowed more than this value"},
    {"values that the old type forbids", "{\"enum\":[\"a\",1],\"type\":\"string\"}", "{\"enum\":[\"a\"]}", NULL},
    {"both booleans", "{\"type\":\"boolean\"}", "{\"enum\":[true,false]}", NULL},
    {"one boolean", "{\"type\":\"boolean\"}", "{\"const\":true}", "/const"},
    {"null by const", "{\"type\":\"null\"}", "{\"const\":null}", NULL},
    {"objects in an enum, in another order", "{\"const\":{\"a\":1,\"b\":[2]}}", "{\"enum\":[{\"b\":[2.0],\"a\":1}]}",
     NULL},
    {"values against lengths", "{\"enum\":[\"ab\",\"abc\"]}", "{\"minLength\":2,\"maxLength\":3}", NULL},
    {"values against lengths, one too long", "{\"enum\":[\"ab\",\"abcd\"]}", "{\"maxLength\":3}",
     "/maxLength: the old value \"abcd\" does not fit"},
    {"values against a pattern", "{\"enum\":[\"ab\"]}", "{\"pattern\":\"[a-c]+\"}",
     "/pattern: it cannot be told whether the old value \"ab\" fits"},
    {"values against a plain pattern", "{\"enum\":[\"ab\"]}", "{\"pattern\":\"^ab$\"}", NULL},
    {"the same pattern beside an enum", "{\"enum\":[\"ab\"],\"pattern\":\"[a-c]+\"}", "{\"pattern\":\"[a-c]+\"}", NULL},
    {"an object value against a whole schema", "{\"const\":{\"a\":1}}",
     "{\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"integer\"}},\"additionalProperties\":false}", NULL},
    {"an object value that lacks a member", "{\"const\":{\"a\":1}}", "{\"required\":[\"b\"]}",
     "/required: the old value {\"a\":1} does not fit"},
    {"one is not true", "{\"const\":1}", "{\"not\":{\"const\":true}}", NULL},
    {"a lower maximum", "{\"type\":\"number\",\"maximum\":1000}", "{\"type\":\"number\",\"maximum\":100}",
     "/maximum: 100 is less than the old 1000"},
    {"a higher maximum", "{\"type\":\"number\",\"maximum\":100}", "{\"type\":\"number\",\"maximum\":1000}", NULL},
    {"a higher minimum", "{\"minimum\":1}", "{\"minimum\":2}", "/minimum: 2 is greater than the old 1"},
    {"a maximum where there are no numbers", "{\"type\":\"string\"}", "{\"type\":\"string\",\"maximum\":1}", NULL},
    {"a maximum where numbers may be", "{\"type\":[\"string\",\"number\"]}", "{\"maximum\":1}",
     "/maximum: 1 is a limit where the old schema had none"},
    {"equal limits written otherwise", "{\"maximum\":1.0}", "{\"maximum\":1}", NULL},
    {"exclusive at the same limit", "{\"minimum\":1}", "{\"exclusiveMinimum\":1}",
     "/exclusiveMinimum: the old schema allowed 1 itself"},
    {"exclusive to inclusive", "{\"exclusiveMinimum\":1}", "{\"minimum\":1}", NULL},
    {"above a lower exclusive limit", "{\"minimum\":1}", "{\"exclusiveMinimum\":0.999}", NULL},
    {"whole numbers above 0 are from 1 on", "{\"type\":\"integer\",\"exclusiveMinimum\":0}",
     "{\"type\":\"integer\",\"minimum\":1}", NULL},
    {"fractions above 0 are not", "{\"type\":\"number\",\"exclusiveMinimum\":0}", "{\"type\":\"number\",\"minimum\":1}",
     "/minimum"},
    {"whole numbers below 10", "{\"type\":\"integer\",\"exclusiveMaximum\":10}", "{\"maximum\":9}", NULL},
    {"digits are compared exactly", "{\"minimum\":9007199254740993}", "{\"minimum\":9007199254740992.5}", NULL},
    {"digits are compared exactly, the other way", "{\"minimum\":9007199254740992}", "{\"minimum\":9007199254740993}",
     "/minimum: 9007199254740993 is greater"},
    {"more digits than can be compared", "{\"minimum\":1}", "{\"minimum\":0.12345678901234567890123456789012345678901}",
     "/minimum: has too many digits"},
    {"a limit out of allOf", "{\"allOf\":[{\"minimum\":5},{\"minimum\":3}]}", "{\"minimum\":4}", NULL},
    {"multiples of 6 are multiples of 3", "{\"multipleOf\":6}", "{\"multipleOf\":3}", NULL},
    {"multiples of 3 are not of 6", "{\"multipleOf\":3}", "{\"multipleOf\":6}",
     "/multipleOf: multiples of the old 3 need not be"},
    {"integers are multiples of a half", "{\"type\":\"integer\"}", "{\"multipleOf\":0.5}", NULL},
    {"a multipleOf is new", "{\"type\":\"number\"}", "{\"type\":\"number\",\"multipleOf\":0.01}", "/multipleOf"},
    {"contradicting limits allow nothing", "{\"type\":\"number\",\"minimum\":2,\"maximum\":1}", "{\"type\":\"string\"}",
     NULL},
    {"a longer minLength", "{\"type\":\"string\",\"minLength\":1}", "{\"type\":\"string\",\"minLength\":2}",
     "/minLength: 2 is greater than the old 1"},
    {"minLength 0", "{\"type\":\"string\"}", "{\"type\":\"string\",\"minLength\":0}", NULL},
    {"a shorter minLength", "{\"minLength\":2}", "{\"minLength\":1}", NULL},
    {"a shorter maxLength", "{\"maxLength\":9}", "{\"maxLength\":8}", "/maxLength"},
    {"length in code points", "{\"const\":\"\\u00e9\\ud83d\\ude00\"}", "{\"maxLength\":2}", NULL},
    {"length in code points, too long", "{\"const\":\"\\u00e9\\ud83d\\ude00\"}", "{\"maxLength\":1}", "/maxLength"},
    {"the same pattern", "{\"type\":\"string\",\"pattern\":\"^[A-Z]{3}$\"}",
     "{\"type\":\"string\",\"pattern\":\"^[A-Z]{3}$\",\"minLength\":0}", NULL},
    {"another pattern", "{\"type\":\"string\",\"pattern\":\"^[A-Z]{3}$\"}",
     "{\"type\":\"string\",\"pattern\":\"^[A-Z]+$\"}", "/pattern: differs from the old \"^[A-Z]{3}$\""},
    {"no pattern any more", "{\"type\":\"string\",\"pattern\":\"x\"}", "{\"type\":\"string\"}", NULL},
    {"a pattern is new", "{\"type\":\"string\"}", "{\"type\":\"string\",\"pattern\":\"x\"}", "/pattern: is new"},
    {"a pattern where there are no strings", "{\"type\":\"object\"}", "{\"type\":\"object\",\"pattern\":\"x\"}", NULL},
    {"a pattern that matches all", "{\"type\":\"string\"}", "{\"pattern\":\"\"}", NULL},
    {"a format is new", "{\"type\":\"string\"}", "{\"type\":\"string\",\"format\":\"date\"}", "/format: is new"},
    {"another format", "{\"type\":\"string\",\"format\":\"date\"}", "{\"type\":\"string\",\"format\":\"time\"}",
     "/format: differs from the old \"date\""},
    {"the same format", "{\"type\":\"string\",\"format\":\"date\"}",
     "{\"type\":[\"string\",\"null\"],\"format\":\"date\"}", NULL},
    {"no format any more", "{\"format\":\"date\"}", "{\"title\":\"a day\"}", NULL},
    {"an optional property where old data was open",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"currency\":{\"type\":\"string\"}}}",
     "/properties/currency: old data may hold anything in /currency: additionalProperties was open"},
    {"an optional property where old data was closed",
     "{\"type\":\"object\",\"properties\":{\"a\":{}},\"additionalProperties\":false}",
     "{\"type\":\"object\",\"properties\":{\"a\":{},\"currency\":{\"type\":\"string\"}},\"additionalProperties\":"
     "false}",
     NULL},
    {"a property that may be anything", "{\"type\":\"object\"}", "{\"type\":\"object\",\"properties\":{\"a\":true}}",
     NULL},
    {"a property that additionalProperties covered", "{\"additionalProperties\":{\"type\":\"string\",\"minLength\":1}}",
     "{\"properties\":{\"a\":{\"type\":\"string\"}}}", NULL},
    {"a property that they did not cover", "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}",
     "{\"properties\":{\"a\":{\"type\":\"integer\"}}}", "/properties/a/type: old data may be a string"},
    {"open to closed", "{\"type\":\"object\",\"properties\":{\"a\":{}}}",
     "{\"type\":\"object\",\"properties\":{\"a\":{}},\"additionalProperties\":false}",
     "/additionalProperties: nothing is allowed here any more"},
    {"closed to open", "{\"type\":\"object\",\"additionalProperties\":false}", "{\"type\":\"object\"}", NULL},
    {"narrower additional properties",
     "{\"type\":\"object\",\"additionalProperties\":{\"type\":[\"string\",\"null\"]}}",
     "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}",
     "/additionalProperties/type: old data may be null"},
    {"a property removed from a closed object", "{\"properties\":{\"a\":{},\"b\":{}},\"additionalProperties\":false}",
     "{\"properties\":{\"a\":{}},\"additionalProperties\":false}",
     "/additionalProperties: nothing is allowed here any more, where old data may hold something in /b"},
    {"a removed property that could not be", "{\"properties\":{\"a\":{},\"b\":false},\"additionalProperties\":false}",
     "{\"properties\":{\"a\":{}},\"additionalProperties\":false}", NULL},
    {"a removed property that fits the others",
     "{\"properties\":{\"a\":{\"type\":\"string\"}},\"additionalProperties\":false}",
     "{\"additionalProperties\":{\"type\":\"string\"}}", NULL},
    {"a removed property that does not fit the others",
     "{\"properties\":{\"a\":{\"type\":\"integer\"}},\"additionalProperties\":{\"type\":\"string\"}}",
     "{\"additionalProperties\":{\"type\":\"string\"}}", "/additionalProperties/type: old data may be an integer"},
    {"a nested open object",
     "{\"properties\":{\"customer\":{\"type\":\"object\",\"properties\":{\"email\":{\"type\":\"string\"}}}}}",
     "{\"properties\":{\"customer\":{\"type\":\"object\",\"properties\":{\"email\":{\"type\":\"string\"},\"vip\":{"
     "\"type\":\"boolean\"}}}}}",
     "old data may hold anything in /customer/vip"},
    {"a property is required now", "{\"type\":\"object\",\"properties\":{\"a\":{}}}",
     "{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"]}", "/required: \"a\" was not required"},
    {"a property is optional now", "{\"required\":[\"a\",\"b\"]}", "{\"required\":[\"a\"]}", NULL},
    {"required without properties", "{\"required\":[\"b\",\"a\"]}", "{\"required\":[\"a\",\"b\"]}", NULL},
    {"required by allOf", "{\"allOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}", "{\"required\":[\"a\",\"b\"]}",
     NULL},
    {"required where there are no objects", "{\"type\":\"array\"}", "{\"required\":[\"a\"]}", NULL},
    {"required through dependentRequired", "{\"required\":[\"a\"],\"dependentRequired\":{\"a\":[\"b\"],\"b\":[\"c\"]}}",
     "{\"required\":[\"c\"]}", NULL},
    {"dependentRequired of what need not be", "{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"required\":[\"b\"]}",
     "/required: \"b\" was not required"},
    {"a required member that cannot be allows nothing",
     "{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":false}}", "{\"type\":\"string\"}", NULL},
    {"the same pattern of names", "{\"patternProperties\":{\"^x-[0-9]\":{\"type\":\"string\",\"minLength\":1}}}",
     "{\"patternProperties\":{\"^x-[0-9]\":{\"type\":\"string\"}}}", NULL},
    {"a pattern of names is new", "{\"type\":\"object\"}", "{\"patternProperties\":{\"^x-\":{\"type\":\"string\"}}}",
     "/patternProperties/^x-: old data may hold anything in /*"},
    {"a new pattern of names in a closed object", "{\"properties\":{\"a\":{}},\"additionalProperties\":false}",
     "{\"patternProperties\":{\"^x-\":{\"type\":\"string\"}}}", NULL},
    {"a new pattern that takes in a property",
     "{\"properties\":{\"x-a\":{\"type\":\"integer\"}},\"additionalProperties\":false}",
     "{\"patternProperties\":{\"^x-\":{\"type\":\"string\"}}}",
     "/patternProperties/^x-/type: old data may be an integer"},
    {"a new pattern that may take in a property",
     "{\"properties\":{\"x-a\":{\"type\":\"integer\"}},\"additionalProperties\":false}",
     "{\"patternProperties\":{\"[a-x]\":{\"type\":\"string\"}}}", "/patternProperties/[a-x]/type"},
    {"names that a pattern took are additional now",
     "{\"patternProperties\":{\"^x-\":{\"type\":\"integer\"}},\"additionalProperties\":{\"type\":\"string\"}}",
     "{\"additionalProperties\":{\"type\":\"string\"}}", "/additionalProperties/type: old data may be an integer"},
    {"additional beside the same pattern",
     "{\"patternProperties\":{\"^x[0-9]\":{\"type\":\"integer\"}},\"additionalProperties\":{\"type\":\"string\"}}",
     "{\"patternProperties\":{\"^x[0-9]\":{\"type\":\"number\"}},\"additionalProperties\":{\"type\":\"string\"}}",
     NULL},
    {"a property that an old pattern may take",
     "{\"patternProperties\":{\"[a-c]\":{\"type\":\"integer\"}},\"additionalProperties\":{\"type\":\"string\"}}",
     "{\"properties\":{\"b\":{\"type\":\"string\"}}}", "/properties/b/type: old data may be an integer"},
    {"a property that an old pattern takes",
     "{\"patternProperties\":{\"^b\":{\"type\":\"integer\"}},\"additionalProperties\":{\"type\":\"string\"}}",
     "{\"properties\":{\"b1\":{\"type\":\"number\"}}}", NULL},
    {"names alike", "{\"propertyNames\":{\"maxLength\":3}}", "{\"propertyNames\":{\"maxLength\":4}}", NULL},
    {"names shorter", "{\"propertyNames\":{\"maxLength\":3}}", "{\"propertyNames\":{\"maxLength\":2}}",
     "/propertyNames/maxLength: 2 is less than the old 3"},
    {"names are new", "{\"type\":\"object\"}", "{\"propertyNames\":{\"maxLength\":2}}", "/propertyNames"},
    {"names of a closed object", "{\"properties\":{\"a\":{},\"bc\":{}},\"additionalProperties\":false}",
     "{\"propertyNames\":{\"maxLength\":2}}", NULL},
    {"names of a closed object, one too long", "{\"properties\":{\"a\":{},\"bcd\":{}},\"additionalProperties\":false}",
     "{\"propertyNames\":{\"maxLength\":2}}", "/propertyNames"},
    {"a property that the names refuse", "{\"propertyNames\":{\"maxLength\":3}}",
     "{\"properties\":{\"currency\":{\"type\":\"string\"}}}", NULL},
    {"names are strings", "{\"type\":\"object\"}", "{\"propertyNames\":{\"type\":\"string\"}}", NULL},
    {"more members at least", "{\"minProperties\":1}", "{\"minProperties\":2}",
     "/minProperties: 2 is greater than the old 1"},
    {"required members are members", "{\"required\":[\"a\",\"b\"]}", "{\"minProperties\":2}", NULL},
    {"a closed object has no more members", "{\"properties\":{\"a\":{},\"b\":{}},\"additionalProperties\":false}",
     "{\"maxProperties\":2}", NULL},
    {"fewer members at most", "{\"properties\":{\"a\":{},\"b\":{}},\"additionalProperties\":false}",
     "{\"maxProperties\":1}", "/maxProperties: 1 is less than the old 2"},
    {"dependentRequired shrinks", "{\"dependentRequired\":{\"a\":[\"b\",\"c\"]}}",
     "{\"dependentRequired\":{\"a\":[\"b\"]}}", NULL},
    {"dependentRequired grows", "{\"dependentRequired\":{\"a\":[\"b\"]}}",
     "{\"dependentRequired\":{\"a\":[\"b\",\"c\"]}}", "/dependentRequired/a: \"c\" was not required beside it"},
    {"dependentRequired of what cannot be", "{\"properties\":{\"a\":false}}", "{\"dependentRequired\":{\"a\":[\"b\"]}}",
     NULL},
    {"dependentSchemas alike", "{\"dependentSchemas\":{\"a\":{\"required\":[\"b\"],\"maxProperties\":4}}}",
     "{\"dependentSchemas\":{\"a\":{\"required\":[\"b\"],\"maxProperties\":5}}}", NULL},
    {"dependentSchemas narrower", "{\"dependentSchemas\":{\"a\":{\"maxProperties\":4}}}",
     "{\"dependentSchemas\":{\"a\":{\"maxProperties\":3}}}",
     "/dependentSchemas/a/maxProperties: 3 is less than the old 4"},
    {"dependentSchemas of a required member",
     "{\"type\":\"object\",\"required\":[\"a\"],\"dependentSchemas\":{\"a\":{\"required\":[\"b\"]}}}",
     "{\"required\":[\"b\"]}", NULL},
    {"draft-07 dependencies",
     "{\"$schema\":\"http://json-schema.org/draft-07/"
     "schema#\",\"dependencies\":{\"a\":[\"b\"],\"c\":{\"required\":[\"d\"]}}}",
     "{\"$schema\":\"http://json-schema.org/draft-07/"
     "schema#\",\"dependencies\":{\"a\":[\"b\"],\"c\":{\"required\":[\"d\"],\"properties\":{\"a\":true}}}}",
     NULL},
    {"dependentSchemas say nothing of what is no object",
     "{\"required\":[\"a\"],\"dependentSchemas\":{\"a\":{\"type\":\"string\"}}}", "{\"type\":\"string\"}",
     "/type: old data may be null, a boolean"},
    {"dependentSchemas that are false let scalars be", "{\"required\":[\"a\"],\"dependentSchemas\":{\"a\":false}}",
     "{\"type\":\"string\"}", "/type: old data may be null"},
    {"dependentSchemas that are false let no object be", "{\"required\":[\"a\"],\"dependentSchemas\":{\"a\":false}}",
     "{\"not\":{\"type\":\"object\"}}", NULL},
    {"draft-07 dependencies say nothing of what is no object",
     "{\"$schema\":\"http://json-schema.org/draft-07/"
     "schema#\",\"required\":[\"a\"],\"dependencies\":{\"a\":{\"type\":\"string\"}}}",
     "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"string\"}", "/type: old data may be null"},
    {"dependencies under an if of scalars",
     "{\"$schema\":\"http://json-schema.org/draft-07/"
     "schema#\",\"type\":\"boolean\",\"if\":{\"required\":[\"b\"]},\"then\":{\"dependencies\":{\"b\":{\"type\":"
     "\"string\"}}},\"else\":false}",
     "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"number\"}",
     "/type: old data may be a boolean"},
    {"dependentSchemas of objects among others",
     "{\"type\":[\"object\",\"array\"],\"required\":[\"a\"],\"dependentSchemas\":{\"a\":{\"required\":[\"b\"]}}}",
     "{\"required\":[\"b\"]}", NULL},
    {"required members that cannot be let scalars be", "{\"required\":[\"a\"],\"properties\":{\"a\":false}}",
     "{\"type\":\"string\"}", "/type: old data may be null"},
    {"counts of members that cannot be let scalars be", "{\"minProperties\":3,\"maxProperties\":2}",
     "{\"type\":\"string\"}", "/type: old data may be null"},
    {"contains that cannot be lets scalars be", "{\"contains\":false}", "{\"type\":\"string\"}",
     "/type: old data may be null"},
    {"draft-07 dependencies are no keyword of 2020-12", "{\"dependencies\":{\"a\":[\"b\"]}}",
     "{\"dependencies\":{\"a\":[]}}", "/dependencies: is compared only"},
    {"a name with a slash and a tilde", "{\"properties\":{\"a/b~\":{\"type\":\"string\"}}}",
     "{\"properties\":{\"a/b~\":{\"type\":\"integer\"}}}", "/properties/a~1b~0/type"},
    {"unevaluatedProperties beside a new property",
     "{\"allOf\":[{\"properties\":{\"a\":{}}}],\"properties\":{\"b\":{}},\"unevaluatedProperties\":false}",
     "{\"allOf\":[{\"properties\":{\"a\":{}}}],\"properties\":{\"b\":{},\"c\":{\"type\":\"string\"}},"
     "\"unevaluatedProperties\":false}",
     NULL},
    {"unevaluatedProperties without an old property",
     "{\"allOf\":[{\"properties\":{\"a\":{}}}],\"properties\":{\"b\":{}},\"unevaluatedProperties\":false}",
     "{\"properties\":{\"b\":{}},\"unevaluatedProperties\":false}",
     "/unevaluatedProperties: nothing is allowed here any more, where old data may hold something in /a"},
    {"unevaluatedProperties are new", "{\"type\":\"object\"}", "{\"unevaluatedProperties\":false}",
     "/unevaluatedProperties"},
    {"names that a branch may look at",
     "{\"anyOf\":[{\"properties\":{\"a\":{}}},{\"properties\":{\"b\":{}}}],\"unevaluatedProperties\":false}",
     "{\"properties\":{\"a\":{}},\"unevaluatedProperties\":false}", "/unevaluatedProperties"},
    {"unevaluatedItems alike",
     "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\"}],\"unevaluatedItems\":false}",
     "{\"type\":[\"array\",\"null\"],\"allOf\":[{\"prefixItems\":[{\"type\":\"string\"}],\"type\":\"array\","
     "\"unevaluatedItems\":false}]}",
     NULL},
    {"unevaluatedItems otherwise", "{\"prefixItems\":[{\"type\":\"string\"}],\"unevaluatedItems\":false}",
     "{\"prefixItems\":[true,true],\"unevaluatedItems\":false}",
     "/unevaluatedItems: is compared only where the schemas around it are equal"},
    {"draft-07 knows no unevaluatedProperties",
     "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\"}",
     "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"unevaluatedProperties\":false}", NULL},
    {"wider items", "{\"items\":{\"type\":\"integer\"}}", "{\"items\":{\"type\":\"number\"}}", NULL},
    {"narrower items", "{\"type\":\"array\",\"items\":{\"type\":\"number\"}}", "{\"items\":{\"type\":\"integer\"}}",
     "/items/type: old data may be a number that is no integer"},
    {"items are new", "{\"type\":\"array\"}", "{\"items\":{\"type\":\"integer\"}}",
     "/items: old data may hold anything in /*: items was open"},
    {"a list of places", "{\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}",
     "{\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"number\"}]}", NULL},
    {"a place is narrower", "{\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"number\"}]}",
     "{\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}", "/prefixItems/1/type"},
    {"items behind prefixItems only", "{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"integer\"}}",
     "{\"prefixItems\":[true],\"items\":{\"type\":\"number\"}}", NULL},
    {"a place that becomes an item like others",
     "{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"integer\"}}", "{\"items\":{\"type\":\"integer\"}}",
     "/items/type: old data may be a string"},
    {"places out of items", "{\"items\":{\"type\":\"integer\"}}",
     "{\"prefixItems\":[{\"type\":\"number\"}],\"items\":{\"type\":\"integer\"}}", NULL},
    {"a place that cannot be", "{\"type\":\"array\",\"maxItems\":1}", "{\"prefixItems\":[true,{\"type\":\"string\"}]}",
     NULL},
    {"no items behind the list", "{\"prefixItems\":[{},{}],\"items\":false}", "{\"maxItems\":2}", NULL},
    {"items behind the list", "{\"prefixItems\":[{},{}]}", "{\"maxItems\":2}", "/maxItems: 2 is a limit where"},
    {"more items at least", "{\"minItems\":1}", "{\"minItems\":2}", "/minItems: 2 is greater than the old 1"},
    {"contains asks for an item", "{\"contains\":{\"type\":\"string\"}}", "{\"minItems\":1}", NULL},
    {"minContains 0 asks for none, but so does the new", "{\"contains\":true,\"minContains\":0}", "{\"minItems\":0}",
     NULL},
    {"minContains 0 asks for none", "{\"type\":\"array\",\"contains\":true,\"minContains\":0}", "{\"minItems\":1}",
     "/minItems"},
    {"uniqueItems are new", "{\"type\":\"array\"}", "{\"uniqueItems\":true}",
     "/uniqueItems: the old schema allowed items that are equal"},
    {"uniqueItems no more", "{\"uniqueItems\":true}", "{\"uniqueItems\":false}", NULL},
    {"one item is unique", "{\"maxItems\":1}", "{\"uniqueItems\":true}", NULL},
    {"a wider contains", "{\"contains\":{\"const\":1}}", "{\"contains\":{\"type\":\"integer\"}}", NULL},
    {"a narrower contains", "{\"contains\":{\"type\":\"number\"}}", "{\"contains\":{\"type\":\"integer\"}}",
     "/contains: the old schema did not ask for enough such items"},
    {"contains what all items are", "{\"items\":{\"type\":\"string\"},\"minItems\":2}",
     "{\"contains\":{\"type\":\"string\"},\"minContains\":2}", NULL},
    {"maxContains alike", "{\"contains\":{\"type\":\"string\"},\"maxContains\":2}",
     "{\"contains\":{\"type\":\"string\"},\"maxContains\":3}", NULL},
    {"maxContains of a wider contains", "{\"contains\":{\"const\":\"a\"},\"maxContains\":2}",
     "{\"contains\":{\"type\":\"string\"},\"maxContains\":2}", "/contains: the old schema allowed more such items"},
    {"draft-07 lists of places",
     "{\"$schema\":\"http://json-schema.org/draft-07/"
     "schema#\",\"items\":[{\"type\":\"string\"}],\"additionalItems\":{\"type\":\"integer\"}}",
     "{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"number\"}}", NULL},
    {"draft-07 additionalItems narrower",
     "{\"$schema\":\"http://json-schema.org/draft-07/"
     "schema#\",\"type\":\"array\",\"items\":[{}],\"additionalItems\":{\"type\":\"number\"}}",
     "{\"$schema\":\"http://json-schema.org/draft-07/"
     "schema#\",\"items\":[{}],\"additionalItems\":{\"type\":\"integer\"}}",
     "/additionalItems/type"},
    {"draft-07 additionalItems without a list",
     "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"items\":{\"type\":\"string\"}}",
     "{\"$schema\":\"http://json-schema.org/draft-07/"
     "schema#\",\"items\":{\"type\":\"string\"},\"additionalItems\":false}",
     NULL},
    {"draft-07 has no prefixItems",
     "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"prefixItems\":[{\"type\":\"string\"}]}",
     "{\"prefixItems\":[{\"type\":\"string\"}]}", "/prefixItems/0: old data may hold anything in /0: items was open"},
    {"items behind the old list are narrower",
     "{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"number\"}}", "{\"items\":{\"type\":\"string\"}}",
     "/items/type: old data may be a number"},
    {"maxContains shrinks", "{\"contains\":{\"type\":\"string\"},\"maxContains\":3}",
     "{\"contains\":{\"type\":\"string\"},\"maxContains\":2}", "/contains: the old schema allowed more such items"},
    {"a member that a reference may look at",
     "{\"anyOf\":[{\"$ref\":\"#/$defs/"
     "b\"},true],\"unevaluatedProperties\":{\"type\":\"integer\"},\"$defs\":{\"b\":{\"properties\":{\"a\":{\"type\":"
     "\"string\"}}}}}",
     "{\"properties\":{\"a\":{\"type\":\"integer\"}}}", "/properties/a"},
    {"allOf holds when each does", "{\"type\":\"string\",\"minLength\":2}",
     "{\"allOf\":[{\"type\":\"string\"},{\"minLength\":1}]}", NULL},
    {"one of allOf does not", "{\"type\":\"string\",\"minLength\":2}",
     "{\"allOf\":[{\"type\":\"string\"},{\"minLength\":3}]}", "/allOf/1/minLength: 3 is greater than the old 2"},
    {"into one of anyOf", "{\"type\":\"string\"}", "{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", NULL},
    {"into none of anyOf", "{\"type\":\"boolean\"}", "{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}",
     "/anyOf: none of its schemas"},
    {"each branch of anyOf", "{\"anyOf\":[{\"type\":\"integer\"},{\"const\":\"a\"}]}",
     "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}", NULL},
    {"a branch of anyOf that does not fit", "{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}",
     "{\"type\":\"integer\"}", "/type: old data may be a string"},
    {"types into anyOf", "{\"type\":[\"string\",\"null\"]}", "{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"string\"}]}",
     NULL},
    {"oneOf of two types grows", "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}",
     "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"null\"},{\"type\":\"integer\"}]}", NULL},
    {"oneOf of schemas that overlap", "{\"type\":\"integer\"}",
     "{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}", "/oneOf: more than one of its schemas may take"},
    {"oneOf told apart by a const",
     "{\"oneOf\":[{\"required\":[\"k\"],\"properties\":{\"k\":{\"const\":\"a\"},\"v\":{\"type\":\"integer\"}},\"type\":"
     "\"object\"},{\"required\":[\"k\"],\"properties\":{\"k\":{\"const\":\"b\"},\"v\":{\"type\":\"string\"}},\"type\":"
     "\"object\"}]}",
     "{\"oneOf\":[{\"required\":[\"k\"],\"properties\":{\"k\":{\"const\":\"b\"},\"v\":{\"type\":\"string\"}},\"type\":"
     "\"object\"},{\"required\":[\"k\"],\"properties\":{\"k\":{\"const\":\"a\"},\"v\":{\"type\":\"number\"}},\"type\":"
     "\"object\"},{\"required\":[\"k\"],\"properties\":{\"k\":{\"const\":\"c\"}},\"type\":\"object\"}]}",
     NULL},
    {"oneOf without a branch",
     "{\"oneOf\":[{\"required\":[\"k\"],\"properties\":{\"k\":{\"const\":\"a\"},\"v\":{\"type\":\"integer\"}},\"type\":"
     "\"object\"},{\"required\":[\"k\"],\"properties\":{\"k\":{\"const\":\"b\"},\"v\":{\"type\":\"string\"}},\"type\":"
     "\"object\"}]}",
     "{\"oneOf\":[{\"required\":[\"k\"],\"properties\":{\"k\":{\"const\":\"a\"},\"v\":{\"type\":\"integer\"}},\"type\":"
     "\"object\"},{\"required\":[\"k\"],\"properties\":{\"k\":{\"const\":\"c\"}},\"type\":\"object\"}]}",
     "/oneOf: none of its schemas"},
    {"what oneOf refused stays refused", "{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}",
     "{\"oneOf\":[{\"required\":[\"b\"]},{\"required\":[\"a\"]}]}", NULL},
    {"anyOf to oneOf", "{\"type\":\"object\",\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}",
     "{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}", "/oneOf: more than one"},
    {"oneOf to anyOf", "{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}",
     "{\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}", NULL},
    {"not of another type", "{\"type\":\"string\"}", "{\"not\":{\"type\":\"integer\"}}", NULL},
    {"not of the same type", "{\"type\":\"string\"}", "{\"not\":{\"minLength\":3}}",
     "/not: the old schema may have allowed what it refuses"},
    {"not refuses less", "{\"not\":{\"minLength\":3,\"type\":\"string\"}}",
     "{\"not\":{\"minLength\":4,\"type\":\"string\"}}", NULL},
    {"not refuses more", "{\"not\":{\"minLength\":3,\"type\":\"string\"}}",
     "{\"not\":{\"minLength\":2,\"type\":\"string\"}}", "/not"},
    {"not of a value that was none", "{\"enum\":[\"a\",\"b\"]}", "{\"not\":{\"const\":\"c\"}}", NULL},
    {"if, with a wider then", "{\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\",\"c\"]}}",
     "{\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\"]}}", NULL},
    {"if, with a narrower then", "{\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\"]}}",
     "{\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\",\"c\"]}}", "/then/required: \"c\" was not required"},
    {"if is new", "{\"type\":\"object\"}", "{\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\"]}}",
     "/then/required"},
    {"if that is never so", "{\"type\":\"string\"}", "{\"if\":{\"type\":\"integer\"},\"then\":false}", NULL},
    {"an else that is never needed", "{\"type\":\"string\"}", "{\"if\":{\"type\":\"string\"},\"else\":false}", NULL},
    {"an else that is needed", "{\"type\":[\"string\",\"null\"]}", "{\"if\":{\"type\":\"string\"},\"else\":false}",
     "/else"},
    {"old if and else are two cases",
     "{\"if\":{\"type\":\"string\"},\"then\":{\"minLength\":1},\"else\":{\"type\":\"null\"}}",
     "{\"type\":[\"string\",\"null\"]}", NULL},
    {"if without then and else", "{\"type\":\"string\"}", "{\"if\":{\"type\":\"integer\"}}", NULL},
    {"a reference to a wider definition", "{\"$ref\":\"#/$defs/m\",\"$defs\":{\"m\":{\"type\":\"integer\"}}}",
     "{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"number\"}}}", NULL},
    {"a reference to a narrower definition",
     "{\"properties\":{\"total\":{\"$ref\":\"#/$defs/m\"}},\"$defs\":{\"m\":{\"type\":\"number\"}}}",
     "{\"properties\":{\"total\":{\"$ref\":\"#/$defs/m\"}},\"$defs\":{\"m\":{\"type\":\"number\",\"minimum\":0}}}",
     "/$defs/m/minimum: 0 is a limit where"},
    {"inline to a reference", "{\"properties\":{\"a\":{\"type\":\"string\"}}}",
     "{\"properties\":{\"a\":{\"$ref\":\"#/$defs/s\"}},\"$defs\":{\"s\":{\"type\":\"string\"}}}", NULL},
    {"an anchor", "{\"$ref\":\"#m\",\"$defs\":{\"x\":{\"$anchor\":\"m\",\"type\":\"integer\"}}}",
     "{\"type\":\"integer\"}", NULL},
    {"a draft-07 anchor",
     "{\"$schema\":\"http://json-schema.org/draft-07/"
     "schema#\",\"$ref\":\"#m\",\"definitions\":{\"x\":{\"$id\":\"#m\",\"type\":\"integer\"}}}",
     "{\"type\":\"integer\"}", NULL},
    {"the document by its own name",
     "{\"$id\":\"http://x/y\",\"$ref\":\"http://x/y#/$defs/a\",\"$defs\":{\"a\":{\"type\":\"null\"}}}",
     "{\"type\":\"null\"}", NULL},
    {"a pointer with signs", "{\"$ref\":\"#/$defs/a~1b%20c~0\",\"$defs\":{\"a/b c~\":{\"type\":\"null\"}}}",
     "{\"type\":\"null\"}", NULL},
    {"a reference to nowhere", "{\"type\":\"string\"}", "{\"$ref\":\"other.json\"}",
     "/$ref: \"other.json\" is not in this document"},
    {"the same reference outside", "{\"properties\":{\"a\":{\"$ref\":\"other.json\"}},\"required\":[\"a\"]}",
     "{\"properties\":{\"a\":{\"$ref\":\"other.json\"}}}", NULL},
    {"the same reference outside, of another base",
     "{\"$id\":\"http://x/a\",\"properties\":{\"a\":{\"$ref\":\"other.json\"}}}",
     "{\"$id\":\"http://y/a\",\"properties\":{\"a\":{\"$ref\":\"other.json\"}}}", "/properties/a/$ref"},
    {"schemas with names of their own",
     "{\"properties\":{\"a\":{\"$id\":\"x\",\"$ref\":\"#/$defs/"
     "b\",\"$defs\":{\"b\":{\"type\":\"null\"}}}},\"$defs\":{\"b\":{}}}",
     "{\"properties\":{\"a\":{\"$id\":\"x\",\"$ref\":\"#/$defs/"
     "b\",\"$defs\":{\"b\":{\"type\":\"null\"}}}},\"$defs\":{\"b\":{\"type\":\"string\"}}}",
     "/properties/a/$ref: references are not followed"},
    {"a dynamic reference in another document", "{\"$dynamicRef\":\"#a\",\"$dynamicAnchor\":\"a\",\"minimum\":1}",
     "{\"$dynamicRef\":\"#a\",\"$dynamicAnchor\":\"a\"}", "/$dynamicRef: is compared only"},
    {"draft-07 ignores what is beside a reference",
     "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"$ref\":\"#/definitions/"
     "a\",\"definitions\":{\"a\":{\"type\":\"string\"}}}",
     "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"$ref\":\"#/definitions/"
     "a\",\"minLength\":3,\"definitions\":{\"a\":{\"type\":[\"string\",\"null\"]}}}",
     NULL},
    {"draft-07 ignored it in the old schema too",
     "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"$ref\":\"#/definitions/"
     "a\",\"minLength\":3,\"definitions\":{\"a\":{\"type\":\"string\"}}}",
     "{\"type\":\"string\",\"minLength\":3}", "/minLength"},
    {"2020-12 does not ignore it", "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"type\":\"string\"}}}",
     "{\"$ref\":\"#/$defs/a\",\"minLength\":3,\"$defs\":{\"a\":{\"type\":\"string\"}}}", "/minLength"},
    {"a list of itself, wider",
     "{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"$ref\":\"#\"}}}",
     "{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"number\"},\"next\":{\"$ref\":\"#\"}}}", NULL},
    {"a list of itself, narrower",
     "{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"number\"},\"next\":{\"$ref\":\"#\"}}}",
     "{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"$ref\":\"#\"}}}",
     "/properties/v/type"},
    {"a tree through definitions",
     "{\"$ref\":\"#/$defs/"
     "t\",\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"kids\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/"
     "$defs/t\"}},\"v\":{\"type\":\"integer\"}}}}}",
     "{\"$ref\":\"#/$defs/"
     "u\",\"$defs\":{\"u\":{\"type\":\"object\",\"properties\":{\"kids\":{\"type\":[\"array\",\"null\"],\"items\":{\"$"
     "ref\":\"#/$defs/u\"}},\"v\":{\"type\":\"number\"}}}}}",
     NULL},
    {"a tree whose kids are narrower",
     "{\"$ref\":\"#/$defs/t\",\"$defs\":{\"t\":{\"properties\":{\"kids\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/"
     "$defs/k\"}}}},\"k\":{\"properties\":{\"kids\":{\"type\":\"string\"}}}}}",
     "{\"$ref\":\"#/$defs/u\",\"$defs\":{\"u\":{\"properties\":{\"kids\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/"
     "$defs/u\"}}}}}}",
     "/$defs/u/properties/kids/type: old data may be a string"},
    {"a schema that is itself", "{\"type\":\"string\"}", "{\"$ref\":\"#\"}", "refers to itself"},
    {"a circle of references", "{\"type\":\"string\"}",
     "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"anyOf\":[{\"$ref\":\"#/$defs/"
     "a\"},{\"type\":\"null\"}]}}}",
     "/$defs/b/anyOf: none"},
    {"draft-07 to 2020-12",
     "{\"$schema\":\"http://json-schema.org/draft-07/"
     "schema#\",\"type\":\"object\",\"definitions\":{\"a\":{\"type\":\"string\"}},\"properties\":{\"a\":{\"$ref\":\"#/"
     "definitions/a\"}},\"additionalProperties\":false}",
     "{\"type\":\"object\",\"$defs\":{\"a\":{\"type\":\"string\"}},\"properties\":{\"a\":{\"$ref\":\"#/$defs/"
     "a\"},\"b\":{\"type\":\"integer\"}},\"additionalProperties\":false}",
     NULL},
};

static void test_pairs(void **state) {
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct fixture *f = *state;
        const struct pair *p = &pairs[i];
        int r = check(f, p->older, p->newer);
        if (r == (p->words ? COMPAT_UNPROVEN : COMPAT_PROVEN) && (!p->words || strstr(f->err.text, p->words)) &&
            (p->words || (f->err.code == 0 && !f->err.text[0])))
            continue;
        print_error("%s: returned %d, \"%s\"\n", p->name, r, f->err.text);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* What is proven one way round for every schema: it is under itself, under true, and false is under it. */
static void test_reflexive(void **state) {
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct fixture *f = *state;
        assert_int_equal(check(f, pairs[i].older, pairs[i].older), COMPAT_PROVEN);
        assert_int_equal(check(f, pairs[i].newer, "true"), COMPAT_PROVEN);
        assert_int_equal(check(f, "false", pairs[i].newer),
                         strstr(pairs[i].newer, "draft-04") ? COMPAT_UNPROVEN : COMPAT_PROVEN);
    }
}

static void test_without_err(void **state) {
    struct fixture *f = *state;
    read_tree(f, "{\"type\":\"string\"}", &f->older);
    read_tree(f, "{\"type\":\"null\"}", &f->newer);
    assert_int_equal(compat_check(&f->older, &f->newer, NULL), COMPAT_UNPROVEN);
}

/* --- bombs: all of them end soon, and are not proven */

static void bomb_open(FILE **file, char **text, size_t *n) {
    *file = open_memstream(text, n);
    assert_non_null(*file);
}

static void bomb_check(struct fixture *f, const char *older, const char *newer, const char *words) {
    assert_int_equal(check(f, older, newer), COMPAT_UNPROVEN);
    if (!strstr(f->err.text, words))
        fail_msg("\"%s\" has no \"%s\"", f->err.text, words);
}

/* 3 to the power of 30 cases. */
static void test_many_cases(void **state) {
    FILE *file;
    char *text;
    size_t n;
    bomb_open(&file, &text, &n);
    fprintf(file, "{\"allOf\":[");
    for (int i = 0; i < 30; i++)
        fprintf(file, "%s{\"anyOf\":[{\"required\":[\"a%d\"]},{\"required\":[\"b%d\"]},{\"maxProperties\":%d}]}",
                i ? "," : "", i, i, i + 1);
    fprintf(file, "]}");
    fclose(file);
    bomb_check(*state, text, "{\"anyOf\":[{\"minProperties\":1},{\"minLength\":1}]}", "too large to be compared");
    free(text);
}

/* Each definition leads to the next one twice. */
static char *doubling(const char *leaf) {
    FILE *file;
    char *text;
    size_t n;
    bomb_open(&file, &text, &n);
    fprintf(file, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 60; i++)
        fprintf(file, "\"d%d\":{\"properties\":{\"l\":{\"$ref\":\"#/$defs/d%d\"},\"r\":{\"$ref\":\"#/$defs/d%d\"}}},",
                i, i + 1, i + 1);
    fprintf(file, "\"d60\":%s}}", leaf);
    fclose(file);
    return text;
}

static void test_doubling_is_remembered(void **state) {
    char *older = doubling("{\"type\":\"integer\"}"), *newer = doubling("{\"type\":\"number\"}");
    assert_int_equal(check(*state, older, newer), COMPAT_PROVEN);
    bomb_check(*state, newer, older, "/$defs/d60/type");
    free(older);
    free(newer);
}

static void test_long_chain(void **state) {
    FILE *file;
    char *text;
    size_t n;
    bomb_open(&file, &text, &n);
    fprintf(file, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 3000; i++)
        fprintf(file, "\"d%d\":{\"$ref\":\"#/$defs/d%d\"},", i, i + 1);
    fprintf(file, "\"d3000\":{\"type\":\"string\"}}}");
    fclose(file);
    bomb_check(*state, "{\"type\":\"string\"}", text, "nested too deep to be compared");
    bomb_check(*state, text, "{\"type\":\"null\"}", "too large to be compared");
    free(text);
}

static char *deep(const char *leaf, int levels) {
    FILE *file;
    char *text;
    size_t n;
    bomb_open(&file, &text, &n);
    for (int i = 0; i < levels; i++)
        fprintf(file, "{\"items\":");
    fprintf(file, "%s", leaf);
    for (int i = 0; i < levels; i++)
        fprintf(file, "}");
    fclose(file);
    return text;
}

static void test_deep(void **state) {
    char *older = deep("{\"type\":\"integer\"}", 400), *newer = deep("{\"type\":\"number\"}", 400);
    bomb_check(*state, older, newer, "nested too deep to be compared");
    assert_int_equal(check(*state, older, older), COMPAT_PROVEN);
    free(older);
    free(newer);
}

static void test_deep_enough(void **state) {
    char *older = deep("{\"type\":\"integer\"}", 60), *newer = deep("{\"type\":\"number\"}", 60);
    assert_int_equal(check(*state, older, newer), COMPAT_PROVEN);
    free(older);
    free(newer);
}

/* A list of values as long as people have them. */
static char *many_values(int n_values, const char *more) {
    FILE *file;
    char *text;
    size_t n;
    bomb_open(&file, &text, &n);
    fprintf(file, "{\"enum\":[");
    for (int i = 0; i < n_values; i++)
        fprintf(file, "%s\"v%d\"", i ? "," : "", i);
    fprintf(file, "%s]}", more);
    fclose(file);
    return text;
}

static void test_many_values(void **state) {
    char *older = many_values(300, ""), *newer = many_values(300, ",\"w\"");
    assert_int_equal(check(*state, older, newer), COMPAT_PROVEN);
    bomb_check(*state, newer, older, "the old value \"w\" does not fit");
    free(older);
    free(newer);
    older = many_values(20000, "");
    newer = many_values(20000, ",\"w\"");
    bomb_check(*state, older, newer, "too large to be compared");
    free(older);
    free(newer);
}

/* Texts stay valid UTF-8 where they are cut. */
static void test_long_names(void **state) {
    struct fixture *f = *state;
    FILE *file;
    char *text;
    size_t n;
    bomb_open(&file, &text, &n);
    fprintf(file, "{\"properties\":{\"x");
    for (int i = 0; i < 1000; i++)
        fprintf(file, "\xc3\xa9");
    fprintf(file, "\":{\"type\":\"string\"}}}");
    fclose(file);
    bomb_check(f, "{\"type\":\"object\"}", text, "/properties/x");
    n = strlen(f->err.text);
    assert_true(n < sizeof f->err.text);
    char *quoted;
    bomb_open(&file, &quoted, &n);
    fprintf(file, "{\"t\":\"%s\"}", f->err.text);
    fclose(file);
    read_tree(f, quoted, &f->older);
    free(quoted);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pairs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reflexive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_err, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_cases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_doubling_is_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deep_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_names, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
