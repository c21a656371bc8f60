/* Reading the members of what a definition file returned. */
#include "domain_private.h"

#include <errno.h>
#include <stdarg.h>

int reader_fault(struct reader *r, const char *member, const char *format, ...) {
    char words[400];
    va_list args;
    va_start(args, format);
    err_format(words, sizeof words, format, args);
    va_end(args);
    return err_set(r->err, EINVAL, "%s: %s%s%s: %s", r->file.p, r->at, r->at[0] && member[0] ? "." : "", member, words);
}

int reader_memory(struct reader *r) {
    return err_set(r->err, ENOMEM, "%s: out of memory", r->file.p);
}

int reader_members(struct reader *r, script_value table, const char *const *names, size_t n) {
    struct err why = {0};
    int rc = domain_members_check(r->s, table, names, n, &why);
    return rc < 0 ? err_set(r->err, EINVAL, "%s: %s%s%s", r->file.p, r->at, r->at[0] ? "." : "", why.text) : 0;
}

int reader_member(struct reader *r, script_value table, const char *name, enum script_kind kind, const char *what,
                  script_value *out) {
    *out = script_member(r->s, table, name);
    if (!*out)
        return 0;
    bool fits = kind == SCRIPT_OBJECT ? domain_is_table(r->s, *out) : script_kind(r->s, *out) == kind;
    if (fits)
        return 0;
    script_drop(r->s, *out);
    *out = 0;
    return reader_fault(r, name, "must be %s", what);
}

int reader_function(struct reader *r, script_value table, const char *name, bool *there) {
    script_value v;
    int rc = reader_member(r, table, name, SCRIPT_FUNCTION, "a function", &v);
    *there = v != 0;
    script_drop(r->s, v);
    return rc;
}

int reader_boolean(struct reader *r, script_value table, const char *name, bool *out) {
    script_value v;
    int rc = reader_member(r, table, name, SCRIPT_BOOLEAN, "true or false", &v);
    *out = v && script_boolean(r->s, v);
    script_drop(r->s, v);
    return rc;
}

int reader_text(struct reader *r, script_value table, const char *name, struct str *out) {
    script_value v;
    int rc = reader_member(r, table, name, SCRIPT_STRING, "a text", &v);
    *out = v ? domain_name_copy(r->arena, script_string(r->s, v)) : (struct str){0};
    script_drop(r->s, v);
    return rc == 0 && out->n && !out->p ? reader_memory(r) : rc;
}

int reader_allow(struct reader *r, script_value table, const char *name, struct allow *out) {
    struct err why = {0};
    script_value v = script_member(r->s, table, name);
    int rc = allow_read(r->s, v, r->arena, out, &why);
    script_drop(r->s, v);
    if (rc < 0)
        err_set(r->err, -rc, "%s: %s%s%s: %s", r->file.p, r->at, r->at[0] ? "." : "", name, why.text);
    return rc;
}

static int entry_count(void *arg, struct str key, bool key_is_integer, script_value value) {
    (void)key, (void)key_is_integer, (void)value;
    ++*(size_t *)arg;
    return 0;
}

size_t reader_count(struct reader *r, script_value table) {
    size_t n = 0;
    script_each(r->s, table, entry_count, &n);
    return n;
}
