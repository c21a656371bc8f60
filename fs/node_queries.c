/* queries/: the directories of the queries, with what is cached in each. */
#include "node_queries.h"

#include "domain.h"
#include "journal.h"

#include <errno.h>
#include <stddef.h>

/* --- numbers */

static uint64_t query_check(const struct query_info *query) {
    return ino_hash_end(ino_hash(INO_HASH, query->name.p, query->name.n), INO_QUERY_HASH_BITS);
}

/* False for one beyond those that nodes can have. */
static bool query_node(const struct query_info *query, struct node *out) {
    *out = (struct node){NODE_QUERY, query_check(query) << INO_QUERY_BITS | query->no};
    return query->no >> INO_QUERY_BITS == 0;
}

int query_of(struct fs *fs, const struct node *node, struct query_info *out) {
    uint32_t no = (uint32_t)(node->no & ((1u << INO_QUERY_BITS) - 1));
    int r = reply_stale(queries_get(fs->queries, no, out));
    return r == 0 && query_check(out) != node->no >> INO_QUERY_BITS ? -ESTALE : r;
}

int query_no(struct fs *fs, const struct node *node, uint32_t *no) {
    struct query_info query;
    int r = query_of(fs, node, &query);
    *no = r == 0 ? query.no : 0;
    return r;
}

uint64_t query_hash(const struct query_info *query) {
    return ino_hash(ino_hash(INO_HASH, query->name.p, query->name.n), "/", 1);
}

/* Groups are looked up where results are each caller's own. */
int query_asker(struct fs *fs, const struct query_info *query, fuse_req_t req, struct asker *a) {
    asker_init(a, req);
    struct domain *d = store_domain(fs->store);
    const struct domain_query *q = domain_query(d, query->name);
    bool own = q && q->per_caller;
    domain_unref(d);
    return own ? asker_groups(a, req) : 0;
}

/* --- queries/ */

void query_attr(struct fs *fs, const struct query_info *query, enum node_tag tag, struct node_stat *out) {
    uint64_t hash = ino_hash_end(query_hash(query), INO_TAG_BITS);
    struct index_head head;
    index_head(fs->index, &head);
    *out = (struct node_stat){.time = head.time, .subject = query->no, .ino = ino_of_hash(tag, hash)};
}

static int queries_find_entry(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req,
                              struct node *child, struct node_stat *stat) {
    (void)dir, (void)req;
    struct query_info query;
    if (name.n > NAME_MAX_BYTES)
        return -ENAMETOOLONG;
    int r = reply_absent(queries_find(fs->queries, name, &query));
    if (r < 0)
        return r;
    if (!query_node(&query, child))
        return -EOVERFLOW;
    query_attr(fs, &query, NODE_QUERY, stat);
    return 0;
}

static int queries_list_entries(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)dir;
    struct query_info query = {.no = after < UINT32_MAX ? (uint32_t)after : UINT32_MAX};
    int r;
    while ((r = queries_after(fs->queries, query.no, &query)) == 0) {
        char name[NAME_MAX_BYTES + 1];
        struct node node;
        struct node_stat stat;
        if (!query_node(&query, &node))
            continue;
        memcpy(name, query.name.p, query.name.n);
        name[query.name.n] = '\0';
        query_attr(fs, &query, NODE_QUERY, &stat);
        if (!listing_add(out, name, &node, &stat, LISTING_NUMBERED + query.no))
            return 0;
    }
    return r == QUERY_NONE ? 0 : r;
}

const struct node_ops queries_ops = {
    .stat = node_stat_as_parent, .find = queries_find_entry, .list = queries_list_entries};

/* --- queries/<query>/ */

static int query_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct query_info query;
    int r = query_of(fs, node, &query);
    if (r == 0)
        query_attr(fs, &query, node->tag, out);
    return r;
}

static int query_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                      struct node_stat *stat) {
    struct query_info query;
    int r = query_of(fs, dir, &query);
    return r < 0 ? r : result_find(fs, &query, name, req, child, stat);
}

static int cached_fetch(struct listing *l, const struct node *dir, uint64_t after, void *out, size_t n) {
    uint32_t no;
    int r = query_no(l->fs, dir, &no);
    return r < 0 ? r : queries_list(l->fs->queries, no, after, out, n);
}

static bool cached_add(struct listing *l, const void *element) {
    const struct query_cached *cached = element;
    const uint64_t hash = ino_hash(*(const uint64_t *)l->arg, cached->name, cached->bytes);
    char name[QUERY_NAME_MAX + sizeof ".json"];
    memcpy(name, cached->name, cached->bytes);
    memcpy(name + cached->bytes, ".json", sizeof ".json");
    const struct node node = {NODE_QUERY_RESULT, 0};
    const struct node_stat stat = {.ino = ino_of_hash(node.tag, ino_hash_end(hash, INO_TAG_BITS))};
    return listing_add(l, name, &node, &stat, LISTING_NUMBERED + cached->no);
}

_Static_assert(offsetof(struct query_cached, no) == 0, "struct numbered");

static int query_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    static const struct numbered kind = {sizeof(struct query_cached), cached_fetch, cached_add};
    struct query_info query;
    int r = query_of(fs, dir, &query);
    const uint64_t hash = r == 0 ? query_hash(&query) : 0;
    return r < 0 ? r : listing_numbered(out, dir, after, &kind, &hash);
}

/* rm: it is not in the cache any more. */
static void query_unlink(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req) {
    struct query_info query;
    struct buf canonical = {0};
    struct err err;
    int r = node_name_is_fixed(fs, dir, name) ? -EPERM : query_of(fs, dir, &query);
    if (r == 0)
        r = result_name(fs, &query, name, &canonical, &err);
    if (r == 0)
        r = reply_absent(queries_evict(fs->queries, query.no, buf_str(&canonical)));
    buf_free(&canonical);
    reply_result(req, r);
}

const struct node_ops query_ops = {.stat = query_stat, .find = query_find, .list = query_list, .unlink = query_unlink};

/* --- queries/<query>/.rejections.ndjson: why parameters were refused */

static int query_rejections_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct query_info query;
    int r = query_of(fs, node, &query);
    if (r < 0)
        return r;
    query_attr(fs, &query, node->tag, out);
    struct journal *refusals = queries_refusals(fs->queries, query.no);
    if (refusals)
        journal_stat(refusals, (struct str){0}, &out->size, &out->time);
    return 0;
}

static ssize_t query_rejections_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset,
                                     char *out, size_t n) {
    (void)h;
    uint32_t no;
    int r = query_no(fs, node, &no);
    struct journal *refusals = r == 0 ? queries_refusals(fs->queries, no) : NULL;
    return refusals ? journal_read(refusals, (struct str){0}, offset, out, n) : r;
}

const struct node_ops query_rejections_ops = {.stat = query_rejections_stat, .read = query_rejections_read};
