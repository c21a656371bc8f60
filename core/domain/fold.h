/* Folding: an aggregate's events, brought to the newest versions of their schemas (upcasts), turned into its state
 * (evolve).
 *
 * A folder is what that takes: a vm, a parser, scratch memory. A fold is one aggregate on its way through its stream.
 * What handlers do wrong is SCRIPT_FAILED with *fault; what the store does wrong a negative errno, with the words in
 * fault->text. One thread a folder. */
#ifndef ESFS_FOLD_H
#define ESFS_FOLD_H

#include "domain.h"
#include "snapshot.h"
#include "stream.h"

struct folder;

struct folder_options {
    struct stream_source source;
    struct db *db;
};

/* The vm is borrowed. NULL when out of memory. */
struct folder *folder_new(struct domain_vm *vm, const struct folder_options *options);
void folder_free(struct folder *f); /* NULL is fine */
struct domain_vm *folder_vm(struct folder *f);
/* Forgets what upcast_event() gave. */
void folder_reset(struct folder *f);

/* --- upcasts */

/* An event as the domain sees it today. */
struct fresh_event {
    struct str type, data; /* data minified */
    const struct domain_event *definition;
    const struct json_value *tree; /* of the data; NULL: not parsed yet */
};
/* What a stored event has become: none (dropped, retired), itself, or others. Lives until folder_reset(). */
int upcast_event(struct folder *f, const struct domain_type *t, const struct event *e, struct fresh_event **out,
                 size_t *n, struct script_fault *fault);
/* The line of stream.ndjson for one of them. */
struct event upcast_line(const struct event *stored, const struct fresh_event *fresh);
/* The lines that a stored event has become, one behind the other, appended. 0, SCRIPT_FAILED, -ENOMEM. */
int upcast_lines(struct folder *f, const struct domain_type *t, const struct event *e, struct buf *out,
                 struct script_fault *fault);

/* --- folds */

struct fold {
    script_value state;
    uint64_t version, position; /* of the last event in it */
    uint64_t stream_bytes;      /* of stream.ndjson so far */
    uint64_t saved_version;     /* of the snapshot that was made or read last; 0: none */
    uint64_t saved_stream;      /* its stream_bytes */
    size_t saved_bytes;         /* its size */
    bool upcast_failed;         /* what failed was an upcast, not evolve */
};

/* The initial state. */
int fold_begin(struct folder *f, const struct domain_type *t, struct str id, struct fold *out,
               struct script_fault *fault);
/* As of a version that the index knows, from the nearest snapshot on. */
int fold_load(struct folder *f, const struct domain_type *t, uint64_t aggregate, struct str id, uint64_t version,
              struct fold *out, struct script_fault *fault);
/* Takes in the next event. After a failure the fold is of no use. */
int fold_event(struct folder *f, const struct domain_type *t, struct fold *fold, const struct event *e,
               struct script_fault *fault);
/* Takes in the next event, which is in the newest version already and has been parsed; `size` is that of its line. */
int fold_fresh(struct folder *f, const struct domain_type *t, struct fold *fold, const struct event *e,
               const struct fresh_event *fresh, uint64_t size, struct script_fault *fault);
void fold_drop(struct folder *f, struct fold *fold);

/* Whether it is time for another snapshot: `every` events since the last one, and not less text of events than the last
 * one had bytes, so that snapshots never take more room than what they are made from. */
bool fold_is_due(const struct fold *fold, uint32_t every);
/* The value of one, in the arena; its key is snapshot_key() of fold->version. SCRIPT_FAILED: the state holds what
 * cannot be kept. */
int fold_save(struct folder *f, struct fold *fold, struct arena *arena, struct str *value, struct script_fault *fault);

#endif
