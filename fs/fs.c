#include "fs.h"

#include "content.h"
#include "domain.h"
#include "node_at.h"

#include <errno.h>
#include <time.h>

static bool is_governed(struct store *store) {
    struct domain *d = store_domain(store);
    domain_unref(d);
    return d != NULL;
}

int fs_init(struct fs *fs, struct store *store, const struct ownership *owner) {
    *fs = (struct fs){.store = store, .index = store_index(store), .owner = *owner};
    fs->governed = is_governed(store);
    fs->views = store_views(store);
    fs->queries = store_queries(store);
    fs->consumers = store_consumers(store);
    fs->started = fs_now();
    atomic_init(&fs->lookups, 0);
    int r = handles_init(&fs->handles);
    if (r < 0)
        return r;
    r = deferred_init(&fs->deferred);
    if (r < 0)
        goto no_deferred;
    r = pendings_init(&fs->pendings);
    if (r < 0)
        goto no_pendings;
    r = polls_init(&fs->polls);
    if (r < 0)
        goto no_polls;
    r = moves_init(&fs->moves);
    if (r < 0)
        goto no_moves;
    r = -ENOMEM;
    fs->moments = moments_new();
    if (!fs->moments)
        goto no_moments;
    fs->contents = contents_new();
    if (!fs->contents)
        goto no_contents;
    fs->locks = locks_new();
    if (!fs->locks)
        goto no_locks;
    return 0;

no_locks:
    contents_free(fs->contents);
no_contents:
    moments_free(fs->moments);
no_moments:
    moves_deinit(&fs->moves);
no_moves:
    polls_deinit(&fs->polls);
no_polls:
    pendings_deinit(&fs->pendings);
no_pendings:
    deferred_deinit(&fs->deferred);
no_deferred:
    handles_deinit(&fs->handles);
    return r;
}

void fs_deinit(struct fs *fs) {
    /* A channel may be freed only when no write on it is under way; a store may be closed only when no domain is
     * being loaded into it, and nobody waits for a view, a query or events. */
    store_stop(fs->store);
    deferred_wait(&fs->deferred);
    locks_free(fs->locks);
    handles_deinit(&fs->handles);
    contents_free(fs->contents);
    moments_free(fs->moments);
    moves_deinit(&fs->moves);
    polls_deinit(&fs->polls);
    pendings_deinit(&fs->pendings);
    deferred_deinit(&fs->deferred);
}

uint64_t fs_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}
