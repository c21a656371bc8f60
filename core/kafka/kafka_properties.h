/* librdkafka's properties: of a file, and ours. */
#ifndef ESFS_KAFKA_PROPERTIES_H
#define ESFS_KAFKA_PROPERTIES_H

#include "arena.h"
#include "err.h"

#include <stddef.h>

struct kafka_property {
    const char *name, *value;
};

struct kafka_properties { /* zero-initialise to start; a later one of the same name counts */
    struct arena arena;
    struct kafka_property *list;
    size_t n, cap;
};

/* Both are copied. 0 or -ENOMEM. */
int kafka_properties_put(struct kafka_properties *p, const char *name, const char *value);
/* Adds those of a file: name=value lines, white space around either does not count, lines that begin with `#` are
 * passed over. 0; or a negative errno in words, which never hold a value: -EINVAL also for properties that would lose
 * or reorder messages. */
int kafka_properties_read(struct kafka_properties *p, const char *path, struct err *err);
/* NULL when it is not there. Asks for other names of the same property, too. */
const char *kafka_properties_find(const struct kafka_properties *p, const char *name);
void kafka_properties_free(struct kafka_properties *p);

#endif
