/* Decimal numbers, exact: IEEE 754 decimal128, up to 34 digits, through Intel's library, which decimal.c alone
 * includes.
 *
 * The scale is kept: 1.10 stays 1.10, and 1.10 + 1.1 is 2.20. What cannot be exact is an outcome, never rounded in
 * silence. Pure functions, safe in any thread. */
#ifndef ESFS_DECIMAL_H
#define ESFS_DECIMAL_H

#include "str.h"

#include <stdbool.h>
#include <stdint.h>

struct decimal {
    _Alignas(16) uint8_t bytes[16];
};

enum {
    DECIMAL_INEXACT = 1, /* the result needs more than 34 digits, or is out of range */
    DECIMAL_INVALID = 2, /* no number: bad text, a division by zero */
};

/* A number as JSON writes it ("1.10", "-2", "1e3"), nothing around it. 0, DECIMAL_INEXACT, DECIMAL_INVALID. */
int decimal_read(struct decimal *out, struct str text);
void decimal_of_int(struct decimal *out, int64_t v);
/* As JSON: plain digits with the scale kept when the exponent is not positive and the number is not tiny, otherwise
 * with an exponent. Returns the bytes written. */
#define DECIMAL_CHARS 48
size_t decimal_write(const struct decimal *d, char out[DECIMAL_CHARS]);

/* 0, DECIMAL_INEXACT or DECIMAL_INVALID; `out` may be an operand. */
int decimal_add(struct decimal *out, const struct decimal *a, const struct decimal *b);
int decimal_sub(struct decimal *out, const struct decimal *a, const struct decimal *b);
int decimal_mul(struct decimal *out, const struct decimal *a, const struct decimal *b);
int decimal_div(struct decimal *out, const struct decimal *a, const struct decimal *b);
int decimal_rem(struct decimal *out, const struct decimal *a, const struct decimal *b); /* the sign of a */
/* Rounded to a number of digits behind the point, half to even; DECIMAL_INVALID when digits are out of -34..34. */
int decimal_round(struct decimal *out, const struct decimal *a, int digits);
/* The same number without zeros at its end: 7.00 and 70e-1 become 7; -0 becomes 0. */
void decimal_plain(struct decimal *d);
int decimal_compare(const struct decimal *a, const struct decimal *b); /* -1, 0, 1; 1.1 equals 1.10 */
bool decimal_is_integer(const struct decimal *a);                      /* 1.0 is */

#endif
