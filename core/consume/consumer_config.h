/* The config of a consumer, and which events it selects. Configs are immutable and shared by references. */
#ifndef ESFS_CONSUMER_CONFIG_H
#define ESFS_CONSUMER_CONFIG_H

#include "arena.h"
#include "err.h"
#include "event.h"
#include "index.h"
#include "json.h"

#include <stdatomic.h>

struct consumer_config_event {
    struct str type; /* of aggregates; empty: any */
    struct str event;
};

struct consumer_config {
    atomic_uint references;
    struct arena arena; /* of what follows */
    bool group;
    struct str from;         /* "start", "end", or a position */
    const struct str *types; /* of aggregates, sorted; none: all */
    size_t n_types;
    const struct consumer_config_event *events; /* sorted by event and type; none: all */
    size_t n_events;
    struct str text; /* as config.json shows it, without a newline; JSON_PADDING readable bytes follow */
};

/* Reads a JSON object, which JSON_PADDING readable bytes follow. `from` (may be NULL) is what it begins from when the
 * object does not say. 0, -EINVAL in words, -ENOMEM. */
int consumer_config_read(struct consumer_config **out, struct json_parser *parser, struct str json,
                         const struct consumer_config *from, struct err *err);
struct consumer_config *consumer_config_ref(struct consumer_config *c);
void consumer_config_unref(struct consumer_config *c); /* NULL is fine */

bool consumer_config_has_type(const struct consumer_config *c, struct str type); /* as far as `types` says */

/* Calls `visit` with each aggregate type that its events can be of; once with an empty name when that is any. Stops at
 * the first false and gives that. */
typedef bool consumer_config_visit(void *arg, struct str type);
bool consumer_config_each_type(const struct consumer_config *c, consumer_config_visit *visit, void *arg);

/* A config that events are asked about; remembers what it found out about types. One thread at a time. */
struct selection {
    struct consumer_config *config; /* a reference */
    uint8_t *types;                 /* by type number: a verdict */
    size_t n;
};
void selection_init(struct selection *s, struct consumer_config *config);
void selection_deinit(struct selection *s);
/* The event's aggregate_type need not be there. */
bool selection_has(struct selection *s, struct index *ix, const struct event *e);

#endif
