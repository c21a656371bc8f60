/* How views are kept: keys and values of the `views` family (FORMAT.md, "Views"). Pure functions. */
#ifndef ESFS_VIEW_DATA_H
#define ESFS_VIEW_DATA_H

#include "buf.h"
#include "domain.h"
#include "str.h"

#include <stdbool.h>
#include <stdint.h>

enum view_class {
    VIEW_CLASS_META = 'm',     /* of the catalog, of a build */
    VIEW_CLASS_VIEW = 'v',     /* catalog: view no -> struct view_record */
    VIEW_CLASS_RESOLVED = 'r', /* catalog: view no, position: parked once, made good by a rebuild */
    VIEW_CLASS_KEY = 'k',      /* file name -> struct key_record, text, state */
    VIEW_CLASS_NUMBER = 'i',   /* key no -> file name */
    VIEW_CLASS_PARKED = 'p',   /* position, key -> struct parked_record */
    VIEW_CLASS_DIR = 's',      /* dir -> struct dir_record */
    VIEW_CLASS_ENTRY = 'd',    /* parent dir, name -> dir */
    VIEW_CLASS_CHILD = 'c',    /* parent dir, dir -> name */
    VIEW_CLASS_LINK = 'l',     /* dir, aggregate -> time, file name */
    VIEW_CLASS_PLACE = 'a',    /* aggregate -> dir */
};

/* A key under construction. Build 0 is the catalog. */
struct view_key_bytes {
    char bytes[4 + 1 + 16 + 512];
    size_t n;
};
struct view_key_bytes view_key_begin(uint64_t build, enum view_class class);
void view_key_add(struct view_key_bytes *k, uint64_t number); /* 8 bytes, big endian */
void view_key_add_name(struct view_key_bytes *k,
                       struct str name); /* at the end; what does not fit is replaced by a hash */
static inline struct str view_key_str(const struct view_key_bytes *k) {
    return (struct str){k->bytes, k->n};
}
/* Keys of a build lie in [its begin, the next one's begin). */
struct view_key_bytes view_key_build(uint64_t build);
/* Numbers behind the class: up to n, those that are there. */
int view_key_numbers(struct str key, uint64_t *out, int n); /* how many */
struct str view_key_name(struct str key, int numbers);      /* what is behind so many */

/* --- values: each is appended by put and read back by get: 0 or -EUCLEAN */

struct catalog_meta {
    uint64_t next_view, next_build;
};
void catalog_meta_put(const struct catalog_meta *m, struct buf *out);
int catalog_meta_get(struct str value, struct catalog_meta *out);

struct view_record {
    uint64_t serving, building; /* builds; 0: none */
    struct str name;
};
void view_record_put(const struct view_record *r, struct buf *out);
int view_record_get(struct str value, struct view_record *out);

struct build_meta {
    uint8_t hash[DOMAIN_FOLD_HASH];
    bool index;
    uint64_t position;           /* the cursor: every event up to here is in */
    uint64_t time;               /* of the last event that changed something */
    uint64_t next_key, next_dir; /* numbers */
    uint64_t keys, links;        /* that there are */
    uint64_t keys_stamp;         /* changes when a key comes or goes */
    uint64_t long_names;         /* keys whose file name was cut */
    uint64_t failed;             /* keys whose output failed */
};
void build_meta_put(const struct build_meta *m, struct buf *out);
int build_meta_get(struct str value, struct build_meta *out);

struct key_record {
    uint64_t no, stamp, time;
    uint64_t aggregate; /* that alone has made it; 0: several */
    bool failed;        /* the text is empty */
    struct str key;     /* itself */
    struct str text;    /* of the file */
    struct str state;   /* script_freeze() */
};
void key_record_put(const struct key_record *r, struct buf *out);
int key_record_get(struct str value, struct key_record *out);

struct dir_record {
    uint64_t parent, levels, time, children; /* children: directories and links */
    uint64_t dirs;                           /* directories among them */
    struct str name;
};
void dir_record_put(const struct dir_record *r, struct buf *out);
int dir_record_get(struct str value, struct dir_record *out);

struct link_record {
    uint64_t time;
    struct str name;
};
void link_record_put(const struct link_record *r, struct buf *out);
int link_record_get(struct str value, struct link_record *out);

/* What came of an event for one key: it failed, or waits behind one that did. */
struct parked_record {
    struct str key;
    bool has_key;    /* it was known when it failed */
    uint64_t behind; /* position of the first one of its key; 0: this is it */
    uint64_t attempts;
    uint64_t time; /* of the last attempt, microseconds; 0: there was none */
    struct str file, text, traceback;
    uint64_t line;
};
void parked_record_put(const struct parked_record *r, struct buf *out);
int parked_record_get(struct str value, struct parked_record *out);

#endif
