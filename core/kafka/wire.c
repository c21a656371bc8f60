/* How the order of a key is kept, whatever fails.
 *
 * librdkafka keeps the order of what it sends to a partition, and an idempotent producer keeps it when it sends again.
 * What is left is a message that fails for good, after which librdkafka would go on with the next one:
 *
 * - The broker refuses a batch. enable.gapless.guarantee then makes the producer fail as a whole before anything else
 *   is made into a request. One more request for the same partition may be made already, and is sent: the broker
 * refuses it, since its sequence numbers do not follow. But only if it has seen this producer in this partition before:
 * the first batch of a producer may begin with any number, so a second one is taken although the first was refused. So
 *   the second message to a partition waits until the first is acknowledged (`struct part`). An acknowledgement counts
 *   for ten minutes: brokers forget producers after a day.
 * - librdkafka gives up what waits for a topic that it does not find, or may not write to. Nothing waits there: topics
 *   are asked for before the first message is sent to them. What was there and is gone (somebody deleted the topic)
 *   fails with its messages, and whoever fails them first sets `failed`, on which wire_send() stops.
 * - Messages time out: never, with message.timeout.ms=0.
 *
 * One request at a time (max.in.flight=1) costs little, since requests are as large as what has come together
 * meanwhile, and keeps the above short. */
#include "wire.h"

#include "array.h"
#include "clock.h"

#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define ASK_MS 200        /* how long an answer about a topic may take */
#define ASK_AGAIN_MS 50   /* between two questions about a topic, at first */
#define ASK_LEAST_MS 1000 /* ... and in the end */
#define ASK_TELL_MS 400   /* from then on a topic that is not there is trouble: making one takes a moment */
#define WARM_MS 600000
#define POLL_MS 20
#define PURGED_MS 5000 /* what was purged is reported at once; a limit all the same */
#define READ_MS 10000  /* without anything from the broker */

struct part {
    bool known, trying; /* the broker knows the producer there; the first message is under way */
    uint64_t at;        /* ms: when it said so last */
};

struct wire_topic {
    struct wire *wire;
    struct wire_topic *next;
    rd_kafka_topic_t *rk;
    void *arg;
    atomic_int found; /* partitions, as librdkafka sees them */
    struct part *parts;
    int n_parts;             /* 0: not known yet */
    uint64_t ask_at;         /* ms */
    unsigned ask_ms;         /* until it is asked for once more */
    enum wire_outcome state; /* as it was told last: WIRE_LATER or WIRE_REFUSED_TOPIC */
    struct err why;
};

struct wire {
    struct wire_options options;
    pthread_t owner;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    struct wire_topic *topics;
    size_t pending, batch_bytes, linger_ms;
    bool broken;
    atomic_bool failed; /* some message failed; set before librdkafka goes on */
    uint64_t now, asking_at;
};

/* --- errors */

static enum wire_outcome outcome_of(rd_kafka_resp_err_t e) {
    switch (e) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return WIRE_DONE;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION: /* an invalid name */
        return WIRE_REFUSED_TOPIC;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return WIRE_REFUSED;
    default:
        return WIRE_LOST;
    }
}

static int errno_of(rd_kafka_resp_err_t e) {
    switch (e) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return EMSGSIZE;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        return EACCES;
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        return EHOSTUNREACH;
    default:
        return EIO;
    }
}

static struct err err_of(rd_kafka_resp_err_t e) {
    struct err err = {0};
    if (e)
        err_set(&err, errno_of(e), "%s (%s)", rd_kafka_err2str(e), rd_kafka_err2name(e));
    return err;
}

/* --- what librdkafka calls */

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg) {
    struct wire *w = arg;
    struct wire_topic *t = rd_kafka_topic_opaque(m->rkt);
    enum wire_outcome outcome = outcome_of(m->err);
    const struct err why = err_of(m->err);
    (void)rk;
    w->pending--;
    if (m->partition >= 0 && m->partition < t->n_parts)
        t->parts[m->partition] = (struct part){.known = outcome == WIRE_DONE, .at = w->now};
    if (outcome != WIRE_DONE)
        w->broken = true;
    if (outcome == WIRE_DONE && m->offset >= 0)
        w->options.landed(w->options.arg, t->arg, m->partition, m->offset);
    w->options.reported(w->options.arg, t->arg, (uint64_t)(uintptr_t)m->_private, outcome, &why);
}

static void on_error(rd_kafka_t *rk, int code, const char *words, void *arg) {
    struct wire *w = arg;
    struct err why = {0};
    char text[400];
    rd_kafka_resp_err_t e = (rd_kafka_resp_err_t)code;
    if (e == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) /* each of them said why */
        return;
    if (e == RD_KAFKA_RESP_ERR__FATAL) {
        w->broken = true;
        e = rd_kafka_fatal_error(rk, text, sizeof text);
        words = text;
        if (e == RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE) /* the message's own report says it */
            return;
    }
    err_set(&why, errno_of(e), "%s (%s)", words, rd_kafka_err2name(e));
    w->options.troubled(w->options.arg, &why);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    struct wire *w = rd_kafka_opaque(rk);
    char line[1024];
    (void)level; /* what matters of it comes as an error too */
    snprintf(line, sizeof line, "kafka: librdkafka: %s: %s", facility, text);
    w->options.log(w->options.arg, LOG_DEBUG, line);
}

static void on_wake(rd_kafka_t *rk, void *arg) {
    struct wire *w = arg;
    (void)rk;
    w->options.wake(w->options.arg);
}

static rd_kafka_resp_err_t on_acknowledgement(rd_kafka_t *rk, rd_kafka_message_t *m, void *arg) {
    struct wire *w = arg;
    (void)rk;
    if (m->err && !pthread_equal(pthread_self(), w->owner)) /* the owner sees his own failures himself */
        atomic_store(&w->failed, true);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *arg, char *text, size_t size) {
    (void)conf, (void)text, (void)size;
    return rd_kafka_interceptor_add_on_acknowledgement(rk, "esfs", on_acknowledgement, arg);
}

/* As Java's clients do, so that they and esfs find a key in the same partition. */
static int32_t on_partition(const rd_kafka_topic_t *rk, const void *key, size_t n, int32_t partitions, void *arg,
                            void *message) {
    struct wire_topic *t = arg;
    atomic_store_explicit(&t->found, partitions, memory_order_relaxed);
    return rd_kafka_msg_partitioner_murmur2_random(rk, key, n, partitions, arg, message);
}

/* --- life */

static const struct kafka_property defaults[] = {
    {"client.id", "esfs"},
    {"compression.codec", "lz4"},
    {"linger.ms", "5"},
    {"batch.size", "1000000"},
    {"message.max.bytes", "1000000000"}, /* the broker says what is too large */
    {"queue.buffering.max.messages", "200000"},
    {"reconnect.backoff.ms", "100"},
    {"reconnect.backoff.max.ms", "2000"},
    {"socket.keepalive.enable", "true"},
    {"log.connection.close", "false"},
};

static const struct kafka_property fixed[] = {
    {"enable.idempotence", "true"}, {"enable.gapless.guarantee", "true"}, {"acks", "all"}, {"message.timeout.ms", "0"},
    {"max.in.flight", "1"},
};

static int conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err) {
    char text[300];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return 0;
    return err_set(err, EINVAL, "kafka: %s", text);
}

static int conf_put(rd_kafka_conf_t *conf, const struct kafka_property *list, size_t n, struct err *err) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = conf_set(conf, list[i].name, list[i].value, err);
    return r;
}

static int conf_producer(rd_kafka_conf_t *conf, const struct wire_options *o, struct err *err) {
    char bytes[24];
    int r = conf_put(conf, defaults, sizeof defaults / sizeof *defaults, err);
    if (r == 0)
        r = conf_put(conf, o->properties->list, o->properties->n, err);
    if (r == 0)
        r = conf_put(conf, fixed, sizeof fixed / sizeof *fixed, err);
    if (r == 0 && o->alone)
        r = conf_set(conf, "batch.num.messages", "1", err);
    snprintf(bytes, sizeof bytes, "%zu", o->batch_bytes);
    return r == 0 && o->batch_bytes ? conf_set(conf, "batch.size", bytes, err) : r;
}

int wire_properties_check(const struct kafka_properties *properties, struct err *err) {
    const struct wire_options options = {.properties = properties};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int r = conf_producer(conf, &options, err);
    rd_kafka_conf_destroy(conf);
    return r;
}

static size_t conf_number(const rd_kafka_conf_t *conf, const char *name) {
    char text[32] = "";
    size_t n = sizeof text;
    rd_kafka_conf_get(conf, name, text, &n);
    return strtoul(text, NULL, 10);
}

static void conf_calls(rd_kafka_conf_t *conf, struct wire *w) {
    rd_kafka_conf_set_opaque(conf, w);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_interceptor_add_on_new(conf, "esfs", on_new, w);
}

int wire_new(struct wire **out, const struct wire_options *options, struct err *err) {
    char text[300];
    struct wire *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, ENOMEM, "out of memory");
    w->owner = pthread_self();
    w->options = *options;
    w->options.properties = NULL;
    w->now = clock_ms();
    atomic_init(&w->failed, false);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int r = conf_producer(conf, options, err);
    if (r == 0) {
        conf_calls(conf, w);
        w->batch_bytes = conf_number(conf, "batch.size");
        w->linger_ms = conf_number(conf, "linger.ms");
        w->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
        if (!w->rk)
            r = err_set(err, EINVAL, "kafka: %s", text);
    }
    if (r < 0) {
        rd_kafka_conf_destroy(conf);
        free(w);
        return r;
    }
    w->queue = rd_kafka_queue_get_main(w->rk);
    rd_kafka_queue_cb_event_enable(w->queue, on_wake, w);
    *out = w;
    return 0;
}

/* After a failure what waits would only be sent again: it is given back at once, and again when requests that were made
 * already come back to it. */
static void drain(struct wire *w, uint64_t until) {
    while (w->pending > 0 && clock_ms() < until) {
        if (w->broken)
            rd_kafka_purge(w->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
        rd_kafka_poll(w->rk, POLL_MS);
        w->now = clock_ms();
    }
}

void wire_free(struct wire *w, unsigned ms) {
    if (!w)
        return;
    drain(w, clock_ms() + ms);
    rd_kafka_purge(w->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    drain(w, clock_ms() + PURGED_MS);
    rd_kafka_queue_cb_event_enable(w->queue, NULL, NULL);
    rd_kafka_queue_destroy(w->queue);
    for (struct wire_topic *t = w->topics; t; t = t->next)
        rd_kafka_topic_destroy(t->rk);
    rd_kafka_destroy(w->rk);
    for (struct wire_topic *t; (t = w->topics);) {
        w->topics = t->next;
        free(t->parts);
        free(t);
    }
    free(w);
}

void wire_poll(struct wire *w) {
    w->now = clock_ms();
    w->asking_at = 0;
    rd_kafka_poll(w->rk, 0);
}

bool wire_reaches(struct wire *w) {
    const struct rd_kafka_metadata *m;
    rd_kafka_resp_err_t e = rd_kafka_metadata(w->rk, 0, NULL, &m, ASK_MS);
    if (!e)
        rd_kafka_metadata_destroy(m);
    return !e;
}

bool wire_broken(const struct wire *w) {
    return w->broken;
}

size_t wire_pending(const struct wire *w) {
    return w->pending;
}

size_t wire_batch_bytes(const struct wire *w) {
    return w->batch_bytes;
}

size_t wire_linger_ms(const struct wire *w) {
    return w->linger_ms;
}

int wire_patience(const struct wire *w) {
    if (!w->asking_at)
        return -1;
    uint64_t now = clock_ms();
    return w->asking_at > now ? (int)(w->asking_at - now) : 0;
}

/* --- topics */

int wire_topic_open(struct wire *w, const char *name, void *arg, struct wire_topic **out, struct err *err) {
    struct wire_topic *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ENOMEM, "out of memory");
    *t = (struct wire_topic){.wire = w, .arg = arg, .state = WIRE_LATER, .ask_ms = ASK_AGAIN_MS};
    atomic_init(&t->found, 0);
    rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(w->rk);
    rd_kafka_topic_conf_set_opaque(conf, t);
    rd_kafka_topic_conf_set_partitioner_cb(conf, on_partition);
    t->rk = rd_kafka_topic_new(w->rk, name, conf);
    if (!t->rk) {
        rd_kafka_topic_conf_destroy(conf);
        free(t);
        return err_set(err, EINVAL, "topic %s: %s", name, rd_kafka_err2str(rd_kafka_last_error()));
    }
    t->next = w->topics;
    w->topics = t;
    *out = t;
    return 0;
}

static bool parts_set(struct wire_topic *t, int n) {
    struct part *parts = realloc(t->parts, (size_t)n * sizeof *parts);
    if (!parts)
        return false;
    for (int i = t->n_parts; i < n; i++)
        parts[i] = (struct part){0};
    t->parts = parts;
    t->n_parts = n;
    return true;
}

/* What the cluster says of a topic. Asking makes it, where brokers make topics by themselves. */
static void topic_learn(struct wire_topic *t, const struct rd_kafka_metadata *m) {
    const struct rd_kafka_metadata_topic *found = m->topic_cnt == 1 ? &m->topics[0] : NULL;
    if (!found)
        return;
    if (found->err) {
        enum wire_outcome outcome = outcome_of(found->err);
        t->state = outcome == WIRE_REFUSED_TOPIC ? outcome : WIRE_LATER;
        err_set(&t->why, errno_of(found->err), "topic %s: %s (%s)", rd_kafka_topic_name(t->rk),
                rd_kafka_err2str(found->err), rd_kafka_err2name(found->err));
    } else if (found->partition_cnt > 0 && parts_set(t, found->partition_cnt)) {
        t->state = WIRE_DONE;
    }
}

static void topic_question(struct wire_topic *t) {
    struct wire *w = t->wire;
    const struct rd_kafka_metadata *m;
    rd_kafka_resp_err_t e = rd_kafka_metadata(w->rk, 0, t->rk, &m, ASK_MS);
    w->now = clock_ms();
    t->why = (struct err){0};
    t->state = WIRE_LATER;
    if (!e) {
        topic_learn(t, m);
        rd_kafka_metadata_destroy(m);
    }
    t->ask_at = w->now + t->ask_ms;
    t->ask_ms = t->ask_ms * 2 < ASK_LEAST_MS ? t->ask_ms * 2 : ASK_LEAST_MS;
    if (t->state == WIRE_LATER && t->why.code && t->ask_ms >= ASK_TELL_MS)
        w->options.troubled(w->options.arg, &t->why);
}

static enum wire_outcome topic_ask(struct wire_topic *t) {
    struct wire *w = t->wire;
    if (w->now >= t->ask_at)
        topic_question(t);
    if (t->state == WIRE_LATER && (!w->asking_at || t->ask_at < w->asking_at))
        w->asking_at = t->ask_at;
    return t->state;
}

/* The partition that a key goes to, when it may be sent there now. */
static struct part *part_open(struct wire_topic *t, struct str key) {
    int found = atomic_load_explicit(&t->found, memory_order_relaxed);
    if (found > t->n_parts && !parts_set(t, found)) /* somebody has added partitions */
        return NULL;
    int n = found ? found : t->n_parts;
    struct part *p = &t->parts[rd_kafka_msg_partitioner_murmur2_random(t->rk, key.p, key.n, n, NULL, NULL)];
    if (p->trying)
        return NULL;
    if (p->known && t->wire->now - p->at > WARM_MS)
        p->known = false;
    return p;
}

/* --- sending */

static rd_kafka_headers_t *headers_of(const struct kafka_message *m) {
    rd_kafka_headers_t *headers = rd_kafka_headers_new(m->n_headers);
    for (size_t i = 0; i < m->n_headers; i++)
        rd_kafka_header_add(headers, m->headers[i].name, -1, m->headers[i].value.p, (ssize_t)m->headers[i].value.n);
    return headers;
}

static rd_kafka_resp_err_t produce(struct wire_topic *t, const struct kafka_message *m, uint64_t position) {
    rd_kafka_headers_t *headers = headers_of(m);
    rd_kafka_resp_err_t e = rd_kafka_producev(
        t->wire->rk, RD_KAFKA_V_RKT(t->rk), RD_KAFKA_V_KEY(m->key.p, m->key.n),
        RD_KAFKA_V_VALUE((void *)m->value.p, m->value.n), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_OPAQUE((void *)(uintptr_t)position), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (e)
        rd_kafka_headers_destroy(headers);
    return e;
}

static enum wire_outcome unsent(struct wire_topic *t, rd_kafka_resp_err_t e, struct err *why) {
    *why = err_of(e);
    switch (e) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return WIRE_LATER;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        t->wire->options.troubled(t->wire->options.arg, why);
        t->wire->broken = true; /* others of the topic may be failing just now */
        return WIRE_LOST;
    default:
        break;
    }
    enum wire_outcome outcome = outcome_of(e);
    if (outcome == WIRE_LOST)
        t->wire->broken = true;
    return outcome;
}

enum wire_outcome wire_send(struct wire_topic *t, const struct kafka_message *m, uint64_t position, struct err *why) {
    struct wire *w = t->wire;
    if (w->broken || atomic_load(&w->failed))
        return WIRE_LATER; /* until the reports say what it is */
    if (t->n_parts == 0 && topic_ask(t) != WIRE_DONE) {
        *why = t->why;
        return t->state;
    }
    struct part *p = part_open(t, m->key);
    if (!p)
        return WIRE_LATER;
    rd_kafka_resp_err_t e = produce(t, m, position);
    if (e)
        return unsent(t, e, why);
    w->pending++;
    p->trying = !p->known;
    /* It may have got past one that failed in this moment: it is still waiting for others to share its request. */
    if (atomic_load(&w->failed))
        rd_kafka_purge(w->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
    return WIRE_DONE;
}

/* --- reading */

/* Partitions are started one by one into a queue, without a group: there is nothing to share and no offset to keep. A
 * client with a group asks for its coordinator, which has the broker make __consumer_offsets, wants a right to the
 * group where rights are given, and aborts now and then when it is destroyed: giving up the coordinator, it looks for
 * another broker among those that are ending (https://github.com/confluentinc/librdkafka/issues/3608, in all versions).
 */
struct reader_topic {
    rd_kafka_topic_t *rk;
    int32_t n; /* partitions started: 0 to n - 1 */
};

struct wire_reader {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    struct reader_topic *topics;
    size_t n_topics, n_topics_max;
    rd_kafka_message_t *message; /* given out */
    struct kafka_header *headers;
    size_t n_headers_max;
    size_t left; /* partitions that have not been read to their end */
    struct err trouble;
};

static void on_reader_error(rd_kafka_t *rk, int code, const char *words, void *arg) {
    struct wire_reader *r = arg;
    (void)rk;
    err_set(&r->trouble, errno_of((rd_kafka_resp_err_t)code), "%s (%s)", words,
            rd_kafka_err2name((rd_kafka_resp_err_t)code));
}

static void on_reader_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)rk, (void)level, (void)facility, (void)text; /* errors come as such */
}

static const struct kafka_property reader_defaults[] = {
    {"client.id", "esfs"},
};

static const struct kafka_property reader_fixed[] = {
    {"group.id", ""},
    {"enable.auto.commit", "false"},
    {"enable.partition.eof", "true"},
    {"auto.offset.reset", "earliest"},
    {"isolation.level", "read_uncommitted"},
};

static int reader_open(struct wire_reader *r, const struct kafka_properties *properties, struct err *err) {
    char text[300];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int e = conf_put(conf, reader_defaults, sizeof reader_defaults / sizeof *reader_defaults, err);
    if (e == 0)
        e = conf_put(conf, properties->list, properties->n, err);
    if (e == 0)
        e = conf_put(conf, reader_fixed, sizeof reader_fixed / sizeof *reader_fixed, err);
    rd_kafka_conf_set_opaque(conf, r);
    rd_kafka_conf_set_error_cb(conf, on_reader_error);
    rd_kafka_conf_set_log_cb(conf, on_reader_log);
    if (e == 0 && !(r->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text)))
        e = err_set(err, EINVAL, "kafka: %s", text);
    if (e < 0)
        rd_kafka_conf_destroy(conf);
    else
        r->queue = rd_kafka_queue_new(r->rk);
    return e;
}

/* Its partitions, 0 when there is no such topic. */
static int partitions_ask(struct wire_reader *r, rd_kafka_topic_t *rk, struct err *err) {
    const struct rd_kafka_metadata *m;
    const char *name = rd_kafka_topic_name(rk);
    rd_kafka_resp_err_t e = rd_kafka_metadata(r->rk, 0, rk, &m, READ_MS);
    if (e) {
        rd_kafka_poll(r->rk, 0);
        return err_set(err, errno_of(e), "topic %s: %s", name, r->trouble.code ? r->trouble.text : rd_kafka_err2str(e));
    }
    const struct rd_kafka_metadata_topic *found = m->topic_cnt == 1 ? &m->topics[0] : NULL;
    int n = found && !found->err ? found->partition_cnt : 0;
    e = found ? found->err : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_metadata_destroy(m);
    if (e && e != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        return err_set(err, errno_of(e), "topic %s: %s", name, rd_kafka_err2str(e));
    return n;
}

static int topic_start(struct wire_reader *r, const char *name, bool *there, struct err *err) {
    if (!ARRAY_ROOM(r->topics, r->n_topics, r->n_topics_max))
        return err_set(err, ENOMEM, "out of memory");
    struct reader_topic *t = &r->topics[r->n_topics];
    *t = (struct reader_topic){.rk = rd_kafka_topic_new(r->rk, name, NULL)};
    if (!t->rk)
        return err_set(err, EINVAL, "topic %s: %s", name, rd_kafka_err2str(rd_kafka_last_error()));
    r->n_topics++;
    int n = partitions_ask(r, t->rk, err);
    if (n < 0)
        return n;
    *there = n > 0;
    for (; t->n < n; t->n++, r->left++)
        if (rd_kafka_consume_start_queue(t->rk, t->n, RD_KAFKA_OFFSET_BEGINNING, r->queue) < 0)
            return err_set(err, EIO, "topic %s, partition %" PRId32 ": %s", name, t->n,
                           rd_kafka_err2str(rd_kafka_last_error()));
    return 0;
}

int wire_reader_new(struct wire_reader **out, const struct kafka_properties *properties, const char *const *topics,
                    size_t n, bool *there, struct err *err) {
    bool one;
    struct wire_reader *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ENOMEM, "out of memory");
    int e = reader_open(r, properties, err);
    for (size_t i = 0; e == 0 && i < n; i++)
        e = topic_start(r, topics[i], there ? &there[i] : &one, err);
    if (e < 0)
        wire_reader_free(r);
    else
        *out = r;
    return e;
}

static void message_give_back(struct wire_reader *r) {
    if (r->message)
        rd_kafka_message_destroy(r->message);
    r->message = NULL;
}

void wire_reader_free(struct wire_reader *r) {
    if (!r)
        return;
    message_give_back(r);
    for (size_t i = 0; i < r->n_topics; i++) {
        struct reader_topic *t = &r->topics[i];
        while (t->n > 0)
            rd_kafka_consume_stop(t->rk, --t->n);
        rd_kafka_topic_destroy(t->rk);
    }
    if (r->queue)
        rd_kafka_queue_destroy(r->queue);
    if (r->rk)
        rd_kafka_destroy(r->rk);
    free(r->topics);
    free(r->headers);
    free(r);
}

static int headers_read(struct wire_reader *r, struct wire_record *out) {
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t n;
    out->n_headers = 0;
    if (rd_kafka_message_headers(r->message, &headers))
        return 0;
    while (rd_kafka_header_get_all(headers, out->n_headers, &name, &value, &n) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!ARRAY_ROOM(r->headers, out->n_headers, r->n_headers_max))
            return -ENOMEM;
        r->headers[out->n_headers++] = (struct kafka_header){name, {value, n}};
    }
    out->headers = r->headers;
    return 0;
}

/* 0 with the next message, WIRE_END when all is read. */
static int reader_wait(struct wire_reader *r, struct err *err) {
    uint64_t until = clock_ms() + READ_MS;
    while (r->left > 0) {
        r->message = rd_kafka_consume_queue(r->queue, POLL_MS);
        if (r->message && !r->message->err)
            return 0;
        rd_kafka_poll(r->rk, 0);
        rd_kafka_resp_err_t e = r->message ? r->message->err : RD_KAFKA_RESP_ERR_NO_ERROR;
        message_give_back(r);
        if (e == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            r->left--;
        else if (e == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED || e == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            return err_set(err, errno_of(e), "%s", rd_kafka_err2str(e));
        else if (clock_ms() > until)
            return err_set(err, ETIMEDOUT, "nothing came for %d s%s%s", READ_MS / 1000, r->trouble.code ? ": " : "",
                           r->trouble.text);
    }
    return WIRE_END;
}

int wire_reader_next(struct wire_reader *r, struct wire_record *out, struct err *err) {
    message_give_back(r);
    int e = reader_wait(r, err);
    if (e != 0)
        return e;
    const rd_kafka_message_t *m = r->message;
    *out = (struct wire_record){.topic = rd_kafka_topic_name(m->rkt),
                                .partition = m->partition,
                                .offset = m->offset,
                                .key = {m->key, m->key_len},
                                .value = {m->payload, m->len}};
    return headers_read(r, out) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}
