/* The front door of the engine: a store is a directory that one process at a time has open.
 *
 *   store_open      locks the directory, checks its format, opens the log, catches up what is derived
 *   channel.h       commands in, results out (what an open `commands` file is)
 *   store_index     names, streams, sizes (index.h)
 *   text.h          the bytes of events, streams and logs
 *   folded.h        states and streams as the domain sees them
 *   journal.h       refusals and errors, the latest ones
 *
 * Everything here may be called from any thread until store_close(). */
#ifndef ESFS_STORE_H
#define ESFS_STORE_H

#include "buf.h"
#include "err.h"
#include "identity.h"
#include "index.h"
#include "journal.h"
#include "outcome.h"
#include "str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct store;
struct domain; /* domain.h */
struct kafka;  /* kafka.h */
struct kafka_options;

enum durability {
    DURABILITY_COMMIT, /* a write returns when it is on disk */
    DURABILITY_FSYNC,  /* fsync or close of the descriptor puts it there */
    DURABILITY_OS,     /* the kernel does when it likes; survives kill -9, not a power cut */
};

#define STORE_SNAPSHOT_EVERY 100
#define STORE_STATES_MAX (256 << 20)
#define STORE_MAX_COMMAND_DEFAULT (1 << 20)
#define STORE_MAX_COMMAND_LIMIT (64 << 20)

struct store_options {
    bool read_only;
    bool must_exist; /* do not make a store where there is none */
    enum durability durability;
    size_t max_command; /* bytes of one value; 0: the default */

    const char *domain;         /* directory of a domain; NULL: commands become events as they are */
    struct ownership ownership; /* whose mount it is: who may do what where no list says it */
    bool assert_format;         /* `format` in schemas is an assertion */
    uint32_t snapshot_every;    /* events of an aggregate between snapshots of its state; 0: the default */
    size_t states_max;          /* bytes of live states; 0: the default */

    const struct kafka_options *kafka; /* what is published to Kafka; NULL: nothing */

    /* Called with each line worth an operator's attention (no newline). May be NULL. From any thread. */
    void (*log)(void *arg, int priority, const char *line); /* priority as in syslog(3) */
    void *log_arg;
};

/* A new store is made in a missing or an empty directory. Errors, each in words: -EBUSY (another process has it,
 * with its pid), -ENOTDIR, -EMEDIUMTYPE (a directory that is something else), -EPROTONOSUPPORT (a format this
 * release does not know), -EUCLEAN (damage, with the place), -EROFS, -EIO. */
int store_open(struct store **out, const char *path, const struct store_options *options, struct err *err);
/* Finishes what was accepted, makes it durable and releases the directory. Every channel must have been closed.
 * 0; or -EIO when what was accepted could not be made durable, and then the process must end by _exit(2), because
 * RocksDB was left open (db.h). NULL is fine. */
int store_close(struct store *s);

struct index *store_index(struct store *s);
struct journal *store_rejections(struct store *s);
struct journal *store_errors(struct store *s);
const uint8_t *store_id(const struct store *s); /* 16 bytes */
bool store_read_only(struct store *s);          /* opened so, or fallen so after a failure */

/* Who asks: as the kernel tells when the descriptor is opened. */
struct caller {
    struct identity who; /* groups are borrowed for the call; a channel keeps a copy */
    int32_t pid;
};

/* mkdir and rmdir of types (id empty) and aggregates. `done` is called once, from another thread or before the
 * call returns; OUTCOME_OK comes when it is durable and visible. Outcomes: INVALID (no name or reserved), EXISTS,
 * NOT_FOUND, NOT_EMPTY, NO_ROOM, READ_ONLY, UNKNOWN. The names are copied. */
typedef void store_done(void *arg, enum outcome outcome);
void store_declare(struct store *s, struct str type, struct str id, const struct caller *caller, store_done *done,
                   void *arg);
void store_undeclare(struct store *s, struct str type, struct str id, const struct caller *caller, store_done *done,
                     void *arg);

/* Has a follower of the log ("views/by_customer": 1 to 256 bytes of plain text) pass over the event at a position, for
 * good. `done` and the name as above; OK also when it does so already. Outcomes: INVALID (no name), NOT_FOUND (no such
 * event), HANDLER_FAILED (the event cannot be read; the store's errors tell), NO_ROOM, READ_ONLY, UNKNOWN. */
void store_skip(struct store *s, struct str follower, uint64_t position, const struct caller *caller, store_done *done,
                void *arg);

/* The domain in force, to be given back with domain_unref(); NULL without one. */
struct domain *store_domain(struct store *s);
/* Loads the domain's directory anew and puts it in force: all of it, or nothing, and then what ran before goes on.
 * Commands are accepted meanwhile. Blocks as long as that takes; one at a time (-EBUSY). Errors as domain_load() and
 * registry_check(), also told in the store's errors; -ENOTSUP without a domain. */
int store_reload(struct store *s, struct err *err);
/* What takes long gives up: a reload under way fails with -ECANCELED. Before store_close(), by whoever waits for such.
 */
void store_stop(struct store *s);
/* Who may read streams, state, events and logs of a type; type_no 0: of every type. Without a domain: everybody who
 * gets here. */
bool store_may_read(struct store *s, uint32_t type_no, const struct identity *who);
/* The same of a type by its name, which need not be there (yet). */
bool store_may_read_type(struct store *s, struct str type, const struct identity *who);

/* The publisher; NULL: nothing is published, or the store is not written to. */
struct kafka *store_kafka(struct store *s);

/* Makes everything acknowledged so far durable (fsync of a `commands` file). Blocks. 0 or -EIO. */
int store_sync(struct store *s);

/* .esfs/status.json and .esfs/config.json, as they are now. 0 or -ENOMEM. */
int store_status(struct store *s, struct buf *out);
int store_config(struct store *s, struct buf *out);

/* The disk under the store. 0 or -errno. */
int store_statvfs(struct store *s, struct statvfs *out);

/* Puts a line in .esfs/errors.ndjson and in the log: what failed, while doing what. */
void store_report(struct store *s, const char *what, const struct err *err);

#endif
