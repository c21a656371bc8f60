#include "asker.h"

#include <errno.h>
#include <stdlib.h>

void asker_init(struct asker *a, fuse_req_t req) {
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    a->who = (struct identity){.uid = ctx->uid, .gid = ctx->gid};
    a->many = NULL;
}

int asker_groups(struct asker *a, fuse_req_t req) {
    if (fuse_req_ctx(req)->pid <= 0)
        return 0;
    gid_t *groups = a->usual;
    int room = ASKER_GROUPS_USUAL, n;
    /* They may become more between two calls. */
    while ((n = fuse_req_getgroups(req, room, groups)) > room) {
        room = n;
        groups = realloc(a->many, (size_t)room * sizeof *groups);
        if (!groups)
            return -ENOMEM;
        a->many = groups;
    }
    a->who.gids = groups;
    a->who.n_gids = n < 0 ? 0 : (size_t)n;
    return 0;
}

void asker_deinit(struct asker *a) {
    free(a->many);
}
