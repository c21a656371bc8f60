#include "event.h"

#include "digest.h"
#include "varint.h"

#include <string.h>

/* The fixed pieces of a line, in order. Between them stand the values. */
#define PIECE_ID "{\"specversion\":\"1.0\",\"id\":\""
#define PIECE_SOURCE "\",\"source\":\"/"
#define PIECE_TYPE "\",\"type\":\""
#define PIECE_SUBJECT "\",\"subject\":\""
#define PIECE_TIME "\",\"time\":\""
#define PIECE_CONTENT "\",\"datacontenttype\":\"application/json"
#define SCHEMAS_ROOT "/schemas/"
#define PIECE_SCHEMA "\",\"dataschema\":\"" SCHEMAS_ROOT
#define PIECE_SEQUENCE "\",\"sequence\":\""
#define PIECE_VERSION "\",\"version\":"
#define PIECE_POSITION ",\"position\":\""
#define PIECE_COMMANDID "\",\"commandid\":\""
#define PIECE_CORRELATIONID "\",\"correlationid\":\""
#define PIECE_CAUSATIONID "\",\"causationid\":\""
#define PIECE_TRACEPARENT "\",\"traceparent\":\""
#define PIECE_UID "\",\"uid\":"
#define PIECE_DATA ",\"data\":"
#define PIECE_END "}\n"
#define BYTES(piece) (sizeof(piece) - 1)

#define SEQUENCE_CHARS 10

static const char hex_digits[] = "0123456789abcdef";

/* RFC 3986 pchar: what stands in a path segment as it is. The rest is percent-encoded in `source` and
 * `dataschema`, which CloudEvents makes URI references. */
static const uint8_t is_pchar[256] = {
    ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1, ['0' ... '9'] = 1, ['-'] = 1,  ['.'] = 1, ['_'] = 1, ['~'] = 1,
    ['!'] = 1,         ['$'] = 1,         ['&'] = 1,         ['\''] = 1, ['('] = 1, [')'] = 1, ['*'] = 1,
    ['+'] = 1,         [','] = 1,         [';'] = 1,         ['='] = 1,  [':'] = 1, ['@'] = 1,
};

static size_t url_size(struct str s) {
    size_t n = s.n;
    for (size_t i = 0; i < s.n; i++)
        n += is_pchar[(uint8_t)s.p[i]] ? 0 : 2;
    return n;
}

static char *put_url(char *out, struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (is_pchar[c]) {
            *out++ = (char)c;
            continue;
        }
        *out++ = '%';
        *out++ = "0123456789ABCDEF"[c >> 4];
        *out++ = "0123456789ABCDEF"[c & 15];
    }
    return out;
}

/* Names and ids hold no control characters (name.h), so two characters are all that JSON wants escaped. */
static size_t text_size(struct str s) {
    size_t n = s.n;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '"' || s.p[i] == '\\';
    return n;
}

static char *put_text(char *out, struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            *out++ = '\\';
        *out++ = s.p[i];
    }
    return out;
}

static char *put_bytes(char *out, struct str s) {
    memcpy(out, s.p, s.n);
    return out + s.n;
}

static size_t decimal_size(uint64_t v) {
    size_t n = 1;
    for (; v >= 10; v /= 10)
        n++;
    return n;
}

static char *put_decimal(char *out, uint64_t v, size_t width) {
    for (size_t i = width; i-- > 0; v /= 10)
        out[i] = (char)('0' + v % 10);
    return out + width;
}

static char *put_hex(char *out, uint64_t v, size_t width) {
    for (size_t i = width; i-- > 0; v >>= 4)
        out[i] = hex_digits[v & 15];
    return out + width;
}

static size_t sequence_size(uint64_t version) {
    size_t n = decimal_size(version);
    return n < SEQUENCE_CHARS ? SEQUENCE_CHARS : n;
}

/* Year, month and day of a number of days since 1970-01-01, proleptic Gregorian: the year is counted from March,
 * so that the leap day is its last. */
static void civil_from_days(uint64_t days, unsigned *year, unsigned *month, unsigned *day) {
    uint64_t z = days + 719468;
    unsigned era = (unsigned)(z / 146097), of_era = (unsigned)(z % 146097);
    unsigned y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * y + y / 4 - y / 100);
    unsigned m = (5 * of_year + 2) / 153;
    *day = of_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = y + era * 400 + (*month <= 2);
}

void event_time(uint64_t time, char *out) {
    uint64_t seconds = time / 1000000;
    unsigned year, month, day, of_day = (unsigned)(seconds % 86400);
    civil_from_days(seconds / 86400, &year, &month, &day);
    memcpy(out, "0000-00-00T00:00:00.000000Z", EVENT_TIME_CHARS);
    put_decimal(out, year, 4);
    put_decimal(out + 5, month, 2);
    put_decimal(out + 8, day, 2);
    put_decimal(out + 11, of_day / 3600, 2);
    put_decimal(out + 14, of_day / 60 % 60, 2);
    put_decimal(out + 17, of_day % 60, 2);
    put_decimal(out + 20, time % 1000000, 6);
}

void event_id(const uint8_t store_id[16], uint64_t position, uint64_t time, char *out) {
    char key[8];
    be64_put(key, position);
    uint64_t high = (time / 1000) << 16 | 0x7000 | time % 1000;
    uint64_t low = (digest_sip(store_id, key, sizeof key) >> 2) | 0x8000000000000000ULL;
    out = put_hex(out, high >> 32, 8);
    *out++ = '-';
    out = put_hex(out, high >> 16, 4);
    *out++ = '-';
    out = put_hex(out, high, 4);
    *out++ = '-';
    out = put_hex(out, low >> 48, 4);
    *out++ = '-';
    put_hex(out, low, 12);
}

/* CloudEvents: correlation begins with the command that has an id, otherwise with the event itself. */
struct str event_correlation(const struct event *e) {
    return e->correlationid.n ? e->correlationid : e->commandid;
}

struct str event_causation(const struct event *e) {
    return e->causationid.n ? e->causationid : e->commandid;
}

static size_t optional_size(size_t piece, struct str s) {
    return s.n ? piece + text_size(s) : 0;
}

size_t event_size(const struct event *e) {
    size_t n = BYTES(PIECE_ID) + EVENT_ID_CHARS + BYTES(PIECE_SOURCE) + 1 + BYTES(PIECE_TYPE) + BYTES(PIECE_SUBJECT) +
               BYTES(PIECE_TIME) + EVENT_TIME_CHARS + BYTES(PIECE_CONTENT) + BYTES(PIECE_SEQUENCE) +
               BYTES(PIECE_VERSION) + BYTES(PIECE_POSITION) + EVENT_POSITION_CHARS + BYTES(PIECE_CORRELATIONID) +
               BYTES(PIECE_UID) + BYTES(PIECE_DATA) + BYTES(PIECE_END);
    n += url_size(e->aggregate_type) + url_size(e->aggregate_id) + text_size(e->type) + text_size(e->aggregate_id);
    n += sequence_size(e->version) + decimal_size(e->version) + decimal_size(e->uid) + e->meta.n + e->data.n;
    if (e->schema)
        n += BYTES(PIECE_SCHEMA) + url_size(e->aggregate_type) + 1 + url_size(e->type) + 1 + decimal_size(e->schema);
    struct str correlation = event_correlation(e);
    n += correlation.n ? text_size(correlation) : EVENT_ID_CHARS;
    n += optional_size(BYTES(PIECE_COMMANDID), e->commandid);
    n += optional_size(BYTES(PIECE_CAUSATIONID), event_causation(e));
    n += optional_size(BYTES(PIECE_TRACEPARENT), e->traceparent);
    return n;
}

#define PUT(out, piece) ((char *)memcpy((out), (piece), BYTES(piece)) + BYTES(piece))

static char *put_schema(char *out, const struct event *e) {
    out = PUT(out, PIECE_SCHEMA);
    out = put_url(out, e->aggregate_type);
    *out++ = '/';
    out = put_url(out, e->type);
    *out++ = '/';
    return put_decimal(out, e->schema, decimal_size(e->schema));
}

static char *put_trace(char *out, const struct event *e, const char *id) {
    if (e->commandid.n) {
        out = PUT(out, PIECE_COMMANDID);
        out = put_text(out, e->commandid);
    }
    struct str correlation = event_correlation(e), causation = event_causation(e);
    out = PUT(out, PIECE_CORRELATIONID);
    out = correlation.n ? put_text(out, correlation) : put_bytes(out, (struct str){id, EVENT_ID_CHARS});
    if (causation.n) {
        out = PUT(out, PIECE_CAUSATIONID);
        out = put_text(out, causation);
    }
    if (e->traceparent.n) {
        out = PUT(out, PIECE_TRACEPARENT);
        out = put_text(out, e->traceparent);
    }
    return out;
}

char *event_render(const struct event *e, char *out) {
    out = PUT(out, PIECE_ID);
    const char *id = out;
    event_id(e->store_id, e->position, e->time, out);
    out = PUT(out + EVENT_ID_CHARS, PIECE_SOURCE);
    out = put_url(out, e->aggregate_type);
    *out++ = '/';
    out = put_url(out, e->aggregate_id);
    out = PUT(out, PIECE_TYPE);
    out = put_text(out, e->type);
    out = PUT(out, PIECE_SUBJECT);
    out = put_text(out, e->aggregate_id);
    out = PUT(out, PIECE_TIME);
    event_time(e->time, out);
    out = PUT(out + EVENT_TIME_CHARS, PIECE_CONTENT);
    if (e->schema)
        out = put_schema(out, e);
    out = PUT(out, PIECE_SEQUENCE);
    out = put_decimal(out, e->version, sequence_size(e->version));
    out = PUT(out, PIECE_VERSION);
    out = put_decimal(out, e->version, decimal_size(e->version));
    out = PUT(out, PIECE_POSITION);
    out = put_hex(out, e->position, EVENT_POSITION_CHARS);
    out = put_trace(out, e, id);
    out = PUT(out, PIECE_UID);
    out = put_decimal(out, e->uid, decimal_size(e->uid));
    if (e->meta.n)
        out = put_bytes(out, e->meta);
    out = PUT(out, PIECE_DATA);
    out = put_bytes(out, e->data);
    return PUT(out, PIECE_END);
}

void event_position(uint64_t position, char *out) {
    put_hex(out, position, EVENT_POSITION_CHARS);
}

bool event_position_read(struct str text, uint64_t *out) {
    uint64_t position = 0;
    if (text.n != EVENT_POSITION_CHARS)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        position = position << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *out = position;
    return true;
}

struct str event_source(const struct event *e, struct arena *a) {
    size_t n = 2 + url_size(e->aggregate_type) + url_size(e->aggregate_id);
    char *text = arena_alloc(a, n), *at = text;
    if (!text)
        return (struct str){NULL, 0};
    *at++ = '/';
    at = put_url(at, e->aggregate_type);
    *at++ = '/';
    put_url(at, e->aggregate_id);
    return (struct str){text, n};
}

struct str event_dataschema(const struct event *e, struct arena *a) {
    if (!e->schema)
        return (struct str){"", 0};
    size_t before = BYTES(PIECE_SCHEMA) - BYTES(SCHEMAS_ROOT);
    size_t n = BYTES(PIECE_SCHEMA) + url_size(e->aggregate_type) + 1 + url_size(e->type) + 1 + decimal_size(e->schema);
    char *text = arena_alloc(a, n);
    if (!text)
        return (struct str){NULL, 0};
    put_schema(text, e);
    return (struct str){text + before, n - before};
}

size_t event_file_name(uint64_t version, struct str type, char *out) {
    char *end = put_decimal(out, version, sequence_size(version));
    *end++ = '-';
    end = put_bytes(end, type);
    end = PUT(end, ".json");
    return (size_t)(end - out);
}
