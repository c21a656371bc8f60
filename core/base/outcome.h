/* What became of a request that was understood: the closed list that callers handle.
 *
 * One table (outcome.c) says for each what the result line calls it, which errno a write(2) gets and how that
 * errno is spelled; fs/ answers with outcome_errno() and nothing else. */
#ifndef ESFS_OUTCOME_H
#define ESFS_OUTCOME_H

enum outcome {
    OUTCOME_OK = 0,
    OUTCOME_MALFORMED,      /* not JSON that may be a command, or cut off at close: EBADMSG */
    OUTCOME_INVALID,        /* JSON, but not a command: EINVAL */
    OUTCOME_CONFLICT,       /* expectedVersion does not hold: ESTALE */
    OUTCOME_ID_REUSED,      /* command id known with other content: EEXIST */
    OUTCOME_FORBIDDEN,      /* not allowed for this caller: EACCES */
    OUTCOME_REJECTED,       /* the domain said no: EPERM */
    OUTCOME_NOT_UNIQUE,     /* a unique rule is broken: ENOTUNIQ */
    OUTCOME_HANDLER_FAILED, /* a handler was too slow, too big or wrong: EIO */
    OUTCOME_TOO_LARGE,      /* over max_command: EMSGSIZE */
    OUTCOME_RATE_LIMITED,   /* EDQUOT */
    OUTCOME_NO_ROOM,        /* free space is below the reserve: ENOSPC */
    OUTCOME_READ_ONLY,      /* the store failed or was opened read-only: EROFS */
    OUTCOME_UNKNOWN,        /* the disk failed under this very commit; the command's id settles it: EIO */
    OUTCOME_NOT_FOUND,      /* ENOENT */
    OUTCOME_EXISTS,         /* mkdir of what is there: EEXIST */
    OUTCOME_NOT_EMPTY,      /* rmdir of an aggregate with events or a type with aggregates: ENOTEMPTY */
    OUTCOME_COUNT
};

int outcome_errno(enum outcome o);              /* positive errno, 0 for OUTCOME_OK */
const char *outcome_errno_name(enum outcome o); /* "ESTALE" */
const char *outcome_word(enum outcome o);       /* "conflict" */

#endif
