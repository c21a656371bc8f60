/* The mount: what every handler works on. It is the userdata of the FUSE session, so fs_of() finds it; there is
 * no other state. Made before the session, freed after its threads have ended. */
#ifndef ESFS_FS_H
#define ESFS_FS_H

#include "consumers.h"
#include "handle.h"
#include "lock.h"
#include "lowlevel.h"
#include "moves.h"
#include "pending.h"
#include "polled.h"
#include "queries.h"
#include "reload.h"
#include "reply.h"
#include "store.h"
#include "views.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct moments;  /* node_at.h */
struct contents; /* content.h */

struct fs {
    struct store *store; /* borrowed */
    struct index *index; /* the store's */
    struct views *views; /* the store's; NULL without a domain, like the next */
    struct queries *queries;
    struct consumers *consumers; /* the store's */
    enum durability durability;
    bool shared;            /* others than the owner get in (allow_other) */
    bool governed;          /* by a domain: its lists say who may what */
    bool published;         /* to Kafka */
    struct ownership owner; /* of the mount */
    uint64_t started;       /* microseconds; the time of what never had an event */
    struct moments *moments;
    struct contents *contents;
    struct locks *locks;
    struct pendings pendings;
    struct polls polls;
    struct moves moves;
    struct handles handles;
    struct deferred deferred;
    atomic_uint lookups;      /* counter of ids of `commands` and `call` */
    void (*ready)(void *arg); /* called once, when the kernel has said hello */
    void *ready_arg;
    void (*log)(void *arg, int priority, const char *line); /* as in struct store_options */
    void *log_arg;
};

static inline struct fs *fs_of(fuse_req_t req) {
    return fuse_req_userdata(req);
}

/* 0 or negative errno; then nothing is held. */
int fs_init(struct fs *fs, struct store *store, const struct ownership *owner);
/* Waits for the deferred requests, closes what is still open and frees. The session has no threads any more. */
void fs_deinit(struct fs *fs);

uint64_t fs_now(void); /* microseconds since 1970 */

#endif
