#include "buf.h"

#include "varint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAP_MIN 64

void buf_free(struct buf *b) {
    free(b->p);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b) {
    b->n = 0;
    b->oom = false;
}

static bool buf_grow(struct buf *b, size_t n) {
    if (n > PTRDIFF_MAX - b->n)
        return false;
    size_t need = b->n + n;
    size_t cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap * 2;
    if (cap < need)
        cap = need;
    char *p = realloc(b->p, cap);
    if (!p)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

char *buf_reserve(struct buf *b, size_t n) {
    if (b->oom)
        return NULL;
    if ((n > b->cap - b->n || !b->p) && !buf_grow(b, n)) {
        b->oom = true;
        return NULL;
    }
    return b->p + b->n;
}

void buf_put(struct buf *b, const void *bytes, size_t n) {
    char *room = n ? buf_reserve(b, n) : NULL;
    if (!room)
        return;
    memcpy(room, bytes, n);
    b->n += n;
}

void buf_put_str(struct buf *b, struct str s) {
    buf_put(b, s.p, s.n);
}

void buf_put_text(struct buf *b, const char *text) {
    buf_put(b, text, strlen(text));
}

void buf_put_char(struct buf *b, char c) {
    buf_put(b, &c, 1);
}

void buf_put_varint(struct buf *b, uint64_t v) {
    char bytes[VARINT_MAX];
    buf_put(b, bytes, varint_put(bytes, v));
}

void buf_printf(struct buf *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char *room = buf_reserve(b, BUF_CAP_MIN);
    int n = room ? vsnprintf(room, b->cap - b->n, format, args) : -1;
    if (n >= 0 && (size_t)n >= b->cap - b->n) {
        room = buf_reserve(b, (size_t)n + 1);
        n = room ? vsnprintf(room, (size_t)n + 1, format, again) : -1;
    }
    if (n >= 0)
        b->n += (size_t)n;
    else
        b->oom = true;
    va_end(again);
    va_end(args);
}

static void buf_put_escape(struct buf *b, unsigned char c) {
    static const char short_form[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char letter = c < 0x20 ? short_form[c] : (char)c;
    if (letter)
        buf_put(b, (char[]){'\\', letter}, 2);
    else
        buf_put(b, (char[]){'\\', 'u', '0', '0', c < 0x10 ? '0' : '1', "0123456789abcdef"[c & 15]}, 6);
}

void buf_put_json_string(struct buf *b, struct str s) {
    buf_put_char(b, '"');
    size_t run = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_put(b, s.p + run, i - run);
        buf_put_escape(b, c);
        run = i + 1;
    }
    if (s.n)
        buf_put(b, s.p + run, s.n - run);
    buf_put_char(b, '"');
}
