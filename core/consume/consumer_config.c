#include "consumer_config.h"

#include "buf.h"
#include "consumers.h"

#include <errno.h>
#include <stdlib.h>

#define NAMES_MAX 1000 /* in one list */

/* --- reading */

struct reading {
    struct consumer_config *config;
    struct err *err;
};

static int fault(struct reading *r, struct str member, const char *words) {
    return err_set(r->err, EINVAL, "`%.*s` %s", (int)(member.n < 100 ? member.n : 100), member.p, words);
}

static int read_from(struct reading *r, const struct json_value *v) {
    uint64_t position;
    const struct str name = STR("from");
    if (v->kind != JSON_KIND_STRING)
        return fault(r, name, "must be \"start\", \"end\" or a position");
    if (!str_eq(v->text, STR("start")) && !str_eq(v->text, STR("end")) && !event_position_read(v->text, &position))
        return fault(r, name, "must be \"start\", \"end\" or a position, 16 hexadecimal digits as events show it");
    r->config->from = arena_copy(&r->config->arena, v->text);
    return r->config->from.p ? 0 : -ENOMEM;
}

static int read_group(struct reading *r, const struct json_value *v) {
    if (v->kind != JSON_KIND_TRUE && v->kind != JSON_KIND_FALSE)
        return fault(r, STR("group"), "must be true or false");
    r->config->group = v->kind == JSON_KIND_TRUE;
    return 0;
}

static int read_list(struct reading *r, struct str member, const struct json_value *v) {
    if (v->kind != JSON_KIND_ARRAY)
        return fault(r, member, "must be a list of names");
    if (v->n > NAMES_MAX)
        return fault(r, member, "has more than 1000 names");
    for (uint32_t i = 0; i < v->n; i++)
        if (v->items[i].kind != JSON_KIND_STRING)
            return fault(r, member, "must be a list of names: it holds something that is no string");
    return 0;
}

static int name_check(struct reading *r, struct str member, struct str name) {
    const char *why = name_fault(name);
    if (!why)
        return 0;
    return err_set(r->err, EINVAL, "`%.*s`: \"%.*s\" %s", (int)member.n, member.p, (int)(name.n < 100 ? name.n : 100),
                   name.p, why);
}

static int str_compare(struct str a, struct str b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n ? memcmp(a.p, b.p, n) : 0;
    return r ? r : (a.n > b.n) - (a.n < b.n);
}

static int type_compare(const void *a, const void *b) {
    const struct str *x = a, *y = b;
    return str_compare(*x, *y);
}

static int event_compare(const void *a, const void *b) {
    const struct consumer_config_event *x = a, *y = b;
    int r = str_compare(x->event, y->event);
    return r ? r : str_compare(x->type, y->type);
}

static int read_types(struct reading *r, const struct json_value *v) {
    const struct str member = STR("types");
    int code = read_list(r, member, v);
    struct str *types = code == 0 ? arena_alloc(&r->config->arena, v->n * sizeof *types + 1) : NULL;
    if (!types)
        return code < 0 ? code : -ENOMEM;
    for (uint32_t i = 0; i < v->n; i++) {
        code = name_check(r, member, v->items[i].text);
        if (code < 0)
            return code;
        types[i] = arena_copy(&r->config->arena, v->items[i].text);
        if (!types[i].p)
            return -ENOMEM;
    }
    if (v->n)
        qsort(types, v->n, sizeof *types, type_compare);
    r->config->types = types;
    r->config->n_types = v->n;
    return 0;
}

/* "OrderPlaced" or "order/OrderPlaced". */
static int read_event(struct reading *r, struct str name, struct consumer_config_event *out) {
    const struct str member = STR("events");
    const char *slash = name.n ? memchr(name.p, '/', name.n) : NULL;
    struct str copy = arena_copy(&r->config->arena, name);
    if (!copy.p)
        return -ENOMEM;
    size_t type_n = slash ? (size_t)(slash - name.p) : 0;
    *out = (struct consumer_config_event){{copy.p, type_n}, copy};
    if (slash)
        out->event = (struct str){copy.p + type_n + 1, copy.n - type_n - 1};
    int code = slash ? name_check(r, member, out->type) : 0;
    return code < 0 ? code : name_check(r, member, out->event);
}

static int read_events(struct reading *r, const struct json_value *v) {
    int code = read_list(r, STR("events"), v);
    struct consumer_config_event *events = code == 0 ? arena_alloc(&r->config->arena, v->n * sizeof *events + 1) : NULL;
    if (!events)
        return code < 0 ? code : -ENOMEM;
    for (uint32_t i = 0; i < v->n; i++) {
        code = read_event(r, v->items[i].text, &events[i]);
        if (code < 0)
            return code;
    }
    if (v->n)
        qsort(events, v->n, sizeof *events, event_compare);
    r->config->events = events;
    r->config->n_events = v->n;
    return 0;
}

static int read_member(struct reading *r, const struct json_field *f) {
    if (str_eq(f->name, STR("from")))
        return read_from(r, &f->value);
    if (str_eq(f->name, STR("types")))
        return read_types(r, &f->value);
    if (str_eq(f->name, STR("events")))
        return read_events(r, &f->value);
    if (str_eq(f->name, STR("group")))
        return read_group(r, &f->value);
    return fault(r, f->name, "is no member of a config: it has from, types, events and group");
}

static int read_members(struct reading *r, const struct json_value *object) {
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < object->n; i++)
        code = read_member(r, &object->fields[i]);
    return code;
}

/* --- the text */

static void put_names(struct buf *out, const char *member, const struct json_value *object) {
    const struct json_value *list = json_field(object, str_of(member));
    buf_printf(out, ",\"%s\":[", member);
    for (uint32_t i = 0; list && i < list->n; i++) {
        if (i)
            buf_put_char(out, ',');
        buf_put_json_string(out, list->items[i].text);
    }
    buf_put_char(out, ']');
}

/* Every member, in one order, lists as they came. */
static int text_make(struct consumer_config *c, const struct json_value *object) {
    struct buf text = {0};
    buf_put_text(&text, "{\"from\":");
    buf_put_json_string(&text, c->from);
    put_names(&text, "types", object);
    put_names(&text, "events", object);
    buf_printf(&text, ",\"group\":%s}", c->group ? "true" : "false");
    size_t n = text.n;
    for (size_t i = 0; i < JSON_PADDING; i++)
        buf_put_char(&text, '\0');
    c->text = text.oom ? (struct str){NULL, 0} : arena_copy(&c->arena, buf_str(&text));
    c->text.n = n;
    buf_free(&text);
    return c->text.p ? 0 : -ENOMEM;
}

static struct consumer_config *config_new(void) {
    struct consumer_config *c = calloc(1, sizeof *c);
    if (c) {
        atomic_init(&c->references, 1);
        c->from = STR("start");
    }
    return c;
}

static int config_fill(struct reading *r, struct json_parser *parser, struct str json, struct arena *scratch) {
    struct json_value object;
    const char *why = "";
    int code = json_tree_read(parser, json, scratch, &object, &why);
    if (code != 0)
        return code < 0 ? code : err_set(r->err, EINVAL, "not JSON: %s", why);
    if (object.kind != JSON_KIND_OBJECT)
        return err_set(r->err, EINVAL, "not an object");
    code = read_members(r, &object);
    return code < 0 ? code : text_make(r->config, &object);
}

int consumer_config_read(struct consumer_config **out, struct json_parser *parser, struct str json,
                         const struct consumer_config *from, struct err *err) {
    struct arena scratch = {0};
    struct reading r = {.config = config_new(), .err = err};
    if (!r.config)
        return -ENOMEM;
    if (from)
        r.config->from = arena_copy(&r.config->arena, from->from);
    int code = json.n > CONSUMER_CONFIG_BYTES ? err_set(err, EINVAL, "it has more than %d bytes", CONSUMER_CONFIG_BYTES)
               : r.config->from.p             ? config_fill(&r, parser, json, &scratch)
                                              : -ENOMEM;
    arena_free(&scratch);
    if (code < 0)
        consumer_config_unref(r.config);
    else
        *out = r.config;
    return code;
}

struct consumer_config *consumer_config_ref(struct consumer_config *c) {
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void consumer_config_unref(struct consumer_config *c) {
    if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    arena_free(&c->arena);
    free(c);
}

/* --- which events */

bool consumer_config_has_type(const struct consumer_config *c, struct str type) {
    return c->n_types == 0 || bsearch(&type, c->types, c->n_types, sizeof *c->types, type_compare);
}

bool consumer_config_each_type(const struct consumer_config *c, consumer_config_visit *visit, void *arg) {
    bool qualified = c->n_events > 0;
    for (size_t i = 0; i < c->n_events; i++)
        qualified = qualified && c->events[i].type.n;
    for (size_t i = 0; i < c->n_types; i++)
        if (!visit(arg, c->types[i]))
            return false;
    if (c->n_types)
        return true;
    if (!qualified)
        return visit(arg, STR(""));
    for (size_t i = 0; i < c->n_events; i++)
        if (!visit(arg, c->events[i].type))
            return false;
    return true;
}

static bool event_listed(const struct consumer_config *c, struct str type, struct str event) {
    const struct consumer_config_event key = {type, event};
    return bsearch(&key, c->events, c->n_events, sizeof *c->events, event_compare);
}

enum { VERDICT_UNKNOWN, VERDICT_NO, VERDICT_YES };

void selection_init(struct selection *s, struct consumer_config *config) {
    *s = (struct selection){.config = consumer_config_ref(config)};
}

void selection_deinit(struct selection *s) {
    consumer_config_unref(s->config);
    free(s->types);
    *s = (struct selection){0};
}

/* What a number is the number of never changes. */
static bool type_selected(struct selection *s, struct index *ix, uint32_t no) {
    if (s->config->n_types == 0)
        return true;
    if (no < s->n && s->types[no] != VERDICT_UNKNOWN)
        return s->types[no] == VERDICT_YES;
    bool yes = consumer_config_has_type(s->config, index_type_name(ix, no));
    if (no >= s->n) {
        size_t n = no + 64;
        uint8_t *types = realloc(s->types, n);
        if (!types)
            return yes;
        memset(types + s->n, VERDICT_UNKNOWN, n - s->n);
        s->types = types;
        s->n = n;
    }
    s->types[no] = yes ? VERDICT_YES : VERDICT_NO;
    return yes;
}

bool selection_has(struct selection *s, struct index *ix, const struct event *e) {
    const struct consumer_config *c = s->config;
    if (!type_selected(s, ix, e->type_no))
        return false;
    return c->n_events == 0 || event_listed(c, STR(""), e->type) ||
           event_listed(c, index_type_name(ix, e->type_no), e->type);
}
