#include "figures.h"

#include "event.h"
#include "store_parts.h"
#include "stream.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE_STEP 1024

json_t *figure_number(uint64_t v) {
    return json_integer((json_int_t)v);
}

json_t *figure_position(uint64_t position) {
    char text[EVENT_POSITION_CHARS];
    event_position(position, text);
    return json_stringn(text, sizeof text);
}

json_t *figure_time(uint64_t time) {
    char text[EVENT_TIME_CHARS];
    event_time(time, text);
    return json_stringn(text, sizeof text);
}

double figure_behind(struct store *s, uint64_t position) {
    const struct stream_source source = {s->index, s->log, home_id(s->home)};
    struct log_chunk *chunk;
    struct event e;
    uint64_t now = store_now();
    if (stream_event(&source, position + 1, &chunk, &e, NULL) != 0)
        return 0;
    double waited = e.time < now ? (double)(now - e.time) / 1e6 : 0;
    log_chunk_release(chunk);
    return waited;
}

static int put(struct buf *out, json_t *object, size_t step) {
    char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(object);
    if (!text)
        return -ENOMEM;
    buf_put_text(out, text);
    while (!out->oom && (out->n + 1) % step)
        buf_put_char(out, ' ');
    buf_put_char(out, '\n');
    free(text);
    return out->oom ? -ENOMEM : 0;
}

int figures_put(struct buf *out, json_t *object) {
    return put(out, object, SIZE_STEP);
}

int figures_put_bare(struct buf *out, json_t *object) {
    return put(out, object, 1);
}
