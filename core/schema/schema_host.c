/* Addresses and names of hosts. Sources: RFC 1123, RFC 2673 section 3.2, RFC 4291 section 2.2, RFC 5890 to 5892. */
#include "schema_private.h"

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

bool ipv4_matches(struct str s) {
    const char *p = s.p, *end = s.p + s.n;
    for (int part = 0; part < 4; part++) {
        const char *start = p;
        unsigned v = 0;
        for (; p < end && is_digit(*p) && p - start < 4; p++)
            v = v * 10 + (unsigned)(*p - '0');
        if (p == start || v > 255 || (p - start > 1 && *start == '0'))
            return false;
        if (part < 3 && (p == end || *p++ != '.'))
            return false;
    }
    return p == end;
}

/* The groups on one side of "::", or all of them. */
static bool groups_match(struct str s, bool last, unsigned *n) {
    const char *p = s.p, *end = s.p + s.n;
    *n = 0;
    while (s.n) {
        const char *start = p;
        while (p < end && is_hex(*p))
            p++;
        if (last && p < end && *p == '.') {
            *n += 2;
            return ipv4_matches((struct str){start, (size_t)(end - start)});
        }
        if (p == start || p - start > 4 || ++*n > 8)
            return false;
        if (p == end)
            break;
        if (*p++ != ':')
            return false;
    }
    return true;
}

bool ipv6_matches(struct str s) {
    unsigned before, after;
    const char *gap = s.n ? memmem(s.p, s.n, "::", 2) : NULL;
    if (!gap)
        return groups_match(s, true, &before) && before == 8;
    struct str left = {s.p, (size_t)(gap - s.p)}, right = {gap + 2, (size_t)(s.p + s.n - gap - 2)};
    return groups_match(left, false, &before) && groups_match(right, true, &after) && before + after < 8;
}

/* --- labels */

static bool label_ascii_matches(struct str s) {
    if (s.n == 0 || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]) && ((s.p[i] | 0x20) < 'a' || (s.p[i] | 0x20) > 'z') && s.p[i] != '-')
            return false;
    return true;
}

bool hostname_matches(struct str s) {
    const char *p = s.p, *end = s.p + s.n;
    if (s.n == 0 || s.n > 253)
        return false;
    for (;; p++) {
        const char *start = p;
        while (p < end && *p != '.')
            p++;
        if (!label_ascii_matches((struct str){start, (size_t)(p - start)}))
            return false;
        if (p == end)
            return true;
    }
}

/* --- international names */

/* What RFC 5892 makes of a label, as far as Unicode's general categories tell: letters in lower case or without, marks
 * and digits, none of its disallowed exceptions, and its rules for characters that need a context. */
const char idn_label_regex[] =
    "^(?!\\p{M})(?!-)(?!.*-$)(?!..--)"
    "(?!.*[\\u0640\\u07fa\\u302e\\u302f\\u3031-\\u3035\\u303b])"
    "(?!.*(?:^|[^l])\\u00b7)(?!.*\\u00b7(?:$|[^l]))"
    "(?!.*\\u0375(?:$|\\P{Script=Greek}))"
    "(?!.*(?:^|\\P{Script=Hebrew})[\\u05f3\\u05f4])"
    "(?!(?=.*\\u30fb)(?!.*(?!\\u30fb)[\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Han}]))"
    "(?!(?=.*[\\u0660-\\u0669]).*[\\u06f0-\\u06f9])"
    "(?!.*(?<![\\u094d\\u09cd\\u0a4d\\u0acd\\u0b4d\\u0bcd\\u0c4d\\u0ccd\\u0d4d\\u0dca\\u0e3a\\u0f84\\u1039])\\u200d)"
    "(?!.*(?<![\\u094d\\u09cd\\u0a4d\\u0acd\\u0b4d\\u0bcd\\u0c4d\\u0ccd\\u0d4d\\u0dca\\u0e3a\\u0f84\\u1039"
    "\\p{Script=Arabic}\\p{Script=Syriac}])\\u200c)"
    "[-0-9a-zA-Z\\u00b7\\u0375\\u05f3\\u05f4\\u06fd\\u06fe\\u0f0b\\u3007\\u30fb\\u200c\\u200d"
    "\\p{Ll}\\p{Lo}\\p{Lm}\\p{Mn}\\p{Mc}\\p{Nd}]+$";

#define LABEL_MAX 63 /* characters, and bytes of its ASCII form */

struct label {
    uint32_t points[LABEL_MAX];
    size_t n;
};

struct punycode {
    uint64_t bias;
    bool first;
};

static uint64_t threshold(const struct punycode *s, uint64_t k) {
    return k <= s->bias ? 1 : k >= s->bias + 26 ? 26 : k - s->bias;
}

static void bias_adapt(struct punycode *s, uint64_t delta, uint64_t n) {
    uint64_t k = 0;
    delta = s->first ? delta / 700 : delta / 2;
    s->first = false;
    for (delta += delta / n; delta > 455; k += 36)
        delta /= 35;
    s->bias = k + 36 * delta / (delta + 38);
}

/* One number of RFC 3492: added to *i. */
static bool delta_take(const struct punycode *state, struct str s, size_t *at, uint64_t *i) {
    uint64_t weight = 1;
    for (uint64_t k = 36;; k += 36) {
        if (*at == s.n)
            return false;
        char c = s.p[(*at)++];
        uint64_t digit = is_digit(c) ? (uint64_t)(c - '0') + 26 : (uint64_t)((c | 0x20) - 'a');
        if (digit > 35)
            return false;
        *i += digit * weight;
        if (*i > UINT32_MAX)
            return false;
        if (digit < threshold(state, k))
            return true;
        weight *= 36 - threshold(state, k);
    }
}

/* What follows "xn--": letters, digits and hyphens, at most 59. */
static bool punycode_decode(struct str s, struct label *out) {
    struct punycode state = {72, true};
    const char *hyphen = memrchr(s.p, '-', s.n);
    uint64_t n = 128, i = 0;
    size_t at = hyphen ? (size_t)(hyphen + 1 - s.p) : 0;
    for (out->n = 0; hyphen && out->n + 1 < at; out->n++)
        out->points[out->n] = (unsigned char)s.p[out->n];
    while (at < s.n) {
        uint64_t start = i;
        if (!delta_take(&state, s, &at, &i) || out->n == LABEL_MAX)
            return false;
        bias_adapt(&state, i - start, out->n + 1);
        n += i / (out->n + 1);
        i %= out->n + 1;
        if (n > 0x10ffff || (n >= 0xd800 && n < 0xe000))
            return false;
        memmove(&out->points[i + 1], &out->points[i], (out->n - i) * sizeof *out->points);
        out->points[i++] = (uint32_t)n;
        out->n++;
    }
    return out->n > 0 && n > 128;
}

static size_t delta_bytes(const struct punycode *state, uint64_t delta) {
    size_t bytes = 1;
    for (uint64_t k = 36;; k += 36, bytes++) {
        uint64_t t = threshold(state, k);
        if (delta < t)
            return bytes;
        delta = (delta - t) / (36 - t);
    }
}

static uint32_t point_least(const struct label *label, uint64_t from) {
    uint32_t least = UINT32_MAX;
    for (size_t i = 0; i < label->n; i++)
        if (label->points[i] >= from && label->points[i] < least)
            least = label->points[i];
    return least;
}

/* The bytes of a label's ASCII form: RFC 3492, without writing it down. */
static size_t ascii_form_bytes(const struct label *label) {
    struct punycode state = {72, true};
    size_t basic = 0;
    for (size_t i = 0; i < label->n; i++)
        basic += label->points[i] < 128;
    if (basic == label->n)
        return basic;
    size_t bytes = sizeof "xn--" - 1 + basic + (basic > 0);
    uint64_t n = 128, delta = 0;
    for (size_t done = basic; done < label->n; delta++, n++) {
        uint32_t next = point_least(label, n);
        delta += (next - n) * (done + 1);
        n = next;
        for (size_t i = 0; i < label->n; i++) {
            delta += label->points[i] < n;
            if (label->points[i] != n)
                continue;
            bytes += delta_bytes(&state, delta);
            bias_adapt(&state, delta, ++done);
            delta = 0;
        }
    }
    return bytes;
}

static uint32_t point_take(const char **p) {
    unsigned char c = (unsigned char)*(*p)++;
    int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    uint32_t v = more == 3 ? c & 7 : more == 2 ? c & 15 : more == 1 ? c & 31 : c;
    while (more-- > 0)
        v = v << 6 | ((unsigned char)*(*p)++ & 0x3f);
    return v;
}

static char *point_put(char *at, uint32_t v) {
    if (v < 0x80) {
        *at++ = (char)v;
        return at;
    }
    int more = v < 0x800 ? 1 : v < 0x10000 ? 2 : 3;
    *at++ = (char)((more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0) | v >> 6 * more);
    while (more-- > 0)
        *at++ = (char)(0x80 | (v >> 6 * more & 0x3f));
    return at;
}

static bool label_ascii_form_matches(struct str s, const struct regex *regex) {
    struct label label;
    char text[4 * LABEL_MAX], *end = text;
    if (!label_ascii_matches(s) || !punycode_decode((struct str){s.p + 4, s.n - 4}, &label))
        return false;
    for (size_t i = 0; i < label.n; i++)
        end = point_put(end, label.points[i]);
    return regex_match(regex, (struct str){text, (size_t)(end - text)}, NULL) == REGEX_MATCHES;
}

static bool label_matches(struct str s, const struct regex *regex) {
    struct label label = {.n = 0};
    if (s.n > 4 && strncasecmp(s.p, "xn--", 4) == 0)
        return label_ascii_form_matches(s, regex);
    for (const char *p = s.p; p < s.p + s.n;) {
        if (label.n == LABEL_MAX)
            return false;
        label.points[label.n++] = point_take(&p);
    }
    return label.n && regex_match(regex, s, NULL) == REGEX_MATCHES && ascii_form_bytes(&label) <= LABEL_MAX;
}

/* The bytes of a dot that separates labels (RFC 3490 section 3.1 has four); 0: it is none. */
static size_t dot_bytes(const char *p, const char *end) {
    static const char *const wide[] = {"\u3002", "\uff0e", "\uff61"};
    if (*p == '.')
        return 1;
    for (int i = 0; i < 3; i++)
        if (end - p >= 3 && memcmp(p, wide[i], 3) == 0)
            return 3;
    return 0;
}

bool idn_hostname_matches(struct str s, const struct regex *regex) {
    const char *p = s.p, *end = s.p + s.n;
    if (s.n == 0 || s.n > 4 * 253)
        return false;
    for (;;) {
        const char *start = p;
        size_t dot = 0;
        while (p < end && !(dot = dot_bytes(p, end)))
            p++;
        if (!label_matches((struct str){start, (size_t)(p - start)}, regex))
            return false;
        if (p == end)
            return true;
        p += dot;
    }
}
