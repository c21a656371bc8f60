#include "command.h"
#include "help.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct scope at_root = {{"", 0}, {"", 0}};
static const struct scope at_type = {{"order", 5}, {"", 0}};
static const struct scope at_aggregate = {{"order", 5}, {"1001", 4}};

struct fixture {
    struct json_parser *parser;
    struct arena arena;
    char *text; /* padded copy of what was parsed last */
    struct request request;
    struct refusal refusal;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->parser = json_parser_new();
    *state = f;
    return f->parser ? digest_init() : -1;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    json_parser_free(f->parser);
    arena_free(&f->arena);
    free(f->text);
    free(f);
    return 0;
}

static int parse(struct fixture *f, const struct scope *scope, const char *text) {
    size_t n = strlen(text);
    free(f->text);
    f->text = calloc(1, n + JSON_PADDING);
    memcpy(f->text, text, n);
    return command_parse(f->parser, scope, (struct str){f->text, n}, &f->arena, &f->request, &f->refusal);
}

static struct command *accept(struct fixture *f, const struct scope *scope, const char *text) {
    if (parse(f, scope, text))
        fail_msg("%s: %s", text, f->refusal.detail);
    assert_true(f->request.n_commands > 0);
    return f->request.commands;
}

static void refuse(struct fixture *f, const struct scope *scope, const char *text, enum outcome outcome,
                   const char *detail) {
    int rc = parse(f, scope, text);
    if (rc != (int)outcome || strcmp(f->refusal.detail, detail))
        fail_msg("%s: %d \"%s\", not %d \"%s\"", text, rc, f->refusal.detail, outcome, detail);
    assert_int_equal(f->refusal.outcome, outcome);
}

static void invalid(struct fixture *f, const char *text, const char *detail) {
    refuse(f, &at_aggregate, text, OUTCOME_INVALID, detail);
}

static void assert_str(struct str got, const char *want) {
    if (!str_eq(got, str_of(want)))
        fail_msg("got %.*s, not %s", (int)got.n, got.p, want);
}

static void only_a_type_is_required(void **state) {
    struct fixture *f = *state;
    struct command *c = accept(f, &at_aggregate, "{\"type\":\"PlaceOrder\"}");
    assert_int_equal(f->request.n_commands, 1);
    assert_false(f->request.transaction);
    assert_str(c->type, "PlaceOrder");
    assert_str(c->aggregate_type, "order");
    assert_str(c->aggregate_id, "1001");
    assert_str(c->data, "{}");
    assert_int_equal(c->expect, EXPECT_ANY);
    assert_int_equal(c->id.n + c->correlationid.n + c->causationid.n + c->traceparent.n + c->meta.n, 0);
}

static void every_member_finds_its_place(void **state) {
    struct fixture *f = *state;
    struct command *c = accept(f, &at_root,
                               "{\"traceparent\":\"00-ab\",\"meta\":{\"tenant\":\"ac\\u006de\", \"n1\": -2147483648 ,"
                               "\"b\":true},\"causationid\":\"ca\",\"correlationid\":\"co\",\"expectedVersion\":3,"
                               "\"id\":\"c-81\",\"data\": {\"n\": 1.50, \"s\" : \"a b\"},\"aggregate\":\"order/1001\","
                               "\"type\":\"PlaceOrder\"}");
    assert_str(c->aggregate_type, "order");
    assert_str(c->aggregate_id, "1001");
    assert_str(c->data, "{\"n\":1.50,\"s\":\"a b\"}");
    assert_str(c->id, "c-81");
    assert_str(c->correlationid, "co");
    assert_str(c->causationid, "ca");
    assert_str(c->traceparent, "00-ab");
    assert_str(c->meta, ",\"tenant\":\"ac\\u006de\",\"n1\":-2147483648,\"b\":true");
    assert_int_equal(c->expect, EXPECT_VERSION);
    assert_int_equal(c->version, 3);
}

static void the_content_hash_is_of_type_and_minified_data(void **state) {
    struct fixture *f = *state;
    uint8_t want[DIGEST_CONTENT], none[DIGEST_CONTENT] = {0};
    digest_content(STR("A"), STR("{\"a\":1}"), want);
    struct command *c = accept(f, &at_aggregate, "{\"id\":\"1\",\"type\":\"A\",\"data\":{ \"a\" : 1 }}");
    assert_memory_equal(c->content, want, DIGEST_CONTENT);
    c = accept(f, &at_aggregate, "{\"type\":\"A\",\"data\":{\"a\":1}}");
    assert_memory_equal(c->content, none, DIGEST_CONTENT);
}

static void the_aggregate_is_named_by_the_member_or_the_scope(void **state) {
    struct fixture *f = *state;
    static const struct {
        const struct scope *scope;
        const char *aggregate;
    } cases[] = {{&at_root, "order/1001"},
                 {&at_type, "1001"},
                 {&at_type, "order/1001"},
                 {&at_aggregate, "order/1001"},
                 {&at_aggregate, "1001"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"type\":\"A\",\"aggregate\":\"%s\"}", cases[i].aggregate);
        struct command *c = accept(f, cases[i].scope, text);
        assert_str(c->aggregate_type, "order");
        assert_str(c->aggregate_id, "1001");
    }
}

static void an_aggregate_out_of_place_is_invalid(void **state) {
    struct fixture *f = *state;
    refuse(f, &at_root, "{\"type\":\"A\"}", OUTCOME_INVALID, "aggregate is missing");
    refuse(f, &at_type, "{\"type\":\"A\"}", OUTCOME_INVALID, "aggregate is missing");
    refuse(f, &at_root, "{\"type\":\"A\",\"aggregate\":\"1001\"}", OUTCOME_INVALID,
           "aggregate \"1001\": needs a type and an id, as \"order/1001\" has");
    refuse(f, &at_root, "{\"type\":\"A\",\"aggregate\":7}", OUTCOME_INVALID, "aggregate must be a string");
    refuse(f, &at_type, "{\"type\":\"A\",\"aggregate\":\"stock/1\"}", OUTCOME_INVALID,
           "aggregate \"stock/1\": this file takes commands for order only");
    refuse(f, &at_aggregate, "{\"type\":\"A\",\"aggregate\":\"1002\"}", OUTCOME_INVALID,
           "aggregate \"1002\": this file takes commands for order/1001 only");
    refuse(f, &at_aggregate, "{\"type\":\"A\",\"aggregate\":\"stock/1001\"}", OUTCOME_INVALID,
           "aggregate \"stock/1001\": this file takes commands for order only");
    assert_str(f->refusal.aggregate, "order/1001");
}

static void an_aggregate_that_is_no_name_or_reserved_is_invalid(void **state) {
    struct fixture *f = *state;
    static const char *const cases[][2] = {
        {"order/commands", "aggregate \"order/commands\": the id is reserved"},
        {"order/log.ndjson", "aggregate \"order/log.ndjson\": the id is reserved"},
        {"views/1", "aggregate \"views/1\": the type is reserved"},
        {"order/", "aggregate \"order/\": the id is empty"},
        {"/1", "aggregate \"/1\": the type is empty"},
        {"order/1/2", "aggregate \"order/1/2\": the id has a slash"},
        {"order/.x", "aggregate \"order/.x\": the id begins with a dot"},
        {"$saga/1", "aggregate \"$saga/1\": the type begins with $, which is the system's"},
        {"order/a\\nb\\u0080", "aggregate \"order/a?b?"
                               "?\": the id has a control character"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"type\":\"A\",\"aggregate\":\"%s\"}", cases[i][0]);
        refuse(f, &at_root, text, OUTCOME_INVALID, cases[i][1]);
        assert_int_equal(f->refusal.aggregate.n, 0);
    }
    accept(f, &at_root, "{\"type\":\"A\",\"aggregate\":\"order/views\"}");
}

static void a_type_must_be_a_name(void **state) {
    struct fixture *f = *state;
    invalid(f, "{}", "type is missing");
    invalid(f, "{\"expectedVersion\":1}", "type is missing");
    invalid(f, "{\"type\":1}", "type must be a string");
    invalid(f, "{\"type\":\"\"}", "type \"\" is empty");
    invalid(f, "{\"type\":\"a/b\"}", "type \"a/b\" has a slash");
    invalid(f, "{\"type\":\"$SagaStarted\"}", "type \"$SagaStarted\" begins with $, which is the system's");
    assert_str(f->refusal.aggregate, "order/1001");
}

static void unknown_members_are_named(void **state) {
    struct fixture *f = *state;
    invalid(f, "{\"type\":\"A\",\"dat\":{}}", "unknown member \"dat\"");
    invalid(f, "{\"type\":\"A\",\"Data\":{}}", "unknown member \"Data\"");
    invalid(f, "{\"\":1}", "unknown member \"\"");
    assert_str(f->refusal.aggregate, "order/1001");
    refuse(f, &at_root, "{\"type\":\"A\",\"agregate\":\"order/1\"}", OUTCOME_INVALID, "unknown member \"agregate\"");
}

static void data_must_be_an_object(void **state) {
    struct fixture *f = *state;
    static const char *const values[] = {"[]", "1", "\"{}\"", "null", "true"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"type\":\"A\",\"data\":%s}", values[i]);
        invalid(f, text, "data must be an object");
    }
}

static void texts_are_strings_of_1_to_256_bytes(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = {"id", "correlationid", "causationid", "traceparent"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[400], detail[100];
        snprintf(text, sizeof text, "{\"type\":\"A\",\"%s\":\"%0256d\"}", names[i], 0);
        accept(f, &at_aggregate, text);
        snprintf(text, sizeof text, "{\"type\":\"A\",\"%s\":\"%0257d\"}", names[i], 0);
        snprintf(detail, sizeof detail, "%s must be 1 to 256 bytes long", names[i]);
        invalid(f, text, detail);
        snprintf(text, sizeof text, "{\"type\":\"A\",\"%s\":\"\"}", names[i]);
        invalid(f, text, detail);
        snprintf(text, sizeof text, "{\"type\":\"A\",\"%s\":null}", names[i]);
        snprintf(detail, sizeof detail, "%s must be a string", names[i]);
        invalid(f, text, detail);
        snprintf(text, sizeof text, "{\"type\":\"A\",\"%s\":\"a\\u0000\"}", names[i]);
        snprintf(detail, sizeof detail, "%s must be text without control characters", names[i]);
        invalid(f, text, detail);
    }
}

static void an_expected_version_is_a_count_or_a_word(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text;
        enum expect expect;
        uint64_t version;
    } good[] = {{"0", EXPECT_VERSION, 0},
                {"18446744073709551615", EXPECT_VERSION, UINT64_MAX},
                {"\"any\"", EXPECT_ANY, 0},
                {"\"exists\"", EXPECT_EXISTS, 0},
                {"\"none\"", EXPECT_NONE, 0}};
    static const char *const bad[] = {"-1",    "-0",   "1.0",  "1e2",  "18446744073709551616",
                                      "\"3\"", "\"\"", "null", "true", "[]"};
    char text[100];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, "{\"type\":\"A\",\"expectedVersion\":%s}", good[i].text);
        struct command *c = accept(f, &at_aggregate, text);
        assert_int_equal(c->expect, good[i].expect);
        if (c->expect == EXPECT_VERSION)
            assert_true(c->version == good[i].version);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "{\"type\":\"A\",\"expectedVersion\":%s}", bad[i]);
        invalid(f, text, "expectedVersion must be a non-negative integer, \"any\", \"exists\" or \"none\"");
    }
}

static void refuse_meta(struct fixture *f, const char *meta, const char *detail) {
    char text[200];
    snprintf(text, sizeof text, "{\"type\":\"A\",\"meta\":%s}", meta);
    invalid(f, text, detail);
}

static void meta_takes_strings_booleans_and_integers_of_32_bits(void **state) {
    struct fixture *f = *state;
    struct command *c = accept(f, &at_aggregate,
                               "{\"type\":\"A\",\"meta\":{\"a\":2147483647,\"b\":-2147483648,"
                               "\"abcdefghijklmnopqrst\":\"\",\"0\":false}}");
    assert_str(c->meta, ",\"a\":2147483647,\"b\":-2147483648,\"abcdefghijklmnopqrst\":\"\",\"0\":false");
    assert_int_equal(accept(f, &at_aggregate, "{\"type\":\"A\",\"meta\":{}}")->meta.n, 0);
    refuse_meta(f, "[]", "meta must be an object");
    refuse_meta(f, "{\"a\":2147483648}", "meta \"a\": a number must be an integer of 32 bits");
    refuse_meta(f, "{\"a\":-2147483649}", "meta \"a\": a number must be an integer of 32 bits");
    refuse_meta(f, "{\"a\":1.0}", "meta \"a\": a number must be an integer of 32 bits");
    refuse_meta(f, "{\"a\":1e1}", "meta \"a\": a number must be an integer of 32 bits");
    refuse_meta(f, "{\"a\":null}", "meta \"a\": must be a string, a boolean or an integer");
    refuse_meta(f, "{\"a\":{}}", "meta \"a\": must be a string, a boolean or an integer");
    refuse_meta(f, "{\"a\":\"\\n\"}", "meta \"a\": must be text without control characters");
}

static void meta_names_are_short_and_not_taken_by_events(void **state) {
    struct fixture *f = *state;
    refuse_meta(f, "{\"A\":1}", "meta \"A\": a name is 1 to 20 of a-z and 0-9");
    refuse_meta(f, "{\"a_b\":1}", "meta \"a_b\": a name is 1 to 20 of a-z and 0-9");
    refuse_meta(f, "{\"\":1}", "meta \"\": a name is 1 to 20 of a-z and 0-9");
    refuse_meta(f, "{\"abcdefghijklmnopqrstu\":1}", "meta \"abcdefghijklmnopqrstu\": a name is 1 to 20 of a-z and 0-9");
    static const char *const taken[] = {
        "specversion", "id",       "source",  "type",     "subject",     "time",          "datacontenttype",
        "dataschema",  "sequence", "version", "position", "commandid",   "correlationid", "causationid",
        "traceparent", "uid",      "actor",   "data",     "partitionkey"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        char meta[60], detail[100];
        snprintf(meta, sizeof meta, "{\"%s\":\"x\"}", taken[i]);
        snprintf(detail, sizeof detail, "meta \"%s\": every event has an attribute of that name", taken[i]);
        refuse_meta(f, meta, detail);
    }
}

static void what_is_not_json_is_malformed(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {"{\"type\":\"A\",}",
                                      "{\"type\":\"A\" \"data\":{}}",
                                      "{\"type\":\"A\",\"type\":\"A\"}",
                                      "{\"type\":\"A\",\"data\":{\"a\":01}}",
                                      "{\"type\":\"\\ud800\"}",
                                      "{\"type\":\"\xff\"}",
                                      "{\"type\":\"A\",\"meta\":{\"a\":1,\"a\":2}}",
                                      "{]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(f, &at_aggregate, bad[i]), OUTCOME_MALFORMED);
        assert_int_equal(strncmp(f->refusal.detail, "not JSON: ", 10), 0);
    }
}

static void an_array_is_one_transaction(void **state) {
    struct fixture *f = *state;
    struct command *c = accept(f, &at_root,
                               "[ {\"type\":\"A\",\"aggregate\":\"order/1\",\"id\":\"x\"} ,\n"
                               "{\"aggregate\":\"order/2\",\"expectedVersion\":\"exists\"},"
                               "{\"type\":\"B\",\"aggregate\":\"stock/1\",\"data\":{\"a\":[{}]}}\t]");
    assert_true(f->request.transaction);
    assert_int_equal(f->request.n_commands, 3);
    assert_str(c[0].type, "A");
    assert_int_equal(c[1].type.n, 0);
    assert_str(c[1].aggregate_id, "2");
    assert_int_equal(c[1].expect, EXPECT_EXISTS);
    assert_str(c[2].aggregate_type, "stock");
    assert_str(c[2].data, "{\"a\":[{}]}");
}

static void a_transaction_may_have_many_commands(void **state) {
    struct fixture *f = *state;
    char *text = malloc(1 << 20), *p = text + sprintf(text, "[");
    for (int i = 0; i < 5000; i++)
        p += sprintf(p, "%s{\"type\":\"T%d\",\"expectedVersion\":%d}", i ? "," : "", i, i);
    strcpy(p, "]");
    struct command *c = accept(f, &at_aggregate, text);
    assert_int_equal(f->request.n_commands, 5000);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(c[i].version, i);
    assert_str(c[4999].type, "T4999");
    free(text);
}

static void a_bad_command_of_a_transaction_is_named_by_its_index(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text, *detail;
        size_t index;
    } cases[] = {
        {"[{\"type\":\"A\"},{\"type\":\"B\",\"x\":1}]", "unknown member \"x\"", 1},
        {"[{\"type\":\"A\"},{\"type\":\"A\"},7]", "a command must be an object", 2},
        {"[[{\"type\":\"A\"}]]", "a command must be an object", 0},
        {"[{}]", "type or expectedVersion is missing", 0},
        {"[{\"aggregate\":\"1001\"}]", "type or expectedVersion is missing", 0},
        {"[{\"expectedVersion\":1,\"data\":{}}]", "data needs a type beside it", 0},
        {"[{\"expectedVersion\":1,\"id\":\"a\"}]", "id needs a type beside it", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        invalid(f, cases[i].text, cases[i].detail);
        assert_true(f->refusal.has_index);
        assert_int_equal(f->refusal.index, cases[i].index);
    }
    invalid(f, "[ ]", "a transaction must have at least one command");
    assert_false(f->refusal.has_index);
}

static void bad_json_anywhere_makes_a_transaction_malformed(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {
        "[{\"type\":\"A\"},]",
        "[,]",
        "[,{\"type\":\"A\"}]",
        "[{\"type\":\"A\"}{\"type\":\"A\"}]",
        "[{\"type\":\"A\"}:{}]",
        "[{\"type\":\"A\"} x]",
        "[{\"type\":\"A\"},tru]",
        "[{\"x\":1},{\"a\":01}]",
        "[7 7]",
        "[}",
        "[{]",
        "[{\"type\":\"A\"}}",
        "[{\"x\":1},{\"y\":[}]",
        "[{\"type\":\"A\"},\f{\"type\":\"A\"}]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc = parse(f, &at_aggregate, bad[i]);
        if (rc != OUTCOME_MALFORMED)
            fail_msg("%s: %d %s", bad[i], rc, f->refusal.detail);
    }
}

static void long_details_are_cut_at_the_end_of_a_character(void **state) {
    struct fixture *f = *state;
    char text[2000];
    for (size_t before = 0; before < 4; before++) {
        char *p = text + sprintf(text, "{\"%.*s", (int)before, "abc");
        for (int i = 0; i < 400; i++)
            p += sprintf(p, "\xf0\x9f\x98\x80");
        strcpy(p, "\":1}");
        assert_int_equal(parse(f, &at_aggregate, text), OUTCOME_INVALID);
        size_t n = strlen(f->refusal.detail);
        assert_in_range(n, 100, sizeof f->refusal.detail - 1);
        assert_int_equal((n - before - strlen("unknown member \"\"")) % 4, 0);
        assert_int_equal(f->refusal.detail[n - 1], '"');
    }
}

static void the_help_is_one_line_of_json(void **state) {
    struct fixture *f = *state;
    struct buf help = {0};
    help_put(NULL, NULL, NULL, &(struct scope){0}, &help);
    assert_int_equal(help.p[help.n - 1], '\n');
    assert_ptr_equal(memchr(help.p, '\n', help.n), help.p + help.n - 1);
    f->text = calloc(1, help.n + JSON_PADDING);
    memcpy(f->text, help.p, help.n);
    struct json_member *members;
    size_t n;
    const char *why;
    assert_int_equal(json_object_read(f->parser, (struct str){f->text, help.n - 1}, &f->arena, &members, &n, &why), 0);
    buf_free(&help);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(only_a_type_is_required),
        TEST(every_member_finds_its_place),
        TEST(the_content_hash_is_of_type_and_minified_data),
        TEST(the_aggregate_is_named_by_the_member_or_the_scope),
        TEST(an_aggregate_out_of_place_is_invalid),
        TEST(an_aggregate_that_is_no_name_or_reserved_is_invalid),
        TEST(a_type_must_be_a_name),
        TEST(unknown_members_are_named),
        TEST(data_must_be_an_object),
        TEST(texts_are_strings_of_1_to_256_bytes),
        TEST(an_expected_version_is_a_count_or_a_word),
        TEST(meta_takes_strings_booleans_and_integers_of_32_bits),
        TEST(meta_names_are_short_and_not_taken_by_events),
        TEST(what_is_not_json_is_malformed),
        TEST(an_array_is_one_transaction),
        TEST(a_transaction_may_have_many_commands),
        TEST(a_bad_command_of_a_transaction_is_named_by_its_index),
        TEST(bad_json_anywhere_makes_a_transaction_malformed),
        TEST(long_details_are_cut_at_the_end_of_a_character),
        TEST(the_help_is_one_line_of_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
