#include "ctl_test_diff.h"

#include "array.h"
#include "decimal.h"
#include "json.h"

#include <errno.h>
#include <stdlib.h>

#define CONTEXT 3           /* lines shown around a difference */
#define SKIP_MIN 3          /* lines: fewer are shown, too */
#define TABLE_MAX (4 << 20) /* cells; beyond that all of one side is shown, then all of the other */
#define INDENT 2

struct line {
    struct str text; /* without the comma at its end */
    bool comma;
    size_t depth;
};

struct lines {
    struct line *items; /* to be freed */
    size_t n, cap;
    bool oom;
};

/* --- printing a value, as far as possible the way another one is printed */

static void line_add(struct lines *l, struct arena *arena, size_t depth, const char *before, struct str name,
                     struct str text) {
    struct buf b = {0};
    buf_put_text(&b, before);
    if (name.p) {
        buf_put_json_string(&b, name);
        buf_put_text(&b, ": ");
    }
    buf_put_str(&b, text);
    const struct str kept = arena_copy(arena, buf_str(&b));
    l->oom |= b.oom || !kept.p || !ARRAY_ROOM(l->items, l->n, l->cap);
    buf_free(&b);
    if (!l->oom)
        l->items[l->n++] = (struct line){kept, false, depth};
}

static bool is_like(const struct json_value *v, const struct json_value *like) {
    struct decimal a, b;
    if (!like || like->kind != v->kind)
        return false;
    if (v->kind == JSON_KIND_STRING)
        return str_eq(v->text, like->text);
    return v->kind == JSON_KIND_NUMBER && decimal_read(&a, v->text) == 0 && decimal_read(&b, like->text) == 0 &&
           decimal_compare(&a, &b) == 0;
}

static void value_print(struct lines *l, struct arena *arena, size_t depth, struct str name, const struct json_value *v,
                        const struct json_value *like);

static void comma_add(struct lines *l, bool more) {
    if (l->n)
        l->items[l->n - 1].comma = more;
}

static void items_print(struct lines *l, struct arena *arena, size_t depth, const struct json_value *v,
                        const struct json_value *like) {
    const struct str none = {NULL, 0};
    for (uint32_t i = 0; i < v->n; i++) {
        bool there = like && like->kind == JSON_KIND_ARRAY && i < like->n;
        value_print(l, arena, depth, none, &v->items[i], there ? &like->items[i] : NULL);
        comma_add(l, i + 1 < v->n);
    }
}

/* The members that the other one has come first, in its order. */
static void fields_print(struct lines *l, struct arena *arena, size_t depth, const struct json_value *v,
                         const struct json_value *like) {
    uint32_t printed = 0;
    bool alike = like && like->kind == JSON_KIND_OBJECT;
    for (uint32_t i = 0; alike && i < like->n; i++) {
        const struct json_value *member = json_field(v, like->fields[i].name);
        if (!member)
            continue;
        value_print(l, arena, depth, like->fields[i].name, member, &like->fields[i].value);
        comma_add(l, ++printed < v->n);
    }
    for (uint32_t i = 0; i < v->n; i++) {
        if (alike && json_field(like, v->fields[i].name))
            continue;
        value_print(l, arena, depth, v->fields[i].name, &v->fields[i].value, NULL);
        comma_add(l, ++printed < v->n);
    }
}

static void value_print(struct lines *l, struct arena *arena, size_t depth, struct str name, const struct json_value *v,
                        const struct json_value *like) {
    bool array = v->kind == JSON_KIND_ARRAY;
    const struct str none = {NULL, 0};
    if (!array && v->kind != JSON_KIND_OBJECT) {
        line_add(l, arena, depth, "", name, is_like(v, like) ? like->raw : v->raw);
        return;
    }
    if (v->n == 0) {
        line_add(l, arena, depth, "", name, array ? STR("[]") : STR("{}"));
        return;
    }
    line_add(l, arena, depth, "", name, array ? STR("[") : STR("{"));
    if (array)
        items_print(l, arena, depth + 1, v, like);
    else
        fields_print(l, arena, depth + 1, v, like);
    line_add(l, arena, depth, array ? "]" : "}", none, STR(""));
}

/* --- what is common: the longest run of lines that both have, in order */

struct step {
    char sign; /* ' ', '-' or '+' */
    const struct line *line;
};

struct steps {
    struct step *items;
    size_t n;
};

static bool line_eq(const struct line *a, const struct line *b) {
    return a->depth == b->depth && str_eq(a->text, b->text);
}

/* lengths[i][j]: of the longest common run of what follows line i of a and line j of b. */
static uint32_t *lengths_make(const struct line *a, size_t n, const struct line *b, size_t m) {
    uint32_t *lengths = calloc((n + 1) * (m + 1), sizeof *lengths);
    for (size_t i = n; lengths && i-- > 0;)
        for (size_t j = m; j-- > 0;) {
            const uint32_t *at = &lengths[i * (m + 1) + j];
            uint32_t below = at[m + 1], right = at[1];
            lengths[i * (m + 1) + j] = line_eq(&a[i], &b[j]) ? at[m + 2] + 1 : below > right ? below : right;
        }
    return lengths;
}

static void step_add(struct steps *s, char sign, const struct line *line) {
    s->items[s->n++] = (struct step){sign, line};
}

static int middle_diff(const struct line *a, size_t n, const struct line *b, size_t m, struct steps *out) {
    bool large = n && m > TABLE_MAX / n;
    uint32_t *lengths = large ? NULL : lengths_make(a, n, b, m);
    size_t i = 0, j = 0;
    if (!large && !lengths)
        return -ENOMEM;
    while (!large && i < n && j < m) {
        const uint32_t *at = &lengths[i * (m + 1) + j];
        if (line_eq(&a[i], &b[j])) {
            step_add(out, ' ', &b[j]);
            i++, j++;
        } else if (at[m + 1] >= at[1]) {
            step_add(out, '-', &a[i++]);
        } else {
            step_add(out, '+', &b[j++]);
        }
    }
    free(lengths);
    while (i < n)
        step_add(out, '-', &a[i++]);
    while (j < m)
        step_add(out, '+', &b[j++]);
    return 0;
}

static int lines_diff(const struct lines *a, const struct lines *b, struct steps *out) {
    size_t head = 0, n = a->n, m = b->n;
    out->items = calloc(n + m + 1, sizeof *out->items);
    if (!out->items)
        return -ENOMEM;
    for (; head < n && head < m && line_eq(&a->items[head], &b->items[head]); head++)
        step_add(out, ' ', &b->items[head]);
    while (n > head && m > head && line_eq(&a->items[n - 1], &b->items[m - 1]))
        n--, m--;
    int r = middle_diff(a->items + head, n - head, b->items + head, m - head, out);
    for (; r == 0 && m < b->n; m++)
        step_add(out, ' ', &b->items[m]);
    return r;
}

/* --- showing */

static bool is_near(const struct steps *s, size_t i) {
    size_t from = i > CONTEXT ? i - CONTEXT : 0;
    for (size_t k = from; k < s->n && k <= i + CONTEXT; k++)
        if (s->items[k].sign != ' ')
            return true;
    return false;
}

static void step_show(const struct step *s, bool colours, struct buf *out) {
    const char *colour = !colours || s->sign == ' ' ? "" : s->sign == '-' ? "\033[31m" : "\033[32m";
    buf_printf(out, "%s  %c %*s%.*s%s%s\n", colour, s->sign, (int)(INDENT * s->line->depth), "", (int)s->line->text.n,
               s->line->text.p, s->line->comma ? "," : "", *colour ? "\033[0m" : "");
}

/* How many lines from here on are far from any difference. */
static size_t far_run(const struct steps *s, size_t i) {
    size_t n = 0;
    while (i + n < s->n && !is_near(s, i + n))
        n++;
    return n;
}

static void steps_show(const struct steps *s, bool colours, struct buf *out) {
    for (size_t i = 0; i < s->n;) {
        size_t far = far_run(s, i);
        if (far > SKIP_MIN) {
            buf_put_text(out, "    ...\n");
            i += far;
            continue;
        }
        for (far += far == 0; far > 0; far--)
            step_show(&s->items[i++], colours, out);
    }
}

static bool steps_differ(const struct steps *s) {
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].sign != ' ')
            return true;
    return false;
}

static int value_read(struct json_parser *parser, struct str text, struct arena *arena, struct json_value *out) {
    const char *why;
    char *copy = arena_alloc(arena, text.n + JSON_PADDING);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, text.p, text.n);
    memset(copy + text.n, 0, JSON_PADDING);
    int r = json_tree_read(parser, (struct str){copy, text.n}, arena, out, &why);
    return r > 0 ? -EINVAL : r;
}

int diff_json(struct str expected, struct str got, bool colours, struct buf *out) {
    const struct str none = {NULL, 0};
    struct arena arena = {0};
    struct lines a = {0}, b = {0};
    struct steps steps = {0};
    struct json_value left, right;
    struct json_parser *parser = json_parser_new();
    int r = parser ? value_read(parser, expected, &arena, &left) : -ENOMEM;
    if (r == 0)
        r = value_read(parser, got, &arena, &right);
    if (r == 0) {
        value_print(&a, &arena, 0, none, &left, &right);
        value_print(&b, &arena, 0, none, &right, NULL);
        r = a.oom || b.oom ? -ENOMEM : lines_diff(&a, &b, &steps);
    }
    if (r == 0 && steps_differ(&steps)) {
        steps_show(&steps, colours, out);
        r = out->oom ? -ENOMEM : DIFF_DIFFERENT;
    }
    free(steps.items);
    free(a.items);
    free(b.items);
    json_parser_free(parser);
    arena_free(&arena);
    return r;
}
