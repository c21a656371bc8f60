#include "content.h"

#include "digest.h"
#include "node.h"
#include "table.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/queue.h>

#define SLOTS_MIN 256
#define ID_STEP_BITS 4 /* ids of a mount begin with its microseconds: it never gives out 16 in one */

/* --- texts */

struct content_text {
    atomic_uint refs;
    struct buf bytes;
};

struct content_text *content_text_new(struct buf *text) {
    struct content_text *t = malloc(sizeof *t);
    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    t->bytes = *text;
    *text = (struct buf){0};
    return t;
}

struct content_text *content_text_ref(struct content_text *t) {
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void content_text_unref(struct content_text *t) {
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    buf_free(&t->bytes);
    free(t);
}

struct str content_text_str(const struct content_text *t) {
    return buf_str(&t->bytes);
}

/* --- the table: one entry for each content, found by its id and by what it is */

struct entry {
    struct entry *next_by_id, *next_by_key;
    TAILQ_ENTRY(entry) used; /* while it has a text */
    struct content_text *text;
    uint64_t id, key; /* a hash of what it is */
    uint64_t held;    /* times that the kernel knows it */
    struct content what;
    char name[]; /* what.name points to it */
};

struct contents {
    pthread_mutex_t lock;
    struct entry **by_id, **by_key;
    uint64_t mask; /* number of slots of each, less one */
    uint64_t n;
    uint64_t last_id;
    TAILQ_HEAD(used, entry) used; /* latest first */
    size_t bytes;                 /* of their texts */
};

struct contents *contents_new(void) {
    struct contents *cs = calloc(1, sizeof *cs);
    if (!cs)
        return NULL;
    cs->by_id = calloc(SLOTS_MIN, sizeof *cs->by_id);
    cs->by_key = calloc(SLOTS_MIN, sizeof *cs->by_key);
    cs->mask = SLOTS_MIN - 1;
    cs->last_id = fs_now() << ID_STEP_BITS & ((1ULL << INO_TAG_BITS) - 1);
    TAILQ_INIT(&cs->used);
    if (cs->by_id && cs->by_key && pthread_mutex_init(&cs->lock, NULL) == 0)
        return cs;
    free(cs->by_id);
    free(cs->by_key);
    free(cs);
    return NULL;
}

void contents_free(struct contents *cs) {
    for (uint64_t i = 0; i <= cs->mask; i++)
        for (struct entry *e = cs->by_id[i], *next; e; e = next) {
            next = e->next_by_id;
            content_text_unref(e->text);
            free(e);
        }
    free(cs->by_id);
    free(cs->by_key);
    pthread_mutex_destroy(&cs->lock);
    free(cs);
}

static struct entry **slot_of_id(const struct contents *cs, uint64_t id) {
    return &cs->by_id[table_hash_number(id) & cs->mask];
}

static struct entry **slot_of_key(const struct contents *cs, uint64_t key) {
    return &cs->by_key[key & cs->mask];
}

static void entry_link(struct contents *cs, struct entry *e) {
    struct entry **by_id = slot_of_id(cs, e->id), **by_key = slot_of_key(cs, e->key);
    e->next_by_id = *by_id;
    e->next_by_key = *by_key;
    *by_id = *by_key = e;
}

/* Twice as many slots; when there is no memory for them the chains get longer. */
static void table_widen(struct contents *cs) {
    struct entry **old = cs->by_id;
    uint64_t slots = cs->mask + 1;
    struct entry **by_id = calloc(2 * slots, sizeof *by_id), **by_key = calloc(2 * slots, sizeof *by_key);
    if (!by_id || !by_key) {
        free(by_id);
        free(by_key);
        return;
    }
    free(cs->by_key);
    cs->by_id = by_id;
    cs->by_key = by_key;
    cs->mask = 2 * slots - 1;
    for (uint64_t i = 0; i < slots; i++)
        for (struct entry *e = old[i], *next; e; e = next) {
            next = e->next_by_id;
            entry_link(cs, e);
        }
    free(old);
}

static void entry_unlink(struct contents *cs, struct entry *e) {
    struct entry **by_id = slot_of_id(cs, e->id), **by_key = slot_of_key(cs, e->key);
    while (*by_id != e)
        by_id = &(*by_id)->next_by_id;
    *by_id = e->next_by_id;
    while (*by_key != e)
        by_key = &(*by_key)->next_by_key;
    *by_key = e->next_by_key;
}

static struct entry *entry_by_id(const struct contents *cs, uint64_t id) {
    struct entry *e = *slot_of_id(cs, id);
    while (e && e->id != id)
        e = e->next_by_id;
    return e;
}

static uint64_t key_of(const struct content *c) {
    uint64_t h = table_hash_number(c->stamp ^ table_hash_number(c->build ^ c->aggregate << 20));
    return digest_table(c->name.p, c->name.n) ^ table_hash_number(h ^ ((uint64_t)c->no << 8 | (uint64_t)c->tag));
}

static bool same(const struct content *a, const struct content *b) {
    return a->tag == b->tag && a->no == b->no && a->stamp == b->stamp && a->build == b->build &&
           a->aggregate == b->aggregate && a->failed == b->failed && str_eq(a->name, b->name);
}

static struct entry *entry_like(const struct contents *cs, const struct content *c, uint64_t key) {
    struct entry *e = *slot_of_key(cs, key);
    while (e && (e->key != key || !same(&e->what, c)))
        e = e->next_by_key;
    return e;
}

static struct entry *entry_new(struct contents *cs, const struct content *like, uint64_t key) {
    struct entry *e = malloc(sizeof *e + like->name.n);
    if (!e)
        return NULL;
    cs->last_id = (cs->last_id + 1) & ((1ULL << INO_TAG_BITS) - 1);
    *e = (struct entry){.id = cs->last_id, .key = key, .what = *like};
    if (like->name.n)
        memcpy(e->name, like->name.p, like->name.n);
    e->what.name.p = e->name;
    if (cs->n++ > cs->mask)
        table_widen(cs);
    entry_link(cs, e);
    return e;
}

/* --- texts that are kept */

static void entry_forget_text(struct contents *cs, struct entry *e) {
    if (!e->text)
        return;
    TAILQ_REMOVE(&cs->used, e, used);
    cs->bytes -= content_text_str(e->text).n;
    content_text_unref(e->text);
    e->text = NULL;
}

/* It is the latest then. The latest is kept whatever its size. */
static void entry_keep_text(struct contents *cs, struct entry *e, struct content_text *text) {
    if (e->text) {
        TAILQ_REMOVE(&cs->used, e, used);
    } else {
        e->text = content_text_ref(text);
        cs->bytes += content_text_str(text).n;
    }
    TAILQ_INSERT_HEAD(&cs->used, e, used);
    struct entry *last;
    while (cs->bytes > CONTENT_BYTES && (last = TAILQ_LAST(&cs->used, used)) != e)
        entry_forget_text(cs, last);
}

/* --- contents */

int content_hold(struct contents *cs, const struct content *like, struct content_text *text, struct node *out) {
    uint64_t key = key_of(like);
    if (like->name.n > CONTENT_NAME_MAX)
        return -ENAMETOOLONG;
    pthread_mutex_lock(&cs->lock);
    struct entry *e = entry_like(cs, like, key);
    if (!e)
        e = entry_new(cs, like, key);
    if (e) {
        e->held++;
        if (text)
            entry_keep_text(cs, e, text);
        *out = (struct node){like->tag, e->id};
    }
    pthread_mutex_unlock(&cs->lock);
    return e ? 0 : -ENOMEM;
}

int content_get(struct contents *cs, uint64_t id, struct content *out, char name[CONTENT_NAME_MAX]) {
    pthread_mutex_lock(&cs->lock);
    const struct entry *e = entry_by_id(cs, id);
    if (e) {
        *out = e->what;
        if (name)
            memcpy(name, e->name, e->what.name.n);
        out->name = (struct str){name, name ? e->what.name.n : 0};
    }
    pthread_mutex_unlock(&cs->lock);
    return e ? 0 : -ESTALE;
}

struct content_text *content_text_of(struct contents *cs, uint64_t id) {
    pthread_mutex_lock(&cs->lock);
    struct entry *e = entry_by_id(cs, id);
    struct content_text *text = NULL;
    if (e && e->text) {
        text = content_text_ref(e->text);
        TAILQ_REMOVE(&cs->used, e, used);
        TAILQ_INSERT_HEAD(&cs->used, e, used);
    }
    pthread_mutex_unlock(&cs->lock);
    return text;
}

void content_keep(struct contents *cs, uint64_t id, struct content_text *text) {
    pthread_mutex_lock(&cs->lock);
    struct entry *e = entry_by_id(cs, id);
    if (e)
        entry_keep_text(cs, e, text);
    pthread_mutex_unlock(&cs->lock);
}

/* --- their nodes */

void content_attr(const struct content *c, struct node_stat *out) {
    *out = (struct node_stat){.size = c->size, .time = c->time, .subject = c->no, .ino = c->ino};
}

int content_stat(struct fs *fs, const struct node *node, struct node_stat *out) {
    struct content c;
    int r = content_get(fs->contents, node->no, &c, NULL);
    if (r == 0)
        content_attr(&c, out);
    return r;
}

void content_hold_again(struct fs *fs, const struct node *node) {
    struct contents *cs = fs->contents;
    pthread_mutex_lock(&cs->lock);
    struct entry *e = entry_by_id(cs, node->no);
    if (e)
        e->held++;
    pthread_mutex_unlock(&cs->lock);
}

void content_drop(struct fs *fs, const struct node *node, uint64_t n) {
    struct contents *cs = fs->contents;
    pthread_mutex_lock(&cs->lock);
    struct entry *e = entry_by_id(cs, node->no);
    if (e && (e->held -= n < e->held ? n : e->held) == 0) {
        entry_forget_text(cs, e);
        entry_unlink(cs, e);
        cs->n--;
        free(e);
    }
    pthread_mutex_unlock(&cs->lock);
}
