#include "query_refusals.h"

#include "buf.h"
#include "event.h"
#include "name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define SHOWN_BYTES 256 /* of what was asked; a file name is not longer */

void query_refusals_init(struct query_refusals *r) {
    *r = (struct query_refusals){0};
    pthread_mutex_init(&r->lock, NULL);
}

void query_refusals_deinit(struct query_refusals *r) {
    for (size_t i = 0; i < r->n; i++)
        journal_free(r->journals[i]);
    free(r->journals);
    pthread_mutex_destroy(&r->lock);
}

/* Under the lock; NULL when memory is short. */
static struct journal *journal_make(struct query_refusals *r, uint32_t query) {
    if (query >= r->n) {
        struct journal **journals = realloc(r->journals, (query + 1) * sizeof(struct journal *));
        if (!journals)
            return NULL;
        for (; r->n <= query; r->n++)
            journals[r->n] = NULL;
        r->journals = journals;
    }
    if (!r->journals[query])
        r->journals[query] = journal_new(QUERY_REFUSALS_BYTES);
    return r->journals[query];
}

struct journal *query_refusals_of(struct query_refusals *r, uint32_t query) {
    pthread_mutex_lock(&r->lock);
    struct journal *j = query < r->n ? r->journals[query] : NULL;
    pthread_mutex_unlock(&r->lock);
    return j;
}

/* --- a line */

static const char *errno_word(int code) {
    return code == EBADMSG ? "EBADMSG" : code == ENAMETOOLONG ? "ENAMETOOLONG" : "EINVAL";
}

/* What is no text cannot be shown as it was. */
static void put_asked(struct buf *line, struct str asked, bool json) {
    size_t n = asked.n < SHOWN_BYTES ? asked.n : SHOWN_BYTES;
    while (n > 0 && n < asked.n && ((uint8_t)asked.p[n] & 0xc0) == 0x80)
        n--;
    buf_put_text(line, json ? ",\"params\":" : ",\"name\":");
    if (name_is_utf8((struct str){asked.p, n}))
        buf_put_json_string(line, (struct str){asked.p, n});
    else
        buf_put_text(line, "null");
}

void query_refusals_add(struct query_refusals *r, uint32_t query, struct str asked, bool json,
                        const struct caller *caller, const struct err *why, uint64_t time) {
    char at[EVENT_TIME_CHARS];
    struct buf line = {0};
    event_time(time, at);
    buf_put_text(&line, "{\"time\":\"");
    buf_put(&line, at, sizeof at);
    buf_printf(&line, "\",\"uid\":%" PRIu32 ",\"pid\":%" PRId32 ",\"errno\":\"%s\",\"detail\":", caller->who.uid,
               caller->pid, errno_word(why->code));
    buf_put_json_string(&line, str_of(why->text));
    put_asked(&line, asked, json);
    buf_put_text(&line, "}\n");
    pthread_mutex_lock(&r->lock);
    struct journal *j = line.oom ? NULL : journal_make(r, query);
    pthread_mutex_unlock(&r->lock);
    if (j)
        journal_add(j, (struct str){NULL, 0}, buf_str(&line), time);
    buf_free(&line);
}
