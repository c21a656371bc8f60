#include "query_run.h"

#include "clock.h"
#include "name.h"
#include "queries.h"
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A state that was asked for. It is kept until the end of the run: the handler looks at it, and sees the same when it
 * asks again. */
struct seen {
    struct str aggregate;
    script_value state; /* 0: there is no such aggregate */
};

struct runner {
    const struct query_run *run;
    const struct query_world *world;
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
    snprintf(shown, sizeof shown, "%.*s", (int)name.n, name.p);
    if (domain_view(r->run->domain, name))
        return err_set(err, ENOENT, "the view \"%s\" has not been made; see its status", shown);
    return err_set(err, ENOENT, "the domain has no view \"%s\"", shown);
}

/* A projection. Its keys are what is asked for, in a moment or, after -EAGAIN, once more from here. */
static int projection_find(const struct runner *r, struct str name, struct view_info *out, struct err *err) {
    int rc = go_on(r, err);
    if (rc < 0)
        return rc;
    if (name.n > NAME_MAX_BYTES)
        return err_set(err, ENAMETOOLONG, "no view has a name of %zu bytes", name.n);
    rc = r->world->view(r->world->arg, name, out);
    if (rc == VIEW_NONE)
        return view_missing(r, name, err);
    if (rc == 0 && out->index)
        return err_set(err, EINVAL, "the view \"%.*s\" is an index: it has no keys", (int)name.n, name.p);
    return rc;
}

static int source_view(void *arg, struct str name, struct str key, struct buf *out, struct err *err) {
    struct runner *r = arg;
    struct view_info view;
    struct buf file = {0};
    size_t before = out->n;
    int rc;
    view_name_put(key, &file);
    do {
        rc = file.oom ? err_set(err, ENOMEM, "out of memory") : projection_find(r, name, &view, err);
        if (rc == 0)
            rc = r->world->key(r->world->arg, &view, buf_str(&file), out, err);
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

static int keys_read(struct runner *r, const struct view_info *view, struct str prefix, struct buf *out,
                     struct err *err) {
    struct listing l = {out, out->n};
    buf_put_char(out, '[');
    int rc = r->world->keys(r->world->arg, view, prefix, key_put, &l, err);
    buf_put_char(out, ']');
    if (rc == -EAGAIN)
        out->n = l.before;
    return rc == 0 || rc == -EFBIG ? check_size(l.before, out, err) : rc;
}

static int source_keys(void *arg, struct str name, struct str prefix, struct buf *out, struct err *err) {
    struct runner *r = arg;
    struct view_info view;
    int rc;
    do {
        rc = projection_find(r, name, &view, err);
        if (rc == 0)
            rc = keys_read(r, &view, prefix, out, err);
    } while (rc == -EAGAIN);
    return rc;
}

/* --- aggregates */

static int name_read(const struct runner *r, struct str aggregate, struct query_aggregate *out, struct err *err) {
    const char *slash = memchr(aggregate.p, '/', aggregate.n);
    if (!slash)
        return err_set(err, EINVAL, "it must be \"type/id\"");
    const struct str type = {aggregate.p, (size_t)(slash - aggregate.p)};
    *out = (struct query_aggregate){.name = aggregate, .id = {slash + 1, aggregate.n - type.n - 1}};
    out->type = domain_type(r->run->domain, type);
    if (!out->type)
        return err_set(err, EINVAL, "the domain has no type \"%.*s\"", (int)(type.n < 200 ? type.n : 200), type.p);
    const char *fault = name_fault(out->id);
    return fault ? err_set(err, EINVAL, "its id %s", fault) : 0;
}

static int aggregate_find(struct runner *r, struct str aggregate, struct query_aggregate *out, struct err *err) {
    int rc = go_on(r, err);
    if (rc == 0)
        rc = name_read(r, aggregate, out, err);
    return rc == 0 ? r->world->aggregate(r->world->arg, out, err) : rc;
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

static int state_fold(struct runner *r, const struct query_aggregate *a, script_value *state, struct err *err) {
    struct script_fault fault = {0};
    struct fold fold;
    int rc = check_memory(r, err);
    if (rc == 0)
        rc = folder_make(r, err);
    if (rc < 0)
        return rc;
    rc = r->world->fold(r->world->arg, r->folder, a, &fold, &fault);
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
    struct query_aggregate a;
    uint64_t hash = digest_table(aggregate.p, aggregate.n);
    const struct seen *seen = seen_find(r, aggregate, hash);
    *state = seen ? seen->state : 0;
    if (seen)
        return 0;
    int rc = aggregate_find(r, aggregate, &a, err);
    if (rc == 0 && a.no)
        rc = state_fold(r, &a, state, err);
    if (rc == 0)
        rc = seen_room(r, aggregate, hash, err);
    if (rc == 0)
        r->seen[r->n_seen - 1].state = *state;
    else
        script_drop(domain_vm_script(r->vm), *state);
    return rc;
}

struct lines {
    struct runner *r;
    const struct domain_type *type;
    struct buf *out;
    size_t before;
    struct err *err;
};

/* The lines of stream.ndjson, which becomes an array: a line has no other newline than its last byte. */
static int lines_put(void *arg, const struct event *e) {
    struct lines *l = arg;
    struct script_fault fault = {0};
    int rc = upcast_lines(l->r->folder, l->type, e, l->out, &fault);
    folder_reset(l->r->folder);
    if (rc != 0)
        return fold_failed(rc, &fault, l->err);
    rc = check_size(l->before, l->out, l->err);
    return rc == 0 ? go_on(l->r, l->err) : rc;
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
    struct query_aggregate a;
    if (from < 1)
        return err_set(err, EINVAL, "versions begin with 1");
    int rc = aggregate_find(r, aggregate, &a, err);
    if (rc == 0)
        rc = folder_make(r, err);
    if (rc < 0)
        return rc;
    buf_put_char(out, '[');
    struct lines l = {r, a.type, out, out->n, err};
    if (from <= a.version)
        rc = r->world->events(r->world->arg, &a, from, to < a.version ? to : a.version, lines_put, &l, err);
    lines_join(out, l.before);
    buf_put_char(out, ']');
    return rc == 0 ? check_size(l.before, out, err) : rc;
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

/* A fault without a place is the definition file's. */
static int blame(const struct query_run *run, int rc, struct script_fault *fault) {
    if ((rc == SCRIPT_FAILED || rc == -EFBIG) && !fault->file[0])
        snprintf(fault->file, sizeof fault->file, "%.*s", (int)run->query->file.n, run->query->file.p);
    return rc;
}

int query_run(const struct query_run *run, struct buf *out, struct script_fault *fault) {
    struct runner r = {.run = run, .world = run->world, .ends = clock_ms() + run_ms(run)};
    struct err err = {0};
    *fault = (struct script_fault){0};
    int rc = domain_vm_take(run->domain, &r.vm, &err);
    if (rc < 0) {
        snprintf(fault->text, sizeof fault->text, "%.500s", err.text);
        return blame(run, rc == -ENOMEM ? rc : SCRIPT_FAILED, fault);
    }
    r.memory = script_memory(domain_vm_script(r.vm));
    script_stop_when(domain_vm_script(r.vm), run->stop);
    rc = handlers_run(&r, out, fault);
    runner_end(&r);
    return blame(run, rc, fault);
}
