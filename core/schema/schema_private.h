/* What the files of a compiled schema share. Included by core/schema/schema*.c and what the build makes of meta/.
 *
 * Compiling: documents are walked (schema_refs.c), each subschema in them becomes a node that knows its place; then
 * the keywords of each node are read (schema_compile.c), whose references may bring in more documents and nodes.
 * Checking (schema_check.c) reads nodes only. Everything lives in the arena of the schema. */
#ifndef ESFS_SCHEMA_PRIVATE_H
#define ESFS_SCHEMA_PRIVATE_H

#include "arena.h"
#include "regex.h"
#include "schema.h"
#include "table.h"

/* --- numbers (schema_number.c): exact, of any size */

/* 0.D1D2D3... * 10^point, where the digits stand from `at` to `end`, a '.' among them left out; neither begins nor
 * ends with a zero. */
struct number {
    const char *at, *end;
    int64_t point;
    uint64_t n; /* digits; 0: the number is zero */
    bool negative;
};

struct number number_read(struct str text); /* JSON's grammar; points into the text */
int number_compare(const struct number *a, const struct number *b);
bool number_is_integer(const struct number *a);
uint64_t number_hash(const struct number *a);  /* the same for equal numbers */
uint64_t number_count(const struct number *a); /* of an integer that is not negative; UINT64_MAX when it is larger */
#define NUMBER_DIVISOR_DIGITS 37
bool number_is_multiple(const struct number *a, const struct number *divisor); /* divisor: positive, digits as above */

/* Digits only, and few of them: the fast path. */
static inline bool number_small(struct str text, int64_t *out) {
    size_t i = text.n && text.p[0] == '-';
    int64_t v = 0;
    if (text.n > 18)
        return false;
    for (size_t k = i; k < text.n; k++) {
        unsigned digit = (unsigned char)text.p[k] - '0';
        if (digit > 9)
            return false;
        v = v * 10 + digit;
    }
    *out = i ? -v : v;
    return true;
}

/* --- values (schema_value.c) */

/* Both count what they do in *work, and give up (the outcome is then without meaning) when it reaches work_max. */
bool value_equal(const struct json_value *a, const struct json_value *b, uint64_t *work, uint64_t work_max);
uint64_t value_hash(const struct json_value *v, uint64_t *work);
/* 0 all differ, 1 two are equal (*first, *second), -ENOMEM */
int values_unique(const struct json_value *items, uint32_t n, uint64_t *work, uint64_t work_max, uint32_t *first,
                  uint32_t *second);
int value_copy(struct arena *arena, const struct json_value *v, struct json_value *out); /* 0 or -ENOMEM */
uint64_t text_length(struct str utf8);                                                   /* in characters */

/* --- names: a fixed hash table of strings, made once */

struct name_slot {
    struct str name; /* p NULL: the slot is free */
    uint32_t index;  /* in the order of names_put() */
    bool required;   /* members: the object must have it */
    const struct node *node;
};

struct names {
    struct name_slot *slots; /* NULL: there are none */
    uint32_t mask, n;
};

static inline uint64_t bytes_hash(const char *p, size_t n) {
    uint64_t h = n * 0x9e3779b97f4a7c15ULL, a = 0, b = 0;
    for (; n > 16; p += 8, n -= 8) {
        memcpy(&a, p, 8);
        h = (h ^ a) * 0xbf58476d1ce4e5b9ULL;
        h ^= h >> 29;
    }
    if (n >= 8) {
        memcpy(&a, p, 8);
        memcpy(&b, p + n - 8, 8);
    } else if (n >= 4) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + n - 4, 4);
        a = (uint64_t)high << 32 | low;
    } else if (n > 0) {
        a = (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n / 2] << 8 | (unsigned char)p[n - 1];
    }
    h = (h ^ a) * 0xbf58476d1ce4e5b9ULL;
    h ^= h >> 32;
    h = (h ^ b) * 0x94d049bb133111ebULL;
    return h ^ h >> 29;
}

static inline struct name_slot *names_find(const struct names *t, struct str name) {
    if (!t->slots)
        return NULL;
    for (uint32_t at = (uint32_t)bytes_hash(name.p, name.n) & t->mask;; at = (at + 1) & t->mask) {
        struct name_slot *slot = &t->slots[at];
        if (!slot->name.p)
            return NULL;
        if (str_eq(slot->name, name))
            return slot;
    }
}

bool names_init(struct names *t, struct arena *arena, size_t n); /* room for n; false when out of memory */
struct name_slot *names_put(struct names *t, struct str name);   /* that which is there, or a new one */

/* --- nodes */

enum { TYPES_ALL = 0x7f, TYPE_INTEGER = 0x80 }; /* bits 1 << enum json_kind, and numbers that are integers */

struct node_list {
    struct node **items;
    size_t n;
};

struct pattern_rule {
    struct regex *regex;
    struct node *node;
};

struct dependent {
    struct str name;
    struct str *required;
    size_t n_required;
    struct node *node; /* or NULL */
    const char *keyword;
};

struct object_rules {
    uint64_t min, max;
    struct names members; /* of properties and required */
    uint32_t n_required;
    struct pattern_rule *patterns;
    size_t n_patterns;
    struct node *additional, *names, *unevaluated;
    struct dependent *dependents;
    size_t n_dependents;
};

struct array_rules {
    uint64_t min, max, min_contains, max_contains;
    struct node_list prefix;
    struct node *rest, *contains, *unevaluated;
    bool unique;
    bool contains_evaluates; /* what `contains` matches is evaluated: 2020-12 */
};

struct string_rules {
    uint64_t min, max;
    struct regex *pattern;
    const struct format *format;
    struct regex *format_regex; /* of formats that need one */
};

enum { BOUND_MIN, BOUND_ABOVE, BOUND_MAX, BOUND_BELOW, BOUND_MULTIPLE, BOUNDS };

struct bound {
    bool set, small;
    int64_t v; /* when small */
    struct number number;
    struct str text;
};

struct number_rules {
    struct bound bounds[BOUNDS];
};

struct value_rules {
    struct names texts; /* strings */
    struct json_value *others;
    size_t n_others;
    const char *keyword;
};

struct applicators {
    struct node *ref;
    struct node *dynamic; /* what $dynamicRef leads to, when nothing in the dynamic scope takes its place */
    struct str dynamic_name;
    struct node_list all_of, any_of, one_of;
    struct node *not_, *if_, *then_, *else_;
};

struct edge {
    struct node *to;
    struct edge *next;
};

struct node {
    uint8_t types;
    bool never;         /* `false` */
    bool unevaluated;   /* there is an unevaluatedItems or -Properties */
    bool on_path, done; /* of the search for loops */
    uint32_t resource;
    struct object_rules *object;
    struct array_rules *array;
    struct string_rules *string;
    struct number_rules *number;
    struct value_rules *constant, *choice; /* const, enum */
    struct applicators *apply;
    /* its place: what the parent has, and the JSON pointer from there */
    const struct node *parent;
    struct str suffix;
    const char *keyword;            /* of the parent, that leads here */
    const struct json_value *value; /* while compiling */
    struct node *back;              /* of the search for loops */
    struct edge *edges;             /* to subschemas that look at the same instance; while compiling */
    struct node *next;              /* all nodes, in the order they were found */
};

struct dynamic_anchor {
    struct str name;
    struct node *node;
};

/* What an $id makes, or a document: a base URI of its own. */
struct resource {
    struct str uri; /* absolute or not, without fragment */
    struct node *root;
    const struct dialect *dialect;
    struct dynamic_anchor *anchors; /* dynamic ones */
    size_t n_anchors, cap_anchors;
};

struct schema {
    struct arena arena;
    struct node *root, *nodes;
    struct resource *resources;
    size_t n_resources, cap_resources;
    struct regex **regexes;
    size_t n_regexes, cap_regexes;
    bool dynamic; /* there is a $dynamicRef */
};

/* The JSON pointer of a keyword in its document; keyword NULL: of the node. Returns the bytes written, cut to fit. */
size_t node_pointer(const struct node *node, const char *keyword, char *out, size_t size);

/* --- compiling */

enum { /* vocabularies, as bits */
       VOCABULARY_APPLICATOR = 1,
       VOCABULARY_UNEVALUATED = 2,
       VOCABULARY_VALIDATION = 4,
       VOCABULARY_FORMAT_ASSERTION = 8,
       VOCABULARY_OTHER = 16, /* those without assertions, the core too */
};

enum draft { DRAFT_07 = 1, DRAFT_2020 = 2 };

struct dialect {
    enum draft draft;
    unsigned vocabularies;
    struct str uri;
    bool own; /* neither of the two drafts itself: a metaschema that `load` found */
};

struct meta {
    struct str uri, text; /* text: followed by JSON_PADDING bytes */
};
extern const struct meta metas[]; /* made by meta/embed.py */
extern const size_t n_metas;

struct anchor {
    uint32_t resource;
    struct str name;
    struct node *node;
    bool dynamic;
};

struct compiler {
    struct schema *s;
    const struct schema_options *options;
    struct err *err;
    struct node *last;      /* of all nodes */
    struct node **by_value; /* behind `values`: found by the address of what they were made of */
    size_t n_values, cap_values;
    struct table values;
    struct table uris; /* of resources */
    uint32_t *uri_resource;
    struct str *uri_names;
    size_t n_uris, cap_uris, cap_uri_names;
    struct table names; /* of anchors */
    struct anchor *anchors;
    size_t n_anchors, cap_anchors;
    struct json_parser *parser;         /* for metaschemas; made when needed */
    const struct dialect *meta_dialect; /* of the documents that need no check */
    unsigned depth;                     /* of metaschemas being compiled */
    bool trusted;                       /* documents are not checked against their metaschema */
};

/* Where a keyword with subschemas keeps them. */
enum shape {
    SHAPE_NONE,
    SHAPE_ONE,
    SHAPE_LIST,
    SHAPE_MAP,
    SHAPE_ONE_OR_LIST, /* items of draft-07 */
    SHAPE_MAP_MIXED,   /* dependencies: schemas and lists of names */
};

struct keyword {
    const char *name;
    size_t length;
    unsigned drafts, vocabulary;
    enum shape shape;
    int (*read)(struct compiler *c, struct node *node, const struct json_value *v); /* NULL: nothing to check */
};

const struct keyword *keyword_find(struct str name, const struct dialect *dialect); /* schema_compile.c */

/* "PLACE: ..." with -EINVAL. */
int compile_error(struct compiler *c, const struct node *node, const char *keyword, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int compile_nodes(struct compiler *c); /* all that are, and that come up meanwhile (schema_compile.c) */
int compile_loops(struct compiler *c); /* refuses references that lead back without a step into the instance */

/* schema_refs.c */
void *compiler_alloc(struct compiler *c, size_t n); /* zeroed, in the arena */
int document_add(struct compiler *c, struct str uri, const struct json_value *document, const struct dialect *dialect,
                 struct node **root);
struct node *node_of(const struct compiler *c, const struct json_value *v); /* of a subschema that was walked */
int node_child(struct compiler *c, const struct node *node, const char *keyword, const struct json_value *v,
               struct node **out);
int ref_resolve(struct compiler *c, struct node *node, const char *keyword, struct str ref, struct node **out,
                const struct anchor **anchor);
int dialect_find(struct compiler *c, struct str uri, const struct dialect **out); /* -EINVAL names it */
const struct dialect *dialect_default(void);

/* schema.c */
const struct meta *meta_find(struct str uri); /* NULL: it is not one of ours */
/* Against the metaschema of the dialect. */
int meta_check(struct compiler *c, const struct dialect *dialect, struct str uri, const struct json_value *document);

/* --- formats (schema_format.c) */

struct format {
    const char *name;
    unsigned drafts;
    bool (*matches)(struct str text, const struct regex *regex);
    const char *regex;  /* given to matches(); NULL: none */
    const char *phrase; /* "is not a date" */
};

const struct format *format_find(struct str name, enum draft draft); /* NULL: unknown, ignored */

/* schema_host.c: for formats */
bool ipv4_matches(struct str s);
bool ipv6_matches(struct str s);
bool hostname_matches(struct str s);
bool idn_hostname_matches(struct str s, const struct regex *regex);
extern const char idn_label_regex[];

#endif
