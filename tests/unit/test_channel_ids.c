/* Command ids and transactions through channels. */
#include "channel.h"

#include "lib_store.h"

#include <errno.h>

/* --- ids */

static void a_command_id_makes_the_second_time_a_duplicate(void **state) {
    struct lib_store *l = *state;
    char *first, *lines;
    const char *text = "{\"type\":\"A\",\"id\":\"c\",\"data\":{\"a\":1}}", *id;
    assert_int_equal(lib_send(l, "order", "1", text, &first), strlen(text));
    lib_append(l, "order", "1", "{\"type\":\"B\"}");
    id = strstr(first, "\"events\"");
    /* whatever the version by now, the white space in data, or the other members */
    const char *again[] = {
        text, "{ \"data\" : { \"a\" : 1 }, \"id\":\"c\", \"type\":\"A\", \"expectedVersion\":0 }",
        "{\"type\":\"A\",\"id\":\"c\",\"data\":{\"a\":1},\"expectedVersion\":77,\"correlationid\":\"x\"}"};
    for (int open = 0; open < 2; open++) {
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(lib_send(l, "order", "1", again[i], &lines), strlen(again[i]));
            LINE_HAS(lines, 0,
                     "{\"status\":\"appended\",\"version\":1,\"position\":\"0000000000000001\",\"duplicate\":true}");
            char *events = strndup(id, strcspn(id, "]"));
            assert_non_null(strstr(lines, events));
            free(events);
            free(lines);
        }
        assert_int_equal(lib_send(l, "order", "1", "{\"type\":\"A\",\"id\":\"c\",\"data\":{\"a\":2}}", &lines),
                         -EEXIST);
        LINE_HAS(lines, 0, "{\"status\":\"rejected\",\"error\":\"id_reused\",\"commandid\":\"c\"}");
        free(lines);
        assert_int_equal(lib_send(l, "order", "1", "{\"type\":\"B\",\"id\":\"c\",\"data\":{\"a\":1}}", NULL), -EEXIST);
        assert_int_equal(lib_version(l, "order", "1"), 2);
        lib_store_close(l);
        lib_store_open(l);
    }
    lib_append(l, "order", "2", text); /* ids are of their aggregate */
    assert_int_equal(lib_version(l, "order", "2"), 1);
    free(first);
}

static void a_refused_command_is_not_remembered(void **state) {
    struct lib_store *l = *state;
    assert_int_equal(lib_send(l, "order", "1", "{\"type\":\"A\",\"id\":\"c\",\"expectedVersion\":5}", NULL), -ESTALE);
    char *lines;
    assert_int_equal(lib_send(l, "order", "1", "{\"type\":\"B\",\"id\":\"c\"}", &lines), 21);
    LINE_HAS(lines, 0, "{\"version\":1,\"duplicate\":null}");
    free(lines);
}

static void a_duplicate_within_one_write_is_known(void **state) {
    struct lib_store *l = *state;
    char *lines;
    const char *text = "{\"type\":\"A\",\"id\":\"c\"}{\"type\":\"A\",\"id\":\"c\"}{\"type\":\"A\",\"id\":\"d\"}"
                       "{\"type\":\"A\",\"id\":\"c\",\"data\":{\"x\":0}}";
    assert_int_equal(lib_send(l, "order", "1", text, &lines), 63);
    assert_int_equal(lib_version(l, "order", "1"), 2);
    assert_int_equal(lib_count(lines, "\n"), 4);
    LINE_HAS(lines, 0, "{\"version\":1,\"duplicate\":null}");
    LINE_HAS(lines, 1, "{\"version\":1,\"duplicate\":true}");
    LINE_HAS(lines, 2, "{\"version\":2,\"duplicate\":null}");
    LINE_HAS(lines, 3, "{\"error\":\"id_reused\"}");
    free(lines);
}

/* --- transactions */

static void a_transaction_is_all_or_nothing(void **state) {
    struct lib_store *l = *state;
    char *lines;
    lib_append(l, "order", "1", "{\"type\":\"A\"}");
    assert_int_equal(lib_send(l, "", "",
                              "[{\"type\":\"X\",\"aggregate\":\"order/1\"},{\"type\":\"X\",\"aggregate\":\"fresh/1\"},"
                              "{\"type\":\"X\",\"aggregate\":\"order/2\",\"expectedVersion\":1},"
                              "{\"type\":\"X\",\"aggregate\":\"order/3\"}]",
                              &lines),
                     -ESTALE);
    assert_int_equal(lib_count(lines, "\n"), 1);
    LINE_HAS(lines, 0, "{\"status\":\"rejected\",\"error\":\"conflict\",\"aggregate\":\"order/2\",\"index\":2}");
    free(lines);
    assert_int_equal(lib_version(l, "order", "1"), 1);
    assert_int_equal(lib_version(l, "order", "2"), -1);
    assert_int_equal(lib_version(l, "order", "3"), -1);
    struct index_type type;
    assert_int_equal(index_type_by_name(store_index(l->store), STR("fresh"), &type), INDEX_NONE);
    lib_append(l, "", "",
               "[{\"type\":\"X\",\"aggregate\":\"order/1\"},{\"type\":\"X\",\"aggregate\":\"fresh/1\"},"
               "{\"type\":\"X\",\"aggregate\":\"order/2\",\"expectedVersion\":0}]");
    assert_int_equal(lib_version(l, "order", "1"), 2);
    assert_int_equal(lib_version(l, "fresh", "1"), 1);
    assert_int_equal(lib_version(l, "order", "2"), 1);
}

static void a_transaction_sees_its_own_commands_to_the_same_aggregate(void **state) {
    struct lib_store *l = *state;
    char *lines;
    lib_append(l, "order", "1",
               "[{\"type\":\"A\",\"expectedVersion\":\"none\"},{\"type\":\"B\",\"expectedVersion\":1},"
               "{\"expectedVersion\":2},{\"type\":\"C\",\"expectedVersion\":\"exists\"}]");
    assert_int_equal(lib_version(l, "order", "1"), 3);
    char *stream = lib_stream(l, "order", "1");
    LINE_HAS(stream, 0, "{\"type\":\"A\",\"version\":1,\"position\":\"0000000000000001\"}");
    LINE_HAS(stream, 1, "{\"type\":\"B\",\"version\":2,\"position\":\"0000000000000002\"}");
    LINE_HAS(stream, 2, "{\"type\":\"C\",\"version\":3,\"position\":\"0000000000000003\"}");
    free(stream);
    for (int i = 0; i < 2; i++) { /* what the first left staged does not count the second time */
        assert_int_equal(lib_send(l, "order", "1",
                                  "[{\"type\":\"A\",\"expectedVersion\":3},{\"type\":\"B\"},"
                                  "{\"type\":\"C\",\"expectedVersion\":3}]",
                                  &lines),
                         -ESTALE);
        LINE_HAS(lines, 0, "{\"index\":2,\"detail\":\"order/1 is at version 5, not 3\"}");
        free(lines);
        assert_int_equal(lib_version(l, "order", "1"), 3);
    }
    lib_append(l, "order", "1", "{\"type\":\"A\",\"expectedVersion\":3}");
}

static void a_member_that_only_checks_makes_no_aggregate(void **state) {
    struct lib_store *l = *state;
    char *lines;
    const char *text = "[{\"aggregate\":\"order/9\",\"expectedVersion\":\"none\"}]";
    assert_int_equal(lib_send(l, "", "", text, &lines), strlen(text));
    LINE_HAS(lines, 0,
             "{\"status\":\"appended\",\"commands\":[{\"aggregate\":\"order/9\",\"version\":0}],\"index\":null}");
    free(lines);
    assert_int_equal(lib_version(l, "order", "9"), -1);
    assert_int_equal(lib_send(l, "", "", "[{\"aggregate\":\"order/9\",\"expectedVersion\":\"exists\"}]", NULL),
                     -ESTALE);
}

static void a_transaction_of_known_ids_is_a_duplicate_and_of_some_is_refused(void **state) {
    struct lib_store *l = *state;
    char *lines;
    const char *text = "[{\"type\":\"A\",\"aggregate\":\"1\",\"id\":\"a\"},{\"type\":\"N\",\"aggregate\":\"3\"},"
                       "{\"type\":\"B\",\"aggregate\":\"2\",\"id\":\"b\",\"expectedVersion\":0}]";
    lib_append(l, "order", "", text);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lib_send(l, "order", "", text, &lines), strlen(text));
        json_t *line = json_loads(lines, 0, NULL), *commands = json_object_get(line, "commands");
        assert_int_equal(json_array_size(commands), 3);
        for (size_t k = 0; k < 3; k++)
            assert_true(json_is_true(json_object_get(json_array_get(commands, k), "duplicate")));
        assert_int_equal(json_integer_value(json_object_get(json_array_get(commands, 2), "version")), 1);
        assert_null(json_object_get(json_array_get(commands, 1), "version")); /* not known: it had no id */
        json_decref(line);
        free(lines);
        lib_store_close(l);
        lib_store_open(l);
    }
    assert_int_equal(lib_version(l, "order", "1"), 1);
    assert_int_equal(lib_version(l, "order", "2"), 1);
    assert_int_equal(lib_version(l, "order", "3"), 1);
    /* some known, some not: by itself, and in a member that comes first */
    assert_int_equal(lib_send(l, "order", "",
                              "[{\"type\":\"A\",\"aggregate\":\"1\",\"id\":\"a\"},"
                              "{\"type\":\"B\",\"aggregate\":\"2\",\"id\":\"new\"}]",
                              &lines),
                     -EEXIST);
    LINE_HAS(lines, 0, "{\"error\":\"id_reused\",\"index\":1}");
    free(lines);
    assert_int_equal(lib_send(l, "order", "",
                              "[{\"type\":\"A\",\"aggregate\":\"4\",\"id\":\"a\"},"
                              "{\"type\":\"A\",\"aggregate\":\"1\",\"id\":\"a\"}]",
                              NULL),
                     -EEXIST);
    /* known with other content */
    assert_int_equal(lib_send(l, "order", "",
                              "[{\"type\":\"A\",\"aggregate\":\"1\",\"id\":\"a\"},"
                              "{\"type\":\"C\",\"aggregate\":\"2\",\"id\":\"b\"}]",
                              &lines),
                     -EEXIST);
    LINE_HAS(lines, 0, "{\"error\":\"id_reused\",\"index\":1,\"commandid\":\"b\"}");
    free(lines);
    assert_int_equal(lib_version(l, "order", "4"), -1);
    assert_int_equal(lib_version(l, "order", "2"), 1);
}

static void a_transaction_that_names_an_id_twice_is_refused(void **state) {
    struct lib_store *l = *state;
    char *lines;
    assert_int_equal(lib_send(l, "order", "",
                              "[{\"type\":\"A\",\"aggregate\":\"1\",\"id\":\"x\"},{\"type\":\"B\",\"aggregate\":\"1\"},"
                              "{\"type\":\"A\",\"aggregate\":\"1\",\"id\":\"x\"}]",
                              &lines),
                     -EEXIST);
    LINE_HAS(lines, 0, "{\"error\":\"id_reused\",\"index\":2,\"commandid\":\"x\"}");
    free(lines);
    assert_int_equal(lib_version(l, "order", "1"), -1);
    lib_append(l, "order", "",
               "[{\"type\":\"A\",\"aggregate\":\"1\",\"id\":\"x\"},{\"type\":\"A\",\"aggregate\":\"2\",\"id\":\"x\"}]");
    assert_int_equal(lib_version(l, "order", "2"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LIB_TEST(a_command_id_makes_the_second_time_a_duplicate),
        LIB_TEST(a_refused_command_is_not_remembered),
        LIB_TEST(a_duplicate_within_one_write_is_known),
        LIB_TEST(a_transaction_is_all_or_nothing),
        LIB_TEST(a_transaction_sees_its_own_commands_to_the_same_aggregate),
        LIB_TEST(a_member_that_only_checks_makes_no_aggregate),
        LIB_TEST(a_transaction_of_known_ids_is_a_duplicate_and_of_some_is_refused),
        LIB_TEST(a_transaction_that_names_an_id_twice_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
