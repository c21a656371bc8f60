/* The text of one option, as -o has it: NAME or NAME=VALUE. */
#ifndef ESFS_OPTION_H
#define ESFS_OPTION_H

#include "err.h"

#include <stddef.h>

/* The value of NAME=VALUE; NULL when the option has another name. */
const char *option_value(const char *option, const char *name);

enum { OPTION_OTHER = 1 };
/* A name without a value, of n names with what is meant by their values: -EINVAL in words. OPTION_OTHER when it is none
 * of these. */
int option_bare(const char *option, const char *const names[][2], size_t n, struct err *err);

#endif
