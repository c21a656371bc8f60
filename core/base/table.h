/* An open-addressing hash table from hashes to indexes into an array of the caller's, who compares what it finds.
 * Several entries may share a hash; nothing is ever taken out. Not thread safe. */
#ifndef ESFS_TABLE_H
#define ESFS_TABLE_H

#include <stdint.h>

#define TABLE_NONE UINT32_MAX

struct table_slot;

struct table {
    struct table_slot *slots; /* zero-initialise to start */
    uint32_t mask;            /* number of slots less one */
    uint32_t used;
};

/* A walk over the entries that may be the one. */
struct table_probe {
    uint32_t at, tag;
};

uint32_t table_first(const struct table *t, uint64_t hash, struct table_probe *probe); /* TABLE_NONE: no more */
uint32_t table_next(const struct table *t, struct table_probe *probe);
void table_fetch(const struct table *t, uint64_t hash);        /* begins to bring what table_first() will read */
int table_put(struct table *t, uint64_t hash, uint32_t index); /* 0 or -ENOMEM; index below TABLE_NONE */
void table_clear(struct table *t);                             /* empties it, keeping room that is not far too large */
void table_free(struct table *t);

/* For numbers that we gave out ourselves; other people's keys want digest_table(). */
static inline uint64_t table_hash_number(uint64_t v) {
    v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9ULL;
    v = (v ^ (v >> 27)) * 0x94d049bb133111ebULL;
    return v ^ (v >> 31);
}

#endif
