/* Who may do something: `allow` and `read` of a domain. Immutable once read; safe in any thread. */
#ifndef ESFS_ALLOW_H
#define ESFS_ALLOW_H

#include "arena.h"
#include "err.h"
#include "identity.h"
#include "script.h"

#include <stdbool.h>
#include <stdint.h>

struct allow {
    bool given;  /* false: the owner and the group of the mount */
    bool anyone; /* everybody */
    const uint32_t *uids, *gids;
    size_t n_uids, n_gids;
    const struct str *sagas;
    size_t n_sagas;
};

/* Reads { users = {...}, groups = {...}, sagas = {...}, anyone = true } (v 0: not given). Names are looked up in the
 * system's databases once, here; numbers, also as text, are taken as they are. -EINVAL in words for an unknown member
 * or name. What it points to lives in the arena. */
int allow_read(struct script *s, script_value v, struct arena *arena, struct allow *out, struct err *err);

/* Root passes where no list is given. */
bool allow_admits(const struct allow *a, const struct identity *who, const struct ownership *owner);

#endif
