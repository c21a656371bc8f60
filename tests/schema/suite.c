/* Runs files of the official JSON-Schema-Test-Suite and prints each test that comes out otherwise than it says:
 *
 *   suite REMOTES URI-OF-DRAFT FORMAT FILE...
 *
 * REMOTES: the suite's directory of documents at http://localhost:1234/. URI-OF-DRAFT: what a schema without
 * $schema, and a test of the draft, is judged by. FORMAT: 1 when `format` is an assertion. A line is
 * FILE <tab> GROUP <tab> TEST <tab> REASON; the last line counts tests. */
#include "arena.h"
#include "json.h"
#include "schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct suite {
    struct json_parser *parser;
    struct arena arena; /* of everything: it is a short life */
    const char *remotes;
    struct str draft;
    struct schema_options options;
    unsigned n_tests, n_failed;
};

static bool file_read(struct suite *s, const char *path, struct json_value *out) {
    const char *why;
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    rewind(f);
    char *text = arena_alloc(&s->arena, n + JSON_PADDING);
    bool good = text && fread(text, 1, n, f) == n;
    fclose(f);
    if (good)
        memset(text + n, 0, JSON_PADDING);
    if (!good || json_tree_read(s->parser, (struct str){text, n}, &s->arena, out, &why)) {
        fprintf(stderr, "%s: is not JSON\n", path);
        exit(2);
    }
    return true;
}

static bool remote_load(void *arg, struct str uri, const struct json_value **document) {
    struct suite *s = arg;
    const struct str host = STR("http://localhost:1234/");
    char path[4096];
    if (uri.n <= host.n || memcmp(uri.p, host.p, host.n) != 0)
        return false;
    struct json_value *tree = arena_alloc(&s->arena, sizeof *tree);
    snprintf(path, sizeof path, "%s/%.*s", s->remotes, (int)(uri.n - host.n), uri.p + host.n);
    *document = tree;
    return tree && file_read(s, path, tree);
}

/* The schema with a $schema, when it has none: an object of the draft. */
static const struct json_value *dialect_put(struct suite *s, const struct json_value *schema) {
    if (schema->kind != JSON_KIND_OBJECT || json_field(schema, STR("$schema")))
        return schema;
    struct json_value *out = arena_alloc(&s->arena, sizeof *out);
    *out = *schema;
    out->n++;
    out->fields = arena_alloc(&s->arena, out->n * sizeof *out->fields);
    out->fields[0].name = STR("$schema");
    out->fields[0].value = (struct json_value){.kind = JSON_KIND_STRING, .text = s->draft};
    if (schema->n)
        memcpy(out->fields + 1, schema->fields, schema->n * sizeof *schema->fields);
    return out;
}

static void failure_print(struct suite *s, const char *file, const struct json_value *group,
                          const struct json_value *test, const char *reason) {
    struct str a = json_field(group, STR("description"))->text, b = json_field(test, STR("description"))->text;
    printf("%s\t%.*s\t%.*s\t", file, (int)a.n, a.p, (int)b.n, b.p);
    for (; *reason; reason++) /* a pointer may have a new line in it */
        putchar((unsigned char)*reason < ' ' ? '?' : *reason);
    putchar('\n');
    s->n_failed++;
}

static void test_run(struct suite *s, const char *file, const struct json_value *group, const struct json_value *test,
                     const struct schema *schema, const struct err *err) {
    struct schema_fault fault = {0};
    char reason[1024];
    bool valid = json_field(test, STR("valid"))->kind == JSON_KIND_TRUE;
    s->n_tests++;
    if (!schema) {
        failure_print(s, file, group, test, err->text);
        return;
    }
    int rc = schema_check(schema, json_field(test, STR("data")), &fault);
    if (rc == (valid ? 0 : SCHEMA_VIOLATED))
        return;
    snprintf(reason, sizeof reason, "%s: %d \"%s\" %s", valid ? "is valid" : "is not valid", rc, fault.instance,
             fault.text);
    failure_print(s, file, group, test, reason);
}

static void file_run(struct suite *s, const char *path) {
    struct json_value groups;
    const char *slash = strrchr(path, '/');
    if (!file_read(s, path, &groups)) {
        perror(path);
        exit(2);
    }
    for (uint32_t i = 0; i < groups.n; i++) {
        const struct json_value *group = &groups.items[i], *tests = json_field(group, STR("tests"));
        struct err err = {0};
        struct schema *schema = NULL;
        schema_compile(&schema, dialect_put(s, json_field(group, STR("schema"))), &s->options, &err);
        for (uint32_t k = 0; k < tests->n; k++)
            test_run(s, slash ? slash + 1 : path, group, &tests->items[k], schema, &err);
        schema_free(schema);
    }
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: suite REMOTES URI-OF-DRAFT FORMAT FILE...\n");
        return 2;
    }
    struct suite s = {.parser = json_parser_new(), .remotes = argv[1], .draft = str_of(argv[2])};
    s.options = (struct schema_options){.assert_format = *argv[3] == '1', .load = remote_load, .arg = &s};
    for (int i = 4; i < argc; i++)
        file_run(&s, argv[i]);
    printf("%u tests, %u failed\n", s.n_tests, s.n_failed);
    json_parser_free(s.parser);
    arena_free(&s.arena);
    return 0;
}
