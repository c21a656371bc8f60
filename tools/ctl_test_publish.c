/* expect_published. */
#include "ctl_test_private.h"

#include "kafka_message.h"

#include <errno.h>

#define EXAMPLE "{ topic = \"esfs.order\", key = \"1\", headers = { ce_type = \"OrderPlaced\" }, value = { ... } }"

struct header {
    const struct header *next;
    struct str name, text; /* text: JSON, a string or null */
};

/* A message, or as much of it as matters. Its parts are JSON; p is NULL where nothing is said of one. */
struct message {
    struct str topic, key, value;
    const struct header *headers;
};

static int header_add(struct words *w, struct message *m, struct str name, struct str text) {
    struct header *h = arena_alloc(&w->arena, sizeof *h);
    if (!h || !(name = arena_copy(&w->arena, name)).p)
        return -ENOMEM;
    *h = (struct header){m->headers, name, text};
    m->headers = h;
    return 0;
}

static int quoted(struct words *w, struct str text, struct str *out) {
    struct buf json = {0};
    buf_put_json_string(&json, text);
    *out = arena_copy(&w->arena, buf_str(&json));
    int rc = json.oom || !out->p ? -ENOMEM : 0;
    buf_free(&json);
    return rc;
}

/* --- what a test says */

struct telling {
    struct words *w;
    struct message *m;
    struct script_fault *fault;
};

static int part_read(struct telling *t, script_value value, struct str *out) {
    int rc = words_json(t->w, value, out, t->fault);
    return rc > 0 ? words_fail_rc(t->w, t->fault, rc) : rc;
}

static int header_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct telling *t = arg;
    struct str text;
    enum script_kind kind = script_kind(t->w->s, value);
    if (key_is_integer || (kind != SCRIPT_STRING && kind != SCRIPT_NULL))
        return words_fail(t->w, t->fault, "headers = { ce_type = \"OrderPlaced\" }: %.*s is no text, nor null for none",
                          (int)key.n, key.p);
    int rc = part_read(t, value, &text);
    return rc == 0 ? header_add(t->w, t->m, key, text) : rc;
}

static int member_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct telling *t = arg;
    enum script_kind kind = script_kind(t->w->s, value);
    (void)key_is_integer;
    if (str_eq(key, STR("topic")) && kind == SCRIPT_STRING)
        return part_read(t, value, &t->m->topic);
    if (str_eq(key, STR("key")) && kind == SCRIPT_STRING)
        return part_read(t, value, &t->m->key);
    if (str_eq(key, STR("headers")) && kind == SCRIPT_OBJECT)
        return script_each(t->w->s, value, header_visit, t);
    if (str_eq(key, STR("value")))
        return part_read(t, value, &t->m->value);
    return words_fail(t->w, t->fault, "a message is event(type, data), or " EXAMPLE ": %.*s", (int)key.n, key.p);
}

/* event(type, data): a message of this type with this value. */
static int event_read(struct telling *t, script_value item) {
    struct reading r;
    struct str type;
    int rc = words_event(t->w, item, &r, t->fault);
    if (rc == 0 && !r.plain)
        rc = words_fail(t->w, t->fault, "expect_published compares types and data of events: event(type, data)");
    if (rc == 0)
        rc = quoted(t->w, r.event.type, &type);
    if (rc != 0)
        return rc;
    t->m->value = r.event.data;
    return header_add(t->w, t->m, STR("ce_type"), type);
}

static int message_read(struct telling *t, script_value item) {
    if (script_kind(t->w->s, item) != SCRIPT_OBJECT)
        return words_fail(t->w, t->fault, "a message is event(type, data), or " EXAMPLE);
    script_value type = script_member(t->w->s, item, "type");
    script_drop(t->w->s, type);
    return type ? event_read(t, item) : script_each(t->w->s, item, member_visit, t);
}

static int messages_read(struct words *w, script_value list, struct message **out, size_t *n,
                         struct script_fault *fault) {
    bool is_list = script_kind(w->s, list) == SCRIPT_ARRAY;
    if (!is_list && !words_is_empty(w, list))
        return words_fail(w, fault, "expect_published takes a list of messages: { " EXAMPLE ", ... }");
    *n = is_list ? (size_t)script_length(w->s, list) : 0;
    *out = arena_alloc(&w->arena, (*n + 1) * sizeof **out);
    if (!*out)
        return -ENOMEM;
    int rc = words_list(w, list, "what is published", fault);
    for (size_t i = 0; rc == 0 && i < *n; i++) {
        struct telling t = {w, &(*out)[i], fault};
        script_value item = script_item(w->s, list, (int64_t)i + 1);
        *t.m = (struct message){0};
        rc = message_read(&t, item);
        script_drop(w->s, item);
    }
    return rc;
}

/* --- what came */

struct arriving {
    struct words *w;
    const struct message *expected;
    size_t n_expected, n;
    struct buf got;
};

static int got_header(struct words *w, const struct kafka_message *came, const struct header *like,
                      struct message *got) {
    for (size_t i = 0; i < came->n_headers; i++) {
        struct str text;
        if (!str_eq(str_of(came->headers[i].name), like->name))
            continue;
        int rc = quoted(w, came->headers[i].value, &text);
        return rc == 0 ? header_add(w, got, like->name, text) : rc;
    }
    return str_eq(like->text, STR("null")) ? header_add(w, got, like->name, like->text) : 0;
}

/* As much of a message as the test says of it. */
static int got_make(struct words *w, const char *topic, const struct kafka_message *came, const struct message *like,
                    struct message *got) {
    int rc = like->topic.p ? quoted(w, str_of(topic), &got->topic) : 0;
    if (rc == 0 && like->key.p)
        rc = quoted(w, came->key, &got->key);
    if (like->value.p)
        got->value = came->value;
    for (const struct header *h = like->headers; rc == 0 && h; h = h->next)
        rc = got_header(w, came, h, got);
    return rc;
}

static void part_show(const char *name, struct str json, char *before, struct buf *out) {
    if (!json.p)
        return;
    buf_printf(out, "%c\"%s\":", *before, name);
    buf_put_str(out, json);
    *before = ',';
}

static void headers_show(const struct header *headers, char *before, struct buf *out) {
    if (!headers)
        return;
    buf_printf(out, "%c\"headers\":", *before);
    *before = '{';
    for (const struct header *h = headers; h; h = h->next) {
        buf_put_char(out, *before);
        buf_put_json_string(out, h->name);
        buf_put_char(out, ':');
        buf_put_str(out, h->text);
        *before = ',';
    }
    buf_put_char(out, '}');
}

static void message_show(const struct message *m, bool first, struct buf *out) {
    char before = '{';
    buf_put_text(out, first ? "" : ",");
    part_show("topic", m->topic, &before, out);
    part_show("key", m->key, &before, out);
    headers_show(m->headers, &before, out);
    part_show("value", m->value, &before, out);
    buf_put_text(out, before == '{' ? "{}" : "}");
}

static int arrive(void *arg, const char *topic, const struct kafka_message *came) {
    static const struct header type = {.name = {"ce_type", sizeof "ce_type" - 1}, .text = {"", 0}};
    static const struct message whole = {{"", 0}, {"", 0}, {"", 0}, &type}; /* of one that the test does not expect */
    struct arriving *a = arg;
    struct message got = {0};
    int rc = got_make(a->w, topic, came, a->n < a->n_expected ? &a->expected[a->n] : &whole, &got);
    message_show(&got, a->n++ == 0, &a->got);
    return rc;
}

/* --- the word */

static int messages_compare(struct words *w, script_value list, struct script_fault *fault) {
    struct arriving a = {.w = w};
    struct message *expected = NULL;
    struct buf wanted = {0};
    struct err err = {0};
    int rc = messages_read(w, list, &expected, &a.n_expected, fault);
    if (rc != 0)
        return rc;
    a.expected = expected;
    buf_put_char(&wanted, '[');
    buf_put_char(&a.got, '[');
    for (size_t i = 0; i < a.n_expected; i++)
        message_show(&expected[i], i == 0, &wanted);
    rc = rehearsal_publish(w->rehearsal, w->before, arrive, &a, fault, &err);
    if (rc == -EINVAL)
        rc = words_fail(w, fault, "%s", err.text);
    buf_put_char(&wanted, ']');
    buf_put_char(&a.got, ']');
    if (rc == 0)
        rc = wanted.oom || a.got.oom ? -ENOMEM
                                     : words_diff(w, buf_str(&wanted), buf_str(&a.got), "the messages differ", fault);
    buf_free(&wanted);
    buf_free(&a.got);
    return rc;
}

int word_expect_published(void *arg, struct script *s, script_value arguments, script_value *result,
                          struct script_fault *fault) {
    struct words *w = arg;
    (void)result;
    int rc = words_expecting(w, "expect_published", false, fault);
    if (rc == 0)
        rc = words_settled(w, fault);
    if (rc == 0)
        rc = words_follow(w, fault);
    if (rc != 0)
        return rc;
    script_value list = script_item(s, arguments, 1);
    rc = messages_compare(w, list, fault);
    script_drop(s, list);
    return rc;
}
