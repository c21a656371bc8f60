/* Views through the front door: projections, indexes, what is parked, rebuilds, the barrier. */
#include "lib_domain.h"
#include "lib_store.h"
#include "view_data.h"
#include "views.h"

#include <semaphore.h>

static const char account[] = "return {\n"
                              "  commands = {\n"
                              "    Set = { decide = function(s, c) return event('Was', c.data) end },\n"
                              "    Other = { decide = function(s, c) return event('Is', c.data) end },\n"
                              "  },\n"
                              "  events = {\n"
                              "    Was = { evolve = function(s, e) for k, v in pairs(e.data) do s[k] = v end end },\n"
                              "    Is = {},\n"
                              "  },\n"
                              "}\n";

static const char sums[] = "return {\n"
                           "  key = function(e) return e.data.key end,\n"
                           "  init = function(key) return { key = key, n = 0, sum = 0 } end,\n"
                           "  on = { Was = function(v, e)\n"
                           "    if e.data.bad then error('bad ' .. e.data.bad) end\n"
                           "    if e.data.gone then return remove end\n"
                           "    v.n = v.n + 1 v.sum = v.sum + (e.data.sum or 0)\n"
                           "  end },\n"
                           "}\n";

static const char places[] = "return { kind = 'index', path = function(s)\n"
                             "  if s.bad then error('bad path') end\n"
                             "  if s.at then return s.at end\n"
                             "end }\n";

struct fixture {
    struct lib_store l;
    struct lib_domain domain;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    lib_domain_begin(&f->domain);
    lib_domain_put(&f->domain, "aggregates/account.lua", account);
    lib_domain_put(&f->domain, "views/sums.lua", sums);
    lib_domain_put(&f->domain, "views/places.lua", places);
    lib_dir_make(f->l.dir);
    f->l.options.durability = DURABILITY_OS;
    f->l.options.domain = f->domain.dir;
    f->l.options.ownership = (struct ownership){.uid = 1000, .gid = 100};
    lib_store_open(&f->l);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    if (f->l.store)
        store_close(f->l.store);
    lib_dir_remove(f->l.dir);
    lib_domain_end(&f->domain);
    free(f);
    return 0;
}

static struct views *views(struct fixture *f) {
    return store_views(f->l.store);
}

static void reopen(struct fixture *f) {
    lib_store_close(&f->l);
    lib_store_open(&f->l);
}

static void reload(struct fixture *f) {
    struct err err = {0};
    if (store_reload(f->l.store, &err) != 0)
        fail_msg("%s", err.text);
}

/* Sends what must be accepted. */
static void send(struct fixture *f, const char *id, const char *data) {
    char text[4096];
    snprintf(text, sizeof text, "{\"type\":\"Set\",\"data\":%s}", data);
    lib_append(&f->l, "account", id, text);
}

struct answer {
    sem_t came;
    int result;
    char text[1024];
};

static void answered(void *arg, int result) {
    struct answer *a = arg;
    a->result = result;
    sem_post(&a->came);
}

static void answered_text(void *arg, int result, struct str text) {
    struct answer *a = arg;
    snprintf(a->text, sizeof a->text, "%.*s", (int)text.n, text.p ? text.p : "");
    answered(arg, result);
}

static int wait_for(struct answer *a) {
    while (sem_wait(&a->came) != 0)
        ;
    return a->result;
}

static void barrier(struct fixture *f, const char *halted) {
    struct answer a = {0};
    sem_init(&a.came, 0, 0);
    views_barrier(views(f), 400000, answered_text, &a);
    assert_int_equal(wait_for(&a), 0);
    if (!strstr(a.text, halted))
        fail_msg("the barrier says %s, not %s", a.text, halted);
}

static void settle(struct fixture *f) {
    barrier(f, "\"halted\":{}");
}

static int retry(struct fixture *f, uint32_t no, uint64_t position) {
    struct answer a = {0};
    sem_init(&a.came, 0, 0);
    views_retry(views(f), no, position, answered, &a);
    return wait_for(&a);
}

static int pass_over(struct fixture *f, uint32_t no, uint64_t position) {
    struct answer a = {0};
    sem_init(&a.came, 0, 0);
    views_skip(views(f), no, position, &lib_caller, answered, &a);
    return wait_for(&a);
}

static struct view_info info(struct fixture *f, const char *name) {
    struct view_info info;
    assert_int_equal(views_find(views(f), str_of(name), &info), 0);
    return info;
}

/* The file of a key; NULL: there is none. */
static void shows(struct fixture *f, const char *view, const char *name, const char *text) {
    struct view_info v = info(f, view);
    struct view_entry entry;
    struct buf got = {0};
    int r = views_entry(views(f), v.build, str_of(name), &entry, &got);
    assert_int_equal(r, text ? 0 : VIEW_NONE);
    if (text) {
        assert_int_equal(entry.size, got.n);
        buf_put_char(&got, 0);
        assert_string_equal(got.p, text);
    }
    buf_free(&got);
}

/* All links of an index, sorted as they are found: "dir/dir/link ...". */
static void walk(struct fixture *f, uint64_t build, uint64_t dir, const char *path, char *out) {
    struct view_key found[64];
    struct view_child child;
    int n = views_dirs(views(f), build, dir, 0, found, 64);
    for (int i = 0; i < n; i++) {
        char inner[512];
        snprintf(inner, sizeof inner, "%s%.*s/", path, found[i].bytes, found[i].name);
        assert_int_equal(views_child(views(f), build, dir, (struct str){found[i].name, found[i].bytes}, &child), 0);
        assert_true(!child.link && child.no == found[i].no);
        walk(f, build, found[i].no, inner, out);
    }
    n = views_links(views(f), build, dir, 0, found, 64);
    for (int i = 0; i < n; i++) {
        assert_int_equal(views_child(views(f), build, dir, (struct str){found[i].name, found[i].bytes}, &child), 0);
        assert_true(child.link && child.no == found[i].no);
        sprintf(out + strlen(out), "%s%.*s ", path, found[i].bytes, found[i].name);
    }
}

static void tree_is(struct fixture *f, const char *links) {
    char out[4096] = "";
    walk(f, info(f, "places").build, 0, "", out);
    assert_string_equal(out, links);
}

static void status_has(struct fixture *f, const char *view, const char *want) {
    struct buf text = {0};
    assert_int_equal(views_status(views(f), info(f, view).no, &text), 0);
    buf_put_char(&text, 0);
    lib_line_has(text.p, want, view, 0);
    buf_free(&text);
}

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
    barrier(f, "\"halted\":{\"sums\":\"views/sums.lua");
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
    barrier(f, "\"sums\":\"10000 events are parked");
    status_has(f, "sums", "{\"state\":\"halted\",\"parked\":10000,\"position\":\"0000000000002710\"}");
}

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

static void a_barrier_can_run_out_of_time(void **state) {
    struct fixture *f = *state;
    struct answer a = {0};
    lib_domain_put(&f->domain, "views/slow.lua",
                   "return { on = { Was = function(v) for i = 1, 3000000 do v.i = i end end } }");
    reload(f);
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
    lib_domain_put(&f->domain, "views/slow.lua",
                   "return { on = { Was = function(v) for i = 1, 3000000 do v.i = i end end } }");
    reload(f);
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
    lib_domain_put(&f->domain, "views/slow.lua",
                   "return { on = { Was = function(v) for i = 1, 3000000 do v.i = i end end } }");
    reload(f);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        TEST(each_attempt_has_the_state_of_its_event),
        TEST(a_failing_key_halts_the_view_and_no_other),
        TEST(nothing_is_kept_of_an_event_that_halts_the_view),
        TEST(a_view_that_always_fails_halts),
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
