/* Arbitrary bytes as a chunk of the log: opening it, its records, their events, and walks from every event. What is
 * given must lie within the bytes, whatever they say. */
#include "block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(holds)                                                                                                   \
    do {                                                                                                               \
        if (!(holds)) {                                                                                                \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #holds);                                  \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void within(struct str value, struct str s) {
    CHECK(s.n == 0 || (s.p >= value.p && s.n <= value.n && s.p + s.n <= value.p + value.n));
}

static void event_check(struct str value, const struct event *e) {
    within(value, e->aggregate_id);
    within(value, e->type);
    within(value, e->data);
    within(value, e->commandid);
    within(value, e->correlationid);
    within(value, e->causationid);
    within(value, e->traceparent);
    within(value, e->meta);
}

/* What an event says can be rendered: to the byte as large as was said. */
static void event_render_check(struct event *e) {
    static const uint8_t store_id[16] = {1};
    e->aggregate_type = STR("type");
    e->store_id = store_id;
    size_t size = event_size(e);
    char *line = malloc(size);
    CHECK(event_render(e, line) == line + size);
    free(line);
}

static void record_check(const struct chunk *c, const struct record *r) {
    struct event e;
    const char *at = r->events;
    CHECK(r->kind >= RECORD_COMMAND && r->kind <= RECORD_SKIP);
    within(c->value, r->name);
    within(c->value, r->schema_name);
    within(c->value, r->schema_text);
    within(c->value, r->follower);
    CHECK(r->kind != RECORD_SKIP || (r->position > 0 && r->follower.n > 0));
    if (r->kind != RECORD_COMMAND)
        return;
    CHECK(r->content == NULL || r->id.p != NULL);
    for (uint32_t i = 0; i < r->n_events; i++) {
        if (record_event(r, &at, i, r->version + i, r->time, &e) != 0)
            break;
        CHECK(at <= r->events_end);
        event_check(c->value, &e);
        event_render_check(&e);
    }
}

/* A walk from event i gives what the walk from the first one gives there, if both get so far. */
static void walk_check(const struct chunk *c, uint32_t i) {
    struct chunk_walk w;
    struct event e;
    int r = chunk_walk_begin(&w, c, i);
    CHECK(r == 0 || r == -EBADMSG);
    CHECK(r == 0 || i != c->header.n_events);
    for (unsigned n = 0; r == 0 && n < 8; n++) {
        r = chunk_walk_next(&w, &e);
        CHECK(r == 0 || r == 1 || r == -EBADMSG);
        if (r != 0)
            return;
        CHECK(e.position == c->header.first_position + i + n);
        event_check(c->value, &e);
    }
}

static void chunk_check(struct str value) {
    struct chunk c;
    struct record r;
    struct err err = {0};
    const char *at = NULL;
    int opened = chunk_open(&c, value, &err);
    CHECK(opened == 0 || (opened == -EBADMSG && err.text[0]));
    if (opened != 0)
        return;
    while (chunk_record(&c, &at, &r) == 0)
        record_check(&c, &r);
    for (uint32_t i = 0; i <= c.header.n_events; i++)
        walk_check(&c, i);
}

/* Few inputs would get past the header, so most get one that fits: the first byte says how many events. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    if (n < 2)
        return 0;
    char *value = malloc(n);
    memcpy(value, bytes, n);
    chunk_check((struct str){value, n});
    uint32_t events = bytes[0] % 32, table = (uint32_t)(n - 4 * events);
    if (n >= 56 + 32 + 4 * events) {
        memcpy(value, "ESC1\x01\x01", 6);
        memcpy(value + 48, &events, 4);
        memcpy(value + 52, &table, 4);
        chunk_check((struct str){value, n});
    }
    free(value);
    return 0;
}
