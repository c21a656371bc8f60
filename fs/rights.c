#include "rights.h"

#include "node_at.h"
#include "text.h"

#include <errno.h>

int rights_type(struct fs *fs, const struct node *node, uint32_t *type_no) {
    struct index_aggregate a;
    struct text_event e;
    struct moment_range range = {.aggregate = node->no};
    int r = 0;
    *type_no = 0;
    switch (ino_payload(node->tag)) {
    case PAYLOAD_NONE:
    case PAYLOAD_ONE:
        return 0;
    case PAYLOAD_TYPE:
    case PAYLOAD_SCHEMA:
        *type_no = ino_type(*node);
        return 0;
    case PAYLOAD_POSITION:
        r = text_stat_event(fs->store, node->no, &e);
        *type_no = r == 0 ? e.type_no : 0;
        return r == -ENOENT ? -ESTALE : r;
    case PAYLOAD_MOMENT:
        r = moment_range(fs, node, &range);
        break;
    case PAYLOAD_AGGREGATE:
        break;
    }
    if (r == 0)
        r = reply_stale(index_aggregate_by_no(fs->index, range.aggregate, &a, NULL));
    if (r == 0)
        *type_no = a.type_no;
    return r;
}

mode_t rights_mode(const struct node *node) {
    const struct node_kind *k = node_kind(node->tag);
    switch (k->access) {
    case ACCESS_READ:
    case ACCESS_SEND:
        return 0;
    case ACCESS_MAKE:
        return k->mode & 0555;
    default:
        return k->mode & 0777;
    }
}

/* What who may read a type, and who may send something to it, can do with the node. */
static void rights_of_kind(const struct node *node, unsigned *readers, unsigned *senders) {
    const struct node_kind *k = node_kind(node->tag);
    *readers = *senders = 0;
    switch (k->access) {
    case ACCESS_MODE:
        break;
    case ACCESS_READ:
        *readers = RIGHT_READ;
        break;
    case ACCESS_SEND:
        *readers = RIGHT_READ;
        *senders = RIGHT_READ | RIGHT_WRITE;
        break;
    case ACCESS_EITHER:
    case ACCESS_MAKE:
        *readers = *senders = S_ISDIR(k->mode) ? RIGHT_READ | RIGHT_SEARCH : RIGHT_READ;
        if (k->access == ACCESS_MAKE)
            *senders |= RIGHT_WRITE;
        break;
    }
}

static void type_each(const struct domain_type *t, unsigned readers, unsigned senders, rights_visit *visit, void *arg) {
    if (readers)
        visit(arg, &t->read, readers);
    for (size_t i = 0; senders && i < t->n_commands; i++)
        visit(arg, &t->commands[i].allow, senders);
}

void rights_each(struct fs *fs, const struct domain *d, const struct node *node, uint32_t type_no, rights_visit *visit,
                 void *arg) {
    static const struct allow none;
    unsigned readers, senders;
    rights_of_kind(node, &readers, &senders);
    if (type_no == 0) {
        for (size_t i = 0; i < d->n_types; i++)
            type_each(&d->types[i], readers, senders, visit, arg);
        return;
    }
    const struct domain_type *t = domain_type(d, index_type_name(fs->index, type_no));
    if (t)
        type_each(t, readers, senders, visit, arg);
    else
        visit(arg, &none, readers | senders);
}

bool rights_need_all(const struct node *node) {
    return node->tag == NODE_ROOT_LOG || node->tag == NODE_ROOT_REJECTIONS;
}
