/* Views of a rehearsal: what they show, what they do not take in, and that a store's views are the same. */
#include "lib_domain.h"
#include "lib_store.h"
#include "rehearsal.h"
#include "views.h"

#include <semaphore.h>

static const char account_1[] = //
    "local function keep(s, e) for k, v in pairs(e.data) do s[k] = v end s.n = (s.n or 0) + 1 end\n"
    "return {\n"
    "  commands = {\n"
    "    Do = { decide = function(s, c) return event('Was', c.data) end },\n"
    "    Be = { decide = function(s, c) return event('Is', c.data) end },\n"
    "    Both = { decide = function(s, c) return event('Is', c.data), event('Was', c.data) end },\n"
    "  },\n"
    "  events = { Was = { schema = 'Was.1', evolve = keep }, Is = { evolve = keep } },\n"
    "}\n";

/* What was stored before is split, dropped, renamed or changed. */
static const char account_2[] = //
    "local function keep(s, e) for k, v in pairs(e.data) do s[k] = v end s.n = (s.n or 0) + 1 end\n"
    "local function renew(d)\n"
    "  if d.sum == 1 then return { event('Was', d), event('Is', { key = 'b/c', at = { 'split' }, sum = 100 }) } end\n"
    "  if d.sum == 2 then return drop end\n"
    "  if d.sum == 3 then return event('Is', d) end\n"
    "  d.sum = d.sum + 0.5\n"
    "  return d\n"
    "end\n"
    "return {\n"
    "  commands = {\n"
    "    Do = { decide = function(s, c) return event('Was', c.data) end },\n"
    "    Be = { decide = function(s, c) return event('Is', c.data) end },\n"
    "    Both = { decide = function(s, c) return event('Is', c.data), event('Was', c.data) end },\n"
    "  },\n"
    "  events = { Was = { schema = 'Was.2', upcast = { [1] = renew }, evolve = keep }, Is = { evolve = keep } },\n"
    "}\n";

static const char shop[] = //
    "return {\n"
    "  commands = { Do = { decide = function(s, c) return event('Was', c.data) end },\n"
    "    Be = { decide = function() end }, Both = { decide = function() reject('no') end } },\n"
    "  events = { Was = { evolve = function(s, e) s.at = e.data.at end } },\n"
    "}\n";

static const char sums[] = //
    "return {\n"
    "  from = { 'account' },\n"
    "  key = function(e) return e.data.key end,\n"
    "  init = function(key) return { key = key, n = 0, sum = decimal('0.00') } end,\n"
    "  on = { Was = function(v, e)\n"
    "    if e.data.gone then return remove end\n"
    "    v.n = v.n + 1 v.sum = v.sum + decimal(e.data.sum)\n"
    "  end },\n"
    "  output = function(v, key) return { key = v.key, same = v.key == key, n = v.n, sum = v.sum, last = null } end,\n"
    "}\n";

static const char last[] = //
    "return { on = {\n"
    "  ['*'] = function(v, e) v.n = (v.n or 0) + 1 v.last = e.type .. e.aggregate .. e.version .. e.position end,\n"
    "  Is = function(v, e, s) return { n = (v.n or 0) + 1000, data = e.data, state = s } end,\n"
    "} }\n";

static const char states[] = //
    "return {\n"
    "  from = { 'account' },\n"
    "  key = function(e, s) return { e.subject, type(s.key) == 'string' and s.key or s.sum > 2 } end,\n"
    "  on = { ['*'] = function(v, e, s) v[#v + 1] = s.n end },\n"
    "}\n";

static const char places[] = "return { kind = 'index', from = { 'account' }, path = function(s) return s.at end }\n";
static const char all[] = "return { kind = 'index', path = function(s) return s.at end }\n";

struct fixture {
    struct lib_store l;
    struct lib_domain domain;
    struct rehearsal *r;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    lib_domain_begin(&f->domain);
    lib_store_begin(&f->l, f->domain.dir);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    rehearsal_free(f->r);
    lib_store_end(&f->l);
    lib_domain_end(&f->domain);
    free(f);
    return 0;
}

static void rehearse(struct fixture *f) {
    struct err err = {0};
    lib_domain_reload(&f->domain);
    if (rehearsal_new(&f->r, f->domain.d, &err) != 0)
        fail_msg("%s", err.text);
}

static void small_domain(struct fixture *f, const char *name, const char *view) {
    lib_domain_put(&f->domain, "aggregates/account.lua", account_1);
    lib_domain_put(&f->domain, "schemas/account/Was.1.json", "{}");
    lib_domain_put(&f->domain, name, view);
    rehearse(f);
}

static int send(struct fixture *f, const char *json) {
    static const struct rehearsal_caller anyone = {0};
    struct rehearsal_result result;
    assert_int_equal(rehearsal_send(f->r, str_of(json), &anyone, &result), 0);
    return result.refusal.outcome;
}

#define DO(id, data) "{\"aggregate\":\"account/" id "\",\"type\":\"Do\",\"data\":" data "}"

static void follow(struct fixture *f) {
    struct script_fault fault;
    struct err err = {0};
    if (rehearsal_follow(f->r, &fault, &err) != 0)
        fail_msg("%s", err.text);
}

/* What a view shows; *got is to be freed. */
static int look(struct fixture *f, const char *view, struct str key, struct buf *got, struct err *err) {
    int rc = rehearsal_view(f->r, str_of(view), key, got, err);
    buf_put_char(got, 0);
    return rc;
}

static void shows(struct fixture *f, const char *view, const char *key, const char *text) {
    struct buf got = {0};
    struct err err = {0};
    if (look(f, view, str_of(key), &got, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(got.p, text);
    buf_free(&got);
}

static void has_not(struct fixture *f, const char *view, const char *key, int code, const char *words) {
    struct buf got = {0};
    struct err err = {0};
    assert_int_equal(look(f, view, str_of(key), &got, &err), code);
    assert_string_equal(err.text, words);
    buf_free(&got);
}

/* --- what they show */

static void a_key_comes_and_goes(void **state) {
    struct fixture *f = *state;
    small_domain(f, "views/sums.lua", sums);
    has_not(f, "sums", "a", -ENOENT, "view sums has no key \"a\"; it is empty");
    assert_int_equal(send(f, DO("1", "{\"key\":[\"a\",\"b/c\"],\"sum\":0.10}")), OUTCOME_OK);
    assert_int_equal(send(f, DO("2", "{\"key\":\"a\",\"sum\":0.20}")), OUTCOME_OK);
    shows(f, "sums", "a", "{\"key\":\"a\",\"last\":null,\"n\":2,\"same\":true,\"sum\":0.30}");
    shows(f, "sums", "b/c", "{\"key\":\"b/c\",\"last\":null,\"n\":1,\"same\":true,\"sum\":0.10}");
    has_not(f, "sums", "c", -ENOENT, "view sums has no key \"c\"; it has a, b%2Fc");
    assert_int_equal(send(f, DO("1", "{\"key\":\"a\",\"gone\":true}")), OUTCOME_OK);
    has_not(f, "sums", "a", -ENOENT, "view sums has no key \"a\"; it has b%2Fc");
    assert_int_equal(send(f, DO("1", "{\"key\":\"a\",\"sum\":7}")), OUTCOME_OK);
    shows(f, "sums", "a", "{\"key\":\"a\",\"last\":null,\"n\":1,\"same\":true,\"sum\":7.00}");
    rehearsal_clear(f->r);
    has_not(f, "sums", "a", -ENOENT, "view sums has no key \"a\"; it is empty");
}

static void a_directory_shows_links_and_directories(void **state) {
    struct fixture *f = *state;
    small_domain(f, "views/places.lua", places);
    shows(f, "places", "", "[]");
    assert_int_equal(send(f, DO("x", "{\"at\":[\"d\"]}")), OUTCOME_OK);
    assert_int_equal(send(f, DO("y", "{\"at\":[\"d\",\"x\"]}")), OUTCOME_OK);
    assert_int_equal(send(f, DO("2", "{\"at\":[\"d\"]}")), OUTCOME_OK);
    assert_int_equal(send(f, DO("1", "{\"at\":[]}")), OUTCOME_OK);
    shows(f, "places", "", "[\"1\",\"d/\"]");
    shows(f, "places", "d", "[\"2\",\"x%\",\"x/\"]");
    shows(f, "places", "d/x", "[\"y\"]");
    has_not(f, "places", "x", -ENOENT, "view places has no directory \"x\"; it has d, d/x");
    assert_int_equal(send(f, DO("y", "{\"at\":[\"d x\"]}")), OUTCOME_OK);
    shows(f, "places", "", "[\"1\",\"d x/\",\"d/\"]");
    shows(f, "places", "d", "[\"2\",\"x\"]");
    has_not(f, "places", "d/x", -ENOENT, "view places has no directory \"d/x\"; it has d, d x");
}

static void what_is_refused_changes_no_view(void **state) {
    struct fixture *f = *state;
    lib_domain_put(&f->domain, "aggregates/shop.lua", shop);
    lib_domain_put(&f->domain, "views/last.lua", last);
    small_domain(f, "views/places.lua", places);
    assert_int_equal(send(f, DO("1", "{\"at\":[\"a\"]}")), OUTCOME_OK);
    follow(f);
    assert_int_equal(send(f,
                          "[" DO("1", "{\"at\":[\"b\"]}") "," DO("2", "{\"at\":[\"b\"]}") ",{\"aggregate\":\"shop/1\","
                                                                                          "\"type\":\"Both\"}]"),
                     OUTCOME_REJECTED);
    shows(f, "places", "", "[\"a/\"]");
    shows(f, "last", "all", "{\"last\":\"Wasaccount/110000000000000001\",\"n\":1}");
    assert_int_equal(send(f, DO("2", "{\"at\":[\"c\"]}")), OUTCOME_OK);
    shows(f, "last", "all", "{\"last\":\"Wasaccount/210000000000000002\",\"n\":2}");
}

static void a_view_that_is_not_there_is_told(void **state) {
    struct fixture *f = *state;
    lib_domain_put(&f->domain, "views/sums.lua", sums);
    small_domain(f, "views/places.lua", places);
    has_not(f, "plaices", "x", -EINVAL, "the domain has no view \"plaices\", did you mean places?");
    has_not(f, "else", "x", -EINVAL, "the domain has no view \"else\"; it has places, sums");
    has_not(f, "", "x", -EINVAL, "the domain has no view \"\"; it has places, sums");
}

static void many_keys_are_told_in_part(void **state) {
    struct fixture *f = *state;
    struct buf got = {0};
    struct err err = {0};
    char json[256];
    small_domain(f, "views/sums.lua", sums);
    for (int i = 0; i < 100; i++) {
        snprintf(json, sizeof json, DO("1", "{\"key\":\"key-%d\",\"sum\":1}"), i);
        assert_int_equal(send(f, json), OUTCOME_OK);
    }
    assert_int_equal(look(f, "sums", STR("none"), &got, &err), -ENOENT);
    assert_non_null(strstr(err.text, "it has key-0, key-1, "));
    assert_string_equal(err.text + strlen(err.text) - 5, ", ...");
    buf_free(&got);
}

/* --- what they do not take in: the store's view stops at the same event */

struct answer {
    sem_t came;
    int result;
};

static void answered(void *arg, int result, struct str text) {
    struct answer *a = arg;
    (void)text;
    a->result = result;
    sem_post(&a->came);
}

static void settle(struct fixture *f) {
    struct answer a = {0};
    sem_init(&a.came, 0, 0);
    views_barrier(store_views(f->l.store), 120000, answered, &a);
    while (sem_wait(&a.came) != 0)
        ;
    assert_int_equal(a.result, 0);
}

static struct view_info info(struct fixture *f, const char *view) {
    struct view_info info;
    assert_int_equal(views_find(store_views(f->l.store), str_of(view), &info), 0);
    return info;
}

/* The last of three events fails in the only view of the domain, "v". */
static void fails(struct fixture *f, const char *view, const char *bad, bool parked, const char *words) {
    struct script_fault fault;
    struct err err = {0};
    struct buf text = {0};
    uint64_t position = 0;
    char json[256];
    snprintf(json, sizeof json, DO("1", "%s"), bad);
    small_domain(f, "views/v.lua", view);
    lib_store_open(&f->l);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send(f, DO("1", "{\"key\":\"a\",\"at\":\"a\"}")), OUTCOME_OK);
        lib_append(&f->l, "", "", DO("1", "{\"key\":\"a\",\"at\":\"a\"}"));
        follow(f);
        settle(f); /* each event is a batch of its own */
    }
    assert_int_equal(send(f, json), OUTCOME_OK);
    lib_append(&f->l, "", "", json);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rehearsal_follow(f->r, &fault, &err), -EINVAL);
        assert_string_equal(err.text, words);
    }
    has_not(f, "v", "a", -EINVAL, words);
    settle(f);
    struct views *vs = store_views(f->l.store);
    assert_int_equal(views_parked(vs, info(f, "v").no, 0, &position, 1), parked);
    assert_int_equal(position, parked ? 3 : 0);
    views_status(vs, info(f, "v").no, &text);
    buf_put_char(&text, 0);
    lib_line_has(text.p, parked ? "{\"state\":\"live\"}" : "{\"state\":\"halted\",\"position\":\"0000000000000002\"}",
                 __FILE__, __LINE__);
    buf_free(&text);
    rehearsal_clear(f->r);
    follow(f);
}

static void a_handler_that_fails(void **state) {
    fails(*state, "return { on = { Was = function(v, e)\n  if e.data.bad then error('bad') end\nend } }", "{\"bad\":1}",
          true, "view v cannot take in Was, event 3 of account/1: views/v.lua:2: bad");
}

static void a_key_that_fails(void **state) {
    fails(*state, "return { key = function(e) return e.data.key end, on = { Was = function() end } }",
          "{\"key\":{\"a\":1}}", false,
          "view v cannot take in Was, event 3 of account/1: views/v.lua: the table that key returned is no list");
}

static void a_path_that_fails(void **state) {
    fails(*state, places, "{\"at\":[1,[2]]}", true,
          "view v cannot take in Was, event 3 of account/1: views/v.lua: item 2 of the list that path returned is a "
          "table, not a string, a number, a boolean or a decimal");
}

static void a_state_that_cannot_be_kept(void **state) {
    fails(*state,
          "return { key = function(e) return e.data.key end, on = { Was = function(v, e)\n"
          "  for i = 1, 40 do v['m' .. i] = i end\n"
          "  if e.data.bad then v.f = function() end end\n"
          "end } }",
          "{\"key\":\"a/b\",\"bad\":1}", true,
          "view v cannot keep the state of key a%2Fb after Was, event 3 of account/1: views/v.lua: the state.f: a "
          "function cannot be in a state");
}

static void an_output_that_fails(void **state) {
    struct fixture *f = *state;
    struct script_fault fault;
    struct err err = {0};
    small_domain(f, "views/v.lua",
                 "return { on = { Was = function(v, e) v.bad = e.data.bad end },\n"
                 "  output = function(v) return { no = v.bad.where } end }");
    assert_int_equal(send(f, DO("1", "{\"bad\":{}}")), OUTCOME_OK);
    follow(f);
    assert_int_equal(send(f, DO("1", "{}")), OUTCOME_OK);
    assert_int_equal(rehearsal_follow(f->r, &fault, &err), -EINVAL);
    assert_non_null(strstr(err.text, "view v cannot show the file of key all after Was, event 2 of account/1: "
                                     "views/v.lua:2: attempt to index a nil value (field 'bad')"));
    assert_non_null(strstr(fault.traceback, "views/v.lua:2: in "));
}

/* --- random histories: a store's views show the same */

static uint64_t seed;

static unsigned random_below(unsigned n) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(seed >> 33) % n;
}

static const char *const keys[] = {"a", "b/c", ".d", "", "7", "1.5", "true", "false", "e%", "1", "2", "3", "all"};
static const char *const dirs[] = {"", "x", "x/y", "x/1", "a%2Fb", "split", "5", "1"};
#define ANY(list) list[random_below(sizeof list / sizeof *list)]

static const char *any_data(void) {
    static const char *const key[] = {
        "\"a\"", "[\"a\",\"b/c\",\"a\"]", "\".d\"", "\"\"", "7", "[1.50,true]", "null", "\"e%\"", "[]"};
    static const char *const at[] = {
        "null", "[]", "[\"x\"]", "[\"x\",\"y\"]", "[\"x\",1]", "\"a/b\"", "[\"x\",\"\\u0031\"]", "5.0", "\"1\""};
    static char data[256];
    snprintf(data, sizeof data, "{\"key\":%s,\"at\":%s,\"sum\":%u%s}", ANY(key), ANY(at), random_below(6),
             random_below(6) ? "" : ",\"gone\":true");
    return data;
}

static void give(struct fixture *f, const char *aggregate, const char *type, const char *data, uint32_t schema) {
    const struct rehearsed_event e = {str_of(aggregate), str_of(type), str_of(data), schema, 0, 1000};
    struct err err = {0};
    if (rehearsal_give(f->r, &e, &err) != 0)
        fail_msg("%s", err.text);
}

struct step {
    char aggregate[16], type[8], data[256];
};

static struct step any_step(void) {
    static const char *const types[] = {"Do", "Be", "Both"};
    struct step s;
    snprintf(s.aggregate, sizeof s.aggregate, "%s/%u", random_below(4) ? "account" : "shop", 1 + random_below(3));
    snprintf(s.type, sizeof s.type, "%s", ANY(types));
    snprintf(s.data, sizeof s.data, "%s", any_data());
    return s;
}

static const char *command_of(const struct step *s) {
    static char json[512];
    snprintf(json, sizeof json, "{\"aggregate\":\"%s\",\"type\":\"%s\",\"data\":%s}", s->aggregate, s->type, s->data);
    return json;
}

/* What the store has made of a command under the first domain. */
static void give_step(struct fixture *f, const struct step *s) {
    bool account = s->aggregate[0] == 'a';
    if (account && strcmp(s->type, "Do") != 0)
        give(f, s->aggregate, "Is", s->data, 0);
    if (strcmp(s->type, "Do") == 0 || (account && strcmp(s->type, "Both") == 0))
        give(f, s->aggregate, "Was", s->data, account);
}

static void same_file(struct fixture *f, const char *view, const char *key) {
    struct buf name = {0}, stored = {0}, got = {0};
    struct view_entry entry;
    struct err err = {0};
    view_name_put(str_of(key), &name);
    int there = views_entry(store_views(f->l.store), info(f, view).build, buf_str(&name), &entry, &stored);
    int rc = rehearsal_view(f->r, str_of(view), str_of(key), &got, &err);
    assert_int_equal(rc, there == VIEW_NONE ? -ENOENT : 0);
    if (rc == 0)
        buf_put_char(&got, '\n');
    if (!str_eq(buf_str(&got), buf_str(&stored)))
        fail_msg("%s of %s: %.*s, in the store %.*s", key, view, (int)got.n, got.p, (int)stored.n, stored.p);
    buf_free(&name);
    buf_free(&stored);
    buf_free(&got);
}

static int count_key(void *arg, struct str key) {
    bool known = false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        known |= str_eq(key, str_of(keys[i]));
    if (!known)
        fail_msg("a key %.*s that the test does not look at", (int)key.n, key.p);
    ++*(size_t *)arg;
    return 0;
}

static size_t same_projection(struct fixture *f, const char *view) {
    size_t n = 0;
    assert_int_equal(views_each_key(store_views(f->l.store), info(f, view).build, STR(""), count_key, &n), 0);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        same_file(f, view, keys[i]);
    return n;
}

static int by_name(const void *a, const void *b) {
    return strcmp(a, b);
}

/* A directory of the store's view as rehearsal_view() shows it. False: there is none. */
static bool dir_text(struct fixture *f, uint64_t build, uint64_t dir, struct buf *out) {
    static struct view_key found[32];
    char names[64][VIEW_NAME_MAX + 2];
    struct views *vs = store_views(f->l.store);
    int n_dirs = views_dirs(vs, build, dir, 0, found, 32), n = 0;
    for (; n < n_dirs; n++)
        snprintf(names[n], sizeof names[n], "%.*s/", found[n].bytes, found[n].name);
    int n_links = views_links(vs, build, dir, 0, found, 32);
    for (int i = 0; i < n_links; i++, n++)
        snprintf(names[n], sizeof names[n], "%.*s", found[i].bytes, found[i].name);
    qsort(names, (size_t)n, sizeof *names, by_name);
    buf_put_char(out, '[');
    for (int i = 0; i < n; i++)
        buf_printf(out, "%s\"%s\"", i ? "," : "", names[i]);
    buf_put(out, "]", 2);
    return n > 0 || dir == 0;
}

static bool dir_find(struct fixture *f, uint64_t build, const char *path, uint64_t *dir) {
    struct view_child child = {0};
    *dir = 0;
    while (*path) {
        size_t n = strcspn(path, "/");
        if (views_child(store_views(f->l.store), build, *dir, (struct str){path, n}, &child) != 0 || child.link)
            return false;
        *dir = child.no;
        path += n + (path[n] != 0);
    }
    return true;
}

static size_t same_index(struct fixture *f, const char *view) {
    uint64_t build = info(f, view).build, dir;
    size_t n = 0;
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        struct buf text = {0}, got = {0};
        struct err err = {0};
        if (dir_find(f, build, dirs[i], &dir) && dir_text(f, build, dir, &text)) {
            shows(f, view, dirs[i], text.p);
            n++;
        } else {
            assert_int_equal(look(f, view, str_of(dirs[i]), &got, &err), -ENOENT);
        }
        buf_free(&text);
        buf_free(&got);
    }
    return n;
}

static size_t all_same(struct fixture *f) {
    settle(f);
    follow(f);
    return same_projection(f, "sums") + same_projection(f, "last") + same_projection(f, "states") +
           same_index(f, "places") + same_index(f, "all");
}

static void store_send(struct fixture *f, const struct step *s) {
    char *results = NULL;
    lib_send(&f->l, "", "", command_of(s), &results);
    free(results);
}

static void a_store_shows_the_same(void **state) {
    struct fixture *f = *state;
    enum { OLD = 40, NEW = 40 };
    struct step steps[OLD];
    struct err err = {0};
    lib_domain_put(&f->domain, "aggregates/account.lua", account_1);
    lib_domain_put(&f->domain, "aggregates/shop.lua", shop);
    lib_domain_put(&f->domain, "schemas/account/Was.1.json", "{}");
    lib_store_open(&f->l);
    for (int i = 0; i < OLD; i++) {
        steps[i] = any_step();
        store_send(f, &steps[i]);
    }
    lib_domain_put(&f->domain, "aggregates/account.lua", account_2);
    lib_domain_put(&f->domain, "schemas/account/Was.2.json", "{}");
    lib_domain_put(&f->domain, "views/sums.lua", sums);
    lib_domain_put(&f->domain, "views/last.lua", last);
    lib_domain_put(&f->domain, "views/states.lua", states);
    lib_domain_put(&f->domain, "views/places.lua", places);
    lib_domain_put(&f->domain, "views/all.lua", all);
    if (store_reload(f->l.store, &err) != 0)
        fail_msg("%s", err.text);
    rehearse(f);
    for (int i = 0; i < OLD; i++)
        give_step(f, &steps[i]);
    size_t seen = all_same(f);
    for (int i = 0; i < NEW; i++) {
        const struct step s = any_step();
        store_send(f, &s);
        send(f, command_of(&s));
        if (i % 8 == 7)
            seen += all_same(f);
    }
    assert_true(seen > 60);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define SEEDS 8

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_key_comes_and_goes),
        TEST(a_directory_shows_links_and_directories),
        TEST(what_is_refused_changes_no_view),
        TEST(a_view_that_is_not_there_is_told),
        TEST(many_keys_are_told_in_part),
        TEST(a_handler_that_fails),
        TEST(a_key_that_fails),
        TEST(a_path_that_fails),
        TEST(a_state_that_cannot_be_kept),
        TEST(an_output_that_fails),
    };
    const struct CMUnitTest same[] = {TEST(a_store_shows_the_same)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (seed = 1; seed <= SEEDS && !failed; seed++) {
        uint64_t kept = seed;
        failed = cmocka_run_group_tests(same, NULL, NULL);
        seed = kept;
    }
    return failed;
}
