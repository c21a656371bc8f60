/* Blocks: what is put in comes back, walks, chunks, and the bytes that FORMAT.md shows. */
#include "lib_block.h"

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

/* --- walks */

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
        cmocka_unit_test(a_walk_passes_over_what_has_no_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
