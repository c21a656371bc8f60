#include "handle.h"

#include "fs.h"
#include "node_call.h"
#include "node_consumers.h"

#include <stdlib.h>

int handles_init(struct handles *hs) {
    LIST_INIT(&hs->open);
    return -pthread_mutex_init(&hs->lock, NULL);
}

void handles_deinit(struct handles *hs) {
    while (!LIST_EMPTY(&hs->open))
        handle_free(LIST_FIRST(&hs->open));
    pthread_mutex_destroy(&hs->lock);
}

struct handle *handle_new(struct fs *fs) {
    struct handle *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->fs = fs;
    if (pthread_mutex_init(&h->lock, NULL) != 0) {
        free(h);
        return NULL;
    }
    pthread_mutex_lock(&fs->handles.lock);
    LIST_INSERT_HEAD(&fs->handles.open, h, link);
    pthread_mutex_unlock(&fs->handles.lock);
    return h;
}

void handle_free(struct handle *h) {
    if (!h)
        return;
    pthread_mutex_lock(&h->fs->handles.lock);
    LIST_REMOVE(h, link);
    pthread_mutex_unlock(&h->fs->handles.lock);
    if (h->channel)
        channel_free(h->channel);
    if (h->call)
        call_free(h->call);
    consuming_free(h->consuming);
    content_text_unref(h->content);
    query_result_unref(h->result);
    buf_free(&h->text);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
