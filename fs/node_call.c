/* queries/<query>/call: a query with parameters that no file name can say. One JSON object is written, in one write or
 * in several, and the write that brings its end is answered when the result is there; it is then read from the same
 * descriptor. What was written behind that end is not taken: it is the beginning of the next write.
 *
 * A refused object is dropped when all of it came in the write that is refused. Otherwise that descriptor gives the
 * same errno until it is closed: the kernel cuts a long write(2) in several and hides the errno of all but the first,
 * so the retry must meet it again. */
#include "node_call.h"

#include "json.h"
#include "node_queries.h"
#include "node_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/queue.h>

#define PARAMS_MAX (1 << 20) /* bytes of an object */
#define UNREAD_MAX QUERY_RESULT_BYTES

struct answer {
    STAILQ_ENTRY(answer) link;
    struct query_result *result;
};

struct call {
    pthread_mutex_t lock;
    bool results;          /* open for reading too */
    struct asker who;      /* whoever opened it */
    int32_t pid;           /* his */
    struct buf begun;      /* of an object that is not complete */
    struct json_scan scan; /* of it */
    int refused;           /* negative errno of every write from now on */
    STAILQ_HEAD(, answer) answers;
    size_t unread, given; /* bytes that are kept, and of the first of them given */
};

/* A write that waits for its result. */
struct calling {
    struct pending pending; /* the first one: calling_left() */
    struct call *call;      /* while somebody waits */
    size_t n;               /* bytes of the write that are taken */
};

/* --- results to be read */

static void answer_drop(struct call *c, struct answer *a) {
    STAILQ_REMOVE(&c->answers, a, answer, link);
    c->unread -= a->result->text.n;
    query_result_unref(a->result);
    free(a);
}

/* Takes the reference over. When too much is unread the oldest go, but none of which a part was read. */
static int answer_add(struct call *c, struct query_result *result) {
    struct answer *a = malloc(sizeof *a), *oldest;
    if (!a) {
        query_result_unref(result);
        return -ENOMEM;
    }
    a->result = result;
    STAILQ_INSERT_TAIL(&c->answers, a, link);
    c->unread += result->text.n;
    while (c->unread > UNREAD_MAX) {
        oldest = STAILQ_FIRST(&c->answers);
        if (c->given > 0 && oldest != a)
            oldest = STAILQ_NEXT(oldest, link);
        if (oldest == a)
            break;
        answer_drop(c, oldest);
    }
    return 0;
}

static ssize_t call_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                         size_t n) {
    (void)fs, (void)node, (void)offset;
    struct call *c = h->call;
    ssize_t got = 0;
    pthread_mutex_lock(&c->lock);
    struct answer *first = STAILQ_FIRST(&c->answers);
    if (first) {
        got = read_text(first->result->text, c->given, out, n);
        c->given += (size_t)got;
        if (c->given == first->result->text.n) {
            c->given = 0;
            answer_drop(c, first);
        }
    }
    pthread_mutex_unlock(&c->lock);
    return got;
}

/* --- what is written */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_space(const char *bytes, size_t n) {
    size_t i = 0;
    while (i < n && is_space(bytes[i]))
        i++;
    return i;
}

static size_t space_behind(const char *bytes, size_t n) {
    size_t i = 0;
    while (i < n && is_space(bytes[n - i - 1]))
        i++;
    return i;
}

/* Looks where the object that was begun ends in new bytes. How many of them are taken, white space before and behind
 * it included; *complete: with them it is whole, and the first *end of them belong to it. A negative errno otherwise.
 */
static ssize_t call_scan(struct call *c, const char *bytes, size_t n, size_t *end, struct json_scan *scan,
                         bool *complete) {
    size_t begin = c->begun.n ? 0 : skip_space(bytes, n);
    *scan = c->scan;
    *complete = false;
    *end = n;
    if (begin == n)
        return (ssize_t)n;
    ssize_t got = json_scan(scan, bytes + begin, n - begin, complete);
    if (got < 0)
        return got;
    *end = begin + (size_t)got;
    if (c->begun.n + *end - begin > PARAMS_MAX)
        return -EMSGSIZE;
    return *complete ? (ssize_t)(*end + skip_space(bytes + *end, n - *end)) : (ssize_t)n;
}

static void call_reset(struct call *c) {
    buf_clear(&c->begun);
    c->scan = (struct json_scan){0};
}

/* Of the write that is refused; nothing of it was taken. */
static int call_refuse(struct call *c, int r) {
    if (c->begun.n)
        c->refused = r;
    call_reset(c);
    return r;
}

/* Adds what belongs to the object that was begun, or begins with it. */
static void put_object(struct call *c, const char *bytes, size_t end, struct buf *out) {
    size_t begin = c->begun.n ? 0 : skip_space(bytes, end);
    buf_put(out, bytes + begin, end - begin);
}

/* How many bytes are taken, or a negative errno. *complete: an object is in `params`, and what was begun is still
 * begun. */
static ssize_t call_take(struct call *c, const char *bytes, size_t n, struct buf *params, bool *complete) {
    struct json_scan scan;
    size_t end;
    *complete = false;
    if (c->refused)
        return c->refused;
    ssize_t taken = call_scan(c, bytes, n, &end, &scan, complete);
    if (taken == -EBADMSG) { /* for the queries to refuse, as they do what else is no object: with a reason */
        *complete = true;
        end = n - space_behind(bytes, n);
        taken = (ssize_t)n;
    }
    if (taken < 0)
        return call_refuse(c, (int)taken);
    if (*complete) {
        buf_put_str(params, buf_str(&c->begun));
        put_object(c, bytes, end, params);
        return params->oom ? -ENOMEM : taken;
    }
    put_object(c, bytes, end, &c->begun);
    c->scan = scan;
    if (c->begun.oom)
        c->refused = -ENOMEM;
    return c->refused ? c->refused : taken;
}

/* --- running */

/* The write is answered; what was written before it belongs to this object too and is done with. */
static int call_done(struct call *c, int r, struct query_result *result) {
    pthread_mutex_lock(&c->lock);
    if (r == 0 && c->results)
        r = answer_add(c, result);
    else
        query_result_unref(result);
    if (r == 0)
        call_reset(c);
    else
        call_refuse(c, r);
    pthread_mutex_unlock(&c->lock);
    return r;
}

static void called(void *arg, int r, struct query_result *result) {
    struct calling *w = arg;
    fuse_req_t req = pending_take(&w->pending);
    if (!req) {
        query_result_unref(result);
    } else {
        r = call_done(w->call, r, result);
        if (r == 0)
            fuse_reply_write(req, w->n);
        else
            reply_result(req, r);
    }
    pending_end(&w->pending);
    free(w);
}

static void calling_left(struct pending *p) {
    queries_leave(p->fs->queries, p);
}

/* Interrupted, the write has not been: what was begun is still begun. Once the query has been asked, the answer may be
 * out and the handle gone. */
static void call_run(struct fs *fs, uint32_t query, struct call *c, fuse_req_t req, struct str params, size_t taken) {
    struct calling *w = malloc(sizeof *w);
    int r = w ? pending_begin_telling(&w->pending, fs, req, calling_left) : -ENOMEM;
    if (r < 0) {
        free(w);
        reply_result(req, r);
        return;
    }
    const struct caller caller = {.who = c->who.who, .pid = c->pid};
    w->call = c;
    w->n = taken;
    queries_call(fs->queries, query, params, &caller, called, w);
}

static void call_write(struct fs *fs, const struct node *node, struct handle *h, fuse_req_t req, const char *bytes,
                       size_t n) {
    struct call *c = h->call;
    struct buf params = {0};
    uint32_t query;
    bool complete = false;
    ssize_t taken = query_no(fs, node, &query);
    if (taken == 0) {
        pthread_mutex_lock(&c->lock);
        taken = call_take(c, bytes, n, &params, &complete);
        pthread_mutex_unlock(&c->lock);
    }
    if (taken < 0)
        reply_result(req, (int)taken);
    else if (complete)
        call_run(fs, query, c, req, buf_str(&params), (size_t)taken);
    else
        fuse_reply_write(req, (size_t)taken);
    buf_free(&params);
}

/* What close(2) can be told: the last object is not complete. */
static int call_flush(struct handle *h) {
    pthread_mutex_lock(&h->call->lock);
    bool begun = h->call->begun.n > 0;
    pthread_mutex_unlock(&h->call->lock);
    return begun ? -EBADMSG : 0;
}

/* --- opening and closing */

static struct call *call_new(fuse_req_t req, bool results) {
    struct call *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    STAILQ_INIT(&c->answers);
    asker_init(&c->who, req);
    c->pid = fuse_req_ctx(req)->pid;
    c->results = results;
    if (asker_groups(&c->who, req) == 0 && pthread_mutex_init(&c->lock, NULL) == 0)
        return c;
    asker_deinit(&c->who);
    free(c);
    return NULL;
}

void call_free(struct call *c) {
    while (!STAILQ_EMPTY(&c->answers))
        answer_drop(c, STAILQ_FIRST(&c->answers));
    asker_deinit(&c->who);
    buf_free(&c->begun);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static int call_open(struct fs *fs, const struct node *node, fuse_req_t req, int flags, struct handle **out) {
    (void)node;
    struct handle *h = handle_new(fs);
    if (!h)
        return -ENOMEM;
    h->call = call_new(req, (flags & O_ACCMODE) != O_WRONLY);
    if (!h->call) {
        handle_free(h);
        return -ENOMEM;
    }
    *out = h;
    return 0;
}

static int call_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct query_info query;
    int r = query_of(fs, node, &query);
    if (r == 0)
        query_attr(fs, &query, node->tag, out);
    return r;
}

const struct node_ops query_call_ops = {
    .stat = call_stat,
    .open = call_open,
    .read = call_read,
    .write = call_write,
    .flush = call_flush,
};
