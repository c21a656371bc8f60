#include "rights.h"

#include "content.h"
#include "node_at.h"
#include "node_queries.h"
#include "text.h"

#include <errno.h>

static int type_of_event(struct fs *fs, uint64_t position, uint32_t *type_no) {
    struct text_event e;
    int r = text_stat_event(fs->store, position, &e);
    *type_no = r == 0 ? e.type_no : 0;
    return r == -ENOENT ? -ESTALE : r;
}

static int type_of_aggregate(struct fs *fs, uint64_t aggregate, uint32_t *type_no) {
    struct index_aggregate a;
    int r = reply_stale(index_aggregate_by_no(fs->index, aggregate, &a, NULL));
    *type_no = r == 0 ? a.type_no : 0;
    return r;
}

static int type_of_moment(struct fs *fs, const struct node *node, uint32_t *type_no) {
    struct moment_range range;
    int r = moment_range(fs, node, &range);
    return r == 0 ? type_of_aggregate(fs, range.aggregate, type_no) : r;
}

static int view_of_node(struct fs *fs, uint32_t no, uint32_t *out) {
    struct view_info info;
    *out = no;
    return reply_stale(views_get(fs->views, no, &info));
}

static int view_of_dir(struct fs *fs, const struct node *node, uint32_t *out) {
    struct view_dir dir;
    int r = reply_stale(views_dir(fs->views, ino_dir_build(*node), ino_dir_no(*node), &dir));
    *out = r == 0 ? dir.view : 0;
    return r;
}

static int subject_of_content(struct fs *fs, const struct node *node, uint32_t *out) {
    struct content c;
    int r = content_get(fs->contents, node->no, &c, NULL);
    *out = r == 0 ? c.no : 0;
    return r;
}

static int type_of_shelved(struct fs *fs, uint64_t no, uint32_t *type_no) {
    struct consumer_parked p;
    int r = reply_stale(consumers_parked_by_id(fs->consumers, no, &p));
    return r == 0 ? type_of_event(fs, p.position, type_no) : r;
}

int rights_subject(struct fs *fs, const struct node *node, uint32_t *subject) {
    *subject = 0;
    switch (ino_payload(node->tag)) {
    case PAYLOAD_NONE:
    case PAYLOAD_ONE:
    case PAYLOAD_TIMEOUT:
    case PAYLOAD_CONSUMER:
        return 0;
    case PAYLOAD_TYPE:
    case PAYLOAD_SCHEMA:
        *subject = ino_type(*node);
        return 0;
    case PAYLOAD_POSITION:
        return type_of_event(fs, node->no, subject);
    case PAYLOAD_MOMENT:
        return type_of_moment(fs, node, subject);
    case PAYLOAD_AGGREGATE:
        return type_of_aggregate(fs, node->no, subject);
    case PAYLOAD_PARKED:
        return type_of_event(fs, ino_position(*node), subject);
    case PAYLOAD_VIEW:
    case PAYLOAD_LINK:
        return view_of_node(fs, ino_view(*node), subject);
    case PAYLOAD_DIR:
        return view_of_dir(fs, node, subject);
    case PAYLOAD_QUERY:
        return query_no(fs, node, subject);
    case PAYLOAD_CONTENT:
        return subject_of_content(fs, node, subject);
    case PAYLOAD_SHELVED:
        return type_of_shelved(fs, node->no, subject);
    }
    return -ESTALE;
}

mode_t rights_mode(const struct node *node) {
    const struct node_kind *k = node_kind(node->tag);
    switch (k->access) {
    case ACCESS_READ:
    case ACCESS_SEND:
    case ACCESS_VIEW:
    case ACCESS_QUERY:
        return 0;
    case ACCESS_MAKE:
    case ACCESS_QUERY_EITHER:
        return k->mode & 0555;
    default:
        return k->mode & 0777;
    }
}

/* What they can do with the node: who may read the type, who may send something to it, who may read the view, and who
 * the query. */
struct rights {
    unsigned readers, senders, viewers, askers;
};

static struct rights rights_of_kind(const struct node *node) {
    const struct node_kind *k = node_kind(node->tag);
    const unsigned look = S_ISDIR(k->mode) ? RIGHT_READ | RIGHT_SEARCH : RIGHT_READ;
    switch (k->access) {
    case ACCESS_MODE:
        break;
    case ACCESS_READ:
        return (struct rights){.readers = RIGHT_READ};
    case ACCESS_SEND:
        return (struct rights){.readers = RIGHT_READ, .senders = RIGHT_READ | RIGHT_WRITE};
    case ACCESS_EITHER:
        if (node->tag == NODE_ROOT)
            return (struct rights){look, look, look, look};
        return (struct rights){.readers = look, .senders = look};
    case ACCESS_MAKE:
        return (struct rights){.readers = look, .senders = look | RIGHT_WRITE};
    case ACCESS_VIEW:
    case ACCESS_VIEW_EITHER:
        return (struct rights){.viewers = look};
    case ACCESS_QUERY:
    case ACCESS_QUERY_EITHER:
        return (struct rights){.askers = k->mode >> 6 & (RIGHT_READ | RIGHT_WRITE | RIGHT_SEARCH)};
    }
    return (struct rights){0};
}

static void type_each(const struct domain_type *t, const struct rights *rights, rights_visit *visit, void *arg) {
    if (rights->readers)
        visit(arg, &t->read, rights->readers);
    for (size_t i = 0; rights->senders && i < t->n_commands; i++)
        visit(arg, &t->commands[i].allow, rights->senders);
}

/* Subject 0: of everything that there is. */
static void rights_of_all(const struct domain *d, const struct rights *rights, rights_visit *visit, void *arg) {
    for (size_t i = 0; i < d->n_types; i++)
        type_each(&d->types[i], rights, visit, arg);
    for (size_t i = 0; rights->viewers && i < d->n_views; i++)
        visit(arg, &d->views[i].allow, rights->viewers);
    for (size_t i = 0; rights->askers && i < d->n_queries; i++)
        visit(arg, &d->queries[i].allow, rights->askers);
}

static const struct allow *view_list(struct fs *fs, const struct domain *d, uint32_t no) {
    struct view_info info;
    const struct domain_view *v = views_get(fs->views, no, &info) == 0 ? domain_view(d, info.name) : NULL;
    return v ? &v->allow : NULL;
}

static const struct allow *query_list(struct fs *fs, const struct domain *d, uint32_t no) {
    struct query_info info;
    const struct domain_query *q = queries_get(fs->queries, no, &info) == 0 ? domain_query(d, info.name) : NULL;
    return q ? &q->allow : NULL;
}

void rights_each(struct fs *fs, const struct domain *d, const struct node *node, uint32_t subject, rights_visit *visit,
                 void *arg) {
    static const struct allow none;
    const struct rights rights = rights_of_kind(node);
    if (subject == 0) {
        rights_of_all(d, &rights, visit, arg);
    } else if (rights.viewers) {
        const struct allow *list = view_list(fs, d, subject);
        visit(arg, list ? list : &none, rights.viewers);
    } else if (rights.askers) {
        const struct allow *list = query_list(fs, d, subject);
        visit(arg, list ? list : &none, rights.askers);
    } else {
        const struct domain_type *t = domain_type(d, index_type_name(fs->index, subject));
        if (t)
            type_each(t, &rights, visit, arg);
        else
            visit(arg, &none, rights.readers | rights.senders);
    }
}

bool rights_need_all(const struct node *node) {
    return node->tag == NODE_ROOT_LOG || node->tag == NODE_ROOT_REJECTIONS;
}
