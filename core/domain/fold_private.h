/* What upcast.c and fold.c share, and followers that fold and look at the event at once. */
#ifndef ESFS_FOLD_PRIVATE_H
#define ESFS_FOLD_PRIVATE_H

#include "fold.h"

struct folder {
    struct domain_vm *vm;
    struct folder_options options;
    struct json_parser *parser;
    struct arena arena;
};

/* Fills in what went wrong outside of Lua; gives `code` back, or SCRIPT_FAILED for 0. */
int fold_fault(struct script_fault *fault, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A tree in the folder's arena, of a copy of the text. 0, SCRIPT_FAILED, -ENOMEM. */
int fold_parse(struct folder *f, struct str text, const struct json_value **out, struct script_fault *fault);
/* What handlers are told of an event; in the folder's arena. 0 or -ENOMEM. */
int fold_told(struct folder *f, const struct event *e, const struct fresh_event *fresh, struct script_event *out,
              struct script_fault *fault);
/* Takes in an event that handlers are told of in these words; version and position are the caller's to set. */
int fold_evolve(struct folder *f, const struct domain_type *t, struct fold *fold, const struct fresh_event *fresh,
                const struct script_event *told, struct script_fault *fault);

#endif
