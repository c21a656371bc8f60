/* Who asks, and whose mount it is. */
#ifndef ESFS_IDENTITY_H
#define ESFS_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As the kernel told when the descriptor was opened. */
struct identity {
    uint32_t uid, gid;
    const uint32_t *gids; /* supplementary groups */
    size_t n_gids;
};

struct ownership {
    uint32_t uid, gid;
    bool root_allowed; /* uid 0 passes every list */
};

#endif
