/* Results of queries: queries/<query>/<name=value,...>.json.
 *
 * LOOKUP runs nothing. What is cached has a node of its own, as what a view's file shows has (content.h); a name of
 * which nothing is cached stands for a node without a text, until it is looked up again. Opening asks the engine each
 * time, which may run the query, and what it gives is this reader's, past the page cache where it is not what the node
 * shows. */
#include "content.h"
#include "node_queries.h"
#include "node_text.h"

#include "event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- names */

int result_name(struct fs *fs, const struct query_info *query, struct str name, struct buf *out, struct err *err) {
    struct str given;
    if (!name_without_json(name, &given))
        return -ENOENT;
    int r = reply_absent(queries_name(fs->queries, query->no, given, out, err));
    return r == 0 && out->oom ? -ENOMEM : r;
}

/* What is cached for who asks; NULL: nothing. A reference of the caller's. */
static int result_cached(struct fs *fs, const struct query_info *query, struct str name, fuse_req_t req,
                         struct query_result **out) {
    struct asker a;
    *out = NULL;
    int r = query_asker(fs, query, req, &a);
    if (r == 0)
        r = queries_cached(fs->queries, query->no, name, &a.who, out);
    asker_deinit(&a);
    return r < 0 ? r : 0;
}

static int result_hold(struct fs *fs, const struct query_info *query, struct str name, const struct query_result *r,
                       struct node *child, struct node_stat *stat) {
    uint64_t hash = ino_hash_end(ino_hash(query_hash(query), name.p, name.n), INO_TAG_BITS);
    const struct content c = {
        .tag = NODE_QUERY_RESULT,
        .no = query->no,
        .stamp = r ? r->no : 0,
        .size = r ? r->text.n : 0,
        .time = r ? r->computed_at : 0,
        .ino = ino_of_hash(NODE_QUERY_RESULT, hash),
        .name = name,
    };
    content_attr(&c, stat);
    return content_hold(fs->contents, &c, NULL, child);
}

/* Who is not of the query's directory does not get here. */
static void result_refused(struct fs *fs, const struct query_info *query, struct str name, fuse_req_t req,
                           const struct err *why) {
    struct asker a;
    struct str given = name;
    asker_init(&a, req);
    name_without_json(name, &given);
    const struct caller caller = {.who = a.who, .pid = fuse_req_ctx(req)->pid};
    queries_refuse(fs->queries, query->no, given, &caller, why);
    asker_deinit(&a);
}

int result_find(struct fs *fs, const struct query_info *query, struct str name, fuse_req_t req, struct node *child,
                struct node_stat *stat) {
    struct query_result *result = NULL;
    struct buf canonical = {0};
    struct err err = {0};
    int r = result_name(fs, query, name, &canonical, &err);
    if (r == -EINVAL || r == -ENAMETOOLONG)
        result_refused(fs, query, name, req, &err);
    if (r == 0)
        r = result_cached(fs, query, buf_str(&canonical), req, &result);
    if (r == 0)
        r = result_hold(fs, query, buf_str(&canonical), result, child, stat);
    query_result_unref(result);
    buf_free(&canonical);
    return r;
}

/* The content, and the query it is of. `name` holds its name. */
static int result_of(struct fs *fs, const struct node *node, struct content *c, char name[CONTENT_NAME_MAX],
                     struct query_info *query) {
    int r = content_get(fs->contents, node->no, c, name);
    return r < 0 ? r : reply_stale(queries_get(fs->queries, c->no, query));
}

/* --- opening: who may read the query has been asked by the time this is called */

struct opening {
    struct pending pending; /* the first one: result_left() */
    struct node node;
    uint64_t stamp; /* of what the node shows */
};

/* Takes the reference to the result over. */
static void result_give(struct fs *fs, const struct node *node, uint64_t stamp, struct query_result *result,
                        fuse_req_t req) {
    struct handle *h = handle_new(fs);
    if (!h) {
        query_result_unref(result);
        fuse_reply_err(req, ENOMEM);
        return;
    }
    h->result = result;
    h->direct = result->no != stamp;
    node_opened(req, node, h);
}

static void result_opened(void *arg, int r, struct query_result *result) {
    struct opening *o = arg;
    fuse_req_t req = pending_take(&o->pending);
    if (!req)
        query_result_unref(result);
    else if (r == 0)
        result_give(o->pending.fs, &o->node, o->stamp, result, req);
    else
        reply_result(req, r);
    pending_end(&o->pending);
    free(o);
}

static void result_left(struct pending *p) {
    queries_leave(p->fs->queries, p);
}

static int result_run(struct fs *fs, const struct node *node, const struct content *c, fuse_req_t req) {
    struct asker a;
    asker_init(&a, req);
    int r = asker_groups(&a, req);
    struct opening *o = r < 0 ? NULL : malloc(sizeof *o);
    if (r == 0)
        r = o ? pending_begin_telling(&o->pending, fs, req, result_left) : -ENOMEM;
    if (r == 0) {
        const struct caller caller = {.who = a.who, .pid = fuse_req_ctx(req)->pid};
        o->node = *node;
        o->stamp = c->stamp;
        queries_open(fs->queries, c->no, c->name, &caller, result_opened, o);
    } else {
        free(o);
    }
    asker_deinit(&a);
    return r;
}

static void result_open(struct fs *fs, const struct node *node, fuse_req_t req) {
    char name[CONTENT_NAME_MAX];
    struct content c;
    struct query_info query;
    struct query_result *result = NULL;
    int r = result_of(fs, node, &c, name, &query);
    if (r == 0 && c.stamp)
        r = result_cached(fs, &query, c.name, req, &result);
    if (r == 0 && result && result->no == c.stamp) {
        result_give(fs, node, c.stamp, result, req);
        return;
    }
    query_result_unref(result);
    if (r == 0)
        r = result_run(fs, node, &c, req);
    if (r < 0)
        reply_result(req, r);
}

static ssize_t result_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                           size_t n) {
    (void)fs, (void)node;
    return read_text(h->result->text, offset, out, n);
}

/* --- what the cache knows of it */

static void xattr_put(struct str name, const struct query_result *result, struct buf *out) {
    char time[EVENT_TIME_CHARS], position[EVENT_POSITION_CHARS];
    if (str_eq(name, STR("user.esfs.cached"))) {
        buf_put_char(out, result ? '1' : '0');
    } else if (result && str_eq(name, STR("user.esfs.computed_at"))) {
        event_time(result->computed_at, time);
        buf_put(out, time, sizeof time);
    } else if (result && str_eq(name, STR("user.esfs.position"))) {
        event_position(result->position, position);
        buf_put(out, position, sizeof position);
    }
}

static int result_now(struct fs *fs, const struct node *node, fuse_req_t req, struct query_result **out) {
    char name[CONTENT_NAME_MAX];
    struct content c;
    struct query_info query;
    int r = result_of(fs, node, &c, name, &query);
    return r < 0 ? r : result_cached(fs, &query, c.name, req, out);
}

static int result_xattr(struct fs *fs, const struct node *node, fuse_req_t req, struct str name, struct buf *out) {
    struct query_result *result = NULL;
    const struct str ours = STR("user.esfs.");
    if (name.n < ours.n || !str_eq((struct str){name.p, ours.n}, ours))
        return 0;
    int r = result_now(fs, node, req, &result);
    if (r == 0)
        xattr_put(name, result, out);
    query_result_unref(result);
    return r;
}

static int result_xattrs(struct fs *fs, const struct node *node, fuse_req_t req, struct buf *out) {
    static const char always[] = "user.esfs.cached", cached[] = "user.esfs.computed_at\0user.esfs.position";
    struct query_result *result = NULL;
    int r = result_now(fs, node, req, &result);
    if (r == 0)
        buf_put(out, always, sizeof always);
    if (result)
        buf_put(out, cached, sizeof cached);
    query_result_unref(result);
    return r;
}

/* --- the kind */

const struct node_ops query_result_ops = {
    .stat = content_stat,
    .open_later = result_open,
    .read = result_read,
    .xattr = result_xattr,
    .xattrs = result_xattrs,
    .hold = content_hold_again,
    .drop = content_drop,
};
