#include "query_ask.h"

#include <errno.h>
#include <stdlib.h>

/* --- who asks */

static int id_compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int query_caller_put(const struct identity *who, struct buf *out) {
    uint32_t *gids = malloc((who->n_gids + 1) * sizeof *gids), before = who->gid;
    if (!gids)
        return -ENOMEM;
    if (who->n_gids)
        memcpy(gids, who->gids, who->n_gids * sizeof *gids);
    qsort(gids, who->n_gids, sizeof *gids, id_compare);
    buf_printf(out, "{\"uid\":%u,\"gids\":[%u", who->uid, who->gid);
    for (size_t i = 0; i < who->n_gids; i++) {
        if (gids[i] != who->gid && gids[i] != before)
            buf_printf(out, ",%u", gids[i]);
        before = gids[i];
    }
    buf_put_text(out, "]}");
    free(gids);
    return out->oom ? -ENOMEM : 0;
}

static int who_read(struct query_ask *a, struct json_parser *parser, struct arena *arena, const struct identity *who) {
    struct buf text = {0};
    const char *why;
    struct json_value *tree = arena_alloc(arena, sizeof *tree);
    int r = tree ? query_caller_put(who, &text) : -ENOMEM;
    size_t n = text.n;
    if (r == 0 && buf_reserve(&text, JSON_PADDING)) {
        memset(text.p + n, 0, JSON_PADDING);
        a->who = arena_copy(arena, (struct str){text.p, n + JSON_PADDING});
    }
    buf_free(&text);
    if (!a->who.p)
        return -ENOMEM;
    a->who.n = n;
    a->caller = tree;
    return json_tree_read(parser, a->who, arena, tree, &why) == 0 ? 0 : -ENOMEM;
}

/* --- what is asked */

int query_ask_read(const struct domain_query *q, struct json_parser *parser, struct arena *arena, struct str text,
                   bool json, const struct identity *who, struct query_ask *out, struct err *err) {
    *out = (struct query_ask){0};
    int r = (json ? query_params_read : query_name_read)(q, parser, arena, text, &out->params, err);
    if (r == 0 && q->per_caller && who_read(out, parser, arena, who) < 0)
        r = err_set(err, ENOMEM, "out of memory");
    return r;
}
