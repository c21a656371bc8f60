/* JSON Schema, drafts 2020-12 and 07: compiled once, checked often.
 *
 * Sources: the specifications at json-schema.org (draft 2020-12 core and validation; draft-07), RFC 6901 for pointers.
 * A compiled schema is immutable: any number of threads may check with it at once. */
#ifndef ESFS_SCHEMA_H
#define ESFS_SCHEMA_H

#include "err.h"
#include "json.h"

struct schema;

struct schema_options {
    bool assert_format; /* `format` is an assertion, not an annotation */
    /* Finds a document that a $ref outside the own one names (its URI without fragment); its tree must live as long
     * as the schema. False: there is none. NULL: nothing outside can be named, but for the metaschemas. */
    bool (*load)(void *arg, struct str uri, const struct json_value **document);
    void *arg;
};

/* Compiles a document (whose tree is read during the call only, what is needed is copied) as its `$schema` says,
 * 2020-12 when it does not. -EINVAL in words, with the JSON pointer of the place, for what is no schema (checked
 * against the metaschema first), a reference that leads nowhere, a pattern that is no regex; -ENOMEM. */
int schema_compile(struct schema **out, const struct json_value *document, const struct schema_options *options,
                   struct err *err);
void schema_free(struct schema *s); /* NULL is fine */

/* The first violation, each text cut to fit and valid UTF-8. */
struct schema_fault {
    char instance[160]; /* JSON pointer into the instance, "" for the whole */
    char keyword[32];   /* "minLength" */
    char schema[160];   /* JSON pointer of the keyword in its schema: "/properties/customer/minLength" */
    char text[200];     /* for a person: "is shorter than 1 character" */
};

enum { SCHEMA_VIOLATED = 1 };

/* 0; SCHEMA_VIOLATED with *fault filled (may be NULL), also when a check would cost too much (regex match limits,
 * depth, steps: `text` says so); -ENOMEM. */
int schema_check(const struct schema *s, const struct json_value *instance, struct schema_fault *fault);

#endif
