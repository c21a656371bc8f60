/* A made-up log and what it says: a writer of random but valid blocks that keeps, in plain arrays, everything that
 * the index should answer. For tests of what stands on the log. */
#ifndef ESFS_TEST_STORY_H
#define ESFS_TEST_STORY_H

#include "array.h"
#include "block.h"
#include "db.h"
#include "index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t story_store_id[16] = "a store for test";

struct story_type {
    char name[32];
    bool exists;
    uint64_t aggregates, events, bytes, time;
};

struct story_aggregate {
    uint32_t type_no;
    char id[48];
    bool exists;
    uint64_t version, bytes, time;
};

struct story_event {
    uint64_t aggregate, version, time, offset, log_offset, type_offset;
    uint32_t size, type_no, schema;
    char type[24];
    uint64_t block, chunk_position; /* of the chunk that holds it */
    uint16_t chunk;
};

struct story_command {
    uint64_t aggregate, version, position;
    uint32_t n_events;
    char id[32];
    uint8_t content[DIGEST_CONTENT];
};

struct story_schema {
    uint32_t type_no, version;
    bool of_command;
    char name[24], text[64];
};

struct story_skip {
    char follower[32];
    uint64_t position, time;
    uint32_t type_no, uid;
};

struct story {
    char dir[64];
    struct db *db;
    struct block_builder *builder;
    uint64_t random;
    struct index_head head;
    struct story_type *types;           /* [0] is no 1 */
    struct story_aggregate *aggregates; /* likewise */
    struct story_event *events;         /* likewise */
    struct story_command *commands;
    struct story_schema *schemas;
    struct story_skip *skips;
    size_t n_types, n_aggregates, n_events, n_commands, n_schemas, n_skips;
    size_t types_cap, aggregates_cap, events_cap, commands_cap, schemas_cap, skips_cap;
    uint64_t undeclared;
};

static inline uint64_t story_random(struct story *s, uint64_t below) {
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return (s->random >> 11) % below;
}

static inline void story_remove(const char *dir) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

static inline void story_db_open(struct story *s, bool create, bool read_only) {
    struct err err = {0};
    char path[96];
    snprintf(path, sizeof path, "%s/db", s->dir);
    if (db_open(&s->db, path, &(struct db_options){.create = create, .read_only = read_only}, &err) != 0)
        fail_msg("%s", err.text);
}

static inline void story_begin(struct story *s, uint64_t seed) {
    *s = (struct story){.random = seed * 0x9e3779b97f4a7c15ULL + 1, .head = {.next_aggregate = 1, .next_type = 1}};
    s->head.time = 1700000000000000;
    /* In memory where that can be: a table that is ingested is synced several times. */
    snprintf(s->dir, sizeof s->dir, "%s/esfs-story-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(s->dir));
    assert_int_equal(digest_init(), 0);
    s->builder = block_builder_new();
    story_db_open(s, true, false);
}

static inline void story_end(struct story *s) {
    db_close(s->db);
    block_builder_free(s->builder);
    free(s->types);
    free(s->aggregates);
    free(s->events);
    free(s->commands);
    free(s->schemas);
    free(s->skips);
    story_remove(s->dir);
}

/* --- what may be said */

static inline void story_say(struct story *s, enum record_kind kind, uint32_t type_no, uint64_t aggregate,
                             const char *name) {
    struct record r = {.kind = kind, .time = ++s->head.time, .uid = 1000, .type_no = type_no, .aggregate = aggregate};
    r.name = str_of(name);
    block_put_record(s->builder, &r);
}

static inline uint32_t story_add_type(struct story *s) {
    assert_true(ARRAY_ROOM(s->types, s->n_types, s->types_cap));
    struct story_type *t = &s->types[s->n_types++];
    *t = (struct story_type){.exists = true};
    snprintf(t->name, sizeof t->name, "type%u", (unsigned)s->n_types % 7); /* names come back */
    for (size_t i = 0; i + 1 < s->n_types; i++)
        if (s->types[i].exists && strcmp(s->types[i].name, t->name) == 0)
            snprintf(t->name, sizeof t->name, "type-%u", (unsigned)s->n_types);
    uint32_t no = s->head.next_type++;
    story_say(s, RECORD_TYPE, no, 0, t->name);
    t->time = s->head.time;
    return no;
}

static inline uint64_t story_add_aggregate(struct story *s, uint32_t type_no, const char *id) {
    assert_true(ARRAY_ROOM(s->aggregates, s->n_aggregates, s->aggregates_cap));
    struct story_aggregate *a = &s->aggregates[s->n_aggregates++];
    *a = (struct story_aggregate){.type_no = type_no, .exists = true};
    snprintf(a->id, sizeof a->id, "%s", id);
    uint64_t no = s->head.next_aggregate++;
    story_say(s, RECORD_NAME, type_no, no, a->id);
    a->time = s->head.time;
    s->types[type_no - 1].aggregates++;
    return no;
}

static inline void story_undeclare(struct story *s, uint64_t no) {
    struct story_aggregate *a = &s->aggregates[no - 1];
    a->exists = false;
    s->types[a->type_no - 1].aggregates--;
    s->undeclared++;
    story_say(s, RECORD_UNDECLARE, a->type_no, no, "");
}

/* The next version of the schema of one of a type's events or commands. */
static inline void story_schema(struct story *s, uint32_t type_no, bool of_command, const char *name) {
    assert_true(ARRAY_ROOM(s->schemas, s->n_schemas, s->schemas_cap));
    struct story_schema *schema = &s->schemas[s->n_schemas];
    *schema = (struct story_schema){.type_no = type_no, .version = 1, .of_command = of_command};
    for (size_t i = 0; i < s->n_schemas; i++)
        schema->version += s->schemas[i].type_no == type_no && s->schemas[i].of_command == of_command &&
                           strcmp(s->schemas[i].name, name) == 0;
    s->n_schemas++;
    snprintf(schema->name, sizeof schema->name, "%s", name);
    snprintf(schema->text, sizeof schema->text, "{\"maximum\":%u}", (unsigned)story_random(s, 1000));
    struct record r = {.kind = RECORD_SCHEMA,
                       .time = ++s->head.time,
                       .type_no = type_no,
                       .of_command = of_command,
                       .schema_version = schema->version,
                       .schema_name = str_of(schema->name),
                       .schema_text = str_of(schema->text)};
    block_put_record(s->builder, &r);
}

static inline bool story_has_skip(const struct story *s, const char *follower, uint64_t position) {
    for (size_t i = 0; i < s->n_skips; i++)
        if (s->skips[i].position == position && strcmp(s->skips[i].follower, follower) == 0)
            return true;
    return false;
}

static inline void story_skip(struct story *s, const char *follower, uint64_t position) {
    assert_true(ARRAY_ROOM(s->skips, s->n_skips, s->skips_cap));
    struct story_skip *skip = &s->skips[s->n_skips++];
    *skip = (struct story_skip){.position = position,
                                .time = ++s->head.time,
                                .type_no = s->events[position - 1].type_no,
                                .uid = 1000 + (uint32_t)s->n_skips % 3};
    snprintf(skip->follower, sizeof skip->follower, "%s", follower);
    const struct record r = {.kind = RECORD_SKIP,
                             .time = skip->time,
                             .uid = skip->uid,
                             .type_no = skip->type_no,
                             .follower = str_of(follower),
                             .position = position};
    block_put_record(s->builder, &r);
}

/* One event of a command, noted; gives its size. */
static inline uint32_t story_note_event(struct story *s, const struct record *r, struct block_event *out, uint32_t i,
                                        char *data) {
    struct story_aggregate *a = &s->aggregates[r->aggregate - 1];
    struct story_type *t = &s->types[a->type_no - 1];
    s->head.time += 1 + story_random(s, 1000);
    snprintf(data, 64, "{\"n\":%llu,\"i\":%u}", (unsigned long long)story_random(s, 1ULL << (1 + i % 40)), i);
    assert_true(ARRAY_ROOM(s->events, s->n_events, s->events_cap));
    struct story_event *e = &s->events[s->n_events++];
    *e = (struct story_event){.aggregate = r->aggregate, .version = ++a->version, .type_no = a->type_no};
    snprintf(e->type, sizeof e->type, "Event%u", (unsigned)story_random(s, 5));
    e->schema = (uint32_t)(story_random(s, 20) == 0 ? story_random(s, 1000) : story_random(s, 2));
    *out =
        (struct block_event){.time = s->head.time, .schema = e->schema, .type = str_of(e->type), .data = str_of(data)};
    struct event full = {.position = s->n_events,
                         .version = e->version,
                         .time = out->time,
                         .uid = r->uid,
                         .schema = e->schema,
                         .aggregate_type = str_of(t->name),
                         .aggregate_id = str_of(a->id),
                         .type = out->type,
                         .data = out->data,
                         .commandid = r->id,
                         .store_id = story_store_id};
    e->size = (uint32_t)event_size(&full);
    e->time = a->time = t->time = s->head.time;
    e->offset = a->bytes;
    e->log_offset = s->head.log_bytes;
    e->type_offset = t->bytes;
    a->bytes += e->size;
    t->bytes += e->size;
    t->events++;
    s->head.log_bytes += e->size;
    s->head.position++;
    return e->size;
}

static inline void story_command(struct story *s, uint64_t aggregate, uint32_t n, bool with_id) {
    struct story_aggregate *a = &s->aggregates[aggregate - 1];
    struct record r = {.kind = RECORD_COMMAND,
                       .time = ++s->head.time,
                       .uid = 1000,
                       .type_no = a->type_no,
                       .aggregate = aggregate,
                       .name = str_of(a->id),
                       .version = a->version + (n > 0),
                       .stream_offset = a->bytes};
    if (with_id) {
        assert_true(ARRAY_ROOM(s->commands, s->n_commands, s->commands_cap));
        struct story_command *c = &s->commands[s->n_commands++];
        *c = (struct story_command){aggregate, r.version, s->head.position + 1, n, "", ""};
        snprintf(c->id, sizeof c->id, "c-%llx", (unsigned long long)story_random(s, 1ULL << 62));
        memcpy(c->content, c->id, DIGEST_CONTENT);
        r.id = str_of(c->id);
        r.content = c->content;
    }
    struct block_event *events = calloc(n + 1, sizeof *events);
    char(*data)[64] = calloc(n + 1, sizeof *data);
    uint64_t bytes = 0;
    size_t capacity = s->n_events + n; /* the types of events are borrowed until the command is put */
    while (s->events_cap < capacity)
        assert_true(array_room((void **)&s->events, sizeof *s->events, s->events_cap, &s->events_cap));
    for (uint32_t i = 0; i < n; i++)
        bytes += story_note_event(s, &r, &events[i], i, data[i]);
    block_put_command(s->builder, &r, events, n, bytes);
    free(data);
    free(events);
}

static inline void story_anything(struct story *s) {
    uint64_t dice = story_random(s, 100);
    if (!s->n_types || (dice < 1 && s->n_types < 40)) {
        story_add_type(s);
        return;
    }
    uint32_t type_no = 1 + (uint32_t)story_random(s, s->n_types);
    struct story_type *t = &s->types[type_no - 1];
    if (dice < 10 && t->exists) {
        char id[48];
        snprintf(id, sizeof id, "%llu", (unsigned long long)story_random(s, 500));
        for (size_t i = 0; i < s->n_aggregates; i++)
            if (s->aggregates[i].exists && s->aggregates[i].type_no == type_no && !strcmp(s->aggregates[i].id, id))
                return;
        uint64_t no = story_add_aggregate(s, type_no, id);
        if (dice < 5)
            story_say(s, RECORD_DECLARE, type_no, no, "");
        return;
    }
    if (dice == 10 && t->exists) {
        char name[24];
        snprintf(name, sizeof name, "Event%.*s", (int)story_random(s, 3), "10");
        story_schema(s, type_no, story_random(s, 2), name);
    }
    if (dice == 13 && s->n_events) {
        char follower[24];
        uint64_t position = 1 + story_random(s, s->n_events);
        snprintf(follower, sizeof follower, "views/%.*s", (int)story_random(s, 4), "abc");
        if (!story_has_skip(s, follower, position))
            story_skip(s, follower, position);
    }
    if (dice < 12 && t->exists && !t->aggregates && s->n_types > 3) {
        t->exists = false;
        story_say(s, RECORD_UNTYPE, type_no, 0, "");
    }
    if (!s->n_aggregates)
        return;
    uint64_t no = 1 + story_random(s, s->n_aggregates);
    struct story_aggregate *a = &s->aggregates[no - 1];
    if (a->exists && !a->version && dice < 40)
        story_undeclare(s, no);
    else if (a->exists)
        story_command(s, no, dice == 99 ? 30 : (uint32_t)story_random(s, 4), dice % 3 == 0);
}

/* --- blocks */

/* Notes which chunk each event of the block went to. */
static inline void story_note_chunks(struct story *s) {
    for (size_t i = 0; i < block_chunks(s->builder); i++) {
        struct str key, value;
        struct chunk c;
        block_chunk(s->builder, i, &key, &value);
        assert_int_equal(chunk_open(&c, value, NULL), 0);
        for (uint32_t k = 0; k < c.header.n_events; k++) {
            struct story_event *e = &s->events[c.header.first_position - 1 + k];
            e->block = c.header.block;
            e->chunk = c.header.index;
            e->chunk_position = c.header.first_position;
        }
    }
}

static inline void story_block_begin(struct story *s) {
    block_begin(s->builder, s->head.block + 1, s->head.link, s->head.position + 1, s->head.log_bytes);
}

/* Writes the block, and applies it unless ix is NULL. */
static inline void story_block_end(struct story *s, struct index *ix) {
    if (block_empty(s->builder))
        return;
    struct err err = {0};
    assert_int_equal(block_finish(s->builder), 0);
    story_note_chunks(s);
    block_link(s->builder, s->head.link);
    s->head.block++;
    size_t n = block_chunks(s->builder);
    struct db_change *changes = calloc(n, sizeof *changes);
    struct str *values = calloc(n, sizeof *values);
    for (size_t i = 0; i < n; i++) {
        block_chunk(s->builder, i, &changes[i].key, &changes[i].value);
        values[i] = changes[i].value;
    }
    if (ix && index_check(ix, values, n, s->head.link, &err) != 0)
        fail_msg("%s", err.text);
    if (db_write(s->db, changes, n, false, &err) != 0)
        fail_msg("%s", err.text);
    if (ix && index_apply(ix, &err) != 0)
        fail_msg("%s", err.text);
    free(values);
    free(changes);
}

static inline void story_block(struct story *s, size_t actions, struct index *ix) {
    story_block_begin(s);
    while (actions--)
        story_anything(s);
    story_block_end(s, ix);
}

#endif
