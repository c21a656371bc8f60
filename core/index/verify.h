/* What the files of index_verify() share.
 *
 * Verification goes through the log as the index does, but instead of putting a window's keys into the family it
 * compares them with what is there. Most keys are written once. The exceptions:
 *
 *   m, y      rewritten by later windows: compared once, when the log is read up to where the family stands
 *   g         rewritten when its aggregate is undeclared: the family may say so before the log does, and the log
 *             then owes the reason (`owed`)
 *   l, n      deleted at that time: compared last, through the g keys, which tell who exists
 *   e         rewritten by every window that has such an event, with a position of its own: what the family says is
 *             this window's, or of a window that comes later and compares it then; the last one counts the key
 *
 * At the end keys are counted, so that the family holds nothing else.
 *
 * To look up each key of millions is slow, so the first pass only adds up hashes of the keys that are written once,
 * here those that the log gives, there those that the family has. Only when something is wrong does a second,
 * `exact` pass compare key by key, to tell what comes first. */
#ifndef ESFS_VERIFY_H
#define ESFS_VERIFY_H

#include "index_private.h"

struct verification {
    struct db *db;
    const uint8_t *store_id;
    struct index_limits limits;
    struct types types;
    struct schemas schemas;
    struct skips skips;
    struct decoded decoded;
    struct index_head head;
    struct meta family;
    struct window **windows; /* the last one takes blocks; before it those that the family has not */
    size_t n_windows, windows_cap;
    uint64_t *owed; /* aggregates; 0 once the reason was met */
    size_t n_owed, owed_cap;
    struct table owed_table;
    bool exact;
    uint64_t expected[256], sums[256]; /* keys by class; the sum of their hashes, unless exact */
    bool damaged;
    struct index_damage *damage;
    struct err *err;
};

static inline struct window *verify_open_window(const struct verification *v) {
    return v->windows[v->n_windows - 1];
}

/* An aggregate that the log has made so far; as decoded_scope wants it, with the verification as arg. */
int verify_made(void *arg, uint64_t aggregate, struct made *out, struct arena *names, struct err *err);

/* Keeps the damage with the lowest position, naming the aggregate (0: none). True when this is the one; its words
 * are then to be put in v->err. */
bool verify_note(struct verification *v, uint64_t position, uint64_t block, uint64_t aggregate);

/* The same for damage of the index, with its words. INDEX_DAMAGED. */
int verify_fault(struct verification *v, uint64_t position, uint64_t aggregate, const char *why);

uint64_t verify_hash(struct str key, struct str value);

/* Compares the open window, sealed, with the family. 0, also when damage was noted; or a negative errno. */
int verify_window(struct verification *v);
/* Compares the family as a whole, when the log is read up to where it stands. 0, INDEX_DAMAGED or a negative
 * errno. */
int verify_family(struct verification *v);

#endif
