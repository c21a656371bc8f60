/* What the files of the compatibility checker share.
 *
 * The checker proves goals: "what all these old facts hold for is valid under this new schema". Facts are schemas,
 * of either document (the `if` of a new schema is a fact in its `then`). Dropping a fact is sound, so whatever is
 * not understood in the old schema is dropped; whatever is not understood in the new one is not proven.
 *
 * Recursion is proven by induction on the size of the instance: a goal may be assumed in its own proof once the
 * proof has gone down into a member or an item, never before.
 *
 * All functions return false, or UNSURE, once `stop` is set. */
#ifndef ESFS_COMPAT_PRIVATE_H
#define ESFS_COMPAT_PRIVATE_H

#include "arena.h"
#include "compat.h"

enum { COMPAT_STEPS = 2000000, COMPAT_DEPTH = 400, COMPAT_PAIRS = 4096, COMPAT_BYTES = 64 << 20 };

enum verdict { NO, UNSURE, YES };

enum stop { STOP_NOT, STOP_SIZE, STOP_MEMORY };

enum draft { DRAFT_07 = 1, DRAFT_2020 = 2 };

struct document {
    const struct json_value *root;
    enum draft draft;
    bool known_draft;
    bool nested_ids; /* references inside may mean another place than they seem to */
    bool dynamic;    /* it has dynamic anchors or references */
    struct str id;
};

/* A schema in its document. */
struct place {
    const struct document *document;
    const struct json_value *schema;
};

/* A way to a place in the new schema, or in the instance; it lives on the stack of whoever goes it. */
struct path {
    const struct path *up;
    struct str name;
    bool written;     /* the name is a whole pointer */
    const char *open; /* of an instance's part: what let it be anything */
};

enum { TYPE_NULL = 1, TYPE_BOOLEAN = 2, TYPE_OBJECT = 4, TYPE_ARRAY = 8, TYPE_STRING = 16 };
/* A number is one or the other, so that "integer" is a part of "number". */
enum { TYPE_INTEGER = 32, TYPE_FRACTION = 64, TYPE_NUMBER = 96, TYPE_ALL = 127 };

struct places {
    struct place *items;
    size_t n, cap;
};

enum split_kind { SPLIT_ANY, SPLIT_ONE, SPLIT_IF };

/* Holds for one of several reasons: a place with anyOf, oneOf or if. */
struct split {
    struct place at;
    enum split_kind kind;
};

struct splits {
    struct split *items;
    size_t n, cap;
};

struct names {
    struct str *items;
    size_t n, cap;
};

/* A limit as its digits; none when n is 0. */
struct bound {
    struct str digits;
    bool strict;
};

struct range {
    struct bound min, max;
};

enum possible { POSSIBLE_UNKNOWN, POSSIBLE_ASKED, POSSIBLE_NOT, POSSIBLE_MAYBE };

/* What is known of an instance. In the arena; from facts_close() on it does not change. */
struct facts {
    struct places all;    /* schemas that it is valid under, with those that $ref and allOf lead to */
    struct places denied; /* schemas that it is not valid under */
    struct splits splits;
    struct names present; /* members that it has */
    unsigned types;       /* TYPE_... that it may have */
    bool empty;           /* there is no such instance */
    bool listed;          /* it is one of `values` */
    const struct json_value *values;
    size_t n_values;
    struct range number, length, items, members;
    enum possible possible;
};

struct goal;
struct finished;

struct pair {
    const struct json_value *a, *b;
};

struct compat {
    struct document older, newer;
    struct arena arena;
    struct err *err;
    size_t steps; /* left */
    unsigned depth, level, quiet;
    enum stop stop;
    struct goal *goals; /* under proof, the innermost first */
    size_t n_goals;
    size_t assumed; /* the outermost goal that was assumed, counted from the outside */
    struct finished **finished;
    struct pair *unequal; /* some of those known to differ */
    struct place *equal;  /* pairs taken for equal */
    size_t n_equal, cap_equal;
    unsigned equal_depth, impossible_depth, check_depth;
};

/* Of one keyword of a new schema. */
struct claim {
    struct facts *facts;
    struct place at;
    const struct json_field *keyword;
    const struct path *path;  /* of the schema */
    const struct path *where; /* in the instance */
    const struct rule *rule;
};

struct rule {
    const char *name;
    unsigned drafts;
    unsigned types; /* that it says anything about */
    bool by_type;   /* worth a proof for each type on its own */
    bool (*prove)(struct compat *c, const struct claim *claim);
    enum verdict (*check)(struct compat *c, struct place at, const struct json_value *word, const struct json_value *v);
};

/* --- compat.c */

bool step(struct compat *c, size_t n); /* false when there are none left */
void *room(struct compat *c, size_t n);
/* Why a claim is not proven. `keyword` NULL: the schema as a whole. Always false. */
bool unproven(struct compat *c, const struct path *path, const char *keyword, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool unproven_claim(struct compat *c, const struct claim *claim, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct str number_name(struct compat *c, size_t i);
bool facts_fit(struct compat *c, struct facts *f, struct place to, const struct path *path, const struct path *where);

/* --- compat_document.c, compat_keyword.c */

void document_init(struct document *d, const struct json_value *root);
/* Where a reference leads; *pointer is set to the pointer that it has. False: outside, or it cannot be told. */
bool reference_resolve(struct compat *c, const struct document *d, struct str reference, struct place *out,
                       struct str *pointer);
/* As json_field(), also of nothing. */
const struct json_value *field_of(const struct json_value *object, struct str name);
/* The keyword of a schema that its draft knows and does not ignore there; NULL when there is none. */
const struct json_value *keyword_of(struct place p, const char *name);
const struct rule *rule_of(struct place p, struct str name);
bool keyword_counts(struct place p, struct str name); /* its draft knows it, and does not ignore it there */
/* Equal in all but annotations, with all that references lead to. */
bool places_equal(struct compat *c, struct place a, struct place b);
bool references_equal(struct compat *c, struct place a, struct place b); /* their $ref */

/* --- compat_facts.c */

struct facts *facts_new(struct compat *c);
struct facts *facts_copy(struct compat *c, const struct facts *f); /* open again */
void facts_add(struct compat *c, struct facts *f, struct place p);
void facts_deny(struct compat *c, struct facts *f, struct place p);
void facts_present(struct compat *c, struct facts *f, struct str name);
void facts_close(struct compat *c, struct facts *f);
bool facts_blank(const struct facts *f);
bool facts_same(const struct facts *a, const struct facts *b);
bool facts_require(struct compat *c, const struct facts *f, struct str name);
bool facts_impossible(struct compat *c, struct facts *f);
bool facts_exclude(struct compat *c, const struct facts *f, const struct json_value *v);
unsigned types_named(const struct json_value *word);
unsigned types_of_value(const struct json_value *v);
size_t split_branches(const struct split *s);
struct facts *facts_branch(struct compat *c, const struct facts *f, size_t split, size_t branch);

/* --- compat_number.c */

/* *order is -1, 0 or 1. False when a number has too many digits to be exact. */
bool digits_compare(struct str a, struct str b, int *order);
bool digits_integer(struct str a, bool *integer);
enum verdict digits_multiple(struct str a, struct str of);
void bound_raise(struct bound *b, struct str digits, bool strict); /* to the stronger lower bound */
void bound_lower(struct bound *b, struct str digits, bool strict);
bool range_empty(const struct range *r);
bool bound_at_most(const struct bound *max, size_t n); /* the bound allows n, but no more */
bool bound_at_least(const struct bound *min, size_t n);
void facts_number(struct compat *c, struct facts *f); /* the ranges out of all places */
bool prove_limit(struct compat *c, const struct claim *claim);
bool prove_multiple(struct compat *c, const struct claim *claim);
bool prove_same_text(struct compat *c, const struct claim *claim);

/* --- compat_value.c: of values that are known */

enum verdict values_equal(struct compat *c, const struct json_value *a, const struct json_value *b);
enum verdict place_check(struct compat *c, struct place p, const struct json_value *v);
/* Of one keyword; YES for what is none. */
enum verdict word_check(struct compat *c, struct place p, const struct json_field *word, const struct json_value *v);
enum verdict pattern_matches(struct str pattern, struct str text);

enum verdict check_type(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_enum(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_const(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_minimum(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_maximum(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_above(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_below(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_multiple(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_min_length(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_max_length(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_pattern(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_unsure(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_min_count(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_max_count(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_unique(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_items(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_contains(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_members(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_required(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_names(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_dependent(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_all(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_any(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_one(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_not(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_if(struct compat *, struct place, const struct json_value *, const struct json_value *);
enum verdict check_ref(struct compat *, struct place, const struct json_value *, const struct json_value *);

/* --- compat_array.c */

struct place item_schema(struct place p, size_t i); /* of the item at i; its schema is NULL when it may be anything */
size_t prefix_length(struct place p);
size_t facts_prefix(const struct facts *f);
struct facts *facts_item(struct compat *c, const struct facts *f, size_t i);
bool prove_items(struct compat *c, const struct claim *claim);
bool prove_contains(struct compat *c, const struct claim *claim);
bool prove_unique(struct compat *c, const struct claim *claim);

/* --- compat_object.c */

bool member_impossible(struct compat *c, const struct facts *f, struct str name);
/* The names that a fact closes the object to; NULL when none does. */
const struct json_value *facts_closed(const struct facts *f);
bool prove_properties(struct compat *c, const struct claim *claim);
bool prove_patterns(struct compat *c, const struct claim *claim);
bool prove_additional(struct compat *c, const struct claim *claim);
bool prove_required(struct compat *c, const struct claim *claim);
bool prove_names(struct compat *c, const struct claim *claim);
bool prove_dependent(struct compat *c, const struct claim *claim);

/* --- compat_combine.c */

bool prove_type(struct compat *c, const struct claim *claim);
bool prove_listed(struct compat *c, const struct claim *claim);
bool prove_all(struct compat *c, const struct claim *claim);
bool prove_any(struct compat *c, const struct claim *claim);
bool prove_one(struct compat *c, const struct claim *claim);
bool prove_not(struct compat *c, const struct claim *claim);
bool prove_if(struct compat *c, const struct claim *claim);
bool prove_ref(struct compat *c, const struct claim *claim);
bool prove_equal_only(struct compat *c, const struct claim *claim);

#endif
