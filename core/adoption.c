/* Bringing a domain into force: load its directory, check it against what is stored, make anew what its handlers fold
 * in another way, and only then let the sequencer change over. Until that last step nothing has happened. */
#include "handlers.h"
#include "kafka.h"
#include "query_life.h"
#include "refold.h"
#include "registry.h"
#include "store_parts.h"
#include "views_private.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

struct adoption {
    struct store *store;
    struct domain *domain;
    struct refold *refold;
    const struct domain_schema **fresh;
    size_t n_fresh;
    struct job job;
    struct err err; /* of adoption_ready() */
    sem_t done;
};

static struct folder_options folder_options(struct store *s) {
    return (struct folder_options){.source = {s->index, s->log, home_id(s->home)}, .db = s->db};
}

static void tell_line(void *arg, const char *line) {
    store_tell(arg, LOG_INFO, line);
}

static void report(void *arg, const struct handler_failure *failure) {
    store_report_handler(arg, failure);
}

/* --- in the sequencer: nothing changes meanwhile */

static int last_look(struct adoption *a, struct err *err) {
    free(a->fresh);
    a->fresh = NULL;
    int r = registry_check(a->domain, a->store->index, &a->fresh, &a->n_fresh, err);
    a->job.schemas = a->fresh;
    a->job.n_schemas = a->n_fresh;
    return r < 0 ? r : refold_finish(a->refold, err);
}

static int adoption_ready(struct job *job) {
    struct adoption *a = job->owner;
    int r = last_look(a, &a->err);
    if (r == 0)
        return 0;
    a->err.code = -r;
    job->refusal.outcome = OUTCOME_INVALID;
    if (r == -EIO) /* what was begun in the database is unknown */
        sequencer_fail(a->store->sequencer, &a->err);
    return r;
}

/* Readers have the new domain before they can see an event that it has made. */
static void adoption_done(struct job *job) {
    struct adoption *a = job->owner;
    struct store *s = a->store;
    struct domain *before = NULL;
    if (job->refusal.outcome == OUTCOME_OK) {
        pthread_mutex_lock(&s->lock);
        before = s->domain;
        s->domain = domain_ref(a->domain);
        pthread_mutex_unlock(&s->lock);
        queries_adopt(s->queries, a->domain);
    }
    domain_unref(before);
    sem_post(&a->done);
}

/* --- in the caller's thread */

static int handlers_make(struct adoption *a, struct err *err) {
    struct store *s = a->store;
    const struct handlers_options options = {
        .domain = a->domain,
        .fold = folder_options(s),
        .ownership = s->options.ownership,
        .snapshot_every = s->options.snapshot_every,
        .states_max = s->options.states_max,
        .report = report,
        .arg = s,
    };
    return handlers_new(&a->job.handlers, &options, err);
}

static int refold_make(struct adoption *a, const struct domain *current, struct err *err) {
    struct store *s = a->store;
    const struct refold_options options = {
        .domain = a->domain,
        .current = current,
        .fold = folder_options(s),
        .snapshot_every = s->options.snapshot_every,
        .stop = &s->stopping,
        .tell = tell_line,
        .arg = s,
    };
    int r = refold_new(&a->refold, &options, err);
    return r == 0 ? refold_run(a->refold, err) : r;
}

static int change_over(struct adoption *a, struct err *err) {
    a->job.kind = JOB_ADOPT;
    a->job.owner = a;
    a->job.ready = adoption_ready;
    a->job.done = adoption_done;
    sequencer_submit(a->store->sequencer, &a->job);
    while (sem_wait(&a->done) != 0)
        ;
    if (a->job.refusal.outcome == OUTCOME_OK)
        return 0;
    if (!a->err.code)
        err_set(&a->err, outcome_errno(a->job.refusal.outcome), "%s", a->job.refusal.detail);
    *err = a->err;
    return -err->code;
}

/* A store that cannot be written has the domain for its readers only. */
static int adopt_for_reading(struct adoption *a) {
    struct store *s = a->store;
    pthread_mutex_lock(&s->lock);
    struct domain *before = s->domain;
    s->domain = domain_ref(a->domain);
    pthread_mutex_unlock(&s->lock);
    queries_adopt(s->queries, a->domain);
    domain_unref(before);
    return 0;
}

static int adoption_run(struct adoption *a, struct err *err) {
    struct store *s = a->store;
    const struct domain_options options = {.assert_format = s->options.assert_format};
    struct domain *current = store_domain(s);
    int r = domain_load(&a->domain, s->options.domain, &options, err);
    if (r == 0)
        r = domain_types_check(a->domain, err);
    if (r == 0)
        r = registry_check(a->domain, s->index, &a->fresh, &a->n_fresh, err);
    if (r == 0 && queries_prepare(s->queries, a->domain) < 0)
        r = err_set(err, ENOMEM, "out of memory");
    if (r == 0 && store_read_only(s)) {
        domain_unref(current);
        r = adopt_for_reading(a);
        views_adopt(s->views, a->domain);
        queries_settle(s->queries);
        return r;
    }
    if (r == 0)
        r = handlers_make(a, err);
    if (r == 0)
        r = refold_make(a, current, err);
    domain_unref(current);
    if (r == 0)
        r = change_over(a, err);
    if (r == 0)
        r = refold_sweep(a->refold, err);
    if (r == -EIO)
        sequencer_fail(s->sequencer, err);
    if (r == 0)
        views_adopt(s->views, a->domain);
    if (r == 0)
        kafka_adopt(s->kafka, a->domain);
    queries_settle(s->queries);
    return r;
}

int store_adopt(struct store *s, struct err *err) {
    struct adoption a = {.store = s};
    struct err why = {0};
    sem_init(&a.done, 0, 0);
    int r = adoption_run(&a, &why);
    handlers_free(a.job.handlers);
    refold_free(a.refold);
    free(a.fresh);
    domain_unref(a.domain);
    sem_destroy(&a.done);
    if (err)
        *err = why;
    return r;
}

struct domain *store_domain(struct store *s) {
    pthread_mutex_lock(&s->lock);
    struct domain *d = s->domain ? domain_ref(s->domain) : NULL;
    pthread_mutex_unlock(&s->lock);
    return d;
}

int store_reload(struct store *s, struct err *err) {
    struct err why = {0};
    int r;
    if (!s->options.domain)
        return err_set(err, ENOTSUP, "no domain was given (-o domain=DIR)");
    if (pthread_mutex_trylock(&s->adopting) != 0)
        return err_set(err, EBUSY, "the domain is being reloaded at this moment");
    r = store_adopt(s, &why);
    pthread_mutex_unlock(&s->adopting);
    if (r < 0)
        store_report(s, "reloading the domain: what ran before goes on", &why);
    else
        store_tell(s, LOG_INFO, "the domain was reloaded");
    if (err)
        *err = why;
    return r;
}

/* A type that the domain does not have is the mount's owner's. */
static bool may_read(const struct store *s, const struct domain *d, struct str type, const struct identity *who) {
    static const struct allow owner_only = {0};
    const struct domain_type *t = domain_type(d, type);
    return allow_admits(t ? &t->read : &owner_only, who, &s->options.ownership);
}

bool store_may_read_type(struct store *s, struct str type, const struct identity *who) {
    struct domain *d = store_domain(s);
    bool may = !d || may_read(s, d, type, who);
    domain_unref(d);
    return may;
}

bool store_may_read(struct store *s, uint32_t type_no, const struct identity *who) {
    if (type_no)
        return store_may_read_type(s, index_type_name(s->index, type_no), who);
    struct domain *d = store_domain(s);
    bool may = true;
    for (size_t i = 0; d && may && i < d->n_types; i++)
        may = allow_admits(&d->types[i].read, who, &s->options.ownership);
    domain_unref(d);
    return may;
}
