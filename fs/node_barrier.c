/* .esfs/barrier: a read of it returns when every view shows what had been appended before. barrier@5s gives up after
 * that time. Not listed, for whoever reads every file would wait here too. */
#include "node_text.h"

#include <errno.h>
#include <stdlib.h>

struct barrier {
    struct pending pending;
    struct handle *handle; /* while somebody waits */
    size_t n;              /* bytes that he has room for */
};

/* --- names */

/* "5s", "100ms", "2m", "1h", in milliseconds. False when it is no time, or too long a one. */
static bool timeout_of(struct str text, uint64_t *out) {
    static const struct {
        struct str unit;
        uint64_t ms;
    } units[] = {{STR("ms"), 1}, {STR("s"), 1000}, {STR("m"), 60000}, {STR("h"), 3600000}};
    const uint64_t most = ((1ULL << INO_TAG_BITS) - 1) / 3600000;
    size_t i;
    *out = 0;
    for (i = 0; i < text.n && text.p[i] >= '0' && text.p[i] <= '9' && *out <= most; i++)
        *out = *out * 10 + (uint64_t)(text.p[i] - '0');
    for (size_t u = 0; *out > 0 && *out <= most && u < sizeof units / sizeof *units; u++)
        if (str_eq((struct str){text.p + i, text.n - i}, units[u].unit)) {
            *out *= units[u].ms;
            return true;
        }
    return false;
}

static int barrier_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                        struct node_stat *stat) {
    (void)dir, (void)req;
    const struct str begin = STR("barrier@");
    uint64_t timeout;
    if (!fs->views || name.n <= begin.n || !str_eq((struct str){name.p, begin.n}, begin))
        return -ENOENT;
    if (!timeout_of((struct str){name.p + begin.n, name.n - begin.n}, &timeout))
        return -ENOENT;
    *child = (struct node){NODE_CONTROL_BARRIER_TIMED, timeout};
    *stat = (struct node_stat){0};
    return 0;
}

const struct node_ops control_ops = {.stat = node_stat_as_parent, .find = barrier_find};

/* --- reading: the handle has what the first read was told, and gives it bit by bit */

/* What is left of the text, as far as there is room for it. False when there is no text yet. Once the answer is out the
 * handle may go, and with it the text: what is answered is a copy. */
static bool barrier_answer(struct handle *h, fuse_req_t req, size_t n) {
    struct buf answer = {0};
    pthread_mutex_lock(&h->lock);
    bool told = h->text.n > 0;
    size_t left = h->text.n - h->given, taken = left < n ? left : n;
    if (told)
        buf_put(&answer, h->text.p + h->given, taken);
    if (!answer.oom)
        h->given += taken;
    pthread_mutex_unlock(&h->lock);
    if (told && answer.oom)
        fuse_reply_err(req, ENOMEM);
    else if (told)
        fuse_reply_buf(req, answer.p, answer.n);
    buf_free(&answer);
    return told;
}

static int barrier_tell(struct handle *h, struct str text) {
    pthread_mutex_lock(&h->lock);
    if (h->text.n == 0) {
        buf_put_str(&h->text, text);
        if (text.n == 0 || text.p[text.n - 1] != '\n')
            buf_put_char(&h->text, '\n');
    }
    int r = h->text.oom ? -ENOMEM : 0;
    if (r < 0)
        buf_clear(&h->text);
    pthread_mutex_unlock(&h->lock);
    return r;
}

static void barrier_done(void *arg, int result, struct str text) {
    struct barrier *b = arg;
    fuse_req_t req = pending_take(&b->pending);
    if (req && result == 0)
        result = barrier_tell(b->handle, text);
    if (req && result < 0)
        reply_result(req, result);
    else if (req)
        barrier_answer(b->handle, req, b->n);
    pending_end(&b->pending);
    free(b);
}

static void barrier_read(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, size_t n,
                         int flags) {
    (void)flags;
    uint64_t timeout = node->tag == NODE_CONTROL_BARRIER_TIMED ? node->no : 0;
    if (barrier_answer(h, req, n))
        return;
    struct barrier *b = malloc(sizeof *b);
    int r = b ? pending_begin(&b->pending, fs, req) : -ENOMEM;
    if (r < 0) {
        free(b);
        reply_result(req, r);
        return;
    }
    b->handle = h;
    b->n = n;
    views_barrier(fs->views, timeout, barrier_done, b);
}

const struct node_ops barrier_ops = {.open = text_open, .read_later = barrier_read};
