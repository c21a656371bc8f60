/* What the files of the index share. */
#ifndef ESFS_INDEX_PRIVATE_H
#define ESFS_INDEX_PRIVATE_H

#include "chunk_cache.h"
#include "decoded.h"
#include "entry_cache.h"
#include "family.h"
#include "index.h"
#include "schemas.h"
#include "skips.h"
#include "types.h"
#include "window.h"

#include <pthread.h>

/* When a window is full. Part of the format: tests alone use other limits than INDEX_WINDOW_*. */
struct index_limits {
    uint64_t weight, bytes;
};

struct index {
    struct db *db;
    const uint8_t *store_id;
    bool read_only;
    struct index_limits limits;
    struct decoded decoded; /* of the thread that applies */
    struct window *open;    /* likewise: the last of windows, which others only read */
    struct entry_cache *entries;
    struct chunk_cache *chunks;

    pthread_rwlock_t lock; /* guards what follows, and the counts in types */
    struct types types;
    struct schemas schemas;
    struct skips skips;
    struct window **windows; /* oldest first; the last is the one that takes blocks, the others are full */
    size_t n_windows, windows_cap;
    struct index_head head;
    struct meta family; /* where the family stands */
    uint64_t drops;     /* windows that have been dropped, as the family has them */

    pthread_mutex_t gate; /* guards what follows */
    pthread_cond_t changed;
    size_t full; /* windows that wait for the thread or are in its hands */
    bool running, stop;
    struct err fault;
    pthread_t thread;
    bool started; /* there is a thread to join */
};

int index_open_sized(struct index **out, struct db *db, const uint8_t *store_id, bool read_only,
                     const struct index_limits *limits, struct err *err);
/* Waits until every full window is in the family. 0 or -EIO. */
int index_settle(struct index *ix, struct err *err);
int index_rebuild_sized(struct db *db, const uint8_t *store_id, const struct index_limits *limits, struct err *err);
int index_verify_sized(struct db *db, const uint8_t *store_id, const struct index_limits *limits,
                       struct index_damage *damage, struct err *err);

/* Each puts back what the family keeps; types first. */
int index_types_load(struct db *db, struct types *types, const struct index_head *head, struct err *err);
int index_schemas_load(struct db *db, const struct types *types, struct schemas *schemas, struct err *err);
int index_skips_load(struct db *db, const struct types *types, struct skips *skips, struct err *err);

static inline bool index_window_full(const struct window *w, const struct index_limits *limits) {
    return w->weight >= limits->weight || w->bytes >= limits->bytes;
}

#endif
