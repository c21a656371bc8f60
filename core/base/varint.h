/* Integers in LEB128 (7 bits a byte, low bits first), big endian and little endian, as FORMAT.md uses them.
 * Getters never read at or past `end`; they return NULL when the bytes are cut short or too long for 64 bits. */
#ifndef ESFS_VARINT_H
#define ESFS_VARINT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VARINT_MAX 10 /* bytes that a 64-bit number can take */

static inline size_t varint_put(char *out, uint64_t v) {
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (char)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (char)v;
    return n;
}

static inline const char *varint_get(const char *p, const char *end, uint64_t *v) {
    uint64_t value = 0;
    for (unsigned shift = 0; p < end && shift < 64; shift += 7) {
        uint8_t byte = (uint8_t)*p++;
        if (shift == 63 && byte > 1)
            return NULL;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *v = value;
            return p;
        }
    }
    return NULL;
}

static inline void be64_put(char *out, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(out, &v, sizeof v);
}

static inline uint64_t be64_get(const char *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline void be32_put(char *out, uint32_t v) {
    v = __builtin_bswap32(v);
    memcpy(out, &v, sizeof v);
}

static inline uint32_t be32_get(const char *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

/* Little endian is written and read in the machine's own order: esfs builds on little-endian machines only. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the log is little endian");

static inline void le16_put(char *out, uint16_t v) {
    memcpy(out, &v, sizeof v);
}

static inline void le32_put(char *out, uint32_t v) {
    memcpy(out, &v, sizeof v);
}

static inline void le64_put(char *out, uint64_t v) {
    memcpy(out, &v, sizeof v);
}

static inline uint16_t le16_get(const char *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t le32_get(const char *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t le64_get(const char *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

#endif
