/* What a store is made of; for store.c, channel.c, text.c and status.c alone. */
#ifndef ESFS_STORE_PARTS_H
#define ESFS_STORE_PARTS_H

#include "db.h"
#include "home.h"
#include "index.h"
#include "json.h"
#include "log.h"
#include "sequencer.h"
#include "store.h"

#include <pthread.h>

#define STORE_PARSERS 16
#define STORE_TURNS 8

struct turn;

struct store {
    struct store_options options;
    struct home *home;
    struct db *db;
    struct index *index;
    struct log *log;
    struct sequencer *sequencer;
    struct journal *rejections, *errors;
    uint64_t started;    /* microseconds since 1970 */
    char read_only[256]; /* why nothing may be written; empty when it may */

    pthread_mutex_t lock;                       /* of what follows */
    struct json_parser *parsers[STORE_PARSERS]; /* idle ones */
    size_t n_parsers;
    struct turn *turns[STORE_TURNS]; /* idle ones, for their memory */
    size_t n_turns;
    struct err failure; /* why it fell read-only; code 0 while it has not */
};

/* A parser for the calling thread, for a while. NULL when out of memory. */
struct json_parser *store_parser_take(struct store *s);
void store_parser_give(struct store *s, struct json_parser *p);

/* Free space below which commands are refused. */
uint64_t store_reserve_bytes(const struct store *s);

/* Microseconds since 1970 UTC. */
uint64_t store_now(void);

#endif
