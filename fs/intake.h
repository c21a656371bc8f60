/* JSON objects that are written to a file, one behind the other, in as many writes as it takes: each is judged when its
 * last byte has come.
 *
 * A write is answered with the bytes up to the first refused object; the next one, which begins with it, gets its
 * errno. When a part of a refused object was taken by an earlier write, every later write gets the same errno: the
 * kernel cuts a long write(2) in several and hides the errno of all but the first, so the retry must meet it again. One
 * descriptor's; one call at a time. */
#ifndef ESFS_INTAKE_H
#define ESFS_INTAKE_H

#include "buf.h"
#include "json.h"

#include <sys/types.h>

/* Zero-initialise to start. */
struct intake {
    struct buf begun;      /* of an object that is not complete */
    struct json_scan scan; /* of it */
    int refused;           /* negative errno of every write from now on */
};

/* Takes an object, which JSON_PADDING readable bytes follow. 0 or a negative errno. */
typedef int intake_take(void *arg, struct str object);

/* How many bytes are taken, or a negative errno: -EBADMSG (this cannot become an object), -EMSGSIZE (longer than
 * `max`), -ENOMEM, or what `take` says. */
ssize_t intake_write(struct intake *in, const char *bytes, size_t n, size_t max, intake_take *take, void *arg);
/* What close(2) can be told: -EBADMSG when the last object is incomplete. */
int intake_end(const struct intake *in);
void intake_free(struct intake *in);

#endif
