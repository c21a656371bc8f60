/* esfsctl verify STORE: reads every chunk, follows the hash chain, compares what is derived with the log, key by
 * key, and writes nothing. */
#include "ctl.h"
#include "ctl_offline.h"
#include "index.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int damage_report(const char *path, const struct index_damage *damage, const struct err *err) {
    fprintf(stderr, "%s: damaged: position %016" PRIx64 " (block %" PRIu64 ")", path, damage->position, damage->block);
    if (damage->aggregate[0])
        fprintf(stderr, ", aggregate %s", damage->aggregate);
    fprintf(stderr, ": %s\n", err->text);
    return CTL_FAILED;
}

/* A log that ends too early is sound as far as it goes; only what was noted when it was longer tells. */
static int tail_check(struct offline *o, const char *path, struct err *err) {
    struct home_head noted, tail;
    home_head(o->home, &noted);
    int r = offline_tail(o, &tail, err);
    if (r < 0)
        return ctl_fail("verify", err->text);
    if (tail.block < noted.block) {
        struct index_damage damage = {.position = tail.position + 1, .block = tail.block + 1};
        err_set(err, EUCLEAN, "the log ends here, but was durable up to position %016" PRIx64 " (block %" PRIu64 ")",
                noted.position, noted.block);
        return damage_report(path, &damage, err);
    }
    printf("%s: sound: %" PRIu64 " events in %" PRIu64 " blocks\n", path, tail.position, tail.block);
    return 0;
}

static int store_verify(struct offline *o, const char *path) {
    struct err err = {0};
    struct index_damage damage = {0};
    int r = index_verify(o->db, home_id(o->home), &damage, &err);
    if (r == INDEX_DAMAGED)
        return damage_report(path, &damage, &err);
    return r < 0 ? ctl_fail("verify", err.text) : tail_check(o, path, &err);
}

int verify_main(int argc, char **argv) {
    if (argc != 2 || argv[1][0] == '-')
        return ctl_usage(argv[0], "STORE");
    struct err err = {0};
    struct offline o;
    if (offline_open(&o, argv[1], true, &err) < 0)
        return ctl_fail(argv[0], err.text);
    int status = store_verify(&o, argv[1]);
    offline_close(&o);
    return status;
}
