/* .esfs/status.json and .esfs/config.json: one JSON object each, a newline at the end. */
#include "store_parts.h"

#include "domain.h"
#include "event.h"
#include "figures.h"
#include "kafka.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static json_t *id_text(const uint8_t id[16]) {
    char text[33];
    for (size_t i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    return json_string(text);
}

static json_t *text_of(struct str s) {
    return json_stringn(s.p, s.n);
}

/* The domain in force: from where, which files (as a hash), for what. */
static json_t *domain_object(const struct domain *d) {
    json_t *object = json_object(), *types = json_array();
    char hash[2 * DIGEST_CHAIN + 1];
    for (size_t i = 0; i < DIGEST_CHAIN; i++)
        snprintf(hash + 2 * i, 3, "%02x", d->hash[i]);
    for (size_t i = 0; i < d->n_types; i++)
        json_array_append_new(types, text_of(d->types[i].name));
    json_object_set_new(object, "directory", text_of(d->directory));
    json_object_set_new(object, "hash", json_string(hash));
    json_object_set_new(object, "types", types);
    return object;
}

static void put_domain(struct store *s, json_t *object) {
    struct domain *d = store_domain(s);
    if (!d)
        return;
    json_object_set_new(object, "domain", domain_object(d));
    json_object_set_new(object, "assert_format", json_boolean(s->options.assert_format));
    json_object_set_new(object, "root_allowed", json_boolean(s->options.ownership.root_allowed));
    domain_unref(d);
}

/* "ok", "no-room" (commands get ENOSPC until there is room) or "read-only" (with the reason). */
static const char *state_word(struct store *s, const struct sequencer_state *state) {
    if (store_read_only(s))
        return "read-only";
    return state->no_room ? "no-room" : "ok";
}

static void put_reason(struct store *s, json_t *object) {
    pthread_mutex_lock(&s->lock);
    if (s->failure.code)
        json_object_set_new(object, "reason", json_string(s->failure.text));
    else if (s->read_only[0])
        json_object_set_new(object, "reason", json_string(s->read_only));
    pthread_mutex_unlock(&s->lock);
}

static void put_counts(struct store *s, json_t *object, const struct sequencer_state *state) {
    struct index_type type = {0};
    uint64_t types = 0, aggregates = 0;
    while (index_type_after(s->index, type.no, &type) == 0) {
        types++;
        aggregates += type.aggregates;
    }
    json_object_set_new(object, "types", figure_number(types));
    json_object_set_new(object, "aggregates", figure_number(aggregates));
    json_object_set_new(object, "commands", figure_number(state->commands));
    json_object_set_new(object, "refused", figure_number(state->refused));
    json_object_set_new(object, "blocks", figure_number(state->blocks));
    json_object_set_new(object, "queued", figure_number(state->queued));
}

static void put_disk(struct store *s, json_t *object) {
    struct statvfs v;
    struct db_stats stats;
    db_stats_get(s->db, &stats);
    json_object_set_new(object, "log_table_bytes", figure_number(stats.table_bytes[DB_LOG]));
    json_object_set_new(object, "derived_table_bytes", figure_number(stats.table_bytes[DB_DERIVED]));
    json_object_set_new(object, "reserve_bytes", figure_number(store_reserve_bytes(s)));
    if (store_statvfs(s, &v) == 0)
        json_object_set_new(object, "free_bytes", figure_number((uint64_t)v.f_bavail * v.f_frsize));
}

int store_status(struct store *s, struct buf *out) {
    struct sequencer_state state;
    struct index_head head;
    struct err fault = {0};
    json_t *object = json_object();
    sequencer_state(s->sequencer, &state);
    index_head(s->index, &head);
    json_object_set_new(object, "state", json_string(state_word(s, &state)));
    put_reason(s, object);
    json_object_set_new(object, "position", figure_position(head.position));
    json_object_set_new(object, "events", figure_number(head.position));
    json_object_set_new(object, "log_bytes", figure_number(head.log_bytes));
    json_object_set_new(object, "block", figure_number(head.block));
    json_object_set_new(object, "derived_position", figure_position(index_family_position(s->index)));
    if (index_fault(s->index, &fault) < 0)
        json_object_set_new(object, "derived_fault", json_string(fault.text));
    put_counts(s, object, &state);
    put_disk(s, object);
    json_object_set_new(object, "started", figure_time(s->started));
    json_object_set_new(object, "pid", figure_number((uint64_t)getpid()));
    return figures_put(out, object);
}

/* Where to and from which file; the file's properties are nobody's business. */
static void put_kafka(const struct kafka_options *o, json_t *object) {
    if (!o)
        return;
    json_t *kafka = json_object();
    json_object_set_new(kafka, "brokers", o->brokers ? json_string(o->brokers) : json_null());
    json_object_set_new(kafka, "config", o->config ? json_string(o->config) : json_null());
    json_object_set_new(kafka, "flush_seconds", json_integer(o->flush_seconds));
    json_object_set_new(object, "kafka", kafka);
}

int store_config(struct store *s, struct buf *out) {
    static const char *const durability[] = {"commit", "fsync", "os"};
    json_t *object = json_object();
    json_object_set_new(object, "store", json_string(home_path(s->home)));
    json_object_set_new(object, "store_id", id_text(home_id(s->home)));
    json_object_set_new(object, "format", json_integer(HOME_FORMAT));
    json_object_set_new(object, "renderer", json_integer(EVENT_RENDERER));
    json_object_set_new(object, "durability", json_string(durability[s->options.durability]));
    json_object_set_new(object, "max_command", figure_number(s->options.max_command));
    json_object_set_new(object, "read_only", json_boolean(s->options.read_only));
    put_domain(s, object);
    put_kafka(s->options.kafka, object);
    return figures_put(out, object);
}
