#include "intake.h"

#include <errno.h>

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_space(const char *bytes, size_t at, size_t n) {
    while (at < n && is_space(bytes[at]))
        at++;
    return at;
}

/* Hands over what was begun, which is complete. */
static int give(struct intake *in, intake_take *take, void *arg) {
    char *padding = buf_reserve(&in->begun, JSON_PADDING);
    if (!padding)
        return -ENOMEM;
    memset(padding, 0, JSON_PADDING);
    int r = take(arg, buf_str(&in->begun));
    if (r == 0)
        buf_clear(&in->begun);
    return r;
}

/* Takes bytes of one object from *at on. 0, also when it is not complete at the end of the bytes; or why not. */
static int take_one(struct intake *in, const char *bytes, size_t n, size_t *at, size_t max, intake_take *take,
                    void *arg) {
    bool complete = false;
    ssize_t got = json_scan(&in->scan, bytes + *at, n - *at, &complete);
    if (got < 0)
        return (int)got;
    if (in->begun.n + (size_t)got > max)
        return -EMSGSIZE;
    buf_put(&in->begun, bytes + *at, (size_t)got);
    *at += (size_t)got;
    if (in->begun.oom)
        return -ENOMEM;
    return complete ? give(in, take, arg) : 0;
}

ssize_t intake_write(struct intake *in, const char *bytes, size_t n, size_t max, intake_take *take, void *arg) {
    size_t at = 0, done = 0;
    bool carried = in->begun.n > 0;
    int r = in->refused;
    while (r == 0) {
        if (in->begun.n == 0) {
            at = skip_space(bytes, at, n);
            in->scan = (struct json_scan){0};
        }
        if (at == n)
            return (ssize_t)n;
        r = take_one(in, bytes, n, &at, max, take, arg);
        if (r == 0 && in->begun.n == 0)
            done = at;
    }
    buf_clear(&in->begun);
    if (done > 0)
        return (ssize_t)done;
    if (carried)
        in->refused = r;
    return r;
}

int intake_end(const struct intake *in) {
    return in->begun.n ? -EBADMSG : 0;
}

void intake_free(struct intake *in) {
    buf_free(&in->begun);
}
