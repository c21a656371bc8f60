/* Memory that is given out piece by piece and taken back all at once. Pieces never move. Not thread safe. */
#ifndef ESFS_ARENA_H
#define ESFS_ARENA_H

#include "str.h"

#include <stddef.h>

struct arena_page;

struct arena {
    struct arena_page *page;  /* newest first; zero-initialise to start */
    struct arena_page *spare; /* kept by arena_reset() for the next pieces */
    size_t used;              /* bytes given out of the newest page */
    size_t total;             /* bytes held in all pages, spare ones too */
};

void *arena_alloc(struct arena *a, size_t n);         /* 8-byte aligned, not zeroed; NULL when out of memory */
struct str arena_copy(struct arena *a, struct str s); /* p is NULL when out of memory and s.n > 0 */
void arena_free(struct arena *a);                     /* frees every piece; the arena is empty and usable again */
/* The same, but keeps up to `keep` bytes of memory at hand: fresh memory costs more than most work done in it. */
void arena_reset(struct arena *a, size_t keep);

#endif
