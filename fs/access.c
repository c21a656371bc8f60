#include "access.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define GROUPS_USUAL 64

static bool groups_hold(const gid_t *groups, int n, gid_t gid) {
    for (int i = 0; i < n; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

/* Supplementary groups are read from /proc; a caller of another pid namespace has none that we can see. */
static bool caller_in_group(fuse_req_t req, gid_t gid) {
    if (fuse_req_ctx(req)->gid == gid)
        return true;
    gid_t usual[GROUPS_USUAL];
    int n = fuse_req_getgroups(req, GROUPS_USUAL, usual);
    if (n <= GROUPS_USUAL)
        return groups_hold(usual, n, gid);
    gid_t *groups = calloc((size_t)n, sizeof *groups);
    if (!groups)
        return false;
    int m = fuse_req_getgroups(req, n, groups);
    bool holds = groups_hold(groups, m < n ? m : n, gid);
    free(groups);
    return holds;
}

int access_check(struct fs *fs, fuse_req_t req, mode_t mode, int want) {
    uid_t uid = fuse_req_ctx(req)->uid;
    if (uid == 0)
        return 0;
    unsigned bits = (unsigned)want & (R_OK | W_OK | X_OK);
    unsigned shift = 0;
    if (uid == fs->uid)
        shift = 6;
    else if ((bits & ~(mode & 7)) != 0 && caller_in_group(req, fs->gid))
        shift = 3;
    return (bits & ~(mode >> shift)) == 0 ? 0 : -EACCES;
}
