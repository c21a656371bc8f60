/* expect_query and expect_query_error. */
#include "ctl_test_private.h"

#include <errno.h>
#include <string.h>

#define EXAMPLE "expect_query(\"popular\", { min = 1 }, { ... })"
#define EXAMPLE_ERROR "expect_query_error(\"popular\", { min = \"many\" }, \"EINVAL\", \"not an integer\")"
#define EXAMPLE_CALLER "{ uid = 1000, gid = 100, gids = { 27 } }"

/* What a reader of a query may be refused with. */
static const struct {
    int code;
    const char *name;
} refusals[] = {
    {EINVAL, "EINVAL"},   {ENAMETOOLONG, "ENAMETOOLONG"},
    {EBADMSG, "EBADMSG"}, {ENOENT, "ENOENT"},
    {EACCES, "EACCES"},   {EIO, "EIO"},
    {EFBIG, "EFBIG"},
};

static const char *refusal_name(int code) {
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (refusals[i].code == code)
            return refusals[i].name;
    return strerror(code);
}

static int refusal_code(struct str name) {
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (str_eq(name, str_of(refusals[i].name)))
            return refusals[i].code;
    return 0;
}

/* --- what is asked, and by whom */

struct asking {
    struct words *w;
    struct script_fault *fault;
    struct rehearsal_question question;
    struct calling calling;
};

/* A table is what is written to `call`, a text the name of a file. */
static int params_read(struct asking *a, script_value params, const char *word, const char *example) {
    struct words *w = a->w;
    a->question.file = script_kind(w->s, params) == SCRIPT_STRING;
    if (a->question.file)
        return (a->question.params = words_text(w, params)).p ? 0 : -ENOMEM;
    if (!params)
        return words_fail(w, a->fault, "%s takes a query, its parameters, and what comes of it: %s", word, example);
    int rc = words_json(w, params, &a->question.params, a->fault);
    return rc == 0 ? 0 : words_fail_rc(w, a->fault, rc);
}

static int question_read(struct asking *a, script_value arguments, const char *word, const char *example) {
    struct words *w = a->w;
    script_value query = script_item(w->s, arguments, 1), params = script_item(w->s, arguments, 2);
    int rc = words_expecting(w, word, false, a->fault);
    if (rc == 0)
        rc = words_settled(w, a->fault);
    if (rc == 0)
        rc = words_follow(w, a->fault);
    if (rc == 0)
        rc = params_read(a, script_kind(w->s, query) == SCRIPT_STRING ? params : 0, word, example);
    if (rc == 0 && !(a->question.query = words_text(w, query)).p)
        rc = -ENOMEM;
    script_drop(w->s, query);
    script_drop(w->s, params);
    return rc;
}

static int caller_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct asking *a = arg;
    (void)key_is_integer;
    int rc = words_calling(a->w, &a->calling, key, value, a->fault);
    return rc == CALLING_OTHER
               ? words_fail(a->w, a->fault, "who asks is written " EXAMPLE_CALLER ": %.*s", (int)key.n, key.p)
               : rc;
}

static int caller_read(struct asking *a, script_value caller) {
    if (!caller)
        return 0;
    if (script_kind(a->w->s, caller) != SCRIPT_OBJECT)
        return words_fail(a->w, a->fault, "who asks is written " EXAMPLE_CALLER);
    int rc = script_each(a->w->s, caller, caller_visit, a);
    a->question.who = calling_who(&a->calling);
    return rc;
}

enum { ASKING_FAILED = REHEARSAL_REFUSED + 1 };

/* 0; REHEARSAL_REFUSED with *why and *place; ASKING_FAILED when the test asks for what is not there; -ENOMEM. */
static int ask(struct asking *a, struct buf *got, struct err *why, struct script_fault *place) {
    int rc = rehearsal_ask(a->w->rehearsal, &a->question, got, place, why);
    if (rc == 0 && got->oom)
        return -ENOMEM;
    if (rc >= 0 || rc == -ENOMEM)
        return rc;
    words_fail(a->w, a->fault, "%s", why->text);
    return ASKING_FAILED;
}

/* --- expect_query */

/* `instead`: the errno that was expected; empty: none was. */
static int refused(struct asking *a, struct str instead, const struct err *why, const struct script_fault *place) {
    words_traceback(a->w, place);
    return words_fail(a->w, a->fault, "the query was refused with %s%s%.*s: %s", refusal_name(why->code),
                      instead.n ? " and not with " : "", (int)instead.n, instead.p, why->text);
}

static int result_compare(struct asking *a, script_value value) {
    struct script_fault place = {0};
    struct buf got = {0};
    struct err why = {0};
    struct str expected;
    int rc = words_json(a->w, value, &expected, a->fault);
    if (rc != 0)
        return words_fail_rc(a->w, a->fault, rc);
    rc = ask(a, &got, &why, &place);
    if (rc == REHEARSAL_REFUSED)
        rc = refused(a, STR(""), &why, &place);
    else if (rc == 0)
        rc = words_diff(a->w, expected, buf_str(&got), "the result differs", a->fault);
    buf_free(&got);
    return rc > 0 ? SCRIPT_FAILED : rc;
}

int word_expect_query(void *arg, struct script *s, script_value arguments, script_value *result,
                      struct script_fault *fault) {
    struct words *w = arg;
    struct asking a = {.w = w, .fault = fault};
    (void)result;
    int rc = question_read(&a, arguments, "expect_query", EXAMPLE);
    if (rc != 0)
        return rc;
    script_value value = script_item(s, arguments, 3), caller = script_item(s, arguments, 4);
    if (value)
        rc = caller_read(&a, caller);
    else
        rc = words_fail(w, fault,
                        "expect_query takes the result, too: " EXAMPLE
                        "; null where there is none; expect_query_error says that there is a refusal");
    if (rc == 0)
        rc = result_compare(&a, value);
    script_drop(s, value);
    script_drop(s, caller);
    return rc;
}

/* --- expect_query_error */

static int refusal_compare(struct asking *a, struct str code, struct str wanted) {
    struct script_fault place = {0};
    struct buf got = {0};
    struct err why = {0};
    int rc = ask(a, &got, &why, &place);
    if (rc == 0) {
        buf_printf(&a->w->details, "  + %.*s\n", (int)got.n, got.p);
        rc = words_fail(a->w, a->fault, "the query was answered, not refused with %.*s", (int)code.n, code.p);
    } else if (rc == REHEARSAL_REFUSED) {
        rc = why.code == refusal_code(code) ? words_reason(a->w, why.text, wanted, a->fault)
                                            : refused(a, code, &why, &place);
    }
    buf_free(&got);
    return rc > 0 ? SCRIPT_FAILED : rc;
}

/* Words of the reason may be left out before who asks. */
int word_expect_query_error(void *arg, struct script *s, script_value arguments, script_value *result,
                            struct script_fault *fault) {
    struct words *w = arg;
    struct asking a = {.w = w, .fault = fault};
    (void)result;
    int rc = question_read(&a, arguments, "expect_query_error", EXAMPLE_ERROR);
    if (rc != 0)
        return rc;
    script_value code = script_item(s, arguments, 3), reason = script_item(s, arguments, 4);
    bool worded = !reason || script_kind(s, reason) == SCRIPT_STRING;
    script_value caller = script_item(s, arguments, worded ? 5 : 4);
    if (script_kind(s, code) != SCRIPT_STRING || !refusal_code(script_string(s, code)))
        rc = words_fail(w, fault,
                        "expect_query_error takes an errno that queries are refused with, and words of the "
                        "reason: " EXAMPLE_ERROR);
    else
        rc = caller_read(&a, caller);
    if (rc == 0)
        rc = refusal_compare(&a, script_string(s, code), worded ? script_string(s, reason) : (struct str){"", 0});
    script_drop(s, code);
    script_drop(s, reason);
    script_drop(s, caller);
    return rc;
}
