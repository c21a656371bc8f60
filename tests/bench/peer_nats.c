/* NATS JetStream with the same work: a stream in files, a pull consumer that acknowledges.
 *
 *   peer_nats backlog URL EVENTS        fills a stream, then fetches 1,000 at a time and acknowledges each batch
 *   peer_nats live [-s SECONDS] URL     one publication after the other; from its answer until the consumer, another
 *                                       process, has it */
#include "bench.h"

#include <errno.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STREAM "ORDERS"
#define FETCH 1000
#define IN_FLIGHT 4000
#define LIVE_PAUSE_US 200
#define WAIT_MS 5000

static void check(natsStatus status, const char *what) {
    errno = 0;
    if (status != NATS_OK)
        die("%s: %s", what, natsStatus_GetText(status));
}

struct peer {
    natsConnection *connection;
    jsCtx *js;
};

static struct peer peer_open(const char *url) {
    struct peer p;
    jsOptions options;
    check(jsOptions_Init(&options), "options");
    options.PublishAsync.MaxPending = IN_FLIGHT;
    check(natsConnection_ConnectTo(&p.connection, url), "connect");
    check(natsConnection_JetStream(&p.js, p.connection, &options), "jetstream");
    return p;
}

static void peer_close(struct peer *p) {
    jsCtx_Destroy(p->js);
    natsConnection_Destroy(p->connection);
}

static void stream_make(struct peer *p) {
    jsStreamConfig config;
    const char *subjects[] = {"order.*"};
    check(jsStreamConfig_Init(&config), "stream");
    config.Name = STREAM;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    js_DeleteStream(p->js, STREAM, NULL, NULL);
    check(js_AddStream(NULL, p->js, &config, NULL, NULL), "stream");
}

static natsSubscription *pull(struct peer *p) {
    natsSubscription *sub;
    jsSubOptions options;
    check(jsSubOptions_Init(&options), "subscription");
    options.Stream = STREAM;
    options.Config.AckPolicy = js_AckAll;
    options.Config.DeliverPolicy = js_DeliverAll;
    options.Config.MaxAckPending = 2 * FETCH;
    check(js_PullSubscribe(&sub, p->js, "order.*", "all", NULL, &options, NULL), "subscription");
    return sub;
}

/* --- backlog */

static void fill(struct peer *p, uint64_t events) {
    char line[LINE_BYTES], subject[32];
    for (uint64_t i = 0; i < events; i++) {
        snprintf(subject, sizeof subject, "order.%06lu", i % AGGREGATES);
        line_make(line, "order", (unsigned)(i % AGGREGATES), i / AGGREGATES);
        check(js_PublishAsync(p->js, subject, line, sizeof line, NULL), "publish");
    }
    check(js_PublishAsyncComplete(p->js, NULL), "publish");
}

static void backlog_run(const char *url, uint64_t events) {
    struct peer p = peer_open(url);
    uint64_t done = 0;
    stream_make(&p);
    fill(&p, events);
    natsSubscription *sub = pull(&p);
    double began = now();
    while (done < events) {
        natsMsgList list = {0};
        check(natsSubscription_Fetch(&list, sub, FETCH, WAIT_MS, NULL), "fetch");
        done += (uint64_t)list.Count;
        check(natsMsg_Ack(list.Msgs[list.Count - 1], NULL), "ack");
        natsMsgList_Destroy(&list);
    }
    report("", (double)events / (now() - began), "events/s");
    natsSubscription_Destroy(sub);
    peer_close(&p);
}

/* --- live */

static void live_read(const char *url, int out) {
    struct peer p = peer_open(url);
    natsSubscription *sub = pull(&p);
    for (;;) {
        natsMsgList list = {0};
        if (natsSubscription_Fetch(&list, sub, 1, WAIT_MS, NULL) != NATS_OK)
            continue;
        double at = now();
        if (write(out, &at, sizeof at) != sizeof at)
            exit(0);
        natsMsg_Ack(list.Msgs[0], NULL);
        natsMsgList_Destroy(&list);
    }
}

static void live_run(const char *url, double seconds) {
    int pipes[2];
    char line[LINE_BYTES];
    struct samples times = {0};
    if (pipe(pipes) < 0)
        die("pipe");
    struct peer p = peer_open(url);
    stream_make(&p);
    peer_close(&p);
    pid_t reader = fork();
    if (reader == 0)
        live_read(url, pipes[1]);
    p = peer_open(url);
    sleep(1);
    double end = now() + seconds;
    for (uint64_t version = 0; now() < end; version++) {
        double told;
        line_make(line, "order", 0, version);
        check(js_Publish(NULL, p.js, "order.000000", line, sizeof line, NULL, NULL), "publish");
        double answered = now();
        if (read(pipes[0], &told, sizeof told) != sizeof told)
            die("the reader");
        samples_add(&times, told > answered ? told - answered : 0);
        usleep(LIVE_PAUSE_US);
    }
    samples_report(&times);
    samples_free(&times);
    kill(reader, SIGKILL);
    waitpid(reader, NULL, 0);
    peer_close(&p);
}

int main(int argc, char **argv) {
    double seconds = 3;
    const char *verb = argc > 1 ? argv[1] : "";
    for (int c; argc > 1 && (c = getopt(argc - 1, argv + 1, "s:")) != -1;) {
        if (c != 's')
            return 2;
        seconds = atof(optarg);
    }
    char **args = argv + 1 + optind;
    int left = argc - 1 - optind;
    if (strcmp(verb, "backlog") == 0 && left == 2)
        backlog_run(args[0], number(args[1]));
    else if (strcmp(verb, "live") == 0 && left == 1)
        live_run(args[0], seconds);
    else
        return 2;
    return 0;
}
