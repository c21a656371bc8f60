/* A growable run of bytes, owned by whoever holds the struct.
 *
 * Appending never fails on the spot: when memory runs out the buffer keeps what it has, sets `oom` and ignores
 * what follows, so that a long encoder checks once, at its end. Not thread safe. */
#ifndef ESFS_BUF_H
#define ESFS_BUF_H

#include "str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *p;
    size_t n, cap;
    bool oom;
};

void buf_free(struct buf *b);               /* releases the memory; the buffer is empty and usable again */
void buf_clear(struct buf *b);              /* forgets the bytes and the oom mark, keeps the memory */
char *buf_reserve(struct buf *b, size_t n); /* room for n more bytes at b->p + b->n, or NULL (oom set) */
void buf_put(struct buf *b, const void *bytes, size_t n);
void buf_put_str(struct buf *b, struct str s);
void buf_put_text(struct buf *b, const char *text);
void buf_put_char(struct buf *b, char c);
void buf_put_varint(struct buf *b, uint64_t v); /* varint.h */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text as a JSON string with its quotes. It must be valid UTF-8. */
void buf_put_json_string(struct buf *b, struct str s);
static inline struct str buf_str(const struct buf *b) {
    return (struct str){b->p, b->n};
}

#endif
