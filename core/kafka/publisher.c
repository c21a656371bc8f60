/* The publisher's thread.
 *
 * Events are sent in the order of the log, as many as the window holds, and done with as they are acknowledged. When a
 * wire breaks it is drained, and another one sends again, from the cursor on, what was not acknowledged: since a wire
 * keeps the order of each aggregate, what is acknowledged of an aggregate is always its first ones.
 *
 * A refusal is of a whole batch, and of one message in it perhaps. So what was refused together is sent again by a wire
 * that sends each message alone (`careful`); what is refused alone is parked. When none was, the batch as such was too
 * large, and later ones are made smaller.
 *
 * An event whose aggregate has something on the shelf goes there too, and waits. What waits there for nothing any more
 * is sent from there, in order; then the aggregate is free. */
#include "kafka_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICE 19       /* of the thread and those that librdkafka makes: writers come first */
#define DRAIN_MS 1000 /* for what is under way when a wire breaks */
#define RETRY_MS 100  /* before another wire is made, at first */
#define RETRY_MAX_MS 10000
#define PING_MS 1000
#define REST_MS 1000
#define IDLE_MS 300 /* of waiting, after which the database is let go of */
#define RATE_MS 500
#define BATCH_LEAST 1024

struct stream_source kafka_source(struct kafka *k) {
    return (struct stream_source){k->store->index, k->store->log, home_id(k->store->home)};
}

static bool is_stopping(struct kafka *k) {
    return atomic_load_explicit(&k->stopping, memory_order_relaxed);
}

/* --- wires */

static void wake(void *arg) {
    struct kafka *k = arg;
    feed_wake(&k->store->feed, &k->woken);
}

static void log_line(void *arg, int priority, const char *line) {
    struct kafka *k = arg;
    store_tell(k->store, priority, line);
}

static int wire_make(struct kafka *k, struct err *err) {
    const struct wire_options options = {
        .properties = &k->properties,
        .alone = k->careful || k->doubted,
        .batch_bytes = k->batch_bytes,
        .reported = kafka_reported,
        .landed = kafka_landed,
        .troubled = kafka_troubled,
        .wake = wake,
        .log = log_line,
        .arg = k,
    };
    k->alone = options.alone;
    k->refused = false;
    int r = wire_new(&k->wire, &options, err);
    pthread_mutex_lock(&k->lock);
    k->figures.wires += r == 0;
    pthread_mutex_unlock(&k->lock);
    return r;
}

static void wire_end(struct kafka *k, unsigned ms) {
    const struct stream_source source = kafka_source(k);
    wire_free(k->wire, ms);
    k->wire = NULL;
    k->window_sending = k->shelf_sending = (struct kafka_sending){0};
    for (struct kafka_topic *t = k->topics; t; t = t->next)
        t->open = NULL;
    kafka_reader_rest(&k->reader);
    kafka_reader_begin(&k->reader, &source, k->window.cursor);
    k->shelf_moved = k->shelf.n > 0;
}

/* After a refusal the rest is sent again at once, otherwise after a while. */
static void wire_broke(struct kafka *k) {
    wire_end(k, DRAIN_MS);
    k->retry_at = 0;
    if (k->refused)
        return;
    uint64_t wait = (uint64_t)RETRY_MS << (k->failures < 7 ? k->failures : 7);
    k->failures++;
    k->retry_at = clock_ms() + (wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
}

static bool wire_there(struct kafka *k) {
    struct err err = {0};
    if (k->wire)
        return true;
    if (clock_ms() < k->retry_at)
        return false;
    if (wire_make(k, &err) < 0) {
        kafka_troubled(k, &err);
        k->retry_at = clock_ms() + RETRY_MAX_MS;
    }
    return k->wire != NULL;
}

/* Everything that had to go alone has got through or is parked. */
static void careful_end(struct kafka *k) {
    if (!k->alone || k->doubted || k->careful > k->window.cursor || wire_pending(k->wire) > 0)
        return;
    wire_end(k, 0);
    if (k->too_large) {
        size_t bytes = k->batch_bytes ? k->batch_bytes : k->full_batch_bytes;
        k->batch_bytes = bytes / 2 > BATCH_LEAST ? bytes / 2 : BATCH_LEAST;
    }
    k->careful = 0;
    k->too_large = false;
}

/* --- requests */

static struct kafka_request *request_next(struct kafka *k) {
    pthread_mutex_lock(&k->lock);
    struct kafka_request *q = k->requests;
    if (q && !(k->requests = q->next))
        k->requests_end = &k->requests;
    pthread_mutex_unlock(&k->lock);
    return q;
}

static int retry(struct kafka *k, const struct kafka_request *q) {
    struct kafka_parked *p = kafka_shelf_find(&k->shelf, q->position);
    if (k->figures.halted.code)
        return -EROFS;
    if (!p)
        return -ENOENT;
    if (p->done || p->bytes || kafka_shelf_first(&k->shelf, p->aggregate) != p)
        return -EBUSY;
    p->retried = true;
    p->done = q->done;
    p->arg = q->arg;
    k->shelf_moved = true;
    return 0;
}

static void requests_serve(struct kafka *k) {
    struct kafka_request *q;
    while ((q = request_next(k))) {
        struct kafka_parked *p = q->skipped ? kafka_shelf_find(&k->shelf, q->position) : NULL;
        int r = 0;
        if (!q->skipped)
            r = retry(k, q);
        else if (p && p->bytes)
            p->skipped = true; /* its report is on its way */
        else if (p)
            kafka_unpark(k, p, -ENOENT);
        if (r < 0 || q->skipped)
            kafka_answer(k, q->done, q->arg, r);
        free(q);
    }
}

/* --- rules */

/* Who waits for it goes on when it is in force. */
static void rules_take(struct kafka *k) {
    struct kafka_rules *before = k->rules;
    pthread_mutex_lock(&k->lock);
    bool changed = k->rules_changed;
    if (changed) {
        k->rules = k->next_rules;
        k->next_rules = NULL;
    }
    pthread_mutex_unlock(&k->lock);
    if (!changed)
        return;
    kafka_rules_free(before);
    k->window_sending = k->shelf_sending = (struct kafka_sending){0};
    kafka_note_rules(k);
    pthread_mutex_lock(&k->lock);
    k->rules_changed = false;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

/* --- the loop */

static void rate_note(struct kafka *k) {
    uint64_t now = clock_ms(), passed = now - k->rate_at, n = k->figures.acknowledged;
    if (passed >= RATE_MS) {
        k->figures.rate = (double)(n - k->rate_from) * 1000 / (double)passed;
        k->rate_from = n;
        k->rate_at = now;
    }
}

static void figures_note(struct kafka *k) {
    pthread_mutex_lock(&k->lock);
    rate_note(k);
    k->figures.cursor = k->window.cursor;
    k->figures.ruled = k->rules != NULL;
    k->figures.ruled_since = k->change.position;
    k->figures.pending = k->wire ? wire_pending(k->wire) : 0;
    k->figures.caught_up = k->wire && !k->blocked && k->reader.taken >= feed_position(&k->store->feed);
    pthread_mutex_unlock(&k->lock);
}

/* With nothing to send only a question tells that trouble is over. */
static void ping(struct kafka *k) {
    uint64_t now = clock_ms();
    bool idle = k->window.cursor == feed_position(&k->store->feed);
    if (k->figures.trouble.count == 0 || !idle || now < k->ping_at)
        return;
    k->ping_at = now + PING_MS;
    if (wire_reaches(k->wire))
        kafka_trouble_over(k);
}

static void publish(struct kafka *k) {
    if (!wire_there(k))
        return;
    wire_poll(k->wire);
    bool shelf = k->shelf_moved || (k->shelf_from && k->window.cursor >= k->shelf_from);
    if (!wire_broken(k->wire) && shelf)
        kafka_send_shelf(k);
    if (!wire_broken(k->wire))
        kafka_send_window(k);
    if (wire_broken(k->wire)) {
        wire_broke(k);
        return;
    }
    ping(k);
    careful_end(k);
}

static int wait_ms(struct kafka *k) {
    uint64_t now = clock_ms(), ms = REST_MS;
    int patience = k->wire ? wire_patience(k->wire) : -1;
    if (!k->wire && !k->figures.halted.code)
        ms = k->retry_at > now ? k->retry_at - now : 0;
    if (patience >= 0 && (uint64_t)patience < ms)
        ms = (uint64_t)patience;
    if (k->window.cursor != k->saved && k->saved_at + KAFKA_SAVE_MS < now + ms)
        ms = k->saved_at + KAFKA_SAVE_MS > now ? k->saved_at + KAFKA_SAVE_MS - now : 1;
    return (int)(ms < REST_MS ? ms : REST_MS);
}

/* For news of the log, if they could be taken, of the wire, or of a request. */
static void rest(struct kafka *k) {
    bool open = k->wire && !k->blocked && !k->figures.halted.code;
    uint64_t began = clock_ms();
    int ms = wait_ms(k);
    if (ms > 0)
        feed_wait(&k->store->feed, open ? k->reader.taken : UINT64_MAX, &k->woken, ms);
    if (clock_ms() - began > IDLE_MS)
        kafka_reader_rest(&k->reader);
}

static int begin(struct kafka *k) {
    const struct stream_source source = kafka_source(k);
    kafka_reader_begin(&k->reader, &source, k->window.cursor);
    k->rate_at = k->saved_at = k->heard_at = clock_ms();
    struct err err = {0};
    int r = wire_make(k, &err);
    if (r == 0) {
        k->full_batch_bytes = wire_batch_bytes(k->wire);
        kafka_note_rules(k);
        kafka_save(k, true);
    }
    pthread_mutex_lock(&k->lock);
    k->begin_result = r;
    k->begin_err = err;
    k->begun = true;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
    return r;
}

/* Whoever waits is told first: what is under way may take its time. */
static void end(struct kafka *k) {
    struct kafka_request *q;
    pthread_mutex_lock(&k->lock);
    k->ended = true;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
    while ((q = request_next(k))) {
        kafka_answer(k, q->done, q->arg, -ESHUTDOWN);
        free(q);
    }
    kafka_answer_all(k, -ESHUTDOWN);
    kafka_save(k, true);
    bool hopeless = k->figures.trouble.count > 0 && !k->silent;
    if (k->wire)
        wire_end(k, hopeless ? 0 : k->options.flush_seconds * 1000);
    kafka_save(k, true);
    kafka_reader_rest(&k->reader);
}

void *kafka_run(void *arg) {
    struct kafka *k = arg;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    if (begin(k) < 0)
        return NULL;
    while (!is_stopping(k)) {
        rules_take(k);
        requests_serve(k);
        if (!k->figures.halted.code)
            publish(k);
        else if (k->wire)
            wire_end(k, 0);
        kafka_save(k, false);
        kafka_silence_note(k);
        kafka_trouble_tell(k);
        figures_note(k);
        rest(k);
    }
    end(k);
    return NULL;
}
