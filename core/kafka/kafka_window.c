#include "kafka_window.h"

#include <errno.h>
#include <stdlib.h>

int kafka_window_init(struct kafka_window *w, uint64_t cursor) {
    *w = (struct kafka_window){calloc(KAFKA_WINDOW, sizeof *w->slots), cursor};
    return w->slots ? 0 : -ENOMEM;
}

void kafka_window_free(struct kafka_window *w) {
    free(w->slots);
    w->slots = NULL;
}

void kafka_window_done(struct kafka_window *w, uint64_t position) {
    struct kafka_slot *slot;
    if (!kafka_window_has(w, position))
        return;
    kafka_window_slot(w, position)->done = true;
    while ((slot = kafka_window_slot(w, w->cursor + 1))->done) {
        *slot = (struct kafka_slot){0};
        w->cursor++;
    }
}
