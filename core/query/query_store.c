#include "query_store.h"

#include <errno.h>
#include <unistd.h>

#define CHANGING_US 2000

/* --- views */

/* While a domain is brought into force its views come after its queries: then they are waited for. */
static int store_view(void *arg, struct str name, struct view_info *out) {
    struct query_store *s = arg;
    bool changing = s->changing && atomic_load(s->changing);
    if (views_find(s->from.views, name, out) == 0) {
        if (out->index)
            query_reads_view(s->reads, name, out);
        return 0;
    }
    if (!changing) {
        query_reads_view(s->reads, name, NULL);
        return VIEW_NONE;
    }
    usleep(CHANGING_US);
    return -EAGAIN;
}

/* What is served may have changed since it was found: then it is not known whether there was such a key. */
static bool is_served(const struct query_store *s, const struct view_info *view) {
    struct view_info now;
    return views_get(s->from.views, view->no, &now) == 0 && now.build == view->build;
}

static int store_key(void *arg, const struct view_info *view, struct str file, struct buf *out, struct err *err) {
    struct query_store *s = arg;
    struct view_entry entry;
    int rc = views_entry(s->from.views, view->build, file, &entry, out);
    if (rc < 0)
        return err_set(err, -rc, "the view cannot be read");
    if (rc == VIEW_NONE && !is_served(s, view))
        return -EAGAIN;
    query_reads_key(s->reads, view, file, rc == 0 ? &entry : NULL);
    return rc == 0 && entry.failed ? err_set(err, EIO, "its `output` has failed for this key") : 0;
}

/* The stamp is got before the keys: what comes between is then a change. */
static int store_keys(void *arg, const struct view_info *view, struct str prefix, view_visit *visit, void *to,
                      struct err *err) {
    struct query_store *s = arg;
    uint64_t stamp = views_keys_stamp(s->from.views, view->build);
    int rc = views_each_key(s->from.views, view->build, prefix, visit, to);
    if (rc == VIEW_NONE || !is_served(s, view))
        return -EAGAIN;
    query_reads_keys(s->reads, view, stamp);
    return rc < 0 ? err_set(err, -rc, "the view cannot be read") : 0;
}

/* --- aggregates */

static int store_aggregate(void *arg, struct query_aggregate *a, struct err *err) {
    struct query_store *s = arg;
    struct index_aggregate found = {0};
    struct index_type type;
    int rc = index_type_by_name(s->from.index, a->type->name, &type);
    if (rc == 0)
        rc = index_aggregate_by_name(s->from.index, type.no, a->id, &found, err);
    if (rc < 0)
        return rc;
    a->no = rc == 0 ? found.no : 0;
    a->version = rc == 0 ? found.version : 0;
    query_reads_aggregate(s->reads, a->name, a->no, a->version);
    return 0;
}

static int store_fold(void *arg, struct folder *f, const struct query_aggregate *a, struct fold *out,
                      struct script_fault *fault) {
    (void)arg;
    return fold_load(f, a->type, a->no, a->id, a->version, out, fault);
}

static int store_events(void *arg, const struct query_aggregate *a, uint64_t from, uint64_t to, query_event *each,
                        void *to_whom, struct err *err) {
    struct query_store *s = arg;
    const struct index_entry *entry;
    struct stream_walk walk;
    struct event e;
    int rc;
    stream_begin(&walk, &s->events, a->no, from, to);
    while ((rc = stream_next(&walk, &e, &entry, err)) == 0)
        if ((rc = each(to_whom, &e)) < 0)
            break;
    stream_end(&walk);
    return rc == STREAM_END ? 0 : rc;
}

struct query_world query_store_world(struct query_store *s) {
    return (struct query_world){
        .view = store_view,
        .key = store_key,
        .keys = store_keys,
        .aggregate = store_aggregate,
        .fold = store_fold,
        .events = store_events,
        .arg = s,
    };
}
