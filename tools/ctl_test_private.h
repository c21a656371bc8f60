/* What ctl_test_words.c and the files of words share: ctl_test_given.c, ctl_test_when.c, ctl_test_expect.c,
 * ctl_test_view.c, ctl_test_query.c and ctl_test_publish.c. */
#ifndef ESFS_CTL_TEST_PRIVATE_H
#define ESFS_CTL_TEST_PRIVATE_H

#include "ctl_test_words.h"

#include "rehearsal.h"

struct test {
    char *name;
    script_value function;
};

struct words {
    struct script *s;
    struct domain *domain; /* borrowed */
    struct rehearsal *rehearsal;
    struct json_parser *parser;
    bool colours;
    struct test *tests;
    size_t n_tests, tests_cap;

    /* of the test that runs */
    bool running;
    struct arena arena;
    struct rehearsed_event *given; /* of the aggregate that the next `when` names */
    size_t n_given, given_cap;
    uint64_t before;      /* the last position before what the last `given` or `when` has added */
    bool sent;            /* there was a `when` */
    struct str aggregate; /* of the last one; p is NULL: it named none */
    struct rehearsal_result result;
    bool refused; /* the last `when` was, and no expectation has said so */
    bool checked; /* there was an expectation */
    bool failed;
    struct script_fault failure; /* the first one */
    struct buf details;          /* lines under it */
    struct buf scratch;
};

/* An event as a test writes it. */
struct reading {
    struct words *w;
    struct script_fault *fault;
    struct rehearsed_event event;
    bool plain; /* type and data alone */
};

/* Who sends a command or asks a query, as a test names him. Not to be moved once something was read. */
struct calling {
    struct identity who;
    bool given, gid_given;
    uint32_t gids[64];
};
enum { CALLING_OTHER = SCRIPT_REJECTED + 1 };

/* All of these give 0, SCRIPT_FAILED with the fault filled, or -ENOMEM. */

/* The test that runs fails with these words. SCRIPT_FAILED. */
int words_fail(struct words *w, struct script_fault *fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What a call of the script gave, as a failure of the test. */
int words_fail_rc(struct words *w, struct script_fault *fault, int rc);
/* The last command was refused; `instead`: what was expected of it, in words. */
int words_fail_refused(struct words *w, const char *instead, struct script_fault *fault);
/* Lines under the failure: what a handler was called by. */
void words_traceback(struct words *w, const struct script_fault *why);
/* The reason of a refusal must have these words in it. */
int words_reason(struct words *w, const char *reason, struct str wanted, struct script_fault *fault);
/* A refusal that no expectation has spoken of is a failure. */
int words_looked_at(struct words *w, struct script_fault *fault);
int words_in_test(struct words *w, const char *word, struct script_fault *fault);
/* An expectation begins; `needs_when`: it is of a command. */
int words_expecting(struct words *w, const char *word, bool needs_when, struct script_fault *fault);
/* What has happened is known: no refusal is unspoken of, and no given event waits for its aggregate. */
int words_settled(struct words *w, struct script_fault *fault);
/* The views take in what has happened. */
int words_follow(struct words *w, struct script_fault *fault);
/* Two JSON texts must be equal. */
int words_diff(struct words *w, struct str expected, struct str got, const char *what, struct script_fault *fault);
int words_json(struct words *w, script_value v, struct str *out, struct script_fault *fault);
int words_event(struct words *w, script_value v, struct reading *out, struct script_fault *fault);
/* Adds a stored event to the world. */
int words_give(struct words *w, struct str aggregate, const struct rehearsed_event *e, struct script_fault *fault);
/* Takes in uid, gid or gids; CALLING_OTHER when the key is none of these. */
int words_calling(struct words *w, struct calling *c, struct str key, script_value value, struct script_fault *fault);
/* Whom they make; NULL: nobody was named. Points into *c. */
const struct identity *calling_who(struct calling *c);
struct str words_text(struct words *w, script_value v); /* a copy; p is NULL when out of memory */
bool words_time(struct str text, uint64_t *out);        /* false when it is none */
bool words_is_uint32(struct words *w, script_value v);
bool words_is_empty(struct words *w, script_value v); /* a table without members */
/* A list has items and no gaps, and nothing else, which nobody would look at. */
int words_list(struct words *w, script_value list, const char *what, struct script_fault *fault);

script_native word_event, word_given, word_when, word_expect, word_expect_rejected, word_expect_error,
    word_expect_state, word_expect_view, word_expect_no_view, word_expect_query, word_expect_query_error,
    word_expect_published;

#endif
