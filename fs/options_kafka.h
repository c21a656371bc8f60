/* The options of the command line that begin with `kafka`. */
#ifndef ESFS_OPTIONS_KAFKA_H
#define ESFS_OPTIONS_KAFKA_H

#include "err.h"
#include "kafka.h"
#include "option.h"

struct options_kafka { /* zero-initialise to start */
    struct kafka_options engine;
    char *brokers, *config, *topic, *since; /* what it points to */
    char **filters;
    bool mode_given, flush_given;
};

/* One option, as NAME=VALUE. 0; OPTION_OTHER when it is not one of these; or a negative errno, in words for what a
 * person typed wrong. */
int options_kafka_read(struct options_kafka *o, const char *option, struct err *err);
/* When all were read: *out is NULL when nothing is to be published, otherwise valid until options_kafka_free(). 0 or
 * -EINVAL in words. */
int options_kafka_end(struct options_kafka *o, const struct kafka_options **out, struct err *err);
void options_kafka_free(struct options_kafka *o);

#endif
