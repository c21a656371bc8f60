#include "text.h"

#include "store_parts.h"
#include "stream.h"

#include <errno.h>
#include <stdlib.h>

#define CURSOR_REACH (4 << 20) /* a reader that jumped further ahead is better served by a search */

/* Where text goes: what lies before `skip` bytes is left out, what does not fit is cut off. */
struct sink {
    char *out;
    size_t room, done;
    uint64_t skip;
    char *line; /* scratch for a line of which only a part is wanted */
    size_t line_room;
};

static int sink_line(struct sink *s, size_t size) {
    if (s->line_room >= size)
        return 0;
    char *line = realloc(s->line, size);
    if (!line)
        return -ENOMEM;
    s->line = line;
    s->line_room = size;
    return 0;
}

/* 0 when the event of that size went in whole (or was left out), 1 when the sink is full, -ENOMEM. */
static int sink_put(struct sink *s, const struct event *e, size_t size) {
    if (s->skip >= size) {
        s->skip -= size;
        return 0;
    }
    if (s->skip == 0 && s->room - s->done >= size) {
        event_render(e, s->out + s->done);
        s->done += size;
        return 0;
    }
    if (sink_line(s, size) < 0)
        return -ENOMEM;
    event_render(e, s->line);
    size_t left = size - s->skip, part = left < s->room - s->done ? left : s->room - s->done;
    memcpy(s->out + s->done, s->line + s->skip, part);
    s->done += part;
    s->skip = 0;
    return part < left;
}

static struct stream_source source_of(struct store *s) {
    return (struct stream_source){s->index, s->log, home_id(s->home)};
}

static ssize_t damaged(struct store *s, uint64_t position, struct err *err) {
    struct err told;
    if (position)
        err_set(&told, EIO, "position %016llx: %s", (unsigned long long)position, err->text);
    else
        told = *err;
    store_report(s, "reading the log", &told);
    return -EIO;
}

/* --- one event */

/* The event at a position; its strings live until log_chunk_release(*chunk). */
static int event_load(struct store *s, uint64_t position, struct log_chunk **chunk, struct event *e) {
    struct err err = {0};
    const struct stream_source source = source_of(s);
    int r = stream_event(&source, position, chunk, e, &err);
    if (r == INDEX_NONE)
        return -ENOENT;
    return r < 0 ? (int)damaged(s, 0, &err) : 0;
}

ssize_t text_read_event(struct store *s, uint64_t position, uint64_t offset, char *out, size_t n) {
    struct log_chunk *chunk;
    struct event e;
    int r = event_load(s, position, &chunk, &e);
    if (r < 0)
        return r;
    struct sink sink = {.out = out, .room = n, .skip = offset};
    r = sink_put(&sink, &e, event_size(&e));
    log_chunk_release(chunk);
    free(sink.line);
    return r < 0 ? r : (ssize_t)sink.done;
}

int text_put_event(struct store *s, uint64_t position, struct buf *out) {
    struct log_chunk *chunk;
    struct event e;
    int r = event_load(s, position, &chunk, &e);
    if (r < 0)
        return r;
    size_t n = event_size(&e);
    char *line = buf_reserve(out, n);
    if (line) {
        event_render(&e, line);
        out->n += n - 1;
    }
    log_chunk_release(chunk);
    return line ? 0 : -ENOMEM;
}

int text_stat_event(struct store *s, uint64_t position, struct text_event *out) {
    struct log_chunk *chunk;
    struct event e;
    int r = event_load(s, position, &chunk, &e);
    if (r < 0)
        return r;
    *out = (struct text_event){.aggregate = e.aggregate,
                               .version = e.version,
                               .time = e.time,
                               .type_no = e.type_no,
                               .size = (uint32_t)event_size(&e)};
    log_chunk_release(chunk);
    return 0;
}

/* --- the whole log: chunk after chunk */

static uint64_t log_size(struct store *s, uint32_t type_no) {
    struct index_head head;
    struct index_type type;
    if (type_no)
        return index_type_by_no(s->index, type_no, &type) == 0 ? type.bytes : 0;
    index_head(s->index, &head);
    return head.log_bytes;
}

/* Puts the events of a chunk from a position on, of one type or all. As sink_put; moves the cursor. */
static int chunk_put(struct store *s, const struct chunk *c, uint64_t position, uint32_t type_no, struct sink *sink,
                     struct text_cursor *cursor) {
    const struct stream_source source = source_of(s);
    struct chunk_walk walk;
    struct event e;
    uint64_t first = c->header.first_position;
    uint32_t i = position > first ? (uint32_t)(position - first) : 0;
    int r = chunk_walk_begin(&walk, c, i < c->header.n_events ? i : c->header.n_events);
    while (r == 0 && sink->done < sink->room && (r = chunk_walk_next(&walk, &e)) == 0) {
        if (type_no && e.type_no != type_no)
            continue;
        stream_complete(&source, &e);
        size_t size = event_size(&e);
        r = sink_put(sink, &e, size);
        if (r == 0)
            *cursor = (struct text_cursor){cursor->offset + size, e.position + 1};
        else if (r < 0)
            return r;
        else
            return 1;
    }
    return r == 1 || r == 0 ? 0 : -EUCLEAN;
}

static ssize_t scan_all(struct store *s, struct text_cursor *cursor, struct sink *sink, struct err *err) {
    struct log_scan *scan;
    struct chunk c;
    int r = log_scan_open(s->log, cursor->position, &scan, err);
    if (r < 0)
        return r;
    while (r == 0 && sink->done < sink->room && (r = log_scan_next(scan, &c, err)) == 0)
        r = chunk_put(s, &c, cursor->position, 0, sink, cursor);
    log_scan_close(scan);
    return r == -ENOMEM || r == -EUCLEAN || r == -EIO ? r : 0;
}

static ssize_t read_all(struct store *s, uint64_t offset, struct sink *sink, struct text_cursor *cursor,
                        struct err *err) {
    if (!cursor->position || cursor->offset > offset || offset - cursor->offset > CURSOR_REACH) {
        struct index_chunk at;
        int r = index_chunk_at(s->index, 0, offset, &at, err);
        if (r != 0)
            return r < 0 ? r : 0;
        *cursor = (struct text_cursor){at.offset, at.first_position};
    }
    sink->skip = offset - cursor->offset;
    return scan_all(s, cursor, sink, err);
}

/* A type's events may be far apart: only chunks that have some are read. */
static ssize_t read_type(struct store *s, uint32_t type_no, uint64_t offset, struct sink *sink,
                         struct text_cursor *cursor, struct err *err) {
    struct index_chunk at;
    int r = index_chunk_at(s->index, type_no, offset, &at, err);
    if (r == 0)
        sink->skip = offset - at.offset;
    while (r == 0 && sink->done < sink->room) {
        struct log_chunk *chunk;
        *cursor = (struct text_cursor){at.offset, at.first_position};
        r = log_chunk_at(s->log, at.first_position, &chunk, err);
        if (r != 0)
            break;
        r = chunk_put(s, log_chunk_view(chunk), 0, type_no, sink, cursor);
        log_chunk_release(chunk);
        if (r == 0)
            r = index_chunk_next(s->index, type_no, &at, &at, err);
    }
    return r < 0 ? r : 0;
}

ssize_t text_read_log(struct store *s, uint32_t type_no, uint64_t offset, char *out, size_t n,
                      struct text_cursor *cursor) {
    struct err err = {.text = "a record is damaged"};
    uint64_t size = log_size(s, type_no);
    if (offset >= size)
        return 0;
    struct sink sink = {.out = out, .room = n < size - offset ? n : size - offset};
    ssize_t r = type_no ? read_type(s, type_no, offset, &sink, cursor, &err) : read_all(s, offset, &sink, cursor, &err);
    free(sink.line);
    if (r < 0 && sink.done == 0) {
        uint64_t position = cursor->position;
        *cursor = (struct text_cursor){0};
        return r == -ENOMEM ? r : damaged(s, position, &err);
    }
    return (ssize_t)sink.done;
}

/* --- streams: event after event */

/* Reads from the cursor's version on until the sink is full. 0 or a negative errno. */
static int stream_put(struct store *s, uint64_t aggregate, uint64_t to, struct sink *sink, struct text_cursor *cursor) {
    const struct stream_source source = source_of(s);
    const struct index_entry *entry;
    struct stream_walk walk;
    struct err err = {0};
    struct event e;
    int r = 0;
    stream_begin(&walk, &source, aggregate, cursor->position, to);
    while (r == 0 && sink->done < sink->room && (r = stream_next(&walk, &e, &entry, &err)) == 0) {
        r = sink_put(sink, &e, entry->size);
        if (r == 0)
            *cursor = (struct text_cursor){cursor->offset + entry->size, entry->version + 1};
    }
    stream_end(&walk);
    return r < 0 ? (r == -ENOMEM ? r : (int)damaged(s, 0, &err)) : 0;
}

/* Sets the cursor to the event that holds a byte of the text, which begins with version `from`. 0, INDEX_NONE past
 * the end, or a negative errno. */
static int stream_seek(struct store *s, uint64_t aggregate, uint64_t from, uint64_t offset,
                       struct text_cursor *cursor) {
    struct index_entry first, at;
    struct err err = {0};
    if (cursor->position && cursor->offset <= offset && offset - cursor->offset < CURSOR_REACH)
        return 0;
    int n = index_entries(s->index, aggregate, from, &first, 1, &err);
    bool past = n == 1 && offset > UINT64_MAX - first.offset;
    int r = n == 1 && !past ? index_entry_at_offset(s->index, aggregate, first.offset + offset, &at, &err) : INDEX_NONE;
    if (n < 0 || r < 0)
        return (int)damaged(s, 0, &err);
    if (r == 0)
        *cursor = (struct text_cursor){at.offset - first.offset, at.version};
    return r;
}

ssize_t text_read_stream(struct store *s, uint64_t aggregate, uint64_t from, uint64_t to, uint64_t offset, char *out,
                         size_t n, struct text_cursor *cursor) {
    if (from > to)
        return 0;
    int r = stream_seek(s, aggregate, from, offset, cursor);
    if (r != 0)
        return r < 0 ? r : 0;
    struct sink sink = {.out = out, .room = n, .skip = offset - cursor->offset};
    r = stream_put(s, aggregate, to, &sink, cursor);
    free(sink.line);
    if (r < 0)
        *cursor = (struct text_cursor){0};
    return r < 0 && sink.done == 0 ? r : (ssize_t)sink.done;
}

int text_stat_range(struct store *s, uint64_t aggregate, uint64_t from, uint64_t to, uint64_t *size, uint64_t *time) {
    struct index_entry first, last;
    struct err err = {0};
    *size = *time = 0;
    if (from > to)
        return 0;
    int a = index_entries(s->index, aggregate, from, &first, 1, &err);
    int b = a == 1 ? index_entries(s->index, aggregate, to, &last, 1, &err) : a;
    if (a < 0 || b < 0)
        return (int)damaged(s, 0, &err);
    if (a != 1 || b != 1)
        return -ENOENT;
    *size = last.offset + last.size - first.offset;
    *time = last.time;
    return 0;
}
