/* What an open file or directory remembers between its calls; fi->fh points to it. Files that need no memory have none
 * (0).
 *
 * The kernel sends RELEASE after the last call on a handle, or, when the mount goes first, never: the list holds
 * what is then still open. */
#ifndef ESFS_HANDLE_H
#define ESFS_HANDLE_H

#include "buf.h"
#include "channel.h"
#include "content.h"
#include "lowlevel.h"
#include "queries.h"
#include "text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

struct fs;
struct call;      /* node_call.h */
struct consuming; /* node_consumers.h */

struct handle {
    LIST_ENTRY(handle) link;
    struct fs *fs;
    pthread_mutex_t lock;         /* of cursor and text: reads may run side by side */
    struct text_cursor cursor;    /* a log or a stream: where the reader got to */
    struct buf text;              /* a small file: what the reader is being given; a directory: entries to come */
    size_t given;                 /* what he has had of it, where he cannot seek */
    uint64_t build;               /* a directory of a view: which build is being listed; 0: none yet */
    struct channel *channel;      /* `commands` */
    struct call *call;            /* a query's `call` */
    struct content_text *content; /* a view's file: what the reader is given, whatever becomes of the file */
    struct query_result *result;  /* a query's result, likewise */
    struct consuming *consuming;  /* a consumer's file */
    bool direct;                  /* what it shows is not what the node does, so that the kernel must not keep it */
    fuse_req_t request;           /* the write that waits for its answer, while `writing` */
    atomic_bool writing;
    atomic_bool unsynced; /* written to since the last sync */
};

struct handles {
    pthread_mutex_t lock;
    LIST_HEAD(, handle) open;
};

int handles_init(struct handles *hs); /* 0 or negative errno */
/* Frees all that are open. No call on any of them may be under way. */
void handles_deinit(struct handles *hs);

struct handle *handle_new(struct fs *fs); /* NULL when out of memory */
/* Frees it with its channel. NULL is fine. */
void handle_free(struct handle *h);

static inline struct handle *handle_of(const struct fuse_file_info *fi) {
    return (struct handle *)(uintptr_t)fi->fh;
}

#endif
