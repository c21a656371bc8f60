#include "decimal.h"

#define DECIMAL_CALL_BY_REFERENCE 0
#define DECIMAL_GLOBAL_ROUNDING 0
#define DECIMAL_GLOBAL_EXCEPTION_FLAGS 0
#include <bid_conf.h>

#include <bid_functions.h>

#define DIGITS_MAX 34
#define EXPONENT_MIN (-6176)
#define EXPONENT_MAX 6111
#define EXPONENT_BIAS 6176
#define EXPONENT_SHIFT 49 /* in the high word */
#define SIGN_BIT ((uint64_t)1 << 63)
#define EXPONENT_FAR 1000000 /* an exponent that was written as more is this */

typedef unsigned __int128 coefficient;

/* What the bytes say: the library keeps a coefficient below 10^34 in 113 bits, in binary. */
struct parts {
    coefficient digits;
    int exponent;
    bool negative;
};

static BID_UINT128 number_of(const struct decimal *d) {
    BID_UINT128 x;
    memcpy(&x, d->bytes, sizeof x);
    return x;
}

static struct parts parts_of(const struct decimal *d) {
    BID_UINT128 x = number_of(d);
    uint64_t high = x.w[1];
    return (struct parts){
        .digits = (coefficient)(high & (((uint64_t)1 << EXPONENT_SHIFT) - 1)) << 64 | x.w[0],
        .exponent = (int)((high & ~SIGN_BIT) >> EXPONENT_SHIFT) - EXPONENT_BIAS,
        .negative = (high & SIGN_BIT) != 0,
    };
}

/* There is one zero: with a sign it would show in JSON and mean nothing. */
static void parts_store(struct decimal *out, struct parts p) {
    BID_UINT128 x;
    x.w[0] = (uint64_t)p.digits;
    x.w[1] = (uint64_t)(p.digits >> 64) | (uint64_t)(p.exponent + EXPONENT_BIAS) << EXPONENT_SHIFT;
    if (p.negative && p.digits)
        x.w[1] |= SIGN_BIT;
    memcpy(out->bytes, &x, sizeof x);
}

static coefficient digits_limit(void) {
    return (coefficient)10000000000000000ULL * 1000000000000000000ULL;
}

/* Brings an exponent into range without a change of value. */
static int exponent_fit(struct parts *p) {
    if (!p->digits) {
        p->exponent = p->exponent < EXPONENT_MIN   ? EXPONENT_MIN
                      : p->exponent > EXPONENT_MAX ? EXPONENT_MAX
                                                   : p->exponent;
        return 0;
    }
    for (; p->exponent > EXPONENT_MAX; p->exponent--) {
        if (p->digits >= digits_limit() / 10)
            return DECIMAL_INEXACT;
        p->digits *= 10;
    }
    for (; p->exponent < EXPONENT_MIN; p->exponent++) {
        if (p->digits % 10)
            return DECIMAL_INEXACT;
        p->digits /= 10;
    }
    return 0;
}

/* --- text */

struct reading {
    struct parts parts;
    int n_digits; /* without zeros in front */
    int dropped;  /* zeros at the end, beyond what fits */
    bool inexact;
};

static void digit_take(struct reading *r, int digit) {
    if (r->n_digits == 0 && digit == 0)
        return;
    if (r->n_digits < DIGITS_MAX) {
        r->parts.digits = r->parts.digits * 10 + (unsigned)digit;
        r->n_digits++;
        return;
    }
    r->dropped++;
    r->inexact |= digit != 0;
}

static bool is_digit(const char *p, const char *end) {
    return p < end && *p >= '0' && *p <= '9';
}

/* e+12, at p; NULL when it is not one. */
static const char *exponent_read(const char *p, const char *end, int *exponent) {
    bool negative = false;
    int n = 0;
    p++;
    if (p < end && (*p == '+' || *p == '-'))
        negative = *p++ == '-';
    if (!is_digit(p, end))
        return NULL;
    for (; is_digit(p, end); p++)
        n = n >= EXPONENT_FAR ? EXPONENT_FAR : n * 10 + (*p - '0');
    *exponent = negative ? -n : n;
    return p;
}

int decimal_read(struct decimal *out, struct str text) {
    const char *p = text.p, *end = p + text.n;
    struct reading r = {0};
    int exponent = 0, scale = 0;
    if (p < end && *p == '-')
        r.parts.negative = *p++ == '-';
    const char *first = p;
    for (; is_digit(p, end); p++)
        digit_take(&r, *p - '0');
    if (p == first || (*first == '0' && p - first > 1))
        return DECIMAL_INVALID;
    if (p < end && *p == '.') {
        const char *point = ++p;
        for (; is_digit(p, end); p++)
            digit_take(&r, *p - '0');
        if (p == point)
            return DECIMAL_INVALID;
        scale = p - point > EXPONENT_FAR ? EXPONENT_FAR : (int)(p - point);
    }
    if (p < end && (*p == 'e' || *p == 'E') && !(p = exponent_read(p, end, &exponent)))
        return DECIMAL_INVALID;
    if (p != end)
        return DECIMAL_INVALID;
    r.parts.exponent = exponent - scale + r.dropped;
    if (r.inexact || exponent_fit(&r.parts))
        return DECIMAL_INEXACT;
    parts_store(out, r.parts);
    return 0;
}

void decimal_of_int(struct decimal *out, int64_t v) {
    uint64_t size = v < 0 ? -(uint64_t)v : (uint64_t)v;
    parts_store(out, (struct parts){.digits = size, .negative = v < 0});
}

static size_t digits_put(char *out, coefficient v) {
    char reversed[40];
    size_t n = 0;
    do
        reversed[n++] = (char)('0' + (int)(v % 10));
    while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    return n;
}

/* 1234 and -2: 12.34, or 0.0012 with zeros in front. Returns the end. */
static char *plain_put(char *p, const char *digits, size_t n, size_t scale) {
    if (scale >= n) {
        *p++ = '0';
        *p++ = '.';
        for (size_t zeros = scale - n; zeros > 0; zeros--)
            *p++ = '0';
        memcpy(p, digits, n);
        return p + n;
    }
    memcpy(p, digits, n - scale);
    p += n - scale;
    if (scale) {
        *p++ = '.';
        memcpy(p, digits + n - scale, scale);
    }
    return p + scale;
}

static char *scientific_put(char *p, const char *digits, size_t n, int exponent) {
    *p++ = digits[0];
    if (n > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, n - 1);
        p += n - 1;
    }
    *p++ = 'e';
    *p++ = exponent < 0 ? '-' : '+';
    return p + digits_put(p, (coefficient)(exponent < 0 ? -exponent : exponent));
}

size_t decimal_write(const struct decimal *d, char out[DECIMAL_CHARS]) {
    struct parts parts = parts_of(d);
    char digits[40], *p = out;
    size_t n = digits_put(digits, parts.digits);
    int adjusted = parts.exponent + (int)n - 1;
    if (parts.negative)
        *p++ = '-';
    if (parts.exponent <= 0 && adjusted >= -6)
        p = plain_put(p, digits, n, (size_t)-parts.exponent);
    else
        p = scientific_put(p, digits, n, adjusted);
    return (size_t)(p - out);
}

/* --- arithmetic */

static int result_take(struct decimal *out, BID_UINT128 x, _IDEC_flags flags) {
    if (flags & (BID_INVALID_EXCEPTION | BID_ZERO_DIVIDE_EXCEPTION))
        return DECIMAL_INVALID;
    if (flags & (BID_INEXACT_EXCEPTION | BID_OVERFLOW_EXCEPTION | BID_UNDERFLOW_EXCEPTION))
        return DECIMAL_INEXACT;
    memcpy(out->bytes, &x, sizeof x);
    parts_store(out, parts_of(out));
    return 0;
}

int decimal_add(struct decimal *out, const struct decimal *a, const struct decimal *b) {
    _IDEC_flags flags = 0;
    BID_UINT128 x = bid128_add(number_of(a), number_of(b), BID_ROUNDING_TO_NEAREST, &flags);
    return result_take(out, x, flags);
}

int decimal_sub(struct decimal *out, const struct decimal *a, const struct decimal *b) {
    _IDEC_flags flags = 0;
    BID_UINT128 x = bid128_sub(number_of(a), number_of(b), BID_ROUNDING_TO_NEAREST, &flags);
    return result_take(out, x, flags);
}

int decimal_mul(struct decimal *out, const struct decimal *a, const struct decimal *b) {
    _IDEC_flags flags = 0;
    BID_UINT128 x = bid128_mul(number_of(a), number_of(b), BID_ROUNDING_TO_NEAREST, &flags);
    return result_take(out, x, flags);
}

int decimal_div(struct decimal *out, const struct decimal *a, const struct decimal *b) {
    _IDEC_flags flags = 0;
    BID_UINT128 x = bid128_div(number_of(a), number_of(b), BID_ROUNDING_TO_NEAREST, &flags);
    return result_take(out, x, flags);
}

int decimal_rem(struct decimal *out, const struct decimal *a, const struct decimal *b) {
    _IDEC_flags flags = 0;
    BID_UINT128 x = bid128_fmod(number_of(a), number_of(b), &flags);
    return result_take(out, x, flags);
}

/* The same with another exponent, half to even. */
static int exponent_set(struct decimal *out, const struct decimal *a, int exponent) {
    struct decimal unit;
    _IDEC_flags flags = 0;
    parts_store(&unit, (struct parts){.digits = 1, .exponent = exponent});
    BID_UINT128 x = bid128_quantize(number_of(a), number_of(&unit), BID_ROUNDING_TO_NEAREST, &flags);
    /* What it calls invalid are digits that find no place: there is no infinity here. */
    if (flags & BID_INVALID_EXCEPTION)
        return DECIMAL_INEXACT;
    return result_take(out, x, 0);
}

int decimal_round(struct decimal *out, const struct decimal *a, int digits) {
    if (digits < -DIGITS_MAX || digits > DIGITS_MAX)
        return DECIMAL_INVALID;
    struct decimal rounded;
    int rc = exponent_set(&rounded, a, -digits);
    if (rc)
        return rc;
    /* 1234 to the hundred is 1200 and not 12e+2, where that has a place. */
    if (digits >= 0 || exponent_set(out, &rounded, 0))
        *out = rounded;
    return 0;
}

void decimal_plain(struct decimal *d) {
    struct parts p = parts_of(d);
    while (p.exponent < 0 && p.digits && p.digits % 10 == 0) {
        p.digits /= 10;
        p.exponent++;
    }
    if (!p.digits)
        p = (struct parts){0};
    parts_store(d, p);
    struct decimal whole;
    if (p.exponent > 0 && exponent_set(&whole, d, 0) == 0)
        *d = whole;
}

int decimal_compare(const struct decimal *a, const struct decimal *b) {
    _IDEC_flags flags = 0;
    BID_UINT128 x = number_of(a), y = number_of(b);
    if (bid128_quiet_equal(x, y, &flags))
        return 0;
    return bid128_quiet_less(x, y, &flags) ? -1 : 1;
}

bool decimal_is_integer(const struct decimal *a) {
    struct parts p = parts_of(a);
    if (p.exponent >= 0 || !p.digits)
        return true;
    if (p.exponent < -DIGITS_MAX)
        return false;
    for (; p.exponent < 0; p.exponent++) {
        if (p.digits % 10)
            return false;
        p.digits /= 10;
    }
    return true;
}
