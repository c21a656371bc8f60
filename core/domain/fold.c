#include "fold_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define KEEP_BYTES (1 << 20) /* of scratch memory */

struct folder *folder_new(struct domain_vm *vm, const struct folder_options *options) {
    struct folder *f = calloc(1, sizeof *f);
    if (!f || !(f->parser = json_parser_new())) {
        free(f);
        return NULL;
    }
    f->vm = vm;
    f->options = *options;
    return f;
}

void folder_free(struct folder *f) {
    if (!f)
        return;
    json_parser_free(f->parser);
    arena_free(&f->arena);
    free(f);
}

struct domain_vm *folder_vm(struct folder *f) {
    return f->vm;
}

void folder_reset(struct folder *f) {
    arena_reset(&f->arena, KEEP_BYTES);
}

int fold_fault(struct script_fault *fault, int code, const char *format, ...) {
    va_list args;
    *fault = (struct script_fault){0};
    va_start(args, format);
    err_format(fault->text, sizeof fault->text, format, args);
    va_end(args);
    return code ? code : SCRIPT_FAILED;
}

/* --- what handlers are told */

int fold_parse(struct folder *f, struct str text, const struct json_value **out, struct script_fault *fault) {
    const char *why;
    struct json_value *tree = arena_alloc(&f->arena, sizeof *tree);
    char *copy = arena_alloc(&f->arena, text.n + JSON_PADDING);
    if (!tree || !copy)
        return fold_fault(fault, -ENOMEM, "out of memory");
    memcpy(copy, text.p, text.n);
    memset(copy + text.n, 0, JSON_PADDING);
    int r = json_tree_read(f->parser, (struct str){copy, text.n}, &f->arena, tree, &why);
    *out = tree;
    if (r == JSON_MALFORMED)
        return fold_fault(fault, 0, "the data is no JSON: %s", why);
    return r < 0 ? fold_fault(fault, r, "out of memory") : 0;
}

static struct str joined(struct arena *a, const char *before, struct str type, struct str id) {
    size_t n = strlen(before);
    char *text = arena_alloc(a, n + type.n + 1 + id.n);
    if (!text)
        return (struct str){NULL, 0};
    memcpy(text, before, n);
    memcpy(text + n, type.p, type.n);
    text[n + type.n] = '/';
    memcpy(text + n + type.n + 1, id.p, id.n);
    return (struct str){text, n + type.n + 1 + id.n};
}

/* Extension attributes are stored as members with a comma before each. */
static int told_meta(struct folder *f, struct str meta, const struct json_value **out, struct script_fault *fault) {
    *out = NULL;
    if (!meta.n)
        return 0;
    char *object = arena_alloc(&f->arena, meta.n + 1);
    if (!object)
        return fold_fault(fault, -ENOMEM, "out of memory");
    memcpy(object, meta.p, meta.n);
    object[0] = '{';
    object[meta.n] = '}';
    return fold_parse(f, (struct str){object, meta.n + 1}, out, fault);
}

int fold_told(struct folder *f, const struct event *e, const struct fresh_event *fresh, struct script_event *out,
              struct script_fault *fault) {
    struct told_text {
        char id[EVENT_ID_CHARS], time[EVENT_TIME_CHARS], position[EVENT_POSITION_CHARS];
    } *text = arena_alloc(&f->arena, sizeof *text);
    struct str source = event_source(e, &f->arena);
    struct str aggregate = joined(&f->arena, "", e->aggregate_type, e->aggregate_id);
    if (!text || !source.p || !aggregate.p)
        return fold_fault(fault, -ENOMEM, "out of memory");
    const struct str correlation = event_correlation(e);
    event_id(e->store_id, e->position, e->time, text->id);
    event_time(e->time, text->time);
    event_position(e->position, text->position);
    *out = (struct script_event){.aggregate = aggregate,
                                 .subject = e->aggregate_id,
                                 .source = source,
                                 .id = {text->id, sizeof text->id},
                                 .time = {text->time, sizeof text->time},
                                 .type = fresh->type,
                                 .position = {text->position, sizeof text->position},
                                 .version = e->version,
                                 .uid = e->uid,
                                 .commandid = e->commandid,
                                 .correlationid = correlation.n ? correlation : (struct str){text->id, sizeof text->id},
                                 .causationid = event_causation(e),
                                 .traceparent = e->traceparent,
                                 .data = fresh->tree};
    return told_meta(f, e->meta, &out->meta, fault);
}

/* --- folds */

static struct script *script_of(struct folder *f) {
    return domain_vm_script(f->vm);
}

int fold_begin(struct folder *f, const struct domain_type *t, struct str id, struct fold *out,
               struct script_fault *fault) {
    *out = (struct fold){0};
    return script_initial(script_of(f), domain_vm_initial(f->vm, t), id, &out->state, fault);
}

void fold_drop(struct folder *f, struct fold *fold) {
    script_drop(script_of(f), fold->state);
    fold->state = 0;
}

int fold_evolve(struct folder *f, const struct domain_type *t, struct fold *fold, const struct fresh_event *fresh,
                const struct script_event *told, struct script_fault *fault) {
    if (!fresh->definition->evolves)
        return 0;
    return script_evolve(script_of(f), domain_vm_evolve(f->vm, t, fresh->definition), &fold->state, told, fault);
}

static int evolve(struct folder *f, const struct domain_type *t, struct fold *fold, const struct event *e,
                  struct fresh_event *fresh, struct script_fault *fault) {
    struct script_event told;
    int r = 0;
    if (!fresh->definition->evolves)
        return 0;
    if (!fresh->tree)
        r = fold_parse(f, fresh->data, &fresh->tree, fault);
    if (r == 0)
        r = fold_told(f, e, fresh, &told, fault);
    return r == 0 ? fold_evolve(f, t, fold, fresh, &told, fault) : r;
}

int fold_event(struct folder *f, const struct domain_type *t, struct fold *fold, const struct event *e,
               struct script_fault *fault) {
    struct fresh_event *fresh;
    size_t n;
    int r = upcast_event(f, t, e, &fresh, &n, fault);
    fold->upcast_failed = r == SCRIPT_FAILED;
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct event line = upcast_line(e, &fresh[i]);
        fold->stream_bytes += event_size(&line);
        r = evolve(f, t, fold, e, &fresh[i], fault);
    }
    fold->version = e->version;
    fold->position = e->position;
    return r;
}

int fold_fresh(struct folder *f, const struct domain_type *t, struct fold *fold, const struct event *e,
               const struct fresh_event *fresh, uint64_t size, struct script_fault *fault) {
    struct fresh_event copy = *fresh;
    int r = evolve(f, t, fold, e, &copy, fault);
    fold->stream_bytes += size;
    fold->version = e->version;
    fold->position = e->position;
    return r;
}

/* --- from the store */

/* Snapshots are never trusted over the log: the event that one ends with must be where it says. */
static int agrees(struct folder *f, uint64_t aggregate, const struct snapshot *s, struct err *err) {
    struct index_entry entry;
    int n = index_entries(f->options.source.index, aggregate, s->version, &entry, 1, err);
    return n < 0 ? n : n == 1 && entry.position == s->position;
}

/* 1 when a snapshot was taken up, 0 when there is none that will do. */
static int from_snapshot(struct folder *f, const struct domain_type *t, uint64_t aggregate, uint64_t version,
                         struct fold *out, struct err *err) {
    struct snapshot_found found;
    for (; version > 0; version = found.snapshot.version - 1) {
        int r = snapshot_find(f->options.db, t->fold, aggregate, version, &found, err);
        if (r != 0)
            return r == DB_NOT_FOUND ? 0 : r;
        const struct snapshot *s = &found.snapshot;
        r = agrees(f, aggregate, s, err);
        if (r == 1)
            r = script_thaw(script_of(f), s->frozen, &out->state);
        else if (r == 0)
            r = -EUCLEAN;
        if (r == 0) {
            out->version = out->saved_version = s->version;
            out->position = s->position;
            out->stream_bytes = out->saved_stream = s->stream_bytes;
            out->saved_bytes = s->frozen.n;
        }
        snapshot_release(&found);
        if (r != -EUCLEAN)
            return r == 0 ? 1 : r;
    }
    return 0;
}

static int fold_walk(struct folder *f, const struct domain_type *t, uint64_t aggregate, uint64_t version,
                     struct fold *fold, struct script_fault *fault) {
    struct stream_walk walk;
    const struct index_entry *entry;
    struct err err = {0};
    struct event e;
    int r, n = 0;
    stream_begin(&walk, &f->options.source, aggregate, fold->version + 1, version);
    while ((r = stream_next(&walk, &e, &entry, &err)) == 0) {
        r = fold_event(f, t, fold, &e, fault);
        if (r != 0)
            break;
        if (++n % 64 == 0)
            folder_reset(f);
    }
    if (r == SCRIPT_FAILED && fold->version == e.version && walk.version == e.version + 1) {
        char text[sizeof fault->text];
        memcpy(text, fault->text, sizeof text);
        snprintf(fault->text, sizeof fault->text, "version %llu, position %016llx: %.400s",
                 (unsigned long long)e.version, (unsigned long long)e.position, text);
    } else if (r < 0 && err.code) {
        fold_fault(fault, r, "%s", err.text);
    }
    stream_end(&walk);
    return r == STREAM_END ? 0 : r;
}

int fold_load(struct folder *f, const struct domain_type *t, uint64_t aggregate, struct str id, uint64_t version,
              struct fold *out, struct script_fault *fault) {
    struct err err = {0};
    *out = (struct fold){0};
    int r = from_snapshot(f, t, aggregate, version, out, &err);
    if (r < 0)
        return fold_fault(fault, r, "%s", err.text);
    if (r == 0)
        r = fold_begin(f, t, id, out, fault);
    else
        r = 0;
    if (r == 0 && out->version < version)
        r = fold_walk(f, t, aggregate, version, out, fault);
    if (r != 0)
        fold_drop(f, out); /* upcast_failed stays */
    return r;
}

/* --- to the store */

bool fold_is_due(const struct fold *fold, uint32_t every) {
    return fold->version - fold->saved_version >= every && fold->stream_bytes - fold->saved_stream >= fold->saved_bytes;
}

int fold_save(struct folder *f, struct fold *fold, struct arena *arena, struct str *value, struct script_fault *fault) {
    struct buf frozen = {0}, text = {0};
    int r = script_freeze(script_of(f), fold->state, &frozen, fault);
    if (r == 0) {
        const struct snapshot s = {fold->version, fold->position, fold->stream_bytes, buf_str(&frozen)};
        snapshot_put(&s, &text);
        *value = arena_copy(arena, buf_str(&text));
        r = frozen.oom || text.oom || !value->p ? -ENOMEM : 0;
    }
    fold->saved_version = fold->version;
    fold->saved_stream = fold->stream_bytes;
    fold->saved_bytes = frozen.n;
    buf_free(&frozen);
    buf_free(&text);
    return r;
}
