/* Answers one line of JSON, {"old": ..., "new": ...}, with one line: "proven", or "unproven" and why. */
#include "compat.h"

#include <stdio.h>
#include <stdlib.h>

static int answer(struct json_parser *parser, struct arena *arena, struct str line) {
    struct json_value pair;
    struct err err;
    const char *why;
    if (json_tree_read(parser, line, arena, &pair, &why)) {
        fprintf(stderr, "%s: %.*s\n", why, (int)line.n, line.p);
        return -1;
    }
    const struct json_value *older = json_field(&pair, STR("old")), *newer = json_field(&pair, STR("new"));
    if (!older || !newer)
        return -1;
    int r = compat_check(older, newer, &err);
    if (r < 0)
        return r;
    if (r == COMPAT_PROVEN)
        puts("proven");
    else
        printf("unproven %s\n", err.text);
    fflush(stdout);
    return 0;
}

int main(void) {
    struct json_parser *parser = json_parser_new();
    struct arena arena = {0};
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int r = parser ? 0 : -1;
    while (r == 0 && (n = getline(&line, &room, stdin)) > 0) {
        char *text = arena_alloc(&arena, (size_t)n + JSON_PADDING);
        if (!text)
            return 1;
        memset(text + n, 0, JSON_PADDING);
        memcpy(text, line, (size_t)n);
        r = answer(parser, &arena, (struct str){text, (size_t)n - (text[n - 1] == '\n')});
        arena_reset(&arena, 1 << 20);
    }
    free(line);
    arena_free(&arena);
    json_parser_free(parser);
    return r == 0 ? 0 : 1;
}
