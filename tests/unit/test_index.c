#include "index.h"

#include "index_private.h"
#include "log.h"
#include "story.h"

#include <errno.h>
#include <stdatomic.h>

/* Small windows, so that a story of some thousand events fills many. */
static const struct index_limits small = {200, 1 << 20};

static struct index *open_index(struct story *s, bool read_only) {
    struct index *ix = NULL;
    struct err err = {0};
    if (index_open_sized(&ix, s->db, story_store_id, read_only, &small, &err) != 0)
        fail_msg("%s", err.text);
    return ix;
}

/* --- everything that the story says against everything that the index answers */

static void check_head(struct index *ix, const struct story *s) {
    struct index_head head;
    index_head(ix, &head);
    assert_int_equal(head.block, s->head.block);
    assert_int_equal(head.position, s->head.position);
    assert_int_equal(head.log_bytes, s->head.log_bytes);
    assert_int_equal(head.time, s->head.block ? s->head.time : 0);
    assert_int_equal(head.next_aggregate, s->head.next_aggregate);
    assert_int_equal(head.next_type, s->head.next_type);
    assert_memory_equal(head.link, s->head.link, DIGEST_CHAIN);
}

static void check_types(struct index *ix, const struct story *s) {
    struct index_type t;
    for (size_t i = 0; i < s->n_types; i++) {
        const struct story_type *said = &s->types[i];
        assert_true(str_eq(index_type_name(ix, (uint32_t)i + 1), str_of(said->name)));
        assert_int_equal(index_type_by_no(ix, (uint32_t)i + 1, &t), said->exists ? 0 : INDEX_NONE);
        if (!said->exists)
            continue;
        assert_int_equal(t.aggregates, said->aggregates);
        assert_int_equal(t.events, said->events);
        assert_int_equal(t.bytes, said->bytes);
        assert_int_equal(t.time, said->time);
        assert_int_equal(index_type_by_name(ix, str_of(said->name), &t), 0);
        assert_int_equal(t.no, i + 1);
    }
    size_t exist = 0, listed = 0;
    for (size_t i = 0; i < s->n_types; i++)
        exist += s->types[i].exists;
    for (uint32_t no = 0; index_type_after(ix, no, &t) == 0; no = t.no)
        listed++;
    assert_int_equal(listed, exist);
}

static void check_aggregate(struct index *ix, const struct story *s, uint64_t no) {
    const struct story_aggregate *said = &s->aggregates[no - 1];
    struct index_aggregate a, named;
    int r = index_aggregate_by_no(ix, no, &a, NULL);
    int by_name = index_aggregate_by_name(ix, said->type_no, str_of(said->id), &named, NULL);
    assert_int_equal(r, said->exists ? 0 : INDEX_NONE);
    if (!said->exists) {
        assert_true(by_name == INDEX_NONE || named.no > no);
        return;
    }
    assert_int_equal(by_name, 0);
    assert_memory_equal(&a, &named, sizeof a);
    assert_int_equal(a.no, no);
    assert_int_equal(a.type_no, said->type_no);
    assert_true(str_eq((struct str){a.id, a.id_bytes}, str_of(said->id)));
    assert_int_equal(a.version, said->version);
    assert_int_equal(a.bytes, said->bytes);
    assert_int_equal(a.time, said->time);
}

static void check_listing(struct index *ix, const struct story *s, uint32_t type_no, size_t step) {
    struct index_aggregate list[16];
    uint64_t after = 0;
    size_t said = 0;
    int n;
    while ((n = index_aggregates_after(ix, type_no, after, list, step, NULL)) > 0) {
        for (int i = 0; i < n; i++) {
            while (said < s->n_aggregates && !(s->aggregates[said].exists && s->aggregates[said].type_no == type_no))
                said++;
            assert_int_equal(list[i].no, said + 1);
            assert_true(str_eq((struct str){list[i].id, list[i].id_bytes}, str_of(s->aggregates[said].id)));
            said++;
        }
        after = list[n - 1].no;
    }
    assert_int_equal(n, 0);
    for (; said < s->n_aggregates; said++)
        assert_false(s->aggregates[said].exists && s->aggregates[said].type_no == type_no);
}

static void check_entry(const struct index_entry *e, const struct story *s, uint64_t position) {
    const struct story_event *said = &s->events[position - 1];
    assert_int_equal(e->position, position);
    assert_int_equal(e->version, said->version);
    assert_int_equal(e->time, said->time);
    assert_int_equal(e->offset, said->offset);
    assert_int_equal(e->size, said->size);
    assert_true(str_eq((struct str){e->type, e->type_bytes}, str_of(said->type)));
}

/* Each event of the log must be the next entry of its aggregate. */
static void check_streams(struct index *ix, const struct story *s, size_t step) {
    struct index_entry entries[64];
    for (uint64_t no = 1; no <= s->n_aggregates; no++) {
        uint64_t position = 0, version = 1;
        int n;
        while ((n = index_entries(ix, no, version, entries, step, NULL)) > 0) {
            for (int i = 0; i < n; i++) {
                while (s->events[position].aggregate != no)
                    position++;
                check_entry(&entries[i], s, ++position);
            }
            version += (uint64_t)n;
        }
        assert_int_equal(n, 0);
        assert_int_equal(version - 1, s->aggregates[no - 1].version);
    }
}

static void check_event(struct index *ix, const struct story *s, uint64_t position) {
    const struct story_event *said = &s->events[position - 1];
    struct index_entry e;
    for (uint32_t at = 0; at < said->size; at += said->size - 1) {
        assert_int_equal(index_entry_at_offset(ix, said->aggregate, said->offset + at, &e, NULL), 0);
        check_entry(&e, s, position);
    }
    assert_int_equal(index_entry_at_time(ix, said->aggregate, said->time, &e, NULL), 0);
    check_entry(&e, s, position);
    int r = index_entry_at_time(ix, said->aggregate, said->time - 1, &e, NULL);
    assert_int_equal(r, said->version == 1 ? INDEX_NONE : 0);
    if (r == 0)
        assert_int_equal(e.version, said->version - 1);
    struct index_chunk c;
    for (int of_type = 0; of_type < 2; of_type++) {
        uint64_t offset = of_type ? said->type_offset : said->log_offset;
        assert_int_equal(index_chunk_at(ix, of_type ? said->type_no : 0, offset, &c, NULL), 0);
        assert_int_equal(c.first_position, said->chunk_position);
        assert_int_equal(c.block, said->block);
        assert_int_equal(c.chunk, said->chunk);
        assert_true(c.offset <= offset);
    }
}

/* Walks through the chunks of a file and meets each that has an event of it, once. */
static void check_chunks(struct index *ix, const struct story *s, uint32_t type_no) {
    struct index_chunk c;
    const struct story_event *before = NULL;
    int r = INDEX_NONE;
    for (size_t i = 0; i < s->n_events; i++) {
        const struct story_event *said = &s->events[i];
        if (type_no && said->type_no != type_no)
            continue;
        if (before && before->block == said->block && before->chunk == said->chunk)
            continue;
        r = before ? index_chunk_next(ix, type_no, &c, &c, NULL) : index_chunk_at(ix, type_no, 0, &c, NULL);
        assert_int_equal(r, 0);
        assert_int_equal(c.offset, type_no ? said->type_offset : said->log_offset);
        assert_int_equal(c.first_position, said->chunk_position);
        before = said;
    }
    if (before)
        assert_int_equal(index_chunk_next(ix, type_no, &c, &c, NULL), INDEX_NONE);
    else
        assert_int_equal(index_chunk_at(ix, type_no, 0, &c, NULL), INDEX_NONE);
}

static void check_commands(struct index *ix, const struct story *s) {
    struct index_command c;
    for (size_t i = 0; i < s->n_commands; i++) {
        const struct story_command *said = &s->commands[i];
        assert_int_equal(index_command_by_id(ix, said->aggregate, str_of(said->id), &c, NULL), 0);
        assert_int_equal(c.version, said->version);
        assert_int_equal(c.position, said->position);
        assert_int_equal(c.n_events, said->n_events);
        assert_memory_equal(c.content, said->content, DIGEST_CONTENT);
        assert_int_equal(index_command_by_id(ix, said->aggregate + 1, str_of(said->id), &c, NULL), INDEX_NONE);
    }
}

static int kinds_order(const void *x, const void *y) {
    const struct story_event *a = *(const struct story_event *const *)x, *b = *(const struct story_event *const *)y;
    return a->schema != b->schema ? (a->schema > b->schema) - (a->schema < b->schema) : strcmp(a->type, b->type);
}

static void check_kinds(struct index *ix, const struct story *s, uint32_t type_no, size_t step) {
    const struct story_event **said = calloc(s->n_events + 1, sizeof *said);
    struct index_event_kind *kinds = calloc(step, sizeof *kinds), *after = NULL;
    size_t n = 0, at = 0;
    int got;
    for (size_t i = 0; i < s->n_events; i++)
        if (s->events[i].type_no == type_no)
            said[n++] = &s->events[i];
    qsort(said, n, sizeof *said, kinds_order);
    while ((got = index_event_kinds_after(ix, type_no, after, kinds, step, NULL)) > 0) {
        for (int i = 0; i < got; i++) {
            assert_true(at < n);
            assert_int_equal(kinds[i].type_no, type_no);
            assert_int_equal(kinds[i].schema, said[at]->schema);
            assert_true(str_eq((struct str){kinds[i].name, kinds[i].name_bytes}, str_of(said[at]->type)));
            const struct story_event *same = said[at];
            while (at < n && kinds_order(&same, &said[at]) == 0)
                at++;
        }
        after = &kinds[got - 1];
    }
    assert_int_equal(got, 0);
    assert_int_equal(at, n);
    free(kinds);
    free(said);
}

static void check_schemas(struct index *ix, const struct story *s) {
    struct index_schema found, *after = NULL;
    size_t n = 0;
    for (size_t i = 0; i < s->n_schemas; i++) {
        const struct story_schema *said = &s->schemas[i];
        struct str name = str_of(said->name);
        assert_int_equal(index_schema_find(ix, said->type_no, said->of_command, name, said->version, &found), 0);
        assert_true(str_eq(found.text, str_of(said->text)));
        assert_int_equal(index_schema_find(ix, said->type_no + 100, said->of_command, name, said->version, &found),
                         INDEX_NONE);
    }
    for (struct index_schema before; index_schema_after(ix, after, &found) == 0; n++) {
        assert_true(!after || schemas_order(after, &found) < 0);
        before = found;
        after = &before;
    }
    assert_int_equal(n, s->n_schemas);
}

static void check_ends(struct index *ix, const struct story *s) {
    struct index_entry e;
    struct index_chunk c;
    struct index_aggregate a;
    assert_int_equal(index_chunk_at(ix, 0, s->head.log_bytes, &c, NULL), INDEX_NONE);
    assert_int_equal(index_chunk_at(ix, 999, 0, &c, NULL), INDEX_NONE);
    assert_int_equal(index_aggregate_by_no(ix, s->head.next_aggregate, &a, NULL), INDEX_NONE);
    assert_int_equal(index_aggregate_by_name(ix, 1, STR("nobody"), &a, NULL), INDEX_NONE);
    assert_int_equal(index_entries(ix, s->head.next_aggregate, 1, &e, 1, NULL), 0);
    for (uint64_t no = 1; no <= s->n_aggregates; no++)
        assert_int_equal(index_entry_at_offset(ix, no, s->aggregates[no - 1].bytes, &e, NULL), INDEX_NONE);
}

static void check_all(struct index *ix, const struct story *s) {
    check_head(ix, s);
    check_types(ix, s);
    for (uint64_t no = 1; no <= s->n_aggregates; no++)
        check_aggregate(ix, s, no);
    for (uint32_t no = 1; no <= s->n_types; no++)
        check_listing(ix, s, no, 1 + no % 16);
    for (size_t step = 3; step <= 64; step *= 21)
        check_streams(ix, s, step);
    for (uint64_t position = 1 + s->head.block % 3; position <= s->n_events; position += 3)
        check_event(ix, s, position);
    for (uint32_t no = 0; no <= s->n_types; no++)
        check_chunks(ix, s, no);
    for (uint32_t no = 1; no <= s->n_types + 1; no++)
        check_kinds(ix, s, no, 1 + s->head.block % 40);
    check_schemas(ix, s);
    check_commands(ix, s);
    check_ends(ix, s);
}

/* Every key and value of the family. */
static struct buf family_dump(struct story *s) {
    struct buf out = {0};
    struct db_pair pair;
    struct db_iter *it = db_iter_new(s->db, DB_DERIVED, &(struct db_iter_options){0});
    for (int r = db_iter_seek(it, STR(""), &pair, NULL); r == 0; r = db_iter_next(it, &pair, NULL)) {
        buf_put(&out, &pair.key.n, sizeof pair.key.n);
        buf_put_str(&out, pair.key);
        buf_put(&out, &pair.value.n, sizeof pair.value.n);
        buf_put_str(&out, pair.value);
    }
    db_iter_free(it);
    return out;
}

static void assert_verified(struct story *s) {
    struct err err = {0};
    struct index_damage damage;
    if (index_verify_sized(s->db, story_store_id, &small, &damage, &err) != 0)
        fail_msg("%s (position %llu)", err.text, (unsigned long long)damage.position);
}

/* --- the tests */

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

/* --- damage */

static void assert_not_opened(struct story *s, const char *words) {
    struct index *ix = NULL;
    struct err err = {0};
    assert_int_equal(index_open_sized(&ix, s->db, story_store_id, true, &small, &err), -EUCLEAN);
    assert_int_equal(err.code, EUCLEAN);
    if (!strstr(err.text, words))
        fail_msg("%s", err.text);
}

static void assert_damage(struct story *s, uint64_t position, const char *aggregate) {
    struct index_damage damage;
    struct err err = {0};
    assert_int_equal(index_verify_sized(s->db, story_store_id, &small, &damage, &err), INDEX_DAMAGED);
    assert_true(err.text[0]);
    assert_int_equal(damage.position, position);
    assert_string_equal(damage.aggregate, aggregate);
}

static void name_of(const struct story *s, uint64_t aggregate, char out[96]) {
    const struct story_aggregate *a = &s->aggregates[aggregate - 1];
    snprintf(out, 96, "%s/%s", s->types[a->type_no - 1].name, a->id);
}

static void tell(struct story *s, uint64_t seed) {
    story_begin(s, seed);
    struct index *ix = open_index(s, false);
    for (int i = 0; i < 100; i++)
        story_block(s, 12, ix);
    assert_int_equal(index_settle(ix, NULL), 0);
    index_close(ix);
}

/* The value of the chunk that holds an event, to be written back changed. */
static struct db_change chunk_copy(struct story *s, uint64_t position, char key[BLOCK_KEY_BYTES]) {
    const struct story_event *e = &s->events[position - 1];
    block_key(&(struct chunk_header){.first_position = e->chunk_position, .block = e->block, .index = e->chunk}, key);
    struct str k = {key, BLOCK_KEY_BYTES};
    struct db_value v;
    assert_int_equal(db_get(s->db, DB_LOG, k, &v, NULL), 0);
    char *copy = malloc(v.bytes.n);
    memcpy(copy, v.bytes.p, v.bytes.n);
    struct db_change change = {.family = DB_LOG, .key = k, .value = {copy, v.bytes.n}};
    db_value_release(&v);
    return change;
}

static void a_changed_byte_breaks_the_chain(void **state) {
    (void)state;
    struct story s;
    tell(&s, 20);
    char key[BLOCK_KEY_BYTES];
    struct db_change change = chunk_copy(&s, 400, key);
    char *digit = memmem(change.value.p, change.value.n, "{\"n\":", 5);
    digit[5] ^= 1;
    assert_int_equal(db_write(s.db, &change, 1, true, NULL), 0);
    free((char *)change.value.p);
    /* It cannot be told from the block itself, but the block after it says what it was. */
    uint64_t block = s.events[399].block, next = 400;
    while (s.events[next - 1].block == block)
        next++;
    char name[96];
    name_of(&s, s.events[next - 1].aggregate, name);
    assert_damage(&s, next, name);
    assert_int_equal(db_derived_reset(s.db, NULL), 0);
    assert_not_opened(&s, "chain");
    story_end(&s);
}

static void a_log_cut_short_is_not_opened(void **state) {
    (void)state;
    struct story s, t;
    tell(&s, 21);
    /* Another store with the same beginning, as a restored backup of db/ without its last part would be. */
    story_begin(&t, 21);
    for (int i = 0; i < 100; i++)
        story_block(&t, 12, NULL);
    struct index *ix = open_index(&s, true);
    uint64_t last = ix->family.head.position;
    index_close(ix);
    /* The family of the whole log over a log whose end was overwritten by a shorter block. */
    char key[BLOCK_KEY_BYTES];
    struct db_change change = chunk_copy(&s, last, key);
    change.value.n = 10;
    assert_int_equal(db_write(s.db, &change, 1, true, NULL), 0);
    free((char *)change.value.p);
    assert_not_opened(&s, "cut short");
    story_end(&t);
    story_end(&s);
}

static void a_block_without_its_last_chunk_is_not_opened(void **state) {
    (void)state;
    struct story s;
    story_begin(&s, 27);
    story_block_begin(&s);
    uint64_t no = story_add_aggregate(&s, story_add_type(&s), "one");
    story_command(&s, no, 900, false);
    story_command(&s, no, 900, false);
    assert_int_equal(block_finish(s.builder), 0);
    assert_true(block_chunks(s.builder) > 1);
    struct db_change change = {.family = DB_LOG};
    block_chunk(s.builder, 0, &change.key, &change.value);
    assert_int_equal(db_write(s.db, &change, 1, true, NULL), 0);
    assert_not_opened(&s, "cut short");
    assert_damage(&s, 901, "");
    story_end(&s);
}

/* Tables cannot be made where a file stands in place of their directory. */
static void after_a_failure_look_ups_go_on_from_memory(void **state) {
    (void)state;
    struct story s;
    char path[128];
    story_begin(&s, 28);
    struct index *ix = open_index(&s, false);
    snprintf(path, sizeof path, "%s/db/tables", s.dir);
    assert_int_equal(rmdir(path), 0);
    fclose(fopen(path, "w"));
    for (int i = 0; i < 60; i++)
        story_block(&s, 20, ix);
    struct err err = {0};
    assert_int_equal(index_settle(ix, &err), -EIO);
    assert_true(err.text[0]);
    assert_int_equal(index_fault(ix, NULL), -EIO);
    assert_int_equal(index_family_position(ix), 0);
    check_all(ix, &s);
    index_close(ix);
    assert_int_equal(unlink(path), 0);
    db_close(s.db);
    story_db_open(&s, false, false);
    ix = open_index(&s, false);
    assert_int_equal(index_settle(ix, NULL), 0);
    check_all(ix, &s);
    index_close(ix);
    assert_verified(&s);
    story_end(&s);
}

static void family_put(struct story *s, struct str key, struct str value) {
    struct db_table *t = NULL;
    assert_int_equal(db_table_new(s->db, &t, NULL), 0);
    assert_int_equal(db_table_put(t, key, value, NULL), 0);
    assert_int_equal(db_table_ingest(t, NULL), 0);
}

static void family_delete(struct story *s, struct str key) {
    struct db_table *t = NULL;
    assert_int_equal(db_table_new(s->db, &t, NULL), 0);
    assert_int_equal(db_table_delete(t, key, NULL), 0);
    assert_int_equal(db_table_ingest(t, NULL), 0);
}

/* Some aggregate that exists, is in the family and has an event there, and the position of its first. */
static uint64_t some_aggregate(const struct story *s, uint64_t *position) {
    for (*position = 50; !s->aggregates[s->events[*position - 1].aggregate - 1].exists;)
        ++*position;
    uint64_t no = s->events[*position - 1].aggregate;
    for (*position = 1; s->events[*position - 1].aggregate != no;)
        ++*position;
    return no;
}

static void a_wrong_run_is_found(void **state) {
    (void)state;
    struct story s;
    tell(&s, 22);
    uint64_t position, no = some_aggregate(&s, &position);
    char name[96];
    name_of(&s, no, name);
    struct key key = key_run(no, 1);
    struct db_value v;
    assert_int_equal(db_get(s.db, DB_DERIVED, key_str(&key), &v, NULL), 0);
    char value[4096];
    memcpy(value, v.bytes.p, v.bytes.n);
    struct str changed = {value, v.bytes.n};
    db_value_release(&v);
    value[changed.n - 2] ^= 1;
    family_put(&s, key_str(&key), changed);
    assert_damage(&s, position, name);
    family_delete(&s, key_str(&key));
    assert_damage(&s, position, name);
    struct err err = {0};
    assert_int_equal(index_rebuild_sized(s.db, story_store_id, &small, &err), 0);
    assert_verified(&s);
    story_end(&s);
}

static void a_lost_name_is_found(void **state) {
    (void)state;
    struct story s;
    tell(&s, 23);
    uint64_t position, no = some_aggregate(&s, &position);
    char name[96];
    name_of(&s, no, name);
    const struct story_aggregate *a = &s.aggregates[no - 1];
    struct key key = key_name(a->type_no, str_of(a->id));
    family_delete(&s, key_str(&key));
    assert_damage(&s, position, name);
    assert_int_equal(index_rebuild_sized(s.db, story_store_id, &small, NULL), 0);
    key = key_listing(a->type_no, no);
    family_delete(&s, key_str(&key));
    assert_damage(&s, position, name);
    story_end(&s);
}

/* The first key of a class that the family has. */
static void family_first(struct story *s, enum key_class class, struct key *key, struct buf *value) {
    const char first = (char)class;
    struct db_pair pair;
    struct db_iter *it = db_iter_new(s->db, DB_DERIVED, &(struct db_iter_options){0});
    assert_int_equal(db_iter_seek(it, (struct str){&first, 1}, &pair, NULL), 0);
    assert_int_equal(pair.key.p[0], class);
    key->n = pair.key.n;
    memcpy(key->p, pair.key.p, pair.key.n);
    buf_clear(value);
    buf_put_str(value, pair.value);
    db_iter_free(it);
}

static void assert_some_damage(struct story *s) {
    struct index_damage damage;
    struct err err = {0};
    assert_int_equal(index_verify_sized(s->db, story_store_id, &small, &damage, &err), INDEX_DAMAGED);
    assert_true(err.text[0]);
    assert_string_equal(damage.aggregate, "");
}

static void wrong_kinds_and_schemas_are_found(void **state) {
    (void)state;
    static const enum key_class classes[] = {KEY_EVENT_KIND, KEY_SCHEMA};
    struct story s;
    struct key key;
    struct buf value = {0};
    tell(&s, 38);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        family_first(&s, classes[i], &key, &value);
        family_delete(&s, key_str(&key));
        assert_some_damage(&s);
        /* positions beyond the family, in the last window, in the first one, none at all */
        const struct str wrong[] = {STR("\xff\xff\xff\xff\x0f"), STR("\1"), STR("\0"), STR(""), STR("{}")};
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
            family_put(&s, key_str(&key), wrong[k]);
            assert_some_damage(&s);
        }
        if (classes[i] == KEY_EVENT_KIND) {
            struct index *ix = open_index(&s, true);
            struct buf last = {0};
            value_put_number(&last, index_family_position(ix));
            index_close(ix);
            family_put(&s, key_str(&key), buf_str(&last));
            if (!str_eq(buf_str(&last), buf_str(&value)))
                assert_some_damage(&s);
            buf_free(&last);
        }
        family_put(&s, key_str(&key), buf_str(&value));
        assert_verified(&s);
    }
    key.p[key.n - 5] = 'x'; /* the zero byte behind a schema's name */
    family_put(&s, key_str(&key), STR("{}"));
    struct index *ix = NULL;
    struct err err = {0};
    assert_int_equal(index_open_sized(&ix, s.db, story_store_id, true, &small, &err), -EUCLEAN);
    assert_non_null(strstr(err.text, "damaged at its key x"));
    buf_free(&value);
    story_end(&s);
}

static void a_rebuild_empties_the_folds(void **state) {
    (void)state;
    struct story s;
    struct db_value v = {0};
    tell(&s, 39);
    const struct db_change change = {DB_FOLDS, STR("s"), STR("state"), false};
    assert_int_equal(db_write(s.db, &change, 1, true, NULL), 0);
    assert_verified(&s); /* which does not look into them */
    assert_int_equal(index_rebuild_sized(s.db, story_store_id, &small, NULL), 0);
    assert_int_equal(db_get(s.db, DB_FOLDS, STR("s"), &v, NULL), DB_NOT_FOUND);
    assert_verified(&s);
    story_end(&s);
}

static void keys_that_the_log_does_not_explain_are_found(void **state) {
    (void)state;
    struct story s;
    struct index_damage damage;
    tell(&s, 24);
    const struct index_schema never = {1, true, STR("never"), 1, STR("")};
    struct key keys[] = {key_command(1, STR("never")),
                         key_event_kind(1, 0, STR("never")),
                         key_schema(&never),
                         key_run(s.head.next_aggregate, 1),
                         key_name(1, STR("never")),
                         key_chunk(0, s.head.log_bytes),
                         key_type(999),
                         key_aggregate(s.head.next_aggregate)};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        family_put(&s, key_str(&keys[i]), STR("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"));
        assert_int_equal(index_verify_sized(s.db, story_store_id, &small, &damage, NULL), INDEX_DAMAGED);
        family_delete(&s, key_str(&keys[i]));
        assert_verified(&s);
    }
    story_end(&s);
}

static void a_name_undeclared_by_the_family_alone_is_found(void **state) {
    (void)state;
    struct story s;
    tell(&s, 25);
    uint64_t position, no = some_aggregate(&s, &position);
    const struct story_aggregate *a = &s.aggregates[no - 1];
    struct key key = key_aggregate(no), name = key_name(a->type_no, str_of(a->id)), list = key_listing(a->type_no, no);
    struct made m;
    char id[NAME_MAX_BYTES];
    assert_int_equal(family_made(s.db, no, &m, id, NULL), 0);
    m.undeclared = true;
    struct buf value = {0};
    value_put_made(&value, &m);
    family_put(&s, key_str(&key), buf_str(&value));
    family_delete(&s, key_str(&name));
    family_delete(&s, key_str(&list));
    buf_free(&value);
    char text[96];
    name_of(&s, no, text);
    assert_damage(&s, position, text);
    story_end(&s);
}

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

static int schema_twice(struct index *ix, struct story *s, struct err *err) {
    struct str value, key;
    uint8_t link[DIGEST_CHAIN];
    story_block_begin(s);
    story_schema(s, 1, false, "Placed");
    const struct record again = {.kind = RECORD_SCHEMA,
                                 .time = s->head.time,
                                 .type_no = 1,
                                 .schema_version = 1,
                                 .schema_name = STR("Placed"),
                                 .schema_text = STR("{}")};
    block_put_record(s->builder, &again);
    assert_int_equal(block_finish(s->builder), 0);
    block_link(s->builder, link);
    block_chunk(s->builder, 0, &key, &value);
    const struct db_change change = {DB_LOG, key, value, false};
    assert_int_equal(db_write(s->db, &change, 1, true, NULL), 0);
    return index_check(ix, &value, 1, link, err);
}

static void a_schema_that_comes_twice_is_damage(void **state) {
    (void)state;
    /* in one block, and in blocks of which the first is in the family */
    for (int apart = 0; apart < 2; apart++) {
        struct story s;
        struct err err = {0};
        story_begin(&s, 36);
        struct index *ix = open_index(&s, false);
        story_block_begin(&s);
        uint64_t no = story_add_aggregate(&s, story_add_type(&s), "one");
        if (apart)
            story_schema(&s, 1, false, "Placed");
        story_command(&s, no, 300, false); /* fills the window */
        story_block_end(&s, ix);
        assert_int_equal(index_settle(ix, NULL), 0);
        assert_true(index_family_position(ix) > 0);
        assert_int_equal(schema_twice(ix, &s, &err), -EBADMSG);
        assert_non_null(strstr(err.text, "Placed"));
        assert_non_null(strstr(err.text, "twice"));
        index_close(ix);
        assert_not_opened(&s, "twice");
        assert_damage(&s, s.n_events + 1, "");
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
        cmocka_unit_test(commands_may_have_any_number_of_events),
        cmocka_unit_test(a_command_without_events_is_found_with_its_aggregates_version),
        cmocka_unit_test(schemas_come_in_order),
        cmocka_unit_test(a_schema_that_comes_twice_is_damage),
        cmocka_unit_test(kinds_of_events_come_in_order_and_once),
        cmocka_unit_test(wrong_kinds_and_schemas_are_found),
        cmocka_unit_test(a_rebuild_empties_the_folds),
        cmocka_unit_test(readers_see_no_gap_while_windows_move_to_the_family),
        cmocka_unit_test(a_changed_byte_breaks_the_chain),
        cmocka_unit_test(a_log_cut_short_is_not_opened),
        cmocka_unit_test(a_block_without_its_last_chunk_is_not_opened),
        cmocka_unit_test(after_a_failure_look_ups_go_on_from_memory),
        cmocka_unit_test(a_wrong_run_is_found),
        cmocka_unit_test(a_lost_name_is_found),
        cmocka_unit_test(keys_that_the_log_does_not_explain_are_found),
        cmocka_unit_test(a_name_undeclared_by_the_family_alone_is_found),
        cmocka_unit_test(a_block_that_does_not_follow_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
