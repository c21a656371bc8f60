/* What is written to `ack` and to a group's `follow`: positions, or `seek POSITION`, with white space between them
 * (struct ack_text in consumers.h). */
#ifndef ESFS_CONSUMER_ACK_TEXT_H
#define ESFS_CONSUMER_ACK_TEXT_H

#include "consumers.h"

struct ack {
    uint64_t position;
    bool seek;
    size_t end; /* bytes of this write up to its end */
};

/* Takes one after the other from the bytes of a write. */
struct ack_scan {
    struct ack_text *text;
    const char *bytes;
    size_t n, at;
    bool carried; /* a part of what comes next was in the write before */
    bool any;     /* there was one in this write */
};

enum { ACK_NONE = 1 };

void ack_scan_begin(struct ack_scan *s, struct ack_text *text, const char *bytes, size_t n);
/* 0; ACK_NONE at the end of the write; or -EINVAL: what comes next is no position. */
int ack_scan_next(struct ack_scan *s, struct ack *out);
/* What the write is answered with when everything was taken up to `end`, and what came next was refused with `result`
 * (0: nothing was). */
ssize_t ack_scan_end(struct ack_scan *s, size_t end, int result);

#endif
