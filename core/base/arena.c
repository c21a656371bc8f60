#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_PAGE_MIN 4096
#define ARENA_PAGE_MAX (256 << 10)
#define ARENA_ALIGN 8

struct arena_page {
    struct arena_page *next;
    size_t cap;
    _Alignas(ARENA_ALIGN) char bytes[];
};

/* The first spare page, when it is large enough. */
static struct arena_page *page_reuse(struct arena *a, size_t cap) {
    struct arena_page *page = a->spare;
    if (!page || page->cap < cap)
        return NULL;
    a->spare = page->next;
    return page;
}

static struct arena_page *page_new(struct arena *a, size_t cap) {
    struct arena_page *page = malloc(sizeof *page + cap);
    if (!page)
        return NULL;
    page->cap = cap;
    a->total += cap;
    return page;
}

/* A piece that would fill most of a page gets one of its own, behind the newest, whose room stays in use. */
static void *arena_alloc_alone(struct arena *a, size_t n) {
    struct arena_page *page = page_new(a, n);
    if (!page)
        return NULL;
    page->next = a->page->next;
    a->page->next = page;
    return page->bytes;
}

static void *arena_alloc_page(struct arena *a, size_t n) {
    size_t cap = a->page ? a->page->cap * 2 : a->spare ? a->spare->cap : ARENA_PAGE_MIN;
    if (cap > ARENA_PAGE_MAX)
        cap = ARENA_PAGE_MAX;
    if (a->page && n > cap / 2)
        return arena_alloc_alone(a, n);
    struct arena_page *page = page_reuse(a, n > cap ? n : cap);
    if (!page)
        page = page_new(a, n > cap ? n : cap);
    if (!page)
        return NULL;
    page->next = a->page;
    a->page = page;
    a->used = n;
    return page->bytes;
}

void *arena_alloc(struct arena *a, size_t n) {
    if (n > PTRDIFF_MAX - ARENA_PAGE_MIN)
        return NULL;
    n = (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (!a->page || n > a->page->cap - a->used)
        return arena_alloc_page(a, n);
    void *piece = a->page->bytes + a->used;
    a->used += n;
    return piece;
}

struct str arena_copy(struct arena *a, struct str s) {
    if (s.n == 0)
        return STR("");
    char *p = arena_alloc(a, s.n);
    if (!p)
        return (struct str){NULL, s.n};
    memcpy(p, s.p, s.n);
    return (struct str){p, s.n};
}

static void pages_free(struct arena_page *page) {
    for (struct arena_page *next; page; page = next) {
        next = page->next;
        free(page);
    }
}

void arena_free(struct arena *a) {
    pages_free(a->page);
    pages_free(a->spare);
    *a = (struct arena){0};
}

/* Pages of the full size are kept; the small ones that an arena begins with are not worth it. */
void arena_reset(struct arena *a, size_t keep) {
    struct arena_page *spare = a->spare;
    size_t kept = 0;
    for (struct arena_page *page = spare; page; page = page->next)
        kept += page->cap;
    for (struct arena_page *page = a->page, *next; page; page = next) {
        next = page->next;
        if (page->cap != ARENA_PAGE_MAX || kept + page->cap > keep) {
            free(page);
            continue;
        }
        page->next = spare;
        spare = page;
        kept += page->cap;
    }
    *a = (struct arena){.spare = spare, .total = kept};
}
