#include "script_number.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <system_error>

/* digits and the power of ten of the first one: 12.5 is "125" and 1. */
static size_t digits_of(double v, char *digits, int *exponent) {
    char text[40];
    char *end = std::to_chars(text, text + sizeof text, v, std::chars_format::scientific).ptr;
    size_t n = 0;
    char *p = text;
    for (; p < end && *p != 'e'; p++)
        if (*p != '.')
            digits[n++] = *p;
    const char *power = p + 1;
    if (*power == '+')
        power++;
    std::from_chars(power, end, *exponent);
    return n;
}

static char *bytes_put(char *out, const char *bytes, size_t n) {
    memcpy(out, bytes, n);
    return out + n;
}

static char *zeros_put(char *out, int n) {
    for (; n > 0; n--)
        *out++ = '0';
    return out;
}

extern "C" size_t number_write(double v, char out[NUMBER_CHARS]) {
    char digits[24], *p = out;
    int exponent = 0;
    if (std::signbit(v)) {
        *p++ = '-';
        v = -v;
    }
    size_t n = digits_of(v, digits, &exponent);
    if (exponent < -6 || exponent > 15) {
        *p++ = digits[0];
        if (n > 1) {
            *p++ = '.';
            p = bytes_put(p, digits + 1, n - 1);
        }
        *p++ = 'e';
        *p++ = exponent < 0 ? '-' : '+';
        p = std::to_chars(p, out + NUMBER_CHARS, exponent < 0 ? -exponent : exponent).ptr;
    } else if (exponent < 0) {
        p = bytes_put(p, "0.", 2);
        p = zeros_put(p, -exponent - 1);
        p = bytes_put(p, digits, n);
    } else if ((size_t)exponent + 1 >= n) {
        p = bytes_put(p, digits, n);
        p = zeros_put(p, exponent + 1 - (int)n);
        p = bytes_put(p, ".0", 2);
    } else {
        p = bytes_put(p, digits, (size_t)exponent + 1);
        *p++ = '.';
        p = bytes_put(p, digits + exponent + 1, n - (size_t)exponent - 1);
    }
    return (size_t)(p - out);
}

extern "C" size_t number_write_int(int64_t v, char out[NUMBER_CHARS]) {
    return (size_t)(std::to_chars(out, out + NUMBER_CHARS, v).ptr - out);
}

extern "C" bool number_parse(struct str text, double *out) {
    auto got = std::from_chars(text.p, text.p + text.n, *out);
    if (got.ptr != text.p + text.n)
        return false;
    if (got.ec == std::errc::result_out_of_range) {
        /* Too small is zero, too large is nothing: the library tells them apart by nothing, the exponent does. */
        const char *e = text.p;
        while (e < text.p + text.n && *e != 'e' && *e != 'E')
            e++;
        bool small = text.p[text.p[0] == '-'] == '0' || (e + 1 < text.p + text.n && e[1] == '-');
        *out = text.p[0] == '-' ? -0.0 : 0.0;
        return small;
    }
    return got.ec == std::errc();
}

extern "C" bool number_read_int(struct str text, int64_t *out) {
    if (text.n == 2 && text.p[0] == '-' && text.p[1] == '0')
        return false;
    auto got = std::from_chars(text.p, text.p + text.n, *out);
    return got.ec == std::errc() && got.ptr == text.p + text.n;
}
