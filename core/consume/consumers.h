/* Consumers: whoever handles events outside and says when it is done with them. Each has a name, a config (which
 * events), a durable cursor ("everything up to here is done") and readers, which begin behind it.
 *
 * A reader is an open `follow` (waits for what comes) or `pending` (ends where the log ended when it was opened). Each
 * has a place of its own and is given every event, as a line of log.ndjson; or, in a group, the readers share the work:
 * an event goes to one of them, those of an aggregate to one at a time until it has acknowledged them, and what a
 * closed reader has not acknowledged goes to another. Events are given at least once: after a crash those behind the
 * cursor come again, in a group those of them that nobody has acknowledged.
 *
 * What is acknowledged is in the `cursors` family when the call returns, on disk if the store's durability is so; calls
 * that come together share a sync. A consumer without readers is a record; readers that wait share one thread.
 *
 * Everything here may be called from any thread until store_close(); every reader must have been closed before.
 * CONSUMER_NONE where there is no such thing. Negative errno: -EROFS (the store is read-only), -ENOSPC (below the
 * reserve), -EIO (the disk; the store is read-only from then on), -ENOMEM, and what each function says. Why something
 * was refused (-EINVAL, -EBUSY) is told in the store's errors. */
#ifndef ESFS_CONSUMERS_H
#define ESFS_CONSUMERS_H

#include "buf.h"
#include "name.h"
#include "store.h"
#include "str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct consumers;
struct reader;

enum { CONSUMER_NONE = 1 };

#define CONSUMERS_MAX 10000         /* that exist at a time */
#define CONSUMER_CONFIG_BYTES 65536 /* of a config */
#define CONSUMER_REASON_BYTES 4096  /* why an event is parked */
#define CONSUMER_PARKED_MAX 100000  /* events of a consumer that are parked or to be given again */
#define CONSUMER_WINDOW 65536 /* events that a group has in hand: given, or waiting for the reader of its aggregate */

/* Borrowed until store_close(). */
struct consumers *store_consumers(struct store *s);

/* --- which there are */

struct consumer_info {
    uint32_t no; /* from 1, not given again */
    bool group;
    uint8_t bytes;
    char name[NAME_MAX_BYTES];
    uint64_t time;   /* when it was made or its config changed, microseconds */
    uint64_t acked;  /* when the cursor was moved last, 0: never */
    uint64_t cursor; /* position up to which everything is done */
    uint64_t lag;    /* positions behind it, but those that are known not to concern the consumer, are parked or done
                      * with; and the events that are to be given again */
};
int consumers_find(struct consumers *cs, struct str name, struct consumer_info *out);
int consumers_get(struct consumers *cs, uint32_t no, struct consumer_info *out);
int consumers_after(struct consumers *cs, uint32_t no, struct consumer_info *out); /* the next one by number */

/* With the cursor at 0. -EINVAL (no name), -EEXIST, -EDQUOT (CONSUMERS_MAX). */
int consumers_make(struct consumers *cs, struct str name);
/* Its readers come to their end. -ENOTEMPTY while there are events that are parked or to be given again. */
int consumers_remove(struct consumers *cs, struct str name);

/* .status.json, appended. */
int consumers_status(struct consumers *cs, uint32_t no, struct buf *out);

/* config.json, appended: one line. */
int consumers_config(struct consumers *cs, uint32_t no, struct buf *out);
/* Replaces it by a JSON object, which JSON_PADDING readable bytes follow. -EINVAL, also for types and events that the
 * domain, if there is one, does not have; -EBUSY while there are readers that follow, or when `from` is another one and
 * the cursor was moved already. */
int consumers_configure(struct consumers *cs, uint32_t no, struct str json);

/* Tells in the store's errors why something that was written for a file of the consumer never came here. */
void consumers_tell(struct consumers *cs, struct str name, const char *file, const char *words);

/* --- reading */

enum reader_kind { READER_FOLLOW, READER_PENDING };

/* -EACCES when the caller may not read one of the types that the consumer's events can be of. */
int reader_open(struct reader **out, struct consumers *cs, uint32_t no, enum reader_kind kind,
                const struct caller *caller);
/* No call on it may be under way, and nobody may wait. In a group what it has in hand goes to others. NULL is fine. */
void reader_close(struct reader *r);
/* Whole lines, as many as there are and fit; one that does not fit alone is given in pieces. 0: the end (of `pending`;
 * or the consumer was removed); -EAGAIN: nothing at the moment, reader_wait() tells when; -ESHUTDOWN: the store stops;
 * -EIO: the log cannot be read there. Calls may run side by side. */
ssize_t reader_read(struct reader *r, char *out, size_t n);
/* Whether reader_read() would give something else than -EAGAIN, as far as can be told at once. In a group it takes an
 * event in hand. */
bool reader_ready(struct reader *r);

/* Somebody who waits for a reader: what he keeps of it, zeroed but for `wake`. */
struct reader_wait {
    TAILQ_ENTRY(reader_wait) link;
    struct reader *reader;
    bool waiting;
    /* Called once, in the consumers' own thread and never from within another call here, when it is worth while to call
     * reader_read(). Must not block. */
    void (*wake)(struct reader_wait *w);
};
/* After -EAGAIN. 0, or a negative errno: then nobody waits. */
int reader_wait(struct reader *r, struct reader_wait *w);
/* Gives it up. False when it has been called, or is about to be. */
bool reader_unwait(struct reader_wait *w);

/* --- acknowledging: positions as events show them (16 hexadecimal digits), white space between them */

/* The state of one descriptor that positions are written to; zeroed to begin with. One call at a time. A position may
 * be cut in two by the end of a write, but for the first one of a write. */
struct ack_text {
    char begun[32]; /* of a position whose end has not come */
    uint8_t n;
    int refused; /* negative errno of every write from now on: a part of what was refused had been taken */
};

/* Of a consumer that is no group: everything up to the position is done. Or `seek POSITION`, in a group too: the cursor
 * is there, and all readers begin again behind it. How many bytes are taken, in the order of writing and up to the
 * first position that is refused; it is refused when nothing before it is taken. -EINVAL: before the cursor, behind
 * what any reader was given since the cursor was set, or not a position; -ESTALE: the consumer was removed. */
ssize_t consumers_ack(struct consumers *cs, uint32_t no, struct ack_text *text, const char *bytes, size_t n);
/* In a group: events that this reader has in hand. The cursor is the position before the lowest one that anybody has
 * not acknowledged. -EINVAL for others. */
ssize_t reader_ack(struct reader *r, struct ack_text *text, const char *bytes, size_t n);
/* What close(2) can be told: -EBADMSG when the last position is incomplete. */
int ack_text_end(const struct ack_text *text);

/* --- parking: events that could not be handled. They are not given any more, and the cursor passes over them. Those
 * that are passed over for good are kept in mind as long as the consumer is there */

/* {"position":P,"reason":"..."}, which JSON_PADDING readable bytes follow: parks an event that a reader was given.
 * -EINVAL; -EDQUOT (CONSUMER_PARKED_MAX). */
int consumers_nack(struct consumers *cs, uint32_t no, struct str json, const struct caller *caller);

enum consumer_shelf {
    SHELF_PARKED,
    SHELF_RETRY,  /* to be given again, and not acknowledged since */
    SHELF_SKIPPED /* not given any more, also not after a `seek` */
};
struct consumer_parked {
    uint64_t position;
    uint64_t id; /* from 1 over all consumers, less than 1 << 56, not given again */
    uint32_t consumer;
    enum consumer_shelf shelf;
    uint64_t time; /* when it was parked, or passed over */
    uint32_t uid;  /* who did that */
};
/* Up to n of a shelf with positions above `after`, ascending. Returns how many, 0 at the end. */
int consumers_parked(struct consumers *cs, uint32_t no, enum consumer_shelf shelf, uint64_t after,
                     struct consumer_parked *out, size_t n);
int consumers_parked_at(struct consumers *cs, uint32_t no, uint64_t position, struct consumer_parked *out);
int consumers_parked_by_id(struct consumers *cs, uint64_t id, struct consumer_parked *out);
/* Time, uid, the reason why it was parked, and the event: one line of JSON, appended. */
int consumers_parked_text(struct consumers *cs, const struct consumer_parked *parked, struct buf *out);
/* Gives it again: to every reader, in a group to one of them, before anything else; until it is acknowledged by its
 * position, or parked again. */
int consumers_retry(struct consumers *cs, uint32_t no, uint64_t position);
/* Is done with it for good. CONSUMER_NONE also of what is that already. */
int consumers_skip(struct consumers *cs, uint32_t no, uint64_t position, const struct caller *caller);

#endif
