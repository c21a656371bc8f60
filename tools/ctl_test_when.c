/* when: a command or a transaction is sent. */
#include "ctl_test_private.h"

#include <errno.h>

/* --- who sends it */

static int gids_read(struct words *w, struct calling *c, script_value list, struct script_fault *fault) {
    int64_t n = script_kind(w->s, list) == SCRIPT_ARRAY ? script_length(w->s, list) : 0;
    bool numbers = (n || words_is_empty(w, list)) && n <= (int64_t)(sizeof c->gids / sizeof *c->gids);
    for (int64_t i = 1; numbers && i <= n; i++) {
        script_value gid = script_item(w->s, list, i);
        numbers = words_is_uint32(w, gid);
        c->gids[i - 1] = (uint32_t)script_integer(w->s, gid);
        script_drop(w->s, gid);
    }
    c->who.gids = c->gids;
    c->who.n_gids = (size_t)n;
    return numbers ? 0 : words_fail(w, fault, "gids is a list of numbers");
}

int words_calling(struct words *w, struct calling *c, struct str key, script_value value, struct script_fault *fault) {
    bool uid = str_eq(key, STR("uid")), gid = str_eq(key, STR("gid")), gids = str_eq(key, STR("gids"));
    if (!uid && !gid && !gids)
        return CALLING_OTHER;
    c->given = true;
    c->gid_given |= gid;
    if (gids)
        return gids_read(w, c, value, fault);
    if (!words_is_uint32(w, value))
        return words_fail(w, fault, "%s is a number", uid ? "uid" : "gid");
    *(uid ? &c->who.uid : &c->who.gid) = (uint32_t)script_integer(w->s, value);
    return 0;
}

const struct identity *calling_who(struct calling *c) {
    if (!c->gid_given)
        c->who.gid = c->who.uid; /* a group of his own, as on most systems */
    return c->given ? &c->who : NULL;
}

/* --- the command */

struct sending {
    struct words *w;
    struct script_fault *fault;
    struct buf *out;
    struct calling calling;
    uint64_t time;
    bool follows; /* a member has been put */
};

/* Who sends it and when: not of the command itself. */
static int caller_member_read(struct sending *v, struct str key, script_value value) {
    if (!str_eq(key, STR("time")))
        return words_calling(v->w, &v->calling, key, value, v->fault);
    return words_time(script_string(v->w->s, value), &v->time)
               ? 0
               : words_fail(v->w, v->fault, "time is written \"2026-11-22T23:00:00Z\"");
}

static int command_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct sending *v = arg;
    struct str json;
    (void)key_is_integer;
    int rc = caller_member_read(v, key, value);
    if (rc != CALLING_OTHER)
        return rc;
    if (str_eq(key, STR("aggregate")) && !v->w->aggregate.p)
        v->w->aggregate = words_text(v->w, value);
    rc = words_json(v->w, value, &json, v->fault);
    if (rc != 0)
        return words_fail_rc(v->w, v->fault, rc);
    buf_put_text(v->out, v->follows ? "," : "");
    v->follows = true;
    buf_put_json_string(v->out, key);
    buf_put_char(v->out, ':');
    buf_put_str(v->out, json);
    return 0;
}

static int command_put(struct sending *v, script_value command) {
    if (script_kind(v->w->s, command) != SCRIPT_OBJECT)
        return words_fail(v->w, v->fault,
                          "a command is written { aggregate = \"order/1\", type = \"PlaceOrder\", data = {} }");
    buf_put_char(v->out, '{');
    v->follows = false;
    int rc = script_each(v->w->s, command, command_visit, v);
    buf_put_char(v->out, '}');
    return rc;
}

/* A list of commands is a transaction. */
static int request_put(struct sending *v, script_value request) {
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
        rc = words_fail(w, fault, "the given events are of no aggregate: the command names none");
    for (size_t i = 0; rc == 0 && i < w->n_given; i++)
        rc = words_give(w, w->aggregate, &w->given[i], fault);
    w->n_given = 0;
    return rc == 0 ? words_follow(w, fault) : rc;
}

int word_when(void *arg, struct script *s, script_value arguments, script_value *result, struct script_fault *fault) {
    struct words *w = arg;
    struct buf json = {0};
    struct sending v = {.w = w, .fault = fault, .out = &json};
    (void)result;
    int rc = words_in_test(w, "when", fault);
    if (rc == 0)
        rc = words_looked_at(w, fault);
    if (rc != 0)
        return rc;
    script_value request = script_item(s, arguments, 1);
    w->sent = true;
    w->aggregate = (struct str){NULL, 0};
    rc = request_put(&v, request);
    script_drop(s, request);
    const struct rehearsal_caller caller = {calling_who(&v.calling), v.time};
    if (rc == 0)
        rc = given_settle(w, fault);
    w->before = rehearsal_position(w->rehearsal);
    if (rc == 0)
        rc = json.oom ? -ENOMEM : rehearsal_send(w->rehearsal, buf_str(&json), &caller, &w->result);
    if (rc == 0)
        w->refused = w->result.refusal.outcome != OUTCOME_OK;
    buf_free(&json);
    return rc == 0 ? words_follow(w, fault) : rc;
}
