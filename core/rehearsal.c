#include "rehearsal_private.h"

#include "dialogue.h"

#include "array.h"
#include "name.h"

#include <errno.h>
#include <stdlib.h>

const uint8_t rehearsal_store[16] = "rehearsal";

/* --- life */

int rehearsal_new(struct rehearsal **out, struct domain *d, struct err *err) {
    struct rehearsal *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ENOMEM, "out of memory");
    r->domain = domain_ref(d);
    r->time = REHEARSAL_BEGIN - 1;
    int rc = domain_vm_new(&r->vm, d, err);
    if (rc == 0) {
        const struct folder_options options = {.source = {.store_id = rehearsal_store}};
        r->folder = folder_new(r->vm, &options);
        r->parser = json_parser_new();
        if (!r->folder || !r->parser || rehearsal_views_new(r) < 0)
            rc = err_set(err, ENOMEM, "out of memory");
    }
    if (rc == 0)
        rc = kafka_rules_new(&r->rules, d, err);
    if (rc < 0) {
        rehearsal_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void member_forget(struct rehearsal *r, struct member *m) {
    if (m->folded)
        fold_drop(r->folder, &m->fold);
    m->folded = false;
}

void rehearsal_clear(struct rehearsal *r) {
    rehearsal_views_clear(r);
    for (size_t i = 0; i < r->n_members; i++) {
        member_forget(r, r->members[i]);
        free(r->members[i]->events);
        free(r->members[i]);
    }
    r->n_members = r->n_ids = r->n_touched = r->n_made = 0;
    r->position = r->published = 0;
    r->time = REHEARSAL_BEGIN - 1;
    arena_reset(&r->world, REHEARSAL_KEEP);
}

void rehearsal_free(struct rehearsal *r) {
    if (!r)
        return;
    rehearsal_clear(r);
    rehearsal_views_free(r);
    kafka_rules_free(r->rules);
    folder_free(r->folder);
    json_parser_free(r->parser);
    domain_vm_free(r->vm);
    domain_unref(r->domain);
    arena_free(&r->world);
    arena_free(&r->arena);
    free(r->members);
    free(r->log);
    free(r->ids);
    free(r->touched);
    free(r->made);
    free(r);
}

uint64_t rehearsal_position(const struct rehearsal *r) {
    return r->position;
}

/* --- aggregates and their states */

static int member_add(struct rehearsal *r, const struct domain_type *t, struct str name, struct member **out) {
    struct member *m = calloc(1, sizeof *m);
    if (!m || !ARRAY_ROOM(r->members, r->n_members, r->members_cap)) {
        free(m);
        return -ENOMEM;
    }
    m->type = t;
    m->no = r->n_members + 1;
    m->name = arena_copy(&r->world, name);
    m->id = (struct str){m->name.p + t->name.n + 1, name.n - t->name.n - 1};
    if (!m->name.p) {
        free(m);
        return -ENOMEM;
    }
    r->members[r->n_members++] = *out = m;
    return 0;
}

int member_find(struct rehearsal *r, struct str name, struct member **out, struct err *err) {
    const char *slash = name.n ? memchr(name.p, '/', name.n) : NULL;
    if (!slash)
        return err_set(err, EINVAL, "an aggregate is named \"type/id\", not \"%.*s\"", (int)name.n, name.p);
    for (size_t i = 0; i < r->n_members; i++)
        if (str_eq(r->members[i]->name, name)) {
            *out = r->members[i];
            return 0;
        }
    const struct str type = {name.p, (size_t)(slash - name.p)}, id = {slash + 1, name.n - type.n - 1};
    const struct domain_type *t = domain_type(r->domain, type);
    const char *fault = name_fault(id);
    if (!t)
        return err_set(err, EINVAL, "the domain has no type \"%.*s\"", (int)type.n, type.p);
    if (fault || name_is_reserved_aggregate(id))
        return err_set(err, EINVAL, "\"%.*s\" %s", (int)id.n, id.p, fault ? fault : "is a reserved name");
    return member_add(r, t, name, out) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

int member_replay(struct folder *f, const struct member *m, struct fold *out, struct script_fault *fault) {
    int rc = fold_begin(f, m->type, m->id, out, fault);
    bool begun = rc == 0;
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        rc = fold_event(f, m->type, out, &m->events[i], fault);
    folder_reset(f);
    if (begun && rc != 0)
        fold_drop(f, out);
    return rc;
}

int member_fold(struct rehearsal *r, struct member *m, struct script_fault *fault) {
    int rc = m->folded ? 0 : member_replay(r->folder, m, &m->fold, fault);
    m->folded = rc == 0;
    return rc;
}

int member_append(struct rehearsal *r, struct member *m, const struct event *e) {
    if (!ARRAY_ROOM(m->events, m->n, m->cap) || !ARRAY_ROOM(r->log, r->position, r->log_cap))
        return -ENOMEM;
    r->log[r->position] = (struct happening){m, m->n};
    m->events[m->n++] = *e;
    r->position = e->position;
    r->time = e->time;
    return 0;
}

int rehearsal_fault(int rc, const struct script_fault *fault, struct err *err) {
    if (rc == -ENOMEM)
        return err_set(err, ENOMEM, "out of memory");
    char words[DIALOGUE_WORDS];
    dialogue_words(fault, words);
    return err_set(err, EINVAL, "%s", words);
}

int rehearsal_state(struct rehearsal *r, struct str aggregate, struct buf *out, struct err *err) {
    struct member *m = NULL;
    struct script_fault fault = {0};
    int rc = member_find(r, aggregate, &m, err);
    if (rc < 0)
        return rc;
    rc = member_fold(r, m, &fault);
    if (rc == 0)
        rc = script_to_json(domain_vm_script(r->vm), m->fold.state, out, &fault);
    return rc ? rehearsal_fault(rc, &fault, err) : 0;
}

/* --- data and schemas */

/* The version that a given event is of, and its schema (NULL: any data will do). */
static int given_version(struct rehearsal *r, const struct member *m, const struct domain_event *def, uint32_t wanted,
                         uint32_t *version, const struct domain_schema **schema, struct err *err) {
    *version = wanted == REHEARSAL_NEWEST ? def->version : wanted;
    *schema = NULL;
    if (*version == 0)
        return 0;
    *schema = domain_schema(r->domain, m->type->name, false, def->name, *version);
    return *schema ? 0
                   : err_set(err, EINVAL, "there is no schemas/%s/%s.%u.json", m->type->name.p, def->name.p, *version);
}

static int given_check(struct rehearsal *r, const struct member *m, const struct rehearsed_event *e,
                       const struct domain_event **def, uint32_t *version, struct err *err) {
    const struct domain_schema *schema;
    const struct json_value *tree;
    struct schema_fault why;
    *def = domain_event(m->type, e->type);
    if (!*def)
        return err_set(err, EINVAL, "%s declares no event \"%.*s\"", m->type->file.p, (int)e->type.n, e->type.p);
    int rc = given_version(r, m, *def, e->schema, version, &schema, err);
    if (rc < 0)
        return rc;
    rc = dialogue_tree(r->parser, &r->arena, e->data, &tree);
    if (rc < 0)
        return err_set(err, ENOMEM, "out of memory");
    if (rc == JSON_MALFORMED || tree->kind != JSON_KIND_OBJECT)
        return err_set(err, EINVAL, "the data of %s must be an object", (*def)->name.p);
    rc = schema ? schema_check(schema->compiled, tree, &why) : 0;
    return rc == SCHEMA_VIOLATED ? err_set(err, EINVAL, "%s violates schema %u of its data: data%s %s (%s)",
                                           (*def)->name.p, *version, why.instance, why.text, why.keyword)
                                 : rc;
}

int rehearsal_give(struct rehearsal *r, const struct rehearsed_event *e, struct err *err) {
    const struct domain_event *def = NULL;
    struct script_fault fault = {0};
    struct member *m = NULL;
    uint32_t version = 0;
    arena_reset(&r->arena, REHEARSAL_KEEP);
    int rc = member_find(r, e->aggregate, &m, err);
    if (rc == 0)
        rc = given_check(r, m, e, &def, &version, err);
    if (rc < 0)
        return rc;
    const struct event stored = {.position = r->position + 1,
                                 .aggregate = m->no,
                                 .version = m->n + 1,
                                 .time = e->time ? e->time : r->time + 1,
                                 .uid = e->uid,
                                 .schema = version,
                                 .aggregate_type = m->type->name,
                                 .aggregate_id = m->id,
                                 .type = def->name,
                                 .data = arena_copy(&r->world, e->data),
                                 .store_id = rehearsal_store};
    if (!stored.data.p)
        return err_set(err, ENOMEM, "out of memory");
    rc = member_fold(r, m, &fault);
    if (rc == 0)
        rc = fold_event(r->folder, m->type, &m->fold, &stored, &fault);
    folder_reset(r->folder);
    if (rc == 0)
        rc = member_append(r, m, &stored);
    else
        member_forget(r, m);
    return rc ? rehearsal_fault(rc, &fault, err) : 0;
}
