#include "kafka_brokers.h"
#include "kafka_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

static int properties_make(struct kafka_properties *p, const struct kafka_options *o, struct err *err) {
    int r = o->brokers ? kafka_brokers_check("kafka=", o->brokers, err) : 0;
    if (r == 0 && o->config)
        r = kafka_properties_read(p, o->config, err);
    const char *there = kafka_properties_find(p, "bootstrap.servers");
    if (r < 0)
        return r;
    if (o->brokers && there)
        return err_set(err, EINVAL, "kafka=%s: %s names brokers too (bootstrap.servers)", o->brokers, o->config);
    if (o->brokers && kafka_properties_put(p, "bootstrap.servers", o->brokers) < 0)
        return err_set(err, ENOMEM, "out of memory");
    if (!o->brokers && !there && !kafka_properties_find(p, "test.mock.num.brokers"))
        return err_set(err, EINVAL, "kafka-config=%s: no brokers are named there (bootstrap.servers)", o->config);
    return 0;
}

int kafka_options_check(const struct kafka_options *options, struct err *err) {
    struct kafka_settings settings;
    struct kafka_properties properties = {0};
    int r = kafka_settings_make(&settings, options, err);
    if (r == 0)
        r = properties_make(&properties, options, err);
    if (r == 0)
        r = wire_properties_check(&properties, err);
    kafka_settings_free(&settings);
    kafka_properties_free(&properties);
    return r;
}

static void release(struct kafka *k) {
    kafka_rules_free(k->rules);
    kafka_rules_free(k->next_rules);
    for (struct kafka_topic *t; (t = k->topics);) {
        k->topics = t->next;
        free(t->ends);
        free(t);
    }
    for (struct kafka_request *q; (q = k->requests);) {
        k->requests = q->next;
        free(q);
    }
    kafka_shelf_free(&k->shelf);
    kafka_window_free(&k->window);
    kafka_properties_free(&k->properties);
    kafka_settings_free(&k->settings);
    arena_free(&k->arena);
    json_parser_free(k->parser);
    free(k->by_type);
    free(k->answers);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* A name that the domain does not have would choose nothing, for ever. */
static int filters_check(const struct kafka *k, const struct domain *d, struct err *err) {
    struct err why = {0};
    for (size_t i = 0; d && i < k->settings.n_filters; i++) {
        const struct kafka_filter *f = &k->settings.filters[i];
        if (domain_names_check(d, f->type, f->event, &why) < 0)
            return err_set(err, EINVAL, "kafka-filter=%s: %s", f->type.p, why.text);
    }
    return 0;
}

/* It may be meant so: an event may come that late. */
static void since_tell(struct kafka *k) {
    char text[KAFKA_NOTE_ROOM], line[KAFKA_NOTE_ROOM + 16];
    if (!kafka_note_since(k, feed_position(&k->store->feed), text))
        return;
    snprintf(line, sizeof line, "kafka: %s", text);
    store_tell(k->store, LOG_WARNING, line);
}

static int prepare(struct kafka *k, struct err *err) {
    k->parser = json_parser_new();
    if (!k->parser)
        return err_set(err, ENOMEM, "out of memory");
    int r = kafka_settings_make(&k->settings, &k->options, err);
    if (r == 0)
        r = properties_make(&k->properties, &k->options, err);
    if (r == 0)
        r = kafka_load(k, err);
    if (r < 0)
        return r;
    struct domain *d = store_domain(k->store);
    r = filters_check(k, d, err);
    if (r == 0)
        r = kafka_rules_new(&k->rules, d, err);
    domain_unref(d);
    if (r == 0)
        since_tell(k);
    return r;
}

/* librdkafka says what it thinks of the properties when the thread makes a producer. */
static int start(struct kafka *k, struct err *err) {
    int r = pthread_create(&k->thread, NULL, kafka_run, k);
    if (r != 0)
        return err_set(err, r, "kafka: a thread cannot be started: errno %d", r);
    pthread_setname_np(k->thread, "kafka");
    pthread_mutex_lock(&k->lock);
    while (!k->begun)
        pthread_cond_wait(&k->changed, &k->lock);
    pthread_mutex_unlock(&k->lock);
    if (k->begin_result < 0) {
        pthread_join(k->thread, NULL);
        *err = k->begin_err;
    }
    return k->begin_result;
}

int kafka_new(struct kafka **out, struct store *store, const struct kafka_options *options, struct err *err) {
    struct kafka *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(err, ENOMEM, "out of memory");
    k->store = store;
    k->options = *options;
    k->requests_end = &k->requests;
    atomic_init(&k->stopping, false);
    atomic_init(&k->woken, false);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->changed, NULL);
    int r = prepare(k, err);
    if (r == 0)
        r = start(k, err);
    if (r < 0)
        release(k);
    else
        *out = k;
    return r;
}

/* What cannot be made for want of memory is tried again with the next reload. Who reloads goes on when the thread has
 * it: what he appends then is published by it. */
void kafka_adopt(struct kafka *k, struct domain *d) {
    struct kafka_rules *rules, *before = NULL;
    struct err err = {0};
    if (!k)
        return;
    int r = kafka_rules_new(&rules, d, &err);
    if (r < 0) {
        store_report(k->store, "kafka.lua: what ran before goes on", &err);
        return;
    }
    pthread_mutex_lock(&k->lock);
    before = k->next_rules;
    k->next_rules = rules;
    k->rules_changed = true;
    feed_wake(&k->store->feed, &k->woken);
    while (k->rules_changed && !k->ended)
        pthread_cond_wait(&k->changed, &k->lock);
    pthread_mutex_unlock(&k->lock);
    kafka_rules_free(before);
}

void kafka_stop(struct kafka *k) {
    if (!k)
        return;
    atomic_store(&k->stopping, true);
    feed_wake(&k->store->feed, &k->woken);
}

void kafka_free(struct kafka *k) {
    if (!k)
        return;
    kafka_stop(k);
    pthread_join(k->thread, NULL);
    pthread_mutex_lock(&k->lock);
    while (k->skips > 0) /* the log will answer, and they come back here */
        pthread_cond_wait(&k->changed, &k->lock);
    pthread_mutex_unlock(&k->lock);
    release(k);
}

/* --- requests */

/* Takes it over. */
static void request_put(struct kafka *k, struct kafka_request *q) {
    pthread_mutex_lock(&k->lock);
    bool ended = k->ended;
    if (!ended) {
        *k->requests_end = q;
        k->requests_end = &q->next;
    }
    pthread_mutex_unlock(&k->lock);
    if (!ended) {
        feed_wake(&k->store->feed, &k->woken);
        return;
    }
    q->done(q->arg, -ESHUTDOWN);
    free(q);
}

static struct kafka_request *request_new(struct kafka *k, bool skipped, uint64_t position, kafka_done *done,
                                         void *arg) {
    struct kafka_request *q = malloc(sizeof *q);
    if (q)
        *q = (struct kafka_request){NULL, k, skipped, position, done, arg};
    return q;
}

static bool is_parked(struct kafka *k, uint64_t position) {
    pthread_mutex_lock(&k->lock);
    bool yes = kafka_shelf_find(&k->shelf, position) != NULL;
    pthread_mutex_unlock(&k->lock);
    return yes;
}

void kafka_retry(struct kafka *k, uint64_t position, kafka_done *done, void *arg) {
    struct kafka_request *q = request_new(k, false, position, done, arg);
    if (q)
        request_put(k, q);
    else
        done(arg, -ENOMEM);
}

/* In the thread of the log's writer: it only passes on. */
static void skip_noted(void *arg, enum outcome outcome) {
    struct kafka_request *q = arg;
    struct kafka *k = q->kafka;
    if (outcome == OUTCOME_OK) {
        request_put(k, q);
    } else {
        q->done(q->arg, -outcome_errno(outcome));
        free(q);
    }
    pthread_mutex_lock(&k->lock);
    k->skips--;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

void kafka_skip(struct kafka *k, uint64_t position, const struct caller *caller, kafka_done *done, void *arg) {
    struct kafka_request *q = is_parked(k, position) ? request_new(k, true, position, done, arg) : NULL;
    if (!q) {
        done(arg, is_parked(k, position) ? -ENOMEM : -ENOENT);
        return;
    }
    pthread_mutex_lock(&k->lock);
    k->skips++;
    pthread_mutex_unlock(&k->lock);
    store_skip(k->store, STR(KAFKA_FOLLOWER), position, caller, skip_noted, q);
}
