#include "window.h"

#include "run.h"
#include "story.h"
#include "table.h"
#include "varint.h"

#include <errno.h>

/* --- the hash table */

static void a_table_finds_what_was_put_in(void **state) {
    (void)state;
    struct table t = {0};
    struct table_probe probe;
    assert_int_equal(table_first(&t, 7, &probe), TABLE_NONE);
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(table_put(&t, table_hash_number(i), i), 0);
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t found = table_first(&t, table_hash_number(i), &probe);
        while (found != i && found != TABLE_NONE)
            found = table_next(&t, &probe);
        assert_int_equal(found, i);
    }
    table_free(&t);
}

static void a_cleared_table_is_empty_and_usable(void **state) {
    (void)state;
    struct table t = {0};
    struct table_probe probe;
    static const uint32_t sizes[] = {0, 1, 10, 5000, 3, 3, 5000, 1};
    table_clear(&t);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (uint32_t i = 0; i < sizes[s]; i++)
            assert_int_equal(table_put(&t, table_hash_number(i), i), 0);
        for (uint32_t i = 0; i < sizes[s]; i++)
            assert_int_equal(table_first(&t, table_hash_number(i), &probe), i);
        table_clear(&t);
        assert_int_equal(t.used, 0);
        for (uint32_t i = 0; i < 5000; i++)
            assert_int_equal(table_first(&t, table_hash_number(i), &probe), TABLE_NONE);
        assert_true(!t.slots || t.mask < 16 * 5000);
    }
    /* room that is far too large for what comes is given up */
    assert_true(t.mask < 16 * 16);
    table_free(&t);
}

static void equal_hashes_are_all_found_in_turn(void **state) {
    (void)state;
    struct table t = {0};
    struct table_probe probe;
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(table_put(&t, UINT64_MAX, i), 0);
    bool seen[100] = {false};
    size_t n = 0;
    for (uint32_t i = table_first(&t, UINT64_MAX, &probe); i != TABLE_NONE; i = table_next(&t, &probe)) {
        assert_false(seen[i]);
        seen[i] = true;
        n++;
    }
    assert_int_equal(n, 100);
    assert_int_equal(table_first(&t, 0, &probe), TABLE_NONE);
    table_free(&t);
}

/* --- keys and values */

static void keys_sort_as_their_numbers_do(void **state) {
    (void)state;
    static const uint64_t numbers[] = {0, 1, 255, 256, 65535, 1ULL << 32, (1ULL << 40) - 1, UINT64_MAX};
    for (size_t i = 0; i + 1 < sizeof numbers / sizeof *numbers; i++) {
        struct key a = key_run(7, numbers[i]), b = key_run(7, numbers[i + 1]), c = key_run(8, 0);
        assert_true(memcmp(a.p, b.p, a.n) < 0);
        assert_true(memcmp(b.p, c.p, b.n) < 0);
        uint64_t aggregate, version;
        assert_int_equal(key_run_read(key_str(&b), &aggregate, &version), 0);
        assert_int_equal(aggregate, 7);
        assert_int_equal(version, numbers[i + 1]);
    }
    struct key other = key_aggregate(1);
    uint64_t x, y;
    assert_int_equal(key_run_read(key_str(&other), &x, &y), -EBADMSG);
}

static void keys_of_schemas_sort_as_their_names_do(void **state) {
    (void)state;
    char longest[NAME_MAX_BYTES];
    memset(longest, 'z', sizeof longest);
    const struct index_schema schemas[] = {
        {1, false, STR("a"), 1, STR(""), 0},  {1, false, STR("a"), 256, STR(""), 0},
        {1, false, STR("a!"), 1, STR(""), 0}, {1, false, STR("aa"), UINT32_MAX, STR(""), 0},
        {1, false, STR("b"), 1, STR(""), 0},  {1, true, STR("a"), 1, STR(""), 0},
        {2, false, STR("a"), 1, STR(""), 0},  {2, false, {longest, sizeof longest}, 1, STR(""), 0},
    };
    const size_t n = sizeof schemas / sizeof *schemas;
    for (size_t i = 0; i < n; i++) {
        struct key key = key_schema(&schemas[i]);
        struct index_schema read;
        assert_int_equal(key_schema_read(key_str(&key), &read), 0);
        assert_int_equal(schemas_order(&read, &schemas[i]), 0);
        for (size_t k = 0; k < n; k++) {
            struct key other = key_schema(&schemas[k]);
            int c = memcmp(key.p, other.p, key.n < other.n ? key.n : other.n), want = i < k ? -1 : i > k;
            assert_int_equal((c > 0) - (c < 0), want);
            assert_int_equal(schemas_order(&schemas[i], &schemas[k]) < 0, i < k);
        }
        for (size_t cut = 0; cut < 11; cut++)
            assert_int_equal(key_schema_read((struct str){key.p, cut}, &read), -EBADMSG);
        key.p[5] = 2;
        assert_int_equal(key_schema_read(key_str(&key), &read), -EBADMSG);
    }
    struct key kind = key_event_kind(7, 3, STR("Placed")), low = key_event_kind(7, 2, STR("Z"));
    struct index_event_kind read;
    assert_true(memcmp(low.p, kind.p, low.n) < 0);
    assert_int_equal(key_event_kind_read(key_str(&kind), &read), 0);
    assert_int_equal(read.type_no, 7);
    assert_int_equal(read.schema, 3);
    assert_true(str_eq((struct str){read.name, read.name_bytes}, STR("Placed")));
    assert_int_equal(key_event_kind_read((struct str){kind.p, 9}, &read), -EBADMSG);
    assert_int_equal(key_event_kind_read((struct str){kind.p, 9 + NAME_MAX_BYTES + 1}, &read), -EBADMSG);
}

static void keys_of_skips_sort_as_their_followers_do(void **state) {
    (void)state;
    char longest[BLOCK_FOLLOWER_BYTES];
    memset(longest, 'z', sizeof longest);
    const struct index_skip skips[] = {
        {STR("a"), 1, 0, 0, 0},  {STR("a"), 256, 0, 0, 0}, {STR("a!"), 1, 0, 0, 0},
        {STR("aa"), 7, 0, 0, 0}, {STR("aa"), 8, 0, 0, 0},  {STR("aa"), UINT64_MAX, 0, 0, 0},
        {STR("ab"), 1, 0, 0, 0}, {STR("b"), 1, 0, 0, 0},   {{longest, sizeof longest}, 1ULL << 32, 0, 0, 0},
    };
    const size_t n = sizeof skips / sizeof *skips;
    for (size_t i = 0; i < n; i++) {
        struct key key = key_skip(&skips[i]);
        struct index_skip read;
        assert_int_equal(key_skip_read(key_str(&key), &read), 0);
        assert_int_equal(skips_order(&read, &skips[i]), 0);
        for (size_t k = 0; k < n; k++) {
            struct key other = key_skip(&skips[k]);
            int c = memcmp(key.p, other.p, key.n < other.n ? key.n : other.n), want = i < k ? -1 : i > k;
            assert_int_equal((c > 0) - (c < 0), want);
            int order = skips_order(&skips[i], &skips[k]);
            assert_int_equal((order > 0) - (order < 0), want);
        }
        for (size_t cut = 0; cut < 11; cut++)
            assert_int_equal(key_skip_read((struct str){key.p, cut}, &read), -EBADMSG);
        key.p[key.n - 9] = 'x';
        assert_int_equal(key_skip_read(key_str(&key), &read), -EBADMSG);
        key.p[key.n - 9] = key.p[1] = '\0';
        assert_int_equal(key_skip_read(key_str(&key), &read), -EBADMSG);
    }
    char longer[1 + sizeof longest + 1 + 9] = "p";
    memset(longer + 1, 'z', sizeof longest + 1);
    struct index_skip read;
    assert_int_equal(key_skip_read((struct str){longer, sizeof longer}, &read), -EBADMSG);
}

static void values_come_back_and_damaged_ones_do_not(void **state) {
    (void)state;
    struct buf b = {0};
    struct meta m = {.head = {1, 2, 3, 4, 5, 6, "link"}, .block_key = "key"}, read;
    memset(&read, 0, sizeof read);
    value_put_meta(&b, &m);
    assert_int_equal(value_read_meta(buf_str(&b), &read), 0);
    assert_int_equal(read.head.next_type, 6);
    assert_memory_equal(read.head.link, m.head.link, DIGEST_CHAIN);
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(value_read_meta((struct str){b.p, n}, &read), -EBADMSG);
    buf_clear(&b);
    struct index_command c = {.version = 300, .position = 1ULL << 50, .n_events = 2}, c2;
    value_put_command(&b, &c);
    assert_int_equal(value_read_command(buf_str(&b), &c2), 0);
    assert_int_equal(c2.position, c.position);
    buf_put_char(&b, 0);
    assert_int_equal(value_read_command(buf_str(&b), &c2), -EBADMSG);
    buf_clear(&b);
    struct index_type t = {.name = STR("order"), .events = 9, .bytes = 1000, .aggregates = 2, .time = 5}, t2;
    bool exists = false;
    value_put_type(&b, &t, true);
    assert_int_equal(value_read_type(buf_str(&b), &t2, &exists), 0);
    assert_true(exists && str_eq(t2.name, t.name) && t2.bytes == 1000);
    buf_clear(&b);
    struct index_skip skip = {.time = 1ULL << 50, .uid = UINT32_MAX, .type_no = 300}, skip2 = {0};
    value_put_skip(&b, &skip);
    assert_int_equal(value_read_skip(buf_str(&b), &skip2), 0);
    assert_true(skip2.time == skip.time && skip2.uid == skip.uid && skip2.type_no == skip.type_no);
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(value_read_skip((struct str){b.p, n}, &skip2), -EBADMSG);
    buf_put_char(&b, 0);
    assert_int_equal(value_read_skip(buf_str(&b), &skip2), -EBADMSG);
    buf_free(&b);
}

static void runs_come_back_and_cut_ones_do_not(void **state) {
    (void)state;
    struct run_entry entries[RUN_MAX];
    uint64_t offset = 1000;
    for (uint32_t i = 0; i < RUN_MAX; i++) {
        entries[i] = (struct run_entry){1 + i * i, 5000 + i * 1000003ULL, offset, 100 + i, STR("Placed")};
        if (i % 3 == 0)
            entries[i].type = STR("Moved");
        offset += entries[i].size;
    }
    for (uint32_t n = 1; n <= RUN_MAX; n += 51) {
        struct buf b = {0};
        struct run run;
        struct run_at at;
        run_put(&b, entries, n);
        assert_int_equal(run_open(&run, buf_str(&b)), 0);
        assert_int_equal(run.offset, 1000);
        assert_int_equal(run.offset + run.bytes, entries[n - 1].offset + entries[n - 1].size);
        assert_int_equal(run.first_time + run.span, entries[n - 1].time);
        run_begin(&run, &at);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(run_next(&run, &at), 0);
            assert_int_equal(at.entry.position, entries[i].position);
            assert_int_equal(at.entry.time, entries[i].time);
            assert_int_equal(at.entry.offset, entries[i].offset);
            assert_int_equal(at.entry.size, entries[i].size);
            assert_true(str_eq(at.entry.type, entries[i].type));
        }
        assert_int_equal(run_next(&run, &at), 1);
        for (size_t cut = 0; cut < b.n; cut++) {
            int r = run_open(&run, (struct str){b.p, cut});
            run_begin(&run, &at);
            while (r == 0)
                r = run_next(&run, &at);
            assert_int_equal(r, -EBADMSG);
        }
        buf_free(&b);
    }
}

/* --- windows */

struct shop { /* a window with what it needs */
    struct story story;
    struct types types;
    struct schemas schemas;
    struct skips skips;
    struct decoded decoded;
    struct window *window;
    struct index_head head;
    struct err err; /* of the last check */
};

static int find_in_window(void *arg, uint64_t aggregate, struct made *out, struct arena *names, struct err *err) {
    const struct shop *s = arg;
    const struct made *m = window_made(s->window, aggregate);
    (void)err;
    if (!m)
        fail_msg("aggregate %llu was looked up", (unsigned long long)aggregate);
    *out = *m;
    out->id = arena_copy(names, m->id);
    return 0;
}

static int shop_check(struct shop *s) {
    struct str chunks[64], key;
    size_t n = block_chunks(s->story.builder);
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++)
        block_chunk(s->story.builder, i, &key, &chunks[i]);
    struct decoded_scope scope = {&s->types, story_store_id, find_in_window, s};
    s->err = (struct err){0};
    int r = decoded_read(&s->decoded, &scope, &s->head, chunks, n, s->story.head.link, &s->err);
    return r == 0 ? window_check(s->window, &s->schemas, &s->skips, &s->decoded, &s->err) : r;
}

static int shop_apply(struct shop *s) {
    int r = shop_check(s);
    if (r == 0)
        r = window_apply(s->window, &s->types, &s->schemas, &s->skips, &s->decoded);
    if (r == 0)
        s->head = s->decoded.after.head;
    return r;
}

static void shop_open(struct shop *s) {
    memset(s, 0, sizeof *s);
    story_begin(&s->story, 5);
    s->head = (struct index_head){.next_aggregate = 1, .next_type = 1};
    assert_int_equal(types_init(&s->types), 0);
    s->window = window_new(&s->head);
    story_block_begin(&s->story);
    story_add_type(&s->story);
}

static void shop_close(struct shop *s) {
    window_free(s->window);
    decoded_free(&s->decoded);
    types_free(&s->types);
    schemas_free(&s->schemas);
    skips_free(&s->skips);
    story_end(&s->story);
}

struct emitted {
    size_t n[256], deleted;
    char last[KEY_BYTES_MAX];
    size_t last_n;
};

static int note_key(void *arg, struct str key, const struct str *value, struct err *err) {
    struct emitted *e = arg;
    (void)err;
    int c = memcmp(e->last, key.p, e->last_n < key.n ? e->last_n : key.n);
    assert_true(c < 0 || (c == 0 && e->last_n < key.n));
    memcpy(e->last, key.p, key.n);
    e->last_n = key.n;
    e->n[(uint8_t)key.p[0]]++;
    e->deleted += !value;
    return 0;
}

static void keys_come_out_ascending_and_each_once(void **state) {
    (void)state;
    struct shop s;
    shop_open(&s);
    for (int i = 0; i < 40; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", (i * 7) % 40);
        uint64_t no = story_add_aggregate(&s.story, 1, id);
        story_command(&s.story, no, 300, true);
        story_command(&s.story, 1 + (uint64_t)i / 2, 2, true);
        story_schema(&s.story, 1, i % 2, id);
        story_skip(&s.story, i % 3 ? "views/a" : "views/", 1 + (uint64_t)(i * 7) % 40);
    }
    story_block_end(&s.story, NULL);
    assert_int_equal(shop_apply(&s), 0);
    assert_int_equal(s.window->weight, 40 * 302 + 80 + 80);
    window_seal(s.window, &s.types);
    struct emitted e = {0};
    assert_int_equal(window_emit(s.window, note_key, &e, NULL), 0);
    assert_int_equal(e.n[KEY_COMMAND], 80);
    assert_int_equal(e.n[KEY_AGGREGATE], 40);
    assert_int_equal(e.n[KEY_LISTING], 40);
    assert_int_equal(e.n[KEY_NAME], 40);
    assert_int_equal(e.n[KEY_RUN], 80);
    assert_int_equal(e.n[KEY_TYPE], 1);
    assert_int_equal(e.n[KEY_META], 1);
    assert_int_equal(e.n[KEY_SCHEMA], 40);
    assert_int_equal(e.n[KEY_SKIP], 40);
    assert_int_equal(e.n[KEY_EVENT_KIND], s.window->n_kinds);
    assert_true(e.n[KEY_EVENT_KIND] > 10 && e.n[KEY_EVENT_KIND] < 40 * 300);
    assert_int_equal(e.n[KEY_CHUNK], 3 * block_chunks(s.story.builder)); /* of all, of the type, by position */
    assert_int_equal(e.deleted, 0);
    shop_close(&s);
}

/* A name may be taken, given back and taken again within one window, and only its last state comes out. */
static void a_name_that_comes_and_goes_leaves_its_last_state(void **state) {
    (void)state;
    struct shop s;
    shop_open(&s);
    story_undeclare(&s.story, story_add_aggregate(&s.story, 1, "again"));
    story_undeclare(&s.story, story_add_aggregate(&s.story, 1, "gone"));
    uint64_t no = story_add_aggregate(&s.story, 1, "again");
    story_block_end(&s.story, NULL);
    assert_int_equal(shop_apply(&s), 0);
    assert_int_equal(window_name(s.window, 1, STR("again"))->no, no);
    assert_true(window_name(s.window, 1, STR("gone"))->undeclared);
    assert_null(window_name(s.window, 1, STR("never")));
    assert_null(window_name(s.window, 2, STR("again")));
    window_seal(s.window, &s.types);
    struct emitted e = {0};
    assert_int_equal(window_emit(s.window, note_key, &e, NULL), 0);
    assert_int_equal(e.n[KEY_AGGREGATE], 3);
    assert_int_equal(e.n[KEY_NAME], 1);
    assert_int_equal(e.n[KEY_LISTING], 1);
    assert_int_equal(e.deleted, 0);
    assert_int_equal(types_get(&s.types, 1)->is.aggregates, 1);
    shop_close(&s);
}

static void a_stream_with_a_gap_is_refused(void **state) {
    (void)state;
    struct shop s;
    shop_open(&s);
    uint64_t no = story_add_aggregate(&s.story, 1, "one");
    story_command(&s.story, no, 2, false);
    s.story.aggregates[0].version++;
    story_command(&s.story, no, 1, false);
    story_block_end(&s.story, NULL);
    assert_int_equal(shop_apply(&s), -EBADMSG);
    shop_close(&s);
}

static void a_command_id_given_twice_is_refused(void **state) {
    (void)state;
    struct shop s;
    shop_open(&s);
    uint64_t no = story_add_aggregate(&s.story, 1, "one");
    uint64_t random = s.story.random;
    story_command(&s.story, no, 0, true);
    s.story.random = random;
    story_command(&s.story, no, 0, true);
    story_block_end(&s.story, NULL);
    assert_int_equal(shop_apply(&s), -EBADMSG);
    shop_close(&s);
}

static void a_kind_is_kept_once_with_its_first_event(void **state) {
    (void)state;
    struct shop s;
    shop_open(&s);
    uint64_t no = story_add_aggregate(&s.story, 1, "one");
    for (int i = 0; i < 20; i++)
        story_command(&s.story, no, 300, false);
    story_block_end(&s.story, NULL);
    assert_int_equal(shop_apply(&s), 0);
    for (size_t i = 0; i < s.window->n_kinds; i++) {
        const struct window_kind *k = &s.window->kinds[i];
        struct str name = s.window->event_types[k->event_type].name;
        size_t first = 0;
        while (s.story.events[first].schema != k->schema || !str_eq(str_of(s.story.events[first].type), name))
            first++;
        assert_int_equal(k->position, first);
        for (size_t other = 0; other < i; other++)
            assert_false(s.window->kinds[other].schema == k->schema &&
                         s.window->kinds[other].event_type == k->event_type);
    }
    assert_true(s.window->n_kinds > 100);
    shop_close(&s);
}

static void a_command_without_events_must_have_the_version_of_its_aggregate(void **state) {
    (void)state;
    struct shop s;
    shop_open(&s);
    uint64_t no = story_add_aggregate(&s.story, 1, "one");
    story_command(&s.story, no, 2, false);
    s.story.aggregates[0].version++;
    story_command(&s.story, no, 0, true);
    story_block_end(&s.story, NULL);
    assert_int_equal(shop_apply(&s), -EBADMSG);
    shop_close(&s);
}

static void schemas_that_cannot_be_are_refused(void **state) {
    (void)state;
    char longer[NAME_MAX_BYTES + 1];
    memset(longer, 'n', sizeof longer);
    const struct record wrong[] = {
        {.type_no = 2, .schema_version = 1, .schema_name = STR("of no type"), .schema_text = STR("{}")},
        {.type_no = 1, .schema_version = 0, .schema_name = STR("Placed"), .schema_text = STR("{}")},
        {.type_no = 1, .schema_version = 1, .schema_name = STR(""), .schema_text = STR("{}")},
        {.type_no = 1, .schema_version = 1, .schema_name = {longer, sizeof longer}, .schema_text = STR("{}")},
        {.type_no = 1, .schema_version = 1, .schema_name = STR("Pla\0ced"), .schema_text = STR("{}")},
        {.type_no = 1, .schema_version = 1, .schema_name = STR("Placed"), .schema_text = STR("")},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct shop s;
        shop_open(&s);
        struct record r = wrong[i];
        r.kind = RECORD_SCHEMA;
        r.time = ++s.story.head.time;
        block_put_record(s.story.builder, &r);
        story_block_end(&s.story, NULL);
        assert_int_equal(shop_apply(&s), -EBADMSG);
        shop_close(&s);
    }
}

static void skips_that_cannot_be_are_refused(void **state) {
    (void)state;
    char longer[BLOCK_FOLLOWER_BYTES + 1];
    memset(longer, 'n', sizeof longer);
    const struct record records[] = {
        {.type_no = 1, .follower = STR("views/a"), .position = 3}, /* the only one that can be */
        {.type_no = 2, .follower = STR("of no type"), .position = 1},
        {.type_no = 1, .follower = STR(""), .position = 1},
        {.type_no = 1, .follower = {longer, sizeof longer}, .position = 1},
        {.type_no = 1, .follower = STR("views/\0a"), .position = 1},
        {.type_no = 1, .follower = STR("views/a\n"), .position = 1},
        {.type_no = 1, .follower = STR("views/\xff"), .position = 1},
        {.type_no = 1, .follower = STR("views/a"), .position = 0},
        {.type_no = 1, .follower = STR("views/a"), .position = 4}, /* which comes behind it */
        {.type_no = 1, .follower = STR("views/a"), .position = UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct shop s;
        shop_open(&s);
        struct record r = records[i];
        uint64_t no = story_add_aggregate(&s.story, 1, "one");
        story_command(&s.story, no, 3, false);
        r.kind = RECORD_SKIP;
        r.time = ++s.story.head.time;
        block_put_record(s.story.builder, &r);
        story_command(&s.story, no, 1, false);
        story_block_end(&s.story, NULL);
        assert_int_equal(shop_apply(&s), i ? -EBADMSG : 0);
        assert_int_equal(s.skips.n, i ? 0 : 1);
        shop_close(&s);
    }
}

static void records_that_cannot_be_are_refused(void **state) {
    (void)state;
    static const struct {
        enum record_kind kind;
        uint32_t type_no;
        uint64_t aggregate;
        const char *name;
    } wrong[] = {
        {RECORD_TYPE, 3, 0, "skipped"},       {RECORD_TYPE, 1, 0, "twice"}, {RECORD_NAME, 1, 2, "skipped"},
        {RECORD_NAME, 7, 1, "of no type"},    {RECORD_NAME, 1, 1, ""},      {RECORD_COMMAND, 1, 1, "not made"},
        {RECORD_UNDECLARE, 1, 9, "not made"}, {RECORD_UNTYPE, 9, 0, ""},    {RECORD_DECLARE, 9, 1, ""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct shop s;
        shop_open(&s);
        if (wrong[i].kind == RECORD_COMMAND) {
            struct record r = {.kind = RECORD_COMMAND, .time = ++s.story.head.time, .type_no = 1, .aggregate = 1};
            r.name = str_of(wrong[i].name);
            block_put_command(s.story.builder, &r, NULL, 0, 0);
        } else {
            story_say(&s.story, wrong[i].kind, wrong[i].type_no, wrong[i].aggregate, wrong[i].name);
        }
        story_block_end(&s.story, NULL);
        assert_int_equal(shop_apply(&s), -EBADMSG);
        shop_close(&s);
    }
}

/* --- checks: a block that says one thing too many, in itself or against the blocks before it */

enum mistake { GAP, OFFSET, ID, NAME, NAME_AGAIN, END, VERSION, SCHEMA, SKIP, MISTAKES };

static const char *const mistake_words[] = {
    "does not follow", "does not follow",         "id comes twice",
    "another one's",   "another one's",           "end comes twice",
    "another version", "event Event comes twice", "views/a: position 0000000000000002 is passed over twice",
};

/* What makes the mistake possible: aggregates 1 and 2 with events and an id, 3 and 4 without. */
static void say_before(struct story *s) {
    static const char *const ids[] = {"one", "two", "three", "four"};
    for (size_t i = 0; i < 4; i++)
        story_add_aggregate(s, 1, ids[i]);
    story_command(s, 1, 2, false);
    story_command(s, 2, 3, true);
    story_schema(s, 1, false, "Event");
    story_skip(s, "views/a", 2);
}

/* As what the story says was true before, so that it says it once more. */
static void say_id_again(struct story *s) {
    const struct story_command said = s->commands[0];
    struct record r = {.kind = RECORD_COMMAND, .time = ++s->head.time, .type_no = 1, .aggregate = said.aggregate};
    r.version = s->aggregates[said.aggregate - 1].version;
    r.stream_offset = s->aggregates[said.aggregate - 1].bytes;
    r.id = str_of(said.id);
    r.content = said.content;
    block_put_command(s->builder, &r, NULL, 0, 0);
}

static void say_schema_again(struct story *s) {
    s->n_schemas = 0;
    story_schema(s, 1, false, "Event");
}

static void say_wrong(struct story *s, enum mistake mistake) {
    switch (mistake) {
    case GAP:
        s->aggregates[0].version++;
        story_command(s, 1, 1, false);
        break;
    case OFFSET:
        s->aggregates[1].bytes--;
        story_command(s, 2, 1, false);
        break;
    case ID:
        say_id_again(s);
        break;
    case NAME:
        story_add_aggregate(s, 1, "two");
        break;
    case NAME_AGAIN:
        story_undeclare(s, 3);
        story_add_aggregate(s, 1, "three");
        story_add_aggregate(s, 1, "three");
        break;
    case END:
        story_undeclare(s, 4);
        story_undeclare(s, 4);
        break;
    case VERSION:
        s->aggregates[1].version--;
        story_command(s, 2, 0, true);
        break;
    case SCHEMA:
        say_schema_again(s);
        break;
    default:
        story_skip(s, "views/b", 2);
        story_skip(s, "views/a", 1);
        story_skip(s, "views/a", 2);
    }
}

static void shop_block(struct shop *s) {
    block_begin(s->story.builder, s->head.block + 1, s->head.link, s->head.position + 1, s->head.log_bytes);
}

static void what_contradicts_is_found_before_anything_changes(void **state) {
    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        for (enum mistake mistake = 0; mistake < MISTAKES; mistake++) {
            struct shop s;
            shop_open(&s);
            if (apart)
                say_before(&s.story);
            story_block_end(&s.story, NULL);
            assert_int_equal(shop_apply(&s), 0);
            size_t streams = s.window->n_streams, commands = s.window->n_commands, made = s.window->n_made;
            shop_block(&s);
            if (!apart)
                say_before(&s.story);
            say_wrong(&s.story, mistake);
            assert_int_equal(block_finish(s.story.builder), 0);
            for (int again = 0; again < 2; again++) {
                assert_int_equal(shop_check(&s), -EBADMSG);
                if (!strstr(s.err.text, mistake_words[mistake]))
                    fail_msg("mistake %d, apart %d: %s", mistake, apart, s.err.text);
            }
            assert_int_equal(s.window->n_streams, streams);
            assert_int_equal(s.window->n_commands, commands);
            assert_int_equal(s.window->n_made, made);
            assert_int_equal(s.schemas.n, apart);
            assert_int_equal(s.skips.n, apart);
            shop_close(&s);
        }
    }
}

static void a_right_block_is_taken_in_after_a_wrong_one(void **state) {
    (void)state;
    for (enum mistake mistake = 0; mistake < MISTAKES; mistake++) {
        struct shop s;
        shop_open(&s);
        say_before(&s.story);
        story_block_end(&s.story, NULL);
        assert_int_equal(shop_apply(&s), 0);
        struct story_aggregate one = s.story.aggregates[0], two = s.story.aggregates[1];
        uint64_t position = s.story.head.position, log_bytes = s.story.head.log_bytes;
        size_t n_aggregates = s.story.n_aggregates;
        shop_block(&s);
        say_wrong(&s.story, mistake);
        assert_int_equal(block_finish(s.story.builder), 0);
        assert_int_equal(shop_check(&s), -EBADMSG);
        s.story.aggregates[0] = one;
        s.story.aggregates[1] = two;
        s.story.head.position = s.story.n_events = position;
        s.story.head.log_bytes = log_bytes;
        s.story.n_aggregates = n_aggregates;
        s.story.head.next_aggregate = n_aggregates + 1;
        shop_block(&s);
        for (int i = 0; i < 50; i++) {
            story_command(&s.story, 1 + (uint64_t)i % 3, (uint32_t)i % 3, i % 2);
            story_skip(&s.story, i % 2 ? "views/b" : "views/c", 1 + (uint64_t)i / 2);
            story_add_aggregate(&s.story, 1, i % 2 ? "five" : "six");
            story_undeclare(&s.story, s.story.n_aggregates);
        }
        assert_int_equal(block_finish(s.story.builder), 0);
        if (shop_apply(&s) != 0)
            fail_msg("after mistake %d: %s", mistake, s.err.text);
        for (uint64_t no = 1; no <= 3; no++) {
            const struct window_stream *stream = window_stream(s.window, no);
            assert_int_equal(stream->first_version + stream->n - 1, s.story.aggregates[no - 1].version);
            assert_int_equal(stream->entries[stream->n - 1].end, s.story.aggregates[no - 1].bytes);
        }
        assert_true(window_name(s.window, 1, STR("five"))->undeclared);
        shop_close(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_finds_what_was_put_in),
        cmocka_unit_test(a_cleared_table_is_empty_and_usable),
        cmocka_unit_test(equal_hashes_are_all_found_in_turn),
        cmocka_unit_test(keys_sort_as_their_numbers_do),
        cmocka_unit_test(keys_of_schemas_sort_as_their_names_do),
        cmocka_unit_test(keys_of_skips_sort_as_their_followers_do),
        cmocka_unit_test(values_come_back_and_damaged_ones_do_not),
        cmocka_unit_test(runs_come_back_and_cut_ones_do_not),
        cmocka_unit_test(keys_come_out_ascending_and_each_once),
        cmocka_unit_test(a_name_that_comes_and_goes_leaves_its_last_state),
        cmocka_unit_test(a_stream_with_a_gap_is_refused),
        cmocka_unit_test(a_command_id_given_twice_is_refused),
        cmocka_unit_test(a_kind_is_kept_once_with_its_first_event),
        cmocka_unit_test(a_command_without_events_must_have_the_version_of_its_aggregate),
        cmocka_unit_test(schemas_that_cannot_be_are_refused),
        cmocka_unit_test(skips_that_cannot_be_are_refused),
        cmocka_unit_test(records_that_cannot_be_are_refused),
        cmocka_unit_test(what_contradicts_is_found_before_anything_changes),
        cmocka_unit_test(a_right_block_is_taken_in_after_a_wrong_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
