/* What a store is made of; for the parts of the engine that have several of its parts in hand: the files of core/
 * itself, channel.c, and what follows or queries the log. */
#ifndef ESFS_STORE_PARTS_H
#define ESFS_STORE_PARTS_H

#include "db.h"
#include "domain.h"
#include "feed.h"
#include "home.h"
#include "index.h"
#include "json.h"
#include "log.h"
#include "sequencer.h"
#include "store.h"

#include <pthread.h>
#include <stdatomic.h>

#define STORE_PARSERS 16
#define STORE_TURNS 8

struct turn;
struct views;
struct kafka;

struct store {
    struct store_options options;
    struct home *home;
    struct db *db;
    struct index *index;
    struct log *log;
    struct sequencer *sequencer;
    struct journal *rejections, *errors;
    struct feed feed;    /* tells followers that the log has grown */
    bool fed;            /* it has been made */
    uint64_t started;    /* microseconds since 1970 */
    char read_only[256]; /* why nothing may be written; empty when it may */

    pthread_mutex_t lock;                       /* of what follows */
    struct json_parser *parsers[STORE_PARSERS]; /* idle ones */
    size_t n_parsers;
    struct turn *turns[STORE_TURNS]; /* idle ones, for their memory */
    size_t n_turns;
    struct err failure;    /* why it fell read-only; code 0 while it has not */
    struct domain *domain; /* in force, or NULL */

    pthread_mutex_t adopting; /* held while a domain is being brought into force */
    atomic_bool stopping;     /* whoever is at it should give up */
    struct renders *renders;  /* folded.c: what was rendered lately */
    struct views *views;      /* NULL without a domain */
    struct queries *queries;  /* NULL without a domain */
    struct consumers *consumers;
    struct kafka *kafka; /* the publisher; NULL: there is none */
};

/* Loads the domain's directory and brings it into force; see store_reload(). */
int store_adopt(struct store *s, struct err *err);

/* Tells of a handler that failed, in the store's errors and its log. `what` is what was being done ("decide"). */
struct handler_failure;
void store_report_handler(struct store *s, const struct handler_failure *failure);
void store_tell(struct store *s, int priority, const char *line);
/* store_report() for the store's errors alone: what somebody did wrong is nothing to the operator. */
void store_note(struct store *s, const char *what, const char *words);

/* A parser for the calling thread, for a while. NULL when out of memory. */
struct json_parser *store_parser_take(struct store *s);
void store_parser_give(struct store *s, struct json_parser *p);

/* Free space below which commands are refused. */
uint64_t store_reserve_bytes(const struct store *s);
/* Whether the disk has more than that; also when it does not say. */
bool store_has_room(struct store *s);

/* Microseconds since 1970 UTC. */
uint64_t store_now(void);

#endif
