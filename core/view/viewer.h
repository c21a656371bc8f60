/* A viewer: the handlers of a view at work on the events of the log, one after the other. In which order they run, and
 * on what, is here; where what they make is kept is the caller's: in a build (maker.h), or in memory, for tests of
 * domains (rehearsal_view.c).
 *
 * What handlers do wrong is SCRIPT_FAILED with *fault; negative errno: -ENOMEM, and what the store does wrong. One
 * thread. */
#ifndef ESFS_VIEWER_H
#define ESFS_VIEWER_H

#include "aggregates.h"

#define VIEWER_TEXT_MAX (16u << 20)  /* bytes of a key's file */
#define VIEWER_STATE_MAX (64u << 20) /* ... of its state, frozen */

struct viewer {
    const struct domain_view *view; /* borrowed, like what follows */
    struct domain_vm *vm;
    struct folder *folder;
    struct aggregates aggregates; /* their states, when the view wants them */
    struct arena names;           /* keys and paths of an event */
};

/* The view is one of the domain of the folder's vm. */
void viewer_init(struct viewer *v, const struct domain_view *view, struct folder *folder);
void viewer_deinit(struct viewer *v); /* also of one that is all zero */

/* An event as handlers see it. Valid until viewer_end(). */
struct viewed {
    const struct event *stored;
    size_t n; /* events that it has become; none when it was dropped */
    /* of the one at hand: */
    struct script_event told;
    script_value state;                /* of its aggregate, after it; 0: the view does not want it */
    struct aggregate_state *aggregate; /* of which that is; NULL: likewise */
    script_value on;                   /* projection: its handler; 0: there is none */
    /* for viewer.c */
    const struct domain_type *type;
    struct fresh_event *fresh;
};

/* Whether the view follows the event's type. Then it can be begun with. */
bool viewer_follows(const struct viewer *v, const struct event *stored, struct viewed *out);
/* Brings it to the newest versions, with the state before it. */
int viewer_begin(struct viewer *v, struct viewed *e, struct script_fault *fault);
/* Takes event i of n in hand, each once and in order: the state goes on, and then handlers see it. */
int viewer_step(struct viewer *v, struct viewed *e, size_t i, struct script_fault *fault);
void viewer_end(struct viewer *v);

/* --- projections: of the event at hand */

/* The keys that it belongs to, none when it has no handler. */
int viewer_keys(struct viewer *v, const struct viewed *e, struct str **keys, size_t *n, struct script_fault *fault);
/* Takes it into the state of one of them (0: there is none, as after `remove`). After a failure that is half changed
 * and of no use. */
int viewer_project(struct viewer *v, const struct viewed *e, struct str key, script_value *state,
                   struct script_fault *fault);
/* The form in which the state is kept, appended. */
int viewer_freeze(struct viewer *v, script_value state, struct buf *out, struct script_fault *fault);
/* What the file of a key shows, a newline at the end, appended. */
int viewer_text(struct viewer *v, struct str key, script_value state, struct buf *out, struct script_fault *fault);

/* --- indexes: after the last one of n, when there are any */

/* The names of the directories that the aggregate is in, as they are shown; *present is false when it is in none. */
int viewer_path(struct viewer *v, const struct viewed *e, struct str **names, size_t *n, bool *present,
                struct script_fault *fault);
/* The file name of its link, appended. */
void viewer_link(const struct viewer *v, const struct viewed *e, struct buf *out);

#endif
