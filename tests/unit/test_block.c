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

static struct block_builder *begin(uint64_t block, uint64_t position, uint64_t log_offset) {
    struct block_builder *b = block_builder_new();
    assert_non_null(b);
    block_begin(b, block, link_before, position, log_offset);
    return b;
}

static void open_chunk(const struct block_builder *b, size_t i, struct chunk *out) {
    struct str key, value;
    block_chunk(b, i, &key, &value);
    assert_int_equal(chunk_open(out, value, NULL), 0);
}

static void assert_str(struct str got, struct str want) {
    assert_int_equal(got.n, want.n);
    if (want.n)
        assert_memory_equal(got.p, want.p, want.n);
}

static void assert_record(const struct record *got, const struct record *want) {
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

/* --- round trips */

static void every_kind_of_record_comes_back_as_it_was_put(void **state) {
    (void)state;
    const struct record records[] = {
        {.kind = RECORD_TYPE, .time = TIME, .uid = 0, .type_no = 1, .name = STR("order")},
        {.kind = RECORD_NAME,
         .time = TIME,
         .uid = UINT32_MAX,
         .type_no = 65535,
         .aggregate = (1ULL << 40) - 1,
         .name = STR("1001")},
        {.kind = RECORD_DECLARE, .time = TIME + 1, .uid = 1000, .type_no = 1, .aggregate = 1},
        {.kind = RECORD_UNDECLARE, .time = TIME + 300, .uid = 1000, .type_no = 1, .aggregate = 1},
        {.kind = RECORD_UNTYPE, .time = TIME + (1ULL << 40), .uid = 1000, .type_no = 200},
        {.kind = RECORD_SCHEMA,
         .time = TIME + 1,
         .uid = 1000,
         .type_no = 200,
         .schema_version = 1,
         .schema_name = STR("Placed"),
         .schema_text = STR("{}")},
        {.kind = RECORD_SCHEMA,
         .time = TIME + 1,
         .type_no = 200,
         .of_command = true,
         .schema_version = UINT32_MAX,
         .schema_name = STR("Place"),
         .schema_text = STR("true")},
        {.kind = RECORD_SKIP,
         .time = TIME + 1,
         .uid = 1000,
         .type_no = 200,
         .follower = STR("views/by_customer"),
         .position = 41},
        {.kind = RECORD_SKIP, .time = TIME + 1, .type_no = 1, .follower = STR("k"), .position = UINT64_MAX},
    };
    const size_t n = sizeof records / sizeof *records;
    struct block_builder *b = begin(7, 42, 4711);
    for (size_t i = 0; i < n; i++)
        block_put_record(b, &records[i]);
    assert_int_equal(block_finish(b), 0);
    struct chunk c;
    open_chunk(b, 0, &c);
    assert_int_equal(c.header.n_records, n);
    assert_int_equal(c.header.n_events, 0);
    assert_int_equal(c.header.first_position, 42);
    assert_int_equal(c.header.log_offset, 4711);
    assert_int_equal(c.header.base_time, TIME);
    const char *at = NULL;
    struct record r;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(chunk_record(&c, &at, &r), 0);
        assert_record(&r, &records[i]);
    }
    assert_int_equal(chunk_record(&c, &at, &r), 1);
    assert_int_equal(chunk_record(&c, &at, &r), 1);
    block_builder_free(b);
}

/* Part i of a command is there when bit i of the mask is. */
static struct record command_with(unsigned parts) {
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

static void every_combination_of_optional_parts_comes_back(void **state) {
    (void)state;
    const struct block_event event = {.time = TIME + 100, .schema = 2, .type = STR("Placed"), .data = STR("{\"a\":1}")};
    struct block_builder *b = begin(1, 1, 0);
    for (unsigned parts = 0; parts < 64; parts++) {
        struct record r = command_with(parts);
        block_put_command(b, &r, &event, parts % 2, 10);
    }
    assert_int_equal(block_finish(b), 0);
    assert_int_equal(block_chunks(b), 1);
    struct chunk c;
    open_chunk(b, 0, &c);
    assert_int_equal(c.header.n_records, 64);
    assert_int_equal(c.header.n_events, 32);
    const char *at = NULL;
    struct record r;
    for (unsigned parts = 0; parts < 64; parts++) {
        struct record want = command_with(parts);
        want.n_events = parts % 2;
        assert_int_equal(chunk_record(&c, &at, &r), 0);
        assert_record(&r, &want);
    }
    assert_int_equal(chunk_record(&c, &at, &r), 1);
    block_builder_free(b);
}

static void long_strings_and_large_numbers_come_back(void **state) {
    (void)state;
    const size_t n = 3 << 20;
    char *data = malloc(n);
    memset(data, 'x', n);
    const struct block_event event = {
        .time = TIME + (1ULL << 50), .schema = UINT32_MAX, .type = STR("T"), .data = {data, n}};
    struct record want = command_with(0);
    want.time = TIME;
    want.version = UINT64_MAX;
    want.stream_offset = UINT64_MAX;
    want.n_events = 1;
    struct block_builder *b = begin(UINT64_MAX, UINT64_MAX - 1, UINT64_MAX);
    block_put_command(b, &want, &event, 1, 0);
    assert_int_equal(block_finish(b), 0);
    struct chunk c;
    struct record r;
    struct event e;
    const char *at = NULL;
    open_chunk(b, 0, &c);
    assert_int_equal(c.header.block, UINT64_MAX);
    assert_int_equal(c.header.first_position, UINT64_MAX - 1);
    assert_int_equal(c.header.log_offset, UINT64_MAX);
    assert_int_equal(chunk_record(&c, &at, &r), 0);
    assert_record(&r, &want);
    const char *event_at = r.events;
    assert_int_equal(record_event(&r, &event_at, 5, r.version, r.time, &e), 0);
    assert_ptr_equal(event_at, r.events_end);
    assert_int_equal(e.time, event.time);
    assert_int_equal(e.schema, UINT32_MAX);
    assert_str(e.data, event.data);
    block_builder_free(b);
    free(data);
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

static void make_command(struct made *m, uint32_t n, size_t data_bytes) {
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

static struct made *make_block(size_t commands, size_t data_bytes) {
    static const uint32_t counts[] = {1, 4, 0, 2, 0, 0, 3, 1};
    struct made *m = calloc(1, sizeof *m);
    m->block = begin(3, 1000, 50000);
    for (size_t i = 0; i < commands; i++)
        make_command(m, counts[i % 8], data_bytes * (i % 3));
    assert_int_equal(block_finish(m->block), 0);
    return m;
}

static void made_free(struct made *m) {
    block_builder_free(m->block);
    free(m);
}

static void assert_event(const struct made *m, const struct event *e, uint64_t position) {
    size_t k = (size_t)(position - 1000);
    assert_true(k < m->n_events);
    assert_int_equal(e->position, position);
    assert_int_equal(e->aggregate, m->events[k].aggregate);
    assert_int_equal(e->version, m->events[k].version);
    assert_int_equal(e->time, m->events[k].time);
    assert_int_equal(e->schema, m->events[k].schema);
    assert_str(e->type, str_of(m->events[k].type));
    assert_str(e->data, str_of(m->events[k].data));
    assert_int_equal(e->uid, 1000);
    assert_int_equal(e->type_no, 3);
    assert_str(e->aggregate_id, STR("1001"));
    assert_str(e->aggregate_type, (struct str){NULL, 0});
    assert_null(e->store_id);
}

static void a_walk_from_every_index_gives_the_events_from_there_on(void **state) {
    (void)state;
    struct made *m = make_block(120, 40);
    uint64_t seen = 0;
    assert_true(block_chunks(m->block) >= 2);
    for (size_t i = 0; i < block_chunks(m->block); i++) {
        struct chunk c;
        struct chunk_walk w;
        struct event e;
        open_chunk(m->block, i, &c);
        assert_int_equal(c.header.first_position, 1000 + seen);
        for (uint32_t from = 0; from <= c.header.n_events; from++) {
            assert_int_equal(chunk_walk_begin(&w, &c, from), 0);
            for (uint32_t k = from; k < c.header.n_events; k++) {
                assert_int_equal(chunk_walk_next(&w, &e), 0);
                assert_event(m, &e, c.header.first_position + k);
            }
            assert_int_equal(chunk_walk_next(&w, &e), 1);
            assert_int_equal(chunk_walk_next(&w, &e), 1);
        }
        assert_int_equal(chunk_walk_begin(&w, &c, c.header.n_events + 1), -EBADMSG);
        assert_int_equal(chunk_walk_begin(&w, &c, UINT32_MAX), -EBADMSG);
        seen += c.header.n_events;
    }
    assert_int_equal(seen, m->n_events);
    made_free(m);
}

static void a_walk_knows_the_record_of_its_event(void **state) {
    (void)state;
    struct made *m = make_block(64, 0);
    struct chunk c;
    struct chunk_walk w;
    struct event e;
    open_chunk(m->block, 0, &c);
    assert_int_equal(chunk_walk_begin(&w, &c, 0), 0);
    size_t command = 0;
    for (uint32_t k = 0; k < c.header.n_events;) {
        while (m->commands[command].n == 0)
            command++;
        struct record want = command_with((unsigned)command % 64);
        for (uint32_t i = 0; i < m->commands[command].n; i++, k++) {
            assert_int_equal(chunk_walk_next(&w, &e), 0);
            assert_str(e.commandid, want.id);
            assert_str(e.correlationid, want.correlationid);
            assert_str(e.causationid, want.causationid);
            assert_str(e.traceparent, want.traceparent);
            assert_str(e.meta, want.meta);
            assert_int_equal(w.record.joined, want.joined);
        }
        command++;
    }
    made_free(m);
}

/* --- chunks of a block */

static void a_chunk_takes_no_record_once_it_is_full(void **state) {
    (void)state;
    struct made *m = make_block(2000, 100);
    size_t n = block_chunks(m->block), records = 0, total = 0;
    uint64_t position = 1000, log_offset = 50000;
    assert_true(n > 10);
    for (size_t i = 0, command = 0; i < n; i++) {
        struct str key, value;
        struct chunk c;
        uint64_t key_position, key_block;
        uint16_t key_chunk;
        block_chunk(m->block, i, &key, &value);
        open_chunk(m->block, i, &c);
        assert_int_equal(c.header.index, i);
        assert_int_equal(c.header.block, 3);
        assert_int_equal(c.header.renderer, EVENT_RENDERER);
        assert_int_equal(c.header.first, i == 0);
        assert_int_equal(c.header.last, i == n - 1);
        assert_int_equal(c.header.first_position, position);
        assert_int_equal(c.header.log_offset, log_offset);
        assert_int_equal(block_key_read(key, &key_position, &key_block, &key_chunk), 0);
        assert_int_equal(key_position, position);
        assert_int_equal(key_block, 3);
        assert_int_equal(key_chunk, i);
        const char *at = NULL, *last = NULL;
        struct record r;
        for (uint32_t k = 0; k < c.header.n_records; k++) {
            last = at ? at : c.records;
            assert_int_equal(chunk_record(&c, &at, &r), 0);
            log_offset += m->commands[command++].log_offset;
        }
        assert_ptr_equal(at, c.records_end);
        /* full with its last record (and the table as it was before), and not before it */
        size_t before = (size_t)(last - value.p) + 4 * (size_t)(c.header.n_events - r.n_events);
        assert_true(before < BLOCK_CHUNK_BYTES);
        assert_true(i == n - 1 || value.n >= BLOCK_CHUNK_BYTES);
        records += c.header.n_records;
        position += c.header.n_events;
        total += value.n;
    }
    assert_int_equal(records, 2000);
    assert_int_equal(position, 1000 + m->n_events);
    assert_int_equal(block_bytes(m->block), total);
    made_free(m);
}

static void keys_ascend_in_the_order_of_the_log(void **state) {
    (void)state;
    const struct chunk_header headers[] = {
        {.first_position = 1, .block = 1, .index = 0},     {.first_position = 1, .block = 2, .index = 0},
        {.first_position = 1, .block = 2, .index = 1},     {.first_position = 1, .block = 256, .index = 255},
        {.first_position = 1, .block = 256, .index = 256}, {.first_position = 2, .block = 3, .index = 0},
        {.first_position = 256, .block = 4, .index = 0},   {.first_position = 1ULL << 63, .block = 5, .index = 65535},
    };
    char before[BLOCK_KEY_BYTES] = "", key[BLOCK_KEY_BYTES];
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        uint64_t position, block;
        uint16_t index;
        block_key(&headers[i], key);
        assert_true(memcmp(before, key, sizeof key) < 0);
        memcpy(before, key, sizeof key);
        assert_int_equal(block_key_read((struct str){key, sizeof key}, &position, &block, &index), 0);
        assert_int_equal(position, headers[i].first_position);
        assert_int_equal(block, headers[i].block);
        assert_int_equal(index, headers[i].index);
        assert_int_equal(block_key_read((struct str){key, sizeof key - 1}, &position, &block, &index), -EBADMSG);
    }
}

static void relinking_gives_the_block_that_was_begun_with_that_link(void **state) {
    (void)state;
    uint8_t one[DIGEST_CHAIN], two[DIGEST_CHAIN], unlinked[DIGEST_CHAIN], chained[DIGEST_CHAIN];
    static const uint8_t zeros[DIGEST_CHAIN];
    struct record r = command_with(3);
    struct block_builder *a = begin(9, 1, 0), *b = block_builder_new();
    block_begin(b, 9, NULL, 1, 0);
    for (size_t i = 0; i < 500; i++) {
        block_put_command(a, &r, NULL, 0, 0);
        block_put_command(b, &r, NULL, 0, 0);
    }
    assert_int_equal(block_finish(a), 0);
    assert_int_equal(block_finish(b), 0);
    assert_true(block_chunks(b) > 1);
    struct chunk c;
    open_chunk(b, 0, &c);
    assert_memory_equal(c.previous, zeros, DIGEST_CHAIN);
    block_link(b, unlinked);
    block_relink(b, link_before);
    assert_memory_equal(c.previous, link_before, DIGEST_CHAIN);
    block_link(a, one);
    block_link(b, two);
    assert_memory_equal(one, two, DIGEST_CHAIN);
    assert_memory_not_equal(one, unlinked, DIGEST_CHAIN);
    open_chunk(b, 1, &c);
    assert_null(c.previous);
    /* what FORMAT.md says: BLAKE2b over the values, one behind the other */
    struct str key, values[16];
    assert_true(block_chunks(a) < 16);
    for (size_t i = 0; i < block_chunks(a); i++)
        block_chunk(a, i, &key, &values[i]);
    digest_chain(values, block_chunks(a), chained);
    assert_memory_equal(one, chained, DIGEST_CHAIN);
    block_builder_free(a);
    block_builder_free(b);
}

static void a_builder_is_empty_again_after_every_begin(void **state) {
    (void)state;
    uint8_t first[DIGEST_CHAIN], again[DIGEST_CHAIN];
    struct record r = command_with(63);
    struct block_builder *b = begin(1, 1, 0);
    assert_true(block_empty(b));
    assert_int_equal(block_finish(b), 0);
    assert_int_equal(block_chunks(b), 0);
    for (int i = 0; i < 2; i++) {
        block_begin(b, 1, link_before, 1, 0);
        assert_true(block_empty(b));
        assert_int_equal(block_bytes(b), 0);
        block_put_command(b, &r, NULL, 0, 0);
        assert_false(block_empty(b));
        if (i == 0) /* left unfinished, then filled with something else */
            for (int k = 0; k < 1000; k++)
                block_put_command(b, &r, NULL, 0, 0);
        assert_int_equal(block_finish(b), 0);
        block_link(b, i ? again : first);
    }
    assert_int_equal(block_chunks(b), 1);
    struct block_builder *fresh = begin(1, 1, 0);
    block_put_command(fresh, &r, NULL, 0, 0);
    assert_int_equal(block_finish(fresh), 0);
    block_link(fresh, first);
    assert_memory_equal(first, again, DIGEST_CHAIN);
    block_builder_free(fresh);
    block_builder_free(b);
    block_builder_free(NULL);
}

/* --- the bytes of FORMAT.md's example */

static void the_example_of_the_format_is_what_is_written(void **state) {
    (void)state;
    static const char want[] = "ESC1\x01\x01\x03\0\0\0\0\0\x03\0\0\0"
                               "\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"
                               "\0\0\0\0\0\0\0\0\x40\xbe\xd2\x6f\xe5\x60\x06\0"
                               "\x01\0\0\0\xc0\0\0\0"
                               "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                               "\x02\x0a\0\xe8\x07\x01\x05order"
                               "\x03\x0a\0\xe8\x07\x01\x01\x04"
                               "1001"
                               "\x01\x4e\0\xe8\x07\x01\x01\x04"
                               "1001\x01\0\x22\x04"
                               "c-81\xbe\x49\x19\x8c\x81\xd2\xca\x03\x64\xd5\x41\x39\x45\x95\xb9\xdd"
                               "\x10,\"tenant\":\"acme\"\x01\0\0\x0bOrderPlaced\x0b{\"total\":5}"
                               "\x70\0\0\0";
    static const uint8_t want_link[] = "\xc6\xf1\xcc\xb0\xf0\x24\xee\x3e\x1b\x56\xc3\x39\x70\x50\xf5\xc7"
                                       "\x91\xc5\xc0\xee\x55\xf5\x09\x64\x4a\xce\xf1\x6c\x73\xde\x16\x7a";
    const uint64_t time = 1795388400123456;
    uint8_t hash[DIGEST_CONTENT], link[DIGEST_CHAIN];
    struct block_builder *b = block_builder_new();
    digest_content(STR("OrderPlaced"), STR("{\"total\":5}"), hash);
    block_begin(b, 1, NULL, 1, 0);
    block_put_record(b, &(struct record){RECORD_TYPE, .time = time, .uid = 1000, .type_no = 1, .name = STR("order")});
    block_put_record(
        b, &(struct record){RECORD_NAME, .time = time, .uid = 1000, .type_no = 1, .aggregate = 1, .name = STR("1001")});
    const struct record r = {.kind = RECORD_COMMAND,
                             .time = time,
                             .uid = 1000,
                             .type_no = 1,
                             .aggregate = 1,
                             .name = STR("1001"),
                             .version = 1,
                             .id = STR("c-81"),
                             .content = hash,
                             .meta = STR(",\"tenant\":\"acme\"")};
    const struct block_event e = {.time = time, .type = STR("OrderPlaced"), .data = STR("{\"total\":5}")};
    block_put_command(b, &r, &e, 1, 370);
    assert_int_equal(block_finish(b), 0);
    struct str key, value;
    block_chunk(b, 0, &key, &value);
    assert_str(value, (struct str){want, sizeof want - 1});
    assert_str(key, STR("\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0"));
    block_link(b, link);
    assert_memory_equal(link, want_link, DIGEST_CHAIN);
    block_builder_free(b);
}

static void the_schema_of_the_format_is_what_is_written(void **state) {
    (void)state;
    static const char want[] = "\x07\x20\0\xe8\x07\x01\0\x0bOrderPlaced\x01\x0d{\"minimum\":0}";
    struct block_builder *b = begin(1, 1, 0);
    const struct record r = {.kind = RECORD_SCHEMA,
                             .time = TIME,
                             .uid = 1000,
                             .type_no = 1,
                             .schema_version = 1,
                             .schema_name = STR("OrderPlaced"),
                             .schema_text = STR("{\"minimum\":0}")};
    block_put_record(b, &r);
    assert_int_equal(block_finish(b), 0);
    struct chunk c;
    open_chunk(b, 0, &c);
    assert_str((struct str){c.records, (size_t)(c.records_end - c.records)}, (struct str){want, sizeof want - 1});
    block_builder_free(b);
}

static void the_skip_of_the_format_is_what_is_written(void **state) {
    (void)state;
    static const char want[] = "\x08\x17\0\xe8\x07\x01\x11views/by_customer\x01";
    struct block_builder *b = begin(1, 2, 370);
    const struct record r = {.kind = RECORD_SKIP,
                             .time = TIME,
                             .uid = 1000,
                             .type_no = 1,
                             .follower = STR("views/by_customer"),
                             .position = 1};
    block_put_record(b, &r);
    assert_int_equal(block_finish(b), 0);
    struct chunk c;
    open_chunk(b, 0, &c);
    assert_str((struct str){c.records, (size_t)(c.records_end - c.records)}, (struct str){want, sizeof want - 1});
    block_builder_free(b);
}

/* --- bytes that are wrong */

/* Everything that a decoder gives must lie in what it was given. */
static void assert_within(struct str value, struct str s) {
    if (s.n)
        assert_true(s.p >= value.p && s.p + s.n <= value.p + value.n);
}

static void read_record_of(const struct chunk *c, const struct record *r) {
    const char *at = r->events;
    struct event e;
    assert_within(c->value, r->name);
    assert_within(c->value, r->id);
    assert_within(c->value, r->meta);
    assert_within(c->value, r->schema_name);
    assert_within(c->value, r->schema_text);
    assert_within(c->value, r->follower);
    if (r->content)
        assert_within(c->value, (struct str){(const char *)r->content, DIGEST_CONTENT});
    if (r->kind != RECORD_COMMAND)
        return;
    for (uint32_t i = 0; i < r->n_events; i++) {
        if (record_event(r, &at, i, i, 0, &e) != 0)
            break;
        assert_within(c->value, e.type);
        assert_within(c->value, e.data);
    }
}

/* Reads all that can be read of a value, from memory of just its size. Gives what chunk_open() said. */
static int read_everything(const char *bytes, size_t n) {
    char *value = malloc(n ? n : 1);
    memcpy(value, bytes, n);
    struct chunk c;
    struct record r;
    const char *at = NULL;
    int opened = chunk_open(&c, (struct str){value, n}, NULL);
    while (opened == 0 && chunk_record(&c, &at, &r) == 0)
        read_record_of(&c, &r);
    for (uint32_t i = 0; opened == 0 && i <= c.header.n_events; i++) {
        struct chunk_walk w;
        struct event e;
        int more = chunk_walk_begin(&w, &c, i) == 0 ? 3 : 0; /* a few are as good as all: i goes everywhere */
        for (; more && chunk_walk_next(&w, &e) == 0; more--) {
            assert_within(c.value, e.type);
            assert_within(c.value, e.data);
            assert_within(c.value, e.aggregate_id);
        }
    }
    free(value);
    return opened;
}

static void a_chunk_that_was_cut_short_is_refused_or_read_within_its_bytes(void **state) {
    (void)state;
    struct made *m = make_block(40, 10);
    struct str key, value;
    block_chunk(m->block, 0, &key, &value);
    assert_int_equal(read_everything(value.p, value.n), 0);
    for (size_t n = 0; n < value.n; n++)
        assert_int_equal(read_everything(value.p, n), -EBADMSG);
    made_free(m);
}

static void no_flipped_bit_leads_out_of_a_chunk(void **state) {
    (void)state;
    struct made *m = make_block(24, 5);
    struct str key, value;
    block_chunk(m->block, 0, &key, &value);
    char *bytes = malloc(value.n);
    memcpy(bytes, value.p, value.n);
    size_t refused = 0;
    for (size_t bit = 0; bit < 8 * value.n; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        refused += read_everything(bytes, value.n) != 0;
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_memory_equal(bytes, value.p, value.n);
    assert_true(refused >= 8 * 4 + 8); /* magic and format at least */
    free(bytes);
    made_free(m);
}

static void numbers_that_point_nowhere_are_refused(void **state) {
    (void)state;
    static const uint32_t wrong[] = {0, 1, 55, 87, 0x7fffffff, 0x80000000, UINT32_MAX};
    struct made *m = make_block(8, 0);
    struct str key, value;
    struct chunk c;
    struct chunk_walk w;
    struct event e;
    block_chunk(m->block, 0, &key, &value);
    open_chunk(m->block, 0, &c);
    uint32_t table = (uint32_t)(c.table - value.p);
    char *bytes = malloc(value.n);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(bytes, value.p, value.n);
        memcpy(bytes + 52, &wrong[i], 4);
        assert_int_equal(chunk_open(&c, (struct str){bytes, value.n}, NULL), -EBADMSG);
        memcpy(bytes, value.p, value.n);
        memcpy(bytes + 48, &wrong[i], 4);
        assert_int_equal(chunk_open(&c, (struct str){bytes, value.n}, NULL), -EBADMSG);
        memcpy(bytes, value.p, value.n);
        memcpy(bytes + table, &wrong[i], 4);
        assert_int_equal(chunk_open(&c, (struct str){bytes, value.n}, NULL), 0);
        assert_int_equal(chunk_walk_begin(&w, &c, 0), -EBADMSG);
    }
    memcpy(bytes, value.p, value.n);
    memcpy(bytes + table, &table, 4); /* where the records end */
    assert_int_equal(chunk_open(&c, (struct str){bytes, value.n}, NULL), 0);
    assert_int_equal(chunk_walk_begin(&w, &c, 0), -EBADMSG);
    memcpy(bytes, value.p, value.n);
    bytes[88] = RECORD_SKIP + 1;
    assert_int_equal(chunk_open(&c, (struct str){bytes, value.n}, NULL), 0);
    assert_int_equal(chunk_walk_begin(&w, &c, 0), 0);
    assert_int_equal(chunk_walk_next(&w, &e), -EBADMSG);
    free(bytes);
    made_free(m);
}

static void what_reaches_past_its_record_is_refused(void **state) {
    (void)state;
    const struct block_event event = {.time = TIME, .type = STR("T"), .data = STR("{\"a\":1}")};
    struct record type = {.kind = RECORD_TYPE, .time = TIME, .type_no = 1, .name = STR("order")}, r = command_with(0);
    struct block_builder *b = begin(1, 1, 0);
    r.time = TIME;
    block_put_command(b, &r, &event, 1, 0);
    block_put_record(b, &type);
    assert_int_equal(block_finish(b), 0);
    struct str key, value;
    struct chunk c;
    struct chunk_walk w;
    struct event e;
    block_chunk(b, 0, &key, &value);
    char *bytes = malloc(value.n), *name = bytes + value.n - 4 - 6; /* the table, and the name with its length */
    char *data = name - 2 - 3 - 8;                                  /* the record's head before it, and data */
    const char *at = NULL;
    memcpy(bytes, value.p, value.n);
    assert_int_equal(*name, 5);
    assert_int_equal(*data, 7);
    for (int more = 0; more < 100; more++) {
        *name = (char)(5 + more);
        *data = (char)(7 + more);
        assert_int_equal(chunk_open(&c, (struct str){bytes, value.n}, NULL), 0);
        assert_int_equal(chunk_walk_begin(&w, &c, 0), 0);
        assert_int_equal(chunk_walk_next(&w, &e), more ? -EBADMSG : 0);
        at = NULL;
        assert_int_equal(chunk_record(&c, &at, &r), 0);
        assert_int_equal(chunk_record(&c, &at, &r), more ? -EBADMSG : 0);
    }
    free(bytes);
    block_builder_free(b);
}

static void unknown_formats_renderers_and_parts_are_refused_in_words(void **state) {
    (void)state;
    struct record r = command_with(0);
    struct block_builder *b = begin(1, 1, 0);
    block_put_command(b, &r, NULL, 0, 0);
    assert_int_equal(block_finish(b), 0);
    struct str key, value;
    struct chunk c;
    struct err err;
    block_chunk(b, 0, &key, &value);
    char *bytes = malloc(value.n);
    memcpy(bytes, value.p, value.n);
    bytes[4] = 2;
    assert_int_equal(chunk_open(&c, (struct str){bytes, value.n}, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "format 2"));
    bytes[4] = 1;
    bytes[5] = EVENT_RENDERER + 1;
    assert_int_equal(chunk_open(&c, (struct str){bytes, value.n}, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "renderer 2"));
    bytes[5] = 0;
    assert_int_equal(chunk_open(&c, (struct str){bytes, value.n}, &err), -EBADMSG);
    bytes[5] = EVENT_RENDERER;
    bytes[value.n - 2] = 64; /* the parts, with the number of events behind them */
    const char *at = NULL;
    assert_int_equal(chunk_open(&c, (struct str){bytes, value.n}, &err), 0);
    assert_int_equal(chunk_record(&c, &at, &r), -EBADMSG);
    free(bytes);
    block_builder_free(b);
}

/* --- schemas */

static struct record schema_record(struct str text) {
    return (struct record){.kind = RECORD_SCHEMA,
                           .time = TIME,
                           .uid = 1000,
                           .type_no = 3,
                           .of_command = true,
                           .schema_version = 300,
                           .schema_name = STR("Place"),
                           .schema_text = text};
}

static void a_large_schema_comes_back_and_a_larger_one_does_not(void **state) {
    (void)state;
    char *text = malloc(BLOCK_SCHEMA_BYTES + 1);
    memset(text, 'x', BLOCK_SCHEMA_BYTES + 1);
    for (size_t more = 0; more < 2; more++) {
        struct block_builder *b = begin(1, 1, 0);
        const struct record want = schema_record((struct str){text, BLOCK_SCHEMA_BYTES + more});
        struct record r;
        struct chunk c;
        const char *at = NULL;
        block_put_record(b, &want);
        assert_int_equal(block_finish(b), 0);
        open_chunk(b, 0, &c);
        assert_int_equal(chunk_record(&c, &at, &r), more ? -EBADMSG : 0);
        if (!more)
            assert_record(&r, &want);
        block_builder_free(b);
    }
    free(text);
}

static int record_of(const char *bytes, size_t n) {
    struct record r;
    struct chunk c;
    const char *at = NULL;
    assert_int_equal(chunk_open(&c, (struct str){bytes, n}, NULL), 0);
    return chunk_record(&c, &at, &r);
}

static void a_schema_with_a_wrong_byte_is_refused(void **state) {
    (void)state;
    /* The record begins behind header and link: kind, length, time, uid (2), type, then what is changed here. */
    enum { RECORD = 88, LENGTH = 1, COMMAND = 6, NAME = 7, VERSION = NAME + 6, TEXT = VERSION + 2 };
    static const struct {
        int at;
        char byte;
    } wrong[] = {{COMMAND, 2},
                 {COMMAND, 0x7f},
                 {NAME, 0},
                 {NAME, 0x7f},
                 {TEXT, 0},
                 {TEXT, 1},
                 {TEXT, 3},
                 {TEXT, 0x7f},
                 {LENGTH, 15},
                 {LENGTH, 17},
                 {LENGTH, 0x7f},
                 {VERSION, 0x2c},
                 {VERSION + 1, (char)0x82}};
    struct block_builder *b = begin(1, 1, 0);
    const struct record want = schema_record(STR("{}"));
    block_put_record(b, &want);
    assert_int_equal(block_finish(b), 0);
    struct str key, value;
    block_chunk(b, 0, &key, &value);
    char *bytes = malloc(value.n);
    memcpy(bytes, value.p, value.n);
    assert_int_equal(value.n, RECORD + TEXT + 3);
    assert_int_equal(bytes[RECORD + LENGTH], value.n - RECORD - 2);
    assert_int_equal(bytes[RECORD + TEXT], 2);
    assert_int_equal(record_of(bytes, value.n), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *at = bytes + RECORD + wrong[i].at, right = *at;
        *at = wrong[i].byte;
        if (record_of(bytes, value.n) != -EBADMSG)
            fail_msg("byte %d of a schema may be %d", wrong[i].at, wrong[i].byte);
        *at = right;
    }
    memset(bytes + RECORD + VERSION, 0, 1); /* version 0, and the text begins a byte early */
    assert_int_equal(record_of(bytes, value.n), -EBADMSG);
    free(bytes);
    block_builder_free(b);
}

/* --- skips */

static void a_follower_has_1_to_256_bytes(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, BLOCK_FOLLOWER_BYTES, BLOCK_FOLLOWER_BYTES + 1};
    char name[BLOCK_FOLLOWER_BYTES + 1];
    memset(name, 'n', sizeof name);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct block_builder *b = begin(1, 8, 0);
        const struct record want = {
            .kind = RECORD_SKIP, .time = TIME, .type_no = 3, .follower = {name, sizes[i]}, .position = 7};
        struct record r;
        struct chunk c;
        const char *at = NULL;
        block_put_record(b, &want);
        assert_int_equal(block_finish(b), 0);
        open_chunk(b, 0, &c);
        assert_int_equal(chunk_record(&c, &at, &r), i % 3 ? 0 : -EBADMSG);
        if (i % 3)
            assert_record(&r, &want);
        block_builder_free(b);
    }
}

static void a_skip_with_a_wrong_byte_is_refused(void **state) {
    (void)state;
    /* As above: kind, length, time, uid (2), type, then what is changed here. */
    enum { RECORD = 88, KIND = 0, LENGTH = 1, FOLLOWER = 6, POSITION = FOLLOWER + 8 };
    static const struct {
        int at;
        char byte;
    } wrong[] = {{FOLLOWER, 0}, {FOLLOWER, 6}, {FOLLOWER, 8},  {FOLLOWER, 9}, {FOLLOWER, 0x7f},
                 {LENGTH, 12},  {LENGTH, 14},  {LENGTH, 0x7f}, {POSITION, 0}, {POSITION, (char)0x80},
                 {KIND, 0},     {KIND, 9},     {KIND, -1}};
    struct block_builder *b = begin(1, 8, 0);
    const struct record want = {
        .kind = RECORD_SKIP, .time = TIME, .uid = 1000, .type_no = 3, .follower = STR("views/a"), .position = 7};
    block_put_record(b, &want);
    assert_int_equal(block_finish(b), 0);
    struct str key, value;
    block_chunk(b, 0, &key, &value);
    char *bytes = malloc(value.n);
    memcpy(bytes, value.p, value.n);
    assert_int_equal(value.n, RECORD + POSITION + 1);
    assert_int_equal(bytes[RECORD + LENGTH], value.n - RECORD - 2);
    assert_int_equal(bytes[RECORD + POSITION], 7);
    assert_int_equal(record_of(bytes, value.n), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *at = bytes + RECORD + wrong[i].at, right = *at;
        *at = wrong[i].byte;
        if (record_of(bytes, value.n) != -EBADMSG)
            fail_msg("byte %d of a skip may be %d", wrong[i].at, wrong[i].byte);
        *at = right;
    }
    free(bytes);
    block_builder_free(b);
}

static void versions_beyond_32_bits_are_refused(void **state) {
    (void)state;
    const struct block_event event = {.time = TIME, .schema = UINT32_MAX, .type = STR("T"), .data = STR("{}")};
    struct block_builder *b = begin(1, 1, 0);
    struct record r = command_with(0);
    block_put_command(b, &r, &event, 1, 0);
    assert_int_equal(block_finish(b), 0);
    struct str key, value;
    struct chunk c;
    struct chunk_walk w;
    struct event e;
    block_chunk(b, 0, &key, &value);
    char *bytes = malloc(value.n);
    memcpy(bytes, value.p, value.n);
    char *version = memmem(bytes, value.n, "\xff\xff\xff\xff\x0f", 5);
    assert_non_null(version);
    version[4] = 0x10; /* 2^32 and more */
    assert_int_equal(chunk_open(&c, (struct str){bytes, value.n}, NULL), 0);
    assert_int_equal(chunk_walk_begin(&w, &c, 0), 0);
    assert_int_equal(chunk_walk_next(&w, &e), -EBADMSG);
    free(bytes);
    block_builder_free(b);
}

/* Commands of no, one, two and many events, schemas and skips among them: a walk gives the events and nothing else. */
static void a_walk_passes_over_what_has_no_events(void **state) {
    (void)state;
    static const uint32_t counts[] = {0, 300, 0, 0, 1, 2, 300, 0, 1, 300, 2, 0};
    enum { ROUNDS = 5, COUNTS = sizeof counts / sizeof *counts };
    struct block_event *events = calloc(300, sizeof *events);
    struct block_builder *b = begin(1, 1, 0);
    uint64_t time = TIME, version = 1;
    for (int i = 0; i < ROUNDS * COUNTS; i++) {
        uint32_t n = counts[i % COUNTS];
        struct record schema = schema_record(STR("{}")), r = command_with((unsigned)i % 4);
        for (uint32_t k = 0; k < n; k++)
            events[k] = (struct block_event){
                .time = ++time, .type = STR("Counted"), .data = STR("{\"padding\":\"0123456789\"}")};
        r.time = n ? events[0].time : time;
        schema.time = r.time;
        r.version = n ? version : version - 1;
        block_put_record(b, &schema);
        block_put_record(
            b, &(struct record){
                   .kind = RECORD_SKIP, .time = r.time, .type_no = 3, .follower = STR("views/a"), .position = version});
        block_put_command(b, &r, events, n, 10 * n);
        version += n;
    }
    block_put_record(b, &(struct record){.kind = RECORD_DECLARE, .time = time, .type_no = 3, .aggregate = 77});
    assert_int_equal(block_finish(b), 0);
    assert_true(block_chunks(b) > 3);
    uint64_t expected = 0;
    for (size_t i = 0; i < block_chunks(b); i++) {
        struct chunk c;
        struct chunk_walk w;
        struct event e;
        open_chunk(b, i, &c);
        assert_int_equal(c.header.first_position, expected + 1);
        assert_int_equal(chunk_walk_begin(&w, &c, 0), 0);
        for (uint32_t k = 0; k < c.header.n_events; k++) {
            struct chunk_walk from;
            struct event again;
            assert_int_equal(chunk_walk_next(&w, &e), 0);
            expected++;
            assert_int_equal(e.position, expected);
            assert_int_equal(e.version, expected);
            assert_int_equal(e.time, TIME + expected);
            assert_int_equal(chunk_walk_begin(&from, &c, k), 0);
            assert_int_equal(chunk_walk_next(&from, &again), 0);
            assert_int_equal(again.position, e.position);
            assert_int_equal(again.time, e.time);
        }
        assert_int_equal(chunk_walk_next(&w, &e), 1);
    }
    assert_int_equal(expected, version - 1);
    assert_int_equal(expected, ROUNDS * (3 * 300 + 2 * 1 + 2 * 2));
    block_builder_free(b);
    free(events);
}

int main(void) {
    if (digest_init() != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_record_comes_back_as_it_was_put),
        cmocka_unit_test(every_combination_of_optional_parts_comes_back),
        cmocka_unit_test(long_strings_and_large_numbers_come_back),
        cmocka_unit_test(a_walk_from_every_index_gives_the_events_from_there_on),
        cmocka_unit_test(a_walk_knows_the_record_of_its_event),
        cmocka_unit_test(a_chunk_takes_no_record_once_it_is_full),
        cmocka_unit_test(keys_ascend_in_the_order_of_the_log),
        cmocka_unit_test(relinking_gives_the_block_that_was_begun_with_that_link),
        cmocka_unit_test(a_builder_is_empty_again_after_every_begin),
        cmocka_unit_test(the_example_of_the_format_is_what_is_written),
        cmocka_unit_test(the_schema_of_the_format_is_what_is_written),
        cmocka_unit_test(the_skip_of_the_format_is_what_is_written),
        cmocka_unit_test(a_chunk_that_was_cut_short_is_refused_or_read_within_its_bytes),
        cmocka_unit_test(no_flipped_bit_leads_out_of_a_chunk),
        cmocka_unit_test(numbers_that_point_nowhere_are_refused),
        cmocka_unit_test(what_reaches_past_its_record_is_refused),
        cmocka_unit_test(a_large_schema_comes_back_and_a_larger_one_does_not),
        cmocka_unit_test(a_schema_with_a_wrong_byte_is_refused),
        cmocka_unit_test(a_follower_has_1_to_256_bytes),
        cmocka_unit_test(a_skip_with_a_wrong_byte_is_refused),
        cmocka_unit_test(versions_beyond_32_bits_are_refused),
        cmocka_unit_test(a_walk_passes_over_what_has_no_events),
        cmocka_unit_test(unknown_formats_renderers_and_parts_are_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
