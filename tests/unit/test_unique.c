/* unique.c over a store: who holds which value, as of requests, blocks and what is stored. */
#include "unique.h"

#include "lib_store.h"
#include "store_parts.h"

#include <errno.h>

/* Of two types and two rules, as a domain would have them. */
static struct domain_rule rules[] = {{STR("email")}, {STR("number")}};
static const struct domain_type types[] = {
    {.name = STR("customer"), .fold = "customers", .rules = rules, .n_rules = 2},
    {.name = STR("supplier"), .fold = "suppliers", .rules = rules, .n_rules = 2},
};

struct fixture {
    struct lib_store *l;
    struct unique *u;
    struct changes young, old; /* to be written with a block, as handlers keep them */
    struct unique_clash clash;
    struct err err;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    void *store;
    lib_setup(&store);
    f->l = store;
    for (int i = 1; i <= 4; i++) {
        char id[8];
        snprintf(id, sizeof id, "%c", '`' + i);
        lib_append(f->l, "customer", id, "{\"type\":\"A\"}");
    }
    f->u = unique_new(f->l->store->db, f->l->store->index);
    assert_non_null(f->u);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    void *store = f->l;
    unique_free(f->u);
    changes_free(&f->young);
    changes_free(&f->old);
    lib_teardown(&store);
    free(f);
    return 0;
}

/* A change of the first rule of customer "a" (number 1), "b" (2), ... */
static struct unique_change change(uint64_t aggregate, const char *before, const char *after) {
    static const char ids[] = "?abcdefgh";
    return (struct unique_change){.type = &types[0],
                                  .rule = &rules[0],
                                  .aggregate = aggregate,
                                  .id = {&ids[aggregate], 1},
                                  .before = before ? str_of(before) : (struct str){NULL, 0},
                                  .after = after ? str_of(after) : (struct str){NULL, 0}};
}

static int check(struct fixture *f, const struct unique_change *changes, size_t n) {
    f->clash = (struct unique_clash){0};
    return unique_check(f->u, changes, n, &f->clash, &f->err);
}

static void accept(struct fixture *f, const struct unique_change *changes, size_t n) {
    assert_int_equal(check(f, changes, n), 0);
    assert_int_equal(unique_accept(f->u, changes, n, &f->young), 0);
}

static void taken(struct fixture *f, const struct unique_change *changes, size_t n, size_t at, const char *holder) {
    assert_int_equal(check(f, changes, n), UNIQUE_TAKEN);
    assert_int_equal(f->clash.change, at);
    assert_string_equal(f->clash.holder, holder);
}

static void take(struct fixture *f, uint64_t aggregate, const char *before, const char *after) {
    const struct unique_change c = change(aggregate, before, after);
    accept(f, &c, 1);
}

static void is_taken(struct fixture *f, uint64_t aggregate, const char *value, const char *holder) {
    const struct unique_change c = change(aggregate, NULL, value);
    taken(f, &c, 1, 0, holder);
}

/* The block is finished; the one before it has been applied, so its changes are stored. */
static void turn(struct fixture *f) {
    if (f->old.n)
        assert_int_equal(db_write(f->l->store->db, f->old.list, f->old.n, false, &f->err), 0);
    changes_free(&f->old);
    f->old = f->young;
    f->young = (struct changes){0};
    unique_turn(f->u);
}

static void a_value_has_one_holder_wherever_that_is_noted(void **state) {
    struct fixture *f = *state;
    take(f, 1, NULL, "\"x\"");
    for (int turns = 0; turns < 4; turns++) { /* young, old, stored, stored */
        is_taken(f, 2, "\"x\"", "customer/a");
        const struct unique_change own = change(1, NULL, "\"x\""), free_one = change(2, NULL, "\"y\"");
        assert_int_equal(check(f, &own, 1), 0);
        assert_int_equal(check(f, &free_one, 1), 0);
        turn(f);
    }
}

static void what_was_given_up_is_free_wherever_it_was_held(void **state) {
    struct fixture *f = *state;
    for (int turns = 0; turns < 4; turns++) {
        take(f, 1, NULL, "\"x\"");
        for (int i = 0; i < turns; i++)
            turn(f);
        is_taken(f, 2, "\"x\"", "customer/a");
        take(f, 1, "\"x\"", NULL); /* now the young say nobody, and the stored may still say 1 */
        for (int later = 0; later < 4; later++) {
            const struct unique_change c = change(2, NULL, "\"x\"");
            assert_int_equal(check(f, &c, 1), 0);
            turn(f);
        }
    }
}

static void values_are_swapped_within_a_request(void **state) {
    struct fixture *f = *state;
    take(f, 1, NULL, "\"x\"");
    take(f, 2, NULL, "\"y\"");
    const struct unique_change swap[] = {change(1, "\"x\"", "\"y\""), change(2, "\"y\"", "\"x\"")};
    taken(f, swap, 1, 0, "customer/b"); /* half of it */
    accept(f, swap, 2);
    for (int turns = 0; turns < 4; turns++) {
        is_taken(f, 3, "\"y\"", "customer/a");
        is_taken(f, 3, "\"x\"", "customer/b");
        turn(f);
    }
}

static void what_one_releases_another_takes_in_any_order(void **state) {
    struct fixture *f = *state;
    take(f, 1, NULL, "\"x\"");
    turn(f);
    turn(f);
    const struct unique_change there[] = {change(1, "\"x\"", NULL), change(2, NULL, "\"x\"")};
    accept(f, there, 2);
    is_taken(f, 3, "\"x\"", "customer/b");
    const struct unique_change back[] = {change(1, NULL, "\"x\""), change(2, "\"x\"", NULL)};
    accept(f, back, 2);
    for (int turns = 0; turns < 4; turns++) {
        is_taken(f, 3, "\"x\"", "customer/a");
        turn(f);
    }
    /* of somebody else's value nothing is released */
    const struct unique_change wrong[] = {change(3, "\"x\"", NULL), change(2, NULL, "\"x\"")};
    taken(f, wrong, 2, 1, "customer/a");
}

static void two_of_a_request_cannot_take_the_same(void **state) {
    struct fixture *f = *state;
    struct unique_change both[] = {change(3, NULL, "\"x\""), change(0, NULL, "\"z\""), change(0, NULL, "\"x\"")};
    both[2].id = STR("new");
    taken(f, both, 3, 2, "customer/c");
    both[2].rule = &rules[1];
    accept(f, both, 3);
}

static void rules_and_types_are_apart(void **state) {
    struct fixture *f = *state;
    struct unique_change c = change(2, NULL, "\"x\"");
    take(f, 1, NULL, "\"x\"");
    c.rule = &rules[1];
    accept(f, &c, 1);
    c.type = &types[1];
    accept(f, &c, 1);
    c.rule = &rules[0];
    accept(f, &c, 1);
    turn(f);
    turn(f);
    is_taken(f, 3, "\"x\"", "customer/a");
    c.aggregate = 4;
    taken(f, &c, 1, 0, "supplier/b");
}

/* Each takes the value of the next, the last one a new one. */
static void ring(struct unique_change *changes, char (*values)[16], size_t n) {
    for (size_t i = 0; i <= n; i++)
        snprintf(values[i], sizeof values[i], "\"%zu\"", i);
    for (size_t i = 0; i < n; i++) {
        changes[i] = change(1, values[i], values[i + 1]);
        changes[i].aggregate = 100 + i;
        changes[i].id = (struct str){values[i] + 1, strlen(values[i]) - 2};
    }
}

static void of_many_changes_each_is_judged(void **state) {
    struct fixture *f = *state;
    enum { MOST = 3000 };
    static struct unique_change changes[MOST], first[MOST];
    static char values[MOST + 1][16];
    static const size_t sizes[] = {2, 7, 8, 9, 10, 17, MOST};
    ring(first, values, MOST);
    for (size_t i = 0; i < MOST; i++) {
        first[i].after = first[i].before;
        first[i].before = (struct str){NULL, 0};
    }
    accept(f, first, MOST);
    turn(f);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s], i = n / 2;
        char holder[32];
        ring(changes, values, MOST);
        changes[n - 1].after = changes[0].before; /* round */
        assert_int_equal(check(f, changes, n), 0);
        /* one does not let go: he who is before it cannot have its value */
        changes[i].before = (struct str){NULL, 0};
        snprintf(holder, sizeof holder, "customer/%zu", i);
        taken(f, changes, n, i - 1, holder);
        changes[i].before = str_of(values[i]);
        /* one lets go of the value under another rule */
        changes[i].rule = &rules[1];
        taken(f, changes, n, i - 1, holder);
        changes[i].rule = &rules[0];
        /* two want the same */
        changes[n - 1].after = changes[i - 1].after;
        snprintf(holder, sizeof holder, "customer/%zu", i - 1);
        taken(f, changes, n, n - 1, holder);
        changes[n - 1].after = changes[0].before;
        accept(f, changes, n);
        for (size_t k = 0; k < n; k++) { /* and back */
            struct str before = changes[k].before;
            changes[k].before = changes[k].after;
            changes[k].after = before;
        }
        accept(f, changes, n);
    }
}

static void a_damaged_holder_is_told(void **state) {
    struct fixture *f = *state;
    struct buf key = {0};
    holder_key(&types[0], &rules[0], STR("\"x\""), &key);
    const struct db_change damage = {DB_FOLDS, buf_str(&key), STR("three"), false};
    assert_int_equal(db_write(f->l->store->db, &damage, 1, false, &f->err), 0);
    const struct unique_change c = change(2, NULL, "\"x\"");
    assert_int_equal(check(f, &c, 1), -EUCLEAN);
    assert_int_equal(f->err.code, EUCLEAN);
    assert_non_null(strstr(f->err.text, "damaged"));
    buf_free(&key);
}

#define UNIQUE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        UNIQUE_TEST(a_value_has_one_holder_wherever_that_is_noted),
        UNIQUE_TEST(what_was_given_up_is_free_wherever_it_was_held),
        UNIQUE_TEST(values_are_swapped_within_a_request),
        UNIQUE_TEST(what_one_releases_another_takes_in_any_order),
        UNIQUE_TEST(two_of_a_request_cannot_take_the_same),
        UNIQUE_TEST(rules_and_types_are_apart),
        UNIQUE_TEST(of_many_changes_each_is_judged),
        UNIQUE_TEST(a_damaged_holder_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
