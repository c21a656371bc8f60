/* The verbs of esfsctl. Each is given its own arguments (argv[0] is the verb) and returns the exit status:
 * 0, 1 for failure or damage, 2 for a wrong command line. */
#ifndef ESFS_CTL_H
#define ESFS_CTL_H

#include <stdint.h>

enum { CTL_FAILED = 1, CTL_USAGE = 2 };

int verify_main(int argc, char **argv);
int cat_main(int argc, char **argv);
int stat_main(int argc, char **argv);
int rebuild_main(int argc, char **argv);
int kafka_main(int argc, char **argv);
int bench_main(int argc, char **argv);
int check_main(int argc, char **argv);
int test_main(int argc, char **argv);

/* Says on stderr how the verb is called. Returns CTL_USAGE. */
int ctl_usage(const char *verb, const char *arguments);
/* Says on stderr what the verb could not do. Returns CTL_FAILED. */
int ctl_fail(const char *verb, const char *text);

/* What a noun has behind it when there are n of it: "s", or nothing. */
const char *ctl_plural(uint64_t n);

#endif
