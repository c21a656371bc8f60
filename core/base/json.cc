#define SIMDJSON_EXCEPTIONS 0
extern "C" {
#include "json.h"
}

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <simdjson.h>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

using std::string_view;
namespace ondemand = simdjson::ondemand;

static_assert(JSON_PADDING >= simdjson::SIMDJSON_PADDING, "callers leave less room than simdjson reads");

/* --- json_scan: 64 bytes at a time, one bit each */

struct marks {
    uint64_t quotes, backslashes, opens, closes;
};

#ifdef __SSE2__
static uint64_t bytes_equal(const __m128i v[4], char c) {
    uint64_t bits = 0;
    for (int i = 0; i < 4; i++)
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v[i], _mm_set1_epi8(c))) << (16 * i);
    return bits;
}

static struct marks marks_read(const char *bytes) {
    const __m128i bit5 = _mm_set1_epi8(0x20);
    __m128i v[4], folded[4];
    for (int i = 0; i < 4; i++) {
        v[i] = _mm_loadu_si128((const __m128i *)(bytes + 16 * i));
        folded[i] = _mm_or_si128(v[i], bit5); /* '[' becomes '{', ']' becomes '}', nothing else does */
    }
    return {bytes_equal(v, '"'), bytes_equal(v, '\\'), bytes_equal(folded, '{'), bytes_equal(folded, '}')};
}
#else
static struct marks marks_read(const char *bytes) {
    struct marks m = {0, 0, 0, 0};
    for (int i = 0; i < 64; i++) {
        char c = bytes[i];
        m.quotes |= (uint64_t)(c == '"') << i;
        m.backslashes |= (uint64_t)(c == '\\') << i;
        m.opens |= (uint64_t)(c == '{' || c == '[') << i;
        m.closes |= (uint64_t)(c == '}' || c == ']') << i;
    }
    return m;
}
#endif

/* The bytes that follow an odd run of backslashes. *escaped: the first byte does; afterwards: the 65th would. */
static uint64_t escaped_bytes(uint64_t backslashes, bool *escaped) {
    const uint64_t even = 0x5555555555555555;
    uint64_t carried = *escaped;
    *escaped = false;
    if (!backslashes)
        return carried;
    backslashes &= ~carried;
    uint64_t follows = backslashes << 1 | carried;
    uint64_t odd_starts = backslashes & ~even & ~follows;
    uint64_t ends;
    *escaped = __builtin_add_overflow(odd_starts, backslashes, &ends);
    return (even ^ ends << 1) & follows;
}

/* Each bit becomes the parity of itself and all below it: the bytes from an opening quote to before the closing. */
static uint64_t parity_below(uint64_t bits) {
    for (int shift = 1; shift < 64; shift *= 2)
        bits ^= bits << shift;
    return bits;
}

/* Looks at n (1 to 64) bytes, followed by blanks up to 64. Returns how many the value takes of them, 0 when it goes
 * on after them, or -EBADMSG. */
static int block_scan(struct json_scan *scan, const char *block, int n) {
    struct marks m = marks_read(block);
    bool carry = scan->escaped;
    uint64_t escaped = escaped_bytes(m.backslashes, &carry);
    uint64_t in_string = parity_below(m.quotes & ~escaped) ^ -(uint64_t)scan->in_string;
    for (uint64_t left = (m.opens | m.closes) & ~in_string; left; left &= left - 1) {
        if (m.opens & left & -left) {
            if (++scan->depth > JSON_DEPTH_MAX)
                return -EBADMSG;
        } else if (--scan->depth == 0) {
            return __builtin_ctzll(left) + 1;
        }
    }
    scan->in_string = in_string >> 63;
    scan->escaped = n < 64 ? escaped >> n & 1 : carry;
    return 0;
}

extern "C" ssize_t json_scan(struct json_scan *scan, const char *bytes, size_t n, bool *complete) {
    *complete = false;
    if (n > 0 && scan->depth == 0 && bytes[0] != '{' && bytes[0] != '[')
        return -EBADMSG;
    for (size_t at = 0; at < n; at += 64) {
        char tail[64];
        const char *block = bytes + at;
        int here = n - at < 64 ? (int)(n - at) : 64;
        if (here < 64) {
            memset(tail, ' ', sizeof tail);
            block = (const char *)memcpy(tail, block, (size_t)here);
        }
        int taken = block_scan(scan, block, here);
        if (taken < 0)
            return taken;
        if (taken > 0) {
            *scan = {};
            *complete = true;
            return (ssize_t)at + taken;
        }
    }
    return (ssize_t)n;
}

/* --- json_object_read */

/* A value that was checked; text is of strings only, in the source or in simdjson's string buffer. */
struct value_seen {
    enum json_kind kind;
    bool compact; /* raw has no white space that minifying would remove */
    string_view raw, text;
};

struct member_seen {
    string_view name;
    struct value_seen value;
};

/* A growing array that reports the lack of memory instead of throwing. */
template <typename T> struct scratch {
    T *items;
    size_t n, cap;

    bool push(const T &item) {
        if (n == cap) {
            size_t grown = cap ? cap * 2 : 64;
            T *moved = (T *)realloc((void *)items, grown * sizeof(T));
            if (!moved)
                return false;
            items = moved;
            cap = grown;
        }
        items[n++] = item;
        return true;
    }
};

struct json_parser {
    ondemand::parser simd{};
    scratch<string_view> names{};             /* of the objects that are open, outermost first */
    scratch<member_seen> members{};           /* of the outermost object */
    scratch<struct json_field> tree_fields{}; /* of the objects of a tree that are open */
    scratch<struct json_value> tree_items{};  /* of its arrays */
    size_t token_bytes = 0;                   /* of all that was checked, white space left out */
    const char *why = nullptr;
};

extern "C" struct json_parser *json_parser_new(void) {
    return new (std::nothrow) json_parser();
}

extern "C" void json_parser_free(struct json_parser *p) {
    if (!p)
        return;
    free(p->names.items);
    free(p->members.items);
    free(p->tree_fields.items);
    free(p->tree_items.items);
    delete p;
}

static int malformed(struct json_parser *p, const char *why) {
    p->why = why;
    return JSON_MALFORMED;
}

static int simd_fault(struct json_parser *p, simdjson::error_code code) {
    switch (code) {
    case simdjson::MEMALLOC:
        return -ENOMEM;
    case simdjson::UTF8_ERROR:
        return malformed(p, "it is not valid UTF-8");
    case simdjson::UNESCAPED_CHARS:
        return malformed(p, "a string has a control character that is not escaped");
    case simdjson::UNCLOSED_STRING:
        return malformed(p, "a string is not closed");
    case simdjson::STRING_ERROR:
        return malformed(p, "a string has an escape that is not valid");
    default:
        return malformed(p, "commas, colons or brackets are not where they should be");
    }
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static string_view trimmed(const char *start, const char *end) {
    while (end > start && is_blank(end[-1]))
        end--;
    return {start, (size_t)(end - start)};
}

/* The first quote or backslash from p on. Reads up to 16 bytes further. */
#ifdef __SSE2__
static const char *string_stop(const char *p) {
    for (;; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        unsigned bits = (unsigned)_mm_movemask_epi8(hit);
        if (bits)
            return p + __builtin_ctz(bits);
    }
}
#else
static const char *string_stop(const char *p) {
    while (*p != '"' && *p != '\\')
        p++;
    return p;
}
#endif

/* The closing quote of a string that stage 1 found closed. */
static const char *string_end(const char *p) {
    while (*(p = string_stop(p)) == '\\')
        p += 2;
    return p;
}

static const char *digits_end(const char *p, const char *end) {
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* RFC 8259 section 6, of any size: simdjson's own readers would refuse 1e400 and integers of 30 digits. */
static bool number_is_valid(string_view token) {
    const char *p = token.data(), *end = p + token.size();
    if (p < end && *p == '-')
        p++;
    const char *digits = p;
    p = digits_end(p, end);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return false;
    if (p < end && *p == '.') {
        digits = ++p;
        if ((p = digits_end(p, end)) == digits)
            return false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        if (++p < end && (*p == '+' || *p == '-'))
            p++;
        digits = p;
        if ((p = digits_end(p, end)) == digits)
            return false;
    }
    return p == end;
}

static int scalar_check(struct json_parser *p, string_view token, struct value_seen *out) {
    out->raw = token;
    if (token == "true")
        out->kind = JSON_KIND_TRUE;
    else if (token == "false")
        out->kind = JSON_KIND_FALSE;
    else if (token == "null")
        out->kind = JSON_KIND_NULL;
    else if (number_is_valid(token))
        out->kind = JSON_KIND_NUMBER;
    else
        return malformed(p, "a value is neither a string, a number, true, false, null, an object nor an array");
    return 0;
}

/* Strings without escapes, nearly all of them, stay where they are; the rest is kept out of their way. */
__attribute__((noinline)) static int string_unescape(struct json_parser *p, ondemand::value &value, string_view *out) {
    simdjson::error_code code = value.get_string().get(*out);
    return code ? simd_fault(p, code) : 0;
}

__attribute__((noinline)) static int name_unescape(struct json_parser *p, ondemand::field &field, string_view *out) {
    simdjson::error_code code = field.unescaped_key().get(*out);
    return code ? simd_fault(p, code) : 0;
}

static int string_check(struct json_parser *p, ondemand::value &value, const char *start, struct value_seen *out) {
    const char *stop = string_stop(start + 1);
    out->kind = JSON_KIND_STRING;
    if (*stop == '"') {
        out->text = {start + 1, (size_t)(stop - start - 1)};
        /* Taken, not left for the iterator to skip: it would take "a": for a member where a value stands. */
        if (value.get_raw_json_string().error())
            return malformed(p, "a string is not where it should be");
    } else {
        int rc = string_unescape(p, value, &out->text);
        if (rc)
            return rc;
        stop = string_end(stop);
    }
    out->raw = {start, (size_t)(stop - start + 1)};
    p->token_bytes += out->raw.size();
    return 0;
}

static int name_check(struct json_parser *p, ondemand::field &field) {
    const char *start = field.key().raw();
    const char *stop = string_stop(start);
    string_view name = {start, (size_t)(stop - start)};
    if (*stop != '"') {
        int rc = name_unescape(p, field, &name);
        if (rc)
            return rc;
        stop = string_end(stop);
    }
    p->token_bytes += (size_t)(stop - start) + sizeof "\"\":" - 1;
    return p->names.push(name) ? 0 : -ENOMEM;
}

static bool name_before(const string_view &a, const string_view &b) {
    return a.size() != b.size() ? a.size() < b.size() : memcmp(a.data(), b.data(), a.size()) < 0;
}

/* Names in an object differ early, mostly: a call of memcmp costs more than a look at what stands first. */
static bool names_equal(const string_view &a, const string_view &b) {
    return a.size() == b.size() && *a.data() == *b.data() && memcmp(a.data(), b.data(), a.size()) == 0;
}

/* Closes the innermost open object, whose names begin at `first`. */
static int names_close(struct json_parser *p, size_t first) {
    string_view *names = p->names.items + first;
    size_t n = p->names.n - first;
    p->names.n = first;
    if (n <= 16) {
        for (size_t i = 1; i < n; i++)
            for (size_t k = 0; k < i; k++)
                if (names_equal(names[i], names[k]))
                    return malformed(p, "an object has the same member twice");
        return 0;
    }
    std::sort(names, names + n, name_before);
    if (std::adjacent_find(names, names + n) != names + n)
        return malformed(p, "an object has the same member twice");
    return 0;
}

/* Brackets and commas around n values. */
static size_t punctuation_bytes(size_t n) {
    return n ? n + 1 : 2;
}

static int value_check(struct json_parser *p, ondemand::value &value, unsigned depth, struct value_seen *out);

static int array_check(struct json_parser *p, ondemand::value &value, unsigned depth) {
    ondemand::array array;
    simdjson::error_code code = value.get_array().get(array);
    if (code)
        return simd_fault(p, code);
    size_t n = 0;
    for (auto element : array) {
        struct value_seen seen;
        n++;
        if ((code = element.error()))
            return simd_fault(p, code);
        ondemand::value &&inner = std::move(element).value_unsafe();
        int rc = value_check(p, inner, depth + 1, &seen);
        if (rc)
            return rc;
    }
    p->token_bytes += punctuation_bytes(n);
    return 0;
}

static int object_check(struct json_parser *p, ondemand::value &value, unsigned depth) {
    ondemand::object object;
    simdjson::error_code code = value.get_object().get(object);
    if (code)
        return simd_fault(p, code);
    size_t first = p->names.n;
    for (auto item : object) {
        struct value_seen seen;
        if ((code = item.error()))
            return simd_fault(p, code);
        ondemand::field &&field = std::move(item).value_unsafe();
        int rc = name_check(p, field);
        if (!rc)
            rc = value_check(p, field.value(), depth + 1, &seen);
        if (rc)
            return rc;
    }
    p->token_bytes += punctuation_bytes(p->names.n - first);
    return names_close(p, first);
}

/* Leaves raw of objects and arrays to the caller. */
static int value_check(struct json_parser *p, ondemand::value &value, unsigned depth, struct value_seen *out) {
    string_view token = value.raw_json_token();
    switch (token[0]) {
    case '"':
        return string_check(p, value, token.data(), out);
    case '{':
    case '[':
        if (depth > JSON_DEPTH_MAX)
            return malformed(p, "it is nested too deep");
        out->kind = token[0] == '{' ? JSON_KIND_OBJECT : JSON_KIND_ARRAY;
        return token[0] == '{' ? object_check(p, value, depth) : array_check(p, value, depth);
    default:
        token = trimmed(token.data(), token.data() + token.size());
        p->token_bytes += token.size();
        return scalar_check(p, token, out);
    }
}

static int member_check(struct json_parser *p, ondemand::document &doc, ondemand::field &field) {
    struct member_seen seen;
    int rc = name_check(p, field);
    if (rc)
        return rc;
    seen.name = p->names.items[p->names.n - 1];
    size_t before = p->token_bytes;
    const char *start = field.value().raw_json_token().data();
    if ((rc = value_check(p, field.value(), 1, &seen.value)))
        return rc;
    if (seen.value.kind == JSON_KIND_OBJECT || seen.value.kind == JSON_KIND_ARRAY) {
        const char *next;
        simdjson::error_code code = doc.current_location().get(next);
        if (code)
            return simd_fault(p, code);
        seen.value.raw = trimmed(start, next);
        seen.value.compact = seen.value.raw.size() == p->token_bytes - before;
    }
    return p->members.push(seen) ? 0 : -ENOMEM;
}

static int document_check(struct json_parser *p, ondemand::document &doc) {
    ondemand::object object;
    simdjson::error_code code = doc.get_object().get(object);
    if (code)
        return code == simdjson::INCORRECT_TYPE ? malformed(p, "it is not an object") : simd_fault(p, code);
    p->names.n = p->members.n = 0;
    for (auto item : object) {
        if ((code = item.error()))
            return simd_fault(p, code);
        ondemand::field &&field = std::move(item).value_unsafe();
        int rc = member_check(p, doc, field);
        if (rc)
            return rc;
    }
    if (doc.current_location().error() != simdjson::OUT_OF_BOUNDS)
        return malformed(p, "something follows its end");
    return names_close(p, 0);
}

/* simdjson grows to the exact size asked for; doubling spares a new allocation for each slightly longer text. */
static int capacity_ensure(struct json_parser *p, size_t n) {
    size_t cap = p->simd.capacity();
    if (n <= cap)
        return 0;
    simdjson::error_code code = p->simd.allocate(std::max({n, cap * 2, (size_t)4096}), JSON_DEPTH_MAX + 8);
    return code ? simd_fault(p, code) : 0;
}

static struct str bytes_copy(char **at, string_view s) {
    struct str copy = {(const char *)memcpy(*at, s.data(), s.size()), s.size()};
    *at += s.size();
    return copy;
}

static void value_copy(char **at, const struct value_seen *seen, struct json_member *out) {
    bool container = seen->kind == JSON_KIND_OBJECT || seen->kind == JSON_KIND_ARRAY;
    out->kind = seen->kind;
    if (container && !seen->compact) {
        size_t n = 0;
        /* Fails for strings that are not closed only, and those were refused. */
        if (simdjson::minify(seen->raw.data(), seen->raw.size(), *at, n) != simdjson::SUCCESS)
            n = 0;
        out->raw = out->text = {*at, n};
        *at += n;
        return;
    }
    out->raw = out->text = bytes_copy(at, seen->raw);
    if (seen->kind != JSON_KIND_STRING)
        return;
    if (seen->text.size() == seen->raw.size() - 2)
        out->text = {out->raw.p + 1, out->raw.n - 2};
    else
        out->text = bytes_copy(at, seen->text);
}

static int members_copy(struct json_parser *p, struct arena *arena, struct json_member **members, size_t *n_members) {
    size_t n = p->members.n, bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const struct member_seen *m = &p->members.items[i];
        bytes += m->name.size() + m->value.raw.size() + (m->value.kind == JSON_KIND_STRING ? m->value.text.size() : 0);
    }
    struct json_member *out = (struct json_member *)arena_alloc(arena, n * sizeof *out + bytes + JSON_PADDING);
    if (!out)
        return -ENOMEM;
    char *at = (char *)(out + n);
    for (size_t i = 0; i < n; i++) {
        out[i].name = bytes_copy(&at, p->members.items[i].name);
        value_copy(&at, &p->members.items[i].value, &out[i]);
    }
    memset(at, 0, JSON_PADDING);
    *members = out;
    *n_members = n;
    return 0;
}

extern "C" int json_object_read(struct json_parser *p, struct str text, struct arena *arena,
                                struct json_member **members, size_t *n_members, const char **why) {
    ondemand::document doc;
    int rc = capacity_ensure(p, text.n);
    if (!rc) {
        auto code = p->simd.iterate(text.p, text.n, text.n + JSON_PADDING).get(doc);
        rc = code ? simd_fault(p, code) : document_check(p, doc);
    }
    if (!rc)
        rc = members_copy(p, arena, members, n_members);
    if (rc == JSON_MALFORMED)
        *why = p->why;
    return rc;
}

/* --- json_tree_read */

struct tree_reader {
    struct json_parser *p;
    struct arena *arena;
    ondemand::document *doc;
};

static struct str str_from(string_view s) {
    return {s.data(), s.size()};
}

/* What simdjson unescaped stands in its own buffer, which the next text overwrites. */
static bool text_keep(struct arena *arena, string_view text, string_view raw, struct str *out) {
    *out = str_from(text);
    if (text.data() >= raw.data() && text.data() <= raw.data() + raw.size())
        return true;
    *out = arena_copy(arena, *out);
    return out->p != nullptr;
}

template <typename T> static int tree_close(struct arena *arena, scratch<T> *open, size_t first, T **out, uint32_t *n) {
    size_t count = open->n - first;
    *out = nullptr;
    *n = (uint32_t)count;
    open->n = first;
    if (count == 0)
        return 0;
    if (!(*out = (T *)arena_alloc(arena, count * sizeof(T))))
        return -ENOMEM;
    memcpy((void *)*out, (const void *)(open->items + first), count * sizeof(T));
    return 0;
}

static int tree_value(struct tree_reader *r, ondemand::value &value, unsigned depth, struct json_value *out);

static int tree_array(struct tree_reader *r, ondemand::value &value, unsigned depth, struct json_value *out) {
    struct json_parser *p = r->p;
    ondemand::array array;
    simdjson::error_code code = value.get_array().get(array);
    if (code)
        return simd_fault(p, code);
    size_t first = p->tree_items.n;
    for (auto element : array) {
        struct json_value item;
        if ((code = element.error()))
            return simd_fault(p, code);
        ondemand::value &&inner = std::move(element).value_unsafe();
        int rc = tree_value(r, inner, depth + 1, &item);
        if (rc)
            return rc;
        if (!p->tree_items.push(item))
            return -ENOMEM;
    }
    return tree_close(r->arena, &p->tree_items, first, &out->items, &out->n);
}

static int tree_field(struct tree_reader *r, ondemand::field &field, unsigned depth) {
    struct json_parser *p = r->p;
    struct json_field out;
    const char *start = field.key().raw();
    int rc = name_check(p, field);
    if (rc)
        return rc;
    string_view name = p->names.items[p->names.n - 1];
    if (name.data() == start)
        out.name = str_from(name);
    else if (!(out.name = arena_copy(r->arena, str_from(name))).p)
        return -ENOMEM;
    if ((rc = tree_value(r, field.value(), depth + 1, &out.value)))
        return rc;
    return p->tree_fields.push(out) ? 0 : -ENOMEM;
}

static int tree_object(struct tree_reader *r, ondemand::value &value, unsigned depth, struct json_value *out) {
    struct json_parser *p = r->p;
    ondemand::object object;
    simdjson::error_code code = value.get_object().get(object);
    if (code)
        return simd_fault(p, code);
    size_t first = p->tree_fields.n, first_name = p->names.n;
    for (auto item : object) {
        if ((code = item.error()))
            return simd_fault(p, code);
        ondemand::field &&field = std::move(item).value_unsafe();
        int rc = tree_field(r, field, depth);
        if (rc)
            return rc;
    }
    int rc = names_close(p, first_name);
    return rc ? rc : tree_close(r->arena, &p->tree_fields, first, &out->fields, &out->n);
}

static int tree_container(struct tree_reader *r, ondemand::value &value, const char *start, unsigned depth,
                          struct json_value *out) {
    if (depth > JSON_DEPTH_MAX)
        return malformed(r->p, "it is nested too deep");
    out->kind = *start == '{' ? JSON_KIND_OBJECT : JSON_KIND_ARRAY;
    int rc = *start == '{' ? tree_object(r, value, depth, out) : tree_array(r, value, depth, out);
    if (rc || depth == 1)
        return rc; /* the raw of the outermost is the whole text */
    const char *next;
    simdjson::error_code code = r->doc->current_location().get(next);
    if (code)
        return simd_fault(r->p, code);
    out->raw = str_from(trimmed(start, next));
    return 0;
}

static int tree_value(struct tree_reader *r, ondemand::value &value, unsigned depth, struct json_value *out) {
    struct value_seen seen;
    string_view token = value.raw_json_token();
    if (token[0] == '{' || token[0] == '[')
        return tree_container(r, value, token.data(), depth, out);
    out->n = 0;
    int rc;
    if (token[0] == '"') {
        if ((rc = string_check(r->p, value, token.data(), &seen)))
            return rc;
        if (!text_keep(r->arena, seen.text, seen.raw, &out->text))
            return -ENOMEM;
    } else {
        token = trimmed(token.data(), token.data() + token.size());
        if ((rc = scalar_check(r->p, token, &seen)))
            return rc;
        out->text = str_from(token);
    }
    out->kind = seen.kind;
    out->raw = str_from(seen.raw);
    return 0;
}

static int tree_document(struct json_parser *p, struct str text, struct arena *arena, struct json_value *out) {
    ondemand::document doc;
    ondemand::value root;
    struct tree_reader r = {p, arena, &doc};
    int rc = capacity_ensure(p, text.n);
    if (rc)
        return rc;
    p->names.n = p->tree_items.n = p->tree_fields.n = 0;
    simdjson::error_code code = p->simd.iterate(text.p, text.n, text.n + JSON_PADDING).get(doc);
    if (!code)
        code = doc.get_value().get(root);
    if (code)
        return simd_fault(p, code);
    if ((rc = tree_value(&r, root, 1, out)))
        return rc;
    out->raw = str_from(trimmed(text.p, text.p + text.n));
    return doc.current_location().error() == simdjson::OUT_OF_BOUNDS ? 0 : malformed(p, "something follows its end");
}

/* simdjson gives no value for a document that is a scalar: it is read as the only item of an array. */
static int tree_scalar(struct json_parser *p, struct str text, struct arena *arena, struct json_value *out) {
    char *array = (char *)arena_alloc(arena, text.n + 2 + JSON_PADDING);
    if (!array)
        return -ENOMEM;
    array[0] = '[';
    memcpy(array + 1, text.p, text.n);
    memcpy(array + 1 + text.n, "]", 1);
    memset(array + 2 + text.n, 0, JSON_PADDING);
    struct json_value outer;
    int rc = tree_document(p, {array, text.n + 2}, arena, &outer);
    if (!rc && outer.n != 1)
        return malformed(p, outer.n == 0 ? "there is no value" : "something follows its end");
    if (!rc)
        *out = outer.items[0];
    return rc;
}

extern "C" int json_tree_read(struct json_parser *p, struct str text, struct arena *arena, struct json_value *out,
                              const char **why) {
    while (text.n && is_blank(*text.p))
        text = {text.p + 1, text.n - 1};
    bool container = text.n && (*text.p == '{' || *text.p == '[');
    int rc = container ? tree_document(p, text, arena, out) : tree_scalar(p, text, arena, out);
    if (rc == JSON_MALFORMED)
        *why = p->why;
    return rc;
}

extern "C" const struct json_value *json_field(const struct json_value *object, struct str name) {
    if (object->kind != JSON_KIND_OBJECT)
        return nullptr;
    for (uint32_t i = 0; i < object->n; i++)
        if (str_eq(object->fields[i].name, name))
            return &object->fields[i].value;
    return nullptr;
}
