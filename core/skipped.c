#include "skipped.h"

#include "event.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>

int skipped_find(struct store *s, struct str follower, uint64_t position, struct index_skip *out) {
    int r = position ? index_skip_after(store_index(s), follower, position - 1, out) : INDEX_NONE;
    return r == 0 && out->position != position ? INDEX_NONE : r;
}

int skipped_positions(struct store *s, struct str follower, uint64_t after, uint64_t *out, size_t n) {
    struct index_skip skip = {.position = after};
    size_t found = 0;
    while (found < n && index_skip_after(store_index(s), follower, skip.position, &skip) == 0)
        out[found++] = skip.position;
    return (int)found;
}

int skipped_text(struct store *s, struct str follower, uint64_t position, struct buf *out) {
    char at[EVENT_TIME_CHARS];
    struct index_skip skip;
    if (skipped_find(s, follower, position, &skip) != 0)
        return -ENOENT;
    event_time(skip.time, at);
    buf_printf(out, "{\"position\":\"%016" PRIx64 "\",\"time\":\"%.*s\",\"uid\":%" PRIu32 ",\"event\":", position,
               EVENT_TIME_CHARS, at, skip.uid);
    int r = text_put_event(s, position, out);
    buf_put_text(out, "}\n");
    return r == 0 && out->oom ? -ENOMEM : r;
}
