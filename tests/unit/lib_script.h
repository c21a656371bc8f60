/* A script to try handlers in, for tests of script_*.c. */
#ifndef ESFS_LIB_SCRIPT_H
#define ESFS_LIB_SCRIPT_H

#include "arena.h"
#include "digest.h"
#include "script.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct script *s;
    struct json_parser *parser;
    struct arena arena;
    struct buf out;
    struct script_fault fault;
    struct script_list list;
    const char *libraries[8]; /* name, text, name, text, NULL */
};

static bool fixture_library(void *arg, struct str name, struct str *text) {
    struct fixture *f = arg;
    for (size_t i = 0; f->libraries[i]; i += 2)
        if (str_eq(name, str_of(f->libraries[i]))) {
            *text = str_of(f->libraries[i + 1]);
            return true;
        }
    return false;
}

static inline int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    /* no test but that of the time itself is to fail for it, however slow the build is */
    struct script_options options = {.limits.seconds = 600, .library = fixture_library, .arg = f};
    assert_int_equal(digest_init(), 0);
    assert_int_equal(script_new(&f->s, &options), 0);
    f->parser = json_parser_new();
    *state = f;
    return 0;
}

static inline int teardown(void **state) {
    struct fixture *f = *state;
    script_free(f->s);
    json_parser_free(f->parser);
    arena_free(&f->arena);
    buf_free(&f->out);
    free(f);
    return 0;
}

static inline const struct json_value *tree(struct fixture *f, const char *text) {
    size_t n = strlen(text);
    char *padded = arena_alloc(&f->arena, n + JSON_PADDING);
    struct json_value *v = arena_alloc(&f->arena, sizeof *v);
    const char *why;
    memcpy(padded, text, n);
    memset(padded + n, 0, JSON_PADDING);
    if (json_tree_read(f->parser, (struct str){padded, n}, &f->arena, v, &why))
        fail_msg("%s: %s", text, why);
    return v;
}

static inline script_value of_json(struct fixture *f, const char *text) {
    script_value v;
    assert_int_equal(script_of_json(f->s, tree(f, text), &v), 0);
    return v;
}

/* The value as JSON; valid until the next. */
static inline const char *json_of(struct fixture *f, script_value v) {
    struct script_fault fault;
    buf_clear(&f->out);
    if (script_to_json(f->s, v, &f->out, &fault))
        fail_msg("no JSON: %s", fault.text);
    buf_put_char(&f->out, 0);
    return f->out.p;
}

static inline script_value load_as(struct fixture *f, const char *name, const char *text) {
    script_value v;
    if (script_load(f->s, name, str_of(text), &v, &f->fault))
        fail_msg("%s:%d: %s\n%s", f->fault.file, f->fault.line, f->fault.text, f->fault.traceback);
    return v;
}

static inline script_value load(struct fixture *f, const char *text) {
    return load_as(f, "aggregates/order.lua", text);
}

static inline void assert_load_fails(struct fixture *f, const char *text, const char *why) {
    script_value v;
    assert_int_equal(script_load(f->s, "aggregates/order.lua", str_of(text), &v, &f->fault), SCRIPT_FAILED);
    assert_int_equal(v, 0);
    if (!strstr(f->fault.text, why))
        fail_msg("\"%s\" is not in \"%s\"", why, f->fault.text);
}

/* The function of a file that is `head` and returns `body` as a function(a, b). */
static inline script_value function_of(struct fixture *f, const char *head, const char *body) {
    char *text = NULL;
    assert_true(asprintf(&text, "%s\nreturn { run = function(a, b, c)\n%s\nend }", head, body) > 0);
    script_value file = load(f, text), run = script_member(f->s, file, "run");
    script_drop(f->s, file);
    free(text);
    assert_int_not_equal(run, 0);
    return run;
}

static inline int run(struct fixture *f, const char *body, script_value *result) {
    script_value function = function_of(f, "", body);
    int rc = script_call(f->s, function, 0, result, &f->fault);
    script_drop(f->s, function);
    return rc;
}

/* What the code returns must be this JSON. */
static inline void assert_gives(struct fixture *f, const char *body, const char *want) {
    script_value result;
    if (run(f, body, &result))
        fail_msg("%s\nfailed: %d: %s\n%s", body, f->fault.line, f->fault.text, f->fault.traceback);
    const char *got = result ? json_of(f, result) : "nil";
    if (strcmp(got, want) != 0)
        fail_msg("%s\ngave %s, not %s", body, got, want);
    script_drop(f->s, result);
}

static inline void assert_fails(struct fixture *f, const char *body, const char *why) {
    script_value result;
    if (run(f, body, &result) != SCRIPT_FAILED)
        fail_msg("%s\ndid not fail", body);
    assert_int_equal(result, 0);
    if (!strstr(f->fault.text, why))
        fail_msg("%s\nfailed with \"%s\", not \"%s\"", body, f->fault.text, why);
}

/* decide(a, b, c) over a state and data. */
static inline int decide_with(struct fixture *f, script_value function, script_value state, const char *data) {
    static const uint32_t gids[] = {100, 27};
    struct script_command cmd = {.aggregate = STR("order/1001"),
                                 .type = STR("PlaceOrder"),
                                 .id = STR("c-1"),
                                 .time = STR("2026-01-02T03:04:05.000000Z"),
                                 .version = 7,
                                 .uid = 1000,
                                 .gids = gids,
                                 .n_gids = 2,
                                 .data = tree(f, data),
                                 .seed = {1, 2, 3}};
    return script_decide(f->s, function, state, &cmd, NULL, NULL, &f->arena, &f->list, &f->fault);
}

static inline int decide(struct fixture *f, const char *body, const char *state_json, const char *data) {
    script_value function = function_of(f, "", body), state = of_json(f, state_json);
    int rc = decide_with(f, function, state, data);
    assert_string_equal(json_of(f, state), state_json);
    script_drop(f->s, state);
    script_drop(f->s, function);
    return rc;
}

static inline void assert_made(struct fixture *f, size_t i, const char *type, const char *data) {
    assert_in_range(i, 0, f->list.n - 1);
    struct script_made *made = &f->list.items[i];
    if (!str_eq(made->type, str_of(type)) || !str_eq(made->data, str_of(data)))
        fail_msg("event %zu is %.*s %.*s, not %s %s", i, (int)made->type.n, made->type.p, (int)made->data.n,
                 made->data.p, type, data);
}

static inline void assert_decides(struct fixture *f, const char *body, const char *state, const char *data,
                                  const char *made) {
    if (decide(f, body, state, data))
        fail_msg("%s\nfailed: %d: %s\n%s", body, f->fault.line, f->fault.text, f->fault.traceback);
    assert_int_equal(f->list.n, 1);
    assert_made(f, 0, "E", made);
}

static inline void assert_decide_fails(struct fixture *f, const char *body, const char *state, const char *why) {
    if (decide(f, body, state, "{}") != SCRIPT_FAILED)
        fail_msg("%s\ndid not fail", body);
    if (!strstr(f->fault.text, why))
        fail_msg("%s\nfailed with \"%s\", not \"%s\"", body, f->fault.text, why);
}

static inline struct script_event event_of(struct fixture *f, const char *data) {
    return (struct script_event){.aggregate = STR("order/1001"),
                                 .subject = STR("1001"),
                                 .source = STR("esfs://shop"),
                                 .id = STR("e-1"),
                                 .time = STR("2026-01-02T03:04:05.000000Z"),
                                 .type = STR("OrderPlaced"),
                                 .position = STR("0000000000000012"),
                                 .version = 3,
                                 .uid = 1000,
                                 .commandid = STR("c-1"),
                                 .data = tree(f, data)};
}

static inline int evolve_with(struct fixture *f, script_value function, script_value *state, const char *data) {
    struct script_event e = event_of(f, data);
    return script_evolve(f->s, function, state, &e, &f->fault);
}

#endif
