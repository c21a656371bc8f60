/* The index against logs and families that are not as they were written. */
#include "lib_index.h"

/* Positions have 16 hexadecimal digits, as everywhere. */
static void assert_positions(const char *words) {
    static const char name[] = "position ";
    for (const char *at = words; (at = strstr(at, name));) {
        at += sizeof name - 1;
        if (strspn(at, "0123456789abcdef") != 16)
            fail_msg("%s", words);
    }
}

static void assert_not_opened(struct story *s, const char *words) {
    struct index *ix = NULL;
    struct err err = {0};
    assert_int_equal(index_open_sized(&ix, s->db, story_store_id, true, &small, &err), -EUCLEAN);
    assert_int_equal(err.code, EUCLEAN);
    if (!strstr(err.text, words))
        fail_msg("%s", err.text);
    assert_positions(err.text);
}

static void assert_damage(struct story *s, uint64_t position, const char *aggregate) {
    struct index_damage damage;
    struct err err = {0};
    assert_int_equal(index_verify_sized(s->db, story_store_id, &small, &damage, &err), INDEX_DAMAGED);
    assert_true(err.text[0]);
    assert_positions(err.text);
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

static void wrong_kinds_skips_and_schemas_are_found(void **state) {
    (void)state;
    static const enum key_class classes[] = {KEY_EVENT_KIND, KEY_SKIP, KEY_SCHEMA};
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
    assert_not_opened(&s, "damaged at its key x");
    buf_free(&value);
    story_end(&s);
}

static void damaged_keys_of_skips_are_not_opened(void **state) {
    (void)state;
    struct story s;
    struct key key;
    struct buf value = {0};
    tell(&s, 38);
    family_first(&s, KEY_SKIP, &key, &value);
    /* of a type that never was, with one number too few and one too many, and the zero byte behind the follower */
    const struct str wrong[] = {STR("\1\1\x7f"), STR("\1\1"), STR("\1\1\1\1"), buf_str(&value)};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (i == 3)
            key.p[key.n - 9] = 'x';
        family_put(&s, key_str(&key), wrong[i]);
        assert_not_opened(&s, "damaged at its key p");
    }
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
    const struct index_schema never = {1, true, STR("never"), 1, STR(""), 0};
    const struct index_skip passed = {.follower = STR("views/never"), .position = 1};
    struct key keys[] = {key_command(1, STR("never")),
                         key_event_kind(1, 0, STR("never")),
                         key_schema(&never),
                         key_skip(&passed),
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

static int skip_twice(struct index *ix, struct story *s, struct err *err) {
    struct str value, key;
    uint8_t link[DIGEST_CHAIN];
    story_block_begin(s);
    for (int i = s->n_skips ? 1 : 0; i < 2; i++)
        story_skip(s, "views/a", 2);
    assert_int_equal(block_finish(s->builder), 0);
    block_link(s->builder, link);
    block_chunk(s->builder, 0, &key, &value);
    const struct db_change change = {DB_LOG, key, value, false};
    assert_int_equal(db_write(s->db, &change, 1, true, NULL), 0);
    return index_check(ix, &value, 1, link, err);
}

static void a_skip_that_comes_twice_is_damage(void **state) {
    (void)state;
    /* in one block, and in blocks of which the first is in the family */
    for (int apart = 0; apart < 2; apart++) {
        struct story s;
        struct err err = {0};
        story_begin(&s, 45);
        struct index *ix = open_index(&s, false);
        story_block_begin(&s);
        uint64_t no = story_add_aggregate(&s, story_add_type(&s), "one");
        story_command(&s, no, 300, false); /* fills the window */
        if (apart)
            story_skip(&s, "views/a", 2);
        story_block_end(&s, ix);
        assert_int_equal(index_settle(ix, NULL), 0);
        assert_true(index_family_position(ix) > 0);
        assert_int_equal(skip_twice(ix, &s, &err), -EBADMSG);
        assert_string_equal(err.text, "views/a: position 0000000000000002 is passed over twice");
        index_close(ix);
        assert_not_opened(&s, "twice");
        assert_damage(&s, s.n_events + 1, "");
        story_end(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_that_comes_twice_is_damage),
        cmocka_unit_test(a_skip_that_comes_twice_is_damage),
        cmocka_unit_test(damaged_keys_of_skips_are_not_opened),
        cmocka_unit_test(wrong_kinds_skips_and_schemas_are_found),
        cmocka_unit_test(a_rebuild_empties_the_folds),
        cmocka_unit_test(a_changed_byte_breaks_the_chain),
        cmocka_unit_test(a_log_cut_short_is_not_opened),
        cmocka_unit_test(a_block_without_its_last_chunk_is_not_opened),
        cmocka_unit_test(after_a_failure_look_ups_go_on_from_memory),
        cmocka_unit_test(a_wrong_run_is_found),
        cmocka_unit_test(a_lost_name_is_found),
        cmocka_unit_test(keys_that_the_log_does_not_explain_are_found),
        cmocka_unit_test(a_name_undeclared_by_the_family_alone_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
