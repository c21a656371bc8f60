/* esfsctl verify STORE: reads every chunk, follows the hash chain, compares what is derived with the log, key by
 * key, checks the tables of all families as files, and writes nothing. */
#include "ctl.h"
#include "ctl_offline.h"
#include "index.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int damage_report(const char *path, const struct index_damage *damage, const struct err *err) {
    fprintf(stderr, "%s: damaged: position %016" PRIx64 " (block %" PRIu64 ")", path, damage->position, damage->block);
    if (damage->aggregate[0])
        fprintf(stderr, ", aggregate %s", damage->aggregate);
    fprintf(stderr, ": %s\n", err->text);
    return CTL_FAILED;
}

/* What views have made is a database of its own, which may be missing. */
static int views_check(const struct offline *o, struct err *err) {
    const char *path = home_views_path(o->home);
    char current[4096];
    snprintf(current, sizeof current, "%s/CURRENT", path);
    if (access(current, F_OK) != 0)
        return 0;
    struct db *db = NULL;
    int r = db_open(&db, path, &(struct db_options){.read_only = true, .views = true}, err);
    if (r == 0)
        r = db_tables_check(db, err);
    db_close(db);
    return r;
}

/* Last, as damage that is found here has no position: what the others read is sound. */
static int tables_check(struct offline *o, const char *path, struct err *err) {
    int r = db_tables_check(o->db, err);
    if (r == 0)
        r = views_check(o, err);
    if (r == -EUCLEAN) {
        fprintf(stderr, "%s: damaged: %s\n", path, err->text);
        return CTL_FAILED;
    }
    return r < 0 ? ctl_fail("verify", err->text) : 0;
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
    r = tables_check(o, path, err);
    if (r == 0)
        printf("%s: sound: %" PRIu64 " event%s in %" PRIu64 " block%s\n", path, tail.position,
               ctl_plural(tail.position), tail.block, ctl_plural(tail.block));
    return r;
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
    if (home_head_is_torn(o.home, &err))
        fprintf(stderr, "note: %s\n", err.text);
    int status = store_verify(&o, argv[1]);
    offline_close(&o);
    return status;
}
