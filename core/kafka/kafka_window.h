/* Positions between the cursor and the last event that was looked at, and which of them are done with. The cursor is
 * the position up to which all are. Acknowledgements come in any order (only those of one partition come in theirs). */
#ifndef ESFS_KAFKA_WINDOW_H
#define ESFS_KAFKA_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KAFKA_WINDOW (1 << 18) /* positions */

struct kafka_slot {
    uint32_t bytes; /* under way, 0: not */
    bool done;
};

struct kafka_window {
    struct kafka_slot *slots;
    uint64_t cursor;
};

int kafka_window_init(struct kafka_window *w, uint64_t cursor); /* 0 or -ENOMEM */
void kafka_window_free(struct kafka_window *w);

/* Whether a position behind the cursor has a place. */
static inline bool kafka_window_has(const struct kafka_window *w, uint64_t position) {
    return position > w->cursor && position - w->cursor <= KAFKA_WINDOW;
}
static inline struct kafka_slot *kafka_window_slot(const struct kafka_window *w, uint64_t position) {
    return &w->slots[position % KAFKA_WINDOW];
}
/* It is done with; the cursor moves as far as all are. A position at or before the cursor is passed over. */
void kafka_window_done(struct kafka_window *w, uint64_t position);

#endif
