/* For tests of queries: a store with a domain that has views and queries. That an entry was used, and not made again,
 * is told by the number of the result. */
#ifndef ESFS_TEST_LIB_QUERIES_H
#define ESFS_TEST_LIB_QUERIES_H

#include "lib_domain.h"
#include "lib_store.h"
#include "queries.h"
#include "views.h"

#include <stdatomic.h>
#include <time.h>

static const char account[] = //
    "return {\n"
    "  initial = function() return { sum = 0 } end,\n"
    "  commands = {\n"
    "    Add = { decide = function(s, c) return event(\"Added\", { n = c.data.n }) end },\n"
    "    Name = { decide = function(s, c) return event(\"Named\", { name = c.data.name }) end },\n"
    "  },\n"
    "  events = {\n"
    "    Added = { evolve = function(s, e) s.sum = s.sum + e.data.n end },\n"
    "    Named = { evolve = function(s, e)\n"
    "      s.name = e.data.name\n"
    "      if s.name == \"large\" then s.text = string.rep(\"x\", 8 << 20) end\n"
    "    end },\n"
    "  },\n"
    "}\n";

static const char other[] = "return { commands = { Do = { decide = function() return event(\"Done\", {}) end } },\n"
                            "  events = { Done = {} } }\n";

/* A file an account; what is named \"bad\" cannot be shown. */
static const char sums[] = //
    "return {\n"
    "  from = { \"account\" },\n"
    "  key = function(e) return e.subject end,\n"
    "  init = function() return { sum = 0 } end,\n"
    "  on = {\n"
    "    Added = function(v, e) v.sum = v.sum + e.data.n end,\n"
    "    Named = function(v, e) v.name = e.data.name end,\n"
    "  },\n"
    "  output = function(v) if v.name == \"bad\" then error(\"cannot be shown\") end return v end,\n"
    "}\n";

static const char by_name[] =
    "return { kind = \"index\", from = { \"account\" }, path = function(s) return s.name end }\n";

#define PARAMS                                                                                                         \
    "params = { type = \"object\", properties = { id = { type = \"string\" }, n = { type = \"integer\" } } },\n"
#define RUN(body) "return { " PARAMS "run = function(q, p) " body " end }\n"

/* The run goes on when account/gate has an event. */
#define GATE "while #q.events(\"account/gate\") == 0 do end"

static const struct {
    const char *name, *text;
} files[] = {
    {"aggregates/account.lua", account},
    {"aggregates/other.lua", other},
    {"views/sums.lua", sums},
    {"views/by_name.lua", by_name},
    {"queries/view.lua", RUN("return { got = q.view(\"sums\", p.id) or null }")},
    {"queries/keys.lua", RUN("return q.keys(\"sums\", p.id)")},
    {"queries/state.lua", RUN("return { got = q.state(\"account/\" .. p.id) or null }")},
    {"queries/events.lua", RUN("return q.events(\"account/\" .. p.id, p.n)")},
    {"queries/range.lua", RUN("return q.events(\"account/\" .. p.id, p.n, p.n + 1)")},
    {"queries/other.lua", RUN("return { got = q.state(\"other/\" .. p.id) or null }")},
    {"queries/params.lua", RUN("return p")},
    {"queries/twice.lua",
     "return { " PARAMS
     "run = function(q, p) return { n = p.n } end, post = function(r, p) r.n = r.n * 2 return r end }\n"},
    {"queries/nothing.lua", RUN("return nil")},
    {"queries/slow.lua", RUN("local s = q.state(\"account/\" .. p.id) local x = 0 for i = 1, p.n or 2000000 do x = x + "
                             "i end return { sum = s and s.sum }")},
    {"queries/gate.lua", RUN(GATE " return { got = q.state(\"other/1\") or null }")},
    {"queries/endless.lua", RUN("while true do end")},
    {"queries/broken.lua", "return { " PARAMS "run = function(q, p)\n  local t = nil\n  return t.x\nend }\n"},
    {"queries/big.lua", RUN("return string.rep(\"x\", p.n)")},
    {"queries/alone.lua", RUN("return { none = q.query == nil }")},
    {"queries/unknown.lua", RUN("local ok, why = pcall(q[p.id], \"nowhere\", p.id == \"view\" and \"x\" or nil) return "
                                "{ ok = ok, why = tostring(why) }")},
    {"queries/caught.lua",
     RUN("local ok, v = pcall(q.view, \"sums\", p.id) return { ok = ok, sum = ok and v and v.sum or null }")},
    {"queries/index.lua", RUN("return q.view(\"by_name\", p.id)")},
    {"queries/many.lua", RUN("for i = 1, p.n do q.state(\"account/no\" .. i) end return p.n")},
    {"queries/busy.lua", RUN("for i = 1, 2000000 do end return 1")},
    {"queries/reader.lua", RUN("while true do q.view(\"sums\", \"x\") end")},
    {"queries/states.lua", RUN("for i = 1, p.n do q.state(\"account/\" .. i) end return p.n")},
    {"queries/both.lua", RUN("local a, b = q.state(\"account/1\"), q.state(\"account/1\") a.sum = 1000 return { a = "
                             "a.sum, b = q.state(\"account/1\").sum }")},
    {"queries/whoami.lua", "return { cache = \"per_caller\", " PARAMS "run = function(q, p) return q.caller end }\n"},
    {"queries/nobody.lua", RUN("return { none = not pcall(function() return q.caller end) }")},
    {"queries/short.lua",
     "return { ttl = \"1s\", " PARAMS "run = function(q, p) return q.state(\"account/1\") or null end }\n"},
    {"queries/timed.lua", "return { ttl = \"1h\", depends = \"ttl\", " PARAMS
                          "run = function(q, p) return q.state(\"account/1\") or null end }\n"},
    {"queries/secret.lua", "return { allow = { users = { 4242 } }, " PARAMS "run = function(q, p) return p end }\n"},
    {"queries/fails.lua",
     "return { allow = { users = { 1000 } }, " PARAMS "run = function(q, p) error(\"no\") end }\n"},
    {"queries/shared.lua", "return { allow = { anyone = true }, " PARAMS "run = function(q, p) return p end }\n"},
};

struct fixture {
    struct lib_store l;
    struct lib_domain domain;
    struct queries *qs;
};

static inline int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    lib_domain_begin(&f->domain);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        lib_domain_put(&f->domain, files[i].name, files[i].text);
    lib_store_begin(&f->l, f->domain.dir);
    lib_store_open(&f->l);
    f->qs = store_queries(f->l.store);
    assert_non_null(f->qs);
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

/* --- the store */

static inline void send(struct fixture *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void send(struct fixture *f, const char *format, ...) {
    char text[512], *results;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (lib_send(&f->l, "", "", text, &results) != (ssize_t)strlen(text))
        fail_msg("%s: %s", text, results);
    free(results);
}

static inline void add(struct fixture *f, const char *id, int n) {
    send(f, "{\"aggregate\":\"account/%s\",\"type\":\"Add\",\"data\":{\"n\":%d}}", id, n);
}

static inline void name(struct fixture *f, const char *id, const char *word) {
    send(f, "{\"aggregate\":\"account/%s\",\"type\":\"Name\",\"data\":{\"name\":\"%s\"}}", id, word);
}

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int calls, result;
    struct query_result *r;
};

static inline void answered(struct waiting *w, int result, struct query_result *r) {
    pthread_mutex_lock(&w->lock);
    w->calls++;
    w->result = result;
    w->r = r;
    pthread_cond_broadcast(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static inline void wait_for(struct waiting *w) {
    pthread_mutex_lock(&w->lock);
    while (!w->calls)
        pthread_cond_wait(&w->cond, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

#define WAITING                                                                                                        \
    { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER }

static inline void barrier_done(void *arg, int result, struct str text) {
    (void)text;
    answered(arg, result, NULL);
}

/* Until every view has what was appended. */
static inline void views_catch_up(struct fixture *f) {
    struct waiting w = WAITING;
    views_barrier(store_views(f->l.store), 60000, barrier_done, &w);
    wait_for(&w);
    assert_int_equal(w.result, 0);
}

/* --- asking */

static inline void opened(void *arg, int result, struct query_result *r) {
    answered(arg, result, r);
}

static inline uint32_t number(struct fixture *f, const char *query) {
    struct query_info info;
    if (queries_find(f->qs, str_of(query), &info) != 0)
        fail_msg("%s: there is no such query", query);
    assert_true(str_eq(info.name, str_of(query)));
    return info.no;
}

static inline int open_as(struct fixture *f, const char *query, const char *text, bool call,
                          const struct caller *caller, struct query_result **r) {
    struct waiting w = WAITING;
    (call ? queries_call : queries_open)(f->qs, number(f, query), str_of(text), caller, opened, &w);
    wait_for(&w);
    assert_int_equal(w.calls, 1);
    assert_true((w.result == 0) == (w.r != NULL));
    *r = w.r;
    return w.result;
}

/* The number of the result, whose text must be this (NULL: any). */
static inline uint64_t result_take(struct query_result *r, const char *of, const char *want) {
    if (want && (r->text.n != strlen(want) + 1 || memcmp(r->text.p, want, strlen(want)) != 0))
        fail_msg("%s: gives %.*s, not %s", of, (int)r->text.n, r->text.p, want);
    assert_int_equal(r->text.p[r->text.n - 1], '\n');
    uint64_t no = r->no;
    query_result_unref(r);
    return no;
}

static inline uint64_t gives(struct fixture *f, const char *query, const char *text, const char *want) {
    struct query_result *r;
    int rc = open_as(f, query, text, false, &lib_caller, &r);
    if (rc != 0)
        fail_msg("%s %s: %s", query, text, strerror(-rc));
    return result_take(r, query, want);
}

static inline void fails(struct fixture *f, const char *query, const char *text, int code) {
    struct query_result *r;
    assert_int_equal(open_as(f, query, text, false, &lib_caller, &r), -code);
}

/* What the newest line of errors.ndjson holds. */
static inline void told(struct fixture *f, size_t lines, const char *want) {
    char *errors = lib_topic(store_errors(f->l.store), "");
    assert_int_equal(lib_count(errors, "\n"), lines);
    if (lines)
        LINE_HAS(errors, lines - 1, want);
    free(errors);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
