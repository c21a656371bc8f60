/* What is told of failures: in the status at once, in the log and the errors only what lasts, and not more than once a
 * minute, since brokers may be away for a day. */
#include "kafka_private.h"

#include <errno.h>
#include <stdio.h>
#include <syslog.h>

#define TELL_MS 60000
#define SILENT_MS 5000
#define LASTS_US 2000000 /* less is what any connection may need: one address of two, a leader that changes */

void kafka_troubled(void *arg, const struct err *why) {
    struct kafka *k = arg;
    uint64_t now = store_now();
    pthread_mutex_lock(&k->lock);
    struct kafka_trouble *t = &k->figures.trouble;
    if (t->count++ == 0) {
        t->since = now;
        k->told = false;
    }
    t->last = now;
    t->err = *why;
    k->silent = false;
    pthread_mutex_unlock(&k->lock);
}

/* A broker that hangs is no error to librdkafka before a minute has passed, nor is one that answers that its replicas
 * are too few. What is said of other troubles says more. */
void kafka_silence_note(struct kafka *k) {
    const char *brokers = kafka_properties_find(&k->properties, "bootstrap.servers");
    uint64_t now = clock_ms();
    struct err why;
    if (!k->wire || (wire_pending(k->wire) == 0 && wire_patience(k->wire) < 0))
        k->heard_at = now;
    if (!k->wire || now - k->heard_at < SILENT_MS + wire_linger_ms(k->wire) ||
        (k->figures.trouble.count > 0 && !k->silent))
        return;
    err_set(&why, ETIMEDOUT, "no acknowledgement from %s for %llu s", brokers ? brokers : "any broker",
            (unsigned long long)(now - k->heard_at) / 1000);
    kafka_troubled(k, &why);
    pthread_mutex_lock(&k->lock);
    k->silent = true;
    k->figures.trouble.since = store_now() - (now - k->heard_at) * 1000;
    pthread_mutex_unlock(&k->lock);
}

void kafka_trouble_over(struct kafka *k) {
    if (k->figures.trouble.count == 0)
        return;
    pthread_mutex_lock(&k->lock);
    k->figures.trouble.count = 0;
    pthread_mutex_unlock(&k->lock);
    if (k->told)
        store_tell(k->store, LOG_INFO, "kafka: publishing goes on");
}

void kafka_tell_loss(struct kafka *k, const struct err *why) {
    kafka_trouble_over(k); /* something was acknowledged */
    pthread_mutex_lock(&k->lock);
    k->figures.trouble = (struct kafka_trouble){.err = *why, .since = store_now(), .last = store_now()};
    pthread_mutex_unlock(&k->lock);
    store_report(k->store, "publishing to Kafka", why);
}

static bool may_tell(uint64_t *at) {
    uint64_t now = clock_ms();
    if (*at && now - *at < TELL_MS)
        return false;
    *at = now;
    return true;
}

void kafka_trouble_tell(struct kafka *k) {
    const struct kafka_trouble *t = &k->figures.trouble;
    if (t->count == 0 || store_now() - t->since < LASTS_US || !may_tell(&k->told_at))
        return;
    k->told = true;
    store_report(k->store, "publishing to Kafka", &t->err);
}

void kafka_tell_refusal(struct kafka *k, uint64_t position, const struct err *why) {
    struct err err;
    if (!may_tell(&k->refusal_told_at))
        return;
    err_set(&err, why->code, "position %016llx was refused and is parked: %s", (unsigned long long)position, why->text);
    store_report(k->store, "publishing to Kafka", &err);
}
