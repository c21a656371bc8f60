#include "domain_private.h"

#include "name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

bool domain_is_table(struct script *s, script_value v) {
    enum script_kind kind = script_kind(s, v);
    return kind == SCRIPT_OBJECT || kind == SCRIPT_ARRAY;
}

int domain_str_compare(struct str a, struct str b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n ? memcmp(a.p, b.p, n) : 0;
    return r ? r : (a.n > b.n) - (a.n < b.n);
}

struct str domain_name_copy(struct arena *arena, struct str s) {
    char *p = arena_alloc(arena, s.n + 1);
    if (!p)
        return (struct str){NULL, s.n};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return (struct str){p, s.n};
}

/* --- for messages */

static void shown_plain(struct str s, char out[DOMAIN_SHOWN]) {
    size_t n = s.n;
    bool cut = n >= DOMAIN_SHOWN;
    if (cut)
        for (n = DOMAIN_SHOWN - 4; n > 0 && ((uint8_t)s.p[n] & 0xc0) == 0x80;)
            n--;
    snprintf(out, DOMAIN_SHOWN, "%.*s%s", (int)n, s.n ? s.p : "", cut ? "..." : "");
}

const char *domain_shown(struct str s, char out[DOMAIN_SHOWN]) {
    if (name_is_plain_text(s)) {
        shown_plain(s, out);
        return out;
    }
    size_t at = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t byte = (uint8_t)s.p[i];
        if (at + 8 > DOMAIN_SHOWN)
            return memcpy(out + at, "...", 4), out;
        if (byte >= 0x20 && byte < 0x7f)
            out[at++] = (char)byte;
        else
            at += (size_t)snprintf(out + at, 5, "\\x%02x", byte);
    }
    out[at] = 0;
    return out;
}

/* --- unknown members */

#define NEAR_BYTES 24

static unsigned least(unsigned a, unsigned b) {
    return a < b ? a : b;
}

/* How many letters must be put in, taken out or changed: Levenshtein's distance, for short words. */
static unsigned distance(struct str a, struct str b) {
    unsigned row[NEAR_BYTES + 1];
    if (a.n > NEAR_BYTES || b.n > NEAR_BYTES)
        return UINT32_MAX;
    for (unsigned j = 0; j <= b.n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned changed = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            row[j] = least(changed, least(row[j - 1], row[j]) + 1);
        }
    }
    return row[b.n];
}

const char *domain_nearest(struct str key, const char *const *names, size_t n) {
    const char *name = NULL;
    unsigned best = key.n < 4 ? 2 : 3;
    for (size_t i = 0; i < n; i++) {
        unsigned d = distance(key, str_of(names[i]));
        if (d <= best && (!name || d < best)) {
            best = d;
            name = names[i];
        }
    }
    return name;
}

const char *domain_near(struct str name, const void *all, size_t size, size_t n) {
    const char **names = malloc((n + 1) * sizeof *names), *near = NULL;
    for (size_t i = 0; names && i < n; i++)
        names[i] = ((const struct str *)((const char *)all + i * size))->p;
    if (names)
        near = domain_nearest(name, names, n);
    free(names);
    return near;
}

struct members {
    const char *const *names;
    size_t n;
    struct err *err;
};

static int member_unknown(const struct members *m, struct str key) {
    char shown[DOMAIN_SHOWN], all[256];
    const char *near = domain_nearest(key, m->names, m->n);
    domain_shown(key, shown);
    if (near)
        return err_set(m->err, EINVAL, "%s: unknown member, did you mean %s?", shown, near);
    size_t at = 0;
    all[0] = 0;
    for (size_t i = 0; i < m->n && at < sizeof all; i++)
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", m->names[i]);
    return err_set(m->err, EINVAL, "%s: unknown member, there may be %s", shown, all);
}

static int member_check(void *arg, struct str key, bool key_is_integer, script_value value) {
    (void)value;
    const struct members *m = arg;
    for (size_t i = 0; !key_is_integer && i < m->n; i++)
        if (str_eq(key, str_of(m->names[i])))
            return 0;
    return member_unknown(m, key);
}

int domain_members_check(struct script *s, script_value table, const char *const *names, size_t n, struct err *err) {
    struct members m = {names, n, err};
    return script_each(s, table, member_check, &m);
}
