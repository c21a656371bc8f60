#include "script_pool.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES (64 << 10)

struct pool_page {
    struct pool_page *next;
    size_t unused; /* blocks begin at a multiple of POOL_STEP */
    char bytes[];
};

static size_t list_of(size_t size) {
    return (size + POOL_STEP - 1) / POOL_STEP;
}

static void *block_get(struct pool *pool, size_t size) {
    size_t list = list_of(size);
    void *block = pool->spare[list];
    if (block) {
        memcpy(&pool->spare[list], block, sizeof block);
        return block;
    }
    if ((size_t)(pool->end - pool->at) < list * POOL_STEP) {
        struct pool_page *page = malloc(PAGE_BYTES);
        if (!page)
            return NULL;
        page->next = pool->pages;
        pool->pages = page;
        pool->at = page->bytes;
        pool->end = (char *)page + PAGE_BYTES;
    }
    block = pool->at;
    pool->at += list * POOL_STEP;
    return block;
}

void pool_release(struct pool *pool, void *p, size_t old) {
    if (!p)
        return;
    if (old > POOL_BLOCK_MAX) {
        free(p);
        return;
    }
    memcpy(p, &pool->spare[list_of(old)], sizeof p);
    pool->spare[list_of(old)] = p;
}

void *pool_resize(struct pool *pool, void *p, size_t old, size_t size) {
    if (!p)
        return size > POOL_BLOCK_MAX ? malloc(size) : block_get(pool, size);
    if (old > POOL_BLOCK_MAX && size > POOL_BLOCK_MAX)
        return realloc(p, size);
    if (old <= POOL_BLOCK_MAX && size <= POOL_BLOCK_MAX && list_of(old) == list_of(size))
        return p;
    void *moved = size > POOL_BLOCK_MAX ? malloc(size) : block_get(pool, size);
    if (!moved)
        return NULL;
    memcpy(moved, p, old < size ? old : size);
    pool_release(pool, p, old);
    return moved;
}

void pool_free(struct pool *pool) {
    while (pool->pages) {
        struct pool_page *next = pool->pages->next;
        free(pool->pages);
        pool->pages = next;
    }
    *pool = (struct pool){0};
}
