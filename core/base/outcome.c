#include "outcome.h"

#include <errno.h>

struct outcome_row {
    int code;
    const char *name, *word;
};

#define ROW(code, word)                                                                                                \
    { code, #code, word }

static const struct outcome_row outcome_rows[OUTCOME_COUNT] = {
    [OUTCOME_OK] = {0, "0", "ok"},
    [OUTCOME_MALFORMED] = ROW(EBADMSG, "malformed"),
    [OUTCOME_INVALID] = ROW(EINVAL, "invalid"),
    [OUTCOME_CONFLICT] = ROW(ESTALE, "conflict"),
    [OUTCOME_ID_REUSED] = ROW(EEXIST, "id_reused"),
    [OUTCOME_FORBIDDEN] = ROW(EACCES, "forbidden"),
    [OUTCOME_REJECTED] = ROW(EPERM, "rejected"),
    [OUTCOME_NOT_UNIQUE] = ROW(ENOTUNIQ, "not_unique"),
    [OUTCOME_HANDLER_FAILED] = ROW(EIO, "handler_failed"),
    [OUTCOME_TOO_LARGE] = ROW(EMSGSIZE, "too_large"),
    [OUTCOME_RATE_LIMITED] = ROW(EDQUOT, "rate_limited"),
    [OUTCOME_NO_ROOM] = ROW(ENOSPC, "no_room"),
    [OUTCOME_READ_ONLY] = ROW(EROFS, "read_only"),
    [OUTCOME_UNKNOWN] = ROW(EIO, "unknown"),
    [OUTCOME_NOT_FOUND] = ROW(ENOENT, "not_found"),
    [OUTCOME_EXISTS] = ROW(EEXIST, "exists"),
    [OUTCOME_NOT_EMPTY] = ROW(ENOTEMPTY, "not_empty"),
};

int outcome_errno(enum outcome o) {
    return outcome_rows[o].code;
}

const char *outcome_errno_name(enum outcome o) {
    return outcome_rows[o].name;
}

const char *outcome_word(enum outcome o) {
    return outcome_rows[o].word;
}
