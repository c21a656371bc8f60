/* The cursor and the shelf, and how they are made durable: always together, in one batch, so that the cursor never
 * passes an event that is neither acknowledged nor parked. */
#include "kafka_private.h"

#include "array.h"
#include "changes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

/* --- reading */

/* For a message: the lines side by side, without the last newline. */
static void one_line(struct str text, char *out, size_t size) {
    size_t n = text.n > 0 ? text.n - 1 : 0;
    if (n >= size)
        n = size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = text.p[i] == '\n' ? ' ' : text.p[i];
    out[n] = '\0';
}

static int settings_check(const struct kafka_settings *now, struct str before, struct err *err) {
    char texts[2][160];
    struct str text = str_of(now->text);
    if (!before.n || str_eq(before, text))
        return 0;
    one_line(before, texts[0], sizeof texts[0]);
    one_line(text, texts[1], sizeof texts[1]);
    return err_set(err, EEXIST,
                   "kafka: what is in Kafka was published with %s, and now it would be %s: `esfsctl kafka seek STORE "
                   "POSITION` says behind which position that begins",
                   texts[0], texts[1]);
}

static int cut_short(struct store *s, uint64_t position, struct err *err) {
    struct index_head head;
    index_head(s->index, &head);
    if (position <= head.position)
        return 0;
    return err_set(err, EUCLEAN,
                   "%s: the log was cut short: it ends at position %016" PRIx64
                   ", but Kafka was given events up to position %016" PRIx64,
                   home_path(s->home), head.position, position);
}

int kafka_check(struct store *store, struct err *err) {
    struct kafka_meta meta;
    struct buf text = {0};
    uint64_t parked;
    int r = kafka_meta_load(store->db, &meta, &text, err);
    buf_free(&text);
    if (r != 0)
        return r == DB_NOT_FOUND ? 0 : r;
    r = kafka_parked_last(store->db, &parked, err);
    return r < 0 ? r : cut_short(store, meta.position > parked ? meta.position : parked, err);
}

/* Those that the log says to pass over: a crash may have come between its record and the shelf's. */
static int drop_skipped(struct kafka *k) {
    int r = 0;
    for (size_t i = k->shelf.n; r == 0 && i-- > 0;)
        if (index_skip_find(k->store->index, STR(KAFKA_FOLLOWER), k->shelf.list[i].position) == 0)
            r = kafka_shelf_remove(&k->shelf, k->shelf.list[i].position);
    return r;
}

static void tell_rules(struct kafka *k) {
    char line[160];
    snprintf(line, sizeof line, "kafka: what comes behind position %016" PRIx64 " is published %s", k->change.position,
             k->rules ? "as the domain's kafka.lua says" : "as it is: the domain has no kafka.lua any more");
    store_tell(k->store, LOG_INFO, line);
}

int kafka_load(struct kafka *k, struct err *err) {
    struct kafka_meta meta = {0};
    struct buf text = {0};
    int r = kafka_meta_load(k->store->db, &meta, &text, err);
    if (r == 0) {
        r = settings_check(&k->settings, meta.settings, err);
        k->save_settings = meta.settings.n == 0;
    } else if (r == DB_NOT_FOUND) {
        k->save_settings = k->fresh = true;
        r = 0;
    }
    buf_free(&text);
    if (r == 0)
        r = kafka_parked_load(k->store->db, &k->shelf, err);
    if (r == 0 && (drop_skipped(k) < 0 || kafka_window_init(&k->window, meta.position) < 0))
        r = err_set(err, ENOMEM, "out of memory");
    struct kafka_change first;
    if (r == 0)
        r = kafka_changes_load(k->store->db, &first, &k->change, err);
    for (size_t i = 0; r == 0 && i < k->shelf.n; i++) /* those ahead of the cursor are not to be parked again */
        kafka_window_done(&k->window, k->shelf.list[i].position);
    k->saved = meta.position;
    k->figures.cursor = k->window.cursor;
    k->shelf_moved = k->shelf.n > 0;
    return r;
}

/* What another kafka.lua has made may be in Kafka as far as the window went; what comes behind, only of this one. */
void kafka_note_rules(struct kafka *k) {
    uint8_t hash[DOMAIN_FOLD_HASH];
    uint64_t cursor = k->window.cursor, head = feed_position(&k->store->feed);
    kafka_rules_hash(k->rules, hash);
    if (memcmp(hash, k->change.hash, sizeof hash) == 0)
        return;
    uint64_t until = k->fresh ? cursor : cursor + KAFKA_WINDOW < head ? cursor + KAFKA_WINDOW : head;
    k->change.position = cursor;
    k->change.until = until > k->change.until ? until : k->change.until;
    memcpy(k->change.hash, hash, sizeof hash);
    k->save_change = true;
    kafka_save(k, true);
    tell_rules(k);
}

/* --- writing */

static int put(struct changes *c, struct str key, const struct buf *value) {
    return value->oom ? -ENOMEM : changes_put(c, key, buf_str(value));
}

static int put_shelf(struct changes *c, const struct kafka_shelf *shelf) {
    char key[KAFKA_KEY_PARKED_BYTES];
    struct buf value = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < shelf->n_changed; i++) {
        const struct kafka_parked *p = kafka_shelf_find(shelf, shelf->changed[i]);
        kafka_key_parked(shelf->changed[i], key);
        buf_clear(&value);
        if (p)
            kafka_parked_put(p, &value);
        r = p ? put(c, (struct str){key, sizeof key}, &value) : changes_remove(c, (struct str){key, sizeof key});
    }
    buf_free(&value);
    return r;
}

static int put_meta(struct changes *c, const struct kafka *k) {
    const struct kafka_meta meta = {k->window.cursor, str_of(k->settings.text)};
    struct buf value = {0};
    kafka_meta_put(&meta, &value);
    int r = put(c, KAFKA_KEY_META, &value);
    buf_free(&value);
    return r;
}

static int put_change(struct changes *c, const struct kafka_change *change) {
    char key[KAFKA_KEY_CHANGE_BYTES];
    struct buf value = {0};
    kafka_change_put(change, &value);
    int r = put(c, kafka_key_change(change->position, key), &value);
    buf_free(&value);
    return r;
}

static int batch_write(struct kafka *k, struct err *err) {
    struct changes c = {.of = CHANGES_OF_CURSORS};
    int r = put_shelf(&c, &k->shelf);
    if (r == 0)
        r = put_meta(&c, k);
    if (r == 0 && k->save_change)
        r = put_change(&c, &k->change);
    if (r < 0)
        err_set(err, ENOMEM, "out of memory");
    if (r == 0) {
        r = db_write(k->store->db, c.list, c.n, false, err);
        if (r < 0)
            sequencer_fail(k->store->sequencer, err);
    }
    changes_free(&c);
    return r;
}

static void answers_give(struct kafka *k) {
    for (size_t i = 0; i < k->n_answers; i++)
        k->answers[i].done(k->answers[i].arg, k->answers[i].result);
    k->n_answers = 0;
}

/* The disk's reserve is for the log: the cursor waits until there is room. */
static void write_out(struct kafka *k) {
    struct err err = {0};
    if (store_read_only(k->store)) {
        err_set(&err, EROFS, "the store has become read-only");
        kafka_halt(k, &err);
    } else if (!k->figures.halted.code && store_has_room(k->store)) {
        if (batch_write(k, &err) < 0) {
            kafka_halt(k, &err);
            return;
        }
        k->saved = k->window.cursor;
        k->save_settings = k->save_change = false;
        k->shelf.n_changed = 0;
    }
    k->saved_at = clock_ms();
}

void kafka_save(struct kafka *k, bool now) {
    bool cursor = k->window.cursor != k->saved || k->save_settings || k->save_change;
    bool due = now || k->n_answers > 0 || clock_ms() - k->saved_at >= KAFKA_SAVE_MS;
    if (due && (cursor || k->shelf.n_changed > 0))
        write_out(k);
    answers_give(k);
}

void kafka_answer(struct kafka *k, kafka_done *done, void *arg, int result) {
    if (!done)
        return;
    if (ARRAY_ROOM(k->answers, k->n_answers, k->answers_cap))
        k->answers[k->n_answers++] = (struct kafka_answer){done, arg, result};
    else
        done(arg, result);
}

void kafka_answer_all(struct kafka *k, int result) {
    for (size_t i = 0; i < k->shelf.n; i++) {
        struct kafka_parked *p = &k->shelf.list[i];
        kafka_answer(k, p->done, p->arg, result);
        p->done = NULL;
    }
}

void kafka_halt(struct kafka *k, const struct err *err) {
    if (k->figures.halted.code)
        return;
    pthread_mutex_lock(&k->lock);
    k->figures.halted = *err;
    pthread_mutex_unlock(&k->lock);
    kafka_answer_all(k, -EROFS);
    store_report(k->store, "nothing more is published to Kafka", err);
}

/* --- the shelf */

bool kafka_is_full(const struct kafka *k) {
    return k->shelf.n >= KAFKA_PARKED_MAX;
}

static void out_of_memory(struct kafka *k) {
    struct err err;
    err_set(&err, ENOMEM, "out of memory");
    kafka_halt(k, &err);
}

int kafka_park(struct kafka *k, const struct event *e, const struct err *why) {
    if (kafka_is_full(k))
        return -EDQUOT;
    struct kafka_parked p = {.position = e->position, .aggregate = e->aggregate, .refused = why != NULL};
    if (why) {
        p.attempts = 1;
        p.time = store_now();
        p.why = strdup(why->text);
    }
    pthread_mutex_lock(&k->lock);
    int r = why && !p.why ? -ENOMEM : kafka_shelf_add(&k->shelf, &p, true);
    pthread_mutex_unlock(&k->lock);
    if (r < 0) {
        out_of_memory(k);
        return r;
    }
    kafka_window_done(&k->window, e->position);
    k->shelf_moved = true;
    if (why)
        kafka_tell_refusal(k, e->position, why);
    return 0;
}

static void settle(struct kafka *k, struct kafka_parked *p, int result) {
    if (p->doubted)
        k->doubted--;
    p->doubted = p->retried = false;
    kafka_answer(k, p->done, p->arg, result);
    p->done = NULL;
}

void kafka_unpark(struct kafka *k, struct kafka_parked *p, int result) {
    settle(k, p, result);
    pthread_mutex_lock(&k->lock);
    int r = kafka_shelf_remove(&k->shelf, p->position);
    pthread_mutex_unlock(&k->lock);
    k->shelf_moved = true;
    if (r < 0)
        out_of_memory(k);
}

void kafka_refuse_again(struct kafka *k, struct kafka_parked *p, const struct err *why) {
    pthread_mutex_lock(&k->lock);
    int r = kafka_shelf_refuse(&k->shelf, p, why->text, store_now());
    pthread_mutex_unlock(&k->lock);
    kafka_tell_refusal(k, p->position, why);
    settle(k, p, -EIO);
    if (r < 0)
        out_of_memory(k);
}
