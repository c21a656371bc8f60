/* The same bytes written to two aggregates, once whole and once in pieces, must have the same results up to the
 * first refusal. The first bytes say where they are cut. */
#include "channel.h"
#include "digest.h"
#include "name.h"
#include "store.h"

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(holds)                                                                                                   \
    do {                                                                                                               \
        if (!(holds)) {                                                                                                \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #holds);                                  \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#define CUTS 4
#define MAX_COMMAND 2048

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* --- the store that all inputs share; every one gets two aggregates of its own */

static char dir[512];
static struct store *store;

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void store_put_away(void) {
    store_close(store);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void store_start(void) {
    const struct store_options options = {.durability = DURABILITY_OS, .max_command = MAX_COMMAND};
    struct err err = {0};
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/esfs-fuzz-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    CHECK(mkdtemp(dir));
    CHECK(store_open(&store, dir, &options, &err) == 0);
    atexit(store_put_away);
}

/* --- writing */

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    ssize_t taken;
};

static void wake(void *arg, ssize_t taken) {
    struct wait *w = arg;
    pthread_mutex_lock(&w->lock);
    CHECK(!w->done);
    w->done = true;
    w->taken = taken;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

/* From memory of just that size, gone at once. */
static ssize_t write_piece(struct channel *c, const uint8_t *bytes, size_t n) {
    struct wait w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
    char *copy = malloc(n);
    memcpy(copy, bytes, n);
    channel_write(c, copy, n, wake, &w);
    free(copy);
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    return w.taken;
}

static struct channel *open_channel(char which, unsigned long no) {
    char id[32];
    snprintf(id, sizeof id, "%c%lu", which, no);
    const struct scope scope = {STR("t"), str_of(id)};
    const struct caller caller = {.who = {.uid = 1, .gid = 1}, .pid = 1};
    struct channel *c = channel_new(store, &scope, &caller, true);
    CHECK(c);
    return c;
}

/* Writes a part until it is done or refused: true when all was taken. A short write is followed by the refusal. */
static bool write_part(struct channel *c, const uint8_t *bytes, size_t n) {
    if (n == 0)
        return true;
    ssize_t taken = write_piece(c, bytes, n);
    CHECK(taken != 0 && taken <= (ssize_t)n);
    if (taken == (ssize_t)n)
        return true;
    if (taken > 0)
        CHECK(write_piece(c, bytes + taken, n - (size_t)taken) < 0);
    return false;
}

/* --- what both must agree on */

struct lines {
    char *p;
    size_t n;
};

static struct lines read_lines(struct channel *c, char *room, size_t size) {
    struct lines l = {room, 0};
    for (ssize_t r; (r = channel_read(c, l.p + l.n, size - l.n)) > 0;)
        l.n += (size_t)r;
    CHECK(l.n < size);
    return l;
}

/* The status of each line and the version it came to; ids, positions and the aggregate's name differ. */
static void line_meaning(const char *line, size_t n, char out[32]) {
    const char *version = memmem(line, n, "\"version\":", 10);
    snprintf(out, 32, "%c %ld%s", line[11], version ? strtol(version + 10, NULL, 10) : -1L,
             memmem(line, n, "\"duplicate\":true", 16) ? " again" : "");
}

static void lines_compare(struct lines a, struct lines b) {
    size_t at = 0, other = 0;
    while (at < a.n && other < b.n) {
        char one[32], two[32];
        size_t end = (size_t)((char *)memchr(a.p + at, '\n', a.n - at) + 1 - a.p);
        size_t other_end = (size_t)((char *)memchr(b.p + other, '\n', b.n - other) + 1 - b.p);
        line_meaning(a.p + at, end - at, one);
        line_meaning(b.p + other, other_end - other, two);
        CHECK(strcmp(one, two) == 0);
        at = end;
        other = other_end;
    }
    CHECK(at == a.n && other == b.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static unsigned long no;
    static char room[2][(1 << 20) + 4096];
    if (!store)
        store_start();
    if (n <= CUTS)
        return 0;
    const uint8_t *text = bytes + CUTS;
    n -= CUTS;
    struct channel *whole = open_channel('a', ++no), *cut = open_channel('b', no);
    bool all = write_part(whole, text, n), parts = true;
    for (size_t i = 0, at = 0; parts && i <= CUTS; i++) {
        size_t piece = i < CUTS ? bytes[i] * (n - at) / 512 : n - at;
        parts = write_part(cut, text + at, piece);
        at += piece;
    }
    CHECK(all == parts);
    CHECK(channel_flush(whole) == (all ? channel_flush(cut) : 0));
    struct lines a = read_lines(whole, room[0], sizeof room[0]), b = read_lines(cut, room[1], sizeof room[1]);
    if (a.n && a.p[2] == 's' && b.n && b.p[2] == 's') /* not the help of a channel that nothing was written to */
        lines_compare(a, b);
    channel_free(whole);
    channel_free(cut);
    return 0;
}
