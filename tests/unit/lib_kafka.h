/* For tests of publishing to Kafka: a store that publishes to librdkafka's mock cluster, and what arrives there. The
 * cluster has four partitions a topic, takes whatever it is sent (it does not look at sequence numbers, so that order
 * after a refusal is shown on a real broker only: tests/fs/test_kafka.py), and fails when it is told to. */
#ifndef ESFS_TEST_LIB_KAFKA_H
#define ESFS_TEST_LIB_KAFKA_H

#include "kafka.h"

#include "kafka_data.h"
#include "kafka_properties.h"
#include "lib_store.h"
#include "store_parts.h"
#include "wire.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <time.h>

#define PRODUCE 0
#define WAIT_MS 20000

struct cluster {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *mock;
};

static inline void quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)rk, (void)level, (void)facility, (void)text;
}

static inline void cluster_start(struct cluster *c, int brokers) {
    char text[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, quiet);
    c->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(c->rk);
    c->mock = rd_kafka_mock_cluster_new(c->rk, brokers);
    assert_non_null(c->mock);
}

static inline void cluster_stop(struct cluster *c) {
    rd_kafka_mock_cluster_destroy(c->mock);
    rd_kafka_destroy(c->rk);
}

/* --- a store that publishes */

struct test {
    struct cluster cluster;
    struct lib_store l;
    struct kafka_options kafka;
    char brokers[200];
    char config_dir[LIB_PATH]; /* where a store's own directory may hold nothing else */
    char config[2 * LIB_PATH];
};

static inline void told(void *arg, int priority, const char *line) {
    (void)arg;
    if (getenv("VERBOSE"))
        printf("%d %s\n", priority, line);
}

static inline void test_begin(struct test *t, int brokers) {
    memset(t, 0, sizeof *t);
    cluster_start(&t->cluster, brokers);
    snprintf(t->brokers, sizeof t->brokers, "%s", rd_kafka_mock_cluster_bootstraps(t->cluster.mock));
    lib_dir_make(t->l.dir);
    lib_dir_make(t->config_dir);
    t->kafka.brokers = t->brokers;
    t->kafka.flush_seconds = 10;
    t->l.options.durability = DURABILITY_OS;
    t->l.options.kafka = &t->kafka;
    t->l.options.log = told;
}

static inline void test_end(struct test *t) {
    if (t->l.store)
        lib_store_close(&t->l);
    cluster_stop(&t->cluster);
    lib_dir_remove(t->l.dir);
    lib_dir_remove(t->config_dir);
}

static inline void properties(struct test *t, const char *text) {
    lib_file_write(t->config_dir, "properties", text, strlen(text));
    snprintf(t->config, sizeof t->config, "%s", lib_path(t->config_dir, "properties"));
    t->kafka.config = t->config;
}

/* n events of order/0, order/1 ... in turn, `first` first. */
static inline void append(struct test *t, int first, int n, int aggregates) {
    struct channel *c = lib_channel(&t->l, "", "");
    for (int i = first; i < first + n; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"aggregate\":\"order/%d\",\"type\":\"Counted\",\"data\":{\"n\":%d}}",
                 i % aggregates, i);
        assert_int_equal(lib_puts(c, text), strlen(text));
    }
    channel_free(c);
}

static inline json_t *status(struct test *t) {
    struct buf text = {0};
    assert_int_equal(kafka_status(store_kafka(t->l.store), &text), 0);
    json_t *object = json_loadb(text.p, text.n, 0, NULL);
    assert_non_null(object);
    buf_free(&text);
    return object;
}

static inline long long figure(struct test *t, const char *name) {
    json_t *object = status(t);
    long long n = json_integer_value(json_object_get(object, name));
    json_decref(object);
    return n;
}

static inline bool state_is(struct test *t, const char *word) {
    json_t *object = status(t);
    bool yes = strcmp(json_string_value(json_object_get(object, "state")), word) == 0;
    json_decref(object);
    return yes;
}

static inline uint64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static inline void show_status(struct test *t) {
    struct buf text = {0};
    kafka_status(store_kafka(t->l.store), &text);
    printf("%.*s", (int)text.n, text.p);
    buf_free(&text);
}

#define WAIT_UNTIL(t, condition)                                                                                       \
    do {                                                                                                               \
        uint64_t end_ = now_ms() + WAIT_MS;                                                                            \
        while (!(condition)) {                                                                                         \
            if (now_ms() > end_) {                                                                                     \
                show_status(t);                                                                                        \
                fail_msg("not within %d ms: %s", WAIT_MS, #condition);                                                 \
            }                                                                                                          \
            usleep(2000);                                                                                              \
        }                                                                                                              \
    } while (0)

/* --- what is in the cluster */

#define EVENTS_MAX 20000

struct arrived {
    int n, duplicates;
    int order[EVENTS_MAX]; /* `n` of the data, as they came first, by partition */
    bool seen[EVENTS_MAX];
    int last[EVENTS_MAX]; /* of an aggregate: the latest one */
};

static inline int number_in(struct str value) {
    const char *p = memmem(value.p, value.n, "\"n\":", 4);
    assert_non_null(p);
    return atoi(p + 4);
}

static inline void read_topic(struct test *t, const char *topic, struct arrived *a) {
    struct kafka_properties p = {0};
    struct wire_reader *r;
    struct wire_record record;
    struct err err = {0};
    const char *topics[] = {topic};
    assert_int_equal(kafka_properties_put(&p, "bootstrap.servers", t->brokers), 0);
    if (wire_reader_new(&r, &p, topics, 1, NULL, &err) != 0)
        fail_msg("%s", err.text);
    *a = (struct arrived){0};
    int e;
    while ((e = wire_reader_next(r, &record, &err)) == 0) {
        int n = number_in(record.value);
        assert_true(n >= 0 && n < EVENTS_MAX);
        if (a->seen[n]) {
            a->duplicates++;
            continue;
        }
        a->seen[n] = true;
        a->order[a->n++] = n;
        int aggregate = atoi(record.key.p);
        if (a->last[aggregate] > n + 1)
            fail_msg("order/%d: %d after %d", aggregate, n, a->last[aggregate] - 1);
        a->last[aggregate] = n + 1;
    }
    if (e != WIRE_END)
        fail_msg("%s", err.text);
    wire_reader_free(r);
    kafka_properties_free(&p);
}

static inline void assert_all_there(struct test *t, int n, int duplicates_max) {
    struct arrived *a = malloc(sizeof *a);
    read_topic(t, "esfs.order", a);
    if (a->n != n || a->duplicates > duplicates_max)
        fail_msg("%d of %d arrived, and %d twice", a->n, n, a->duplicates);
    free(a);
}

static inline bool has_arrived(struct test *t, long long n) {
    return figure(t, "lag_events") == 0 && figure(t, "acknowledged") >= n;
}

/* --- requests */

struct answer {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool there;
    int result;
};

static inline void answered(void *arg, int result) {
    struct answer *a = arg;
    pthread_mutex_lock(&a->lock);
    a->there = true;
    a->result = result;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->lock);
}

static inline int answer_wait(struct answer *a) {
    pthread_mutex_lock(&a->lock);
    while (!a->there)
        pthread_cond_wait(&a->cond, &a->lock);
    pthread_mutex_unlock(&a->lock);
    return a->result;
}

#define ANSWER                                                                                                         \
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0 }

static inline int retry(struct test *t, uint64_t position) {
    struct answer a = ANSWER;
    kafka_retry(store_kafka(t->l.store), position, answered, &a);
    return answer_wait(&a);
}

static inline int pass_over(struct test *t, uint64_t position) {
    struct answer a = ANSWER;
    kafka_skip(store_kafka(t->l.store), position, &lib_caller, answered, &a);
    return answer_wait(&a);
}

static inline char *parked_text(struct test *t, uint64_t position) {
    struct buf text = {0};
    assert_int_equal(kafka_parked_text(store_kafka(t->l.store), position, &text), 0);
    buf_put_char(&text, '\0');
    return text.p;
}

static inline void assert_parked(struct test *t, uint64_t position, const char *has) {
    char *text = parked_text(t, position);
    LINE_HAS(text, 0, has);
    free(text);
}

#endif
