#include "kafka_message.h"

#include "buf.h"
#include "json.h"

#include <errno.h>
#include <stdio.h>

#define HEADERS 18           /* that events have at most, beside their meta */
#define MESSAGE_BYTES 256    /* what librdkafka keeps of a message beside its bytes */
#define HEADER_BYTES 48      /* ... and of a header */
#define PART_CHARS 24        /* of an id: "-2" */
#define MEMBER_BYTES_LEAST 6 /* of meta: `,"a":0` */

static void add(struct kafka_message *m, const char *name, struct str value) {
    m->headers[m->n_headers++] = (struct kafka_header){name, value};
    m->bytes += strlen(name) + value.n + HEADER_BYTES;
}

static void add_optional(struct kafka_message *m, const char *name, struct str value) {
    if (value.n)
        add(m, name, value);
}

/* Fixed-width values of one event: the headers point into it. */
struct texts {
    char id[EVENT_ID_CHARS + PART_CHARS], time[EVENT_TIME_CHARS], position[EVENT_POSITION_CHARS];
    char sequence[24], version[24], uid[12];
};

static struct str number(char *room, size_t size, const char *format, uint64_t v) {
    return (struct str){room, (size_t)snprintf(room, size, format, (unsigned long long)v)};
}

/* Appended to an id. Returns its bytes. */
static size_t put_part(char out[PART_CHARS], size_t part) {
    return part ? (size_t)snprintf(out, PART_CHARS, "-%zu", part) : 0;
}

/* In the order of the line. */
static int add_attributes(struct kafka_message *m, const struct event *e, size_t part, struct arena *arena) {
    struct texts *t = arena_alloc(arena, sizeof *t);
    struct str source = event_source(e, arena), schema = event_dataschema(e, arena), id;
    if (!t || !source.p || !schema.p)
        return -ENOMEM;
    event_id(e->store_id, e->position, e->time, t->id);
    event_time(e->time, t->time);
    event_position(e->position, t->position);
    id = (struct str){t->id, EVENT_ID_CHARS};
    add(m, "ce_specversion", STR("1.0"));
    add(m, "ce_id", (struct str){t->id, EVENT_ID_CHARS + put_part(t->id + EVENT_ID_CHARS, part)});
    add(m, "ce_source", source);
    add(m, "ce_type", e->type);
    add(m, "ce_subject", e->aggregate_id);
    add(m, "ce_time", (struct str){t->time, sizeof t->time});
    add(m, "content-type", STR("application/json"));
    add_optional(m, "ce_dataschema", schema);
    add(m, "ce_sequence", number(t->sequence, sizeof t->sequence, "%010llu", e->version));
    add(m, "ce_version", number(t->version, sizeof t->version, "%llu", e->version));
    add(m, KAFKA_POSITION_HEADER, (struct str){t->position, sizeof t->position});
    add_optional(m, "ce_commandid", e->commandid);
    add(m, "ce_correlationid", event_correlation(e).n ? event_correlation(e) : id);
    add_optional(m, "ce_causationid", event_causation(e));
    add_optional(m, "ce_traceparent", e->traceparent);
    add(m, "ce_uid", number(t->uid, sizeof t->uid, "%llu", e->uid));
    add(m, "ce_partitionkey", e->aggregate_id);
    return 0;
}

/* `,"tenant":"acme"` with its first character made the beginning of an object. */
static int meta_read(const struct event *e, struct arena *arena, struct json_parser *parser,
                     struct json_member **members, size_t *n) {
    const char *why;
    char *text = arena_alloc(arena, e->meta.n + 1 + JSON_PADDING);
    if (!text)
        return -ENOMEM;
    memcpy(text, e->meta.p, e->meta.n);
    text[0] = '{';
    memset(text + e->meta.n, 0, 1 + JSON_PADDING);
    text[e->meta.n] = '}';
    int r = json_object_read(parser, (struct str){text, e->meta.n + 1}, arena, members, n, &why);
    return r == JSON_MALFORMED ? -EUCLEAN : r;
}

static int add_meta(struct kafka_message *m, const struct event *e, struct arena *arena, struct json_parser *parser) {
    struct json_member *members;
    size_t n;
    if (!e->meta.n)
        return 0;
    int r = meta_read(e, arena, parser, &members, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        char *name = arena_alloc(arena, sizeof "ce_" + members[i].name.n);
        if (!name)
            return -ENOMEM;
        sprintf(name, "ce_%.*s", (int)members[i].name.n, members[i].name.p);
        add(m, name, members[i].text);
    }
    return r;
}

static int make_binary(struct kafka_message *m, const struct event *e, size_t part, struct arena *arena,
                       struct json_parser *parser) {
    m->headers = arena_alloc(arena, (HEADERS + e->meta.n / MEMBER_BYTES_LEAST) * sizeof *m->headers);
    if (!m->headers)
        return -ENOMEM;
    m->value = e->data;
    int r = add_attributes(m, e, part, arena);
    return r < 0 ? r : add_meta(m, e, arena, parser);
}

/* The line with `-<part>` behind its id. */
static int put_line(struct kafka_message *m, const struct event *e, size_t part, struct arena *arena) {
    size_t n = event_size(e), before = strlen(KAFKA_STRUCTURED_ID) + EVENT_ID_CHARS;
    char number[PART_CHARS], *line = arena_alloc(arena, n + PART_CHARS);
    if (!line)
        return -ENOMEM;
    event_render(e, line);
    size_t more = put_part(number, part);
    if (more) {
        memmove(line + before + more, line + before, n - before);
        memcpy(line + before, number, more);
    }
    m->value = (struct str){line, n + more - 1};
    return 0;
}

/* The key stands in front of the meta, as among the headers. */
static int make_structured(struct kafka_message *m, const struct event *e, size_t part, struct arena *arena) {
    struct buf meta = {0};
    struct event keyed = *e;
    m->headers = arena_alloc(arena, sizeof *m->headers);
    buf_put_text(&meta, ",\"partitionkey\":");
    buf_put_json_string(&meta, e->aggregate_id);
    buf_put_str(&meta, e->meta);
    keyed.meta = buf_str(&meta);
    int r = meta.oom || !m->headers ? -ENOMEM : put_line(m, &keyed, part, arena);
    buf_free(&meta);
    if (r == 0)
        add(m, "content-type", STR(KAFKA_STRUCTURED_TYPE));
    return r;
}

int kafka_message_make(struct kafka_message *out, const struct event *e, size_t part, bool structured,
                       struct arena *arena, struct json_parser *parser) {
    *out = (struct kafka_message){.key = e->aggregate_id};
    int r = structured ? make_structured(out, e, part, arena) : make_binary(out, e, part, arena, parser);
    out->bytes += MESSAGE_BYTES + out->key.n + out->value.n;
    return r;
}
