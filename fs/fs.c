#include "fs.h"

#include "node_at.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

int fs_init(struct fs *fs, struct store *store) {
    *fs = (struct fs){.store = store, .index = store_index(store), .uid = geteuid(), .gid = getegid()};
    fs->started = fs_now();
    atomic_init(&fs->lookups, 0);
    int r = handles_init(&fs->handles);
    if (r < 0)
        return r;
    r = deferred_init(&fs->deferred);
    if (r < 0)
        goto no_deferred;
    r = -ENOMEM;
    fs->moments = moments_new();
    if (!fs->moments)
        goto no_moments;
    fs->locks = locks_new();
    if (!fs->locks)
        goto no_locks;
    return 0;

no_locks:
    moments_free(fs->moments);
no_moments:
    deferred_deinit(&fs->deferred);
no_deferred:
    handles_deinit(&fs->handles);
    return r;
}

void fs_deinit(struct fs *fs) {
    /* A channel may be freed only when no write on it is under way. */
    deferred_wait(&fs->deferred);
    locks_free(fs->locks);
    handles_deinit(&fs->handles);
    moments_free(fs->moments);
    deferred_deinit(&fs->deferred);
}

uint64_t fs_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}
