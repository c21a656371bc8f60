/* What could not be taken in: events that failed for a key, and the later ones of that key, which wait behind them. In
 * memory without their texts; with them in the build. One thread, but for the readers in views_read.c, which look at
 * the build. */
#ifndef ESFS_PARKING_H
#define ESFS_PARKING_H

#include "changes.h"
#include "script.h"
#include "table.h"

#define PARKED_MAX 10000 /* of a view; then it halts */

struct db;

struct parked {
    uint64_t position;
    struct str key; /* p NULL: not known */
};

struct parking {
    struct parked *list; /* by position */
    size_t n, cap;
    struct table first; /* key -> the first one of it */
    bool changed;       /* since parking_load() or parking_committed() */
};

/* What is committed. 0 or a negative errno in words. */
int parking_load(struct parking *p, struct db *db, uint64_t build, struct err *err);
/* The changes made since are committed, too. */
void parking_committed(struct parking *p);
/* parking_load(), when there are changes since: a view that fails on everything must not read all of it each time. */
int parking_revert(struct parking *p, struct db *db, uint64_t build, struct err *err);
void parking_deinit(struct parking *p);

/* Whether a key waits: then *position is that of the first event parked for it. */
bool parking_holds(const struct parking *p, struct str key, uint64_t *position);
/* Parks an event for a key (p NULL: none), with why (NULL: it waits). An event that is parked for the key already stays
 * as it is. 0, -ENOMEM, -EDQUOT (PARKED_MAX). */
int parking_add(struct parking *p, uint64_t build, uint64_t position, struct str key, const struct script_fault *fault,
                struct changes *changes);
/* Notes that it failed once more. */
int parking_note(uint64_t build, const struct parked *entry, uint64_t attempts, const struct script_fault *fault,
                 struct changes *changes);
int parking_remove(struct parking *p, uint64_t build, size_t i, struct changes *changes);
/* The place in the list of the first one at a position; n when there is none. */
size_t parking_at(const struct parking *p, uint64_t position);

#endif
