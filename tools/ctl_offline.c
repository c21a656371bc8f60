#include "ctl_offline.h"

#include "block.h"

#include <errno.h>
#include <string.h>

int offline_open(struct offline *o, const char *path, bool read_only, struct err *err) {
    *o = (struct offline){NULL, NULL};
    const struct home_options home = {.read_only = read_only, .must_exist = true};
    int r = home_open(&o->home, path, &home, err);
    if (r < 0)
        return r;
    const struct db_options db = {.read_only = read_only, .mend = !read_only};
    r = db_open(&o->db, home_db_path(o->home), &db, err);
    if (r < 0)
        offline_close(o);
    return r;
}

void offline_close(struct offline *o) {
    db_close(o->db);
    home_close(o->home);
    *o = (struct offline){NULL, NULL};
}

static int tail_read(const struct db_pair *last, struct home_head *out, struct err *err) {
    struct chunk chunk;
    int r = chunk_open(&chunk, last->value, err);
    if (r < 0)
        return r;
    out->block = chunk.header.block;
    out->position = chunk.header.first_position + chunk.header.n_events - 1;
    return 0;
}

int offline_tail(struct offline *o, struct home_head *out, struct err *err) {
    char end[BLOCK_KEY_BYTES];
    memset(end, 0xff, sizeof end);
    *out = (struct home_head){0, 0};
    const struct db_iter_options options = {.fill_cache = true};
    struct db_iter *it = db_iter_new(o->db, DB_LOG, &options);
    if (!it)
        return err_set(err, ENOMEM, "out of memory");
    struct db_pair last;
    int r = db_iter_seek_back(it, (struct str){end, sizeof end}, &last, err);
    if (r == 0)
        r = tail_read(&last, out, err);
    db_iter_free(it);
    return r == DB_NOT_FOUND ? 0 : r;
}
