#include "stream.h"

#include <errno.h>

void stream_complete(const struct stream_source *from, struct event *e) {
    e->aggregate_type = index_type_name(from->index, e->type_no);
    e->store_id = from->store_id;
}

static int event_in(const struct stream_source *from, const struct chunk *c, uint64_t position, struct event *out,
                    struct err *err) {
    struct chunk_walk walk;
    if (chunk_walk_begin(&walk, c, (uint32_t)(position - c->header.first_position)) != 0 ||
        chunk_walk_next(&walk, out) != 0)
        return err_set(err, EIO, "position %016llx: the record of the event is damaged", (unsigned long long)position);
    stream_complete(from, out);
    return 0;
}

int stream_event(const struct stream_source *from, uint64_t position, struct log_chunk **chunk, struct event *out,
                 struct err *err) {
    struct err why = {0};
    int r = log_chunk_at(from->log, position, chunk, &why);
    if (r == INDEX_NONE)
        return r;
    if (r < 0)
        return err_set(err, r == -ENOMEM ? ENOMEM : EIO, "position %016llx: %s", (unsigned long long)position,
                       why.text);
    r = event_in(from, log_chunk_view(*chunk), position, out, err);
    if (r < 0)
        log_chunk_release(*chunk);
    return r;
}

void stream_begin(struct stream_walk *w, const struct stream_source *from, uint64_t aggregate, uint64_t first,
                  uint64_t to) {
    w->from = *from;
    w->aggregate = aggregate;
    w->version = first;
    w->to = to;
    w->chunk = NULL;
    w->n = w->at = 0;
}

void stream_end(struct stream_walk *w) {
    log_chunk_release(w->chunk);
    w->chunk = NULL;
}

static bool holds(const struct log_chunk *chunk, uint64_t position) {
    const struct chunk *c = chunk ? log_chunk_view(chunk) : NULL;
    return c && position >= c->header.first_position && position - c->header.first_position < c->header.n_events;
}

static int stream_load(struct stream_walk *w, uint64_t position, struct event *out, struct err *err) {
    if (holds(w->chunk, position))
        return event_in(&w->from, log_chunk_view(w->chunk), position, out, err);
    stream_end(w);
    int r = stream_event(&w->from, position, &w->chunk, out, err);
    if (r != 0)
        w->chunk = NULL;
    return r == INDEX_NONE ? err_set(err, EIO, "position %016llx: no event", (unsigned long long)position) : r;
}

int stream_next(struct stream_walk *w, struct event *out, const struct index_entry **entry, struct err *err) {
    if (w->version > w->to)
        return STREAM_END;
    if (w->at == w->n) {
        w->at = 0;
        w->n = index_entries(w->from.index, w->aggregate, w->version, w->entries, STREAM_ENTRIES, err);
        if (w->n <= 0) {
            int r = w->n;
            w->n = 0;
            return r < 0 ? r : STREAM_END;
        }
    }
    *entry = &w->entries[w->at];
    int r = stream_load(w, (*entry)->position, out, err);
    if (r == 0) {
        w->at++;
        w->version++;
    }
    return r;
}
