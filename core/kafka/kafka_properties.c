#include "kafka_properties.h"

#include "array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names that mean the same to librdkafka. */
static const char *const aliases[][2] = {
    {"bootstrap.servers", "metadata.broker.list"}, {"acks", "request.required.acks"},
    {"message.timeout.ms", "delivery.timeout.ms"}, {"max.in.flight.requests.per.connection", "max.in.flight"},
    {"retries", "message.send.max.retries"},
};

/* Without these as they are messages would be lost, or come in another order. */
static const struct {
    const char *name, *only[2]; /* the values that may be given, if any */
} guarded[] = {
    {"enable.idempotence", {"true"}},
    {"enable.gapless.guarantee", {"true"}},
    {"acks", {"all", "-1"}},
    {"message.timeout.ms", {"0"}},
    {"max.in.flight.requests.per.connection", {"1"}},
    {"retries", {"2147483647"}},
    {"partitioner", {"murmur2_random"}},
    {"queuing.strategy", {"fifo"}},
    {"transactional.id", {NULL}},
    {"delivery.report.only.error", {"false"}},
};

static const char *canonical(const char *name) {
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(name, aliases[i][1]) == 0)
            return aliases[i][0];
    return name;
}

static int guard(const char *name, const char *value, const char *path, unsigned line, struct err *err) {
    for (size_t i = 0; i < sizeof guarded / sizeof *guarded; i++) {
        if (strcmp(canonical(name), guarded[i].name) != 0)
            continue;
        for (size_t j = 0; j < 2 && guarded[i].only[j]; j++)
            if (strcmp(value, guarded[i].only[j]) == 0)
                return 0;
        return err_set(err, EINVAL,
                       "kafka-config: %s:%u: %s cannot be changed: messages could be lost or come in another order",
                       path, line, name);
    }
    return 0;
}

int kafka_properties_put(struct kafka_properties *p, const char *name, const char *value) {
    struct str copies[2] = {arena_copy(&p->arena, (struct str){name, strlen(name) + 1}),
                            arena_copy(&p->arena, (struct str){value, strlen(value) + 1})};
    if (!copies[0].p || !copies[1].p || !ARRAY_ROOM(p->list, p->n, p->cap))
        return -ENOMEM;
    p->list[p->n++] = (struct kafka_property){copies[0].p, copies[1].p};
    return 0;
}

static char *trim(char *text) {
    static const char white[] = " \t\r\n";
    text += strspn(text, white);
    size_t n = strlen(text);
    while (n > 0 && strchr(white, text[n - 1]))
        n--;
    text[n] = '\0';
    return text;
}

static int line_read(struct kafka_properties *p, char *line, const char *path, unsigned number, struct err *err) {
    line = trim(line);
    if (*line == '\0' || *line == '#')
        return 0;
    char *equals = strchr(line, '=');
    if (!equals || equals == line)
        return err_set(err, EINVAL, "kafka-config: %s:%u: name=value is meant", path, number);
    *equals = '\0';
    const char *name = trim(line), *value = trim(equals + 1);
    int r = guard(name, value, path, number, err);
    return r < 0 ? r : kafka_properties_put(p, name, value);
}

int kafka_properties_read(struct kafka_properties *p, const char *path, struct err *err) {
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    unsigned number = 0;
    if (!f)
        return err_set(err, errno, "kafka-config=%s: %s", path, strerror(errno));
    int r = 0;
    errno = 0;
    while (r == 0 && getline(&line, &room, f) >= 0)
        r = line_read(p, line, path, ++number, err);
    if (r == 0 && ferror(f))
        r = err_set(err, errno ? errno : EIO, "kafka-config=%s: %s", path, strerror(errno));
    if (line)
        explicit_bzero(line, room); /* it may have held a password */
    free(line);
    fclose(f);
    return r == -ENOMEM ? err_set(err, ENOMEM, "out of memory") : r;
}

const char *kafka_properties_find(const struct kafka_properties *p, const char *name) {
    for (size_t i = p->n; i-- > 0;)
        if (strcmp(canonical(p->list[i].name), canonical(name)) == 0)
            return p->list[i].value;
    return NULL;
}

void kafka_properties_free(struct kafka_properties *p) {
    arena_free(&p->arena);
    free(p->list);
    *p = (struct kafka_properties){0};
}
