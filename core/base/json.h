/* JSON on the hot path: a shim over simdjson, which json.cc alone includes. RFC 8259, strict.
 *
 * json_scan finds where a value ends in bytes that arrive in pieces; json_object_read() checks one complete
 * object and gives its members. Nothing here copies numbers or strings through a binary form: digits and escapes
 * stay as they came. */
#ifndef ESFS_JSON_H
#define ESFS_JSON_H

#include "arena.h"
#include "str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_PADDING 64    /* readable bytes that must follow a text given to json_object_read() */
#define JSON_DEPTH_MAX 512 /* nesting beyond this is malformed */

/* Finds the end of one object or array. Copyable; zero-initialise to start a value. */
struct json_scan {
    uint32_t depth;
    bool in_string, escaped;
};

/* Consumes bytes from the first one of a value ('{' or '[', white space skipped by the caller) to its last.
 * Returns how many were consumed: with *complete set, up to and including the closing bracket; otherwise n.
 * -EBADMSG when the value cannot begin so or is nested too deep. It counts brackets only: what lies between is
 * judged by json_object_read(). */
ssize_t json_scan(struct json_scan *scan, const char *bytes, size_t n, bool *complete);

enum json_kind {
    JSON_KIND_OBJECT,
    JSON_KIND_ARRAY,
    JSON_KIND_STRING,
    JSON_KIND_NUMBER,
    JSON_KIND_TRUE,
    JSON_KIND_FALSE,
    JSON_KIND_NULL
};

struct json_member {
    struct str name; /* unescaped */
    enum json_kind kind;
    struct str text; /* string: unescaped content; all else: the source, minified */
    struct str raw;  /* the source, minified; of a string with its quotes and escapes */
};

struct json_parser; /* scratch memory of simdjson: one per thread at a time */

struct json_parser *json_parser_new(void); /* NULL when out of memory */
void json_parser_free(struct json_parser *p);

enum { JSON_MALFORMED = 1 };

/* Reads the members of one object. The text must be one complete value as json_scan found it, followed by
 * JSON_PADDING readable bytes (of any content). Checks everything in it: grammar, UTF-8, escapes (a lone surrogate
 * is malformed), member names given twice at any depth. Members and their text live in the arena, followed by
 * JSON_PADDING readable bytes: the raw of a member that is an object can be read in its turn.
 * Returns 0, JSON_MALFORMED with *why set to a static text, or -ENOMEM. */
int json_object_read(struct json_parser *p, struct str text, struct arena *arena, struct json_member **members,
                     size_t *n_members, const char **why);

/* A value with everything in it, for whoever looks at all of it: schemas, handlers. */
struct json_value {
    enum json_kind kind;
    uint32_t n;     /* of items or fields */
    struct str raw; /* the source as it came; of a string with its quotes and escapes */
    union {
        struct str text;           /* string: unescaped; number: its digits as they came */
        struct json_value *items;  /* array */
        struct json_field *fields; /* object, in the order of the source; names are distinct */
    };
};

struct json_field {
    struct str name; /* unescaped */
    struct json_value value;
};

/* Reads one complete value of any kind, followed by JSON_PADDING readable bytes; checks all that json_object_read()
 * checks. The tree lives in the arena and points into the text, which must outlive it. Returns as json_object_read().
 */
int json_tree_read(struct json_parser *p, struct str text, struct arena *arena, struct json_value *out,
                   const char **why);
/* The member of an object; NULL when there is none, or it is no object. */
const struct json_value *json_field(const struct json_value *object, struct str name);

#ifdef __cplusplus
}
#endif

#endif
