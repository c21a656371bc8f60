#include "consumer_reader.h"

#include "array.h"
#include "consumer_group.h"
#include "consumer_walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define AGAIN_BATCH 64 /* events to be given again that are taken at a time */

/* The kernel cuts a long read(2) in several requests and goes on as long as each is answered in full: one that is not
 * is where it ends, so that nobody waits who has something already. */
#define CUT_BYTES (64 << 10)

/* --- opening and closing */

struct question {
    struct store *store;
    const struct identity *who;
};

static bool may_read_type(void *arg, struct str type) {
    const struct question *q = arg;
    return type.n ? store_may_read_type(q->store, type, q->who) : store_may_read(q->store, 0, q->who);
}

static bool may_read(const struct consumer *c, const struct identity *who) {
    struct question q = {c->all->store, who};
    return consumer_config_each_type(c->config, may_read_type, &q);
}

static struct reader *reader_new(struct consumer *c, enum reader_kind kind, const struct caller *caller) {
    struct reader *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    if (pthread_mutex_init(&r->lock, NULL) != 0) {
        free(r);
        return NULL;
    }
    r->consumer = c;
    r->kind = kind;
    r->uid = caller->who.uid;
    r->pid = caller->pid;
    atomic_init(&r->references, 1);
    atomic_init(&r->looked_to, 0);
    atomic_init(&r->looked_news, 0);
    atomic_init(&r->looked_further, false);
    TAILQ_INIT(&r->waits.list);
    return r;
}

void reader_unref(struct reader *r) {
    if (atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) != 1)
        return;
    selection_deinit(&r->selection);
    lines_rest_free(&r->rest);
    free(r->parked);
    pthread_mutex_destroy(&r->lock);
    consumer_unref(r->consumer);
    free(r);
}

/* Behind the cursor, and behind what is known not to concern the consumer. With the consumer's lock. */
static void begin(struct reader *r) {
    const struct consumer *c = r->consumer;
    r->epoch = c->epoch;
    r->place = c->clear > c->cursor ? c->clear : c->cursor;
    r->turn = 0;
    r->last = r->place;
}

/* With the consumer's lock. */
static int enter(struct reader *r, const struct identity *who) {
    struct consumer *c = r->consumer;
    if (c->gone)
        return -ESTALE;
    if (!may_read(c, who))
        return -EACCES;
    if (r->kind == READER_FOLLOW && c->config->group) {
        int code = group_join(c, r, &r->member);
        if (code < 0)
            return code;
    }
    selection_init(&r->selection, c->config);
    r->end = r->kind == READER_FOLLOW ? UINT64_MAX : feed_position(&c->all->store->feed);
    begin(r);
    c->followers += r->kind == READER_FOLLOW;
    LIST_INSERT_HEAD(&c->readers, r, link);
    return 0;
}

int reader_open(struct reader **out, struct consumers *cs, uint32_t no, enum reader_kind kind,
                const struct caller *caller) {
    struct consumer *c = consumer_of(cs, no);
    struct reader *r = c ? reader_new(c, kind, caller) : NULL;
    if (!r) {
        consumer_unref(c);
        return c ? -ENOMEM : CONSUMER_NONE;
    }
    pthread_mutex_lock(&c->lock);
    int code = enter(r, &caller->who);
    pthread_mutex_unlock(&c->lock);
    if (code < 0)
        reader_unref(r);
    else
        *out = r;
    return code;
}

void reader_close(struct reader *r) {
    if (!r)
        return;
    struct consumer *c = r->consumer;
    /* The thread of the wakes may be looking at it. */
    pthread_mutex_lock(&r->lock);
    pthread_mutex_lock(&c->lock);
    LIST_REMOVE(r, link);
    c->followers -= r->kind == READER_FOLLOW;
    if (r->member)
        group_leave(r->member);
    r->member = NULL;
    r->ended = true;
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_unlock(&r->lock);
    reader_unref(r);
}

/* --- what has been given */

/* Up to a position of the log, and one that was to be given again. With the consumer's lock. */
static void note_given(struct reader *r, uint64_t position, bool again) {
    struct consumer *c = r->consumer;
    if (r->member || r->epoch != c->epoch)
        return;
    struct aside *p = again ? asides_find(&c->asides, position) : NULL;
    if (p && p->state == ASIDE_AGAIN)
        p->given = true;
    if (!again && position > c->given)
        c->given = position;
}

/* The rest of a line. True when there is none (any more), and room for others. */
static bool put_rest(struct reader *r, struct lines *l) {
    if (r->rest.text.n == 0)
        return true;
    uint64_t position = r->rest.position;
    bool again = r->rest.again;
    bool all = lines_put_rest(l);
    if (all && position) {
        pthread_mutex_lock(&r->consumer->lock);
        note_given(r, position, again);
        pthread_mutex_unlock(&r->consumer->lock);
    }
    return all && l->done < l->room;
}

/* --- not in a group */

/* What is taken from the consumer before the log is read. */
struct pass {
    uint64_t end; /* the last position that may be given */
    struct {
        uint64_t position, turn;
    } again[AGAIN_BATCH];
    size_t n_again, n_put;  /* and how many of them were given */
    uint64_t given;         /* the last position of the log that was given; 0: none */
    uint64_t before, found; /* the last one before this pass, and the first one that was found; 0: none */
    struct err err;
};

/* With the consumer's lock. */
static int pass_begin(struct reader *r, struct pass *p) {
    const struct consumer *c = r->consumer;
    struct aside *agains[AGAIN_BATCH];
    p->n_again = asides_again(&c->asides, r->turn, agains, AGAIN_BATCH);
    for (size_t i = 0; i < p->n_again; i++) {
        p->again[i].position = agains[i]->position;
        p->again[i].turn = agains[i]->turn;
    }
    r->n_parked = 0;
    for (size_t i = asides_after(&c->asides, r->place); i < c->asides.n; i++) {
        if (!ARRAY_ROOM(r->parked, r->n_parked, r->room_parked))
            return err_set(&p->err, ENOMEM, "out of memory for what is parked");
        r->parked[r->n_parked++] = c->asides.list[i]->position;
    }
    return 0;
}

static int fill_again(struct reader *r, struct lines *l, struct pass *p) {
    int code = 0;
    while (code == 0 && p->n_put < p->n_again) {
        struct log_chunk *chunk;
        struct event e;
        code = stream_event(&r->consumer->all->source, p->again[p->n_put].position, &chunk, &e, &p->err);
        if (code != 0)
            return code < 0 ? code : err_set(&p->err, EIO, "an event to be given again is not there");
        code = lines_put(l, &e, true);
        log_chunk_release(chunk);
        if (code == 0)
            r->turn = p->again[p->n_put++].turn;
    }
    return code;
}

static bool is_parked(const struct reader *r, uint64_t position) {
    size_t low = 0, high = r->n_parked;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (r->parked[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->n_parked && r->parked[low] == position;
}

static int put_event(struct reader *r, struct lines *l, struct event *e, struct pass *p) {
    const struct stream_source *source = &r->consumer->all->source;
    if (!selection_has(&r->selection, source->index, e) || (r->n_parked && is_parked(r, e->position)))
        return 0;
    stream_complete(source, e);
    int code = lines_put(l, e, false);
    if (code == 0 && p->found == 0)
        p->found = e->position;
    if (code == 0)
        r->last = e->position;
    if (code == 0 && r->rest.text.n == 0)
        p->given = e->position;
    return code;
}

static int fill_log(struct reader *r, struct lines *l, struct pass *p) {
    struct walk w;
    struct event e;
    int code = 0;
    walk_begin(&w, &r->consumer->all->source, r->place + 1, p->end, reader_far(l, &r->selection));
    while (code == 0 && w.chunks <= READER_SLICE_CHUNKS && (code = walk_next(&w, &e)) == 0) {
        code = put_event(r, l, &e, p);
        if (code == 0)
            r->place = e.position;
    }
    if (code < 0)
        p->err = w.err;
    walk_end(&w);
    return code;
}

/* With the consumer's lock. */
static void pass_end(struct reader *r, const struct pass *p) {
    struct consumer *c = r->consumer;
    if (r->epoch != c->epoch)
        return;
    for (size_t i = 0; i < p->n_put; i++)
        if (r->rest.text.n == 0 || r->rest.position != p->again[i].position)
            note_given(r, p->again[i].position, true);
    if (p->given)
        note_given(r, p->given, false);
    if (r->selection.config != c->config)
        return;
    consumer_gap(c, p->before, p->found ? p->found - 1 : r->place);
    consumer_gap(c, r->last, r->place);
}

static int fill_alone(struct reader *r, struct lines *l, uint64_t head, struct err *err) {
    struct consumer *c = r->consumer;
    struct pass p = {.end = head < r->end ? head : r->end, .before = r->last};
    pthread_mutex_lock(&c->lock);
    int code = pass_begin(r, &p);
    pthread_mutex_unlock(&c->lock);
    if (code == 0)
        code = fill_again(r, l, &p);
    if (code == 0 && p.n_again < AGAIN_BATCH && r->place < p.end)
        code = fill_log(r, l, &p);
    pthread_mutex_lock(&c->lock);
    pass_end(r, &p);
    pthread_mutex_unlock(&c->lock);
    *err = p.err;
    return code < 0 ? code : 0;
}

/* --- filling */

enum { FILL_END = 1 };

/* Notes what is looked at, so that who waits then is told of what came since. With the consumer's lock. */
static int fill_begin(struct reader *r, uint64_t *head) {
    struct consumer *c = r->consumer;
    atomic_store(&r->looked_news, atomic_load(&c->news));
    *head = feed_position(&c->all->store->feed);
    atomic_store(&r->looked_to, *head);
    if (atomic_load(&c->all->store->stopping))
        return -ESHUTDOWN;
    if (r->epoch != c->epoch) {
        begin(r);
        if (r->rest.given == 0)
            lines_rest_clear(&r->rest);
        else
            r->rest.position = 0; /* it is still to be finished, but was not given since */
    }
    return c->gone ? FILL_END : 0;
}

static void report(struct reader *r, const struct err *err) {
    char what[NAME_MAX_BYTES + 64];
    const struct consumer *c = r->consumer;
    snprintf(what, sizeof what, "reading the log for consumer %.*s", (int)c->name.n, c->name.p);
    store_report(c->all->store, what, err);
}

static int fill_lines(struct reader *r, struct lines *l, uint64_t head, bool *further) {
    struct consumer *c = r->consumer;
    struct err err = {0};
    int code;
    if (r->member) {
        pthread_mutex_lock(&c->lock);
        code = group_fill(r->member, l, head, further, &err);
        pthread_mutex_unlock(&c->lock);
    } else {
        code = fill_alone(r, l, head, &err);
        *further = r->place < (head < r->end ? head : r->end);
    }
    if (code < 0)
        report(r, &err);
    return code;
}

/* Puts what there is. 0; FILL_END: and nothing will come any more; or a negative errno. *further: nothing was put, and
 * there is more to look at. With the reader's lock. */
static int fill(struct reader *r, struct lines *l, bool *further) {
    struct consumer *c = r->consumer;
    uint64_t head;
    *further = false;
    pthread_mutex_lock(&c->lock);
    int code = r->ended ? FILL_END : fill_begin(r, &head);
    pthread_mutex_unlock(&c->lock);
    if (code < 0 || !put_rest(r, l) || code == FILL_END)
        return code;
    code = fill_lines(r, l, head, further);
    atomic_store(&r->looked_further, *further);
    bool nothing = l->done == 0 && r->rest.text.n == 0;
    if (code == 0 && nothing && !*further && !r->member && r->place >= r->end)
        return FILL_END;
    if (l->done == 0)
        put_rest(r, l);
    return code;
}

ssize_t reader_read(struct reader *r, char *out, size_t n) {
    struct lines l;
    bool further;
    lines_begin(&l, &r->rest, out, n >= CUT_BYTES ? n - 1 : n);
    pthread_mutex_lock(&r->lock);
    int code = fill(r, &l, &further);
    pthread_mutex_unlock(&r->lock);
    if (l.done > 0)
        return (ssize_t)l.done;
    return code < 0 ? code : code == FILL_END ? 0 : -EAGAIN;
}

enum reader_look reader_look(struct reader *r) {
    struct lines l;
    bool further = false;
    lines_begin(&l, &r->rest, NULL, 0);
    pthread_mutex_lock(&r->lock);
    bool ready = fill(r, &l, &further) != 0 || r->rest.text.n > 0;
    pthread_mutex_unlock(&r->lock);
    return ready ? LOOK_READY : further ? LOOK_FURTHER : LOOK_NOTHING;
}

bool reader_ready(struct reader *r) {
    return reader_look(r) == LOOK_READY;
}
