/* What `<when>` of at/ means. */
#include "store_parts.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define SECOND 1000000ULL

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Decimal digits at *at, moved past them. False when there are none, or they do not fit 63 bits. */
static bool take_number(struct str s, size_t *at, uint64_t *out) {
    size_t begin = *at;
    *out = 0;
    for (; *at < s.n && is_digit(s.p[*at]); ++*at) {
        if (*out > INT64_MAX / 10 - 1)
            return false;
        *out = *out * 10 + (uint64_t)(s.p[*at] - '0');
    }
    return *at > begin;
}

static bool take_fixed(struct str s, size_t *at, size_t width, int *out) {
    uint64_t v;
    size_t begin = *at;
    struct str part = {s.p, s.n < begin + width ? s.n : begin + width};
    if (!take_number(part, at, &v) || *at != begin + width)
        return false;
    *out = (int)v;
    return true;
}

static bool take_char(struct str s, size_t *at, char c) {
    if (*at >= s.n || s.p[*at] != c)
        return false;
    ++*at;
    return true;
}

static bool take_date(struct str s, size_t *at, struct tm *tm) {
    if (!take_fixed(s, at, 4, &tm->tm_year) || !take_char(s, at, '-') || !take_fixed(s, at, 2, &tm->tm_mon) ||
        !take_char(s, at, '-') || !take_fixed(s, at, 2, &tm->tm_mday))
        return false;
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    return true;
}

static bool take_clock(struct str s, size_t *at, struct tm *tm) {
    return take_fixed(s, at, 2, &tm->tm_hour) && take_char(s, at, ':') && take_fixed(s, at, 2, &tm->tm_min) &&
           take_char(s, at, ':') && take_fixed(s, at, 2, &tm->tm_sec) && tm->tm_hour < 24 && tm->tm_min < 60 &&
           tm->tm_sec < 60;
}

/* A fraction of a second of any length, in microseconds; what is finer is cut off. */
static bool take_fraction(struct str s, size_t *at, uint64_t *micros) {
    uint64_t unit = SECOND;
    size_t begin = *at;
    for (; *at < s.n && is_digit(s.p[*at]); ++*at) {
        unit /= 10;
        *micros += (uint64_t)(s.p[*at] - '0') * unit;
    }
    return *at > begin;
}

/* RFC 3339 in UTC, or a date, which means the day's first moment. Days that no month has are refused. */
static bool parse_time(struct str s, uint64_t *out) {
    struct tm tm = {0};
    uint64_t micros = 0;
    size_t at = 0;
    if (!take_date(s, &at, &tm))
        return false;
    if (at < s.n && (!take_char(s, &at, 'T') || !take_clock(s, &at, &tm) ||
                     (at < s.n && s.p[at] == '.' && (at++, !take_fraction(s, &at, &micros))) ||
                     !take_char(s, &at, 'Z') || at != s.n))
        return false;
    const struct tm wanted = tm;
    time_t t = timegm(&tm);
    if (t < 0 || tm.tm_mday != wanted.tm_mday || tm.tm_mon != wanted.tm_mon)
        return false;
    *out = (uint64_t)t * SECOND + micros;
    return true;
}

/* "90s-ago": units s, m, h, d and w. */
static bool parse_age(struct str s, uint64_t *out) {
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    size_t at = 0;
    uint64_t n, now = store_now();
    if (!take_number(s, &at, &n) || s.n != at + 5 || memcmp(s.p + at + 1, "-ago", 4) != 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (units[i].unit == s.p[at]) {
            bool before = n > now / SECOND / units[i].seconds; /* 1970: nothing had happened */
            *out = before ? 0 : now - n * units[i].seconds * SECOND;
            return true;
        }
    return false;
}

bool text_time(struct str when, uint64_t *out) {
    return parse_time(when, out) || parse_age(when, out);
}

static int version_of_time(struct store *s, uint64_t aggregate, uint64_t time, uint64_t *to) {
    struct index_entry entry;
    struct err err = {0};
    if (time > store_now())
        return -ENOENT;
    int r = index_entry_at_time(s->index, aggregate, time, &entry, &err);
    if (r < 0)
        return r;
    *to = r == INDEX_NONE ? 0 : entry.version;
    return 0;
}

/* "2..3", or one number. */
static bool parse_versions(struct str s, uint64_t *from, uint64_t *to) {
    size_t at = 0;
    *from = 1;
    if (!take_number(s, &at, to))
        return false;
    if (at == s.n)
        return true;
    *from = *to;
    return take_char(s, &at, '.') && take_char(s, &at, '.') && take_number(s, &at, to) && at == s.n && *from >= 1 &&
           *from <= *to;
}

int text_when(struct store *s, uint64_t aggregate, struct str when, uint64_t *from, uint64_t *to) {
    struct index_aggregate now;
    struct err err = {0};
    uint64_t time;
    int r = index_aggregate_by_no(s->index, aggregate, &now, &err);
    if (r != 0)
        return r < 0 ? r : -ENOENT;
    if (parse_versions(when, from, to))
        return *to <= now.version ? 0 : -ENOENT;
    *from = 1;
    return text_time(when, &time) ? version_of_time(s, aggregate, time, to) : -ENOENT;
}
