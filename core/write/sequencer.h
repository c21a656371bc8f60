/* The one writer: takes what is queued, has it decided, builds a block, commits it with one synced write, makes it
 * visible, answers everybody in it. While one block is committed the next is built.
 *
 * A block that could not be written ends it: its jobs and those decided after it are answered OUTCOME_UNKNOWN, all
 * later ones OUTCOME_READ_ONLY, and nothing is written any more. Below the disk's reserve jobs are answered
 * OUTCOME_NO_ROOM before anything of them is decided. */
#ifndef ESFS_SEQUENCER_H
#define ESFS_SEQUENCER_H

#include "db.h"
#include "home.h"
#include "index.h"
#include "job.h"

/* A block is committed once it holds this much. */
#define SEQUENCER_BLOCK_BYTES (1 << 20)

struct sequencer;

struct sequencer_options {
    struct db *db;
    struct index *index;
    struct home *home;
    bool sync;             /* answer when it is on disk */
    uint64_t reserve;      /* bytes of free space below which nothing is written */
    const char *read_only; /* why nothing may be written, or NULL; must outlive the sequencer */
    /* Called once when the store falls read-only, from the sequencer's side. */
    void (*failed)(void *arg, const struct err *err);
    /* Called when readers see a block, in the thread that commits and before anybody is answered: must not block. May
     * be NULL. */
    void (*advanced)(void *arg);
    void *arg;
};

int sequencer_new(struct sequencer **out, const struct sequencer_options *options); /* 0 or -ENOMEM, -EAGAIN */
/* Finishes what is queued, joins the threads, frees. Nothing may be submitted any more. NULL is fine. */
void sequencer_free(struct sequencer *s);

/* Any thread. job->done is called later, on the sequencer's side. */
void sequencer_submit(struct sequencer *s, struct job *job);

struct sequencer_state {
    bool failed;                        /* fallen read-only */
    bool no_room;                       /* below the reserve when last looked */
    uint64_t blocks, commands, refused; /* since it was started */
    uint64_t queued;                    /* jobs not yet answered */
};
void sequencer_state(struct sequencer *s, struct sequencer_state *out);
/* Stops writing after a failure elsewhere (a sync that failed): as if a commit had failed. */
void sequencer_fail(struct sequencer *s, const struct err *err);

#endif
