#include "kafka_verify.h"

#include "array.h"
#include "json.h"
#include "kafka.h"
#include "kafka_brokers.h"
#include "kafka_data.h"
#include "kafka_message.h"
#include "kafka_properties.h"
#include "kafka_reader.h"
#include "kafka_rules.h"
#include "kafka_settings.h"
#include "kafka_topic.h"
#include "store_parts.h"
#include "wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_KEEP (256 << 10)

/* How far an aggregate's events have come in a partition. */
struct place {
    uint64_t aggregate, last;
    size_t part; /* of the last one's messages */
    int32_t partition;
};

struct verify {
    struct store *store;
    struct stream_source source;
    struct kafka_settings settings;
    struct kafka_properties properties;
    struct kafka_shelf shelf;
    struct kafka_verify_result *result;
    uint64_t from, head;
    struct domain *domain;
    struct kafka_rules *rules;       /* that made what comes behind `last.until` */
    struct kafka_change first, last; /* of kafka.lua */
    char (*topics)[KAFKA_TOPIC_MAX + 1];
    const char **names;
    bool *there; /* which of them Kafka has */
    size_t n_topics, topics_cap;
    uint8_t *seen; /* a bit for each position */
    struct place *places;
    size_t n_places, places_cap;
    struct table by_place;
    struct arena arena;
    struct json_parser *parser;
};

/* --- what to expect */

static int settings_load(struct verify *v, const struct kafka_verify_options *o, struct err *err) {
    struct kafka_meta meta;
    struct buf text = {0};
    int r = kafka_meta_load(v->store->db, &meta, &text, err);
    if (r == DB_NOT_FOUND)
        r = err_set(err, ENOENT, "nothing of this store has been published");
    if (r == 0 && !meta.settings.n && !o->topic)
        r = err_set(err, EINVAL,
                    "how the events are published is not known, since `esfsctl kafka seek`: --topic says it");
    if (r == 0)
        r = kafka_settings_read(&v->settings, meta.settings, err);
    if (r == 0 && o->topic) {
        r = kafka_topic_check(o->topic, err);
        free(v->settings.topic);
        v->settings.topic = strdup(o->topic);
    }
    v->result->cursor = r == 0 ? meta.position : 0;
    buf_free(&text);
    return r;
}

static int properties_load(struct verify *v, const struct kafka_verify_options *o, struct err *err) {
    int r = o->brokers ? kafka_brokers_check("--brokers ", o->brokers, err) : 0;
    if (r == 0 && o->config)
        r = kafka_properties_read(&v->properties, o->config, err);
    if (r == 0 && o->brokers)
        r = kafka_properties_put(&v->properties, "bootstrap.servers", o->brokers);
    if (r == 0 && !kafka_properties_find(&v->properties, "bootstrap.servers"))
        return err_set(err, EINVAL, "no brokers are named: --brokers HOST:PORT");
    return r;
}

static int rules_make(struct verify *v, const char *directory, struct err *err) {
    static const struct domain_options options = {0};
    uint8_t hash[DOMAIN_FOLD_HASH];
    int r = domain_load(&v->domain, directory, &options, err);
    if (r == 0)
        r = kafka_rules_new(&v->rules, v->domain, err);
    if (r < 0)
        return r;
    kafka_rules_hash(v->rules, hash);
    if (memcmp(hash, v->last.hash, sizeof hash) == 0)
        return 0;
    return err_set(err, EINVAL, "%s: this is not the kafka.lua that has made the messages behind position %016" PRIx64,
                   directory, v->last.position);
}

static int rules_load(struct verify *v, const char *directory, struct err *err) {
    static const uint8_t none[DOMAIN_FOLD_HASH];
    int r = kafka_changes_load(v->store->db, &v->first, &v->last, err);
    if (r < 0 || memcmp(v->last.hash, none, sizeof none) == 0)
        return r;
    if (!directory)
        return err_set(err, EINVAL, "a kafka.lua has made the messages behind position %016" PRIx64 ": --domain DIR",
                       v->last.position);
    return rules_make(v, directory, err);
}

/* Of events that other rules may have made messages of no more is known than which ones they are. */
static bool is_loose(const struct verify *v, uint64_t position) {
    return position > v->first.position && position <= v->last.until;
}

/* What an event was published as. */
static int messages_of(struct verify *v, const struct event *e, const struct event **list, size_t *n, struct err *why) {
    return kafka_rules_apply(e->position > v->last.until ? v->rules : NULL, e, list, n, why);
}

/* Types that were removed have no events. */
static int topics_list(struct verify *v) {
    struct index_type type = {0};
    while (index_type_after(v->store->index, type.no, &type) == 0) {
        char name[KAFKA_TOPIC_MAX + 1];
        size_t i = 0;
        kafka_topic_name(v->settings.topic, type.name, name);
        while (i < v->n_topics && strcmp(v->topics[i], name) != 0)
            i++;
        if (i < v->n_topics)
            continue;
        if (!ARRAY_ROOM(v->topics, v->n_topics, v->topics_cap))
            return -ENOMEM;
        memcpy(v->topics[v->n_topics++], name, sizeof name);
    }
    v->names = calloc(v->n_topics + 1, sizeof *v->names);
    for (size_t i = 0; v->names && i < v->n_topics; i++)
        v->names[i] = v->topics[i];
    v->there = calloc(v->n_topics + 1, sizeof *v->there);
    return v->names && v->there ? 0 : -ENOMEM;
}

/* --- one message */

static struct str header_of(const struct wire_record *m, const char *name) {
    for (size_t i = 0; i < m->n_headers; i++)
        if (strcmp(m->headers[i].name, name) == 0)
            return m->headers[i].value;
    return (struct str){NULL, 0};
}

static bool is_structured(const struct wire_record *m) {
    return str_eq(header_of(m, "content-type"), STR(KAFKA_STRUCTURED_TYPE));
}

/* A member of a line as event.c renders it; a line that is not so is none of ours. */
static struct str member_of(struct str line, struct str name) {
    const char *at = line.n ? memmem(line.p, line.n, name.p, name.n) : NULL;
    if (!at)
        return (struct str){NULL, 0};
    at += name.n;
    const char *end = memchr(at, '"', (size_t)(line.p + line.n - at));
    return (struct str){at, end ? (size_t)(end - at) : 0};
}

static struct str position_of(const struct wire_record *m) {
    return is_structured(m) ? member_of(m->value, STR(",\"position\":\"")) : header_of(m, KAFKA_POSITION_HEADER);
}

static struct str id_of(const struct wire_record *m) {
    return is_structured(m) ? member_of(m->value, STR(KAFKA_STRUCTURED_ID)) : header_of(m, "ce_id");
}

static bool is_null(struct str s) {
    return s.p == NULL;
}

/* What differs; NULL: nothing. */
static const char *difference(const struct wire_record *m, const struct kafka_message *want) {
    if (is_null(m->key) || !str_eq(m->key, want->key))
        return "key";
    if (is_null(m->value) || !str_eq(m->value, want->value))
        return "value";
    for (size_t i = 0; i < m->n_headers && i < want->n_headers; i++)
        if (strcmp(m->headers[i].name, want->headers[i].name) != 0 ||
            !str_eq(m->headers[i].value, want->headers[i].value))
            return want->headers[i].name;
    return m->n_headers == want->n_headers ? NULL : "number of headers";
}

static int fault(struct err *err, const struct wire_record *m, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fault(struct err *err, const struct wire_record *m, const char *format, ...) {
    char text[300];
    va_list args;
    va_start(args, format);
    err_format(text, sizeof text, format, args);
    va_end(args);
    err_set(err, EUCLEAN, "%s [%" PRId32 "] offset %" PRId64 ": %s", m->topic, m->partition, m->offset, text);
    return KAFKA_FAULT;
}

static struct place *place_find(struct verify *v, uint64_t aggregate, int32_t partition) {
    struct table_probe probe;
    uint64_t hash = table_hash_number(aggregate << 16 ^ (uint32_t)partition);
    uint32_t i = table_first(&v->by_place, hash, &probe);
    while (i != TABLE_NONE && (v->places[i].aggregate != aggregate || v->places[i].partition != partition))
        i = table_next(&v->by_place, &probe);
    if (i != TABLE_NONE)
        return &v->places[i];
    if (!ARRAY_ROOM(v->places, v->n_places, v->places_cap) || v->n_places >= TABLE_NONE ||
        table_put(&v->by_place, hash, (uint32_t)v->n_places) < 0)
        return NULL;
    v->places[v->n_places] = (struct place){.aggregate = aggregate, .partition = partition};
    return &v->places[v->n_places++];
}

static bool is_seen(const struct verify *v, const struct event *e) {
    return v->seen[e->position / 8] & 1 << e->position % 8;
}

/* An event has been seen when the last of its messages has. */
static int order_check(struct verify *v, const struct wire_record *m, const struct event *e, size_t part, bool last,
                       struct err *err) {
    struct place *p = place_find(v, e->aggregate, m->partition);
    if (!p)
        return err_set(err, ENOMEM, "out of memory");
    if (is_seen(v, e) || (p->last == e->position && part <= p->part)) {
        v->result->duplicates += e->position >= v->from;
        return 0;
    }
    if (p->last > e->position)
        return fault(err, m, "position %016" PRIx64 " of %.*s/%.*s comes behind its later position %016" PRIx64,
                     e->position, (int)e->aggregate_type.n, e->aggregate_type.p, (int)e->aggregate_id.n,
                     e->aggregate_id.p, p->last);
    if (part > 1 && (p->last != e->position || p->part != part - 1))
        return fault(err, m, "position %016" PRIx64 ": message %zu comes without the one before it", e->position, part);
    p->last = e->position;
    p->part = part;
    if (last) {
        v->seen[e->position / 8] |= (uint8_t)(1 << e->position % 8);
        v->result->events += e->position >= v->from;
    }
    return 0;
}

/* Which message of an event this is, 0: the only one, 1 ... n: of several. False: none of it. */
static bool part_read(const struct wire_record *m, const struct event *e, size_t *part) {
    char own[EVENT_ID_CHARS];
    struct str id = id_of(m);
    event_id(e->store_id, e->position, e->time, own);
    *part = 0;
    if (id.n < sizeof own || memcmp(id.p, own, sizeof own) != 0)
        return false;
    if (id.n == sizeof own)
        return true;
    for (size_t i = sizeof own + 1; i < id.n && id.p[i] >= '0' && id.p[i] <= '9' && *part < SIZE_MAX / 20; i++)
        *part = *part * 10 + (size_t)(id.p[i] - '0');
    return id.p[sizeof own] == '-' && *part > 0;
}

/* Made by a kafka.lua that was in force before, perhaps. */
static int loose_check(struct verify *v, const struct wire_record *m, const struct event *e, struct err *err) {
    v->result->earlier++;
    return is_seen(v, e) ? 0 : order_check(v, m, e, 0, true, err);
}

static int event_check(struct verify *v, const struct wire_record *m, const struct event *e, struct err *err) {
    struct kafka_message want;
    const struct event *list;
    char topic[KAFKA_TOPIC_MAX + 1];
    size_t part, n;
    struct err why = {0};
    if (!part_read(m, e, &part)) {
        v->result->foreign++;
        return 0;
    }
    if (is_loose(v, e->position))
        return loose_check(v, m, e, err);
    arena_reset(&v->arena, ARENA_KEEP);
    int r = messages_of(v, e, &list, &n, &why);
    if (r > 0 || (r == 0 && (part ? n < 2 || part > n : n != 1)))
        return fault(err, m, "position %016" PRIx64 ": kafka.lua makes no such message of it%s%s", e->position,
                     r > 0 ? ": " : "", why.text);
    if (r == 0)
        r = kafka_message_make(&want, &list[part ? part - 1 : 0], part, is_structured(m), &v->arena, v->parser);
    if (r < 0)
        return err_set(err, -r, "position %016" PRIx64 ": %s", e->position, why.code ? why.text : strerror(-r));
    const char *differs = difference(m, &want);
    kafka_topic_name(v->settings.topic, e->aggregate_type, topic);
    if (!differs && strcmp(topic, m->topic) != 0)
        differs = "topic";
    if (differs)
        return fault(err, m, "position %016" PRIx64 ": another %s than that of the event", e->position, differs);
    return order_check(v, m, e, part, part == 0 || part == n, err);
}

static int message_check(struct verify *v, const struct wire_record *m, struct err *err) {
    uint64_t position;
    struct log_chunk *chunk;
    struct event e;
    if (!event_position_read(position_of(m), &position) || position == 0 || position > v->head) {
        v->result->foreign++;
        return 0;
    }
    int r = stream_event(&v->source, position, &chunk, &e, err);
    if (r != 0)
        return r < 0 ? r : err_set(err, EIO, "position %016" PRIx64 ": no event", position);
    r = event_check(v, m, &e, err);
    log_chunk_release(chunk);
    return r;
}

/* --- all of them */

static int messages_check(struct verify *v, struct err *err) {
    struct wire_reader *reader;
    struct wire_record m;
    int r = wire_reader_new(&reader, &v->properties, v->names, v->n_topics, v->there, err);
    if (r < 0)
        return r;
    int checked = 0;
    while (checked == 0 && (r = wire_reader_next(reader, &m, err)) == 0)
        checked = message_check(v, &m, err);
    wire_reader_free(reader);
    return checked != 0 ? checked : r < 0 ? r : 0;
}

static bool is_expected(struct verify *v, const struct event *e) {
    const struct event *list;
    size_t n;
    struct err why;
    if (e->position < v->from || is_loose(v, e->position) || !kafka_settings_want(&v->settings, e) ||
        kafka_shelf_find(&v->shelf, e->position) ||
        index_skip_find(v->store->index, STR(KAFKA_FOLLOWER), e->position) == 0)
        return false;
    return messages_of(v, e, &list, &n, &why) != 0 || n > 0;
}

static bool has_topic(const struct verify *v, const char *name) {
    for (size_t i = 0; i < v->n_topics; i++)
        if (strcmp(v->names[i], name) == 0)
            return v->there[i];
    return false;
}

static int is_missing(struct verify *v, const struct event *e, struct err *err) {
    char topic[KAFKA_TOPIC_MAX + 1];
    kafka_topic_name(v->settings.topic, e->aggregate_type, topic);
    err_set(err, EUCLEAN, "%s: %sposition %016" PRIx64 " of %.*s/%.*s is missing", topic,
            has_topic(v, topic) ? "" : "Kafka has no such topic: ", e->position, (int)e->aggregate_type.n,
            e->aggregate_type.p, (int)e->aggregate_id.n, e->aggregate_id.p);
    return KAFKA_FAULT;
}

static int missing_check(struct verify *v, struct err *err) {
    struct kafka_reader reader;
    struct event *e;
    int r, missing = 0;
    kafka_reader_begin(&reader, &v->source, 0);
    while (missing == 0 && (r = kafka_reader_next(&reader, v->result->cursor, &e, err)) == 0) {
        if (!is_seen(v, e) && is_expected(v, e))
            missing = is_missing(v, e, err);
        kafka_reader_take(&reader);
    }
    kafka_reader_rest(&reader);
    return missing != 0 ? missing : r < 0 ? r : 0;
}

static int place_compare(const void *a, const void *b) {
    uint64_t x = ((const struct place *)a)->aggregate, y = ((const struct place *)b)->aggregate;
    return x < y ? -1 : x > y;
}

static void moved_count(struct verify *v) {
    if (v->n_places)
        qsort(v->places, v->n_places, sizeof *v->places, place_compare);
    for (size_t i = 1; i < v->n_places; i++)
        if (v->places[i].aggregate == v->places[i - 1].aggregate &&
            (i == 1 || v->places[i].aggregate != v->places[i - 2].aggregate))
            v->result->moved++;
}

static int prepare(struct verify *v, const struct kafka_verify_options *o, struct err *err) {
    struct index_head head;
    index_head(v->store->index, &head);
    v->head = head.position;
    if (v->from > v->head)
        return err_set(err, EINVAL, "%016" PRIx64 ": the log ends at position %016" PRIx64, v->from, v->head);
    v->seen = calloc(1, head.position / 8 + 1);
    v->parser = json_parser_new();
    int r = v->seen && v->parser ? settings_load(v, o, err) : -ENOMEM;
    if (r == 0)
        r = properties_load(v, o, err);
    if (r == 0)
        r = rules_load(v, o->domain, err);
    if (r == 0)
        r = kafka_parked_load(v->store->db, &v->shelf, err);
    if (r == 0)
        r = topics_list(v);
    v->result->parked = v->shelf.n;
    v->result->skipped =
        index_skip_count(v->store->index, STR(KAFKA_FOLLOWER), v->from > 0 ? v->from - 1 : 0, v->result->cursor);
    return r == -ENOMEM ? err_set(err, ENOMEM, "out of memory") : r;
}

int kafka_verify(struct store *store, const struct kafka_verify_options *options, struct kafka_verify_result *out,
                 struct err *err) {
    struct verify v = {.store = store, .result = out, .from = options->from};
    v.source = (struct stream_source){store->index, store->log, home_id(store->home)};
    *out = (struct kafka_verify_result){0};
    int r = prepare(&v, options, err);
    if (r == 0)
        r = messages_check(&v, err);
    if (r == 0)
        r = missing_check(&v, err);
    moved_count(&v);
    kafka_rules_free(v.rules);
    domain_unref(v.domain);
    kafka_settings_free(&v.settings);
    kafka_properties_free(&v.properties);
    kafka_shelf_free(&v.shelf);
    table_free(&v.by_place);
    arena_free(&v.arena);
    json_parser_free(v.parser);
    free(v.topics);
    free(v.names);
    free(v.there);
    free(v.seen);
    free(v.places);
    return r;
}
