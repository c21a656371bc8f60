/* Blocks with wrong bytes: what is read of them, and what is refused. */
#include "lib_block.h"

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

/* A record begins behind header and link: kind, length, time, uid (2), type, then what is its kind's own. */
#define RECORD_AT 88

/* The chunk that a record alone makes, of `size` bytes behind RECORD_AT; for free(). */
static char *chunk_alone(struct block_builder *b, const struct record *r, size_t size) {
    struct str key, value;
    block_put_record(b, r);
    assert_int_equal(block_finish(b), 0);
    block_chunk(b, 0, &key, &value);
    assert_int_equal(value.n, RECORD_AT + size);
    char *bytes = malloc(value.n);
    memcpy(bytes, value.p, value.n);
    assert_int_equal(record_of(bytes, value.n), 0);
    return bytes;
}

struct wrong_byte {
    int at; /* of the record */
    char byte;
};

/* Each of them makes the record one that is refused. */
static void wrong_bytes_are_refused(char *bytes, size_t size, const char *what, const struct wrong_byte *wrong,
                                    size_t n) {
    for (size_t i = 0; i < n; i++) {
        char *at = bytes + RECORD_AT + wrong[i].at, right = *at;
        *at = wrong[i].byte;
        if (record_of(bytes, RECORD_AT + size) != -EBADMSG)
            fail_msg("byte %d of %s may be %d", wrong[i].at, what, wrong[i].byte);
        *at = right;
    }
}

static void a_schema_with_a_wrong_byte_is_refused(void **state) {
    (void)state;
    enum { LENGTH = 1, COMMAND = 6, NAME = 7, VERSION = NAME + 6, TEXT = VERSION + 2, SIZE = TEXT + 3 };
    static const struct wrong_byte wrong[] = {{COMMAND, 2},
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
    char *bytes = chunk_alone(b, &want, SIZE);
    assert_int_equal(bytes[RECORD_AT + LENGTH], SIZE - 2);
    assert_int_equal(bytes[RECORD_AT + TEXT], 2);
    wrong_bytes_are_refused(bytes, SIZE, "a schema", wrong, sizeof wrong / sizeof *wrong);
    memset(bytes + RECORD_AT + VERSION, 0, 1); /* version 0, and the text begins a byte early */
    assert_int_equal(record_of(bytes, RECORD_AT + SIZE), -EBADMSG);
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
    enum { KIND = 0, LENGTH = 1, FOLLOWER = 6, POSITION = FOLLOWER + 8, SIZE = POSITION + 1 };
    static const struct wrong_byte wrong[] = {{FOLLOWER, 0},    {FOLLOWER, 6},          {FOLLOWER, 8}, {FOLLOWER, 9},
                                              {FOLLOWER, 0x7f}, {LENGTH, 12},           {LENGTH, 14},  {LENGTH, 0x7f},
                                              {POSITION, 0},    {POSITION, (char)0x80}, {KIND, 0},     {KIND, 9},
                                              {KIND, -1}};
    struct block_builder *b = begin(1, 8, 0);
    const struct record want = {
        .kind = RECORD_SKIP, .time = TIME, .uid = 1000, .type_no = 3, .follower = STR("views/a"), .position = 7};
    char *bytes = chunk_alone(b, &want, SIZE);
    assert_int_equal(bytes[RECORD_AT + LENGTH], SIZE - 2);
    assert_int_equal(bytes[RECORD_AT + POSITION], 7);
    wrong_bytes_are_refused(bytes, SIZE, "a skip", wrong, sizeof wrong / sizeof *wrong);
    free(bytes);
    block_builder_free(b);
}

int main(void) {
    if (digest_init() != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_that_was_cut_short_is_refused_or_read_within_its_bytes),
        cmocka_unit_test(no_flipped_bit_leads_out_of_a_chunk),
        cmocka_unit_test(numbers_that_point_nowhere_are_refused),
        cmocka_unit_test(what_reaches_past_its_record_is_refused),
        cmocka_unit_test(a_large_schema_comes_back_and_a_larger_one_does_not),
        cmocka_unit_test(a_schema_with_a_wrong_byte_is_refused),
        cmocka_unit_test(a_follower_has_1_to_256_bytes),
        cmocka_unit_test(a_skip_with_a_wrong_byte_is_refused),
        cmocka_unit_test(versions_beyond_32_bits_are_refused),
        cmocka_unit_test(unknown_formats_renderers_and_parts_are_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
