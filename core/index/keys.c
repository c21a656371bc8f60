#include "keys.h"

#include "varint.h"

#include <errno.h>

/* --- keys */

static struct key key_begin(enum key_class class) {
    struct key k;
    k.n = 1;
    k.p[0] = (char)class;
    return k;
}

static void key_add32(struct key *k, uint32_t v) {
    be32_put(k->p + k->n, v);
    k->n += 4;
}

static void key_add64(struct key *k, uint64_t v) {
    be64_put(k->p + k->n, v);
    k->n += 8;
}

static void key_add(struct key *k, struct str s) {
    size_t n = s.n < KEY_BYTES_MAX - k->n ? s.n : KEY_BYTES_MAX - k->n;
    memcpy(k->p + k->n, s.p, n);
    k->n += n;
}

struct key key_meta(void) {
    return key_begin(KEY_META);
}

struct key key_type(uint32_t type_no) {
    struct key k = key_begin(KEY_TYPE);
    key_add32(&k, type_no);
    return k;
}

struct key key_name(uint32_t type_no, struct str id) {
    struct key k = key_begin(KEY_NAME);
    key_add32(&k, type_no);
    key_add(&k, id);
    return k;
}

struct key key_aggregate(uint64_t aggregate) {
    struct key k = key_begin(KEY_AGGREGATE);
    key_add64(&k, aggregate);
    return k;
}

struct key key_listing(uint32_t type_no, uint64_t aggregate) {
    struct key k = key_begin(KEY_LISTING);
    key_add32(&k, type_no);
    key_add64(&k, aggregate);
    return k;
}

struct key key_run(uint64_t aggregate, uint64_t first_version) {
    struct key k = key_begin(KEY_RUN);
    key_add64(&k, aggregate);
    key_add64(&k, first_version);
    return k;
}

struct key key_command(uint64_t aggregate, struct str id) {
    struct key k = key_begin(KEY_COMMAND);
    key_add64(&k, aggregate);
    key_add(&k, id);
    return k;
}

struct key key_chunk(uint32_t type_no, uint64_t offset) {
    struct key k = key_begin(KEY_CHUNK);
    key_add32(&k, type_no);
    key_add64(&k, offset);
    return k;
}

struct key key_event_kind(uint32_t type_no, uint32_t schema, struct str name) {
    struct key k = key_begin(KEY_EVENT_KIND);
    key_add32(&k, type_no);
    key_add32(&k, schema);
    key_add(&k, name);
    return k;
}

struct key key_schema(const struct index_schema *s) {
    struct key k = key_begin(KEY_SCHEMA);
    key_add32(&k, s->type_no);
    k.p[k.n++] = (char)s->of_command;
    key_add(&k, s->name);
    k.p[k.n++] = '\0';
    key_add32(&k, s->version);
    return k;
}

struct key key_skip(const struct index_skip *s) {
    struct key k = key_begin(KEY_SKIP);
    key_add(&k, s->follower);
    k.p[k.n++] = '\0';
    key_add64(&k, s->position);
    return k;
}

static bool key_is(struct str key, enum key_class class, size_t n) {
    return key.n == n && key.p[0] == (char)class;
}

int key_type_read(struct str key, uint32_t *type_no) {
    if (!key_is(key, KEY_TYPE, 5))
        return -EBADMSG;
    *type_no = be32_get(key.p + 1);
    return 0;
}

int key_listing_read(struct str key, uint32_t *type_no, uint64_t *aggregate) {
    if (!key_is(key, KEY_LISTING, 13))
        return -EBADMSG;
    *type_no = be32_get(key.p + 1);
    *aggregate = be64_get(key.p + 5);
    return 0;
}

int key_run_read(struct str key, uint64_t *aggregate, uint64_t *first_version) {
    if (!key_is(key, KEY_RUN, 17))
        return -EBADMSG;
    *aggregate = be64_get(key.p + 1);
    *first_version = be64_get(key.p + 9);
    return 0;
}

int key_chunk_read(struct str key, uint32_t *type_no, uint64_t *offset) {
    if (!key_is(key, KEY_CHUNK, 13))
        return -EBADMSG;
    *type_no = be32_get(key.p + 1);
    *offset = be64_get(key.p + 5);
    return 0;
}

int key_event_kind_read(struct str key, struct index_event_kind *out) {
    const size_t name = 9;
    if (key.n <= name || key.n - name > NAME_MAX_BYTES || key.p[0] != KEY_EVENT_KIND)
        return -EBADMSG;
    out->type_no = be32_get(key.p + 1);
    out->schema = be32_get(key.p + 5);
    out->name_bytes = (uint8_t)(key.n - name);
    memcpy(out->name, key.p + name, out->name_bytes);
    return 0;
}

int key_schema_read(struct str key, struct index_schema *out) {
    const size_t name = 6, behind = 5; /* the zero byte and the version */
    if (key.n <= name + behind || key.p[0] != KEY_SCHEMA || (uint8_t)key.p[5] > 1)
        return -EBADMSG;
    out->type_no = be32_get(key.p + 1);
    out->of_command = key.p[5];
    out->name = (struct str){key.p + name, key.n - name - behind};
    out->version = be32_get(key.p + key.n - 4);
    return out->name.n <= NAME_MAX_BYTES && !memchr(key.p + name, 0, out->name.n) && !key.p[key.n - behind] ? 0
                                                                                                            : -EBADMSG;
}

int key_skip_read(struct str key, struct index_skip *out) {
    const size_t name = 1, behind = 9; /* the zero byte and the position */
    if (key.n <= name + behind || key.p[0] != KEY_SKIP)
        return -EBADMSG;
    out->follower = (struct str){key.p + name, key.n - name - behind};
    out->position = be64_get(key.p + key.n - 8);
    return out->follower.n <= BLOCK_FOLLOWER_BYTES && !memchr(out->follower.p, 0, out->follower.n) &&
                   !key.p[key.n - behind]
               ? 0
               : -EBADMSG;
}

/* --- values */

void value_put_number(struct buf *out, uint64_t v) {
    char *p = buf_reserve(out, VARINT_MAX);
    if (p)
        out->n += varint_put(p, v);
}

/* Takes a number off the front of `in`; its p is NULL once one was missing. */
static uint64_t number_take(struct str *in) {
    uint64_t v = 0;
    const char *p = in->p ? varint_get(in->p, in->p + in->n, &v) : NULL;
    in->n = p ? in->n - (size_t)(p - in->p) : 0;
    in->p = p;
    return v;
}

static const char *bytes_take(struct str *in, size_t n) {
    const char *p = in->n >= n ? in->p : NULL;
    in->p = p ? p + n : NULL;
    in->n = p ? in->n - n : 0;
    return p;
}

/* A value must be used up; the ones that end with a string have none of this. */
static int value_end(struct str in) {
    return in.p && in.n == 0 ? 0 : -EBADMSG;
}

int value_read_number(struct str value, uint64_t *out) {
    *out = number_take(&value);
    return value_end(value);
}

void value_put_meta(struct buf *out, const struct meta *m) {
    value_put_number(out, m->head.block);
    value_put_number(out, m->head.position);
    value_put_number(out, m->head.log_bytes);
    value_put_number(out, m->head.time);
    value_put_number(out, m->head.next_aggregate);
    value_put_number(out, m->head.next_type);
    buf_put(out, m->head.link, DIGEST_CHAIN);
    buf_put(out, m->block_key, BLOCK_KEY_BYTES);
}

int value_read_meta(struct str value, struct meta *out) {
    out->head.block = number_take(&value);
    out->head.position = number_take(&value);
    out->head.log_bytes = number_take(&value);
    out->head.time = number_take(&value);
    out->head.next_aggregate = number_take(&value);
    out->head.next_type = (uint32_t)number_take(&value);
    const char *link = bytes_take(&value, DIGEST_CHAIN), *key = bytes_take(&value, BLOCK_KEY_BYTES);
    if (!key)
        return -EBADMSG;
    memcpy(out->head.link, link, DIGEST_CHAIN);
    memcpy(out->block_key, key, BLOCK_KEY_BYTES);
    return value_end(value);
}

void value_put_type(struct buf *out, const struct index_type *t, bool exists) {
    value_put_number(out, exists);
    value_put_number(out, t->aggregates);
    value_put_number(out, t->events);
    value_put_number(out, t->bytes);
    value_put_number(out, t->time);
    buf_put_str(out, t->name);
}

int value_read_type(struct str value, struct index_type *out, bool *exists) {
    *exists = number_take(&value) != 0;
    out->aggregates = number_take(&value);
    out->events = number_take(&value);
    out->bytes = number_take(&value);
    out->time = number_take(&value);
    out->name = value;
    return value.p && value.n ? 0 : -EBADMSG;
}

void value_put_made(struct buf *out, const struct made *m) {
    value_put_number(out, m->type_no);
    value_put_number(out, m->time);
    value_put_number(out, m->undeclared);
    buf_put_str(out, m->id);
}

int value_read_made(struct str value, struct made *out) {
    out->type_no = (uint32_t)number_take(&value);
    out->time = number_take(&value);
    out->undeclared = number_take(&value) != 0;
    out->id = value;
    return value.p && value.n && value.n <= NAME_MAX_BYTES ? 0 : -EBADMSG;
}

void value_put_listing(struct buf *out, const struct made *m) {
    value_put_number(out, m->time);
    buf_put_str(out, m->id);
}

int value_read_listing(struct str value, uint64_t *time, struct str *id) {
    *time = number_take(&value);
    *id = value;
    return value.p && value.n && value.n <= NAME_MAX_BYTES ? 0 : -EBADMSG;
}

void value_put_command(struct buf *out, const struct index_command *c) {
    buf_put(out, c->content, DIGEST_CONTENT);
    value_put_number(out, c->version);
    value_put_number(out, c->position);
    value_put_number(out, c->n_events);
}

int value_read_command(struct str value, struct index_command *out) {
    const char *content = bytes_take(&value, DIGEST_CONTENT);
    if (!content)
        return -EBADMSG;
    memcpy(out->content, content, DIGEST_CONTENT);
    out->version = number_take(&value);
    out->position = number_take(&value);
    out->n_events = (uint32_t)number_take(&value);
    return value_end(value);
}

void value_put_skip(struct buf *out, const struct index_skip *s) {
    value_put_number(out, s->time);
    value_put_number(out, s->uid);
    value_put_number(out, s->type_no);
}

int value_read_skip(struct str value, struct index_skip *out) {
    out->time = number_take(&value);
    out->uid = (uint32_t)number_take(&value);
    out->type_no = (uint32_t)number_take(&value);
    return value_end(value);
}

void value_put_chunk(struct buf *out, const struct index_chunk *c, uint64_t base_time) {
    value_put_number(out, c->first_position);
    value_put_number(out, c->block);
    value_put_number(out, c->chunk);
    value_put_number(out, base_time);
}

int value_read_chunk(struct str value, struct index_chunk *out) {
    out->first_position = number_take(&value);
    out->block = number_take(&value);
    out->chunk = (uint16_t)number_take(&value);
    number_take(&value);
    return value_end(value);
}
