#include "allow.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct script *script;
    struct arena arena;
    struct allow allow;
    struct err err;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    return script_new(&f->script, &(struct script_options){0});
}

static int teardown(void **state) {
    struct fixture *f = *state;
    script_free(f->script);
    arena_free(&f->arena);
    free(f);
    return 0;
}

/* Reads the member `v` of a definition. */
static int read_list(struct fixture *f, const char *list) {
    char text[400];
    script_value table;
    struct script_fault fault = {0};
    snprintf(text, sizeof text, "return { v = %s }", list);
    if (script_load(f->script, "x.lua", str_of(text), &table, &fault) != 0)
        fail_msg("%s: %s", list, fault.text);
    script_value v = script_member(f->script, table, "v");
    f->err = (struct err){0};
    int r = allow_read(f->script, v, &f->arena, &f->allow, &f->err);
    script_drop(f->script, v);
    script_drop(f->script, table);
    return r;
}

static void take(struct fixture *f, const char *list) {
    if (read_list(f, list) != 0)
        fail_msg("%s: %s", list, f->err.text);
}

static void refuse(struct fixture *f, const char *list, const char *words) {
    if (read_list(f, list) != -EINVAL)
        fail_msg("%s was taken", list);
    if (!strstr(f->err.text, words))
        fail_msg("%s: says %s, not %s", list, f->err.text, words);
}

static const struct ownership owner = {.uid = 1000, .gid = 100};
static const struct ownership owner_with_root = {.uid = 1000, .gid = 100, .root_allowed = true};

static bool admits(const struct fixture *f, uint32_t uid, uint32_t gid, uint32_t other) {
    const struct identity who = {.uid = uid, .gid = gid, .gids = &other, .n_gids = 1};
    return allow_admits(&f->allow, &who, &owner);
}

static void without_a_list_it_is_the_owner_and_the_group(void **state) {
    struct fixture *f = *state;
    take(f, "nil");
    assert_false(f->allow.given);
    assert_true(admits(f, 1000, 5, 5));
    assert_true(admits(f, 7, 100, 5));
    assert_true(admits(f, 7, 5, 100));
    assert_true(admits(f, 0, 5, 5));
    assert_false(admits(f, 7, 5, 5));
    const struct identity alone = {.uid = 7, .gid = 5};
    assert_false(allow_admits(&f->allow, &alone, &owner));
}

static void a_list_is_all_that_counts(void **state) {
    struct fixture *f = *state;
    take(f, "{ users = { 12, \"7\", 12 }, groups = { \"21\", 20 } }");
    assert_true(f->allow.given);
    assert_true(admits(f, 7, 5, 5) && admits(f, 12, 5, 5));
    assert_true(admits(f, 8, 20, 5) && admits(f, 8, 21, 5));
    assert_true(admits(f, 8, 5, 20) && admits(f, 8, 5, 21));
    assert_false(admits(f, 8, 5, 5));
    assert_false(admits(f, 20, 7, 12));
    assert_false(admits(f, 1000, 100, 100));
}

static void root_must_be_on_the_list_or_have_the_option(void **state) {
    struct fixture *f = *state;
    const struct identity root = {0};
    take(f, "{ users = { 7 } }");
    assert_false(allow_admits(&f->allow, &root, &owner));
    assert_true(allow_admits(&f->allow, &root, &owner_with_root));
    take(f, "{ users = { \"root\" } }");
    assert_true(allow_admits(&f->allow, &root, &owner));
    take(f, "{ groups = { \"root\" } }");
    assert_true(allow_admits(&f->allow, &root, &owner));
    assert_false(admits(f, 7, 5, 5));
}

static void anyone_is_everybody(void **state) {
    struct fixture *f = *state;
    take(f, "{ anyone = true }");
    assert_true(admits(f, 4711, 4711, 4711));
    take(f, "{ anyone = false }");
    assert_false(admits(f, 4711, 4711, 4711) || admits(f, 1000, 100, 100));
}

static void an_empty_list_admits_nobody(void **state) {
    struct fixture *f = *state;
    take(f, "{}");
    assert_true(f->allow.given);
    assert_false(admits(f, 1000, 100, 100) || admits(f, 0, 0, 0));
    take(f, "{ users = {}, groups = array{} }");
    assert_false(admits(f, 1000, 100, 100) || admits(f, 0, 0, 0));
}

static void sagas_are_kept(void **state) {
    struct fixture *f = *state;
    take(f, "{ sagas = { \"fulfilment\", \"billing\" } }");
    assert_int_equal(f->allow.n_sagas, 2);
    assert_true(str_eq(f->allow.sagas[0], STR("fulfilment")));
    assert_true(str_eq(f->allow.sagas[1], STR("billing")));
    assert_false(admits(f, 1000, 100, 100));
}

static void what_is_no_list_is_refused(void **state) {
    struct fixture *f = *state;
    refuse(f, "7", "must be a table like");
    refuse(f, "null", "must be a table like");
    refuse(f, "{ user = { \"root\" } }", "user: unknown member, did you mean users?");
    refuse(f, "{ Groups = {} }", "Groups: unknown member, did you mean groups?");
    refuse(f, "{ everybody = true }", "everybody: unknown member, there may be users, groups, sagas, anyone");
    refuse(f, "{ \"root\" }", "1: unknown member");
    refuse(f, "{ anyone = 1 }", "anyone: must be true or false");
    refuse(f, "{ users = \"root\" }", "users: must be a list of names");
    refuse(f, "{ users = { root = true } }", "users: root is a key");
    refuse(f, "{ users = { true } }", "users: 1 is the place of something that is neither");
    refuse(f, "{ users = { 1.5 } }", "users: 1 is the place of something that is neither");
    refuse(f, "{ users = { 0, -1 } }", "users: 2 is the place of a number that no user or group can have");
    refuse(f, "{ users = { 4294967295 } }", "a number that no user or group can have");
    refuse(f, "{ users = { \"4294967295\" } }", "this machine has no user 4294967295");
    refuse(f, "{ users = { \"99999999999999999999999999\" } }", "this machine has no user 9999");
    refuse(f, "{ users = { \"\" } }", "is no name of a user or group");
    refuse(f, "{ users = { \"a\\0b\" } }", "a\\x00b is no name of a user or group");
    refuse(f, "{ users = { \"no-such-user\" } }", "users: this machine has no user no-such-user");
    refuse(f, "{ groups = { \"no-such-group\" } }", "groups: this machine has no group no-such-group");
    refuse(f, "{ sagas = { 7 } }", "sagas: 1 is the place of something that is no name");
    refuse(f, "{ sagas = { \"a/b\" } }", "sagas: a/b has a slash");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(without_a_list_it_is_the_owner_and_the_group),
        TEST(a_list_is_all_that_counts),
        TEST(root_must_be_on_the_list_or_have_the_option),
        TEST(anyone_is_everybody),
        TEST(an_empty_list_admits_nobody),
        TEST(sagas_are_kept),
        TEST(what_is_no_list_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
