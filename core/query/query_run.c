#include "query_run.h"

#include "clock.h"
#include "name.h"
#include "queries.h"
#include "stream.h"
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHANGING_US 2000

/* A state that was asked for. It is kept until the end of the run: the handler looks at it, and sees the same when it
 * asks again. */
struct seen {
    struct str aggregate;
    script_value state; /* 0: there is no such aggregate */
};

struct runner {
    const struct query_run *run;
    struct query_reads *reads;
    struct domain_vm *vm;
    struct folder *folder; /* made when something is to be folded */
    struct arena arena;    /* names of states */
    struct seen *seen;
    size_t n_seen, cap_seen;
    struct table table; /* of them */
    size_t memory;      /* of Lua, when the run began */
    bool full;          /* it has taken as much as it may */
    uint64_t ends;      /* ms */
};

static uint32_t run_ms(const struct query_run *run) {
    return run->ms ? run->ms : QUERY_RUN_MS;
}

static bool is_stopped(const struct runner *r) {
    return r->run->stop && atomic_load(r->run->stop);
}

/* Each call of q's functions begins here. */
static int go_on(const struct runner *r, struct err *err) {
    if (is_stopped(r))
        return err_set(err, ECANCELED, "nobody waits for it any more");
    if (clock_ms() > r->ends)
        return err_set(err, ETIMEDOUT, "the query has run for more than %" PRIu32 " ms", run_ms(r->run));
    return 0;
}

static int check_size(size_t before, const struct buf *out, struct err *err) {
    if (out->oom)
        return err_set(err, ENOMEM, "out of memory");
    if (out->n - before > QUERY_READ_BYTES)
        return err_set(err, EFBIG, "it is more than %u MiB", QUERY_READ_BYTES >> 20);
    return 0;
}

/* --- views */

static int view_missing(const struct runner *r, struct str name, struct err *err) {
    char shown[NAME_MAX_BYTES + 1];
    query_reads_view(r->reads, name, NULL);
    snprintf(shown, sizeof shown, "%.*s", (int)name.n, name.p);
    if (domain_view(r->run->domain, name))
        return err_set(err, ENOENT, "the view \"%s\" has not been made; see its status", shown);
    return err_set(err, ENOENT, "the domain has no view \"%s\"", shown);
}

/* While a domain is brought into force its views come after its queries: then they are waited for. */
static int projection_find(const struct runner *r, struct str name, struct view_info *out, struct err *err) {
    bool changing = r->run->changing && atomic_load(r->run->changing);
    if (name.n > NAME_MAX_BYTES)
        return err_set(err, ENAMETOOLONG, "no view has a name of %zu bytes", name.n);
    if (views_find(r->run->source.views, name, out) != 0) {
        if (!changing)
            return view_missing(r, name, err);
        usleep(CHANGING_US);
        return -EAGAIN;
    }
    if (!out->index)
        return 0;
    query_reads_view(r->reads, name, out);
    return err_set(err, EINVAL, "the view \"%.*s\" is an index: it has no keys", (int)name.n, name.p);
}

/* What is served may have changed since it was found: then it is not known whether there was such a key. */
static bool is_served(const struct runner *r, const struct view_info *view) {
    struct view_info now;
    return views_get(r->run->source.views, view->no, &now) == 0 && now.build == view->build;
}

static int view_read(struct runner *r, const struct view_info *view, struct str file, struct buf *out,
                     struct err *err) {
    struct view_entry entry;
    int rc = views_entry(r->run->source.views, view->build, file, &entry, out);
    if (rc < 0)
        return err_set(err, -rc, "the view cannot be read");
    if (rc == VIEW_NONE && !is_served(r, view))
        return -EAGAIN;
    query_reads_key(r->reads, view, file, rc == 0 ? &entry : NULL);
    return rc == 0 && entry.failed ? err_set(err, EIO, "its `output` has failed for this key") : 0;
}

static int source_view(void *arg, struct str name, struct str key, struct buf *out, struct err *err) {
    struct runner *r = arg;
    struct view_info view;
    struct buf file = {0};
    size_t before = out->n;
    int rc;
    view_name_put(key, &file);
    do {
        rc = file.oom ? err_set(err, ENOMEM, "out of memory") : go_on(r, err);
        if (rc == 0)
            rc = projection_find(r, name, &view, err);
        if (rc == 0)
            rc = view_read(r, &view, buf_str(&file), out, err);
    } while (rc == -EAGAIN);
    buf_free(&file);
    return rc == 0 ? check_size(before, out, err) : rc;
}

struct listing {
    struct buf *out;
    size_t before;
};

static int key_put(void *arg, struct str key) {
    struct listing *l = arg;
    if (l->out->n > l->before + 1)
        buf_put_char(l->out, ',');
    buf_put_json_string(l->out, key);
    return l->out->oom ? -ENOMEM : l->out->n - l->before > QUERY_READ_BYTES ? -EFBIG : 0;
}

/* The stamp is got before the keys: what comes between is then a change. */
static int keys_read(struct runner *r, const struct view_info *view, struct str prefix, struct buf *out,
                     struct err *err) {
    struct listing l = {out, out->n};
    uint64_t stamp = views_keys_stamp(r->run->source.views, view->build);
    buf_put_char(out, '[');
    int rc = views_each_key(r->run->source.views, view->build, prefix, key_put, &l);
    buf_put_char(out, ']');
    if (rc == VIEW_NONE || !is_served(r, view)) {
        out->n = l.before;
        return -EAGAIN;
    }
    query_reads_keys(r->reads, view, stamp);
    if (rc == -EFBIG || rc == 0)
        return check_size(l.before, out, err);
    return err_set(err, -rc, "the view cannot be read");
}

static int source_keys(void *arg, struct str name, struct str prefix, struct buf *out, struct err *err) {
    struct runner *r = arg;
    struct view_info view;
    int rc;
    do {
        rc = go_on(r, err);
        if (rc == 0)
            rc = projection_find(r, name, &view, err);
        if (rc == 0)
            rc = keys_read(r, &view, prefix, out, err);
    } while (rc == -EAGAIN);
    return rc;
}

/* --- aggregates */

struct found {
    const struct domain_type *type;
    struct str id;
    bool there;
    struct index_aggregate aggregate;
};

static int name_read(const struct runner *r, struct str aggregate, struct found *out, struct err *err) {
    const char *slash = memchr(aggregate.p, '/', aggregate.n);
    if (!slash)
        return err_set(err, EINVAL, "it must be \"type/id\"");
    const struct str type = {aggregate.p, (size_t)(slash - aggregate.p)};
    out->id = (struct str){slash + 1, aggregate.n - type.n - 1};
    out->type = domain_type(r->run->domain, type);
    if (!out->type)
        return err_set(err, EINVAL, "the domain has no type \"%.*s\"", (int)(type.n < 200 ? type.n : 200), type.p);
    const char *fault = name_fault(out->id);
    return fault ? err_set(err, EINVAL, "its id %s", fault) : 0;
}

/* Finds an aggregate, and notes how it was. */
static int aggregate_find(struct runner *r, struct str aggregate, struct found *out, struct err *err) {
    struct index *index = r->run->source.index;
    struct index_type type;
    int rc = go_on(r, err);
    if (rc == 0)
        rc = name_read(r, aggregate, out, err);
    if (rc < 0)
        return rc;
    rc = index_type_by_name(index, out->type->name, &type);
    if (rc == 0)
        rc = index_aggregate_by_name(index, type.no, out->id, &out->aggregate, err);
    if (rc < 0)
        return rc;
    out->there = rc == 0;
    query_reads_aggregate(r->reads, aggregate, out->there ? out->aggregate.no : 0,
                          out->there ? out->aggregate.version : 0);
    return 0;
}

static int folder_make(struct runner *r, struct err *err) {
    if (!r->folder)
        r->folder = folder_new(r->vm, &r->run->fold);
    return r->folder ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int fold_failed(int rc, const struct script_fault *fault, struct err *err) {
    if (fault->file[0])
        return err_set(err, EIO, "%s:%d: %s", fault->file, fault->line, fault->text);
    return err_set(err, rc < 0 ? -rc : EIO, "%s", fault->text[0] ? fault->text : "out of memory");
}

/* What a handler does not hold any more does not count. */
static int check_memory(struct runner *r, struct err *err) {
    struct script *s = domain_vm_script(r->vm);
    if (!r->full && script_memory(s) > r->memory + QUERY_MEMORY)
        script_collect(s, true);
    r->full = r->full || script_memory(s) > r->memory + QUERY_MEMORY;
    return r->full ? err_set(err, EFBIG, "the query holds more than %u MiB, with the states that it looks at",
                             QUERY_MEMORY >> 20)
                   : 0;
}

static int state_fold(struct runner *r, const struct found *f, script_value *state, struct err *err) {
    struct script_fault fault = {0};
    struct fold fold;
    int rc = check_memory(r, err);
    if (rc == 0)
        rc = folder_make(r, err);
    if (rc < 0)
        return rc;
    rc = fold_load(r->folder, f->type, f->aggregate.no, f->id, f->aggregate.version, &fold, &fault);
    folder_reset(r->folder);
    if (rc != 0)
        return fold_failed(rc, &fault, err);
    *state = fold.state;
    return 0;
}

static const struct seen *seen_find(const struct runner *r, struct str aggregate, uint64_t hash) {
    struct table_probe probe;
    for (uint32_t i = table_first(&r->table, hash, &probe); i != TABLE_NONE; i = table_next(&r->table, &probe))
        if (str_eq(r->seen[i].aggregate, aggregate))
            return &r->seen[i];
    return NULL;
}

static int seen_room(struct runner *r, struct str aggregate, uint64_t hash, struct err *err) {
    struct str copy = arena_copy(&r->arena, aggregate);
    if (r->n_seen == r->cap_seen) {
        size_t cap = r->cap_seen ? 2 * r->cap_seen : 16;
        struct seen *seen = realloc(r->seen, cap * sizeof *seen);
        if (!seen)
            return err_set(err, ENOMEM, "out of memory");
        r->seen = seen;
        r->cap_seen = cap;
    }
    if (!copy.p || table_put(&r->table, hash, (uint32_t)r->n_seen) < 0)
        return err_set(err, ENOMEM, "out of memory");
    r->seen[r->n_seen++] = (struct seen){copy, 0};
    return 0;
}

static int source_state(void *arg, struct str aggregate, script_value *state, struct err *err) {
    struct runner *r = arg;
    struct found f;
    uint64_t hash = digest_table(aggregate.p, aggregate.n);
    const struct seen *seen = seen_find(r, aggregate, hash);
    *state = seen ? seen->state : 0;
    if (seen)
        return 0;
    int rc = aggregate_find(r, aggregate, &f, err);
    if (rc == 0 && f.there)
        rc = state_fold(r, &f, state, err);
    if (rc == 0)
        rc = seen_room(r, aggregate, hash, err);
    if (rc == 0)
        r->seen[r->n_seen - 1].state = *state;
    else
        script_drop(domain_vm_script(r->vm), *state);
    return rc;
}

/* The lines of stream.ndjson, which becomes an array: a line has no other newline than its last byte. */
static int lines_read(struct runner *r, const struct found *f, uint64_t from, uint64_t to, struct buf *out,
                      struct err *err) {
    const struct index_entry *entry;
    struct stream_walk walk;
    struct script_fault fault = {0};
    struct event e;
    size_t before = out->n;
    int rc;
    stream_begin(&walk, &r->run->fold.source, f->aggregate.no, from, to);
    while ((rc = stream_next(&walk, &e, &entry, err)) == 0) {
        rc = upcast_lines(r->folder, f->type, &e, out, &fault);
        folder_reset(r->folder);
        if (rc != 0)
            rc = fold_failed(rc, &fault, err);
        if (rc == 0)
            rc = check_size(before, out, err);
        if (rc == 0)
            rc = go_on(r, err);
        if (rc < 0)
            break;
    }
    stream_end(&walk);
    return rc == STREAM_END ? 0 : rc;
}

static void lines_join(struct buf *out, size_t before) {
    for (size_t i = before; i < out->n; i++)
        if (out->p[i] == '\n')
            out->p[i] = ',';
    if (out->n > before)
        out->n--;
}

static int source_events(void *arg, struct str aggregate, uint64_t from, uint64_t to, struct buf *out,
                         struct err *err) {
    struct runner *r = arg;
    struct found f;
    if (from < 1)
        return err_set(err, EINVAL, "versions begin with 1");
    int rc = aggregate_find(r, aggregate, &f, err);
    if (rc == 0)
        rc = folder_make(r, err);
    if (rc < 0)
        return rc;
    buf_put_char(out, '[');
    size_t before = out->n;
    uint64_t last = f.there ? f.aggregate.version : 0;
    if (from <= last)
        rc = lines_read(r, &f, from, to < last ? to : last, out, err);
    lines_join(out, before);
    buf_put_char(out, ']');
    return rc == 0 ? check_size(before, out, err) : rc;
}

/* --- the run */

static void runner_end(struct runner *r) {
    script_stop_when(domain_vm_script(r->vm), NULL);
    for (size_t i = 0; i < r->n_seen; i++)
        script_drop(domain_vm_script(r->vm), r->seen[i].state);
    free(r->seen);
    table_free(&r->table);
    arena_free(&r->arena);
    folder_free(r->folder);
    domain_vm_give(r->vm);
}

static int result_check(const struct buf *out, size_t before, struct script_fault *fault) {
    if (out->oom)
        return -ENOMEM;
    if (out->n - before <= QUERY_RESULT_BYTES)
        return 0;
    *fault = (struct script_fault){0};
    snprintf(fault->text, sizeof fault->text, "the result has %zu bytes, and may have %u MiB", out->n - before,
             QUERY_RESULT_BYTES >> 20);
    return -EFBIG;
}

static int handlers_run(struct runner *r, struct buf *out, struct script_fault *fault) {
    const struct query_run *run = r->run;
    const struct script_source source = {
        .view = source_view,
        .keys = source_keys,
        .events = source_events,
        .state = source_state,
        .caller = run->caller,
        .arg = r,
    };
    size_t before = out->n;
    int rc = script_query(domain_vm_script(r->vm), domain_vm_query_run(r->vm, run->query),
                          domain_vm_query_post(r->vm, run->query), &source, run->params, out, fault);
    buf_put_char(out, '\n');
    if (rc > 0)
        rc = is_stopped(r) ? -ECANCELED : SCRIPT_FAILED;
    return rc == 0 ? result_check(out, before, fault) : rc;
}

int query_run(const struct query_run *run, struct query_reads *reads, struct buf *out, struct script_fault *fault) {
    struct runner r = {.run = run, .reads = reads, .ends = clock_ms() + run_ms(run)};
    struct err err = {0};
    *fault = (struct script_fault){0};
    int rc = domain_vm_take(run->domain, &r.vm, &err);
    if (rc < 0) {
        snprintf(fault->text, sizeof fault->text, "%.500s", err.text);
        return rc == -ENOMEM ? rc : SCRIPT_FAILED;
    }
    r.memory = script_memory(domain_vm_script(r.vm));
    script_stop_when(domain_vm_script(r.vm), run->stop);
    rc = handlers_run(&r, out, fault);
    runner_end(&r);
    return rc;
}
