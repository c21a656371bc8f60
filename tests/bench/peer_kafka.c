/* A plain producer of librdkafka with the properties that esfs ships and the messages that esfs makes: the keys, the
 * value's size and the headers of an event of the workload.
 *
 *   peer_kafka [-n MESSAGES] BROKERS TOPIC */
#include "bench.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VALUE_BYTES 135 /* of the data of a line of LINE_BYTES */

static const char *const properties[][2] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"compression.codec", "lz4"},
    {"linger.ms", "5"},
    {"batch.size", "1000000"},
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "65536"},
    {"partitioner", "murmur2_random"},
};

static const char *const headers[][2] = {
    {"ce_specversion", "1.0"},
    {"ce_id", "01a2057c-e1fb-71c8-8cc8-af7c7254fe03"},
    {"ce_source", "/order/order-000000"},
    {"ce_type", "ItemAdded"},
    {"ce_subject", "order-000000"},
    {"ce_time", "2026-11-22T23:00:00.123456Z"},
    {"content-type", "application/json"},
    {"ce_sequence", "0000000001"},
    {"ce_version", "1"},
    {"ce_position", "0000000000000001"},
    {"ce_correlationid", "01a2057c-e1fb-71c8-8cc8-af7c7254fe03"},
    {"ce_uid", "1000"},
    {"ce_partitionkey", "order-000000"},
};

static uint64_t acknowledged;

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg) {
    (void)rk, (void)arg;
    errno = 0;
    if (m->err)
        die("a message failed: %s", rd_kafka_err2str(m->err));
    acknowledged++;
}

static rd_kafka_t *producer_make(const char *brokers) {
    char text[300];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], text, sizeof text))
            die("%s", text);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text))
        die("%s", text);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!rk)
        die("%s", text);
    return rk;
}

static rd_kafka_headers_t *headers_make(void) {
    rd_kafka_headers_t *list = rd_kafka_headers_new(sizeof headers / sizeof *headers);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        rd_kafka_header_add(list, headers[i][0], -1, headers[i][1], -1);
    return list;
}

static void message_send(rd_kafka_t *rk, rd_kafka_topic_t *topic, uint64_t no, char *value) {
    char key[32];
    int n = snprintf(key, sizeof key, "order-%06u", (unsigned)(no % AGGREGATES));
    snprintf(value, 32, "{\"n\":%015llu", (unsigned long long)no);
    value[strlen(value)] = ',';
    for (;;) {
        rd_kafka_headers_t *list = headers_make();
        rd_kafka_resp_err_t e = rd_kafka_producev(rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_KEY(key, (size_t)n),
                                                  RD_KAFKA_V_VALUE(value, VALUE_BYTES), RD_KAFKA_V_HEADERS(list),
                                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (!e)
            return;
        rd_kafka_headers_destroy(list);
        if (e != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("%s", rd_kafka_err2str(e));
        rd_kafka_poll(rk, 10);
    }
}

int main(int argc, char **argv) {
    uint64_t n = 1000000;
    for (int c; (c = getopt(argc, argv, "n:")) != -1;) {
        if (c != 'n')
            return 2;
        n = number(optarg);
    }
    errno = 0;
    if (optind + 2 != argc)
        die("usage: see the head of peer_kafka.c");
    rd_kafka_t *rk = producer_make(argv[optind]);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, argv[optind + 1], NULL);
    char *value = need(VALUE_BYTES);
    memset(value, 'x', VALUE_BYTES);
    double began = now();
    for (uint64_t i = 0; i < n; i++) {
        message_send(rk, topic, i, value);
        if (i % 64 == 0)
            rd_kafka_poll(rk, 0);
    }
    while (acknowledged < n)
        rd_kafka_poll(rk, 100);
    report("", (double)n / (now() - began), "events/s");
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(rk);
    return 0;
}
