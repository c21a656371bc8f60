/* Which topic of Kafka a type's events go to. Pure functions. */
#ifndef ESFS_KAFKA_TOPIC_H
#define ESFS_KAFKA_TOPIC_H

#include "err.h"
#include "str.h"

#define KAFKA_TOPIC_DEFAULT "esfs.{type}"
#define KAFKA_TOPIC_MAX 249 /* bytes of a name, as Kafka has it */

/* A template is the name of a topic, in which {type} may stand once. 0, or -EINVAL in words. */
int kafka_topic_check(const char *template, struct err *err);

/* The topic of a type under a template that has been checked. Letters, digits and `_` of the type's name stay, `-` is
 * doubled, any other byte is `-` and two hexadecimal digits; when that is too long, its beginning, `-x` and a hash of
 * the name. So two types never share a topic, not even for those for whom `.` and `_` are the same. */
void kafka_topic_name(const char *template, struct str type, char out[KAFKA_TOPIC_MAX + 1]);

#endif
