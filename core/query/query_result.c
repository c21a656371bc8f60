#include "query_result.h"

#include <stdatomic.h>
#include <stdlib.h>

struct counted {
    struct query_result result;
    atomic_uint references;
    char *bytes;
};

struct query_result *query_result_new(struct buf *text, uint64_t no, uint64_t computed_at, uint64_t position) {
    struct counted *c = text->oom ? NULL : malloc(sizeof *c);
    if (!c) {
        buf_free(text);
        return NULL;
    }
    char *fitting = text->n ? realloc(text->p, text->n) : NULL;
    c->bytes = fitting ? fitting : text->p;
    c->result =
        (struct query_result){.text = {c->bytes, text->n}, .no = no, .computed_at = computed_at, .position = position};
    atomic_init(&c->references, 1);
    *text = (struct buf){0};
    return &c->result;
}

void query_result_ref(struct query_result *r) {
    struct counted *c = (struct counted *)r;
    atomic_fetch_add(&c->references, 1);
}

void query_result_unref(struct query_result *r) {
    struct counted *c = (struct counted *)r;
    if (!r || atomic_fetch_sub(&c->references, 1) > 1)
        return;
    free(c->bytes);
    free(c);
}
