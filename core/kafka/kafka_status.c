/* What is shown of the publisher: .esfs/kafka/status.json, and the files of parked events. */
#include "kafka_private.h"

#include "figures.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- status.json */

struct view {
    struct kafka_figures figures;
    uint64_t head;
    size_t parked;
};

static bool is_full(const struct view *v) {
    return v->parked >= KAFKA_PARKED_MAX;
}

static const char *state_word(const struct view *v) {
    if (v->figures.halted.code || is_full(v))
        return "halted";
    if (v->figures.trouble.count > 0)
        return "waiting";
    return v->figures.caught_up || v->figures.cursor == v->head ? "live" : "catching-up";
}

static void put_reason(const struct view *v, json_t *object) {
    if (v->figures.halted.code)
        json_object_set_new(object, "reason", json_string(v->figures.halted.text));
    else if (is_full(v))
        json_object_set_new(object, "reason",
                            json_sprintf("%zu events are parked: nothing more is sent until some are gone", v->parked));
}

static void put_error(const struct kafka_trouble *t, json_t *object) {
    if (!t->since)
        return;
    json_t *error = json_object();
    json_object_set_new(error, "error", json_string(t->err.text));
    json_object_set_new(error, "since", figure_time(t->since));
    json_object_set_new(error, "last", figure_time(t->last));
    json_object_set_new(error, "over", json_boolean(t->count == 0));
    json_object_set_new(object, "last_error", error);
}

static json_t *topics_array(struct kafka *k) {
    json_t *list = json_array();
    pthread_mutex_lock(&k->lock);
    for (const struct kafka_topic *t = k->topics; t; t = t->next) {
        json_t *topic = json_object();
        json_object_set_new(topic, "topic", json_string(t->name));
        json_object_set_new(topic, "acknowledged", figure_number(t->acknowledged));
        json_object_set_new(topic, "refused", figure_number(t->refused));
        json_array_insert_new(list, 0, topic); /* the list has the newest first */
    }
    pthread_mutex_unlock(&k->lock);
    return list;
}

static void put_settings(struct kafka *k, json_t *object) {
    const char *brokers = kafka_properties_find(&k->properties, "bootstrap.servers");
    json_object_set_new(object, "brokers", json_string(brokers ? brokers : ""));
    json_object_set_new(object, "topic", json_string(k->settings.topic));
    json_object_set_new(object, "mode", json_string(k->settings.structured ? "structured" : "binary"));
    if (k->settings.n_filters) {
        json_t *filters = json_array();
        for (size_t i = 0; i < k->settings.n_filters; i++) {
            const struct kafka_filter *f = &k->settings.filters[i];
            json_array_append_new(filters, json_sprintf("%.*s%s%.*s", (int)f->type.n, f->type.p, f->event.n ? "/" : "",
                                                        (int)f->event.n, f->event.p));
        }
        json_object_set_new(object, "filter", filters);
    }
    if (k->settings.since_time)
        json_object_set_new(object, "since", figure_time(k->settings.since_time));
    else if (k->settings.since_position)
        json_object_set_new(object, "since", figure_position(k->settings.since_position));
}

bool kafka_note_since(const struct kafka *k, uint64_t head, char out[KAFKA_NOTE_ROOM]) {
    const struct kafka_settings *s = &k->settings;
    char time[EVENT_TIME_CHARS];
    if (s->since_position > head + 1) {
        snprintf(out, KAFKA_NOTE_ROOM,
                 "kafka-since=%016" PRIx64 ": nothing is published yet: the log ends at position %016" PRIx64,
                 s->since_position, head);
        return true;
    }
    if (s->since_time <= store_now())
        return false;
    event_time(s->since_time, time);
    snprintf(out, KAFKA_NOTE_ROOM, "kafka-since=%.*s: nothing is published yet: that is in the future",
             EVENT_TIME_CHARS, time);
    return true;
}

static void put_note(struct kafka *k, uint64_t head, json_t *object) {
    char note[KAFKA_NOTE_ROOM];
    if (kafka_note_since(k, head, note))
        json_object_set_new(object, "note", json_string(note));
}

static void put_figures(struct kafka *k, const struct view *v, json_t *object) {
    const struct kafka_figures *f = &v->figures;
    uint64_t lag = v->head > f->cursor ? v->head - f->cursor : 0;
    json_object_set_new(object, "position", figure_position(f->cursor));
    json_object_set_new(object, "lag_events", figure_number(lag));
    json_object_set_new(object, "lag_seconds", json_real(lag ? figure_behind(k->store, f->cursor) : 0));
    json_object_set_new(object, "rate", figure_number((uint64_t)f->rate));
    json_object_set_new(object, "under_way", figure_number(f->pending));
    json_object_set_new(object, "acknowledged", figure_number(f->acknowledged));
    json_object_set_new(object, "parked", figure_number(v->parked));
    json_object_set_new(object, "skipped",
                        figure_number(index_skip_count(k->store->index, STR(KAFKA_FOLLOWER), 0, UINT64_MAX)));
    json_object_set_new(object, "producers", figure_number(f->wires));
}

int kafka_status(struct kafka *k, struct buf *out) {
    json_t *object = json_object();
    if (!k) {
        json_object_set_new(object, "state", json_string("read-only"));
        return figures_put(out, object);
    }
    pthread_mutex_lock(&k->lock);
    const struct view v = {k->figures, feed_position(&k->store->feed), k->shelf.n};
    pthread_mutex_unlock(&k->lock);
    json_object_set_new(object, "state", json_string(state_word(&v)));
    put_reason(&v, object);
    put_error(&v.figures.trouble, object);
    put_note(k, v.head, object);
    put_figures(k, &v, object);
    json_object_set_new(object, "topics", topics_array(k));
    if (v.figures.ruled)
        json_object_set_new(object, "kafka_lua_since", figure_position(v.figures.ruled_since));
    put_settings(k, object);
    return figures_put(out, object);
}

/* --- what is parked */

int kafka_parked(struct kafka *k, uint64_t after, uint64_t *out, size_t n) {
    size_t m = 0;
    pthread_mutex_lock(&k->lock);
    for (size_t i = after < UINT64_MAX ? kafka_shelf_at(&k->shelf, after + 1) : k->shelf.n; i < k->shelf.n && m < n;
         i++)
        out[m++] = k->shelf.list[i].position;
    pthread_mutex_unlock(&k->lock);
    return (int)m;
}

static void member_put(struct buf *out, const char *name, struct str text) {
    buf_printf(out, "\"%s\":", name);
    buf_put_json_string(out, text);
    buf_put_char(out, ',');
}

static void position_put(struct buf *out, const char *name, uint64_t position) {
    char text[EVENT_POSITION_CHARS];
    event_position(position, text);
    member_put(out, name, (struct str){text, sizeof text});
}

/* Under the lock. */
static void entry_put(struct kafka *k, const struct kafka_parked *p, struct buf *out) {
    char time[EVENT_TIME_CHARS];
    const struct kafka_parked *first = kafka_shelf_first(&k->shelf, p->aggregate);
    position_put(out, "position", p->position);
    if (p->refused) {
        event_time(p->time, time);
        member_put(out, "error", str_of(p->why));
        buf_printf(out, "\"attempts\":%" PRIu64 ",", p->attempts);
        member_put(out, "time", (struct str){time, sizeof time});
    }
    if (first != p)
        position_put(out, "waits_for", first->position);
}

static int event_put(struct kafka *k, uint64_t position, struct buf *out) {
    struct text_event e;
    char topic[KAFKA_TOPIC_MAX + 1];
    int r = text_stat_event(k->store, position, &e);
    if (r < 0)
        return r;
    kafka_topic_name(k->settings.topic, index_type_name(k->store->index, e.type_no), topic);
    member_put(out, "topic", str_of(topic));
    buf_put_text(out, "\"event\":");
    r = text_put_event(k->store, position, out);
    buf_put_text(out, "}\n");
    return r == 0 && out->oom ? -ENOMEM : r;
}

int kafka_parked_text(struct kafka *k, uint64_t position, struct buf *out) {
    buf_put_char(out, '{');
    pthread_mutex_lock(&k->lock);
    const struct kafka_parked *p = kafka_shelf_find(&k->shelf, position);
    if (p)
        entry_put(k, p, out);
    pthread_mutex_unlock(&k->lock);
    return p ? event_put(k, position, out) : -ENOENT;
}
