/* given and event: what has happened before. */
#include "ctl_test_private.h"

#include "array.h"

#include <errno.h>

/* --- events as tests write them */

static int event_data_read(struct reading *r, script_value value) {
    int rc = words_json(r->w, value, &r->event.data, r->fault);
    if (rc == 0 && r->event.data.p[0] != '{')
        return words_fail(r->w, r->fault, "the data of an event must be an object");
    return rc > 0 ? words_fail_rc(r->w, r->fault, rc) : rc;
}

static int event_member_read(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct reading *r = arg;
    struct words *w = r->w;
    (void)key_is_integer;
    if (str_eq(key, STR("data")))
        return event_data_read(r, value);
    if (str_eq(key, STR("type")) && script_kind(w->s, value) == SCRIPT_STRING) {
        r->event.type = words_text(w, value);
        return r->event.type.p ? 0 : -ENOMEM;
    }
    r->plain = false;
    if (str_eq(key, STR("version")) && words_is_uint32(w, value)) {
        r->event.schema = (uint32_t)script_integer(w->s, value);
        return 0;
    }
    if (str_eq(key, STR("uid")) && words_is_uint32(w, value)) {
        r->event.uid = (uint32_t)script_integer(w->s, value);
        return 0;
    }
    if (str_eq(key, STR("time")) && words_time(script_string(w->s, value), &r->event.time))
        return 0;
    return words_fail(w, r->fault,
                      "event(type, data, { version = 1, uid = 1000, time = \"2026-11-22T23:00:00Z\" }): %.*s",
                      (int)key.n, key.p);
}

int words_event(struct words *w, script_value v, struct reading *out, struct script_fault *fault) {
    *out = (struct reading){w, fault, {.schema = REHEARSAL_NEWEST, .data = STR("{}")}, true};
    if (script_kind(w->s, v) != SCRIPT_OBJECT)
        return words_fail(w, fault, "events are made by event(type, data)");
    int rc = script_each(w->s, v, event_member_read, out);
    if (rc == 0 && !out->event.type.n)
        return words_fail(w, fault, "an event has a type: event(\"OrderPlaced\", { ... })");
    return rc;
}

/* --- event */

static int option_put(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct reading *r = arg;
    struct str json;
    struct buf *out = &r->w->scratch;
    (void)key_is_integer;
    int rc = words_json(r->w, value, &json, r->fault);
    if (rc != 0)
        return words_fail_rc(r->w, r->fault, rc);
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
        rc = words_fail(w, fault, "an event is written event(\"OrderPlaced\", { ... })");
    if (rc == 0 && data && (rc = words_json(w, data, &json, fault)) != 0)
        rc = words_fail_rc(w, fault, rc);
    buf_put_text(out, "{\"type\":");
    buf_put_json_string(out, script_string(w->s, type));
    buf_put_text(out, ",\"data\":");
    buf_put_str(out, json);
    if (rc == 0 && script_kind(w->s, more) == SCRIPT_INTEGER)
        buf_printf(out, ",\"version\":%lld", (long long)script_integer(w->s, more));
    else if (rc == 0 && script_kind(w->s, more) == SCRIPT_OBJECT)
        rc = script_each(w->s, more, option_put, &r);
    else if (rc == 0 && more)
        rc = words_fail(w, fault, "behind an event's data stands its version, like 1, or { version = 1, ... }");
    buf_put_char(out, '}');
    script_drop(w->s, type);
    script_drop(w->s, data);
    script_drop(w->s, more);
    return rc;
}

int word_event(void *arg, struct script *s, script_value arguments, script_value *result, struct script_fault *fault) {
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
            rc = words_fail(w, fault, "the event is not what JSON can hold: %s", why);
    }
    return rc == 0 ? script_of_json(s, tree, result) : rc;
}

/* --- given */

int words_give(struct words *w, struct str aggregate, const struct rehearsed_event *e, struct script_fault *fault) {
    struct rehearsed_event named = *e;
    struct err err = {0};
    named.aggregate = aggregate;
    int rc = rehearsal_give(w->rehearsal, &named, &err);
    if (rc == -ENOMEM)
        return rc;
    return rc == 0 ? 0
                   : words_fail(w, fault, "given %.*s of %.*s: %s", (int)e->type.n, e->type.p, (int)aggregate.n,
                                aggregate.p, err.text);
}

static int given_list(struct words *w, script_value list, struct str aggregate, struct script_fault *fault) {
    int64_t n = script_length(w->s, list);
    int rc = words_list(w, list, "what is given", fault);
    for (int64_t i = 1; rc == 0 && i <= n; i++) {
        struct reading r;
        script_value item = script_item(w->s, list, i);
        rc = words_event(w, item, &r, fault);
        script_drop(w->s, item);
        if (rc != 0)
            return rc;
        if (aggregate.p)
            rc = words_give(w, aggregate, &r.event, fault);
        else if (ARRAY_ROOM(w->given, w->n_given, w->given_cap))
            w->given[w->n_given++] = r.event;
        else
            rc = -ENOMEM;
    }
    return rc;
}

struct giving {
    struct words *w;
    struct script_fault *fault;
};

static int given_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct giving *v = arg;
    (void)key_is_integer;
    if (script_kind(v->w->s, value) != SCRIPT_ARRAY)
        return words_fail(v->w, v->fault, "given { [\"order/1\"] = { event(...), ... } }: %.*s has no list of events",
                          (int)key.n, key.p);
    return given_list(v->w, value, key, v->fault);
}

int word_given(void *arg, struct script *s, script_value arguments, script_value *result, struct script_fault *fault) {
    struct words *w = arg;
    struct giving v = {.w = w, .fault = fault};
    (void)result;
    int rc = words_in_test(w, "given", fault);
    if (rc == 0)
        rc = words_looked_at(w, fault);
    if (rc != 0)
        return rc;
    script_value what = script_item(s, arguments, 1);
    w->before = rehearsal_position(w->rehearsal);
    if (script_kind(s, what) == SCRIPT_ARRAY)
        rc = given_list(w, what, (struct str){NULL, 0}, fault);
    else if (script_kind(s, what) == SCRIPT_OBJECT)
        rc = script_each(s, what, given_visit, &v);
    else
        rc = words_fail(w, fault, "given takes a list of events, or { [\"order/1\"] = { event(...), ... } }");
    script_drop(s, what);
    return rc == 0 ? words_follow(w, fault) : rc;
}
