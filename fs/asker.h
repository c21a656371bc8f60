/* Who sent a request, with all groups. The kernel sends uid, gid and pid; supplementary groups stand in /proc, which
 * costs an open, so they are fetched when they can matter. Of a caller in another pid namespace (pid 0) nobody can
 * know more than the primary group. One thread's. */
#ifndef ESFS_ASKER_H
#define ESFS_ASKER_H

#include "identity.h"
#include "lowlevel.h"

#define ASKER_GROUPS_USUAL 64

struct asker {
    struct identity who; /* its groups are in what follows */
    gid_t usual[ASKER_GROUPS_USUAL];
    gid_t *many; /* owned; when there are more */
};

/* Without supplementary groups. */
void asker_init(struct asker *a, fuse_req_t req);
/* Adds them. 0 or -ENOMEM. What cannot be read (the caller has just ended) counts as none. */
int asker_groups(struct asker *a, fuse_req_t req);
void asker_deinit(struct asker *a);

#endif
