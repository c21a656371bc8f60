/* Views through the front door: projections, indexes, what is parked. */
#include "lib_views.h"

/* --- projections */

static void a_projection_has_a_file_a_key(void **state) {
    struct fixture *f = *state;
    send(f, "1", "{\"key\":\"a\",\"sum\":2}");
    send(f, "2", "{\"key\":[\"a\",\"b\",\"a\"],\"sum\":1.50}");
    send(f, "3", "{\"sum\":7}");
    lib_append(&f->l, "account", "1", "{\"type\":\"Other\",\"data\":{\"key\":\"c\"}}");
    settle(f);
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":2,\"sum\":3.5}\n");
    shows(f, "sums", "b", "{\"key\":\"b\",\"n\":1,\"sum\":1.5}\n");
    shows(f, "sums", "c", NULL);
    status_has(f, "sums", "{\"state\":\"live\",\"keys\":2,\"lag_events\":0,\"parked\":0}");
    reopen(f);
    send(f, "1", "{\"key\":\"a\",\"gone\":true}");
    settle(f);
    shows(f, "sums", "a", NULL);
    status_has(f, "sums", "{\"state\":\"live\",\"keys\":1}");
    send(f, "1", "{\"key\":\"a\"}");
    settle(f);
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":1,\"sum\":0}\n");
}

static void keys_are_listed_in_the_order_in_which_they_came(void **state) {
    struct fixture *f = *state;
    struct view_key keys[3];
    send(f, "1", "{\"key\":[\"z\",\".a/b\",\"\"]}");
    settle(f);
    uint64_t build = info(f, "sums").build, stamp = views_keys_stamp(views(f), build);
    assert_int_equal(views_keys(views(f), build, 0, keys, 3), 3);
    assert_true(keys[0].bytes == 1 && keys[0].name[0] == 'z');
    assert_memory_equal(keys[1].name, "%2Ea%2Fb", keys[1].bytes);
    assert_memory_equal(keys[2].name, "%", keys[2].bytes);
    assert_int_equal(views_keys(views(f), build, keys[0].no, keys, 1), 1);
    assert_memory_equal(keys[0].name, "%2Ea%2Fb", keys[0].bytes);
    send(f, "1", "{\"key\":\"z\"}");
    settle(f);
    assert_int_equal(views_keys_stamp(views(f), build), stamp);
    send(f, "1", "{\"key\":\"z\",\"gone\":1}");
    settle(f);
    assert_int_not_equal(views_keys_stamp(views(f), build), stamp);
    assert_int_equal(views_keys(views(f), build, 0, keys, 3), 2);
}

static int key_append(void *arg, struct str key) {
    sprintf((char *)arg + strlen(arg), "%.*s ", (int)key.n, key.p);
    return 0;
}

static void keys_are_found_by_their_beginning(void **state) {
    struct fixture *f = *state;
    char found[256] = "";
    send(f, "1", "{\"key\":[\"a/1\",\"a/2\",\"b\",\"a\",\".x\"]}");
    settle(f);
    uint64_t build = info(f, "sums").build;
    assert_int_equal(views_each_key(views(f), build, STR("a/"), key_append, found), 0);
    assert_string_equal(found, "a/1 a/2 ");
    found[0] = 0;
    assert_int_equal(views_each_key(views(f), build, STR(""), key_append, found), 0);
    assert_string_equal(found, ".x a a/1 a/2 b ");
    found[0] = 0;
    assert_int_equal(views_each_key(views(f), build, STR("."), key_append, found), 0);
    assert_string_equal(found, ".x ");
}

static void the_part_of_an_aggregate_is_known(void **state) {
    struct fixture *f = *state;
    struct view_entry entry;
    struct index_aggregate one, two;
    send(f, "one", "{\"key\":[\"one\",\"all\"]}");
    send(f, "two", "{\"key\":[\"account/two\",\"all\"]}");
    send(f, "three", "{\"key\":\"four\"}");
    settle(f);
    uint64_t build = info(f, "sums").build;
    assert_int_equal(lib_find(f->l.store, "account", "one", &one), 0);
    assert_int_equal(lib_find(f->l.store, "account", "two", &two), 0);
    assert_int_equal(views_aggregate_entry(views(f), build, one.no, &entry, NULL), 0);
    assert_int_equal(views_aggregate_entry(views(f), build, two.no, &entry, NULL), 0);
    send(f, "two", "{\"key\":\"one\"}");
    settle(f);
    assert_int_equal(views_aggregate_entry(views(f), build, one.no, &entry, NULL), VIEW_NONE);
}

static void a_failing_output_is_the_files_alone(void **state) {
    struct fixture *f = *state;
    struct view_entry entry;
    lib_domain_put(&f->domain, "views/sums.lua",
                   "return { key = function(e) return e.data.key end, init = function() return { n = 0 } end,\n"
                   "  on = { Was = function(v, e) v.n = v.n + 1 v.bad = e.data.bad end },\n"
                   "  output = function(v) if v.bad then error('no output') end return { n = v.n } end }");
    reload(f);
    send(f, "1", "{\"key\":[\"a\",\"b\"],\"bad\":true}");
    send(f, "1", "{\"key\":\"b\"}");
    settle(f);
    uint64_t build = info(f, "sums").build;
    assert_int_equal(views_entry(views(f), build, STR("a"), &entry, NULL), 0);
    assert_true(entry.failed && entry.size == 0);
    shows(f, "sums", "b", "{\"n\":2}\n");
    status_has(f, "sums", "{\"failed_outputs\":1,\"parked\":0,\"keys\":2}");
    send(f, "1", "{\"key\":\"a\"}");
    settle(f);
    shows(f, "sums", "a", "{\"n\":2}\n");
    status_has(f, "sums", "{\"failed_outputs\":0}");
}

/* --- indexes */

static void an_index_moves_its_links(void **state) {
    struct fixture *f = *state;
    send(f, "1", "{\"at\":[\"placed\",\"alice\"]}");
    send(f, "2", "{\"at\":[\"placed\",\"bob\"]}");
    send(f, "3", "{\"x\":1}");
    settle(f);
    tree_is(f, "placed/alice/1 placed/bob/2 ");
    send(f, "1", "{\"at\":[\"shipped\",\"alice\"]}");
    settle(f);
    tree_is(f, "placed/bob/2 shipped/alice/1 ");
    status_has(f, "places", "{\"links\":2}");
    reopen(f);
    send(f, "2", "{\"at\":[\"shipped\",\"alice\"]}");
    settle(f);
    tree_is(f, "shipped/alice/1 shipped/alice/2 ");
    send(f, "1", "{\"at\":[]}");
    send(f, "2", "{\"at\":[\"a/b\",\".c\",7]}");
    settle(f);
    tree_is(f, "a%2Fb/%2Ec/7/2 1 ");
    send(f, "1", "{\"at\":false}");
    send(f, "2", "{\"at\":null}");
    settle(f);
    tree_is(f, "");
    status_has(f, "places", "{\"links\":0}");
}

static void a_link_beside_a_directory_of_its_name_is_found(void **state) {
    struct fixture *f = *state;
    struct view_child child;
    send(f, "x", "{\"at\":[\"d\"]}");
    send(f, "y", "{\"at\":[\"d\",\"x\"]}");
    settle(f);
    tree_is(f, "d/x/y d/x% ");
    uint64_t build = info(f, "places").build;
    assert_int_equal(views_child(views(f), build, 0, STR("d"), &child), 0);
    assert_int_equal(views_child(views(f), build, child.no, STR("x"), &child), 0);
    assert_false(child.link);
    send(f, "y", "{\"at\":[]}");
    settle(f);
    tree_is(f, "d/x y ");
}

static void links_to_several_types_say_which(void **state) {
    struct fixture *f = *state;
    struct view_child child;
    char id[130] = "", long_name[400];
    lib_domain_put(&f->domain, "aggregates/shop.lua", account);
    lib_domain_put(&f->domain, "views/ofshops.lua",
                   "return { kind = 'index', from = { 'shop' }, path = function(s) return {} end }");
    reload(f);
    send(f, "1", "{\"at\":[\"x\"]}");
    lib_append(&f->l, "shop", "1", "{\"type\":\"Set\",\"data\":{\"at\":[\"x\"]}}");
    for (int i = 0; i < 128; i++)
        id[i] = '%';
    snprintf(long_name, sizeof long_name, "{\"aggregate\":\"%s\",\"type\":\"Set\",\"data\":{}}", id);
    lib_append(&f->l, "shop", "", long_name);
    settle(f);
    tree_is(f, "x/account%2F1 x/shop%2F1 ");
    uint64_t build = info(f, "ofshops").build;
    assert_int_equal(views_child(views(f), build, 0, STR("1"), &child), 0);
    assert_true(child.link);
    assert_int_equal(views_child(views(f), build, 0, STR("shop%2F1"), &child), VIEW_NONE);
    assert_int_equal(views_child(views(f), build, 0, STR("nobody"), &child), VIEW_NONE);
    /* an id whose name was cut is found by it all the same */
    struct view_key found[4];
    assert_int_equal(views_links(views(f), build, 0, 0, found, 4), 2);
    struct str cut = {found[1].name, found[1].bytes};
    assert_non_null(memmem(cut.p, cut.n, "%~", 2));
    assert_int_equal(views_child(views(f), build, 0, cut, &child), 0);
    assert_int_equal(child.no, found[1].no);
}

static void a_path_that_is_rubbish_parks_its_aggregate(void **state) {
    struct fixture *f = *state;
    uint64_t parked[8];
    send(f, "1", "{\"at\":[\"a\"]}");
    send(f, "1", "{\"at\":{\"x\":1}}");
    send(f, "2",
         "{\"at\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\",\"14\",\"15\","
         "\"16\"]}");
    send(f, "3", "{\"bad\":1}");
    send(f, "1", "{\"at\":[\"b\"]}");
    send(f, "4", "{\"at\":[\"a\"]}");
    settle(f);
    tree_is(f, "a/1 a/4 ");
    assert_int_equal(views_parked(views(f), info(f, "places").no, 0, parked, 8), 4);
    assert_int_equal(pass_over(f, info(f, "places").no, 2), 0);
    tree_is(f, "a/4 b/1 ");
}

/* --- what fails */

static void failed_events_are_parked_and_wait_in_order(void **state) {
    struct fixture *f = *state;
    uint64_t parked[8];
    struct buf text = {0};
    send(f, "1", "{\"key\":\"a\",\"sum\":1}");
    send(f, "1", "{\"key\":[\"a\",\"b\"],\"sum\":2,\"bad\":\"x\"}");
    send(f, "1", "{\"key\":[\"a\",\"c\"],\"sum\":4}");
    send(f, "1", "{\"key\":\"d\",\"sum\":8}");
    settle(f);
    uint32_t no = info(f, "sums").no;
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":1,\"sum\":1}\n");
    shows(f, "sums", "b", NULL);
    shows(f, "sums", "c", "{\"key\":\"c\",\"n\":1,\"sum\":4}\n");
    shows(f, "sums", "d", "{\"key\":\"d\",\"n\":1,\"sum\":8}\n");
    assert_int_equal(views_parked(views(f), no, 0, parked, 8), 2);
    assert_true(parked[0] == 2 && parked[1] == 3);
    assert_int_equal(views_parked_text(views(f), no, 2, &text), 0);
    buf_put_char(&text, 0);
    lib_line_has(
        text.p,
        "{\"position\":\"0000000000000002\",\"key\":\"a\",\"error\":\"bad x\",\"file\":\"views/sums.lua\",\"line\":5,"
        "\"attempts\":1}",
        __FILE__, __LINE__);
    assert_non_null(strstr(text.p, "\"also\":[{\"key\":\"b\",\"error\":\"bad x\""));
    buf_clear(&text);
    assert_int_equal(views_parked_text(views(f), no, 3, &text), 0);
    buf_put_char(&text, 0);
    lib_line_has(text.p, "{\"position\":\"0000000000000003\",\"key\":\"a\",\"waits_for\":\"0000000000000002\"}",
                 __FILE__, __LINE__);
    buf_free(&text);
    assert_int_equal(retry(f, no, 3), -EBUSY);
    assert_int_equal(retry(f, no, 2), -EIO);
    assert_int_equal(retry(f, no, 1), -ENOENT);
    reopen(f);
    assert_int_equal(retry(f, no, 2), -EIO);
    assert_int_equal(pass_over(f, no, 2), 0);
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":2,\"sum\":5}\n");
    shows(f, "sums", "b", NULL);
    assert_int_equal(views_parked(views(f), no, 0, parked, 8), 0);
    assert_int_equal(pass_over(f, no, 2), -ENOENT);
    /* and so it is after a rebuild */
    assert_int_equal(views_rebuild(views(f), no), 0);
    settle(f);
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":2,\"sum\":5}\n");
    shows(f, "sums", "b", NULL);
}

static void a_repaired_view_takes_in_what_was_parked(void **state) {
    struct fixture *f = *state;
    char repaired[1024];
    uint64_t parked[8];
    struct buf text = {0};
    send(f, "1", "{\"key\":\"a\",\"sum\":1}");
    send(f, "1", "{\"key\":\"a\",\"sum\":2,\"bad\":\"x\"}");
    send(f, "1", "{\"key\":\"a\",\"sum\":4}");
    settle(f);
    uint32_t no = info(f, "sums").no;
    assert_int_equal(views_parked(views(f), no, 0, parked, 8), 2);
    snprintf(repaired, sizeof repaired, "%s", sums);
    memcpy(strstr(repaired, "if e.data.bad"), "if e.data.odd", 13);
    lib_domain_put(&f->domain, "views/sums.lua", repaired);
    reload(f);
    assert_int_equal(retry(f, no, 2), 0);
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":3,\"sum\":7}\n");
    assert_int_equal(views_parked(views(f), no, 0, parked, 8), 0);
    /* what a rebuild has made good is found until it is moved, also after another one */
    assert_int_equal(views_rebuild(views(f), no), 0);
    settle(f);
    assert_int_equal(views_parked_text(views(f), no, 3, &text), 0);
    assert_int_equal(retry(f, no, 3), 0);
    assert_int_equal(views_parked_text(views(f), no, 3, &text), VIEW_NONE);
    assert_int_equal(retry(f, no, 2), -ENOENT);
    buf_free(&text);
}

/* What the log says is passed over would be gone from the view after the next rebuild. */
static void what_a_repaired_view_has_taken_in_is_not_passed_over(void **state) {
    struct fixture *f = *state;
    char repaired[1024];
    uint64_t parked[8];
    struct index_skip skip;
    send(f, "1", "{\"key\":\"a\",\"sum\":1}");
    send(f, "1", "{\"key\":\"a\",\"sum\":2,\"bad\":\"x\"}");
    settle(f);
    uint32_t no = info(f, "sums").no;
    assert_int_equal(views_parked(views(f), no, 0, parked, 8), 1);
    snprintf(repaired, sizeof repaired, "%s", sums);
    memcpy(strstr(repaired, "if e.data.bad"), "if e.data.odd", 13);
    lib_domain_put(&f->domain, "views/sums.lua", repaired);
    reload(f);
    assert_int_equal(pass_over(f, no, 2), 0); /* all is well */
    assert_int_equal(pass_over(f, no, 2), -ENOENT);
    assert_int_equal(index_skip_after(store_index(f->l.store), STR("views/sums"), 0, &skip), INDEX_NONE);
    assert_int_equal(views_rebuild(views(f), no), 0);
    settle(f);
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":2,\"sum\":3}\n");
}

/* What evolve did for an attempt that failed must not be there for the next one. */
static void each_attempt_has_the_state_of_its_event(void **state) {
    struct fixture *f = *state;
    lib_domain_put(&f->domain, "aggregates/account.lua",
                   "return { commands = { Set = { decide = function(s, c) return event('Was', c.data) end } },\n"
                   "  events = { Was = { evolve = function(s) s.n = (s.n or 0) + 1 end } } }");
    lib_domain_put(&f->domain, "views/sums.lua",
                   "return { on = { Was = function(v, e, s) if s.n == 1 then error('one') end v.n = s.n end } }");
    reload(f);
    send(f, "1", "{}");
    settle(f);
    uint32_t no = info(f, "sums").no;
    for (int i = 0; i < 3; i++)
        assert_int_equal(retry(f, no, 1), -EIO);
    shows(f, "sums", "all", NULL);
    send(f, "1", "{}");
    settle(f);
    assert_int_equal(pass_over(f, no, 1), 0);
    shows(f, "sums", "all", "{\"n\":2}\n");
}

static void nothing_is_kept_of_an_event_that_halts_the_view(void **state) {
    struct fixture *f = *state;
    lib_domain_put(&f->domain, "aggregates/account.lua",
                   "return { commands = { Set = { decide = function(s, c) return event('Was', c.data) end } },\n"
                   "  events = { Was = { schema = 'Was.1' }, Is = {} } }");
    lib_domain_put(&f->domain, "schemas/account/Was.1.json", "{}");
    lib_domain_remove(&f->domain, "views/sums.lua");
    reload(f);
    lib_append(&f->l, "account", "1",
               "{\"type\":\"Set\",\"data\":{\"key\":\"a\"}}{\"type\":\"Set\",\"data\":{\"key\":\"b\",\"more\":true}}");
    /* The second one becomes two, of which the second has no key. */
    lib_domain_put(&f->domain, "aggregates/account.lua",
                   "return { events = { Is = {}, Was = { schema = 'Was.2', upcast = { [1] = function(d)\n"
                   "  return { event('Was', d), d.more and event('Is', { key = { no = 1 } }) } end } } } }");
    lib_domain_put(&f->domain, "schemas/account/Was.2.json", "{}");
    lib_domain_put(&f->domain, "views/sums.lua",
                   "return { key = function(e) return e.data.key end, init = function() return { n = 0 } end,\n"
                   "  on = { ['*'] = function(v) v.n = v.n + 1 end } }");
    reload(f);
    barrier(f, "\"halted\":{\"sums\":\"");
    status_has(f, "sums", "{\"state\":\"halted\",\"position\":\"0000000000000001\",\"keys\":1}");
    shows(f, "sums", "a", "{\"n\":1}\n");
    shows(f, "sums", "b", NULL);
}

static void a_failing_key_halts_the_view_and_no_other(void **state) {
    struct fixture *f = *state;
    send(f, "1", "{\"key\":\"a\",\"at\":[\"x\"]}");
    send(f, "2", "{\"key\":{\"no\":\"key\"},\"at\":[\"x\"]}");
    send(f, "3", "{\"key\":\"a\",\"at\":[\"x\"]}");
    barrier(f, "\"halted\":{\"sums\":\"position 0000000000000002, account/2: views/sums.lua: key: the table that key "
               "returned is no list\"");
    shows(f, "sums", "a", "{\"key\":\"a\",\"n\":1,\"sum\":0}\n");
    tree_is(f, "x/1 x/2 x/3 ");
    status_has(f, "sums", "{\"state\":\"halted\",\"position\":\"0000000000000001\",\"lag_events\":2}");
    lib_domain_put(&f->domain, "views/sums.lua",
                   "return { key = function(e) if type(e.data.key) == 'string' then return e.data.key end end,\n"
                   "  init = function() return { n = 0 } end, on = { Was = function(v) v.n = v.n + 1 end } }");
    reload(f);
    settle(f);
    shows(f, "sums", "a", "{\"n\":2}\n");
}

static void a_view_that_always_fails_halts(void **state) {
#ifdef __SANITIZE_THREAD__
    skip(); /* it loses count of frames that Lua's errors leave, and takes gigabytes for ever deeper stacks */
#endif
    struct fixture *f = *state;
    struct channel *c = lib_channel(&f->l, "account", "1");
    char *text = malloc(12000 * 64), *at = text;
    for (int i = 0; i < 11000; i++)
        at += sprintf(at, "{\"type\":\"Set\",\"data\":{\"key\":\"k%d\",\"bad\":\"b\"}}", i);
    assert_int_equal(lib_puts(c, text), at - text);
    channel_free(c);
    free(text);
    barrier(f, "\"sums\":\"position 0000000000002711, account/1: 10000 events are parked");
    status_has(f, "sums", "{\"state\":\"halted\",\"parked\":10000,\"position\":\"0000000000002710\"}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_projection_has_a_file_a_key),
        TEST(keys_are_listed_in_the_order_in_which_they_came),
        TEST(keys_are_found_by_their_beginning),
        TEST(the_part_of_an_aggregate_is_known),
        TEST(a_failing_output_is_the_files_alone),
        TEST(an_index_moves_its_links),
        TEST(a_link_beside_a_directory_of_its_name_is_found),
        TEST(links_to_several_types_say_which),
        TEST(a_path_that_is_rubbish_parks_its_aggregate),
        TEST(failed_events_are_parked_and_wait_in_order),
        TEST(a_repaired_view_takes_in_what_was_parked),
        TEST(what_a_repaired_view_has_taken_in_is_not_passed_over),
        TEST(each_attempt_has_the_state_of_its_event),
        TEST(a_failing_key_halts_the_view_and_no_other),
        TEST(nothing_is_kept_of_an_event_that_halts_the_view),
        TEST(a_view_that_always_fails_halts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
