/* What would be published of a rehearsal. */
#include "rehearsal_private.h"

#include "kafka_message.h"
#include "kafka_topic.h"

#include <errno.h>

static const struct event *event_at(const struct rehearsal *r, uint64_t position) {
    const struct happening *h = &r->log[position - 1];
    return &h->member->events[h->i];
}

/* What an event is published as. -EINVAL: "kafka.lua cannot make messages of OrderPaid, event 2 of order/1: ...". */
static int messages_of(struct rehearsal *r, const struct event *e, const struct event **list, size_t *n,
                       struct script_fault *fault, struct err *err) {
    struct err why = {0};
    int rc = kafka_rules_apply(r->rules, e, list, n, &why);
    if (rc == 0)
        return 0;
    if (rc < 0)
        return err_set(err, -rc, "%s", why.text);
    *fault = *kafka_rules_fault(r->rules);
    return err_set(err, EINVAL, "%s cannot make messages of %.*s, event %llu of %.*s/%.*s: %s",
                   r->domain->kafka->file.p, (int)e->type.n, e->type.p, (unsigned long long)e->version,
                   (int)e->aggregate_type.n, e->aggregate_type.p, (int)e->aggregate_id.n, e->aggregate_id.p, why.text);
}

int rehearsal_rules_follow(struct rehearsal *r, struct script_fault *fault, struct err *err) {
    int rc = 0;
    while (r->rules && rc == 0 && r->published < r->position) {
        const struct event *list;
        size_t n;
        rc = messages_of(r, event_at(r, r->published + 1), &list, &n, fault, err);
        r->published += rc == 0;
    }
    return rc;
}

static int event_publish(struct rehearsal *r, const struct event *e, rehearsal_message *each, void *arg,
                         struct script_fault *fault, struct err *err) {
    const struct event *list;
    size_t n;
    char topic[KAFKA_TOPIC_MAX + 1];
    int rc = messages_of(r, e, &list, &n, fault, err);
    arena_reset(&r->arena, REHEARSAL_KEEP);
    kafka_topic_name(KAFKA_TOPIC_DEFAULT, e->aggregate_type, topic);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct kafka_message m;
        rc = kafka_message_make(&m, &list[i], kafka_message_part(i, n), false, &r->arena, r->parser);
        rc = rc < 0 ? err_set(err, -rc, "%s", strerror(-rc)) : each(arg, topic, &m);
    }
    return rc;
}

int rehearsal_publish(struct rehearsal *r, uint64_t behind, rehearsal_message *each, void *arg,
                      struct script_fault *fault, struct err *err) {
    int rc = 0;
    for (uint64_t position = behind + 1; rc == 0 && position <= r->position; position++)
        rc = event_publish(r, event_at(r, position), each, arg, fault, err);
    return rc;
}
