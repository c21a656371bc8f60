#include "consumer_ack_text.h"
#include "consumer_group.h"
#include "consumer_reader.h"
#include "consumers_private.h"

#include <errno.h>
#include <inttypes.h>

/* --- one position, with the consumer's lock, between commits_begin() and commits_end() */

static int seek(struct consumer *c, uint64_t position, struct err *err) {
    uint64_t head = feed_position(&c->all->store->feed);
    if (position > head)
        return err_set(err, EINVAL, "seek %016" PRIx64 ": the log ends at position %016" PRIx64, position, head);
    c->epoch++;
    consumer_done_forget(c, UINT64_MAX);
    c->cursor = c->given = 0;
    consumer_forget_gaps(c);
    consumer_move(c, position);
    int r = c->group ? group_restart(c->group) : 0;
    consumer_news(c);
    return r;
}

/* One that was given again: that alone is done. */
static bool ack_again(struct consumer *c, uint64_t position) {
    struct aside *p = asides_find(&c->asides, position);
    if (!p || p->state != ASIDE_AGAIN || !p->given)
        return false;
    consumer_aside_done(c, p);
    return true;
}

static int ack_one(struct consumer *c, const struct ack *a, struct err *err) {
    if (a->seek)
        return seek(c, a->position, err);
    if (c->config->group)
        return err_set(err, EINVAL, "readers of a group acknowledge on their own descriptors of `follow`");
    if (ack_again(c, a->position) || a->position == c->cursor)
        return 0;
    if (a->position < c->cursor)
        return err_set(err, EINVAL,
                       "position %016" PRIx64 " is before the cursor, %016" PRIx64 "; `seek` takes it back",
                       a->position, c->cursor);
    if (a->position > c->given)
        return err_set(err, EINVAL,
                       "position %016" PRIx64 " is behind what readers have been given, which ends at %016" PRIx64,
                       a->position, c->given);
    consumer_move(c, a->position);
    return 0;
}

static int ack_member(struct reader *r, const struct ack *a, bool *changed, struct err *err) {
    struct consumer *c = r->consumer;
    struct aside *p = asides_find(&c->asides, a->position);
    if (a->seek)
        return err_set(err, EINVAL, "`seek` is written to `ack`");
    int acked = group_ack(r->member, a->position);
    if (acked < 0)
        return err_set(err, -acked, "out of memory for what is done behind the cursor");
    if (acked == GROUP_NOT_GIVEN)
        return err_set(err, EINVAL, "position %016" PRIx64 " is not in the hand of this descriptor", a->position);
    if (p && p->state == ASIDE_AGAIN) {
        consumer_aside_done(c, p);
        *changed = true;
    }
    return 0;
}

/* --- all of a write */

struct acking {
    struct consumer *consumer;
    struct reader *reader; /* NULL: not one of a group's */
    const char *file;
    bool changed; /* something is to be written before it counts */
};

static int ack_next(struct acking *a, struct ack_scan *scan, size_t *end, struct err *err) {
    struct ack ack;
    int r = ack_scan_next(scan, &ack);
    if (r == -EINVAL)
        err_set(err, EINVAL, "not a position: 16 hexadecimal digits, as events show it");
    if (r == 0)
        r = a->reader ? ack_member(a->reader, &ack, &a->changed, err) : ack_one(a->consumer, &ack, err);
    if (r == 0)
        *end = ack.end;
    return r;
}

static int ack_begin(const struct acking *a) {
    if (a->consumer->gone)
        return -ESTALE;
    return a->reader && !a->reader->member ? -EINVAL : 0;
}

/* With the consumer's lock. 0, or why it stopped. */
static int ack_all(struct acking *a, struct ack_scan *scan, size_t *end, uint64_t *ticket, struct err *err) {
    struct commits *commits = &a->consumer->all->commits;
    int r = ack_begin(a);
    if (r < 0)
        return r;
    commits_begin(commits);
    while (r == 0)
        r = ack_next(a, scan, end, err);
    if (a->reader && group_advance(a->consumer->group))
        a->changed = true;
    if (consumer_done_put(a->consumer))
        a->changed = true;
    *ticket = commits_end(commits);
    if (!a->changed)
        *ticket = 0; /* nothing was taken */
    return r < 0 ? r : 0;
}

static ssize_t ack_write(struct acking *a, struct ack_text *text, const char *bytes, size_t n) {
    struct consumer *c = a->consumer;
    struct ack_scan scan;
    struct err err = {0};
    size_t end = 0;
    uint64_t ticket = 0;
    int r = text->refused ? text->refused : commits_allowed(&c->all->commits);
    if (r < 0)
        return r;
    ack_scan_begin(&scan, text, bytes, n);
    pthread_mutex_lock(&c->lock);
    r = ack_all(a, &scan, &end, &ticket, &err);
    pthread_mutex_unlock(&c->lock);
    if (err.code)
        consumer_refuse(c, a->file, &err);
    int written = commits_reach(&c->all->commits, ticket);
    return written < 0 ? written : ack_scan_end(&scan, end, r);
}

ssize_t consumers_ack(struct consumers *cs, uint32_t no, struct ack_text *text, const char *bytes, size_t n) {
    struct acking a = {.consumer = consumer_of(cs, no), .file = "ack", .changed = true};
    ssize_t r = a.consumer ? ack_write(&a, text, bytes, n) : -ESTALE;
    consumer_unref(a.consumer);
    return r;
}

ssize_t reader_ack(struct reader *r, struct ack_text *text, const char *bytes, size_t n) {
    struct acking a = {.consumer = r->consumer, .reader = r, .file = "follow"};
    return ack_write(&a, text, bytes, n);
}
