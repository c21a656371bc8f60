#include "schema_private.h"

#define POINT_MAX ((int64_t)1 << 60) /* exponents beyond are all alike */

static int64_t exponent_read(const char *p, const char *end) {
    bool negative = *p == '-';
    int64_t v = 0;
    if (*p == '-' || *p == '+')
        p++;
    for (; p < end; p++)
        v = v < POINT_MAX / 16 ? v * 10 + (*p - '0') : POINT_MAX / 2;
    return negative ? -v : v;
}

static const char *char_find(const char *p, const char *end, char a, char b) {
    while (p < end && *p != a && *p != b)
        p++;
    return p;
}

struct number number_read(struct str text) {
    const char *p = text.p, *end = text.p + text.n;
    struct number out = {.negative = *p == '-'};
    const char *e = char_find(p, end, 'e', 'E');
    int64_t exponent = e < end ? exponent_read(e + 1, end) : 0;
    p += out.negative;
    const char *point = char_find(p, e, '.', '.');
    while (p < e && (*p == '0' || *p == '.'))
        p++;
    while (e > p && (e[-1] == '0' || e[-1] == '.'))
        e--;
    if (p == e)
        return (struct number){0};
    out.at = p;
    out.end = e;
    out.point = (p < point ? point - p : point + 1 - p) + exponent;
    out.n = (uint64_t)(e - p) - (p < point && point < e);
    return out;
}

/* The digit at *p, which moves on. */
static inline int digit_next(const char **p) {
    if (**p == '.')
        (*p)++;
    return *(*p)++ - '0';
}

static int magnitude_compare(const struct number *a, const struct number *b) {
    if (a->point != b->point)
        return a->point < b->point ? -1 : 1;
    const char *p = a->at, *q = b->at;
    while (p < a->end && q < b->end) {
        int x = digit_next(&p), y = digit_next(&q);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return (p < a->end) - (q < b->end);
}

int number_compare(const struct number *a, const struct number *b) {
    int sign_a = a->n == 0 ? 0 : a->negative ? -1 : 1;
    int sign_b = b->n == 0 ? 0 : b->negative ? -1 : 1;
    if (sign_a != sign_b)
        return sign_a < sign_b ? -1 : 1;
    return sign_a * (sign_a ? magnitude_compare(a, b) : 0);
}

bool number_is_integer(const struct number *a) {
    return a->n == 0 || (a->point > 0 && (uint64_t)a->point >= a->n);
}

uint64_t number_hash(const struct number *a) {
    uint64_t h = table_hash_number((uint64_t)a->point * 2 + a->negative);
    for (const char *p = a->at; p < a->end;)
        h = (h ^ (uint64_t)digit_next(&p)) * 0x9e3779b97f4a7c15ULL;
    return h ^ h >> 32;
}

uint64_t number_count(const struct number *a) {
    if (a->point > 19)
        return UINT64_MAX;
    uint64_t v = 0;
    const char *p = a->at;
    for (int64_t i = 0; i < a->point; i++) {
        uint64_t digit = p < a->end ? (uint64_t)digit_next(&p) : 0;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
            return UINT64_MAX;
    }
    return v;
}

/* a = A * 10^i and divisor = B * 10^j, neither A nor B a multiple of ten. With i < j it cannot be a multiple: A would
 * have a factor of ten. Otherwise what counts is whether B divides A * 10^(i-j), and 124 factors of ten hold all the
 * twos and fives that B, below 2^124, can have. */
bool number_is_multiple(const struct number *a, const struct number *divisor) {
    if (a->n == 0)
        return true;
    int64_t shift = (a->point - (int64_t)a->n) - (divisor->point - (int64_t)divisor->n);
    if (shift < 0)
        return false;
    unsigned __int128 b = 0, rest = 0;
    for (const char *p = divisor->at; p < divisor->end;)
        b = b * 10 + (unsigned)digit_next(&p);
    for (const char *p = a->at; p < a->end;)
        rest = (rest * 10 + (unsigned)digit_next(&p)) % b;
    for (int64_t i = 0; i < shift && i < 124 && rest; i++)
        rest = rest * 10 % b;
    return rest == 0;
}
