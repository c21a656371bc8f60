#include "acl.h"

#include "array.h"
#include "rights.h"

#include <endian.h>
#include <errno.h>

/* Of linux/posix_acl_xattr.h and linux/posix_acl.h. */
#define XATTR_VERSION 2
enum { TAG_USER_OBJ = 1, TAG_USER = 2, TAG_GROUP_OBJ = 4, TAG_GROUP = 8, TAG_MASK = 16, TAG_OTHER = 32 };
#define ID_UNDEFINED UINT32_MAX
#define NAMED_MAX 512 /* more than the kernel takes */

struct named {
    uint16_t tag; /* TAG_USER or TAG_GROUP */
    uint32_t id;
    unsigned rights;
};

struct acl {
    const struct ownership *owner;
    unsigned user, group, others; /* of the mount's owner, of its group, of everybody */
    struct named *named;
    size_t n, cap;
    unsigned rest; /* what those have who are past NAMED_MAX */
    bool oom;
};

/* --- made of lists */

static struct named *acl_find(const struct acl *acl, uint16_t tag, uint32_t id) {
    for (size_t i = 0; i < acl->n; i++)
        if (acl->named[i].tag == tag && acl->named[i].id == id)
            return &acl->named[i];
    return NULL;
}

static void acl_add_named(struct acl *acl, uint16_t tag, uint32_t id, unsigned rights) {
    struct named *found = acl_find(acl, tag, id);
    if (found)
        found->rights |= rights;
    else if (acl->n == NAMED_MAX)
        acl->rest |= rights;
    else if (ARRAY_ROOM(acl->named, acl->n, acl->cap))
        acl->named[acl->n++] = (struct named){tag, id, rights};
    else
        acl->oom = true;
}

static void acl_add_list(void *arg, const struct allow *list, unsigned rights) {
    struct acl *acl = arg;
    if (!list->given || list->anyone) {
        acl->user |= rights;
        acl->group |= rights;
    }
    if (list->anyone)
        acl->others |= rights;
    for (size_t i = 0; i < list->n_uids; i++) {
        if (list->uids[i] == acl->owner->uid)
            acl->user |= rights;
        else
            acl_add_named(acl, TAG_USER, list->uids[i], rights);
    }
    for (size_t i = 0; i < list->n_gids; i++) {
        if (list->gids[i] == acl->owner->gid)
            acl->group |= rights;
        else
            acl_add_named(acl, TAG_GROUP, list->gids[i], rights);
    }
}

/* What one may of both. */
static void acl_intersect(struct acl *acl, const struct acl *with) {
    for (size_t i = 0; i < with->n; i++)
        acl_add_named(acl, with->named[i].tag, with->named[i].id, acl->others);
    for (size_t i = 0; i < acl->n; i++) {
        const struct named *other = acl_find(with, acl->named[i].tag, acl->named[i].id);
        acl->named[i].rights &= other ? other->rights | with->others : with->others;
    }
    acl->user &= with->user;
    acl->group &= with->group;
    acl->others &= with->others;
}

/* The `read` of every type. Who is in by a user's name here and by a group there is not shown. */
static void acl_of_all(struct acl *acl, const struct domain *d) {
    acl->user = acl->group = RIGHT_READ;
    acl->others = d->n_types ? RIGHT_READ : 0;
    for (size_t i = 0; i < d->n_types; i++) {
        struct acl one = {.owner = acl->owner};
        acl_add_list(&one, &d->types[i].read, RIGHT_READ);
        acl_intersect(acl, &one);
        acl->oom |= one.oom;
        free(one.named);
    }
}

static int named_compare(const void *a, const void *b) {
    const struct named *x = a, *y = b;
    if (x->tag != y->tag)
        return x->tag < y->tag ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Leaves the entries that say more than the others do, in the order of the format. */
static void acl_tidy(struct acl *acl) {
    size_t n = 0;
    acl->user |= acl->others;
    acl->group |= acl->others;
    for (size_t i = 0; i < acl->n; i++) {
        acl->named[i].rights |= acl->others;
        if (acl->named[i].rights != acl->others)
            acl->named[n++] = acl->named[i];
    }
    acl->n = n;
    if (n)
        qsort(acl->named, n, sizeof *acl->named, named_compare);
}

/* 0 or a negative errno; acl->named is to be freed in both cases. */
static int acl_of(struct fs *fs, const struct node *node, uint32_t subject, struct acl *acl) {
    mode_t mode = rights_mode(node);
    *acl = (struct acl){.owner = &fs->owner, .user = mode >> 6 & 7, .group = mode >> 3 & 7, .others = mode & 7};
    int r = subject ? 0 : rights_subject(fs, node, &subject);
    if (r < 0)
        return r;
    struct domain *d = store_domain(fs->store);
    if (rights_need_all(node))
        acl_of_all(acl, d);
    else
        rights_each(fs, d, node, subject, acl_add_list, acl);
    domain_unref(d);
    acl_tidy(acl);
    return acl->oom ? -ENOMEM : 0;
}

/* --- shown */

/* As the kernel's posix_acl_equiv_mode(): with named entries the group's bits are the mask. */
static unsigned acl_mask(const struct acl *acl) {
    unsigned mask = acl->group | acl->rest;
    for (size_t i = 0; i < acl->n; i++)
        mask |= acl->named[i].rights;
    return mask;
}

static bool is_listed(const struct fs *fs, const struct node *node) {
    return fs->governed && node_kind(node->tag)->access != ACCESS_MODE;
}

mode_t acl_mode(struct fs *fs, const struct node *node, uint32_t subject) {
    mode_t mode = node_kind(node->tag)->mode;
    struct acl acl;
    if (!is_listed(fs, node))
        return mode;
    if (acl_of(fs, node, subject, &acl) == 0)
        mode = (mode & (mode_t)S_IFMT) | acl.user << 6 | acl_mask(&acl) << 3 | acl.others;
    free(acl.named);
    return mode;
}

static void put_entry(struct buf *out, unsigned tag, unsigned rights, uint32_t id) {
    uint16_t head[2] = {htole16((uint16_t)tag), htole16((uint16_t)rights)};
    id = htole32(id);
    buf_put(out, head, sizeof head);
    buf_put(out, &id, sizeof id);
}

static void put_named(struct buf *out, const struct acl *acl, uint16_t tag) {
    for (size_t i = 0; i < acl->n; i++)
        if (acl->named[i].tag == tag)
            put_entry(out, tag, acl->named[i].rights, acl->named[i].id);
}

int acl_xattr(struct fs *fs, const struct node *node, struct buf *out) {
    struct acl acl;
    if (!is_listed(fs, node))
        return 0;
    int r = acl_of(fs, node, 0, &acl);
    if (r == 0 && acl.n) {
        uint32_t version = htole32(XATTR_VERSION);
        buf_put(out, &version, sizeof version);
        put_entry(out, TAG_USER_OBJ, acl.user, ID_UNDEFINED);
        put_named(out, &acl, TAG_USER);
        put_entry(out, TAG_GROUP_OBJ, acl.group, ID_UNDEFINED);
        put_named(out, &acl, TAG_GROUP);
        put_entry(out, TAG_MASK, acl_mask(&acl), ID_UNDEFINED);
        put_entry(out, TAG_OTHER, acl.others, ID_UNDEFINED);
        r = out->oom ? -ENOMEM : 0;
    }
    free(acl.named);
    return r;
}
