#include "projection.h"

#include "array.h"
#include "digest.h"
#include "maker.h"
#include "store_parts.h"
#include "views.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_SHOWN 100 /* bytes of one in a message */
#define BATCH_KEYS 50000
#define BATCH_BYTES (64u << 20)   /* of files and states; a batch of one event may have more */
#define EVENT_BYTES (1024u << 20) /* of Lua's memory, or of files and states, that one event may take */

struct live_key {
    struct str key, name; /* itself and its file name; both behind the struct, the name with a NUL */
    uint64_t no, stamp, time, aggregate;
    script_value state; /* 0: there is none */
    bool stored;        /* in the build */
    bool failed;        /* its output, when it was written last */
    bool dirty;
};

void projection_init(struct projection *p) {
    *p = (struct projection){.most = BATCH_KEYS};
}

/* --- keys in use */

static void live_free(struct maker *m, struct live_key *k) {
    script_drop(domain_vm_script(m->vm), k->state);
    free(k);
}

void projection_clear(struct maker *m) {
    struct projection *p = &m->projection;
    for (uint32_t i = 0; i < p->n; i++)
        live_free(m, p->list[i]);
    p->n = 0;
    p->n_dirty = 0;
    table_clear(&p->table);
}

void projection_deinit(struct maker *m) {
    struct projection *p = &m->projection;
    projection_clear(m);
    table_free(&p->table);
    free(p->list);
    free(p->dirty);
    *p = (struct projection){0};
}

static struct live_key *live_new(struct maker *m, struct str key) {
    struct buf *name = &m->scratch;
    buf_clear(name);
    view_name_put(key, name);
    struct live_key *k = name->oom ? NULL : malloc(sizeof *k + key.n + name->n + 1);
    if (!k)
        return NULL;
    char *at = (char *)(k + 1);
    if (key.n)
        memcpy(at, key.p, key.n);
    memcpy(at + key.n, name->p, name->n);
    at[key.n + name->n] = 0;
    *k = (struct live_key){.key = {at, key.n}, .name = {at + key.n, name->n}};
    return k;
}

static struct view_key_bytes record_key(const struct maker *m, const struct live_key *k) {
    struct view_key_bytes key = view_key_begin(m->build, VIEW_CLASS_KEY);
    view_key_add_name(&key, k->name);
    return key;
}

/* What the build has of a key. */
static int live_load(struct maker *m, struct live_key *k, struct err *err) {
    struct script *s = domain_vm_script(m->vm);
    struct view_key_bytes key = record_key(m, k);
    struct key_record record;
    struct db_value value;
    script_drop(s, k->state);
    k->state = 0;
    int r = db_get(m->db, DB_VIEWS, view_key_str(&key), &value, err);
    if (r == DB_NOT_FOUND)
        return 0;
    if (r < 0)
        return r;
    r = key_record_get(value.bytes, &record);
    if (r == 0)
        r = script_thaw(s, record.state, &k->state);
    if (r == 0) {
        k->no = record.no;
        k->stamp = record.stamp;
        k->time = record.time;
        k->aggregate = record.aggregate;
        k->stored = true;
        k->failed = record.failed;
    }
    db_value_release(&value);
    return r == 0 ? 0 : err_set(err, r < 0 ? -r : EIO, "what view %s keeps of a key is damaged", m->view->name.p);
}

static int live_get(struct maker *m, struct str key, struct live_key **out, struct err *err) {
    struct projection *p = &m->projection;
    struct table_probe probe;
    uint64_t hash = digest_table(key.p, key.n);
    uint32_t i = table_first(&p->table, hash, &probe);
    while (i != TABLE_NONE && !str_eq(p->list[i]->key, key))
        i = table_next(&p->table, &probe);
    if (i != TABLE_NONE) {
        *out = p->list[i];
        return 0;
    }
    size_t cap = p->cap;
    struct live_key *k = live_new(m, key);
    int r = k && ARRAY_ROOM(p->list, p->n, cap) ? live_load(m, k, err) : -ENOMEM;
    p->cap = (uint32_t)cap;
    if (r == 0)
        r = table_put(&p->table, hash, p->n);
    if (r < 0) {
        if (k)
            live_free(m, k);
        return r == -ENOMEM ? err_set(err, ENOMEM, "out of memory") : r;
    }
    p->list[p->n++] = *out = k;
    return 0;
}

static int touch(struct maker *m, struct live_key *k) {
    struct projection *p = &m->projection;
    if (k->dirty)
        return 0;
    if (!ARRAY_ROOM(p->dirty, p->n_dirty, p->dirty_cap))
        return -ENOMEM;
    p->dirty[p->n_dirty++] = k;
    k->dirty = true;
    return 0;
}

/* --- an event */

/* The aggregate that alone makes the key, when the key is its id or its name. */
static uint64_t owner(const struct live_key *k, const struct maker_event *e) {
    const struct event *stored = e->seen.stored;
    bool named = str_eq(k->key, stored->aggregate_id) || str_eq(k->key, e->seen.told.aggregate);
    bool before = k->state == 0 || k->aggregate == stored->aggregate;
    return named && before ? stored->aggregate : 0;
}

/* What a handler leaves is looked at closely while something is being done again: it costs much. */
static int state_check(struct maker *m, const struct live_key *k, const struct maker_event *e,
                       struct script_fault *fault) {
    struct buf unread = {0};
    if (!e->only.p && e->seen.stored->position > m->careful)
        return 0;
    int r = viewer_freeze(&m->viewer, k->state, &unread, fault);
    buf_free(&unread);
    return r;
}

/* 0, SCRIPT_FAILED, -ENOMEM. */
static int project(struct maker *m, struct live_key *k, const struct maker_event *e, struct script_fault *fault) {
    uint64_t aggregate = owner(k, e);
    int r = viewer_project(&m->viewer, &e->seen, k->key, &k->state, fault);
    if (r == 0 && k->state)
        r = state_check(m, k, e, fault);
    if (r != 0)
        return r;
    k->stamp = e->seen.stored->position;
    k->time = e->seen.stored->time;
    k->aggregate = aggregate;
    return touch(m, k);
}

/* Nothing of the key is uncommitted but what came of this very event: the build has it as it was before. */
static int park(struct maker *m, struct live_key *k, const struct maker_event *e, const struct script_fault *fault,
                struct err *err) {
    int r = live_load(m, k, err);
    if (r < 0)
        return r;
    m->touched = true;
    r = parking_add(&m->parking, m->build, e->seen.stored->position, k->key, fault, &m->changes);
    if (r == -EDQUOT)
        return err_set(err, EDQUOT, "%d events are parked: %s fails too often (the last time %s:%d: %s)", PARKED_MAX,
                       m->view->file.p, fault->file, fault->line, fault->text);
    return r < 0 ? err_set(err, -r, "out of memory") : 0;
}

/* It waits behind the first one of its key. */
static int key_wait(struct maker *m, struct str key, uint64_t first, const struct maker_event *e, struct err *err) {
    m->touched = true;
    int r = parking_add(&m->parking, m->build, e->seen.stored->position, key, NULL, &m->changes);
    if (r == -EDQUOT)
        return err_set(err, EDQUOT, "%d events are parked: the first one of key %.*s has position %016llx", PARKED_MAX,
                       (int)(key.n < KEY_SHOWN ? key.n : KEY_SHOWN), key.p, (unsigned long long)first);
    return r;
}

static int key_event(struct maker *m, struct str key, const struct maker_event *e, struct script_fault *failed,
                     struct err *err) {
    struct script_fault fault;
    struct live_key *k = NULL;
    uint64_t first;
    if (!e->only.p && parking_holds(&m->parking, key, &first))
        return key_wait(m, key, first, e, err);
    int r = live_get(m, key, &k, err);
    if (r < 0)
        return r;
    r = project(m, k, e, &fault);
    if (r == 0 || r == -ENOMEM)
        return r;
    if (!e->alone)
        return FOLLOW_AGAIN;
    if (!e->only.p) {
        maker_tell(m, e->seen.stored, "an event of a view was parked", &fault);
        return park(m, k, e, &fault, err);
    }
    *failed = fault;
    r = live_load(m, k, err);
    return r < 0 ? r : SCRIPT_FAILED;
}

/* What a key of the event has left in memory waits for the batch; of an event by itself that is all there is. */
static int memory_check(struct maker *m, struct err *err) {
    struct script *s = domain_vm_script(m->vm);
    if (script_memory(s) <= EVENT_BYTES)
        return 0;
    script_collect(s, true);
    if (script_memory(s) <= EVENT_BYTES)
        return 0;
    err_set(err, EFBIG, "%s: the states of its keys take more than %u MiB", m->view->file.p, EVENT_BYTES >> 20);
    return FOLLOW_HALT;
}

int projection_event(struct maker *m, const struct maker_event *e, struct script_fault *failed, struct err *err) {
    struct script_fault fault;
    struct str *keys;
    size_t n;
    int r = viewer_keys(&m->viewer, &e->seen, &keys, &n, &fault);
    if (r > 0)
        return e->alone ? maker_fault(m, e->seen.stored, "key", &fault, err) : FOLLOW_AGAIN;
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (e->only.p && !str_eq(e->only, keys[i]))
            continue;
        r = key_event(m, keys[i], e, failed, err);
        if (r == 0)
            r = memory_check(m, err);
    }
    return r;
}

/* --- a batch */

bool projection_full(const struct maker *m) {
    return m->projection.n_dirty >= m->projection.most;
}

/* The file of a key. What its output does wrong is the file's alone: it depends on nothing but the state. */
static int text_put(struct maker *m, struct live_key *k, struct buf *text) {
    struct script_fault fault = {0};
    int r = viewer_text(&m->viewer, k->key, k->state, text, &fault);
    if (r == -ENOMEM)
        return r;
    if (r != 0 && !k->failed)
        maker_tell(m, NULL, "the output of a view failed", &fault);
    m->next.failed += (r != 0) - (uint64_t)(k->stored && k->failed);
    k->failed = r != 0;
    return 0;
}

static bool name_was_cut(const struct live_key *k) {
    return memmem(k->name.p, k->name.n, "%~", 2) != NULL;
}

/* The number of a key and its name go together. */
static int number_put(struct maker *m, struct live_key *k, bool there) {
    struct view_key_bytes number = view_key_begin(m->build, VIEW_CLASS_NUMBER);
    if (there)
        k->no = m->next.next_key++;
    view_key_add(&number, k->no);
    m->next.keys += there ? 1 : (uint64_t)-1;
    m->next.long_names += name_was_cut(k) ? there ? 1 : (uint64_t)-1 : 0;
    m->next.keys_stamp++;
    return there ? changes_put(&m->changes, view_key_str(&number), k->name)
                 : changes_remove(&m->changes, view_key_str(&number));
}

static int key_remove(struct maker *m, struct live_key *k) {
    struct view_key_bytes key = record_key(m, k);
    if (!k->stored)
        return 0;
    m->next.failed -= k->failed;
    k->stored = k->failed = false;
    int r = number_put(m, k, false);
    return r < 0 ? r : changes_remove(&m->changes, view_key_str(&key));
}

/* Which event has made it so is found when they are taken in again. */
static int state_failed(struct maker *m, const struct live_key *k, uint64_t position, int r,
                        const struct script_fault *fault, struct err *err) {
    if (r == -ENOMEM)
        return err_set(err, ENOMEM, "out of memory");
    if (m->careful < position) {
        m->careful = position;
        return FOLLOW_AGAIN;
    }
    return err_set(err, EIO, "%s: the state of key %.100s cannot be kept: %s", m->view->file.p, k->name.p, fault->text);
}

static int key_flush(struct maker *m, struct live_key *k, uint64_t position, struct buf *text, struct buf *state,
                     struct err *err) {
    struct view_key_bytes key = record_key(m, k);
    struct script_fault fault;
    k->dirty = false;
    m->next.time = k->time > m->next.time ? k->time : m->next.time;
    if (!k->state)
        return key_remove(m, k);
    buf_clear(text);
    buf_clear(state);
    int r = viewer_freeze(&m->viewer, k->state, state, &fault);
    if (r != 0)
        return state_failed(m, k, position, r, &fault, err);
    r = text_put(m, k, text);
    if (r == 0 && !k->stored)
        r = number_put(m, k, true);
    if (r < 0)
        return err_set(err, ENOMEM, "out of memory");
    k->stored = true;
    const struct key_record record = {k->no,     k->stamp, k->time,       k->aggregate,
                                      k->failed, k->key,   buf_str(text), buf_str(state)};
    buf_clear(&m->scratch);
    key_record_put(&record, &m->scratch);
    return m->scratch.oom ? -ENOMEM : changes_put(&m->changes, view_key_str(&key), buf_str(&m->scratch));
}

/* How large files are is known when they are made: a batch that grows too large is made again of fewer events. */
static int size_check(struct maker *m, size_t fitted, struct err *err) {
    struct projection *p = &m->projection;
    size_t bytes = m->changes.arena.total;
    if (bytes <= BATCH_BYTES || (p->most == 1 && bytes <= EVENT_BYTES))
        return 0;
    if (p->most == 1)
        return err_set(err, EFBIG, "%s: the files and states that one event has changed take more than %u MiB",
                       m->view->file.p, EVENT_BYTES >> 20);
    p->most = fitted < p->most ? fitted : p->most / 2;
    p->most = p->most > 1 ? p->most : 1;
    return FOLLOW_AGAIN;
}

int projection_flush(struct maker *m, uint64_t position, struct err *err) {
    struct projection *p = &m->projection;
    struct buf text = {0}, state = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < p->n_dirty; i++) {
        r = key_flush(m, p->dirty[i], position, &text, &state, err);
        if (r == 0 && i + 1 < p->n_dirty)
            r = size_check(m, i + 1, err);
    }
    if (r == 0 && m->changes.arena.total < BATCH_BYTES / 4)
        p->most = p->most < BATCH_KEYS / 2 ? 2 * p->most : BATCH_KEYS;
    p->n_dirty = 0;
    buf_free(&text);
    buf_free(&state);
    return r;
}
