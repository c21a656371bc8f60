#include "consumer_ack_text.h"

#include "consumer_config.h"

#include <errno.h>

#define SEEK "seek "

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_digit(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

void ack_scan_begin(struct ack_scan *s, struct ack_text *text, const char *bytes, size_t n) {
    *s = (struct ack_scan){.text = text, .bytes = bytes, .n = n, .carried = text->n > 0};
}

static size_t word_bytes(const struct ack_text *t) {
    return t->n && t->begun[0] == SEEK[0] ? sizeof SEEK - 1 : 0;
}

/* Whether the character can be the next one of what has begun. */
static bool fits(const struct ack_text *t, char c) {
    size_t word = word_bytes(t);
    if (t->n == 0)
        return is_digit(c) || c == SEEK[0];
    if (t->n < word)
        return c == SEEK[t->n] || (t->n + 1u == word && c == '\t');
    return is_digit(c);
}

static bool is_whole(const struct ack_text *t) {
    return t->n == word_bytes(t) + EVENT_POSITION_CHARS;
}

int ack_scan_next(struct ack_scan *s, struct ack *out) {
    struct ack_text *t = s->text;
    if (s->at > 0)
        s->carried = false;
    while (s->at < s->n && !is_whole(t)) {
        char c = s->bytes[s->at];
        bool between = t->n == 0 || t->n == word_bytes(t);
        if (!(between && is_space(c))) {
            if (!fits(t, c))
                return -EINVAL;
            t->begun[t->n++] = c;
        }
        s->at++;
    }
    if (!is_whole(t))
        return t->n && !s->any ? -EINVAL : ACK_NONE;
    if (s->at < s->n && !is_space(s->bytes[s->at]))
        return -EINVAL;
    size_t word = word_bytes(t);
    *out = (struct ack){.seek = word > 0, .end = s->at};
    event_position_read((struct str){t->begun + word, EVENT_POSITION_CHARS}, &out->position);
    t->n = 0;
    s->any = true;
    return 0;
}

ssize_t ack_scan_end(struct ack_scan *s, size_t end, int result) {
    if (result == 0)
        return (ssize_t)s->n;
    s->text->n = 0;
    if (end > 0)
        return (ssize_t)end;
    if (s->carried)
        s->text->refused = result;
    return result;
}

int ack_text_end(const struct ack_text *text) {
    return text->n ? -EBADMSG : 0;
}
