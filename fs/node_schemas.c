/* The registry of schemas: schemas/<type>/<Event>/<n>.json and schemas/<type>/commands/<Command>/<n>.json. Every
 * version that was ever loaded is there, for good, also when the store is mounted without a domain. `commands` is the
 * directory, whatever events are called. */
#include "node_dir.h"

#include "array.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define FILE_NAME_MAX 16 /* "4294967295.json" */

/* --- numbers */

/* Version 0: the directory that holds the versions. */
static uint64_t number_of_name(uint32_t type_no, struct str name, uint32_t version) {
    const uint8_t bytes[] = {(uint8_t)version, (uint8_t)(version >> 8), (uint8_t)(version >> 16),
                             (uint8_t)(version >> 24)};
    uint64_t h = ino_hash(ino_hash(INO_HASH, name.p, name.n), bytes, sizeof bytes);
    return (uint64_t)type_no << INO_SCHEMA_BITS | ino_hash_end(h, INO_SCHEMA_BITS);
}

static bool is_of_commands(enum node_tag tag) {
    return tag == NODE_SCHEMAS_COMMANDS || tag == NODE_SCHEMAS_COMMAND || tag == NODE_SCHEMA_OF_COMMAND;
}

static bool is_file(enum node_tag tag) {
    return tag == NODE_SCHEMA_OF_EVENT || tag == NODE_SCHEMA_OF_COMMAND;
}

/* The next schema of the type that the node belongs to, or, of schemas/, of any. Zeroed to begin with. */
static int schema_next(struct fs *fs, const struct node *node, struct index_schema *s) {
    bool every = node->tag == NODE_SCHEMAS;
    if (s->type_no == 0)
        *s = (struct index_schema){.type_no = every ? 0 : ino_type(*node), .name = STR("")};
    int r = index_schema_after(fs->index, s, s);
    return r == 0 && !every && s->type_no != ino_type(*node) ? INDEX_NONE : r;
}

/* The schema that a node shows, or the first of those in it. 0, -ESTALE or another negative errno. */
static int schema_of_node(struct fs *fs, const struct node *node, struct index_schema *out) {
    struct index_schema s = {0};
    int r;
    while ((r = schema_next(fs, node, &s)) == 0) {
        if (s.of_command != is_of_commands(node->tag))
            continue;
        if (number_of_name(s.type_no, s.name, is_file(node->tag) ? s.version : 0) != node->no)
            continue;
        *out = s;
        return 0;
    }
    return reply_stale(r);
}

/* What a name was found to be gets its number, unless another one has it. */
static int schema_node(struct fs *fs, enum node_tag tag, const struct index_schema *s, struct node *out) {
    struct index_schema found;
    *out = (struct node){tag, number_of_name(s->type_no, s->name, is_file(tag) ? s->version : 0)};
    int r = schema_of_node(fs, out, &found);
    if (r < 0)
        return r;
    bool same = str_eq(found.name, s->name) && (!is_file(tag) || found.version == s->version);
    return same ? 0 : -EIO;
}

/* --- what a directory holds */

/* Of a schema that schema_next() gave. */
static bool dir_holds(const struct node *dir, const struct index_schema *s) {
    switch (dir->tag) {
    case NODE_SCHEMAS:
        return true;
    case NODE_SCHEMAS_TYPE:
        return !s->of_command && !str_eq(s->name, STR("commands"));
    case NODE_SCHEMAS_COMMANDS:
        return s->of_command;
    default:
        return s->of_command == is_of_commands(dir->tag) && number_of_name(s->type_no, s->name, 0) == dir->no;
    }
}

/* Of the entry that a schema stands in or for. */
static uint64_t entry_number(const struct node *dir, const struct index_schema *s) {
    switch (dir->tag) {
    case NODE_SCHEMAS:
        return s->type_no;
    case NODE_SCHEMAS_TYPE:
    case NODE_SCHEMAS_COMMANDS:
        return number_of_name(0, s->name, 0);
    default:
        return s->version;
    }
}

static enum node_tag entry_tag(enum node_tag dir) {
    switch (dir) {
    case NODE_SCHEMAS:
        return NODE_SCHEMAS_TYPE;
    case NODE_SCHEMAS_TYPE:
        return NODE_SCHEMAS_EVENT;
    case NODE_SCHEMAS_COMMANDS:
        return NODE_SCHEMAS_COMMAND;
    default:
        return is_of_commands(dir) ? NODE_SCHEMA_OF_COMMAND : NODE_SCHEMA_OF_EVENT;
    }
}

/* The entry's name, terminated. False for a type that is not there any more. */
static bool entry_name(struct fs *fs, const struct node *dir, const struct index_schema *s,
                       char out[NAME_MAX_BYTES + 1]) {
    struct str name = s->name;
    struct index_type t;
    if (dir->tag == NODE_SCHEMAS) {
        if (index_type_by_no(fs->index, s->type_no, &t) != 0)
            return false;
        name = t.name;
    }
    if (is_file(entry_tag(dir->tag)))
        snprintf(out, NAME_MAX_BYTES + 1, "%" PRIu32 ".json", s->version);
    else
        snprintf(out, NAME_MAX_BYTES + 1, "%.*s", (int)name.n, name.p);
    return true;
}

static int entry_node(struct fs *fs, const struct node *dir, const struct index_schema *s, struct node *out) {
    enum node_tag tag = entry_tag(dir->tag);
    *out = (struct node){tag, s->type_no};
    return tag == NODE_SCHEMAS_TYPE ? 0 : schema_node(fs, tag, s, out);
}

/* That of the newest in it. */
static uint64_t dir_time(struct fs *fs, const struct node *dir) {
    struct index_schema s = {0};
    uint64_t time = 0;
    while (schema_next(fs, dir, &s) == 0)
        if (dir_holds(dir, &s) && s.time > time)
            time = s.time;
    return time;
}

static void entry_stat(struct fs *fs, const struct node *child, const struct index_schema *s, struct node_stat *out) {
    *out = (struct node_stat){.subject = s->type_no};
    out->time = is_file(child->tag) ? s->time : dir_time(fs, child);
    if (is_file(child->tag))
        out->size = s->text.n + 1;
}

static int schemas_find(struct fs *fs, const struct node *dir, struct str name, fuse_req_t req, struct node *child,
                        struct node_stat *stat) {
    (void)req;
    struct index_schema s = {0};
    char entry[NAME_MAX_BYTES + 1];
    int r;
    while ((r = schema_next(fs, dir, &s)) == 0) {
        if (!dir_holds(dir, &s) || !entry_name(fs, dir, &s, entry) || !str_eq(name, str_of(entry)))
            continue;
        r = entry_node(fs, dir, &s, child);
        if (r == 0)
            entry_stat(fs, child, &s, stat);
        return r;
    }
    return reply_absent(r);
}

/* --- listing: entries by number, each once */

struct entry {
    uint64_t number;
    struct index_schema schema;
};

static int entry_compare(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* How many, or a negative errno. *entries is to be freed in both cases. */
static ssize_t entries_after(struct fs *fs, const struct node *dir, uint64_t after, struct entry **entries) {
    struct index_schema s = {0};
    size_t n = 0, cap = 0;
    int r;
    *entries = NULL;
    while ((r = schema_next(fs, dir, &s)) == 0) {
        uint64_t number = entry_number(dir, &s);
        if (number <= after || !dir_holds(dir, &s))
            continue;
        if (!ARRAY_ROOM(*entries, n, cap))
            return -ENOMEM;
        (*entries)[n++] = (struct entry){number, s};
    }
    if (n)
        qsort(*entries, n, sizeof **entries, entry_compare);
    return r < 0 ? r : (ssize_t)n;
}

static bool entry_add(struct listing *l, const struct node *dir, const struct entry *e) {
    char name[NAME_MAX_BYTES + 1];
    struct node node;
    struct node_stat stat;
    if (!entry_name(l->fs, dir, &e->schema, name) || entry_node(l->fs, dir, &e->schema, &node) < 0)
        return true; /* not there, or not to be had */
    entry_stat(l->fs, &node, &e->schema, &stat);
    return listing_add(l, name, &node, &stat, LISTING_NUMBERED + e->number);
}

static int schemas_list(struct fs *fs, const struct node *dir, uint64_t after, struct listing *out) {
    struct entry *entries;
    ssize_t n = entries_after(fs, dir, after, &entries);
    for (ssize_t i = 0; i < n; i++)
        if ((i == 0 || entries[i].number != entries[i - 1].number) && !entry_add(out, dir, &entries[i]))
            break;
    free(entries);
    return n < 0 ? (int)n : 0;
}

/* --- nodes */

static bool holds_any(struct fs *fs, const struct node *dir) {
    struct index_schema s = {0};
    while (schema_next(fs, dir, &s) == 0)
        if (dir_holds(dir, &s))
            return true;
    return false;
}

static bool schemas_there(struct fs *fs, const struct node *node) {
    return fs->governed || holds_any(fs, node);
}

static int schema_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct index_schema s;
    int r = schema_of_node(fs, node, &s);
    if (r == 0)
        entry_stat(fs, node, &s, out);
    return r;
}

static int schemas_type_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct index_type t;
    int r = reply_stale(index_type_by_no(fs->index, (uint32_t)node->no, &t));
    if (r == 0)
        *out = (struct node_stat){.subject = t.no, .time = dir_time(fs, node)};
    return r;
}

static int schemas_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    out->time = dir_time(fs, node);
    return 0;
}

/* The document and a newline. */
static ssize_t schema_read(struct fs *fs, const struct node *node, struct handle *h, uint64_t offset, char *out,
                           size_t n) {
    (void)h;
    struct index_schema s;
    int r = schema_of_node(fs, node, &s);
    if (r < 0 || offset > s.text.n)
        return r;
    size_t left = s.text.n - offset, taken = left < n ? left : n;
    memcpy(out, s.text.p + offset, taken);
    if (taken < n)
        out[taken++] = '\n';
    return (ssize_t)taken;
}

const struct node_ops schemas_ops = {
    .there = schemas_there, .stat = schemas_stat, .find = schemas_find, .list = schemas_list};

const struct node_ops schemas_type_ops = {.stat = schemas_type_stat, .find = schemas_find, .list = schemas_list};

const struct node_ops schemas_commands_ops = {
    .there = holds_any, .stat = schemas_type_stat, .find = schemas_find, .list = schemas_list};

const struct node_ops schemas_name_ops = {.stat = schema_stat, .find = schemas_find, .list = schemas_list};

const struct node_ops schema_ops = {.stat = schema_stat, .read = schema_read};
