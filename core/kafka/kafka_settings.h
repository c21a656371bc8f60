/* What is published, where to and how: what a mount's options say, and what is stored beside the cursor so that a
 * publisher does not go on in another way without being told to. */
#ifndef ESFS_KAFKA_SETTINGS_H
#define ESFS_KAFKA_SETTINGS_H

#include "err.h"
#include "event.h"

#include <stdbool.h>

struct kafka_options; /* kafka.h */

struct kafka_filter {
    struct str type, event; /* event empty: all of the type */
};

struct kafka_settings {
    char *text; /* all of it, a line each, the same for the same settings */
    char *topic;
    bool structured;
    struct kafka_filter *filters; /* none: everything */
    size_t n_filters;
    uint64_t since_position, since_time; /* the first that is published; 0: not said */
    char *names;                         /* that the filters point into */
};

/* 0; -EINVAL in words, or -ENOMEM. Free it in any case. */
int kafka_settings_make(struct kafka_settings *out, const struct kafka_options *options, struct err *err);
/* The same from a text that kafka_settings_make() has made. */
int kafka_settings_read(struct kafka_settings *out, struct str text, struct err *err);
void kafka_settings_free(struct kafka_settings *s);

/* Whether an event, complete, is to be published. */
bool kafka_settings_want(const struct kafka_settings *s, const struct event *e);

#endif
