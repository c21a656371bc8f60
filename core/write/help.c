#include "help.h"

#include <inttypes.h>

static const char shape[] =
    "{\"accepts\":\"JSON values, one after the other: a command, or an array of them as a transaction\","
    "\"command\":{"
    "\"type\":\"name of the command, required\","
    "\"aggregate\":\"\\\"order/1001\\\", or \\\"1001\\\" below a type; required above an aggregate\","
    "\"data\":\"object, {} by default\","
    "\"id\":\"string of 1 to 256 bytes: makes the command idempotent\","
    "\"expectedVersion\":\"number of events so far, \\\"any\\\" (default), \\\"exists\\\" or \\\"none\\\"\","
    "\"correlationid\":\"string of 1 to 256 bytes\","
    "\"causationid\":\"string of 1 to 256 bytes\","
    "\"traceparent\":\"string of 1 to 256 bytes\","
    "\"meta\":\"object: names [a-z0-9]{1,20}, values strings, booleans or 32-bit integers\"},"
    "\"results\":\"one line of JSON a command, read from the descriptor that wrote it\"";

static void put_schema(const struct domain_type *t, const struct domain_command *c, struct buf *out) {
    struct buf path = {0};
    buf_printf(&path, "/schemas/%.*s/commands/%.*s/%" PRIu32 ".json", (int)t->name.n, t->name.p, (int)c->name.n,
               c->name.p, c->schema->version);
    buf_put_text(out, "\"schema\":");
    buf_put_json_string(out, buf_str(&path));
    out->oom |= path.oom;
    buf_free(&path);
}

static void put_commands(const struct domain_type *t, const struct ownership *owner, const struct identity *who,
                         struct buf *out) {
    const char *comma = "";
    buf_put_json_string(out, t->name);
    buf_put_text(out, ":{");
    for (size_t i = 0; i < t->n_commands; i++) {
        const struct domain_command *c = &t->commands[i];
        if (!allow_admits(&c->allow, who, owner))
            continue;
        buf_put_text(out, comma);
        buf_put_json_string(out, c->name);
        buf_put_text(out, ":{");
        if (c->schema)
            put_schema(t, c, out);
        buf_put_char(out, '}');
        comma = ",";
    }
    buf_put_char(out, '}');
}

void help_put(const struct domain *d, const struct ownership *owner, const struct identity *who,
              const struct scope *scope, struct buf *out) {
    const char *comma = "";
    buf_put_text(out, shape);
    if (d)
        buf_put_text(out, ",\"commands\":{");
    for (size_t i = 0; d && i < d->n_types; i++) {
        if (scope->type.n && !str_eq(scope->type, d->types[i].name))
            continue;
        buf_put_text(out, comma);
        put_commands(&d->types[i], owner, who, out);
        comma = ",";
    }
    buf_put_text(out, d ? "}}\n" : "}\n");
}
