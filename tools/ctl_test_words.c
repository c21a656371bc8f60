#include "ctl_test_private.h"

#include "array.h"
#include "ctl_test_diff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SECOND 1000000ULL

/* --- failing */

int words_fail(struct words *w, struct script_fault *fault, const char *format, ...) {
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

int words_fail_rc(struct words *w, struct script_fault *fault, int rc) {
    if (rc > 0 && rc != SCRIPT_FAILED)
        return words_fail(w, fault, "reject() is for deciders");
    return rc < 0 ? rc : words_fail(w, fault, "%s", fault->text);
}

int words_in_test(struct words *w, const char *word, struct script_fault *fault) {
    return w->running ? 0 : words_fail(w, fault, "%s belongs into a test(name, function() ... end)", word);
}

static void indented_put(const char *lines, struct buf *out) {
    for (size_t n; *lines; lines += n + (lines[n] != 0)) {
        n = strcspn(lines, "\n");
        buf_printf(out, "    %.*s\n", (int)n, lines);
    }
}

void words_traceback(struct words *w, const struct script_fault *why) {
    indented_put(why->traceback, &w->details);
}

int words_fail_refused(struct words *w, const char *instead, struct script_fault *fault) {
    const enum outcome o = w->result.refusal.outcome;
    w->refused = false;
    words_traceback(w, &w->result.fault);
    return words_fail(w, fault, "the command was refused with %s%s: %s", outcome_errno_name(o), instead,
                      w->result.refusal.detail);
}

int words_looked_at(struct words *w, struct script_fault *fault) {
    return w->refused ? words_fail_refused(w, "", fault) : 0;
}

int words_settled(struct words *w, struct script_fault *fault) {
    int rc = words_looked_at(w, fault);
    if (rc == 0 && w->n_given)
        rc = words_fail(w, fault, "the given events are of no aggregate yet: write given { [\"order/1\"] = { ... } }");
    return rc;
}

int words_follow(struct words *w, struct script_fault *fault) {
    struct script_fault why = {0};
    struct err err = {0};
    int rc = rehearsal_follow(w->rehearsal, &why, &err);
    if (rc == 0 || rc == -ENOMEM)
        return rc;
    if (!w->failed)
        words_traceback(w, &why);
    return words_fail(w, fault, "%s", err.text);
}

/* --- expecting */

int words_expecting(struct words *w, const char *word, bool needs_when, struct script_fault *fault) {
    int rc = words_in_test(w, word, fault);
    if (rc == 0 && needs_when && !w->sent)
        rc = words_fail(w, fault, "%s comes after a when { ... }", word);
    w->checked = true;
    return rc;
}

int words_diff(struct words *w, struct str expected, struct str got, const char *what, struct script_fault *fault) {
    int rc = diff_json(expected, got, w->colours, &w->details);
    return rc == DIFF_DIFFERENT ? words_fail(w, fault, "%s (- expected, + got)", what) : rc;
}

/* --- reading values */

struct str words_text(struct words *w, script_value v) {
    return arena_copy(&w->arena, script_string(w->s, v));
}

int words_json(struct words *w, script_value v, struct str *out, struct script_fault *fault) {
    struct buf json = {0};
    int rc = script_to_json(w->s, v, &json, fault);
    if (rc == 0 && !(*out = arena_copy(&w->arena, buf_str(&json))).p)
        rc = -ENOMEM;
    buf_free(&json);
    return rc;
}

/* "2026-11-22T23:00:00.5Z". */
bool words_time(struct str text, uint64_t *out) {
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

bool words_is_uint32(struct words *w, script_value v) {
    return script_kind(w->s, v) == SCRIPT_INTEGER && script_integer(w->s, v) >= 0 &&
           script_integer(w->s, v) < UINT32_MAX;
}

static int count_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    (void)key, (void)key_is_integer, (void)value;
    ++*(size_t *)arg;
    return 0;
}

bool words_is_empty(struct words *w, script_value v) {
    size_t members = 0;
    enum script_kind kind = script_kind(w->s, v);
    if (kind == SCRIPT_ARRAY || kind == SCRIPT_OBJECT)
        script_each(w->s, v, count_visit, &members);
    return (kind == SCRIPT_ARRAY || kind == SCRIPT_OBJECT) && members == 0;
}

struct listing {
    struct words *w;
    const char *what;
    struct script_fault *fault;
    int64_t n;
};

static int item_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct listing *l = arg;
    char next[24];
    (void)value;
    snprintf(next, sizeof next, "%" PRIi64, ++l->n);
    if (!key_is_integer)
        return words_fail(l->w, l->fault, "%s is a list, and %.*s in it is none of its items", l->what, (int)key.n,
                          key.p);
    return str_eq(key, str_of(next)) ? 0 : words_fail(l->w, l->fault, "%s has no item %s", l->what, next);
}

int words_list(struct words *w, script_value list, const char *what, struct script_fault *fault) {
    struct listing l = {.w = w, .what = what, .fault = fault};
    return script_each(w->s, list, item_visit, &l);
}

/* --- test */

static int word_test(void *arg, struct script *s, script_value arguments, script_value *result,
                     struct script_fault *fault) {
    struct words *w = arg;
    (void)result;
    script_value name = script_item(s, arguments, 1), function = script_item(s, arguments, 2);
    struct str text = script_string(s, name);
    int rc = 0;
    if (w->running)
        rc = words_fail(w, fault, "a test cannot be inside another one");
    else if (!text.n || script_kind(s, function) != SCRIPT_FUNCTION)
        rc = words_fail(w, fault, "a test is written test(\"name\", function() ... end)");
    for (size_t i = 0; rc == 0 && i < w->n_tests; i++)
        if (str_eq(str_of(w->tests[i].name), text))
            rc = words_fail(w, fault, "there are two tests named \"%s\"", w->tests[i].name);
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

/* --- what is not there */

static int word_absent(void *arg, struct script *s, script_value arguments, script_value *result,
                       struct script_fault *fault) {
    (void)s, (void)arguments, (void)result;
    return words_fail(arg, fault, "this release of esfs does not test sagas");
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
        {"expect_view", word_expect_view},
        {"expect_no_view", word_expect_no_view},
        {"expect_published", word_expect_published},
        {"expect_query", word_expect_query},
        {"expect_query_error", word_expect_query_error},
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
    w->domain = options->domain;
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

/* Speaks of the file as it was written, without the return that was put behind it. */
static void syntax_fault(struct str text, struct script_fault *fault) {
    int lines = 1;
    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    if (fault->line <= lines)
        return;
    fault->line = lines;
    if (strstr(fault->text, "near 'return'") && !strstr(fault->text, "<eof>"))
        snprintf(fault->text, sizeof fault->text, "the file ends in the middle of something");
    else if (strstr(fault->text, "<eof> expected"))
        snprintf(fault->text, sizeof fault->text, "the file returns something, which files of tests do not");
}

/* A file of tests returns nothing, and a definition must return a table. */
int words_load(struct words *w, const char *name, struct str text, struct script_fault *fault) {
    struct buf whole = {0};
    script_value table = 0;
    buf_put_str(&whole, text);
    buf_put_text(&whole, "\nreturn {}");
    int rc = whole.oom ? -ENOMEM : script_load(w->s, name, buf_str(&whole), &table, fault);
    if (rc > 0)
        syntax_fault(text, fault);
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
        return words_looked_at(w, fault);
    if (w->n_given)
        return words_fail(w, fault, "the given events are of no aggregate: there is no when { ... } after them");
    return w->checked ? 0 : words_fail(w, fault, "it checks nothing: there is no expect");
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
    w->before = 0;
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
