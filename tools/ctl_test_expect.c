/* expect, expect_rejected, expect_error, expect_state. */
#include "ctl_test_private.h"

#include "ctl_test_diff.h"

#include <errno.h>
#include <stdio.h>

struct listing {
    struct words *w;
    struct script_fault *fault;
    struct buf *out;
};

/* --- expect */

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
    int rc = words_list(w, list, "what is expected", fault);
    buf_put_char(out, '[');
    for (int64_t i = 1; rc == 0 && i <= n; i++) {
        struct reading r;
        script_value item = script_item(w->s, list, i);
        rc = words_event(w, item, &r, fault);
        script_drop(w->s, item);
        if (rc == 0 && !r.plain)
            rc = words_fail(w, fault, "expect compares types and data: event(type, data)");
        buf_put_text(out, i > 1 ? "," : "");
        event_show(&r.event, out);
    }
    buf_put_char(out, ']');
    return rc;
}

static int expected_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct listing *v = arg;
    (void)key_is_integer;
    if (script_kind(v->w->s, value) != SCRIPT_ARRAY)
        return words_fail(v->w, v->fault, "expect { [\"order/1\"] = { event(...), ... } }: %.*s has no list of events",
                          (int)key.n, key.p);
    buf_put_text(v->out, v->out->n > 1 ? "," : "");
    buf_put_json_string(v->out, key);
    buf_put_char(v->out, ':');
    return expected_show(v->w, value, v->out, v->fault);
}

static int events_compare(struct words *w, script_value what, struct script_fault *fault) {
    struct buf expected = {0}, got = {0};
    struct listing v = {.w = w, .fault = fault, .out = &expected};
    bool empty = what && words_is_empty(w, what);
    int rc = 0;
    if (script_kind(w->s, what) == SCRIPT_OBJECT && !empty) {
        buf_put_char(&expected, '{');
        rc = script_each(w->s, what, expected_visit, &v);
        buf_put_char(&expected, '}');
        made_show_apart(&w->result, &got);
    } else if (script_kind(w->s, what) == SCRIPT_ARRAY || empty) {
        rc = expected_show(w, what, &expected, fault);
        made_show(&w->result, (struct str){NULL, 0}, &got);
    } else {
        rc = words_fail(w, fault, "expect takes a list of events, or { [\"order/1\"] = { event(...), ... } }");
    }
    if (rc == 0)
        rc = expected.oom || got.oom ? -ENOMEM
                                     : words_diff(w, buf_str(&expected), buf_str(&got), "the events differ", fault);
    buf_free(&expected);
    buf_free(&got);
    return rc;
}

int word_expect(void *arg, struct script *s, script_value arguments, script_value *result, struct script_fault *fault) {
    struct words *w = arg;
    (void)result;
    int rc = words_expecting(w, "expect", true, fault);
    if (rc == 0 && w->result.refusal.outcome != OUTCOME_OK)
        rc = words_fail_refused(w, "", fault);
    if (rc != 0)
        return rc;
    script_value what = script_item(s, arguments, 1);
    rc = events_compare(w, what, fault);
    script_drop(s, what);
    return rc;
}

/* --- expect_rejected and expect_error */

int words_reason(struct words *w, const char *reason, struct str wanted, struct script_fault *fault) {
    if (!wanted.n || memmem(reason, strlen(reason), wanted.p, wanted.n))
        return 0;
    buf_printf(&w->details, "  - %.*s\n  + %s\n", (int)wanted.n, wanted.p, reason);
    return words_fail(w, fault, "the reason is another one (- expected, + got)");
}

static int refusal_compare(struct words *w, const char *code, struct str wanted, struct script_fault *fault) {
    const enum outcome o = w->result.refusal.outcome;
    w->refused = false;
    if (o == OUTCOME_OK) {
        struct buf got = {0};
        made_show(&w->result, (struct str){NULL, 0}, &got);
        diff_json(STR("[]"), buf_str(&got), w->colours, &w->details);
        buf_free(&got);
        return words_fail(w, fault, "the command was accepted, not refused with %s", code);
    }
    if (strcmp(outcome_errno_name(o), code) == 0)
        return words_reason(w, w->result.refusal.detail, wanted, fault);
    char instead[32];
    snprintf(instead, sizeof instead, " and not with %s", code);
    return words_fail_refused(w, instead, fault);
}

int word_expect_rejected(void *arg, struct script *s, script_value arguments, script_value *result,
                         struct script_fault *fault) {
    struct words *w = arg;
    (void)result;
    int rc = words_expecting(w, "expect_rejected", true, fault);
    if (rc != 0)
        return rc;
    script_value reason = script_item(s, arguments, 1);
    if (reason && script_kind(s, reason) != SCRIPT_STRING)
        rc = words_fail(w, fault, "expect_rejected takes words of the reason");
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

int word_expect_error(void *arg, struct script *s, script_value arguments, script_value *result,
                      struct script_fault *fault) {
    struct words *w = arg;
    (void)result;
    int rc = words_expecting(w, "expect_error", true, fault);
    if (rc != 0)
        return rc;
    script_value code = script_item(s, arguments, 1), words = script_item(s, arguments, 2);
    const char *name = script_string(s, code).p;
    if (script_kind(s, code) != SCRIPT_STRING || !is_errno_name(name))
        rc = words_fail(w, fault, "expect_error takes an errno like \"EINVAL\", and words of the reason");
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
        rc = words_fail(w, fault, "%s", err.text);
    if (rc == 0 && (rc = words_json(w, state, &expected, fault)) != 0)
        rc = words_fail_rc(w, fault, rc);
    if (rc == 0 && got.oom)
        rc = -ENOMEM;
    if (rc == 0)
        rc = words_diff(w, expected, buf_str(&got), "the state differs", fault);
    buf_free(&got);
    return rc;
}

/* expect_state { ... } is of the aggregate of the last `when`; expect_state("order/1", { ... }) of any. */
int word_expect_state(void *arg, struct script *s, script_value arguments, script_value *result,
                      struct script_fault *fault) {
    struct words *w = arg;
    (void)result;
    script_value first = script_item(s, arguments, 1), second = script_item(s, arguments, 2);
    bool named = script_kind(s, first) == SCRIPT_STRING;
    struct str aggregate = named ? script_string(s, first) : w->aggregate;
    int rc = words_expecting(w, "expect_state", !named, fault);
    if (rc == 0)
        rc = words_settled(w, fault);
    if (rc == 0 && (!aggregate.p || !(named ? second : first)))
        rc = words_fail(w, fault, "expect_state takes a state, or an aggregate and a state");
    if (rc == 0)
        rc = state_compare(w, aggregate, named ? second : first, fault);
    script_drop(s, first);
    script_drop(s, second);
    return rc;
}
