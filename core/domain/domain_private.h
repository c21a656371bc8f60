/* What domain*.c and registry.c share. */
#ifndef ESFS_DOMAIN_PRIVATE_H
#define ESFS_DOMAIN_PRIVATE_H

#include "domain.h"

#include <pthread.h>
#include <stdatomic.h>

#define DOMAIN_FILE_BYTES (8u << 20)    /* of one file */
#define DOMAIN_TOTAL_BYTES (256u << 20) /* of all files together */
#define DOMAIN_FILES 10000              /* files, read or not */
#define DOMAIN_VERSION_MAX 999999999    /* of a schema */
#define DOMAIN_IDLE_VMS 4
#define DOMAIN_SHOWN 160

/* Changes when this engine folds the same events with the same handlers to another state. */
#define DOMAIN_FOLD_RULES "esfs fold 1"
/* Changes when this engine makes something else of the same view of the same events. */
#define DOMAIN_VIEW_RULES "esfs view 1"
/* Changes when this engine makes other messages of the same events with the same kafka.lua. */
#define DOMAIN_KAFKA_RULES "esfs kafka 1"

/* --- files */

enum domain_file_kind {
    DOMAIN_AGGREGATE,
    DOMAIN_LIBRARY,
    DOMAIN_EVENT_SCHEMA,
    DOMAIN_COMMAND_SCHEMA,
    DOMAIN_VIEW,
    DOMAIN_QUERY,
    DOMAIN_KAFKA,
};

struct domain_file {
    enum domain_file_kind kind;
    struct str path;       /* "schemas/order/OrderPlaced.2.json", a NUL behind it */
    struct str type, name; /* aggregate: type; library, view, query: name; schema: both */
    uint32_t version;      /* of a schema */
    struct str text;       /* JSON_PADDING readable bytes behind it */
    bool required;         /* a library that some definition asked for while it was loaded */
};

struct domain_files {
    struct domain_file *items; /* by path; to be freed */
    size_t n, cap;
    bool aggregates;   /* there is such a directory */
    struct buf unread; /* a line each for what was passed over; to be freed */
};

/* Reads aggregates/, lib/, schemas/, views/, queries/ and kafka.lua; texts and names live in the arena. Errors as
 * domain_load(). */
int domain_files_read(struct domain_files *out, const char *directory, struct arena *arena, struct err *err);
/* "order.lua" less ".lua". */
bool domain_name_has_end(const char *name, const char *end, struct str *stem);
/* A file that nobody reads and nobody would miss: README, LICENSE, anything.md. */
bool domain_is_for_people(const char *name);
struct domain_file *domain_file_find(const struct domain_files *files, enum domain_file_kind kind, struct str type,
                                     struct str name, uint32_t version);

/* Looks at the directory again: a line for each name at its top, and in tests/, that nobody reads, with the one that
 * was probably meant. 0 or -ENOMEM. */
int domain_unread_lint(const struct domain *d, struct buf *out);

/* --- the domain */

/* Where the handlers of a type are in a vm: initial, then decides, evolves, rules and upcasts. */
struct domain_layout {
    size_t initial, decide, evolve, rule;
    const size_t *upcast; /* of each event */
};

struct domain_private {
    atomic_uint references;
    struct arena arena;
    struct domain_files files;
    struct script_limits limits;
    bool assert_format;
    struct domain_file *
        *definitions; /* of each type, then of each view, then of each query, in their order, then kafka.lua */
    struct domain_layout *layouts; /* of each type */
    size_t *view_layouts;          /* of each view: its first handler; the parts come first, then `on` */
    size_t *query_layouts;         /* of each query: where `run` is; `post` comes next */
    size_t kafka_layout;           /* where `on` of kafka.lua is */
    size_t n_handlers;             /* of a vm */
    pthread_mutex_t mutex;
    struct domain_vm *idle[DOMAIN_IDLE_VMS]; /* these hold no reference */
    size_t n_idle;
};

/* Compiles the schemas of the directory into d->schemas. */
int domain_schemas_read(struct domain *d, const struct domain_options *options, struct err *err);
/* A document's tree and minified text, both in the arena. `document` has JSON_PADDING readable bytes behind it and
 * lives as long as the arena. `what` names it in faults. */
int domain_document_read(struct str document, const char *what, struct arena *arena, struct json_value *tree,
                         struct str *text, struct err *err);
/* The versions that the directory holds of an event or a command, ascending. */
struct domain_schema *const *domain_schemas_of(const struct domain *d, struct str type, bool of_command,
                                               struct str name, size_t *n);
int domain_schema_compare(const struct domain_schema *a, const struct domain_schema *b);

/* Reads what a definition file returned into d->types[i], whose name and file are set, and lays out its handlers. */
int domain_type_read(struct domain *d, size_t i, struct script *s, script_value table, struct err *err);

/* The same for d->views[i]; the types have been read. */
int domain_view_read(struct domain *d, size_t i, struct script *s, script_value table, struct err *err);
/* The same for d->queries[i]; d->hash is there. What it compiled is d's to free, also after a failure. */
int domain_query_read(struct domain *d, size_t i, struct script *s, script_value table, struct err *err);

/* The same for d->kafka, which is there. */
int domain_kafka_read(struct domain *d, struct script *s, script_value table, struct err *err);

/* A vm that holds no reference, with every definition loaded. `seen` (may be NULL) is called with each definition's
 * table as it comes; domain_vm_required() then tells. */
typedef int domain_vm_seen(void *arg, struct domain_vm *vm, struct script *s, size_t definition, script_value table,
                           struct err *err);
int domain_vm_make(struct domain_vm **out, struct domain *d, domain_vm_seen *seen, void *arg, struct err *err);
void domain_vm_destroy(struct domain_vm *vm);
/* Which libraries (by their place in the files) the definition loaded last has asked for. */
const bool *domain_vm_required(const struct domain_vm *vm);

/* --- members of tables */

/* -EINVAL in words for the first member that is none of the n names: it tells the nearest of them. */
int domain_members_check(struct script *s, script_value table, const char *const *names, size_t n, struct err *err);
/* The one of the names that was probably meant, or NULL. */
const char *domain_nearest(struct str key, const char *const *names, size_t n);
/* Likewise of n definitions of `size` bytes each, which begin with their names; also NULL when out of memory. */
const char *domain_near(struct str name, const void *all, size_t size, size_t n);
bool domain_is_table(struct script *s, script_value v);
/* For messages: bytes that are no plain text are escaped, and what is too long is cut. */
const char *domain_shown(struct str s, char out[DOMAIN_SHOWN]);
/* Bytes, then length. */
int domain_str_compare(struct str a, struct str b);
/* A copy with a NUL behind it. */
struct str domain_name_copy(struct arena *arena, struct str s);

/* --- reading a definition file */

struct reader {
    struct arena *arena;
    struct script *s;
    struct err *err;
    struct str file;           /* "aggregates/order.lua" */
    char at[2 * DOMAIN_SHOWN]; /* "commands.PlaceOrder", what is being read; "" for the table of the file */
};
/* -EINVAL: "<file>: <at>.<member>: <words>". */
int reader_fault(struct reader *r, const char *member, const char *format, ...) __attribute__((format(printf, 3, 4)));
int reader_memory(struct reader *r); /* -ENOMEM in words */
int reader_members(struct reader *r, script_value table, const char *const *names, size_t n);
/* The member, to be dropped, which must be of a kind when it is there; 0 when it is not. SCRIPT_OBJECT: any table.
 * `what` ends the fault "must be ...". */
int reader_member(struct reader *r, script_value table, const char *name, enum script_kind kind, const char *what,
                  script_value *out);
int reader_function(struct reader *r, script_value table, const char *name, bool *there);
int reader_boolean(struct reader *r, script_value table, const char *name, bool *out);
int reader_text(struct reader *r, script_value table, const char *name, struct str *out); /* p is NULL: not there */
int reader_allow(struct reader *r, script_value table, const char *name, struct allow *out);
size_t reader_count(struct reader *r, script_value table); /* of all members */
/* `from`: the types that are followed, by name, in the arena; all of them where the table names none. */
int reader_from(struct reader *r, const struct domain *d, script_value table, const struct domain_type ***from,
                size_t *n);
/* A fault, unless one of these types declares the event. */
int reader_event(struct reader *r, const struct domain_type *const *from, size_t n_from, struct str event);

/* --- versions of an event */

struct domain_link {
    uint32_t version;              /* 0: without a schema */
    const struct json_value *tree; /* NULL: nobody has it */
};

/* Whether each version leads to the next one, up to the newest. Links ascend by version. -EINVAL in words. */
int domain_chain_check(const struct domain_type *t, const struct domain_event *e, const struct domain_link *links,
                       size_t n, struct err *err);

#endif
