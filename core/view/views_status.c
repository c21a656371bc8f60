/* .status.json of a view. */
#include "views_private.h"

#include "figures.h"
#include "store_parts.h"

#include <stdlib.h>

static const char *state_word(struct views *vs, const struct side *side, const struct follower_status *status) {
    if (!side->follower)
        return side->broken.code ? "halted" : vs->read_only ? "read-only" : "waiting";
    switch (status->state) {
    case FOLLOWER_LIVE:
        return "live";
    case FOLLOWER_HALTED:
        return "halted";
    case FOLLOWER_WAITING:
        return "waiting";
    default:
        return "catching-up";
    }
}

static void side_put(struct views *vs, const struct side *side, json_t *object) {
    struct follower_status status = {0};
    struct build_meta meta;
    uint64_t head = feed_position(&vs->store->feed);
    side_meta(side, &meta);
    if (side->follower)
        follower_status(side->follower, &status);
    uint64_t position = side->follower ? status.position : meta.position;
    uint64_t lag = head > position ? head - position : 0;
    json_object_set_new(object, "state", json_string(state_word(vs, side, &status)));
    if (status.state == FOLLOWER_HALTED)
        json_object_set_new(object, "reason", json_string(status.halted.text));
    else if (side->broken.code)
        json_object_set_new(object, "reason", json_string(side->broken.text));
    else if (!store_has_room(vs->store))
        json_object_set_new(object, "reason", json_string("the free space of the disk is below the reserve"));
    json_object_set_new(object, "position", figure_position(position));
    json_object_set_new(object, "lag_events", figure_number(lag));
    json_object_set_new(object, "lag_seconds", json_real(lag ? figure_behind(vs->store, position) : 0));
    json_object_set_new(object, "rate", figure_number((uint64_t)status.rate));
}

static void contents_put(const struct side *side, json_t *object) {
    struct build_meta meta;
    side_meta(side, &meta);
    if (meta.index) {
        json_object_set_new(object, "links", figure_number(meta.links));
        return;
    }
    json_object_set_new(object, "keys", figure_number(meta.keys));
    json_object_set_new(object, "shortened_names", figure_number(meta.long_names));
    json_object_set_new(object, "failed_outputs", figure_number(meta.failed));
}

static json_t *rebuild_object(struct views *vs, const struct side *side) {
    struct follower_status status = {0};
    uint64_t head = feed_position(&vs->store->feed);
    json_t *object = json_object();
    side_put(vs, side, object);
    if (side->follower)
        follower_status(side->follower, &status);
    double done = head ? (double)status.position / (double)head : 1;
    json_object_set_new(object, "progress", json_real(done > 1 ? 1 : done));
    if (status.rate > 0 && head > status.position)
        json_object_set_new(object, "seconds_left", json_real((double)(head - status.position) / status.rate));
    return object;
}

static uint64_t parked_count(struct views *vs, uint32_t no) {
    uint64_t *list = malloc((PARKED_MAX + 1) * sizeof *list);
    int n = list ? views_parked(vs, no, 0, list, PARKED_MAX + 1) : 0;
    free(list);
    return n > 0 ? (uint64_t)n : 0;
}

static uint64_t skipped_count(struct views *vs, struct str name) {
    char follower[VIEW_FOLLOWER_ROOM];
    return index_skip_count(vs->store->index, view_follower(name, follower), 0, UINT64_MAX);
}

static json_t *view_object(struct views *vs, uint32_t no) {
    json_t *object = NULL;
    pthread_mutex_lock(&vs->lock);
    const struct view *v = view_by_no(vs, no);
    if (v && v->defined) {
        object = json_object();
        json_object_set_new(object, "view", json_stringn(v->name.p, v->name.n));
        side_put(vs, &v->now, object);
        contents_put(&v->now, object);
        json_object_set_new(object, "skipped", figure_number(skipped_count(vs, v->name)));
        if (v->beside.build)
            json_object_set_new(object, "rebuild", rebuild_object(vs, &v->beside));
    }
    pthread_mutex_unlock(&vs->lock);
    return object;
}

int views_status(struct views *vs, uint32_t no, struct buf *out) {
    json_t *object = view_object(vs, no);
    if (!object)
        return VIEW_NONE;
    json_object_set_new(object, "parked", figure_number(parked_count(vs, no)));
    return figures_put_bare(out, object);
}
