/* Views through the front door: rebuilds, the barrier, the end, and what a crash may leave. */
#include "lib_views.h"

/* --- rebuilds */

static void a_changed_view_is_built_beside_the_one_that_serves(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 100; i++)
        send(f, "1", "{\"key\":\"a\",\"sum\":1}");
    settle(f);
    uint64_t before = info(f, "sums").build;
    lib_domain_put(&f->domain, "views/sums.lua",
                   "return { init = function() return { n = 0 } end, on = { ['*'] = function(v) v.n = v.n + 1 end } }");
    reload(f);
    settle(f);
    assert_int_not_equal(info(f, "sums").build, before);
    shows(f, "sums", "a", NULL);
    shows(f, "sums", "all", "{\"n\":100}\n");
    struct view_entry entry;
    assert_int_equal(views_entry(views(f), before, STR("a"), &entry, NULL), VIEW_NONE);
    before = info(f, "sums").build;
    reload(f);
    settle(f);
    assert_int_equal(info(f, "sums").build, before);
    reopen(f);
    settle(f);
    assert_int_equal(info(f, "sums").build, before);
    shows(f, "sums", "all", "{\"n\":100}\n");
}

static void a_changed_view_takes_over_from_one_that_never_arrives(void **state) {
    struct fixture *f = *state;
    const char *text = "return { init = function() return { n = 0 } end, key = function() return '%s' end,\n"
                       "  on = { Was = function(v) for i = 1, %d do v.n = i end end } }";
    char lua[256];
    snprintf(lua, sizeof lua, text, "old", 3000000);
    lib_domain_put(&f->domain, "views/slow.lua", lua);
    reload(f);
    send(f, "1", "{\"key\":\"a\"}");
    settle(f);
    uint64_t before = info(f, "slow").build;
    for (int i = 0; i < 2000; i++)
        send(f, "1", "{\"key\":\"a\"}");
    snprintf(lua, sizeof lua, text, "new", 700000);
    lib_domain_put(&f->domain, "views/slow.lua", lua);
    reload(f);
    while (info(f, "slow").build == before)
        usleep(1000);
    status_has(f, "slow", "{\"state\":\"catching-up\"}");
    settle(f);
    shows(f, "slow", "old", NULL);
    shows(f, "slow", "new", "{\"n\":700000}\n");
}

static void a_view_that_is_gone_is_removed_and_can_come_back(void **state) {
    struct fixture *f = *state;
    struct view_info v;
    send(f, "1", "{\"key\":\"a\"}");
    settle(f);
    uint32_t no = info(f, "sums").no;
    lib_domain_remove(&f->domain, "views/sums.lua");
    reload(f);
    assert_int_equal(views_find(views(f), STR("sums"), &v), VIEW_NONE);
    settle(f);
    reopen(f);
    assert_int_equal(views_get(views(f), no, &v), VIEW_NONE);
    lib_domain_put(&f->domain, "views/sums.lua", sums);
    reload(f);
    settle(f);
    assert_int_equal(info(f, "sums").no, no);
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":1,\"sum\":0}\n");
}

static void a_changed_evolve_builds_what_follows_the_type_anew(void **state) {
    struct fixture *f = *state;
    send(f, "1", "{\"at\":[\"x\"]}");
    settle(f);
    tree_is(f, "x/1 ");
    lib_domain_put(&f->domain, "aggregates/account.lua",
                   "return { commands = { Set = { decide = function(s, c) return event('Was', c.data) end } },\n"
                   "  events = { Was = { evolve = function(s, e) s.at = { 'y' } end }, Is = {} } }");
    reload(f);
    settle(f);
    tree_is(f, "y/1 ");
}

/* --- the barrier */

static void slow_view(struct fixture *f) {
    lib_domain_put(&f->domain, "views/slow.lua",
                   "return { on = { Was = function(v) for i = 1, 3000000 do v.i = i end end } }");
    reload(f);
}

static void a_barrier_can_run_out_of_time(void **state) {
    struct fixture *f = *state;
    struct answer a = {0};
    slow_view(f);
    for (int i = 0; i < 30; i++)
        send(f, "1", "{\"key\":\"a\"}");
    sem_init(&a.came, 0, 0);
    views_barrier(views(f), 1, answered_text, &a);
    assert_int_equal(wait_for(&a), -ETIMEDOUT);
    settle(f);
}

static void who_waits_when_the_store_stops_is_told(void **state) {
    struct fixture *f = *state;
    struct answer a = {0};
    slow_view(f);
    for (int i = 0; i < 30; i++)
        send(f, "1", "{\"key\":\"a\"}");
    sem_init(&a.came, 0, 0);
    views_barrier(views(f), 0, answered_text, &a);
    store_stop(f->l.store);
    assert_int_equal(wait_for(&a), -ESHUTDOWN);
    views_barrier(views(f), 0, answered_text, &a);
    assert_int_equal(wait_for(&a), -ESHUTDOWN);
}

static void *reload_on(void *store) {
    struct err err = {0};
    store_reload(store, &err);
    return NULL;
}

static void a_store_may_stop_while_its_domain_is_reloaded(void **state) {
    struct fixture *f = *state;
    slow_view(f);
    for (unsigned i = 1; i <= 20; i++) {
        for (int k = 0; k < 10; k++)
            send(f, "1", "{\"key\":\"a\",\"sum\":1}");
        char text[sizeof sums + 16];
        pthread_t thread;
        snprintf(text, sizeof text, "%s-- %u\n", sums, i);
        lib_domain_put(&f->domain, "views/sums.lua", text);
        assert_int_equal(pthread_create(&thread, NULL, reload_on, f->l.store), 0);
        usleep(i * 500);
        store_stop(f->l.store);
        pthread_join(thread, NULL);
        reopen(f);
        settle(f);
    }
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":200,\"sum\":200}\n");
}

static void a_read_only_store_shows_what_is_there(void **state) {
    struct fixture *f = *state;
    send(f, "1", "{\"key\":\"a\",\"at\":[\"x\"]}");
    settle(f);
    lib_store_close(&f->l);
    f->l.options.read_only = true;
    lib_store_open(&f->l);
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":1,\"sum\":0}\n");
    tree_is(f, "x/1 ");
    status_has(f, "sums", "{\"state\":\"read-only\"}");
    barrier(f, "\"sums\":\"the store is mounted read-only\"");
    assert_int_equal(views_rebuild(views(f), info(f, "sums").no), -EROFS);
}

/* --- what a crash or a power cut may leave of the database of views */

/* The database of views of a store that is closed. */
static struct db *database(struct fixture *f) {
    const struct db_options options = {.views = true};
    struct err err = {0};
    struct db *db;
    char path[sizeof f->l.dir + 16];
    snprintf(path, sizeof path, "%s/views", f->l.dir);
    if (db_open(&db, path, &options, &err) != 0)
        fail_msg("%s", err.text);
    return db;
}

static void put(struct db *db, const struct view_key_bytes *key, struct buf *value) {
    const struct db_change change = {.family = DB_VIEWS, .key = view_key_str(key), .value = buf_str(value)};
    struct err err = {0};
    assert_int_equal(db_views_write(db, &change, 1, &err), 0);
    buf_free(value);
}

static struct catalog_meta counters(struct db *db, uint64_t next_build) {
    struct view_key_bytes key = view_key_begin(0, VIEW_CLASS_META);
    struct catalog_meta meta;
    struct db_value value;
    struct err err = {0};
    struct buf changed = {0};
    assert_int_equal(db_get(db, DB_VIEWS, view_key_str(&key), &value, &err), 0);
    assert_int_equal(catalog_meta_get(value.bytes, &meta), 0);
    db_value_release(&value);
    if (next_build) {
        meta.next_build = next_build;
        catalog_meta_put(&meta, &changed);
        put(db, &key, &changed);
    }
    return meta;
}

/* A build that was begun, and whose number was not noted any more. */
static void remains_of_a_build_are_not_taken_for_a_new_one(void **state) {
    struct fixture *f = *state;
    send(f, "1", "{\"key\":\"a\",\"sum\":1}");
    settle(f);
    lib_store_close(&f->l);
    struct db *db = database(f);
    uint64_t build = counters(db, 0).next_build;
    struct view_key_bytes meta_key = view_key_begin(build, VIEW_CLASS_META),
                          key = view_key_begin(build, VIEW_CLASS_KEY);
    const struct build_meta meta = {.position = 1, .next_key = 8, .next_dir = 1, .keys = 7};
    const struct key_record ghost = {.no = 7, .key = STR("ghost"), .text = STR("7\n"), .state = STR("7")};
    struct buf value = {0};
    build_meta_put(&meta, &value);
    put(db, &meta_key, &value);
    view_key_add_name(&key, STR("ghost"));
    key_record_put(&ghost, &value);
    put(db, &key, &value);
    db_close(db);
    lib_store_open(&f->l);
    lib_domain_put(&f->domain, "views/counts.lua",
                   "return { init = function() return { n = 0 } end, on = { Was = function(v) v.n = v.n + 1 end } }");
    reload(f);
    settle(f);
    shows(f, "counts", "ghost", NULL);
    shows(f, "counts", "all", "{\"n\":1}\n");
    status_has(f, "counts", "{\"keys\":1}");
}

/* What served had seen more of the log than a power cut left, what was built beside it had not. */
static void what_was_built_beside_serves_when_nothing_else_is_left(void **state) {
    struct fixture *f = *state;
    send(f, "1", "{\"key\":\"a\",\"sum\":1}");
    settle(f);
    struct view_info sums = info(f, "sums");
    const struct view_record record = {.serving = sums.build + 100, .building = sums.build, .name = STR("sums")};
    struct view_key_bytes key = view_key_begin(0, VIEW_CLASS_VIEW);
    struct buf value = {0};
    lib_store_close(&f->l);
    struct db *db = database(f);
    counters(db, sums.build + 200);
    view_key_add(&key, sums.no);
    view_record_put(&record, &value);
    put(db, &key, &value);
    db_close(db);
    lib_store_open(&f->l);
    assert_int_equal(info(f, "sums").build, sums.build);
    send(f, "1", "{\"key\":\"a\",\"sum\":2}");
    settle(f);
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":2,\"sum\":3}\n");
}

static void numbers_of_builds_come_to_an_end(void **state) {
    struct fixture *f = *state;
    send(f, "1", "{\"key\":\"a\",\"sum\":1}");
    settle(f);
    lib_store_close(&f->l);
    struct db *db = database(f);
    counters(db, VIEW_BUILD_MAX);
    db_close(db);
    lib_store_open(&f->l);
    assert_int_equal(views_rebuild(views(f), info(f, "sums").no), 0);
    settle(f);
    assert_int_equal(info(f, "sums").build, VIEW_BUILD_MAX);
    assert_int_equal(views_rebuild(views(f), info(f, "sums").no), -ENOSPC);
    send(f, "1", "{\"key\":\"a\",\"sum\":2}");
    settle(f);
    lib_domain_put(&f->domain, "views/sums.lua", "return { on = { Was = function(v) v.x = 1 end } }");
    reload(f);
    barrier(f, "esfsctl rebuild");
    status_has(f, "sums", "{\"state\":\"halted\"}");
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":2,\"sum\":3}\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_changed_view_is_built_beside_the_one_that_serves),
        TEST(a_changed_view_takes_over_from_one_that_never_arrives),
        TEST(a_view_that_is_gone_is_removed_and_can_come_back),
        TEST(a_changed_evolve_builds_what_follows_the_type_anew),
        TEST(a_barrier_can_run_out_of_time),
        TEST(who_waits_when_the_store_stops_is_told),
        TEST(a_store_may_stop_while_its_domain_is_reloaded),
        TEST(a_read_only_store_shows_what_is_there),
        TEST(remains_of_a_build_are_not_taken_for_a_new_one),
        TEST(what_was_built_beside_serves_when_nothing_else_is_left),
        TEST(numbers_of_builds_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
