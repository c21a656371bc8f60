/* States that were rendered lately, so that a stat(2) and the read behind it fold once. Bounded; thread safe. */
#ifndef ESFS_RENDERS_H
#define ESFS_RENDERS_H

#include "buf.h"
#include "domain.h"

struct renders;

/* A state as of a version, under the handlers of a fold. */
struct render {
    uint8_t fold[DOMAIN_FOLD_HASH];
    uint64_t aggregate, version;
    uint64_t stream_bytes; /* of stream.ndjson up to that version */
};

struct renders *renders_new(void);    /* NULL when out of memory */
void renders_free(struct renders *r); /* NULL is fine */
/* True with stream_bytes, and the text appended when `out` is not NULL, when it is there. */
bool renders_get(struct renders *r, struct render *key, struct buf *out, uint64_t *size);
/* The text is copied; dropped when it is large or memory is short. */
void renders_put(struct renders *r, const struct render *render, struct str text);

#endif
