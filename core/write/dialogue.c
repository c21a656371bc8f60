#include "dialogue.h"

#include "varint.h"

#include <errno.h>
#include <stdio.h>

int dialogue_tree(struct json_parser *parser, struct arena *arena, struct str text, const struct json_value **out) {
    const char *why;
    struct json_value *tree = arena_alloc(arena, sizeof *tree);
    char *copy = arena_alloc(arena, text.n + JSON_PADDING);
    if (!tree || !copy)
        return -ENOMEM;
    memcpy(copy, text.p, text.n);
    memset(copy + text.n, 0, JSON_PADDING);
    *out = tree;
    return json_tree_read(parser, (struct str){copy, text.n}, arena, tree, &why);
}

/* Extension attributes are kept as members with a comma before each. */
static int meta_tree(struct json_parser *parser, struct arena *arena, struct str meta, const struct json_value **out) {
    *out = NULL;
    if (!meta.n)
        return 0;
    char *object = arena_alloc(arena, meta.n + 1);
    if (!object)
        return -ENOMEM;
    memcpy(object, meta.p, meta.n);
    object[0] = '{';
    object[meta.n] = '}';
    return dialogue_tree(parser, arena, (struct str){object, meta.n + 1}, out) < 0 ? -ENOMEM : 0;
}

/* What ids of cmd.uuid() derive from: the command's own id, or, without one, its place in the log. */
static int seed_of(const struct command *c, const struct dialogue_place *place, uint8_t out[16]) {
    struct buf from = {0};
    char position[8];
    be64_put(position, place->position);
    buf_put(&from, place->store_id, 16);
    buf_put_str(&from, place->aggregate);
    buf_put_char(&from, '\0');
    if (c->id.n)
        buf_put_str(&from, c->id);
    else
        buf_put(&from, position, sizeof position);
    if (!from.oom)
        digest_content(c->type, buf_str(&from), out);
    buf_free(&from);
    return from.oom ? -ENOMEM : 0;
}

/* The primary group first, then the others, each once. */
static int gids_of(struct arena *arena, const struct identity *who, struct script_command *out) {
    uint32_t *gids = arena_alloc(arena, (who->n_gids + 1) * sizeof *gids);
    if (!gids)
        return -ENOMEM;
    gids[0] = who->gid;
    out->n_gids = 1;
    for (size_t i = 0; i < who->n_gids; i++)
        if (who->gids[i] != who->gid)
            gids[out->n_gids++] = who->gids[i];
    out->gids = gids;
    return 0;
}

int dialogue_tell(struct json_parser *parser, struct arena *arena, const struct command *c, const struct identity *who,
                  const struct dialogue_place *place, struct script_command *out) {
    char *at = arena_alloc(arena, EVENT_TIME_CHARS);
    if (!at)
        return -ENOMEM;
    event_time(place->time, at);
    *out = (struct script_command){.aggregate = place->aggregate,
                                   .type = c->type,
                                   .id = c->id,
                                   .time = {at, EVENT_TIME_CHARS},
                                   .correlationid = c->correlationid.n ? c->correlationid : c->id,
                                   .version = place->version,
                                   .uid = who->uid,
                                   .data = c->tree};
    if (seed_of(c, place, out->seed) < 0 || gids_of(arena, who, out) < 0)
        return -ENOMEM;
    return meta_tree(parser, arena, c->meta, &out->meta);
}

int dialogue_check(struct json_parser *parser, struct arena *arena, const struct domain_type *t,
                   const struct script_made *made, struct fresh_event *out, struct script_fault *fault) {
    struct schema_fault why;
    *out = (struct fresh_event){.type = made->type, .data = made->data, .definition = domain_event(t, made->type)};
    *fault = (struct script_fault){0};
    if (!out->definition || out->definition->retired) {
        snprintf(fault->text, sizeof fault->text, "emitted %.*s, which is %s", (int)made->type.n, made->type.p,
                 out->definition ? "retired" : "none of its events");
        return SCRIPT_FAILED;
    }
    if (!out->definition->schema && !out->definition->evolves)
        return 0;
    int r = dialogue_tree(parser, arena, made->data, &out->tree);
    if (r == JSON_MALFORMED) {
        snprintf(fault->text, sizeof fault->text, "%.*s: the data is not what JSON can hold", (int)made->type.n,
                 made->type.p);
        return SCRIPT_FAILED;
    }
    if (r < 0 || !out->definition->schema)
        return r;
    r = schema_check(out->definition->schema->compiled, out->tree, &why);
    if (r != SCHEMA_VIOLATED)
        return r;
    snprintf(fault->text, sizeof fault->text, "%.*s violates schema %u of its data: data%s %s (%s)", (int)made->type.n,
             made->type.p, out->definition->version, why.instance, why.text, why.keyword);
    return SCRIPT_FAILED;
}

void dialogue_blame(const struct domain_type *t, struct script_fault *fault) {
    if (!fault->file[0])
        snprintf(fault->file, sizeof fault->file, "%.*s", (int)t->file.n, t->file.p);
}

void dialogue_words(const struct script_fault *fault, char out[DIALOGUE_WORDS]) {
    if (fault->file[0] && fault->line)
        snprintf(out, DIALOGUE_WORDS, "%s:%d: %s", fault->file, fault->line, fault->text);
    else
        snprintf(out, DIALOGUE_WORDS, "%s%s%s", fault->file, fault->file[0] ? ": " : "", fault->text);
}
