/* What a publisher is made of; for the files of core/kafka/ alone. */
#ifndef ESFS_KAFKA_PRIVATE_H
#define ESFS_KAFKA_PRIVATE_H

#include "clock.h"
#include "kafka.h"
#include "kafka_data.h"
#include "kafka_properties.h"
#include "kafka_reader.h"
#include "kafka_rules.h"
#include "kafka_settings.h"
#include "kafka_shelf.h"
#include "kafka_topic.h"
#include "kafka_window.h"
#include "store_parts.h"
#include "wire.h"

#define KAFKA_PENDING_MAX 100000          /* messages under way */
#define KAFKA_PENDING_BYTES (64ULL << 20) /* ... and about their bytes, or one message */
#define KAFKA_SAVE_MS 1000                /* between two writes of the cursor */

struct kafka_topic {
    struct kafka_topic *next;
    struct wire_topic *open;        /* of the wire there is; NULL: not yet */
    uint64_t acknowledged, refused; /* since the start; guarded by the lock */
    int64_t *ends;                  /* by partition: the highest offset that was acknowledged, and 1; 0: none was */
    size_t n_ends;
    char name[KAFKA_TOPIC_MAX + 1];
};

struct kafka_request {
    struct kafka_request *next;
    struct kafka *kafka;
    bool skipped; /* the log says that it is passed over; otherwise: to be sent again */
    uint64_t position;
    kafka_done *done;
    void *arg;
};

struct kafka_answer {
    kafka_done *done;
    void *arg;
    int result;
};

/* What keeps messages from arriving. */
struct kafka_trouble {
    struct err err;
    uint64_t count;       /* times since the last acknowledgement; 0: none */
    uint64_t since, last; /* microseconds since 1970 */
};

/* How far an event has been sent that has become several messages. They have its position and, but for the last one,
 * this bit: as one partition has all of them, those before it have arrived when the last one has. */
#define KAFKA_PART (1ULL << 63)
struct kafka_sending {
    uint64_t position, bytes;
    size_t n; /* messages */
};

struct kafka_figures {
    uint64_t cursor, acknowledged, wires;
    size_t pending;
    double rate;
    bool caught_up;       /* all that was in the log has been looked at */
    bool ruled;           /* by a kafka.lua, ... */
    uint64_t ruled_since; /* ... for what comes behind this position */
    struct kafka_trouble trouble;
    struct err halted; /* why nothing is sent any more */
};

struct kafka {
    struct store *store;
    struct kafka_options options;
    struct kafka_settings settings;
    struct kafka_properties properties;
    pthread_t thread;
    atomic_bool stopping, woken;

    /* the thread's own */
    struct wire *wire;  /* NULL: none at the moment */
    bool alone;         /* it sends each message in a batch of its own */
    bool refused;       /* something that it sent was */
    bool blocked;       /* nothing more can be sent before something is reported */
    uint64_t careful;   /* up to here messages go alone: they, or others beside them, were refused; 0: none */
    size_t doubted;     /* the same on the shelf: how many */
    bool too_large;     /* a batch was, and no message of it by itself so far */
    size_t batch_bytes; /* of batches now; 0: as the properties say, full_batch_bytes */
    size_t full_batch_bytes;
    unsigned failures;                 /* of wires in a row */
    uint64_t retry_at;                 /* ms: when the next wire is made */
    uint64_t ping_at;                  /* ms: when to ask whether the cluster is there */
    uint64_t told_at, refusal_told_at; /* ms: when trouble, a refusal, was told last; 0: never */
    bool told;                         /* trouble, since it began */
    uint64_t heard_at;                 /* ms: the last report, or that nothing was waited for */
    bool silent;                       /* the trouble is that nothing is heard */
    struct kafka_window window;
    struct kafka_reader reader;
    uint64_t next_skip; /* the next position that the log says to pass over; UINT64_MAX: none */
    uint64_t
        shelf_from;   /* more of the shelf may be free to be sent when the cursor has come here; 0: no more is there */
    bool shelf_moved; /* something on the shelf may have become free to be sent */
    size_t pending_bytes;
    struct kafka_topic **by_type; /* by number */
    size_t n_types;
    struct arena arena;
    struct json_parser *parser;
    struct kafka_rules *rules;                          /* NULL: there are none */
    struct kafka_change change;                         /* which rules are in force since when; saved with the cursor */
    struct kafka_sending window_sending, shelf_sending; /* begun and not ended */
    bool save_change;
    bool fresh;               /* nothing has been published before */
    uint64_t saved, saved_at; /* cursor that is durable; ms */
    bool save_settings;
    uint64_t rate_from, rate_at;
    struct kafka_answer *answers; /* to be given when what they say is durable */
    size_t n_answers, answers_cap;

    pthread_mutex_t lock; /* of what follows; the thread itself reads it without */
    pthread_cond_t changed;
    struct kafka_shelf shelf;
    struct kafka_topic *topics;
    struct kafka_figures figures;
    struct kafka_request *requests, **requests_end;
    size_t skips;                   /* on their way through the log */
    struct kafka_rules *next_rules; /* to be taken by the thread */
    bool rules_changed;
    bool ended; /* requests are not taken any more */
    bool begun; /* the thread knows whether it can */
    int begin_result;
    struct err begin_err;
};

/* --- kafka_status.c */
#define KAFKA_NOTE_ROOM 120
/* Whether what is published begins later than with the next event of a log that ends at `head`: in words. */
bool kafka_note_since(const struct kafka *k, uint64_t head, char out[KAFKA_NOTE_ROOM]);

/* --- publisher.c: the thread */
void *kafka_run(void *arg);
struct stream_source kafka_source(struct kafka *k);

/* --- kafka_send.c: messages and what becomes of them. The thread's. */
/* Those on the shelf that wait for nothing, in order: of each aggregate up to the first that was refused. */
void kafka_send_shelf(struct kafka *k);
/* The next ones of the log, as long as there is room; k->blocked says whether that is why it ended. */
void kafka_send_window(struct kafka *k);
void kafka_landed(void *k, void *topic, int32_t partition, int64_t offset);
void kafka_reported(void *k, void *topic, uint64_t position, enum wire_outcome outcome, const struct err *why);

/* --- kafka_keep.c: the cursor and the shelf, in memory and on disk. The thread's, but for kafka_load(). */
/* Reads what is there. 0 or a negative errno in words. */
int kafka_load(struct kafka *k, struct err *err);
/* Notes that other rules than before are in force from the cursor on, if they are others. */
void kafka_note_rules(struct kafka *k);
/* Makes durable what has changed, when that is due or `now`, and gives answers. */
void kafka_save(struct kafka *k, bool now);
/* Nothing is sent any more. */
void kafka_halt(struct kafka *k, const struct err *err);
/* Puts an event on the shelf: why it was refused, or NULL when it waits. 0; or -EDQUOT when there is no place. */
int kafka_park(struct kafka *k, const struct event *e, const struct err *why);
/* What was on the shelf is acknowledged, or passed over; result: for who waits for it. Or it was refused again. */
void kafka_unpark(struct kafka *k, struct kafka_parked *p, int result);
void kafka_refuse_again(struct kafka *k, struct kafka_parked *p, const struct err *why);
void kafka_answer(struct kafka *k, kafka_done *done, void *arg, int result);
void kafka_answer_all(struct kafka *k, int result); /* whoever waits for something on the shelf */
bool kafka_is_full(const struct kafka *k);

/* --- kafka_trouble.c: what is told of failures, and how often. The thread's. */
void kafka_troubled(void *k, const struct err *why);
void kafka_trouble_over(struct kafka *k);
void kafka_silence_note(struct kafka *k); /* to be called about once a second */
void kafka_trouble_tell(struct kafka *k);
void kafka_tell_loss(struct kafka *k, const struct err *why); /* of what had been acknowledged */
void kafka_tell_refusal(struct kafka *k, uint64_t position, const struct err *why);

#endif
