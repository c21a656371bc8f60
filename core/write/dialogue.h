/* What passes between the engine and a decider: what it is told of a command, and the check of what it emitted. For the
 * sequencer and for rehearsals alike. Trees and texts live in the arena that is given. */
#ifndef ESFS_DIALOGUE_H
#define ESFS_DIALOGUE_H

#include "command.h"
#include "fold.h"
#include "identity.h"

/* A tree of a copy of the text. 0, JSON_MALFORMED, -ENOMEM. */
int dialogue_tree(struct json_parser *parser, struct arena *arena, struct str text, const struct json_value **out);

/* Where a command is being decided. */
struct dialogue_place {
    struct str aggregate;    /* "order/1001" */
    uint64_t version;        /* of the aggregate before the command */
    uint64_t time;           /* that its first event gets */
    uint64_t position;       /* likewise */
    const uint8_t *store_id; /* 16 bytes */
};
/* 0 or -ENOMEM. */
int dialogue_tell(struct json_parser *parser, struct arena *arena, const struct command *c, const struct identity *who,
                  const struct dialogue_place *place, struct script_command *out);

/* Whether the domain knows an event and its data is as its schema says. 0; SCRIPT_FAILED with *fault; -ENOMEM. */
int dialogue_check(struct json_parser *parser, struct arena *arena, const struct domain_type *t,
                   const struct script_made *made, struct fresh_event *out, struct script_fault *fault);

/* A fault without a place is the definition file's. */
void dialogue_blame(const struct domain_type *t, struct script_fault *fault);
/* A fault in a line: "aggregates/order.lua:12: ...". */
#define DIALOGUE_WORDS 640
void dialogue_words(const struct script_fault *fault, char out[DIALOGUE_WORDS]);

#endif
