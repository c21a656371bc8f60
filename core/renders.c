#include "renders.h"

#include "table.h"

#include <pthread.h>
#include <stdlib.h>

#define SLOTS 512
#define TEXT_MAX (64 << 10) /* so 32 MiB in all */

struct slot {
    struct render render;
    char *text; /* NULL: empty */
    size_t n;
};

struct renders {
    pthread_mutex_t lock;
    struct slot slots[SLOTS];
};

struct renders *renders_new(void) {
    struct renders *r = calloc(1, sizeof *r);
    if (r)
        pthread_mutex_init(&r->lock, NULL);
    return r;
}

void renders_free(struct renders *r) {
    if (!r)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(r->slots[i].text);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* One place for each aggregate: what is asked for again is mostly its newest version. */
static struct slot *slot_of(struct renders *r, const struct render *key) {
    return &r->slots[table_hash_number(key->aggregate) % SLOTS];
}

static bool is_same(const struct render *a, const struct render *b) {
    return a->aggregate == b->aggregate && a->version == b->version && memcmp(a->fold, b->fold, sizeof a->fold) == 0;
}

bool renders_get(struct renders *r, struct render *key, struct buf *out, uint64_t *size) {
    pthread_mutex_lock(&r->lock);
    const struct slot *s = slot_of(r, key);
    bool found = s->text && is_same(&s->render, key);
    if (found) {
        key->stream_bytes = s->render.stream_bytes;
        *size = s->n;
        if (out)
            buf_put(out, s->text, s->n);
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}

void renders_put(struct renders *r, const struct render *render, struct str text) {
    char *copy = text.n <= TEXT_MAX ? malloc(text.n + 1) : NULL;
    if (!copy)
        return;
    memcpy(copy, text.p, text.n);
    pthread_mutex_lock(&r->lock);
    struct slot *s = slot_of(r, render);
    free(s->text);
    *s = (struct slot){*render, copy, text.n};
    pthread_mutex_unlock(&r->lock);
}
