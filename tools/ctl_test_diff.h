/* Two JSON values, shown line by line where they differ. Members have no order, and 1.10 is 1.1. */
#ifndef ESFS_CTL_TEST_DIFF_H
#define ESFS_CTL_TEST_DIFF_H

#include "buf.h"

#include <stdbool.h>

enum { DIFF_EQUAL = 0, DIFF_DIFFERENT = 1 };

/* Appends lines with `-` (expected) and `+` (got) in front, and some around them; nothing when the values are equal.
 * Each text is one valid JSON value. Gives one of the above or a negative errno. */
int diff_json(struct str expected, struct str got, bool colours, struct buf *out);

#endif
