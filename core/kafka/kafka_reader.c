#include "kafka_reader.h"

#include <errno.h>

void kafka_reader_begin(struct kafka_reader *r, const struct stream_source *from, uint64_t position) {
    *r = (struct kafka_reader){.from = *from, .taken = position};
}

void kafka_reader_rest(struct kafka_reader *r) {
    log_scan_close(r->scan);
    r->scan = NULL;
    r->walking = r->holds = false;
}

static bool chunk_is_past(const struct kafka_reader *r) {
    return r->chunk.header.first_position + r->chunk.header.n_events <= r->taken + 1;
}

/* The chunk that holds the event behind `taken`. */
static int chunk_next(struct kafka_reader *r, struct err *err) {
    int e = r->scan ? 0 : log_scan_open(r->from.log, r->taken + 1, &r->scan, err);
    do
        e = e == 0 ? log_scan_next(r->scan, &r->chunk, err) : e;
    while (e == 0 && chunk_is_past(r));
    if (e != 0)
        return e < 0 ? e : KAFKA_READER_END;
    if (chunk_walk_begin(&r->walk, &r->chunk, (uint32_t)(r->taken + 1 - r->chunk.header.first_position)) != 0)
        return err_set(err, EUCLEAN, "a record of the chunk is damaged");
    r->walking = true;
    return 0;
}

static int event_next(struct kafka_reader *r, struct err *err) {
    for (;;) {
        int e = r->walking ? 0 : chunk_next(r, err);
        if (e != 0)
            return e;
        e = chunk_walk_next(&r->walk, &r->event);
        if (e <= 0)
            return e < 0 ? err_set(err, EUCLEAN, "a record of the chunk is damaged") : 0;
        r->walking = false;
    }
}

int kafka_reader_next(struct kafka_reader *r, uint64_t head, struct event **out, struct err *err) {
    int e = r->taken >= head ? KAFKA_READER_END : r->holds ? 0 : event_next(r, err);
    if (e == KAFKA_READER_END) /* a scan sees what was there when it began */
        kafka_reader_rest(r);
    if (e != 0)
        return e;
    if (!r->holds)
        stream_complete(&r->from, &r->event);
    r->holds = true;
    *out = &r->event;
    return 0;
}

void kafka_reader_take(struct kafka_reader *r) {
    r->taken++;
    r->holds = false;
}
