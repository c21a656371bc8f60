/* Reading and writing config.json. */
#include "consumers_private.h"

#include <errno.h>
#include <inttypes.h>

int consumers_config(struct consumers *cs, uint32_t no, struct buf *out) {
    struct consumer *c = consumer_of(cs, no);
    if (!c)
        return CONSUMER_NONE;
    pthread_mutex_lock(&c->lock);
    buf_put_str(out, c->config->text);
    pthread_mutex_unlock(&c->lock);
    buf_put_char(out, '\n');
    consumer_unref(c);
    return out->oom ? -ENOMEM : 0;
}

/* Where a consumer with this `from` begins. */
static int from_position(const struct consumer *c, struct str from, uint64_t *out, struct err *err) {
    uint64_t head = feed_position(&c->all->store->feed);
    *out = 0;
    if (str_eq(from, STR("end")))
        *out = head;
    else if (event_position_read(from, out) && *out > head)
        return err_set(err, EINVAL, "`from`: the log ends at position %016" PRIx64, head);
    return 0;
}

/* With the lock held. */
static int configure(struct consumer *c, struct consumer_config *config, uint64_t *ticket, struct err *err) {
    bool moves = !str_eq(config->from, c->config->from);
    uint64_t cursor;
    if (c->followers)
        return err_set(err, EBUSY, "`follow` is open: the config changes when nobody follows");
    if (moves && c->acked)
        return err_set(err, EBUSY, "`from` counts until the first position is acknowledged; `seek` moves the cursor");
    int r = from_position(c, config->from, &cursor, err);
    if (r < 0)
        return r;
    consumer_config_unref(c->config);
    c->config = consumer_config_ref(config);
    c->time = store_now();
    if (moves)
        c->cursor = c->given = cursor;
    consumer_forget_gaps(c);
    commits_begin(&c->all->commits);
    if (moves)
        consumer_done_forget(c, UINT64_MAX);
    consumer_put_definition(c);
    consumer_put_cursor(c);
    *ticket = commits_end(&c->all->commits);
    return 0;
}

static int config_parse(struct consumer *c, struct str json, struct consumer_config **out, struct err *err) {
    struct json_parser *parser = store_parser_take(c->all->store);
    if (!parser)
        return -ENOMEM;
    pthread_mutex_lock(&c->lock);
    struct consumer_config *before = consumer_config_ref(c->config);
    pthread_mutex_unlock(&c->lock);
    int r = consumer_config_read(out, parser, json, before, err);
    consumer_config_unref(before);
    store_parser_give(c->all->store, parser);
    return r;
}

static int event_check(const struct domain *d, const struct consumer_config *config,
                       const struct consumer_config_event *e, struct err *err) {
    if (e->type.n && !consumer_config_has_type(config, e->type))
        return err_set(err, EINVAL, "`types` leaves out the type %.*s of %.*s/%.*s", (int)e->type.n, e->type.p,
                       (int)e->type.n, e->type.p, (int)e->event.n, e->event.p);
    if (!d)
        return 0;
    return e->type.n ? domain_names_check(d, e->type, e->event, err)
                     : domain_event_check(d, config->types, config->n_types, e->event, err);
}

/* A name that the domain does not have would choose nothing, for ever, and so would an event of a type left out. What
 * is stored is not asked again: it stays when a reload takes a type away. */
static int names_check(struct consumer *c, const struct consumer_config *config, struct err *err) {
    struct domain *d = store_domain(c->all->store);
    struct err why = {0};
    const char *member = "types";
    int r = 0;
    for (size_t i = 0; d && r == 0 && i < config->n_types; i++)
        r = domain_names_check(d, config->types[i], STR(""), &why);
    if (r == 0)
        member = "events";
    for (size_t i = 0; r == 0 && i < config->n_events; i++)
        r = event_check(d, config, &config->events[i], &why);
    domain_unref(d);
    return r < 0 ? err_set(err, -r, "`%s`: %s", member, why.text) : 0;
}

static int consumer_configure(struct consumer *c, struct str json) {
    struct err err = {0};
    struct consumer_config *config = NULL;
    uint64_t ticket = 0;
    int r = commits_allowed(&c->all->commits);
    if (r == 0)
        r = config_parse(c, json, &config, &err);
    if (r == 0)
        r = names_check(c, config, &err);
    if (r == 0) {
        pthread_mutex_lock(&c->lock);
        r = c->gone ? -ESTALE : configure(c, config, &ticket, &err);
        pthread_mutex_unlock(&c->lock);
    }
    consumer_config_unref(config);
    if (r == 0)
        return commits_reach(&c->all->commits, ticket);
    return err.code ? consumer_refuse(c, "config.json", &err) : r;
}

int consumers_configure(struct consumers *cs, uint32_t no, struct str json) {
    struct consumer *c = consumer_of(cs, no);
    int r = c ? consumer_configure(c, json) : CONSUMER_NONE;
    consumer_unref(c);
    return r;
}
