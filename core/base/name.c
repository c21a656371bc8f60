#include "name.h"

#include <stdint.h>

#define CHAR_INVALID UINT32_MAX

/* One character of UTF-8 at s.p[*at], which moves past it. Overlong forms, surrogates and what lies beyond
 * U+10FFFF are CHAR_INVALID, as are bytes cut short. */
static uint32_t char_next(struct str s, size_t *at) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = (uint8_t)s.p[(*at)++];
    if (lead < 0x80)
        return lead;
    unsigned bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || s.n - *at < bytes - 1)
        return CHAR_INVALID;
    uint32_t c = lead & (0x7fu >> bytes);
    for (unsigned i = 1; i < bytes; i++) {
        uint8_t byte = (uint8_t)s.p[(*at)++];
        if ((byte & 0xc0) != 0x80)
            return CHAR_INVALID;
        c = c << 6 | (byte & 0x3f);
    }
    if (c < least[bytes] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return CHAR_INVALID;
    return c;
}

static const char *char_fault(uint32_t c) {
    if (c == CHAR_INVALID)
        return "is not valid UTF-8";
    if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
        return "has a control character";
    if ((c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe)
        return "has a code point that is no character";
    return NULL;
}

static const char *text_fault(struct str s) {
    for (size_t at = 0; at < s.n;) {
        uint8_t byte = (uint8_t)s.p[at];
        if (byte >= 0x20 && byte < 0x7f) {
            at++;
            continue;
        }
        const char *fault = char_fault(char_next(s, &at));
        if (fault)
            return fault;
    }
    return NULL;
}

const char *name_fault(struct str s) {
    if (s.n == 0)
        return "is empty";
    if (s.n > NAME_MAX_BYTES)
        return "is longer than 128 bytes";
    if (s.p[0] == '.')
        return "begins with a dot";
    if (s.p[0] == '$')
        return "begins with $, which is the system's";
    if (memchr(s.p, '/', s.n))
        return "has a slash";
    return text_fault(s);
}

bool name_is_plain_text(struct str s) {
    return text_fault(s) == NULL;
}

bool name_is_utf8(struct str s) {
    for (size_t at = 0; at < s.n;)
        if (char_next(s, &at) == CHAR_INVALID)
            return false;
    return true;
}

static bool name_is_one_of(struct str s, const struct str *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, names[i]))
            return true;
    return false;
}

#define NAME(text)                                                                                                     \
    { text, sizeof(text) - 1 }

bool name_is_reserved_type(struct str s) {
    static const struct str names[] = {
        NAME("commands"),  NAME("log.ndjson"), NAME("rejections.ndjson"), NAME("views"),   NAME("queries"),
        NAME("consumers"), NAME("sagas"),      NAME("services"),          NAME("schemas"), NAME(".esfs"),
    };
    return name_is_one_of(s, names, sizeof names / sizeof *names);
}

bool name_is_reserved_aggregate(struct str s) {
    static const struct str names[] = {NAME("commands"), NAME("log.ndjson"), NAME("rejections.ndjson")};
    return name_is_one_of(s, names, sizeof names / sizeof *names);
}
