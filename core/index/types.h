/* The aggregate types, all of them in memory. A number is given once; the type that has it may be removed, and
 * one of the same name made later gets another number.
 *
 * Names and entries stay where they are until types_free(). types_name() may be called from any thread at any
 * time; everything else is guarded by the caller. */
#ifndef ESFS_TYPES_H
#define ESFS_TYPES_H

#include "index.h"
#include "table.h"

struct type {
    struct index_type is;
    bool exists;
};

struct types {
    struct type *_Atomic *by_no; /* INDEX_TYPES_MAX + 1 of them */
    struct table by_name;
};

int types_init(struct types *t); /* 0 or -ENOMEM */
void types_free(struct types *t);

/* Makes the number's name known; the type does not exist until types_make(). 0, -EEXIST, -EINVAL, -ENOMEM. */
int types_intern(struct types *t, uint32_t no, struct str name);
/* Takes back the names from `no` on: nobody knows the numbers yet. */
void types_forget(struct types *t, uint32_t no);
int types_make(struct types *t, uint32_t no, uint64_t time); /* 0 or -ENOMEM */
/* Puts back a type as it was kept. 0, -EEXIST, -EINVAL, -ENOMEM. */
int types_restore(struct types *t, const struct index_type *kept, bool exists);

struct type *types_get(const struct types *t, uint32_t no);         /* also a removed one; NULL when there never was */
struct type *types_by_name(const struct types *t, struct str name); /* one that exists, or NULL */
struct str types_name(const struct types *t, uint32_t no);

#endif
