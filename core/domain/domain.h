/* A domain: what a directory of Lua files and JSON schemas says about aggregates (design of the directory: README.md,
 * "A domain").
 *
 * domain_load() reads and checks everything; what it gives is immutable, counted by references, and shared by
 * threads. Its Lua functions live in vms (one thread at a time each), which are made from it as they are needed:
 * domain_vm_new(). Types, commands, events and rules are numbered by their place in the arrays below, which is the same
 * in every vm. */
#ifndef ESFS_DOMAIN_H
#define ESFS_DOMAIN_H

#include "allow.h"
#include "arena.h"
#include "digest.h"
#include "err.h"
#include "json.h"
#include "schema.h"
#include "script.h"

#define DOMAIN_FOLD_HASH 16

/* A version of a schema, of an event or a command. */
struct domain_schema {
    bool of_command;
    struct str type, name;         /* of the aggregate type, of the event or command */
    uint32_t version;              /* from 1 */
    struct str text;               /* the document, minified */
    const struct json_value *tree; /* of it */
    const struct schema *compiled;
};

struct domain_command {
    struct str name;
    const struct domain_schema *schema; /* NULL: anything */
    struct allow allow;
};

struct domain_event {
    struct str name;
    const struct domain_schema *schema; /* the newest; NULL: anything, version 0 */
    uint32_t version;                   /* of it */
    bool retired;                       /* stored ones are passed over; none may be emitted */
    bool evolves;                       /* has a handler */
    bool compatible;                    /* the author's word, with `reason`, where a proof fails */
    struct str reason;
    const uint32_t *upcasts; /* versions that have one, ascending: upcast[v] leads from v to v + 1 */
    size_t n_upcasts;
};

struct domain_rule {
    struct str name; /* of a `unique` rule */
};

struct domain_type {
    struct str name;
    struct str file;                /* "aggregates/order.lua" */
    uint8_t fold[DOMAIN_FOLD_HASH]; /* of the file, of every library it requires, and of this engine's rules of folding:
                                       states made under another one are not used */
    struct allow read;
    bool upcasts;                    /* some event has one */
    struct domain_command *commands; /* by name */
    struct domain_event *events;     /* by name */
    struct domain_rule *rules;       /* by name */
    size_t n_commands, n_events, n_rules;
};

/* A projection or an index over the log: views/<name>.lua. */
struct domain_view {
    struct str name;
    struct str file;                 /* "views/by_customer.lua" */
    uint8_t hash[DOMAIN_FOLD_HASH];  /* of the file, of every library it requires, of the files of the types it follows
                                        (`fold`, above), and of this engine's rules: what was made under another one is
                                        made anew */
    bool index;                      /* kind = "index": has `path`, and nothing of what a projection has */
    bool wants_state;                /* a handler takes the aggregate's state */
    const struct domain_type **from; /* which types it follows, by name; all of them where the file names none */
    size_t n_from;
    struct str *on; /* projection: which events have a handler, by name; "*" among them */
    size_t n_on;
    struct allow allow; /* who may read it */
};

/* queries/<name>.lua */
struct domain_query {
    struct str name;
    struct str file;
    uint8_t hash[DOMAIN_FOLD_HASH]; /* of every file of the domain: what was cached under another one is not used */
    struct str params; /* the schema of the parameters, minified JSON: of no parameters where the file has none */
    const struct json_value *tree; /* of it */
    const struct schema *compiled; /* of it */
    uint64_t ttl;                  /* ms; 0: no end */
    bool depends_on_ttl;           /* depends = "ttl": what it read is not looked at */
    bool per_caller;               /* cache = "per_caller" */
    struct allow allow;
};

/* kafka.lua: which events are published to Kafka, and as what. */
enum domain_kafka_how { DOMAIN_KAFKA_NOT, DOMAIN_KAFKA_AS_IT_IS, DOMAIN_KAFKA_MADE };
struct domain_kafka_on {
    struct str name; /* of an event, or "*" */
    enum domain_kafka_how how;
};
struct domain_kafka {
    struct str file;                 /* "kafka.lua" */
    uint8_t hash[DOMAIN_FOLD_HASH];  /* of the file and all that a view's hash is of: under another one the same events
                                        may become other messages */
    const struct domain_type **from; /* of which types, by name */
    size_t n_from;
    struct domain_kafka_on *on; /* by name; events that are not there are not published */
    size_t n_on;
};

struct domain {
    struct str directory;           /* as it was given */
    uint8_t hash[DIGEST_CHAIN];     /* of every file's name and bytes */
    struct domain_type *types;      /* by name */
    struct domain_schema **schemas; /* of the directory: by type, kind, name, version */
    size_t n_types, n_schemas;
    struct domain_view *views;    /* by name */
    struct domain_query *queries; /* by name */
    size_t n_views, n_queries;
    struct domain_kafka *kafka; /* NULL: there is no such file */
    /* what follows is for domain*.c */
    struct domain_private *own;
};

struct domain_options {
    bool assert_format;          /* `format` of schemas is an assertion */
    struct script_limits limits; /* of each handler's call */
};

/* Reads a directory. Every fault is found that does not need a store: syntax, unknown members, a schema that is missing
 * or is none, two files of one type, reserved names, upcasts for versions that make no sense, names of users. -EINVAL
 * with the file (and line) and the cause in words; -ENOENT, -EACCES, ... for what cannot be read; -ENOMEM. One
 * reference is the caller's. */
int domain_load(struct domain **out, const char *directory, const struct domain_options *options, struct err *err);
struct domain *domain_ref(struct domain *d);
void domain_unref(struct domain *d); /* NULL is fine */

/* NULL when there is none. */
const struct domain_type *domain_type(const struct domain *d, struct str name);
const struct domain_command *domain_command(const struct domain_type *t, struct str name);
const struct domain_event *domain_event(const struct domain_type *t, struct str name);
const struct domain_view *domain_view(const struct domain *d, struct str name);
const struct domain_query *domain_query(const struct domain *d, struct str name);
/* Whether a type is one of those that a view, or kafka.lua, is from. */
bool domain_follows(const struct domain_type *const *from, size_t n_from, const struct domain_type *t);
/* What is said of an event, by its type or by "*". NULL: nothing. */
const struct domain_kafka_on *domain_kafka_on(const struct domain_kafka *k, struct str event);
/* Whether there is any type: without one nothing can be made in a store. 0, or -EINVAL in words. */
int domain_types_check(const struct domain *d, struct err *err);
/* Whether the domain has a type, and the type an event (`event` empty: whichever). 0, or -EINVAL in words. */
int domain_names_check(const struct domain *d, struct str type, struct str event, struct err *err);
/* Whether one of these types (none: any of the domain) declares the event. 0, -ENOMEM, or -EINVAL in words. */
int domain_event_check(const struct domain *d, const struct str *types, size_t n_types, struct str event,
                       struct err *err);
const struct domain_schema *domain_schema(const struct domain *d, struct str type, bool of_command, struct str name,
                                          uint32_t version);

/* What a lint would say beyond what domain_load() refuses (files nobody reads, schemas without an event, events nobody
 * evolves, libraries nobody requires), a line each. 0 or -ENOMEM. */
int domain_lint(const struct domain *d, struct buf *out);

/* --- vms: the handlers of a domain in one Lua state */

struct domain_vm;

int domain_vm_new(struct domain_vm **out, struct domain *d, struct err *err); /* takes a reference of its own */
void domain_vm_free(struct domain_vm *vm);                                    /* NULL is fine */
/* One that is idle, or a new one; for readers, from any thread. Given back with domain_vm_give(). */
int domain_vm_take(struct domain *d, struct domain_vm **out, struct err *err);
void domain_vm_give(struct domain_vm *vm);
struct script *domain_vm_script(struct domain_vm *vm);
const struct domain *domain_vm_domain(const struct domain_vm *vm);

/* The functions; 0 where the domain has none. Borrowed. */
script_value domain_vm_initial(struct domain_vm *vm, const struct domain_type *t);
script_value domain_vm_decide(struct domain_vm *vm, const struct domain_type *t, const struct domain_command *c);
script_value domain_vm_evolve(struct domain_vm *vm, const struct domain_type *t, const struct domain_event *e);
script_value domain_vm_upcast(struct domain_vm *vm, const struct domain_type *t, const struct domain_event *e,
                              uint32_t version);
script_value domain_vm_rule(struct domain_vm *vm, const struct domain_type *t, const struct domain_rule *r);
enum domain_view_part { DOMAIN_VIEW_KEY, DOMAIN_VIEW_INIT, DOMAIN_VIEW_OUTPUT, DOMAIN_VIEW_PATH, DOMAIN_VIEW_PARTS };
script_value domain_vm_view(struct domain_vm *vm, const struct domain_view *v, enum domain_view_part part);
/* The handler of an event by its type; that of "*" when it has none of its own. */
script_value domain_vm_view_on(struct domain_vm *vm, const struct domain_view *v, struct str event);
script_value domain_vm_query_run(struct domain_vm *vm, const struct domain_query *q);
script_value domain_vm_query_post(struct domain_vm *vm, const struct domain_query *q);
script_value domain_vm_kafka_on(struct domain_vm *vm, const struct domain_kafka_on *on);

#endif
