#include "kafka_settings.h"

#include "buf.h"
#include "kafka.h"
#include "kafka_topic.h"
#include "name.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>

#define NAME_ROOM (2 * NAME_MAX_BYTES + 1) /* "order/OrderPlaced" */

static int compare(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, each once: the same filters in another order are the same settings. */
static const char **filters_sorted(const struct kafka_options *o, size_t *n) {
    const char **list = calloc(o->n_filters + 1, sizeof *list);
    *n = 0;
    if (!list)
        return NULL;
    if (o->n_filters)
        memcpy(list, o->filters, o->n_filters * sizeof *list);
    qsort(list, o->n_filters, sizeof *list, compare);
    for (size_t i = 0; i < o->n_filters; i++)
        if (*n == 0 || strcmp(list[*n - 1], list[i]) != 0)
            list[(*n)++] = list[i];
    return list;
}

static int filter_check(const char *text, const struct kafka_filter *f, struct err *err) {
    const char *fault = name_fault(f->type);
    if (fault)
        return err_set(err, EINVAL, "kafka-filter=%s: the aggregate type %s", text, fault);
    fault = f->event.p ? name_fault(f->event) : NULL;
    if (fault)
        return err_set(err, EINVAL, "kafka-filter=%s: the event %s", text, fault);
    return 0;
}

static struct kafka_filter filter_of(char *text) {
    char *slash = strchr(text, '/');
    if (!slash)
        return (struct kafka_filter){.type = str_of(text)};
    return (struct kafka_filter){{text, (size_t)(slash - text)}, str_of(slash + 1)};
}

static int filters_make(struct kafka_settings *s, const char *const *list, size_t n, struct err *err) {
    s->filters = calloc(n + 1, sizeof *s->filters);
    s->names = calloc(n + 1, NAME_ROOM + 1);
    if (!s->filters || !s->names)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        char *name = s->names + i * (NAME_ROOM + 1);
        if (strlen(list[i]) > NAME_ROOM)
            return err_set(err, EINVAL, "kafka-filter=%.64s...: is longer than names can be", list[i]);
        strcpy(name, list[i]);
        s->filters[i] = filter_of(name);
        int r = filter_check(list[i], &s->filters[i], err);
        if (r < 0)
            return r;
    }
    s->n_filters = n;
    return 0;
}

static int since_read(struct kafka_settings *s, const char *since, struct err *err) {
    if (!since || event_position_read(str_of(since), &s->since_position))
        return 0;
    size_t n = strlen(since);
    bool age = n > 4 && strcmp(since + n - 4, "-ago") == 0; /* which is another moment each time */
    if (!age && text_time(str_of(since), &s->since_time))
        return 0;
    return err_set(err, EINVAL,
                   "kafka-since=%s: a position of 16 hexadecimal digits or a time in UTC is meant, like "
                   "2026-11-22T23:00:00Z",
                   since);
}

static void text_put(const struct kafka_settings *s, struct buf *out) {
    char since[EVENT_TIME_CHARS];
    buf_printf(out, "topic=%s\nmode=%s\n", s->topic, s->structured ? "structured" : "binary");
    for (size_t i = 0; i < s->n_filters; i++)
        buf_printf(out, "filter=%s\n", s->names + i * (NAME_ROOM + 1));
    if (s->since_time) {
        event_time(s->since_time, since);
        buf_printf(out, "since=%.*s\n", EVENT_TIME_CHARS, since);
    } else if (s->since_position) {
        buf_printf(out, "since=%016llx\n", (unsigned long long)s->since_position);
    }
    buf_put_char(out, '\0');
}

static int settings_make(struct kafka_settings *s, const struct kafka_options *o, struct err *err) {
    const char *topic = o->topic ? o->topic : KAFKA_TOPIC_DEFAULT;
    size_t n;
    int r = kafka_topic_check(topic, err);
    const char **filters = r < 0 ? NULL : filters_sorted(o, &n);
    if (r == 0)
        r = filters ? filters_make(s, filters, n, err) : -ENOMEM;
    free(filters);
    if (r == 0)
        r = since_read(s, o->since, err);
    if (r < 0)
        return r;
    struct buf text = {0};
    s->structured = o->structured;
    s->topic = strdup(topic);
    if (s->topic)
        text_put(s, &text);
    s->text = text.oom ? NULL : text.p;
    if (text.oom)
        buf_free(&text);
    return s->topic && s->text ? 0 : -ENOMEM;
}

int kafka_settings_make(struct kafka_settings *out, const struct kafka_options *options, struct err *err) {
    *out = (struct kafka_settings){0};
    int r = settings_make(out, options, err);
    return r == -ENOMEM ? err_set(err, ENOMEM, "out of memory") : r;
}

void kafka_settings_free(struct kafka_settings *s) {
    free(s->text);
    free(s->topic);
    free(s->filters);
    free(s->names);
    *s = (struct kafka_settings){0};
}

static const char *value_of(const char *line, const char *name) {
    size_t n = strlen(name);
    return strncmp(line, name, n) == 0 && line[n] == '=' ? line + n + 1 : NULL;
}

int kafka_settings_read(struct kafka_settings *out, struct str text, struct err *err) {
    char *copy = strndup(text.p ? text.p : "", text.n), *rest = copy;
    const char **filters = calloc(text.n + 1, sizeof *filters), *value;
    struct kafka_options o = {.filters = filters};
    int r = copy && filters ? 0 : -ENOMEM;
    for (char *line; r == 0 && (line = strsep(&rest, "\n"));) {
        if ((value = value_of(line, "topic")))
            o.topic = value;
        else if ((value = value_of(line, "mode")))
            o.structured = strcmp(value, "structured") == 0;
        else if ((value = value_of(line, "filter")))
            filters[o.n_filters++] = value;
        else if ((value = value_of(line, "since")))
            o.since = value;
    }
    *out = (struct kafka_settings){0};
    if (r == 0)
        r = kafka_settings_make(out, &o, err);
    free(filters);
    free(copy);
    return r;
}

bool kafka_settings_want(const struct kafka_settings *s, const struct event *e) {
    if (e->position < s->since_position || e->time < s->since_time)
        return false;
    for (size_t i = 0; i < s->n_filters; i++) {
        const struct kafka_filter *f = &s->filters[i];
        if (str_eq(f->type, e->aggregate_type) && (!f->event.n || str_eq(f->event, e->type)))
            return true;
    }
    return s->n_filters == 0;
}
