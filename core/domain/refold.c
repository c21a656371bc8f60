#include "refold.h"

#include "changes.h"
#include "holder.h"
#include "table.h"
#include "varint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH 256         /* aggregates asked for at once */
#define FLUSH_CHANGES 512 /* written at once */
#define SMALL_GAP 1000    /* events that may be left for refold_finish() */
#define TELL_EVERY 100000 /* aggregates */

/* A type that something is made anew for. */
struct work {
    const struct domain_type *type;
    uint32_t no;
};

/* Aggregates to be looked at again: they changed, or a value of theirs was found with another. */
struct doubts {
    struct table table;
    uint64_t *list;
    uint32_t n, room;
};

struct refold {
    struct refold_options options;
    struct domain_vm *vm;
    struct folder *folder;
    struct work *work;
    size_t n_work;
    uint64_t position; /* everything up to here has been looked at */
    struct doubts doubts;
    struct changes changes;
    struct buf key, value;
    uint64_t n_done;
};

int refold_new(struct refold **out, const struct refold_options *options, struct err *err) {
    struct refold *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ENOMEM, "out of memory");
    r->options = *options;
    int rc = domain_vm_new(&r->vm, options->domain, err);
    if (rc == 0) {
        r->folder = folder_new(r->vm, &options->fold);
        r->work = calloc(options->domain->n_types + 1, sizeof *r->work);
        if (!r->folder || !r->work)
            rc = err_set(err, ENOMEM, "out of memory");
    }
    if (rc < 0) {
        refold_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

static void doubts_clear(struct doubts *d) {
    table_free(&d->table);
    free(d->list);
    *d = (struct doubts){0};
}

void refold_free(struct refold *r) {
    if (!r)
        return;
    folder_free(r->folder);
    domain_vm_free(r->vm);
    doubts_clear(&r->doubts);
    changes_free(&r->changes);
    buf_free(&r->key);
    buf_free(&r->value);
    free(r->work);
    free(r);
}

static int doubts_add(struct doubts *d, uint64_t aggregate) {
    struct table_probe probe;
    uint64_t hash = table_hash_number(aggregate);
    for (uint32_t i = table_first(&d->table, hash, &probe); i != TABLE_NONE; i = table_next(&d->table, &probe))
        if (d->list[i] == aggregate)
            return 0;
    if (d->n == d->room) {
        uint32_t room = d->room ? 2 * d->room : 256;
        uint64_t *list = realloc(d->list, room * sizeof *list);
        if (!list)
            return -ENOMEM;
        d->list = list;
        d->room = room;
    }
    d->list[d->n] = aggregate;
    return table_put(&d->table, hash, d->n++);
}

static int flush(struct refold *r, size_t at_least, struct err *err) {
    if (r->changes.n < at_least || r->changes.n == 0)
        return 0;
    int rc = db_write(r->options.fold.db, r->changes.list, r->changes.n, false, err);
    changes_free(&r->changes);
    return rc;
}

static struct index *index_of(struct refold *r) {
    return r->options.fold.source.index;
}

static struct str scratch_key(struct refold *r, const struct domain_type *t, const struct domain_rule *rule,
                              struct str value) {
    buf_clear(&r->key);
    holder_key(t, rule, value, &r->key);
    return buf_str(&r->key);
}

static struct str scratch_of_key(struct refold *r, const struct domain_type *t, const struct domain_rule *rule,
                                 uint64_t aggregate) {
    buf_clear(&r->key);
    holder_of_key(t, rule, aggregate, &r->key);
    return buf_str(&r->key);
}

static int tell(struct refold *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int tell(struct refold *r, const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    err_format(line, sizeof line, format, args);
    va_end(args);
    if (r->options.tell)
        r->options.tell(r->options.arg, line);
    return 0;
}

/* --- values and holders */

/* The aggregate that the family has for a value; 0: none. */
static int holder_get(struct refold *r, struct str key, uint64_t *aggregate, struct err *err) {
    struct db_value value;
    *aggregate = 0;
    int rc = db_get(r->options.fold.db, DB_FOLDS, key, &value, err);
    if (rc != 0)
        return rc == DB_NOT_FOUND ? 0 : rc;
    if (value.bytes.n == 8)
        *aggregate = be64_get(value.bytes.p);
    db_value_release(&value);
    return 0;
}

static void name_of(struct refold *r, uint64_t aggregate, const struct domain_type *t, char out[300]) {
    struct index_aggregate a;
    if (index_aggregate_by_no(index_of(r), aggregate, &a, NULL) == 0)
        snprintf(out, 300, "%.*s/%.*s", (int)t->name.n, t->name.p, (int)a.id_bytes, a.id);
    else
        snprintf(out, 300, "aggregate %" PRIu64, aggregate);
}

static int taken(struct refold *r, const struct domain_type *t, const struct domain_rule *rule, struct str value,
                 uint64_t a, uint64_t b, struct err *err) {
    char x[300], y[300];
    name_of(r, a, t, x);
    name_of(r, b, t, y);
    return err_set(err, EINVAL, "%.*s: unique %.*s: %.*s is held by both %s and %s", (int)t->file.n, t->file.p,
                   (int)rule->name.n, rule->name.p, (int)value.n, value.p, x, y);
}

/* Gives up the value that the aggregate has in the family. */
static int release_value(struct refold *r, const struct domain_type *t, const struct domain_rule *rule,
                         uint64_t aggregate, struct err *err) {
    struct db_value stored;
    uint64_t holder;
    int rc = db_get(r->options.fold.db, DB_FOLDS, scratch_of_key(r, t, rule, aggregate), &stored, err);
    if (rc != 0)
        return rc == DB_NOT_FOUND ? 0 : rc;
    rc = changes_remove(&r->changes, buf_str(&r->key));
    struct str key = scratch_key(r, t, rule, stored.bytes);
    db_value_release(&stored);
    if (rc == 0)
        rc = holder_get(r, key, &holder, err);
    if (rc == 0 && holder == aggregate)
        rc = changes_remove(&r->changes, key);
    return rc == 0 ? flush(r, 1, err) : rc;
}

/* Takes a value; `final`: another holder breaks the rule, otherwise both are looked at again. */
static int take_value(struct refold *r, const struct domain_type *t, const struct domain_rule *rule, uint64_t aggregate,
                      struct str value, bool final, struct err *err) {
    uint64_t holder;
    char number[8];
    int rc = holder_get(r, scratch_key(r, t, rule, value), &holder, err);
    if (rc < 0)
        return rc;
    if (holder && holder != aggregate) {
        if (final)
            return taken(r, t, rule, value, holder, aggregate, err);
        rc = doubts_add(&r->doubts, holder);
        return rc == 0 ? doubts_add(&r->doubts, aggregate) : rc;
    }
    holder_value(aggregate, number);
    rc = changes_put(&r->changes, buf_str(&r->key), (struct str){number, sizeof number});
    if (rc == 0)
        rc = changes_put(&r->changes, scratch_of_key(r, t, rule, aggregate), value);
    return rc == 0 ? flush(r, 1, err) : rc;
}

static int take_values(struct refold *r, const struct domain_type *t, uint64_t aggregate, struct fold *fold, bool final,
                       struct script_fault *fault, struct err *err) {
    int rc = 0;
    /* an aggregate without events holds nothing, whatever its initial state says */
    for (size_t i = 0; rc == 0 && fold->version > 0 && i < t->n_rules; i++) {
        bool present = false;
        buf_clear(&r->value);
        rc = script_unique(domain_vm_script(r->vm), domain_vm_rule(r->vm, t, &t->rules[i]), fold->state, &r->value,
                           &present, fault);
        if (rc == 0 && present && r->value.n <= HOLDER_VALUE_MAX)
            rc = take_value(r, t, &t->rules[i], aggregate, buf_str(&r->value), final, err);
    }
    return rc;
}

/* The rule whose value a key of another fold says an aggregate to hold. NULL when none of this type's is named so. */
static const struct domain_rule *rule_of_key(const struct domain_type *t, struct str key, struct str *value) {
    const char *name = key.p + 1 + DOMAIN_FOLD_HASH, *end = key.p + key.n;
    const char *zero = name < end ? memchr(name, 0, (size_t)(end - name)) : NULL;
    if (!zero || memcmp(key.p + 1, t->fold, DOMAIN_FOLD_HASH) == 0)
        return NULL;
    *value = (struct str){zero + 1, (size_t)(end - zero - 1)};
    for (size_t i = 0; i < t->n_rules; i++)
        if (str_eq(t->rules[i].name, (struct str){name, (size_t)(zero - name)}))
            return &t->rules[i];
    return NULL;
}

/* What cannot be folded keeps the values that the domain before knew it to hold: nobody else may have them meanwhile.
 * Rare enough for a walk over all holders. */
static int values_keep(struct refold *r, const struct domain_type *t, uint64_t aggregate, bool final, struct err *err) {
    static const char first = HOLDER_CLASS_VALUE, upper = HOLDER_CLASS_VALUE + 1;
    struct db_iter *it = db_iter_new(r->options.fold.db, DB_FOLDS, &(struct db_iter_options){.upper = {&upper, 1}});
    struct db_pair pair;
    if (!it)
        return err_set(err, ENOMEM, "out of memory");
    int rc = db_iter_seek(it, (struct str){&first, 1}, &pair, err);
    for (; rc == 0; rc = db_iter_next(it, &pair, err)) {
        struct str value;
        const struct domain_rule *rule = rule_of_key(t, pair.key, &value);
        if (!rule || pair.value.n != 8 || be64_get(pair.value.p) != aggregate)
            continue;
        buf_clear(&r->value);
        buf_put_str(&r->value, value);
        rc = r->value.oom ? -ENOMEM : take_value(r, t, rule, aggregate, buf_str(&r->value), final, err);
        if (rc < 0)
            break;
    }
    db_iter_free(it);
    return rc == DB_NOT_FOUND ? 0 : rc;
}

/* --- one aggregate */

static int save(struct refold *r, const struct domain_type *t, struct fold *fold, uint64_t aggregate,
                struct script_fault *fault) {
    struct arena arena = {0};
    char key[SNAPSHOT_KEY_BYTES];
    struct str value;
    int rc = fold_save(r->folder, fold, &arena, &value, fault);
    snapshot_key(t->fold, aggregate, fold->version, key);
    if (rc == 0)
        rc = changes_put(&r->changes, (struct str){key, sizeof key}, value);
    arena_free(&arena);
    return rc == SCRIPT_FAILED ? 0 : rc; /* a state that cannot be frozen is folded each time */
}

static int fold_stream(struct refold *r, const struct domain_type *t, const struct index_aggregate *a,
                       struct fold *fold, struct script_fault *fault, struct err *err) {
    const struct index_entry *entry;
    struct stream_walk walk;
    struct event e;
    int rc, n = 0;
    stream_begin(&walk, &r->options.fold.source, a->no, fold->version + 1, a->version);
    while ((rc = stream_next(&walk, &e, &entry, err)) == 0) {
        rc = fold_event(r->folder, t, fold, &e, fault);
        if (rc == 0 && fold_is_due(fold, r->options.snapshot_every))
            rc = save(r, t, fold, a->no, fault);
        if (rc == 0)
            rc = flush(r, FLUSH_CHANGES, err);
        if (rc != 0)
            break;
        if (++n % 64 == 0)
            folder_reset(r->folder);
    }
    stream_end(&walk);
    folder_reset(r->folder);
    return rc == STREAM_END ? 0 : rc;
}

static int unfolded(struct refold *r, const struct domain_type *t, const struct index_aggregate *a,
                    const struct fold *fold, const struct script_fault *fault, bool final, struct err *err) {
    if (!fold->upcast_failed)
        return err_set(err, EINVAL, "%.*s/%.*s cannot be folded any more: %s:%d: %.300s", (int)t->name.n, t->name.p,
                       (int)a->id_bytes, a->id, fault->file, fault->line, fault->text);
    tell(r, "%.*s/%.*s cannot be folded: %s:%d: %s", (int)t->name.n, t->name.p, (int)a->id_bytes, a->id, fault->file,
         fault->line, fault->text);
    return values_keep(r, t, a->no, final, err);
}

static int aggregate_do(struct refold *r, const struct domain_type *t, const struct index_aggregate *a, bool again,
                        bool final, struct err *err) {
    struct script_fault fault = {0};
    struct fold fold = {0};
    const struct str id = {a->id, a->id_bytes};
    int rc = again ? fold_load(r->folder, t, a->no, id, a->version, &fold, &fault)
                   : fold_begin(r->folder, t, id, &fold, &fault);
    if (rc == 0)
        rc = fold_stream(r, t, a, &fold, &fault, err);
    if (rc == 0)
        rc = take_values(r, t, a->no, &fold, final, &fault, err);
    fold_drop(r->folder, &fold);
    if (rc == SCRIPT_FAILED)
        return unfolded(r, t, a, &fold, &fault, final, err);
    if (rc < 0 && !err->code)
        err_set(err, -rc, "%s", fault.text[0] ? fault.text : "out of memory");
    return rc;
}

static bool is_stopped(const struct refold *r) {
    return r->options.stop && atomic_load(r->options.stop);
}

/* --- all of a type */

static int type_do(struct refold *r, const struct work *w, struct err *err) {
    struct index_aggregate list[BATCH], a;
    uint64_t after = 0;
    for (;;) {
        int n = index_aggregates_after(index_of(r), w->no, after, list, BATCH, err);
        if (n <= 0)
            return n;
        for (int i = 0; i < n; i++) {
            if (is_stopped(r))
                return err_set(err, ECANCELED, "given up");
            after = list[i].no;
            int rc = index_aggregate_by_no(index_of(r), after, &a, err);
            if (rc == INDEX_NONE || (rc == 0 && a.version == 0))
                continue;
            rc = rc == 0 ? aggregate_do(r, w->type, &a, false, false, err) : rc;
            if (rc < 0)
                return rc;
            if (++r->n_done % TELL_EVERY == 0)
                tell(r, "%" PRIu64 " aggregates folded anew", r->n_done);
        }
    }
}

/* Whether what the family holds for a type is complete. */
static int is_done(struct refold *r, const struct domain_type *t, const struct index_type *stored, bool *done,
                   struct err *err) {
    struct db_value value;
    buf_clear(&r->key);
    holder_mark_key(t, &r->key);
    int rc = db_get(r->options.fold.db, DB_FOLDS, buf_str(&r->key), &value, err);
    *done = rc == 0 && value.bytes.n == 8 && (t->n_rules == 0 || be64_get(value.bytes.p) == stored->events);
    if (rc == 0)
        db_value_release(&value);
    return rc < 0 ? rc : 0;
}

static int class_clear(struct refold *r, char class, const uint8_t fold[DOMAIN_FOLD_HASH], struct err *err) {
    char from[1 + DOMAIN_FOLD_HASH], to[2 + DOMAIN_FOLD_HASH];
    from[0] = class;
    memcpy(from + 1, fold, DOMAIN_FOLD_HASH);
    memcpy(to, from, sizeof from);
    /* the next prefix of the same length */
    size_t n = sizeof from;
    while (n > 0 && (uint8_t)to[n - 1] == 0xff)
        n--;
    to[n - 1]++;
    return db_folds_clear(r->options.fold.db, (struct str){from, sizeof from}, (struct str){to, n}, err);
}

static bool is_in_use(const struct domain *d, const uint8_t *fold) {
    for (size_t i = 0; i < d->n_types; i++)
        if (memcmp(d->types[i].fold, fold, DOMAIN_FOLD_HASH) == 0)
            return true;
    return false;
}

static int work_find(struct refold *r, struct err *err) {
    const struct domain *d = r->options.domain;
    for (size_t i = 0; i < d->n_types; i++) {
        const struct domain_type *t = &d->types[i];
        struct index_type stored;
        bool done = false;
        int rc = 0;
        if (r->options.current && is_in_use(r->options.current, t->fold))
            continue;
        if (index_type_by_name(index_of(r), t->name, &stored) != 0)
            stored = (struct index_type){0};
        rc = is_done(r, t, &stored, &done, err);
        if (rc == 0 && !done)
            rc = class_clear(r, HOLDER_CLASS_VALUE, t->fold, err);
        if (rc == 0 && !done)
            rc = class_clear(r, HOLDER_CLASS_OF, t->fold, err);
        if (rc < 0)
            return rc;
        if (!done)
            r->work[r->n_work++] = (struct work){t, stored.no};
    }
    return 0;
}

/* --- catching up */

static const struct work *work_of(const struct refold *r, uint32_t type_no) {
    for (size_t i = 0; i < r->n_work; i++)
        if (r->work[i].no == type_no)
            return &r->work[i];
    return NULL;
}

/* Aggregates with events behind a position. */
static int changed_find(struct refold *r, uint64_t to, struct err *err) {
    struct log_scan *scan = NULL;
    struct chunk c;
    struct event e;
    int rc = r->position < to ? log_scan_open(r->options.fold.source.log, r->position + 1, &scan, err) : DB_NOT_FOUND;
    while (rc == 0 && (rc = log_scan_next(scan, &c, err)) == 0) {
        struct chunk_walk walk;
        if (c.header.n_events == 0)
            continue;
        uint64_t first = c.header.first_position;
        if (first > to)
            break;
        rc = chunk_walk_begin(&walk, &c, r->position + 1 > first ? (uint32_t)(r->position + 1 - first) : 0);
        while (rc == 0 && (rc = chunk_walk_next(&walk, &e)) == 0)
            if (e.position <= to && work_of(r, e.type_no))
                rc = doubts_add(&r->doubts, e.aggregate);
        rc = rc == 1 ? 0 : rc;
    }
    if (scan)
        log_scan_close(scan);
    r->position = to;
    return rc == DB_NOT_FOUND ? 0 : rc;
}

/* All give up what they had before any takes what it has now. */
static int doubts_settle(struct refold *r, bool final, struct err *err) {
    struct doubts now = r->doubts;
    struct index_aggregate a;
    int rc = 0;
    r->doubts = (struct doubts){0};
    for (int taking = 0; taking < 2; taking++)
        for (uint32_t i = 0; rc == 0 && i < now.n; i++) {
            rc = index_aggregate_by_no(index_of(r), now.list[i], &a, err);
            const struct work *w = rc == 0 ? work_of(r, a.type_no) : NULL;
            rc = rc == INDEX_NONE ? 0 : rc;
            if (is_stopped(r))
                rc = err_set(err, ECANCELED, "given up");
            for (size_t k = 0; rc == 0 && w && !taking && k < w->type->n_rules; k++)
                rc = release_value(r, w->type, &w->type->rules[k], a.no, err);
            if (rc == 0 && w && taking)
                rc = aggregate_do(r, w->type, &a, true, final, err);
        }
    doubts_clear(&now);
    return rc;
}

static int catch_up(struct refold *r, bool final, struct err *err) {
    struct index_head head;
    index_head(index_of(r), &head);
    /* types that the store did not have when this began */
    for (size_t i = 0; i < r->n_work; i++) {
        struct index_type stored;
        if (!r->work[i].no && index_type_by_name(index_of(r), r->work[i].type->name, &stored) == 0)
            r->work[i].no = stored.no;
    }
    int rc = changed_find(r, head.position, err);
    return rc == 0 ? doubts_settle(r, final, err) : rc;
}

int refold_run(struct refold *r, struct err *err) {
    struct index_head head;
    uint64_t gap;
    index_head(index_of(r), &head);
    r->position = head.position;
    err->code = 0;
    int rc = work_find(r, err);
    for (size_t i = 0; rc == 0 && i < r->n_work; i++)
        if (r->work[i].no)
            rc = type_do(r, &r->work[i], err);
    /* Each round leaves fewer events, or writers are too fast for that: then they wait for the rest. */
    for (uint64_t done = head.position; rc == 0; done = gap) {
        index_head(index_of(r), &head);
        gap = head.position - r->position;
        if (gap < SMALL_GAP || gap > done / 2)
            break;
        rc = catch_up(r, false, err);
    }
    return rc == 0 ? flush(r, 1, err) : rc;
}

static int mark(struct refold *r, const struct work *w) {
    struct index_type stored = {0};
    char count[8];
    if (index_type_by_name(index_of(r), w->type->name, &stored) != 0)
        stored.events = 0;
    be64_put(count, stored.events);
    buf_clear(&r->key);
    holder_mark_key(w->type, &r->key);
    return r->key.oom ? -ENOMEM : changes_put(&r->changes, buf_str(&r->key), (struct str){count, sizeof count});
}

int refold_finish(struct refold *r, struct err *err) {
    err->code = 0;
    int rc = catch_up(r, true, err);
    for (size_t i = 0; rc == 0 && i < r->n_work; i++)
        rc = mark(r, &r->work[i]);
    if (rc < 0 && !err->code)
        err_set(err, -rc, "out of memory");
    return rc == 0 ? flush(r, 1, err) : rc;
}

/* --- sweeping */

/* Finds the first key from `from` on whose fold is not in use. 0, DB_NOT_FOUND, negative errno. */
static int stale_find(struct refold *r, char class, char from[1 + DOMAIN_FOLD_HASH], struct err *err) {
    struct db_iter *it = db_iter_new(r->options.fold.db, DB_FOLDS, &(struct db_iter_options){0});
    struct db_pair pair;
    if (!it)
        return err_set(err, ENOMEM, "out of memory");
    size_t n = 1 + DOMAIN_FOLD_HASH;
    int rc;
    for (;;) {
        rc = db_iter_seek(it, (struct str){from, n}, &pair, err);
        if (rc != 0)
            break;
        if (pair.key.n < n || pair.key.p[0] != class) {
            rc = DB_NOT_FOUND;
            break;
        }
        memcpy(from, pair.key.p, n);
        if (!is_in_use(r->options.domain, (const uint8_t *)from + 1))
            break;
        size_t k = n;
        while (k > 1 && (uint8_t)from[k - 1] == 0xff)
            from[--k] = 0;
        if (k == 1) {
            rc = DB_NOT_FOUND;
            break;
        }
        from[k - 1]++;
    }
    db_iter_free(it);
    return rc;
}

int refold_sweep(struct refold *r, struct err *err) {
    static const char classes[] = {HOLDER_CLASS_MARK, HOLDER_CLASS_SNAPSHOT, HOLDER_CLASS_VALUE};
    int rc = 0;
    for (size_t i = 0; i < sizeof classes && rc >= 0; i++) {
        char from[1 + DOMAIN_FOLD_HASH] = {classes[i]};
        while ((rc = stale_find(r, classes[i], from, err)) == 0)
            if ((rc = class_clear(r, classes[i], (const uint8_t *)from + 1, err)) < 0)
                return rc;
    }
    for (size_t i = 0; i < r->n_work && rc >= 0; i++)
        rc = class_clear(r, HOLDER_CLASS_OF, r->work[i].type->fold, err);
    return rc < 0 ? rc : 0;
}
