/* bench_schema SCHEMA.json INSTANCE.json SECONDS: what reading and checking an instance costs, each for as long. */
#include "bench.h"

#include "arena.h"
#include "json.h"
#include "schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 1000 /* between two looks at the clock */

struct subject {
    struct json_parser *parser;
    struct arena arena;
    struct str text;
    struct json_value tree;
    struct schema *schema;
};

static struct str file_read(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f)
        die("%s", path);
    char *text = need(65536 + JSON_PADDING);
    size_t n = fread(text, 1, 65536, f);
    fclose(f);
    while (n && text[n - 1] == '\n')
        n--;
    return (struct str){text, n};
}

static void tree_read(struct subject *s) {
    const char *why;
    arena_reset(&s->arena, 1 << 20);
    if (json_tree_read(s->parser, s->text, &s->arena, &s->tree, &why))
        die("the instance cannot be read");
}

static void tree_check(struct subject *s) {
    struct schema_fault fault;
    if (schema_check(s->schema, &s->tree, &fault))
        die("the instance is not valid: %s %s", fault.instance, fault.text);
}

static void measure(struct subject *s, const char *suffix, void (*work)(struct subject *s), double seconds) {
    double began = now(), took;
    uint64_t n = 0;
    do {
        for (int i = 0; i < AT_ONCE; i++)
            work(s);
        n += AT_ONCE;
    } while ((took = now() - began) < seconds);
    report(suffix, took / (double)n * 1e9, "ns");
}

int main(int argc, char **argv) {
    struct subject s = {.parser = json_parser_new()};
    struct arena arena = {0};
    struct json_value document;
    struct err err;
    const char *why;
    if (argc != 4 || !s.parser)
        die("usage: bench_schema SCHEMA.json INSTANCE.json SECONDS");
    struct str schema = file_read(argv[1]);
    s.text = file_read(argv[2]);
    if (json_tree_read(s.parser, schema, &arena, &document, &why))
        die("%s: %s", argv[1], why);
    if (schema_compile(&s.schema, &document, NULL, &err))
        die("%s: %s", argv[1], err.text);
    measure(&s, " read", tree_read, atof(argv[3]));
    measure(&s, " check", tree_check, atof(argv[3]));
    schema_free(s.schema);
    json_parser_free(s.parser);
    arena_free(&s.arena);
    arena_free(&arena);
    free((char *)schema.p);
    free((char *)s.text.p);
    return 0;
}
