#include "view_data.h"

#include "varint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEAD_BYTES 5 /* build and class */
#define NAME_BYTES 480

/* --- keys */

struct view_key_bytes view_key_begin(uint64_t build, enum view_class class) {
    struct view_key_bytes k;
    be32_put(k.bytes, (uint32_t)build);
    k.bytes[4] = (char)class;
    k.n = HEAD_BYTES;
    return k;
}

struct view_key_bytes view_key_build(uint64_t build) {
    struct view_key_bytes k;
    be32_put(k.bytes, (uint32_t)build);
    k.n = 4;
    return k;
}

void view_key_add(struct view_key_bytes *k, uint64_t number) {
    be64_put(k->bytes + k->n, number);
    k->n += 8;
}

void view_key_add_name(struct view_key_bytes *k, struct str name) {
    uint8_t hash[DIGEST_CHAIN];
    size_t n = name.n <= NAME_BYTES ? name.n : NAME_BYTES - DIGEST_CHAIN;
    if (n)
        memcpy(k->bytes + k->n, name.p, n);
    k->n += n;
    if (n == name.n)
        return;
    digest_chain(&name, 1, hash);
    memcpy(k->bytes + k->n, hash, sizeof hash);
    k->n += sizeof hash;
}

int view_key_numbers(struct str key, uint64_t *out, int n) {
    int i = 0;
    for (size_t at = HEAD_BYTES; i < n && at + 8 <= key.n; at += 8)
        out[i++] = be64_get(key.p + at);
    return i;
}

struct str view_key_name(struct str key, int numbers) {
    size_t at = HEAD_BYTES + 8 * (size_t)numbers;
    return at <= key.n ? (struct str){key.p + at, key.n - at} : (struct str){0};
}

/* --- values */

struct reading {
    const char *at, *end;
    bool bad;
};

static void put_text(struct buf *out, struct str s) {
    buf_put_varint(out, s.n);
    buf_put_str(out, s);
}

static struct reading reading_of(struct str value) {
    return (struct reading){value.p, value.p + value.n, false};
}

static uint64_t get_number(struct reading *r) {
    uint64_t v = 0;
    const char *p = r->bad ? NULL : varint_get(r->at, r->end, &v);
    if (!p) {
        r->bad = true;
        return 0;
    }
    r->at = p;
    return v;
}

static struct str get_text(struct reading *r) {
    uint64_t n = get_number(r);
    if (r->bad || n > (uint64_t)(r->end - r->at)) {
        r->bad = true;
        return (struct str){0};
    }
    struct str s = {r->at, (size_t)n};
    r->at += n;
    return s;
}

static int reading_end(const struct reading *r) {
    return r->bad || r->at != r->end ? -EUCLEAN : 0;
}

void catalog_meta_put(const struct catalog_meta *m, struct buf *out) {
    buf_put_varint(out, m->next_view);
    buf_put_varint(out, m->next_build);
}

int catalog_meta_get(struct str value, struct catalog_meta *out) {
    struct reading r = reading_of(value);
    out->next_view = get_number(&r);
    out->next_build = get_number(&r);
    return reading_end(&r);
}

void view_record_put(const struct view_record *v, struct buf *out) {
    buf_put_varint(out, v->serving);
    buf_put_varint(out, v->building);
    put_text(out, v->name);
}

int view_record_get(struct str value, struct view_record *out) {
    struct reading r = reading_of(value);
    out->serving = get_number(&r);
    out->building = get_number(&r);
    out->name = get_text(&r);
    return reading_end(&r);
}

void build_meta_put(const struct build_meta *m, struct buf *out) {
    const uint64_t numbers[] = {m->index, m->position, m->time,       m->next_key,   m->next_dir,
                                m->keys,  m->links,    m->keys_stamp, m->long_names, m->failed};
    buf_put(out, m->hash, sizeof m->hash);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        buf_put_varint(out, numbers[i]);
}

int build_meta_get(struct str value, struct build_meta *out) {
    if (value.n < sizeof out->hash)
        return -EUCLEAN;
    struct reading r = reading_of((struct str){value.p + sizeof out->hash, value.n - sizeof out->hash});
    memcpy(out->hash, value.p, sizeof out->hash);
    out->index = get_number(&r) != 0;
    uint64_t *const numbers[] = {&out->position, &out->time,       &out->next_key,   &out->next_dir, &out->keys,
                                 &out->links,    &out->keys_stamp, &out->long_names, &out->failed};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i] = get_number(&r);
    return reading_end(&r);
}

void key_record_put(const struct key_record *k, struct buf *out) {
    buf_put_varint(out, k->no);
    buf_put_varint(out, k->stamp);
    buf_put_varint(out, k->time);
    buf_put_varint(out, k->aggregate);
    buf_put_varint(out, k->failed);
    put_text(out, k->key);
    put_text(out, k->text);
    put_text(out, k->state);
}

int key_record_get(struct str value, struct key_record *out) {
    struct reading r = reading_of(value);
    out->no = get_number(&r);
    out->stamp = get_number(&r);
    out->time = get_number(&r);
    out->aggregate = get_number(&r);
    out->failed = get_number(&r) != 0;
    out->key = get_text(&r);
    out->text = get_text(&r);
    out->state = get_text(&r);
    return reading_end(&r);
}

void dir_record_put(const struct dir_record *d, struct buf *out) {
    buf_put_varint(out, d->parent);
    buf_put_varint(out, d->levels);
    buf_put_varint(out, d->time);
    buf_put_varint(out, d->children);
    buf_put_varint(out, d->dirs);
    put_text(out, d->name);
}

int dir_record_get(struct str value, struct dir_record *out) {
    struct reading r = reading_of(value);
    out->parent = get_number(&r);
    out->levels = get_number(&r);
    out->time = get_number(&r);
    out->children = get_number(&r);
    out->dirs = get_number(&r);
    out->name = get_text(&r);
    return reading_end(&r);
}

void link_record_put(const struct link_record *l, struct buf *out) {
    buf_put_varint(out, l->time);
    put_text(out, l->name);
}

int link_record_get(struct str value, struct link_record *out) {
    struct reading r = reading_of(value);
    out->time = get_number(&r);
    out->name = get_text(&r);
    return reading_end(&r);
}

void parked_record_put(const struct parked_record *p, struct buf *out) {
    buf_put_varint(out, p->has_key);
    put_text(out, p->key);
    buf_put_varint(out, p->attempts);
    buf_put_varint(out, p->time);
    put_text(out, p->file);
    buf_put_varint(out, p->line);
    put_text(out, p->text);
    put_text(out, p->traceback);
}

int parked_record_get(struct str value, struct parked_record *out) {
    struct reading r = reading_of(value);
    out->has_key = get_number(&r) != 0;
    out->key = get_text(&r);
    out->attempts = get_number(&r);
    out->time = get_number(&r);
    out->file = get_text(&r);
    out->line = get_number(&r);
    out->text = get_text(&r);
    out->traceback = get_text(&r);
    return reading_end(&r);
}
