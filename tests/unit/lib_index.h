/* For tests of the index: everything that a story says against everything that the index answers. */
#ifndef ESFS_TEST_LIB_INDEX_H
#define ESFS_TEST_LIB_INDEX_H

#include "index.h"

#include "index_private.h"
#include "log.h"
#include "story.h"

#include <errno.h>

/* Small windows, so that a story of some thousand events fills many. */
static const struct index_limits small = {200, 1 << 20};

static inline struct index *open_index(struct story *s, bool read_only) {
    struct index *ix = NULL;
    struct err err = {0};
    if (index_open_sized(&ix, s->db, story_store_id, read_only, &small, &err) != 0)
        fail_msg("%s", err.text);
    return ix;
}

static inline void check_head(struct index *ix, const struct story *s) {
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

static inline void check_types(struct index *ix, const struct story *s) {
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

static inline void check_aggregate(struct index *ix, const struct story *s, uint64_t no) {
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

static inline void check_listing(struct index *ix, const struct story *s, uint32_t type_no, size_t step) {
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

static inline void check_entry(const struct index_entry *e, const struct story *s, uint64_t position) {
    const struct story_event *said = &s->events[position - 1];
    assert_int_equal(e->position, position);
    assert_int_equal(e->version, said->version);
    assert_int_equal(e->time, said->time);
    assert_int_equal(e->offset, said->offset);
    assert_int_equal(e->size, said->size);
    assert_true(str_eq((struct str){e->type, e->type_bytes}, str_of(said->type)));
}

/* Each event of the log must be the next entry of its aggregate. */
static inline void check_streams(struct index *ix, const struct story *s, size_t step) {
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

static inline void check_event(struct index *ix, const struct story *s, uint64_t position) {
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
static inline void check_chunks(struct index *ix, const struct story *s, uint32_t type_no) {
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

static inline void check_commands(struct index *ix, const struct story *s) {
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

static inline int kinds_order(const void *x, const void *y) {
    const struct story_event *a = *(const struct story_event *const *)x, *b = *(const struct story_event *const *)y;
    return a->schema != b->schema ? (a->schema > b->schema) - (a->schema < b->schema) : strcmp(a->type, b->type);
}

static inline void check_kinds(struct index *ix, const struct story *s, uint32_t type_no, size_t step) {
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

static inline void check_schemas(struct index *ix, const struct story *s) {
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

/* What is said of a follower, one after the other and nothing else. */
static inline void check_follower(struct index *ix, const struct story *s, const char *follower) {
    struct index_skip found = {0};
    size_t said = 0, n = 0;
    for (size_t i = 0; i < s->n_skips; i++)
        said += strcmp(s->skips[i].follower, follower) == 0;
    for (uint64_t after = 0; index_skip_after(ix, str_of(follower), after, &found) == 0; after = found.position, n++) {
        size_t i = 0;
        while (i < s->n_skips &&
               (s->skips[i].position != found.position || strcmp(s->skips[i].follower, follower) != 0))
            i++;
        assert_true(i < s->n_skips && found.position > after);
        assert_true(str_eq(found.follower, str_of(follower)));
        assert_int_equal(found.time, s->skips[i].time);
        assert_int_equal(found.type_no, s->skips[i].type_no);
        assert_int_equal(found.uid, s->skips[i].uid);
    }
    assert_int_equal(n, said);
}

static inline void check_skips(struct index *ix, const struct story *s) {
    for (size_t i = 0; i < s->n_skips; i++) {
        const struct story_skip *said = &s->skips[i];
        assert_int_equal(index_skip_find(ix, str_of(said->follower), said->position), 0);
        bool next = story_has_skip(s, said->follower, said->position + 1);
        assert_int_equal(index_skip_find(ix, str_of(said->follower), said->position + 1), next ? 0 : INDEX_NONE);
        assert_int_equal(index_skip_find(ix, STR("views/none"), said->position), INDEX_NONE);
        check_follower(ix, s, said->follower);
    }
    check_follower(ix, s, "views/none");
    assert_int_equal(index_skip_find(ix, (struct str){NULL, 0}, 1), INDEX_NONE);
}

static inline void check_ends(struct index *ix, const struct story *s) {
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

static inline void check_all(struct index *ix, const struct story *s) {
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
    check_skips(ix, s);
    check_commands(ix, s);
    check_ends(ix, s);
}

/* Every key and value of the family. */
static inline struct buf family_dump(struct story *s) {
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

static inline void assert_verified(struct story *s) {
    struct err err = {0};
    struct index_damage damage;
    if (index_verify_sized(s->db, story_store_id, &small, &damage, &err) != 0)
        fail_msg("%s (position %llu)", err.text, (unsigned long long)damage.position);
}

#endif
