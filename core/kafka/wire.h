/* Kafka's protocol behind our errors; wire.c alone includes librdkafka/rdkafka.h.
 *
 * A `wire` is a producer that keeps the order of each key: of two messages with the same key, sent one after the other,
 * the second is never in Kafka unless the first is. It breaks rather than go on past a message that failed; the owner
 * then makes another one and sends again what was not acknowledged. What was under way when it broke may be in Kafka or
 * not. A `wire_reader` reads topics from their beginning to their end.
 *
 * One thread a wire, which also gets the reports; `wake` and `log` come from librdkafka's own threads. */
#ifndef ESFS_WIRE_H
#define ESFS_WIRE_H

#include "err.h"
#include "kafka_message.h"
#include "kafka_properties.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_outcome {
    WIRE_DONE = 0,      /* sent, or acknowledged */
    WIRE_LATER,         /* not sent: to be tried again after a report, or after wire_patience() */
    WIRE_LOST,          /* failed for no fault of its own, or was given up: to be sent again by another wire */
    WIRE_REFUSED,       /* the broker will not have this message, or another one of its batch */
    WIRE_REFUSED_TOPIC, /* nor anything else in this topic */
};

struct wire_options {
    const struct kafka_properties *properties; /* of the user; borrowed for wire_new() */
    bool alone;                                /* each message is a batch of its own: what is refused is this one */
    size_t batch_bytes;                        /* of a batch, at most; 0: as the properties say */
    /* In wire_poll() and wire_free(), once for each message that was sent. `topic` as given to wire_topic_open(). */
    void (*reported)(void *arg, void *topic, uint64_t position, enum wire_outcome outcome, const struct err *why);
    /* Where one landed that was acknowledged, before that is reported; not for those that the broker had already. */
    void (*landed)(void *arg, void *topic, int32_t partition, int64_t offset);
    /* In wire_poll(): something keeps messages from arriving. They are not lost by it. */
    void (*troubled)(void *arg, const struct err *why);
    void (*wake)(void *arg); /* there are reports: wire_poll() */
    void (*log)(void *arg, int priority, const char *line);
    void *arg;
};

struct wire;
struct wire_topic;

/* Whether librdkafka knows the properties and takes their values. 0, or -EINVAL in its words. */
int wire_properties_check(const struct kafka_properties *properties, struct err *err);

/* No broker need be there. -EINVAL for properties that librdkafka does not take, in its words. */
int wire_new(struct wire **out, const struct wire_options *options, struct err *err);
/* What is under way gets `ms` to be acknowledged, the rest is reported as lost. NULL is fine. */
void wire_free(struct wire *w, unsigned ms);

/* Lives as long as the wire. 0 or a negative errno. */
int wire_topic_open(struct wire *w, const char *name, void *arg, struct wire_topic **out, struct err *err);

/* The message is copied. `position` comes back with the report. WIRE_DONE, WIRE_LATER, WIRE_LOST (the wire is broken),
 * or, with *why, WIRE_REFUSED, WIRE_REFUSED_TOPIC: this very message, and there will be no report. May ask for the
 * topic's metadata, and then takes up to a fifth of a second. */
enum wire_outcome wire_send(struct wire_topic *t, const struct kafka_message *m, uint64_t position, struct err *why);

void wire_poll(struct wire *w);    /* gives what there is to report */
bool wire_reaches(struct wire *w); /* whether the cluster answers; asks it, for up to a fifth of a second */
bool wire_broken(const struct wire *w);
size_t wire_pending(const struct wire *w); /* sent and not reported */
int wire_patience(const struct wire *w);   /* ms until what is not ready may be asked for again; -1: nothing is */
size_t wire_batch_bytes(const struct wire *w);
size_t wire_linger_ms(const struct wire *w); /* how long a batch may wait for more, by the properties */

/* --- reading */

struct wire_record { /* strings are valid until the next call; p NULL: there is none (null) */
    const char *topic;
    int32_t partition;
    int64_t offset;
    struct str key, value;
    struct kafka_header *headers;
    size_t n_headers;
};

struct wire_reader;

/* Topics that do not exist are passed over; there[i] says whether topics[i] does (NULL: nobody wants to know). */
int wire_reader_new(struct wire_reader **out, const struct kafka_properties *properties, const char *const *topics,
                    size_t n, bool *there, struct err *err);
void wire_reader_free(struct wire_reader *r); /* NULL is fine */
enum { WIRE_END = 1 };
/* 0, WIRE_END when all partitions are read to their end, or a negative errno in words (no broker answers). */
int wire_reader_next(struct wire_reader *r, struct wire_record *out, struct err *err);

#endif
