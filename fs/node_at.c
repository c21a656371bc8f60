#include "node_at.h"

#include "node_text.h"
#include "text.h"

#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>

#define WHEN_MAX_BYTES 64

/* One directory at/<when>, with its files. `2h-ago` is another moment each time it is asked for, so that what a node
 * shows never changes. */
struct moment {
    uint64_t id;   /* the number in its node ids: first, for moment_compare() */
    uint64_t held; /* times that the kernel knows it */
    struct moment_range range;
    size_t n;
    char when[WHEN_MAX_BYTES];
};

struct moments {
    pthread_mutex_t lock;
    void *tree; /* tsearch(3), by id */
};

static int moment_compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static struct moment *moment_get(struct moments *ms, uint64_t id) {
    struct moment **found = tfind(&id, &ms->tree, moment_compare);
    return found ? *found : NULL;
}

struct moments *moments_new(void) {
    struct moments *ms = calloc(1, sizeof *ms);
    if (ms && pthread_mutex_init(&ms->lock, NULL) != 0) {
        free(ms);
        return NULL;
    }
    return ms;
}

void moments_free(struct moments *ms) {
    tdestroy(ms->tree, free);
    pthread_mutex_destroy(&ms->lock);
    free(ms);
}

static uint64_t moment_hash(const struct moment *m) {
    uint64_t h = ino_hash(INO_HASH, &m->range, sizeof m->range);
    return ino_hash_end(ino_hash(h, m->when, m->n), INO_MOMENT_BITS);
}

static bool moment_same(const struct moment *a, const struct moment *b) {
    return a->n == b->n && memcmp(&a->range, &b->range, sizeof a->range) == 0 && memcmp(a->when, b->when, a->n) == 0;
}

/* Finds or adds the moment and holds it once. Under the lock. */
static struct moment *moment_intern(struct moments *ms, const struct moment *like) {
    uint64_t id = moment_hash(like);
    struct moment *m;
    for (;; id++) {
        id &= (1ULL << INO_MOMENT_BITS) - 1;
        m = id ? moment_get(ms, id) : NULL;
        if (id && (!m || moment_same(m, like)))
            break;
    }
    if (m) {
        m->held++;
        return m;
    }
    m = malloc(sizeof *m);
    if (!m)
        return NULL;
    *m = *like;
    m->id = id;
    m->held = 1;
    if (!tsearch(m, &ms->tree, moment_compare)) {
        free(m);
        return NULL;
    }
    return m;
}

void moment_hold(struct fs *fs, const struct node *node) {
    pthread_mutex_lock(&fs->moments->lock);
    struct moment *m = moment_get(fs->moments, node->no);
    if (m)
        m->held++;
    pthread_mutex_unlock(&fs->moments->lock);
}

void moment_drop(struct fs *fs, const struct node *node, uint64_t n) {
    struct moments *ms = fs->moments;
    pthread_mutex_lock(&ms->lock);
    struct moment *m = moment_get(ms, node->no);
    if (m && (m->held -= n < m->held ? n : m->held) == 0) {
        tdelete(m, &ms->tree, moment_compare);
        free(m);
    }
    pthread_mutex_unlock(&ms->lock);
}

int moment_range(struct fs *fs, const struct node *node, struct moment_range *out) {
    pthread_mutex_lock(&fs->moments->lock);
    const struct moment *m = moment_get(fs->moments, node->no);
    if (m)
        *out = m->range;
    pthread_mutex_unlock(&fs->moments->lock);
    return m ? 0 : -ESTALE;
}

bool moment_is_range(struct fs *fs, const struct node *node) {
    pthread_mutex_lock(&fs->moments->lock);
    const struct moment *m = moment_get(fs->moments, node->no);
    bool range = m && memmem(m->when, m->n, "..", 2);
    pthread_mutex_unlock(&fs->moments->lock);
    return range;
}

static int range_stat(struct fs *fs, const struct moment_range *range, struct node_stat *out) {
    *out = (struct node_stat){0};
    if (range->to == 0)
        return 0;
    return text_stat_range(fs->store, range->aggregate, range->from, range->to, &out->size, &out->time);
}

static int at_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                   struct node_stat *stat) {
    (void)req;
    struct moment like = {.range.aggregate = dir->no, .n = name.n};
    if (name.n > WHEN_MAX_BYTES)
        return -ENOENT;
    memcpy(like.when, name.p, name.n);
    int r = text_when(fs->store, dir->no, name, &like.range.from, &like.range.to);
    if (r == 0)
        r = range_stat(fs, &like.range, stat);
    if (r < 0)
        return r;
    stat->size = 0;
    pthread_mutex_lock(&fs->moments->lock);
    struct moment *m = moment_intern(fs->moments, &like);
    if (m)
        *child = (struct node){NODE_MOMENT, m->id};
    pthread_mutex_unlock(&fs->moments->lock);
    return m ? 0 : -ENOMEM;
}

static int moment_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct moment_range range;
    int r = moment_range(fs, node, &range);
    if (r == 0)
        r = range_stat(fs, &range, out);
    if (node->tag == NODE_MOMENT)
        out->size = 0;
    return r;
}

static ssize_t moment_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                           size_t n) {
    struct moment_range range;
    int r = moment_range(fs, node, &range);
    if (r < 0 || range.to == 0)
        return r;
    return range_read(fs, range.aggregate, range.from, range.to, h, offset, out, n);
}

const struct node_ops at_ops = {.stat = node_stat_as_parent, .find = at_find};

const struct node_ops moment_ops = {.stat = moment_stat, .hold = moment_hold, .drop = moment_drop};

const struct node_ops moment_stream_ops = {
    .stat = moment_stat,
    .open = text_open,
    .read = moment_read,
    .hold = moment_hold,
    .drop = moment_drop,
};
