#include "command.h"

#include "err.h"
#include "name.h"

#include <errno.h>
#include <stdarg.h>

#define TEXT_MAX_BYTES 256 /* of id, correlationid, causationid and traceparent */
#define META_NAME_MAX_BYTES 20
#define INT32_DIGITS_MAX 10

enum attribute {
    ATTR_TYPE,
    ATTR_AGGREGATE,
    ATTR_EXPECTED_VERSION,
    ATTR_DATA,
    ATTR_META,
    ATTR_ID,
    ATTR_CORRELATIONID,
    ATTR_CAUSATIONID,
    ATTR_TRACEPARENT,
    ATTR_COUNT
};

#define NAME(text)                                                                                                     \
    { text, sizeof(text) - 1 }

static const struct str attribute_names[ATTR_COUNT] = {
    [ATTR_TYPE] = NAME("type"),
    [ATTR_AGGREGATE] = NAME("aggregate"),
    [ATTR_EXPECTED_VERSION] = NAME("expectedVersion"),
    [ATTR_DATA] = NAME("data"),
    [ATTR_META] = NAME("meta"),
    [ATTR_ID] = NAME("id"),
    [ATTR_CORRELATIONID] = NAME("correlationid"),
    [ATTR_CAUSATIONID] = NAME("causationid"),
    [ATTR_TRACEPARENT] = NAME("traceparent"),
};

/* What one call of command_parse() works with. */
struct reading {
    struct json_parser *parser;
    const struct scope *scope;
    struct arena *arena;
    struct refusal *refusal;
};

/* The members of one command, by what they mean. */
struct shape {
    const struct json_member *of[ATTR_COUNT];
    const struct json_member *unknown; /* the first one, or NULL */
};

/* --- refusing */

static bool is_continuation(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Details quote what was sent, and are shown on terminals. */
static void control_characters_hide(char *text) {
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        bool c1 = *p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;
        if (*p < 0x20 || *p == 0x7f || c1)
            *p = '?';
        if (c1)
            p[1] = '?';
    }
}

__attribute__((format(printf, 3, 4))) static int refuse(struct reading *r, enum outcome outcome, const char *format,
                                                        ...) {
    struct refusal *refusal = r->refusal;
    refusal->outcome = outcome;
    va_list args;
    va_start(args, format);
    err_format(refusal->detail, sizeof refusal->detail, format, args);
    va_end(args);
    control_characters_hide(refusal->detail);
    return outcome;
}

/* How much of a string from outside fits into a detail and leaves room for the cause. */
static int quotable(struct str s) {
    size_t n = s.n;
    if (n > 160)
        for (n = 160; is_continuation(s.p[n]); n--)
            ;
    return (int)n;
}

#define QUOTE(s) quotable(s), (s).p

static void refusal_name_aggregate(struct reading *r, struct str type, struct str id) {
    if (type.n == 0 || id.n == 0)
        return;
    char *p = arena_alloc(r->arena, type.n + 1 + id.n);
    if (!p)
        return;
    memcpy(p, type.p, type.n);
    p[type.n] = '/';
    memcpy(p + type.n + 1, id.p, id.n);
    r->refusal->aggregate = (struct str){p, type.n + 1 + id.n};
}

/* --- members */

static void shape_read(const struct json_member *members, size_t n, struct shape *shape) {
    *shape = (struct shape){0};
    for (size_t i = 0; i < n; i++) {
        enum attribute a = 0;
        while (a < ATTR_COUNT && !str_eq(members[i].name, attribute_names[a]))
            a++;
        if (a < ATTR_COUNT)
            shape->of[a] = &members[i];
        else if (!shape->unknown)
            shape->unknown = &members[i];
    }
}

/* "order/1001", or "1001" below a type, as the aggregate it names. */
static int aggregate_split(struct reading *r, struct str text, struct command *out) {
    const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
    if (!slash && r->scope->type.n == 0)
        return refuse(r, OUTCOME_INVALID, "aggregate \"%.*s\": needs a type and an id, as \"order/1001\" has",
                      QUOTE(text));
    out->aggregate_type = r->scope->type;
    out->aggregate_id = text;
    if (slash) {
        out->aggregate_type = (struct str){text.p, (size_t)(slash - text.p)};
        out->aggregate_id = (struct str){slash + 1, text.n - out->aggregate_type.n - 1};
    }
    return 0;
}

static int aggregate_check_names(struct reading *r, struct str text, const struct command *c) {
    const char *fault = name_fault(c->aggregate_type);
    if (fault)
        return refuse(r, OUTCOME_INVALID, "aggregate \"%.*s\": the type %s", QUOTE(text), fault);
    if (name_is_reserved_type(c->aggregate_type))
        return refuse(r, OUTCOME_INVALID, "aggregate \"%.*s\": the type is reserved", QUOTE(text));
    fault = name_fault(c->aggregate_id);
    if (fault)
        return refuse(r, OUTCOME_INVALID, "aggregate \"%.*s\": the id %s", QUOTE(text), fault);
    if (name_is_reserved_aggregate(c->aggregate_id))
        return refuse(r, OUTCOME_INVALID, "aggregate \"%.*s\": the id is reserved", QUOTE(text));
    return 0;
}

static int aggregate_read(struct reading *r, const struct json_member *m, struct command *out) {
    const struct scope *scope = r->scope;
    out->aggregate_type = scope->type;
    out->aggregate_id = scope->id;
    if (!m)
        return scope->id.n ? 0 : refuse(r, OUTCOME_INVALID, "aggregate is missing");
    if (m->kind != JSON_KIND_STRING)
        return refuse(r, OUTCOME_INVALID, "aggregate must be a string");
    struct command named = *out;
    int rc = aggregate_split(r, m->text, &named);
    if (!rc)
        rc = aggregate_check_names(r, m->text, &named);
    if (rc)
        return rc;
    if (scope->type.n && !str_eq(scope->type, named.aggregate_type))
        return refuse(r, OUTCOME_INVALID, "aggregate \"%.*s\": this file takes commands for %.*s only", QUOTE(m->text),
                      QUOTE(scope->type));
    if (scope->id.n && !str_eq(scope->id, named.aggregate_id))
        return refuse(r, OUTCOME_INVALID, "aggregate \"%.*s\": this file takes commands for %.*s/%.*s only",
                      QUOTE(m->text), QUOTE(scope->type), QUOTE(scope->id));
    *out = named;
    return 0;
}

static int type_read(struct reading *r, const struct json_member *m, struct str *out) {
    if (m->kind != JSON_KIND_STRING)
        return refuse(r, OUTCOME_INVALID, "type must be a string");
    const char *fault = name_fault(m->text);
    if (fault)
        return refuse(r, OUTCOME_INVALID, "type \"%.*s\" %s", QUOTE(m->text), fault);
    *out = m->text;
    return 0;
}

static int text_read(struct reading *r, const struct json_member *m, struct str *out) {
    if (!m)
        return 0;
    if (m->kind != JSON_KIND_STRING)
        return refuse(r, OUTCOME_INVALID, "%.*s must be a string", QUOTE(m->name));
    if (m->text.n == 0 || m->text.n > TEXT_MAX_BYTES)
        return refuse(r, OUTCOME_INVALID, "%.*s must be 1 to %d bytes long", QUOTE(m->name), TEXT_MAX_BYTES);
    if (!name_is_plain_text(m->text))
        return refuse(r, OUTCOME_INVALID, "%.*s must be text without control characters", QUOTE(m->name));
    *out = m->text;
    return 0;
}

static int data_read(struct reading *r, const struct json_member *m, struct str *out) {
    *out = STR("{}");
    if (!m)
        return 0;
    if (m->kind != JSON_KIND_OBJECT)
        return refuse(r, OUTCOME_INVALID, "data must be an object");
    *out = m->raw;
    return 0;
}

/* A token of digits alone. False when it is anything else or over `max`. */
static bool integer_read(struct str token, uint64_t max, uint64_t *out) {
    uint64_t value = 0;
    for (size_t i = 0; i < token.n; i++) {
        unsigned digit = (unsigned char)token.p[i] - (unsigned)'0';
        if (digit > 9 || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return token.n > 0;
}

static int expected_version_read(struct reading *r, const struct json_member *m, struct command *out) {
    static const struct {
        struct str word;
        enum expect expect;
    } words[] = {{NAME("any"), EXPECT_ANY}, {NAME("exists"), EXPECT_EXISTS}, {NAME("none"), EXPECT_NONE}};
    out->expect = EXPECT_ANY;
    if (!m)
        return 0;
    if (m->kind == JSON_KIND_NUMBER && integer_read(m->text, UINT64_MAX, &out->version)) {
        out->expect = EXPECT_VERSION;
        return 0;
    }
    for (size_t i = 0; m->kind == JSON_KIND_STRING && i < sizeof words / sizeof *words; i++) {
        if (str_eq(m->text, words[i].word)) {
            out->expect = words[i].expect;
            return 0;
        }
    }
    return refuse(r, OUTCOME_INVALID,
                  "expectedVersion must be a non-negative integer, \"any\", \"exists\" or \"none\"");
}

/* --- meta */

static bool meta_name_is_taken(struct str name) {
    static const struct str names[] = {
        NAME("specversion"),   NAME("id"),      NAME("source"),       NAME("type"),
        NAME("subject"),       NAME("time"),    NAME("dataschema"),   NAME("datacontenttype"),
        NAME("sequence"),      NAME("version"), NAME("position"),     NAME("commandid"),
        NAME("correlationid"), NAME("uid"),     NAME("actor"),        NAME("causationid"),
        NAME("traceparent"),   NAME("data"),    NAME("partitionkey"),
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(name, names[i]))
            return true;
    return false;
}

static bool meta_name_is_valid(struct str name) {
    if (name.n == 0 || name.n > META_NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!(name.p[i] >= 'a' && name.p[i] <= 'z') && !(name.p[i] >= '0' && name.p[i] <= '9'))
            return false;
    return true;
}

static bool is_int32(struct str token) {
    uint64_t magnitude;
    bool negative = token.p[0] == '-';
    struct str digits = {token.p + negative, token.n - negative};
    return integer_read(digits, (uint64_t)INT32_MAX + negative, &magnitude);
}

static int meta_check(struct reading *r, const struct json_member *m) {
    if (!meta_name_is_valid(m->name))
        return refuse(r, OUTCOME_INVALID, "meta \"%.*s\": a name is 1 to %d of a-z and 0-9", QUOTE(m->name),
                      META_NAME_MAX_BYTES);
    if (meta_name_is_taken(m->name))
        return refuse(r, OUTCOME_INVALID, "meta \"%.*s\": every event has an attribute of that name", QUOTE(m->name));
    switch (m->kind) {
    case JSON_KIND_TRUE:
    case JSON_KIND_FALSE:
        return 0;
    case JSON_KIND_NUMBER:
        if (is_int32(m->text))
            return 0;
        return refuse(r, OUTCOME_INVALID, "meta \"%.*s\": a number must be an integer of 32 bits", QUOTE(m->name));
    case JSON_KIND_STRING:
        if (name_is_plain_text(m->text))
            return 0;
        return refuse(r, OUTCOME_INVALID, "meta \"%.*s\": must be text without control characters", QUOTE(m->name));
    default:
        return refuse(r, OUTCOME_INVALID, "meta \"%.*s\": must be a string, a boolean or an integer", QUOTE(m->name));
    }
}

static int meta_render(struct reading *r, const struct json_member *members, size_t n, struct str *out) {
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size += members[i].name.n + members[i].raw.n + sizeof ",\"\":" - 1;
    char *p = arena_alloc(r->arena, size);
    if (!p)
        return -ENOMEM;
    *out = (struct str){p, size};
    for (size_t i = 0; i < n; i++) {
        p = mempcpy(p, ",\"", 2);
        p = mempcpy(p, members[i].name.p, members[i].name.n);
        p = mempcpy(p, "\":", 2);
        p = mempcpy(p, members[i].raw.p, members[i].raw.n);
    }
    return 0;
}

static int meta_read(struct reading *r, const struct json_member *m, struct str *out) {
    if (!m)
        return 0;
    if (m->kind != JSON_KIND_OBJECT)
        return refuse(r, OUTCOME_INVALID, "meta must be an object");
    struct json_member *members;
    size_t n;
    const char *why;
    int rc = json_object_read(r->parser, m->raw, r->arena, &members, &n, &why);
    if (rc)
        return rc < 0 ? rc : refuse(r, OUTCOME_MALFORMED, "meta: %s", why);
    for (size_t i = 0; i < n; i++)
        if ((rc = meta_check(r, &members[i])))
            return rc;
    return meta_render(r, members, n, out);
}

/* --- one command */

/* A member of a transaction that only checks a version. */
static int check_read(struct reading *r, const struct shape *shape, struct command *out) {
    for (enum attribute a = ATTR_DATA; a < ATTR_COUNT; a++)
        if (shape->of[a])
            return refuse(r, OUTCOME_INVALID, "%s needs a type beside it", attribute_names[a].p);
    if (!shape->of[ATTR_EXPECTED_VERSION])
        return refuse(r, OUTCOME_INVALID, "type or expectedVersion is missing");
    out->data = STR("{}");
    return expected_version_read(r, shape->of[ATTR_EXPECTED_VERSION], out);
}

static int attributes_read(struct reading *r, const struct shape *shape, struct command *out) {
    static const struct {
        enum attribute attribute;
        size_t offset;
    } texts[] = {
        {ATTR_ID, offsetof(struct command, id)},
        {ATTR_CORRELATIONID, offsetof(struct command, correlationid)},
        {ATTR_CAUSATIONID, offsetof(struct command, causationid)},
        {ATTR_TRACEPARENT, offsetof(struct command, traceparent)},
    };
    int rc = type_read(r, shape->of[ATTR_TYPE], &out->type);
    if (!rc)
        rc = data_read(r, shape->of[ATTR_DATA], &out->data);
    if (!rc)
        rc = expected_version_read(r, shape->of[ATTR_EXPECTED_VERSION], out);
    for (size_t i = 0; !rc && i < sizeof texts / sizeof *texts; i++)
        rc = text_read(r, shape->of[texts[i].attribute], (struct str *)((char *)out + texts[i].offset));
    if (!rc)
        rc = meta_read(r, shape->of[ATTR_META], &out->meta);
    if (!rc && out->id.n)
        digest_content(out->type, out->data, out->content);
    return rc;
}

static int command_read(struct reading *r, struct str text, bool transaction, struct command *out) {
    struct json_member *members;
    size_t n;
    const char *why;
    *out = (struct command){0};
    int rc = json_object_read(r->parser, text, r->arena, &members, &n, &why);
    if (rc)
        return rc < 0 ? rc : refuse(r, OUTCOME_MALFORMED, "not JSON: %s", why);
    struct shape shape;
    shape_read(members, n, &shape);
    rc = aggregate_read(r, shape.of[ATTR_AGGREGATE], out);
    /* A misspelt member says more than that the one it was meant for is missing. */
    if (shape.unknown)
        rc = refuse(r, OUTCOME_INVALID, "unknown member \"%.*s\"", QUOTE(shape.unknown->name));
    else if (!rc && shape.of[ATTR_TYPE])
        rc = attributes_read(r, &shape, out);
    else if (!rc)
        rc = transaction ? check_read(r, &shape, out) : refuse(r, OUTCOME_INVALID, "type is missing");
    if (rc > 0)
        refusal_name_aggregate(r, out->aggregate_type, out->aggregate_id);
    return rc;
}

/* --- transactions */

static const char *blanks_skip(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* JSON that is bad anywhere makes the whole array malformed, whatever else is wrong with it: an array that was
 * refused is read once more, as the value of a member. Returns 0 when it is JSON. */
static int array_check(struct reading *r, struct str text) {
    static const char head[] = "{\"\":";
    size_t n = sizeof head - 1 + text.n + 1;
    char *copy = arena_alloc(r->arena, n + JSON_PADDING);
    if (!copy)
        return -ENOMEM;
    char *p = mempcpy(copy, head, sizeof head - 1);
    p = mempcpy(p, text.p, text.n);
    *p++ = '}';
    memset(p, 0, JSON_PADDING);
    struct json_member *members;
    size_t n_members;
    const char *why;
    int rc = json_object_read(r->parser, (struct str){copy, n}, r->arena, &members, &n_members, &why);
    if (rc > 0) {
        *r->refusal = (struct refusal){0};
        rc = refuse(r, OUTCOME_MALFORMED, "not JSON: %s", why);
    }
    return rc;
}

static int request_grow(struct reading *r, struct request *out, size_t *cap) {
    size_t grown = *cap ? *cap * 2 : 1;
    struct command *commands = arena_alloc(r->arena, grown * sizeof *commands);
    if (!commands)
        return -ENOMEM;
    if (out->n_commands)
        memcpy(commands, out->commands, out->n_commands * sizeof *commands);
    out->commands = commands;
    *cap = grown;
    return 0;
}

/* The element that begins at *at, which moves past it. */
static int element_read(struct reading *r, const char **at, const char *end, struct command *out) {
    if (*at == end || **at != '{')
        return refuse(r, OUTCOME_INVALID, "a command must be an object");
    struct json_scan scan = {0};
    bool complete = false;
    ssize_t n = json_scan(&scan, *at, (size_t)(end - *at), &complete);
    if (n < 0 || !complete)
        return refuse(r, OUTCOME_MALFORMED, "not JSON: it is cut off or nested too deep");
    struct str element = {*at, (size_t)n};
    *at += n;
    return command_read(r, element, true, out);
}

/* Elements up to the closing bracket; array_check() tells bad punctuation from a bad command. */
static int elements_read(struct reading *r, struct str text, struct request *out) {
    const char *end = text.p + text.n, *at = blanks_skip(text.p + 1, end);
    size_t cap = 0;
    if (at < end && *at == ']')
        return refuse(r, OUTCOME_INVALID, "a transaction must have at least one command");
    for (;; at = blanks_skip(at + 1, end)) {
        int rc = out->n_commands == cap ? request_grow(r, out, &cap) : 0;
        if (!rc)
            rc = element_read(r, &at, end, &out->commands[out->n_commands]);
        if (rc > 0) {
            r->refusal->index = out->n_commands;
            r->refusal->has_index = true;
        }
        if (rc)
            return rc;
        out->n_commands++;
        at = blanks_skip(at, end);
        if (at == end || *at != ',')
            break;
    }
    if (at + 1 != end || *at != ']')
        return refuse(r, OUTCOME_MALFORMED, "not JSON: commands must be separated by commas");
    return 0;
}

static int transaction_read(struct reading *r, struct str text, struct request *out) {
    out->transaction = true;
    int rc = elements_read(r, text, out);
    if (rc != OUTCOME_INVALID)
        return rc;
    int bad = array_check(r, text);
    return bad ? bad : rc;
}

int command_parse(struct json_parser *parser, const struct scope *scope, struct str text, struct arena *arena,
                  struct request *out, struct refusal *refusal) {
    struct reading r = {parser, scope, arena, refusal};
    *out = (struct request){0};
    *refusal = (struct refusal){0};
    if (text.n > 0 && text.p[0] == '[')
        return transaction_read(&r, text, out);
    size_t cap = 0;
    int rc = request_grow(&r, out, &cap);
    if (!rc)
        rc = command_read(&r, text, false, out->commands);
    if (!rc)
        out->n_commands = 1;
    return rc;
}

enum outcome refusal_set(struct refusal *refusal, enum outcome outcome, const char *format, ...) {
    va_list args;
    va_start(args, format);
    err_format(refusal->detail, sizeof refusal->detail, format, args);
    va_end(args);
    refusal->outcome = outcome;
    return outcome;
}
