/* esfsctl rebuild STORE: empties what is derived and makes it again from the log, which is not touched. What views have
 * made is removed: the next mount with the domain makes it again. */
#include "ctl.h"
#include "ctl_offline.h"
#include "index.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double seconds_since(const struct timespec *begin) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) * 1e-9;
}

static int store_rebuild(struct offline *o, const char *path) {
    struct err err = {0};
    struct home_head tail;
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (index_rebuild(o->db, home_id(o->home), &err) < 0 || offline_tail(o, &tail, &err) < 0)
        return ctl_fail("rebuild", err.text);
    int r = home_remove_views(o->home);
    if (r < 0) {
        err_set(&err, -r, "%s: %s", home_views_path(o->home), strerror(-r));
        return ctl_fail("rebuild", err.text);
    }
    double seconds = seconds_since(&begin);
    printf("%s: rebuilt from %" PRIu64 " event%s in %.1f s (%.0f events/s)\n", path, tail.position,
           ctl_plural(tail.position), seconds, (double)tail.position / seconds);
    return 0;
}

int rebuild_main(int argc, char **argv) {
    if (argc != 2 || argv[1][0] == '-')
        return ctl_usage(argv[0], "STORE");
    struct err err = {0};
    struct offline o;
    if (offline_open(&o, argv[1], false, &err) < 0)
        return ctl_fail(argv[0], err.text);
    int status = store_rebuild(&o, argv[1]);
    offline_close(&o);
    return status;
}
