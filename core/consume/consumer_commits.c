#include "consumer_commits.h"

#include "store_parts.h"

#include <errno.h>
#include <stdlib.h>

int commits_init(struct commits *c, struct store *s) {
    *c = (struct commits){.store = s, .ticket = 1, .next.of = CHANGES_OF_CURSORS, .flying.of = CHANGES_OF_CURSORS};
    int r = pthread_mutex_init(&c->lock, NULL);
    if (r == 0 && (r = pthread_cond_init(&c->done, NULL)) != 0)
        pthread_mutex_destroy(&c->lock);
    return -r;
}

void commits_deinit(struct commits *c) {
    changes_free(&c->next);
    changes_free(&c->flying);
    pthread_cond_destroy(&c->done);
    pthread_mutex_destroy(&c->lock);
}

int commits_allowed(struct commits *c) {
    if (store_read_only(c->store))
        return -EROFS;
    return store_has_room(c->store) ? 0 : -ENOSPC;
}

/* --- putting */

void commits_begin(struct commits *c) {
    pthread_mutex_lock(&c->lock);
}

void commits_put(struct commits *c, struct str key, struct str value) {
    if (changes_put(&c->next, key, value) < 0)
        c->broken = true;
}

void commits_remove(struct commits *c, struct str key) {
    if (changes_remove(&c->next, key) < 0)
        c->broken = true;
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
    struct changes spare = c->flying;
    uint64_t ticket = c->ticket++;
    bool broken = c->broken;
    c->flying = c->next;
    c->next = spare;
    c->writing = true;
    pthread_mutex_unlock(&c->lock);
    int r = batch_write(c, broken);
    changes_clear(&c->flying);
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
