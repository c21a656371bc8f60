/* expect_view and expect_no_view. */
#include "ctl_test_private.h"

#include "ctl_test_diff.h"

#include <errno.h>
#include <stdlib.h>

#define EXAMPLE "expect_view(\"by_customer\", \"alice\", { ... })"

/* What a test asks for: which view, and of that a key, or a directory. */
struct looking {
    struct str view, key;
};

/* Keys that are numbers are written as such, too. */
static int key_read(struct words *w, script_value v, struct str *out, struct script_fault *fault) {
    enum script_kind kind = script_kind(w->s, v);
    if (kind == SCRIPT_STRING)
        *out = words_text(w, v);
    else if (kind == SCRIPT_INTEGER || kind == SCRIPT_BOOLEAN)
        return words_json(w, v, out, fault);
    else
        return words_fail(w, fault, "the key of a view is a text, like \"alice\"; of an index a directory");
    return out->p ? 0 : -ENOMEM;
}

static int looking_read(struct words *w, const char *word, script_value arguments, struct looking *out,
                        struct script_fault *fault) {
    script_value view = script_item(w->s, arguments, 1), key = script_item(w->s, arguments, 2);
    int rc = words_expecting(w, word, false, fault);
    if (rc == 0)
        rc = words_settled(w, fault);
    if (rc == 0 && (script_kind(w->s, view) != SCRIPT_STRING || !key))
        rc = words_fail(w, fault, "%s takes a view and a key: " EXAMPLE, word);
    if (rc == 0)
        rc = key_read(w, key, &out->key, fault);
    if (rc == 0 && !(out->view = words_text(w, view)).p)
        rc = -ENOMEM;
    script_drop(w->s, view);
    script_drop(w->s, key);
    return rc;
}

/* -ENOENT in words when it is not there. */
static int look(struct words *w, const struct looking *at, struct buf *out, struct err *err,
                struct script_fault *fault) {
    int rc = words_follow(w, fault);
    if (rc == 0)
        rc = rehearsal_view(w->rehearsal, at->view, at->key, out, err);
    if (rc == -EINVAL)
        return words_fail(w, fault, "%s", err->text);
    return rc == 0 && out->oom ? -ENOMEM : rc;
}

/* --- what is expected of an index */

static int name_order(const void *a, const void *b) {
    const struct str *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static int names_read(struct words *w, script_value list, struct str *names, size_t n, struct script_fault *fault) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        script_value item = script_item(w->s, list, (int64_t)i + 1);
        if (script_kind(w->s, item) != SCRIPT_STRING)
            rc = words_fail(w, fault, "what is in a directory of an index are names: { \"1001\", \"1002\" }");
        else if (!(names[i] = words_text(w, item)).p)
            rc = -ENOMEM;
        script_drop(w->s, item);
    }
    return rc;
}

/* In the order in which they are listed: a test need not know it. */
static int names_expected(struct words *w, script_value list, struct buf *out, struct script_fault *fault) {
    bool is_list = script_kind(w->s, list) == SCRIPT_ARRAY;
    size_t n = is_list ? (size_t)script_length(w->s, list) : 0;
    struct str *names = arena_alloc(&w->arena, (n + 1) * sizeof *names);
    if (!names)
        return -ENOMEM;
    if (!is_list && !words_is_empty(w, list))
        return words_fail(w, fault, "what is in a directory of an index is a list: { \"1001\", \"1002\" }");
    int rc = words_list(w, list, "what is in a directory", fault);
    if (rc == 0)
        rc = names_read(w, list, names, n, fault);
    if (rc != 0)
        return rc;
    qsort(names, n, sizeof *names, name_order);
    buf_put_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_put_text(out, i ? "," : "");
        buf_put_json_string(out, names[i]);
    }
    buf_put_char(out, ']');
    return 0;
}

/* --- the words */

static int expected_put(struct words *w, const struct looking *at, script_value value, struct buf *out,
                        struct script_fault *fault) {
    const struct domain_view *view = domain_view(w->domain, at->view);
    struct str json;
    if (view->index)
        return names_expected(w, value, out, fault);
    int rc = words_json(w, value, &json, fault);
    if (rc != 0)
        return words_fail_rc(w, fault, rc);
    buf_put_str(out, json);
    return 0;
}

static int view_compare(struct words *w, const struct looking *at, script_value value, struct script_fault *fault) {
    struct buf expected = {0}, got = {0};
    struct err err = {0};
    int rc = look(w, at, &got, &err, fault);
    if (rc == -ENOENT)
        rc = words_fail(w, fault, "%s", err.text);
    if (rc == 0)
        rc = expected_put(w, at, value, &expected, fault);
    if (rc == 0)
        rc = expected.oom ? -ENOMEM : words_diff(w, buf_str(&expected), buf_str(&got), "the view differs", fault);
    buf_free(&expected);
    buf_free(&got);
    return rc;
}

int word_expect_view(void *arg, struct script *s, script_value arguments, script_value *result,
                     struct script_fault *fault) {
    struct words *w = arg;
    struct looking at;
    (void)result;
    int rc = looking_read(w, "expect_view", arguments, &at, fault);
    if (rc != 0)
        return rc;
    script_value value = script_item(s, arguments, 3);
    if (value)
        rc = view_compare(w, &at, value, fault);
    else
        rc = words_fail(w, fault,
                        "expect_view takes what the view shows, too: " EXAMPLE
                        "; expect_no_view says that there is no such key");
    script_drop(s, value);
    return rc;
}

int word_expect_no_view(void *arg, struct script *s, script_value arguments, script_value *result,
                        struct script_fault *fault) {
    struct words *w = arg;
    struct buf got = {0};
    struct err err = {0};
    struct looking at;
    (void)s, (void)result;
    int rc = looking_read(w, "expect_no_view", arguments, &at, fault);
    if (rc == 0)
        rc = look(w, &at, &got, &err, fault);
    if (rc == 0) {
        buf_printf(&w->details, "  + %.*s\n", (int)got.n, got.p);
        rc = words_fail(w, fault, "view %.*s has a %s \"%.*s\"", (int)at.view.n, at.view.p,
                        domain_view(w->domain, at.view)->index ? "directory" : "key", (int)at.key.n, at.key.p);
    }
    buf_free(&got);
    return rc == -ENOENT ? 0 : rc;
}
