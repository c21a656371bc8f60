#include "window.h"

#include "array.h"
#include "digest.h"

#include <errno.h>

#define NAME_UNMADE 0x80000000u /* in name_table: an index of unmade, not of made */

struct window *window_new(const struct index_head *after) {
    struct window *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->first_position = after->position + 1;
    w->first_aggregate = after->next_aggregate;
    w->after.head = *after;
    return w;
}

static void seen_free(struct window_seen *seen) {
    table_free(&seen->table);
    free(seen->items);
    *seen = (struct window_seen){0};
}

void window_free(struct window *w) {
    if (!w)
        return;
    for (size_t i = 0; i < w->n_types; i++)
        free(w->types[i].offsets);
    free(w->streams);
    free(w->commands);
    free(w->made);
    free(w->unmade);
    free(w->chunks);
    free(w->types);
    free(w->event_types);
    free(w->kinds);
    free(w->schemas);
    free(w->skips);
    struct table *tables[] = {&w->stream_table, &w->command_table,    &w->name_table, &w->unmade_table,
                              &w->type_table,   &w->event_type_table, &w->kind_table};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        table_free(tables[i]);
    arena_free(&w->arena);
    seen_free(&w->seen);
    free(w);
}

size_t window_memory(const struct window *w) {
    size_t n = sizeof *w + w->arena.total + w->streams_cap * sizeof *w->streams +
               w->commands_cap * sizeof *w->commands + (w->made_cap + w->unmade_cap) * sizeof *w->made +
               w->chunks_cap * sizeof *w->chunks + w->types_cap * sizeof *w->types +
               w->event_types_cap * sizeof *w->event_types + w->kinds_cap * sizeof *w->kinds;
    for (size_t i = 0; i < w->n_types; i++)
        n += w->types[i].cap * sizeof *w->types[i].offsets;
    return n + 8 * ((size_t)w->stream_table.mask + w->command_table.mask + w->name_table.mask +
                    w->event_type_table.mask + w->kind_table.mask);
}

/* --- hashes of what is looked up */

uint64_t window_command_hash(uint64_t aggregate, struct str id) {
    return digest_table(id.p, id.n) ^ table_hash_number(aggregate);
}

uint64_t window_name_hash(uint32_t type_no, struct str id) {
    return digest_table(id.p, id.n) ^ table_hash_number(type_no);
}

/* --- looking up */

static uint32_t stream_find(const struct window *w, uint64_t aggregate) {
    struct table_probe probe;
    uint32_t i = table_first(&w->stream_table, table_hash_number(aggregate), &probe);
    while (i != TABLE_NONE && w->streams[i].aggregate != aggregate)
        i = table_next(&w->stream_table, &probe);
    return i;
}

const struct window_stream *window_stream(const struct window *w, uint64_t aggregate) {
    uint32_t i = stream_find(w, aggregate);
    return i == TABLE_NONE ? NULL : &w->streams[i];
}

void window_entry(const struct window *w, const struct window_stream *s, uint32_t i, struct run_entry *out) {
    const struct window_entry *e = &s->entries[i];
    out->position = w->first_position + e->position;
    out->time = e->time;
    out->offset = i ? e[-1].end : s->offset;
    out->size = (uint32_t)(e->end - out->offset);
    out->type = w->event_types[e->type].name;
}

const struct window_command *window_command(const struct window *w, uint64_t aggregate, struct str id) {
    return window_command_hashed(w, window_command_hash(aggregate, id), aggregate, id);
}

const struct window_command *window_command_hashed(const struct window *w, uint64_t hash, uint64_t aggregate,
                                                   struct str id) {
    struct table_probe probe;
    uint32_t i = table_first(&w->command_table, hash, &probe);
    while (i != TABLE_NONE && !(w->commands[i].aggregate == aggregate && str_eq(w->commands[i].id, id)))
        i = table_next(&w->command_table, &probe);
    return i == TABLE_NONE ? NULL : &w->commands[i];
}

const struct made *window_made(const struct window *w, uint64_t aggregate) {
    if (aggregate >= w->first_aggregate)
        return aggregate - w->first_aggregate < w->n_made ? &w->made[aggregate - w->first_aggregate] : NULL;
    struct table_probe probe;
    uint32_t i = table_first(&w->unmade_table, table_hash_number(aggregate), &probe);
    while (i != TABLE_NONE && w->unmade[i].no != aggregate)
        i = table_next(&w->unmade_table, &probe);
    return i == TABLE_NONE ? NULL : &w->unmade[i];
}

const struct made *window_name(const struct window *w, uint32_t type_no, struct str id) {
    const struct made *gone = NULL;
    struct table_probe probe;
    uint32_t i = table_first(&w->name_table, window_name_hash(type_no, id), &probe);
    for (; i != TABLE_NONE; i = table_next(&w->name_table, &probe)) {
        const struct made *m = i & NAME_UNMADE ? &w->unmade[i & ~NAME_UNMADE] : &w->made[i];
        if (m->type_no != type_no || !str_eq(m->id, id))
            continue;
        if (!m->undeclared)
            return m;
        gone = m;
    }
    return gone;
}

static uint32_t type_find(const struct window *w, uint32_t type_no) {
    struct table_probe probe;
    uint32_t i = table_first(&w->type_table, table_hash_number(type_no), &probe);
    while (i != TABLE_NONE && w->types[i].no != type_no)
        i = table_next(&w->type_table, &probe);
    return i;
}

const struct window_type *window_type(const struct window *w, uint32_t type_no) {
    uint32_t i = type_find(w, type_no);
    return i == TABLE_NONE ? NULL : &w->types[i];
}

void window_chunk(const struct window *w, const struct window_type *t, size_t i, struct index_chunk *out) {
    const struct window_chunk *c = &w->chunks[t->offsets[i].chunk];
    *out = (struct index_chunk){c->first_position, c->block, c->chunk, t->offsets[i].offset};
}

/* --- taking in */

static struct window_type *type_touch(struct window *w, uint32_t no) {
    uint32_t i = type_find(w, no);
    if (i != TABLE_NONE)
        return &w->types[i];
    if (!ARRAY_ROOM(w->types, w->n_types, w->types_cap) ||
        table_put(&w->type_table, table_hash_number(no), (uint32_t)w->n_types) < 0)
        return NULL;
    w->types[w->n_types] = (struct window_type){.no = no};
    return &w->types[w->n_types++];
}

/* Notes that the chunk taken in last begins at `offset` of the type's file, once. */
static int type_offset(struct window *w, struct window_type *t, uint64_t offset) {
    uint32_t chunk = (uint32_t)w->n_chunks - 1;
    if (t->n && t->offsets[t->n - 1].chunk == chunk)
        return 0;
    if (!ARRAY_ROOM(t->offsets, t->n, t->cap))
        return -ENOMEM;
    t->offsets[t->n++] = (struct window_offset){offset, chunk};
    return 0;
}

/* The number of an event's type; most events have that of the one before. */
static int event_type_find(struct window *w, struct str type, uint32_t *last) {
    if (*last < w->n_event_types && str_eq(w->event_types[*last].name, type))
        return 0;
    uint64_t hash = digest_table(type.p, type.n);
    struct table_probe probe;
    uint32_t i = table_first(&w->event_type_table, hash, &probe);
    while (i != TABLE_NONE && !str_eq(w->event_types[i].name, type))
        i = table_next(&w->event_type_table, &probe);
    if (i == TABLE_NONE) {
        i = (uint32_t)w->n_event_types;
        struct str copy = arena_copy(&w->arena, type);
        if (!copy.p || !ARRAY_ROOM(w->event_types, w->n_event_types, w->event_types_cap) ||
            table_put(&w->event_type_table, hash, i) < 0)
            return -ENOMEM;
        w->event_types[w->n_event_types++] = (struct window_event_type){.name = copy};
    }
    *last = i;
    return 0;
}

static uint64_t hash_kind(const struct window_kind *k) {
    return table_hash_number((uint64_t)k->event_type << 32 | k->schema) ^ table_hash_number(k->type_no);
}

/* Notes what kind an event is of. Nearly always the kind is that of the last event of its type. */
static int kind_note(struct window *w, uint32_t type_no, uint32_t event_type, uint32_t schema, uint32_t position) {
    struct window_event_type *last = &w->event_types[event_type];
    if (last->type_no == type_no && last->schema == schema)
        return 0;
    const struct window_kind kind = {type_no, schema, event_type, position};
    uint64_t hash = hash_kind(&kind);
    struct table_probe probe;
    uint32_t i = table_first(&w->kind_table, hash, &probe);
    while (i != TABLE_NONE &&
           (w->kinds[i].type_no != type_no || w->kinds[i].schema != schema || w->kinds[i].event_type != event_type))
        i = table_next(&w->kind_table, &probe);
    if (i == TABLE_NONE) {
        if (!ARRAY_ROOM(w->kinds, w->n_kinds, w->kinds_cap) ||
            table_put(&w->kind_table, hash, (uint32_t)w->n_kinds) < 0)
            return -ENOMEM;
        w->kinds[w->n_kinds++] = kind;
    }
    last->type_no = type_no;
    last->schema = schema;
    return 0;
}

struct window_spare {
    struct window_spare *next;
};

/* Room for twice as many entries: a piece that another stream has outgrown, or a new one. */
static struct window_entry *entries_alloc(struct window *w, unsigned class) {
    struct window_spare *piece = w->spare[class];
    if (!piece)
        return arena_alloc(&w->arena, sizeof(struct window_entry) << class);
    w->spare[class] = piece->next;
    return (void *)piece;
}

static int stream_grow(struct window *w, struct window_stream *s) {
    struct window_entry *more = entries_alloc(w, s->class + 1u);
    if (!more)
        return -ENOMEM;
    memcpy(more, s->entries, s->n * sizeof *more);
    struct window_spare *outgrown = (void *)s->entries;
    outgrown->next = w->spare[s->class];
    w->spare[s->class] = outgrown;
    s->entries = more;
    s->class ++;
    return 0;
}

/* The stream of a command with events, made when it is the first here. */
static struct window_stream *stream_touch(struct window *w, const struct decoded_record *r) {
    if (r->stream < w->n_streams)
        return &w->streams[r->stream];
    struct window_entry *entries = entries_alloc(w, 0);
    if (!entries || !ARRAY_ROOM(w->streams, w->n_streams, w->streams_cap) ||
        table_put(&w->stream_table, table_hash_number(r->aggregate), (uint32_t)w->n_streams) < 0)
        return NULL;
    struct window_stream *s = &w->streams[w->n_streams++];
    *s = (struct window_stream){
        .aggregate = r->aggregate, .first_version = r->version, .offset = r->offset, .entries = entries};
    return s;
}

static int events_apply(struct window *w, const struct decoded *d, const struct decoded_record *r, uint32_t *type) {
    struct window_stream *s = stream_touch(w, r);
    int e = s ? 0 : -ENOMEM;
    uint64_t end = r->offset;
    for (uint32_t i = 0; e == 0 && i < r->n_events; i++) {
        const struct decoded_event *event = &d->events[r->first_event + i];
        e = event_type_find(w, event->type, type);
        if (e == 0 && s->n == 1u << s->class)
            e = stream_grow(w, s);
        if (e < 0)
            break;
        end += event->size;
        uint32_t position = (uint32_t)(r->position + i - w->first_position);
        e = kind_note(w, r->type_no, *type, event->schema, position);
        s->entries[s->n++] = (struct window_entry){event->time, end, position, *type};
    }
    return e;
}

static int command_id_apply(struct window *w, const struct decoded_record *r) {
    struct window_command c = {
        .aggregate = r->aggregate,
        .id = arena_copy(&w->arena, r->id),
        .is = {.version = r->version, .position = r->position, .n_events = r->n_events},
    };
    memcpy(c.is.content, r->content, DIGEST_CONTENT);
    if (!c.id.p || !ARRAY_ROOM(w->commands, w->n_commands, w->commands_cap) ||
        table_put(&w->command_table, r->hash, (uint32_t)w->n_commands) < 0)
        return -ENOMEM;
    w->commands[w->n_commands++] = c;
    return 0;
}

static int command_apply(struct window *w, struct types *types, const struct decoded *d, const struct decoded_record *r,
                         uint32_t *event_type) {
    int e = r->id.n ? command_id_apply(w, r) : 0;
    if (e < 0 || r->n_events == 0)
        return e;
    struct type *type = types_get(types, r->type_no);
    struct window_type *touched = type_touch(w, r->type_no);
    if (!touched || type_offset(w, touched, type->is.bytes) < 0)
        return -ENOMEM;
    e = events_apply(w, d, r, event_type);
    type->is.bytes += r->bytes;
    type->is.events += r->n_events;
    type->is.time = d->events[r->first_event + r->n_events - 1].time;
    return e;
}

static int name_apply(struct window *w, struct types *types, const struct decoded_record *r) {
    struct made m = {.no = r->aggregate, .time = r->time, .type_no = r->type_no};
    m.id = arena_copy(&w->arena, r->name);
    if (!m.id.p || !type_touch(w, r->type_no) || !ARRAY_ROOM(w->made, w->n_made, w->made_cap) ||
        table_put(&w->name_table, window_name_hash(m.type_no, m.id), (uint32_t)w->n_made) < 0)
        return -ENOMEM;
    w->made[w->n_made++] = m;
    types_get(types, r->type_no)->is.aggregates++;
    return 0;
}

static int undeclare_apply(struct window *w, struct types *types, const struct decoded_record *r) {
    types_get(types, r->type_no)->is.aggregates--;
    if (!type_touch(w, r->type_no))
        return -ENOMEM;
    if (r->aggregate >= w->first_aggregate) {
        w->made[r->aggregate - w->first_aggregate].undeclared = true;
        return 0;
    }
    struct made m = {.no = r->aggregate, .time = r->made, .type_no = r->type_no, .undeclared = true};
    m.id = arena_copy(&w->arena, r->name);
    uint32_t i = (uint32_t)w->n_unmade;
    if (!m.id.p || !ARRAY_ROOM(w->unmade, w->n_unmade, w->unmade_cap) ||
        table_put(&w->name_table, window_name_hash(m.type_no, m.id), i | NAME_UNMADE) < 0 ||
        table_put(&w->unmade_table, table_hash_number(m.no), i) < 0)
        return -ENOMEM;
    w->unmade[w->n_unmade++] = m;
    return 0;
}

static int schema_apply(struct window *w, struct schemas *schemas, const struct index_schema *schema) {
    if (!ARRAY_ROOM(w->schemas, w->n_schemas, w->schemas_cap))
        return -ENOMEM;
    int e = schemas_add(schemas, schema, &w->schemas[w->n_schemas]);
    if (e == 0)
        w->n_schemas++;
    return e;
}

static int skip_apply(struct window *w, struct skips *skips, const struct index_skip *skip) {
    if (!ARRAY_ROOM(w->skips, w->n_skips, w->skips_cap))
        return -ENOMEM;
    int e = skips_add(skips, skip, &w->skips[w->n_skips]);
    if (e == 0)
        w->n_skips++;
    return e;
}

static int record_apply(struct window *w, struct types *types, struct schemas *schemas, struct skips *skips,
                        const struct decoded *d, const struct decoded_record *r, uint32_t *event_type) {
    switch (r->kind) {
    case RECORD_COMMAND:
        return command_apply(w, types, d, r, event_type);
    case RECORD_TYPE:
        return type_touch(w, r->type_no) ? types_make(types, r->type_no, r->time) : -ENOMEM;
    case RECORD_NAME:
        return name_apply(w, types, r);
    case RECORD_UNDECLARE:
        return undeclare_apply(w, types, r);
    case RECORD_UNTYPE:
        types_get(types, r->type_no)->exists = false;
        return type_touch(w, r->type_no) ? 0 : -ENOMEM;
    case RECORD_SCHEMA:
        return schema_apply(w, schemas, &r->schema);
    case RECORD_SKIP:
        return skip_apply(w, skips, &r->skip);
    case RECORD_DECLARE:
        break;
    }
    return 0;
}

static int chunk_apply(struct window *w, const struct chunk_header *h) {
    if (h->n_events == 0)
        return 0;
    struct window_type *whole = type_touch(w, 0);
    if (!whole || !ARRAY_ROOM(w->chunks, w->n_chunks, w->chunks_cap))
        return -ENOMEM;
    w->chunks[w->n_chunks++] = (struct window_chunk){h->first_position, h->block, h->base_time, h->index};
    return type_offset(w, whole, h->log_offset);
}

/* Between the check and this the block was written, and the caches have other things in them. */
static void streams_fetch(const struct window *w, const struct decoded *d, const struct decoded_chunk *chunk) {
    const struct decoded_record *r = &d->records[chunk->first_record], *end = r + chunk->n_records;
    for (const struct decoded_record *k = r; k < end; k++) {
        if (k->stream < w->n_streams)
            __builtin_prefetch(&w->streams[k->stream]);
        if (k->id.n)
            table_fetch(&w->command_table, k->hash);
    }
    for (const struct decoded_record *k = r; k < end; k++)
        if (k->stream < w->n_streams)
            __builtin_prefetch(&w->streams[k->stream].entries[w->streams[k->stream].n], 1);
}

int window_apply(struct window *w, struct types *types, struct schemas *schemas, struct skips *skips,
                 const struct decoded *d) {
    uint32_t event_type = 0;
    int e = 0;
    for (size_t c = 0; e == 0 && c < d->n_chunks; c++) {
        const struct decoded_chunk *chunk = &d->chunks[c];
        streams_fetch(w, d, chunk);
        e = chunk_apply(w, &chunk->header);
        for (uint32_t i = 0; e == 0 && i < chunk->n_records; i++)
            e = record_apply(w, types, schemas, skips, d, &d->records[chunk->first_record + i], &event_type);
    }
    w->weight += d->weight;
    w->bytes += d->bytes;
    w->after = d->after;
    return e;
}

void window_seal(struct window *w, const struct types *types) {
    seen_free(&w->seen);
    for (size_t i = 0; i < w->n_types; i++) {
        const struct type *type = types_get(types, w->types[i].no);
        if (!type)
            continue;
        w->types[i].after = type->is;
        w->types[i].exists = type->exists;
    }
}
