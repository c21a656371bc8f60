/* The words of a domain's tests: test, event, given, when, expect and others, for files of tests/ (README.md, "Testing
 * a domain"). They work on a rehearsal (core/rehearsal.h). */
#ifndef ESFS_CTL_TEST_WORDS_H
#define ESFS_CTL_TEST_WORDS_H

#include "domain.h"

struct words;

struct words_options {
    struct domain *domain;
    script_library *library; /* of require() */
    void *arg;
    bool colours;
};

/* A script for one file. 0, or a negative errno in words. */
int words_new(struct words **out, const struct words_options *options, struct err *err);
void words_free(struct words *w); /* NULL is fine */

/* Runs a file, whose tests are then known. 0, SCRIPT_FAILED with *fault, -ENOMEM. */
int words_load(struct words *w, const char *name, struct str text, struct script_fault *fault);
size_t words_count(const struct words *w);
const char *words_test(const struct words *w, size_t i); /* its name */

enum { WORDS_PASSED = 0, WORDS_FAILED = 1 };

/* Runs a test in an empty world. After WORDS_FAILED `report` has lines more: where, which test, why, and what differs.
 * -ENOMEM. */
int words_run(struct words *w, size_t i, struct buf *report);

#endif
