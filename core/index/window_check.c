/* Whether a block contradicts what the window, the schemas and the skips hold, or itself: asked before the block is
 * written. */
#include "window.h"

#include "array.h"
#include "digest.h"

#include <errno.h>

enum { SEEN_STREAM, SEEN_ID, SEEN_NAME, SEEN_SCHEMA, SEEN_SKIP };

static int contradicts(const struct decoded_record *r, const char *why, struct err *err) {
    return err_set(err, EBADMSG, "aggregate %llu, position %016llx: %s", (unsigned long long)r->aggregate,
                   (unsigned long long)r->position, why);
}

/* --- what the block itself has said */

static void seen_clear(struct window_seen *seen) {
    seen->n = seen->n_fresh = 0;
    table_clear(&seen->table);
}

static bool seen_same(const struct decoded_record *a, const struct decoded_record *b, uint32_t what) {
    switch (what) {
    case SEEN_STREAM:
        return a->aggregate == b->aggregate;
    case SEEN_ID:
        return a->aggregate == b->aggregate && str_eq(a->id, b->id);
    case SEEN_NAME:
        return a->type_no == b->type_no && str_eq(a->name, b->name);
    case SEEN_SCHEMA:
        return schemas_order(&a->schema, &b->schema) == 0;
    default:
        return skips_order(&a->skip, &b->skip) == 0;
    }
}

static struct window_seen_item *seen_find(const struct window_seen *seen, const struct decoded *d, uint64_t hash,
                                          const struct decoded_record *r, uint32_t what) {
    struct table_probe probe;
    for (uint32_t i = table_first(&seen->table, hash, &probe); i != TABLE_NONE; i = table_next(&seen->table, &probe))
        if (seen->items[i].what == what && seen_same(&d->records[seen->items[i].record], r, what))
            return &seen->items[i];
    return NULL;
}

/* `item` is what seen_find() gave; the record takes its place. */
static int seen_note(struct window_seen *seen, struct window_seen_item *item, uint64_t hash, uint32_t record,
                     uint32_t what) {
    if (item) {
        item->record = record;
        return 0;
    }
    if (!ARRAY_ROOM(seen->items, seen->n, seen->cap) || table_put(&seen->table, hash, (uint32_t)seen->n) < 0)
        return -ENOMEM;
    seen->items[seen->n++] = (struct window_seen_item){record, what};
    return 0;
}

/* --- records */

/* Where the stream of a record ends before it; false when that is not known here. */
static bool stream_end(const struct window_stream *s, const struct decoded_record *last, uint64_t *version,
                       uint64_t *offset) {
    if (last) {
        *version = last->version + last->n_events;
        *offset = last->offset + last->bytes;
    } else if (s) {
        *version = s->first_version + s->n;
        *offset = s->entries[s->n - 1].end;
    }
    return last || s;
}

/* A stream of the window keeps by itself which record of the block was its last one; others are among the seen. */
static int stream_check(struct window *w, struct decoded *d, uint32_t i, struct err *err) {
    struct decoded_record *r = &d->records[i];
    struct window_seen_item *fresh = NULL;
    struct window_stream *s = NULL;
    const struct decoded_record *last = NULL;
    uint64_t hash = 0, version, offset;
    if (r->stream != TABLE_NONE) {
        s = &w->streams[r->stream];
        last = s->checked > w->n_checked ? &d->records[s->checked - w->n_checked - 1] : NULL;
    } else {
        hash = table_hash_number(r->aggregate);
        fresh = seen_find(&w->seen, d, hash, r, SEEN_STREAM);
        last = fresh ? &d->records[fresh->record] : NULL;
    }
    bool known = stream_end(s, last, &version, &offset);
    if (r->n_events == 0)
        return known && r->version != version - 1
                   ? contradicts(r, "a command without events has another version than its aggregate", err)
                   : 0;
    if (known && (r->version != version || r->offset != offset))
        return contradicts(r, "its version or offset does not follow the event before", err);
    if (s) {
        s->checked = w->n_checked + i + 1;
        return 0;
    }
    r->stream = last ? last->stream : (uint32_t)w->n_streams + w->seen.n_fresh++;
    return seen_note(&w->seen, fresh, hash, i, SEEN_STREAM);
}

static int command_id_check(struct window *w, const struct decoded *d, uint32_t i, struct err *err) {
    const struct decoded_record *r = &d->records[i];
    if (window_command_hashed(w, r->hash, r->aggregate, r->id) || seen_find(&w->seen, d, r->hash, r, SEEN_ID))
        return contradicts(r, "a command's id comes twice", err);
    return d->n_records == 1 ? 0 : seen_note(&w->seen, NULL, r->hash, i, SEEN_ID);
}

static int name_check(struct window *w, const struct decoded *d, uint32_t i, struct err *err) {
    const struct decoded_record *r = &d->records[i];
    uint64_t hash = window_name_hash(r->type_no, r->name);
    struct window_seen_item *item = seen_find(&w->seen, d, hash, r, SEEN_NAME);
    const struct decoded_record *last = item ? &d->records[item->record] : NULL;
    const struct made *same = last || r->kind != RECORD_NAME ? NULL : window_name(w, r->type_no, r->name);
    if (r->kind == RECORD_NAME && ((last && last->kind == RECORD_NAME) || (same && !same->undeclared)))
        return contradicts(r, "its name is another one's", err);
    if (r->kind == RECORD_UNDECLARE && last && (last->kind == r->kind || last->aggregate != r->aggregate))
        return contradicts(r, "its end comes twice", err);
    return seen_note(&w->seen, item, hash, i, SEEN_NAME);
}

static int schema_check(struct window *w, const struct schemas *schemas, const struct decoded *d, uint32_t i,
                        struct err *err) {
    const struct index_schema *schema = &d->records[i].schema;
    uint64_t hash =
        window_name_hash(schema->type_no << 1 | schema->of_command, schema->name) ^ table_hash_number(schema->version);
    if (!schemas_find(schemas, schema) && !seen_find(&w->seen, d, hash, &d->records[i], SEEN_SCHEMA))
        return seen_note(&w->seen, NULL, hash, i, SEEN_SCHEMA);
    return err_set(err, EBADMSG, "type %u: version %u of the schema of the %s %.*s comes twice", schema->type_no,
                   schema->version, schema->of_command ? "command" : "event", (int)schema->name.n, schema->name.p);
}

static int skip_check(struct window *w, const struct skips *skips, const struct decoded *d, uint32_t i,
                      struct err *err) {
    const struct index_skip *skip = &d->records[i].skip;
    uint64_t hash = digest_table(skip->follower.p, skip->follower.n) ^ table_hash_number(skip->position);
    if (!skips_find(skips, skip->follower, skip->position) && !seen_find(&w->seen, d, hash, &d->records[i], SEEN_SKIP))
        return seen_note(&w->seen, NULL, hash, i, SEEN_SKIP);
    return err_set(err, EBADMSG, "%.*s: position %016llx is passed over twice", (int)skip->follower.n, skip->follower.p,
                   (unsigned long long)skip->position);
}

static int record_check(struct window *w, const struct schemas *schemas, const struct skips *skips, struct decoded *d,
                        uint32_t i, struct err *err) {
    const struct decoded_record *r = &d->records[i];
    int e = 0;
    switch (r->kind) {
    case RECORD_COMMAND:
        e = r->id.n ? command_id_check(w, d, i, err) : 0;
        return e < 0 ? e : stream_check(w, d, i, err);
    case RECORD_NAME:
    case RECORD_UNDECLARE:
        return name_check(w, d, i, err);
    case RECORD_SCHEMA:
        return schema_check(w, schemas, d, i, err);
    case RECORD_SKIP:
        return skip_check(w, skips, d, i, err);
    default:
        return 0;
    }
}

/* Streams and ids are met in no order, so that each costs several cache misses; asked for ahead they come side by
 * side. What was found is kept for window_apply(). */
static void records_find(const struct window *w, struct decoded *d, const struct decoded_chunk *chunk) {
    struct decoded_record *r = &d->records[chunk->first_record], *end = r + chunk->n_records;
    for (struct decoded_record *k = r; k < end; k++) {
        if (k->kind != RECORD_COMMAND)
            continue;
        table_fetch(&w->stream_table, table_hash_number(k->aggregate));
        if (k->id.n) {
            k->hash = window_command_hash(k->aggregate, k->id);
            table_fetch(&w->command_table, k->hash);
        }
    }
    for (struct decoded_record *k = r; k < end; k++) {
        const struct window_stream *s = k->kind == RECORD_COMMAND ? window_stream(w, k->aggregate) : NULL;
        k->stream = s ? (uint32_t)(s - w->streams) : TABLE_NONE;
        if (s)
            __builtin_prefetch(&s->entries[s->n - 1]);
    }
}

int window_check(struct window *w, const struct schemas *schemas, const struct skips *skips, struct decoded *d,
                 struct err *err) {
    int e = 0;
    seen_clear(&w->seen);
    for (size_t c = 0; e == 0 && c < d->n_chunks; c++) {
        const struct decoded_chunk *chunk = &d->chunks[c];
        records_find(w, d, chunk);
        for (uint32_t i = 0; e == 0 && i < chunk->n_records; i++)
            e = record_check(w, schemas, skips, d, chunk->first_record + i, err);
    }
    w->n_checked += (uint32_t)d->n_records;
    return e;
}
