/* A borrowed run of bytes: not owned, not terminated. Valid as long as what it points into. */
#ifndef ESFS_STR_H
#define ESFS_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

static inline struct str str_of(const char *text) {
    return (struct str){text, strlen(text)};
}

static inline bool str_eq(struct str a, struct str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

#endif
