#include "decoded.h"

#include "array.h"

#include <errno.h>

/* The state of decoding one block. */
struct decoding {
    struct decoded *d;
    const struct decoded_scope *scope;
    const struct index_head *before;
    struct index_head head; /* as of the record read last */
    struct err *err;
};

static int decoding_failed(const struct decoding *in, const char *why) {
    return err_set(in->err, EBADMSG, "block %llu (after position %016llx): %s",
                   (unsigned long long)in->before->block + 1, (unsigned long long)in->head.position, why);
}

static int event_decode(struct decoding *in, const struct record *r, const char **at, struct event *e, uint32_t i) {
    struct decoded *d = in->d;
    if (!ARRAY_ROOM(d->events, d->n_events, d->events_cap))
        return -ENOMEM;
    uint64_t previous = i ? e->time : r->time;
    struct str type_name = e->aggregate_type;
    if (record_event(r, at, in->head.position + 1, r->version + i, previous, e) < 0)
        return decoding_failed(in, "an event cannot be read");
    if (e->time < in->head.time || (i && e->time == previous))
        return decoding_failed(in, "an event is not later than the one before");
    if (e->type.n == 0 || e->type.n > NAME_MAX_BYTES)
        return decoding_failed(in, "an event whose type is no name");
    e->aggregate_type = type_name;
    e->store_id = in->scope->store_id;
    size_t size = event_size(e);
    if (size > UINT32_MAX)
        return decoding_failed(in, "an event is too large");
    d->events[d->n_events++] = (struct decoded_event){e->time, e->type, (uint32_t)size, e->schema};
    in->head.position++;
    in->head.log_bytes += size;
    in->head.time = e->time;
    return 0;
}

static int command_decode(struct decoding *in, const struct record *r, struct decoded_record *out) {
    struct event e = {.aggregate_type = types_name(in->scope->types, r->type_no)};
    if (e.aggregate_type.n == 0 || r->aggregate == 0 || r->aggregate >= in->head.next_aggregate)
        return decoding_failed(in, "a command for an aggregate that was not made");
    if (r->id.n > KEY_ID_MAX || (r->n_events && r->version == 0))
        return decoding_failed(in, "a command that cannot be");
    out->position = in->head.position + 1;
    out->version = r->version;
    out->offset = r->stream_offset;
    out->first_event = (uint32_t)in->d->n_events;
    out->n_events = r->n_events;
    out->id = r->id;
    out->content = r->content;
    in->d->weight += r->n_events + (r->id.n ? 1 : 0);
    uint64_t log_bytes = in->head.log_bytes;
    const char *at = r->events;
    for (uint32_t i = 0; i < r->n_events; i++) {
        int e_ = event_decode(in, r, &at, &e, i);
        if (e_ < 0)
            return e_;
    }
    out->bytes = in->head.log_bytes - log_bytes;
    return at == r->events_end ? 0 : decoding_failed(in, "a command with more bytes than events");
}

static int type_decode(struct decoding *in, const struct record *r) {
    if (r->type_no != in->head.next_type)
        return decoding_failed(in, "a type with a number that is not the next");
    in->head.next_type++;
    int e = types_intern(in->scope->types, r->type_no, r->name);
    return e == -ENOMEM || e == 0 ? e : decoding_failed(in, "a type that cannot be");
}

static int name_decode(struct decoding *in, const struct record *r) {
    if (r->aggregate != in->head.next_aggregate || types_name(in->scope->types, r->type_no).n == 0)
        return decoding_failed(in, "an aggregate with a number that is not the next, or of no type");
    if (r->name.n == 0 || r->name.n > NAME_MAX_BYTES)
        return decoding_failed(in, "an aggregate whose id is no name");
    in->head.next_aggregate++;
    in->d->weight += 2;
    return 0;
}

static int schema_decode(struct decoding *in, const struct record *r, struct decoded_record *out) {
    if (types_name(in->scope->types, r->type_no).n == 0)
        return decoding_failed(in, "a schema of no type");
    if (r->schema_name.n > NAME_MAX_BYTES || memchr(r->schema_name.p, 0, r->schema_name.n))
        return decoding_failed(in, "a schema whose name is no name");
    out->schema =
        (struct index_schema){r->type_no, r->of_command, r->schema_name, r->schema_version, r->schema_text, r->time};
    return 0;
}

/* Whether the follower exists, and the event is of this type, is not looked up. */
static int skip_decode(struct decoding *in, const struct record *r, struct decoded_record *out) {
    if (types_name(in->scope->types, r->type_no).n == 0)
        return decoding_failed(in, "a skip of no type");
    if (!name_is_plain_text(r->follower))
        return decoding_failed(in, "a skip of a follower whose name is no text");
    if (r->position > in->head.position)
        return decoding_failed(in, "a skip of an event that is not there yet");
    out->skip = (struct index_skip){r->follower, r->position, r->time, r->type_no, r->uid};
    return 0;
}

/* The record has no id; it is in the block itself or must be looked up. */
static int undeclare_decode(struct decoding *in, const struct record *r, struct decoded_record *out) {
    struct decoded *d = in->d;
    struct made made = {0};
    int e = INDEX_NONE;
    if (r->aggregate < in->before->next_aggregate)
        e = in->scope->find(in->scope->arg, r->aggregate, &made, &d->names, in->err);
    for (size_t i = 0; e == INDEX_NONE && i < d->n_records; i++) {
        const struct decoded_record *name = &d->records[i];
        if (name->kind == RECORD_NAME && name->aggregate == r->aggregate) {
            made = (struct made){.type_no = name->type_no, .time = name->time, .id = name->name};
            e = 0;
        }
    }
    if (e < 0)
        return e;
    if (e != 0 || made.undeclared || made.type_no != r->type_no)
        return decoding_failed(in, "the end of an aggregate that does not exist");
    out->name = made.id;
    out->made = made.time;
    return 0;
}

static int record_decode(struct decoding *in, const struct record *r) {
    struct decoded *d = in->d;
    if (!ARRAY_ROOM(d->records, d->n_records, d->records_cap))
        return -ENOMEM;
    struct decoded_record *out = &d->records[d->n_records];
    *out = (struct decoded_record){
        .kind = r->kind, .type_no = r->type_no, .aggregate = r->aggregate, .time = r->time, .name = r->name};
    int e = 0;
    if (r->kind == RECORD_COMMAND)
        e = command_decode(in, r, out);
    else if (r->kind == RECORD_TYPE)
        e = type_decode(in, r);
    else if (r->kind == RECORD_NAME)
        e = name_decode(in, r);
    else if (r->kind == RECORD_UNDECLARE)
        e = undeclare_decode(in, r, out);
    else if (r->kind == RECORD_SCHEMA)
        e = schema_decode(in, r, out);
    else if (r->kind == RECORD_SKIP)
        e = skip_decode(in, r, out);
    else if (types_name(in->scope->types, r->type_no).n == 0)
        e = decoding_failed(in, "a record of no type");
    if (e < 0)
        return e;
    if (r->time > in->head.time)
        in->head.time = r->time;
    d->n_records++;
    return 0;
}

static int chunk_decode(struct decoding *in, const struct chunk *c) {
    struct decoded *d = in->d;
    if (!ARRAY_ROOM(d->chunks, d->n_chunks, d->chunks_cap))
        return -ENOMEM;
    struct decoded_chunk *out = &d->chunks[d->n_chunks++];
    *out = (struct decoded_chunk){.header = c->header, .first_record = (uint32_t)d->n_records};
    size_t events = d->n_events;
    const char *at = NULL;
    struct record r;
    int e;
    while ((e = chunk_record(c, &at, &r)) == 0) {
        e = record_decode(in, &r);
        if (e < 0)
            return e;
    }
    if (e < 0)
        return decoding_failed(in, "a record cannot be read");
    out->n_records = (uint32_t)d->n_records - out->first_record;
    if (out->n_records != c->header.n_records || d->n_events - events != c->header.n_events)
        return decoding_failed(in, "a chunk whose header miscounts");
    return 0;
}

static int chunk_follows(const struct decoding *in, const struct chunk *c, size_t i, size_t n) {
    const struct chunk_header *h = &c->header;
    if (h->block != in->before->block + 1 || h->index != i || h->first != (i == 0) || h->last != (i + 1 == n))
        return decoding_failed(in, "its chunks are not in order");
    if (h->first_position != in->head.position + 1 || h->log_offset != in->head.log_bytes)
        return decoding_failed(in, "a chunk does not begin where the one before ends");
    if (i == 0 && memcmp(c->previous, in->before->link, DIGEST_CHAIN) != 0)
        return decoding_failed(in, "the hash chain does not hold");
    return 0;
}

static void decoded_clear(struct decoded *d) {
    d->n_chunks = d->n_records = d->n_events = 0;
    d->weight = d->bytes = 0;
    if (d->names.total)
        arena_free(&d->names);
}

int decoded_read(struct decoded *d, const struct decoded_scope *scope, const struct index_head *before,
                 const struct str *chunks, size_t n, const uint8_t link[DIGEST_CHAIN], struct err *err) {
    struct decoding in = {.d = d, .scope = scope, .before = before, .head = *before, .err = err};
    struct err why;
    decoded_clear(d);
    for (size_t i = 0; i < n; i++) {
        struct chunk c;
        if (chunk_open(&c, chunks[i], &why) < 0)
            return decoding_failed(&in, why.text);
        int e = chunk_follows(&in, &c, i, n);
        if (e == 0)
            e = chunk_decode(&in, &c);
        if (e < 0)
            return e;
        d->bytes += chunks[i].n;
    }
    if (n == 0)
        return decoding_failed(&in, "it is empty");
    d->after.head = in.head;
    d->after.head.block++;
    memcpy(d->after.head.link, link, DIGEST_CHAIN);
    block_key(&d->chunks[0].header, d->after.block_key);
    return 0;
}

void decoded_free(struct decoded *d) {
    free(d->chunks);
    free(d->records);
    free(d->events);
    arena_free(&d->names);
    *d = (struct decoded){0};
}
