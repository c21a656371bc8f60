/* How the publisher's cursor and what is parked are kept: keys and values of the `cursors` family (FORMAT.md,
 * "Cursors"). */
#ifndef ESFS_KAFKA_DATA_H
#define ESFS_KAFKA_DATA_H

#include "buf.h"
#include "db.h"
#include "domain.h"
#include "kafka_shelf.h"

struct kafka_meta {
    uint64_t position;   /* the cursor */
    struct str settings; /* kafka_settings.h; empty: any will do */
};

/* Since when which kafka.lua has been in force. */
struct kafka_change {
    uint64_t position;              /* the cursor then */
    uint64_t until;                 /* events up to here may have been sent under other ones as well */
    uint8_t hash[DOMAIN_FOLD_HASH]; /* kafka_rules_hash() */
};

#define KAFKA_KEY_META STR("km")
#define KAFKA_KEY_PARKED_BYTES 10
struct str kafka_key_parked(uint64_t position, char out[KAFKA_KEY_PARKED_BYTES]);
#define KAFKA_KEY_CHANGE_BYTES 10
struct str kafka_key_change(uint64_t position, char out[KAFKA_KEY_CHANGE_BYTES]);
void kafka_change_put(const struct kafka_change *c, struct buf *out);

void kafka_meta_put(const struct kafka_meta *m, struct buf *out);
int kafka_meta_get(struct str value, struct kafka_meta *out); /* 0 or -EUCLEAN */
void kafka_parked_put(const struct kafka_parked *p, struct buf *out);

/* What is there. 0, DB_NOT_FOUND, or a negative errno in words. The settings are in `text`. */
int kafka_meta_load(struct db *db, struct kafka_meta *out, struct buf *text, struct err *err);
/* The first and the last change; all zero when there was none: everything was published as it is. */
int kafka_changes_load(struct db *db, struct kafka_change *first, struct kafka_change *last, struct err *err);
/* The last position that is parked, 0 when there is none. */
int kafka_parked_last(struct db *db, uint64_t *out, struct err *err);
/* All that is parked, into an empty shelf. 0 or a negative errno in words. */
int kafka_parked_load(struct db *db, struct kafka_shelf *out, struct err *err);

#endif
