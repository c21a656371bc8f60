#include "kafka_brokers.h"

#include "str.h"

#include <errno.h>
#include <stdbool.h>

#define PORT_MAX 65535

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_made_of(struct str s, const char *others) {
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]) && !is_letter(s.p[i]) && !(s.p[i] && strchr(others, s.p[i])))
            return false;
    return s.n > 0;
}

static bool is_host(struct str s) {
    if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        return is_made_of((struct str){s.p + 1, s.n - 2}, ":.%_-");
    return is_made_of(s, ".-_");
}

static bool is_port(struct str s) {
    unsigned long port = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i]) || port > PORT_MAX)
            return false;
        port = port * 10 + (unsigned long)(s.p[i] - '0');
    }
    return port >= 1 && port <= PORT_MAX;
}

static bool is_broker(struct str s) {
    const char *colon = s.n ? memrchr(s.p, ':', s.n) : NULL;
    if (!colon)
        return false;
    size_t n = (size_t)(colon - s.p);
    return is_host((struct str){s.p, n}) && is_port((struct str){colon + 1, s.n - n - 1});
}

int kafka_brokers_check(const char *what, const char *list, struct err *err) {
    for (const char *p = list, *end;; p = end + 1) {
        end = strchrnul(p, ',');
        if (!is_broker((struct str){p, (size_t)(end - p)}))
            return err_set(err, EINVAL, "%s%.*s: HOST:PORT is meant, with a port from 1 to %d", what, (int)(end - p), p,
                           PORT_MAX);
        if (!*end)
            return 0;
    }
}
