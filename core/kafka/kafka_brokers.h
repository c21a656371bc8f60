/* A list of brokers as a person writes it. */
#ifndef ESFS_KAFKA_BROKERS_H
#define ESFS_KAFKA_BROKERS_H

#include "err.h"

/* HOST:PORT or [ADDRESS]:PORT, with commas between. 0; or -EINVAL in words that begin with `what` and the one that is
 * wrong. */
int kafka_brokers_check(const char *what, const char *list, struct err *err);

#endif
