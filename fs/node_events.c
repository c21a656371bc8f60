#include "node_dir.h"

#include "event.h"
#include "rights.h"
#include "text.h"

#include <errno.h>
#include <stddef.h>

/* The version that a file name begins with, 0 when it does not. */
static uint64_t version_of_name(struct str name) {
    uint64_t version = 0;
    size_t i;
    for (i = 0; i < name.n && i < 19 && name.p[i] >= '0' && name.p[i] <= '9'; i++)
        version = version * 10 + (uint64_t)(name.p[i] - '0');
    return i < name.n && name.p[i] == '-' ? version : 0;
}

static size_t entry_name(const struct index_entry *e, char out[EVENT_FILE_MAX + 1]) {
    size_t n = event_file_name(e->version, (struct str){e->type, e->type_bytes}, out);
    out[n] = '\0';
    return n;
}

static int events_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                       struct node_stat *stat) {
    (void)req;
    if (name.n > EVENT_FILE_MAX)
        return -ENAMETOOLONG;
    uint64_t version = version_of_name(name);
    if (version == 0)
        return -ENOENT;
    struct index_entry e;
    int n = index_entries(fs->index, dir->no, version, &e, 1, NULL);
    if (n < 0)
        return n;
    char right[EVENT_FILE_MAX + 1];
    if (n == 0 || e.version != version || !str_eq(name, (struct str){right, entry_name(&e, right)}))
        return -ENOENT;
    *child = (struct node){NODE_EVENT, e.position};
    *stat = (struct node_stat){.size = e.size, .time = e.time};
    return fs->governed ? rights_subject(fs, dir, &stat->subject) : 0;
}

static int events_fetch(struct listing *l, const struct node *dir, uint64_t after, void *out, size_t n) {
    return index_entries(l->fs->index, dir->no, after + 1, out, n, NULL);
}

static bool events_add(struct listing *l, const void *element) {
    const struct index_entry *e = element;
    char name[EVENT_FILE_MAX + 1];
    entry_name(e, name);
    struct node node = {NODE_EVENT, e->position};
    struct node_stat stat = {.size = e->size, .time = e->time};
    return listing_add(l, name, &node, &stat, LISTING_NUMBERED + e->version);
}

_Static_assert(offsetof(struct index_entry, version) == 0, "struct numbered");

static int events_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    (void)fs;
    static const struct numbered kind = {sizeof(struct index_entry), events_fetch, events_add};
    return listing_numbered(out, dir, after, &kind, NULL);
}

const struct node_ops events_ops = {.stat = node_stat_as_parent, .find = events_find, .list = events_list};

static int event_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct text_event e;
    int r = text_stat_event(fs->store, node->no, &e);
    if (r < 0)
        return r == -ENOENT ? -ESTALE : r;
    *out = (struct node_stat){.size = e.size, .time = e.time, .subject = e.type_no};
    return 0;
}

static ssize_t event_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                          size_t n) {
    (void)h;
    return text_read_event(fs->store, node->no, offset, out, n);
}

const struct node_ops event_ops = {.stat = event_stat, .read = event_read};
