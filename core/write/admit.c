#include "admit.h"

#include "err.h"

#include <errno.h>

/* OUTCOME_OK, an outcome with the refusal filled, or -ENOMEM. */
static int check_data(struct json_parser *parser, struct arena *arena, struct command *c, struct refusal *refusal) {
    struct json_value *tree = arena_alloc(arena, sizeof *tree);
    struct schema_fault fault;
    const char *why;
    if (!tree)
        return -ENOMEM;
    *tree = (struct json_value){.kind = JSON_KIND_OBJECT, .raw = c->data};
    /* "{}" may be our own, without padding behind it */
    int r = c->data.n > 2 ? json_tree_read(parser, c->data, arena, tree, &why) : 0;
    if (r != 0)
        return r < 0 ? r : (int)refusal_set(refusal, OUTCOME_MALFORMED, "data: %s", why);
    c->tree = tree;
    if (!c->definition->schema)
        return OUTCOME_OK;
    r = schema_check(c->definition->schema->compiled, tree, &fault);
    if (r != SCHEMA_VIOLATED)
        return r;
    return (int)refusal_set(refusal, OUTCOME_INVALID, "data%s %s (%s)", fault.instance, fault.text, fault.keyword);
}

static int admit_command(const struct domain *d, const struct ownership *owner, const struct identity *who,
                         struct json_parser *parser, struct arena *arena, struct command *c, struct refusal *refusal) {
    c->domain_type = domain_type(d, c->aggregate_type);
    if (!c->domain_type)
        return (int)refusal_set(refusal, OUTCOME_INVALID, "the domain has no type \"%.*s\"", (int)c->aggregate_type.n,
                                c->aggregate_type.p);
    if (!c->type.n)
        return OUTCOME_OK;
    c->definition = domain_command(c->domain_type, c->type);
    if (!c->definition)
        return (int)refusal_set(refusal, OUTCOME_INVALID, "%.*s has no command \"%.*s\"", (int)c->aggregate_type.n,
                                c->aggregate_type.p, (int)c->type.n, c->type.p);
    if (!allow_admits(&c->definition->allow, who, owner))
        return (int)refusal_set(refusal, OUTCOME_FORBIDDEN, "uid %u may not send %.*s to %.*s", who->uid,
                                (int)c->type.n, c->type.p, (int)c->aggregate_type.n, c->aggregate_type.p);
    return check_data(parser, arena, c, refusal);
}

int admit_request(const struct domain *d, const struct ownership *owner, const struct identity *who,
                  struct json_parser *parser, struct arena *arena, struct request *request) {
    struct refusal *refusal = arena_alloc(arena, sizeof *refusal);
    if (!refusal)
        return -ENOMEM;
    *refusal = (struct refusal){.has_index = request->transaction};
    request->domain = d;
    request->refusal = NULL;
    for (size_t i = 0; i < request->n_commands; i++) {
        refusal->index = i;
        int r = admit_command(d, owner, who, parser, arena, &request->commands[i], refusal);
        if (r < 0)
            return r;
        if (r != OUTCOME_OK) {
            request->refusal = refusal;
            break;
        }
    }
    return 0;
}
