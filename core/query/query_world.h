/* What the handler of a query reads: the views, aggregates and events of a store (query_store.h), or of a rehearsal.
 * The rules of q, its bounds and its words are query_run.c's; here is only where things are found. */
#ifndef ESFS_QUERY_WORLD_H
#define ESFS_QUERY_WORLD_H

#include "domain.h"
#include "fold.h"
#include "views.h"

struct query_aggregate {
    struct str name, id; /* "order/1001", "1001" */
    const struct domain_type *type;
    uint64_t no; /* 0: there is none */
    uint64_t version;
};

/* A stored event, valid during the call. 0, or a negative errno: no more are wanted. */
typedef int query_event(void *arg, const struct event *e);

/* Called by the thread of the run alone. None of them may be NULL. A negative errno comes with words; -EAGAIN without:
 * what serves is being changed, ask again from the view on. */
struct query_world {
    /* A view by its name. 0, VIEW_NONE, -EAGAIN. */
    int (*view)(void *arg, struct str name, struct view_info *out);
    /* The bytes of a projection's file, by its name without ".json", appended; nothing when there is none. */
    int (*key)(void *arg, const struct view_info *view, struct str file, struct buf *out, struct err *err);
    /* The keys that begin with a prefix, sorted by file name. What `visit` gave when that is not 0. */
    int (*keys)(void *arg, const struct view_info *view, struct str prefix, view_visit *visit, void *to,
                struct err *err);
    /* Fills in `no` and `version`; the rest is what is asked for. */
    int (*aggregate)(void *arg, struct query_aggregate *a, struct err *err);
    /* Its state, of an aggregate that is there; errors as fold.h has them. */
    int (*fold)(void *arg, struct folder *f, const struct query_aggregate *a, struct fold *out,
                struct script_fault *fault);
    /* Its events from..to, versions that it has. What `each` gave when that is not 0. */
    int (*events)(void *arg, const struct query_aggregate *a, uint64_t from, uint64_t to, query_event *each,
                  void *to_whom, struct err *err);
    void *arg;
};

#endif
