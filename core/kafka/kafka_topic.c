#include "kafka_topic.h"

#include "digest.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#define PLACE "{type}"
#define PLACE_BYTES (sizeof PLACE - 1)
#define HASH_CHARS (2 + 2 * DIGEST_CONTENT)
#define LITERAL_MAX (KAFKA_TOPIC_MAX - HASH_CHARS - 16) /* beside {type} */

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

int kafka_topic_check(const char *template, struct err *err) {
    const char *place = strstr(template, PLACE);
    size_t n = strlen(template) - (place ? PLACE_BYTES : 0);
    if (place && strstr(place + 1, PLACE))
        return err_set(err, EINVAL, "kafka-topic=%s: {type} stands there twice", template);
    for (const char *p = template; *p; p += p == place ? PLACE_BYTES : 1)
        if (p != place && !is_plain(*p) && *p != '.' && *p != '-')
            return err_set(err, EINVAL,
                           "kafka-topic=%s: a topic is made of letters, digits, `.`, `_` and `-`, and {type}",
                           template);
    if (n > (place ? LITERAL_MAX : KAFKA_TOPIC_MAX))
        return err_set(err, EINVAL, "kafka-topic=%s: is too long: %zu bytes, at most %d", template, n,
                       place ? LITERAL_MAX : KAFKA_TOPIC_MAX);
    if (!*template || strcmp(template, ".") == 0 || strcmp(template, "..") == 0)
        return err_set(err, EINVAL, "kafka-topic=%s: no topic can have this name", template);
    return 0;
}

/* Appends as much as fits. */
struct room {
    char *p, *end;
    bool full;
};

static void put(struct room *r, const char *bytes, size_t n) {
    if (r->full || (size_t)(r->end - r->p) < n) {
        r->full = true;
        return;
    }
    memcpy(r->p, bytes, n);
    r->p += n;
}

static void put_type(struct room *r, struct str type) {
    char escaped[4];
    for (size_t i = 0; i < type.n; i++) {
        char c = type.p[i];
        if (is_plain(c))
            put(r, &c, 1);
        else if (c == '-')
            put(r, "--", 2);
        else
            put(r, escaped, (size_t)snprintf(escaped, sizeof escaped, "-%02x", (unsigned char)c));
    }
}

static void put_hash(char *out, struct str type) {
    uint8_t hash[DIGEST_CONTENT];
    digest_content(type, (struct str){NULL, 0}, hash);
    memcpy(out, "-x", 2);
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(out + 2 + 2 * i, 3, "%02x", hash[i]);
}

void kafka_topic_name(const char *template, struct str type, char out[KAFKA_TOPIC_MAX + 1]) {
    const char *place = strstr(template, PLACE);
    if (!place) {
        snprintf(out, KAFKA_TOPIC_MAX + 1, "%s", template);
        return;
    }
    const char *behind = place + PLACE_BYTES;
    size_t before = (size_t)(place - template), after = strlen(behind);
    memcpy(out, template, before);
    struct room r = {out + before, out + KAFKA_TOPIC_MAX - after, false};
    put_type(&r, type);
    if (r.full) {
        /* what stands at the end may be the half of an escape: the hash tells types apart */
        r.p = out + before;
        r.end -= HASH_CHARS;
        r.full = false;
        put_type(&r, type);
        put_hash(r.p, type);
        r.p += HASH_CHARS;
    }
    memcpy(r.p, behind, after + 1);
}
