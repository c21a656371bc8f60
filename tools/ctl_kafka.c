/* esfsctl kafka verify STORE ...: compares what is in Kafka with the log.
 * esfsctl kafka seek STORE POSITION: says behind which position the next mount publishes. */
#include "ctl.h"
#include "ctl_offline.h"
#include "kafka_settings.h"
#include "kafka_verify.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VERIFY_ARGUMENTS                                                                                               \
    "verify STORE --brokers HOST:PORT[,...] [--config FILE] [--topic TEMPLATE] [--from POSITION] "                     \
    "[--domain DIR]"
#define SEEK_ARGUMENTS "seek STORE POSITION (16 hexadecimal digits, start or end)"

/* --- verify */

static int verify_arguments(int argc, char **argv, struct kafka_verify_options *o) {
    static const struct option longs[] = {{"brokers", required_argument, 0, 'b'}, {"config", required_argument, 0, 'c'},
                                          {"topic", required_argument, 0, 't'},   {"domain", required_argument, 0, 'd'},
                                          {"from", required_argument, 0, 'f'},    {0}};
    int c;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == 'b')
            o->brokers = optarg;
        else if (c == 'c')
            o->config = optarg;
        else if (c == 't')
            o->topic = optarg;
        else if (c == 'd')
            o->domain = optarg;
        else if (c != 'f' || !event_position_read(str_of(optarg), &o->from))
            return -1;
    }
    return argc - optind == 1 && (o->brokers || o->config) ? 0 : -1;
}

static int verify_report(const char *path, int r, const struct kafka_verify_result *v, const struct err *err) {
    if (r == KAFKA_FAULT) {
        fprintf(stderr, "%s: %s\n", path, err->text);
        return CTL_FAILED;
    }
    if (r < 0)
        return ctl_fail("kafka", err->text);
    printf("%s: sound in Kafka up to position %016" PRIx64 ": %" PRIu64 " event%s", path, v->cursor, v->events,
           ctl_plural(v->events));
    printf(", %" PRIu64 " duplicate%s, %" PRIu64 " parked", v->duplicates, ctl_plural(v->duplicates), v->parked);
    printf(", %" PRIu64 " message%s of others\n", v->foreign, ctl_plural(v->foreign));
    if (v->skipped)
        printf("%" PRIu64 " event%s passed over by hand (parked/skipped): %s need not be there\n", v->skipped,
               v->skipped == 1 ? " was" : "s were", v->skipped == 1 ? "it" : "they");
    if (v->earlier)
        printf("%" PRIu64 " message%s may be of an earlier kafka.lua: bodies were not compared there\n", v->earlier,
               ctl_plural(v->earlier));
    if (v->moved)
        printf("%" PRIu64 " aggregate%s in more than one partition: partitions were added\n", v->moved,
               v->moved == 1 ? " is" : "s are");
    return 0;
}

static int verify(int argc, char **argv) {
    struct kafka_verify_options o = {0};
    struct kafka_verify_result result;
    const struct store_options store_options = {.read_only = true, .must_exist = true};
    struct store *store = NULL;
    struct err err = {0};
    if (verify_arguments(argc, argv, &o) < 0)
        return ctl_usage("kafka", VERIFY_ARGUMENTS);
    const char *path = argv[optind];
    int r = store_open(&store, path, &store_options, &err);
    if (r == 0)
        r = kafka_verify(store, &o, &result, &err);
    store_close(store);
    return verify_report(path, r, &result, &err);
}

/* --- seek */

static int position_read(struct offline *o, const char *text, uint64_t *out, struct err *err) {
    struct home_head tail;
    int r = offline_tail(o, &tail, err);
    if (r < 0)
        return r;
    if (strcmp(text, "end") == 0)
        *out = tail.position;
    else if (strcmp(text, "start") == 0)
        *out = 0;
    else if (!event_position_read(str_of(text), out))
        return err_set(err, EINVAL, "%s: 16 hexadecimal digits are meant, or start or end", text);
    if (*out > tail.position)
        return err_set(err, EINVAL, "%s: the log ends at position %016" PRIx64, text, tail.position);
    return 0;
}

static int seek(int argc, char **argv) {
    struct err err = {0};
    struct offline o;
    uint64_t position, kept = 0, dropped = 0;
    if (argc != 3 || argv[1][0] == '-')
        return ctl_usage("kafka", SEEK_ARGUMENTS);
    int r = offline_open(&o, argv[1], false, &err);
    if (r < 0)
        return ctl_fail("kafka", err.text);
    r = position_read(&o, argv[2], &position, &err);
    if (r == 0)
        r = kafka_seek(o.db, position, &kept, &dropped, &err);
    offline_close(&o);
    if (r < 0)
        return ctl_fail("kafka", err.text);
    printf("%s: the next mount publishes what comes behind position %016" PRIx64 "\n", argv[1], position);
    if (kept + dropped)
        printf("%" PRIu64 " event%s parked, %" PRIu64 " to be published again\n", kept, kept == 1 ? " stays" : "s stay",
               dropped);
    return 0;
}

int kafka_main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "verify") == 0)
        return verify(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "seek") == 0)
        return seek(argc - 1, argv + 1);
    ctl_usage("kafka", VERIFY_ARGUMENTS);
    return ctl_usage("kafka", SEEK_ARGUMENTS);
}
