/* Hashes and randomness; the only file over libsodium. Thread safe after digest_init(). */
#ifndef ESFS_DIGEST_H
#define ESFS_DIGEST_H

#include "str.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_CHAIN 32   /* bytes of a link of the block hash chain (BLAKE2b-256) */
#define DIGEST_CONTENT 16 /* bytes of a command's content hash (BLAKE2b-128) */

/* Call once before anything else of core; may be called again. 0 or -EIO. */
int digest_init(void);

/* The link of a block: BLAKE2b-256 over its parts, one after the other. */
void digest_chain(const struct str *parts, size_t n, uint8_t out[DIGEST_CHAIN]);

/* What "the same content" of a command means: BLAKE2b-128 over type, a NUL and the minified data. */
void digest_content(struct str type, struct str data, uint8_t out[DIGEST_CONTENT]);

/* SipHash-2-4 with a key of the caller's (16 bytes): the same on every machine and in every release. */
uint64_t digest_sip(const uint8_t key[16], const void *bytes, size_t n);

/* SipHash-2-4 with a key drawn when the process started: for hash tables that hold other people's keys. */
uint64_t digest_table(const void *bytes, size_t n);

void digest_random(void *out, size_t n);

#endif
