#include "lib_index.h"

#include <stdatomic.h>

static void an_empty_store_has_nothing(void **state) {
    (void)state;
    struct story s;
    story_begin(&s, 1);
    struct index *ix = open_index(&s, false);
    check_all(ix, &s);
    assert_int_equal(index_family_position(ix), 0);
    index_close(ix);
    assert_verified(&s);
    story_end(&s);
}

static void what_was_said_is_found_as_it_is_said(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct story s;
        story_begin(&s, seed);
        struct index *ix = open_index(&s, false);
        for (int i = 0; i < 150; i++) {
            story_block(&s, 1 + story_random(&s, 20), ix);
            if (i % 50 == 0 || i < 3)
                check_all(ix, &s);
        }
        check_all(ix, &s);
        assert_int_equal(index_settle(ix, NULL), 0);
        assert_true(index_family_position(ix) > 0);
        check_all(ix, &s);
        index_close(ix);
        assert_verified(&s);
        assert_true(s.undeclared > 10);
        assert_true(s.n_skips > 5);
        story_end(&s);
    }
}

static void a_store_that_is_opened_again_knows_all(void **state) {
    (void)state;
    struct story s;
    story_begin(&s, 7);
    for (int i = 0; i < 25; i++) {
        struct index *ix = open_index(&s, false);
        check_head(ix, &s);
        for (int k = 0; k < 10; k++)
            story_block(&s, 12, ix);
        if (i % 12 == 0)
            check_all(ix, &s);
        index_close(ix);
        db_close(s.db);
        story_db_open(&s, false, false);
    }
    struct index *ix = open_index(&s, false);
    check_all(ix, &s);
    index_close(ix);
    assert_verified(&s);
    story_end(&s);
}

static void read_only_keeps_windows_in_memory(void **state) {
    (void)state;
    struct story s;
    story_begin(&s, 8);
    for (int k = 0; k < 100; k++)
        story_block(&s, 12, NULL);
    db_close(s.db);
    story_db_open(&s, false, true);
    struct index *ix = open_index(&s, true);
    assert_true(ix->n_windows > 4);
    check_all(ix, &s);
    assert_int_equal(index_family_position(ix), 0);
    index_close(ix);
    assert_verified(&s);
    story_end(&s);
}

/* The same log indexed bit by bit, over many openings, and at one go. */
static void the_family_is_a_function_of_the_log(void **state) {
    (void)state;
    struct story s;
    story_begin(&s, 9);
    for (int i = 0; i < 20; i++) {
        struct index *ix = open_index(&s, false);
        for (int k = 0; k < 12; k++)
            story_block(&s, 12, ix);
        index_close(ix);
    }
    struct index *ix = open_index(&s, false);
    assert_int_equal(index_settle(ix, NULL), 0);
    index_close(ix);
    struct buf before = family_dump(&s);
    struct err err = {0};
    if (index_rebuild_sized(s.db, story_store_id, &small, &err) != 0)
        fail_msg("%s", err.text);
    struct buf after = family_dump(&s);
    assert_true(before.n > 10000);
    assert_int_equal(before.n, after.n);
    assert_memory_equal(before.p, after.p, before.n);
    buf_free(&before);
    buf_free(&after);
    assert_verified(&s);
    ix = open_index(&s, false);
    check_all(ix, &s);
    index_close(ix);
    story_end(&s);
}

static void one_long_stream_has_many_runs(void **state) {
    (void)state;
    struct story s;
    story_begin(&s, 10);
    struct index *ix = NULL;
    struct index_limits wide = {900, 1 << 30};
    assert_int_equal(index_open_sized(&ix, s.db, story_store_id, false, &wide, NULL), 0);
    story_block_begin(&s);
    uint64_t one = story_add_aggregate(&s, story_add_type(&s), "long"), other = story_add_aggregate(&s, 1, "short");
    story_block_end(&s, ix);
    for (int i = 0; i < 12; i++) {
        story_block_begin(&s);
        story_command(&s, one, 257, true);
        story_command(&s, other, 1, true);
        story_command(&s, one, 3, false);
        story_block_end(&s, ix);
    }
    check_all(ix, &s);
    assert_int_equal(index_settle(ix, NULL), 0);
    check_all(ix, &s);
    index_close(ix);
    struct index_damage damage;
    assert_int_equal(index_verify_sized(s.db, story_store_id, &wide, &damage, NULL), 0);
    story_end(&s);
}

/* --- commands of any number of events */

/* Each event as the log gives it by its position, against what was said of it. */
static void check_log(struct index *ix, const struct story *s) {
    struct log *log = log_new(s->db, ix);
    assert_non_null(log);
    for (uint64_t position = 1; position <= s->n_events; position++) {
        const struct story_event *said = &s->events[position - 1];
        struct log_chunk *held = NULL;
        struct chunk_walk walk;
        struct event e;
        assert_int_equal(log_chunk_at(log, position, &held, NULL), 0);
        const struct chunk *c = log_chunk_view(held);
        assert_int_equal(chunk_walk_begin(&walk, c, (uint32_t)(position - c->header.first_position)), 0);
        assert_int_equal(chunk_walk_next(&walk, &e), 0);
        assert_int_equal(e.position, position);
        assert_int_equal(e.version, said->version);
        assert_int_equal(e.aggregate, said->aggregate);
        assert_int_equal(e.time, said->time);
        assert_int_equal(e.schema, said->schema);
        assert_true(str_eq(e.type, str_of(said->type)));
        e.aggregate_type = index_type_name(ix, e.type_no);
        e.store_id = story_store_id;
        assert_int_equal(event_size(&e), said->size);
        log_chunk_release(held);
    }
    log_free(log);
}

/* What has been asked before must not say less, or something else, once more of the log is in the family. */
static void chunks_are_found_by_position_while_the_family_grows(void **state) {
    (void)state;
    struct story s;
    story_begin(&s, 12);
    struct index *ix = open_index(&s, false);
    uint64_t random = 7;
    for (int i = 0; i < 150; i++) {
        story_block(&s, 40, ix);
        assert_int_equal(index_settle(ix, NULL), 0);
        for (int k = 0; k < 40; k++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            uint64_t position = k == 0 ? s.n_events : 1 + (random >> 33) % s.n_events;
            struct log *log =
                log_new(s.db, ix); /* which knows no chunk yet, and refuses one that is not the position's */
            struct log_chunk *chunk;
            assert_int_equal(log_chunk_at(log, position, &chunk, NULL), 0);
            log_chunk_release(chunk);
            log_free(log);
        }
    }
    struct index_chunk c;
    assert_true(s.n_events > 3 * CHUNK_PAGE_POSITIONS);
    assert_int_equal(index_chunk_of(ix, s.n_events + 1, &c, NULL), INDEX_NONE);
    index_close(ix);
    story_end(&s);
}

/* Of large events a page has room for the first ones only, and the others are not to be paid for with a page each. */
static void a_full_page_of_chunks_says_what_is_past_it(void **state) {
    (void)state;
    struct chunk_cache *cache = chunk_cache_new();
    struct index_chunk chunks[CHUNK_PAGE_MAX] = {0}, found;
    const uint64_t first = 5 * (uint64_t)CHUNK_PAGE_POSITIONS;
    for (uint64_t i = 0; i < CHUNK_PAGE_MAX; i++)
        chunks[i].first_position = first + 2 * i;
    assert_int_equal(chunk_cache_get(cache, first, &found), CHUNK_CACHE_UNKNOWN);
    for (size_t n = CHUNK_PAGE_MAX - 1; n <= CHUNK_PAGE_MAX; n++) {
        uint64_t last = chunks[n - 1].first_position;
        bool full = n == CHUNK_PAGE_MAX;
        chunk_cache_put(cache, first, chunks, n);
        for (uint64_t position = first; position < last; position++) {
            assert_int_equal(chunk_cache_get(cache, position, &found), CHUNK_CACHE_FOUND);
            assert_int_equal(found.first_position, position / 2 * 2);
        }
        assert_int_equal(chunk_cache_get(cache, last, &found), full ? CHUNK_CACHE_PAST : CHUNK_CACHE_UNKNOWN);
        assert_int_equal(chunk_cache_get(cache, first + CHUNK_PAGE_POSITIONS - 1, &found),
                         full ? CHUNK_CACHE_PAST : CHUNK_CACHE_UNKNOWN);
        assert_int_equal(chunk_cache_get(cache, first + CHUNK_PAGE_POSITIONS, &found), CHUNK_CACHE_UNKNOWN);
    }
    chunk_cache_free(cache);
}

static void commands_may_have_any_number_of_events(void **state) {
    (void)state;
    static const uint32_t counts[] = {0, 300, 0, 0, 1, 2, 1, 0, 300, 1, 2, 0};
    const uint64_t sizes[] = {250, 100000}; /* of windows */
    for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++) {
        struct story s;
        struct index *ix = NULL;
        struct index_damage damage;
        const struct index_limits limits = {sizes[size], 1 << 30};
        story_begin(&s, 30 + size);
        assert_int_equal(index_open_sized(&ix, s.db, story_store_id, false, &limits, NULL), 0);
        for (int block = 0; block < 5; block++) {
            story_block_begin(&s);
            if (block % 4 == 0)
                story_add_aggregate(&s, block ? 1 : story_add_type(&s), block ? "other" : "one");
            for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
                story_command(&s, 1 + (i + (size_t)block) % s.n_aggregates, counts[i], (i + (size_t)block) % 3 > 0);
                if (i % 5 == 0)
                    story_schema(&s, 1, i % 2, "Event1");
                if (i % 5 == 1)
                    story_skip(&s, "views/a", s.n_events);
            }
            story_block_end(&s, ix);
            assert_true(block_chunks(s.builder) > 1);
        }
        story_block_begin(&s); /* a block without any event, and the last command of all has none */
        story_command(&s, 1, 0, false);
        story_command(&s, 2, 0, true);
        story_block_end(&s, ix);
        check_all(ix, &s);
        check_log(ix, &s);
        assert_int_equal(index_settle(ix, NULL), 0);
        check_all(ix, &s);
        index_close(ix);
        assert_int_equal(index_verify_sized(s.db, story_store_id, &limits, &damage, NULL), 0);
        struct buf before = family_dump(&s);
        assert_int_equal(index_rebuild_sized(s.db, story_store_id, &limits, NULL), 0);
        struct buf after = family_dump(&s);
        assert_true(str_eq(buf_str(&before), buf_str(&after)));
        buf_free(&before);
        buf_free(&after);
        assert_int_equal(index_open_sized(&ix, s.db, story_store_id, true, &limits, NULL), 0);
        check_all(ix, &s);
        check_log(ix, &s);
        index_close(ix);
        story_end(&s);
    }
}

static void a_command_without_events_is_found_with_its_aggregates_version(void **state) {
    (void)state;
    struct story s;
    struct index_command c;
    story_begin(&s, 34);
    struct index *ix = open_index(&s, false);
    story_block_begin(&s);
    uint64_t no = story_add_aggregate(&s, story_add_type(&s), "one");
    story_command(&s, no, 0, true);
    story_command(&s, no, 3, true);
    story_command(&s, no, 0, true);
    story_block_end(&s, ix);
    static const uint64_t versions[] = {0, 1, 3}, positions[] = {1, 1, 4};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(index_command_by_id(ix, no, str_of(s.commands[i].id), &c, NULL), 0);
        assert_int_equal(c.n_events, i == 1 ? 3 : 0);
        assert_int_equal(c.version, versions[i]);
        assert_int_equal(c.position, positions[i]);
    }
    index_close(ix);
    story_end(&s);
}

/* --- readers beside the writer */

struct beside {
    struct index *ix;
    atomic_bool stop;
    atomic_uint rounds;
};

static void read_something(struct index *ix, uint64_t *random) {
    struct index_head head;
    index_head(ix, &head);
    struct index_aggregate a, list[8];
    struct index_entry e[8], one;
    struct index_chunk c;
    *random = *random * 6364136223846793005ULL + 1442695040888963407ULL;
    uint64_t no = 1 + (*random >> 33) % head.next_aggregate;
    if (index_aggregate_by_no(ix, no, &a, NULL) == 0 && a.version) {
        uint64_t version = 1 + (*random >> 20) % a.version;
        assert_true(index_entries(ix, no, version, e, 8, NULL) >= 1);
        assert_int_equal(e[0].version, version);
        assert_int_equal(index_entry_at_offset(ix, no, e[0].offset, &one, NULL), 0);
        assert_memory_equal(&one, &e[0], offsetof(struct index_entry, type));
        assert_int_equal(index_entry_at_time(ix, no, e[0].time, &one, NULL), 0);
        assert_int_equal(one.version, version);
        assert_int_equal(index_aggregate_by_name(ix, a.type_no, (struct str){a.id, a.id_bytes}, &a, NULL), 0);
        assert_int_equal(a.no, no);
    }
    if (head.log_bytes) {
        assert_int_equal(index_chunk_at(ix, 0, (*random >> 13) % head.log_bytes, &c, NULL), 0);
        uint64_t offset = c.offset;
        int r = index_chunk_next(ix, 0, &c, &c, NULL);
        assert_true(r == INDEX_NONE || (r == 0 && c.offset > offset));
    }
    struct index_event_kind kinds[5];
    assert_true(index_event_kinds_after(ix, 1, NULL, kinds, 5, NULL) == 5 || head.position < 200);
    struct index_schema schema;
    if (index_schema_after(ix, NULL, &schema) == 0)
        assert_int_equal(schema.text.p[0], '{');
    struct index_skip skip = {0};
    while (index_skip_after(ix, STR("views/ab"), skip.position, &skip) == 0)
        assert_int_equal(index_skip_find(ix, skip.follower, skip.position), 0);
    uint64_t after = 0;
    int n;
    while ((n = index_aggregates_after(ix, 1, after, list, 8, NULL)) > 0)
        for (int i = 0; i < n; i++) {
            assert_true(list[i].no > after);
            after = list[i].no;
        }
    assert_int_equal(n, 0);
}

static void *beside_main(void *arg) {
    struct beside *b = arg;
    uint64_t random = (uintptr_t)&random;
    while (!atomic_load(&b->stop)) {
        read_something(b->ix, &random);
        atomic_fetch_add(&b->rounds, 1);
    }
    return NULL;
}

static void readers_see_no_gap_while_windows_move_to_the_family(void **state) {
    (void)state;
    struct story s;
    story_begin(&s, 11);
    struct beside b = {.ix = open_index(&s, false)};
    pthread_t threads[3];
    story_block(&s, 50, b.ix);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, beside_main, &b), 0);
    for (int i = 0; i < 400 || atomic_load(&b.rounds) < 300; i++)
        story_block(&s, 20, b.ix);
    atomic_store(&b.stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    check_head(b.ix, &s);
    index_close(b.ix);
    story_end(&s);
}

/* --- blocks that are refused */

static void a_block_that_does_not_follow_is_refused(void **state) {
    (void)state;
    struct story s;
    story_begin(&s, 26);
    struct index *ix = open_index(&s, false);
    story_block(&s, 30, ix);
    struct err err = {0};
    struct str key, value;
    block_chunk(s.builder, 0, &key, &value);
    assert_int_equal(index_check(ix, &value, 1, s.head.link, &err), -EBADMSG);
    assert_true(err.text[0]);
    check_all(ix, &s);
    index_close(ix);
    story_end(&s);
}

/* The block is decoded far enough to know a new type before it turns out to be wrong. */
static void a_refused_block_leaves_nothing_behind(void **state) {
    (void)state;
    struct story s;
    struct err err = {0};
    struct str key, value;
    uint8_t link[DIGEST_CHAIN];
    story_begin(&s, 27);
    struct index *ix = open_index(&s, false);
    for (int i = 0; i < 40; i++)
        story_block(&s, 30, ix);
    for (int i = 0; i < 3; i++) {
        block_begin(s.builder, s.head.block + 1, s.head.link, s.head.position + 1, s.head.log_bytes);
        const struct record type = {
            .kind = RECORD_TYPE, .time = s.head.time + 1, .type_no = s.head.next_type, .name = STR("new")};
        const struct record name = {
            .kind = RECORD_NAME, .time = s.head.time + 1, .type_no = s.head.next_type, .aggregate = 1};
        block_put_record(s.builder, &type);
        block_put_record(s.builder, &name);
        assert_int_equal(block_finish(s.builder), 0);
        block_link(s.builder, link);
        block_chunk(s.builder, 0, &key, &value);
        assert_int_equal(index_check(ix, &value, 1, link, &err), -EBADMSG);
        assert_int_equal(index_type_name(ix, s.head.next_type).n, 0);
        check_all(ix, &s);
        story_block(&s, 30, ix);
    }
    check_all(ix, &s);
    index_close(ix);
    assert_verified(&s);
    story_end(&s);
}

/* --- schemas and kinds of events */

static void schemas_come_in_order(void **state) {
    (void)state;
    static const struct {
        bool of_command;
        const char *name;
    } said[] = {{true, "a"},         {false, "b"}, {false, "aa"}, {false, "a"},
                {false, "\xc3\xa4"}, {false, "a"}, {false, "a!"}};
    static const char *const order[] = {"0 a 1", "0 a 2", "0 a! 1", "0 aa 1", "0 b 1", "0 \xc3\xa4 1", "1 a 1"};
    const uint64_t sizes[] = {1, 100000}; /* each block a window, and all in one */
    for (size_t size = 0; size < 2; size++) {
        struct story s;
        struct index *ix = NULL;
        const struct index_limits limits = {sizes[size], 1 << 30};
        story_begin(&s, 35);
        assert_int_equal(index_open_sized(&ix, s.db, story_store_id, false, &limits, NULL), 0);
        story_block_begin(&s);
        for (int i = 0; i < 3; i++)
            story_add_aggregate(&s, story_add_type(&s), "one");
        for (uint32_t type_no = 3; type_no > 1; type_no--) { /* the first one has none */
            for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
                story_schema(&s, type_no, said[i].of_command, said[i].name);
                story_command(&s, 1, 1, false);
                story_block_end(&s, ix);
                story_block_begin(&s);
            }
        }
        for (int again = 0; again < 2; again++) {
            struct index_schema schema, *after = NULL;
            char line[64];
            for (size_t i = 0; index_schema_after(ix, after, &schema) == 0; i++) {
                assert_true(i < 14);
                assert_int_equal(schema.type_no, 2 + i / 7);
                snprintf(line, sizeof line, "%d %.*s %u", schema.of_command, (int)schema.name.n, schema.name.p,
                         schema.version);
                assert_string_equal(line, order[i % 7]);
                after = &schema;
            }
            assert_int_equal(after ? after->type_no : 0, 3);
            struct index_schema absent = {.type_no = 2, .name = STR("aaa"), .version = 7};
            assert_int_equal(index_schema_after(ix, &absent, &schema), 0);
            assert_true(str_eq(schema.name, STR("b")));
            assert_int_equal(index_schema_find(ix, 2, false, STR("a"), 3, &schema), INDEX_NONE);
            assert_int_equal(index_schema_find(ix, 2, true, STR("b"), 1, &schema), INDEX_NONE);
            assert_int_equal(index_schema_find(ix, 1, false, STR("a"), 1, &schema), INDEX_NONE);
            assert_int_equal(index_schema_find(ix, 2, false, STR("a"), 2, &schema), 0);
            assert_int_equal(index_settle(ix, NULL), 0);
            index_close(ix);
            assert_int_equal(index_open_sized(&ix, s.db, story_store_id, false, &limits, NULL), 0);
        }
        index_close(ix);
        story_end(&s);
    }
}

/* --- skips */

static void skips_come_in_order_and_of_their_follower(void **state) {
    (void)state;
    static const struct {
        const char *follower;
        uint64_t position;
    } said[] = {{"views/b", 300}, {"views/a", 7},  {"views/b", 1},   {"kafka", 7},
                {"views/b", 7},   {"views/", 255}, {"views/b!", 42}, {"views/b", 256}};
    const uint64_t sizes[] = {1, 100000}; /* each block a window, and all in one */
    for (size_t size = 0; size < 2; size++) {
        struct story s;
        struct index *ix = NULL;
        const struct index_limits limits = {sizes[size], 1 << 30};
        story_begin(&s, 44);
        assert_int_equal(index_open_sized(&ix, s.db, story_store_id, false, &limits, NULL), 0);
        story_block_begin(&s);
        story_command(&s, story_add_aggregate(&s, story_add_type(&s), "one"), 300, false);
        for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
            story_skip(&s, said[i].follower, said[i].position);
            story_command(&s, 1, 1, false);
            story_block_end(&s, ix);
            story_block_begin(&s);
        }
        for (int again = 0; again < 3; again++) {
            static const uint64_t order[] = {1, 7, 256, 300};
            struct index_skip skip = {0};
            check_skips(ix, &s);
            for (size_t i = 0; i < 4; i++) {
                assert_int_equal(index_skip_after(ix, STR("views/b"), skip.position, &skip), 0);
                assert_int_equal(skip.position, order[i]);
            }
            assert_int_equal(index_skip_after(ix, STR("views/b"), skip.position, &skip), INDEX_NONE);
            assert_int_equal(index_skip_after(ix, STR("views/b"), 8, &skip), 0);
            assert_int_equal(skip.position, 256);
            assert_int_equal(index_skip_after(ix, STR("views/b"), UINT64_MAX, &skip), INDEX_NONE);
            assert_int_equal(index_skip_find(ix, STR("views/a"), 1), INDEX_NONE);
            assert_int_equal(index_skip_find(ix, STR("views/a"), 7), 0);
            assert_int_equal(index_settle(ix, NULL), 0);
            index_close(ix);
            if (again)
                assert_int_equal(index_rebuild_sized(s.db, story_store_id, &limits, NULL), 0);
            assert_int_equal(index_open_sized(&ix, s.db, story_store_id, false, &limits, NULL), 0);
        }
        index_close(ix);
        struct index_damage damage;
        assert_int_equal(index_verify_sized(s.db, story_store_id, &limits, &damage, NULL), 0);
        story_end(&s);
    }
}

static void kinds_of_events_come_in_order_and_once(void **state) {
    (void)state;
    struct story s;
    struct index_event_kind kinds[8], kind = {.type_no = 1};
    story_begin(&s, 37);
    struct index *ix = open_index(&s, false);
    assert_int_equal(index_event_kinds_after(ix, 1, NULL, kinds, 8, NULL), 0);
    for (int k = 0; k < 60; k++)
        story_block(&s, 12, ix);
    for (size_t step = 1; step <= 4096; step *= 8)
        for (uint32_t no = 1; no <= s.n_types + 1; no++)
            check_kinds(ix, &s, no, step);
    assert_int_equal(index_event_kinds_after(ix, 1, NULL, kinds, 0, NULL), 0);
    assert_int_equal(index_event_kinds_after(ix, 1, NULL, kinds, 8, NULL), 8);
    /* one that is not there, and the very last that could be */
    kind.schema = kinds[3].schema;
    kind.name_bytes = (uint8_t)(kinds[3].name_bytes + 1);
    memcpy(kind.name, kinds[3].name, kinds[3].name_bytes);
    struct index_event_kind next;
    assert_int_equal(index_event_kinds_after(ix, 1, &kind, &next, 1, NULL), 1);
    assert_int_equal(next.schema, kinds[4].schema);
    assert_memory_equal(next.name, kinds[4].name, kinds[4].name_bytes);
    kind.schema = UINT32_MAX;
    kind.name_bytes = NAME_MAX_BYTES;
    memset(kind.name, 0xff, NAME_MAX_BYTES);
    assert_int_equal(index_event_kinds_after(ix, 1, &kind, kinds, 8, NULL), 0);
    index_close(ix);
    story_end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_store_has_nothing),
        cmocka_unit_test(what_was_said_is_found_as_it_is_said),
        cmocka_unit_test(a_store_that_is_opened_again_knows_all),
        cmocka_unit_test(read_only_keeps_windows_in_memory),
        cmocka_unit_test(the_family_is_a_function_of_the_log),
        cmocka_unit_test(one_long_stream_has_many_runs),
        cmocka_unit_test(chunks_are_found_by_position_while_the_family_grows),
        cmocka_unit_test(a_full_page_of_chunks_says_what_is_past_it),
        cmocka_unit_test(commands_may_have_any_number_of_events),
        cmocka_unit_test(a_command_without_events_is_found_with_its_aggregates_version),
        cmocka_unit_test(schemas_come_in_order),
        cmocka_unit_test(skips_come_in_order_and_of_their_follower),
        cmocka_unit_test(kinds_of_events_come_in_order_and_once),
        cmocka_unit_test(readers_see_no_gap_while_windows_move_to_the_family),
        cmocka_unit_test(a_block_that_does_not_follow_is_refused),
        cmocka_unit_test(a_refused_block_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
