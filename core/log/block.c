#include "block.h"

#include "varint.h"

#include <errno.h>
#include <stdlib.h>

#define MAGIC 0x31435345u /* "ESC1" */
#define FORMAT 1
#define HEADER_BYTES 56
#define FLAG_FIRST 1
#define FLAG_LAST 2

/* Which optional parts a command record has, in the order in which they follow. */
enum part {
    PART_JOINED = 1,
    PART_ID = 2,
    PART_CORRELATIONID = 4,
    PART_CAUSATIONID = 8,
    PART_TRACEPARENT = 16,
    PART_META = 32,
    PART_KNOWN = 63,
};

void block_key(const struct chunk_header *h, char out[BLOCK_KEY_BYTES]) {
    be64_put(out, h->first_position);
    be64_put(out + 8, h->block);
    out[16] = (char)(h->index >> 8);
    out[17] = (char)h->index;
}

int block_key_read(struct str key, uint64_t *first_position, uint64_t *block, uint16_t *chunk) {
    if (key.n != BLOCK_KEY_BYTES)
        return -EBADMSG;
    *first_position = be64_get(key.p);
    *block = be64_get(key.p + 8);
    *chunk = (uint16_t)((uint8_t)key.p[16] << 8 | (uint8_t)key.p[17]);
    return 0;
}

/* --- reading */

static int header_read(struct chunk_header *h, struct str value, struct err *err) {
    const char *p = value.p;
    if (value.n < HEADER_BYTES || le32_get(p) != MAGIC)
        return err_set(err, EBADMSG, "not a chunk of a commit block");
    if (p[4] != FORMAT)
        return err_set(err, EBADMSG, "chunk of format %u, this release reads %d", (uint8_t)p[4], FORMAT);
    h->renderer = (uint8_t)p[5];
    if (h->renderer == 0 || h->renderer > EVENT_RENDERER)
        return err_set(err, EBADMSG, "chunk of renderer %u, this release knows 1 to %d", h->renderer, EVENT_RENDERER);
    h->first = p[6] & FLAG_FIRST;
    h->last = p[6] & FLAG_LAST;
    h->index = le16_get(p + 8);
    h->n_records = le32_get(p + 12);
    h->block = le64_get(p + 16);
    h->first_position = le64_get(p + 24);
    h->log_offset = le64_get(p + 32);
    h->base_time = le64_get(p + 40);
    h->n_events = le32_get(p + 48);
    return 0;
}

int chunk_open(struct chunk *out, struct str value, struct err *err) {
    int r = header_read(&out->header, value, err);
    if (r < 0)
        return r;
    size_t table = le32_get(value.p + 52), records = HEADER_BYTES + (out->header.first ? DIGEST_CHAIN : 0);
    if (table < records || table > value.n || (value.n - table) / 4 != out->header.n_events || (value.n - table) % 4)
        return err_set(err, EBADMSG, "chunk with a table of events that does not fit");
    out->value = value;
    out->previous = out->header.first ? (const uint8_t *)value.p + HEADER_BYTES : NULL;
    out->records = value.p + records;
    out->records_end = value.p + table;
    out->table = value.p + table;
    return 0;
}

/* Reads the values of a record one after the other; once one is cut short, `p` is NULL and stays so. */
struct reader {
    const char *p, *end;
};

static uint64_t read_number(struct reader *r) {
    uint64_t v = 0;
    if (r->p)
        r->p = varint_get(r->p, r->end, &v);
    return v;
}

static uint32_t read_number32(struct reader *r) {
    uint64_t v = read_number(r);
    if (v > UINT32_MAX)
        r->p = NULL;
    return (uint32_t)v;
}

static struct str read_bytes(struct reader *r, uint64_t n) {
    struct str s = {NULL, 0};
    if (!r->p || n > (uint64_t)(r->end - r->p)) {
        r->p = NULL;
        return s;
    }
    s = (struct str){r->p, n};
    r->p += n;
    return s;
}

static struct str read_string(struct reader *r) {
    return read_bytes(r, read_number(r));
}

static struct str read_part(struct reader *r, uint64_t parts, enum part part) {
    return parts & part ? read_string(r) : (struct str){NULL, 0};
}

static void read_command(struct reader *in, struct record *out) {
    out->name = read_string(in);
    out->version = read_number(in);
    out->stream_offset = read_number(in);
    uint64_t parts = read_number(in);
    if (parts & ~(uint64_t)PART_KNOWN)
        in->p = NULL;
    out->joined = parts & PART_JOINED;
    out->id = read_part(in, parts, PART_ID);
    out->content = parts & PART_ID ? (const uint8_t *)read_bytes(in, DIGEST_CONTENT).p : NULL;
    out->correlationid = read_part(in, parts, PART_CORRELATIONID);
    out->causationid = read_part(in, parts, PART_CAUSATIONID);
    out->traceparent = read_part(in, parts, PART_TRACEPARENT);
    out->meta = read_part(in, parts, PART_META);
    out->n_events = read_number32(in);
    out->events = in->p;
    out->events_end = in->end;
}

static void read_schema(struct reader *in, struct record *out) {
    uint64_t of_command = read_number(in);
    out->of_command = of_command == 1;
    out->schema_name = read_string(in);
    out->schema_version = read_number32(in);
    out->schema_text = read_string(in);
    if (of_command > 1 || out->schema_version == 0 || out->schema_name.n == 0 || out->schema_text.n == 0 ||
        out->schema_text.n > BLOCK_SCHEMA_BYTES)
        in->p = NULL;
}

static void read_skip(struct reader *in, struct record *out) {
    out->follower = read_string(in);
    out->position = read_number(in);
    if (out->follower.n == 0 || out->follower.n > BLOCK_FOLLOWER_BYTES || out->position == 0)
        in->p = NULL;
}

/* Aggregate types come and go without an aggregate, schemas belong to all of a type, and the event that is passed over
 * knows its own. */
static bool has_aggregate(enum record_kind kind) {
    return kind != RECORD_TYPE && kind != RECORD_UNTYPE && kind != RECORD_SCHEMA && kind != RECORD_SKIP;
}

static int record_read(const struct chunk *c, const char **at, struct record *out) {
    struct reader in = {*at + 1, c->records_end};
    memset(out, 0, sizeof *out);
    out->kind = (enum record_kind)(uint8_t) * *at;
    struct str body = read_string(&in);
    if (!in.p || out->kind < RECORD_COMMAND || out->kind > RECORD_SKIP)
        return -EBADMSG;
    *at = in.p;
    in = (struct reader){body.p, body.p + body.n};
    out->time = c->header.base_time + read_number(&in);
    out->uid = read_number32(&in);
    out->type_no = read_number32(&in);
    if (has_aggregate(out->kind))
        out->aggregate = read_number(&in);
    if (out->kind == RECORD_COMMAND)
        read_command(&in, out);
    else if (out->kind == RECORD_TYPE || out->kind == RECORD_NAME)
        out->name = read_string(&in);
    else if (out->kind == RECORD_SCHEMA)
        read_schema(&in, out);
    else if (out->kind == RECORD_SKIP)
        read_skip(&in, out);
    /* A command's events are read later. */
    return in.p && (in.p == in.end || out->kind == RECORD_COMMAND) ? 0 : -EBADMSG;
}

int chunk_record(const struct chunk *c, const char **at, struct record *out) {
    if (!*at)
        *at = c->records;
    if (*at == c->records_end)
        return 1;
    return record_read(c, at, out);
}

int record_event(const struct record *r, const char **at, uint64_t position, uint64_t version, uint64_t previous_time,
                 struct event *out) {
    struct reader in = {*at, r->events_end};
    *out = (struct event){
        .position = position,
        .version = version,
        .aggregate = r->aggregate,
        .type_no = r->type_no,
        .uid = r->uid,
        .aggregate_id = r->name,
        .commandid = r->id,
        .correlationid = r->correlationid,
        .causationid = r->causationid,
        .traceparent = r->traceparent,
        .meta = r->meta,
    };
    out->time = previous_time + read_number(&in);
    out->schema = read_number32(&in);
    out->type = read_string(&in);
    out->data = read_string(&in);
    *at = in.p;
    return in.p ? 0 : -EBADMSG;
}

static uint32_t table_offset(const struct chunk *c, uint32_t i) {
    return le32_get(c->table + 4 * (size_t)i);
}

/* The table tells where each event's record begins; events of one record have equal entries. */
int chunk_walk_begin(struct chunk_walk *w, const struct chunk *c, uint32_t i) {
    *w = (struct chunk_walk){.chunk = c, .at = c->records_end, .position = c->header.first_position + i};
    if (i == c->header.n_events)
        return 0;
    uint32_t before = 0, offset = i < c->header.n_events ? table_offset(c, i) : 0;
    if (offset < (size_t)(c->records - c->value.p) || offset >= (size_t)(c->records_end - c->value.p))
        return -EBADMSG;
    while (before < i && table_offset(c, i - before - 1) == offset)
        before++;
    w->at = c->value.p + offset;
    w->position -= before;
    struct event passed;
    for (int r = 0; before > 0; before--)
        if ((r = chunk_walk_next(w, &passed)) != 0)
            return -EBADMSG;
    return 0;
}

static int walk_record(struct chunk_walk *w) {
    do {
        if (w->at == w->chunk->records_end)
            return 1;
        int r = record_read(w->chunk, &w->at, &w->record);
        if (r < 0)
            return r;
    } while (w->record.n_events == 0);
    w->event_at = w->record.events;
    w->left = w->record.n_events;
    w->version = w->record.version;
    w->time = w->record.time;
    return 0;
}

int chunk_walk_next(struct chunk_walk *w, struct event *out) {
    int r = w->left == 0 ? walk_record(w) : 0;
    if (r == 0)
        r = record_event(&w->record, &w->event_at, w->position, w->version, w->time, out);
    if (r != 0)
        return r;
    w->time = out->time;
    w->position++;
    w->version++;
    w->left--;
    return 0;
}

/* --- building */

struct built_chunk {
    struct chunk_header header;
    size_t start, end; /* in bytes */
    char key[BLOCK_KEY_BYTES];
};

struct block_builder {
    struct buf bytes; /* the values of the chunks, one after the other */
    struct buf table; /* of the chunk that is open */
    struct buf body;  /* of the record being put */
    struct buf list;  /* struct built_chunk, the last one open until block_finish */
    size_t n_chunks;
    bool open;
    uint8_t previous[DIGEST_CHAIN];
    uint64_t block, next_position, log_offset;
};

struct block_builder *block_builder_new(void) {
    return calloc(1, sizeof(struct block_builder));
}

void block_builder_free(struct block_builder *b) {
    if (!b)
        return;
    buf_free(&b->bytes);
    buf_free(&b->table);
    buf_free(&b->body);
    buf_free(&b->list);
    free(b);
}

void block_begin(struct block_builder *b, uint64_t block, const uint8_t previous[DIGEST_CHAIN], uint64_t next_position,
                 uint64_t log_offset) {
    buf_clear(&b->bytes);
    buf_clear(&b->table);
    buf_clear(&b->list);
    b->n_chunks = 0;
    b->open = false;
    b->block = block;
    b->next_position = next_position;
    b->log_offset = log_offset;
    memset(b->previous, 0, DIGEST_CHAIN);
    if (previous)
        memcpy(b->previous, previous, DIGEST_CHAIN);
}

static struct built_chunk *chunk_at(const struct block_builder *b, size_t i) {
    return (struct built_chunk *)b->list.p + i;
}

static void chunk_begin(struct block_builder *b, uint64_t time) {
    struct built_chunk c = {
        .start = b->bytes.n,
        .header = {.renderer = EVENT_RENDERER,
                   .first = b->n_chunks == 0,
                   .index = (uint16_t)b->n_chunks,
                   .block = b->block,
                   .first_position = b->next_position,
                   .log_offset = b->log_offset,
                   .base_time = time},
    };
    static const char header[HEADER_BYTES];
    buf_put(&b->list, &c, sizeof c);
    buf_put(&b->bytes, header, sizeof header);
    if (c.header.first)
        buf_put(&b->bytes, b->previous, DIGEST_CHAIN);
    b->n_chunks++;
    b->open = true;
}

static void header_write(char *p, const struct chunk_header *h, size_t table) {
    le32_put(p, MAGIC);
    p[4] = FORMAT;
    p[5] = (char)h->renderer;
    p[6] = (char)((h->first ? FLAG_FIRST : 0) | (h->last ? FLAG_LAST : 0));
    le16_put(p + 8, h->index);
    le32_put(p + 12, h->n_records);
    le64_put(p + 16, h->block);
    le64_put(p + 24, h->first_position);
    le64_put(p + 32, h->log_offset);
    le64_put(p + 40, h->base_time);
    le32_put(p + 48, h->n_events);
    le32_put(p + 52, (uint32_t)table);
}

static bool out_of_memory(const struct block_builder *b) {
    return b->bytes.oom || b->table.oom || b->body.oom || b->list.oom;
}

static void chunk_end(struct block_builder *b, bool last) {
    size_t table = b->bytes.n;
    buf_put(&b->bytes, b->table.p, b->table.n);
    b->open = false;
    if (out_of_memory(b))
        return;
    struct built_chunk *c = chunk_at(b, b->n_chunks - 1);
    c->end = b->bytes.n;
    c->header.last = last;
    header_write(b->bytes.p + c->start, &c->header, table - c->start);
    block_key(&c->header, c->key);
    buf_clear(&b->table);
}

static void put_number(struct block_builder *b, uint64_t v) {
    char *p = buf_reserve(&b->body, VARINT_MAX);
    if (p)
        b->body.n += varint_put(p, v);
}

static void put_string(struct block_builder *b, struct str s) {
    put_number(b, s.n);
    buf_put_str(&b->body, s);
}

static void put_part(struct block_builder *b, struct str s) {
    if (s.n)
        put_string(b, s);
}

/* Opens a chunk when there is none or the open one is full, and begins the body of a record in it. */
static void record_begin(struct block_builder *b, const struct record *r) {
    if (b->open && b->bytes.n + b->table.n - chunk_at(b, b->n_chunks - 1)->start >= BLOCK_CHUNK_BYTES)
        chunk_end(b, false);
    if (!b->open)
        chunk_begin(b, r->time);
    buf_clear(&b->body);
    if (out_of_memory(b))
        return;
    put_number(b, r->time - chunk_at(b, b->n_chunks - 1)->header.base_time);
    put_number(b, r->uid);
    put_number(b, r->type_no);
    if (has_aggregate(r->kind))
        put_number(b, r->aggregate);
}

static void record_end(struct block_builder *b, enum record_kind kind) {
    char *p = buf_reserve(&b->bytes, 1 + VARINT_MAX);
    if (!p || out_of_memory(b))
        return;
    *p = (char)kind;
    b->bytes.n += 1 + varint_put(p + 1, b->body.n);
    buf_put(&b->bytes, b->body.p, b->body.n);
    if (!out_of_memory(b))
        chunk_at(b, b->n_chunks - 1)->header.n_records++;
}

void block_put_record(struct block_builder *b, const struct record *r) {
    record_begin(b, r);
    if (r->kind == RECORD_TYPE || r->kind == RECORD_NAME)
        put_string(b, r->name);
    if (r->kind == RECORD_SCHEMA) {
        put_number(b, r->of_command);
        put_string(b, r->schema_name);
        put_number(b, r->schema_version);
        put_string(b, r->schema_text);
    }
    if (r->kind == RECORD_SKIP) {
        put_string(b, r->follower);
        put_number(b, r->position);
    }
    record_end(b, r->kind);
}

static uint64_t parts_of(const struct record *r) {
    return (r->joined ? PART_JOINED : 0) | (r->id.n ? PART_ID : 0) | (r->correlationid.n ? PART_CORRELATIONID : 0) |
           (r->causationid.n ? PART_CAUSATIONID : 0) | (r->traceparent.n ? PART_TRACEPARENT : 0) |
           (r->meta.n ? PART_META : 0);
}

static void put_events(struct block_builder *b, uint64_t time, const struct block_event *events, size_t n) {
    put_number(b, n);
    for (size_t i = 0; i < n; i++) {
        put_number(b, events[i].time - time);
        put_number(b, events[i].schema);
        put_string(b, events[i].type);
        put_string(b, events[i].data);
        time = events[i].time;
    }
}

/* One table entry an event, each telling where the record begins that is about to be appended. */
static void table_add(struct block_builder *b, size_t n) {
    if (out_of_memory(b))
        return;
    struct built_chunk *c = chunk_at(b, b->n_chunks - 1);
    char offset[4];
    le32_put(offset, (uint32_t)(b->bytes.n - c->start));
    for (size_t i = 0; i < n; i++)
        buf_put(&b->table, offset, sizeof offset);
    c->header.n_events += (uint32_t)n;
}

void block_put_command(struct block_builder *b, const struct record *r, const struct block_event *events, size_t n,
                       uint64_t log_bytes) {
    record_begin(b, r);
    put_string(b, r->name);
    put_number(b, r->version);
    put_number(b, r->stream_offset);
    put_number(b, parts_of(r));
    if (r->id.n) {
        put_string(b, r->id);
        buf_put(&b->body, r->content, DIGEST_CONTENT);
    }
    put_part(b, r->correlationid);
    put_part(b, r->causationid);
    put_part(b, r->traceparent);
    put_part(b, r->meta);
    put_events(b, r->time, events, n);
    table_add(b, n);
    record_end(b, RECORD_COMMAND);
    b->next_position += n;
    b->log_offset += log_bytes;
}

size_t block_bytes(const struct block_builder *b) {
    return b->bytes.n + b->table.n;
}

bool block_empty(const struct block_builder *b) {
    return b->n_chunks == 0;
}

int block_finish(struct block_builder *b) {
    if (b->open)
        chunk_end(b, true);
    return out_of_memory(b) ? -ENOMEM : 0;
}

void block_relink(struct block_builder *b, const uint8_t previous[DIGEST_CHAIN]) {
    memcpy(b->bytes.p + HEADER_BYTES, previous, DIGEST_CHAIN);
}

size_t block_chunks(const struct block_builder *b) {
    return b->n_chunks;
}

void block_chunk(const struct block_builder *b, size_t i, struct str *key, struct str *value) {
    const struct built_chunk *c = chunk_at(b, i);
    *key = (struct str){c->key, BLOCK_KEY_BYTES};
    *value = (struct str){b->bytes.p + c->start, c->end - c->start};
}

void block_link(const struct block_builder *b, uint8_t out[DIGEST_CHAIN]) {
    struct str values = buf_str(&b->bytes); /* they lie one behind the other */
    digest_chain(&values, 1, out);
}
