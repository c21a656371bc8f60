#include "name.h"
#include "node_dir.h"

#include <errno.h>
#include <stdlib.h>

/* A mkdir or rmdir that waits for the engine. */
struct making {
    struct fs *fs;
    fuse_req_t req;
    struct node dir;
    size_t n;
    char name[NAME_MAX_BYTES];
};

/* Names of a type (of the root's entry) or of an aggregate (of a type's entry). */
static int names_of(struct fs *fs, const struct node *dir, struct str name, struct str *type, struct str *id) {
    if (dir->tag == NODE_ROOT) {
        *type = name;
        *id = (struct str){0};
        return 0;
    }
    *type = index_type_name(fs->index, (uint32_t)dir->no);
    *id = name;
    return type->n ? 0 : -ESTALE;
}

static struct making *making_new(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req) {
    struct making *m = malloc(sizeof *m);
    if (!m)
        return NULL;
    *m = (struct making){.fs = fs, .req = req, .dir = *dir, .n = name.n};
    memcpy(m->name, name.p, name.n);
    deferred_begin(&fs->deferred);
    return m;
}

static void making_end(struct making *m) {
    deferred_end(&m->fs->deferred);
    free(m);
}

static void made(void *arg, enum outcome outcome) {
    struct making *m = arg;
    struct node child;
    struct node_stat stat = {0};
    int r = -outcome_errno(outcome);
    if (r == 0)
        r = node_find(m->fs, &m->dir, (struct str){m->name, m->n}, m->req, &child, &stat);
    if (r == 0) {
        struct fuse_entry_param e;
        node_entry(m->fs, &child, &stat, &e);
        fuse_reply_entry(m->req, &e);
    } else {
        reply_result(m->req, r);
    }
    making_end(m);
}

void dir_make(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req) {
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct caller caller = {.who = {.uid = ctx->uid, .gid = ctx->gid}, .pid = ctx->pid};
    struct str type, id;
    int r = name.n > NAME_MAX_BYTES ? -ENAMETOOLONG : names_of(fs, dir, name, &type, &id);
    struct making *m = r < 0 ? NULL : making_new(fs, dir, name, req);
    if (m)
        store_declare(fs->store, type, id, &caller, made, m);
    else
        reply_result(req, r < 0 ? r : -ENOMEM);
}

static void removed(void *arg, enum outcome outcome) {
    struct making *m = arg;
    reply_result(m->req, -outcome_errno(outcome));
    making_end(m);
}

void dir_remove(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req) {
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct caller caller = {.who = {.uid = ctx->uid, .gid = ctx->gid}, .pid = ctx->pid};
    struct str type, id;
    struct node child;
    struct node_stat stat;
    int r = node_find(fs, dir, name, req, &child, &stat);
    if (r == 0 && node_kind(child.tag)->name)
        r = -EPERM;
    if (r == 0)
        r = names_of(fs, dir, name, &type, &id);
    struct making *m = r < 0 ? NULL : making_new(fs, dir, name, req);
    if (m)
        store_undeclare(fs->store, type, id, &caller, removed, m);
    else
        reply_result(req, r < 0 ? r : -ENOMEM);
}
