#include "changes.h"

#include "array.h"

#include <errno.h>
#include <stdlib.h>

#define CHANGES_KEPT (1 << 20) /* bytes of memory that are kept for the next batch */

static const enum db_family families[] = {
    [CHANGES_OF_FOLDS] = DB_FOLDS,
    [CHANGES_OF_VIEWS] = DB_VIEWS,
    [CHANGES_OF_CURSORS] = DB_CURSORS,
};

static int changes_add(struct changes *c, struct str key, struct str value, bool remove) {
    struct str k = arena_copy(&c->arena, key), v = arena_copy(&c->arena, value);
    if (!k.p || (value.n && !v.p) || !ARRAY_ROOM(c->list, c->n, c->room))
        return -ENOMEM;
    c->list[c->n++] = (struct db_change){.family = families[c->of], .key = k, .value = v, .remove = remove};
    return 0;
}

int changes_put(struct changes *c, struct str key, struct str value) {
    return changes_add(c, key, value, false);
}

int changes_remove(struct changes *c, struct str key) {
    return changes_add(c, key, (struct str){NULL, 0}, true);
}

void changes_clear(struct changes *c) {
    arena_reset(&c->arena, CHANGES_KEPT);
    c->n = 0;
}

void changes_free(struct changes *c) {
    arena_free(&c->arena);
    free(c->list);
    *c = (struct changes){.of = c->of};
}
