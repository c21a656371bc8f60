/* esfsctl check DIR: reads a domain directory as a mount would, and says what is refused or looks forgotten. */
#include "ctl.h"
#include "domain.h"

#include <stdio.h>

static void domain_print(const struct domain *d) {
    size_t commands = 0, events = 0;
    for (size_t i = 0; i < d->n_types; i++) {
        commands += d->types[i].n_commands;
        events += d->types[i].n_events;
    }
    printf("%s: sound: types: %zu, commands: %zu, events: %zu, schemas: %zu, views: %zu, queries: %zu, "
           "rules of kafka.lua: %zu\n",
           d->directory.p, d->n_types, commands, events, d->n_schemas, d->n_views, d->n_queries,
           d->kafka ? d->kafka->n_on : 0);
}

static int lint_print(const struct domain *d) {
    struct buf lines = {0};
    int status = 0;
    if (domain_lint(d, &lines) < 0)
        status = ctl_fail("check", "out of memory");
    else if (lines.n && fwrite(lines.p, 1, lines.n, stdout) < lines.n)
        status = ctl_fail("check", "cannot write");
    else if (lines.n)
        status = CTL_FAILED;
    else
        domain_print(d);
    buf_free(&lines);
    return fflush(stdout) == EOF ? ctl_fail("check", "cannot write") : status;
}

int check_main(int argc, char **argv) {
    if (argc != 2 || argv[1][0] == '-')
        return ctl_usage(argv[0], "DIR");
    struct err err = {0};
    struct domain *d = NULL;
    const struct domain_options options = {0};
    if (domain_load(&d, argv[1], &options, &err) < 0)
        return ctl_fail(argv[0], err.text);
    int status = lint_print(d);
    domain_unref(d);
    return status;
}
