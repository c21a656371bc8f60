/* The disk itself: a file that grows by BYTES a write, each write synced. No store can be faster, one writer at a
 * time.
 *
 *   peer_disk [-s SECONDS] [-b BYTES] FILE */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    double seconds = 3;
    size_t bytes = 300; /* about what the log takes for one event */
    for (int c; (c = getopt(argc, argv, "s:b:")) != -1;) {
        if (c == 's')
            seconds = atof(optarg);
        else if (c == 'b')
            bytes = number(optarg);
        else
            return 2;
    }
    errno = 0;
    if (optind + 1 != argc)
        die("usage: see the head of peer_disk.c");
    int fd = open(argv[optind], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        die("%s", argv[optind]);
    char *block = need(bytes);
    memset(block, 'x', bytes);
    struct samples times = {0};
    double began = now();
    for (double at = began, then; at - began < seconds; samples_add(&times, at - then)) {
        then = at;
        if (write(fd, block, bytes) != (ssize_t)bytes || fdatasync(fd) < 0)
            die("%s", argv[optind]);
        at = now();
    }
    report("", (double)times.n / seconds, "writes/s");
    samples_report(&times);
    samples_free(&times);
    unlink(argv[optind]);
    free(block);
    return 0;
}
