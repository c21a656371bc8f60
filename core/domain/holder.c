#include "holder.h"

#include "varint.h"

static void put_prefix(const struct domain_type *t, char class, struct buf *out) {
    buf_put_char(out, class);
    buf_put(out, t->fold, sizeof t->fold);
}

void holder_key(const struct domain_type *t, const struct domain_rule *rule, struct str value, struct buf *out) {
    put_prefix(t, HOLDER_CLASS_VALUE, out);
    buf_put_str(out, rule->name);
    buf_put_char(out, '\0'); /* which no name holds */
    buf_put_str(out, value);
}

void holder_value(uint64_t aggregate, char out[8]) {
    be64_put(out, aggregate);
}

void holder_of_key(const struct domain_type *t, const struct domain_rule *rule, uint64_t aggregate, struct buf *out) {
    char number[8];
    be64_put(number, aggregate);
    put_prefix(t, HOLDER_CLASS_OF, out);
    buf_put_str(out, rule->name);
    buf_put_char(out, '\0');
    buf_put(out, number, sizeof number);
}

void holder_mark_key(const struct domain_type *t, struct buf *out) {
    put_prefix(t, HOLDER_CLASS_MARK, out);
}
