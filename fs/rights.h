/* Rights: what the lists of a domain (`allow` of commands, views and queries, `read` of types) give on a node. access.c
 * asks them about a caller, acl.c shows them. Safe in any thread. */
#ifndef ESFS_RIGHTS_H
#define ESFS_RIGHTS_H

#include "domain.h"
#include "node.h"

#define RIGHT_READ 4u
#define RIGHT_WRITE 2u
#define RIGHT_SEARCH 1u

/* What the lists must be about: the type that a node belongs to, by number, or the view or the query (its access says
 * which); 0: to none, or to all of them. 0 or a negative errno (-ESTALE). */
int rights_subject(struct fs *fs, const struct node *node, uint32_t *subject);

/* The bits of the node's mode that hold whatever the lists say. */
mode_t rights_mode(const struct node *node);

/* Calls visit for every list that gives something on the node; who is on several has the sum. Not for what needs all
 * of several lists: rights_need_all(). A subject that the domain does not have is treated as one without lists. */
typedef void rights_visit(void *arg, const struct allow *list, unsigned rights);
void rights_each(struct fs *fs, const struct domain *d, const struct node *node, uint32_t subject, rights_visit *visit,
                 void *arg);

/* Whether the node shows events of every type: then one needs the `read` of each. */
bool rights_need_all(const struct node *node);

#endif
