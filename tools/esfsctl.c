/* esfsctl: what can be done with a store that is not mounted. One verb a file, each over core/ alone. */
#include "ctl.h"
#include "digest.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*function)(int argc, char **argv);
    const char *description;
    bool opens; /* a store that may be damaged */
} verbs[] = {
    {"verify", verify_main, "Reads the whole store and names the first fault, if there is one", true},
    {"cat", cat_main, "Prints the events of the store, of a type or of an aggregate", true},
    {"stat", stat_main, "Prints the store's status", true},
    {"rebuild", rebuild_main, "Makes everything that is derived again from the log", true},
    {"kafka", kafka_main, "Compares what is in Kafka with the log (verify), or says from where to publish (seek)",
     true},
    {"bench", bench_main, "Measures the engine on this machine, in a store of its own", false},
    {"check", check_main, "Checks a domain directory, as loading it would, and says what looks forgotten", false},
    {"test", test_main, "Runs the tests of a domain directory", false},
};

#define N_VERBS (sizeof verbs / sizeof verbs[0])

int ctl_usage(const char *verb, const char *arguments) {
    fprintf(stderr, "Usage: esfsctl %s %s\n", verb, arguments);
    return CTL_USAGE;
}

int ctl_fail(const char *verb, const char *text) {
    fprintf(stderr, "esfsctl %s: %s\n", verb, text);
    return CTL_FAILED;
}

const char *ctl_plural(uint64_t n) {
    return n == 1 ? "" : "s";
}

static void show_usage(FILE *out) {
    fputs("Usage: esfsctl <verb> [<arguments>]\n\nVerbs:\n", out);
    for (size_t i = 0; i < N_VERBS; i++)
        fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].description);
    fputs("\n`esfsctl <verb> --help` tells a verb's arguments. No verb works on a mounted store.\n", out);
}

/* RocksDB looks at one number of a table before it looks at the checksum, and stops the process when a bit of that
 * number is not possible. */
static void aborted(int signal) {
    static const char text[] =
        "esfsctl: stopped, as the assertion says; when it is one of RocksDB's, then a table of the"
        " store is damaged or its disk failed\n";
    (void)signal;
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(CTL_FAILED);
}

static int verb_run(size_t verb, int argc, char **argv) {
    if (verbs[verb].opens)
        signal(SIGABRT, aborted);
    return verbs[verb].function(argc, argv);
}

int main(int argc, char **argv) {
    if (argc == 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) {
        show_usage(stdout);
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("esfsctl " ESFS_VERSION);
        return 0;
    }
    if (digest_init() < 0)
        return ctl_fail("", "libsodium cannot be initialised");
    for (size_t i = 0; argc > 1 && i < N_VERBS; i++)
        if (!strcmp(argv[1], verbs[i].name))
            return verb_run(i, argc - 1, argv + 1);
    if (argc > 1)
        fprintf(stderr, "esfsctl: no such verb: %s\n\n", argv[1]);
    show_usage(stderr);
    return CTL_USAGE;
}
