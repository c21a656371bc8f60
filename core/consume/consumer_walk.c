#include "consumer_walk.h"

#include <errno.h>
#include <stdio.h>

#define FAR_EVENTS 1024 /* that make a way long */

void walk_begin(struct walk *w, const struct stream_source *from, uint64_t next, uint64_t head, bool far) {
    *w = (struct walk){.from = from, .next = next, .head = head};
    if (far && head > next && head - next >= FAR_EVENTS && log_scan_open(from->log, next, &w->scan, NULL) < 0)
        w->scan = NULL; /* the other way will tell what is wrong */
}

void walk_end(struct walk *w) {
    log_chunk_release(w->cached);
    log_scan_close(w->scan);
}

static int chunk_next(struct walk *w, struct err *err) {
    if (w->scan)
        return log_scan_next(w->scan, &w->chunk, err);
    struct log_chunk *c = NULL;
    int r = log_chunk_at(w->from->log, w->next, &c, err);
    if (r != 0)
        return r;
    log_chunk_release(w->cached);
    w->cached = c;
    w->chunk = *log_chunk_view(c);
    return 0;
}

/* Goes to the chunk with the next event; a scan begins with one that may be before it. */
static int chunk_enter(struct walk *w, struct err *err) {
    const struct chunk_header *h = &w->chunk.header;
    do {
        int r = chunk_next(w, err);
        if (r != 0)
            return r > 0 ? err_set(err, EIO, "no event") : r;
        w->chunks++;
    } while (w->next >= h->first_position + h->n_events);
    if (w->next < h->first_position)
        return err_set(err, EIO, "no event");
    if (chunk_walk_begin(&w->events, &w->chunk, (uint32_t)(w->next - h->first_position)) != 0)
        return err_set(err, EIO, "its record is damaged");
    w->open = true;
    return 0;
}

static int fail(struct walk *w, int r, const struct err *err) {
    return err_set(&w->err, r == -ENOMEM ? ENOMEM : EIO, "position %016llx: %.400s", (unsigned long long)w->next,
                   err->text);
}

int walk_next(struct walk *w, struct event *e) {
    struct err err = {0};
    if (w->next > w->head)
        return WALK_END;
    for (;;) {
        int r = w->open ? 0 : chunk_enter(w, &err);
        if (r < 0)
            return fail(w, r, &err);
        r = chunk_walk_next(&w->events, e);
        if (r < 0) {
            err_set(&err, EIO, "its record is damaged");
            return fail(w, r, &err);
        }
        if (r == 0) {
            w->next++;
            return 0;
        }
        w->open = false;
    }
}
