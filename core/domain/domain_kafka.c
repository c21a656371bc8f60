/* What kafka.lua says. */
#include "domain_private.h"

#include <stdio.h>

struct kafka_reading {
    struct reader in;
    struct domain_kafka *k;
};

static int how_read(struct kafka_reading *r, script_value value, enum domain_kafka_how *how) {
    enum script_kind kind = script_kind(r->in.s, value);
    if (kind == SCRIPT_FUNCTION)
        *how = DOMAIN_KAFKA_MADE;
    else if (kind == SCRIPT_BOOLEAN)
        *how = script_boolean(r->in.s, value) ? DOMAIN_KAFKA_AS_IT_IS : DOMAIN_KAFKA_NOT;
    else
        return reader_fault(&r->in, "", "must be true, false, or a function(data, e)");
    return 0;
}

static int on_visit(void *arg, struct str key, bool key_is_integer, script_value value) {
    struct kafka_reading *r = arg;
    struct domain_kafka *k = r->k;
    struct domain_kafka_on on;
    char shown[DOMAIN_SHOWN];
    snprintf(r->in.at, sizeof r->in.at, "on.%s", domain_shown(key, shown));
    if (key_is_integer)
        return reader_fault(&r->in, "", "a number is no name: write { OrderPlaced = true }");
    int rc = str_eq(key, STR("*")) ? 0 : reader_event(&r->in, k->from, k->n_from, key);
    if (rc == 0)
        rc = how_read(r, value, &on.how);
    if (rc < 0)
        return rc;
    on.name = domain_name_copy(r->in.arena, key);
    if (!on.name.p)
        return reader_memory(&r->in);
    k->on[k->n_on++] = on; /* they come by name */
    return 0;
}

static int on_read(struct kafka_reading *r, script_value table) {
    script_value on;
    int rc = reader_member(&r->in, table, "on", SCRIPT_OBJECT, "a table: { OrderPlaced = true }", &on);
    if (rc < 0)
        return rc;
    size_t n = on ? reader_count(&r->in, on) : 1;
    r->k->on = arena_alloc(r->in.arena, n * sizeof *r->k->on + 1);
    if (!r->k->on)
        rc = reader_memory(&r->in);
    else if (!n)
        rc = reader_fault(&r->in, "on", "is empty: nothing would be published");
    else if (on)
        rc = script_each(r->in.s, on, on_visit, r);
    else
        r->k->on[r->k->n_on++] = (struct domain_kafka_on){STR("*"), DOMAIN_KAFKA_AS_IT_IS};
    script_drop(r->in.s, on);
    r->in.at[0] = 0;
    return rc;
}

int domain_kafka_read(struct domain *d, struct script *s, script_value table, struct err *err) {
    static const char *const names[] = {"from", "on"};
    struct kafka_reading r = {.k = d->kafka};
    r.in = (struct reader){.arena = &d->own->arena, .s = s, .err = err, .file = d->kafka->file};
    int rc = reader_members(&r.in, table, names, sizeof names / sizeof *names);
    if (rc == 0)
        rc = reader_from(&r.in, d, table, &d->kafka->from, &d->kafka->n_from);
    if (rc == 0)
        rc = on_read(&r, table);
    d->own->kafka_layout = d->own->n_handlers;
    d->own->n_handlers += d->kafka->n_on;
    return rc;
}

const struct domain_kafka_on *domain_kafka_on(const struct domain_kafka *k, struct str event) {
    const struct domain_kafka_on *others = NULL;
    for (size_t i = 0; i < k->n_on; i++) {
        if (str_eq(k->on[i].name, event))
            return &k->on[i];
        if (str_eq(k->on[i].name, STR("*")))
            others = &k->on[i];
    }
    return others;
}
