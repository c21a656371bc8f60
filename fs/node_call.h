/* An open queries/<query>/call: parameters in, results out. */
#ifndef ESFS_NODE_CALL_H
#define ESFS_NODE_CALL_H

struct call;

void call_free(struct call *c);

#endif
