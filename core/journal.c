#include "journal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct line {
    struct line *next;
    uint64_t time;
    struct str topic, text; /* behind the struct */
};

struct journal {
    pthread_mutex_t lock;
    size_t max, bytes;
    struct line *first, **end;
};

struct journal *journal_new(size_t max_bytes) {
    struct journal *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->max = max_bytes;
    j->end = &j->first;
    pthread_mutex_init(&j->lock, NULL);
    return j;
}

static void drop_first(struct journal *j) {
    struct line *line = j->first;
    j->first = line->next;
    if (!j->first)
        j->end = &j->first;
    j->bytes -= line->text.n;
    free(line);
}

void journal_free(struct journal *j) {
    if (!j)
        return;
    while (j->first)
        drop_first(j);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

/* Half at a time: a reader who follows the file by its offset then sees it shrink, and begins anew, rarely. */
static void make_room(struct journal *j, size_t n) {
    if (j->bytes + n <= j->max)
        return;
    while (j->first && j->bytes > j->max / 2)
        drop_first(j);
}

void journal_add(struct journal *j, struct str topic, struct str text, uint64_t time) {
    struct line *line = malloc(sizeof *line + topic.n + text.n);
    if (!line)
        return;
    char *bytes = (char *)(line + 1);
    memcpy(bytes, text.p, text.n);
    if (topic.n)
        memcpy(bytes + text.n, topic.p, topic.n);
    *line = (struct line){NULL, time, {bytes + text.n, topic.n}, {bytes, text.n}};
    pthread_mutex_lock(&j->lock);
    make_room(j, text.n);
    *j->end = line;
    j->end = &line->next;
    j->bytes += text.n;
    pthread_mutex_unlock(&j->lock);
}

static bool is_about(const struct line *line, struct str topic) {
    return topic.n == 0 || str_eq(line->topic, topic);
}

void journal_stat(struct journal *j, struct str topic, uint64_t *size, uint64_t *time) {
    *size = *time = 0;
    pthread_mutex_lock(&j->lock);
    for (const struct line *line = j->first; line; line = line->next)
        if (is_about(line, topic)) {
            *size += line->text.n;
            *time = line->time;
        }
    pthread_mutex_unlock(&j->lock);
}

ssize_t journal_read(struct journal *j, struct str topic, uint64_t offset, char *out, size_t n) {
    uint64_t at = 0;
    size_t done = 0;
    pthread_mutex_lock(&j->lock);
    for (const struct line *line = j->first; line && done < n; line = line->next) {
        if (!is_about(line, topic))
            continue;
        uint64_t from = offset > at ? offset - at : 0;
        if (from < line->text.n) {
            size_t part = line->text.n - from < n - done ? line->text.n - from : n - done;
            memcpy(out + done, line->text.p + from, part);
            done += part;
        }
        at += line->text.n;
    }
    pthread_mutex_unlock(&j->lock);
    return (ssize_t)done;
}
