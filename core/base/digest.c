#include "digest.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>

_Static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == 8, "shorthash is SipHash-2-4");

/* The one piece of state of the process: written once, by digest_init(), before anything else runs. */
static uint8_t table_key[crypto_shorthash_KEYBYTES];

static void table_key_draw(void) {
    randombytes_buf(table_key, sizeof table_key);
}

int digest_init(void) {
    static pthread_once_t drawn = PTHREAD_ONCE_INIT;
    if (sodium_init() < 0)
        return -EIO;
    return pthread_once(&drawn, table_key_draw) ? -EIO : 0;
}

static void hash_put(crypto_generichash_state *state, struct str s) {
    crypto_generichash_update(state, (const uint8_t *)s.p, s.n);
}

void digest_chain(const struct str *parts, size_t n, uint8_t out[DIGEST_CHAIN]) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, DIGEST_CHAIN);
    for (size_t i = 0; i < n; i++)
        hash_put(&state, parts[i]);
    crypto_generichash_final(&state, out, DIGEST_CHAIN);
}

void digest_content(struct str type, struct str data, uint8_t out[DIGEST_CONTENT]) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, DIGEST_CONTENT);
    hash_put(&state, type);
    hash_put(&state, (struct str){"", 1});
    hash_put(&state, data);
    crypto_generichash_final(&state, out, DIGEST_CONTENT);
}

uint64_t digest_sip(const uint8_t key[16], const void *bytes, size_t n) {
    uint8_t out[crypto_shorthash_BYTES];
    crypto_shorthash(out, bytes, n, key);
    uint64_t hash = 0;
    for (unsigned i = 0; i < sizeof out; i++)
        hash |= (uint64_t)out[i] << (8 * i);
    return hash;
}

uint64_t digest_table(const void *bytes, size_t n) {
    return digest_sip(table_key, bytes, n);
}

void digest_random(void *out, size_t n) {
    randombytes_buf(out, n);
}
