#include "options_kafka.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_MAX 3600

static int twice(const char *name, struct err *err) {
    return err_set(err, EINVAL, "%s is given twice", name);
}

static int keep(char **to, const char *name, const char *value, struct err *err) {
    if (*to)
        return twice(name, err);
    *to = strdup(value);
    return *to ? 0 : -ENOMEM;
}

/* Given several times: several brokers. */
static int read_brokers(struct options_kafka *o, const char *value, struct err *err) {
    char *list = NULL;
    if (*value == '\0')
        return err_set(err, EINVAL, "kafka=: HOST:PORT is meant");
    if (asprintf(&list, "%s%s%s", o->brokers ? o->brokers : "", o->brokers ? "," : "", value) < 0)
        return -ENOMEM;
    free(o->brokers);
    o->brokers = list;
    return 0;
}

/* The daemon leaves its directory. */
static int read_config(struct options_kafka *o, const char *value, struct err *err) {
    if (o->config)
        return twice("kafka-config", err);
    o->config = realpath(value, NULL);
    return o->config ? 0 : err_set(err, EINVAL, "kafka-config=%s: %s", value, strerror(errno));
}

static int read_mode(struct options_kafka *o, const char *value, struct err *err) {
    if (o->mode_given)
        return twice("kafka-mode", err);
    o->engine.structured = strcmp(value, "structured") == 0;
    o->mode_given = true;
    if (!o->engine.structured && strcmp(value, "binary") != 0)
        return err_set(err, EINVAL, "kafka-mode=%s: binary or structured is meant", value);
    return 0;
}

static int read_filter(struct options_kafka *o, const char *value) {
    size_t n = o->engine.n_filters;
    char **filters = realloc(o->filters, (n + 1) * sizeof *filters);
    if (!filters)
        return -ENOMEM;
    o->filters = filters;
    filters[n] = strdup(value);
    if (!filters[n])
        return -ENOMEM;
    o->engine.n_filters++;
    return 0;
}

static int read_flush(struct options_kafka *o, const char *value, struct err *err) {
    if (o->flush_given)
        return twice("kafka-flush", err);
    char *end;
    unsigned long n = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || n > FLUSH_MAX)
        return err_set(err, EINVAL, "kafka-flush=%s: seconds are meant, 0 to %d", value, FLUSH_MAX);
    o->engine.flush_seconds = (unsigned)n;
    o->flush_given = true;
    return 0;
}

int options_kafka_read(struct options_kafka *o, const char *option, struct err *err) {
    static const char *const names[][2] = {
        {"kafka", "HOST:PORT"},   {"kafka-config", "FILE"}, {"kafka-topic", "NAME"},    {"kafka-mode", "MODE"},
        {"kafka-filter", "TYPE"}, {"kafka-since", "WHEN"},  {"kafka-flush", "SECONDS"},
    };
    const char *value;
    if ((value = option_value(option, "kafka")))
        return read_brokers(o, value, err);
    if ((value = option_value(option, "kafka-config")))
        return read_config(o, value, err);
    if ((value = option_value(option, "kafka-topic")))
        return keep(&o->topic, "kafka-topic", value, err);
    if ((value = option_value(option, "kafka-mode")))
        return read_mode(o, value, err);
    if ((value = option_value(option, "kafka-filter")))
        return read_filter(o, value);
    if ((value = option_value(option, "kafka-since")))
        return keep(&o->since, "kafka-since", value, err);
    if ((value = option_value(option, "kafka-flush")))
        return read_flush(o, value, err);
    return option_bare(option, names, sizeof names / sizeof *names, err);
}

int options_kafka_end(struct options_kafka *o, const struct kafka_options **out, struct err *err) {
    bool more = o->topic || o->since || o->mode_given || o->flush_given || o->engine.n_filters;
    bool asked = o->brokers || o->config;
    if (!asked && more)
        return err_set(err, EINVAL,
                       "kafka=HOST:PORT or kafka-config=FILE is missing: the other options of Kafka say how "
                       "to publish, and not where to");
    o->engine.brokers = o->brokers;
    o->engine.config = o->config;
    o->engine.topic = o->topic;
    o->engine.since = o->since;
    o->engine.filters = (const char *const *)o->filters;
    if (!o->flush_given)
        o->engine.flush_seconds = KAFKA_FLUSH_SECONDS;
    *out = asked ? &o->engine : NULL;
    return 0;
}

void options_kafka_free(struct options_kafka *o) {
    for (size_t i = 0; i < o->engine.n_filters; i++)
        free(o->filters[i]);
    free(o->filters);
    free(o->brokers);
    free(o->config);
    free(o->topic);
    free(o->since);
}
