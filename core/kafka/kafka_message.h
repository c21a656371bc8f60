/* An event as a message of Kafka: CloudEvents 1.0, Kafka protocol binding.
 *
 * Binary: a header `ce_<attribute>` for every attribute of the event's line and for `partitionkey`, `content-type` for
 * datacontenttype, and the data's bytes, as they are stored, as the value. Structured: the line without its newline,
 * with `partitionkey` behind `uid`, as the value. The key is the aggregate's id, and so is partitionkey (CloudEvents'
 * partitioning extension wants the key in the event too). The same event makes the same message for ever. */
#ifndef ESFS_KAFKA_MESSAGE_H
#define ESFS_KAFKA_MESSAGE_H

#include "arena.h"
#include "event.h"

#include <stdbool.h>

struct json_parser;

struct kafka_header {
    const char *name;
    struct str value;
};

struct kafka_message {
    struct str key, value;
    struct kafka_header *headers;
    size_t n_headers;
    size_t bytes; /* about what it takes while it is under way */
};

/* The part that the i-th, from 0, of n messages of an event is. */
static inline size_t kafka_message_part(size_t i, size_t n) {
    return n > 1 ? i + 1 : 0;
}

/* Of an event, complete. `part`: 0, or the number, from 1, among several messages that an event has become; then it
 * stands behind the id, after a `-`. What it points to lives in the arena, or as long as the event's strings. 0,
 * -ENOMEM, or -EUCLEAN when the event's meta is none. */
int kafka_message_make(struct kafka_message *out, const struct event *e, size_t part, bool structured,
                       struct arena *arena, struct json_parser *parser);

/* In structured mode the id stands behind this. */
#define KAFKA_STRUCTURED_ID "{\"specversion\":\"1.0\",\"id\":\""

#define KAFKA_POSITION_HEADER "ce_position"
#define KAFKA_STRUCTURED_TYPE "application/cloudevents+json"

#endif
