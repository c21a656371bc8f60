/* The publisher: sends the events of the log to Kafka (design and limits: README.md, "Kafka").
 *
 * It follows the log in a thread of its own, of low priority, and sends each event to the topic of its type, with its
 * aggregate's id as the key. Its cursor is durable (FORMAT.md, "Cursors"): everything up to it has been acknowledged,
 * is parked, or is not to be published; what lies past it is sent again after a crash, so messages may come twice, with
 * the same ids. The log is the queue: nothing that Kafka does or fails to do slows or stops an append.
 *
 * For each aggregate the events arrive in their order (the first time that each arrives). What Kafka refuses for good
 * is parked, and later events of its aggregate wait behind it.
 *
 * Everything here may be called from any thread between kafka_new() and kafka_free(). */
#ifndef ESFS_KAFKA_H
#define ESFS_KAFKA_H

#include "buf.h"
#include "err.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>

#define KAFKA_FOLLOWER "kafka" /* in the log's records of what is passed over */
#define KAFKA_FLUSH_SECONDS 10
#define KAFKA_PARKED_MAX 10000 /* then nothing more is sent until some are gone */

struct kafka;
struct domain;

/* Borrowed until store_close(). */
struct kafka_options {
    const char *brokers;        /* HOST:PORT, with commas between; NULL: the file says it */
    const char *config;         /* a file of librdkafka's properties, name=value lines; NULL: none */
    const char *topic;          /* template (kafka_topic.h); NULL: the default */
    bool structured;            /* CloudEvents' structured mode; otherwise binary */
    const char *const *filters; /* "order" or "order/OrderPlaced"; none: everything */
    size_t n_filters;
    const char *since;      /* the first position or time that is published; NULL: from the first event on */
    unsigned flush_seconds; /* how long the end may wait for what is under way */
};

/* What can be said of them without the store. 0 or -EINVAL, -ENOENT, -ENOMEM, ... in words. */
int kafka_options_check(const struct kafka_options *options, struct err *err);

/* Begins to publish. 0; or a negative errno in words: -EINVAL (the options, the file, a property), -EEXIST (the
 * settings are not those of what was published before), -EUCLEAN (the cursor lies past the end of the log). That no
 * broker can be reached is no error. */
int kafka_new(struct kafka **out, struct store *store, const struct kafka_options *options, struct err *err);
/* Whatever waits for an answer gets -ESHUTDOWN, what is under way gets some seconds to be acknowledged, the cursor
 * is made durable. kafka_stop() begins with that and does not wait. NULL is fine for both. */
void kafka_stop(struct kafka *k);
void kafka_free(struct kafka *k);

/* Refuses a store whose cursor lies past the end of the log: the log was cut short. 0 or a negative errno in words. */
int kafka_check(struct store *store, struct err *err);

/* A domain has come into force: its kafka.lua, if it has one, says from now on what is published. Recorded with the
 * cursor. Waits for the publisher's thread to take it. NULL is fine for `k`. */
void kafka_adopt(struct kafka *k, struct domain *d);

/* .esfs/kafka/status.json. 0 or -ENOMEM. `k` NULL: of a store that is not written to. */
int kafka_status(struct kafka *k, struct buf *out);

/* Up to n positions of parked events above `after`, ascending. Returns how many, 0 at the end. */
int kafka_parked(struct kafka *k, uint64_t after, uint64_t *out, size_t n);
/* <position>.json of a parked event: the event, why it is parked, whom it waits for. 0, -ENOENT, -EIO, -ENOMEM. */
int kafka_parked_text(struct kafka *k, uint64_t position, struct buf *out);

/* `done` is called once, from another thread or before the call returns, with 0 or a negative errno: -ENOENT (not
 * parked), -EBUSY (an earlier event of its aggregate is, or it is being sent), -EIO (it was refused again; its file
 * says how), -EROFS, -ESHUTDOWN. Those that waited behind it follow by themselves. */
typedef void kafka_done(void *arg, int result);
/* Sends it again; done when it is acknowledged, however long that takes. */
void kafka_retry(struct kafka *k, uint64_t position, kafka_done *done, void *arg);
/* Passes over it for good: a record in the log. */
void kafka_skip(struct kafka *k, uint64_t position, const struct caller *caller, kafka_done *done, void *arg);

#endif
