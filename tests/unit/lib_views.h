/* What the unit tests of views share: a store with a domain of two views, and looks at what they show. */
#ifndef ESFS_LIB_VIEWS_H
#define ESFS_LIB_VIEWS_H

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

static inline int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    lib_domain_begin(&f->domain);
    lib_domain_put(&f->domain, "aggregates/account.lua", account);
    lib_domain_put(&f->domain, "views/sums.lua", sums);
    lib_domain_put(&f->domain, "views/places.lua", places);
    lib_store_begin(&f->l, f->domain.dir);
    lib_store_open(&f->l);
    *state = f;
    return 0;
}

static inline int teardown(void **state) {
    struct fixture *f = *state;
    lib_store_end(&f->l);
    lib_domain_end(&f->domain);
    free(f);
    return 0;
}

static inline struct views *views(struct fixture *f) {
    return store_views(f->l.store);
}

static inline void reopen(struct fixture *f) {
    lib_store_close(&f->l);
    lib_store_open(&f->l);
}

static inline void reload(struct fixture *f) {
    struct err err = {0};
    if (store_reload(f->l.store, &err) != 0)
        fail_msg("%s", err.text);
}

/* Sends what must be accepted. */
static inline void send(struct fixture *f, const char *id, const char *data) {
    char text[4096];
    snprintf(text, sizeof text, "{\"type\":\"Set\",\"data\":%s}", data);
    lib_append(&f->l, "account", id, text);
}

struct answer {
    sem_t came;
    int result;
    char text[1024];
};

static inline void answered(void *arg, int result) {
    struct answer *a = arg;
    a->result = result;
    sem_post(&a->came);
}

static inline void answered_text(void *arg, int result, struct str text) {
    struct answer *a = arg;
    snprintf(a->text, sizeof a->text, "%.*s", (int)text.n, text.p ? text.p : "");
    answered(arg, result);
}

static inline int wait_for(struct answer *a) {
    while (sem_wait(&a->came) != 0)
        ;
    return a->result;
}

static inline void barrier(struct fixture *f, const char *halted) {
    struct answer a = {0};
    sem_init(&a.came, 0, 0);
    views_barrier(views(f), 400000, answered_text, &a);
    assert_int_equal(wait_for(&a), 0);
    if (!strstr(a.text, halted))
        fail_msg("the barrier says %s, not %s", a.text, halted);
}

static inline void settle(struct fixture *f) {
    barrier(f, "\"halted\":{}");
}

static inline int retry(struct fixture *f, uint32_t no, uint64_t position) {
    struct answer a = {0};
    sem_init(&a.came, 0, 0);
    views_retry(views(f), no, position, answered, &a);
    return wait_for(&a);
}

static inline int pass_over(struct fixture *f, uint32_t no, uint64_t position) {
    struct answer a = {0};
    sem_init(&a.came, 0, 0);
    views_skip(views(f), no, position, &lib_caller, answered, &a);
    return wait_for(&a);
}

static inline struct view_info info(struct fixture *f, const char *name) {
    struct view_info info;
    assert_int_equal(views_find(views(f), str_of(name), &info), 0);
    return info;
}

/* The file of a key; NULL: there is none. */
static inline void shows(struct fixture *f, const char *view, const char *name, const char *text) {
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
static inline void walk(struct fixture *f, uint64_t build, uint64_t dir, const char *path, char *out) {
    struct view_key found[64];
    struct view_child child;
    int n = views_dirs(views(f), build, dir, 0, found, 64);
    for (int i = 0; i < n; i++) {
        char inner[512];
        int whole = snprintf(inner, sizeof inner, "%s%.*s/", path, found[i].bytes, found[i].name);
        assert_in_range(whole, 1, sizeof inner - 1);
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

static inline void tree_is(struct fixture *f, const char *links) {
    char out[4096] = "";
    walk(f, info(f, "places").build, 0, "", out);
    assert_string_equal(out, links);
}

static inline void status_has(struct fixture *f, const char *view, const char *want) {
    struct buf text = {0};
    assert_int_equal(views_status(views(f), info(f, view).no, &text), 0);
    buf_put_char(&text, 0);
    lib_line_has(text.p, want, view, 0);
    buf_free(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
