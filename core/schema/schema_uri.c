#include "schema_uri.h"

#include "schema_private.h"

/* --- parts */

static struct str cut(const char *from, const char *to) {
    return (struct str){from, (size_t)(to - from)};
}

static const char *find_any(const char *p, const char *end, const char *set) {
    while (p < end && (*p == 0 || !strchr(set, *p)))
        p++;
    return p;
}

static bool is_alpha(char c) {
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool scheme_matches(struct str s) {
    if (s.n == 0 || !is_alpha(s.p[0]))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!is_alpha(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '+' && s.p[i] != '-' && s.p[i] != '.')
            return false;
    return true;
}

struct uri uri_split(struct str text) {
    struct uri u = {0};
    const char *p = text.n ? text.p : "", *end = p + text.n;
    const char *mark = find_any(p, end, ":/?#");
    if (mark < end && *mark == ':' && scheme_matches(cut(p, mark))) {
        u.scheme = cut(p, mark);
        p = mark + 1;
    }
    if (end - p >= 2 && p[0] == '/' && p[1] == '/') {
        mark = find_any(p + 2, end, "/?#");
        u.authority = cut(p + 2, mark);
        p = mark;
    }
    mark = find_any(p, end, "?#");
    u.path = cut(p, mark);
    if (mark < end && *mark == '?') {
        p = mark + 1;
        mark = find_any(p, end, "#");
        u.query = cut(p, mark);
    }
    if (mark < end)
        u.fragment = cut(mark + 1, end);
    return u;
}

/* --- resolving, RFC 3986 section 5.2 */

/* The last segment goes, and the slash before it. */
static size_t segment_drop(const char *path, size_t n) {
    while (n > 0 && path[n - 1] != '/')
        n--;
    return n ? n - 1 : 0;
}

/* remove_dot_segments, in place: a path never grows. */
static size_t dots_remove(char *path, size_t n) {
    size_t out = 0, at = 0;
    bool rooted = n && path[0] == '/';
    while (at < n) {
        size_t start = at, name = at + (path[at] == '/');
        for (at = name; at < n && path[at] != '/';)
            at++;
        size_t length = at - name;
        bool dots = (length == 1 && path[name] == '.') || (length == 2 && path[name] == '.' && path[name + 1] == '.');
        if (dots && length == 2)
            out = segment_drop(path, out);
        if (dots && at == n && (out || rooted))
            path[out++] = '/';
        if (dots)
            continue;
        memmove(path + out, path + start, at - start);
        out += at - start;
    }
    return out;
}

static char *put(char *at, struct str s, const char *before, const char *after) {
    if (!s.p)
        return at;
    at = stpcpy(at, before);
    if (s.n)
        memcpy(at, s.p, s.n);
    return stpcpy(at + s.n, after);
}

static char *put_path(char *at, const struct uri *base, struct str path) {
    char *start = at;
    if (!path.n || path.p[0] != '/') {
        size_t n = base->path.n;
        while (n > 0 && base->path.p[n - 1] != '/')
            n--;
        if (base->authority.p && base->path.n == 0)
            *at++ = '/';
        at = put(at, cut(base->path.p, base->path.p + n), "", "");
    }
    at = put(at, path, "", "");
    return start + dots_remove(start, (size_t)(at - start));
}

bool uri_resolve(struct arena *arena, struct str base_text, struct str reference, struct str *out) {
    struct uri base = uri_split(base_text), u = uri_split(reference);
    char *start = arena_alloc(arena, base_text.n + reference.n + 16), *at = start;
    if (!start)
        return false;
    bool own = u.scheme.p || u.authority.p; /* a path of its own, from the root on */
    at = put(at, u.scheme.p ? u.scheme : base.scheme, "", ":");
    at = put(at, own ? u.authority : base.authority, "//", "");
    if (own) {
        char *path = at;
        at = put(at, u.path, "", "");
        if (u.path.n && u.path.p[0] == '/')
            at = path + dots_remove(path, (size_t)(at - path));
    } else if (u.path.n == 0) {
        at = put(at, base.path, "", "");
    } else {
        at = put_path(at, &base, u.path);
    }
    bool keeps_query = !own && u.path.n == 0 && !u.query.p;
    at = put(at, keeps_query ? base.query : u.query, "?", "");
    *out = cut(start, at);
    return true;
}

static int hex_digit(char c) {
    return is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

bool uri_unescape(struct arena *arena, struct str s, struct str *out) {
    char *start = arena_alloc(arena, s.n + 1), *at = start;
    if (!start)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && s.n - i > 2 && is_hex(s.p[i + 1]) && is_hex(s.p[i + 2])) {
            *at++ = (char)(hex_digit(s.p[i + 1]) * 16 + hex_digit(s.p[i + 2]));
            i += 2;
        } else {
            *at++ = s.p[i];
        }
    }
    *out = cut(start, at);
    return true;
}

/* --- the grammar */

/* unreserved, sub-delims, escapes, those in `more`, and beyond ASCII what is no control character. */
static bool chars_match(struct str s, const char *more, bool international) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '%') {
            if (s.n - i < 3 || !is_hex(s.p[i + 1]) || !is_hex(s.p[i + 2]))
                return false;
            i += 2;
        } else if (c >= 0x80) {
            if (!international || (c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0))
                return false;
        } else if (!is_alpha((char)c) && !is_digit((char)c) && (c == 0 || !strchr("-._~!$&'()*+,;=", c)) &&
                   (c == 0 || !strchr(more, c))) {
            return false;
        }
    }
    return true;
}

static bool future_address_matches(struct str s) {
    const char *point = memchr(s.p, '.', s.n);
    if (!point || point - s.p < 2 || (s.p[0] | 0x20) != 'v')
        return false;
    for (const char *p = s.p + 1; p < point; p++)
        if (!is_hex(*p))
            return false;
    struct str rest = cut(point + 1, s.p + s.n);
    return rest.n && !memchr(rest.p, '%', rest.n) && chars_match(rest, ":", false);
}

static bool host_matches(struct str s, bool international) {
    if (s.n && s.p[0] == '[') {
        if (s.p[s.n - 1] != ']')
            return false;
        struct str inside = {s.p + 1, s.n - 2};
        return s.n > 2 && (ipv6_matches(inside) || future_address_matches(inside));
    }
    return chars_match(s, "", international);
}

static bool authority_matches(struct str s, bool international) {
    const char *at = s.n ? memrchr(s.p, '@', s.n) : NULL, *end = s.p + s.n;
    if (at && !chars_match(cut(s.p, at), ":", international))
        return false;
    const char *host = at ? at + 1 : s.p;
    const char *colon = end;
    while (colon > host && is_digit(colon[-1]))
        colon--;
    bool port = colon > host && colon[-1] == ':';
    return host_matches(cut(host, port ? colon - 1 : end), international);
}

bool uri_matches(struct str s, bool international, bool needs_scheme) {
    struct uri u = uri_split(s);
    if (needs_scheme && !u.scheme.p)
        return false;
    if (u.authority.p && !authority_matches(u.authority, international))
        return false;
    if (!u.scheme.p && !u.authority.p) { /* the first segment would be taken for a scheme */
        const char *slash = find_any(u.path.p, u.path.p + u.path.n, "/");
        if (memchr(u.path.p, ':', (size_t)(slash - u.path.p)))
            return false;
    }
    return chars_match(u.path, ":@/", international) && chars_match(u.query, ":@/?", international) &&
           chars_match(u.fragment, ":@/?", international);
}

/* --- RFC 6570 */

static bool variable_name_matches(struct str s) {
    bool after_dot = true;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%' && s.n - i > 2 && is_hex(s.p[i + 1]) && is_hex(s.p[i + 2]))
            i += 2;
        else if ((c == '.' && after_dot) || (c != '.' && c != '_' && !is_alpha(c) && !is_digit(c)))
            return false;
        after_dot = c == '.';
    }
    return !after_dot;
}

static bool variable_matches(struct str s) {
    const char *end = s.p + s.n, *colon = find_any(s.p, end, ":");
    if (colon < end) {
        size_t digits = (size_t)(end - colon - 1);
        if (digits < 1 || digits > 4 || colon[1] == '0')
            return false;
        for (const char *p = colon + 1; p < end; p++)
            if (!is_digit(*p))
                return false;
        end = colon;
    } else if (end > s.p && end[-1] == '*') {
        end--;
    }
    return variable_name_matches(cut(s.p, end));
}

static bool expression_matches(struct str s) {
    const char *p = s.p, *end = s.p + s.n;
    if (p < end && *p && strchr("+#./;?&=,!@|", *p))
        p++;
    for (;; p++) {
        const char *comma = find_any(p, end, ",");
        if (!variable_matches(cut(p, comma)))
            return false;
        if ((p = comma) == end)
            return true;
    }
}

bool uri_template_matches(struct str s) {
    const char *p = s.p, *end = s.p + s.n;
    while (p < end) {
        if (*p == '{') {
            const char *close = find_any(p, end, "}");
            if (close == end || !expression_matches(cut(p + 1, close)))
                return false;
            p = close + 1;
            continue;
        }
        if (*p == '%' && (end - p < 3 || !is_hex(p[1]) || !is_hex(p[2])))
            return false;
        if ((unsigned char)*p <= 0x20 || *p == 0x7f || strchr("\"'<>\\^`|}", *p))
            return false;
        p++;
    }
    return true;
}
