#include "consumer_commits.h"

#include "array.h"
#include "store_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>

int commits_init(struct commits *c, struct store *s) {
    *c = (struct commits){.store = s, .ticket = 1};
    int r = pthread_mutex_init(&c->lock, NULL);
    if (r == 0 && (r = pthread_cond_init(&c->done, NULL)) != 0)
        pthread_mutex_destroy(&c->lock);
    return -r;
}

static void batch_free(struct batch *b) {
    arena_free(&b->arena);
    free(b->list);
}

void commits_deinit(struct commits *c) {
    batch_free(&c->next);
    batch_free(&c->flying);
    pthread_cond_destroy(&c->done);
    pthread_mutex_destroy(&c->lock);
}

int commits_allowed(struct commits *c) {
    struct statvfs v;
    if (store_read_only(c->store))
        return -EROFS;
    bool low = store_statvfs(c->store, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < store_reserve_bytes(c->store);
    return low ? -ENOSPC : 0;
}

/* --- putting */

void commits_begin(struct commits *c) {
    pthread_mutex_lock(&c->lock);
}

static void add(struct commits *c, struct str key, struct str value, bool remove) {
    struct batch *b = &c->next;
    struct str k = arena_copy(&b->arena, key), v = arena_copy(&b->arena, value);
    if (!k.p || (value.n && !v.p) || !ARRAY_ROOM(b->list, b->n, b->room)) {
        c->broken = true;
        return;
    }
    b->list[b->n++] = (struct db_change){.family = DB_CURSORS, .key = k, .value = v, .remove = remove};
}

void commits_put(struct commits *c, struct str key, struct str value) {
    add(c, key, value, false);
}

void commits_remove(struct commits *c, struct str key) {
    add(c, key, (struct str){NULL, 0}, true);
}

uint64_t commits_end(struct commits *c) {
    uint64_t ticket = c->next.n || c->broken ? c->ticket : c->ticket - 1;
    pthread_mutex_unlock(&c->lock);
    return ticket;
}

/* --- writing: whoever comes first does it for all that came until then */

static int batch_write(struct commits *c, bool broken) {
    struct store *s = c->store;
    struct err err = {0};
    int r = broken ? err_set(&err, ENOMEM, "out of memory for what consumers have acknowledged") : 0;
    if (r == 0)
        r = db_write(s->db, c->flying.list, c->flying.n, s->options.durability == DURABILITY_COMMIT, &err);
    if (r < 0)
        sequencer_fail(s->sequencer, &err);
    return r;
}

/* Called with the lock held; returns with it. */
static void write_next(struct commits *c) {
    struct batch spare = c->flying;
    uint64_t ticket = c->ticket++;
    bool broken = c->broken;
    c->flying = c->next;
    c->next = spare;
    c->writing = true;
    pthread_mutex_unlock(&c->lock);
    int r = batch_write(c, broken);
    arena_reset(&c->flying.arena, 1 << 16);
    c->flying.n = 0;
    pthread_mutex_lock(&c->lock);
    c->writing = false;
    if (r == 0)
        c->reached = ticket;
    else
        c->failed = true;
    pthread_cond_broadcast(&c->done);
}

int commits_reach(struct commits *c, uint64_t ticket) {
    pthread_mutex_lock(&c->lock);
    while (c->reached < ticket && !c->failed) {
        if (c->writing)
            pthread_cond_wait(&c->done, &c->lock);
        else
            write_next(c);
    }
    int r = c->reached < ticket ? -EIO : 0;
    pthread_mutex_unlock(&c->lock);
    return r;
}
