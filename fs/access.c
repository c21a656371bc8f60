#include "access.h"

#include "asker.h"
#include "rights.h"

#include <errno.h>
#include <unistd.h>

#define RIGHTS_ALL (RIGHT_READ | RIGHT_WRITE | RIGHT_SEARCH)

_Static_assert(RIGHT_READ == R_OK && RIGHT_WRITE == W_OK && RIGHT_SEARCH == X_OK, "what access(2) asks for");

static bool identity_in_group(const struct identity *who, gid_t gid) {
    if (who->gid == gid)
        return true;
    for (size_t i = 0; i < who->n_gids; i++)
        if (who->gids[i] == gid)
            return true;
    return false;
}

/* As modes say: the owner's and the group's bits hold at least those of the others. Root may everything; of what lists
 * are about, what the owner may without them. */
static unsigned rights_by_mode(const struct fs *fs, mode_t mode, bool listed, const struct identity *who) {
    if (who->uid == 0)
        return listed ? mode >> 6 & RIGHTS_ALL : RIGHTS_ALL;
    unsigned rights = mode & RIGHTS_ALL;
    if (who->uid == fs->owner.uid)
        rights |= mode >> 6 & RIGHTS_ALL;
    if (identity_in_group(who, fs->owner.gid))
        rights |= mode >> 3 & RIGHTS_ALL;
    return rights;
}

struct question {
    const struct ownership *owner;
    const struct identity *who;
    unsigned rights;
};

static void question_add(void *arg, const struct allow *list, unsigned rights) {
    struct question *q = arg;
    if ((q->rights & rights) != rights && allow_admits(list, q->who, q->owner))
        q->rights |= rights;
}

static unsigned rights_by_lists(struct fs *fs, const struct node *node, uint32_t subject, const struct identity *who) {
    struct question q = {.owner = &fs->owner, .who = who};
    if (node_kind(node->tag)->access == ACCESS_READ)
        return store_may_read(fs->store, subject, who) ? RIGHT_READ : 0;
    struct domain *d = store_domain(fs->store);
    rights_each(fs, d, node, subject, question_add, &q);
    domain_unref(d);
    return q.rights;
}

static int may(struct fs *fs, const struct node *node, const struct identity *who, unsigned want) {
    bool listed = fs->governed && node_kind(node->tag)->access != ACCESS_MODE;
    mode_t mode = listed ? rights_mode(node) : node_kind(node->tag)->mode;
    uint32_t subject;
    want &= ~rights_by_mode(fs, mode, listed, who);
    if (want == 0 || !listed)
        return want == 0 ? 0 : -EACCES;
    int r = rights_subject(fs, node, &subject);
    if (r < 0)
        return r;
    return (want & ~rights_by_lists(fs, node, subject, who)) == 0 ? 0 : -EACCES;
}

int access_check(struct fs *fs, fuse_req_t req, const struct node *node, int want) {
    struct asker a;
    asker_init(&a, req);
    int r = may(fs, node, &a.who, (unsigned)want & RIGHTS_ALL);
    if (r == -EACCES && (r = asker_groups(&a, req)) == 0)
        r = may(fs, node, &a.who, (unsigned)want & RIGHTS_ALL);
    asker_deinit(&a);
    return r;
}
