#include "kafka_rules.h"

#include "array.h"
#include "fold_private.h"
#include "name.h"

#include <errno.h>
#include <stdlib.h>

struct kafka_rules {
    struct domain *domain; /* a reference */
    const struct domain_kafka *says;
    struct domain_vm *vm;
    struct folder *folder;
    struct event *list;
    size_t n, cap;
    struct script_fault fault;
};

int kafka_rules_new(struct kafka_rules **out, struct domain *d, struct err *err) {
    static const struct folder_options nothing = {0}; /* only upcasts run, which see the event alone */
    *out = NULL;
    if (!d || !d->kafka)
        return 0;
    struct kafka_rules *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ENOMEM, "out of memory");
    r->domain = domain_ref(d);
    r->says = d->kafka;
    int e = domain_vm_new(&r->vm, d, err);
    if (e == 0 && !(r->folder = folder_new(r->vm, &nothing)))
        e = err_set(err, ENOMEM, "out of memory");
    if (e < 0)
        kafka_rules_free(r);
    else
        *out = r;
    return e;
}

void kafka_rules_free(struct kafka_rules *r) {
    if (!r)
        return;
    folder_free(r->folder);
    domain_vm_free(r->vm);
    domain_unref(r->domain);
    free(r->list);
    free(r);
}

void kafka_rules_hash(const struct kafka_rules *r, uint8_t out[DOMAIN_FOLD_HASH]) {
    if (r)
        memcpy(out, r->says->hash, DOMAIN_FOLD_HASH);
    else
        memset(out, 0, DOMAIN_FOLD_HASH);
}

/* --- an event */

static int list_add(struct kafka_rules *r, const struct event *e) {
    if (!ARRAY_ROOM(r->list, r->n, r->cap))
        return -ENOMEM;
    r->list[r->n++] = *e;
    return 0;
}

/* What a handler has made; it has no schema. */
static int made_add(struct kafka_rules *r, const struct event *e, const struct script_made *made,
                    struct script_fault *fault) {
    struct event message = *e;
    const char *why = name_fault(made->type);
    if (why)
        return fold_fault(fault, 0, "the type of a message %s", why);
    message.type = made->type;
    message.data = made->data;
    message.schema = 0;
    return list_add(r, &message);
}

static int handler_run(struct kafka_rules *r, const struct event *e, struct fresh_event *fresh, script_value handler,
                       struct script_fault *fault) {
    struct event stored = *e;
    struct script_event told;
    struct script_list made = {0};
    stored.type = fresh->type;
    int rc = fresh->tree ? 0 : fold_parse(r->folder, fresh->data, &fresh->tree, fault);
    if (rc == 0)
        rc = fold_told(r->folder, &stored, fresh, &told, fault);
    if (rc == 0)
        rc = script_publish(domain_vm_script(r->vm), handler, &told, &r->folder->arena, &made, fault);
    for (size_t i = 0; rc == 0 && i < made.n; i++)
        rc = made_add(r, e, &made.items[i], fault);
    return rc;
}

static int fresh_apply(struct kafka_rules *r, const struct event *e, struct fresh_event *fresh,
                       struct script_fault *fault) {
    const struct domain_kafka_on *on = domain_kafka_on(r->says, fresh->type);
    if (!on || on->how == DOMAIN_KAFKA_NOT)
        return 0;
    if (on->how == DOMAIN_KAFKA_MADE)
        return handler_run(r, e, fresh, domain_vm_kafka_on(r->vm, on), fault);
    const struct event line = upcast_line(e, fresh);
    return list_add(r, &line);
}

static int event_apply(struct kafka_rules *r, const struct domain_type *t, const struct event *e,
                       struct script_fault *fault) {
    const struct domain_kafka_on *on = domain_kafka_on(r->says, e->type);
    struct fresh_event *fresh;
    size_t n;
    if (on && on->how == DOMAIN_KAFKA_AS_IT_IS) /* also when it is older than the domain: as the log has it */
        return list_add(r, e);
    if (!t->upcasts && (!on || on->how == DOMAIN_KAFKA_NOT))
        return 0;
    int rc = upcast_event(r->folder, t, e, &fresh, &n, fault);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = fresh_apply(r, e, &fresh[i], fault);
    return rc;
}

static int fault_words(const struct kafka_rules *r, struct err *why) {
    const struct script_fault *fault = &r->fault;
    if (fault->file[0] && fault->line)
        err_set(why, EIO, "%s:%d: %s", fault->file, fault->line, fault->text);
    else
        err_set(why, EIO, "%s: %s", r->says->file.p, fault->text);
    return KAFKA_RULES_FAILED;
}

int kafka_rules_apply(struct kafka_rules *r, const struct event *e, const struct event **out, size_t *n,
                      struct err *why) {
    *out = e;
    *n = 1;
    if (!r)
        return 0;
    folder_reset(r->folder);
    r->n = 0;
    r->fault = (struct script_fault){0};
    const struct domain_type *t = domain_type(r->domain, e->aggregate_type);
    int rc = t && domain_follows(r->says->from, r->says->n_from, t) ? event_apply(r, t, e, &r->fault) : 0;
    *out = r->list;
    *n = rc == 0 ? r->n : 0;
    if (rc == SCRIPT_FAILED)
        return fault_words(r, why);
    return rc < 0 ? err_set(why, -rc, "%s: %s", r->says->file.p, r->fault.text[0] ? r->fault.text : strerror(-rc)) : 0;
}

const struct script_fault *kafka_rules_fault(const struct kafka_rules *r) {
    return &r->fault;
}
