/* Floats as text, the shortest that reads back: "0.1", "1.0", "1e+100". Pure functions, safe in any thread. */
#ifndef ESFS_SCRIPT_NUMBER_H
#define ESFS_SCRIPT_NUMBER_H

#include "str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A float in the one form that esfs writes: plain digits with a point where the number has at most 16 digits before it
 * and at most 5 zeros behind it, else an exponent. v is finite. Returns the bytes. */
#define NUMBER_CHARS 32
size_t number_write(double v, char out[NUMBER_CHARS]);
size_t number_write_int(int64_t v, char out[NUMBER_CHARS]);
/* The float nearest to a number of JSON; false when it is no number or beyond the range of floats. */
bool number_parse(struct str text, double *out);
/* An integer of 64 bits written as one: no fraction, no exponent, not -0. */
bool number_read_int(struct str text, int64_t *out);

#ifdef __cplusplus
}
#endif

#endif
