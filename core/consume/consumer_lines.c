#include "consumer_lines.h"

#include <errno.h>

void lines_begin(struct lines *l, struct lines_rest *rest, char *out, size_t room) {
    *l = (struct lines){.out = out, .room = room, .rest = rest};
}

void lines_rest_clear(struct lines_rest *rest) {
    buf_clear(&rest->text);
    rest->given = 0;
}

void lines_rest_free(struct lines_rest *rest) {
    buf_free(&rest->text);
}

bool lines_put_rest(struct lines *l) {
    struct lines_rest *rest = l->rest;
    size_t left = rest->text.n - rest->given, n = left < l->room - l->done ? left : l->room - l->done;
    if (n)
        memcpy(l->out + l->done, rest->text.p + rest->given, n);
    rest->given += n;
    l->done += n;
    if (n < left)
        return false;
    lines_rest_clear(rest);
    return true;
}

static int rest_put(struct lines *l, const struct event *e, size_t size, bool again) {
    struct lines_rest *rest = l->rest;
    lines_rest_clear(rest);
    char *line = buf_reserve(&rest->text, size);
    if (!line)
        return -ENOMEM;
    event_render(e, line);
    rest->text.n += size;
    rest->position = e->position;
    rest->again = again;
    return 0;
}

static bool size_fits(const struct lines *l, size_t size) {
    return l->rest->text.n == 0 && (l->done == 0 || l->room - l->done >= size);
}

bool lines_fit(const struct lines *l, const struct event *e) {
    return size_fits(l, event_size(e));
}

int lines_put(struct lines *l, const struct event *e, bool again) {
    size_t size = event_size(e);
    if (!size_fits(l, size))
        return LINES_FULL;
    if (l->room - l->done >= size) {
        event_render(e, l->out + l->done);
        l->done += size;
        return 0;
    }
    return rest_put(l, e, size, again);
}
