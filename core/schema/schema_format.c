/* The formats of both drafts. Sources: RFC 3339 (dates, times, durations), RFC 5321 and 6531 (mail), RFC 9562 (UUIDs),
 * RFC 6901 and the draft of relative JSON pointers. */
#include "schema_private.h"

#include "schema_uri.h"

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool digits_match(struct str s, size_t at, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (at + i >= s.n || !is_digit(s.p[at + i]))
            return false;
    return true;
}

static int two(struct str s, size_t at) {
    return (s.p[at] - '0') * 10 + (s.p[at + 1] - '0');
}

/* --- dates and times */

static bool date_matches(struct str s) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (s.n != 10 || !digits_match(s, 0, 4) || s.p[4] != '-' || !digits_match(s, 5, 2) || s.p[7] != '-' ||
        !digits_match(s, 8, 2))
        return false;
    int year = two(s, 0) * 100 + two(s, 2), month = two(s, 5), day = two(s, 8);
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

/* "Z" or "+01:30", in minutes. */
static bool offset_read(struct str s, int *minutes) {
    *minutes = 0;
    if (s.n == 1)
        return (s.p[0] | 0x20) == 'z';
    if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-') || !digits_match(s, 1, 2) || s.p[3] != ':' ||
        !digits_match(s, 4, 2) || two(s, 1) > 23 || two(s, 4) > 59)
        return false;
    *minutes = (s.p[0] == '-' ? -1 : 1) * (two(s, 1) * 60 + two(s, 4));
    return true;
}

static bool time_matches(struct str s) {
    if (!digits_match(s, 0, 2) || s.n < 9 || s.p[2] != ':' || !digits_match(s, 3, 2) || s.p[5] != ':' ||
        !digits_match(s, 6, 2))
        return false;
    int hour = two(s, 0), minute = two(s, 3), second = two(s, 6), offset;
    size_t at = 8;
    if (s.p[at] == '.') {
        size_t start = ++at;
        while (at < s.n && is_digit(s.p[at]))
            at++;
        if (at == start)
            return false;
    }
    if (!offset_read((struct str){s.p + at, s.n - at}, &offset))
        return false;
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    return second < 60 || (hour * 60 + minute - offset + 2 * 1440) % 1440 == 1439;
}

static bool date_time_matches(struct str s) {
    return s.n > 11 && (s.p[10] | 0x20) == 't' && date_matches((struct str){s.p, 10}) &&
           time_matches((struct str){s.p + 11, s.n - 11});
}

/* Numbers with the units of a list, each once, in its order, and no gap between the first and the last: RFC 3339 has
 * P1Y1D for no duration. */
static const char *units_take(const char *p, const char *end, const char *units, bool *good) {
    const char *expected = NULL;
    *good = false;
    while (p < end && is_digit(*p)) {
        while (p < end && is_digit(*p))
            p++;
        const char *unit = p < end && *p ? strchr(units, *p) : NULL;
        *good = unit && (!expected || unit == expected);
        if (!*good)
            return p;
        expected = unit + 1;
        p++;
    }
    return p;
}

static bool duration_matches(struct str s) {
    const char *p = s.p, *end = s.p + s.n;
    bool good = true;
    if (s.n < 3 || *p++ != 'P')
        return false;
    if (end[-1] == 'W')
        return digits_match(s, 1, s.n - 2);
    if (*p != 'T')
        p = units_take(p, end, "YMD", &good);
    if (!good || p == end)
        return good;
    if (*p++ != 'T')
        return false;
    p = units_take(p, end, "HMS", &good);
    return good && p == end;
}

/* --- mail */

static bool atom_char(unsigned char c, bool international) {
    return is_digit((char)c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c && strchr("!#$%&'*+-/=?^_`{|}~", c)) ||
           (international && c >= 0x80);
}

static bool local_quoted_matches(struct str s, bool international) {
    if (s.n < 2 || s.p[s.n - 1] != '"')
        return false;
    for (size_t i = 1; i < s.n - 1; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\\' && ++i == s.n - 1)
            return false;
        if (c == '"' || c < 0x20 || c == 0x7f || (c >= 0x80 && !international))
            return false;
    }
    return true;
}

static bool local_part_matches(struct str s, bool international) {
    if (s.n && s.p[0] == '"')
        return local_quoted_matches(s, international);
    bool after_dot = true;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' ? after_dot : !atom_char((unsigned char)s.p[i], international))
            return false;
        after_dot = s.p[i] == '.';
    }
    return !after_dot;
}

static bool address_literal_matches(struct str s) {
    if (s.n > 5 && strncasecmp(s.p, "IPv6:", 5) == 0)
        return ipv6_matches((struct str){s.p + 5, s.n - 5});
    return ipv4_matches(s);
}

static bool mail_matches(struct str s, const struct regex *regex) {
    const char *at = s.n ? memrchr(s.p, '@', s.n) : NULL;
    if (!at || !local_part_matches((struct str){s.p, (size_t)(at - s.p)}, regex))
        return false;
    struct str domain = {at + 1, (size_t)(s.p + s.n - at - 1)};
    if (domain.n > 2 && domain.p[0] == '[' && domain.p[domain.n - 1] == ']')
        return address_literal_matches((struct str){domain.p + 1, domain.n - 2});
    return regex ? idn_hostname_matches(domain, regex) : hostname_matches(domain);
}

/* --- pointers, UUIDs, regular expressions */

static bool pointer_matches(struct str s) {
    if (s.n && s.p[0] != '/')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '~' && (i + 1 == s.n || (s.p[i + 1] != '0' && s.p[i + 1] != '1')))
            return false;
    return true;
}

static bool relative_pointer_matches(struct str s) {
    size_t n = 0;
    while (n < s.n && is_digit(s.p[n]))
        n++;
    if (n == 0 || (n > 1 && s.p[0] == '0'))
        return false;
    return (n + 1 == s.n && s.p[n] == '#') || pointer_matches((struct str){s.p + n, s.n - n});
}

static bool uuid_matches(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = is_digit(s.p[i]) || ((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'f');
        if (dash ? s.p[i] != '-' : !hex)
            return false;
    }
    return s.n == 36;
}

static bool expression_matches(struct str s) {
    char why[REGEX_WHY];
    struct regex *r;
    int rc = regex_new(&r, s, why);
    if (rc == 0)
        regex_free(r);
    return rc != REGEX_INVALID;
}

/* --- all of them */

#define PLAIN(name, call)                                                                                              \
    static bool name(struct str s, const struct regex *regex) {                                                        \
        (void)regex;                                                                                                   \
        return call;                                                                                                   \
    }
PLAIN(format_date, date_matches(s))
PLAIN(format_time, time_matches(s))
PLAIN(format_date_time, date_time_matches(s))
PLAIN(format_duration, duration_matches(s))
PLAIN(format_hostname, hostname_matches(s))
PLAIN(format_ipv4, ipv4_matches(s))
PLAIN(format_ipv6, ipv6_matches(s))
PLAIN(format_uri, uri_matches(s, false, true))
PLAIN(format_uri_reference, uri_matches(s, false, false))
PLAIN(format_iri, uri_matches(s, true, true))
PLAIN(format_iri_reference, uri_matches(s, true, false))
PLAIN(format_uri_template, uri_template_matches(s))
PLAIN(format_uuid, uuid_matches(s))
PLAIN(format_json_pointer, pointer_matches(s))
PLAIN(format_relative_json_pointer, relative_pointer_matches(s))
PLAIN(format_regex, expression_matches(s))

#define BOTH (DRAFT_07 | DRAFT_2020)

static const struct format formats[] = {
    {"date", BOTH, format_date, NULL, "is not a date"},
    {"date-time", BOTH, format_date_time, NULL, "is not a date and time"},
    {"duration", DRAFT_2020, format_duration, NULL, "is not a duration"},
    {"email", BOTH, mail_matches, NULL, "is not a mail address"},
    {"hostname", BOTH, format_hostname, NULL, "is not the name of a host"},
    {"idn-email", BOTH, mail_matches, idn_label_regex, "is not a mail address"},
    {"idn-hostname", BOTH, idn_hostname_matches, idn_label_regex, "is not the name of a host"},
    {"ipv4", BOTH, format_ipv4, NULL, "is not an IPv4 address"},
    {"ipv6", BOTH, format_ipv6, NULL, "is not an IPv6 address"},
    {"iri", BOTH, format_iri, NULL, "is not an IRI"},
    {"iri-reference", BOTH, format_iri_reference, NULL, "is not a reference to an IRI"},
    {"json-pointer", BOTH, format_json_pointer, NULL, "is not a JSON pointer"},
    {"regex", BOTH, format_regex, NULL, "is not a regular expression"},
    {"relative-json-pointer", BOTH, format_relative_json_pointer, NULL, "is not a relative JSON pointer"},
    {"time", BOTH, format_time, NULL, "is not a time"},
    {"uri", BOTH, format_uri, NULL, "is not a URI"},
    {"uri-reference", BOTH, format_uri_reference, NULL, "is not a reference to a URI"},
    {"uri-template", BOTH, format_uri_template, NULL, "is not a template of a URI"},
    {"uuid", DRAFT_2020, format_uuid, NULL, "is not a UUID"},
};

const struct format *format_find(struct str name, enum draft draft) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (str_eq(name, str_of(formats[i].name)))
            return formats[i].drafts & draft ? &formats[i] : NULL;
    return NULL;
}
