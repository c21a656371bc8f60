/* Small blocks for Lua, which frees with the size at hand: a list for each size, over pages that are kept until the
 * end. Not thread safe. */
#ifndef ESFS_SCRIPT_POOL_H
#define ESFS_SCRIPT_POOL_H

#include <stddef.h>

#define POOL_BLOCK_MAX 512 /* bytes; what is larger is malloc()'s */
#define POOL_STEP 16       /* sizes are multiples of it, and blocks are aligned so */

struct pool_page;

/* Zero-initialise to start. */
struct pool {
    void *spare[POOL_BLOCK_MAX / POOL_STEP + 1]; /* blocks that were freed, by size */
    struct pool_page *pages;
    char *at, *end; /* what is left of the newest page */
};

/* As realloc() and free(), for blocks of any size; `old` is 0 for a new block. NULL when out of memory. */
void *pool_resize(struct pool *pool, void *p, size_t old, size_t size);
void pool_release(struct pool *pool, void *p, size_t old);
/* Frees every small block. */
void pool_free(struct pool *pool);

#endif
