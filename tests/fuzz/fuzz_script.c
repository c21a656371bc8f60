/* What may never happen: bytes that are no state do harm when they are thawed; a state that was thawed is frozen to
 * other bytes the second time; JSON comes out of Lua in another form than it went in. */
#include "digest.h"
#include "script.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void require(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void thaw_try(struct script *s, struct str bytes) {
    struct script_fault fault;
    struct buf once = {0}, twice = {0};
    script_value v, again;
    if (script_thaw(s, bytes, &v))
        return;
    require(script_freeze(s, v, &once, &fault) == 0, "what was thawed cannot be frozen");
    require(script_thaw(s, buf_str(&once), &again) == 0, "what was frozen cannot be thawed");
    require(script_freeze(s, again, &twice, &fault) == 0, "what was thawed twice cannot be frozen");
    require(str_eq(buf_str(&once), buf_str(&twice)), "a state is frozen to other bytes the second time");
    script_drop(s, v);
    script_drop(s, again);
    buf_free(&once);
    buf_free(&twice);
}

/* The tree without white space, and with escapes as esfs writes them. */
static void tree_print(const struct json_value *v, struct buf *out) {
    switch (v->kind) {
    case JSON_KIND_STRING:
        buf_put_json_string(out, v->text);
        return;
    case JSON_KIND_ARRAY:
        for (uint32_t i = 0; i < v->n; i++) {
            buf_put_char(out, i ? ',' : '[');
            tree_print(&v->items[i], out);
        }
        buf_put_text(out, v->n ? "]" : "[]");
        return;
    case JSON_KIND_OBJECT:
        for (uint32_t i = 0; i < v->n; i++) {
            buf_put_char(out, i ? ',' : '{');
            buf_put_json_string(out, v->fields[i].name);
            buf_put_char(out, ':');
            tree_print(&v->fields[i].value, out);
        }
        buf_put_text(out, v->n ? "}" : "{}");
        return;
    default:
        buf_put_str(out, v->raw);
    }
}

static void json_try(struct script *s, struct json_parser *parser, struct str bytes) {
    struct arena arena = {0};
    struct buf want = {0}, got = {0};
    struct json_value tree;
    struct script_fault fault;
    const char *why;
    script_value v;
    char *padded = arena_alloc(&arena, bytes.n + JSON_PADDING);
    memcpy(padded, bytes.p, bytes.n);
    memset(padded + bytes.n, 0, JSON_PADDING);
    if (json_tree_read(parser, (struct str){padded, bytes.n}, &arena, &tree, &why) == 0 &&
        (tree.kind == JSON_KIND_OBJECT || tree.kind == JSON_KIND_ARRAY) && /* digits of a lone number have no place */
        script_of_json(s, &tree, &v) == 0) {
        tree_print(&tree, &want);
        require(script_to_json(s, v, &got, &fault) == 0, "JSON that went in does not come out");
        require(str_eq(buf_str(&want), buf_str(&got)), "JSON comes out in another form");
        script_drop(s, v);
    }
    buf_free(&want);
    buf_free(&got);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static struct script *s;
    static struct json_parser *parser;
    if (!s) {
        struct script_options options = {0};
        require(digest_init() == 0 && script_new(&s, &options) == 0, "no memory");
        parser = json_parser_new();
    }
    struct str text = {(const char *)bytes, n};
    if (n && bytes[0] == 1)
        thaw_try(s, text);
    else
        json_try(s, parser, text);
    return 0;
}
