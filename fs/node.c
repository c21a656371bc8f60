#include "node.h"

#include "acl.h"
#include "node_text.h"

#include <errno.h>

#define DAY 86400.0
#define LISTED_TIMEOUT 1.0

/* An event never changes and its name never means another. */
static const struct node_caching immutable = {
    .keep_cache = true, .entry_timeout = DAY, .attr_timeout = DAY, .blksize = 4096};

/* The same, but its name means something else each time it is asked: another moment, another content of a view's file
 * or of a query (content.h). So it is with the links of an index, whose text is a part of their id. */
static const struct node_caching content = {.keep_cache = true, .attr_timeout = DAY, .blksize = 4096};

/* What may go away, or become something else, without the kernel being told. */
static const struct node_caching passing = {.attr_timeout = 0, .blksize = 4096};

/* The page cache over a file that grows behind the kernel's back shows NUL bytes. */
static const struct node_caching growing = {.direct_io = true, .blksize = 1 << 20};

/* No seeking: `read` of bash then asks byte by byte and loses no result; no entry time-out: a fresh node id for
 * each open (ino.c). */
static const struct node_caching control = {.direct_io = true, .nonseekable = true, .blksize = 1 << 20};

/* A read of it may wait, while the one who reads writes. */
static const struct node_caching stream = {.direct_io = true, .nonseekable = true, .stream = true, .blksize = 1 << 20};

/* The name of a directory may be kept: a name that was not there is asked again each time (negative entries are
 * not cached), so a type or an aggregate that a command creates shows up by itself; and a name that is there goes
 * away by rmdir only, which comes through the one kernel tree that this daemon serves and tells it. Its number is
 * never given again, so what a stale name could find is -ESTALE, and then the kernel asks anew. Others than the
 * owner (allow_other) have their right to search checked by LOOKUP alone: then node_entry() makes it 0. */
static const struct node_caching directory = {.entry_timeout = DAY, .blksize = 4096};

/* clang-format off */
static const struct node_kind kinds[NODE_TAGS] = {
    /*                           name, parent,                       unlisted, mode, access,  caching,  what it does */
    [NODE_ROOT] =               {NULL,                0,                    false, S_IFDIR | 0750, ACCESS_EITHER, &directory, &root_ops},
    [NODE_ROOT_COMMANDS] =      {"commands",          NODE_ROOT,            false, S_IFREG | 0660, ACCESS_SEND,   &control,   &commands_ops},
    [NODE_ROOT_LOG] =           {"log.ndjson",        NODE_ROOT,            false, S_IFREG | 0440, ACCESS_READ,   &growing,   &log_ops},
    [NODE_ROOT_REJECTIONS] =    {"rejections.ndjson", NODE_ROOT,            false, S_IFREG | 0440, ACCESS_READ,   &growing,   &rejections_ops},

    [NODE_CONTROL] =            {".esfs",             NODE_ROOT,            false, S_IFDIR | 0550, ACCESS_MODE,   &directory, &control_ops},
    [NODE_CONTROL_STATUS] =     {"status.json",       NODE_CONTROL,         false, S_IFREG | 0440, ACCESS_MODE,   &growing,   &status_ops},
    [NODE_CONTROL_CONFIG] =     {"config.json",       NODE_CONTROL,         false, S_IFREG | 0440, ACCESS_MODE,   &growing,   &config_ops},
    [NODE_CONTROL_ERRORS] =     {"errors.ndjson",     NODE_CONTROL,         false, S_IFREG | 0440, ACCESS_MODE,   &growing,   &errors_ops},
    [NODE_CONTROL_RELOAD] =     {"reload",            NODE_CONTROL,         false, S_IFREG | 0200, ACCESS_MODE,   &control,  &reload_ops},
    [NODE_CONTROL_BARRIER] =    {"barrier",           NODE_CONTROL,         true,  S_IFREG | 0440, ACCESS_MODE,   &control,   &barrier_ops},
    [NODE_CONTROL_BARRIER_TIMED] = {NULL,             0,                    true,  S_IFREG | 0440, ACCESS_MODE,   &control,   &barrier_ops},

    [NODE_TYPE] =               {NULL,                0,                    false, S_IFDIR | 0750, ACCESS_MAKE,   &directory, &type_ops},
    [NODE_TYPE_COMMANDS] =      {"commands",          NODE_TYPE,            false, S_IFREG | 0660, ACCESS_SEND,   &control,   &commands_ops},
    [NODE_TYPE_LOG] =           {"log.ndjson",        NODE_TYPE,            false, S_IFREG | 0440, ACCESS_READ,   &growing,   &log_ops},
    [NODE_TYPE_REJECTIONS] =    {"rejections.ndjson", NODE_TYPE,            false, S_IFREG | 0440, ACCESS_READ,   &growing,   &rejections_ops},

    [NODE_AGGREGATE] =          {NULL,                0,                    false, S_IFDIR | 0550, ACCESS_EITHER, &directory, &aggregate_ops},
    [NODE_AGGREGATE_COMMANDS] = {"commands",          NODE_AGGREGATE,       false, S_IFREG | 0660, ACCESS_SEND,   &control,   &commands_ops},
    [NODE_AGGREGATE_VERSION] =  {"version",           NODE_AGGREGATE,       false, S_IFREG | 0440, ACCESS_READ,   &growing,   &version_ops},
    [NODE_AGGREGATE_EVENTS] =   {"events",            NODE_AGGREGATE,       false, S_IFDIR | 0550, ACCESS_EITHER, &directory, &events_ops},
    [NODE_AGGREGATE_STREAM] =   {"events.ndjson",     NODE_AGGREGATE,       false, S_IFREG | 0440, ACCESS_READ,   &growing,   &stream_ops},
    [NODE_AGGREGATE_AT] =       {"at",                NODE_AGGREGATE,       true,  S_IFDIR | 0550, ACCESS_EITHER, &directory, &at_ops},
    [NODE_AGGREGATE_FOLDED] =   {"stream.ndjson",     NODE_AGGREGATE,       false, S_IFREG | 0440, ACCESS_READ,   &growing,   &folded_ops},
    [NODE_AGGREGATE_VIEWS] =    {"views",             NODE_AGGREGATE,       false, S_IFDIR | 0550, ACCESS_EITHER, &directory, &aggregate_views_ops},
    [NODE_AGGREGATE_STATE] =    {"state.json",        NODE_AGGREGATE_VIEWS, false, S_IFREG | 0440, ACCESS_READ,   &growing,   &state_ops},

    [NODE_EVENT] =              {NULL,                0,                    false, S_IFREG | 0440, ACCESS_READ,   &immutable, &event_ops},
    [NODE_MOMENT] =             {NULL,                0,                    false, S_IFDIR | 0550, ACCESS_EITHER, &content,   &moment_ops},
    [NODE_MOMENT_STREAM] =      {"events.ndjson",     NODE_MOMENT,          false, S_IFREG | 0440, ACCESS_READ,   &content,   &moment_stream_ops},
    [NODE_MOMENT_FOLDED] =      {"stream.ndjson",     NODE_MOMENT,          false, S_IFREG | 0440, ACCESS_READ,   &growing,   &moment_folded_ops},
    [NODE_MOMENT_STATE] =       {"state.json",        NODE_MOMENT,          false, S_IFREG | 0440, ACCESS_READ,   &growing,   &moment_state_ops},

    [NODE_SCHEMAS] =            {"schemas",           NODE_ROOT,            false, S_IFDIR | 0550, ACCESS_EITHER, &directory, &schemas_ops},
    [NODE_SCHEMAS_TYPE] =       {NULL,                0,                    false, S_IFDIR | 0550, ACCESS_EITHER, &directory, &schemas_type_ops},
    [NODE_SCHEMAS_EVENT] =      {NULL,                0,                    false, S_IFDIR | 0550, ACCESS_EITHER, &directory, &schemas_name_ops},
    [NODE_SCHEMAS_COMMANDS] =   {"commands",          NODE_SCHEMAS_TYPE,    false, S_IFDIR | 0550, ACCESS_EITHER, &directory, &schemas_commands_ops},
    [NODE_SCHEMAS_COMMAND] =    {NULL,                0,                    false, S_IFDIR | 0550, ACCESS_EITHER, &directory, &schemas_name_ops},
    [NODE_SCHEMA_OF_EVENT] =    {NULL,                0,                    false, S_IFREG | 0440, ACCESS_EITHER, &immutable, &schema_ops},
    [NODE_SCHEMA_OF_COMMAND] =  {NULL,                0,                    false, S_IFREG | 0440, ACCESS_EITHER, &immutable, &schema_ops},

    [NODE_VIEWS] =              {"views",             NODE_ROOT,            false, S_IFDIR | 0550, ACCESS_VIEW_EITHER, &directory, &views_ops},
    [NODE_VIEW] =               {NULL,                0,                    false, S_IFDIR | 0550, ACCESS_VIEW_EITHER, &directory, &view_ops},
    [NODE_VIEW_STATUS] =        {".status.json",      NODE_VIEW,            false, S_IFREG | 0440, ACCESS_VIEW_EITHER, &growing,  &view_status_ops},
    [NODE_VIEW_REBUILD] =       {".rebuild",          NODE_VIEW,            false, S_IFREG | 0200, ACCESS_MODE,   &control,   &view_rebuild_ops},
    [NODE_VIEW_PARKED] =        {".parked",           NODE_VIEW,            false, S_IFDIR | 0550, ACCESS_MODE,   &directory, &parked_ops},
    [NODE_VIEW_RETRY] =         {"retry",             NODE_VIEW_PARKED,     false, S_IFDIR | 0750, ACCESS_MODE,   &directory, &parked_retry_ops},
    [NODE_VIEW_SKIPPED] =       {"skipped",           NODE_VIEW_PARKED,     false, S_IFDIR | 0750, ACCESS_MODE,   &directory, &parked_skipped_ops},
    [NODE_VIEW_PARKED_EVENT] =  {NULL,                0,                    false, S_IFREG | 0440, ACCESS_READ,   &growing,   &parked_event_ops},
    [NODE_VIEW_SKIPPED_EVENT] = {NULL,                0,                    false, S_IFREG | 0440, ACCESS_READ,   &growing,   &skipped_event_ops},
    [NODE_VIEW_DIR] =           {NULL,                0,                    false, S_IFDIR | 0550, ACCESS_VIEW_EITHER, &passing,   &view_dir_ops},
    [NODE_VIEW_LINK] =          {NULL,                0,                    false, S_IFLNK | 0777, ACCESS_MODE,   &content,   &view_link_ops},
    [NODE_VIEW_FILE] =          {NULL,                0,                    false, S_IFREG | 0440, ACCESS_VIEW,   &content,   &view_file_ops},
    [NODE_AGGREGATE_VIEW_FILE] = {NULL,               0,                    false, S_IFREG | 0440, ACCESS_VIEW,   &content,   &view_file_ops},

    [NODE_QUERIES] =            {"queries",           NODE_ROOT,            false, S_IFDIR | 0550, ACCESS_QUERY_EITHER, &directory, &queries_ops},
    [NODE_QUERY] =              {NULL,                0,                    false, S_IFDIR | 0770, ACCESS_QUERY_EITHER, &directory, &query_ops},
    [NODE_QUERY_CALL] =         {"call",              NODE_QUERY,           false, S_IFREG | 0660, ACCESS_QUERY,  &control,   &query_call_ops},
    [NODE_QUERY_REJECTIONS] =   {".rejections.ndjson", NODE_QUERY,          false, S_IFREG | 0440, ACCESS_QUERY,  &growing,   &query_rejections_ops},
    [NODE_QUERY_RESULT] =       {NULL,                0,                    false, S_IFREG | 0440, ACCESS_QUERY,  &content,   &query_result_ops},

    [NODE_CONSUMERS] =          {"consumers",         NODE_ROOT,            false, S_IFDIR | 0750, ACCESS_MODE,   &directory, &consumers_ops},
    [NODE_CONSUMER] =           {NULL,                0,                    false, S_IFDIR | 0550, ACCESS_MODE,   &directory, &consumer_ops},
    [NODE_CONSUMER_CONFIG] =    {"config.json",       NODE_CONSUMER,        false, S_IFREG | 0640, ACCESS_MODE,   &growing,   &consumer_config_ops},
    [NODE_CONSUMER_FOLLOW] =    {"follow",            NODE_CONSUMER,        true,  S_IFREG | 0440, ACCESS_MODE,   &stream,    &consumer_follow_ops},
    [NODE_CONSUMER_FOLLOW_GROUP] = {"follow",         NODE_CONSUMER,        true,  S_IFREG | 0660, ACCESS_MODE,   &stream,    &consumer_group_ops},
    [NODE_CONSUMER_PENDING] =   {"pending",           NODE_CONSUMER,        false, S_IFREG | 0440, ACCESS_MODE,   &stream,    &consumer_pending_ops},
    [NODE_CONSUMER_ACK] =       {"ack",               NODE_CONSUMER,        false, S_IFREG | 0660, ACCESS_MODE,   &growing,   &consumer_ack_ops},
    [NODE_CONSUMER_NACK] =      {"nack",              NODE_CONSUMER,        false, S_IFREG | 0220, ACCESS_MODE,   &control,   &consumer_nack_ops},
    [NODE_CONSUMER_LAG] =       {"lag",               NODE_CONSUMER,        false, S_IFREG | 0440, ACCESS_MODE,   &growing,   &consumer_lag_ops},
    [NODE_CONSUMER_STATUS] =    {".status.json",      NODE_CONSUMER,        true,  S_IFREG | 0440, ACCESS_MODE,   &growing,   &consumer_status_ops},
    [NODE_CONSUMER_PARKED] =    {"parked",            NODE_CONSUMER,        false, S_IFDIR | 0550, ACCESS_MODE,   &directory, &consumer_parked_ops},
    [NODE_CONSUMER_RETRY] =     {"retry",             NODE_CONSUMER_PARKED, false, S_IFDIR | 0750, ACCESS_MODE,   &directory, &consumer_retry_ops},
    [NODE_CONSUMER_SKIPPED] =   {"skipped",           NODE_CONSUMER_PARKED, false, S_IFDIR | 0750, ACCESS_MODE,   &directory, &consumer_skipped_ops},
    [NODE_CONSUMER_PARKED_EVENT] = {NULL,             0,                    false, S_IFREG | 0440, ACCESS_READ,   &growing,   &consumer_parked_event_ops},

    [NODE_KAFKA] =              {"kafka",             NODE_CONTROL,         false, S_IFDIR | 0550, ACCESS_MODE,   &directory, &kafka_ops},
    [NODE_KAFKA_STATUS] =       {"status.json",       NODE_KAFKA,           false, S_IFREG | 0440, ACCESS_MODE,   &growing,   &kafka_status_ops},
    [NODE_KAFKA_PARKED] =       {"parked",            NODE_KAFKA,           false, S_IFDIR | 0550, ACCESS_MODE,   &directory, &kafka_parked_ops},
    [NODE_KAFKA_RETRY] =        {"retry",             NODE_KAFKA_PARKED,    false, S_IFDIR | 0750, ACCESS_MODE,   &directory, &kafka_retry_ops},
    [NODE_KAFKA_SKIPPED] =      {"skipped",           NODE_KAFKA_PARKED,    false, S_IFDIR | 0750, ACCESS_MODE,   &directory, &kafka_skipped_ops},
    [NODE_KAFKA_PARKED_EVENT] = {NULL,                0,                    false, S_IFREG | 0440, ACCESS_READ,   &growing,   &kafka_parked_event_ops},
    [NODE_KAFKA_SKIPPED_EVENT] = {NULL,               0,                    false, S_IFREG | 0440, ACCESS_READ,   &growing,   &kafka_skipped_event_ops},

    [NODE_MOVED_EVENT] =        {NULL,                0,                    false, S_IFREG | 0440, ACCESS_MODE,   &growing,   &moved_event_ops},
};
/* clang-format on */

const struct node_kind *node_kind(enum node_tag tag) {
    return (unsigned)tag < NODE_TAGS && kinds[tag].mode != 0 ? &kinds[tag] : NULL;
}

/* Whether the mount has what the node is of: views and queries come with a domain. */
static bool tag_is_served(const struct fs *fs, enum node_tag tag) {
    if (tag == NODE_CONTROL_BARRIER || tag == NODE_CONTROL_BARRIER_TIMED)
        return fs->views;
    if (tag >= NODE_VIEWS && tag <= NODE_VIEW_SKIPPED_EVENT)
        return fs->views;
    if (tag >= NODE_QUERIES && tag <= NODE_QUERY_REJECTIONS)
        return fs->queries;
    if (tag >= NODE_KAFKA && tag <= NODE_KAFKA_SKIPPED_EVENT)
        return fs->published;
    return true;
}

int node_of_ino(struct fs *fs, fuse_ino_t ino, struct node *out) {
    return ino_parse(ino, out) && node_kind(out->tag) && tag_is_served(fs, out->tag) ? 0 : -ESTALE;
}

static bool name_is(struct str name, const char *text) {
    return str_eq(name, str_of(text));
}

bool node_is_there(struct fs *fs, const struct node *node) {
    const struct node_ops *ops = node_kind(node->tag)->ops;
    return tag_is_served(fs, node->tag) && (!ops->there || ops->there(fs, node));
}

/* A fixed name of the directory; of several kinds with this name at most one is there. */
static bool node_find_fixed(struct fs *fs, const struct node *dir, struct str name, struct node *child) {
    for (int tag = 0; tag < NODE_TAGS; tag++) {
        const struct node_kind *k = &kinds[tag];
        if (!k->name || k->parent != dir->tag || !name_is(name, k->name))
            continue;
        *child = (struct node){(enum node_tag)tag, dir->no};
        if (node_is_there(fs, child))
            return true;
    }
    return false;
}

bool node_name_is_fixed(struct fs *fs, const struct node *dir, struct str name) {
    struct node child;
    return node_find_fixed(fs, dir, name, &child);
}

int node_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
              struct node_stat *stat) {
    const struct node_kind *k = node_kind(dir->tag);
    if (!S_ISDIR(k->mode))
        return -ENOTDIR;
    int r = 0;
    /* "." and ".." come from NFS and open_by_handle_at, which have an id and want its path. */
    if (name_is(name, "."))
        *child = *dir;
    else if (name_is(name, ".."))
        r = node_parent(fs, dir, child);
    else if (!node_find_fixed(fs, dir, name, child))
        return k->ops->find ? k->ops->find(fs, dir, name, req, child, stat) : -ENOENT;
    if (r < 0)
        return r;
    r = node_stat(fs, child, stat);
    if (r == 0 && node_kind(child->tag)->ops->hold)
        node_kind(child->tag)->ops->hold(fs, child);
    return r;
}

void node_drop(struct fs *fs, const struct node *node, uint64_t n) {
    const struct node_ops *ops = node_kind(node->tag)->ops;
    if (ops->drop)
        ops->drop(fs, node, n);
}

/* --- attributes and bytes */

static int render(struct fs *fs, const struct node *node, struct buf *out) {
    int r = node_kind(node->tag)->ops->render(fs, node, out);
    return r == 0 && out->oom ? -ENOMEM : r;
}

int node_render_size(struct fs *fs, const struct node *node, uint64_t *size) {
    struct buf text = {0};
    int r = render(fs, node, &text);
    *size = text.n;
    buf_free(&text);
    return r;
}

static ssize_t rendered_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                             size_t n) {
    int r = 0;
    ssize_t got = 0;
    pthread_mutex_lock(&h->lock);
    if (offset == 0 || h->text.n == 0) {
        buf_clear(&h->text);
        r = render(fs, node, &h->text);
    }
    if (r == 0)
        got = read_text(buf_str(&h->text), offset, out, n);
    pthread_mutex_unlock(&h->lock);
    return r < 0 ? r : got;
}

int node_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    const struct node_ops *ops = node_kind(node->tag)->ops;
    *out = (struct node_stat){0};
    int r = ops->stat ? ops->stat(fs, node, out) : 0;
    return r == 0 && ops->render && !out->size ? node_render_size(fs, node, &out->size) : r;
}

ssize_t node_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out, size_t n) {
    const struct node_ops *ops = node_kind(node->tag)->ops;
    return ops->render ? rendered_read(fs, node, h, offset, out, n) : ops->read(fs, node, h, offset, out, n);
}

int node_stat_as_parent(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct node parent = {node_kind(node->tag)->parent, node->no};
    return node_stat(fs, &parent, out);
}

fuse_ino_t node_ino(struct fs *fs, const struct node *node) {
    struct node_stat stat;
    enum node_payload payload = ino_payload(node->tag);
    bool hashed = payload == PAYLOAD_CONTENT || payload == PAYLOAD_QUERY;
    return hashed && node_stat(fs, node, &stat) == 0 && stat.ino ? stat.ino : ino_of(*node);
}

void node_attr(struct fs *fs, const struct node *node, const struct node_stat *stat, struct stat *out) {
    const struct node_kind *k = node_kind(node->tag);
    uint64_t time = stat->time ? stat->time : fs->started;
    struct timespec t = {(time_t)(time / 1000000), (long)(time % 1000000) * 1000};
    *out = (struct stat){
        .st_ino = stat->ino ? stat->ino : ino_of(*node),
        .st_mode = acl_mode(fs, node, stat->subject),
        .st_nlink = 1,
        .st_uid = fs->owner.uid,
        .st_gid = fs->owner.gid,
        .st_size = (off_t)stat->size,
        .st_blocks = (blkcnt_t)((stat->size + 511) / 512),
        .st_blksize = k->caching->blksize,
        .st_mtim = t,
        .st_ctim = t,
        .st_atim = t,
    };
}

/* Modes that others see change with the domain's lists. */
double node_attr_timeout(const struct fs *fs, const struct node *node) {
    const struct node_kind *k = node_kind(node->tag);
    double timeout = k->caching->attr_timeout;
    bool listed = fs->shared && fs->governed && k->access != ACCESS_MODE;
    return listed && timeout > LISTED_TIMEOUT ? LISTED_TIMEOUT : timeout;
}

void node_entry(struct fs *fs, const struct node *node, const struct node_stat *stat, struct fuse_entry_param *out) {
    const struct node_kind *k = node_kind(node->tag);
    bool checked = fs->shared && S_ISDIR(k->mode);
    *out = (struct fuse_entry_param){
        .ino = ino_fresh(*node, atomic_fetch_add_explicit(&fs->lookups, 1, memory_order_relaxed)),
        .attr_timeout = node_attr_timeout(fs, node),
        .entry_timeout = checked ? 0 : k->caching->entry_timeout,
    };
    node_attr(fs, node, stat, &out->attr);
}

/* Past the page cache where the kind says so, and where the handle shows something else than the node does. */
void node_opened(fuse_req_t req, const struct node *node, struct handle *h) {
    const struct node_kind *k = node_kind(node->tag);
    bool direct = k->caching->direct_io || (h && h->direct);
    struct fuse_file_info fi = {
        .fh = (uintptr_t)h,
        .direct_io = direct,
        .keep_cache = k->caching->keep_cache && !direct,
        .nonseekable = k->caching->nonseekable,
        .noflush = !k->ops->flush,
    };
    int r = k->caching->stream ? reply_open_stream(req, &fi) : fuse_reply_open(req, &fi);
    /* An open that was given up in the meantime is never released. */
    if (r < 0)
        handle_free(h);
}
