#include "result.h"

#include "event.h"
#include "name.h"
#include "text.h"

#include <inttypes.h>

#define EXCERPT_BYTES 256
#define EVENTS_SHOWN 20000 /* ids in a result; of more the count is told, or the line would not fit what is kept */

static void put_aggregate(struct buf *out, const struct command *c) {
    char name[2 * NAME_MAX_BYTES + 1];
    size_t n = c->aggregate_type.n;
    memcpy(name, c->aggregate_type.p, n);
    name[n++] = '/';
    memcpy(name + n, c->aggregate_id.p, c->aggregate_id.n);
    buf_put_text(out, "\"aggregate\":");
    buf_put_json_string(out, (struct str){name, n + c->aggregate_id.n});
}

static void put_id(struct buf *out, const struct command *c) {
    if (!c->id.n)
        return;
    buf_put_text(out, ",\"commandid\":");
    buf_put_json_string(out, c->id);
}

/* Times of one command's events follow each other by a microsecond; those of a duplicate are read from the log. */
static void put_events(struct buf *out, struct store *s, const struct job_result *r) {
    if (r->n_events > EVENTS_SHOWN) {
        buf_printf(out, ",\"event_count\":%" PRIu32, r->n_events);
        return;
    }
    buf_put_text(out, ",\"events\":[");
    for (uint32_t i = 0; i < r->n_events; i++) {
        char id[EVENT_ID_CHARS];
        uint64_t position = r->position - r->n_events + 1 + i, time = r->time - r->n_events + 1 + i;
        struct text_event stored;
        if (r->duplicate && text_stat_event(s, position, &stored) == 0)
            time = stored.time;
        event_id(store_id(s), position, time, id);
        buf_put_text(out, i ? ",\"" : "\"");
        buf_put(out, id, sizeof id);
        buf_put_char(out, '"');
    }
    buf_put_char(out, ']');
}

static void put_command(struct buf *out, struct store *s, const struct command *c, const struct job_result *r) {
    put_aggregate(out, c);
    if (r->known)
        buf_printf(out, ",\"version\":%" PRIu64, r->version);
    if (r->known && r->position)
        buf_printf(out, ",\"position\":\"%016" PRIx64 "\"", r->position);
    put_id(out, c);
    if (c->type.n && r->known)
        put_events(out, s, r);
    if (r->duplicate)
        buf_put_text(out, ",\"duplicate\":true");
}

void result_put(struct buf *out, struct store *s, const struct request *request, const struct job_result *results) {
    buf_put_text(out, "{\"status\":\"appended\",");
    if (!request->transaction) {
        put_command(out, s, &request->commands[0], &results[0]);
        buf_put_text(out, "}\n");
        return;
    }
    buf_put_text(out, "\"commands\":[");
    for (size_t i = 0; i < request->n_commands; i++) {
        buf_put_text(out, i ? ",{" : "{");
        put_command(out, s, &request->commands[i], &results[i]);
        buf_put_char(out, '}');
    }
    buf_put_text(out, "]}\n");
}

static void put_refusal(struct buf *out, const struct refusal *refusal, const struct command *command) {
    buf_printf(out, "\"error\":\"%s\",\"errno\":\"%s\",\"detail\":", outcome_word(refusal->outcome),
               outcome_errno_name(refusal->outcome));
    buf_put_json_string(out, str_of(refusal->detail));
    if (command) {
        buf_put_char(out, ',');
        put_aggregate(out, command);
        put_id(out, command);
    } else if (refusal->aggregate.n) {
        buf_put_text(out, ",\"aggregate\":");
        buf_put_json_string(out, refusal->aggregate);
    }
    if (refusal->has_index)
        buf_printf(out, ",\"index\":%zu", refusal->index);
}

void result_put_refusal(struct buf *out, const struct refusal *refusal, const struct command *command) {
    buf_printf(out, "{\"status\":\"%s\",", refusal->outcome == OUTCOME_UNKNOWN ? "unknown" : "rejected");
    put_refusal(out, refusal, command);
    buf_put_text(out, "}\n");
}

/* What was written, as far as a line may show it: its beginning, with `?` for bytes that JSON could not carry. */
static void put_excerpt(struct buf *out, struct str text) {
    char excerpt[EXCERPT_BYTES];
    size_t n = text.n < sizeof excerpt ? text.n : sizeof excerpt;
    memcpy(excerpt, text.p, n);
    while (n < text.n && n > 0 && ((uint8_t)text.p[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)excerpt[i] < 0x20)
            excerpt[i] = ' ';
    if (!name_is_plain_text((struct str){excerpt, n}))
        for (size_t i = 0; i < n; i++)
            if ((uint8_t)excerpt[i] >= 0x7f)
                excerpt[i] = '?';
    buf_put_json_string(out, (struct str){excerpt, n});
}

void result_put_rejection(struct buf *out, const struct refusal *refusal, const struct command *command,
                          const struct caller *caller, struct str text, uint64_t time) {
    char at[EVENT_TIME_CHARS];
    event_time(time, at);
    buf_put_text(out, "{\"time\":\"");
    buf_put(out, at, sizeof at);
    buf_printf(out, "\",\"uid\":%" PRIu32 ",\"pid\":%" PRId32 ",", caller->who.uid, caller->pid);
    put_refusal(out, refusal, command);
    if (command && command->type.n) {
        buf_put_text(out, ",\"type\":");
        buf_put_json_string(out, command->type);
    }
    buf_put_text(out, ",\"command\":");
    put_excerpt(out, text);
    buf_put_text(out, "}\n");
}
