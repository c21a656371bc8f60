#include "consumer_record.h"

#include "varint.h"

#define LAYOUT 1
#define CURSOR_SUFFIX 'a'
#define DONE_SUFFIX 'd'
#define STATE_SUFFIX 's'

/* --- keys */

struct str record_next_key(char out[RECORD_KEY_BYTES]) {
    out[0] = RECORD_CLASS_CONSUMER;
    return (struct str){out, 1};
}

static struct str consumer_key(char class, uint32_t no, char out[RECORD_KEY_BYTES]) {
    out[0] = class;
    be32_put(out + 1, no);
    return (struct str){out, 5};
}

struct str record_consumer_key(uint32_t no, char out[RECORD_KEY_BYTES]) {
    return consumer_key(RECORD_CLASS_CONSUMER, no, out);
}

struct str record_cursor_key(uint32_t no, char out[RECORD_KEY_BYTES]) {
    struct str key = consumer_key(RECORD_CLASS_CONSUMER, no, out);
    out[key.n++] = CURSOR_SUFFIX;
    return key;
}

struct str record_done_key(uint32_t no, uint64_t first, char out[RECORD_KEY_BYTES]) {
    struct str key = consumer_key(RECORD_CLASS_CONSUMER, no, out);
    out[key.n++] = DONE_SUFFIX;
    be64_put(out + key.n, first);
    key.n += 8;
    return key;
}

struct str record_parked_key(uint32_t no, uint64_t position, char out[RECORD_KEY_BYTES]) {
    struct str key = consumer_key(RECORD_CLASS_PARKED, no, out);
    be64_put(out + key.n, position);
    key.n += 8;
    return key;
}

struct str record_state_key(uint32_t no, uint64_t position, char out[RECORD_KEY_BYTES]) {
    struct str key = record_parked_key(no, position, out);
    out[key.n++] = STATE_SUFFIX;
    return key;
}

enum record_key record_key_read(struct str key, uint32_t *no, uint64_t *position) {
    *no = 0;
    *position = 0;
    if (key.n == 1 && key.p[0] == RECORD_CLASS_CONSUMER)
        return RECORD_NEXT;
    if (key.n < 5)
        return RECORD_UNKNOWN;
    *no = be32_get(key.p + 1);
    if (key.p[0] == RECORD_CLASS_CONSUMER && key.n == 5)
        return RECORD_CONSUMER;
    if (key.p[0] == RECORD_CLASS_CONSUMER && key.n == 6 && key.p[5] == CURSOR_SUFFIX)
        return RECORD_CURSOR;
    if (key.p[0] == RECORD_CLASS_CONSUMER && key.n == 14 && key.p[5] == DONE_SUFFIX) {
        *position = be64_get(key.p + 6);
        return RECORD_DONE;
    }
    if (key.p[0] != RECORD_CLASS_PARKED || key.n < 13)
        return RECORD_UNKNOWN;
    *position = be64_get(key.p + 5);
    if (key.n == 13)
        return RECORD_PARKED;
    return key.n == 14 && key.p[13] == STATE_SUFFIX ? RECORD_STATE : RECORD_UNKNOWN;
}

/* --- values: a layout, then numbers, then strings */

struct reading {
    const char *p, *end; /* p is NULL once something was wrong */
};

static struct reading reading_of(struct str value) {
    bool known = value.n > 0 && value.p[0] == LAYOUT;
    return (struct reading){known ? value.p + 1 : NULL, value.p + value.n};
}

static uint64_t take_number(struct reading *r) {
    uint64_t v = 0;
    if (r->p)
        r->p = varint_get(r->p, r->end, &v);
    return v;
}

static struct str take_string(struct reading *r) {
    uint64_t n = take_number(r);
    struct str s = {r->p, n};
    if (!r->p || n > (uint64_t)(r->end - r->p))
        r->p = NULL;
    else
        r->p += n;
    return r->p ? s : (struct str){NULL, 0};
}

static struct str take_rest(struct reading *r) {
    struct str s = {r->p, r->p ? (size_t)(r->end - r->p) : 0};
    if (r->p)
        r->p = r->end;
    return s;
}

static bool is_whole(const struct reading *r) {
    return r->p && r->p == r->end;
}

static struct str put_two(uint64_t a, uint64_t b, char out[RECORD_SMALL_BYTES]) {
    size_t n = 0;
    out[n++] = LAYOUT;
    n += varint_put(out + n, a);
    n += varint_put(out + n, b);
    return (struct str){out, n};
}

static bool read_two(struct str value, uint64_t *a, uint64_t *b) {
    struct reading r = reading_of(value);
    *a = take_number(&r);
    *b = take_number(&r);
    return is_whole(&r);
}

struct str record_next_put(const struct record_next *r, char out[RECORD_SMALL_BYTES]) {
    return put_two(r->consumer, r->parked, out);
}

bool record_next_read(struct str value, struct record_next *r) {
    return read_two(value, &r->consumer, &r->parked) && r->consumer && r->parked;
}

struct str record_cursor_put(const struct record_cursor *r, char out[RECORD_SMALL_BYTES]) {
    return put_two(r->position, r->time, out);
}

bool record_cursor_read(struct str value, struct record_cursor *r) {
    return read_two(value, &r->position, &r->time);
}

void record_consumer_put(const struct record_consumer *r, struct buf *out) {
    buf_put_char(out, LAYOUT);
    buf_put_varint(out, r->time);
    buf_put_varint(out, r->name.n);
    buf_put_str(out, r->name);
    buf_put_str(out, r->config);
}

bool record_consumer_read(struct str value, struct record_consumer *r) {
    struct reading at = reading_of(value);
    r->time = take_number(&at);
    r->name = take_string(&at);
    r->config = take_rest(&at);
    return is_whole(&at);
}

bool record_done_has(const char bits[RECORD_DONE_BYTES], uint64_t position) {
    unsigned at = position % RECORD_DONE_EVENTS;
    return (uint8_t)bits[at / 8] >> at % 8 & 1;
}

void record_done_set(char bits[RECORD_DONE_BYTES], uint64_t position) {
    unsigned at = position % RECORD_DONE_EVENTS;
    bits[at / 8] = (char)((uint8_t)bits[at / 8] | 1u << at % 8);
}

struct str record_done_put(const char bits[RECORD_DONE_BYTES], char out[RECORD_DONE_ROOM]) {
    out[0] = LAYOUT;
    memcpy(out + 1, bits, RECORD_DONE_BYTES);
    return (struct str){out, RECORD_DONE_ROOM};
}

bool record_done_read(struct str value, char bits[RECORD_DONE_BYTES]) {
    static const char none[RECORD_DONE_BYTES];
    if (value.n != RECORD_DONE_ROOM || value.p[0] != LAYOUT)
        return false;
    memcpy(bits, value.p + 1, RECORD_DONE_BYTES);
    return memcmp(bits, none, sizeof none) != 0;
}

void record_parked_put(const struct record_parked *r, struct buf *out) {
    buf_put_char(out, LAYOUT);
    buf_put_varint(out, r->id);
    buf_put_varint(out, r->time);
    buf_put_varint(out, r->uid);
    buf_put_str(out, r->reason);
}

bool record_parked_read(struct str value, struct record_parked *r) {
    struct reading at = reading_of(value);
    r->id = take_number(&at);
    r->time = take_number(&at);
    uint64_t uid = take_number(&at);
    r->reason = take_rest(&at);
    r->uid = (uint32_t)uid;
    return is_whole(&at) && uid <= UINT32_MAX && r->id && r->id >> 56 == 0;
}

struct str record_state_put(const struct record_state *r, char out[RECORD_SMALL_BYTES]) {
    size_t n = 0;
    out[n++] = LAYOUT;
    out[n++] = (char)r->state;
    if (r->state == ASIDE_SKIPPED) {
        n += varint_put(out + n, r->time);
        n += varint_put(out + n, r->uid);
    }
    return (struct str){out, n};
}

bool record_state_read(struct str value, struct record_state *r) {
    struct reading at = reading_of(value);
    uint64_t state = take_number(&at), uid = 0;
    *r = (struct record_state){.state = (enum aside_state)state};
    if (state == ASIDE_SKIPPED) {
        r->time = take_number(&at);
        uid = take_number(&at);
    }
    r->uid = (uint32_t)uid;
    return is_whole(&at) && uid <= UINT32_MAX && state > ASIDE_PARKED && state < ASIDE_STATES;
}
