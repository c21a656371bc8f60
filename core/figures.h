/* What the status files are made of: JSON as jansson has it. References are the caller's, as jansson's own calls. */
#ifndef ESFS_FIGURES_H
#define ESFS_FIGURES_H

#include "buf.h"

#include <jansson.h>
#include <stdint.h>

struct store;

json_t *figure_number(uint64_t v);
json_t *figure_position(uint64_t position); /* as events show it */
json_t *figure_time(uint64_t time);         /* likewise, of microseconds since 1970 */

/* How long the event behind a position has waited, in seconds; 0: there is none, or it cannot be read. */
double figure_behind(struct store *s, uint64_t position);

/* Appends an object, which is given up (NULL: out of memory), and a newline. Filled up with spaces, so that its size
 * seldom changes between being asked for and being read (tar minds). 0 or -ENOMEM. */
int figures_put(struct buf *out, json_t *object);
int figures_put_bare(struct buf *out, json_t *object); /* without the spaces */

#endif
