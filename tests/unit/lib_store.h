/* For tests of what needs a directory or a store: directories that go away, writes that wait for their answer, and
 * lines of JSON compared member by member. */
#ifndef ESFS_TEST_LIB_STORE_H
#define ESFS_TEST_LIB_STORE_H

#include "channel.h"
#include "store.h"
#include "text.h"

#include <ftw.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LIB_PATH 512

/* --- directories */

static inline void lib_dir_make(char dir[LIB_PATH]) {
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, LIB_PATH, "%s/esfs-unit-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
}

static inline int lib_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline void lib_dir_remove(const char *dir) {
    nftw(dir, lib_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline char *lib_path(const char *dir, const char *name) {
    static __thread char path[4][2 * LIB_PATH];
    static __thread unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

/* The bytes of a file with a NUL behind them; *n may be NULL. For free(). */
static inline char *lib_file_read(const char *dir, const char *name, size_t *n) {
    FILE *f = fopen(lib_path(dir, name), "r");
    if (!f)
        fail_msg("%s/%s cannot be opened", dir, name);
    char *p = calloc(1, 1 << 20);
    size_t size = fread(p, 1, (1 << 20) - 1, f);
    fclose(f);
    if (n)
        *n = size;
    return p;
}

static inline void lib_file_write(const char *dir, const char *name, const void *bytes, size_t n) {
    FILE *f = fopen(lib_path(dir, name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* --- stores */

struct lib_store {
    char dir[LIB_PATH];
    struct store_options options; /* of the next lib_store_open() */
    struct store *store;
};

static const struct caller lib_caller = {.who = {.uid = 1000, .gid = 100}, .pid = 4711};

static inline void lib_store_open(struct lib_store *l) {
    struct err err = {0};
    if (store_open(&l->store, l->dir, &l->options, &err) != 0)
        fail_msg("%s", err.text);
}

static inline void lib_store_close(struct lib_store *l) {
    int r = store_close(l->store);
    l->store = NULL;
    assert_int_equal(r, 0);
}

/* A directory and options for a store with a domain, not opened yet. */
static inline void lib_store_begin(struct lib_store *l, const char *domain) {
    lib_dir_make(l->dir);
    l->options.durability = DURABILITY_OS;
    l->options.domain = domain;
    l->options.ownership = (struct ownership){.uid = 1000, .gid = 100};
}

/* Closed, if it is open, and removed. */
static inline void lib_store_end(struct lib_store *l) {
    if (l->store)
        store_close(l->store);
    lib_dir_remove(l->dir);
}

/* For cmocka: *state is a struct lib_store with an open store, removed by the teardown. */
static inline int lib_setup(void **state) {
    struct lib_store *l = calloc(1, sizeof *l);
    lib_dir_make(l->dir);
    l->options.durability = DURABILITY_OS;
    lib_store_open(l);
    *state = l;
    return 0;
}

static inline int lib_teardown(void **state) {
    struct lib_store *l = *state;
    lib_store_end(l);
    free(l);
    return 0;
}

#define LIB_TEST(name) cmocka_unit_test_setup_teardown(name, lib_setup, lib_teardown)

/* --- channels */

struct lib_wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int calls;
    ssize_t taken;
};

static inline void lib_done(void *arg, ssize_t taken) {
    struct lib_wait *w = arg;
    pthread_mutex_lock(&w->lock);
    w->calls++;
    w->taken = taken;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

/* The bytes lie in memory of their own, which is gone before the answer comes. */
static inline ssize_t lib_write(struct channel *c, const char *bytes, size_t n) {
    struct lib_wait w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    char *copy = malloc(n ? n : 1);
    memcpy(copy, bytes, n);
    channel_write(c, copy, n, lib_done, &w);
    free(copy);
    pthread_mutex_lock(&w.lock);
    while (!w.calls)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    return w.taken;
}

static inline ssize_t lib_puts(struct channel *c, const char *text) {
    return lib_write(c, text, strlen(text));
}

static inline struct channel *lib_channel(struct lib_store *l, const char *type, const char *id) {
    const struct scope scope = {str_of(type), str_of(id)};
    struct channel *c = channel_new(l->store, &scope, &lib_caller, true);
    assert_non_null(c);
    return c;
}

/* All that there is to read, as a string for free(). */
static inline char *lib_results(struct channel *c) {
    size_t room = 1 << 16, n = 0;
    char *p = malloc(room + 1);
    for (ssize_t r; (r = channel_read(c, p + n, room - n)) > 0;) {
        n += (size_t)r;
        if (n == room)
            p = realloc(p, (room *= 2) + 1);
    }
    p[n] = '\0';
    return p;
}

/* Writes one text to a channel of its own and gives what write(2) would; *results (for free()) may be NULL. */
static inline ssize_t lib_send(struct lib_store *l, const char *type, const char *id, const char *text,
                               char **results) {
    struct channel *c = lib_channel(l, type, id);
    ssize_t taken = lib_puts(c, text);
    if (results)
        *results = lib_results(c);
    channel_free(c);
    return taken;
}

static inline void lib_append(struct lib_store *l, const char *type, const char *id, const char *text) {
    assert_int_equal(lib_send(l, type, id, text, NULL), strlen(text));
}

static inline int lib_find(struct store *s, const char *type, const char *id, struct index_aggregate *out) {
    struct index_type t;
    struct err err = {0};
    if (index_type_by_name(store_index(s), str_of(type), &t) != 0)
        return INDEX_NONE;
    return index_aggregate_by_name(store_index(s), t.no, str_of(id), out, &err);
}

/* Events of an aggregate, -1 when there is no such. */
static inline long lib_version(struct lib_store *l, const char *type, const char *id) {
    struct index_aggregate a;
    return lib_find(l->store, type, id, &a) == 0 ? (long)a.version : -1;
}

/* events.ndjson, as a string for free(). */
static inline char *lib_stream(struct lib_store *l, const char *type, const char *id) {
    struct index_aggregate a;
    struct text_cursor cursor = {0};
    assert_int_equal(lib_find(l->store, type, id, &a), 0);
    char *p = malloc(a.bytes + 1);
    assert_int_equal(text_read_stream(l->store, a.no, 1, UINT64_MAX, 0, p, a.bytes, &cursor), a.bytes);
    p[a.bytes] = '\0';
    return p;
}

/* log.ndjson, as a string for free(). */
static inline char *lib_log(struct lib_store *l, size_t *n) {
    struct index_head head;
    struct text_cursor cursor = {0};
    index_head(store_index(l->store), &head);
    char *p = malloc(head.log_bytes + 1);
    assert_int_equal(text_read_log(l->store, 0, 0, p, head.log_bytes, &cursor), head.log_bytes);
    p[head.log_bytes] = '\0';
    *n = head.log_bytes;
    return p;
}

/* What a journal holds of a topic, as a string for free(). */
static inline char *lib_topic(struct journal *j, const char *topic) {
    uint64_t size, time;
    journal_stat(j, str_of(topic), &size, &time);
    char *p = malloc(size + 1);
    assert_int_equal(journal_read(j, str_of(topic), 0, p, size), size);
    p[size] = '\0';
    return p;
}

/* rejections.ndjson, likewise. */
static inline char *lib_rejections(struct lib_store *l, const char *topic) {
    return lib_topic(store_rejections(l->store), topic);
}

/* --- lines */

static inline size_t lib_count(const char *text, const char *what) {
    size_t n = 0;
    const char *end = text + strlen(text);
    for (const char *p = text; (p = memmem(p, (size_t)(end - p), what, strlen(what))); p += strlen(what))
        n++;
    return n;
}

/* Line i of a text, from 0, without its newline: a string for free(), NULL past the last. */
static inline char *lib_line(const char *text, size_t i) {
    for (; i > 0; i--)
        if (!(text = strchr(text, '\n')) || !*++text)
            return NULL;
    const char *end = strchr(text, '\n');
    return end ? strndup(text, (size_t)(end - text)) : NULL;
}

/* The line at *at with its newline, of a text that ends with one; moves on. (The sanitizer's strstr() reads a text to
 * its end each time.) */
static inline struct str lib_line_next(const char **at) {
    const char *begin = *at, *end = begin ? strchr(begin, '\n') : NULL;
    if (!end)
        abort(); /* no more lines: the test went wrong before */
    *at = end + 1;
    return (struct str){begin, (size_t)(*at - begin)};
}

static inline const char *lib_line_find(struct str line, const char *what) {
    return memmem(line.p, line.n, what, strlen(what));
}

static inline bool lib_line_holds(struct str line, const char *what) {
    return lib_line_find(line, what) != NULL;
}

/* The line is an object that has the members of `want` with the same values; null: not the member. */
static inline void lib_line_has(const char *line, const char *want, const char *file, int at) {
    json_t *have = json_loads(line ? line : "", 0, NULL), *wanted = json_loads(want, 0, NULL), *value;
    const char *name;
    if (!json_is_object(have) || !json_is_object(wanted))
        fail_msg("%s:%d: not an object: %s (wanted %s)", file, at, line, want);
    json_object_foreach(wanted, name, value) {
        json_t *got = json_object_get(have, name);
        if (json_is_null(value) ? got != NULL : !json_equal(got, value))
            fail_msg("%s:%d: %s is not as in %s: %s", file, at, name, want, line);
    }
    json_decref(have);
    json_decref(wanted);
}

#define LINE_HAS(text, i, want)                                                                                        \
    do {                                                                                                               \
        char *line_ = lib_line((text), (i));                                                                           \
        lib_line_has(line_, (want), __FILE__, __LINE__);                                                               \
        free(line_);                                                                                                   \
    } while (0)

#endif
