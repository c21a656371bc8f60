/* Regular expressions as ECMA-262 writes them, in its Unicode mode, through PCRE2, which regex.c alone includes.
 *
 * \d, \w and \b know ASCII only, as in ECMA-262. Taken though ECMA-262 refuses it in that mode: escaped punctuation
 * that needs no escape, and a brace or closing bracket that stands for itself. Refused though ECMA-262 has it:
 * lookbehind of unbounded length. \S inside brackets takes white space beyond ASCII for no white space. A compiled
 * expression is immutable: any number of threads may match with it at once. */
#ifndef ESFS_REGEX_H
#define ESFS_REGEX_H

#include "str.h"

#include <stdint.h>

struct regex;

enum { REGEX_INVALID = 1 };

/* 0; REGEX_INVALID with the reason in `why`; -ENOMEM. The pattern must be valid UTF-8. */
#define REGEX_WHY 160
int regex_new(struct regex **out, struct str pattern, char why[REGEX_WHY]);
void regex_free(struct regex *r); /* NULL is fine */

enum { REGEX_MISSES = 0, REGEX_MATCHES = 1, REGEX_GIVES_UP = 2 };

/* Whether it matches somewhere in a text of valid UTF-8. REGEX_GIVES_UP: it would take too much time or memory.
 * What it took is added to *work (may be NULL), in steps of very roughly a microsecond at most. Or -ENOMEM. */
int regex_match(const struct regex *r, struct str text, uint64_t *work);

#endif
