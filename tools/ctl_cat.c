/* esfsctl cat STORE [TYPE[/ID]]: log.ndjson of the store or of a type, or events.ndjson of an aggregate. */
#include "ctl.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES (1 << 20)

/* What is to be printed: a stream when `aggregate` is set, otherwise a log. */
struct source {
    uint32_t type_no;
    uint64_t aggregate, version;
};

static int source_find(struct store *store, const char *what, struct source *out, struct err *err) {
    *out = (struct source){0};
    if (!what)
        return 0;
    const char *slash = strchr(what, '/');
    struct index_type type;
    struct str type_name = {what, slash ? (size_t)(slash - what) : strlen(what)};
    if (index_type_by_name(store_index(store), type_name, &type) != 0)
        return err_set(err, ENOENT, "no aggregate type %.*s", (int)type_name.n, type_name.p);
    out->type_no = type.no;
    if (!slash)
        return 0;
    struct index_aggregate aggregate;
    int r = index_aggregate_by_name(store_index(store), type.no, str_of(slash + 1), &aggregate, err);
    if (r == INDEX_NONE)
        return err_set(err, ENOENT, "no aggregate %s", what);
    out->aggregate = aggregate.no;
    out->version = aggregate.version;
    return r;
}

static ssize_t source_read(struct store *store, const struct source *source, uint64_t offset, char *out,
                           struct text_cursor *cursor) {
    if (!source->aggregate)
        return text_read_log(store, source->type_no, offset, out, READ_BYTES, cursor);
    return text_read_stream(store, source->aggregate, 1, source->version, offset, out, READ_BYTES, cursor);
}

static int source_print(struct store *store, const struct source *source, struct err *err) {
    char *bytes = malloc(READ_BYTES);
    if (!bytes)
        return err_set(err, ENOMEM, "out of memory");
    struct text_cursor cursor = {0};
    uint64_t offset = 0;
    ssize_t n;
    int r = 0;
    while (r == 0 && (n = source_read(store, source, offset, bytes, &cursor)) != 0) {
        if (n < 0)
            r = err_set(err, (int)-n, "cannot read on at byte %llu: %s", (unsigned long long)offset, strerror((int)-n));
        else if (fwrite(bytes, 1, (size_t)n, stdout) != (size_t)n)
            r = err_set(err, errno, "cannot write: %s", strerror(errno));
        offset += n > 0 ? (uint64_t)n : 0;
    }
    free(bytes);
    if (r == 0 && fflush(stdout) == EOF)
        r = err_set(err, errno, "cannot write: %s", strerror(errno));
    return r;
}

int cat_main(int argc, char **argv) {
    if (argc < 2 || argc > 3 || argv[1][0] == '-')
        return ctl_usage(argv[0], "STORE [TYPE[/ID]]");
    struct err err = {0};
    struct store *store = NULL;
    const struct store_options options = {.read_only = true, .must_exist = true};
    int r = store_open(&store, argv[1], &options, &err);
    struct source source;
    if (r == 0)
        r = source_find(store, argv[2], &source, &err);
    if (r == 0)
        r = source_print(store, &source, &err);
    store_close(store);
    return r < 0 ? ctl_fail(argv[0], err.text) : 0;
}
