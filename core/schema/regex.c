#define PCRE2_CODE_UNIT_WIDTH 8
#include "regex.h"

#include "buf.h"

#include <errno.h>
#include <pcre2.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* A match is tried with the lower limit first, so that those that are expensive can be told. Beyond the higher one,
 * some milliseconds, and 4 MB, it gives up. */
#define MATCH_LIMIT_LOW 1000
#define MATCH_LIMIT 1000000
#define HEAP_LIMIT_KIB 4096
#define PATTERN_MAX 65536

struct regex {
    pcre2_code *code;
    pcre2_match_context *low, *high;   /* limits */
    _Atomic(pcre2_match_data *) spare; /* scratch memory of a match, for the next one */
};

/* --- from ECMA-262 to PCRE2 */

#define SPACES_BEYOND_ASCII "\\x{a0}\\x{feff}\\x{2028}\\x{2029}\\p{Zs}"

struct translation {
    const char *p, *end;
    struct buf out;
    char *why;
    bool quantifiable; /* what was written last may have a quantifier */
};

static int refused(struct translation *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refused(struct translation *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(t->why, REGEX_WHY, format, args);
    va_end(args);
    return REGEX_INVALID;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly n hexadecimal digits, which are taken; otherwise none is, and it is false. */
static bool hex_take(struct translation *t, int n, uint32_t *out) {
    uint32_t v = 0;
    if (t->end - t->p < n)
        return false;
    for (int i = 0; i < n; i++) {
        int digit = hex_value(t->p[i]);
        if (digit < 0)
            return false;
        v = v * 16 + (uint32_t)digit;
    }
    t->p += n;
    *out = v;
    return true;
}

/* After "\u{". */
static bool hex_braced_take(struct translation *t, uint32_t *out) {
    uint32_t v = 0;
    const char *start = t->p;
    for (; t->p < t->end && hex_value(*t->p) >= 0 && v <= 0x10ffff; t->p++)
        v = v * 16 + (uint32_t)hex_value(*t->p);
    if (t->p == start || t->p == t->end || *t->p != '}' || v > 0x10ffff)
        return false;
    t->p++;
    *out = v;
    return true;
}

/* After "\u". Two escapes may be the halves of one character. */
static int unicode_take(struct translation *t) {
    uint32_t v, low;
    bool good;
    if (t->p < t->end && *t->p == '{') {
        t->p++;
        good = hex_braced_take(t, &v);
    } else {
        good = hex_take(t, 4, &v);
        if (good && v >= 0xd800 && v < 0xdc00 && t->end - t->p >= 6 && t->p[0] == '\\' && t->p[1] == 'u') {
            t->p += 2;
            good = hex_take(t, 4, &low) && low >= 0xdc00 && low < 0xe000;
            v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    if (!good)
        return refused(t, "\\u is not followed by a code point");
    if (v >= 0xd800 && v < 0xe000)
        return refused(t, "\\u%04x is half a character, which no text has", (unsigned)v);
    buf_printf(&t->out, "\\x{%x}", (unsigned)v);
    return 0;
}

/* General categories have long names in ECMA-262, which PCRE2 does not know. */
static const char *const categories[][3] = {
    {"Cased_Letter", "L&", "LC"},
    {"Close_Punctuation", "Pe"},
    {"Combining_Mark", "M"},
    {"Connector_Punctuation", "Pc"},
    {"Control", "Cc", "cntrl"},
    {"Currency_Symbol", "Sc"},
    {"Dash_Punctuation", "Pd"},
    {"Decimal_Number", "Nd", "digit"},
    {"Enclosing_Mark", "Me"},
    {"Final_Punctuation", "Pf"},
    {"Format", "Cf"},
    {"Initial_Punctuation", "Pi"},
    {"Letter", "L"},
    {"Letter_Number", "Nl"},
    {"Line_Separator", "Zl"},
    {"Lowercase_Letter", "Ll"},
    {"Mark", "M"},
    {"Math_Symbol", "Sm"},
    {"Modifier_Letter", "Lm"},
    {"Modifier_Symbol", "Sk"},
    {"Nonspacing_Mark", "Mn"},
    {"Number", "N"},
    {"Open_Punctuation", "Ps"},
    {"Other", "C"},
    {"Other_Letter", "Lo"},
    {"Other_Number", "No"},
    {"Other_Punctuation", "Po"},
    {"Other_Symbol", "So"},
    {"Paragraph_Separator", "Zp"},
    {"Private_Use", "Co"},
    {"Punctuation", "P", "punct"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Spacing_Mark", "Mc"},
    {"Surrogate", "Cs"},
    {"Symbol", "S"},
    {"Titlecase_Letter", "Lt"},
    {"Unassigned", "Cn"},
    {"Uppercase_Letter", "Lu"},
};

static const char *category_find(struct str name) {
    for (size_t i = 0; i < sizeof categories / sizeof *categories; i++)
        if (str_eq(name, str_of(categories[i][0])) || (categories[i][2] && str_eq(name, str_of(categories[i][2]))))
            return categories[i][1];
    return NULL;
}

static bool prefix_take(struct str *s, const char *prefix) {
    size_t n = strlen(prefix);
    if (s->n < n || memcmp(s->p, prefix, n) != 0)
        return false;
    *s = (struct str){s->p + n, s->n - n};
    return true;
}

/* After "\p" or "\P". Names that are left as they are, PCRE2 judges. */
static int property_take(struct translation *t, bool negated) {
    const char *close = t->p < t->end && *t->p == '{' ? memchr(t->p, '}', (size_t)(t->end - t->p)) : NULL;
    if (!close)
        return refused(t, "\\p is not followed by the name of a property in braces");
    struct str name = {t->p + 1, (size_t)(close - t->p - 1)};
    t->p = close + 1;
    for (size_t i = 0; i < name.n; i++)
        if (hex_value(name.p[i]) < 0 && !((name.p[i] | 0x20) >= 'a' && (name.p[i] | 0x20) <= 'z') && name.p[i] != '_' &&
            name.p[i] != '=')
            return refused(t, "\\p is not followed by the name of a property in braces");
    bool category = prefix_take(&name, "General_Category=") || prefix_take(&name, "gc=");
    const char *mapped = category_find(name);
    if (str_eq(name, STR("Assigned")) && !category) {
        mapped = "Cn";
        negated = !negated;
    }
    buf_printf(&t->out, "\\%c{", negated ? 'P' : 'p');
    if (mapped)
        buf_put_text(&t->out, mapped);
    else if (prefix_take(&name, "Script_Extensions=") || prefix_take(&name, "scx="))
        buf_printf(&t->out, "scx=%.*s", (int)name.n, name.p);
    else if (prefix_take(&name, "Script=") || prefix_take(&name, "sc="))
        buf_printf(&t->out, "sc=%.*s", (int)name.n, name.p);
    else
        buf_put_str(&t->out, name);
    buf_put_char(&t->out, '}');
    return 0;
}

static int back_reference_take(struct translation *t, char first) {
    unsigned v = (unsigned)(first - '0');
    while (t->p < t->end && *t->p >= '0' && *t->p <= '9' && v < 100000)
        v = v * 10 + (unsigned)(*t->p++ - '0');
    buf_printf(&t->out, "\\g{%u}", v);
    return 0;
}

/* After "\k". */
static int named_reference_take(struct translation *t) {
    const char *close = t->p < t->end && *t->p == '<' ? memchr(t->p, '>', (size_t)(t->end - t->p)) : NULL;
    if (!close)
        return refused(t, "\\k is not followed by the name of a group in <>");
    buf_put_text(&t->out, "\\k");
    buf_put(&t->out, t->p, (size_t)(close + 1 - t->p));
    t->p = close + 1;
    return 0;
}

/* Escapes that are written the same way inside brackets and outside; *known tells. */
static int escape_shared(struct translation *t, char c, bool *known) {
    uint32_t v;
    *known = true;
    switch (c) {
    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        buf_printf(&t->out, "\\%c", c);
        return 0;
    case 'v':
        buf_put_text(&t->out, "\\x{b}");
        return 0;
    case '0':
        if (t->p < t->end && *t->p >= '0' && *t->p <= '9')
            return refused(t, "\\0 is followed by a digit");
        buf_put_text(&t->out, "\\x{0}");
        return 0;
    case 'c':
        if (t->p == t->end || (*t->p | 0x20) < 'a' || (*t->p | 0x20) > 'z')
            return refused(t, "\\c is not followed by a letter");
        buf_printf(&t->out, "\\x{%x}", (unsigned)*t->p++ & 31);
        return 0;
    case 'x':
        if (!hex_take(t, 2, &v))
            return refused(t, "\\x is not followed by two hexadecimal digits");
        buf_printf(&t->out, "\\x{%x}", (unsigned)v);
        return 0;
    case 'u':
        return unicode_take(t);
    case 'p':
    case 'P':
        return property_take(t, c == 'P');
    default:
        *known = false;
        return 0;
    }
}

/* What is no letter, digit or byte beyond ASCII may be escaped to stand for itself. */
static int escape_itself(struct translation *t, char c) {
    if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (unsigned char)c >= 0x80 || c == '_' ||
        (unsigned char)c < 0x20) {
        if (c > 0x20 && c < 0x7f)
            return refused(t, "\\%c is not an escape of ECMA-262", c);
        return refused(t, "a backslash stands before a character that needs no escape");
    }
    buf_printf(&t->out, "\\%c", c);
    return 0;
}

static int escape_outside(struct translation *t) {
    if (t->p == t->end)
        return refused(t, "it ends with a backslash");
    bool known;
    char c = *t->p++;
    int rc = escape_shared(t, c, &known);
    t->quantifiable = true;
    if (rc || known)
        return rc;
    switch (c) {
    case 's':
        buf_put_text(&t->out, "[\\s" SPACES_BEYOND_ASCII "]");
        return 0;
    case 'S':
        buf_put_text(&t->out, "[^\\s" SPACES_BEYOND_ASCII "]");
        return 0;
    case 'b':
    case 'B':
        t->quantifiable = false;
        buf_printf(&t->out, "\\%c", c);
        return 0;
    case 'k':
        return named_reference_take(t);
    default:
        return c >= '1' && c <= '9' ? back_reference_take(t, c) : escape_itself(t, c);
    }
}

static int escape_inside(struct translation *t) {
    if (t->p == t->end)
        return refused(t, "it ends with a backslash");
    bool known;
    char c = *t->p++;
    int rc = escape_shared(t, c, &known);
    if (rc || known)
        return rc;
    switch (c) {
    case 's':
        buf_put_text(&t->out, "\\s" SPACES_BEYOND_ASCII);
        return 0;
    case 'S':
        buf_put_text(&t->out, "\\S");
        return 0;
    case 'b':
        buf_put_text(&t->out, "\\x{8}");
        return 0;
    default:
        return escape_itself(t, c);
    }
}

/* After '['. */
static int class_take(struct translation *t) {
    buf_put_char(&t->out, '[');
    if (t->p < t->end && *t->p == '^')
        buf_put_char(&t->out, *t->p++);
    while (t->p < t->end && *t->p != ']') {
        char c = *t->p++;
        if (c == '\\') {
            int rc = escape_inside(t);
            if (rc)
                return rc;
            continue;
        }
        if (c == '[') /* PCRE2 would look for [:name:] */
            buf_put_char(&t->out, '\\');
        buf_put_char(&t->out, c);
    }
    if (t->p == t->end)
        return refused(t, "a [ is not closed");
    buf_put_char(&t->out, *t->p++);
    t->quantifiable = true;
    return 0;
}

/* After '('. */
static int group_take(struct translation *t) {
    static const char *const openings[] = {"?:", "?=", "?!", "?<=", "?<!", "?<"};
    buf_put_char(&t->out, '(');
    t->quantifiable = false;
    if (t->p == t->end || *t->p != '?')
        return 0;
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        size_t n = strlen(openings[i]);
        if ((size_t)(t->end - t->p) < n || memcmp(t->p, openings[i], n) != 0)
            continue;
        buf_put(&t->out, t->p, n);
        t->p += n;
        return 0;
    }
    return refused(t, "(? begins no group of ECMA-262");
}

/* The end of "{2}", "{2,}" or "{2,3}" from its '{' on; NULL: it is none. */
static const char *braces_end(const char *p, const char *end) {
    const char *digits = ++p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    if (p == digits)
        return NULL;
    if (p < end && *p == ',')
        p++;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p < end && *p == '}' ? p + 1 : NULL;
}

static int quantifier_take(struct translation *t, const char *start, const char *end) {
    if (!t->quantifiable)
        return refused(t, "there is nothing that %.*s could repeat", (int)(end - start), start);
    buf_put(&t->out, start, (size_t)(end - start));
    t->p = end;
    if (t->p < t->end && *t->p == '?')
        buf_put_char(&t->out, *t->p++);
    t->quantifiable = false;
    return 0;
}

static int brace_take(struct translation *t) {
    const char *end = braces_end(t->p - 1, t->end);
    if (end)
        return quantifier_take(t, t->p - 1, end);
    buf_put_text(&t->out, "\\{");
    t->quantifiable = true;
    return 0;
}

static int term_take(struct translation *t) {
    char c = *t->p++;
    switch (c) {
    case '\\':
        return escape_outside(t);
    case '[':
        return class_take(t);
    case '(':
        return group_take(t);
    case '{':
        return brace_take(t);
    case '*':
    case '+':
    case '?':
        return quantifier_take(t, t->p - 1, t->p);
    case '.':
        buf_put_text(&t->out, "[^\\n\\r\\x{2028}\\x{2029}]");
        break;
    case ']':
    case '}':
        buf_printf(&t->out, "\\%c", c);
        break;
    default:
        buf_put_char(&t->out, c);
    }
    t->quantifiable = c != '|' && c != '^' && c != '$';
    return 0;
}

static int translate(struct translation *t, struct str pattern) {
    t->p = pattern.p;
    t->end = pattern.p + pattern.n;
    int rc = pattern.n <= PATTERN_MAX ? 0 : refused(t, "it is longer than %d bytes", PATTERN_MAX);
    while (!rc && t->p < t->end)
        rc = term_take(t);
    return !rc && t->out.oom ? -ENOMEM : rc;
}

/* --- compiling and matching */

static int code_new(struct regex *r, struct str pattern, char why[REGEX_WHY]) {
    int code;
    size_t offset;
    uint32_t options = PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS |
                       PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C;
    r->code = pcre2_compile((PCRE2_SPTR)(pattern.n ? pattern.p : ""), pattern.n, options, &code, &offset, NULL);
    r->low = pcre2_match_context_create(NULL);
    r->high = pcre2_match_context_create(NULL);
    if (!r->code && code != PCRE2_ERROR_NOMEMORY && code != 121) {
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, REGEX_WHY);
        return REGEX_INVALID;
    }
    if (!r->code || !r->low || !r->high)
        return -ENOMEM;
    pcre2_set_match_limit(r->low, MATCH_LIMIT_LOW);
    pcre2_set_match_limit(r->high, MATCH_LIMIT);
    pcre2_set_heap_limit(r->low, HEAP_LIMIT_KIB);
    pcre2_set_heap_limit(r->high, HEAP_LIMIT_KIB);
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* where that is not possible it is interpreted */
    return 0;
}

int regex_new(struct regex **out, struct str pattern, char why[REGEX_WHY]) {
    struct translation t = {.why = why};
    struct regex *r = calloc(1, sizeof *r);
    int rc = r ? translate(&t, pattern) : -ENOMEM;
    if (!rc)
        rc = code_new(r, buf_str(&t.out), why);
    buf_free(&t.out);
    if (rc) {
        regex_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void regex_free(struct regex *r) {
    if (!r)
        return;
    pcre2_match_data_free(atomic_load(&r->spare));
    pcre2_match_context_free(r->low);
    pcre2_match_context_free(r->high);
    pcre2_code_free(r->code);
    free(r);
}

static int match_outcome(int rc) {
    if (rc == PCRE2_ERROR_NOMATCH)
        return REGEX_MISSES;
    if (rc == PCRE2_ERROR_NOMEMORY)
        return -ENOMEM;
    return rc >= 0 ? REGEX_MATCHES : REGEX_GIVES_UP;
}

static int match_limited(const struct regex *r, struct str text, pcre2_match_data *data, pcre2_match_context *limits) {
    PCRE2_SPTR p = (PCRE2_SPTR)(text.n ? text.p : "");
    int rc = pcre2_match(r->code, p, text.n, 0, PCRE2_NO_UTF_CHECK, data, limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, p, text.n, 0, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, limits);
    return rc;
}

int regex_match(const struct regex *r, struct str text, uint64_t *work) {
    struct regex *mine = (struct regex *)r; /* the spare is no part of what it means */
    pcre2_match_data *data = atomic_exchange_explicit(&mine->spare, NULL, memory_order_acquire);
    if (!data && !(data = pcre2_match_data_create(1, NULL)))
        return -ENOMEM;
    uint64_t cost = 1 + text.n / 64;
    int rc = match_limited(r, text, data, r->low);
    if (rc == PCRE2_ERROR_MATCHLIMIT) {
        cost += MATCH_LIMIT / 100;
        rc = match_limited(r, text, data, r->high);
    }
    if (work)
        *work += cost;
    data = atomic_exchange_explicit(&mine->spare, data, memory_order_acq_rel);
    if (data)
        pcre2_match_data_free(data);
    return match_outcome(rc);
}
