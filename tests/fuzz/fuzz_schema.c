/* Half of the bytes a schema, half an instance, a NUL between them: whatever they are, each ends in an outcome with
 * its words, and the same one every time. */
#include "arena.h"
#include "json.h"
#include "schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(holds)                                                                                                   \
    do {                                                                                                               \
        if (!(holds)) {                                                                                                \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #holds);                                  \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* In memory of its own, so that reading past it shows. */
struct text {
    char *padded;
    struct json_value tree;
    bool good;
};

static void text_read(struct text *t, struct json_parser *parser, struct arena *arena, const char *p, size_t n) {
    const char *why = NULL;
    t->padded = malloc(n + JSON_PADDING);
    if (n)
        memcpy(t->padded, p, n);
    memset(t->padded + n, '"', JSON_PADDING);
    int rc = json_tree_read(parser, (struct str){t->padded, n}, arena, &t->tree, &why);
    CHECK(rc == 0 || (rc == JSON_MALFORMED && why));
    t->good = rc == 0;
}

static void words_check(const char *text, size_t size) {
    size_t n = strnlen(text, size);
    CHECK(n < size);
}

static void instance_check(const struct schema *s, const struct json_value *instance) {
    struct schema_fault fault, again;
    int rc = schema_check(s, instance, &fault);
    CHECK(rc == 0 || rc == SCHEMA_VIOLATED);
    CHECK(schema_check(s, instance, &again) == rc && schema_check(s, instance, NULL) == rc);
    if (rc == 0)
        return;
    words_check(fault.instance, sizeof fault.instance);
    words_check(fault.keyword, sizeof fault.keyword);
    words_check(fault.schema, sizeof fault.schema);
    words_check(fault.text, sizeof fault.text);
    CHECK(*fault.text && strcmp(fault.text, again.text) == 0 && strcmp(fault.instance, again.instance) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static struct json_parser *parser;
    const struct schema_options options = {.assert_format = true};
    const char *p = (const char *)bytes, *cut = n ? memchr(p, 0, n) : NULL;
    struct arena arena = {0};
    struct text schema, instance;
    struct schema *compiled;
    struct err err = {0};
    if (!cut || (!parser && !(parser = json_parser_new())))
        return 0;
    text_read(&schema, parser, &arena, p, (size_t)(cut - p));
    text_read(&instance, parser, &arena, cut + 1, n - (size_t)(cut + 1 - p));
    if (schema.good) {
        int rc = schema_compile(&compiled, &schema.tree, &options, &err);
        CHECK(rc == 0 || (rc == -EINVAL && *err.text));
        if (rc == 0 && instance.good)
            instance_check(compiled, &instance.tree);
        if (rc == 0)
            schema_free(compiled);
    }
    free(schema.padded);
    free(instance.padded);
    arena_free(&arena);
    return 0;
}
