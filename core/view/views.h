/* Views: what projections and indexes have made of the log, as it is served.
 *
 * Each view of the domain follows the log in a thread of its own and keeps its output in the `views` family, in one
 * batch with its cursor. What is kept belongs to a *build*: a view under one definition, made from the first event on.
 * A changed definition is built beside the one that serves, which goes on, and then they change places at once; so a
 * build that a reader has in hand may go away (VIEW_NONE), and then he asks for the view again.
 *
 * Everything here may be called from any thread. VIEW_NONE where there is no such thing; negative errno: -EIO (the
 * database, told in the store's errors), -ENOMEM. */
#ifndef ESFS_VIEWS_H
#define ESFS_VIEWS_H

#include "buf.h"
#include "err.h"
#include "name.h"
#include "store.h"
#include "str.h"

#include <stdbool.h>
#include <stdint.h>

struct views;

enum { VIEW_NONE = 1 };

#define VIEW_NO_MAX 4095                 /* of views that a store can ever have had */
#define VIEW_BUILD_MAX ((1u << 20) - 1)  /* of builds */
#define VIEW_DIRS_MAX ((1ULL << 36) - 1) /* of directories, of one build */
#define VIEW_LEVELS_MAX 15               /* directories of an index, one in the other; what `path` may give */
#define VIEW_NAME_MAX 250                /* bytes of a key's, a link's or a directory's file name, without ".json" */

/* NULL without a domain. Borrowed until store_close(). */
struct views *store_views(struct store *s);

/* --- which there are */

struct view_info {
    uint32_t no;     /* of the view's name, from 1, for good */
    struct str name; /* valid until store_close() */
    bool index;      /* directories of links; otherwise a file a key */
    uint64_t build;  /* that is served, from 1; another one after each rebuild */
    uint64_t time;   /* of the last event that changed it, microseconds */
};
int views_find(struct views *vs, struct str name, struct view_info *out);
int views_get(struct views *vs, uint32_t no, struct view_info *out);
int views_after(struct views *vs, uint32_t no, struct view_info *out); /* the next one by number */
/* Who may read it: its `allow`. */
bool views_may_read(struct views *vs, uint32_t no, const struct identity *who);

/* .status.json of one, appended. */
int views_status(struct views *vs, uint32_t no, struct buf *out);
/* Builds it anew beside what is served. Waits for a reload that is under way. 0, VIEW_NONE, -EROFS, -ENOSPC (there are
 * no numbers of builds left). */
int views_rebuild(struct views *vs, uint32_t no);

/* What the log's records of what is passed over call a view: "views/by_customer", with a NUL behind it. */
#define VIEW_FOLLOWER_ROOM (6 + NAME_MAX_BYTES + 1)
struct str view_follower(struct str name, char out[VIEW_FOLLOWER_ROOM]);

/* --- file names of keys */

/* The file name of a key, without ".json": a leading dot, `/`, `%`, control characters and what is not UTF-8 become
 * %XX; the empty key is "%". What then has more than VIEW_NAME_MAX bytes keeps its head and ends in "%~" and 32 digits
 * of its hash. Appended to `out`. */
void view_name_put(struct str key, struct buf *out);

/* --- projections: a file a key */

struct view_key {
    uint64_t no; /* from 1, in the order in which keys came; not given again */
    uint8_t bytes;
    char name[VIEW_NAME_MAX]; /* view_name_put() of the key */
};
struct view_entry {
    uint64_t no;
    uint64_t stamp;     /* two contents that a key of this build ever had differ in it */
    uint64_t time;      /* of the last event in it */
    uint64_t size;      /* bytes of its text, a newline at the end */
    uint64_t aggregate; /* that alone has made it, when the key is its id or its name ("order/1001"); otherwise 0 */
    bool failed;        /* `output` failed for it: there is no text, and reading it is -EIO */
};
/* `text` (may be NULL) gets the file's bytes appended: of the same moment as *out. */
int views_entry(struct views *vs, uint64_t build, struct str name, struct view_entry *out, struct buf *text);
/* Up to n keys with numbers above `after`, ascending. Returns how many, 0 at the end. */
int views_keys(struct views *vs, uint64_t build, uint64_t after, struct view_key *out, size_t n);
/* The keys themselves, not their file names, that begin with a prefix, sorted by file name. Stops at the first return
 * of `visit` that is not 0 and gives that. */
typedef int view_visit(void *arg, struct str key);
int views_each_key(struct views *vs, uint64_t build, struct str prefix, view_visit *visit, void *arg);
/* Changes whenever a key comes or goes. */
uint64_t views_keys_stamp(struct views *vs, uint64_t build);
/* The part of an aggregate in a view that is keyed by aggregate: entry.aggregate is it. */
int views_aggregate_entry(struct views *vs, uint64_t build, uint64_t aggregate, struct view_entry *out,
                          struct buf *text);
/* Changes with every commit of any view: what was read holds as long as it is the same. */
uint64_t views_moment(struct views *vs);

/* --- indexes: directories (0 is the view's own) and links to aggregates */

struct view_dir {
    uint32_t view; /* number of the view whose build it is */
    uint64_t parent;
    uint32_t levels; /* below the view's own directory, which is 0; at most VIEW_LEVELS_MAX */
    uint64_t time;   /* of the last event that changed it */
};
int views_dir(struct views *vs, uint64_t build, uint64_t dir, struct view_dir *out);
struct view_child {
    bool link;
    uint64_t no; /* of the directory, from 1 and not given again, or of the aggregate */
    uint64_t time;
};
int views_child(struct views *vs, uint64_t build, uint64_t dir, struct str name, struct view_child *out);
/* Up to n, with numbers above `after`, ascending. Returns how many, 0 at the end. A link that has the name of a
 * directory beside it has a `%` behind its own. */
int views_dirs(struct views *vs, uint64_t build, uint64_t dir, uint64_t after, struct view_key *out, size_t n);
int views_links(struct views *vs, uint64_t build, uint64_t dir, uint64_t after, struct view_key *out, size_t n);

/* --- events that failed, and those that wait behind them */

/* Up to n positions above `after`, ascending. */
int views_parked(struct views *vs, uint32_t no, uint64_t after, uint64_t *out, size_t n);
/* <position>.json: the event, the error, whom it waits for. Also of one that a rebuild has made good since, which is
 * not listed any more. */
int views_parked_text(struct views *vs, uint32_t no, uint64_t position, struct buf *out);
/* `done` is called once, from another thread or before the call returns, with 0 or a negative errno: -ENOENT (not
 * parked), -EBUSY (an earlier event of its key is), -EIO (it failed again; its file says how), -EROFS, -ESHUTDOWN.
 * While the view is being rebuilt this waits until the new build serves. */
typedef void views_done(void *arg, int result);
void views_retry(struct views *vs, uint32_t no, uint64_t position, views_done *done, void *arg);
/* Passes over it for good: a record in the log, which calls the view by view_follower(). 0 without one when a rebuild
 * has made it good. */
void views_skip(struct views *vs, uint32_t no, uint64_t position, const struct caller *caller, views_done *done,
                void *arg);

/* --- the barrier */

/* `done` is called once, from another thread or before the call returns, when every view serves everything that was
 * appended before the call: 0, with a JSON object as `text` (borrowed for the call) that names the views that are
 * halted and why; those are not waited for. -ETIMEDOUT after `timeout` ms (0: never); -ESHUTDOWN when the store stops.
 */
typedef void views_barrier_done(void *arg, int result, struct str text);
void views_barrier(struct views *vs, uint64_t timeout, views_barrier_done *done, void *arg);

#endif
