/* A domain at work in the sequencer: what a command becomes is decided by its handlers.
 *
 * For each request: handlers_begin(); handlers_decide() for each command in order; handlers_judge() once all are
 * decided; then handlers_accept() for each command, after its record, and handlers_end(), or handlers_abandon().
 * Deciding never waits for a disk, but for reading what a state is folded from. One thread. */
#ifndef ESFS_HANDLERS_H
#define ESFS_HANDLERS_H

#include "changes.h"
#include "fold.h"
#include "heads.h"
#include "job.h"

struct handlers;

/* What failed in a handler, for .esfs/errors.ndjson. */
struct handler_failure {
    const struct command *command; /* NULL: there was none */
    const struct caller *caller;   /* likewise */
    const struct event *event;     /* complete; likewise */
    const struct script_fault *fault;
    const char *what;  /* "decide", "evolve OrderPlaced", "query big_orders", ... */
    struct str params; /* of a query; empty: not to be shown */
};

struct handlers_options {
    struct domain *domain; /* a reference is taken */
    struct folder_options fold;
    struct ownership ownership;
    uint32_t snapshot_every; /* events of an aggregate */
    size_t states_max;       /* bytes of live states */
    void (*report)(void *arg, const struct handler_failure *failure);
    void *arg;
};

int handlers_new(struct handlers **out, const struct handlers_options *options, struct err *err);
void handlers_free(struct handlers *h); /* NULL is fine */
const struct domain *handlers_domain(const struct handlers *h);

/* When they are adopted: everything that was decided has been applied. */
void handlers_count(struct handlers *h);
/* Between blocks, when all but the last one have been applied. */
void handlers_turn(struct handlers *h);
/* The block under construction is complete. 0 or -ENOMEM. */
int handlers_close(struct handlers *h);
/* What is to be written with the block under construction; lives until the second handlers_turn() from here. */
const struct changes *handlers_changes(const struct handlers *h);

/* Begins a request. One that was admitted by another domain, or none, is admitted anew. OUTCOME_OK or why not. */
enum outcome handlers_begin(struct handlers *h, struct heads *heads, const struct caller *caller,
                            struct request *request, struct refusal *refusal);

/* What a command becomes. */
struct decision {
    struct block_event *events; /* times are set: the first is `time`, each a microsecond after the one before */
    size_t n;
    struct live *live;
};
/* Decides; the state goes on with the events. `position` is the one that the first event would get. Lives until the end
 * of the request. */
enum outcome handlers_decide(struct handlers *h, const struct command *c, const struct head *head, uint64_t time,
                             uint64_t position, struct decision *out, struct refusal *refusal);
/* Unique rules, for all of the request. refusal->index is the command's. */
enum outcome handlers_judge(struct handlers *h, struct refusal *refusal);

/* An event of a decision is in its record: it has its place. 0 or -ENOMEM. */
int handlers_accept(struct handlers *h, const struct event *e);
/* The request was accepted: what goes with it is in the changes of the block. 0 or -ENOMEM. */
int handlers_end(struct handlers *h);
/* It was refused: states that it has touched are forgotten. */
void handlers_abandon(struct handlers *h);

#endif
