/* What rehearsal*.c share. */
#ifndef ESFS_REHEARSAL_PRIVATE_H
#define ESFS_REHEARSAL_PRIVATE_H

#include "rehearsal.h"

#include "fold.h"
#include "kafka_rules.h"
#include "viewer.h"

#define REHEARSAL_KEEP (1 << 20) /* bytes of scratch memory */

extern const uint8_t rehearsal_store[16]; /* the id of the store that is not there */

/* An aggregate. */
struct member {
    const struct domain_type *type;
    uint64_t no;          /* from 1 */
    struct str id, name;  /* "1", "order/1" */
    struct event *events; /* as they were stored; to be freed */
    size_t n, cap;
    struct fold fold; /* of all events, if there is a state */
    bool folded;
    /* of the request that is being judged */
    bool touched;
    size_t n_before;
    struct str *before; /* values that were held, of each unique rule; p is NULL for none */
};

/* A command id that was used. */
struct used_id {
    const struct member *member;
    struct str id;
    uint8_t content[DIGEST_CONTENT];
};

/* An event, by its place in the world. */
struct happening {
    struct member *member;
    size_t i; /* of its events */
};

/* A key, which may have been removed since. */
struct shown_key {
    struct str key, name; /* itself and its file name */
    script_value state;   /* 0: there is no such key now */
    struct buf text;      /* of its file */
    bool touched;         /* by the event at hand */
};

/* The link to an aggregate. */
struct shown_link {
    uint64_t aggregate;
    struct str dir; /* "alice/placed", in which it is; p NULL: it is nowhere */
    struct str name;
};

struct rehearsed_view {
    struct viewer viewer;
    uint64_t position;         /* events that are in */
    struct err failed;         /* code set: it takes in no more, and why */
    struct script_fault fault; /* likewise */
    struct shown_key *keys;
    size_t n_keys, keys_cap;
    struct shown_link *links;
    size_t n_links, links_cap;
};

struct rehearsal {
    struct domain *domain;
    struct domain_vm *vm;
    struct folder *folder;
    struct json_parser *parser;
    struct arena world; /* everything that has happened */
    struct member **members;
    size_t n_members, members_cap;
    struct used_id *ids;
    size_t n_ids, ids_cap;
    uint64_t position, time; /* of the last event */
    struct happening *log;   /* by position, from 1 */
    size_t log_cap;
    struct rehearsed_view *views; /* by place in the domain's */
    struct kafka_rules *rules;    /* NULL: there is no kafka.lua */
    uint64_t published;           /* events that it has made messages of */

    /* of the request */
    struct arena arena;
    const struct rehearsal_caller *caller;
    struct identity who;
    struct rehearsal_result *result;
    struct member **touched;
    size_t n_touched, touched_cap;
    struct rehearsed_event *made;
    size_t n_made, made_cap;
};

/* The aggregate of a name like "order/1", which comes to be with being named. -EINVAL in words, -ENOMEM. */
int member_find(struct rehearsal *r, struct str name, struct member **out, struct err *err);
/* Makes its state current. 0, SCRIPT_FAILED, -ENOMEM. */
int member_fold(struct rehearsal *r, struct member *m, struct script_fault *fault);
/* The state that all of its events make. Likewise; nothing is left to be dropped after a failure. */
int member_replay(struct folder *f, const struct member *m, struct fold *out, struct script_fault *fault);
void member_forget(struct rehearsal *r, struct member *m); /* the state */
/* The next event, which the state has taken in. 0 or -ENOMEM. */
int member_append(struct rehearsal *r, struct member *m, const struct event *e);

int rehearsal_views_new(struct rehearsal *r); /* 0 or -ENOMEM */
void rehearsal_views_clear(struct rehearsal *r);
void rehearsal_views_free(struct rehearsal *r);

/* kafka.lua's part of rehearsal_follow(). */
int rehearsal_rules_follow(struct rehearsal *r, struct script_fault *fault, struct err *err);

/* There is no view, or whatever it is, of this name: -EINVAL in words. `all` are the n that the domain has, of `size`
 * bytes each, which begin with their names. */
int name_missing(const char *what, struct str name, const void *all, size_t size, size_t n, struct err *err);

int rehearsal_fault(int rc, const struct script_fault *fault, struct err *err); /* -EINVAL in words, or -ENOMEM */

#endif
