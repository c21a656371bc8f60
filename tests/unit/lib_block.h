/* What the unit tests of blocks share: records and blocks that are made, and looks at what came of them. */
#ifndef ESFS_LIB_BLOCK_H
#define ESFS_LIB_BLOCK_H

#include "block.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TIME 1700000000000000ULL

static const uint8_t content[DIGEST_CONTENT] = "0123456789abcdef";
static const uint8_t link_before[DIGEST_CHAIN] = "the link of the block before it";

static inline struct block_builder *begin(uint64_t block, uint64_t position, uint64_t log_offset) {
    struct block_builder *b = block_builder_new();
    assert_non_null(b);
    block_begin(b, block, link_before, position, log_offset);
    return b;
}

static inline void open_chunk(const struct block_builder *b, size_t i, struct chunk *out) {
    struct str key, value;
    block_chunk(b, i, &key, &value);
    assert_int_equal(chunk_open(out, value, NULL), 0);
}

static inline void assert_str(struct str got, struct str want) {
    assert_int_equal(got.n, want.n);
    if (want.n)
        assert_memory_equal(got.p, want.p, want.n);
}

static inline void assert_record(const struct record *got, const struct record *want) {
    assert_int_equal(got->kind, want->kind);
    assert_int_equal(got->time, want->time);
    assert_int_equal(got->uid, want->uid);
    assert_int_equal(got->type_no, want->type_no);
    assert_int_equal(got->aggregate, want->aggregate);
    assert_str(got->name, want->name);
    assert_int_equal(got->version, want->version);
    assert_int_equal(got->stream_offset, want->stream_offset);
    assert_int_equal(got->n_events, want->n_events);
    assert_int_equal(got->joined, want->joined);
    assert_str(got->id, want->id);
    assert_str(got->correlationid, want->correlationid);
    assert_str(got->causationid, want->causationid);
    assert_str(got->traceparent, want->traceparent);
    assert_str(got->meta, want->meta);
    assert_int_equal(got->of_command, want->of_command);
    assert_int_equal(got->schema_version, want->schema_version);
    assert_str(got->schema_name, want->schema_name);
    assert_str(got->schema_text, want->schema_text);
    assert_str(got->follower, want->follower);
    assert_int_equal(got->position, want->position);
    if (want->id.n)
        assert_memory_equal(got->content, content, DIGEST_CONTENT);
    else
        assert_null(got->content);
}

/* Part i of a command is there when bit i of the mask is. */
static inline struct record command_with(unsigned parts) {
    struct record r = {.kind = RECORD_COMMAND,
                       .time = TIME + parts,
                       .uid = 1000,
                       .type_no = 3,
                       .aggregate = 77,
                       .name = STR("1001"),
                       .version = 9,
                       .stream_offset = 123456789,
                       .joined = parts & 1};
    if (parts & 2) {
        r.id = STR("c-81");
        r.content = content;
    }
    r.correlationid = parts & 4 ? STR("correlation") : r.correlationid;
    r.causationid = parts & 8 ? STR("causation") : r.causationid;
    r.traceparent = parts & 16 ? STR("00-trace") : r.traceparent;
    r.meta = parts & 32 ? STR(",\"tenant\":\"acme\"") : r.meta;
    return r;
}

static inline struct record schema_record(struct str text) {
    return (struct record){.kind = RECORD_SCHEMA,
                           .time = TIME,
                           .uid = 1000,
                           .type_no = 3,
                           .of_command = true,
                           .schema_version = 300,
                           .schema_name = STR("Place"),
                           .schema_text = text};
}

/* --- a block of commands with 0 to 4 events each, and what it should hold */

#define EVENTS_MAX 8192

struct made {
    struct block_builder *block;
    size_t n_events, n_commands;
    struct {
        uint64_t aggregate, version, time;
        uint32_t schema;
        char type[16], data[600];
    } events[EVENTS_MAX];
    struct {
        uint32_t n;
        uint64_t log_offset;
    } commands[EVENTS_MAX];
};

static inline void make_command(struct made *m, uint32_t n, size_t data_bytes) {
    struct block_event events[4];
    uint64_t log_bytes = 0;
    struct record r = command_with((unsigned)m->n_commands % 64);
    r.time = TIME + 10 * m->n_commands;
    r.aggregate = 1 + m->n_commands % 5;
    for (uint32_t i = 0; i < n; i++) {
        size_t k = m->n_events++;
        m->events[k].aggregate = r.aggregate;
        m->events[k].version = r.version + i;
        m->events[k].time = r.time + i;
        m->events[k].schema = (uint32_t)k % 3;
        snprintf(m->events[k].type, sizeof m->events[k].type, "Event%zu", k % 7);
        snprintf(m->events[k].data, sizeof m->events[k].data, "{\"n\":%zu,\"p\":\"%0*d\"}", k, (int)data_bytes + 1, 0);
        events[i] = (struct block_event){.time = m->events[k].time,
                                         .schema = m->events[k].schema,
                                         .type = str_of(m->events[k].type),
                                         .data = str_of(m->events[k].data)};
        log_bytes += 100 + k;
    }
    size_t c = m->n_commands++;
    m->commands[c].n = n;
    m->commands[c].log_offset = log_bytes;
    block_put_command(m->block, &r, events, n, log_bytes);
}

static inline struct made *make_block(size_t commands, size_t data_bytes) {
    static const uint32_t counts[] = {1, 4, 0, 2, 0, 0, 3, 1};
    struct made *m = calloc(1, sizeof *m);
    m->block = begin(3, 1000, 50000);
    for (size_t i = 0; i < commands; i++)
        make_command(m, counts[i % 8], data_bytes * (i % 3));
    assert_int_equal(block_finish(m->block), 0);
    return m;
}

static inline void made_free(struct made *m) {
    block_builder_free(m->block);
    free(m);
}

#endif
