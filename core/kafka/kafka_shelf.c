#include "kafka_shelf.h"

#include "array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void kafka_shelf_free(struct kafka_shelf *s) {
    for (size_t i = 0; i < s->n; i++)
        free(s->list[i].why);
    free(s->list);
    free(s->changed);
    table_free(&s->first);
    *s = (struct kafka_shelf){0};
}

size_t kafka_shelf_at(const struct kafka_shelf *s, uint64_t position) {
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->list[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct kafka_parked *kafka_shelf_find(const struct kafka_shelf *s, uint64_t position) {
    size_t i = kafka_shelf_at(s, position);
    return i < s->n && s->list[i].position == position ? &s->list[i] : NULL;
}

struct kafka_parked *kafka_shelf_first(const struct kafka_shelf *s, uint64_t aggregate) {
    struct table_probe probe;
    if (s->n == 0)
        return NULL;
    uint32_t i = table_first(&s->first, table_hash_number(aggregate), &probe);
    while (i != TABLE_NONE && s->list[i].aggregate != aggregate)
        i = table_next(&s->first, &probe);
    return i == TABLE_NONE ? NULL : &s->list[i];
}

/* Places have moved. */
static int first_again(struct kafka_shelf *s) {
    table_clear(&s->first);
    for (size_t i = 0; i < s->n; i++) {
        uint64_t aggregate = s->list[i].aggregate;
        if (!kafka_shelf_first(s, aggregate) && table_put(&s->first, table_hash_number(aggregate), (uint32_t)i) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int note(struct kafka_shelf *s, uint64_t position) {
    if (s->n_changed && s->changed[s->n_changed - 1] == position)
        return 0;
    if (!ARRAY_ROOM(s->changed, s->n_changed, s->changed_cap))
        return -ENOMEM;
    s->changed[s->n_changed++] = position;
    return 0;
}

int kafka_shelf_add(struct kafka_shelf *s, const struct kafka_parked *p, bool noted) {
    size_t i = kafka_shelf_at(s, p->position);
    if (!ARRAY_ROOM(s->list, s->n, s->cap) || (noted && note(s, p->position) < 0)) {
        free(p->why);
        return -ENOMEM;
    }
    memmove(s->list + i + 1, s->list + i, (s->n - i) * sizeof *s->list);
    s->list[i] = *p;
    s->n++;
    if (i < s->n - 1)
        return first_again(s);
    bool leads = !kafka_shelf_first(s, p->aggregate);
    return leads ? table_put(&s->first, table_hash_number(p->aggregate), (uint32_t)i) : 0;
}

int kafka_shelf_remove(struct kafka_shelf *s, uint64_t position) {
    size_t i = kafka_shelf_at(s, position);
    free(s->list[i].why);
    memmove(s->list + i, s->list + i + 1, (s->n - i - 1) * sizeof *s->list);
    s->n--;
    int r = note(s, position);
    return r < 0 ? r : first_again(s);
}

int kafka_shelf_refuse(struct kafka_shelf *s, struct kafka_parked *p, const char *why, uint64_t time) {
    char *copy = strdup(why);
    if (!copy)
        return -ENOMEM;
    free(p->why);
    p->why = copy;
    p->refused = true;
    p->attempts++;
    p->time = time;
    return note(s, p->position);
}
