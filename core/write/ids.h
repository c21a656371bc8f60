/* Command ids of the blocks that the index may not show yet, by aggregate and id. One thread. */
#ifndef ESFS_IDS_H
#define ESFS_IDS_H

#include "arena.h"
#include "index.h"
#include "table.h"

struct id;

/* Zero-initialise to start. */
struct ids {
    struct table table;
    struct arena arena;
    struct id **list;
    uint32_t n, room;
};

void ids_free(struct ids *ids); /* empty and usable again */
/* NULL when the id is not among them. */
const struct index_command *ids_find(const struct ids *ids, uint64_t aggregate, struct str id);
int ids_add(struct ids *ids, uint64_t aggregate, struct str id, const struct index_command *memory); /* 0, -ENOMEM */

#endif
