#include "consumers_private.h"

#include "array.h"
#include "consumer_reader.h"
#include "event.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

/* --- one */

struct consumer *consumer_new(struct consumers *cs, uint32_t no, struct str name) {
    struct consumer *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    if (pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c);
        return NULL;
    }
    c->all = cs;
    c->no = no;
    memcpy(c->name_bytes, name.p, name.n);
    c->name = (struct str){c->name_bytes, name.n};
    c->epoch = 1;
    atomic_init(&c->references, 1);
    atomic_init(&c->news, 0);
    asides_init(&c->asides);
    LIST_INIT(&c->readers);
    return c;
}

void consumer_unref(struct consumer *c) {
    if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    asides_free(&c->asides);
    done_free(&c->done);
    consumer_config_unref(c->config);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct consumer *consumer_ref(struct consumer *c) {
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void consumer_news(struct consumer *c) {
    struct reader *r;
    atomic_fetch_add(&c->news, 1);
    LIST_FOREACH(r, &c->readers, link)
    wakes_news(&c->all->wakes, r);
}

void consumers_tell(struct consumers *cs, struct str name, const char *file, const char *words) {
    char what[NAME_MAX_BYTES + 64];
    snprintf(what, sizeof what, "consumers/%.*s/%s", (int)name.n, name.p, file);
    store_note(cs->store, what, words);
}

int consumer_refuse(const struct consumer *c, const char *file, const struct err *err) {
    consumers_tell(c->all, c->name, file, err->text);
    return -err->code;
}

void consumer_put_cursor(struct consumer *c) {
    char key[RECORD_KEY_BYTES], value[RECORD_SMALL_BYTES];
    const struct record_cursor r = {c->cursor, c->acked};
    commits_put(&c->all->commits, record_cursor_key(c->no, key), record_cursor_put(&r, value));
}

void consumer_pass(struct consumer *c) {
    if (c->gap_from <= c->clear && c->gap_to > c->clear)
        c->clear = c->gap_to;
    for (size_t i = asides_after(&c->asides, c->clear); i < c->asides.n; i++) {
        if (c->asides.list[i]->position != c->clear + 1)
            return;
        c->clear++;
        if (c->gap_from <= c->clear && c->gap_to > c->clear)
            c->clear = c->gap_to;
    }
}

/* The farthest one is kept: the cursor comes there, and is then as far as it can be. */
void consumer_gap(struct consumer *c, uint64_t from, uint64_t to) {
    if (to <= from || to < c->gap_to)
        return;
    c->gap_from = from;
    c->gap_to = to;
    consumer_pass(c);
}

void consumer_forget_gaps(struct consumer *c) {
    c->clear = c->cursor;
    c->gap_from = c->gap_to = 0;
}

void consumer_move(struct consumer *c, uint64_t position) {
    c->cursor = position;
    c->acked = store_now();
    if (c->clear < position)
        c->clear = position;
    consumer_pass(c);
    if (c->given < position)
        c->given = position;
    consumer_put_cursor(c);
    consumer_done_forget(c, position);
}

/* --- the list */

void consumers_put_next(struct consumers *cs) {
    char key[RECORD_KEY_BYTES], value[RECORD_SMALL_BYTES];
    const struct record_next r = {atomic_load(&cs->next_consumer), atomic_load(&cs->next_parked)};
    commits_put(&cs->commits, record_next_key(key), record_next_put(&r, value));
}

/* Of the first one whose number is above another. With the lock held. */
static size_t place_after(const struct consumers *cs, uint32_t no) {
    size_t low = 0, high = cs->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (cs->list[middle]->no <= no)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct consumer *consumer_of(struct consumers *cs, uint32_t no) {
    pthread_mutex_lock(&cs->lock);
    size_t i = place_after(cs, no);
    struct consumer *c = i > 0 && cs->list[i - 1]->no == no ? consumer_ref(cs->list[i - 1]) : NULL;
    pthread_mutex_unlock(&cs->lock);
    return c;
}

static struct consumer *consumer_named(struct consumers *cs, struct str name) {
    struct consumer *c = NULL;
    pthread_mutex_lock(&cs->lock);
    for (size_t i = 0; i < cs->n && !c; i++)
        if (str_eq(cs->list[i]->name, name))
            c = consumer_ref(cs->list[i]);
    pthread_mutex_unlock(&cs->lock);
    return c;
}

int consumers_add(struct consumers *cs, struct consumer *c) {
    pthread_mutex_lock(&cs->lock);
    int r = ARRAY_ROOM(cs->list, cs->n, cs->room) ? 0 : -ENOMEM;
    if (r == 0) {
        size_t i = place_after(cs, c->no);
        memmove(cs->list + i + 1, cs->list + i, (cs->n - i) * sizeof *cs->list);
        cs->list[i] = c;
        cs->n++;
    }
    pthread_mutex_unlock(&cs->lock);
    return r;
}

static void consumers_drop(struct consumers *cs, struct consumer *c) {
    pthread_mutex_lock(&cs->lock);
    size_t i = place_after(cs, c->no) - 1;
    memmove(cs->list + i, cs->list + i + 1, (cs->n - i - 1) * sizeof *cs->list);
    cs->n--;
    pthread_mutex_unlock(&cs->lock);
    consumer_unref(c);
}

static void info_fill(struct consumer *c, struct consumer_info *out) {
    *out = (struct consumer_info){.no = c->no, .bytes = (uint8_t)c->name.n};
    memcpy(out->name, c->name.p, c->name.n);
    pthread_mutex_lock(&c->lock);
    out->group = c->config->group;
    out->time = c->time;
    out->acked = c->acked;
    out->cursor = c->cursor;
    out->lag = consumer_lag(c);
    pthread_mutex_unlock(&c->lock);
}

static int info_give(struct consumer *c, struct consumer_info *out) {
    if (!c)
        return CONSUMER_NONE;
    info_fill(c, out);
    consumer_unref(c);
    return 0;
}

int consumers_find(struct consumers *cs, struct str name, struct consumer_info *out) {
    return info_give(consumer_named(cs, name), out);
}

int consumers_get(struct consumers *cs, uint32_t no, struct consumer_info *out) {
    return info_give(consumer_of(cs, no), out);
}

int consumers_after(struct consumers *cs, uint32_t no, struct consumer_info *out) {
    pthread_mutex_lock(&cs->lock);
    size_t i = place_after(cs, no);
    struct consumer *c = i < cs->n ? consumer_ref(cs->list[i]) : NULL;
    pthread_mutex_unlock(&cs->lock);
    return info_give(c, out);
}

/* --- making and removing */

void consumer_put_definition(struct consumer *c) {
    char key[RECORD_KEY_BYTES];
    struct buf value = {0};
    const struct record_consumer r = {c->time, c->name, c->config->text};
    record_consumer_put(&r, &value);
    c->all->commits.broken |= value.oom;
    commits_put(&c->all->commits, record_consumer_key(c->no, key), buf_str(&value));
    buf_free(&value);
}

static int config_default(struct consumers *cs, struct consumer_config **out) {
    static const char text[2 + JSON_PADDING] = "{}";
    struct json_parser *parser = store_parser_take(cs->store);
    if (!parser)
        return -ENOMEM;
    int r = consumer_config_read(out, parser, (struct str){text, 2}, NULL, NULL);
    store_parser_give(cs->store, parser);
    return r;
}

/* Durable, and then in the list. */
static int consumer_make(struct consumers *cs, struct str name) {
    struct consumer *c = consumer_new(cs, (uint32_t)atomic_fetch_add(&cs->next_consumer, 1), name);
    int r = c ? config_default(cs, &c->config) : -ENOMEM;
    if (r == 0) {
        c->time = store_now();
        commits_begin(&cs->commits);
        consumers_put_next(cs);
        consumer_put_definition(c);
        consumer_put_cursor(c);
        r = commits_reach(&cs->commits, commits_end(&cs->commits));
    }
    if (r == 0)
        r = consumers_add(cs, c);
    if (r < 0)
        consumer_unref(c);
    return r;
}

static int make_check(struct consumers *cs, struct str name) {
    struct consumer *same = consumer_named(cs, name);
    bool taken = same != NULL;
    consumer_unref(same);
    if (taken)
        return -EEXIST;
    pthread_mutex_lock(&cs->lock);
    bool full = cs->n >= CONSUMERS_MAX || atomic_load(&cs->next_consumer) >= UINT32_MAX;
    bool room = ARRAY_ROOM(cs->list, cs->n, cs->room); /* so that consumers_add() has it once this is on disk */
    pthread_mutex_unlock(&cs->lock);
    if (full || !room)
        return full ? -EDQUOT : -ENOMEM;
    return commits_allowed(&cs->commits);
}

int consumers_make(struct consumers *cs, struct str name) {
    if (name_fault(name))
        return -EINVAL;
    pthread_mutex_lock(&cs->making);
    int r = make_check(cs, name);
    if (r == 0)
        r = consumer_make(cs, name);
    pthread_mutex_unlock(&cs->making);
    return r;
}

static uint64_t put_removal(struct consumer *c) {
    struct commits *commits = &c->all->commits;
    char key[RECORD_KEY_BYTES];
    commits_begin(commits);
    commits_remove(commits, record_consumer_key(c->no, key));
    commits_remove(commits, record_cursor_key(c->no, key));
    while (c->asides.n)
        consumer_aside_drop(c, c->asides.list[c->asides.n - 1]);
    consumer_done_forget(c, UINT64_MAX);
    return commits_end(commits);
}

/* With the lock held. */
static int remove_check(const struct consumer *c) {
    struct err err = {0};
    if (c->asides.n_of[ASIDE_PARKED] + c->asides.n_of[ASIDE_AGAIN] == 0)
        return 0;
    err_set(&err, ENOTEMPTY, "events are parked or in retry/: moved to skipped/, they are done with");
    return consumer_refuse(c, "parked", &err);
}

static int consumer_remove(struct consumer *c) {
    pthread_mutex_lock(&c->lock);
    int r = remove_check(c);
    if (r < 0) {
        pthread_mutex_unlock(&c->lock);
        return r;
    }
    c->gone = true;
    uint64_t ticket = put_removal(c);
    consumer_news(c);
    pthread_mutex_unlock(&c->lock);
    consumers_drop(c->all, c);
    return commits_reach(&c->all->commits, ticket);
}

int consumers_remove(struct consumers *cs, struct str name) {
    pthread_mutex_lock(&cs->making);
    struct consumer *c = consumer_named(cs, name);
    int r = c ? commits_allowed(&cs->commits) : CONSUMER_NONE;
    if (r == 0)
        r = consumer_remove(c);
    consumer_unref(c);
    pthread_mutex_unlock(&cs->making);
    return r;
}

/* --- all of them */

struct consumers *store_consumers(struct store *s) {
    return s->consumers;
}

static int locks_init(struct consumers *cs) {
    int r = -pthread_mutex_init(&cs->lock, NULL);
    if (r < 0)
        return r;
    r = -pthread_mutex_init(&cs->making, NULL);
    if (r < 0)
        goto no_making;
    r = commits_init(&cs->commits, cs->store);
    if (r < 0)
        goto no_commits;
    r = wakes_init(&cs->wakes, &cs->store->feed);
    if (r == 0)
        return 0;
    commits_deinit(&cs->commits);
no_commits:
    pthread_mutex_destroy(&cs->making);
no_making:
    pthread_mutex_destroy(&cs->lock);
    return r;
}

int consumers_new(struct consumers **out, struct store *s, struct err *err) {
    struct consumers *cs = calloc(1, sizeof *cs);
    int r = -ENOMEM;
    if (cs) {
        cs->store = s;
        cs->source = (struct stream_source){s->index, s->log, home_id(s->home)};
        atomic_init(&cs->next_consumer, 1);
        atomic_init(&cs->next_parked, 1);
        r = locks_init(cs);
    }
    if (r < 0) {
        free(cs);
        return err_set(err, -r, "consumers cannot be started: errno %d", -r);
    }
    r = consumers_load(cs, err);
    if (r < 0)
        consumers_free(cs);
    else
        *out = cs;
    return r;
}

void consumers_stop(struct consumers *cs) {
    if (cs)
        wakes_stop(&cs->wakes);
}

static void forget_node(void *node) {
    (void)node;
}

void consumers_free(struct consumers *cs) {
    if (!cs)
        return;
    wakes_deinit(&cs->wakes);
    commits_deinit(&cs->commits);
    tdestroy(cs->parked_ids, forget_node);
    for (size_t i = 0; i < cs->n; i++)
        consumer_unref(cs->list[i]);
    free(cs->list);
    pthread_mutex_destroy(&cs->making);
    pthread_mutex_destroy(&cs->lock);
    free(cs);
}
