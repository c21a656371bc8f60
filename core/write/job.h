/* What is queued for the sequencer: the commands of one write, one mkdir or rmdir, a domain, or an event to pass over.
 */
#ifndef ESFS_JOB_H
#define ESFS_JOB_H

#include "arena.h"
#include "command.h"
#include "store.h"

struct handlers;
struct domain_schema;

enum job_kind { JOB_COMMANDS, JOB_DECLARE, JOB_UNDECLARE, JOB_ADOPT, JOB_SKIP };

/* What became of one command. */
struct job_result {
    bool duplicate;
    bool known;        /* version, position and events tell (not for a check, nor for a duplicate without an id) */
    uint64_t version;  /* of its last event; of the aggregate when it appended none */
    uint64_t position; /* of its last event, 0 for none */
    uint64_t time;     /* of its last event; those of one command follow each other by a microsecond */
    uint32_t n_events;
};

/* The jobs of one write, submitted one after the other while the rest is still being parsed. The sequencer's thread
 * sets `stopped` once one of their requests was refused: nothing of the later jobs is then decided. */
struct job_group {
    bool stopped;
};

/* Owned by whoever submits it; not touched by him between sequencer_submit() and `done`. */
struct job {
    struct job *next;
    enum job_kind kind;
    struct caller caller;
    void (*done)(struct job *job); /* on the sequencer's side: must not block */
    void *owner;

    /* JOB_COMMANDS: done one after the other until one is refused */
    struct request *requests;
    size_t n_requests;
    struct job_result **results; /* for each request, one for each command; filled as they are done */
    size_t n_done;               /* requests that are durable, from the first on */
    size_t n_decided;            /* the sequencer's: how far it got */
    struct job_group *group;     /* NULL: it is alone */
    bool follows;                /* it is not the first of its group */
    bool more;                   /* another one follows at once: the block waits for it */
    bool begun;                  /* the sequencer's: it has been taken from the queue */

    /* JOB_DECLARE, JOB_UNDECLARE */
    struct str type, id;

    /* JOB_ADOPT: decided when everything before it has been applied */
    struct handlers *handlers;            /* NULL once they were taken */
    const struct domain_schema **schemas; /* that the store does not have yet */
    size_t n_schemas;
    int (*ready)(
        struct job *job); /* called first: a last look at the store; not 0: the job is refused, refusal filled */

    /* JOB_SKIP: decided when everything before it has been applied */
    struct str follower;
    uint64_t position;
    uint32_t type_no; /* of the event there, which readers see; 0: there is none */

    /* why request n_done was refused, or the directory; outcome OUTCOME_OK when all was done */
    struct refusal refusal;
};

#endif
