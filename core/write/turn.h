/* One write to a channel under way: its text is what earlier writes left of an incomplete value, then its own bytes.
 *
 * The text is parsed into slices of requests. A full slice goes to the sequencer while the next is being parsed, so
 * that a large write is decided on one core while another reads on. The last slice that is answered ends the turn. */
#ifndef ESFS_TURN_H
#define ESFS_TURN_H

#include "arena.h"
#include "channel.h"
#include "job.h"
#include "json.h"

#include <stdatomic.h>

#define TURN_SLICE_BYTES (64 << 10)

struct turn;

/* Some requests, one behind the other, and where each lies in the text. */
struct slice {
    struct job job;
    struct slice *next;
    size_t *starts, *ends;
    size_t room;
};

struct turn {
    struct store *store;
    struct domain *domain; /* in force when it began; NULL without one */
    const struct scope *scope;
    struct arena arena;
    char *text;
    size_t text_room;
    size_t n, carried; /* bytes in all, and of earlier writes */
    struct slice *first, *last;
    size_t n_requests;     /* parsed so far */
    size_t rest;           /* where what follows the last complete value begins */
    struct json_scan scan; /* of that rest */
    struct refusal shape;  /* why parsing stopped, if it did: then it stopped at `rest` */
    struct job_group group;
    atomic_size_t awaited; /* slices that are not answered yet, and one while parsing goes on */
    void (*finish)(struct turn *t);
    struct channel *channel;
    channel_done *done;
    void *arg;
};

/* A turn over `carry` and then the bytes, both copied. NULL when out of memory. */
struct turn *turn_new(struct store *s, struct str carry, const char *bytes, size_t n);
void turn_free(struct turn *t);
/* For good; turn_free() keeps some for later. */
void turn_destroy(struct turn *t);

/* Parses complete values until the text ends, in the middle of one or not, or one is refused, and has them decided.
 * t->finish is called once when all is answered, possibly before this returns. `scan` is the state that the carried
 * bytes were left in. */
void turn_run(struct turn *t, struct json_parser *parser, const struct caller *caller, const struct json_scan *scan);

#endif
