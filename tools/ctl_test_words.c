#include "ctl_test_words.h"

#include "array.h"
#include "ctl_test_diff.h"
#include "rehearsal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SECOND 1000000ULL

struct test {
    char *name;
    script_value function;
};

struct words {
    struct script *s;
    struct rehearsal *rehearsal;
    struct json_parser *parser;
    bool colours;
    struct test *tests;
    size_t n_tests, tests_cap;

    /* of the test that runs */
    bool running;
    struct arena arena;
    struct rehearsed_event *given; /* of the aggregate that the next `when` names */
    size_t n_given, given_cap;
    bool sent;            /* there was a `when` */
    struct str aggregate; /* of the last one; p is NULL: it named none */
    struct rehearsal_result result;
    bool refused; /* the last `when` was, and no expectation has said so */
    bool checked; /* there was an expectation */
    bool failed;
    struct script_fault failure; /* the first one */
    struct buf details;          /* lines under it */
    struct buf scratch;
};

/* --- failing */

static int fail(struct words *w, struct script_fault *fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct words *w, struct script_fault *fault, const char *format, ...) {
    char text[sizeof fault->text]; /* what is said may be made of what was said */
    va_list args;
    va_start(args, format);
    err_format(text, sizeof text, format, args);
    va_end(args);
    memcpy(fault->text, text, sizeof text);
    if (w->running && !w->failed) {
        w->failed = true;
        w->failure = *fault;
    }
    return SCRIPT_FAILED;
}

static int fail_rc(struct words *w, struct script_fault *fault, int rc) {
    if (rc > 0 && rc != SCRIPT_FAILED)
        return fail(w, fault, "reject() is for deciders");
    return rc < 0 ? rc : fail(w, fault, "%s", fault->text);
}

static int in_test(struct words *w, const char *word, struct script_fault *fault) {
    return w->running ? 0 : fail(w, fault, "%s belongs into a test(name, function() ... end)", word);
}

static void indented_put(const char *lines, struct buf *out) {
    for (size_t n; *lines; lines += n + (lines[n] != 0)) {
        n = strcspn(lines, "\n");
        buf_printf(out, "    %.*s\n", (int)n, lines);
    }
}

/* `instead`: what was expected of it, in words. */
static int fail_refused(struct words *w, const char *instead, struct script_fault *fault) {
    const enum outcome o = w->result.refusal.outcome;
    w->refused = false;
    indented_put(w->result.fault.traceback, &w->details);
    return fail(w, fault, "the command was refused with %s%s: %s", outcome_errno_name(o), instead,
                w->result.refusal.detail);
}

/* A refusal that no expectation has spoken of is a failure. */
static int looked_at(struct words *w, struct script_fault *fault) {
    return w->refused ? fail_refused(w, "", fault) : 0;
}

/* --- reading values */

static struct str text_copy(struct words *w, script_value v) {
    return arena_copy(&w->arena, script_string(w->s, v));
}

static int json_copy(struct words *w, script_value v, struct str *out, struct script_fault *fault) {
    struct buf json = {0};
    int rc = script_to_json(w->s, v, &json, fault);
    if (rc == 0 && !(*out = arena_copy(&w->arena, buf_str(&json))).p)
        rc = -ENOMEM;
    buf_free(&json);
    return rc;
}

/* "2026-11-22T23:00:00.5Z". */
static bool time_read(struct str text, uint64_t *out) {
    char copy[40];
    struct tm tm = {0};
    uint64_t micros = 0, unit = SECOND;
    if (text.n >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    const char *at = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
    if (at && *at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++)
            micros += (uint64_t)(*at - '0') * (unit /= 10);
    time_t t = at && strcmp(at, "Z") == 0 ? timegm(&tm) : -1;
    *out = (uint64_t)t * SECOND + micros;
    return t > 0;
}

static bool is_uint32(struct words *w, script_value v) {
    return script_kind(w->s, v) == SCRIPT_INTEGER && script_integer(w->s, v) >= 0 &&
           script_integer(w->s, v) < UINT32_MAX;
}

struct reading {
    struct words *w;
    struct script_fault *fault;
    struct rehearsed_event event;
    bool plain; /* type and data alone */
};

static int event_data_read(struct reading *r, script_value value) {
    int rc = json_copy(r->w, value, &r->event.data, r->fault);
    if (rc == 0 && r->event.data.p[0] != '{')
        return fail(r->w, r->fault, "the data of an event must be an object");
    return rc > 0 ? fail_rc(r->w, r->fault, rc) : rc;
}

static int event_member_read(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct reading *r = arg;
    struct words *w = r->w;
    (void)key_is_integer;
    if (str_eq(key, STR("data")))
        return event_data_read(r, value);
    if (str_eq(key, STR("type")) && script_kind(w->s, value) == SCRIPT_STRING) {
        r->event.type = text_copy(w, value);
        return r->event.type.p ? 0 : -ENOMEM;
    }
    r->plain = false;
    if (str_eq(key, STR("version")) && is_uint32(w, value)) {
        r->event.schema = (uint32_t)script_integer(w->s, value);
        return 0;
    }
    if (str_eq(key, STR("uid")) && is_uint32(w, value)) {
        r->event.uid = (uint32_t)script_integer(w->s, value);
        return 0;
    }
    if (str_eq(key, STR("time")) && time_read(script_string(w->s, value), &r->event.time))
        return 0;
    return fail(w, r->fault, "event(type, data, { version = 1, uid = 1000, time = \"2026-11-22T23:00:00Z\" }): %.*s",
                (int)key.n, key.p);
}

static int event_read(struct words *w, script_value v, struct reading *out, struct script_fault *fault) {
    *out = (struct reading){w, fault, {.schema = REHEARSAL_NEWEST, .data = STR("{}")}, true};
    if (script_kind(w->s, v) != SCRIPT_OBJECT)
        return fail(w, fault, "events are made by event(type, data)");
    int rc = script_each(w->s, v, event_member_read, out);
    if (rc == 0 && !out->event.type.n)
        return fail(w, fault, "an event has a type: event(\"OrderPlaced\", { ... })");
    return rc;
}

/* --- test and event */

static int word_test(void *arg, struct script *s, script_value arguments, script_value *result,
                     struct script_fault *fault) {
    struct words *w = arg;
    (void)result;
    script_value name = script_item(s, arguments, 1), function = script_item(s, arguments, 2);
    struct str text = script_string(s, name);
    int rc = 0;
    if (w->running)
        rc = fail(w, fault, "a test cannot be inside another one");
    else if (!text.n || script_kind(s, function) != SCRIPT_FUNCTION)
        rc = fail(w, fault, "a test is written test(\"name\", function() ... end)");
    for (size_t i = 0; rc == 0 && i < w->n_tests; i++)
        if (str_eq(str_of(w->tests[i].name), text))
            rc = fail(w, fault, "there are two tests named \"%s\"", w->tests[i].name);
    char *copy = rc == 0 ? strndup(text.p, text.n) : NULL;
    if (rc == 0 && (!copy || !ARRAY_ROOM(w->tests, w->n_tests, w->tests_cap)))
        rc = -ENOMEM;
    script_drop(s, name);
    if (rc == 0) {
        w->tests[w->n_tests++] = (struct test){copy, function};
        return 0;
    }
    free(copy);
    script_drop(s, function);
    return rc;
}

static int option_put(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct reading *r = arg;
    struct str json;
    struct buf *out = &r->w->scratch;
    (void)key_is_integer;
    int rc = json_copy(r->w, value, &json, r->fault);
    if (rc != 0)
        return fail_rc(r->w, r->fault, rc);
    buf_put_char(out, ',');
    buf_put_json_string(out, key);
    buf_put_char(out, ':');
    buf_put_str(out, json);
    return 0;
}

/* event(type, data, version or { version =, uid =, time = }) as JSON. */
static int event_put(struct words *w, script_value arguments, struct buf *out, struct script_fault *fault) {
    script_value type = script_item(w->s, arguments, 1), data = script_item(w->s, arguments, 2),
                 more = script_item(w->s, arguments, 3);
    struct str json = STR("{}");
    struct reading r = {.w = w, .fault = fault};
    int rc = 0;
    if (script_kind(w->s, type) != SCRIPT_STRING)
        rc = fail(w, fault, "an event is written event(\"OrderPlaced\", { ... })");
    if (rc == 0 && data && (rc = json_copy(w, data, &json, fault)) != 0)
        rc = fail_rc(w, fault, rc);
    buf_put_text(out, "{\"type\":");
    buf_put_json_string(out, script_string(w->s, type));
    buf_put_text(out, ",\"data\":");
    buf_put_str(out, json);
    if (rc == 0 && script_kind(w->s, more) == SCRIPT_INTEGER)
        buf_printf(out, ",\"version\":%lld", (long long)script_integer(w->s, more));
    else if (rc == 0 && script_kind(w->s, more) == SCRIPT_OBJECT)
        rc = script_each(w->s, more, option_put, &r);
    else if (rc == 0 && more)
        rc = fail(w, fault, "behind an event's data stands its version, like 1, or { version = 1, ... }");
    buf_put_char(out, '}');
    script_drop(w->s, type);
    script_drop(w->s, data);
    script_drop(w->s, more);
    return rc;
}

static int word_event(void *arg, struct script *s, script_value arguments, script_value *result,
                      struct script_fault *fault) {
    struct words *w = arg;
    struct json_value *tree = arena_alloc(&w->arena, sizeof *tree);
    const char *why;
    buf_clear(&w->scratch);
    int rc = tree ? event_put(w, arguments, &w->scratch, fault) : -ENOMEM;
    size_t n = w->scratch.n;
    char *text = rc == 0 && !w->scratch.oom ? arena_alloc(&w->arena, n + JSON_PADDING) : NULL;
    if (rc == 0 && !text)
        rc = -ENOMEM;
    if (rc == 0) {
        memcpy(text, w->scratch.p, n);
        memset(text + n, 0, JSON_PADDING);
        rc = json_tree_read(w->parser, (struct str){text, n}, &w->arena, tree, &why);
        if (rc == JSON_MALFORMED)
            rc = fail(w, fault, "the event is not what JSON can hold: %s", why);
    }
    return rc == 0 ? script_of_json(s, tree, result) : rc;
}

/* --- given */

static int give(struct words *w, struct str aggregate, const struct rehearsed_event *e, struct script_fault *fault) {
    struct rehearsed_event named = *e;
    struct err err = {0};
    named.aggregate = aggregate;
    int rc = rehearsal_give(w->rehearsal, &named, &err);
    if (rc == -ENOMEM)
        return rc;
    return rc == 0 ? 0
                   : fail(w, fault, "given %.*s of %.*s: %s", (int)e->type.n, e->type.p, (int)aggregate.n, aggregate.p,
                          err.text);
}

static int given_list(struct words *w, script_value list, struct str aggregate, struct script_fault *fault) {
    int64_t n = script_length(w->s, list);
    int rc = 0;
    for (int64_t i = 1; rc == 0 && i <= n; i++) {
        struct reading r;
        script_value item = script_item(w->s, list, i);
        rc = event_read(w, item, &r, fault);
        script_drop(w->s, item);
        if (rc != 0)
            return rc;
        if (aggregate.p)
            rc = give(w, aggregate, &r.event, fault);
        else if (ARRAY_ROOM(w->given, w->n_given, w->given_cap))
            w->given[w->n_given++] = r.event;
        else
            rc = -ENOMEM;
    }
    return rc;
}

enum { NOT_OF_CALLER = SCRIPT_REJECTED + 1 };

struct visiting {
    struct words *w;
    struct script_fault *fault;
    struct buf *out;
    struct rehearsal_caller *caller;
    struct identity *who;
    bool follows; /* a member has been put */
    uint32_t gids[64];
};

static int given_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct visiting *v = arg;
    (void)key_is_integer;
    if (script_kind(v->w->s, value) != SCRIPT_ARRAY)
        return fail(v->w, v->fault, "given { [\"order/1\"] = { event(...), ... } }: %.*s has no list of events",
                    (int)key.n, key.p);
    return given_list(v->w, value, key, v->fault);
}

static int word_given(void *arg, struct script *s, script_value arguments, script_value *result,
                      struct script_fault *fault) {
    struct words *w = arg;
    struct visiting v = {.w = w, .fault = fault};
    (void)result;
    int rc = in_test(w, "given", fault);
    if (rc == 0)
        rc = looked_at(w, fault);
    if (rc != 0)
        return rc;
    script_value what = script_item(s, arguments, 1);
    if (script_kind(s, what) == SCRIPT_ARRAY)
        rc = given_list(w, what, (struct str){NULL, 0}, fault);
    else if (script_kind(s, what) == SCRIPT_OBJECT)
        rc = script_each(s, what, given_visit, &v);
    else
        rc = fail(w, fault, "given takes a list of events, or { [\"order/1\"] = { event(...), ... } }");
    script_drop(s, what);
    return rc;
}

/* --- when */

static int gids_read(struct visiting *v, script_value list) {
    int64_t n = script_length(v->w->s, list);
    if (script_kind(v->w->s, list) != SCRIPT_ARRAY || n > (int64_t)(sizeof v->gids / sizeof *v->gids))
        return fail(v->w, v->fault, "gids is a list of numbers");
    for (int64_t i = 1; i <= n; i++) {
        script_value gid = script_item(v->w->s, list, i);
        v->gids[i - 1] = (uint32_t)script_integer(v->w->s, gid);
        script_drop(v->w->s, gid);
    }
    v->who->gids = v->gids;
    v->who->n_gids = (size_t)n;
    v->caller->who = v->who;
    return 0;
}

/* Who sends it and when: not of the command itself. */
static int caller_member_read(struct visiting *v, struct str key, script_value value) {
    struct words *w = v->w;
    bool uid = str_eq(key, STR("uid")), gid = str_eq(key, STR("gid"));
    if (str_eq(key, STR("gids")))
        return gids_read(v, value);
    if (str_eq(key, STR("time")))
        return time_read(script_string(w->s, value), &v->caller->time)
                   ? 0
                   : fail(w, v->fault, "time is written \"2026-11-22T23:00:00Z\"");
    if (!uid && !gid)
        return NOT_OF_CALLER;
    if (!is_uint32(w, value))
        return fail(w, v->fault, "%s is a number", uid ? "uid" : "gid");
    *(uid ? &v->who->uid : &v->who->gid) = (uint32_t)script_integer(w->s, value);
    v->caller->who = v->who;
    return 0;
}

static int command_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct visiting *v = arg;
    struct str json;
    (void)key_is_integer;
    int rc = caller_member_read(v, key, value);
    if (rc != NOT_OF_CALLER)
        return rc;
    if (str_eq(key, STR("aggregate")) && !v->w->aggregate.p)
        v->w->aggregate = text_copy(v->w, value);
    rc = json_copy(v->w, value, &json, v->fault);
    if (rc != 0)
        return fail_rc(v->w, v->fault, rc);
    buf_put_text(v->out, v->follows ? "," : "");
    v->follows = true;
    buf_put_json_string(v->out, key);
    buf_put_char(v->out, ':');
    buf_put_str(v->out, json);
    return 0;
}

static int command_put(struct visiting *v, script_value command) {
    if (script_kind(v->w->s, command) != SCRIPT_OBJECT)
        return fail(v->w, v->fault,
                    "a command is written { aggregate = \"order/1\", type = \"PlaceOrder\", data = {} }");
    buf_put_char(v->out, '{');
    v->follows = false;
    int rc = script_each(v->w->s, command, command_visit, v);
    buf_put_char(v->out, '}');
    return rc;
}

/* A list of commands is a transaction. */
static int request_put(struct visiting *v, script_value request) {
    if (script_kind(v->w->s, request) != SCRIPT_ARRAY)
        return command_put(v, request);
    int64_t n = script_length(v->w->s, request);
    int rc = 0;
    for (int64_t i = 1; rc == 0 && i <= n; i++) {
        script_value command = script_item(v->w->s, request, i);
        buf_put_char(v->out, i == 1 ? '[' : ',');
        rc = command_put(v, command);
        script_drop(v->w->s, command);
    }
    buf_put_char(v->out, ']');
    return rc;
}

static int given_settle(struct words *w, struct script_fault *fault) {
    int rc = 0;
    if (w->n_given && !w->aggregate.p)
        rc = fail(w, fault, "the given events are of no aggregate: the command names none");
    for (size_t i = 0; rc == 0 && i < w->n_given; i++)
        rc = give(w, w->aggregate, &w->given[i], fault);
    w->n_given = 0;
    return rc;
}

static int word_when(void *arg, struct script *s, script_value arguments, script_value *result,
                     struct script_fault *fault) {
    struct words *w = arg;
    struct buf json = {0};
    struct rehearsal_caller caller = {0};
    struct identity who = {0};
    struct visiting v = {.w = w, .fault = fault, .out = &json, .caller = &caller, .who = &who};
    (void)result;
    int rc = in_test(w, "when", fault);
    if (rc == 0)
        rc = looked_at(w, fault);
    if (rc != 0)
        return rc;
    script_value request = script_item(s, arguments, 1);
    w->sent = true;
    w->aggregate = (struct str){NULL, 0};
    rc = request_put(&v, request);
    script_drop(s, request);
    if (rc == 0)
        rc = given_settle(w, fault);
    if (rc == 0)
        rc = json.oom ? -ENOMEM : rehearsal_send(w->rehearsal, buf_str(&json), &caller, &w->result);
    if (rc == 0)
        w->refused = w->result.refusal.outcome != OUTCOME_OK;
    buf_free(&json);
    return rc;
}

/* --- expect */

static int expecting(struct words *w, const char *word, bool needs_when, struct script_fault *fault) {
    int rc = in_test(w, word, fault);
    if (rc == 0 && needs_when && !w->sent)
        rc = fail(w, fault, "%s comes after a when { ... }", word);
    w->checked = true;
    return rc;
}

static int compare(struct words *w, struct str expected, struct str got, const char *what, struct script_fault *fault) {
    int rc = diff_json(expected, got, w->colours, &w->details);
    return rc == DIFF_DIFFERENT ? fail(w, fault, "%s (- expected, + got)", what) : rc;
}

static void event_show(const struct rehearsed_event *e, struct buf *out) {
    buf_put_text(out, "{\"type\":");
    buf_put_json_string(out, e->type);
    buf_put_text(out, ",\"data\":");
    buf_put_str(out, e->data);
    buf_put_char(out, '}');
}

/* The events of one aggregate, or (p NULL) all, as an array. */
static void made_show(const struct rehearsal_result *result, struct str aggregate, struct buf *out) {
    char before = '[';
    for (size_t i = 0; i < result->n; i++) {
        if (aggregate.p && !str_eq(result->events[i].aggregate, aggregate))
            continue;
        buf_put_char(out, before);
        event_show(&result->events[i], out);
        before = ',';
    }
    buf_put_text(out, before == '[' ? "[]" : "]");
}

static bool is_first_of(const struct rehearsal_result *result, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (str_eq(result->events[k].aggregate, result->events[i].aggregate))
            return false;
    return true;
}

static void made_show_apart(const struct rehearsal_result *result, struct buf *out) {
    buf_put_char(out, '{');
    for (size_t i = 0; i < result->n; i++) {
        if (!is_first_of(result, i))
            continue;
        buf_put_text(out, i ? "," : "");
        buf_put_json_string(out, result->events[i].aggregate);
        buf_put_char(out, ':');
        made_show(result, result->events[i].aggregate, out);
    }
    buf_put_char(out, '}');
}

static int expected_show(struct words *w, script_value list, struct buf *out, struct script_fault *fault) {
    int64_t n = script_length(w->s, list);
    int rc = 0;
    buf_put_char(out, '[');
    for (int64_t i = 1; rc == 0 && i <= n; i++) {
        struct reading r;
        script_value item = script_item(w->s, list, i);
        rc = event_read(w, item, &r, fault);
        script_drop(w->s, item);
        if (rc == 0 && !r.plain)
            rc = fail(w, fault, "expect compares types and data: event(type, data)");
        buf_put_text(out, i > 1 ? "," : "");
        event_show(&r.event, out);
    }
    buf_put_char(out, ']');
    return rc;
}

static int expected_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct visiting *v = arg;
    (void)key_is_integer;
    if (script_kind(v->w->s, value) != SCRIPT_ARRAY)
        return fail(v->w, v->fault, "expect { [\"order/1\"] = { event(...), ... } }: %.*s has no list of events",
                    (int)key.n, key.p);
    buf_put_text(v->out, v->out->n > 1 ? "," : "");
    buf_put_json_string(v->out, key);
    buf_put_char(v->out, ':');
    return expected_show(v->w, value, v->out, v->fault);
}

static int count_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    (void)key, (void)key_is_integer, (void)value;
    ++*(size_t *)arg;
    return 0;
}

static int events_compare(struct words *w, script_value what, struct script_fault *fault) {
    struct buf expected = {0}, got = {0};
    struct visiting v = {.w = w, .fault = fault, .out = &expected};
    size_t members = 0;
    int rc = 0;
    script_each(w->s, what, count_visit, &members);
    if (script_kind(w->s, what) == SCRIPT_OBJECT && members) {
        buf_put_char(&expected, '{');
        rc = script_each(w->s, what, expected_visit, &v);
        buf_put_char(&expected, '}');
        made_show_apart(&w->result, &got);
    } else if (script_kind(w->s, what) == SCRIPT_ARRAY || (what && !members)) {
        rc = expected_show(w, what, &expected, fault);
        made_show(&w->result, (struct str){NULL, 0}, &got);
    } else {
        rc = fail(w, fault, "expect takes a list of events, or { [\"order/1\"] = { event(...), ... } }");
    }
    if (rc == 0)
        rc = expected.oom || got.oom ? -ENOMEM
                                     : compare(w, buf_str(&expected), buf_str(&got), "the events differ", fault);
    buf_free(&expected);
    buf_free(&got);
    return rc;
}

static int word_expect(void *arg, struct script *s, script_value arguments, script_value *result,
                       struct script_fault *fault) {
    struct words *w = arg;
    (void)result;
    int rc = expecting(w, "expect", true, fault);
    if (rc == 0 && w->result.refusal.outcome != OUTCOME_OK)
        rc = fail_refused(w, "", fault);
    if (rc != 0)
        return rc;
    script_value what = script_item(s, arguments, 1);
    rc = events_compare(w, what, fault);
    script_drop(s, what);
    return rc;
}

/* --- expect_rejected and expect_error */

static int words_compare(struct words *w, struct str wanted, struct script_fault *fault) {
    const char *detail = w->result.refusal.detail;
    if (!wanted.n || memmem(detail, strlen(detail), wanted.p, wanted.n))
        return 0;
    buf_printf(&w->details, "  - %.*s\n  + %s\n", (int)wanted.n, wanted.p, detail);
    return fail(w, fault, "the reason is another one (- expected, + got)");
}

static int refusal_compare(struct words *w, const char *code, struct str wanted, struct script_fault *fault) {
    const enum outcome o = w->result.refusal.outcome;
    w->refused = false;
    if (o == OUTCOME_OK) {
        struct buf got = {0};
        made_show(&w->result, (struct str){NULL, 0}, &got);
        diff_json(STR("[]"), buf_str(&got), w->colours, &w->details);
        buf_free(&got);
        return fail(w, fault, "the command was accepted, not refused with %s", code);
    }
    if (strcmp(outcome_errno_name(o), code) == 0)
        return words_compare(w, wanted, fault);
    char instead[32];
    snprintf(instead, sizeof instead, " and not with %s", code);
    return fail_refused(w, instead, fault);
}

static int word_expect_rejected(void *arg, struct script *s, script_value arguments, script_value *result,
                                struct script_fault *fault) {
    struct words *w = arg;
    (void)result;
    int rc = expecting(w, "expect_rejected", true, fault);
    if (rc != 0)
        return rc;
    script_value reason = script_item(s, arguments, 1);
    if (reason && script_kind(s, reason) != SCRIPT_STRING)
        rc = fail(w, fault, "expect_rejected takes words of the reason");
    else
        rc = refusal_compare(w, "EPERM", script_string(s, reason), fault);
    script_drop(s, reason);
    return rc;
}

static bool is_errno_name(const char *name) {
    for (enum outcome o = OUTCOME_OK + 1; o < OUTCOME_COUNT; o++)
        if (strcmp(outcome_errno_name(o), name) == 0)
            return true;
    return false;
}

static int word_expect_error(void *arg, struct script *s, script_value arguments, script_value *result,
                             struct script_fault *fault) {
    struct words *w = arg;
    (void)result;
    int rc = expecting(w, "expect_error", true, fault);
    if (rc != 0)
        return rc;
    script_value code = script_item(s, arguments, 1), words = script_item(s, arguments, 2);
    const char *name = script_string(s, code).p;
    if (script_kind(s, code) != SCRIPT_STRING || !is_errno_name(name))
        rc = fail(w, fault, "expect_error takes an errno like \"EINVAL\", and words of the reason");
    else
        rc = refusal_compare(w, name, script_string(s, words), fault);
    script_drop(s, code);
    script_drop(s, words);
    return rc;
}

/* --- expect_state */

static int state_compare(struct words *w, struct str aggregate, script_value state, struct script_fault *fault) {
    struct buf got = {0};
    struct err err = {0};
    struct str expected;
    int rc = rehearsal_state(w->rehearsal, aggregate, &got, &err);
    if (rc < 0 && rc != -ENOMEM)
        rc = fail(w, fault, "%s", err.text);
    if (rc == 0 && (rc = json_copy(w, state, &expected, fault)) != 0)
        rc = fail_rc(w, fault, rc);
    if (rc == 0 && got.oom)
        rc = -ENOMEM;
    if (rc == 0)
        rc = compare(w, expected, buf_str(&got), "the state differs", fault);
    buf_free(&got);
    return rc;
}

/* expect_state { ... } is of the aggregate of the last `when`; expect_state("order/1", { ... }) of any. */
static int word_expect_state(void *arg, struct script *s, script_value arguments, script_value *result,
                             struct script_fault *fault) {
    struct words *w = arg;
    (void)result;
    script_value first = script_item(s, arguments, 1), second = script_item(s, arguments, 2);
    bool named = script_kind(s, first) == SCRIPT_STRING;
    struct str aggregate = named ? script_string(s, first) : w->aggregate;
    int rc = expecting(w, "expect_state", !named, fault);
    if (rc == 0)
        rc = looked_at(w, fault);
    if (rc == 0 && w->n_given)
        rc = fail(w, fault, "the given events are of no aggregate yet: write given { [\"order/1\"] = { ... } }");
    if (rc == 0 && (!aggregate.p || !(named ? second : first)))
        rc = fail(w, fault, "expect_state takes a state, or an aggregate and a state");
    if (rc == 0)
        rc = state_compare(w, aggregate, named ? second : first, fault);
    script_drop(s, first);
    script_drop(s, second);
    return rc;
}

/* --- what is not there */

static int word_absent(void *arg, struct script *s, script_value arguments, script_value *result,
                       struct script_fault *fault) {
    (void)s, (void)arguments, (void)result;
    return fail(arg, fault, "views, queries and sagas cannot be tested: this release of esfs does not have them");
}

/* --- files and tests */

static int words_define(struct words *w) {
    static const struct {
        const char *name;
        script_native *native;
    } all[] = {
        {"test", word_test},
        {"event", word_event},
        {"given", word_given},
        {"when", word_when},
        {"expect", word_expect},
        {"expect_rejected", word_expect_rejected},
        {"expect_error", word_expect_error},
        {"expect_state", word_expect_state},
        {"expect_view", word_absent},
        {"expect_query", word_absent},
        {"expect_saga", word_absent},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof all / sizeof *all; i++)
        rc = script_define(w->s, all[i].name, all[i].native, w);
    return rc;
}

int words_new(struct words **out, const struct words_options *options, struct err *err) {
    struct words *w = calloc(1, sizeof *w);
    const struct script_options how = {.library = options->library, .arg = options->arg};
    if (!w)
        return err_set(err, ENOMEM, "out of memory");
    w->colours = options->colours;
    w->parser = json_parser_new();
    int rc = w->parser ? script_new(&w->s, &how) : -ENOMEM;
    if (rc == 0)
        rc = words_define(w);
    rc = rc < 0 ? err_set(err, -rc, "out of memory") : rehearsal_new(&w->rehearsal, options->domain, err);
    if (rc < 0) {
        words_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

void words_free(struct words *w) {
    if (!w)
        return;
    for (size_t i = 0; i < w->n_tests; i++)
        free(w->tests[i].name);
    free(w->tests);
    free(w->given);
    script_free(w->s);
    rehearsal_free(w->rehearsal);
    json_parser_free(w->parser);
    arena_free(&w->arena);
    buf_free(&w->details);
    buf_free(&w->scratch);
    free(w);
}

/* A file of tests returns nothing, and a definition must return a table. */
int words_load(struct words *w, const char *name, struct str text, struct script_fault *fault) {
    struct buf whole = {0};
    script_value table = 0;
    buf_put_str(&whole, text);
    buf_put_text(&whole, "\nreturn {}");
    int rc = whole.oom ? -ENOMEM : script_load(w->s, name, buf_str(&whole), &table, fault);
    script_drop(w->s, table);
    buf_free(&whole);
    return rc;
}

size_t words_count(const struct words *w) {
    return w->n_tests;
}

const char *words_test(const struct words *w, size_t i) {
    return w->tests[i].name;
}

/* What only the end of a test can tell. */
static int test_end(struct words *w, struct script_fault *fault) {
    if (w->failed) {
        *fault = w->failure;
        return SCRIPT_FAILED;
    }
    if (w->refused)
        return looked_at(w, fault);
    if (w->n_given)
        return fail(w, fault, "the given events are of no aggregate: there is no when { ... } after them");
    return w->checked ? 0 : fail(w, fault, "it checks nothing: there is no expect");
}

static void callers_show(const char *traceback, struct buf *out) {
    const char *line = strchr(traceback, '\n');
    for (; line; line = strchr(line + 1, '\n'))
        buf_printf(out, "    called at %.*s\n", (int)strcspn(line + 1, "\n"), line + 1);
}

static void failure_show(struct words *w, size_t i, const struct script_fault *fault, struct buf *out) {
    char place[128];
    if (fault->line)
        snprintf(place, sizeof place, "%s:%d", fault->file, fault->line);
    else
        script_place(w->s, w->tests[i].function, place);
    buf_printf(out, "%s%s: %s%s\n  %s\n", w->colours ? "\033[1m" : "", place, w->tests[i].name,
               w->colours ? "\033[0m" : "", fault->text);
    buf_put_str(out, buf_str(&w->details));
    callers_show(fault->traceback, out);
}

int words_run(struct words *w, size_t i, struct buf *report) {
    struct script_fault fault = {0};
    script_value result = 0;
    rehearsal_clear(w->rehearsal);
    arena_reset(&w->arena, 1 << 20);
    buf_clear(&w->details);
    w->n_given = 0;
    w->sent = false;
    w->aggregate = (struct str){NULL, 0};
    w->result = (struct rehearsal_result){0};
    w->refused = w->checked = w->failed = false;
    w->running = true;
    int rc = script_call(w->s, w->tests[i].function, 0, &result, &fault);
    script_drop(w->s, result);
    if (rc == 0)
        rc = test_end(w, &fault);
    w->running = false;
    if (rc < 0)
        return rc;
    if (rc > 0)
        failure_show(w, i, &fault, report);
    return report->oom ? -ENOMEM : rc > 0 ? WORDS_FAILED : WORDS_PASSED;
}
