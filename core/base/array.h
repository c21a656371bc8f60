/* Growing a plain array that its owner keeps as pointer, count and capacity. */
#ifndef ESFS_ARRAY_H
#define ESFS_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Makes room for one more element behind the first n: `array` may move. false when out of memory. */
#define ARRAY_ROOM(array, n, cap) array_room((void **)&(array), sizeof *(array), (n), &(cap))

static inline bool array_room(void **array, size_t size, size_t n, size_t *cap) {
    if (n < *cap)
        return true;
    size_t more = *cap ? *cap + *cap / 2 + 1 : 16;
    void *p = more <= PTRDIFF_MAX / size ? realloc(*array, more * size) : NULL;
    if (!p)
        return false;
    *array = p;
    *cap = more;
    return true;
}

#endif
