#include "folded.h"

#include "fold.h"
#include "renders.h"
#include "store_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CURSOR_REACH (4 << 20) /* a reader that jumped further ahead is better served by a snapshot */

/* A reader at work: an aggregate, its type in the domain, and a vm to fold with. */
struct reader {
    struct store *store;
    struct domain *domain;
    const struct domain_type *type;
    struct index_aggregate aggregate;
    struct domain_vm *vm;
    struct folder *folder;
    struct script_fault fault;
};

static int reader_begin(struct reader *r, struct store *s, uint64_t aggregate) {
    struct err err = {0};
    *r = (struct reader){.store = s, .domain = store_domain(s)};
    if (!r->domain)
        return -ENOENT;
    int rc = index_aggregate_by_no(s->index, aggregate, &r->aggregate, &err);
    if (rc == 0) {
        r->type = domain_type(r->domain, index_type_name(s->index, r->aggregate.type_no));
        rc = r->type ? 0 : INDEX_NONE;
    }
    if (rc < 0)
        store_report(s, "reading a state", &err);
    if (rc != 0)
        domain_unref(r->domain);
    return rc == INDEX_NONE ? -ENOENT : rc;
}

/* The vm is asked for only when something has to be folded. */
static int reader_vm(struct reader *r) {
    struct store *s = r->store;
    struct err err = {0};
    if (r->folder)
        return 0;
    int rc = domain_vm_take(r->domain, &r->vm, &err);
    if (rc < 0) {
        store_report(s, "reading a state", &err);
        return rc;
    }
    const struct folder_options options = {.source = {s->index, s->log, home_id(s->home)}, .db = s->db};
    r->folder = folder_new(r->vm, &options);
    return r->folder ? 0 : -ENOMEM;
}

static void reader_end(struct reader *r) {
    folder_free(r->folder);
    if (r->vm)
        domain_vm_give(r->vm);
    domain_unref(r->domain);
}

static struct str aggregate_id(const struct reader *r) {
    return (struct str){r->aggregate.id, r->aggregate.id_bytes};
}

/* What a reader gets for what went wrong, which is told. */
static int reader_failed(struct reader *r, const char *what, int rc) {
    char place[512];
    struct err err;
    if (rc == -ENOMEM)
        return rc;
    if (r->fault.file[0])
        snprintf(place, sizeof place, "%s:%d: %.400s", r->fault.file, r->fault.line, r->fault.text);
    else
        snprintf(place, sizeof place, "%.500s", r->fault.text);
    err_set(&err, EIO, "%.*s/%.*s: %s", (int)r->type->name.n, r->type->name.p, (int)r->aggregate.id_bytes,
            r->aggregate.id, place);
    store_report(r->store, what, &err);
    return -EIO;
}

static int version_of(const struct reader *r, uint64_t *version) {
    if (*version == FOLDED_NOW)
        *version = r->aggregate.version;
    return *version <= r->aggregate.version ? 0 : -ENOENT;
}

static struct render render_of(const struct reader *r, uint64_t version) {
    struct render key = {.aggregate = r->aggregate.no, .version = version};
    memcpy(key.fold, r->type->fold, sizeof key.fold);
    return key;
}

/* Folds and renders. */
static int state_render(struct reader *r, struct render *key, struct buf *out) {
    struct fold fold;
    int rc = reader_vm(r);
    if (rc < 0)
        return rc;
    rc = fold_load(r->folder, r->type, r->aggregate.no, aggregate_id(r), key->version, &fold, &r->fault);
    folder_reset(r->folder);
    if (rc == 0) {
        size_t before = out->n;
        rc = script_to_json(domain_vm_script(r->vm), fold.state, out, &r->fault);
        buf_put_char(out, '\n');
        key->stream_bytes = fold.stream_bytes;
        if (rc == 0 && !out->oom)
            renders_put(r->store->renders, key, (struct str){out->p + before, out->n - before});
        fold_drop(r->folder, &fold);
    }
    return rc != 0 ? reader_failed(r, "folding", rc) : out->oom ? -ENOMEM : 0;
}

/* A state, its size, or the bytes of the stream up to it: all that one fold gives. */
static int state_get(struct reader *r, struct render *key, struct buf *out, uint64_t *size) {
    struct buf own = {0};
    if (renders_get(r->store->renders, key, out, size))
        return 0;
    struct buf *to = out ? out : &own;
    size_t before = to->n;
    int rc = state_render(r, key, to);
    *size = to->n - before;
    buf_free(&own);
    return rc;
}

static int state_at(struct store *s, uint64_t aggregate, uint64_t version, struct buf *out, uint64_t *size) {
    struct reader r;
    int rc = reader_begin(&r, s, aggregate);
    if (rc < 0)
        return rc;
    rc = version_of(&r, &version);
    if (rc == 0) {
        struct render key = render_of(&r, version);
        rc = state_get(&r, &key, out, size);
    }
    reader_end(&r);
    return rc;
}

/* An event that a new domain has just made cannot be folded by the one before: the reader that still had that asks
 * again. */
static int state_read(struct store *s, uint64_t aggregate, uint64_t version, struct buf *out, uint64_t *size) {
    struct domain *before = store_domain(s);
    int rc = state_at(s, aggregate, version, out, size);
    struct domain *after = store_domain(s);
    if (rc == -EIO && before != after)
        rc = state_at(s, aggregate, version, out, size);
    domain_unref(before);
    domain_unref(after);
    return rc;
}

int folded_state(struct store *s, uint64_t aggregate, uint64_t version, struct buf *out) {
    uint64_t size;
    return state_read(s, aggregate, version, out, &size);
}

int folded_state_size(struct store *s, uint64_t aggregate, uint64_t version, uint64_t *size) {
    return state_read(s, aggregate, version, NULL, size);
}

/* --- streams */

/* Every line of the stream is the stored one. */
static bool is_plain(const struct domain_type *t) {
    bool plain = !t->upcasts;
    for (size_t i = 0; plain && i < t->n_events; i++)
        plain = !t->events[i].retired && t->events[i].version <= 1;
    return plain;
}

/* Bytes of stream.ndjson up to a version. */
static int stream_bytes(struct reader *r, uint64_t version, uint64_t *bytes) {
    uint64_t size;
    *bytes = 0;
    if (version == 0)
        return 0;
    struct render key = render_of(r, version);
    int rc = state_get(r, &key, NULL, &size);
    *bytes = key.stream_bytes;
    return rc;
}

static int range_of(const struct reader *r, uint64_t from, uint64_t *to) {
    if (version_of(r, to) < 0 || from < 1)
        return -ENOENT;
    return 0;
}

int folded_stream_size(struct store *s, uint64_t aggregate, uint64_t from, uint64_t to, uint64_t *size) {
    struct reader r;
    uint64_t before, time;
    *size = 0;
    int rc = reader_begin(&r, s, aggregate);
    if (rc < 0)
        return rc;
    rc = range_of(&r, from, &to);
    if (rc == 0 && from <= to) {
        if (is_plain(r.type)) {
            rc = text_stat_range(s, aggregate, from, to, size, &time);
        } else {
            rc = stream_bytes(&r, to, size);
            if (rc == 0)
                rc = stream_bytes(&r, from - 1, &before);
            if (rc == 0)
                *size -= before;
        }
    }
    reader_end(&r);
    return rc;
}

/* Where to begin for an offset: the cursor, a snapshot, or the first version. */
static int stream_seek(struct reader *r, uint64_t from, uint64_t offset, struct text_cursor *cursor) {
    struct snapshot_found found;
    struct err err = {0};
    uint64_t base;
    if (cursor->position && cursor->offset <= offset && offset - cursor->offset < CURSOR_REACH)
        return 0;
    *cursor = (struct text_cursor){0, from};
    if (offset == 0)
        return 0;
    int rc = stream_bytes(r, from - 1, &base);
    if (rc < 0)
        return rc;
    rc = snapshot_find_offset(r->store->db, r->type->fold, r->aggregate.no, r->aggregate.version, base + offset, &found,
                              &err);
    if (rc == 0 && found.snapshot.version >= from)
        *cursor = (struct text_cursor){found.snapshot.stream_bytes - base, found.snapshot.version + 1};
    if (rc == 0)
        snapshot_release(&found);
    return rc < 0 ? rc : 0;
}

static ssize_t stream_put(struct reader *r, uint64_t to, uint64_t offset, char *out, size_t n,
                          struct text_cursor *cursor) {
    const struct index_entry *entry;
    struct stream_walk walk;
    struct err err = {0};
    struct buf lines = {0};
    struct event e;
    size_t done = 0;
    const struct stream_source source = {r->store->index, r->store->log, home_id(r->store->home)};
    int rc = 0;
    stream_begin(&walk, &source, r->aggregate.no, cursor->position, to);
    while (done < n && (rc = stream_next(&walk, &e, &entry, &err)) == 0) {
        buf_clear(&lines);
        rc = upcast_lines(r->folder, r->type, &e, &lines, &r->fault);
        folder_reset(r->folder);
        if (rc != 0)
            break;
        uint64_t skip = offset + done - cursor->offset;
        size_t left = skip < lines.n ? lines.n - (size_t)skip : 0, part = left < n - done ? left : n - done;
        if (part)
            memcpy(out + done, lines.p + skip, part);
        done += part;
        if (part == left)
            *cursor = (struct text_cursor){cursor->offset + lines.n, e.version + 1};
    }
    stream_end(&walk);
    buf_free(&lines);
    if (rc < 0 && err.code)
        snprintf(r->fault.text, sizeof r->fault.text, "%.500s", err.text);
    if (rc == STREAM_END || rc == 0 || done > 0)
        return (ssize_t)done;
    return reader_failed(r, "reading a stream", rc);
}

static ssize_t stream_read(struct store *s, uint64_t aggregate, uint64_t from, uint64_t to, uint64_t offset, char *out,
                           size_t n, struct text_cursor *cursor) {
    struct reader r;
    ssize_t got = 0;
    int rc = reader_begin(&r, s, aggregate);
    if (rc < 0)
        return rc;
    rc = range_of(&r, from, &to);
    bool plain = is_plain(r.type);
    if (rc == 0 && !plain)
        rc = reader_vm(&r);
    if (rc == 0 && !plain)
        rc = stream_seek(&r, from, offset, cursor);
    if (rc == 0 && from <= to)
        got = plain ? text_read_stream(s, aggregate, from, to, offset, out, n, cursor)
                    : stream_put(&r, to, offset, out, n, cursor);
    reader_end(&r);
    return rc < 0 ? rc : got;
}

ssize_t folded_stream_read(struct store *s, uint64_t aggregate, uint64_t from, uint64_t to, uint64_t offset, char *out,
                           size_t n, struct text_cursor *cursor) {
    struct domain *before = store_domain(s);
    struct text_cursor begun = *cursor;
    ssize_t got = stream_read(s, aggregate, from, to, offset, out, n, cursor);
    struct domain *after = store_domain(s);
    if (got == -EIO && before != after) {
        *cursor = begun;
        got = stream_read(s, aggregate, from, to, offset, out, n, cursor);
    }
    domain_unref(before);
    domain_unref(after);
    return got;
}
