/* Commands as they come in: from the bytes of a write to checked structures. Shape only: what needs the store
 * (permission, ids, versions, decisions) is the sequencer's. Stateless and safe in many threads at once. */
#ifndef ESFS_COMMAND_H
#define ESFS_COMMAND_H

#include "arena.h"
#include "digest.h"
#include "json.h"
#include "outcome.h"
#include "str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct domain;
struct domain_type;
struct domain_command;
struct refusal;

/* Where the `commands` file stands that was written to. Names are empty above their level. */
struct scope {
    struct str type; /* aggregate type; empty at the root */
    struct str id;   /* aggregate id; empty at the root and at a type */
};

enum expect { EXPECT_ANY, EXPECT_VERSION, EXPECT_NONE, EXPECT_EXISTS };

struct command {
    struct str aggregate_type, aggregate_id;                /* from `aggregate` or the scope */
    struct str type;                                        /* empty: a member of a transaction that only checks */
    struct str data;                                        /* minified object, "{}" by default */
    struct str id, correlationid, causationid, traceparent; /* empty when not given */
    struct str meta; /* as events show it: `,"tenant":"acme"` for each member, or empty */
    enum expect expect;
    uint64_t version;                /* EXPECT_VERSION: the version the aggregate must be at */
    uint8_t content[DIGEST_CONTENT]; /* set when id is given */

    /* with a domain, once it was admitted (admit.h) */
    const struct domain_type *domain_type;
    const struct domain_command *definition;
    const struct json_value *tree; /* of data */
};

/* One value of the stream: a command, or a transaction of several. */
struct request {
    struct command *commands;
    size_t n_commands;
    bool transaction;
    const struct domain *domain;   /* that admitted or refused it; NULL: nobody asked */
    const struct refusal *refusal; /* why it was refused, or NULL */
};

/* Why a value was refused. */
struct refusal {
    enum outcome outcome;
    size_t index; /* which command of a transaction, from 0 */
    bool has_index;
    struct str aggregate; /* "order/1001" when known, or empty; lives as long as the request's memory */
    char detail[256];     /* one line for a person, valid UTF-8 */
};

/* Says why; gives the outcome back. */
enum outcome refusal_set(struct refusal *refusal, enum outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Parses one complete value (found by json_scan, followed by JSON_PADDING readable bytes). Everything in *out
 * lives in the arena, or in `scope`, which must outlive it.
 * Returns OUTCOME_OK; OUTCOME_MALFORMED or OUTCOME_INVALID with *refusal filled; or -ENOMEM. */
int command_parse(struct json_parser *parser, const struct scope *scope, struct str text, struct arena *arena,
                  struct request *out, struct refusal *refusal);

#endif
