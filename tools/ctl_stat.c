/* esfsctl stat STORE: what .esfs/status.json shows of a mounted store, indented. */
#include "ctl.h"
#include "store.h"

#include <jansson.h>
#include <stdio.h>

static int status_print(const struct buf *text) {
    json_error_t error;
    json_t *status = json_loadb(text->p, text->n, 0, &error);
    if (!status)
        return ctl_fail("stat", error.text);
    int r = json_dumpf(status, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(status);
    return r < 0 || putchar('\n') == EOF || fflush(stdout) == EOF ? ctl_fail("stat", "cannot write") : 0;
}

int stat_main(int argc, char **argv) {
    if (argc != 2 || argv[1][0] == '-')
        return ctl_usage(argv[0], "STORE");
    struct err err = {0};
    struct store *store = NULL;
    const struct store_options options = {.read_only = true, .must_exist = true};
    if (store_open(&store, argv[1], &options, &err) < 0)
        return ctl_fail(argv[0], err.text);
    struct buf text = {0};
    int status = store_status(store, &text) < 0 ? ctl_fail(argv[0], "out of memory") : status_print(&text);
    buf_free(&text);
    store_close(store);
    return status;
}
