/* Whether old versions of an event lead to its newest. */
#include "domain_private.h"

#include "compat.h"

#include <errno.h>

static bool upcast_is_there(const struct domain_event *e, uint32_t version) {
    for (size_t i = 0; i < e->n_upcasts; i++)
        if (e->upcasts[i] == version)
            return true;
    return false;
}

/* The first version from..to (without) that has no upcast; `to` when all have. */
static uint32_t upcast_missing(const struct domain_event *e, uint32_t from, uint32_t to) {
    while (from < to && upcast_is_there(e, from))
        from++;
    return from;
}

static int gap_fault(const struct domain_type *t, const struct domain_event *e, uint32_t from, uint32_t to,
                     uint32_t missing, struct err *err) {
    if (from == 0)
        return err_set(err, EINVAL,
                       "%s/%s: the store holds events without a schema (version 0), and upcast[%u] on their way to "
                       "version %u is missing: add it to %s",
                       t->name.p, e->name.p, missing, e->version, t->file.p);
    if (to == from + 1)
        return err_set(err, EINVAL,
                       "%s/%s: the schema of version %u or %u is not known, and upcast[%u] is missing in %s", t->name.p,
                       e->name.p, from, to, missing, t->file.p);
    return err_set(err, EINVAL,
                   "%s/%s: upcast gap: from version %u to version %u, with no schema of what is in between, upcast[%u] "
                   "is missing: add it to %s, or the schema to schemas/%s/",
                   t->name.p, e->name.p, from, to, missing, t->file.p, t->name.p);
}

static int link_check(const struct domain_type *t, const struct domain_event *e, const struct domain_link *older,
                      const struct domain_link *newer, struct err *err) {
    uint32_t missing = upcast_missing(e, older->version, newer->version);
    if (missing == newer->version)
        return 0;
    if (older->version == 0 || newer->version > older->version + 1 || !older->tree || !newer->tree)
        return gap_fault(t, e, older->version, newer->version, missing, err);
    struct err why = {0};
    int r = compat_check(older->tree, newer->tree, &why);
    if (r == COMPAT_UNPROVEN && !e->compatible)
        return err_set(err, EINVAL,
                       "%s/%s: version %u cannot be proven compatible with version %u (%s): add upcast[%u] to %s, or "
                       "compatible = true with a reason",
                       t->name.p, e->name.p, newer->version, older->version, why.text, older->version, t->file.p);
    return r < 0 ? err_set(err, -r, "%s/%s: out of memory", t->name.p, e->name.p) : 0;
}

static int newest_fault(const struct domain_type *t, const struct domain_event *e, uint32_t last, struct err *err) {
    if (!e->version)
        return err_set(err, EINVAL,
                       "%s/%s: version %u of its schema is known, and %s names none: versions never go back", t->name.p,
                       e->name.p, last, t->file.p);
    return err_set(err, EINVAL,
                   "%s/%s: version %u of its schema is known, and %s names version %u: versions never go back",
                   t->name.p, e->name.p, last, t->file.p, e->version);
}

int domain_chain_check(const struct domain_type *t, const struct domain_event *e, const struct domain_link *links,
                       size_t n, struct err *err) {
    if (e->retired || n == 0)
        return 0;
    if (links[n - 1].version > e->version)
        return newest_fault(t, e, links[n - 1].version, err);
    for (size_t i = 1; i < n; i++) {
        int r = link_check(t, e, &links[i - 1], &links[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}
