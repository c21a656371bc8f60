/* Comparing what is in Kafka with the log, and moving the cursor by hand: for tools, with a store that nobody
 * publishes. */
#ifndef ESFS_KAFKA_VERIFY_H
#define ESFS_KAFKA_VERIFY_H

#include "db.h"
#include "err.h"
#include "store.h"

struct kafka_verify_options {
    const char *brokers; /* as in kafka.h; NULL: the file says it */
    const char *config;
    const char *topic;  /* template; NULL: that of what was published last */
    const char *domain; /* the directory with the kafka.lua that is in force; NULL: none is */
    uint64_t from;      /* events before this position need not be there, and are not counted */
};

struct kafka_verify_result {
    uint64_t cursor;     /* up to here all must be there */
    uint64_t events;     /* that were found, each once */
    uint64_t duplicates; /* messages beyond these, of the same events */
    uint64_t foreign;    /* messages that are none of this store's events */
    uint64_t parked;     /* events that need not be there for it */
    uint64_t skipped;    /* events up to the cursor that the log says to pass over */
    uint64_t earlier;    /* messages that another kafka.lua may have made: their bodies are not compared */
    uint64_t moved;      /* aggregates that were found in more than one partition: partitions were added */
};

enum { KAFKA_FAULT = 1 };

/* Reads the topics from beginning to end. Every event up to the cursor that was to be published and is neither parked
 * nor passed over must be there, with its very bytes, and in each partition the events of an aggregate in their order
 * (the first time that each comes). 0; KAFKA_FAULT with the first fault in words; or a negative errno in words. */
int kafka_verify(struct store *store, const struct kafka_verify_options *options, struct kafka_verify_result *out,
                 struct err *err);

/* Puts the cursor behind a position, which must not be past the end of the log: what comes after it is published
 * (again) by the next mount, under whatever settings that has. What is parked behind it is not any more; *kept and
 * *dropped say how many. Durable on return. 0 or a negative errno in words. */
int kafka_seek(struct db *db, uint64_t position, uint64_t *kept, uint64_t *dropped, struct err *err);

#endif
