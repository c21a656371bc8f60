/* What the `cursors` family has of consumers, read when the store is opened. */
#include "consumers_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct loading {
    struct consumers *all;
    struct json_parser *parser;
    struct consumer *consumer; /* of the key before */
    uint64_t head;
    struct err *err;
};

static int damaged(struct loading *l, uint32_t no, const char *words) {
    return err_set(l->err, EUCLEAN, "store: the record of consumer %" PRIu32 " %s", no, words);
}

/* RocksDB opens a write-ahead log that was cut short without a word; what was acknowledged knows better. */
static int check_position(struct loading *l, const struct consumer *c, uint64_t position) {
    if (position <= l->head)
        return 0;
    return err_set(l->err, EUCLEAN,
                   "store: the log was cut short: it ends at position %016" PRIx64
                   ", but consumer `%.*s` was given the event at position %016" PRIx64,
                   l->head, (int)c->name.n, c->name.p, position);
}

static int load_next(struct loading *l, struct str value) {
    struct record_next r;
    if (!record_next_read(value, &r))
        return err_set(l->err, EUCLEAN, "store: the record of the numbers of consumers is damaged");
    atomic_store(&l->all->next_consumer, r.consumer);
    atomic_store(&l->all->next_parked, r.parked);
    return 0;
}

static int load_config(struct loading *l, struct consumer *c, struct str text) {
    struct err err = {0};
    char *padded = calloc(1, text.n + JSON_PADDING);
    if (!padded)
        return -ENOMEM;
    memcpy(padded, text.p, text.n);
    int r = consumer_config_read(&c->config, l->parser, (struct str){padded, text.n}, NULL, &err);
    free(padded);
    return r == -EINVAL ? damaged(l, c->no, err.text) : r;
}

static int load_consumer(struct loading *l, uint32_t no, struct str value) {
    struct record_consumer r;
    if (!record_consumer_read(value, &r) || name_fault(r.name) || no == 0 || no >= atomic_load(&l->all->next_consumer))
        return damaged(l, no, "is damaged");
    struct consumer *c = consumer_new(l->all, no, r.name);
    if (!c)
        return -ENOMEM;
    c->time = r.time;
    c->epoch = 0; /* until there is a cursor */
    int code = load_config(l, c, r.config);
    if (code == 0)
        code = consumers_add(l->all, c);
    if (code < 0)
        consumer_unref(c);
    else
        l->consumer = c;
    return code;
}

static int load_cursor(struct loading *l, struct str value) {
    struct consumer *c = l->consumer;
    struct record_cursor r;
    if (!record_cursor_read(value, &r))
        return damaged(l, c->no, "of its cursor is damaged");
    c->cursor = c->clear = c->given = r.position;
    c->acked = r.time;
    c->epoch = 1;
    return check_position(l, c, r.position);
}

static int load_done(struct loading *l, uint64_t first, struct str value) {
    struct consumer *c = l->consumer;
    char bits[RECORD_DONE_BYTES];
    uint64_t last = first + (RECORD_DONE_EVENTS - 1);
    if (first % RECORD_DONE_EVENTS != 0 || !record_done_read(value, bits))
        return damaged(l, c->no, "of what is done behind its cursor is damaged");
    while (!record_done_has(bits, last))
        last--;
    int r = check_position(l, c, last);
    return r < 0 ? r : done_load(&c->done, first, bits);
}

static int load_parked(struct loading *l, uint64_t position, struct str value) {
    struct consumer *c = l->consumer;
    struct record_parked r;
    if (!record_parked_read(value, &r) || r.id >= atomic_load(&l->all->next_parked))
        return damaged(l, c->no, "of a parked event is damaged");
    int code = check_position(l, c, position);
    struct aside *p = code == 0 ? malloc(sizeof *p) : NULL;
    if (!p)
        return code < 0 ? code : -ENOMEM;
    *p = (struct aside){
        .id = r.id, .position = position, .time = r.time, .consumer = c->no, .uid = r.uid, .state = ASIDE_PARKED};
    code = consumer_aside_add(c, p);
    if (code < 0)
        free(p);
    return code;
}

/* It stands right behind the event's own record. */
static int load_state(struct loading *l, uint64_t position, struct str value) {
    struct consumer *c = l->consumer;
    struct aside *p = asides_find(&c->asides, position);
    struct record_state r;
    if (!p || !record_state_read(value, &r))
        return damaged(l, c->no, "of a parked event's state is damaged");
    asides_set(&c->asides, p, r.state);
    if (r.state == ASIDE_SKIPPED) {
        p->time = r.time;
        p->uid = r.uid;
    }
    return 0;
}

/* The consumer that a key is of must have been before. */
static int consumer_enter(struct loading *l, uint32_t no) {
    if (l->consumer && l->consumer->no == no)
        return 0;
    l->consumer = consumer_of(l->all, no);
    consumer_unref(l->consumer); /* nobody else is there yet who could remove it */
    return l->consumer ? 0 : damaged(l, no, "is missing");
}

static int load_pair(struct loading *l, const struct db_pair *pair) {
    uint32_t no;
    uint64_t position;
    enum record_key key = record_key_read(pair->key, &no, &position);
    if (key == RECORD_NEXT)
        return load_next(l, pair->value);
    if (key == RECORD_CONSUMER)
        return load_consumer(l, no, pair->value);
    if (key == RECORD_UNKNOWN)
        return err_set(l->err, EUCLEAN, "store: a key of the family `cursors` is damaged");
    int r = consumer_enter(l, no);
    if (r < 0)
        return r;
    if (key == RECORD_CURSOR)
        return load_cursor(l, pair->value);
    if (key == RECORD_DONE)
        return load_done(l, position, pair->value);
    return key == RECORD_PARKED ? load_parked(l, position, pair->value) : load_state(l, position, pair->value);
}

/* The keys that begin with a character. */
static int load_class(struct loading *l, char class) {
    const char begin[1] = {class}, end[1] = {(char)(class + 1)};
    const struct db_iter_options options = {.upper = {end, 1}};
    struct db_iter *it = db_iter_new(l->all->store->db, DB_CURSORS, &options);
    struct db_pair pair;
    if (!it)
        return -ENOMEM;
    int r = db_iter_seek(it, (struct str){begin, 1}, &pair, l->err);
    for (; r == 0; r = db_iter_next(it, &pair, l->err)) {
        r = load_pair(l, &pair);
        if (r < 0)
            break;
    }
    db_iter_free(it);
    return r == DB_NOT_FOUND ? 0 : r;
}

static int check_all(struct loading *l) {
    struct consumers *cs = l->all;
    for (size_t i = 0; i < cs->n; i++)
        if (cs->list[i]->epoch == 0)
            return damaged(l, cs->list[i]->no, "has no cursor");
    for (size_t i = 0; i < cs->n; i++)
        consumer_pass(cs->list[i]);
    return 0;
}

int consumers_load(struct consumers *cs, struct err *err) {
    struct loading l = {.all = cs, .head = feed_position(&cs->store->feed), .err = err};
    l.parser = store_parser_take(cs->store);
    int r = l.parser ? load_class(&l, RECORD_CLASS_CONSUMER) : -ENOMEM;
    if (r == 0)
        r = load_class(&l, RECORD_CLASS_PARKED);
    if (r == 0)
        r = check_all(&l);
    if (l.parser)
        store_parser_give(cs->store, l.parser);
    return r == -ENOMEM ? err_set(err, ENOMEM, "out of memory") : r;
}
