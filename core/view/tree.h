/* An index at work: directories of links to aggregates, which move when the aggregates' states change. One thread. */
#ifndef ESFS_TREE_H
#define ESFS_TREE_H

#include "arena.h"
#include "err.h"
#include "script.h"
#include "table.h"

struct maker;
struct maker_event;
struct live_dir;

/* A link on its way, from where the build has it. Places are directories plus one; 0: it is not listed. */
struct tree_move {
    uint64_t aggregate, from, to, time;
    struct str name; /* in the arena */
};

struct tree {
    struct live_dir **list; /* in use */
    uint32_t n, cap;
    struct table by_no, by_name; /* by_name: of parent and name */
    struct live_dir **dirty;     /* to be written */
    size_t n_dirty, dirty_cap;
    struct tree_move *moves; /* of each aggregate one */
    size_t n_moves, moves_cap;
    uint64_t batch;     /* number of the one under construction, from 1 */
    struct arena arena; /* of its names */
};

void tree_init(struct tree *t);
void tree_deinit(struct maker *m);
/* Forgets all directories; what is not committed is lost. */
void tree_clear(struct maker *m);
/* Moves the link of the event's aggregate to where its state wants it. When `path` fails the event is parked, or, with
 * e->only set, *failed tells. 0, SCRIPT_FAILED, FOLLOW_HALT with *err, a negative errno. */
int tree_event(struct maker *m, const struct maker_event *e, struct script_fault *failed, struct err *err);
/* Adds the directories that were touched to the maker's changes. 0 or a negative errno. */
int tree_flush(struct maker *m);

#endif
