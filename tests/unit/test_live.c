/* live.c over a store: states that are kept, forgotten and folded again, also from events that are on their way. */
#include "live.h"

#include "digest.h"
#include "lib_domain.h"
#include "lib_store.h"
#include "store_parts.h"

#define MARK 4711 /* in a fold that is still the same one */

struct fixture {
    struct lib_store *l;
    struct lib_domain domain;
    struct domain_vm *vm;
    struct folder *folder;
    struct live_states *states;
    struct script_fault fault;
};

static void states_begin(struct fixture *f, size_t max) {
    live_free(f->states);
    f->states = live_new(f->folder, f->l->store->index, max);
    assert_non_null(f->states);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    void *store;
    struct err err = {0};
    lib_setup(&store);
    f->l = store;
    lib_domain_begin(&f->domain);
    lib_domain_put(&f->domain, "aggregates/sum.lua",
                   "return {\n"
                   "  initial = function() return { n = 0 } end,\n"
                   "  events = {\n"
                   "    Added = { evolve = function(s, e) s.n = s.n + e.data.n end },\n"
                   "    Broken = { evolve = function(s) s.nothing.at.all = 1 end },\n"
                   "  },\n"
                   "}\n");
    lib_domain_reload(&f->domain);
    assert_int_equal(domain_vm_new(&f->vm, f->domain.d, &err), 0);
    const struct folder_options options = {.source = {f->l->store->index, f->l->store->log, store_id(f->l->store)},
                                           .db = f->l->store->db};
    f->folder = folder_new(f->vm, &options);
    assert_non_null(f->folder);
    states_begin(f, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    void *store = f->l;
    live_free(f->states);
    folder_free(f->folder);
    domain_vm_free(f->vm);
    lib_domain_end(&f->domain);
    lib_teardown(&store);
    free(f);
    return 0;
}

/* Appends an event that the index then knows; the aggregate's number. */
static uint64_t store_event(struct fixture *f, const char *id, const char *type, int n) {
    char text[96];
    struct index_aggregate a;
    snprintf(text, sizeof text, "{\"type\":\"%s\",\"data\":{\"n\":%d}}", type, n);
    lib_append(f->l, "sum", id, text);
    assert_int_equal(lib_find(f->l->store, "sum", id, &a), 0);
    return a.no;
}

/* An event that was decided and that the index does not know. */
static void pend(struct fixture *f, const char *id, uint64_t no, uint64_t version, int n) {
    char data[32], name[32];
    snprintf(data, sizeof data, "{\"n\":%d}", n);
    snprintf(name, sizeof name, "%s", id);
    const struct event e = {.position = 1000 + version,
                            .version = version,
                            .time = 1700000000000000 + version,
                            .aggregate = no,
                            .aggregate_type = STR("sum"),
                            .aggregate_id = str_of(name),
                            .type = STR("Added"),
                            .data = str_of(data),
                            .store_id = store_id(f->l->store)};
    assert_int_equal(live_pend(f->states, &e), 0);
    memset(data, '?', sizeof data); /* it was copied */
    memset(name, '?', sizeof name);
}

static int try_get(struct fixture *f, const char *id, uint64_t no, uint64_t version, uint32_t staged,
                   struct live **out) {
    const struct head head = {.no = no,
                              .version = version,
                              .staged = staged,
                              .hash = digest_table(id, strlen(id)),
                              .type = STR("sum"),
                              .id = str_of(id)};
    return live_get(f->states, lib_domain_type(&f->domain, "sum"), &head, out, &f->fault);
}

static struct live *get(struct fixture *f, const char *id, uint64_t no, uint64_t version, int sum) {
    struct live *live;
    struct buf text = {0};
    char want[32];
    f->fault.text[0] = 0;
    if (try_get(f, id, no, version, 0, &live) != 0)
        fail_msg("%s", f->fault.text);
    assert_int_equal(live->fold.version, version);
    assert_int_equal(script_to_json(domain_vm_script(f->vm), live->fold.state, &text, &f->fault), 0);
    snprintf(want, sizeof want, "{\"n\":%d}", sum);
    buf_put_char(&text, '\0');
    assert_string_equal(text.p, want);
    buf_free(&text);
    return live;
}

static void an_aggregate_without_events_has_the_initial_state(void **state) {
    struct fixture *f = *state;
    get(f, "new", 0, 0, 0);
    uint64_t no = store_event(f, "one", "Added", 5);
    get(f, "new", no + 1, 0, 0); /* made in the block under construction */
    get(f, "one", no, 1, 5);
}

static void a_state_is_kept_until_it_is_forgotten(void **state) {
    struct fixture *f = *state;
    uint64_t no = store_event(f, "one", "Added", 1);
    store_event(f, "one", "Added", 2);
    store_event(f, "one", "Added", 3);
    struct live *live = get(f, "one", no, 3, 6);
    live->fold.saved_stream = MARK;
    assert_ptr_equal(get(f, "one", no, 3, 6), live);
    assert_int_equal(live->fold.saved_stream, MARK);
    live_forget(f->states, live);
    assert_int_equal(live->fold.state, 0);
    assert_ptr_equal(get(f, "one", no, 3, 6), live);
    assert_int_not_equal(live->fold.saved_stream, MARK);
}

/* What a transaction has staged is in the state; when the request is given up, the head says so. */
static void a_state_that_is_at_another_version_is_folded_again(void **state) {
    struct fixture *f = *state;
    struct live *live, *again;
    uint64_t no = store_event(f, "one", "Added", 1);
    store_event(f, "one", "Added", 2);
    live = get(f, "one", no, 2, 3);
    live->fold.version = 4;
    live->fold.saved_stream = MARK;
    assert_int_equal(try_get(f, "one", no, 2, 2, &again), 0);
    assert_ptr_equal(again, live);
    assert_int_equal(live->fold.saved_stream, MARK);
    get(f, "one", no, 2, 3);
    assert_int_not_equal(live->fold.saved_stream, MARK);
}

static void events_on_their_way_are_folded_behind_the_log(void **state) {
    struct fixture *f = *state;
    uint64_t no = store_event(f, "one", "Added", 1);
    store_event(f, "one", "Added", 2);
    pend(f, "one", no, 3, 10);
    pend(f, "two", no + 1, 1, 7); /* an aggregate that the index does not know at all */
    pend(f, "one", no, 4, 20);
    live_forget(f->states, get(f, "one", no, 4, 33));
    live_turn(f->states);
    live_forget(f->states, get(f, "one", no, 4, 33));
    live_forget(f->states, get(f, "two", no + 1, 1, 7));
    pend(f, "one", no, 5, 100);
    live_forget(f->states, get(f, "one", no, 5, 133));
    /* the older block is applied while the states still have its events */
    store_event(f, "one", "Added", 10);
    live_forget(f->states, get(f, "one", no, 5, 133));
    store_event(f, "one", "Added", 20);
    live_forget(f->states, get(f, "one", no, 5, 133));
    live_turn(f->states);
    live_forget(f->states, get(f, "one", no, 5, 133));
}

static void a_state_that_lacks_an_event_is_not_used(void **state) {
    struct fixture *f = *state;
    struct live *live;
    uint64_t no = store_event(f, "one", "Added", 1);
    pend(f, "one", no, 2, 10);
    live_turn(f->states);
    live_turn(f->states); /* gone, and nothing has been applied */
    assert_int_equal(try_get(f, "one", no, 2, 0, &live), SCRIPT_FAILED);
    assert_string_equal(f->fault.text, "the state is at version 1, the stream at 2");
    assert_int_equal(live->fold.state, 0);
    store_event(f, "one", "Added", 10);
    get(f, "one", no, 2, 11);
}

static void a_fold_that_fails_leaves_the_others_alone(void **state) {
    struct fixture *f = *state;
    struct live *live;
    uint64_t good = store_event(f, "good", "Added", 1), bad = store_event(f, "bad", "Added", 1);
    store_event(f, "bad", "Broken", 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(try_get(f, "bad", bad, 2, 0, &live), SCRIPT_FAILED);
        assert_string_equal(f->fault.file, "aggregates/sum.lua");
        assert_int_equal(live->fold.state, 0);
        get(f, "good", good, 1, 1);
    }
}

/* Generations: what is used stays, what is not used for two of them goes. */
static void what_is_not_used_makes_room(void **state) {
    struct fixture *f = *state;
    states_begin(f, 64 << 10);
    uint64_t a = store_event(f, "a", "Added", 1), b = store_event(f, "b", "Added", 2);
    struct live *live = get(f, "a", a, 1, 1);
    live->fold.saved_stream = MARK;
    live_trim(f->states); /* there is room */
    assert_ptr_equal(get(f, "a", a, 1, 1), live);
    for (int i = 0; i < 3; i++) { /* full each time, and used each time */
        if (live->bytes < 32 << 10)
            live_grow(f->states, live, 32 << 10);
        live_trim(f->states);
        live = get(f, "a", a, 1, 1);
        assert_int_equal(live->fold.saved_stream, MARK);
    }
    live_trim(f->states);
    live = get(f, "b", b, 1, 2);
    live_grow(f->states, live, 32 << 10);
    live_trim(f->states);
    live = get(f, "a", a, 1, 1);
    assert_int_not_equal(live->fold.saved_stream, MARK);
}

static void states_are_right_however_many_are_kept(void **state) {
    struct fixture *f = *state;
    enum { N = 40 };
    uint64_t no[N], version[N] = {0}, random = 7;
    int sum[N] = {0};
    char ids[N][8];
    for (int i = 0; i < N; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i);
        no[i] = store_event(f, ids[i], "Added", sum[i] = i);
        version[i] = 1;
    }
    for (size_t max = 1 << 10; max <= 1 << 20; max *= 32) {
        states_begin(f, max);
        for (int turn = 0; turn < 1500; turn++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            int i = (int)((random >> 33) % N);
            struct live *live = get(f, ids[i], no[i], version[i], sum[i]);
            if (turn % 5 == 0) {
                store_event(f, ids[i], "Added", turn);
                pend(f, ids[i], no[i], ++version[i], turn);
                sum[i] += turn;
            } else if (turn % 7 == 0) {
                live_forget(f->states, live);
            }
            if (turn % 11 == 0)
                live_turn(f->states);
            live_trim(f->states);
        }
    }
}

#define LIVE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        LIVE_TEST(an_aggregate_without_events_has_the_initial_state),
        LIVE_TEST(a_state_is_kept_until_it_is_forgotten),
        LIVE_TEST(a_state_that_is_at_another_version_is_folded_again),
        LIVE_TEST(events_on_their_way_are_folded_behind_the_log),
        LIVE_TEST(a_state_that_lacks_an_event_is_not_used),
        LIVE_TEST(a_fold_that_fails_leaves_the_others_alone),
        LIVE_TEST(what_is_not_used_makes_room),
        LIVE_TEST(states_are_right_however_many_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
