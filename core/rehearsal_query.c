/* Queries of a rehearsal: its views, aggregates and events are the world that they read. */
#include "rehearsal_private.h"

#include "dialogue.h"
#include "domain_private.h"
#include "query_ask.h"
#include "query_run.h"

#include <errno.h>
#include <stdlib.h>

#define FILE_END ".json"

/* --- the world: views */

static const struct rehearsed_view *view_of(const struct rehearsal *r, const struct view_info *view) {
    return &r->views[view->no - 1];
}

static int world_view(void *arg, struct str name, struct view_info *out) {
    struct rehearsal *r = arg;
    const struct domain_view *v = domain_view(r->domain, name);
    if (!v)
        return VIEW_NONE;
    *out =
        (struct view_info){.no = (uint32_t)(v - r->domain->views) + 1, .name = v->name, .index = v->index, .build = 1};
    return 0;
}

static int world_key(void *arg, const struct view_info *view, struct str file, struct buf *out, struct err *err) {
    const struct rehearsed_view *v = view_of(arg, view);
    (void)err;
    for (size_t i = 0; i < v->n_keys; i++)
        if (v->keys[i].state && str_eq(v->keys[i].name, file))
            buf_put_str(out, buf_str(&v->keys[i].text));
    return 0;
}

static int key_order(const void *a, const void *b) {
    return domain_str_compare((*(const struct shown_key *const *)a)->name, (*(const struct shown_key *const *)b)->name);
}

static int world_keys(void *arg, const struct view_info *view, struct str prefix, view_visit *visit, void *to,
                      struct err *err) {
    const struct rehearsed_view *v = view_of(arg, view);
    const struct shown_key **keys = malloc((v->n_keys + 1) * sizeof *keys);
    size_t n = 0;
    int rc = keys ? 0 : err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; keys && i < v->n_keys; i++) {
        const struct shown_key *k = &v->keys[i];
        if (k->state && k->key.n >= prefix.n && (!prefix.n || memcmp(k->key.p, prefix.p, prefix.n) == 0))
            keys[n++] = k;
    }
    if (n)
        qsort(keys, n, sizeof *keys, key_order);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = visit(to, keys[i]->key);
    free(keys);
    return rc;
}

/* --- aggregates */

/* One that has only been named is not there. */
static int world_aggregate(void *arg, struct query_aggregate *a, struct err *err) {
    const struct rehearsal *r = arg;
    (void)err;
    for (size_t i = 0; i < r->n_members; i++)
        if (r->members[i]->n && str_eq(r->members[i]->name, a->name)) {
            a->no = r->members[i]->no;
            a->version = r->members[i]->n;
        }
    return 0;
}

static int world_fold(void *arg, struct folder *f, const struct query_aggregate *a, struct fold *out,
                      struct script_fault *fault) {
    const struct rehearsal *r = arg;
    return member_replay(f, r->members[a->no - 1], out, fault);
}

static int world_events(void *arg, const struct query_aggregate *a, uint64_t from, uint64_t to, query_event *each,
                        void *to_whom, struct err *err) {
    const struct rehearsal *r = arg;
    int rc = 0;
    (void)err;
    for (uint64_t version = from; rc == 0 && version <= to; version++)
        rc = each(to_whom, &r->members[a->no - 1]->events[version - 1]);
    return rc;
}

/* --- asking */

static int run(struct rehearsal *r, const struct domain_query *q, const struct query_ask *ask, struct buf *out,
               struct script_fault *fault, struct err *err) {
    const struct query_world world = {
        .view = world_view,
        .key = world_key,
        .keys = world_keys,
        .aggregate = world_aggregate,
        .fold = world_fold,
        .events = world_events,
        .arg = r,
    };
    const struct query_run how = {
        .domain = r->domain,
        .query = q,
        .params = ask->params.tree,
        .caller = ask->caller,
        .world = &world,
        .fold = {.source = {.store_id = rehearsal_store}},
    };
    char words[DIALOGUE_WORDS];
    size_t before = out->n;
    int rc = query_run(&how, out, fault);
    out->n = rc == 0 ? out->n - 1 : before; /* without the newline */
    if (rc == 0)
        return 0;
    if (rc == -ENOMEM)
        return err_set(err, ENOMEM, "out of memory");
    dialogue_words(fault, words);
    return err_set(err, rc == SCRIPT_FAILED ? EIO : -rc, "%s", words);
}

/* The name that a file has without its end. */
static int file_read(struct str file, struct str *name, struct err *err) {
    const size_t end = sizeof FILE_END - 1;
    *name = (struct str){file.p, file.n > end ? file.n - end : 0};
    return name->n && memcmp(file.p + name->n, FILE_END, end) == 0
               ? 0
               : err_set(err, ENOENT, "a result's file has a name like \"all.json\" or \"min=1.json\"");
}

static int answer(struct rehearsal *r, const struct domain_query *q, const struct rehearsal_question *question,
                  struct buf *out, struct script_fault *fault, struct err *err) {
    static const struct identity root = {0};
    const struct identity *who = question->who ? question->who : &root;
    const struct ownership owner = {.root_allowed = question->who == NULL};
    struct str asked = question->params;
    struct query_ask ask;
    int rc = question->file ? file_read(question->params, &asked, err) : 0;
    if (rc == 0)
        rc = query_ask_read(q, r->parser, &r->arena, asked, !question->file, who, &ask, err);
    if (rc == 0 && !allow_admits(&q->allow, who, &owner))
        rc = err_set(err, EACCES, "uid %u may not ask %s", who->uid, q->name.p);
    return rc == 0 ? run(r, q, &ask, out, fault, err) : rc;
}

int rehearsal_ask(struct rehearsal *r, const struct rehearsal_question *question, struct buf *out,
                  struct script_fault *fault, struct err *err) {
    const struct domain_query *q = domain_query(r->domain, question->query);
    *fault = (struct script_fault){0};
    arena_reset(&r->arena, REHEARSAL_KEEP);
    if (!q)
        return name_missing("query", question->query, r->domain->queries, sizeof *q, r->domain->n_queries, err);
    int rc = rehearsal_follow(r, fault, err);
    if (rc < 0)
        return rc;
    rc = answer(r, q, question, out, fault, err);
    return rc < 0 && rc != -ENOMEM ? REHEARSAL_REFUSED : rc;
}
