/* File names of keys, and what the log calls a view. */
#include "views.h"

#include "digest.h"
#include "name.h"

#include <stdio.h>

#define HASH_BYTES 16
#define TAIL_CHARS (2 + 2 * HASH_BYTES) /* "%~" and the digits */

static void escaped_put(struct buf *out, uint8_t byte) {
    buf_printf(out, "%%%02X", byte);
}

/* Bytes of the character at p; 0 when it is no UTF-8. */
static size_t character_bytes(struct str s, size_t at) {
    uint8_t lead = (uint8_t)s.p[at];
    size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (at + n > s.n || (n > 1 && !name_is_plain_text((struct str){s.p + at, n})))
        return 0;
    return n;
}

static void key_escape(struct str key, struct buf *out) {
    for (size_t at = 0; at < key.n;) {
        uint8_t byte = (uint8_t)key.p[at];
        size_t n = character_bytes(key, at);
        bool special = byte < 0x20 || byte == 0x7f || byte == '/' || byte == '%' || (byte == '.' && at == 0);
        if (n == 0 || special) {
            escaped_put(out, byte);
            at++;
            continue;
        }
        buf_put(out, key.p + at, n);
        at += n;
    }
}

/* The head that is kept ends with a whole character, and with a whole %XX. */
static size_t head_bytes(const char *p, size_t n) {
    while (n > 0 && ((uint8_t)p[n] & 0xc0) == 0x80)
        n--;
    for (size_t back = 1; back <= 2 && back <= n; back++)
        if (p[n - back] == '%')
            return n - back;
    return n;
}

void view_name_put(struct str key, struct buf *out) {
    uint8_t hash[DIGEST_CHAIN];
    size_t before = out->n;
    if (key.n == 0) {
        buf_put_char(out, '%');
        return;
    }
    key_escape(key, out);
    if (out->oom || out->n - before <= VIEW_NAME_MAX)
        return;
    out->n = before + head_bytes(out->p + before, VIEW_NAME_MAX - TAIL_CHARS);
    digest_chain(&key, 1, hash);
    buf_put_text(out, "%~");
    for (size_t i = 0; i < HASH_BYTES; i++)
        buf_printf(out, "%02x", hash[i]);
}

struct str view_follower(struct str name, char out[VIEW_FOLLOWER_ROOM]) {
    int n = snprintf(out, VIEW_FOLLOWER_ROOM, "views/%.*s", (int)name.n, name.p);
    return (struct str){out, (size_t)n};
}
