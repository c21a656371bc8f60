/* A domain at work without a store: what tests of domains run on (`esfsctl test`).
 *
 * A rehearsal is a world of aggregates in memory. Events are given to it as if they had been stored. Commands are
 * judged as the sequencer judges them (write/decide.c, write/handlers.c), in that order and in the same words: shape,
 * permission, id, version, decision, unique rules. What is accepted stays in the world; what is refused leaves nothing.
 * Views follow what happens there by the rules of those of a store (view/viewer.h), queries run as they do there
 * (query/query_run.h), and what would be published to Kafka is made of it by the publisher's rules
 * (kafka/kafka_rules.h). One thread. */
#ifndef ESFS_REHEARSAL_H
#define ESFS_REHEARSAL_H

#include "command.h"
#include "domain.h"
#include "identity.h"

#define REHEARSAL_BEGIN 1767225600000000ULL /* microseconds: the first event is of 2026-01-01T00:00:00Z */
#define REHEARSAL_NEWEST UINT32_MAX         /* the newest version of the event's schema */

struct rehearsal;

/* A reference of the domain is taken. 0, or a negative errno in words. */
int rehearsal_new(struct rehearsal **out, struct domain *d, struct err *err);
void rehearsal_free(struct rehearsal *r);               /* NULL is fine */
void rehearsal_clear(struct rehearsal *r);              /* nothing has happened */
uint64_t rehearsal_position(const struct rehearsal *r); /* of the last event; 0: none */

struct rehearsed_event {
    struct str aggregate; /* "order/1" */
    struct str type;
    struct str data; /* JSON */
    uint32_t schema; /* the version that it is of, 0 for none, or REHEARSAL_NEWEST */
    uint64_t time;   /* microseconds since 1970 UTC; 0: one after the event before */
    uint32_t uid;
};

/* Adds an event that was stored. It must be declared, fit the schema of its version, and be folded without a failure:
 * -EINVAL in words otherwise; -ENOMEM. Everything is copied. */
int rehearsal_give(struct rehearsal *r, const struct rehearsed_event *e, struct err *err);

struct rehearsal_caller {
    const struct identity *who; /* NULL: root, whom every list lets pass. The mount belongs to root and its group. */
    uint64_t time;              /* of the first command's first event; 0: one after the event before */
};

struct rehearsal_result {
    struct refusal refusal;               /* outcome OUTCOME_OK: it was accepted */
    struct script_fault fault;            /* of the handler that failed, for its traceback */
    const struct rehearsed_event *events; /* what was appended, until the next call */
    size_t n;
};

/* Judges a command, or a transaction, as it would be written to the root's `commands`. 0 or -ENOMEM. */
int rehearsal_send(struct rehearsal *r, struct str json, const struct rehearsal_caller *caller,
                   struct rehearsal_result *out);

/* The state of an aggregate, as JSON, appended. -EINVAL in words when it cannot have one; -ENOMEM. */
int rehearsal_state(struct rehearsal *r, struct str aggregate, struct buf *out, struct err *err);

/* All views take in what has happened since, and kafka.lua makes messages of it. -EINVAL in words when one of them
 * fails, with *fault for its traceback: on a mount its event would be parked, or it would halt. It takes in no more
 * until rehearsal_clear(). -ENOMEM. */
int rehearsal_follow(struct rehearsal *r, struct script_fault *fault, struct err *err);

/* What a view shows after rehearsal_follow(), as JSON, appended: of a projection what the file of a key does; of an
 * index what there is in a directory ("alice/placed", "" for its own), as `ls -p` lists it: an array of names, sorted
 * by their bytes, those of directories with a slash behind. -ENOENT in words when there is no such key or directory,
 * -EINVAL when there is no such view, or one has failed; -ENOMEM. */
int rehearsal_view(struct rehearsal *r, struct str view, struct str key, struct buf *out, struct err *err);

enum { REHEARSAL_REFUSED = 1 };
struct rehearsal_question {
    struct str query;
    struct str params; /* what is written to `call`: a JSON object; or with `file` the name of a result's file */
    bool file;
    const struct identity *who; /* NULL: root, whom every list lets pass */
};
/* Asks a query after rehearsal_follow(), as a reader of a mount does who finds nothing in the cache: the result as
 * JSON, appended. REHEARSAL_REFUSED: err->code is the errno that the reader gets, err->text why, *fault where a handler
 * has failed. -EINVAL in words when there is no such query, or a view has failed; -ENOMEM. */
int rehearsal_ask(struct rehearsal *r, const struct rehearsal_question *question, struct buf *out,
                  struct script_fault *fault, struct err *err);

/* A message for Kafka, in binary mode, and its topic where no option says another. Valid during the call. Not 0: no
 * more are wanted. */
struct kafka_message;
typedef int rehearsal_message(void *arg, const char *topic, const struct kafka_message *m);
/* What is published of the events behind a position, in their order: as kafka.lua says, or all as they are where the
 * domain has none. 0; what `each` gave when that is not 0; -EINVAL in words with *fault, as rehearsal_follow(); or
 * -ENOMEM in words. */
int rehearsal_publish(struct rehearsal *r, uint64_t behind, rehearsal_message *each, void *arg,
                      struct script_fault *fault, struct err *err);

#endif
