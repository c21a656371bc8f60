/* The lines that tell what became of commands: results on the descriptor that wrote, rejections.ndjson. */
#ifndef ESFS_RESULT_H
#define ESFS_RESULT_H

#include "buf.h"
#include "job.h"
#include "store.h"

/* The result line of a request that was accepted. */
void result_put(struct buf *out, struct store *s, const struct request *request, const struct job_result *results);

/* The result line of one that was refused, or whose outcome is unknown. `command` may be NULL when nothing could be
 * read of it. */
void result_put_refusal(struct buf *out, const struct refusal *refusal, const struct command *command);

/* The line of rejections.ndjson; `text` is what was written. */
void result_put_rejection(struct buf *out, const struct refusal *refusal, const struct command *command,
                          const struct caller *caller, struct str text, uint64_t time);

#endif
