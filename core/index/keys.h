/* The keys of the derived family and their small values (FORMAT.md section "Derived"); run.h has the large ones.
 *
 *   'c' aggregate, command id      what became of a command          value: struct index_command
 *   'e' type, schema, event type   a kind of event                   position of one
 *   'g' aggregate                  an aggregate                      type, time of making, state, id
 *   'l' type, aggregate            aggregates of a type, listed      time of making, id
 *   'm'                            where the family stands           struct meta
 *   'n' type, id                   a name                            aggregate
 *   'o' type, offset               a chunk of a log.ndjson           first position, block, chunk, base time
 *   'o' 2^32-1, first position     a chunk, found by position        the same
 *   'p' follower, position         a skip                            its time, its uid, type of the event
 *   's' aggregate, first version   a run of a stream                 run.h
 *   'x' type, kind, name, version  a schema                          its time, its text
 *   'y' type                       an aggregate type                 struct index_type and whether it exists
 *
 * Numbers in keys are big endian, aggregates and the like 64 bits, types and versions of schemas 32 (type 0: all),
 * so that keys sort as the numbers do; in values they are varints. A name within a key has a zero byte behind it, which
 * no name holds, so that keys sort as the names do too. Readers give 0 or -EBADMSG and borrow strings from what they
 * read. */
#ifndef ESFS_KEYS_H
#define ESFS_KEYS_H

#include "buf.h"
#include "index.h"

enum key_class {
    KEY_COMMAND = 'c',
    KEY_EVENT_KIND = 'e',
    KEY_AGGREGATE = 'g',
    KEY_LISTING = 'l',
    KEY_META = 'm',
    KEY_NAME = 'n',
    KEY_CHUNK = 'o',
    KEY_SKIP = 'p',
    KEY_RUN = 's',
    KEY_SCHEMA = 'x',
    KEY_TYPE = 'y',
};

#define KEY_ID_MAX 256
#define KEY_BY_POSITION UINT32_MAX /* in place of a type: chunks by their first position */
#define KEY_BYTES_MAX (1 + KEY_ID_MAX + 1 + 8)

struct key {
    size_t n;
    char p[KEY_BYTES_MAX];
};

static inline struct str key_str(const struct key *k) {
    return (struct str){k->p, k->n};
}

struct key key_meta(void);
struct key key_type(uint32_t type_no);
struct key key_name(uint32_t type_no, struct str id);
struct key key_aggregate(uint64_t aggregate);
struct key key_listing(uint32_t type_no, uint64_t aggregate);
struct key key_run(uint64_t aggregate, uint64_t first_version);
struct key key_command(uint64_t aggregate, struct str id); /* an id of up to KEY_ID_MAX bytes */
struct key key_chunk(uint32_t type_no, uint64_t offset);
struct key key_event_kind(uint32_t type_no, uint32_t schema, struct str name);
struct key key_schema(const struct index_schema *s); /* its name as decoded_read() lets it pass */
struct key key_skip(const struct index_skip *s);     /* its follower likewise */

int key_type_read(struct str key, uint32_t *type_no);
int key_listing_read(struct str key, uint32_t *type_no, uint64_t *aggregate);
int key_run_read(struct str key, uint64_t *aggregate, uint64_t *first_version);
int key_chunk_read(struct str key, uint32_t *type_no, uint64_t *offset);
int key_event_kind_read(struct str key, struct index_event_kind *out);
int key_schema_read(struct str key, struct index_schema *out); /* all but the text */
int key_skip_read(struct str key, struct index_skip *out);     /* follower and position */

/* Where the family stands: everything up to `head` is in it. */
struct meta {
    struct index_head head;
    char block_key[BLOCK_KEY_BYTES]; /* of the first chunk of head.block */
};
void value_put_meta(struct buf *out, const struct meta *m);
int value_read_meta(struct str value, struct meta *out);

void value_put_type(struct buf *out, const struct index_type *t, bool exists);
int value_read_type(struct str value, struct index_type *out, bool *exists); /* all but no */

/* An aggregate as the log made it. */
struct made {
    uint64_t no, time;
    uint32_t type_no;
    bool undeclared;
    struct str id;
};
void value_put_made(struct buf *out, const struct made *m);
int value_read_made(struct str value, struct made *out); /* all but no */

void value_put_listing(struct buf *out, const struct made *m);
int value_read_listing(struct str value, uint64_t *time, struct str *id);

void value_put_number(struct buf *out, uint64_t v);
int value_read_number(struct str value, uint64_t *out);

void value_put_command(struct buf *out, const struct index_command *c);
int value_read_command(struct str value, struct index_command *out);

void value_put_skip(struct buf *out, const struct index_skip *s);
int value_read_skip(struct str value, struct index_skip *out); /* all but follower and position */

void value_put_chunk(struct buf *out, const struct index_chunk *c, uint64_t base_time);
int value_read_chunk(struct str value, struct index_chunk *out); /* all but offset */

#endif
